//! The keys of `[source.polardbx]`. `settings` validates them once, when the source is made.

mod error;
mod options;
mod settings;

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

pub use error::ConfigError;
pub use options::{
    ArchivedDeletes, DdlText, Handover, Heartbeat, NewTables, OnDdlInFull, OnRowsWithoutEvents, OnUnparsedDdl, Phase, PolarDbXOptions,
    Start, StreamSplit, Tls, TlsMode,
};
pub(crate) use settings::{SourceSettings, moment};

/// The keys of `[source.polardbx]`. Unknown keys are errors. A value whose feature is not implemented yet is refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Host name or address of the server.
    pub host: String,
    /// The server's TCP port; 3306 by default.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The account to log in with.
    pub user: String,
    /// The account's password.
    pub password: SecretString,
    /// A file with the server's RSA public key in PEM form. With it, an account of `caching_sha2_password` can log in over a connection that is
    /// not encrypted, although the server asks for the password itself.
    pub server_public_key: Option<PathBuf>,
    /// Whether to take whatever public key the server sends instead; false by default. Whoever answers for the server then learns the password.
    #[serde(default)]
    pub allow_public_key_retrieval: bool,
    /// The tables to move, as patterns `database.table`. Each part is a literal name, a glob with `*` and `?`, or a name in backticks. A
    /// pattern may also be `re:` and a regular expression, which must match the whole name.
    pub tables: Vec<String>,
    /// Tables to leave out although `tables` includes them, as patterns of the same form.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Whether the tables that tools for online schema changes make for themselves, such as `_orders_gho`, are left out; true by default. A
    /// table that `tables` lists by its full name is never left out.
    #[serde(default = "default_exclude_shadow_tables")]
    pub exclude_shadow_tables: bool,
    /// What becomes of tables that are created, or renamed into the selection, after the task has begun; they are delivered by default. A table
    /// that `tables` lists by its full name is always delivered.
    #[serde(default)]
    pub new_tables: NewTables,
    /// What becomes of a DDL statement that changes rows of a selected table without row events, such as DROP PARTITION; by default the task
    /// stops before it.
    #[serde(default)]
    pub on_rows_without_events: OnRowsWithoutEvents,
    /// The phases to run: any of `schema`, `full` and `incremental`. The default is `full` and `incremental`.
    #[serde(default = "default_phases")]
    pub phases: Vec<Phase>,
    /// How the full phase hands over to the incremental phase; `sequential` by default, and no other value is supported yet.
    #[serde(default)]
    pub handover: Option<Handover>,
    /// What becomes of the task if the schema of a table changes before all its rows are read; by default the table is read again.
    #[serde(default)]
    pub on_ddl_in_full: OnDdlInFull,
    /// The number of connections that read the snapshot in parallel, 1 to 64; 4 by default.
    #[serde(default = "default_parallelism")]
    pub parallelism: usize,
    /// The number of rows in one chunk of the snapshot, 1 to 10,000,000; 50,000 by default.
    #[serde(default = "default_chunk_rows")]
    pub chunk_rows: u64,
    /// How long to wait before the first SELECT if the account may not write the marker row of the visibility barrier, in milliseconds;
    /// 10,000 by default. It must be longer than the time that any commit needs to become visible after it was written to the binlog.
    #[serde(default = "default_barrier_delay_ms")]
    pub barrier_delay_ms: u64,
    /// How long the first start waits for the outcome of XA transactions that are prepared on the server, 0 to 86,400 seconds; 60 by default.
    #[serde(default = "default_xa_wait_seconds")]
    pub xa_wait_seconds: u64,
    /// Where the stream starts if there is an incremental phase but no full phase; `latest` by default.
    pub start: Option<Start>,
    /// A file with the CREATE TABLE statements of the tables as they were at `start`, such as the output of `mysqldump --no-data`. It is needed
    /// if `start` lies before a statement that changes a selected table, unless the table is created behind `start`, too. The path is relative
    /// to the working directory.
    pub start_schema: Option<PathBuf>,
    /// The replica id under which the source asks for the binlog. By default it is derived from the task's name, the host and the port.
    pub server_id: Option<u32>,
    /// The group of binlog streams of PolarDB-X that the stream phase reads, such as `group1`. By default the global binlog is read, or the only
    /// group of an instance that has no global binlog.
    pub stream_group: Option<String>,
    /// By what the streams of the group are split; by the record, unless this says otherwise. The server does not tell.
    #[serde(default)]
    pub stream_split: StreamSplit,
    /// What becomes of the rows that PolarDB-X archives and so deletes; delivered by default. Other servers do not mark such deletes.
    #[serde(default)]
    pub archived_deletes: ArchivedDeletes,
    /// Which text of a DDL statement of PolarDB-X is delivered; the one for MySQL by default.
    #[serde(default)]
    pub ddl_text: DdlText,
    /// What is done with a statement that cannot be read and may change a selected table; by default the task stops.
    #[serde(default)]
    pub on_unparsed_ddl: OnUnparsedDdl,
    /// How connections are encrypted; by default they are not.
    pub tls: Option<Tls>,
    /// Heartbeats that an idle stream sends, for formats that have a record for them; none by default.
    pub heartbeat: Option<Heartbeat>,
}

fn default_port() -> u16 {
    3306
}

pub(crate) fn default_exclude_shadow_tables() -> bool {
    true
}

fn default_phases() -> Vec<Phase> {
    vec![Phase::Full, Phase::Incremental]
}

fn default_parallelism() -> usize {
    4
}

fn default_chunk_rows() -> u64 {
    50_000
}

fn default_barrier_delay_ms() -> u64 {
    10_000
}

fn default_xa_wait_seconds() -> u64 {
    60
}

impl Default for Config {
    /// The default of each key. `host`, `user` and `tables` are empty, and must be set.
    fn default() -> Self {
        Self {
            host: String::new(),
            port: default_port(),
            user: String::new(),
            password: SecretString::from(String::new()),
            tables: Vec::new(),
            exclude: Vec::new(),
            exclude_shadow_tables: default_exclude_shadow_tables(),
            new_tables: NewTables::default(),
            on_rows_without_events: OnRowsWithoutEvents::default(),
            phases: default_phases(),
            handover: None,
            on_ddl_in_full: OnDdlInFull::default(),
            parallelism: default_parallelism(),
            chunk_rows: default_chunk_rows(),
            barrier_delay_ms: default_barrier_delay_ms(),
            xa_wait_seconds: default_xa_wait_seconds(),
            start: None,
            start_schema: None,
            server_id: None,
            stream_group: None,
            stream_split: StreamSplit::default(),
            archived_deletes: ArchivedDeletes::default(),
            ddl_text: DdlText::default(),
            on_unparsed_ddl: OnUnparsedDdl::default(),
            tls: None,
            server_public_key: None,
            allow_public_key_retrieval: false,
            heartbeat: None,
        }
    }
}
