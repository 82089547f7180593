//! Reads parts of the logs of partitions.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchedPartition};
use super::batch_reader;
use super::connections::Purpose;
use super::error::ClientError;
use super::error_code::ErrorCode;
use super::log_ends::refusal;
use super::record_reader::RecordHead;
use super::retry::Retry;
use super::session::Session;
use super::topic_partition::TopicPartition;

const PAUSE: Duration = Duration::from_millis(50);
/// The most bytes of one partition and of one answer.
const FETCH_PARTITION_BYTES: i32 = 1 << 20;
const FETCH_BYTES: i32 = 16 << 20;
/// A broker gives one batch even if it is larger.
const FEWEST_BYTES: i32 = 64 << 10;

/// A part of the log of a partition.
#[derive(Clone, Debug)]
pub(crate) struct LogPart {
    pub(crate) partition: TopicPartition,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Only the first record is wanted. In a compacted topic it is not always at `from`.
    pub(crate) first_only: bool,
}

/// Passes every record of the parts to `visit`, with the index of its part and its offset; in order within a part. `wanted_header` names the
/// header that is kept of a record.
pub(crate) async fn read_log<E: From<ClientError>>(
    session: &Session,
    parts: &[LogPart],
    wanted_header: &str,
    mut visit: impl FnMut(usize, i64, RecordHead<'_>) -> Result<(), E> + Send,
) -> Result<(), E> {
    let mut reader = Reader {
        session,
        parts,
        next: parts.iter().map(|part| part.from).collect(),
        partition_bytes: FETCH_PARTITION_BYTES,
        answer_bytes: FETCH_BYTES,
        problem: None,
    };
    let mut retry = Retry::new(session.timeouts().patience, PAUSE, PAUSE);
    loop {
        let groups = reader.unread_by_leader();
        if groups.is_empty() {
            return Ok(());
        }
        let before = reader.next.clone();
        reader.problem = None;
        for (broker, members) in groups {
            let Some(broker) = broker else { continue };
            let Some(answer) = reader.fetch(broker, &members).await? else { continue };
            let index_of = reader.index_by_name(&members);
            // A broker leaves partitions out of an answer that is full. An answer without any record is not full.
            let is_empty = answer.partitions.iter().all(|fetched| fetched.records.is_empty());
            for fetched in answer.partitions {
                let Some(&index) = index_of.get(&(fetched.topic.as_str(), fetched.partition)) else { continue };
                reader.take(index, &fetched, wanted_header, &mut visit)?;
                if is_empty && fetched.code == ErrorCode::NONE && fetched.high_watermark >= parts[index].to {
                    // Compaction has removed the records up to the end of the part.
                    reader.next[index] = parts[index].to;
                }
            }
        }
        if reader.next != before {
            retry.restart();
            continue;
        }
        let nothing_new = || ClientError::Answer { operation: "reading records".into(), code: ErrorCode::OFFSET_NOT_AVAILABLE };
        retry.again(reader.problem.take().unwrap_or_else(nothing_new)).await?;
        let partitions: Vec<TopicPartition> = parts.iter().map(|part| part.partition.clone()).collect();
        session.refresh_leaders(&partitions).await?;
    }
}

struct Reader<'r> {
    session: &'r Session,
    parts: &'r [LogPart],
    /// The next offset of each part.
    next: Vec<i64>,
    /// On a slow network an answer may be too large to arrive in time; then smaller ones are asked for.
    partition_bytes: i32,
    answer_bytes: i32,
    /// What went wrong in this round.
    problem: Option<ClientError>,
}

impl<'r> Reader<'r> {
    /// The parts that are not read to their end, by leader; partitions of one topic stand together.
    fn unread_by_leader(&self) -> BTreeMap<Option<i32>, Vec<usize>> {
        let mut groups: BTreeMap<Option<i32>, Vec<usize>> = BTreeMap::new();
        for (index, part) in self.parts.iter().enumerate() {
            if self.next[index] < part.to {
                let leader = self.session.leader(&part.partition.topic, part.partition.partition);
                groups.entry(leader).or_default().push(index);
            }
        }
        for members in groups.values_mut() {
            members.sort_by(|&a, &b| self.parts[a].partition.cmp(&self.parts[b].partition));
        }
        groups
    }

    fn index_by_name(&self, members: &[usize]) -> HashMap<(&'r str, i32), usize> {
        let name = |index: usize| (&*self.parts[index].partition.topic, self.parts[index].partition.index());
        members.iter().map(|&index| (name(index), index)).collect()
    }

    async fn fetch(&mut self, broker: i32, members: &[usize]) -> Result<Option<FetchResponse>, ClientError> {
        let partitions = members.iter().map(|&index| FetchPartition {
            topic: self.parts[index].partition.topic.to_string(),
            partition: self.parts[index].partition.index(),
            offset: self.next[index],
            max_bytes: self.partition_bytes,
        });
        let request = FetchRequest { partitions: partitions.collect(), max_bytes: self.answer_bytes };
        let answer = match self.session.connection(broker, Purpose::Read).await {
            Ok(connection) => connection.request(request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                if answer.code != ErrorCode::NONE {
                    self.problem = Some(ClientError::Answer { operation: "reading records".into(), code: answer.code });
                }
                Ok(Some(answer))
            }
            Err(error) if !error.is_transient() => Err(error),
            Err(error) => {
                if matches!(error, ClientError::RequestTimeout { .. }) {
                    self.partition_bytes = (self.partition_bytes / 4).max(FEWEST_BYTES);
                    self.answer_bytes = (self.answer_bytes / 4).max(FEWEST_BYTES);
                }
                self.problem = Some(error);
                Ok(None)
            }
        }
    }

    fn take<E: From<ClientError>>(
        &mut self,
        index: usize,
        fetched: &FetchedPartition,
        wanted_header: &str,
        visit: &mut impl FnMut(usize, i64, RecordHead<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let part = &self.parts[index];
        if fetched.code != ErrorCode::NONE {
            self.problem = Some(refusal(self.session, &part.partition, fetched.code)?);
            return Ok(());
        }
        let (from, mut failed, mut visited) = (self.next[index], None, false);
        let end = batch_reader::read_batches(&fetched.records, wanted_header, |offset, head| {
            if failed.is_none() && !(part.first_only && visited) && (from..part.to).contains(&offset) {
                visited = true;
                failed = visit(index, offset, head).err();
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        match end {
            Ok(Some(_)) if part.first_only && visited => self.next[index] = part.to,
            Ok(Some(end)) => self.next[index] = end.max(from),
            Ok(None) => {}
            Err((offset, problem)) => {
                return Err(ClientError::Unreadable { partition: part.partition.clone(), offset, source: problem.into() }.into());
            }
        }
        Ok(())
    }
}
