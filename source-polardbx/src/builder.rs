//! Builds a source in code.

use std::time::Duration;

use runtime::Result;
use secrecy::SecretString;

use crate::config::{Config, Heartbeat, Phase, Start, Tls};
use crate::source::PolardbxSource;

/// Builds a [`PolardbxSource`]; see [`PolardbxSource::builder`]. What is not set has the default of its key in `[source.polardbx]`.
#[derive(Clone, Debug)]
#[must_use]
pub struct PolardbxSourceBuilder {
    config: Config,
}

impl PolardbxSourceBuilder {
    pub(crate) fn new(host: String) -> Self {
        Self { config: Config { host, ..Config::default() } }
    }

    /// TCP port.
    pub fn port(mut self, port: u16) -> Self {
        self.config.port = port;
        self
    }

    /// Account; required.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.config.user = user.into();
        self
    }

    /// Password of the account.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.config.password = SecretString::from(password.into());
        self
    }

    /// What to move, such as `shop.*`; required. See [`Config::tables`].
    pub fn tables<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.config.tables = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// What to leave out of it.
    pub fn exclude<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.config.exclude = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Which phases run.
    pub fn phases(mut self, phases: impl IntoIterator<Item = Phase>) -> Self {
        self.config.phases = phases.into_iter().collect();
        self
    }

    /// How many connections read the snapshot at once.
    pub fn parallelism(mut self, connections: usize) -> Self {
        self.config.parallelism = connections;
        self
    }

    /// Rows of one chunk of the snapshot.
    pub fn chunk_rows(mut self, rows: u64) -> Self {
        self.config.chunk_rows = rows;
        self
    }

    /// How long to wait before the first SELECT where the account may not write the marker row; see [`Config::barrier_delay_ms`].
    pub fn barrier_delay(mut self, delay: Duration) -> Self {
        self.config.barrier_delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Where an incremental phase without a full one starts.
    pub fn start(mut self, start: Start) -> Self {
        self.config.start = Some(start);
        self
    }

    /// Id of the dump connection among the server's replicas.
    pub fn server_id(mut self, id: u32) -> Self {
        self.config.server_id = Some(id);
        self
    }

    /// Encryption of the connections.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// Sends a heartbeat after so much silence of the stream.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.config.heartbeat = Some(Heartbeat::every(interval));
        self
    }

    /// The source. Does not connect yet; an error of kind `Config` names the key that is wrong.
    pub fn build(self) -> Result<PolardbxSource> {
        PolardbxSource::new(self.config)
    }
}
