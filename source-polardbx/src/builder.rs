//! The builder of a source.

use std::path::PathBuf;
use std::time::Duration;

use runtime::Result;
use secrecy::SecretString;

use crate::config::{
    ArchivedDeletes, Config, DdlText, Heartbeat, NewTables, OnDdlInFull, OnRowsWithoutEvents, OnUnparsedDdl, Phase, Start, StreamSplit, Tls,
};
use crate::source::PolardbxSource;

/// Builds a [`PolardbxSource`]; see [`PolardbxSource::builder`]. A setting that is not given has the default of its key in
/// `[source.polardbx]`.
#[derive(Clone, Debug)]
#[must_use]
pub struct PolardbxSourceBuilder {
    config: Config,
}

impl PolardbxSourceBuilder {
    pub(crate) fn new(host: String) -> Self {
        Self { config: Config { host, ..Config::default() } }
    }

    /// The server's TCP port; 3306 by default.
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// The account to log in with; required.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.config.user = user.into();
        self
    }

    /// The account's password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.config.password = SecretString::from(password.into());
        self
    }

    /// Patterns of the tables to move, such as `shop.*`; required. See [`Config::tables`].
    pub fn tables<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.config.tables = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Patterns of tables to leave out although `tables` includes them.
    pub fn exclude<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.config.exclude = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// The phases to run. The default is the full phase and the incremental phase.
    pub fn phases(mut self, phases: impl IntoIterator<Item = Phase>) -> Self {
        self.config.phases = phases.into_iter().collect();
        self
    }

    /// What becomes of the task if the schema of a table changes before all its rows are read; by default the table is read again.
    pub fn on_ddl_in_full(mut self, on_ddl: OnDdlInFull) -> Self {
        self.config.on_ddl_in_full = on_ddl;
        self
    }

    /// The number of connections that read the snapshot in parallel, 1 to 64; 4 by default.
    pub fn parallelism(mut self, connections: usize) -> Self {
        self.config.parallelism = connections;
        self
    }

    /// A file with the server's RSA public key, for an account of `caching_sha2_password` without TLS; see [`Config::server_public_key`].
    pub fn server_public_key(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.server_public_key = Some(path.into());
        self
    }

    /// Whether to take whatever public key the server sends; see [`Config::allow_public_key_retrieval`].
    pub fn allow_public_key_retrieval(mut self, allow: bool) -> Self {
        self.config.allow_public_key_retrieval = allow;
        self
    }

    /// The number of rows in one chunk of the snapshot; 50,000 by default.
    pub fn chunk_rows(mut self, rows: u64) -> Self {
        self.config.chunk_rows = rows;
        self
    }

    /// How long to wait before the first SELECT if the account may not write the marker row of the visibility barrier; see
    /// [`Config::barrier_delay_ms`].
    pub fn barrier_delay(mut self, delay: Duration) -> Self {
        self.config.barrier_delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// How long the first start waits for the outcome of XA transactions that are prepared on the server; 60 s by default.
    pub fn xa_wait(mut self, wait: Duration) -> Self {
        self.config.xa_wait_seconds = wait.as_secs();
        self
    }

    /// Where the stream starts if there is an incremental phase but no full phase; at the end of the binlog by default.
    pub fn start(mut self, start: Start) -> Self {
        self.config.start = Some(start);
        self
    }

    /// The replica id under which the source asks for the binlog. By default it is derived from the task's name and the server's address.
    pub fn server_id(mut self, id: u32) -> Self {
        self.config.server_id = Some(id);
        self
    }

    /// What is done with a statement that cannot be read and may change a selected table; by default the task stops.
    pub fn on_unparsed_ddl(mut self, done: OnUnparsedDdl) -> Self {
        self.config.on_unparsed_ddl = done;
        self
    }

    /// The group of binlog streams of PolarDB-X that the stream phase reads; see [`Config::stream_group`].
    pub fn stream_group(mut self, group: impl Into<String>) -> Self {
        self.config.stream_group = Some(group.into());
        self
    }

    /// A file with the definitions of the tables as they were at the start of the stream.
    pub fn start_schema(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.start_schema = Some(path.into());
        self
    }

    /// Whether the tables that tools for online schema changes make for themselves are left out; true by default.
    pub fn exclude_shadow_tables(mut self, exclude: bool) -> Self {
        self.config.exclude_shadow_tables = exclude;
        self
    }

    /// What becomes of tables that are created after the task has begun; they are delivered by default.
    pub fn new_tables(mut self, then: NewTables) -> Self {
        self.config.new_tables = then;
        self
    }

    /// What becomes of a DDL statement that changes rows of a selected table without row events; by default the task stops before it.
    pub fn on_rows_without_events(mut self, then: OnRowsWithoutEvents) -> Self {
        self.config.on_rows_without_events = then;
        self
    }

    /// By what the streams of the group are split; by the record by default.
    pub fn stream_split(mut self, split: StreamSplit) -> Self {
        self.config.stream_split = split;
        self
    }

    /// What becomes of the rows that PolarDB-X archives and so deletes; delivered by default.
    pub fn archived_deletes(mut self, deletes: ArchivedDeletes) -> Self {
        self.config.archived_deletes = deletes;
        self
    }

    /// Which text of a DDL statement of PolarDB-X is delivered; the one for MySQL by default.
    pub fn ddl_text(mut self, text: DdlText) -> Self {
        self.config.ddl_text = text;
        self
    }

    /// How connections are encrypted; by default they are not.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// Sends a heartbeat whenever the stream has been silent for `interval`.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.config.heartbeat = Some(Heartbeat::every(interval));
        self
    }

    /// Builds the source, which does not connect yet. An error of kind `Config` names the key that is wrong.
    pub fn build(self) -> Result<PolardbxSource> {
        PolardbxSource::new(self.config)
    }
}
