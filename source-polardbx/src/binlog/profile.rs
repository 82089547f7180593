//! The profile of a server, which records the differences between MySQL, MariaDB and PolarDB-X.

use std::sync::Arc;

use crate::schema::Dialect;

/// The properties of a server that decide how its events are decoded.
#[derive(Clone, Debug)]
pub struct ServerProfile {
    version: Arc<str>,
    dialect: Dialect,
    explicit_timestamps: bool,
    lower_case_names: bool,
    idle_is_current: bool,
    polardbx: bool,
    /// The version of the server that wrote the current file, in the form of [`Dialect::version`].
    writer: u32,
}

impl ServerProfile {
    /// Creates a profile from the server's answer to `SELECT VERSION()`. All other settings are the defaults of that server.
    pub fn new(version: impl Into<Arc<str>>) -> Self {
        let version = version.into();
        let dialect = Dialect::of_version(&version);
        let polardbx = is_polardbx(&version);
        let (explicit_timestamps, lower_case_names, idle_is_current) = (false, polardbx, !polardbx);
        Self { version, dialect, explicit_timestamps, lower_case_names, idle_is_current, polardbx, writer: dialect.version }
    }

    /// Sets the server's value of `explicit_defaults_for_timestamp`. It applies to DDL from sessions that do not log their own value.
    #[must_use]
    pub fn with_explicit_timestamps(mut self, explicit: bool) -> Self {
        self.explicit_timestamps = explicit;
        self
    }

    /// Sets whether the server compares the names of databases and tables in lower case.
    #[must_use]
    pub fn with_lower_case_names(mut self, lower_case: bool) -> Self {
        self.lower_case_names = lower_case;
        self
    }

    /// The server's answer to `SELECT VERSION()`.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// The SQL dialect in which the server's statements are parsed.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn explicit_timestamps(&self) -> bool {
        self.explicit_timestamps
    }

    pub(crate) fn lower_case_names(&self) -> bool {
        self.lower_case_names
    }

    /// Whether the server may write a transaction that was rolled back, or a ROLLBACK TO a savepoint, into its binlog. MySQL 5.7 and MariaDB
    /// do so if the transaction has dropped a temporary table; MySQL 8.0.15 does not.
    pub(crate) fn logs_rollbacks(&self) -> bool {
        self.dialect.is_mariadb() || (self.dialect.version < 80_000 && !self.polardbx)
    }

    /// Notes which version of the server wrote the file that is read from here on. Files of an older version remain after an upgrade.
    pub(crate) fn set_writer(&mut self, version: &str) {
        self.writer = Dialect::of_version(version).version;
    }

    /// Whether a TABLE_MAP states a sign for a YEAR as well. MySQL 8.0.15 does not; MySQL 8.0.29 and 9.7 and all versions of MariaDB do. `None`
    /// for a version of which it is not known.
    pub(crate) fn counts_years(&self) -> Option<bool> {
        match self.writer {
            u32::MAX => None,
            80_029.. => Some(true),
            80_000..=80_015 => Some(false),
            _ => None,
        }
    }

    /// Whether an idle stream means that the server has no newer commits. For PolarDB-X it does not: its binlog lags behind its commits.
    pub(crate) fn idle_is_current(&self) -> bool {
        self.idle_is_current
    }

    /// Whether the server is PolarDB-X. Its transactions end with a commit mark, and its statements begin with comment lines.
    pub(crate) fn is_polardbx(&self) -> bool {
        self.polardbx
    }
}

/// Whether the answer to `SELECT VERSION()` is that of a compute node of PolarDB-X.
pub(crate) fn is_polardbx(version: &str) -> bool {
    let version = version.to_ascii_lowercase();
    version.contains("-pxc-") || version.contains("-tddl-")
}
