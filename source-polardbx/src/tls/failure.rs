//! Explains why an encrypted connection could not be made.

use rustls::{AlertDescription, CertificateError, Error};

/// Why an encrypted connection could not be made. A retry cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TlsFailure {
    pub(crate) what: String,
    pub(crate) help: &'static str,
    /// Whether the server does not support a form of TLS that this program can use. In mode `preferred`, the connection is then not
    /// encrypted.
    pub(crate) incapable: bool,
}

impl TlsFailure {
    fn new(what: impl Into<String>, help: &'static str) -> Self {
        Self { what: what.into(), help, incapable: false }
    }

    /// The server does not offer encryption.
    pub(crate) fn not_offered() -> Self {
        Self {
            incapable: true,
            ..Self::new("the server does not offer TLS", "switch TLS on in the server (ssl_cert, ssl_key), or set tls.mode = \"disabled\"")
        }
    }

    /// The server ended the connection in the middle of the TLS handshake. A server that cannot encrypt does so, but so does one that is
    /// restarted, and anyone between who wants the connection to stay plain.
    pub(crate) fn cut_off() -> Self {
        Self { incapable: false, ..Self::no_common_ground("the server ended the connection during the TLS handshake") }
    }

    /// `host` is neither a host name nor an address, so no certificate can be valid for it.
    pub(crate) fn no_name(host: &str) -> Self {
        Self::new(format!("`{host}` is neither a host name nor an address"), "correct `host`")
    }

    fn no_common_ground(what: impl Into<String>) -> Self {
        const REMEDY: &str = "TLS 1.3, or TLS 1.2 with ECDHE, is needed: use a later version of the server, or set tls.mode = \"disabled\" on a trusted network";
        Self { incapable: true, ..Self::new(what, REMEDY) }
    }

    /// Explains an error of the TLS library.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(certificate) => of_certificate(certificate),
            Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError,
            ) => Self::new(
                format!("the server refuses our certificate: {error}"),
                "give a client certificate that the server trusts: tls.cert and tls.key",
            ),
            Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
                Self::no_common_ground(format!("the server and this program find no common form of TLS: {error}"))
            }
            other => Self { incapable: false, ..Self::no_common_ground(format!("the server does not answer in TLS as expected: {other}")) },
        }
    }

    /// Explains an error of a connection; `None` if the error does not come from the TLS library.
    pub(crate) fn of_io(error: &std::io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Error>().map(Self::of)
    }
}

fn of_certificate(error: &CertificateError) -> TlsFailure {
    const RENEW: &str = "give the server a valid certificate, and check the clocks of both hosts";
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFailure::new(
            "the server's certificate was signed by an authority that is not trusted: it is not in tls.ca, or without tls.ca not in this system's store",
            "name a file with the certificate of the authority that signed the server's in tls.ca",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFailure::new(
            format!("the server's certificate is not for this host: {error}"),
            "set `host` to a name that the certificate holds, or give the server a certificate for this host",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            TlsFailure::new(format!("the server's certificate has expired: {error}"), RENEW)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::new(format!("the server's certificate is not valid yet: {error}"), RENEW)
        }
        other => TlsFailure::new(format!("the server's certificate cannot be trusted: {other}"), "give the server another certificate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_cannot_is_incapable() {
        assert!(TlsFailure::of(&Error::AlertReceived(AlertDescription::HandshakeFailure)).incapable);
        assert!(TlsFailure::not_offered().incapable && !TlsFailure::cut_off().incapable);
        for error in [
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            Error::InvalidCertificate(CertificateError::Expired),
            Error::AlertReceived(AlertDescription::CertificateRequired),
        ] {
            assert!(!TlsFailure::of(&error).incapable, "{error}");
        }
        let wrapped = std::io::Error::new(std::io::ErrorKind::InvalidData, Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(TlsFailure::of_io(&wrapped).is_some_and(|failure| failure.what.contains("tls.ca")));
        assert_eq!(TlsFailure::of_io(&std::io::Error::other("x")), None);
    }
}
