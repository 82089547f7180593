//! TLS settings, and the TLS client configuration that is built from them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio_rustls::TlsConnector;

/// TLS settings. The server's certificate and its host name are always checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tls {
    /// PEM file of the only authorities that are trusted; `None` means those of the operating system.
    pub ca: Option<PathBuf>,
    /// PEM file of a client certificate with its chain; `None` means no client certificate.
    pub cert: Option<PathBuf>,
    /// PEM file of the private key of the client certificate, without a passphrase.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Trusts only the authorities in this PEM file.
    #[must_use]
    pub fn with_ca(mut self, ca: impl Into<PathBuf>) -> Self {
        self.ca = Some(ca.into());
        self
    }

    /// Presents a client certificate to the server. The files are PEM files of the certificate and of its private key.
    #[must_use]
    pub fn with_client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.cert = Some(cert.into());
        self.key = Some(key.into());
        self
    }
}

/// The setting that a [`TlsError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsFile {
    Ca,
    Cert,
    Key,
}

impl fmt::Display for TlsFile {
    /// The name of the setting.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ca => "ca",
            Self::Cert => "cert",
            Self::Key => "key",
        })
    }
}

/// Why TLS settings cannot be used. The caller adds the full name of the setting.
#[derive(Debug)]
pub(crate) struct TlsError {
    pub(crate) file: TlsFile,
    pub(crate) problem: String,
}

/// A TLS client configuration that is ready to use.
#[derive(Clone)]
pub(crate) struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    /// Whether the client presents a certificate.
    pub(crate) has_certificate: bool,
    /// The source of the trusted authorities, for error texts.
    pub(crate) roots: Arc<str>,
}

impl ClientTls {
    /// Reads the files that the settings name. `prefix` is the name of the settings, such as `tls`; connection errors show it.
    pub(crate) fn load(tls: &Tls, prefix: &str) -> Result<Self, TlsError> {
        let (store, roots) = match &tls.ca {
            Some(path) => (authorities(path)?, format!("{prefix}.ca ({})", path.display())),
            None => (system_authorities()?, "this system's store of authorities".to_owned()),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError { file: TlsFile::Ca, problem: error.to_string() })?
            .with_root_certificates(store);
        let config = match (&tls.cert, &tls.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = certificates(TlsFile::Cert, cert)?;
                let private =
                    PrivateKeyDer::from_pem_slice(&read(TlsFile::Key, key)?).map_err(|error| unreadable(TlsFile::Key, key, &error))?;
                builder.with_client_auth_cert(chain, private).map_err(|error| TlsError {
                    file: TlsFile::Key,
                    problem: match error {
                        rustls::Error::InconsistentKeys(_) => format!("{} is not the key of {}", key.display(), cert.display()),
                        _ => format!("{} and {} cannot be used: {error}", cert.display(), key.display()),
                    },
                })?
            }
            (Some(_), None) => return Err(TlsError { file: TlsFile::Key, problem: format!("is missing beside {prefix}.cert") }),
            (None, Some(_)) => return Err(TlsError { file: TlsFile::Cert, problem: format!("is missing beside {prefix}.key") }),
        };
        Ok(Self { config: Arc::new(config), has_certificate: tls.cert.is_some(), roots: roots.into() })
    }

    pub(super) fn connector(&self) -> TlsConnector {
        self.config.clone().into()
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(TlsFile::Ca, path)? {
        store.add(certificate).map_err(|error| TlsError {
            file: TlsFile::Ca,
            problem: format!("{} holds a certificate that cannot be used: {error}", path.display()),
        })?;
    }
    Ok(store)
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Certificates that cannot be parsed are ignored, since the stores of operating systems often hold some.
    let (usable, _) = store.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(store);
    }
    let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    let problem = format!("is not set, and this system has no store of authorities{why}: set it, or install ca-certificates");
    Err(TlsError { file: TlsFile::Ca, problem })
}

fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file, path)?).collect();
    let certificates = found.map_err(|error| unreadable(file, path, &error))?;
    if certificates.is_empty() {
        return Err(TlsError { file, problem: format!("{} holds no certificate in PEM", path.display()) });
    }
    Ok(certificates)
}

fn read(file: TlsFile, path: &Path) -> Result<Vec<u8>, TlsError> {
    runtime::read_small_file(path)
        .map_err(|error| TlsError { file, problem: format!("{} cannot be read: {error}", runtime::shown_path(path)) })
}

/// The error for a file that is not what it should be. The text of the library is not shown, because it may quote the file, which may be a private
/// key.
fn unreadable(file: TlsFile, path: &Path, error: &pem::Error) -> TlsError {
    let path = path.display();
    let problem = match error {
        pem::Error::NoItemsFound if file == TlsFile::Key => format!("{path} holds no private key in PEM without a passphrase"),
        pem::Error::NoItemsFound => format!("{path} holds no certificate in PEM"),
        _ => format!("{path} is not PEM"),
    };
    TlsError { file, problem }
}
