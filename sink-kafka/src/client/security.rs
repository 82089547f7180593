//! TLS and SASL settings: how a client identifies itself to the brokers and checks their certificates.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::tls::{ClientTls, Tls, TlsError};

/// The user that the client authenticates as, with SASL.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Sasl {
    /// The mechanism that proves the user's identity.
    pub mechanism: Mechanism,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

impl Sasl {
    /// A user with a password.
    pub fn new(mechanism: Mechanism, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { mechanism, user: user.into(), password: SecretString::from(password.into()) }
    }

    /// A text of a broker without the password, which it may have got a moment ago.
    pub(super) fn without_password(&self, text: String) -> String {
        let password = self.password.expose_secret();
        if password.is_empty() { text } else { text.replace(password, "***") }
    }
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum Mechanism {
    /// SCRAM-SHA-256: the password is never sent.
    ScramSha256,
    /// SCRAM-SHA-512: the password is never sent.
    ScramSha512,
    /// PLAIN: the password is sent in clear text, so the connection should use TLS.
    Plain,
}

impl TryFrom<String> for Mechanism {
    type Error = &'static str;

    // The error does not repeat an unknown name, because it may be a password that was put into the wrong setting.
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
    /// Writes the name of the mechanism in Kafka's protocol.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Plain => "PLAIN",
        })
    }
}

/// The TLS and SASL settings of a client; both are optional.
#[derive(Clone, Default)]
pub(crate) struct Security {
    pub(super) tls: Option<ClientTls>,
    pub(super) sasl: Option<Sasl>,
}

impl Security {
    /// Reads the certificate and key files that the settings name. No connection is opened.
    pub(crate) fn load(tls: Option<&Tls>, sasl: Option<&Sasl>) -> Result<Self, TlsError> {
        Ok(Self { tls: tls.map(|tls| ClientTls::load(tls, "tls")).transpose()?, sasl: sasl.cloned() })
    }

    /// The Kafka principal of this client, as far as the client knows it. With a client certificate only the broker knows the name.
    pub(crate) fn user(&self) -> String {
        match (&self.sasl, &self.tls) {
            (Some(sasl), _) => format!("User:{}", sasl.user),
            (None, Some(tls)) if tls.has_certificate => "User:<the subject of tls.cert>".into(),
            _ => "User:ANONYMOUS".into(),
        }
    }

    /// Whether the password is sent in clear text over an unencrypted connection.
    pub(crate) fn sends_plain_password(&self) -> bool {
        self.tls.is_none() && self.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_comes_back_is_not_shown() {
        for (password, expected) in [("s3cret", "no to ***, ***"), ("", "no to s3cret, s3cret")] {
            let sasl = Sasl::new(Mechanism::Plain, "dts", password);
            assert_eq!(sasl.without_password("no to s3cret, s3cret".to_owned()), expected);
        }
    }
}
