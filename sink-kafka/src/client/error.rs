//! The errors of the Kafka client. The message says what happened; the source holds the text of the broker, the system or a library.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::connect_error::ConnectError;
use super::denial::Denial;
use super::error_code::ErrorCode;
use super::topic_partition::TopicPartition;

/// The errors of the Kafka client. The message says what happened; the source holds the text of the broker, the system or a library.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection could not be opened.
    #[error("broker {address} cannot be reached")]
    Connect {
        /// The broker.
        address: String,
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
    /// The connection was not opened within the time limit.
    #[error("broker {address} did not accept a connection within {} s", limit.as_secs_f32())]
    ConnectTimeout {
        /// The broker.
        address: String,
        /// The time limit.
        limit: Duration,
    },
    /// The broker can be reached, but it cannot be used with these settings.
    #[error("broker {address} cannot be used: {reason}")]
    Refused {
        /// The broker.
        address: String,
        /// Why the broker cannot be used.
        reason: ConnectError,
        /// Whether this error occurred at the start, or how long it has lasted.
        denial: Denial,
    },
    /// Broker and client have no common version of a request.
    #[error("broker {address} is too old or too new for this program")]
    Version {
        /// The broker.
        address: String,
        /// Which versions do not match.
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
    /// The broker ended the connection instead of answering; it is unknown whether it worked on the request.
    #[error("broker {address} ended the connection during a request")]
    ConnectionEnded {
        /// The broker.
        address: String,
    },
    /// The broker announced an answer that is longer than it has reason to be; it is unknown whether it worked on the request.
    #[error("broker {address} announces an answer of {bytes} bytes, and {limit} are the most for this request")]
    AnswerTooLong {
        /// The broker.
        address: String,
        /// The length that it announces.
        bytes: usize,
        /// The largest length that is accepted.
        limit: usize,
    },
    /// The broker did not answer, and neither took nor sent a byte within the time limit; it is unknown whether it worked on the request.
    #[error("broker {address} did not answer, and neither took nor sent a byte for {} s", limit.as_secs_f32())]
    RequestTimeout {
        /// The broker.
        address: String,
        /// The time limit.
        limit: Duration,
    },
    /// The partition has a new leader; it is unknown whether the old one worked on the request.
    #[error("broker {address} did not answer, and the partition has another leader now")]
    LeaderChanged {
        /// The old leader.
        address: String,
    },
    /// No broker answered.
    #[error("none of the brokers {brokers} can be reached")]
    Unreachable {
        /// The addresses of the brokers.
        brokers: String,
        /// The error of the last attempt.
        source: ServerText,
    },
    /// The address of a broker is unknown, or the cluster has no controller at the moment.
    #[error("the brokers do not say where {broker} is")]
    UnknownBroker {
        /// The broker.
        broker: String,
    },
    /// A partition has no leader at the moment.
    #[error("partition {partition} has no leader")]
    NoLeader {
        /// The partition.
        partition: TopicPartition,
    },
    /// A topic does not exist.
    #[error("topic {topic} does not exist")]
    NoTopic {
        /// The topic.
        topic: Arc<str>,
        /// The address of a broker, for the command in the help text.
        broker: String,
    },
    /// A topic that is in use does not exist any more.
    #[error("topic {topic} does not exist any more")]
    TopicGone {
        /// The topic.
        topic: Arc<str>,
    },
    /// A topic that is in use was deleted and created again.
    #[error("topic {topic} was deleted and created again: its id was {before}, and now it is {now}")]
    TopicReplaced {
        /// The topic.
        topic: Arc<str>,
        /// The id that the topic had.
        before: String,
        /// The id that the topic has.
        now: String,
    },
    /// A topic cannot be created as requested.
    #[error("topic {topic} cannot be created: error {code}")]
    NotCreated {
        /// The topic.
        topic: String,
        /// The error code.
        code: ErrorCode,
        /// The error text of the broker.
        source: ServerText,
        /// Whether this error occurred at the start, or how long it has lasted.
        denial: Denial,
    },
    /// A broker answered with an error code.
    #[error("{operation} failed with error {code}")]
    Answer {
        /// What was requested, such as `writing to partition shop/3`.
        operation: String,
        /// The error code.
        code: ErrorCode,
    },
    /// A broker answered with something that its protocol does not allow.
    #[error("{operation} failed: {problem}")]
    BadAnswer {
        /// What was requested.
        operation: String,
        /// What is wrong with the answer.
        problem: &'static str,
    },
    /// A permission is missing.
    #[error("{user} is not authorized: {operation} failed with error {code}")]
    Denied {
        /// What was requested.
        operation: String,
        /// The error code.
        code: ErrorCode,
        /// Whether this error occurred at the start, or how long it has lasted.
        denial: Denial,
        /// The Kafka principal of this client, as far as the client knows it.
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
        /// What is wrong with the batch.
        source: ServerText,
    },
}

/// An error text of a server, the operating system or a library.
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
    /// The text of an error, followed by the texts of all its causes.
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

    /// Whether the broker may have received the request, so that its outcome is unknown.
    pub(crate) fn may_have_arrived(&self) -> bool {
        matches!(
            self,
            Self::Request { .. }
                | Self::ConnectionEnded { .. }
                | Self::AnswerTooLong { .. }
                | Self::RequestTimeout { .. }
                | Self::LeaderChanged { .. }
        )
    }

    /// Whether a retry may succeed without a change of settings or permissions.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Request { .. }
            | Self::ConnectionEnded { .. }
            | Self::AnswerTooLong { .. }
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
            | Self::TopicGone { .. }
            | Self::TopicReplaced { .. }
            | Self::NotCreated { .. }
            | Self::Denied { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}
