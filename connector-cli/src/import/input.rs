//! The files that are read.

use std::path::Path;

use runtime::{Error, Result};

/// A file whose settings are read, and what it says.
pub(super) struct Input {
    /// The file's name, for errors and comments.
    pub(super) name: String,
    pub(super) text: String,
}

impl Input {
    pub(super) fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let unread = |why: Box<dyn std::error::Error + Send + Sync>| {
            Error::config(format!("{name} cannot be read"))
                .because(why)
                .with_help("name a file that exists and can be read: an ordinary file in UTF-8 of at most 1 MiB")
        };
        let text = runtime::read_small_file(path).map_err(|error| unread(error.into()))?;
        // The text is not shown, not even in part, because it may hold a secret.
        let text = String::from_utf8(text).map_err(|_| unread("it is not valid UTF-8".into()))?;
        Ok(Self { name, text })
    }

    /// The file as JSON. The error names line and column, and nothing of the text.
    pub(super) fn json(&self) -> Result<serde_json::Value> {
        json(&self.name, &self.text)
    }
}

/// Reads JSON. `place` says where it stands, such as a file or a key of a file.
pub(super) fn json(place: &str, text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| {
        Error::config(format!("{place}: line {}, column {} is not valid JSON", error.line(), error.column()))
            .because(match error.classify() {
                serde_json::error::Category::Eof => "the text ends too early",
                _ => "JSON does not allow this character or value here",
            })
            .with_help("correct the file at that place, or export it again")
    })
}
