//! The keys of `[source.polardbx]`; `settings` validates them and resolves them once.

mod error;
mod options;
mod settings;

use secrecy::SecretString;
use serde::Deserialize;

pub use error::ConfigError;
pub use options::{Handover, Heartbeat, Phase, Start, Tls, TlsMode};
pub(crate) use settings::SourceSettings;

/// The keys of `[source.polardbx]`. Unknown keys are errors; a key whose feature is not built yet is refused with its value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Host name or address of the server.
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// What to move: `database.table`, each part literal, a glob with `*` and `?`, or in backticks; or `re:` and a regular expression that
    /// matches whole names.
    pub tables: Vec<String>,
    /// What to leave out of it, in the same form.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Any of `schema`, `full` and `incremental`; the last two by default.
    #[serde(default = "default_phases")]
    pub phases: Vec<Phase>,
    /// How the full phase hands over to the incremental one; `sequential`.
    #[serde(default)]
    pub handover: Handover,
    /// How many connections read the snapshot at once, 1 to 64.
    #[serde(default = "default_parallelism")]
    pub parallelism: usize,
    /// Rows of one chunk of the snapshot.
    #[serde(default = "default_chunk_rows")]
    pub chunk_rows: u64,
    /// How long to wait before the first SELECT if the account may not write the marker row: longer than any commit takes from being in the
    /// binlog to being visible. 10,000 by default.
    #[serde(default = "default_barrier_delay_ms")]
    pub barrier_delay_ms: u64,
    /// Where an incremental phase without a full one starts; `latest` by default.
    pub start: Option<Start>,
    /// Id of the dump connection; derived from the task's name and the host if absent.
    pub server_id: Option<u32>,
    /// Encryption of the connections; none by default.
    pub tls: Option<Tls>,
    /// Heartbeats of an idle stream, for formats that have a record for them; none by default.
    pub heartbeat: Option<Heartbeat>,
}

fn default_port() -> u16 {
    3306
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

impl Default for Config {
    /// The defaults of all keys. `host`, `user` and `tables` are empty, and must be set.
    fn default() -> Self {
        Self {
            host: String::new(),
            port: default_port(),
            user: String::new(),
            password: SecretString::from(String::new()),
            tables: Vec::new(),
            exclude: Vec::new(),
            phases: default_phases(),
            handover: Handover::default(),
            parallelism: default_parallelism(),
            chunk_rows: default_chunk_rows(),
            barrier_delay_ms: default_barrier_delay_ms(),
            start: None,
            server_id: None,
            tls: None,
            heartbeat: None,
        }
    }
}
