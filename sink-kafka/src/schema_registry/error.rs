//! The errors of the schema registry. The message says what happened; the source holds the text of the registry or of the system.

use crate::client::{ConnectError, Denial, ServerText};

/// The errors of the schema registry. The message says what happened; the source holds the text of the registry or of the system.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry does not answer.
    #[error("the schema registry {url} cannot be reached")]
    Unreachable {
        /// The address in the settings.
        url: String,
        /// The error text of the system.
        source: ServerText,
        /// Whether the registry has ever answered.
        denial: Denial,
    },
    /// The TLS handshake failed.
    #[error("the schema registry {url} cannot be used: {reason}")]
    Tls {
        /// The address in the settings.
        url: String,
        /// The reason.
        reason: ConnectError,
        /// Whether this error occurred at the start, or how long it has lasted.
        denial: Denial,
    },
    /// The server is not a schema registry.
    #[error("{url} is not a schema registry: {problem}")]
    NotRegistry {
        /// The address in the settings.
        url: String,
        /// What is wrong with its answer.
        problem: String,
        /// Whether a registry has ever answered at this address.
        denial: Denial,
    },
    /// The server does not know the path (404). Either it is not a registry, or the registry has another path.
    #[error("there is no schema registry at {url}: the answer is 404")]
    NoSuchPath {
        /// The address in the settings.
        url: String,
        /// The server's text.
        source: ServerText,
        /// Whether a registry has ever answered at this address.
        denial: Denial,
    },
    /// The server redirects to another address (3xx).
    #[error("there is no schema registry at {url}: the answer is {status} and redirects to {to}")]
    Redirected {
        /// The address in the settings.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The address of the redirection, without user and query.
        to: String,
        /// Whether a registry has ever answered at this address.
        denial: Denial,
    },
    /// The user is unknown (401) or has no permission (403).
    #[error("the schema registry {url} refuses {user} with {status}")]
    Denied {
        /// The address in the settings.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The user that the request was made with.
        user: String,
        /// The registry's text.
        source: ServerText,
        /// Whether this error occurred at the start, or how long it has lasted.
        denial: Denial,
    },
    /// The registry cannot answer at the moment.
    #[error("the schema registry {url} is not available: the answer is {status}")]
    Busy {
        /// The address in the settings.
        url: String,
        /// The HTTP status: 429, or 500 and greater.
        status: u16,
        /// The registry's text.
        source: ServerText,
    },
    /// The schema is not compatible with the existing schema of the subject (409).
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
        /// The registry's own error code.
        code: i64,
        /// The registry's text.
        source: ServerText,
    },
    /// The schema is not registered, and the settings forbid the task to register it.
    #[error("the schema is not registered under subject {subject} of the schema registry")]
    NotRegistered {
        /// The subject.
        subject: String,
        /// The registry's text.
        source: ServerText,
    },
    /// A schema id that records were written with no longer exists in the registry.
    #[error("the schema registry has no id {id} any more, which records of topic {topic} begin with")]
    Gone {
        /// The schema id.
        id: u32,
        /// A topic with records that begin with this id.
        topic: String,
    },
    /// A schema id that records were written with now belongs to another schema.
    #[error("id {id}, which records of topic {topic} begin with, is the id of another schema in the schema registry now")]
    Changed {
        /// The schema id.
        id: u32,
        /// A topic with records that begin with this id.
        topic: String,
    },
    /// The registry refuses the request with another status.
    #[error("the schema registry {url} answers {status}")]
    Refused {
        /// The address in the settings.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The registry's text.
        source: ServerText,
    },
    /// The lane was stopped before the registry answered.
    #[error("the task is stopping, and the schema registry had not answered yet")]
    Stopping,
}

impl RegistryError {
    /// Whether the address may be wrong. Such an error is treated differently after a registry has answered at this address.
    pub(super) fn is_about_the_address(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotRegistry { .. } | Self::NoSuchPath { .. } | Self::Redirected { .. })
    }

    /// Sets how long the refusal has lasted, for the errors whose treatment depends on it.
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

impl RegistryError {
    /// Whether the registry answered that it does not take the schema.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Incompatible { .. } | Self::Invalid { .. })
    }
}
