//! Verifies the server's certificate according to the mode.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::files::{TlsFiles, wrong};
use crate::config::{ConfigError, TlsMode};

/// Verifies the server's certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Verifies the certificate's chain and name; `None` if every certificate is accepted.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whether the certificate must be valid for the host name.
    name: bool,
}

impl Verifier {
    /// The TLS library's configuration for `mode`.
    pub(super) fn client_config(mode: TlsMode, files: &TlsFiles) -> Result<ClientConfig, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let chain = match mode {
            TlsMode::VerifyCa | TlsMode::VerifyIdentity => Some(chain_verifier(&provider, files)?),
            TlsMode::Disabled | TlsMode::Preferred | TlsMode::Required => None,
        };
        let verifier = Self { provider: provider.clone(), chain, name: mode == TlsMode::VerifyIdentity };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(format!("the TLS library cannot be set up: {error}"), "report this"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        match &files.identity {
            None => Ok(builder.with_no_client_auth()),
            Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key()).map_err(|error| {
                let why = match error {
                    Error::InconsistentKeys(_) => format!("key: {} does not belong to the certificate in cert", identity.key_file),
                    other => format!("key: {} cannot be used: {other}", identity.key_file),
                };
                wrong(why, "give the certificate and the key that were made for each other")
            }),
        }
    }
}

fn chain_verifier(provider: &Arc<CryptoProvider>, files: &TlsFiles) -> Result<Arc<WebPkiServerVerifier>, ConfigError> {
    const REMEDY: &str = "give the certificate of the authority that signed the server's";
    let mut roots = RootCertStore::empty();
    let (taken, refused) = roots.add_parsable_certificates(files.roots.iter().cloned());
    if taken == 0 {
        return Err(wrong(format!("ca: none of the {refused} certificates can be trusted"), REMEDY));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| wrong(format!("ca: {error}"), REMEDY))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is verified after the chain, so an error about the name means that the chain is valid.
            Err(Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }))
                if !self.name =>
            {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
