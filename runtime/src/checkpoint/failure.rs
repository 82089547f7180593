//! What can go wrong in a local store, and what that means for the task.

use std::path::Path;

use crate::Error;

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error("{what} does not decode: {source}")]
    Corrupt { what: String, source: serde_json::Error },
    #[error("it was written in format {found}, this program reads up to {known}")]
    Newer { found: u64, known: u64 },
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
    /// The classification: what the supervisor does about it.
    pub(super) fn into_error(self, doing: &'static str, dir: &Path) -> Error {
        let doing = format!("{doing} in {}", dir.display());
        match self {
            StoreError::Io(error) => {
                Error::retryable(doing).because(error).with_help("make room and see that the directory can be written")
            }
            StoreError::Redb(error @ (redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::RepairAborted)) => {
                Error::fatal(doing).because(error).with_code("E_CKPT_CORRUPT").with_help(CORRUPT_REMEDY)
            }
            StoreError::Redb(error) => {
                Error::retryable(doing).because(error).with_help("make room and see that the directory can be written")
            }
            StoreError::Corrupt { .. } => Error::fatal(doing).because(self).with_code("E_CKPT_CORRUPT").with_help(CORRUPT_REMEDY),
            StoreError::Newer { .. } => Error::fatal(doing)
                .because(self)
                .with_code("E_CKPT_NEWER")
                .with_help("run the newer version of the program again, or start the task over in another directory"),
        }
    }
}

const CORRUPT_REMEDY: &str =
    "put back the copy checkpoint.redb.1 made at the last start, or start the task over in an empty directory and an empty topic";
