//! What can go wrong with the schema registry.

use crate::client::{ConnectError, Denial, ServerText};

/// What can go wrong with the schema registry. The message says what happened; the source holds the registry's own text.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No answer.
    #[error("the schema registry {url} cannot be reached")]
    Unreachable {
        /// The address in the settings.
        url: String,
        /// The system's text.
        source: ServerText,
        /// Whether it ever answered.
        denial: Denial,
    },
    /// TLS fails.
    #[error("the schema registry {url} cannot be used: {reason}")]
    Tls {
        /// The address in the settings.
        url: String,
        /// Why.
        reason: ConnectError,
        /// How long this has been so.
        denial: Denial,
    },
    /// The server is not a schema registry.
    #[error("{url} is not a schema registry: {problem}")]
    NotRegistry {
        /// The address in the settings.
        url: String,
        /// What it answers.
        problem: String,
        /// Whether a registry ever answered there.
        denial: Denial,
    },
    /// The path is unknown to the server (404): it is not the registry, or the registry has another path.
    #[error("there is no schema registry at {url}: the answer is 404")]
    NoSuchPath {
        /// The address in the settings.
        url: String,
        /// The server's text.
        source: ServerText,
        /// Whether a registry ever answered there.
        denial: Denial,
    },
    /// The server redirects to another address (3xx).
    #[error("there is no schema registry at {url}: the answer is {status} and redirects to {to}")]
    Redirected {
        /// The address in the settings.
        url: String,
        /// The status.
        status: u16,
        /// The other address, without user and query.
        to: String,
        /// Whether a registry ever answered there.
        denial: Denial,
    },
    /// The user is unknown (401) or has no permission (403).
    #[error("the schema registry {url} refuses {user} with {status}")]
    Denied {
        /// The address in the settings.
        url: String,
        /// The status.
        status: u16,
        /// Who the request was from.
        user: String,
        /// The registry's text.
        source: ServerText,
        /// How long this has been so.
        denial: Denial,
    },
    /// The registry cannot answer now.
    #[error("the schema registry {url} is not available: the answer is {status}")]
    Busy {
        /// The address in the settings.
        url: String,
        /// The status, 429 or from 500 on.
        status: u16,
        /// The registry's text.
        source: ServerText,
    },
    /// The schema is not compatible with the one that the subject has (409).
    #[error("the schema is not compatible with the one of subject {subject} in the schema registry")]
    Incompatible {
        /// The address in the settings.
        url: String,
        /// The subject.
        subject: String,
        /// The registry's text.
        source: ServerText,
    },
    /// The registry refuses the schema (422).
    #[error("the schema registry refuses the schema for subject {subject} (422, code {code})")]
    Invalid {
        /// The subject.
        subject: String,
        /// The registry's own code.
        code: i64,
        /// The registry's text.
        source: ServerText,
    },
    /// The schema is not registered, and the task may not register it.
    #[error("the schema is not registered under subject {subject} of the schema registry")]
    NotRegistered {
        /// The subject.
        subject: String,
        /// The registry's text.
        source: ServerText,
    },
    /// An id that records were written with does not exist any more.
    #[error("the schema registry has no id {id} any more, which records of topic {topic} begin with")]
    Gone {
        /// The id.
        id: u32,
        /// A topic.
        topic: String,
    },
    /// An id that records were written with is the id of another schema now.
    #[error("id {id}, which records of topic {topic} begin with, is the id of another schema in the schema registry now")]
    Changed {
        /// The id.
        id: u32,
        /// A topic.
        topic: String,
    },
    /// Another refusal.
    #[error("the schema registry {url} answers {status}")]
    Refused {
        /// The address in the settings.
        url: String,
        /// The status.
        status: u16,
        /// The registry's text.
        source: ServerText,
    },
    /// The lane is to end, and the registry had not answered yet.
    #[error("the task is stopping, and the schema registry had not answered yet")]
    Stopping,
}

impl RegistryError {
    /// Whether the address may be wrong: what is done about it depends on whether a registry ever answered there.
    pub(super) fn is_about_the_address(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotRegistry { .. } | Self::NoSuchPath { .. } | Self::Redirected { .. })
    }

    /// Sets how long a refusal has lasted, where that decides what is done about it.
    pub(super) fn with_denial(mut self, since: impl FnOnce() -> Denial) -> Self {
        match &mut self {
            Self::Unreachable { denial, .. }
            | Self::Tls { denial, .. }
            | Self::NotRegistry { denial, .. }
            | Self::NoSuchPath { denial, .. }
            | Self::Redirected { denial, .. }
            | Self::Denied { denial, .. } => *denial = since(),
            Self::Busy { .. }
            | Self::Incompatible { .. }
            | Self::Invalid { .. }
            | Self::NotRegistered { .. }
            | Self::Gone { .. }
            | Self::Changed { .. }
            | Self::Refused { .. }
            | Self::Stopping => {}
        }
        self
    }
}
