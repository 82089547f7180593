//! Writes the events of one lane: routes them, encodes them, fills record batches and has them delivered.
//!
//! While a batch of a partition is in flight, the next one is encoded and compressed; it is sent when the answer has arrived.

use std::ops::Range;
use std::sync::Arc;

use runtime::{Batch, Body, Encoder, Event, Kind, Message, Op, RowChange, Seq, SplitKind};

use super::in_flight::InFlight;
use super::open_batches::OpenBatches;
use super::outcome::{Delivered, Sender};
use super::record_batch::Record;
use super::send::{self, Delivery};
use super::writer_topics::{TopicState, WriterTopics};
use crate::codec::Codec;
use crate::error::Error;
use crate::resume::Mark;
use crate::resume::record_header::{self, NOT_EXACT, SCHEMA_CHANGE, SCHEMA_ID, SNAPSHOT};
use crate::routing::{RecordKey, Route, Router, Target};

/// Records that wait in open batches, of all partitions together: with thousands of partitions no batch may ever be full.
const MAX_OPEN_BYTES: usize = 8 << 20;
/// Batches that are in flight, of all partitions together.
const MAX_IN_FLIGHT_BYTES: usize = 16 << 20;
/// The low bits of a stream's seq that are left to the sink, for further records of the same event.
const SUB_BITS: u128 = 0x7f;

/// The parts of a writer.
pub(crate) struct WriterOptions {
    pub(crate) sender: Sender,
    pub(crate) kind: SplitKind,
    pub(crate) router: Router,
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) codec: Codec,
    pub(crate) record_batch_bytes: usize,
    /// Whether values begin with the id of their schema.
    pub(crate) schema_ids: bool,
}

/// Writes the events of one lane.
pub(crate) struct Writer {
    sender: Sender,
    kind: SplitKind,
    router: Router,
    topics: WriterTopics,
    encoder: Box<dyn Encoder>,
    schema_ids: bool,
    open: OpenBatches,
    in_flight: InFlight,
    /// A broker refused a record: what is encoded behind it must not be sent.
    refused: bool,
    scratch: Scratch,
}

/// What is reused from write to write.
#[derive(Default)]
struct Scratch {
    message: Message,
    key: Vec<u8>,
    /// The key of a row before an update.
    old_key: Vec<u8>,
    header: Vec<u8>,
    header_prefix: usize,
    destinations: Vec<Destination>,
    schema_targets: Vec<Target>,
    rejections: Rejections,
}

/// Where an event of the batch goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    Target(Target),
    /// Its record was delivered before; its tombstone perhaps not.
    TombstoneOnly(Target),
    /// Delivered before, or rejected.
    Skip,
    /// A transaction boundary or a heartbeat that has no topic.
    Nowhere,
}

/// Events that cannot be carried, by their index in the batch.
type Rejections = Vec<(usize, runtime::Error)>;

/// Which record is written for an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RecordKind {
    /// The message of the format.
    Message,
    /// A null value with the key of the event's record.
    Tombstone,
    /// A null value with the key that the row had before.
    OldKeyTombstone,
}

impl Writer {
    pub(crate) fn new(options: WriterOptions) -> Self {
        let WriterOptions { sender, kind, router, encoder, codec, record_batch_bytes, schema_ids } = options;
        let mut scratch = Scratch::default();
        record_header::write_prefix(&mut scratch.header, sender.lane);
        scratch.header_prefix = scratch.header.len();
        Self {
            sender,
            kind,
            router,
            topics: WriterTopics::default(),
            encoder,
            schema_ids,
            open: OpenBatches::new(codec, record_batch_bytes),
            in_flight: InFlight::default(),
            refused: false,
            scratch,
        }
    }

    /// Adds a topic that events may be routed to.
    pub(crate) fn add_topic(&mut self, topic: TopicState) {
        self.router.add_topic(topic.name().clone(), topic.partition_count());
        self.open.add_topic(topic.partition_count());
        self.topics.push(topic);
    }

    /// A topic that was added.
    pub(crate) fn topic_mut(&mut self, name: &str) -> Option<&mut TopicState> {
        self.router.topic_index(name).and_then(|index| self.topics.get_mut(index))
    }

    /// How far each partition of each topic was delivered.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &Mark>)> {
        self.topics.iter().map(|topic| (&**topic.name(), topic.marks()))
    }

    /// Decides where each event goes; events that were delivered before are skipped. Returns the topics that must be made ready first. If there
    /// are any, it must be called again.
    pub(crate) fn route(&mut self, events: &[Event]) -> Result<Vec<Arc<str>>, runtime::Error> {
        let mut destinations = std::mem::take(&mut self.scratch.destinations);
        destinations.clear();
        self.scratch.rejections.clear();
        self.scratch.schema_targets.clear();
        let mut missing = Vec::new();
        let result = match events {
            // Invariant of batches: a schema change travels alone.
            [event @ Event { body: Body::Schema(_), .. }] => self.route_schema_change(event, &mut missing),
            _ => self.route_into(events, &mut destinations, &mut missing),
        };
        self.scratch.destinations = destinations;
        result.map(|()| missing)
    }

    fn route_schema_change(&mut self, event: &Event, missing: &mut Vec<Arc<str>>) -> Result<(), runtime::Error> {
        let Body::Schema(change) = &event.body else { return Ok(()) };
        for route in self.router.route_schema_change(change).map_err(|error| runtime::Error::from(error).of_event(event))? {
            match self.ready(route, missing) {
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
            if tombstones && self.kind == SplitKind::Stream && event.seq.0 & SUB_BITS != 0 {
                return Err(runtime::Error::from(Error::NoRoomForTombstone { seq: event.seq.0 }).of_event(event));
            }
            let destination = match self.router.route(event) {
                Ok(route) => self.ready(route, missing).unwrap_or(Destination::Skip),
                Err(error) if error.kind() == Kind::Data => {
                    self.scratch.rejections.push((index, error));
                    Destination::Skip
                }
                Err(error) => return Err(error.of_event(event)),
            };
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

    /// The destination of a route. `None` if its topic is not ready; then the topic is added to `missing`.
    fn ready(&self, route: Route, missing: &mut Vec<Arc<str>>) -> Option<Destination> {
        let name = match route {
            Route::Nowhere => return Some(Destination::Nowhere),
            Route::Unknown(name) => name,
            Route::To(target) => match self.topics.get(target.topic) {
                Some(topic) if !topic.is_ready() => topic.name().clone(),
                _ => return Some(Destination::Target(target)),
            },
        };
        if !missing.contains(&name) {
            missing.push(name);
        }
        None
    }

    /// Delivers the events that were routed. An event that cannot be carried is an error of kind `Data`.
    ///
    /// Invariant: nothing behind such an event goes to its partition, in this write or a later one. The greatest seq in a partition says what
    /// was delivered, so a later record would make the event count as delivered after a restart.
    pub(crate) async fn write(&mut self, batch: &mut Batch) -> Result<(), runtime::Error> {
        let rejected = std::mem::take(&mut self.scratch.rejections).into_iter().min_by_key(|(index, _)| *index);
        let end = rejected.as_ref().map_or(batch.events.len(), |(index, _)| *index);
        let events = batch.events.get(..end).unwrap_or_default();
        let result = self.fill_and_send(events).await;
        // Invariant: no request of this write is in flight when it returns, whatever happened.
        let awaited = self.await_all(events).await;
        let rejected = match (rejected, batch.events.get(end)) {
            (Some((_, error)), Some(event)) => Err(error.of_event(event)),
            _ => Ok(()),
        };
        let result = result.and(awaited).and(rejected);
        if result.is_err() {
            // Batches that were not sent are dropped with the lane.
            self.sender.producer.invalidate();
        }
        result
    }

    async fn fill_and_send(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        match self.fill(events).await {
            // What is before it is delivered; nothing behind it was encoded.
            Err(error) if error.kind() == Kind::Data && !self.refused => self.send_rest(events).await.and(Err(error)),
            filled => {
                filled?;
                self.send_rest(events).await
            }
        }
    }

    async fn fill(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        for target in std::mem::take(&mut self.scratch.schema_targets) {
            self.encode(events, 0..1, Some(target)).await?;
        }
        let mut from = 0;
        while from < events.len()
            && let Some(&destination) = self.scratch.destinations.get(from)
        {
            let to = self.run_end(events, from);
            match destination {
                Destination::Skip => {}
                Destination::Target(target) => self.encode(events, from..to, Some(target)).await?,
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

    /// A heartbeat comes again with the same seq, and is sent again.
    fn is_delivered(&self, target: Target, event: &Event) -> bool {
        !matches!(event.body, Body::Heartbeat) && self.is_covered(target, event.seq)
    }

    fn is_covered(&self, target: Target, seq: Seq) -> bool {
        self.kind == SplitKind::Stream && self.topics.covers(target, seq)
    }

    /// The end of the events from `from` on that go to the same destination and are of the same table: what an encoder may take together.
    fn run_end(&self, events: &[Event], from: usize) -> usize {
        let table = |event: &Event| match &event.body {
            Body::Row(row) => Some(Arc::as_ptr(&row.schema)),
            _ => None,
        };
        let first = table(&events[from]);
        let same = |&index: &usize| {
            first.is_some() && self.scratch.destinations[index] == self.scratch.destinations[from] && table(&events[index]) == first
        };
        (from + 1..events.len()).find(|index| !same(index)).unwrap_or(events.len())
    }

    /// Encodes a run of events. Their messages go to `target`; without one there may be none.
    async fn encode(&mut self, events: &[Event], run: Range<usize>, target: Option<Target>) -> Result<(), runtime::Error> {
        let mut from = run.start;
        while from < run.end {
            self.scratch.message.clear();
            let taken = match self.encoder.encode_many(&events[from..run.end], &mut self.scratch.message) {
                Ok(taken) if (1..=run.end - from).contains(&taken) => taken,
                Ok(taken) => return Err(runtime::Error::fatal(format!("the format took {taken} events of {}", run.end - from))),
                Err(error) => return Err(error.of_event(&events[from])),
            };
            let of = from..from + taken;
            from += taken;
            if !self.scratch.message.value.is_empty() {
                let target = target.ok_or(Error::UnexpectedControlMessage)?;
                let event = &events[of.end - 1];
                self.prepare_key(event)?;
                self.add(events, of.clone(), target, RecordKind::Message).await?;
                if self.router.rules().tombstones {
                    self.add_tombstone(events, of.end - 1, target).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes the key of an event's record into the message at hand, unless the format set one and the sink has none.
    fn prepare_key(&mut self, event: &Event) -> Result<(), runtime::Error> {
        if self.router.rules().record_key == RecordKey::None {
            return Ok(());
        }
        let Scratch { message, key, .. } = &mut self.scratch;
        let has_key = match &event.body {
            Body::Row(row) => {
                let image = row.newest().ok_or_else(|| runtime::Error::data("a row change has no image of the row"))?;
                self.router.find_route(&row.schema)?;
                self.router.write_row_key(&row.schema, image, key).map_err(|error| error.of_event(event))?
            }
            body => self.router.write_control_key(body, self.sender.lane.split, key),
        };
        if has_key {
            message.set_key(key);
        }
        Ok(())
    }

    /// Adds the tombstone that an event needs, unless it was delivered before: after a DELETE for the row's key, and after an update that
    /// changed the key or the partition for the old key, where its records are. `target` is that of the event's record.
    async fn add_tombstone(&mut self, events: &[Event], index: usize, target: Target) -> Result<(), runtime::Error> {
        let event = &events[index];
        let Body::Row(row) = &event.body else { return Ok(()) };
        let (target, kind) = match self.tombstone_of(row, target).map_err(|error| error.of_event(event))? {
            Some(tombstone) => tombstone,
            None => return Ok(()),
        };
        if self.is_covered(target, tombstone_seq(event)) {
            return Ok(());
        }
        self.add(events, index..index + 1, target, kind).await
    }

    /// Where a row change needs a tombstone. Its key is in the scratch afterwards.
    fn tombstone_of(&mut self, row: &RowChange, target: Target) -> Result<Option<(Target, RecordKind)>, runtime::Error> {
        let Some(before) = &row.before else { return Ok(None) };
        self.router.find_route(&row.schema)?;
        let Scratch { key, old_key, .. } = &mut self.scratch;
        match (row.op, &row.after) {
            (Op::Delete, _) => Ok(self.router.write_row_key(&row.schema, before, key)?.then_some((target, RecordKind::Tombstone))),
            (Op::Update, Some(after)) if self.router.may_move(before, after) => {
                if !self.router.write_row_key(&row.schema, before, old_key)? {
                    return Ok(None);
                }
                self.router.write_row_key(&row.schema, after, key)?;
                let old_target = self.router.target_of(&row.schema, before)?;
                // Different values may have the same text.
                let moved = old_target != target || key != old_key;
                Ok(moved.then_some((old_target, RecordKind::OldKeyTombstone)))
            }
            _ => Ok(None),
        }
    }

    /// Adds a record to its partition's batch. Sends the batch if it is full, or all batches if they need too much memory.
    async fn add(&mut self, events: &[Event], of: Range<usize>, target: Target, kind: RecordKind) -> Result<(), runtime::Error> {
        if self.append(events, of, target, kind)? {
            self.send_full(target, events).await?;
        } else if self.open.bytes() > MAX_OPEN_BYTES {
            self.send_rest(events).await?;
            // Invariant: a delivery of several partitions is found by one of them alone, so none of them may get another one beside it.
            self.await_all(events).await?;
        }
        Ok(())
    }

    /// Adds a record to its partition's batch; true if that is full.
    fn append(&mut self, events: &[Event], of: Range<usize>, target: Target, kind: RecordKind) -> Result<bool, runtime::Error> {
        // A message has the number of the last event in it: whoever has the message has all of them.
        let Some(last) = events.get(of.end - 1) else { return Ok(false) };
        let seq = if kind == RecordKind::Message { last.seq } else { tombstone_seq(last) };
        let flags = flags(last, self.kind) | if self.schema_ids { SCHEMA_ID } else { 0 };
        let Scratch { message, key, old_key, header, header_prefix, .. } = &mut self.scratch;
        header.truncate(*header_prefix);
        header.extend_from_slice(&seq.0.to_be_bytes());
        header.push(flags);
        let record = match kind {
            RecordKind::Message => Record {
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

    /// Closes the batch of a partition.
    fn seal(&mut self, target: Target) -> Result<Option<Delivery>, runtime::Error> {
        let (Some(partition), Some(batch)) = (self.topics.partition(target).cloned(), self.open.seal(target)?) else { return Ok(None) };
        Ok(Some(Delivery { partition, batch }))
    }

    /// Sends a full batch in the background; waits only for the one before it of the same partition.
    async fn send_full(&mut self, target: Target, events: &[Event]) -> Result<(), runtime::Error> {
        let Some(delivery) = self.seal(target)? else { return Ok(()) };
        self.await_delivery(target, events).await?;
        self.send(target, vec![delivery]);
        // The one that was sent first is awaited.
        while self.in_flight.bytes() > MAX_IN_FLIGHT_BYTES
            && let Some(first) = self.in_flight.first()
        {
            self.await_delivery(first, events).await?;
        }
        Ok(())
    }

    /// Sends batches in the background. The delivery is found by one of their partitions.
    fn send(&mut self, target: Target, deliveries: Vec<Delivery>) {
        let bytes = deliveries.iter().map(|delivery| delivery.batch.bytes().len()).sum();
        self.in_flight.push(target, bytes, tokio::spawn(send::deliver(self.sender.clone(), deliveries)));
    }

    /// Sends what is left: one request per broker, all brokers at once.
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
        // The last one needs no task of its own.
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

    /// Waits for the delivery that is found by a partition, if there is one.
    async fn await_delivery(&mut self, target: Target, events: &[Event]) -> Result<(), runtime::Error> {
        if let Some(handle) = self.in_flight.remove(target) {
            let delivered = handle.await.map_err(|error| Error::DeliveryLost { problem: error.to_string() })??;
            self.note(delivered, events)?;
        }
        Ok(())
    }

    /// Waits for everything that is in flight.
    async fn await_all(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        let mut result = Ok(());
        while let Some(first) = self.in_flight.first() {
            let awaited = self.await_delivery(first, events).await;
            result = result.and(awaited);
        }
        result
    }

    /// Notes what was delivered; the first record that the broker refused is an error.
    fn note(&mut self, delivered: Vec<Delivered>, events: &[Event]) -> Result<(), runtime::Error> {
        let mut result = Ok(());
        for Delivered { partition, last, rejected, buffer } in delivered {
            if let (Some(topic), Some((offset, seq))) = (self.router.topic_index(&partition.id.topic), last) {
                self.topics.advance(Target { topic, partition: partition.id.partition }, offset, seq);
            }
            self.open.keep(buffer);
            if let Some((range, error)) = rejected {
                self.refused = true;
                let error = runtime::Error::from(error);
                result = result.and(Err(match events.get(range.start as usize) {
                    Some(event) => error.of_event(event),
                    None => error,
                }));
            }
        }
        result
    }
}

/// The number of an event's tombstone: the next one of the same event.
fn tombstone_seq(event: &Event) -> Seq {
    Seq(event.seq.0.saturating_add(1))
}

fn flags(event: &Event, kind: SplitKind) -> u8 {
    let body = match &event.body {
        Body::Row(row) if row.op == Op::Read => SNAPSHOT,
        Body::Schema(_) => SCHEMA_CHANGE,
        // An equal seq may have been seen: readers take it all the same.
        Body::Heartbeat => NOT_EXACT,
        _ => 0,
    };
    body | if kind == SplitKind::Snapshot { SNAPSHOT | NOT_EXACT } else { 0 }
}
