//! Delivers sealed batches: stamps them, sends one request per broker, reads the answers, and sends again what the broker can recognise.
//!
//! While a batch is under way its partition's writer is locked, so there is one batch in flight per partition, whoever sends. A delivery
//! returns when the fate of all its batches is known, or condemns the session.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use runtime::Seq;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep};

use crate::client::session::{Missing, Partition, Purpose, Session, Writer};
use crate::client::{self, Fate, PartitionRecords, ProduceRequest, Seen};
use crate::delivery::record_batch::SealedBatch;
use crate::error::{Error, code_name};
use crate::resume::scan::{self, Part, Place};

/// How often a batch in doubt is sent again.
const RESENDS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Whose records these are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) run: u64,
    pub(crate) epoch: u32,
    pub(crate) split: u32,
}

/// A batch and where it goes.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) partition: Arc<Partition>,
    pub(crate) batch: SealedBatch,
}

/// What became of a parcel.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) partition: Arc<Partition>,
    /// Offset and seq of the last record; `None` if all were rejected, or if the broker did not say where they are.
    pub(crate) last: Option<(i64, Seq)>,
    /// Events whose record the broker refused.
    pub(crate) rejected: Option<(Range<u32>, Error)>,
    /// A buffer to build another batch in.
    pub(crate) buffer: Vec<u8>,
}

struct Work {
    partition: Arc<Partition>,
    writer: OwnedMutexGuard<Writer>,
    /// The batch, or its pieces after it was too large. The first is under way.
    queue: VecDeque<SealedBatch>,
    /// How often the first was sent again while in doubt.
    resends: u32,
    /// Since when the first is in trouble.
    troubled: Option<Instant>,
    delivered: Delivered,
}

/// What an answer says about one batch.
struct Answer {
    code: i16,
    base_offset: i64,
}

/// Delivers batches, each to another partition. On `Err` the session is condemned: what was delivered is found out by the next `open`.
pub(crate) async fn deliver(session: Arc<Session>, tag: Tag, mut parcels: Vec<Parcel>) -> Result<Vec<Delivered>, Error> {
    // Invariant: writers are locked in one order everywhere, so two lanes never wait for each other.
    parcels.sort_by(|a, b| (&a.partition.topic, a.partition.number).cmp(&(&b.partition.topic, b.partition.number)));
    let mut work = Vec::with_capacity(parcels.len());
    for Parcel { partition, batch } in parcels {
        let writer = partition.writer.clone().lock_owned().await;
        let delivered = Delivered { partition: partition.clone(), last: None, rejected: None, buffer: Vec::new() };
        work.push(Work { partition, writer, queue: VecDeque::from([batch]), resends: 0, troubled: None, delivered });
    }
    // Invariant: after a condemnation nobody sends: sequence numbers are not known any more.
    if !session.is_sound() {
        return Err(Error::Condemned);
    }
    match drive(&session, tag, &mut work).await {
        Ok(()) => {
            session.memory.note_success();
            Ok(work.into_iter().map(|work| work.delivered).collect())
        }
        Err(error) => {
            // Before the writers are unlocked: the next one to get a lock must see it.
            session.condemn();
            Err(error)
        }
    }
}

async fn drive(session: &Session, tag: Tag, work: &mut [Work]) -> Result<(), Error> {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut groups: BTreeMap<Option<i32>, Vec<usize>> = BTreeMap::new();
        for (index, work) in work.iter().enumerate().filter(|(_, work)| !work.queue.is_empty()) {
            groups.entry(session.leader(&work.partition.topic, work.partition.number)).or_default().push(index);
        }
        if groups.is_empty() {
            return Ok(());
        }
        let (mut first_error, mut again) = (None, false);
        for (broker, members) in groups {
            let answers = match broker {
                Some(broker) => send(session, broker, work, &members).await,
                None => Err(client::WireError::NoLeader {
                    topic: work[members[0]].partition.topic.to_string(),
                    partition: work[members[0]].partition.number,
                }),
            };
            for index in members {
                let work = &mut work[index];
                let result = match &answers {
                    Ok(answers) => match answers.get(&index) {
                        Some(answer) => settle(session, tag, work, answer).await,
                        None => in_doubt(session, work, "the answer does not mention it".into()),
                    },
                    Err(error) if error.may_have_arrived() => in_doubt(session, work, error.to_string()),
                    Err(error) if error.is_permanent() => Err(error.clone().into()),
                    Err(error) => not_sent(session, work, || error.clone().into()),
                };
                match result {
                    Ok(Next::Done) => {}
                    Ok(Next::Again) => again = true,
                    // The other answers of this round are still read: what they say is true whatever happened here.
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
        }
        if let Some(error) = first_error {
            return Err(error);
        }
        if again {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let mut topics: Vec<Arc<str>> =
                work.iter().filter(|work| !work.queue.is_empty()).map(|work| work.partition.topic.clone()).collect();
            topics.dedup();
            match session.learn(&topics).await {
                Ok(_) => {}
                // The next round meets the same trouble and counts it.
                Err(Error::Wire(error)) if !error.is_permanent() => {}
                Err(Error::Answer { .. }) => {}
                // Its records went with it.
                Err(Error::NoTopic { topic, .. }) => {
                    return Err(Error::TopicChanged { topic, problem: "it was deleted while the task ran".into() });
                }
                Err(error) => return Err(error),
            }
        } else {
            pause = FIRST_PAUSE;
        }
    }
}

/// What a batch needs.
enum Next {
    /// Nothing; the queue says whether there are more.
    Done,
    /// To be sent again after a pause.
    Again,
}

/// Stamps and sends the first batch of each member. The answers by member.
async fn send(session: &Session, broker: i32, work: &mut [Work], members: &[usize]) -> Result<BTreeMap<usize, Answer>, client::WireError> {
    let line = session.line(broker, Purpose::Data).await?;
    for &index in members {
        let Work { writer, queue, .. } = &mut work[index];
        if let Some(batch) = queue.front_mut() {
            let sequence = if session.producer.is_idempotent() { writer.next_sequence } else { -1 };
            batch.stamp(session.producer, sequence);
        }
    }
    let partitions: Vec<PartitionRecords<'_>> = members
        .iter()
        .filter_map(|&index| {
            let work = &work[index];
            let records = work.queue.front()?.bytes();
            Some(PartitionRecords { topic: &work.partition.topic, partition: work.partition.number as i32, records })
        })
        .collect();
    line.obey_throttle().await;
    let answer = tokio::select! {
        biased;
        answer = line.request(ProduceRequest { partitions: &partitions, zstd: session.zstd }) => answer?,
        // A broker that stands still does not answer for as long as we can wait; the others elect another leader long before.
        () = session.moved(broker, &partitions) => {
            line.cut();
            return Err(client::WireError::Moved { address: line.address().to_owned() });
        }
    };
    if let Some(throttle) = answer.throttle_time_ms {
        line.throttle(throttle.0);
    }
    let by_place: HashMap<(&str, i32), usize> =
        members.iter().map(|&index| ((&*work[index].partition.topic, work[index].partition.number as i32), index)).collect();
    let parts = answer.responses.iter().flat_map(|topic| topic.partition_responses.iter().map(|part| (topic.name.0.as_str(), part)));
    Ok(parts
        .filter_map(|(topic, part)| {
            let answer = Answer { code: client::code_of(part.error), base_offset: part.base_offset.0 };
            by_place.get(&(topic, part.index.0)).map(|&index| (index, answer))
        })
        .collect())
}

/// Draws the consequences of an answer.
async fn settle(session: &Session, tag: Tag, work: &mut Work, answer: &Answer) -> Result<Next, Error> {
    let (topic, partition) = (work.partition.topic.to_string(), work.partition.number);
    let (code, name) = (answer.code, code_name(answer.code));
    let doing = || format!("write to partition {topic}/{partition}");
    match client::fate(code) {
        Fate::Appended if answer.base_offset >= 0 => appended(session, tag, work, answer.base_offset).await,
        // A broker that lost the batch's place from its memory of the producer.
        Fate::Appended | Fate::Duplicate => {
            let base = read_back(session, tag, work).await?;
            appended(session, tag, work, base).await
        }
        Fate::TooLarge | Fate::Refused => {
            let Some(batch) = work.queue.pop_front() else { return Ok(Next::Done) };
            work.calm();
            if batch.count() == 1 {
                let error = match client::fate(code) {
                    Fate::TooLarge => {
                        let (limit, broker) = (session.limit_of(&topic).await, session.bootstrap.first().cloned().unwrap_or_default());
                        Error::RecordTooLarge { topic, partition, code, name, bytes: batch.bytes().len(), limit, broker }
                    }
                    _ => Error::RecordRefused { topic, partition, code, name },
                };
                work.delivered.rejected = Some((batch.first_events(), error));
                work.delivered.buffer = batch.into_buffer();
                // Invariant: nothing behind it goes to this partition; it would count as delivered.
                work.queue.clear();
            } else if client::fate(code) == Fate::Refused {
                return Err(Error::BatchRefused { topic, partition, code, name });
            } else {
                let (first, second) = batch.split()?;
                work.queue.push_front(second);
                work.queue.push_front(first);
            }
            Ok(Next::Done)
        }
        Fate::Denied => Err(session.denied(doing(), code, Missing::Topic(&topic))),
        Fate::Misconfigured => Err(Error::Misconfigured { doing: doing(), code, name }),
        Fate::Invalid => Err(Error::InvalidRequest { doing: doing(), code, name }),
        Fate::Renew => Err(Error::InDoubt { topic, partition, problem: format!("the broker answered {code} ({name})") }),
        Fate::Again => not_sent(session, work, || Error::Answer { doing: doing(), code, name }),
        Fate::Unknown => in_doubt(session, work, format!("the broker answered {code} ({name})")),
    }
}

impl Work {
    /// The first batch is out of trouble.
    fn calm(&mut self) {
        self.resends = 0;
        self.troubled = None;
    }

    fn place(&self) -> Place {
        Place { topic: self.partition.topic.clone(), partition: self.partition.number }
    }

    fn sequence_after(&self, records: i32) -> i32 {
        // Kafka's sequence numbers go from 0 to 2^31 − 1 and around.
        self.writer.next_sequence.wrapping_add(records) & i32::MAX
    }
}

/// The first batch is in the log from `base` on. Compares with what was expected, and looks at what else is there.
async fn appended(session: &Session, tag: Tag, work: &mut Work, base: i64) -> Result<Next, Error> {
    let Some(batch) = work.queue.pop_front() else { return Ok(Next::Done) };
    work.calm();
    let place = work.place();
    match work.writer.expected {
        Some(expected) if base < expected => {
            return Err(Error::Regressed { topic: place.topic.to_string(), partition: place.partition, end: base, expected });
        }
        Some(expected) if base > expected && !work.writer.shared => intruders(session, tag, work, expected, base).await?,
        _ => {}
    }
    let end = base.saturating_add(i64::from(batch.count()));
    work.writer.expected = Some(end);
    work.writer.next_sequence = work.sequence_after(batch.count());
    work.delivered.last = Some((end - 1, batch.last_seq()));
    work.delivered.buffer = batch.into_buffer();
    Ok(Next::Done)
}

/// Something landed between our batches: whose is it?
async fn intruders(session: &Session, tag: Tag, work: &mut Work, from: i64, to: i64) -> Result<(), Error> {
    let place = work.place();
    let (mut repeats, mut zombies, mut foreign) = (0u64, 0u64, 0u64);
    let visit = |_, _, seen: Seen| {
        match seen {
            Seen::Positioned(position, _) if position.run == tag.run && position.epoch > tag.epoch => {
                let (topic, partition) = (place.topic.to_string(), place.partition);
                return Err(Error::Fenced { topic, partition, theirs: position.epoch, ours: tag.epoch });
            }
            Seen::Positioned(position, _) if position.run == tag.run && position.epoch < tag.epoch => zombies += 1,
            Seen::Positioned(position, _) if position.run == tag.run => repeats += 1,
            Seen::Positioned(_, _) | Seen::Foreign => foreign += 1,
        }
        Ok(())
    };
    scan::scan(session, &[Part { place: place.clone(), from, to }], visit).await?;
    let (topic, partition) = (&*place.topic, place.partition);
    if zombies > 0 {
        tracing::warn!(
            topic,
            partition,
            records = zombies,
            "an earlier process of this task still writes; readers see its records as repeats"
        );
    }
    if repeats > 0 {
        tracing::warn!(
            topic,
            partition,
            records = repeats,
            "a late request of this process reached the log; readers see its records as repeats"
        );
    }
    if foreign > 0 {
        tracing::warn!(topic, partition, "another program writes to this partition: repeats cannot be told by offsets any more");
        work.writer.shared = true;
    }
    work.writer.repeats += zombies + repeats;
    Ok(())
}

/// The broker has the batch already but did not say where: finds its last record.
async fn read_back(session: &Session, tag: Tag, work: &Work) -> Result<i64, Error> {
    let place = work.place();
    let Some(batch) = work.queue.front() else { return Ok(0) };
    let extent = scan::extents(session, std::slice::from_ref(&place)).await?;
    let in_doubt = || Error::InDoubt {
        topic: place.topic.to_string(),
        partition: place.partition,
        problem: "the broker says that it has the batch, but it is not in the log".into(),
    };
    let extent = extent.first().ok_or_else(in_doubt)?;
    let from = work.writer.expected.unwrap_or(extent.start).max(extent.start);
    let mut found = None;
    let visit = |_, offset, seen| {
        if let Seen::Positioned(position, _) = seen
            && (position.run, position.epoch, position.split, position.seq) == (tag.run, tag.epoch, tag.split, batch.last_seq())
        {
            found = Some(offset);
        }
        Ok(())
    };
    scan::scan(session, &[Part { place: place.clone(), from, to: extent.end }], visit).await?;
    let last: i64 = found.ok_or_else(in_doubt)?;
    Ok(last + 1 - i64::from(batch.count()))
}

/// The first batch may be in the log or not. An idempotent one is sent again; else the lane must look.
fn in_doubt(session: &Session, work: &mut Work, problem: String) -> Result<Next, Error> {
    let since = *work.troubled.get_or_insert_with(Instant::now);
    work.resends += 1;
    let (topic, partition) = (work.partition.topic.to_string(), work.partition.number);
    if !session.producer.is_idempotent() || work.resends > RESENDS || since.elapsed() > session.timeouts.resend {
        return Err(Error::InDoubt { topic, partition, problem });
    }
    tracing::debug!(topic, partition, problem, "send the same batch again");
    Ok(Next::Again)
}

/// The first batch is not in the log by this attempt. It is sent again for a while; then the error is returned.
fn not_sent(session: &Session, work: &mut Work, error: impl FnOnce() -> Error) -> Result<Next, Error> {
    let since = *work.troubled.get_or_insert_with(Instant::now);
    if since.elapsed() > session.timeouts.resend { Err(error()) } else { Ok(Next::Again) }
}
