//! Why a task cannot continue at a server that took over from the server of the task.

use runtime::{Error, Kind};

/// Why a task cannot continue at another server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailoverError {
    /// The server lacks transactions that were delivered.
    #[error("the server {found} lacks {missing}, which this task has delivered from {known}")]
    TransactionsMissing {
        /// The server of the task, by the identity of its binlog history.
        known: String,
        /// The server that a connection has reached.
        found: String,
        /// The transactions.
        missing: String,
        /// Whether this process has read from the server of the task. Then the other one is looked at again for some time.
        was_reached: bool,
    },
    /// The server does not have the binlog of transactions any more that were not delivered.
    #[error("the server {found} has purged {gap}, which was not delivered; this task has delivered {delivered} from {known}")]
    Gap {
        /// The server of the task, by the identity of its binlog history.
        known: String,
        /// The server that a connection has reached.
        found: String,
        /// The transactions that would be missing.
        gap: String,
        /// The transactions that were delivered.
        delivered: String,
        /// Whether this process has read from the server of the task. Then the other one is looked at again for some time.
        was_reached: bool,
    },
    /// The state of the task depends on its server.
    #[error("{what}")]
    Bound {
        /// What of the state does.
        what: String,
    },
}

impl From<FailoverError> for Error {
    fn from(error: FailoverError) -> Self {
        let kind = |was_reached: bool| if was_reached { Kind::Retryable } else { Kind::Fatal };
        let made = match &error {
            FailoverError::TransactionsMissing { was_reached, .. } => Error::new(
                kind(*was_reached),
                "the source is another server than before, and lacks transactions",
            )
            .with_code("E_GTID_MISSING")
            .with_help(
                "let it catch up with the server of the checkpoint, or point `source.polardbx.host` at one that has them; if they are \
                         lost, start the task from scratch with a full phase",
            ),
            FailoverError::Gap { was_reached, .. } => Error::new(
                kind(*was_reached),
                "the source is another server than before, and has purged transactions that are needed",
            )
            .with_code("E_GTID_GAP")
            .with_help(
                "point `source.polardbx.host` at a server that still has their binlog, or start the task from scratch with a full phase",
            ),
            FailoverError::Bound { .. } => Error::fatal("the source is another server than before, and the task cannot continue there")
                .with_code("E_IDENTITY_CHANGED")
                .with_help(
                    "point `source.polardbx.host` at the server of the checkpoint, or start the task from scratch with a full phase",
                ),
        };
        made.because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_read_from_the_server_looks_again() {
        let error = |was_reached| {
            let (known, found) = ("a".to_owned(), "b".to_owned());
            Error::from(FailoverError::Gap { known, found, gap: "u:3".into(), delivered: "u:1-2".into(), was_reached })
        };
        assert_eq!((error(true).kind(), error(false).kind()), (Kind::Retryable, Kind::Fatal));
        assert_eq!(error(false).code(), Some("E_GTID_GAP"));
        let cause = error(false).cause().unwrap_or_default();
        assert!(cause.contains("purged u:3") && cause.contains("delivered u:1-2"), "{cause}");
    }
}
