//! One run of one split on the sink's side: encodes events, routes them, fills record batches and has them delivered.
//!
//! While a batch of a partition is under way, the next one is encoded and compressed; it is sent when the answer is there.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use runtime::{Batch, Body, Encoder, Event, Kind, Message, Op, Receipt, Seq, SplitKind};
use tokio::task::JoinHandle;

use super::send::{self, Delivered, Parcel, Tag};
use crate::client::session::{Partition, Session};
use crate::codec::Codec;
use crate::delivery::buffer_pool::Spares;
use crate::delivery::record_batch::RecordBatchBuilder;
use crate::error::Error;
use crate::resume::receipt::{self, Mark};
use crate::resume::record_header;
use crate::routing::router::{Route, Router, Target};
use crate::schema_registry::{Frame, Written};

/// Records that wait in open batches, of all partitions together: with thousands of partitions no batch may ever be full.
const OPEN_BYTES: usize = 8 << 20;
/// Batches that are under way, of all partitions together.
const FLYING_BYTES: usize = 16 << 20;
/// Buffers that are kept, in full batches: one is filled and one is under way, each before and after compression.
const SPARE_BATCHES: usize = 6;

/// One topic as the lane uses it.
pub(crate) struct LaneTopic {
    pub(crate) name: Arc<str>,
    /// Whether it was checked that the topic may be written to.
    pub(crate) judged: bool,
    /// What stands before each value: the id of its schema, where there is a registry.
    pub(crate) frame: Option<Frame>,
    pub(crate) partitions: Vec<LanePartition>,
}

/// One partition as the lane uses it.
pub(crate) struct LanePartition {
    pub(crate) shared: Arc<Partition>,
    pub(crate) mark: Mark,
    builder: Option<RecordBatchBuilder>,
    flight: Option<JoinHandle<Result<Vec<Delivered>, Error>>>,
}

impl LanePartition {
    pub(crate) fn new(shared: Arc<Partition>, mark: Mark) -> Self {
        Self { shared, mark, builder: None, flight: None }
    }
}

/// See the module.
pub(crate) struct Lane {
    pub(crate) session: Arc<Session>,
    pub(crate) tag: Tag,
    pub(crate) kind: SplitKind,
    pub(crate) router: Router,
    pub(crate) topics: Vec<LaneTopic>,
    pub(crate) encoder: Box<dyn Encoder>,
    pub(crate) codec: Codec,
    pub(crate) record_batch_bytes: usize,
    /// Whether values have a frame.
    pub(crate) framed: bool,
    /// What was written under ids of the registry, by this lane and those before it.
    pub(crate) schemas: Written,
    /// Bytes of records in open batches.
    open_bytes: usize,
    /// A broker refused a record: what is encoded behind it must not be sent.
    refused: bool,
    /// What is under way, with its bytes, in the order of sending.
    flying: VecDeque<(Target, usize)>,
    flying_bytes: usize,
    spares: Spares,
    scratch: Scratch,
}

/// What is reused from write to write.
#[derive(Default)]
struct Scratch {
    message: Message,
    header: Vec<u8>,
    header_prefix: usize,
    places: Vec<Place>,
    schema_targets: Vec<Target>,
    rejections: Rejections,
    touched: Vec<Target>,
}

/// Where an event of the batch goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Target(Target),
    /// Delivered before, or rejected.
    Skip,
    /// A transaction border that has no topic.
    Nowhere,
}

/// Events that cannot be carried, by their place in the batch.
type Rejections = Vec<(usize, runtime::Error)>;

impl Lane {
    pub(crate) fn new(
        session: Arc<Session>,
        tag: Tag,
        kind: SplitKind,
        router: Router,
        encoder: Box<dyn Encoder>,
        codec: Codec,
        record_batch_bytes: usize,
    ) -> Self {
        let mut scratch = Scratch::default();
        record_header::write_prefix(&mut scratch.header, tag.run, tag.epoch, tag.split);
        scratch.header_prefix = scratch.header.len();
        Self {
            session,
            tag,
            kind,
            router,
            topics: Vec::new(),
            encoder,
            codec,
            record_batch_bytes,
            framed: false,
            schemas: Written::new(),
            open_bytes: 0,
            refused: false,
            flying: VecDeque::new(),
            flying_bytes: 0,
            spares: Spares::new(SPARE_BATCHES * record_batch_bytes),
            scratch,
        }
    }

    /// How far the split came, and under which ids. Replays of snapshot splits are not exact, so nothing is said about how far they came.
    pub(crate) fn receipt(&self) -> Receipt {
        let topics = match self.kind {
            SplitKind::Snapshot if self.schemas.is_empty() => return Receipt::default(),
            SplitKind::Snapshot => &[],
            SplitKind::Stream => self.topics.as_slice(),
        };
        receipt::write(
            &self.session.routing,
            topics.iter().map(|topic| (&*topic.name, topic.partitions.iter().map(|partition| &partition.mark))),
            &self.schemas,
        )
    }

    /// Works out where each event goes; what was delivered before goes nowhere. Returns a topic that must be adopted first, if there is
    /// one: then it must be called again.
    pub(crate) fn place_events(&mut self, events: &[Event]) -> Result<Option<Arc<str>>, runtime::Error> {
        let mut places = std::mem::take(&mut self.scratch.places);
        let missing = self.place_into(events, &mut places);
        self.scratch.places = places;
        missing
    }

    fn place_into(&mut self, events: &[Event], places: &mut Vec<Place>) -> Result<Option<Arc<str>>, runtime::Error> {
        places.clear();
        self.scratch.rejections.clear();
        self.scratch.schema_targets.clear();
        // Invariant of batches: a schema change travels alone.
        if let [event @ Event { body: Body::Schema(change), .. }] = events {
            for route in self.router.route_schema_change(change).map_err(|error| about(error.into(), event))? {
                match route {
                    Route::Unknown(name) => return Ok(Some(name)),
                    Route::To(target) if !self.is_judged(target) => return Ok(self.name(target)),
                    Route::To(target) if self.is_delivered(target, event) => {}
                    Route::To(target) => self.scratch.schema_targets.push(target),
                    Route::Nowhere => {}
                }
            }
            return Ok(None);
        }
        for (index, event) in events.iter().enumerate() {
            places.push(match self.router.route(event) {
                Ok(Route::Unknown(name)) => return Ok(Some(name)),
                Ok(Route::To(target)) if !self.is_judged(target) => return Ok(self.name(target)),
                Ok(Route::To(target)) if self.is_delivered(target, event) => Place::Skip,
                Ok(Route::To(target)) => Place::Target(target),
                Ok(Route::Nowhere) => Place::Nowhere,
                Err(error) if error.kind() == Kind::Data => {
                    self.scratch.rejections.push((index, error));
                    Place::Skip
                }
                Err(error) => return Err(error),
            });
        }
        Ok(None)
    }

    /// Delivers the events that were placed. One that cannot be carried is an error of kind `Data`.
    ///
    /// Invariant: nothing behind such an event goes to its partition, in this write or a later one. The greatest seq in a partition says what
    /// was delivered, so whatever is behind it would make the event count as delivered after a restart.
    pub(crate) async fn write(&mut self, batch: &mut Batch) -> Result<(), runtime::Error> {
        let unplaced = std::mem::take(&mut self.scratch.rejections).into_iter().min_by_key(|(index, _)| *index);
        let end = unplaced.as_ref().map_or(batch.events.len(), |(index, _)| *index);
        let events = batch.events.get(..end).unwrap_or_default();
        let result = self.fill_and_send(events).await;
        // Invariant: no request of this write is under way when it returns, whatever happened.
        let landed = self.land_all(events).await;
        let refused = match (unplaced, batch.events.get(end)) {
            (Some((_, error)), Some(event)) => Err(about(error, event)),
            _ => Ok(()),
        };
        let result = result.and(landed).and(refused);
        if result.is_err() {
            // Batches that were not sent are dropped with the lane.
            self.session.condemn();
        }
        result
    }

    async fn fill_and_send(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        match self.fill(events).await {
            // What stands before it is delivered; nothing behind it was encoded.
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
            && let Some(&place) = self.scratch.places.get(from)
        {
            let to = self.run_end(events, from);
            match place {
                Place::Skip => {}
                Place::Target(target) => self.encode(events, from..to, Some(target)).await?,
                Place::Nowhere => self.encode(events, from..to, None).await?,
            }
            from = to;
        }
        Ok(())
    }

    fn is_judged(&self, target: Target) -> bool {
        self.topics.get(target.topic).is_some_and(|topic| topic.judged && topic.frame.is_some() == self.framed)
    }

    fn name(&self, target: Target) -> Option<Arc<str>> {
        self.topics.get(target.topic).map(|topic| topic.name.clone())
    }

    /// A sign of life comes again with the same seq, and is sent again.
    fn is_delivered(&self, target: Target, event: &Event) -> bool {
        !matches!(event.body, Body::Heartbeat)
            && self.kind == SplitKind::Stream
            && self.partition(target).is_some_and(|partition| partition.mark.covers(event.seq))
    }

    fn partition(&self, target: Target) -> Option<&LanePartition> {
        self.topics.get(target.topic)?.partitions.get(target.partition)
    }

    fn partition_mut(&mut self, target: Target) -> Result<&mut LanePartition, runtime::Error> {
        let partition = self.topics.get_mut(target.topic).and_then(|topic| topic.partitions.get_mut(target.partition));
        partition.ok_or_else(|| runtime::Error::fatal("find the partition of a route"))
    }

    /// The end of the events from `from` on that go to the same place and are of the same table: what an encoder may take together.
    fn run_end(&self, events: &[Event], from: usize) -> usize {
        let table = |event: &Event| match &event.body {
            Body::Row(row) => Some(Arc::as_ptr(&row.schema)),
            _ => None,
        };
        let first = table(&events[from]);
        let same =
            |&index: &usize| first.is_some() && self.scratch.places[index] == self.scratch.places[from] && table(&events[index]) == first;
        (from + 1..events.len()).find(|index| !same(index)).unwrap_or(events.len())
    }

    /// Encodes a run of events. Their messages go to `target`; without one there may be none.
    async fn encode(&mut self, events: &[Event], run: Range<usize>, target: Option<Target>) -> Result<(), runtime::Error> {
        let mut from = run.start;
        while from < run.end {
            self.scratch.message.value.clear();
            let taken = match self.encoder.encode(&events[from..run.end], &mut self.scratch.message) {
                Ok(taken) if (1..=run.end - from).contains(&taken) => taken,
                Ok(taken) => return Err(runtime::Error::fatal(format!("encode: the format took {taken} events of {}", run.end - from))),
                Err(error) => {
                    return Err(events
                        .get(from)
                        .map(|event| about(error, event))
                        .unwrap_or_else(|| runtime::Error::fatal("encode nothing")));
                }
            };
            let of = from..from + taken;
            from += taken;
            if self.scratch.message.value.is_empty() {
                continue;
            }
            let target = target.ok_or(Error::NoBorderTopic)?;
            if self.append(events, of, target)? {
                self.send_full(target, events).await?;
            } else if self.open_bytes > OPEN_BYTES {
                self.send_rest(events).await?;
                // Invariant: a flight of several partitions is known by one of them alone, so none of them may get another one beside it.
                self.land_all(events).await?;
            }
        }
        Ok(())
    }

    /// Adds the message at hand to its partition's batch; true if that is full.
    fn append(&mut self, events: &[Event], of: Range<usize>, target: Target) -> Result<bool, runtime::Error> {
        // A message is numbered like the last event in it: whoever has the message has all of them.
        let Some(last) = events.get(of.end - 1) else { return Ok(false) };
        let flags = flags(last, self.kind) | if self.framed { record_header::FRAMED } else { 0 };
        let limit = self.record_batch_bytes;
        let Scratch { message, header, header_prefix, touched, .. } = &mut self.scratch;
        header.truncate(*header_prefix);
        header.extend_from_slice(&last.seq.0.to_be_bytes());
        header.push(flags);
        let topic = self.topics.get_mut(target.topic);
        let partition = topic.and_then(|topic| topic.partitions.get_mut(target.partition).map(|partition| (partition, &topic.frame)));
        let (partition, frame) = partition.ok_or_else(|| runtime::Error::fatal("find the partition of a route"))?;
        let spares = &mut self.spares;
        let builder = partition.builder.get_or_insert_with(|| {
            touched.push(target);
            RecordBatchBuilder::new(spares.take())
        });
        let before = builder.len();
        builder.push(frame.as_ref().map_or(&[], Frame::as_slice), &message.value, header, of.start as u32..of.end as u32, last.seq);
        self.open_bytes += builder.len() - before;
        Ok(builder.len() >= limit)
    }

    /// Closes the batch of a partition.
    fn seal(&mut self, target: Target) -> Result<Option<Parcel>, runtime::Error> {
        let partition = self.topics.get_mut(target.topic).and_then(|topic| topic.partitions.get_mut(target.partition));
        let Some(partition) = partition else { return Ok(None) };
        let Some(builder) = partition.builder.take().filter(|builder| !builder.is_empty()) else { return Ok(None) };
        let buffer = self.spares.take();
        self.open_bytes = self.open_bytes.saturating_sub(builder.len());
        let (batch, records) = builder.seal(&mut self.codec, buffer)?;
        let parcel = Parcel { partition: partition.shared.clone(), batch };
        self.spares.keep(records);
        Ok(Some(parcel))
    }

    /// Sends a full batch and goes on; waits only for the one before it of the same partition.
    async fn send_full(&mut self, target: Target, events: &[Event]) -> Result<(), runtime::Error> {
        let Some(parcel) = self.seal(target)? else { return Ok(()) };
        self.land(target, events).await?;
        self.launch(target, vec![parcel])?;
        // Another partition's turn to be waited for: the one that was sent first.
        while self.flying_bytes > FLYING_BYTES
            && let Some(&(first, _)) = self.flying.front()
        {
            self.land(first, events).await?;
        }
        Ok(())
    }

    /// Sends parcels beside whatever else is done. The flight belongs to one of their partitions.
    fn launch(&mut self, target: Target, parcels: Vec<Parcel>) -> Result<(), runtime::Error> {
        let bytes = parcels.iter().map(|parcel| parcel.batch.bytes().len()).sum();
        self.flying.push_back((target, bytes));
        self.flying_bytes += bytes;
        let flight = tokio::spawn(send::deliver(self.session.clone(), self.tag, parcels));
        self.partition_mut(target)?.flight = Some(flight);
        Ok(())
    }

    /// Sends what is left: one request per broker, all brokers at once.
    async fn send_rest(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        let mut touched = std::mem::take(&mut self.scratch.touched);
        touched.sort_unstable();
        touched.dedup();
        let mut by_broker: Vec<(Option<i32>, Target, Vec<Parcel>)> = Vec::new();
        for &target in &touched {
            self.land(target, events).await?;
            let Some(parcel) = self.seal(target)? else { continue };
            let broker = self.session.leader(&parcel.partition.topic, parcel.partition.number);
            match by_broker.iter_mut().find(|(known, _, _)| *known == broker) {
                Some((_, _, parcels)) => parcels.push(parcel),
                None => by_broker.push((broker, target, vec![parcel])),
            }
        }
        touched.clear();
        self.scratch.touched = touched;
        // The last one needs no task of its own.
        let last = by_broker.pop();
        for (_, target, parcels) in by_broker {
            self.launch(target, parcels)?;
        }
        if let Some((_, _, parcels)) = last {
            let delivered = send::deliver(self.session.clone(), self.tag, parcels).await?;
            self.note(delivered, events)?;
        }
        Ok(())
    }

    /// Waits for the batch of a partition that is under way, if there is one.
    async fn land(&mut self, target: Target, events: &[Event]) -> Result<(), runtime::Error> {
        if let Some(at) = self.flying.iter().position(|(flying, _)| *flying == target)
            && let Some((_, bytes)) = self.flying.remove(at)
        {
            self.flying_bytes -= bytes;
        }
        if let Some(flight) = self.partition_mut(target)?.flight.take() {
            let delivered = flight.await.map_err(|error| Error::Lost { problem: error.to_string() })??;
            self.note(delivered, events)?;
        }
        Ok(())
    }

    /// Waits for everything that is under way.
    async fn land_all(&mut self, events: &[Event]) -> Result<(), runtime::Error> {
        let mut result = Ok(());
        while let Some(&(first, _)) = self.flying.front() {
            let landed = self.land(first, events).await;
            result = result.and(landed);
        }
        result
    }

    /// Notes what was delivered; the first record that the broker refused is an error.
    fn note(&mut self, delivered: Vec<Delivered>, events: &[Event]) -> Result<(), runtime::Error> {
        let mut result = Ok(());
        for Delivered { partition, last, rejected, buffer } in delivered {
            let place = self.router.place(&partition.topic);
            let known = place.and_then(|place| self.topics.get_mut(place)).and_then(|topic| topic.partitions.get_mut(partition.number));
            if let (Some(known), Some((offset, seq))) = (known, last) {
                known.mark.advance(offset, seq);
            }
            self.spares.keep(buffer);
            if let Some((range, error)) = rejected {
                self.refused = true;
                let error = runtime::Error::from(error);
                result = result.and(Err(match events.get(range.start as usize) {
                    Some(event) => about(error, event),
                    None => error,
                }));
            }
        }
        result
    }
}

/// The error with the place and the table of the event that it is about.
fn about(error: runtime::Error, event: &Event) -> runtime::Error {
    let error = error.at(&event.place());
    match &event.body {
        Body::Row(row) => error.of_table(&row.schema.id),
        _ => error,
    }
}

fn flags(event: &Event, kind: SplitKind) -> u8 {
    let body = match &event.body {
        Body::Row(row) if row.op == Op::Read => record_header::SNAPSHOT,
        Body::Schema(_) => record_header::SCHEMA_CHANGE,
        // Its seq may have been seen: readers take it all the same.
        Body::Heartbeat => record_header::NOT_EXACT,
        _ => 0,
    };
    body | if kind == SplitKind::Snapshot { record_header::SNAPSHOT | record_header::NOT_EXACT } else { 0 }
}

/// A mark of a partition that nothing is known of.
pub(crate) const UNKNOWN: Mark = Mark { next_offset: 0, last_seq: Seq(0) };
