//! A producer: a session, the producer id from the brokers, and the state of every partition that the producer writes to.
//!
//! A producer is valid until a batch has an unknown outcome. Then the producer is invalidated: every lane that uses it fails, and the next
//! `Sink::open` starts a new producer with a new session and a new id.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::record_batch::ProducerId;
use crate::client::{ClientError, ErrorCode, InitProducerIdRequest, Permission, ProduceResult, Retry, Session, TopicPartition};
use crate::codec::Compression;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The producer ids that the brokers have given this process. The value outlives each producer.
#[derive(Debug, Default)]
pub(crate) struct IdempotenceHistory(Mutex<HashSet<i64>>);

impl IdempotenceHistory {
    fn note(&self, id: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn contains(&self, id: i64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}

/// The state of a partition. Only the holder of its lock sends to the partition.
#[derive(Debug, Default)]
pub(crate) struct PartitionState {
    /// The Kafka sequence number of the next record.
    pub(super) next_sequence: i32,
    /// The offset that the next batch gets if no other program writes to the partition; `None` if it is unknown.
    pub(super) expected_offset: Option<i64>,
    /// Whether other programs write to the partition.
    pub(super) shared: bool,
}

/// A partition, shared by all lanes.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(super) id: TopicPartition,
    pub(super) state: Arc<tokio::sync::Mutex<PartitionState>>,
}

/// A producer and the state of its partitions; see the documentation of this module.
pub(crate) struct Producer {
    pub(super) session: Arc<Session>,
    pub(super) id: ProducerId,
    history: Arc<IdempotenceHistory>,
    pub(super) zstd: bool,
    valid: AtomicBool,
    /// Set once the records of the full phase were proven over this session.
    pub(crate) proven: tokio::sync::OnceCell<()>,
    partitions: Mutex<HashMap<TopicPartition, Arc<Partition>>>,
}

impl Partition {
    /// Notes the end of the log as it was before this process writes to the partition.
    pub(crate) async fn note_log_end(&self, end: i64, shared: bool) {
        let mut state = self.state.lock().await;
        // An offset that is already set is kept: another lane may have written since.
        state.expected_offset.get_or_insert(end);
        state.shared |= shared;
    }
}

impl Producer {
    /// Requests a producer id. If the brokers refuse, batches are sent without one; this lowers the delivery guarantee and is logged.
    pub(crate) async fn start(
        session: Arc<Session>,
        history: &Arc<IdempotenceHistory>,
        compression: Compression,
    ) -> Result<Self, ClientError> {
        let id = init_producer_id(&session, history).await?;
        let zstd = compression == Compression::Zstd;
        Ok(Self {
            session,
            id,
            history: history.clone(),
            zstd,
            valid: AtomicBool::new(true),
            proven: tokio::sync::OnceCell::new(),
            partitions: Mutex::default(),
        })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the brokers recognise batches that are sent again.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.id.is_idempotent()
    }

    /// Whether a batch with this producer id cannot be from this process. A batch without one can.
    pub(super) fn is_of_another_process(&self, producer_id: i64) -> bool {
        producer_id >= 0 && !self.history.contains(producer_id)
    }

    /// Whether the producer may still be used.
    pub(crate) fn is_valid(&self) -> bool {
        self.valid.load(Ordering::Acquire)
    }

    /// Invalidates the producer, so that nothing more is sent on it. Requests of other lanes that are in flight may still be answered.
    pub(crate) fn invalidate(&self) {
        self.valid.store(false, Ordering::Release);
    }

    /// Invalidates the producer and shuts down its connections, even if a request is still being sent.
    pub(crate) fn close(&self) {
        self.invalidate();
        self.session.close();
    }

    /// Returns a partition, with the state that all lanes share.
    pub(crate) fn partition(&self, topic: &Arc<str>, number: usize) -> Arc<Partition> {
        let id = TopicPartition::new(topic, number);
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.entry(id.clone()).or_insert_with(|| Arc::new(Partition { id, state: Arc::default() })).clone()
    }
}

async fn init_producer_id(session: &Session, history: &IdempotenceHistory) -> Result<ProducerId, ClientError> {
    let operation = || "requesting a producer id".to_owned();
    let refused = |reason: String| {
        tracing::warn!(
            reason,
            "the brokers give no producer id: batches are sent without idempotence, which lowers the guarantee by one level"
        );
        Ok(ProducerId::NONE)
    };
    let mut retry = Retry::new(session.timeouts().patience, FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let answer = match session.request_any(&InitProducerIdRequest).await {
            Ok(answer) => answer,
            Err(error @ ClientError::Version { .. }) => return refused(error.to_string()),
            Err(error) => return Err(error),
        };
        match answer.code {
            ErrorCode::NONE if answer.producer_id >= 0 => {
                history.note(answer.producer_id);
                return Ok(ProducerId { id: answer.producer_id, epoch: answer.producer_epoch });
            }
            // A coordinator that is still loading after the time limit is an outage and not a refusal. So it is an error, and batches are
            // not sent without an id.
            code if code.is_coordinator_loading() => retry.again(ClientError::Answer { operation: operation(), code }).await?,
            code if matches!(code.produce_result(), ProduceResult::Unknown | ProduceResult::Retry) => {
                return Err(ClientError::Answer { operation: operation(), code });
            }
            // The brokers have given an id before, so the permission may come back. Until then the delivery guarantee must not be lowered.
            code if code.is_denial() && !history.is_empty() => {
                return Err(session.denied(operation(), code, Permission::WriteIdempotently));
            }
            code => return refused(code.name()),
        }
    }
}
