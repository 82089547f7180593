//! Encryption of the connections: what the configuration asks for, as the TLS library takes it.

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

/// Encryption that was asked for, with its files read.
#[derive(Clone)]
pub(crate) struct Encryption {
    pub(crate) mode: TlsMode,
    pub(crate) client: Arc<ClientConfig>,
    files: Arc<TlsFiles>,
}

impl Encryption {
    /// Reads the files that `tls` names; `None` if nothing is to be encrypted.
    pub(crate) fn new(tls: &Tls) -> Result<Option<Self>, ConfigError> {
        let Some(files) = TlsFiles::read(tls)? else { return Ok(None) };
        let client = Verifier::client_config(tls.mode, &files)?;
        Ok(Some(Self { mode: tls.mode, client: Arc::new(client), files: Arc::new(files) }))
    }

    /// The name that the client library must be given for these certificates of the server's; `None` for the host's own.
    pub(crate) fn library_name(&self, certificates: &[CertificateDer<'_>], host: &ServerName<'_>) -> Result<Option<String>, ConfigError> {
        if self.mode == TlsMode::VerifyCa { verify::name_of(&self.files, certificates, host) } else { Ok(None) }
    }

    /// The same for the client library. `name` is the name that the certificate is checked for in place of the host's.
    pub(crate) fn library_options(&self, name: Option<&str>) -> mysql_async::SslOpts {
        self.files.library_options(self.mode, name)
    }
}
