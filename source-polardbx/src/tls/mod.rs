//! Encrypts the connections as configured.

mod failure;
mod files;
mod verify;

use std::sync::Arc;

use rustls::ClientConfig;

use crate::config::{ConfigError, Tls, TlsMode};
pub(crate) use failure::TlsFailure;
use files::TlsFiles;
use verify::Verifier;

/// The configured encryption, with the contents of its files.
#[derive(Clone)]
pub(crate) struct Encryption {
    pub(crate) mode: TlsMode,
    pub(crate) client: Arc<ClientConfig>,
}

impl Encryption {
    /// Reads the files that `tls` names; `None` if the mode is `disabled`.
    pub(crate) fn new(tls: &Tls) -> Result<Option<Self>, ConfigError> {
        let Some(files) = TlsFiles::read(tls)? else { return Ok(None) };
        let client = Verifier::client_config(tls.mode, &files)?;
        Ok(Some(Self { mode: tls.mode, client: Arc::new(client) }))
    }
}
