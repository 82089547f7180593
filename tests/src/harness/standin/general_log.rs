//! A log of all statements that the stand-in received, one JSON object in a line, for the tests.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::Result;

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The statement was executed as a whole.
    Done,
    /// The statement was answered with OK, but some of it, or all of it, was not executed.
    Ignored,
    /// The parser, or the list of commands, does not know the statement.
    Rejected,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedStatement {
    /// What became of the statement.
    pub outcome: Outcome,
    /// The account that sent the statement.
    pub user: String,
    /// The text, or the name of the command in the protocol.
    pub statement: String,
}

/// The file to which the stand-in writes the log.
pub(super) struct GeneralLog(Mutex<File>);

impl GeneralLog {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self(Mutex::new(File::options().create(true).append(true).open(path)?)))
    }

    /// Adds a statement. Only the beginning of a long text is kept.
    pub(super) fn add(&self, outcome: Outcome, user: &str, statement: &str) -> Result<()> {
        const LIMIT: usize = 4000;
        let statement = statement.chars().take(LIMIT).collect();
        let mut line = serde_json::to_vec(&LoggedStatement { outcome, user: user.to_owned(), statement })?;
        line.push(b'\n');
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)?)
    }
}

/// Reads the log.
pub fn read_general_log(path: &Path) -> Result<Vec<LoggedStatement>> {
    Ok(std::fs::read_to_string(path)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}
