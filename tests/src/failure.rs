//! The error type of this crate: a text for the reader of a test's output.

use std::fmt;

/// The result type of this crate.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A text that describes what went wrong. Its `Debug` is the text itself, so that a failing test prints it without escapes.
pub struct Failure(String);

impl Failure {
    /// A failure with the given text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same failure with a context in front of its text: `context: text`.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self(format!("{context}: {}", self.0))
    }

    /// An `Err` with the given text.
    pub fn err<T>(text: impl Into<String>) -> Result<T> {
        Err(Self(text.into()))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `Failure` does not implement `std::error::Error`. If it did, this conversion from all error types would conflict with `From<Failure> for
/// Failure`.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = inner.source();
        }
        Self(text)
    }
}
