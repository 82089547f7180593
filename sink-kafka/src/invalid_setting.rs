//! A setting with a value that it cannot have.

use crate::client::TlsError;

/// A setting has a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `{key}` {problem}")]
pub struct InvalidSetting {
    /// The key, below `sink.kafka`.
    pub key: String,
    /// What is wrong with its value.
    pub problem: String,
}

impl InvalidSetting {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }

    /// TLS settings that cannot be used, and where they are.
    pub(crate) fn of_tls(prefix: &str, error: TlsError) -> Self {
        Self { key: format!("{prefix}.{}", error.file), problem: error.problem }
    }
}
