//! What can go wrong between this client and the brokers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::connect_error::ConnectError;
use super::denial::Denial;
use super::error_code::ErrorCode;
use super::topic_partition::TopicPartition;

/// What can go wrong between this client and the brokers. The message says what happened; the source holds the other side's own text.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection.
    #[error("broker {address} cannot be reached")]
    Connect {
        /// The broker.
        address: String,
        /// The system's text.
        source: Arc<std::io::Error>,
    },
    /// There was no connection in time.
    #[error("broker {address} did not accept a connection within {} s", limit.as_secs_f32())]
    ConnectTimeout {
        /// The broker.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// The broker can be reached but not used with these settings.
    #[error("broker {address} cannot be used: {reason}")]
    Refused {
        /// The broker.
        address: String,
        /// Why not.
        reason: ConnectError,
        /// How long this has been so.
        denial: Denial,
    },
    /// The broker has no version of a request that this client has.
    #[error("broker {address} is too old or too new for this program")]
    Version {
        /// The broker.
        address: String,
        /// What does not fit.
        source: ServerText,
    },
    /// A request failed; it is unknown whether the broker worked on it.
    #[error("a request to broker {address} failed")]
    Request {
        /// The broker.
        address: String,
        /// What happened.
        source: ServerText,
    },
    /// No answer in time; it is unknown whether the broker worked on the request.
    #[error("broker {address} did not answer within {} s", limit.as_secs_f32())]
    RequestTimeout {
        /// The broker.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// Another broker leads the partition now; it is unknown whether the last one worked on the request.
    #[error("broker {address} did not answer, and the partition has another leader now")]
    LeaderChanged {
        /// The broker that led.
        address: String,
    },
    /// No broker answered.
    #[error("none of the brokers {brokers} can be reached")]
    Unreachable {
        /// Their addresses.
        brokers: String,
        /// The last failure.
        source: ServerText,
    },
    /// The address of a broker is not known, or the cluster has no controller for now.
    #[error("the brokers do not say where {broker} is")]
    UnknownBroker {
        /// The broker.
        broker: String,
    },
    /// A partition has no leader for now.
    #[error("partition {partition} has no leader")]
    NoLeader {
        /// The partition.
        partition: TopicPartition,
    },
    /// A topic is not there.
    #[error("topic {topic} does not exist")]
    NoTopic {
        /// The topic.
        topic: Arc<str>,
        /// A broker, for the help.
        broker: String,
    },
    /// A topic cannot be created as requested.
    #[error("topic {topic} cannot be created: error {code}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// The code.
        code: ErrorCode,
        /// The broker's text.
        source: ServerText,
        /// How long this has been so.
        denial: Denial,
    },
    /// A broker answered with an error code.
    #[error("{operation} failed with error {code}")]
    Answer {
        /// What was requested, such as `writing to partition shop/3`.
        operation: String,
        /// The code.
        code: ErrorCode,
    },
    /// A broker answered with something that its protocol does not allow.
    #[error("{operation} failed: {problem}")]
    BadAnswer {
        /// What was requested.
        operation: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A permission is missing.
    #[error("{user} is not authorized: {operation} failed with error {code}")]
    Denied {
        /// What was requested.
        operation: String,
        /// The code.
        code: ErrorCode,
        /// How long this has been so.
        denial: Denial,
        /// Who we are to the broker, as far as is known.
        user: String,
        /// The command that adds the permission.
        command: String,
    },
    /// Records that must be read cannot be read.
    #[error("partition {partition} cannot be read at offset {offset}")]
    Unreadable {
        /// The partition.
        partition: TopicPartition,
        /// The offset of the batch.
        offset: i64,
        /// What is wrong with it.
        source: ServerText,
    },
}

/// The other side's own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerText(String);

impl From<String> for ServerText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ServerText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for ServerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerText {}

impl ServerText {
    /// The text of an error with all its causes.
    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        let (mut text, mut cause) = (error.to_string(), error.source());
        while let Some(error) = cause {
            let inner = error.to_string();
            // Many libraries repeat the text of the inner error in the outer one.
            if !text.ends_with(&inner) {
                text = format!("{text}: {inner}");
            }
            cause = error.source();
        }
        Self(text)
    }
}

impl ClientError {
    /// The broker rejected the connection. `denial` starts as `AtStart`; the session replaces it.
    pub(super) fn refused(address: &str, reason: ConnectError) -> Self {
        Self::Refused { address: address.to_owned(), reason, denial: Denial::AtStart }
    }

    /// Whether the request can have reached the broker.
    pub(crate) fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Request { .. } | Self::RequestTimeout { .. } | Self::LeaderChanged { .. })
    }

    /// Whether the next attempt may succeed without anybody changing anything.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Request { .. }
            | Self::RequestTimeout { .. }
            | Self::LeaderChanged { .. }
            | Self::Unreachable { .. }
            | Self::UnknownBroker { .. }
            | Self::NoLeader { .. }
            | Self::BadAnswer { .. } => true,
            Self::Answer { code, .. } => !code.is_misconfiguration(),
            Self::Refused { .. }
            | Self::Version { .. }
            | Self::NoTopic { .. }
            | Self::NotCreated { .. }
            | Self::Denied { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}
