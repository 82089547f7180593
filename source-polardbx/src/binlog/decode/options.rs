//! The inputs of a decoder.

use super::prepared::PreparedTransactions;
use crate::binlog::position::StreamPosition;
use crate::binlog::profile::ServerProfile;
use crate::config::{OnRowsWithoutEvents, PolarDbXOptions};
use crate::schema::History;
use crate::selection::Selection;

/// The inputs of a decoder.
pub struct DecoderOptions {
    /// Name of the stream, under which its facts are committed.
    pub stream: String,
    /// Where the stream resumes.
    pub position: StreamPosition,
    /// The schemas at `position`.
    pub history: History,
    /// The selected tables.
    pub selection: Selection,
    /// The properties of the server that wrote the events.
    pub profile: ServerProfile,
    /// The XA transactions that are prepared at `position`.
    pub prepared: PreparedTransactions,
    /// How the events of PolarDB-X are delivered.
    pub polardbx: PolarDbXOptions,
    /// What becomes of statements that change rows without row events.
    pub rows_without_events: RowsWithoutEvents,
    /// Batches are cut at about this size, in bytes.
    pub batch_max_bytes: usize,
}

/// What becomes of statements that change rows without row events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsWithoutEvents {
    /// What is done with most of them.
    pub then: OnRowsWithoutEvents,
    /// Whether the rows of a table that is renamed into the selection are read and merged into the stream, so that nothing is missing.
    pub new_are_read: bool,
}
