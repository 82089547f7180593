//! The types of the values in `[source.polardbx]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A phase of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Delivers the CREATE TABLE of every selected table.
    Schema,
    /// Reads all rows of the selected tables once.
    Full,
    /// Reads changes from the binlog as they are made.
    Incremental,
}

impl Phase {
    /// The name of the phase in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

/// How the full phase hands over to the incremental phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Handover {
    /// All tables are read first. Then the binlog is replayed from a position that was noted before the first SELECT.
    Sequential,
    /// The binlog is read from the beginning, and the rows of the tables are merged into its events in chunks. No key goes back in time, and
    /// the binlog need not be kept for as long as the tables are read.
    InBand,
}

/// What becomes of a task if the schema of a table changes before all its rows are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnDdlInFull {
    /// The table is read again from its first row, with its new schema.
    #[default]
    RestartTable,
    /// The task stops with an error.
    Fail,
}

/// What becomes of tables that a pattern of `tables` matches, and that did not exist when the task began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NewTables {
    /// Their changes are delivered. If the rows of the full phase are merged into the stream, the rows that a table has when it is renamed to a
    /// selected name are read, too.
    #[default]
    Full,
    /// Their changes are delivered, and nothing is read.
    Stream,
    /// Nothing of them is delivered, and a notice names each.
    Ignore,
}

impl NewTables {
    /// Whether the task has such tables.
    pub(crate) fn are_selected(&self) -> bool {
        *self != Self::Ignore
    }
}

/// Where the stream starts if there is an incremental phase but no full phase.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Start {
    /// At the end of the binlog.
    Latest {},
    /// At the beginning of the oldest binlog file.
    Earliest {},
    /// At a position in the binlog, where a transaction must begin.
    Position {
        /// The name of the binlog file.
        file: String,
        /// The offset in the file, in bytes.
        offset: u64,
    },
    /// After the transactions of a GTID set, of which the server must have all. Those that are not in the set are delivered, wherever they
    /// are in the binlog.
    Gtid {
        /// The GTID set of MySQL, such as `gtid_executed`, or the GTID position of MariaDB, such as `gtid_current_pos`.
        set: String,
    },
    /// At the first transaction that was committed at a point in time or later, by the clock of the server.
    Timestamp {
        /// The point in time, with its offset from UTC, such as `2026-11-28T10:00:00+08:00`.
        at: String,
    },
}

impl Start {
    /// The name of the variant in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Latest {} => "latest",
            Self::Earliest {} => "earliest",
            Self::Position { .. } => "position",
            Self::Gtid { .. } => "gtid",
            Self::Timestamp { .. } => "timestamp",
        }
    }
}

/// What becomes of the rows that the server's own archiving deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArchivedDeletes {
    /// They are delivered like all others.
    #[default]
    Deliver,
    /// They are not delivered.
    Skip,
}

/// What is done with a statement that cannot be read and may change a selected table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnUnparsedDdl {
    /// The task stops.
    #[default]
    Fail,
    /// The schemas of the tables are read from the server, if it is certain that they hold behind the statement. Else the task stops. On
    /// PolarDB-X the task always stops.
    Refetch,
}

/// Which text of a DDL statement is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DdlText {
    /// The statement for MySQL, without what only PolarDB-X understands.
    #[default]
    Mysql,
    /// The statement of the user. Statements that MySQL does not have are delivered, too, if they name a selected table.
    Original,
}

/// What becomes of a DDL statement that changes rows of a selected table without row events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnRowsWithoutEvents {
    /// The task stops before it.
    #[default]
    Fail,
    /// It is delivered, with a warning. The topic then lacks these changes.
    Warn,
}

/// By what PolarDB-X splits its changes over the streams of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamSplit {
    /// By the primary key of the row. The rows of tables without a primary key are in no stream.
    #[default]
    Record,
    /// By the table.
    Table,
    /// By the database.
    Database,
}

/// How the events of PolarDB-X are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolarDbXOptions {
    /// What becomes of the rows that the server's own archiving deletes.
    pub archived_deletes: ArchivedDeletes,
    /// Which text of a DDL statement is delivered.
    pub ddl_text: DdlText,
    /// Whether a statement that all streams of a group have is only followed, because another of them delivers it.
    pub is_later_stream: bool,
    /// Whether the rows of tables without a primary key are not in the stream.
    pub lacks_keyless: bool,
}

/// How connections are encrypted. Paths of files are relative to the working directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tls {
    /// Whether connections are encrypted, and how the server is verified.
    pub mode: TlsMode,
    /// File with the certificates to trust, in PEM form. If it is not given, the certificates that the system trusts are used.
    pub ca: Option<PathBuf>,
    /// File with a client certificate, in PEM form.
    pub cert: Option<PathBuf>,
    /// File with the private key of the client certificate, in PEM form.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Encryption without files: the system's certificates are trusted, and no client certificate is sent.
    pub fn new(mode: TlsMode) -> Self {
        Self { mode, ca: None, cert: None, key: None }
    }

    /// Trusts the certificates in this file instead of the system's.
    #[must_use]
    pub fn with_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca = Some(file.into());
        self
    }

    /// Sends a client certificate to the server; `cert` is its file, and `key` the file of its private key.
    #[must_use]
    pub fn with_client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        (self.cert, self.key) = (Some(cert.into()), Some(key.into()));
        self
    }
}

/// Whether a connection is encrypted, and how the server is verified. The modes are the same as in MySQL's own clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TlsMode {
    /// The connection is not encrypted.
    Disabled,
    /// The connection is encrypted if the server supports it. The server's certificate is not verified.
    Preferred,
    /// The connection is encrypted. The server's certificate is not verified.
    Required,
    /// The connection is encrypted, and the server's certificate must be signed by a trusted authority.
    VerifyCa,
    /// Like `verify_ca`, and the certificate must also be valid for the name in `host`.
    VerifyIdentity,
}

impl TlsMode {
    /// The name of the mode in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify_ca",
            Self::VerifyIdentity => "verify_identity",
        }
    }
}

/// Heartbeats of an idle stream. They write nothing to the source, because the server's own heartbeats already tell that there are no newer
/// events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Heartbeat {
    /// Whether heartbeats are sent.
    pub enabled: bool,
    /// Milliseconds without events before a heartbeat is sent, 100 to 3,600,000; 10,000 by default.
    pub interval_ms: Option<u64>,
}

impl Heartbeat {
    /// Sends a heartbeat whenever the stream has been silent for `interval`.
    pub fn every(interval: Duration) -> Self {
        Self { enabled: true, interval_ms: Some(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)) }
    }
}
