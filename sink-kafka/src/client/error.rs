//! What can go wrong between us and a broker.

use std::sync::Arc;
use std::time::Duration;

use super::connect_error::DoorError;
use crate::error::Denial;

/// What can go wrong on a connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// No connection.
    #[error("connect to {address}: {source}")]
    Connect {
        /// The broker.
        address: String,
        /// The system's words.
        source: Arc<std::io::Error>,
    },
    /// No connection in time.
    #[error("connect to {address}: nothing within {} s", limit.as_secs_f32())]
    ConnectTimeout {
        /// The broker.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// The broker can be reached, and cannot be used as the settings say.
    #[error("broker {address}: {problem}")]
    Door {
        /// The broker.
        address: String,
        /// Why not.
        problem: DoorError,
        /// How long it has been so.
        denial: Denial,
    },
    /// The broker speaks no version that we speak.
    #[error("{address}: {problem}")]
    Versions {
        /// The broker.
        address: String,
        /// What does not fit.
        problem: String,
    },
    /// A request failed; it is unknown whether the broker worked on it.
    #[error("{address}: {problem}")]
    Request {
        /// The broker.
        address: String,
        /// What happened.
        problem: String,
    },
    /// No answer in time; it is unknown whether the broker worked on the request.
    #[error("{address}: no answer within {} s", limit.as_secs_f32())]
    RequestTimeout {
        /// The broker.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// Another broker leads the partition now; it is unknown whether the last one worked on the request.
    #[error("{address}: no answer, and the partition has another leader by now")]
    Moved {
        /// The broker that led.
        address: String,
    },
    /// None of the brokers could be asked.
    #[error("none of the brokers {brokers} can be reached, the last one said: {last}")]
    Unreachable {
        /// Their addresses.
        brokers: String,
        /// The last failure.
        last: String,
    },
    /// A partition has no leader for now.
    #[error("partition {topic}/{partition} has no leader")]
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: usize,
    },
}

impl WireError {
    /// The broker does not let us in; as at the start of a task, until the session says otherwise.
    pub(super) fn refused(address: &str, problem: DoorError) -> Self {
        Self::Door { address: address.to_owned(), problem, denial: Denial::AtStart }
    }

    /// Whether the request can have reached the broker.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Request { .. } | Self::RequestTimeout { .. } | Self::Moved { .. } => true,
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Door { .. }
            | Self::Versions { .. }
            | Self::Unreachable { .. }
            | Self::NoLeader { .. } => false,
        }
    }

    /// Whether asking the same broker again at once is of no use.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::Versions { .. } | Self::Door { .. })
    }
}
