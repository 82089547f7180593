//! The schema registry: the format's schema is registered before the first record of a topic, and every record says under which id.
//!
//! A record's value is then framed as Confluent's readers expect it: a zero byte, the id in four bytes, big endian, and the format's own
//! bytes. Ids are kept in the receipt with a fingerprint of the schema; a task that goes on finds them in the registry unchanged, or stops
//! before it writes anything: whoever reads the topic would find no schema for what is there, or a wrong one.

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
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::Timeouts;
use crate::error::{Denial, Error};
use crate::task::Memory;
use client::{Client, Refusal};
pub use config::{RegistryUrl, SchemaRegistry, Subject};
pub use error::RegistryError;
use identity::Identity;

/// How long a question takes at most, with the whole answer. So long an address is tried that never answered: programs that are started
/// together take a moment.
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);

/// The greatest id: a registry's ids are Java's `int` (Confluent's API: `id` (int)), and its readers take the four bytes of a frame for one.
const MAX_ID: u32 = i32::MAX as u32;

/// What stands before the bytes of a format.
pub(crate) type Frame = [u8; 5];

/// The frame of an id.
pub(crate) fn frame(id: u32) -> Frame {
    let [a, b, c, d] = id.to_be_bytes();
    [0, a, b, c, d]
}

/// The id in the first bytes of a value, if they are a frame.
pub(crate) fn id_of(frame: Frame) -> Option<u32> {
    let [0, a, b, c, d] = frame else { return None };
    Some(u32::from_be_bytes([a, b, c, d]))
}

/// An id with the fingerprint of its schema, and the topics that were written under it: what the receipt keeps.
pub(crate) type Written = BTreeMap<u32, (String, Vec<String>)>;

/// The one schema of a task's format, in the registry.
pub(crate) struct Schemas {
    settings: SchemaRegistry,
    text: String,
    hash: String,
    /// The full name of the record.
    record: String,
    timeouts: Timeouts,
    client: Mutex<Arc<Client>>,
    /// Whether the registry answered, to this process or to an earlier one of the task.
    answered: AtomicBool,
    /// Held while the registry is asked: parallel lanes ask once.
    known: tokio::sync::Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_subject: HashMap<String, u32>,
    verified: HashSet<u32>,
}

impl Schemas {
    /// `schema` is the text that the format gives, `format` its name.
    pub(crate) fn new(settings: &SchemaRegistry, format: &str, schema: Option<&str>, timeouts: Timeouts) -> Result<Self, Error> {
        settings.validate()?;
        let refuse = |problem: String| Error::Setting { key: "schema_registry", problem };
        let text = schema.ok_or_else(|| {
            refuse(format!(
                "the format {format} has no schema to register: remove the key, or choose a format that has one, such as dts_avro"
            ))
        })?;
        let Identity { name, hash } = identity::identify(text).map_err(|problem| refuse(format!("the schema of {format}: {problem}")))?;
        let record = name.ok_or_else(|| refuse(format!("the schema of {format} is no record")))?;
        let client = Mutex::new(Arc::new(Client::new(settings, &timeouts)?));
        let (settings, text) = (settings.clone(), text.to_owned());
        Ok(Self { settings, text, hash, record, timeouts, client, answered: AtomicBool::new(false), known: tokio::sync::Mutex::default() })
    }

    /// The fingerprint of the schema.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether the password can be read on the way.
    pub(crate) fn sends_plain_password(&self) -> bool {
        self.settings.sends_plain_password()
    }

    /// Reads the certificates again, which are renewed while a task runs. What cannot be read leaves things as they were.
    pub(crate) fn renew(&self) {
        if self.settings.url.is_encrypted() {
            match Client::new(&self.settings, &self.timeouts) {
                Ok(renewed) => *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed),
                Err(error) => tracing::warn!(%error, "the certificates read before are used further"),
            }
        }
    }

    /// Whether it is known what id a topic's records have: by the receipt, or because this process asked for it.
    pub(crate) async fn knows(&self, topic: &str, written: &Written) -> bool {
        let subject = self.settings.subject.of(topic, &self.record);
        written.values().any(|(_, topics)| topics.iter().any(|name| name == topic))
            || self.known.lock().await.by_subject.contains_key(&subject)
    }

    /// The id to write a topic's records under; registers the schema unless that was done before. `found` is the id of a record of this
    /// task that stands in the topic, where that is all that is known.
    pub(crate) async fn id(&self, topic: &str, written: &Written, found: Option<u32>, memory: &Memory) -> Result<u32, Error> {
        if let Some(id) = found {
            // The task was stopped before its receipt told the id.
            self.verify(&Written::from([(id, (self.hash.clone(), vec![topic.to_owned()]))]), memory).await?;
        }
        let subject = self.settings.subject.of(topic, &self.record);
        let mut known = self.known.lock().await;
        if let Some(&id) = known.by_subject.get(&subject) {
            return Ok(id);
        }
        // Written under this very schema before, and found in the registry when the lane was opened.
        let kept = written.iter().find(|(_, (hash, topics))| *hash == self.hash && topics.iter().any(|name| name == topic));
        let id = match kept.map(|(&id, _)| id).or(found) {
            Some(id) => id,
            None => {
                let id = self.register(&subject, memory).await?;
                tracing::info!(topic, subject, id, "schema registered");
                id
            }
        };
        known.verified.insert(id);
        known.by_subject.insert(subject, id);
        Ok(id)
    }

    /// Makes sure that what was written under ids can still be read.
    pub(crate) async fn verify(&self, written: &Written, memory: &Memory) -> Result<(), Error> {
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
            let schema = match self.ask(Method::GET, &["schemas", "ids", &number], None, memory).await? {
                Ok(answer) => self.text_of(&answer, "schema")?.to_owned(),
                Err(Refusal { status: 404, .. }) => return Err(RegistryError::Gone { id, topic }.into()),
                Err(refusal) => return Err(self.refused(refusal, None).into()),
            };
            if identity::identify(&schema).map(|identity| identity.hash).ok().as_ref() != Some(hash) {
                return Err(RegistryError::Changed { id, topic }.into());
            }
            known.verified.insert(id);
        }
        Ok(())
    }

    /// Looks whether a topic's schema could be registered; changes nothing. Says what was found.
    pub(crate) async fn could_register(&self, topic: &str, memory: &Memory) -> Result<String, Error> {
        let subject = self.settings.subject.of(topic, &self.record);
        if !self.settings.auto_register {
            let id = self.register(&subject, memory).await?;
            return Ok(format!("subject {subject} has the schema, id {id}"));
        }
        match self.ask(Method::GET, &["subjects", &subject, "versions", "latest"], None, memory).await? {
            Ok(latest) if identity::identify(self.text_of(&latest, "schema")?).is_ok_and(|latest| latest.hash == self.hash) => {
                return Ok(format!("subject {subject} has the schema already"));
            }
            Ok(_) => {}
            Err(Refusal { status: 404, .. }) => {
                return Ok(format!("subject {subject} is not there yet"));
            }
            Err(refusal) => return Err(self.refused(refusal, Some(subject)).into()),
        }
        let path = ["compatibility", "subjects", &subject, "versions", "latest"];
        match self.ask(Method::POST, &path, Some(self.body()), memory).await? {
            Ok(answer) if answer.get("is_compatible").and_then(Value::as_bool) == Some(false) => {
                let (url, words) = (self.settings.url.to_string(), "it is not compatible with the latest one there".to_owned());
                Err(RegistryError::Incompatible { url, subject, words }.into())
            }
            Ok(_) => Ok(format!("subject {subject} takes the schema")),
            Err(Refusal { status: 404, .. }) => Ok(format!("subject {subject} is not there yet")),
            Err(refusal) => Err(self.refused(refusal, Some(subject)).into()),
        }
    }

    /// The schema's id under a subject.
    async fn register(&self, subject: &str, memory: &Memory) -> Result<u32, Error> {
        let register = ["subjects", subject, "versions"];
        let path = if self.settings.auto_register { &register[..] } else { &register[..2] };
        match self.ask(Method::POST, path, Some(self.body()), memory).await? {
            Ok(answer) => {
                let id = answer.get("id").ok_or_else(|| self.strange("lacks `id`"))?;
                let usable = id.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| *id <= MAX_ID);
                let id = usable.ok_or_else(|| self.strange("has no usable `id`: that is a whole number from 0 to 2147483647"))?;
                self.note_answer();
                Ok(id)
            }
            Err(Refusal { status: 404, words, .. }) if !self.settings.auto_register => {
                Err(RegistryError::NotRegistered { subject: subject.to_owned(), words }.into())
            }
            Err(refusal) => Err(self.refused(refusal, Some(subject.to_owned())).into()),
        }
    }

    fn body(&self) -> Value {
        json!({"schema": self.text})
    }

    /// Asks, and asks again for a moment while nothing ever answered.
    async fn ask(&self, method: Method, path: &[&str], body: Option<Value>, memory: &Memory) -> Result<Result<Value, Refusal>, Error> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let limit = ANSWER.min(self.timeouts.patience);
        let deadline = Instant::now() + limit;
        loop {
            let error = match timeout_at(deadline, client.ask(method.clone(), path, body.clone())).await {
                Ok(Ok(answer)) => {
                    if answer.is_err() {
                        self.note_answer();
                    }
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_elapsed) => client.late(limit),
            };
            let answered = self.answered.load(Ordering::Acquire);
            match error {
                RegistryError::Unreachable { .. } if !answered && Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
                // What answered before is the right address: it comes back, or the retry window ends.
                RegistryError::Unreachable { .. }
                | RegistryError::NotRegistry { .. }
                | RegistryError::NoSuchPath { .. }
                | RegistryError::Elsewhere { .. } => {
                    return Err(error.lasting(|| if answered { Denial::Grace } else { Denial::AtStart }).into());
                }
                error => return Err(error.lasting(|| memory.note_denial()).into()),
            }
        }
    }

    /// What answered is a registry.
    fn note_answer(&self) {
        self.answered.store(true, Ordering::Release);
    }

    fn refused(&self, refusal: Refusal, subject: Option<String>) -> RegistryError {
        let (url, Refusal { status, code, words }) = (self.settings.url.to_string(), refusal);
        match (status, subject) {
            (409, Some(subject)) => RegistryError::Incompatible { url, subject, words },
            (422, Some(subject)) => RegistryError::Invalid { subject, code, words },
            _ => RegistryError::Refused { url, status, words },
        }
    }

    fn text_of<'v>(&self, answer: &'v Value, key: &str) -> Result<&'v str, RegistryError> {
        answer.get(key).and_then(Value::as_str).ok_or_else(|| self.strange(&format!("lacks `{key}`")))
    }

    fn strange(&self, what: &str) -> RegistryError {
        let (url, problem) = (self.settings.url.to_string(), format!("its answer {what}"));
        let denial = if self.answered.load(Ordering::Acquire) { Denial::Grace } else { Denial::AtStart };
        RegistryError::NotRegistry { url, problem, denial }
    }
}

#[cfg(test)]
mod tests;
