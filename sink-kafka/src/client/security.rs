//! What the settings say about doors: TLS with its certificates, read from files, and who we are.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::config::{Sasl, Tls};
use crate::error::Error;

/// How to get in.
#[derive(Clone)]
pub(crate) struct Security {
    pub(super) tls: Option<TlsSide>,
    pub(super) sasl: Option<Sasl>,
}

/// Our side of TLS.
#[derive(Clone)]
pub(super) struct TlsSide {
    pub(super) connector: TlsConnector,
    /// Whether a client certificate is shown.
    pub(super) own: bool,
    /// Where the trusted authorities are from, for errors.
    pub(super) roots: Arc<str>,
}

impl Security {
    /// Reads the files that the settings name; connects to nothing.
    pub(crate) fn load(tls: Option<&Tls>, sasl: Option<&Sasl>) -> Result<Self, Error> {
        Ok(Self { tls: tls.map(TlsSide::load).transpose()?, sasl: sasl.cloned() })
    }

    /// Who the brokers take us for, as far as we can know.
    pub(crate) fn user(&self) -> String {
        match (&self.sasl, &self.tls) {
            (Some(sasl), _) => format!("User:{}", sasl.user),
            (None, Some(tls)) if tls.own => "User:<the subject of tls.cert>".into(),
            _ => "User:ANONYMOUS".into(),
        }
    }
}

/// What the keys of a [`Tls`] are called where it stands, for errors.
pub(crate) struct Keys {
    tls: &'static str,
    ca: &'static str,
    cert: &'static str,
    key: &'static str,
}

impl Keys {
    /// Those of the brokers.
    const BROKERS: Self = Self { tls: "tls", ca: "tls.ca", cert: "tls.cert", key: "tls.key" };
    /// Those of the schema registry.
    pub(crate) const REGISTRY: Self =
        Self { tls: "schema_registry.tls", ca: "schema_registry.tls.ca", cert: "schema_registry.tls.cert", key: "schema_registry.tls.key" };
}

impl TlsSide {
    fn load(tls: &Tls) -> Result<Self, Error> {
        let (config, roots) = client_side(tls, &Keys::BROKERS)?;
        Ok(Self { connector: Arc::new(config).into(), own: tls.cert.is_some(), roots: roots.into() })
    }
}

/// Our side of TLS by the settings, and where the trusted authorities are from.
pub(crate) fn client_side(tls: &Tls, keys: &Keys) -> Result<(ClientConfig, String), Error> {
    let (store, roots) = match &tls.ca {
        Some(file) => (authorities(keys.ca, file)?, format!("{} ({})", keys.ca, file.display())),
        None => (system_authorities(keys.ca)?, "this system's store of authorities".to_owned()),
    };
    let set = |problem: String| Error::Setting { key: keys.tls, problem };
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| set(error.to_string()))?
        .with_root_certificates(store);
    let config = match (&tls.cert, &tls.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates(keys.cert, cert)?;
            builder.with_client_auth_cert(chain, private_key(keys.key, key)?).map_err(|error| Error::Setting {
                key: keys.key,
                problem: match error {
                    rustls::Error::InconsistentKeys(_) => format!("{} is not the key of {}", key.display(), cert.display()),
                    _ => format!("{} and {} cannot be used: {error}", cert.display(), key.display()),
                },
            })?
        }
        (Some(_), None) => return Err(Error::Setting { key: keys.key, problem: format!("is missing beside {}", keys.cert) }),
        (None, Some(_)) => return Err(Error::Setting { key: keys.cert, problem: format!("is missing beside {}", keys.key) }),
    };
    Ok((config, roots))
}

fn authorities(key: &'static str, file: &Path) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(key, file)? {
        store.add(certificate).map_err(|error| Error::Setting {
            key,
            problem: format!("{} holds a certificate that cannot be used: {error}", file.display()),
        })?;
    }
    Ok(store)
}

fn system_authorities(key: &'static str) -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // A store of a system often holds some certificate that nobody can use.
    let (usable, _) = store.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(store);
    }
    let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    Err(Error::Setting {
        key,
        problem: format!("is not set, and this system has no store of authorities{why}: set it, or install ca-certificates"),
    })
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unreadable(key, file, &error))?;
    if certificates.is_empty() {
        return Err(Error::Setting { key, problem: format!("{} holds no certificate in PEM", file.display()) });
    }
    Ok(certificates)
}

fn private_key(key: &'static str, file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unreadable(key, file, &error))
}

/// The library's words may hold what stands in the file, which may be a key: they are not passed on.
fn unreadable(key: &'static str, file: &Path, error: &pem::Error) -> Error {
    let file = file.display();
    let problem = match error {
        pem::Error::Io(error) => format!("{file} cannot be read: {error}"),
        pem::Error::NoItemsFound if key.ends_with("tls.key") => format!("{file} holds no private key in PEM without a passphrase"),
        pem::Error::NoItemsFound => format!("{file} holds no certificate in PEM"),
        _ => format!("{file} is not PEM"),
    };
    Error::Setting { key, problem }
}
