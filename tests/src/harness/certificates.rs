//! Certificates for Kafka and the databases. They are generated once and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use super::provision::cache::cached;
use crate::{Failure, Result};

/// The name of the folder in the cache. It must be changed when the content changes, because an existing folder is never written again.
const FOLDER: &str = "certificates-1";

/// A certificate and its private key, as paths of PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// The private key in PKCS#8.
    pub key: PathBuf,
    /// A PEM file with the private key and the certificate, which is the form of a key store for Kafka.
    pub store: PathBuf,
}

/// All certificates of the tests. Server certificates are for `localhost` and 127.0.0.1 unless stated otherwise.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The certificate of the authority that signed all certificates of servers and clients below.
    pub ca: PathBuf,
    /// The certificate of an authority that signed none of them.
    pub other_ca: PathBuf,
    /// A valid server certificate.
    pub server: Identity,
    /// A server certificate for the host `elsewhere.example`.
    pub wrong_host: Identity,
    /// A server certificate that expired in 2021.
    pub expired: Identity,
    /// A client certificate with the name `client`.
    pub client: Identity,
}

impl Certificates {
    fn within(folder: &Path) -> Self {
        let identity = |name: &str| Identity {
            cert: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
            store: folder.join(format!("{name}-store.pem")),
        };
        Self {
            ca: folder.join("ca.pem"),
            other_ca: folder.join("other-ca.pem"),
            server: identity("server"),
            wrong_host: identity("wrong-host"),
            expired: identity("expired"),
            client: identity("client"),
        }
    }

    /// Options with which a database uses TLS with the certificate of `identity`, and accepts client certificates that the authority `ca`
    /// signed.
    pub fn database_options(&self, identity: &Identity) -> Vec<String> {
        vec![
            format!("--ssl-ca={}", self.ca.display()),
            format!("--ssl-cert={}", identity.cert.display()),
            format!("--ssl-key={}", identity.key.display()),
        ]
    }
}

/// Returns the certificates. The first call on a machine generates them.
pub fn certificates() -> Result<&'static Certificates> {
    static DONE: OnceLock<Certificates> = OnceLock::new();
    if let Some(certificates) = DONE.get() {
        return Ok(certificates);
    }
    let folder = cached(FOLDER, make)?;
    Ok(DONE.get_or_init(|| Certificates::within(&folder)))
}

fn make(folder: &Path) -> Result<()> {
    let names = Certificates::within(folder);
    let authority = authority("test-ca", &names.ca)?;
    self::authority("other-ca", &names.other_ca)?;
    let hosts: [&[&str]; 2] = [&["localhost", "127.0.0.1"], &["elsewhere.example"]];
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    sign(&names.server, "server", hosts[0], 2040, server.clone(), &authority)?;
    sign(&names.wrong_host, "elsewhere", hosts[1], 2040, server.clone(), &authority)?;
    sign(&names.expired, "server", hosts[0], 2021, server, &authority)?;
    sign(&names.client, "client", &[], 2040, ExtendedKeyUsagePurpose::ClientAuth, &authority)
}

fn authority(name: &str, file: &Path) -> Result<Issuer<'static, KeyPair>> {
    let mut parameters = parameters(name, &[], 2040)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    write(file, &parameters.self_signed(&key)?.pem())?;
    Ok(Issuer::new(parameters, key))
}

fn sign(
    identity: &Identity,
    name: &str,
    hosts: &[&str],
    until: i32,
    purpose: ExtendedKeyUsagePurpose,
    authority: &Issuer<'static, KeyPair>,
) -> Result<()> {
    let mut parameters = parameters(name, hosts, until)?;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![purpose];
    let key = KeyPair::generate()?;
    let (cert, key) = (parameters.signed_by(&key, authority)?.pem(), key.serialize_pem());
    write(&identity.cert, &cert)?;
    write(&identity.key, &key)?;
    write(&identity.store, &format!("{key}{cert}"))
}

fn parameters(name: &str, hosts: &[&str], until: i32) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>())?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(until, 1, 1);
    Ok(parameters)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(|error| Failure::from(error).context(format!("write {}", file.display())))
}
