//! Why a broker does not let us in, or why we do not trust it: each reason with its help.

use rustls::{AlertDescription, CertificateError};

/// In seconds.
const DAY: u64 = 86_400;

/// Why a broker that can be reached cannot be used as the settings say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DoorError {
    /// The broker's certificate was made by nobody that is trusted.
    #[error("its certificate is of an authority that is not in {roots}")]
    UnknownAuthority {
        /// Where the trusted authorities are from.
        roots: String,
    },
    /// The broker's certificate is another host's.
    #[error("its certificate is not for the host {host} but for {names}")]
    WrongHost {
        /// The name that we know it by.
        host: String,
        /// The names in the certificate.
        names: String,
    },
    /// The time of the broker's certificate is over, or has not come.
    #[error("its certificate {problem}")]
    CertificateTime {
        /// Which, with the times.
        problem: String,
    },
    /// The broker's certificate is wrong in another way.
    #[error("its certificate cannot be trusted: {problem}")]
    BadCertificate {
        /// The library's words.
        problem: String,
    },
    /// The broker wants a client certificate, and none is set.
    #[error("it wants a client certificate, and none is set (TLS alert {alert})")]
    NoClientCertificate {
        /// The alert.
        alert: String,
    },
    /// The broker refuses the client certificate.
    #[error("it refuses the client certificate of `tls.cert` (TLS alert {alert})")]
    ClientCertificate {
        /// The alert.
        alert: String,
    },
    /// The two sides agree on no version or cipher of TLS.
    #[error("the two sides cannot agree on TLS: {problem}")]
    Handshake {
        /// The library's words.
        problem: String,
    },
    /// There is no TLS behind the port.
    #[error("it does not speak TLS on this port")]
    NoTls,
    /// There is TLS behind the port, and none is set.
    #[error("it speaks TLS on this port, and no `tls` is set")]
    TlsNeeded,
    /// Something else than Kafka is behind the port.
    #[error("it does not speak Kafka's protocol on this port: {what}")]
    NotKafka {
        /// What it seems to be.
        what: String,
    },
    /// The port takes no SASL.
    #[error("it takes no `sasl` on this port")]
    NoSasl,
    /// The port wants SASL, and none is set.
    #[error("it wants `sasl` on this port, and none is set; it offers {offered}")]
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
    #[error("it refuses user {user} by {mechanism}: {words}")]
    Credentials {
        /// The user.
        user: String,
        /// The mechanism.
        mechanism: String,
        /// The broker's words.
        words: String,
    },
    /// The broker does not follow the mechanism's protocol, or does not know the password itself.
    #[error("it does not follow {mechanism}: {problem}")]
    Exchange {
        /// The mechanism.
        mechanism: String,
        /// What is wrong.
        problem: String,
    },
}

impl DoorError {
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

    /// What to do about it.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::UnknownAuthority { .. } => "set tls.ca to the PEM file of the authority that signed the brokers' certificates",
            Self::WrongHost { .. } => {
                "name the brokers as their certificates do (in `brokers` and in advertised.listeners), or renew the certificates with the names used"
            }
            Self::CertificateTime { .. } => "renew the broker's certificate; compare this machine's clock",
            Self::BadCertificate { .. } => "renew the broker's certificate",
            Self::NoClientCertificate { .. } => "set tls.cert and tls.key to a certificate that the brokers trust",
            Self::ClientCertificate { .. } => "use a certificate of an authority in the brokers' truststore that is not expired",
            Self::Handshake { .. } => "allow TLS 1.2 or 1.3 with a common cipher on the brokers (ssl.enabled.protocols, ssl.cipher.suites)",
            Self::NoTls => "remove `tls`, or use the brokers' port with TLS (listeners of SSL or SASL_SSL)",
            Self::TlsNeeded => "set tls = { ca = \"ca.pem\" }, or use the brokers' port without TLS",
            Self::NotKafka { .. } => "correct host and port in `brokers`",
            Self::NoSasl => "remove `sasl`, or use the brokers' port with SASL (listeners of SASL_PLAINTEXT or SASL_SSL)",
            Self::SaslNeeded { .. } => {
                "set sasl = { mechanism = \"scram_sha_256\", user = \"…\", password = \"${env:…}\" }, or use a port without SASL"
            }
            Self::Mechanism { .. } => "set sasl.mechanism to one that is offered, or enable it on the brokers (sasl.enabled.mechanisms)",
            Self::Credentials { .. } => "correct sasl.user or sasl.password, or make the user for this mechanism with kafka-configs.sh",
            Self::Exchange { .. } => "check that the address is one of your brokers and not another server's",
        }
    }

    /// What a failure of TLS means; `None` if it may pass. `own`: we have a client certificate; `roots`: where authorities are from.
    pub(crate) fn of_tls(error: &rustls::Error, host: &str, own: bool, roots: &str) -> Option<Self> {
        use rustls::Error as Tls;
        let words = || error.to_string();
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
                    Self::Handshake { problem: words() }
                }
                // The broker is shutting down, or had a trouble of its own.
                _ => return None,
            },
            Tls::InvalidMessage(_) => Self::NoTls,
            Tls::PeerIncompatible(_) | Tls::PeerMisbehaved(_) => Self::Handshake { problem: words() },
            Tls::NoCertificatesPresented => Self::BadCertificate { problem: words() },
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

    /// What somebody is who begins an answer with these bytes, where Kafka has a length.
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
