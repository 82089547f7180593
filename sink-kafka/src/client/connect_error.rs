//! Why a server that can be reached cannot be used: TLS, SASL, or another program on the port. Each reason with its help.

use rustls::{AlertDescription, CertificateError};

/// In seconds.
const DAY: u64 = 86_400;

/// Which server it is: the settings have other names.
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
        /// Where the trusted authorities are from.
        roots: String,
    },
    /// The certificate is for another host.
    #[error("its certificate is not for the host {host} but for {names}")]
    WrongHost {
        /// The name that we know it by.
        host: String,
        /// The names in the certificate.
        names: String,
    },
    /// The certificate is expired or not valid yet.
    #[error("its certificate {problem}")]
    CertificateTime {
        /// Which, with the times.
        problem: String,
    },
    /// The certificate cannot be trusted for another reason.
    #[error("its certificate cannot be trusted: {problem}")]
    BadCertificate {
        /// The library's text.
        problem: String,
    },
    /// A client certificate is required, and none is set.
    #[error("it requires a client certificate, and none is set (TLS alert {alert})")]
    NoClientCertificate {
        /// The alert.
        alert: String,
    },
    /// The client certificate is refused.
    #[error("it refuses the client certificate of `tls.cert` (TLS alert {alert})")]
    ClientCertificate {
        /// The alert.
        alert: String,
    },
    /// There is no common version or cipher of TLS.
    #[error("there is no common TLS version or cipher: {problem}")]
    Handshake {
        /// The library's text.
        problem: String,
    },
    /// The port does not speak TLS.
    #[error("it does not speak TLS on this port")]
    NoTls,
    /// The port speaks TLS, and none is set.
    #[error("it speaks TLS on this port, and `tls` is not set")]
    TlsNeeded,
    /// The program on the port is not Kafka.
    #[error("it does not speak Kafka's protocol on this port: {what}")]
    NotKafka {
        /// What it seems to be.
        what: String,
    },
    /// The port does not use SASL.
    #[error("it does not use SASL on this port, and `sasl` is set")]
    NoSasl,
    /// The port requires SASL, and none is set.
    #[error("it requires SASL on this port, and `sasl` is not set; it offers {offered}")]
    SaslNeeded {
        /// The mechanisms offered.
        offered: String,
    },
    /// The mechanism is not offered.
    #[error("it does not offer the mechanism {wanted}; it offers {offered}")]
    Mechanism {
        /// The mechanism set.
        wanted: String,
        /// The mechanisms offered.
        offered: String,
    },
    /// User or password are wrong.
    #[error("it refuses user {user} by {mechanism}: {text}")]
    Credentials {
        /// The user.
        user: String,
        /// The mechanism.
        mechanism: String,
        /// The broker's text.
        text: String,
    },
    /// The broker does not follow the mechanism's protocol, or does not know the password.
    #[error("it does not follow {mechanism}: {problem}")]
    Exchange {
        /// The mechanism.
        mechanism: String,
        /// What is wrong.
        problem: String,
    },
}

impl ConnectError {
    /// A stable name for scripts.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownAuthority { .. }
            | Self::WrongHost { .. }
            | Self::CertificateTime { .. }
            | Self::BadCertificate { .. }
            | Self::NoClientCertificate { .. }
            | Self::ClientCertificate { .. }
            | Self::Handshake { .. } => "E_TLS",
            Self::NoTls | Self::TlsNeeded | Self::NotKafka { .. } => "E_PORT",
            Self::NoSasl | Self::SaslNeeded { .. } | Self::Mechanism { .. } | Self::Credentials { .. } | Self::Exchange { .. } => "E_SASL",
        }
    }

    /// What to do about it, with the names of the settings of that server.
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
            Self::NotKafka { .. } => ("correct host and port in `brokers`", "correct schema_registry.url"),
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
            Self::Exchange { .. } => return "check that the address is one of your brokers and not another server's",
        };
        match server {
            Server::Broker => brokers,
            Server::SchemaRegistry => registry,
        }
    }

    /// What a failure of TLS means; `None` if it may pass. `own`: a client certificate is set; `roots`: where the trusted authorities are from.
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
                // The server is shutting down, or has a problem of its own.
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
                // The library writes `DnsName("a.example")`.
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

    /// What kind of server begins an answer with these bytes, where Kafka has the length.
    pub(super) fn of_answer(head: [u8; 4]) -> Self {
        match head {
            // A record of TLS: an alert, or a handshake.
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
