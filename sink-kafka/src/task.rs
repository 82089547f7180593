//! What all lanes of a task share: the settings, the current [`Session`], and what must be remembered over sessions.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::client::session::Session;
use crate::client::{Security, Timeouts};
use crate::config::{Config, Mechanism};
use crate::error::{Denial, Error};
use crate::routing::control_events::Idle;
use crate::routing::router::Owners;
use crate::schema_registry::Schemas;

/// How long permissions may be missing in a task that worked before.
const GRACE: Duration = Duration::from_secs(600);

/// What all lanes of a task share.
pub(crate) struct Cluster {
    pub(crate) config: Config,
    pub(crate) timeouts: Timeouts,
    pub(crate) memory: Arc<Memory>,
    /// Fingerprint of the settings that decide where a row goes.
    pub(crate) routing: Arc<str>,
    /// That of other settings that a task may come from.
    pub(crate) routing_before: Option<String>,
    /// The registry, where records are written under an id of their schema.
    pub(crate) schemas: Option<Schemas>,
    /// Settings of which nothing comes.
    pub(crate) idle: Option<Idle>,
    security: Mutex<Arc<Security>>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
}

/// What outlives a session.
#[derive(Default)]
pub(crate) struct Memory {
    /// Whether anything was ever delivered by this process.
    worked: AtomicBool,
    idempotent: AtomicBool,
    warned: AtomicBool,
    denied_since: Mutex<Option<Instant>>,
    /// Topics that were found empty, or ours, at the start.
    judged: Mutex<HashSet<Arc<str>>>,
    /// Partitions of each topic when this process first saw it: routing keeps to them.
    partitions: Mutex<HashMap<Arc<str>, usize>>,
    pub(crate) owners: Owners,
}

impl Cluster {
    /// Checks the settings and reads the files that they name; connects to nothing.
    /// `transforms` is the text of the task's transforms, which give tables the names that topics and partitions are found by; `schema` is
    /// the format's, if it has one.
    pub(crate) fn new(config: Config, transforms: &str, schema: Option<&str>, timeouts: Timeouts) -> Result<Self, Error> {
        config.validate()?;
        let format = config.format.one("sink.kafka.format").map_or("", |(name, _)| name);
        let schemas = config.schema_registry.as_ref().map(|settings| Schemas::new(settings, format, schema, timeouts)).transpose()?;
        let security = Mutex::new(Arc::new(Security::load(config.tls.as_ref(), config.sasl.as_ref())?));
        let (routing, routing_before) = config.routing(transforms);
        Ok(Self {
            config,
            timeouts,
            memory: Arc::default(),
            routing: routing.into(),
            routing_before,
            schemas,
            idle: None,
            security,
            session: tokio::sync::Mutex::new(None),
        })
    }

    /// The current session, or a new one if there is none or the last one was given up.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut current = self.session.lock().await;
        if let Some(session) = current.as_ref().filter(|session| session.is_sound()) {
            return Ok(session.clone());
        }
        // The old connections are ended before new ones look at what became of their requests.
        if let Some(old) = current.take() {
            old.end();
        }
        self.warn_once();
        let session = Arc::new(Session::connect(self).await?);
        *current = Some(session.clone());
        Ok(session)
    }
}

impl Cluster {
    /// What the files of `tls` say now: certificates are renewed while a task runs. What cannot be read leaves things as they were.
    pub(crate) fn renewed_security(&self) -> Arc<Security> {
        let mut security = self.security.lock().unwrap_or_else(PoisonError::into_inner);
        if self.config.tls.is_some() {
            match Security::load(self.config.tls.as_ref(), self.config.sasl.as_ref()) {
                Ok(renewed) => *security = Arc::new(renewed),
                Err(error) => tracing::warn!(%error, "the certificates read before are used further"),
            }
        }
        security.clone()
    }

    /// Warns, once a task, of a password that anybody on the way can read, and of settings of which nothing comes.
    fn warn_once(&self) {
        if self.memory.warned.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(Idle { what, help }) = &self.idle {
            tracing::warn!("{what}; {help}");
        }
        if self.sends_plain_password() {
            tracing::warn!("sasl.mechanism = \"plain\" without `tls`: the password can be read by anybody between here and the brokers");
        }
    }

    /// Whether the password goes over the network as it is.
    pub(crate) fn sends_plain_password(&self) -> bool {
        self.config.tls.is_none() && self.config.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == Mechanism::Plain)
    }
}

impl Memory {
    /// A producer id was given.
    pub(crate) fn note_idempotence(&self) {
        self.idempotent.store(true, Ordering::Release);
    }

    /// Whether a producer id was ever given.
    pub(crate) fn had_idempotence(&self) -> bool {
        self.idempotent.load(Ordering::Acquire)
    }

    /// Something was delivered.
    pub(crate) fn note_success(&self) {
        if !self.worked.swap(true, Ordering::AcqRel) || self.denied_since.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            *self.denied_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A permission is missing: how is it to be taken?
    pub(crate) fn note_denial(&self) -> Denial {
        if !self.worked.load(Ordering::Acquire) {
            return Denial::AtStart;
        }
        let since = *self.denied_since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        if since.elapsed() > GRACE { Denial::Lasting } else { Denial::Grace }
    }

    /// Whether a topic was already found fit to be written to.
    pub(crate) fn is_judged(&self, topic: &str) -> bool {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    /// A topic was found fit.
    pub(crate) fn note_judged(&self, topic: Arc<str>) {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner).insert(topic);
    }

    /// Whether a topic was there before.
    pub(crate) fn knows(&self, topic: &str) -> bool {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).contains_key(topic)
    }

    /// The number of partitions to route by, given the number that there is now.
    pub(crate) fn partitions(&self, topic: &Arc<str>, now: usize) -> usize {
        *self.partitions.lock().unwrap_or_else(PoisonError::into_inner).entry(topic.clone()).or_insert(now)
    }
}
