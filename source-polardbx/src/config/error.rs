//! The error of an invalid setting.

/// The error for a key of the configuration whose value cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ConfigError {
    /// The section of the source, such as `polardbx`.
    pub(crate) section: &'static str,
    /// The key, relative to the section.
    pub(crate) key: &'static str,
    /// What is wrong with the value.
    pub(crate) why: String,
    /// What the user should write instead.
    pub(crate) help: String,
}

impl ConfigError {
    pub(crate) fn new(key: &'static str, why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { section: "polardbx", key, why: why.into(), help: help.into() }
    }

    /// The same error for the key of another section that means the same.
    pub(crate) fn in_section(self, section: &'static str) -> Self {
        Self { section, ..self }
    }
}
