//! Ways to access Kafka, as keys of the configuration.

use crate::Result;
use crate::harness::{Listener, certificates};

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256, as alice.
    Scram256,
    /// SCRAM-SHA-512, as alice.
    Scram512,
    /// PLAIN, as bob.
    Plain,
}

/// A way to access Kafka, with the settings that the listener needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Neither TLS nor a user.
    Open,
    /// The same through the brokers' proxies.
    Proxied,
    /// A user without TLS.
    Sasl(Mechanism),
    /// A user over TLS.
    SaslTls(Mechanism),
    /// A client certificate.
    MutualTls,
}

impl Access {
    /// All but the proxied one.
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

    /// The listener that it uses.
    pub fn listener(self) -> Listener {
        match self {
            Self::Open => Listener::Plain,
            Self::Proxied => Listener::Proxied,
            Self::Sasl(_) => Listener::Sasl,
            Self::SaslTls(_) => Listener::SaslTls,
            Self::MutualTls => Listener::MutualTls,
        }
    }

    /// A short name for topics.
    pub fn name(self) -> String {
        format!("{self:?}").to_ascii_lowercase().replace('(', "_").replace(')', "")
    }

    /// The keys of `[sink.kafka]`.
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
