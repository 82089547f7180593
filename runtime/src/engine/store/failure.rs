//! The errors of a local store, and how the task reacts to them.

use std::io;
use std::path::Path;

use crate::Error;

/// An error of a local store.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Directory(io::Error),
    #[error("{what}")]
    Unsafe { what: String, help: String },
    #[error("another process has it open")]
    Locked,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error("{what} is unreadable: {source}")]
    Corrupt { what: String, source: serde_json::Error },
    #[error("it has format {found}, and this program reads format {known}")]
    Format { found: u64, known: u64 },
    #[error("checkpoint.redb is missing or empty, and copies of it are there")]
    Missing,
    #[error(transparent)]
    Panicked(tokio::task::JoinError),
    #[error("it was not loaded")]
    NotLoaded,
}

macro_rules! redb_errors {
    ($($type:ty),*) => { $(impl From<$type> for StoreError {
        fn from(error: $type) -> Self {
            Self::Redb(error.into())
        }
    })* };
}
redb_errors!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

impl StoreError {
    /// Converts into an error of the runtime. The kind of the error decides whether the supervisor retries.
    pub(super) fn into_error(self, dir: &Path) -> Error {
        let dir = dir.display();
        match self {
            StoreError::Directory(error) => Error::config(format!("the directory {dir} cannot hold a checkpoint"))
                .because(error)
                .with_code("E_STORE_DIRECTORY")
                .with_help("give the store a directory that this account can write, by `[store.local] path`"),
            StoreError::Unsafe { what, help } => Error::config(what).with_code("E_STORE_DIRECTORY").with_help(help),
            StoreError::Locked => Error::config(format!("another process has the checkpoint in {dir} open"))
                .with_code("E_STORE_LOCKED")
                .with_help("stop the other process, or give this task a directory of its own by `[store.local] path`"),
            StoreError::Redb(error @ (redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::RepairAborted)) => {
                corrupt(&dir).because(error)
            }
            StoreError::Io(error) => unavailable(&dir).because(error),
            // redb reports a file that is not a database as invalid data.
            StoreError::Redb(redb::Error::Io(error)) if is_about_content(&error) => corrupt(&dir).because(error),
            StoreError::Redb(error) => unavailable(&dir).because(error),
            StoreError::Corrupt { .. } | StoreError::Missing | StoreError::Panicked(_) => corrupt(&dir).because(self),
            StoreError::Format { found, known } if found > known => {
                Error::fatal(format!("the checkpoint in {dir} was written by a newer version of this program"))
                    .because(self)
                    .with_code("E_CKPT_NEWER")
                    .with_help("run the newer version again, or start the task from scratch in another directory and an empty topic")
            }
            StoreError::Format { .. } => Error::fatal(format!(
                "the checkpoint in {dir} was written by an older version of this program, and cannot be continued"
            ))
            .because(self)
            .with_code("E_CKPT_OLDER")
            .with_help(
                "continue with the older version, or start the task from scratch with this one, in another directory and an empty topic",
            ),
            StoreError::NotLoaded => Error::fatal(format!("the checkpoint in {dir} was written before it was loaded")),
        }
    }
}

fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn corrupt(dir: &dyn std::fmt::Display) -> Error {
    Error::damaged_checkpoint(format!("the checkpoint in {dir} is damaged"))
}

fn unavailable(dir: &dyn std::fmt::Display) -> Error {
    Error::retryable(format!("the checkpoint in {dir} cannot be read or written"))
        .with_help("check that the disk has room and that this account can write the directory")
}
