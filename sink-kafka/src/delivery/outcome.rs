//! Decides what the answer to a Produce request, or a missing answer, means for a batch: it is delivered, sent again, split, rejected, or
//! failed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use runtime::{Counter, Seq};
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout};

use super::producer::{Partition, PartitionState, Producer};
use super::record_batch::SealedBatch;
use crate::client::{ClientError, ErrorCode, LogPart, PartitionRecords, ProduceResult, ServerText, TopicPartition, log_ranges, topics};
use crate::error::Error;
use crate::resume::record_header::LaneId;
use crate::resume::{Found, scan, scan_with_producers};

/// How many times a batch whose outcome is unknown is sent again.
const MAX_RESENDS: u32 = 3;
/// The size of a request, in bytes, above which it may be too large for a broker that does not return its limit.
const LARGE_REQUEST: usize = 1 << 20;

/// The lane that delivers batches, and the producer that it uses.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) producer: Arc<Producer>,
    pub(crate) lane: LaneId,
    /// Counts the records that were written to the log twice.
    pub(crate) repeats: Counter,
}

/// The result of the delivery of one batch.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(super) partition: Arc<Partition>,
    /// The offset of the first delivered record.
    pub(super) first: Option<i64>,
    /// The offset and the sequence number of the last delivered record; `None` if every record was rejected.
    pub(super) last: Option<(i64, Seq)>,
    /// The events whose record the broker refused, and the reason; `None` if it accepted all records.
    pub(super) rejected: Option<(Range<u32>, Error)>,
    /// The buffer of the batch, to be reused for another one.
    pub(super) buffer: Vec<u8>,
}

/// A batch that is being delivered to a partition.
pub(super) struct Pending {
    pub(super) partition: Arc<Partition>,
    /// The lock of the partition. It is held until the outcome is known, so that only one batch per partition is in flight.
    pub(super) state: OwnedMutexGuard<PartitionState>,
    /// The batch; or, if the broker found it too large, the pieces it was split into. The first element is in flight.
    pub(super) queue: VecDeque<SealedBatch>,
    /// How many times the first batch of the queue was sent again because its outcome was unknown.
    resends: u32,
    /// How many times in a row the broker `ended_by` ended the connection when it was sent the first batch of the queue.
    ended: u32,
    ended_by: Option<i32>,
    /// Whether a broker has called the first batch of the queue corrupt.
    was_corrupt: bool,
    /// The time until which the first batch of the queue may be sent again; set at its first failure.
    deadline: Option<Instant>,
    pub(super) delivered: Delivered,
}

/// What must happen next with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing more for the first batch. The queue may contain further batches.
    Done,
    /// The first batch must be sent again after a pause.
    Resend,
}

impl Pending {
    pub(super) async fn new(partition: Arc<Partition>, batch: SealedBatch) -> Self {
        let state = partition.state.clone().lock_owned().await;
        let delivered = Delivered { partition: partition.clone(), first: None, last: None, rejected: None, buffer: Vec::new() };
        Self {
            partition,
            state,
            queue: VecDeque::from([batch]),
            resends: 0,
            ended: 0,
            ended_by: None,
            was_corrupt: false,
            deadline: None,
            delivered,
        }
    }

    pub(super) fn id(&self) -> &TopicPartition {
        &self.partition.id
    }

    /// Resets the counters of the first batch, since its outcome is known.
    fn resolved(&mut self) {
        self.resends = 0;
        self.ended = 0;
        self.ended_by = None;
        self.was_corrupt = false;
        self.deadline = None;
    }

    /// Whether the first batch must be sent in a request of its own, because it may be too large for the broker.
    pub(super) fn is_suspect(&self) -> bool {
        self.ended > 0
    }

    fn sequence_after(&self, records: i32) -> i32 {
        // Kafka's sequence numbers of producers go from 0 to 2^31 − 1 and then start again at 0.
        self.state.next_sequence.wrapping_add(records) & i32::MAX
    }

    /// Whether the time for sending the first batch again is over. The time begins at the first failure.
    fn is_late(&mut self, limit: Duration) -> bool {
        let now = Instant::now();
        now > *self.deadline.get_or_insert(now + limit)
    }

    fn outcome_unknown(&self, problem: String) -> Error {
        Error::OutcomeUnknown { partition: self.id().clone(), problem }
    }
}

/// Handles the broker's answer for the first batch of the queue.
pub(super) async fn settle(sender: &Sender, pending: &mut Pending, code: ErrorCode, base_offset: i64) -> Result<Next, Error> {
    let session = sender.producer.session();
    let partition = pending.id().clone();
    let operation = || format!("writing to partition {partition}");
    match code.produce_result() {
        ProduceResult::Appended if base_offset >= 0 => appended(sender, pending, base_offset).await,
        // The batch is in the log, but the answer does not contain its offset.
        ProduceResult::Appended | ProduceResult::Duplicate => {
            let base = find_batch(sender, pending).await?;
            appended(sender, pending, base).await
        }
        ProduceResult::TooLarge => too_large(sender, pending).await,
        // A bit may have changed on the way. If the same bytes are refused again over a new connection, the records are the reason.
        ProduceResult::Corrupt if !pending.was_corrupt => {
            tracing::warn!(%partition, %code, "the broker calls a batch corrupt; it is sent again over a new connection");
            pending.was_corrupt = true;
            session.renew_leader(&partition);
            Ok(Next::Resend)
        }
        ProduceResult::Corrupt | ProduceResult::Rejected => {
            let Some(batch) = pending.queue.pop_front() else { return Ok(Next::Done) };
            if batch.count() > 1 {
                return halve(pending, batch);
            }
            reject(pending, batch, Error::RecordRefused { partition, code });
            Ok(Next::Done)
        }
        ProduceResult::Denied | ProduceResult::Misconfigured | ProduceResult::InvalidRequest => {
            Err(session.answer(operation(), code, &partition.topic).into())
        }
        ProduceResult::ProducerIdExpired => Err(pending.outcome_unknown(format!("the broker answered {code}"))),
        ProduceResult::Retry => not_sent(sender, pending, || ClientError::Answer { operation: operation(), code }),
        ProduceResult::Unknown => resend_if_idempotent(sender, pending, format!("the broker answered {code}")),
    }
}

/// Handles a batch that is too large: splits it into halves, or rejects it if it has only one record.
async fn too_large(sender: &Sender, pending: &mut Pending) -> Result<Next, Error> {
    let Some(batch) = pending.queue.pop_front() else { return Ok(Next::Done) };
    if batch.count() > 1 {
        return halve(pending, batch);
    }
    let (session, partition) = (sender.producer.session(), pending.id().clone());
    let limit = topics::max_message_bytes(session, &partition.topic).await;
    let error = Error::RecordTooLarge { partition, bytes: batch.bytes().len(), limit, broker: session.first_broker().to_owned() };
    reject(pending, batch, error);
    Ok(Next::Done)
}

/// Splits the first batch of the queue until it is at most `limit` bytes long, or rejects it if it has only one record: a later recovery could
/// not read it.
pub(super) fn fit(pending: &mut Pending, limit: usize) -> Result<(), Error> {
    while let Some(batch) = pending.queue.pop_front_if(|batch| batch.bytes().len() > limit) {
        if batch.count() > 1 {
            halve(pending, batch)?;
        } else {
            let (partition, bytes) = (pending.id().clone(), batch.bytes().len());
            reject(pending, batch, Error::BatchTooLarge { partition, bytes, limit });
        }
    }
    Ok(())
}

/// Sends a refused batch again as two halves. In the end the record that the broker refuses is alone, and what comes before it is delivered.
fn halve(pending: &mut Pending, batch: SealedBatch) -> Result<Next, Error> {
    pending.resolved();
    let (first, second) = batch.split()?;
    pending.queue.push_front(second);
    pending.queue.push_front(first);
    Ok(Next::Done)
}

fn reject(pending: &mut Pending, batch: SealedBatch, error: Error) {
    pending.resolved();
    pending.delivered.rejected = Some((batch.first_events(), error));
    pending.delivered.buffer = batch.into_buffer();
    // Invariant: no batch that follows a rejected one is sent to this partition. Otherwise the rejected record would count as delivered.
    pending.queue.clear();
}

/// Notes that the first batch is in the log from offset `base`. If `base` is greater than expected, the records in between are read to find
/// out who wrote them.
async fn appended(sender: &Sender, pending: &mut Pending, base: i64) -> Result<Next, Error> {
    let Some(batch) = pending.queue.pop_front() else { return Ok(Next::Done) };
    pending.resolved();
    match pending.state.expected_offset {
        Some(expected) if base < expected => {
            return Err(Error::Regressed { partition: pending.id().clone(), end: base, expected });
        }
        Some(expected) if base > expected && !pending.state.shared => inspect(sender, pending, expected, base).await?,
        _ => {}
    }
    let end = base.saturating_add(i64::from(batch.count()));
    pending.state.expected_offset = Some(end);
    pending.state.next_sequence = pending.sequence_after(batch.count());
    pending.delivered.first.get_or_insert(base);
    pending.delivered.last = Some((end - 1, batch.last_seq()));
    pending.delivered.buffer = batch.into_buffer();
    Ok(Next::Done)
}

/// Finds out who wrote the records between the batches of this lane.
async fn inspect(sender: &Sender, pending: &mut Pending, from: i64, to: i64) -> Result<(), Error> {
    let (partition, lane) = (pending.id().clone(), sender.lane);
    let (mut late, mut older, mut foreign) = (0u64, 0u64, 0u64);
    let visit = |_, _, found: Found, producer_id: i64| {
        match found {
            Found::Ours(position, _) if position.run == lane.run && position.epoch > lane.epoch => {
                return Err(Error::Fenced { partition: partition.clone(), theirs: position.epoch, ours: lane.epoch });
            }
            Found::Ours(position, _) if position.run == lane.run && position.epoch < lane.epoch => older += 1,
            Found::Ours(position, _) if position.run == lane.run && sender.producer.is_of_another_process(producer_id) => {
                return Err(Error::SecondInstance { partition: partition.clone(), producer_id });
            }
            Found::Ours(position, _) if position.run == lane.run => late += 1,
            Found::Ours(_, _) | Found::Foreign => foreign += 1,
        }
        Ok(())
    };
    let part = LogPart { partition: partition.clone(), from, to, first_only: false };
    scan_with_producers(sender.producer.session(), &[part], visit).await?;
    if older > 0 {
        tracing::warn!(%partition, records = older, "an earlier process of this task still writes; readers see its records as repeats");
    }
    if late > 0 {
        tracing::warn!(%partition, records = late, "a late request of this process reached the log; readers see its records as repeats");
    }
    if foreign > 0 {
        tracing::warn!(%partition, "another program writes to this partition: repeats cannot be found by offsets any more");
        pending.state.shared = true;
    }
    sender.repeats.add(older + late);
    Ok(())
}

/// Returns the offset of the first batch, which is in the log although the broker did not say where. Finds it by the sequence number of its
/// last record.
async fn find_batch(sender: &Sender, pending: &Pending) -> Result<i64, Error> {
    let session = sender.producer.session();
    let Some(batch) = pending.queue.front() else { return Ok(0) };
    let missing = || pending.outcome_unknown("the broker says that it has the batch, but it is not in the log".into());
    let ranges = log_ranges(session, std::slice::from_ref(pending.id())).await?;
    let range = ranges.first().ok_or_else(missing)?;
    let from = pending.state.expected_offset.unwrap_or(range.start).max(range.start);
    let (lane, mut last) = (sender.lane, None);
    let visit = |_, offset, found| {
        if let Found::Ours(position, _) = found
            && (position.run, position.epoch, position.split, position.seq) == (lane.run, lane.epoch, lane.split, batch.last_seq())
        {
            last = Some(offset);
        }
        Ok(())
    };
    let part = LogPart { partition: pending.id().clone(), from, to: range.end, first_only: false };
    scan(session, &[part], visit).await?;
    let last: i64 = last.ok_or_else(missing)?;
    Ok(last + 1 - i64::from(batch.count()))
}

/// Handles a first batch whose request to the leader `broker` was not answered.
pub(super) async fn unanswered(sender: &Sender, pending: &mut Pending, broker: Option<i32>, error: &ClientError) -> Result<Next, Error> {
    if let (Some(broker), ClientError::ConnectionEnded { .. }) = (broker, error) {
        pending.ended = if pending.ended_by.replace(broker) == Some(broker) { pending.ended + 1 } else { 1 };
        // A broker that goes down ends connections as well. But one that has just accepted a new connection is asked for its limit.
        if (pending.ended > 1 || !sender.producer.is_idempotent())
            && let Some((bytes, limit, broker)) = exceeds_request_limit(sender, pending, broker).await
        {
            return request_too_large(pending, bytes, limit, broker);
        }
    }
    resend_if_idempotent(sender, pending, ServerText::of(error).to_string())
}

/// Whether the first batch is larger than the broker accepts: the size of the request, the limit if it is known, and the broker's address.
///
/// If the broker does not return its limit, a large request counts as too large when the broker ended the connection at every attempt. Each attempt after the first one had a new connection, on which the broker had answered other requests.
async fn exceeds_request_limit(sender: &Sender, pending: &Pending, broker: i32) -> Option<(usize, Option<u64>, String)> {
    let (session, batch) = (sender.producer.session(), pending.queue.front()?);
    let records = PartitionRecords { topic: &pending.id().topic, partition: pending.id().index(), records: batch.bytes() };
    let bytes = records.request_bytes();
    let asked = timeout(session.timeouts().suspect, topics::max_request_bytes(session, broker)).await;
    let (limit, address) = asked.ok()?.ok()?;
    let exceeds = match limit {
        Some(limit) => u64::try_from(bytes).is_ok_and(|bytes| bytes > limit),
        None => bytes > LARGE_REQUEST && pending.ended > MAX_RESENDS,
    };
    // Invariant: all attempts went to this broker and ended in this way. If one of them was appended nevertheless, the broker refuses the
    // halves of the batch by their sequence numbers, and the lane recovers.
    let only_ended = pending.ended == pending.resends + 1;
    (exceeds && only_ended).then_some((bytes, limit, address))
}

/// Handles a first batch that is larger than the broker accepts: splits it into halves, or rejects it if it has only one record.
fn request_too_large(pending: &mut Pending, bytes: usize, limit: Option<u64>, broker: String) -> Result<Next, Error> {
    let Some(batch) = pending.queue.pop_front() else { return Ok(Next::Done) };
    if batch.count() > 1 {
        return halve(pending, batch);
    }
    let partition = pending.id().clone();
    reject(pending, batch, Error::RequestTooLarge { partition, bytes, limit, broker });
    Ok(Next::Done)
}

/// Handles a first batch whose outcome is unknown. With a producer id the same bytes are sent again, and the broker drops a duplicate.
/// Without one the lane must recover.
pub(super) fn resend_if_idempotent(sender: &Sender, pending: &mut Pending, problem: String) -> Result<Next, Error> {
    pending.resends += 1;
    let is_late = pending.is_late(sender.producer.session().timeouts().resend);
    if !sender.producer.is_idempotent() || pending.resends > MAX_RESENDS || is_late {
        return Err(pending.outcome_unknown(problem));
    }
    tracing::debug!(partition = %pending.id(), problem, "sending the same batch again");
    Ok(Next::Resend)
}

/// Handles a first batch that this attempt did not write. The batch is sent again until its time is over; then the error is returned.
pub(super) fn not_sent(sender: &Sender, pending: &mut Pending, error: impl FnOnce() -> ClientError) -> Result<Next, Error> {
    if pending.is_late(sender.producer.session().timeouts().resend) { Err(error().into()) } else { Ok(Next::Resend) }
}
