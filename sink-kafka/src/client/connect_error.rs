//! The reasons why a server that can be reached cannot be used, such as TLS, SASL, or another program on the port. Each reason has a help
//! text.

use rustls::{AlertDescription, CertificateError};

/// A day in seconds.
const DAY: u64 = 86_400;

/// The kind of server that an error is about. The help texts depend on it, because the settings of brokers and registry have different
/// names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Broker,
    SchemaRegistry,
}

/// Why a server that can be reached cannot be used with these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The certificate is not signed by a trusted authority.
    #[error("its certificate is not signed by an authority in {roots}")]
    UnknownAuthority {
        /// The source of the trusted authorities, such as a file.
        roots: String,
    },
    /// The certificate is for another host.
    #[error("its certificate is not for the host {host} but for {names}")]
    WrongHost {
        /// The host name that this client used.
        host: String,
        /// The names in the certificate.
        names: String,
    },
    /// The certificate is expired or not valid yet.
    #[error("its certificate {problem}")]
    CertificateTime {
        /// Whether the certificate is expired or not valid yet, and for how long.
        problem: String,
    },
    /// The certificate cannot be trusted for another reason.
    #[error("its certificate cannot be trusted: {problem}")]
    BadCertificate {
        /// The error text of the TLS library.
        problem: String,
    },
    /// The server requires a client certificate, but the settings contain none.
    #[error("it requires a client certificate, and none is set (TLS alert {alert})")]
    NoClientCertificate {
        /// The TLS alert of the server.
        alert: String,
    },
    /// The server refuses the client certificate.
    #[error("it refuses the client certificate of `tls.cert` (TLS alert {alert})")]
    ClientCertificate {
        /// The TLS alert of the server.
        alert: String,
    },
    /// Client and server support no common TLS version or cipher.
    #[error("there is no common TLS version or cipher: {problem}")]
    Handshake {
        /// The error text of the TLS library.
        problem: String,
    },
    /// The port does not speak TLS.
    #[error("it does not speak TLS on this port")]
    NoTls,
    /// The port requires TLS, but the settings do not enable TLS.
    #[error("it speaks TLS on this port, and `tls` is not set")]
    TlsNeeded,
    /// The program on the port is not Kafka.
    #[error("it does not speak Kafka's protocol on this port: {what}")]
    NotKafka {
        /// A guess at what the program is.
        what: String,
    },
    /// The answer to a request is longer than a broker has reason to make it.
    #[error("it announces an answer of {bytes} bytes, and {limit} are the most for this request")]
    AnswerTooLong {
        /// The length that the broker announces.
        bytes: usize,
        /// The largest length that is accepted.
        limit: usize,
    },
    /// The port does not use SASL.
    #[error("it does not use SASL on this port, and `sasl` is set")]
    NoSasl,
    /// The port requires SASL, but the settings contain no user.
    #[error("it requires SASL on this port, and `sasl` is not set; it offers {offered}")]
    SaslNeeded {
        /// The mechanisms that the broker offers.
        offered: String,
    },
    /// The broker does not offer the SASL mechanism of the settings.
    #[error("it does not offer the mechanism {wanted}; it offers {offered}")]
    Mechanism {
        /// The mechanism of the settings.
        wanted: String,
        /// The mechanisms that the broker offers.
        offered: String,
    },
    /// The user name or the password is wrong.
    #[error("it refuses user {user} by {mechanism}: {text}")]
    Credentials {
        /// The user.
        user: String,
        /// The mechanism.
        mechanism: String,
        /// The error text of the broker.
        text: String,
    },
    /// The broker violates the protocol of the mechanism, or its answer shows that it does not know the password.
    #[error("it does not follow {mechanism}: {problem}")]
    Exchange {
        /// The mechanism.
        mechanism: String,
        /// What is wrong with the broker's answer.
        problem: String,
    },
    /// The broker asks for a proof of the password from which the password could be found too easily.
    #[error("it does not follow {mechanism}: {problem}")]
    WeakProof {
        /// The mechanism.
        mechanism: String,
        /// What the broker asks for.
        problem: String,
    },
}

impl ConnectError {
    /// The stable error code that scripts can test for.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownAuthority { .. }
            | Self::WrongHost { .. }
            | Self::CertificateTime { .. }
            | Self::BadCertificate { .. }
            | Self::NoClientCertificate { .. }
            | Self::ClientCertificate { .. }
            | Self::Handshake { .. } => "E_TLS",
            Self::NoTls | Self::TlsNeeded | Self::NotKafka { .. } | Self::AnswerTooLong { .. } => "E_PORT",
            Self::NoSasl
            | Self::SaslNeeded { .. }
            | Self::Mechanism { .. }
            | Self::Credentials { .. }
            | Self::Exchange { .. }
            | Self::WeakProof { .. } => "E_SASL",
        }
    }

    /// What the user can do about the error. `server` decides which settings the text names.
    pub(crate) fn help(&self, server: Server) -> &'static str {
        let (brokers, registry) = match self {
            Self::UnknownAuthority { .. } => (
                "set tls.ca to the PEM file of the authority that signed the brokers' certificates",
                "set schema_registry.tls.ca to the PEM file of the authority that signed the registry's certificate",
            ),
            Self::WrongHost { .. } => (
                "name the brokers as their certificates do (in `brokers` and in advertised.listeners), or renew the certificates with the names used",
                "name the registry in schema_registry.url as its certificate does, or renew the certificate with that name",
            ),
            Self::CertificateTime { .. } => (
                "renew the broker's certificate; compare this machine's clock",
                "renew the registry's certificate; compare this machine's clock",
            ),
            Self::BadCertificate { .. } => ("renew the broker's certificate", "renew the registry's certificate"),
            Self::NoClientCertificate { .. } => (
                "set tls.cert and tls.key to a certificate that the brokers trust",
                "set schema_registry.tls.cert and schema_registry.tls.key to a certificate that the registry trusts",
            ),
            Self::ClientCertificate { .. } => (
                "use a certificate of an authority in the brokers' truststore that is not expired",
                "use a client certificate that the registry trusts and that is not expired",
            ),
            Self::Handshake { .. } => (
                "allow TLS 1.2 or 1.3 with a common cipher on the brokers (ssl.enabled.protocols, ssl.cipher.suites)",
                "allow TLS 1.2 or 1.3 with a common cipher on the registry",
            ),
            Self::NoTls => (
                "remove `tls`, or use the brokers' port with TLS (listeners of SSL or SASL_SSL)",
                "write http:// in schema_registry.url, or use the registry's port with TLS",
            ),
            Self::TlsNeeded => {
                ("set tls = { ca = \"ca.pem\" }, or use the brokers' port without TLS", "write https:// in schema_registry.url")
            }
            Self::NotKafka { .. } | Self::AnswerTooLong { .. } => ("correct host and port in `brokers`", "correct schema_registry.url"),
            Self::NoSasl => {
                return "remove `sasl`, or use the brokers' port with SASL (listeners of SASL_PLAINTEXT or SASL_SSL)";
            }
            Self::SaslNeeded { .. } => {
                return "set sasl = { mechanism = \"scram_sha_256\", user = \"…\", password = \"${env:…}\" }, or use a port without SASL";
            }
            Self::Mechanism { .. } => {
                return "set sasl.mechanism to one that is offered, or enable it on the brokers (sasl.enabled.mechanisms)";
            }
            Self::Credentials { .. } => {
                return "correct sasl.user or sasl.password, or create the user for this mechanism with kafka-configs.sh";
            }
            Self::WeakProof { .. } => {
                return "no proof was sent. If the address is one of your brokers, set the user's password again with iterations=4096 or more \
                        (kafka-configs.sh); else another server answers there: use `tls`";
            }
            Self::Exchange { .. } => return "check that the address is one of your brokers and not another server's",
        };
        match server {
            Server::Broker => brokers,
            Server::SchemaRegistry => registry,
        }
    }

    /// The reason behind an error of TLS; `None` if the error may pass by itself. `own` says whether a client certificate is set; `roots`
    /// is the source of the trusted authorities.
    pub(crate) fn of_tls(error: &rustls::Error, host: &str, own: bool, roots: &str) -> Option<Self> {
        use rustls::Error as Tls;
        let text = || error.to_string();
        Some(match error {
            Tls::InvalidCertificate(problem) => Self::of_certificate(problem, host, roots),
            Tls::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied => {
                    let alert = format!("{alert:?}");
                    if own { Self::ClientCertificate { alert } } else { Self::NoClientCertificate { alert } }
                }
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                    Self::Handshake { problem: text() }
                }
                // With any other alert the server is shutting down or has an internal problem, which may pass.
                _ => return None,
            },
            Tls::InvalidMessage(_) => Self::NoTls,
            Tls::PeerIncompatible(_) | Tls::PeerMisbehaved(_) => Self::Handshake { problem: text() },
            Tls::NoCertificatesPresented => Self::BadCertificate { problem: text() },
            _ => return None,
        })
    }

    fn of_certificate(problem: &CertificateError, host: &str, roots: &str) -> Self {
        match problem {
            CertificateError::UnknownIssuer => Self::UnknownAuthority { roots: roots.to_owned() },
            CertificateError::NotValidForName => Self::WrongHost { host: host.to_owned(), names: "other hosts".into() },
            CertificateError::NotValidForNameContext { presented, .. } => {
                // The TLS library writes a name as `DnsName("a.example")`; only the part in quotes is shown.
                let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
                let names =
                    if presented.is_empty() { "no host at all".into() } else { presented.iter().map(bare).collect::<Vec<_>>().join(", ") };
                Self::WrongHost { host: host.to_owned(), names }
            }
            CertificateError::Expired => Self::CertificateTime { problem: "is expired".into() },
            CertificateError::ExpiredContext { time, not_after } => Self::CertificateTime {
                problem: match time.as_secs().saturating_sub(not_after.as_secs()) {
                    seconds if seconds < DAY => "expired today".to_owned(),
                    seconds => format!("expired {} days ago", seconds / DAY),
                },
            },
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::CertificateTime { problem: "is not valid yet".into() }
            }
            other => Self::BadCertificate { problem: format!("{other:?}") },
        }
    }

    /// Guesses the kind of server from the first four bytes of an answer. An answer of Kafka would hold its length there.
    pub(super) fn of_answer(head: [u8; 4]) -> Self {
        match head {
            // A TLS record: 0x15 is an alert, 0x16 a handshake message.
            [0x15 | 0x16, 3, _, _] => Self::TlsNeeded,
            [b'H', b'T', b'T', b'P'] => Self::NotKafka { what: "it is an HTTP server".into() },
            [_, _, 0, 0] => Self::NotKafka { what: "it seems to be a MySQL server".into() },
            _ if head.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => {
                Self::NotKafka { what: format!("it answers with the text `{}`…", head.escape_ascii()) }
            }
            _ => Self::NotKafka { what: format!("it announces an answer of {} bytes", u32::from_be_bytes(head)) },
        }
    }
}
