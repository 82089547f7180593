//! The error for a setting with an invalid value.

use crate::client::TlsError;

/// A setting has an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key `sink.kafka.{key}` {problem}")]
pub struct InvalidSetting {
    /// The name of the setting, relative to `sink.kafka`.
    pub key: String,
    /// What is wrong with its value.
    pub problem: String,
}

impl InvalidSetting {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }

    /// Converts an error of TLS settings. `prefix` is the name of these settings, such as `tls`.
    pub(crate) fn of_tls(prefix: &str, error: TlsError) -> Self {
        Self { key: format!("{prefix}.{}", error.file), problem: error.problem }
    }
}
