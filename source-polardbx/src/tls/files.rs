//! Reads the files that `tls` in `[source.polardbx]` names.

use std::path::Path;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{ConfigError, Tls, TlsMode};

/// The contents of the files. They include a private key, so there is no `Debug`.
pub(super) struct TlsFiles {
    /// The certificates to trust; empty if the server's certificate is not verified.
    pub(super) roots: Vec<CertificateDer<'static>>,
    /// The client certificate of this program, with its private key; `None` if none is configured.
    pub(super) identity: Option<Identity>,
}

/// A client certificate and its private key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    /// The path of the file with the private key, for error messages.
    pub(super) key_file: String,
}

impl TlsFiles {
    /// Reads the files; `None` if the mode is `disabled`.
    pub(super) fn read(tls: &Tls) -> Result<Option<Self>, ConfigError> {
        let verifies = matches!(tls.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
        if tls.ca.is_some() && !verifies {
            return Err(wrong(
                format!("ca is given, but mode = \"{}\" does not verify the server's certificate", tls.mode.as_str()),
                "set mode = \"verify_ca\" or \"verify_identity\", or leave ca out",
            ));
        }
        if tls.mode == TlsMode::Disabled {
            if tls.cert.is_some() || tls.key.is_some() {
                return Err(wrong(
                    "a certificate is given, but mode = \"disabled\" encrypts nothing",
                    "set another mode, or leave cert and key out",
                ));
            }
            return Ok(None);
        }
        let roots = match (&tls.ca, verifies) {
            (_, false) => Vec::new(),
            (Some(file), true) => certificates(file, &read(file)?)?,
            (None, true) => {
                let found = rustls_native_certs::load_native_certs();
                if found.certs.is_empty() {
                    return Err(wrong(
                        "there is no ca, and this system has no trusted certificates",
                        "name the file with the certificates to trust: ca = \"ca.pem\"",
                    ));
                }
                found.certs
            }
        };
        let identity = match (&tls.cert, &tls.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(Identity::read(cert, key)?),
            (Some(_), None) => {
                return Err(wrong(
                    "cert is given without key",
                    "name the file with the certificate's private key: key = \"client-key.pem\"",
                ));
            }
            (None, Some(_)) => {
                return Err(wrong("key is given without cert", "name the file with the client certificate: cert = \"client.pem\""));
            }
        };
        Ok(Some(Self { roots, identity }))
    }
}

impl Identity {
    fn read(cert: &Path, key: &Path) -> Result<Self, ConfigError> {
        let (chain_pem, key_pem) = (read(cert)?, read(key)?);
        let chain = certificates(cert, &chain_pem)?;
        let found = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| {
            // The library's message is not shown, because it may quote the file with the private key.
            let why = match error {
                PemError::NoItemsFound => "holds no private key that is not encrypted",
                _ => "is not a PEM file",
            };
            wrong(format!("key: {} {why}", key.display()), "give a private key in PEM form (PKCS#8, PKCS#1 or SEC1) without a password")
        })?;
        Ok(Self { chain, key: found, key_file: key.display().to_string() })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ConfigError> {
    runtime::read_small_file(file).map_err(|error| {
        wrong(format!("{} cannot be read: {error}", runtime::shown_path(file)), "check the path, and that this program may read the file")
    })
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let bad = |what: &str| wrong(format!("{} {what}", file.display()), "give certificates in PEM form");
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| bad("is not a PEM file"))?;
    if found.is_empty() { Err(bad("holds no certificate")) } else { Ok(found) }
}

pub(super) fn wrong(why: impl Into<String>, help: &str) -> ConfigError {
    ConfigError::new("tls", why, help)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn refused(tls: Tls) -> String {
        let error = match TlsFiles::read(&tls) {
            Err(error) => runtime::Error::from(crate::SourceError::from(error)),
            Ok(_) => panic!("it was taken"),
        };
        assert_eq!(error.kind(), runtime::Kind::Config);
        assert!(error.help().is_some());
        error.to_string()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tls = |mode, ca: Option<&str>, cert: Option<&str>, key: Option<&str>| Tls {
            mode,
            ca: ca.map(PathBuf::from),
            cert: cert.map(PathBuf::from),
            key: key.map(PathBuf::from),
        };
        assert!(refused(tls(TlsMode::Required, Some("ca.pem"), None, None)).contains("\"required\""));
        assert!(refused(tls(TlsMode::Disabled, None, Some("c"), Some("k"))).contains("encrypts nothing"));
        assert!(refused(tls(TlsMode::Required, None, Some("c"), None)).contains("without key"));
        assert!(refused(tls(TlsMode::Required, None, None, Some("k"))).contains("without cert"));
        assert!(refused(tls(TlsMode::VerifyCa, Some("/no/such/ca.pem"), None, None)).contains("/no/such/ca.pem cannot be read"));
        assert!(refused(tls(TlsMode::VerifyCa, Some("Cargo.toml"), None, None)).contains("Cargo.toml holds no certificate"));
        assert!(TlsFiles::read(&tls(TlsMode::Disabled, None, None, None)).is_ok_and(|files| files.is_none()));
    }
}
