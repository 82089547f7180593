//! Why a connection could not be made or used.

use std::io;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::binlog::disk::FileError;
use crate::tls::TlsFailure;

/// How long the server may be silent before the first row of a table and between two rows. It may have to wait for locks or sort.
pub(crate) const ROWS_SILENCE: Duration = Duration::from_secs(600);

/// The cause of [`WireError::Lost`] where an answer has not the form that it must have.
pub(super) const NOT_UNDERSTOOD: &str = "the server's answer to a command is not understood";

/// Why a connection could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The server refused a request. Holds the server's own error number, and its message.
    #[error("{1} (error {0})")]
    Refused(u16, String),
    /// The connection failed or ended, or what came over it is not understood.
    #[error("{0}")]
    Lost(String),
    /// The server has sent a dump to its end. Only a dump that was asked for to the end of the binlog may end.
    #[error("the server ended the stream")]
    Ended,
    /// An answer is longer than any sensible one.
    #[error("{0}")]
    TooLong(String),
    /// The connection could not be encrypted.
    #[error(transparent)]
    Tls(TlsFailure),
    /// The account uses an authentication plugin that is not supported.
    #[error("the account uses the authentication plugin {0}")]
    Plugin(String),
    /// The account's authentication plugin wants the password itself, and the connection is not encrypted.
    #[error("the server asks for the password itself ({0}), and the connection is not encrypted")]
    Unencrypted(&'static str),
    /// The binlog is in files on disk, and one of them cannot be read.
    #[error(transparent)]
    Files(#[from] FileError),
}

impl WireError {
    pub(super) fn lost(what: impl Into<String>) -> Self {
        Self::Lost(what.into())
    }

    /// The server has not sent a row of a table for as long as it may.
    pub(crate) fn silent() -> Self {
        Self::Lost(format!("the server has sent nothing of the rows for {} s", ROWS_SILENCE.as_secs()))
    }

    /// Removes a password that the server repeats in its message. It may have got it a moment ago.
    pub(super) fn without(self, password: &SecretString) -> Self {
        match self {
            Self::Refused(code, message) if !password.expose_secret().is_empty() => {
                Self::Refused(code, message.replace(password.expose_secret(), "***"))
            }
            other => other,
        }
    }

    /// Parses an error packet of the server.
    pub(super) fn refused(packet: &[u8]) -> Self {
        let rest = packet.get(1..).unwrap_or_default();
        let (code, message) = match rest.split_first_chunk::<2>() {
            Some((code, message)) => (u16::from_le_bytes(*code), message),
            None => (0, rest),
        };
        let message = if message.first() == Some(&b'#') { message.get(6..).unwrap_or_default() } else { message };
        let message = String::from_utf8_lossy(message).into_owned();
        Self::Refused(code, message)
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        TlsFailure::of_io(&error).map_or_else(|| Self::Lost(error.to_string()), Self::Tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_comes_back_is_not_shown() {
        let refused = || WireError::refused(b"\xff\x15\x04#28000no to s3cret, s3cret");
        assert_eq!(refused().without(&"s3cret".into()).to_string(), "no to ***, *** (error 1045)");
        assert_eq!(refused().without(&"".into()).to_string(), "no to s3cret, s3cret (error 1045)");
    }
}
