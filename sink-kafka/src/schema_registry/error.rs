//! What can go wrong with the schema registry, and what to do about each.

use runtime::Error as TaskError;

use crate::client::DoorError;
use crate::error::Denial;

/// What can go wrong with the schema registry.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No answer.
    #[error("schema registry {url}: {problem}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// The system's words.
        problem: String,
        /// Whether it ever answered.
        denial: Denial,
    },
    /// TLS fails.
    #[error("schema registry {url}: {problem}")]
    Tls {
        /// Where it is.
        url: String,
        /// Why.
        problem: DoorError,
        /// How long it has been so.
        denial: Denial,
    },
    /// Something else is there.
    #[error("{url} is no schema registry: {problem}")]
    NotRegistry {
        /// Where it should be.
        url: String,
        /// What it answers.
        problem: String,
        /// Whether a registry ever answered there.
        denial: Denial,
    },
    /// What answers knows no such path (404): it is not the registry, or stands elsewhere.
    #[error("no schema registry at {url}: it answers 404, {words}")]
    NoSuchPath {
        /// Where it should be.
        url: String,
        /// The words of what answers.
        words: String,
        /// Whether a registry ever answered there.
        denial: Denial,
    },
    /// It sends us elsewhere (3xx).
    #[error("no schema registry at {url}: it answers {status} and names {to}")]
    Elsewhere {
        /// Where it should be.
        url: String,
        /// The status.
        status: u16,
        /// The address that it names, without user and query.
        to: String,
        /// Whether a registry ever answered there.
        denial: Denial,
    },
    /// It does not know us (401), or does not allow it to us (403).
    #[error("schema registry {url} refuses {user} with {status}: {words}")]
    Denied {
        /// Where it is.
        url: String,
        /// The status.
        status: u16,
        /// Who we said we are.
        user: String,
        /// Its words.
        words: String,
        /// How long it has been so.
        denial: Denial,
    },
    /// It cannot do it now.
    #[error("schema registry {url} answers {status}: {words}")]
    Busy {
        /// Where it is.
        url: String,
        /// The status, 429 or from 500 on.
        status: u16,
        /// Its words.
        words: String,
    },
    /// The schema does not fit what the subject holds (409).
    #[error("the schema registry takes no such schema under subject {subject}, answer 409: {words}")]
    Incompatible {
        /// Where it is.
        url: String,
        /// The subject.
        subject: String,
        /// Its words.
        words: String,
    },
    /// It does not take the schema (422).
    #[error("the schema registry refuses the schema for subject {subject}, answer 422 (code {code}): {words}")]
    Invalid {
        /// The subject.
        subject: String,
        /// The registry's own code.
        code: i64,
        /// Its words.
        words: String,
    },
    /// The schema is not there, and the task may not register it.
    #[error("the schema registry has no such schema under subject {subject}: {words}")]
    NotRegistered {
        /// The subject.
        subject: String,
        /// Its words.
        words: String,
    },
    /// An id that records were written under is not there any more.
    #[error("the schema registry does not know id {id} any more, under which topic {topic} was written")]
    Gone {
        /// The id.
        id: u32,
        /// A topic.
        topic: String,
    },
    /// An id that records were written under is another schema's now.
    #[error("id {id}, under which topic {topic} was written, is another schema in the schema registry now")]
    Changed {
        /// The id.
        id: u32,
        /// A topic.
        topic: String,
    },
    /// Another refusal.
    #[error("schema registry {url} answers {status}: {words}")]
    Refused {
        /// Where it is.
        url: String,
        /// The status.
        status: u16,
        /// Its words.
        words: String,
    },
}

/// Codes of a registry that may only be read.
const READ_ONLY: [i64; 2] = [42205, 42206];

impl RegistryError {
    /// Says since when a refusal lasts, where that decides what is done about it.
    pub(super) fn lasting(mut self, since: impl FnOnce() -> Denial) -> Self {
        match &mut self {
            Self::Unreachable { denial, .. }
            | Self::Tls { denial, .. }
            | Self::NotRegistry { denial, .. }
            | Self::NoSuchPath { denial, .. }
            | Self::Elsewhere { denial, .. }
            | Self::Denied { denial, .. } => {
                *denial = since();
            }
            Self::Busy { .. }
            | Self::Incompatible { .. }
            | Self::Invalid { .. }
            | Self::NotRegistered { .. }
            | Self::Gone { .. }
            | Self::Changed { .. }
            | Self::Refused { .. } => {}
        }
        self
    }

    /// The kind, the name and the help of the error.
    pub(crate) fn class(&self) -> TaskError {
        const DOING: &str = "register the schema";
        const LOOK: &str = "look for the schemas of what was written before";
        const OVER: &str = "restore the registry as it was (its topic _schemas), or start the task over: with another topic, or with an empty one and an empty state directory";
        match self {
            Self::Unreachable { denial, .. } => {
                denial.class(DOING).with_code("E_REGISTRY").with_help("correct schema_registry.url, or start the registry and open the way to it")
            }
            Self::Tls { problem, denial, .. } => denial.class(DOING).with_code("E_TLS").with_help(tls_remedy(problem)),
            Self::NotRegistry { denial, .. } => denial
                .class(DOING)
                .with_code("E_REGISTRY")
                .with_help("set schema_registry.url to a registry with Confluent's REST interface, such as http://registry:8081"),
            Self::NoSuchPath { denial, .. } => denial.class(DOING).with_code("E_REGISTRY").with_help(
                "correct schema_registry.url, its path: what stands before /subjects and /schemas in the registry's addresses",
            ),
            Self::Elsewhere { denial, .. } => denial
                .class(DOING)
                .with_code("E_REGISTRY")
                .with_help("if that is your registry, write that address in schema_registry.url: nobody is followed with the password"),
            Self::Denied { status: 401, denial, .. } => denial
                .class(DOING)
                .with_code("E_REGISTRY_DENIED")
                .with_help("set or correct schema_registry.user and schema_registry.password"),
            Self::Denied { user, denial, .. } => denial.class(DOING).with_code("E_REGISTRY_DENIED").with_help(format!(
                "allow {user} in the registry to read schemas and to write the subjects, or register them by hand and set schema_registry.auto_register = false"
            )),
            Self::Busy { .. } => TaskError::retryable(DOING).with_code("E_REGISTRY").with_help("look into the registry's own log"),
            Self::Incompatible { url, subject, .. } => TaskError::data(DOING).with_code("E_SCHEMA_REFUSED").with_help(format!(
                "use a topic of its own (or another schema_registry.subject), or let the subject take any schema: curl -X PUT {url}/config/{subject} -H 'Content-Type: application/json' -d '{{\"compatibility\":\"NONE\"}}'"
            )),
            Self::Invalid { code, .. } if READ_ONLY.contains(code) => TaskError::data(DOING)
                .with_code("E_SCHEMA_REFUSED")
                .with_help("set the registry's mode to READWRITE, or register the schema there and set schema_registry.auto_register = false"),
            Self::Invalid { .. } => {
                TaskError::data(DOING).with_code("E_SCHEMA_REFUSED").with_help("use a registry that takes Avro schemas; its words say what it does not take")
            }
            Self::NotRegistered { subject, .. } => TaskError::config(DOING).with_code("E_SCHEMA_MISSING").with_help(format!(
                "register the format's schema under subject {subject}, or set schema_registry.auto_register = true"
            )),
            Self::Gone { .. } | Self::Changed { .. } => TaskError::fatal(LOOK).with_code("E_SCHEMA_GONE").with_help(OVER),
            Self::Refused { .. } => TaskError::config(DOING).with_code("E_REGISTRY").with_help("the registry's words say why; its log may say more"),
        }
    }
}

fn tls_remedy(problem: &DoorError) -> &'static str {
    match problem {
        DoorError::UnknownAuthority { .. } => {
            "set schema_registry.tls.ca to the PEM file of the authority that signed the registry's certificate"
        }
        DoorError::WrongHost { .. } => {
            "name the registry in schema_registry.url as its certificate does, or renew the certificate with that name"
        }
        DoorError::CertificateTime { .. } => "renew the registry's certificate; compare this machine's clock",
        DoorError::NoClientCertificate { .. } => {
            "set schema_registry.tls.cert and schema_registry.tls.key to a certificate that the registry trusts"
        }
        DoorError::ClientCertificate { .. } => "use a client certificate that the registry trusts and that is not expired",
        DoorError::NoTls => "write http:// in schema_registry.url, or use the registry's port with TLS",
        DoorError::Handshake { .. } => "allow TLS 1.2 or 1.3 with a common cipher on the registry",
        _ => "renew the registry's certificate",
    }
}
