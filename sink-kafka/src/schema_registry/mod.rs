//! Uses a schema registry. The format's schema is registered before the first record of a topic, and every record begins with the id of the
//! schema.
//!
//! The value of a record then has the layout that Confluent's readers expect: a zero byte, the id in four bytes, big endian, and the bytes
//! of the format. The receipt keeps the ids, each with a fingerprint of the schema. A task that continues checks that the registry still
//! has these schemas unchanged. If not, it stops before it writes anything: readers of the topic would find no schema or a wrong one for
//! the existing records.

mod client;
mod config;
mod error;
mod identity;
mod redact;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use crate::client::{Denial, Denials, Retry, Timeouts};
use crate::invalid_setting::InvalidSetting;
use client::{Client, Refusal};
pub use config::{RegistryUrl, SchemaRegistry, Subject};
pub use error::RegistryError;
pub(crate) use identity::{Identity, identify, parse};

/// The time limit of a request, including its complete answer. Also the time for which a registry that has never answered is tried, because
/// programs that are started together take a moment to start.
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);

/// The greatest valid id. In Confluent's API and its readers an id is a Java `int`.
const MAX_ID: u32 = i32::MAX as u32;

/// The first bytes of a record value: a zero byte and the id of the schema.
pub(crate) type SchemaIdPrefix = [u8; 5];

/// The first bytes of a value whose schema has this id.
pub(crate) fn prefix_of(id: u32) -> SchemaIdPrefix {
    let [a, b, c, d] = id.to_be_bytes();
    [0, a, b, c, d]
}

/// The schema id in the first bytes of a value; `None` if they do not begin with a zero byte.
pub(crate) fn id_of(prefix: SchemaIdPrefix) -> Option<u32> {
    let [0, a, b, c, d] = prefix else { return None };
    Some(u32::from_be_bytes([a, b, c, d]))
}

/// The schema ids that records were written with. For each id, the fingerprint of its schema and the topics. It is part of the receipt.
pub(crate) type WrittenSchemas = BTreeMap<u32, (String, Vec<String>)>;

/// The schema of a task's format, and its ids in the registry.
pub(crate) struct Schemas {
    settings: SchemaRegistry,
    text: String,
    hash: String,
    /// The full name of the Avro record.
    record: String,
    timeouts: Timeouts,
    denials: Arc<Denials>,
    client: Mutex<Arc<Client>>,
    /// Whether the registry has ever answered this process or an earlier process of the task.
    answered: AtomicBool,
    /// The known ids. The lock is held during requests, so that parallel lanes send a request only once.
    known: tokio::sync::Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_subject: HashMap<String, u32>,
    verified: HashSet<u32>,
}

impl Schemas {
    /// Checks the schema and creates the client. `format` is the name of the format and `schema` the text of its schema. The settings must
    /// be valid. No connection is opened.
    pub(crate) fn new(
        settings: &SchemaRegistry,
        format: &str,
        schema: Option<&str>,
        timeouts: Timeouts,
        denials: Arc<Denials>,
    ) -> Result<Self, InvalidSetting> {
        let refuse = |problem: String| InvalidSetting::new("schema_registry", problem);
        let text = schema.ok_or_else(|| {
            refuse(format!(
                "is set, but the format {format} has no schema to register: remove the key, or choose a format that has one, such as dts_avro"
            ))
        })?;
        let invalid = |problem: String| refuse(format!("is set, but the schema of {format} is invalid: {problem}"));
        let Identity { name, hash } = identity::identify(text).map_err(invalid)?;
        let record = name.ok_or_else(|| refuse(format!("is set, but the schema of {format} is not a record")))?;
        Ok(Self {
            settings: settings.clone(),
            text: text.to_owned(),
            hash,
            record,
            timeouts,
            denials,
            client: Mutex::new(Arc::new(Client::new(settings, &timeouts)?)),
            answered: AtomicBool::new(false),
            known: tokio::sync::Mutex::default(),
        })
    }

    /// The fingerprint of the schema.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether the password is sent in clear text over an unencrypted connection.
    pub(crate) fn sends_plain_password(&self) -> bool {
        self.settings.sends_plain_password()
    }

    /// Reads the certificate files again, because they may be renewed while a task runs. If they cannot be read, the old certificates are
    /// kept.
    pub(crate) fn reload_certificates(&self) {
        if self.settings.url.is_encrypted() {
            match Client::new(&self.settings, &self.timeouts) {
                Ok(renewed) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed),
                Err(error) => tracing::warn!(%error, "the certificates cannot be read again; those read before are still used"),
            }
        }
    }

    /// Whether the schema id of a topic's records is known, from the receipt or from an earlier request of this process.
    pub(crate) async fn knows(&self, topic: &str, written: &WrittenSchemas) -> bool {
        let subject = self.settings.subject.of(topic, &self.record);
        written.values().any(|(_, topics)| topics.iter().any(|name| name == topic))
            || self.known.lock().await.by_subject.contains_key(&subject)
    }

    /// Returns the schema id for the records of a topic, and registers the schema if necessary. `found` is the id in an existing record of
    /// this task in the topic; `None` if it is not needed or there is no such record.
    pub(crate) async fn id(&self, topic: &str, written: &WrittenSchemas, found: Option<u32>) -> Result<u32, RegistryError> {
        if let Some(id) = found {
            // The id comes from a record, because the task was stopped before a receipt with the id was committed. So it is checked first.
            self.verify(&WrittenSchemas::from([(id, (self.hash.clone(), vec![topic.to_owned()]))])).await?;
        }
        let subject = self.settings.subject.of(topic, &self.record);
        let mut known = self.known.lock().await;
        if let Some(&id) = known.by_subject.get(&subject) {
            return Ok(id);
        }
        // The receipt may contain an id of this same schema for this topic. It was checked when the lane was opened.
        let kept = written.iter().find(|(_, (hash, topics))| *hash == self.hash && topics.iter().any(|name| name == topic));
        let id = match kept.map(|(&id, _)| id).or(found) {
            Some(id) => id,
            None => {
                let id = self.register(&subject).await?;
                tracing::info!(topic, subject, id, "schema registered");
                id
            }
        };
        known.verified.insert(id);
        known.by_subject.insert(subject, id);
        Ok(id)
    }

    /// Checks that the registry still has the schemas of these ids, unchanged.
    pub(crate) async fn verify(&self, written: &WrittenSchemas) -> Result<(), RegistryError> {
        if !written.is_empty() {
            self.note_answer();
        }
        let mut known = self.known.lock().await;
        for (&id, (hash, topics)) in written {
            if known.verified.contains(&id) {
                continue;
            }
            let topic = topics.first().cloned().unwrap_or_default();
            let number = id.to_string();
            let schema = match self.request(Method::GET, &["schemas", "ids", &number], None).await? {
                Ok(answer) => self.text_of(&answer, "schema")?.to_owned(),
                Err(Refusal { status: 404, .. }) => return Err(RegistryError::Gone { id, topic }),
                Err(refusal) => return Err(self.refused(refusal, None)),
            };
            if identity::identify(&schema).map(|identity| identity.hash).ok().as_ref() != Some(hash) {
                return Err(RegistryError::Changed { id, topic });
            }
            known.verified.insert(id);
        }
        Ok(())
    }

    /// Checks whether the schema could be registered for a topic, without registering it. Returns a text for the finding.
    pub(crate) async fn could_register(&self, topic: &str) -> Result<String, RegistryError> {
        let subject = self.settings.subject.of(topic, &self.record);
        if !self.settings.auto_register {
            let id = self.register(&subject).await?;
            return Ok(format!("subject {subject} has the schema, id {id}"));
        }
        match self.request(Method::GET, &["subjects", &subject, "versions", "latest"], None).await? {
            Ok(latest) if identity::identify(self.text_of(&latest, "schema")?).is_ok_and(|latest| latest.hash == self.hash) => {
                return Ok(format!("subject {subject} has the schema already"));
            }
            Ok(_) => {}
            Err(Refusal { status: 404, .. }) => return Ok(format!("subject {subject} does not exist yet")),
            Err(refusal) => return Err(self.refused(refusal, Some(subject))),
        }
        let path = ["compatibility", "subjects", &subject, "versions", "latest"];
        match self.request(Method::POST, &path, Some(self.body())).await? {
            Ok(answer) if answer.get("is_compatible").and_then(Value::as_bool) == Some(false) => {
                let source = "the registry's check of compatibility says no".into();
                Err(RegistryError::Incompatible { url: self.settings.url.to_string(), subject, source })
            }
            Ok(_) => Ok(format!("subject {subject} accepts the schema")),
            Err(Refusal { status: 404, .. }) => Ok(format!("subject {subject} does not exist yet")),
            Err(refusal) => Err(self.refused(refusal, Some(subject))),
        }
    }

    /// Registers the schema under a subject and returns its id. If the settings forbid this, only looks up the id.
    async fn register(&self, subject: &str) -> Result<u32, RegistryError> {
        let register = ["subjects", subject, "versions"];
        let path = if self.settings.auto_register { &register[..] } else { &register[..2] };
        match self.request(Method::POST, path, Some(self.body())).await? {
            Ok(answer) => {
                let id = answer.get("id").ok_or_else(|| self.bad_answer("lacks `id`"))?;
                let usable = id.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| *id <= MAX_ID);
                let id = usable.ok_or_else(|| self.bad_answer("has no usable `id`: that is a whole number from 0 to 2147483647"))?;
                self.note_answer();
                Ok(id)
            }
            Err(Refusal { status: 404, text, .. }) if !self.settings.auto_register => {
                Err(RegistryError::NotRegistered { subject: subject.to_owned(), source: text.into() })
            }
            Err(refusal) => Err(self.refused(refusal, Some(subject.to_owned()))),
        }
    }

    fn body(&self) -> Value {
        json!({"schema": self.text})
    }

    /// Sends a request. If the registry has never answered, repeats the request for a short time.
    async fn request(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Result<Value, Refusal>, RegistryError> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let limit = ANSWER.min(self.timeouts.patience);
        let mut retry = Retry::new(limit, PAUSE, PAUSE);
        loop {
            let error = match timeout_at(retry.deadline(), client.request(method.clone(), path, body.clone())).await {
                Ok(Ok(answer)) => {
                    if answer.is_err() {
                        self.note_answer();
                    }
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_elapsed) => client.timed_out(limit),
            };
            let answered = self.answered.load(Ordering::Acquire);
            match error {
                RegistryError::Unreachable { .. } if !answered => {
                    retry.again(error).await.map_err(|error| error.with_denial(|| Denial::AtStart))?;
                }
                // If a registry has answered at this address, the address is right, so the error may pass by itself.
                error if error.is_about_the_address() => {
                    return Err(error.with_denial(|| if answered { Denial::Grace } else { Denial::AtStart }));
                }
                error => return Err(error.with_denial(|| self.denials.note_denial())),
            }
        }
    }

    /// Notes that the server is a registry.
    fn note_answer(&self) {
        self.answered.store(true, Ordering::Release);
    }

    fn refused(&self, refusal: Refusal, subject: Option<String>) -> RegistryError {
        let (url, Refusal { status, code, text }) = (self.settings.url.to_string(), refusal);
        let source = text.into();
        match (status, subject) {
            (409, Some(subject)) => RegistryError::Incompatible { url, subject, source },
            (422, Some(subject)) => RegistryError::Invalid { subject, code, source },
            _ => RegistryError::Refused { url, status, source },
        }
    }

    fn text_of<'v>(&self, answer: &'v Value, key: &str) -> Result<&'v str, RegistryError> {
        answer.get(key).and_then(Value::as_str).ok_or_else(|| self.bad_answer(&format!("lacks `{key}`")))
    }

    fn bad_answer(&self, what: &str) -> RegistryError {
        let (url, problem) = (self.settings.url.to_string(), format!("its answer {what}"));
        let denial = if self.answered.load(Ordering::Acquire) { Denial::Grace } else { Denial::AtStart };
        RegistryError::NotRegistry { url, problem, denial }
    }
}

#[cfg(test)]
mod tests;
