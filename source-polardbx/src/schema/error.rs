//! The error of the statement reader.

/// A statement that could not be read: what was expected or not understood, and the text at that place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", if near.is_empty() { String::new() } else { format!(" near `{near}`") })]
pub struct ReadError {
    /// What was not understood.
    pub what: String,
    /// The beginning of the text that was not understood.
    pub near: String,
}

impl ReadError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), near: String::new() }
    }

    /// Adds the place.
    #[must_use]
    pub(crate) fn near(mut self, rest: &str) -> Self {
        self.near = rest.chars().take(40).collect();
        self
    }
}
