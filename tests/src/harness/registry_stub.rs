//! A stub of a schema registry. It supports TLS and a user, and gives responses that a real registry does not give on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::http::{self, Request};
use super::{Identity, certificates};
use crate::Result;

/// The name of the only user, for tests that require a user.
pub const USER: &str = "registrar";
/// The password of [`USER`].
pub const PASSWORD: &str = "registry-secret";

/// A response that the stub gives in place of the regular one.
#[derive(Clone, Debug)]
pub enum Instead {
    /// An error as registries write it: this HTTP status, error code and message.
    Refuse(u16, i64, String),
    /// An HTML page with this HTTP status.
    Page(u16),
    /// A redirect to this address.
    Redirect(String),
    /// No response; the connection stays open.
    Silence,
}

#[derive(Default)]
struct State {
    schemas: BTreeMap<u32, String>,
    subjects: BTreeMap<String, Vec<u32>>,
    next: u32,
    /// Whether requests need [`USER`].
    requires_user: bool,
    /// The response to give in place of the regular one, and for how many requests; `None` means all requests.
    instead: Option<(Instead, Option<u32>)>,
    /// The methods and paths of all requests so far.
    requests: Vec<String>,
}

/// A running stub.
pub struct RegistryStub {
    state: Arc<Mutex<State>>,
    port: u16,
    tls: bool,
    server: JoinHandle<()>,
}

impl RegistryStub {
    /// Starts a stub without TLS.
    pub async fn start() -> Result<Self> {
        Self::serve(None).await
    }

    /// Starts a stub with TLS and this certificate. If `clients` is true, clients need a certificate that the authority of the tests
    /// signed.
    pub async fn encrypted(identity: &Identity, clients: bool) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = if clients {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&certificates()?.ca)?)?;
            builder
                .with_client_cert_verifier(rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
        } else {
            builder.with_no_client_auth()
        };
        let config =
            builder.with_single_cert(vec![CertificateDer::from_pem_file(&identity.cert)?], PrivateKeyDer::from_pem_file(&identity.key)?)?;
        Self::serve(Some(Arc::new(config).into())).await
    }

    async fn serve(acceptor: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State { next: 70_001, ..State::default() }));
        let tls = acceptor.is_some();
        let shared = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                // An error is ignored here, because the client notices it as well.
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => talk(stream, &state).await,
                            Err(error) => Err(error.into()),
                        },
                        None => talk(stream, &state).await,
                    }
                });
            }
        });
        Ok(Self { state, port, tls, server })
    }

    /// The stub's URL, as written in a configuration.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.tls { "https" } else { "http" }, self.port)
    }

    /// Requires [`USER`] and [`PASSWORD`] from now on.
    pub fn require_user(&self) {
        self.state().requires_user = true;
    }

    /// Gives the response `what` to the next `times` requests, or to all requests if `times` is `None`.
    pub fn instead(&self, what: Instead, times: Option<u32>) {
        self.state().instead = Some((what, times));
    }

    /// Gives regular responses again, after [`RegistryStub::instead`].
    pub fn behave(&self) {
        self.state().instead = None;
    }

    /// Removes all schemas.
    pub fn forget(&self) {
        let mut state = self.state();
        (state.schemas, state.subjects) = Default::default();
    }

    /// Replaces the schema of an id.
    pub fn replace(&self, id: u32, schema: &str) {
        self.state().schemas.insert(id, schema.to_owned());
    }

    /// The schema ids of each subject, by the subject's name.
    pub fn subjects(&self) -> BTreeMap<String, Vec<u32>> {
        self.state().subjects.clone()
    }

    /// The text of the schema with this id; `None` if there is none.
    pub fn schema(&self, id: u32) -> Option<String> {
        self.state().schemas.get(&id).cloned()
    }

    /// All requests so far, such as `POST /subjects/shop-value/versions`.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RegistryStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) -> Result<()> {
    // If the client sends no complete HTTP request, the stub responds with status 400, as an HTTP server does.
    let Some(request) = http::read(&mut stream).await? else { return http::respond(&mut stream, 400, "", "").await };
    let instead = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(format!("{} {}", request.method, request.path));
        let instead = state.instead.as_ref().map(|(what, _)| what.clone());
        if let Some((_, Some(times))) = &mut state.instead {
            *times -= 1;
            if *times == 0 {
                state.instead = None;
            }
        }
        instead
    };
    let (status, headers, body) = match instead {
        None => {
            let (status, body) = state.lock().unwrap_or_else(PoisonError::into_inner).work(&request);
            (status, String::new(), body.to_string())
        }
        Some(Instead::Refuse(status, code, message)) => (status, String::new(), error(code, &message).to_string()),
        Some(Instead::Page(status)) => (status, "Content-Type: text/html\r\n".into(), "<html>Welcome</html>".into()),
        Some(Instead::Redirect(to)) => (307, format!("Location: {to}\r\n"), String::new()),
        Some(Instead::Silence) => return std::future::pending().await,
    };
    http::respond(&mut stream, status, &headers, &body).await
}

fn error(code: i64, message: &str) -> Value {
    json!({"error_code": code, "message": message})
}

impl State {
    fn work(&mut self, request: &Request) -> (u16, Value) {
        use base64::Engine as _;
        let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}")));
        if self.requires_user && request.authorization.as_deref() != Some(&wanted) {
            return (401, error(401, "Unauthorized"));
        }
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        let body: Option<Value> = serde_json::from_str(&request.body).ok();
        let schema = body.as_ref().and_then(|body| body.get("schema")).and_then(Value::as_str);
        match (request.method.as_str(), path.as_slice(), schema) {
            ("GET", ["subjects"], _) => (200, json!(self.subjects.keys().collect::<Vec<_>>())),
            ("GET", ["schemas", "ids", id], _) => match id.parse().ok().and_then(|id| self.schemas.get(&id)) {
                Some(schema) => (200, json!({"schema": schema})),
                None => (404, error(40403, "Schema not found")),
            },
            ("POST", ["subjects", subject, "versions"], Some(schema)) => (200, json!({"id": self.register(subject, schema)})),
            ("POST", ["subjects", subject], Some(schema)) => {
                let ids = self.subjects.get(*subject);
                match ids.map(|ids| ids.iter().find(|id| self.schemas.get(id).is_some_and(|known| known == schema))) {
                    Some(Some(id)) => (200, json!({"id": id, "subject": subject, "version": 1, "schema": schema})),
                    Some(None) => (404, error(40403, "Schema not found")),
                    None => (404, error(40401, &format!("Subject '{subject}' not found."))),
                }
            }
            ("GET", ["subjects", subject, "versions", "latest"], _) => match self.subjects.get(*subject).and_then(|ids| ids.last()) {
                Some(id) => (200, json!({"subject": subject, "id": id, "version": 1, "schema": self.schemas.get(id)})),
                None => (404, error(40401, &format!("Subject '{subject}' not found."))),
            },
            ("POST", ["compatibility", "subjects", subject, "versions", "latest"], Some(_)) => match self.subjects.contains_key(*subject) {
                true => (200, json!({"is_compatible": true})),
                false => (404, error(40401, &format!("Subject '{subject}' not found."))),
            },
            ("POST", ["subjects", ..], None) => (422, error(42201, "Empty schema")),
            _ => (405, error(405, "HTTP 405 Method Not Allowed")),
        }
    }

    /// Registers a schema and returns its id. As in real registries, equal schemas have the same id under all subjects.
    fn register(&mut self, subject: &str, schema: &str) -> u32 {
        let known = self.schemas.iter().find(|(_, known)| *known == schema).map(|(id, _)| *id);
        let id = known.unwrap_or(self.next);
        if known.is_none() {
            self.next += 1;
            self.schemas.insert(id, schema.to_owned());
        }
        let ids = self.subjects.entry(subject.to_owned()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
        id
    }
}
