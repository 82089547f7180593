//! Reads ranges of offsets from the logs of partitions.

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
/// The largest requested size of the records of one partition, and of a whole answer, in bytes. A larger batch is still returned, since a
/// broker always sends at least one batch.
const FETCH_PARTITION_BYTES: i32 = 1 << 20;
const FETCH_BYTES: i32 = 16 << 20;

/// A range of offsets in the log of a partition, from `from` up to but not including `to`.
#[derive(Clone, Debug)]
pub(crate) struct LogPart {
    pub(crate) partition: TopicPartition,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Whether only the first record in the range is needed. In a compacted topic its offset may be greater than `from`.
    pub(crate) first_only: bool,
}

/// Reads all parts and passes every record to `visit`, with the index of its part and its offset. The records of a part come in order. Of
/// each record's headers only the one named `wanted_header` is kept.
pub(crate) async fn read_log<E: From<ClientError>>(
    session: &Session,
    parts: &[LogPart],
    wanted_header: &str,
    mut visit: impl FnMut(usize, i64, RecordHead<'_>) -> Result<(), E> + Send,
) -> Result<(), E> {
    let mut reader = Reader { session, parts, next: parts.iter().map(|part| part.from).collect(), problem: None };
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
            // If an answer is full, the broker leaves out the records of some partitions. An answer without any record is not full.
            let is_empty = answer.partitions.iter().all(|fetched| fetched.records.is_empty());
            for fetched in answer.partitions {
                let Some(&index) = index_of.get(&(fetched.topic.as_str(), fetched.partition)) else { continue };
                reader.take(index, &fetched, wanted_header, &mut visit)?;
                if is_empty && fetched.code == ErrorCode::NONE && fetched.high_watermark >= parts[index].to {
                    // The broker has nothing to return below the end of the part, so compaction has removed the rest of its records.
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
    /// The next offset to read, for each part.
    next: Vec<i64>,
    /// The error of the current round, if there was one.
    problem: Option<ClientError>,
}

impl<'r> Reader<'r> {
    /// The parts that are not completely read, grouped by the leader of their partition. Within a group, partitions of the same topic are
    /// adjacent.
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
            leader_epoch: self.session.leader_epoch(&self.parts[index].partition),
            offset: self.next[index],
            max_bytes: FETCH_PARTITION_BYTES,
        });
        let request = FetchRequest { partitions: partitions.collect(), max_bytes: FETCH_BYTES };
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
