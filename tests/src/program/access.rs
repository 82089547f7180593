//! The ways to access Kafka, as keys of the configuration.

use crate::Result;
use crate::harness::{Listener, certificates};

/// A SASL mechanism and its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256 with the user `alice`.
    Scram256,
    /// SCRAM-SHA-512 with the user `alice`.
    Scram512,
    /// PLAIN with the user `bob`.
    Plain,
}

/// A way to access Kafka, with the settings that the listener needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Neither TLS nor a user.
    Open,
    /// Neither TLS nor a user, through the brokers' proxies.
    Proxied,
    /// A user without TLS.
    Sasl(Mechanism),
    /// A user over TLS.
    SaslTls(Mechanism),
    /// A client certificate.
    MutualTls,
}

impl Access {
    /// All ways of access except [`Access::Proxied`].
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Sasl(Mechanism::Scram256),
        Self::Sasl(Mechanism::Scram512),
        Self::Sasl(Mechanism::Plain),
        Self::SaslTls(Mechanism::Scram256),
        Self::SaslTls(Mechanism::Scram512),
        Self::SaslTls(Mechanism::Plain),
        Self::MutualTls,
    ];

    /// The listener that this way of access uses.
    pub fn listener(self) -> Listener {
        match self {
            Self::Open => Listener::Plain,
            Self::Proxied => Listener::Proxied,
            Self::Sasl(_) => Listener::Sasl,
            Self::SaslTls(_) => Listener::SaslTls,
            Self::MutualTls => Listener::MutualTls,
        }
    }

    /// A short name for use in topic names.
    pub fn name(self) -> String {
        format!("{self:?}").to_ascii_lowercase().replace('(', "_").replace(')', "")
    }

    /// The keys in `[sink.kafka]` for this way of access.
    pub fn sink_keys(self) -> Result<String> {
        let certificates = certificates()?;
        let ca = format!("ca = {:?}", certificates.ca.display().to_string());
        Ok(match self {
            Self::Open | Self::Proxied => String::new(),
            Self::Sasl(mechanism) => sasl(mechanism),
            Self::SaslTls(mechanism) => format!("{}\ntls = {{ {ca} }}", sasl(mechanism)),
            Self::MutualTls => {
                let [cert, key] = [&certificates.client.cert, &certificates.client.key].map(|path| path.display().to_string());
                format!("tls = {{ {ca}, cert = {cert:?}, key = {key:?} }}")
            }
        })
    }
}

fn sasl(mechanism: Mechanism) -> String {
    let (name, user) = match mechanism {
        Mechanism::Scram256 => ("scram_sha_256", "alice"),
        Mechanism::Scram512 => ("scram_sha_512", "alice"),
        Mechanism::Plain => ("plain", "bob"),
    };
    format!("sasl = {{ mechanism = \"{name}\", user = \"{user}\", password = \"{user}-secret\" }}")
}
