//! The types of values of `[source.polardbx]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The phases of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// The CREATE TABLE of every table.
    Schema,
    /// All rows once.
    Full,
    /// Changes as they are made.
    Incremental,
}

impl Phase {
    /// The value in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

/// How the full phase hands over to the incremental one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Handover {
    /// All tables are read, then the binlog is replayed from before the first SELECT.
    #[default]
    Sequential,
    /// Chunks are merged into the running stream; not built yet.
    InBand,
}

/// Where an incremental phase without a full one starts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Start {
    /// At the end of the binlog.
    Latest {},
    /// At the beginning of the oldest binlog file.
    Earliest {},
    /// At the beginning of a transaction.
    Position {
        /// Name of the binlog file.
        file: String,
        /// Offset in it.
        offset: u64,
    },
    /// After a set of GTIDs; not built yet.
    Gtid {
        /// The set.
        set: String,
    },
    /// At a point in time; not built yet.
    Timestamp {
        /// The point in time.
        at: String,
    },
}

impl Start {
    /// The value in the configuration.
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

/// Encryption of the connections. Paths are relative to the working directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tls {
    /// How the connection is encrypted and the server verified.
    pub mode: TlsMode,
    /// File with the certificates to trust, in PEM form; without it, those that the system trusts.
    pub ca: Option<PathBuf>,
    /// File with a client certificate.
    pub cert: Option<PathBuf>,
    /// File with its private key.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Encryption without files: the system's certificates are trusted, and there is no client certificate.
    pub fn new(mode: TlsMode) -> Self {
        Self { mode, ca: None, cert: None, key: None }
    }

    /// Trusts the certificates in this file.
    #[must_use]
    pub fn with_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca = Some(file.into());
        self
    }

    /// Sends the server a client certificate.
    #[must_use]
    pub fn with_client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        (self.cert, self.key) = (Some(cert.into()), Some(key.into()));
        self
    }
}

/// How a connection is encrypted and the server verified; the same modes as those of MySQL's own clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TlsMode {
    /// Not encrypted.
    Disabled,
    /// Encrypted if the server supports it, without verifying its certificate.
    Preferred,
    /// Encrypted, without verifying the server's certificate.
    Required,
    /// Encrypted, and the server's certificate must be signed by a trusted authority.
    VerifyCa,
    /// As `verify_ca`, and the certificate must be for the name in `host`.
    VerifyIdentity,
}

impl TlsMode {
    /// The value in the configuration.
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

/// Heartbeats of an idle stream. Nothing is written to the source for them: the server's own heartbeats say that there is nothing newer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Heartbeat {
    /// Whether heartbeats are sent.
    pub enabled: bool,
    /// How long the stream is silent before one is sent, 100 to 3,600,000; 10,000 by default.
    pub interval_ms: Option<u64>,
}

impl Heartbeat {
    /// A heartbeat after `interval` of silence.
    pub fn every(interval: Duration) -> Self {
        Self { enabled: true, interval_ms: Some(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)) }
    }
}
