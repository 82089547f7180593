//! What decides how the events of a server are read.

use std::sync::Arc;

use crate::schema::Dialect;

/// The properties of a server that decide what its events mean. Everything that differs between MySQL, MariaDB and PolarDB-X is here.
#[derive(Clone, Debug)]
pub struct ServerProfile {
    version: Arc<str>,
    dialect: Dialect,
    explicit_timestamps: bool,
    lower_case_names: bool,
    idle_is_current: bool,
}

impl ServerProfile {
    /// The profile of a server with this answer to `SELECT VERSION()`, with the settings that MySQL 5.7 has by default.
    pub fn new(version: impl Into<Arc<str>>) -> Self {
        let version = version.into();
        let dialect = Dialect::of_version(&version);
        Self { version, dialect, explicit_timestamps: false, lower_case_names: false, idle_is_current: true }
    }

    /// The server's `explicit_defaults_for_timestamp`; it holds for DDL of sessions that do not log a value of their own.
    #[must_use]
    pub fn with_explicit_timestamps(mut self, explicit: bool) -> Self {
        self.explicit_timestamps = explicit;
        self
    }

    /// Whether the server compares names in lower case.
    #[must_use]
    pub fn with_lower_case_names(mut self, lower_case: bool) -> Self {
        self.lower_case_names = lower_case;
        self
    }

    /// Whether a server that has nothing to send has nothing newer either. PolarDB-X has: its binlog is behind its commits.
    #[must_use]
    pub fn with_idle_is_current(mut self, current: bool) -> Self {
        self.idle_is_current = current;
        self
    }

    /// The version text.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// How the server's SQL is read.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn explicit_timestamps(&self) -> bool {
        self.explicit_timestamps
    }

    pub(crate) fn lower_case_names(&self) -> bool {
        self.lower_case_names
    }

    pub(crate) fn idle_is_current(&self) -> bool {
        self.idle_is_current
    }
}
