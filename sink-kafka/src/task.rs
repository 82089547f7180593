//! The state that all lanes of a task share: the settings, the current producer, and state that outlives a producer.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use runtime::Context;

use crate::client::{ClientOptions, Denials, Security, Session, Timeouts};
use crate::delivery::{IdempotenceHistory, Producer};
use crate::error::Error;
use crate::invalid_setting::InvalidSetting;
use crate::resume::Evidence;
use crate::routing::{IneffectiveSetting, TopicOwners, heartbeats_have_no_effect};
use crate::schema_registry::Schemas;
use crate::settings::Settings;

/// The state that all lanes of a task share.
pub(crate) struct Task {
    pub(crate) settings: Settings,
    pub(crate) timeouts: Timeouts,
    /// The schema and its registry; `None` if records do not begin with a schema id.
    pub(crate) schemas: Option<Schemas>,
    pub(crate) owners: TopicOwners,
    pub(crate) topics: TopicMemory,
    /// What the full phase has written.
    pub(crate) evidence: Arc<Evidence>,
    attempts: AtomicU32,
    denials: Arc<Denials>,
    idempotence: Arc<IdempotenceHistory>,
    warned: AtomicBool,
    security: Mutex<Arc<Security>>,
    producer: tokio::sync::Mutex<Option<Arc<Producer>>>,
}

/// What this process has found out about topics.
#[derive(Default)]
pub(crate) struct TopicMemory {
    /// Topics that were empty or contained records of this task when they were checked.
    owned: Mutex<HashSet<Arc<str>>>,
    /// The number of partitions of each topic when this process first saw it. Routing keeps this number even if partitions are added.
    partitions: Mutex<HashMap<Arc<str>, usize>>,
    /// What was warned of, by kind and name.
    warned: Mutex<HashSet<(&'static str, String)>>,
}

impl Task {
    /// Reads the certificate and key files that the settings name. No connection is opened.
    pub(crate) fn new(settings: Settings, timeouts: Timeouts) -> Result<Self, Error> {
        let denials: Arc<Denials> = Arc::default();
        let format = &settings.format;
        let schemas = settings.schema_registry.as_ref();
        let schemas =
            schemas.map(|registry| Schemas::new(registry, &format.name, format.info.schema.as_deref(), timeouts, denials.clone()));
        let schemas = schemas.transpose()?;
        let security = Mutex::new(Arc::new(load_security(&settings)?));
        Ok(Self {
            settings,
            timeouts,
            schemas,
            owners: TopicOwners::default(),
            topics: TopicMemory::default(),
            evidence: Arc::default(),
            attempts: AtomicU32::new(0),
            denials,
            idempotence: Arc::default(),
            warned: AtomicBool::new(false),
            security,
            producer: tokio::sync::Mutex::default(),
        })
    }

    /// Returns the current producer, or starts a new one if there is none or the current one was invalidated.
    pub(crate) async fn producer(&self, context: &Context) -> Result<Arc<Producer>, Error> {
        let mut current = self.producer.lock().await;
        if let Some(producer) = current.as_ref().filter(|producer| producer.is_valid()) {
            return Ok(producer.clone());
        }
        // The old connections are closed first, so no late request is written while the new session finds out what was delivered.
        if let Some(old) = current.take() {
            old.close();
        }
        self.warn_once(context);
        let session = Arc::new(Session::connect(&self.client_options()).await?);
        let producer = Arc::new(Producer::start(session, &self.idempotence, self.settings.compression).await?);
        *current = Some(producer.clone());
        Ok(producer)
    }

    /// The number of the next attempt of this process to deliver a split, from 1.
    pub(crate) fn next_attempt(&self) -> u32 {
        self.attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    fn client_options(&self) -> ClientOptions {
        ClientOptions {
            brokers: self.settings.brokers.clone(),
            security: self.reload_security(),
            timeouts: self.timeouts,
            max_batch_bytes: self.settings.max_batch_bytes,
            denials: self.denials.clone(),
        }
    }

    /// Reads the files of `tls` again, because certificates are renewed while a task runs. If they cannot be read, the old certificates are
    /// kept.
    pub(crate) fn reload_security(&self) -> Arc<Security> {
        let mut security = self.security.lock().unwrap_or_else(PoisonError::into_inner);
        if self.settings.tls.is_some() {
            match load_security(&self.settings) {
                Ok(renewed) => *security = Arc::new(renewed),
                Err(error) => tracing::warn!(%error, "the certificates cannot be read again; those read before are still used"),
            }
        }
        security.clone()
    }

    /// The heartbeat setting of the source or the format that has no effect; `None` if there is no such setting, and for dead letters, which
    /// are rows.
    pub(crate) fn ineffective_heartbeats(&self, context: &Context) -> Option<IneffectiveSetting> {
        if context.is_for_letters() {
            return None;
        }
        let format = &self.settings.format;
        heartbeats_have_no_effect(context.source().heartbeats, &format.name, &format.info)
    }

    /// Logs the warnings about the settings, once per task.
    fn warn_once(&self, context: &Context) {
        if self.warned.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(IneffectiveSetting { what, help }) = self.ineffective_heartbeats(context) {
            tracing::warn!("{what}; {help}");
        }
        if self.security.lock().unwrap_or_else(PoisonError::into_inner).sends_plain_password() {
            tracing::warn!("sasl.mechanism = \"plain\" without `tls`: the password can be read by anybody on the network to the brokers");
        }
    }
}

fn load_security(settings: &Settings) -> Result<Security, InvalidSetting> {
    Security::load(settings.tls.as_ref(), settings.sasl.as_ref()).map_err(|error| InvalidSetting::of_tls("tls", error))
}

impl TopicMemory {
    /// Whether a check has found that the topic was empty or contained records of this task.
    pub(crate) fn is_owned(&self, topic: &str) -> bool {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    /// Notes that the topic was empty or contained records of this task.
    pub(crate) fn note_owned(&self, topic: Arc<str>) {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).insert(topic);
    }

    /// Whether a warning of this kind about `name` is the first one.
    pub(crate) fn is_first_warning(&self, kind: &'static str, name: &str) -> bool {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert((kind, name.to_owned()))
    }

    /// The number of partitions of a topic that this process has seen; `None` if it has not seen the topic.
    pub(crate) fn seen(&self, topic: &str) -> Option<usize> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied()
    }

    /// The number of partitions that routing uses. This is `now`, the current number, if the process sees the topic for the first time.
    pub(crate) fn partitions(&self, topic: &Arc<str>, now: usize) -> usize {
        *self.partitions.lock().unwrap_or_else(PoisonError::into_inner).entry(topic.clone()).or_insert(now)
    }
}
