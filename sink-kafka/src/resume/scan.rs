//! Looking at the log: where it begins and ends, and what stands in a part of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rskafka::protocol::messages::{
    IsolationLevel, ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, NORMAL_CONSUMER,
};
use rskafka::protocol::primitives::{Int32, Int64, String_};
use tokio::time::{Instant, sleep};

use crate::client::session::{Missing, Purpose, Session};
use crate::client::{self, Connection, FetchPartition, FetchRequest, Seen};
use crate::error::{Error, code_name};

/// Asks for the end of the leader's own log, beyond the high watermark.
const DEBUGGING_REPLICA: Int32 = Int32(-2);
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// Of one partition and of one answer.
const FETCH_PARTITION_BYTES: i32 = 1 << 20;
const FETCH_BYTES: i32 = 16 << 20;
/// A broker gives one batch even if it is larger.
const FEWEST_BYTES: i32 = 64 << 10;

/// A partition by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: usize,
}

/// Where the log of a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// A part of a partition's log.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) place: Place,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

type Offsets = BTreeMap<Place, Result<i64, i16>>;

/// The extents of these partitions, in the same order.
///
/// The end is the true one: beyond the high watermark there can be records that nobody can read yet but that will survive, so the leader's
/// own end is asked for first, and then the watermark is waited for until it has reached it. An answer to the second question proves that
/// the broker leads. Where a broker does not tell its own end, two equal watermarks are required, further apart than any request can last.
pub(crate) async fn extents(session: &Session, places: &[Place]) -> Result<Vec<Extent>, Error> {
    let mut deadline = Instant::now() + session.timeouts.patience;
    let mut found: BTreeMap<Place, Extent> = BTreeMap::new();
    let mut settled_from: BTreeMap<Place, (i64, Instant)> = BTreeMap::new();
    loop {
        let pending: Vec<&Place> = places.iter().filter(|place| !found.contains_key(place)).collect();
        if pending.is_empty() {
            break;
        }
        let mut stale = false;
        let mut why = Error::Answer { doing: "wait until the high watermark reaches the log's end".into(), code: 78, name: code_name(78) };
        for (broker, members) in by_leader(session, pending.into_iter().cloned()) {
            let Some(broker) = broker else {
                stale = true;
                if let Some(place) = members.into_iter().next() {
                    why = client::WireError::NoLeader { topic: place.topic.to_string(), partition: place.partition }.into();
                }
                continue;
            };
            let asked = async {
                let line = session.line(broker, Purpose::Look).await?;
                let ends = offsets(&line, &members, DEBUGGING_REPLICA, LATEST).await?;
                let marks = offsets(&line, &members, NORMAL_CONSUMER, LATEST).await?;
                let starts = offsets(&line, &members, NORMAL_CONSUMER, EARLIEST).await?;
                Ok::<_, client::WireError>((ends, marks, starts))
            };
            let (ends, marks, starts) = match asked.await {
                Ok(answers) => answers,
                Err(error) if error.is_permanent() => return Err(error.into()),
                Err(error) => {
                    (stale, why) = (true, error.into());
                    continue;
                }
            };
            for place in members {
                let of = |answers: &Offsets| answers.get(&place).copied().unwrap_or(Err(-1));
                let (mark, start) = match (of(&marks), of(&starts)) {
                    (Ok(mark), Ok(start)) => (mark, start),
                    (Err(code), _) | (_, Err(code)) => {
                        why = refusal(session, &place, code)?;
                        stale = true;
                        continue;
                    }
                };
                match of(&ends) {
                    Ok(end) if mark >= end => {
                        found.insert(place, Extent { start, end });
                    }
                    Ok(_) => {}
                    Err(code) if client::is_about_leadership(code) => stale = true,
                    Err(_) => {
                        // The first such answer begins the long wait.
                        let now = Instant::now();
                        let (seen, since) = *settled_from.entry(place.clone()).or_insert((mark, now));
                        deadline = deadline.max(now + session.timeouts.settle * 3);
                        if seen != mark {
                            settled_from.insert(place, (mark, now));
                        } else if since.elapsed() >= session.timeouts.settle {
                            found.insert(place, Extent { start, end: mark });
                        }
                    }
                }
            }
        }
        if found.len() == places.len() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(why);
        }
        sleep(PAUSE).await;
        if stale {
            relearn(session, places).await?;
        }
    }
    Ok(places.iter().filter_map(|place| found.get(place).copied()).collect())
}

/// Shows every record of the parts to `visit`, with the index of its part and its offset; in order within a part.
pub(crate) async fn scan(
    session: &Session,
    parts: &[Part],
    mut visit: impl FnMut(usize, i64, Seen) -> Result<(), Error> + Send,
) -> Result<(), Error> {
    let mut next: Vec<i64> = parts.iter().map(|part| part.from).collect();
    let mut deadline = Instant::now() + session.timeouts.patience;
    // Over a slow line an answer may be too large to come in time; then smaller ones are asked for.
    let (mut piece, mut whole) = (FETCH_PARTITION_BYTES, FETCH_BYTES);
    loop {
        let open: Vec<usize> = (0..parts.len()).filter(|&index| next[index] < parts[index].to).collect();
        if open.is_empty() {
            return Ok(());
        }
        let before = next.clone();
        let mut why = None;
        let mut groups: BTreeMap<Option<i32>, Vec<usize>> = BTreeMap::new();
        for index in open {
            let place = &parts[index].place;
            groups.entry(session.leader(&place.topic, place.partition)).or_default().push(index);
        }
        for (broker, mut members) in groups {
            let Some(broker) = broker else { continue };
            members.sort_by(|&a, &b| parts[a].place.cmp(&parts[b].place));
            let partitions = members.iter().map(|&index| FetchPartition {
                topic: parts[index].place.topic.to_string(),
                partition: parts[index].place.partition as i32,
                offset: next[index],
                max_bytes: piece,
            });
            let request = FetchRequest { partitions: partitions.collect(), max_bytes: whole };
            let answer = match session.line(broker, Purpose::Look).await {
                Ok(line) => line.request(request).await,
                Err(error) => Err(error),
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) if error.is_permanent() => return Err(error.into()),
                Err(error) => {
                    if matches!(error, client::WireError::RequestTimeout { .. }) {
                        (piece, whole) = ((piece / 4).max(FEWEST_BYTES), (whole / 4).max(FEWEST_BYTES));
                    }
                    why = Some(error.into());
                    continue;
                }
            };
            if answer.code != 0 {
                why = Some(Error::Answer { doing: "read what was delivered".into(), code: answer.code, name: code_name(answer.code) });
            }
            let by_name: HashMap<(&str, i32), usize> =
                members.iter().map(|&index| ((&*parts[index].place.topic, parts[index].place.partition as i32), index)).collect();
            for fetched in answer.partitions {
                let Some(&index) = by_name.get(&(fetched.topic.as_str(), fetched.partition)) else { continue };
                let part = &parts[index];
                if fetched.code != 0 {
                    why = Some(refusal(session, &part.place, fetched.code)?);
                    continue;
                }
                let mut failed = None;
                let from = next[index];
                let end = client::walk(&fetched.records, |offset, seen| {
                    if failed.is_none() && (from..part.to).contains(&offset) {
                        failed = visit(index, offset, seen).err();
                    }
                });
                if let Some(error) = failed {
                    return Err(error);
                }
                match end {
                    Ok(Some(end)) => next[index] = end.max(from),
                    Ok(None) => {}
                    Err((offset, problem)) => {
                        let (topic, partition) = (part.place.topic.to_string(), part.place.partition);
                        return Err(Error::Unreadable { topic, partition, offset, problem });
                    }
                }
            }
        }
        if next != before {
            deadline = Instant::now() + session.timeouts.patience;
            continue;
        }
        if Instant::now() >= deadline {
            return Err(why.unwrap_or_else(|| Error::Answer { doing: "read what was delivered".into(), code: 78, name: code_name(78) }));
        }
        sleep(PAUSE).await;
        let places: Vec<Place> = parts.iter().map(|part| part.place.clone()).collect();
        relearn(session, &places).await?;
    }
}

/// Asks for the leaders again. That no broker can be reached is left to the next question, which has a deadline.
async fn relearn(session: &Session, places: &[Place]) -> Result<(), Error> {
    let mut topics: Vec<Arc<str>> = places.iter().map(|place| place.topic.clone()).collect();
    topics.sort();
    topics.dedup();
    match session.learn(&topics).await {
        Ok(_) | Err(Error::Wire(_) | Error::Answer { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What an answer's code means: an error to be returned at once, or one to be returned if it lasts.
fn refusal(session: &Session, place: &Place, code: i16) -> Result<Error, Error> {
    let doing = format!("look at partition {}/{}", place.topic, place.partition);
    match code {
        _ if client::is_about_leadership(code) => Ok(Error::Answer { doing, code, name: code_name(code) }),
        _ if client::is_denial(code) => Err(session.denied(doing, code, Missing::Topic(&place.topic))),
        76 | 35 => Err(Error::Misconfigured { doing, code, name: code_name(code) }),
        // Among them 1, OFFSET_OUT_OF_RANGE: the log's start moved while we looked, so look again.
        _ => Err(Error::Answer { doing, code, name: code_name(code) }),
    }
}

fn by_leader(session: &Session, places: impl Iterator<Item = Place>) -> BTreeMap<Option<i32>, Vec<Place>> {
    let mut groups: BTreeMap<Option<i32>, Vec<Place>> = BTreeMap::new();
    for place in places {
        groups.entry(session.leader(&place.topic, place.partition)).or_default().push(place);
    }
    groups
}

async fn offsets(line: &Connection, places: &[Place], replica: Int32, timestamp: i64) -> Result<Offsets, client::WireError> {
    let mut topics: BTreeMap<Arc<str>, Vec<ListOffsetsRequestPartition>> = BTreeMap::new();
    for place in places {
        topics.entry(place.topic.clone()).or_default().push(ListOffsetsRequestPartition {
            partition_index: Int32(place.partition as i32),
            timestamp: Int64(timestamp),
            max_num_offsets: None,
        });
    }
    let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsRequestTopic { name: String_(name.to_string()), partitions });
    let request =
        ListOffsetsRequest { replica_id: replica, isolation_level: Some(IsolationLevel::ReadUncommitted), topics: topics.collect() };
    let answer = line.request(request).await?;
    let mut offsets = Offsets::new();
    for topic in answer.topics {
        let name: Arc<str> = topic.name.0.into();
        for partition in topic.partitions {
            let Ok(number) = usize::try_from(partition.partition_index.0) else { continue };
            let code = client::code_of(partition.error_code);
            let offset = match (code, partition.offset) {
                (0, Some(offset)) if offset.0 >= 0 => Ok(offset.0),
                (0, _) => Err(-1),
                (code, _) => Err(code),
            };
            offsets.insert(Place { topic: name.clone(), partition: number }, offset);
        }
    }
    Ok(offsets)
}
