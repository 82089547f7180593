//! What a reader of a stream needs that merges rows into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runtime::{Context, Origin, TableSchema};

use crate::binlog::{StreamPosition, StreamReader};
use crate::config::OnDdlInFull;
use crate::server::Server;
use crate::session::Endpoint;
use crate::snapshot::sessions::ReaderSessions;
use crate::splits::StreamName;
use crate::table_phase::TablePhase;

/// The inputs of an [`InBandReader`](super::InBandReader).
pub(crate) struct InBandOptions {
    /// The stream, which begins at `position`.
    pub(crate) stream: StreamReader,
    pub(crate) name: StreamName,
    pub(crate) position: StreamPosition,
    /// The tables whose rows are not all delivered, with the schemas that they have at `position`, and how many rows they have by the
    /// server's estimate.
    pub(crate) tables: Vec<(Arc<TableSchema>, TablePhase, u64)>,
    /// The folder of the task's files.
    pub(crate) state_dir: PathBuf,
    pub(crate) sessions: Arc<ReaderSessions>,
    pub(crate) endpoint: Endpoint,
    pub(crate) server: Server,
    /// What the events of rows carry.
    pub(crate) origin: Origin,
    pub(crate) on_ddl: OnDdlInFull,
    pub(crate) barrier_delay: Duration,
    pub(crate) parallelism: usize,
    pub(crate) chunk_rows: u64,
    pub(crate) batch_max_bytes: usize,
    pub(crate) context: Context,
}
