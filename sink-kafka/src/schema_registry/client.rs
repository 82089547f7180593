//! Sends requests to the registry. The size of every answer is bounded, and every kind of failure has its own error.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Url};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::config::SchemaRegistry;
use super::error::RegistryError;
use super::identity;
use super::redact::redact;
use crate::client::{ClientTls, ConnectError, Denial, Timeouts};
use crate::invalid_setting::InvalidSetting;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The largest accepted answer, in bytes. A schema has only some kilobytes.
const ANSWER_BYTES: usize = 1 << 20;
/// The largest number of characters of a registry's text in an error.
const MAX_TEXT: usize = 400;
/// The registry's error codes for a subject, version or schema that does not exist. Only a registry answers with them, so they also show
/// that the path is right.
const NO_SCHEMA: [i64; 3] = [40401, 40402, 40403];

/// An HTTP client of one registry.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    name: String,
    user: Option<(String, SecretString)>,
    /// Used in error texts: whether a client certificate is presented, and the source of the trusted authorities.
    has_certificate: bool,
    roots: String,
}

/// An answer with which the registry refuses a request.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The registry's own error code; 0 if the answer has none.
    pub(super) code: i64,
    pub(super) text: String,
}

impl Client {
    /// Reads the certificate and key files that the settings name. No connection is opened.
    pub(super) fn new(settings: &SchemaRegistry, timeouts: &Timeouts) -> Result<Self, InvalidSetting> {
        let (tls, roots) = if settings.url.is_encrypted() {
            let tls = settings.tls.clone().unwrap_or_default();
            let loaded =
                ClientTls::load(&tls, "schema_registry.tls").map_err(|error| InvalidSetting::of_tls("schema_registry.tls", error))?;
            ((*loaded.config).clone(), loaded.roots.to_string())
        } else {
            (unused_tls()?, String::new())
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.request)
            // No redirections: the password must not be sent to another server.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            // Requests are rare, so an idle connection would often be closed by the time it is needed.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| InvalidSetting::new("schema_registry", deepest(&error)))?;
        Ok(Self {
            http,
            base: settings.url.url().clone(),
            name: settings.url.to_string(),
            user: settings.user.clone().zip(settings.password.clone()),
            has_certificate: settings.tls.as_ref().is_some_and(|tls| tls.cert.is_some()),
            roots,
        })
    }

    /// Sends a request. The inner error is a refusal whose meaning depends on the request: status 409, 422, or 404 with a code of
    /// [`NO_SCHEMA`].
    pub(super) async fn request(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Result<Value, Refusal>, RegistryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let asked = url.path().to_owned();
        let mut request = self.http.request(method, url).header(ACCEPT, format!("{MEDIA_TYPE}, application/json"));
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
        }
        let mut response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status().as_u16();
        if response.status().is_redirection()
            && let Some(to) = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| self.redirected(to, &asked))
        {
            return Err(RegistryError::Redirected { url: self.name.clone(), status, to, denial: Denial::AtStart });
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if answer.len() + chunk.len() > ANSWER_BYTES {
                return Err(self.not_registry(format!("its answer is longer than {ANSWER_BYTES} bytes")));
            }
            answer.extend_from_slice(&chunk);
        }
        self.read(status, &answer)
    }

    fn read(&self, status: u16, answer: &[u8]) -> Result<Result<Value, Refusal>, RegistryError> {
        let json = identity::parse(answer);
        if (200..300).contains(&status) {
            return json.map(Ok).map_err(|problem| self.not_registry(format!("its answer {status} cannot be read: {problem}")));
        }
        let json = json.ok();
        let part = |key: &str| json.as_ref().and_then(|json| json.get(key));
        let code = part("error_code").and_then(Value::as_i64);
        let text = part("message").and_then(Value::as_str).map_or_else(|| "the answer gives no reason".into(), |text| self.clean(text));
        let url = self.name.clone();
        match (status, code) {
            (401 | 403, _) => {
                let user = self.user.as_ref().map_or_else(|| "a task without a user".to_owned(), |(user, _)| format!("user {user}"));
                Err(RegistryError::Denied { url, status, user, source: text.into(), denial: Denial::AtStart })
            }
            (429 | 500.., _) => Err(RegistryError::Busy { url, status, source: text.into() }),
            (409 | 422, Some(code)) => Ok(Err(Refusal { status, code, text })),
            (404, Some(code)) if NO_SCHEMA.contains(&code) => Ok(Err(Refusal { status, code, text })),
            // The server does not know the path, so the address is wrong. It does not mean that a schema is missing.
            (404, _) => Err(RegistryError::NoSuchPath { url, source: text.into(), denial: Denial::AtStart }),
            // A registry never answers these requests with such a status.
            (..=399 | 405, _) => Err(self.not_registry(format!("it answers {status}"))),
            (409 | 422, None) => Ok(Err(Refusal { status, code: 0, text })),
            _ => Err(RegistryError::Refused { url, status, source: text.into() }),
        }
    }

    /// The address of the registry that a redirection to `to` leads to, without user, password and query. `asked` is the path of the
    /// redirected request, which is removed from the end. `None` if `to` is not an HTTP address.
    pub(super) fn redirected(&self, to: &str, asked: &str) -> Option<String> {
        let mut to = self.base.join(to).ok().filter(|to| matches!(to.scheme(), "http" | "https"))?;
        to.set_username("").ok()?;
        to.set_password(None).ok()?;
        to.set_query(None);
        to.set_fragment(None);
        let path = asked.strip_prefix(self.base.path().trim_end_matches('/')).unwrap_or(asked);
        let base = to.as_str().strip_suffix(path).unwrap_or(to.as_str());
        Some(self.clean(base.trim_end_matches('/')))
    }

    pub(super) fn not_registry(&self, problem: String) -> RegistryError {
        RegistryError::NotRegistry { url: self.name.clone(), problem, denial: Denial::AtStart }
    }

    /// The error of a request that got no answer.
    fn failed(&self, error: &reqwest::Error) -> RegistryError {
        let (url, denial) = (self.name.clone(), Denial::AtStart);
        let host = self.base.host_str().unwrap_or_default();
        match tls_failure(error).and_then(|error| ConnectError::of_tls(error, host, self.has_certificate, &self.roots)) {
            Some(reason) => RegistryError::Tls { url, reason, denial },
            None if error.is_timeout() => RegistryError::Unreachable { url, source: "no answer in time".into(), denial },
            None => RegistryError::Unreachable { url, source: self.clean(&deepest(error)).into(), denial },
        }
    }

    /// The error of a request that got no complete answer in time.
    pub(super) fn timed_out(&self, limit: Duration) -> RegistryError {
        let problem = format!("no complete answer within {} s", limit.as_secs());
        RegistryError::Unreachable { url: self.name.clone(), source: problem.into(), denial: Denial::AtStart }
    }

    /// Redacts the password in a text of the registry, and shortens the text.
    fn clean(&self, text: &str) -> String {
        let text = match &self.user {
            Some((user, password)) => redact(text, user, password.expose_secret()),
            None => text.to_owned(),
        };
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

/// An unused TLS configuration for connections without TLS, because the library always requires one.
fn unused_tls() -> Result<ClientConfig, InvalidSetting> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidSetting::new("schema_registry", error.to_string()))?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// Finds the TLS error among the causes of an error.
fn tls_failure(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // `source` of an I/O error skips the error that it wraps, so the wrapped error is read separately.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| wrapped.downcast_ref::<rustls::Error>()) {
            return Some(found);
        }
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// The text of the innermost cause. The outer errors only say that a request failed.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
