//! Why binlog files on disk cannot be read.

use runtime::Error;

/// Why binlog files on disk cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system does not open or read a file.
    #[error("{file}: {message}")]
    Unread {
        /// The path.
        file: String,
        /// The message of the operating system.
        message: String,
    },
    /// The files are not those of one binlog without a gap, or one of them is not a binlog file.
    #[error("{what}")]
    Refused {
        /// What is wrong, with the names of the files.
        what: String,
        /// What to do about it.
        help: &'static str,
    },
    /// A file ends where it should not, or holds bytes that are no event.
    #[error("{what}")]
    Cut {
        /// What is wrong, with the file and the offset.
        what: String,
    },
}

impl FileError {
    pub(super) fn refused(what: impl Into<String>, help: &'static str) -> Self {
        Self::Refused { what: what.into(), help }
    }

    pub(crate) fn cut(what: impl Into<String>) -> Self {
        Self::Cut { what: what.into() }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match &error {
            FileError::Unread { .. } => Error::retryable("a binlog file cannot be read")
                .with_code("E_BINLOG_FILES")
                .with_help("let this program read the file, and keep it in its place until the task has ended"),
            FileError::Refused { help, .. } => {
                Error::config("the binlog files cannot be read as one binlog").with_code("E_BINLOG_FILES").with_help(*help)
            }
            FileError::Cut { .. } => Error::fatal("a binlog file is not complete").with_code("E_BINLOG_CUT").with_help(
                "copy the file again once the server has closed it (FLUSH BINARY LOGS closes the one that is being written), and start the task again",
            ),
        }
        .because(error)
    }
}
