//! How a client identifies itself and checks the brokers: TLS and SASL.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

use super::tls::{ClientTls, Tls, TlsError};

/// Who this client is to the brokers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Sasl {
    /// How it is proved.
    pub mechanism: Mechanism,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

impl Sasl {
    /// A user that is known by a password.
    pub fn new(mechanism: Mechanism, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { mechanism, user: user.into(), password: SecretString::from(password.into()) }
    }
}

/// A mechanism of SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum Mechanism {
    /// SCRAM-SHA-256: the password is never sent.
    ScramSha256,
    /// SCRAM-SHA-512: the password is never sent.
    ScramSha512,
    /// PLAIN: the password is sent as it is; for connections with TLS.
    Plain,
}

impl TryFrom<String> for Mechanism {
    type Error = &'static str;

    // An unknown name is not repeated: it may be a password in the wrong place.
    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "scram_sha_256" => Ok(Self::ScramSha256),
            "scram_sha_512" => Ok(Self::ScramSha512),
            "plain" => Ok(Self::Plain),
            _ => Err("expected one of `scram_sha_256`, `scram_sha_512`, `plain`"),
        }
    }
}

impl fmt::Display for Mechanism {
    /// The name that brokers know it by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Plain => "PLAIN",
        })
    }
}

/// TLS and SASL of a client; neither is needed.
#[derive(Clone, Default)]
pub(crate) struct Security {
    pub(super) tls: Option<ClientTls>,
    pub(super) sasl: Option<Sasl>,
}

impl Security {
    /// Reads the files that the settings name; connects to nothing.
    pub(crate) fn load(tls: Option<&Tls>, sasl: Option<&Sasl>) -> Result<Self, TlsError> {
        Ok(Self { tls: tls.map(|tls| ClientTls::load(tls, "tls")).transpose()?, sasl: sasl.cloned() })
    }

    /// Who this client is to the brokers, as far as it can know.
    pub(crate) fn user(&self) -> String {
        match (&self.sasl, &self.tls) {
            (Some(sasl), _) => format!("User:{}", sasl.user),
            (None, Some(tls)) if tls.has_certificate => "User:<the subject of tls.cert>".into(),
            _ => "User:ANONYMOUS".into(),
        }
    }

    /// Whether the password can be read on the network.
    pub(crate) fn sends_plain_password(&self) -> bool {
        self.tls.is_none() && self.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::Plain)
    }
}
