//! Finds the offsets at which the logs of partitions begin and end.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::api::list_offsets::{Boundary, Offsets, list_offsets};
use super::connections::Purpose;
use super::error::ClientError;
use super::error_code::ErrorCode;
use super::retry::Retry;
use super::session::Session;
use super::topic_partition::TopicPartition;

const PAUSE: Duration = Duration::from_millis(50);

/// The first offset of a partition's log, and the offset after its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRange {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// Returns the range of each partition, in the same order.
///
/// The end is that of the leader's own log. It may be beyond the high watermark: records there cannot be read yet, but they will survive.
/// So the end of the leader's log is requested first, and then the high watermark until it has reached that end. An answer to the second
/// request proves that the broker is the leader. The first end that is seen counts: what this task has written is before it, and the log
/// of a busy partition has no last record. Some brokers do not return the end of their log. There the high watermark counts as the end
/// after it was observed for longer than any request can last.
pub(crate) async fn log_ranges(session: &Session, partitions: &[TopicPartition]) -> Result<Vec<LogRange>, ClientError> {
    let timeouts = session.timeouts();
    let mut search = Search { session, found: BTreeMap::new(), ends: BTreeMap::new(), settling: BTreeMap::new() };
    let mut retry = Retry::new(timeouts.patience, PAUSE, PAUSE);
    let (mut extended, mut refreshed) = (false, Instant::now());
    loop {
        let pending: Vec<TopicPartition> = partitions.iter().filter(|of| !search.found.contains_key(of)).cloned().collect();
        if pending.is_empty() {
            return Ok(partitions.iter().filter_map(|of| search.found.get(of).copied()).collect());
        }
        let mut round = Round::default();
        for (broker, members) in by_leader(session, pending) {
            search.request(broker, members, &mut round).await?;
        }
        // The limit is extended only once, so that the wait ends also if the leaders change again and again.
        if !search.settling.is_empty() && !std::mem::replace(&mut extended, true) {
            retry.extend(timeouts.settle * 3);
        }
        if search.found.len() < partitions.len() {
            retry.again(round.problem.unwrap_or_else(below_watermark)).await?;
            // A broker whose watermark stays behind may be cut off from the others, which have another leader by then.
            if round.leaders_are_stale || refreshed.elapsed() >= timeouts.suspect {
                session.refresh_leaders(partitions).await?;
                refreshed = Instant::now();
            }
        }
    }
}

fn below_watermark() -> ClientError {
    ClientError::Answer {
        operation: "waiting for the high watermark to reach the end of the log".into(),
        code: ErrorCode::OFFSET_NOT_AVAILABLE,
    }
}

struct Search<'s> {
    session: &'s Session,
    found: BTreeMap<TopicPartition, LogRange>,
    /// The end of each partition's log when it was first seen, and the broker that leads the partition.
    ends: BTreeMap<TopicPartition, (i32, i64)>,
    /// Partitions whose broker does not return the end of its log: the broker, and the time of its first answer.
    settling: BTreeMap<TopicPartition, (i32, Instant)>,
}

/// The result of one round of requests to all leaders.
#[derive(Default)]
struct Round {
    problem: Option<ClientError>,
    leaders_are_stale: bool,
}

impl Round {
    fn failed(&mut self, problem: ClientError) {
        self.problem = Some(problem);
        self.leaders_are_stale = true;
    }
}

impl Search<'_> {
    async fn request(&mut self, broker: Option<i32>, members: Vec<TopicPartition>, round: &mut Round) -> Result<(), ClientError> {
        let Some(broker) = broker else {
            if let Some(partition) = members.into_iter().next() {
                round.failed(ClientError::NoLeader { partition });
            }
            return Ok(());
        };
        let mut with_epochs: Vec<_> = members.iter().map(|of| (of.clone(), self.session.leader_epoch(of))).collect();
        with_epochs.sort();
        let answers = async {
            let connection = self.session.connection(broker, Purpose::Read).await?;
            let ends = list_offsets(&connection, &with_epochs, Boundary::LeaderEnd).await?;
            let watermarks = list_offsets(&connection, &with_epochs, Boundary::HighWatermark).await?;
            let starts = list_offsets(&connection, &with_epochs, Boundary::Start).await?;
            Ok::<_, ClientError>((ends, watermarks, starts))
        };
        let (ends, watermarks, starts) = match answers.await {
            Ok(answers) => answers,
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) => {
                round.failed(error);
                return Ok(());
            }
        };
        for partition in members {
            let of = |answers: &Offsets| answers.get(&partition).copied().unwrap_or(Err(ErrorCode(-1)));
            match (of(&watermarks), of(&starts)) {
                (Ok(watermark), Ok(start)) => self.compare(broker, partition.clone(), LogRange { start, end: watermark }, of(&ends), round),
                (Err(code), _) | (_, Err(code)) => round.failed(refusal(self.session, &partition, code)?),
            }
        }
        Ok(())
    }

    /// Compares the readable range of a partition with the end of the leader's log.
    fn compare(&mut self, broker: i32, partition: TopicPartition, readable: LogRange, end: Result<i64, ErrorCode>, round: &mut Round) {
        match end {
            Ok(end) => {
                let first = self.ends.entry(partition.clone()).or_insert((broker, end));
                // A new leader may have a shorter log, and so has a leader that followed another one for a while.
                if first.0 != broker || end < first.1 {
                    *first = (broker, end);
                }
                // Retention may have deleted everything up to that end in the meantime.
                let end = first.1.max(readable.start);
                if readable.end >= end {
                    self.found.insert(partition, LogRange { end, ..readable });
                }
            }
            Err(code) if code.is_about_leadership() => round.leaders_are_stale = true,
            // The broker does not return the end of its log, so the high watermark is observed instead.
            Err(_) => {
                let now = Instant::now();
                let first = self.settling.entry(partition.clone()).or_insert((broker, now));
                if first.0 != broker {
                    *first = (broker, now);
                }
                if first.1.elapsed() >= self.session.timeouts().settle {
                    self.found.insert(partition, readable);
                }
            }
        }
    }
}

/// Classifies an error code of one partition. `Err` ends the search immediately; `Ok` holds an error that is returned only if it persists.
/// Code 1, OFFSET_OUT_OF_RANGE, may pass: the start of the log has moved in the meantime.
pub(super) fn refusal(session: &Session, partition: &TopicPartition, code: ErrorCode) -> Result<ClientError, ClientError> {
    let error = session.answer(format!("reading partition {partition}"), code, &partition.topic);
    if error.is_transient() { Ok(error) } else { Err(error) }
}

fn by_leader(session: &Session, partitions: Vec<TopicPartition>) -> BTreeMap<Option<i32>, Vec<TopicPartition>> {
    let mut groups: BTreeMap<Option<i32>, Vec<TopicPartition>> = BTreeMap::new();
    for partition in partitions {
        groups.entry(session.leader(&partition.topic, partition.partition)).or_default().push(partition);
    }
    groups
}
