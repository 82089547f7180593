//! Writes the events of one lane: routes and encodes them, fills record batches, and has the batches delivered.
//!
//! While a batch of a partition is in flight, the next batch is encoded and compressed. It is sent after the broker has answered the first
//! one.

use std::ops::Range;
use std::sync::Arc;

use runtime::{Batch, Body, Encoder, Event, Kind, Message, Op, Seq, SplitKind};

use super::in_flight::InFlight;
use super::open_batches::OpenBatches;
use super::outcome::{Delivered, Sender};
use super::record_batch::Record;
use super::refusals::Refusals;
use super::send::{self, Delivery};
use super::writer_topics::{TopicState, WriterTopics};
use crate::codec::Codec;
use crate::error::Error;
use crate::resume::record_header::{self, NOT_EXACT, SCHEMA_CHANGE, SCHEMA_ID, SNAPSHOT};
use crate::resume::{Evidence, Mark, PartitionTail, Tail, TransactionBytes};
use crate::routing::{Route, Router, Target};
use crate::schema_registry::RegistryError;

/// The largest total size of all open batches, in bytes. With thousands of partitions no batch may ever become full, so all of them are
/// sent when this size is exceeded.
const MAX_OPEN_BYTES: usize = 8 << 20;
/// The largest total size of all batches in flight, in bytes.
const MAX_IN_FLIGHT_BYTES: usize = 16 << 20;
/// The low bits of the sequence number of a stream's event. The source leaves them 0, so that the sink can number further records of the
/// same event.
const SUB_BITS: u128 = 0x7f;

/// The parts that a writer is made of.
pub(crate) struct WriterOptions {
    pub(crate) sender: Sender,
    pub(crate) kind: SplitKind,
    /// The number of the attempt of this process to deliver the split.
    pub(crate) attempt: u32,
    pub(crate) evidence: Arc<Evidence>,
    pub(crate) router: Router,
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) codec: Codec,
    pub(crate) record_batch_bytes: usize,
    /// Whether record values begin with the id of their schema.
    pub(crate) schema_ids: bool,
}

/// The writer of one lane.
pub(crate) struct Writer {
    pub(super) sender: Sender,
    kind: SplitKind,
    attempt: u32,
    evidence: Arc<Evidence>,
    pub(super) router: Router,
    pub(super) topics: WriterTopics,
    /// What was delivered under earlier numbers and was not read once more yet.
    tail: Tail,
    pub(super) encoder: Box<dyn Encoder>,
    schema_ids: bool,
    open: OpenBatches,
    in_flight: InFlight,
    pub(super) refusals: Refusals,
    /// The topics that cannot be written to because the registry refuses the schema.
    refused_topics: Vec<(Arc<str>, RegistryError)>,
    /// Whether a part of the events was written before, together with an event that was refused.
    again: bool,
    /// Whether an event of a full phase has had further records. Their numbers may be those of the next events.
    numbers_overlap: bool,
    /// Up to this seq each row is encoded alone, because a message of several rows was refused.
    alone: Seq,
    pub(super) scratch: Scratch,
}

/// Buffers that are reused for every write.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) message: Message,
    pub(super) key: Vec<u8>,
    /// The key of a row before an update.
    pub(super) old_key: Vec<u8>,
    header: Vec<u8>,
    header_prefix: usize,
    transaction: TransactionBytes,
    destinations: Vec<Destination>,
    schema_targets: Vec<Target>,
    rejections: Rejections,
}

/// The destination of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    Target(Target),
    /// The event is an update that is written as a DELETE and an INSERT. What of them was delivered before is found out for each record.
    Moved {
        from: Target,
        to: Target,
    },
    /// The event's record was delivered before a restart; its tombstone may not have been delivered.
    TombstoneOnly(Target),
    /// The event was delivered before a restart, or it was rejected.
    Skip,
    /// The event is a transaction boundary or a heartbeat, for which there is no topic.
    Nowhere,
}

/// Events that cannot be written, by their index in the batch.
type Rejections = Vec<(usize, runtime::Error)>;

/// The kind of record that is written for an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// A record with the message of the format.
    Message,
    /// A record with a null value and the key of the event's record.
    Tombstone,
    /// A record with a null value and the key that the row had before the event.
    OldKeyTombstone,
    /// A record with the message of the INSERT that an update is split into.
    Inserted,
}

impl RecordKind {
    /// The seq of a record of the event, which is counted whether the records before it are written or not.
    pub(super) fn seq(self, event: &Event) -> Seq {
        let sub = match self {
            Self::Message => 0,
            Self::Tombstone | Self::OldKeyTombstone => 1,
            Self::Inserted => 2,
        };
        Seq(event.seq.0.saturating_add(sub))
    }
}

impl Writer {
    pub(crate) fn new(options: WriterOptions) -> Self {
        let WriterOptions { sender, kind, attempt, evidence, router, encoder, codec, record_batch_bytes, schema_ids } = options;
        let mut scratch = Scratch::default();
        record_header::write_prefix(&mut scratch.header, sender.lane);
        scratch.header_prefix = scratch.header.len();
        Self {
            sender,
            kind,
            attempt,
            evidence,
            router,
            topics: WriterTopics::default(),
            tail: Tail::default(),
            encoder,
            schema_ids,
            open: OpenBatches::new(codec, record_batch_bytes),
            in_flight: InFlight::default(),
            refusals: Refusals::default(),
            refused_topics: Vec::new(),
            again: false,
            numbers_overlap: false,
            alone: Seq(0),
            scratch,
        }
    }

    /// Whether the lane's split is one of the full phase.
    pub(crate) fn is_snapshot(&self) -> bool {
        self.kind == SplitKind::Snapshot
    }

    /// Adds a topic, so that events can be routed to it. `tails` are what was delivered to each partition under earlier numbers.
    pub(crate) fn add_topic(&mut self, topic: TopicState, tails: Vec<Option<PartitionTail>>) {
        for (partition, tail) in tails.into_iter().enumerate() {
            self.tail.add(Target { topic: self.topics.len(), partition }, tail.unwrap_or_default());
        }
        self.router.add_topic(topic.name().clone(), topic.partition_count());
        self.open.add_topic(topic.partition_count());
        self.topics.push(topic);
    }

    /// Returns a topic that was added; `None` if it was not.
    pub(crate) fn topic_mut(&mut self, name: &str) -> Option<&mut TopicState> {
        self.router.topic_index(name).and_then(|index| self.topics.get_mut(index))
    }

    /// The marks of all partitions, by topic. A mark says up to where the partition was delivered.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &Mark>)> {
        self.topics.iter().map(|topic| (&**topic.name(), topic.marks()))
    }

    /// Notes that the registry refuses the schema for a topic. Rows that go there are rejected, until the next call of
    /// [`Writer::forget_refused_topics`].
    pub(crate) fn refuse_topic(&mut self, name: Arc<str>, error: RegistryError) {
        self.refused_topics.push((name, error));
    }

    /// Lets the registry be asked again.
    pub(crate) fn forget_refused_topics(&mut self) {
        self.refused_topics.clear();
    }

    /// Decides where each event goes; events that were delivered before are skipped. Returns the topics that must be made ready first. If
    /// there are any, the caller makes them ready and calls this function again.
    pub(crate) fn route(&mut self, events: &[Event]) -> Result<Vec<Arc<str>>, runtime::Error> {
        let mut destinations = std::mem::take(&mut self.scratch.destinations);
        destinations.clear();
        self.scratch.rejections.clear();
        self.scratch.schema_targets.clear();
        let mut missing = Vec::new();
        if !self.tail.is_empty() {
            events.iter().for_each(|event| self.tail.note(event.txid.as_ref()));
        }
        let result = match events {
            // Invariant: the runtime puts a schema change into a batch of its own.
            [event @ Event { body: Body::Schema(_), .. }] => self.route_schema_change(event, &mut missing),
            _ => self.route_into(events, &mut destinations, &mut missing),
        };
        self.scratch.destinations = destinations;
        result.map(|()| missing)
    }

    fn route_schema_change(&mut self, event: &Event, missing: &mut Vec<Arc<str>>) -> Result<(), runtime::Error> {
        let Body::Schema(change) = &event.body else { return Ok(()) };
        for route in self.router.route_schema_change(change).map_err(|error| runtime::Error::from(error).of_event(event))? {
            match self.ready(route, missing).map_err(|error| error.of_event(event))? {
                Some(Destination::Target(target)) if !self.is_delivered(target, event) => self.scratch.schema_targets.push(target),
                _ => {}
            }
        }
        Ok(())
    }

    fn route_into(
        &mut self,
        events: &[Event],
        destinations: &mut Vec<Destination>,
        missing: &mut Vec<Arc<str>>,
    ) -> Result<(), runtime::Error> {
        let tombstones = self.router.rules().tombstones;
        for (index, event) in events.iter().enumerate() {
            let destination = match self.router.route(event).and_then(|route| self.ready(route, missing)) {
                Ok(destination) => destination.unwrap_or(Destination::Skip),
                Err(error) if error.kind() == Kind::Data => {
                    self.scratch.rejections.push((index, error));
                    Destination::Skip
                }
                Err(error) => return Err(error.of_event(event)),
            };
            let several = tombstones || matches!(destination, Destination::Moved { .. });
            if several && self.kind == SplitKind::Stream && !is_heartbeat(event) && event.seq.0 & SUB_BITS != 0 {
                return Err(runtime::Error::from(Error::NoRoomForRecords { seq: event.seq.0 }).of_event(event));
            }
            destinations.push(match destination {
                Destination::Target(target) if self.is_delivered(target, event) => {
                    if tombstones {
                        Destination::TombstoneOnly(target)
                    } else {
                        Destination::Skip
                    }
                }
                destination => destination,
            });
        }
        Ok(())
    }

    /// The destination of a route. If its topic is not ready, the topic is added to `missing` and the result is `None`. It is an error of kind
    /// `Data` if the registry refuses the schema for the topic.
    fn ready(&self, route: Route, missing: &mut Vec<Arc<str>>) -> Result<Option<Destination>, runtime::Error> {
        let (target, destination) = match route {
            Route::Nowhere => return Ok(Some(Destination::Nowhere)),
            Route::Unknown(name) => return self.missing(name, missing),
            Route::To(target) => (target, Destination::Target(target)),
            Route::Moved { from, to } => (to, Destination::Moved { from, to }),
        };
        match self.topics.get(target.topic) {
            Some(topic) if !topic.is_ready() => self.missing(topic.name().clone(), missing),
            _ => Ok(Some(destination)),
        }
    }

    fn missing(&self, name: Arc<str>, missing: &mut Vec<Arc<str>>) -> Result<Option<Destination>, runtime::Error> {
        if let Some((_, refused)) = self.refused_topics.iter().find(|(topic, _)| *topic == name) {
            return Err(runtime::Error::from(Error::Registry(refused.clone())).bound_for(&*name, None));
        }
        if !missing.contains(&name) {
            missing.push(name);
        }
        Ok(None)
    }

    /// Delivers the events that were routed. An event that cannot be written is rejected, and what comes behind it is postponed
    /// ([`Batch::sort_out`]).
    ///
    /// Invariant: no later event goes to the same partition in this write. The greatest seq in a partition says what was delivered, so after
    /// a restart a later record would make the rejected event count as delivered.
    pub(crate) async fn write(&mut self, batch: &mut Batch) -> Result<(), runtime::Error> {
        loop {
            let rejections = std::mem::take(&mut self.scratch.rejections);
            let end = rejections.first().map_or(batch.events.len(), |(index, _)| *index);
            let events = batch.events.get(..end).unwrap_or_default();
            let result = self.fill_and_send(events).await;
            // Invariant: when this function returns, with or without an error, none of its requests is in flight.
            let awaited = self.await_all(events).await;
            if let Err(error) = result.and(awaited) {
                // Other lanes must not use the producer any more. Batches that were not sent are dropped together with this lane.
                self.sender.producer.invalidate();
                return Err(error);
            }
            rejections.into_iter().for_each(|(index, error)| self.refusals.add(index..index + 1, error));
            let refusals = std::mem::take(&mut self.refusals);
            self.again = !refusals.is_empty();
            let Some(last) = refusals.first_of_several().and_then(|last| batch.events.get(last)) else {
                refusals.sort_out(batch);
                return Ok(());
            };
            self.alone = last.seq;
            // All topics are ready, so nothing is missing. What was delivered is passed over.
            self.route(&batch.events)?;
        }
    }

    async fn fill_and_send(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        self.fill(events).await?;
        // Invariant: everything before the first refused event is sent, because events are encoded in their order.
        self.send_rest(events).await
    }

    async fn fill(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        for target in std::mem::take(&mut self.scratch.schema_targets) {
            self.encode(events, 0..1, Some(target)).await?;
        }
        let mut from = 0;
        while from < events.len()
            && self.refusals.is_empty()
            && let Some(&destination) = self.scratch.destinations.get(from)
        {
            let to = self.run_end(events, from);
            match destination {
                Destination::Skip => {}
                Destination::Target(target) => {
                    if is_heartbeat(&events[from]) {
                        // A heartbeat states the last seq of its partition. So everything before it is delivered first.
                        self.send_rest(events).await?;
                        self.await_all(events).await?;
                    }
                    self.encode(events, from..to, Some(target)).await?;
                }
                Destination::Moved { from: old, to: new } => {
                    for index in from..to {
                        self.add_move(events, index, old, new).await?;
                    }
                }
                Destination::TombstoneOnly(target) => {
                    for index in from..to {
                        self.add_tombstone(events, index, target).await?;
                    }
                }
                Destination::Nowhere => self.encode(events, from..to, None).await?,
            }
            from = to;
        }
        Ok(())
    }

    /// Whether an event was delivered before a restart. A heartbeat is always sent, because it has no seq of its own.
    fn is_delivered(&mut self, target: Target, event: &Event) -> bool {
        !is_heartbeat(event) && self.is_covered(target, event, event.seq)
    }

    /// Whether a record of an event, with this seq, was delivered before a restart, or together with an event that was refused.
    pub(super) fn is_covered(&mut self, target: Target, event: &Event, seq: Seq) -> bool {
        if self.is_snapshot() {
            return self.again && !self.numbers_overlap && self.topics.covers(target, record_header::seq_of_attempt(self.attempt, seq));
        }
        let is_in_tail = !self.tail.is_empty() && self.tail.covers(target, event.txid.as_ref(), seq);
        is_in_tail || self.topics.covers(target, seq)
    }

    /// Notes that all transactions of which an event was written are complete. Fails if one of them lacks records that were delivered before.
    pub(crate) fn end_transactions(&mut self) -> Result<(), Error> {
        if !self.tail.is_empty() {
            self.tail.forget_read()?;
            if self.tail.is_empty() {
                self.topics.release_marks();
            }
        }
        Ok(())
    }

    /// The end of the run of events that begins at `from`: events with the same destination and the same table definition, which an encoder
    /// may put into one message.
    fn run_end(&self, events: &[Event], from: usize) -> usize {
        let table = |event: &Event| match &event.body {
            Body::Row(row) => Some(Arc::as_ptr(&row.schema)),
            _ => None,
        };
        let first = table(&events[from]);
        let same = |&index: &usize| {
            first.is_some() && self.scratch.destinations[index] == self.scratch.destinations[from] && table(&events[index]) == first
        };
        if events[from].seq <= self.alone {
            return from + 1;
        }
        (from + 1..events.len()).find(|index| !same(index)).unwrap_or(events.len())
    }

    /// Adds a record to the batch of its partition. Sends this batch if it is full, or all batches if they take too much memory.
    pub(super) async fn add(&mut self, events: &[Event], of: Range<usize>, target: Target, kind: RecordKind) -> Result<(), runtime::Error> {
        if !self.refusals.is_empty() {
            return Ok(());
        }
        if self.append(events, of, target, kind)? {
            self.send_full(target, events).await?;
        } else if self.open.bytes() > MAX_OPEN_BYTES {
            self.send_rest(events).await?;
            // Invariant: a delivery of several partitions can be found by only one of them. So all deliveries must end before another batch
            // of these partitions is sent.
            self.await_all(events).await?;
        }
        Ok(())
    }

    /// Adds a record to the batch of its partition. Returns whether the batch is full.
    fn append(&mut self, events: &[Event], of: Range<usize>, target: Target, kind: RecordKind) -> Result<bool, runtime::Error> {
        // A message gets the seq of its last event: a message is delivered as a whole, so all its events are delivered.
        let Some(last) = events.get(of.end - 1) else { return Ok(false) };
        let seq = match kind.seq(last) {
            _ if is_heartbeat(last) => self.topics.last_seq(target),
            seq if self.is_snapshot() => record_header::seq_of_attempt(self.attempt, seq),
            seq => seq,
        };
        self.numbers_overlap |= kind != RecordKind::Message && self.is_snapshot();
        let flags = flags(last, self.kind) | if self.schema_ids { SCHEMA_ID } else { 0 };
        let Scratch { message, key, old_key, header, header_prefix, transaction, .. } = &mut self.scratch;
        header.truncate(*header_prefix);
        header.extend_from_slice(&seq.0.to_be_bytes());
        header.push(flags);
        header.extend_from_slice(transaction.of(last.txid.as_ref()));
        let record = match kind {
            RecordKind::Message | RecordKind::Inserted => Record {
                key: message.key(),
                value_prefix: self.topics.get(target.topic).map_or(&[], TopicState::prefix),
                value: Some(&message.value),
                message: (message.headers().len() > 0).then_some(message),
                position: header,
            },
            RecordKind::Tombstone => Record { key: Some(key), position: header, ..Record::default() },
            RecordKind::OldKeyTombstone => Record { key: Some(old_key), position: header, ..Record::default() },
        };
        let full = self.open.push(target, &record, of.start as u32..of.end as u32, seq);
        full.ok_or_else(|| runtime::Error::fatal("a route leads to a partition that the lane does not have"))
    }

    /// Closes the batch of a partition; `None` if it has no open batch.
    fn seal(&mut self, target: Target) -> Result<Option<Delivery>, runtime::Error> {
        let (Some(partition), Some(batch)) = (self.topics.partition(target).cloned(), self.open.seal(target)?) else { return Ok(None) };
        Ok(Some(Delivery { partition, batch }))
    }

    /// Sends a full batch in the background. Waits only for the previous batch of the same partition, and for older deliveries if too much
    /// is in flight.
    async fn send_full(&mut self, target: Target, events: &[Event]) -> Result<(), runtime::Error> {
        let Some(delivery) = self.seal(target)? else { return Ok(()) };
        self.await_delivery(target, events).await?;
        if self.refusals.is_blocked(target) {
            return Ok(());
        }
        self.send(target, vec![delivery]);
        // The oldest delivery is awaited first.
        while self.in_flight.bytes() > MAX_IN_FLIGHT_BYTES
            && let Some(first) = self.in_flight.first()
        {
            self.await_delivery(first, events).await?;
        }
        Ok(())
    }

    /// Sends batches in the background. `target` is the partition by which the delivery is found.
    fn send(&mut self, target: Target, deliveries: Vec<Delivery>) {
        let bytes = deliveries.iter().map(|delivery| delivery.batch.bytes().len()).sum();
        self.in_flight.push(target, bytes, tokio::spawn(send::deliver(self.sender.clone(), deliveries)));
    }

    /// Sends all open batches, in one request per broker, to all brokers at the same time.
    async fn send_rest(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        let touched = self.open.take_touched();
        let mut by_broker: Vec<(Option<i32>, Target, Vec<Delivery>)> = Vec::new();
        for &target in &touched {
            self.await_delivery(target, events).await?;
            let Some(delivery) = self.seal(target)? else { continue };
            let id = &delivery.partition.id;
            let broker = self.sender.producer.session().leader(&id.topic, id.partition);
            match by_broker.iter_mut().find(|(known, _, _)| *known == broker) {
                Some((_, _, deliveries)) => deliveries.push(delivery),
                None => by_broker.push((broker, target, vec![delivery])),
            }
        }
        self.open.reuse(touched);
        // The last request is made by this task, so no task is spawned for it.
        let last = by_broker.pop();
        for (_, target, deliveries) in by_broker {
            self.send(target, deliveries);
        }
        if let Some((_, _, deliveries)) = last {
            let delivered = send::deliver(self.sender.clone(), deliveries).await?;
            self.note(delivered, events)?;
        }
        Ok(())
    }

    /// Waits for the delivery that is found by this partition, if there is one.
    async fn await_delivery(&mut self, target: Target, events: &[Event]) -> Result<(), runtime::Error> {
        if let Some(handle) = self.in_flight.remove(target) {
            let delivered = handle.await.map_err(|error| Error::DeliveryLost { problem: error.to_string() })??;
            self.note(delivered, events)?;
        }
        Ok(())
    }

    /// Waits for all deliveries in flight.
    async fn await_all(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        let mut result = Ok(());
        while let Some(first) = self.in_flight.first() {
            let awaited = self.await_delivery(first, events).await;
            result = result.and(awaited);
        }
        result
    }

    /// Notes what was delivered, and what a broker refused. Fails if it is not certain that the record itself is the reason for a refusal.
    fn note(&mut self, delivered: Vec<Delivered>, events: &[Event]) -> Result<(), runtime::Error> {
        let mut result = Ok(());
        for Delivered { partition, first, last, rejected, buffer } in delivered {
            let topic = self.router.topic_index(&partition.id.topic);
            if let (Some(topic), Some((offset, seq))) = (topic, last) {
                self.topics.advance(Target { topic, partition: partition.id.partition }, offset, seq);
                if self.is_snapshot() {
                    let partitions = self.topics.get(topic).map_or(0, TopicState::partition_count);
                    let (split, session) = (self.sender.lane.split, self.sender.producer.session());
                    let id = || session.topic_id(&partition.id.topic).map(|id| id.to_string());
                    self.evidence.note(&partition.id, partitions, first.unwrap_or(offset)..=offset, (split, seq), id);
                }
            }
            self.open.keep(buffer);
            let Some((range, error)) = rejected else { continue };
            let of = range.start as usize..range.end as usize;
            let is_certain = error.cause().is_some();
            let error = runtime::Error::from(error);
            match topic {
                Some(topic) if is_certain => {
                    let target = Target { topic, partition: partition.id.partition };
                    // Invariant: what was encoded behind the refused record is not sent to its partition.
                    self.open.discard(target);
                    self.refusals.block(target);
                    self.refusals.add(of, error);
                }
                _ => {
                    result = result.and(Err(match events.get(of.start) {
                        Some(event) => error.of_event(event),
                        None => error,
                    }));
                }
            }
        }
        result
    }
}

fn is_heartbeat(event: &Event) -> bool {
    matches!(event.body, Body::Heartbeat)
}

fn flags(event: &Event, kind: SplitKind) -> u8 {
    let body = match &event.body {
        Body::Row(row) if row.op == Op::Read => SNAPSHOT,
        Body::Schema(_) => SCHEMA_CHANGE,
        // A heartbeat has the seq of the record before it. The flag tells readers not to treat it as a repeat.
        Body::Heartbeat => NOT_EXACT,
        _ => 0,
    };
    body | if kind == SplitKind::Snapshot { SNAPSHOT | NOT_EXACT } else { 0 }
}
