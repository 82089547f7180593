//! Encrypts the connections as configured.

mod failure;
mod files;
mod verify;

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::config::{ConfigError, Tls, TlsMode};
pub(crate) use failure::TlsFailure;
use files::TlsFiles;
use verify::Verifier;

/// The configured encryption, with the contents of its files.
#[derive(Clone)]
pub(crate) struct Encryption {
    pub(crate) mode: TlsMode,
    pub(crate) client: Arc<ClientConfig>,
    files: Arc<TlsFiles>,
}

impl Encryption {
    /// Reads the files that `tls` names; `None` if the mode is `disabled`.
    pub(crate) fn new(tls: &Tls) -> Result<Option<Self>, ConfigError> {
        let Some(files) = TlsFiles::read(tls)? else { return Ok(None) };
        let client = Verifier::client_config(tls.mode, &files)?;
        Ok(Some(Self { mode: tls.mode, client: Arc::new(client), files: Arc::new(files) }))
    }

    /// The host name to give to the client library so that it accepts these certificates; `None` if the library can use the real host name.
    pub(crate) fn library_name(&self, certificates: &[CertificateDer<'_>], host: &ServerName<'_>) -> Result<Option<String>, ConfigError> {
        if self.mode == TlsMode::VerifyCa { verify::name_of(&self.files, certificates, host) } else { Ok(None) }
    }

    /// The TLS options for the client library. If `name` is given, the certificate is verified against it instead of the host name.
    pub(crate) fn library_options(&self, name: Option<&str>) -> mysql_async::SslOpts {
        self.files.library_options(self.mode, name)
    }
}
