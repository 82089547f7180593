//! Reads ranges of offsets from the logs of partitions.

use std::collections::{BTreeMap, HashMap};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

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
use crate::codec::Limits;

const PAUSE: Duration = Duration::from_millis(50);
/// The largest requested size of the records of one partition, and of a whole answer, in bytes. A larger batch is still returned, since a
/// broker always sends at least one batch.
const FETCH_PARTITION_BYTES: i32 = 1 << 20;
const FETCH_BYTES: i32 = 4 << 20;
/// How many records a thread that decompresses hands over at a time.
const HANDOVER: usize = 256;

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
///
/// Decompression has limits, and takes place on a thread of its own, so that a caller that is cancelled ends at once.
pub(crate) async fn read_log<E: From<ClientError> + Send>(
    session: &Session,
    parts: &[LogPart],
    wanted_header: &str,
    mut visit: impl FnMut(usize, i64, RecordHead<'_>) -> Result<(), E> + Send,
) -> Result<(), E> {
    let cancellation = CancelOnDrop::default();
    let limits = Limits::new(cancellation.0.clone());
    let next = parts.iter().map(|part| part.from).collect();
    let mut reader = Reader { session, parts, wanted_header: wanted_header.into(), next, limits: Some(limits), problem: None };
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
            let _turn = session.turn_to_read().await;
            let Some(answer) = reader.fetch(broker, &members).await?.map(Arc::new) else { continue };
            let index_of = reader.index_by_name(&members);
            let partitions = answer.partitions(|topic, partition| index_of.get(&(topic, partition)).copied());
            // If an answer is full, the broker leaves out the records of some partitions. An answer without any record is not full.
            let is_empty = partitions.values().all(FetchedPartition::is_empty);
            for (index, fetched) in partitions {
                reader.take(index, &answer, &fetched, &mut visit).await?;
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

/// Says to the thread that decompresses that nobody waits for it any more.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The head of a record, with its offset.
struct OwnedHead {
    offset: i64,
    header: Option<Box<[u8]>>,
    value_start: Option<[u8; 5]>,
    producer_id: i64,
}

impl OwnedHead {
    fn new(offset: i64, head: RecordHead<'_>) -> Self {
        Self { offset, header: head.header.map(Box::from), value_start: head.value_start, producer_id: head.producer_id }
    }

    fn head(&self) -> RecordHead<'_> {
        RecordHead { header: self.header.as_deref(), value_start: self.value_start, producer_id: self.producer_id }
    }
}

struct Reader<'r> {
    session: &'r Session,
    parts: &'r [LogPart],
    wanted_header: Arc<str>,
    /// The next offset to read, for each part.
    next: Vec<i64>,
    /// `None` while a thread has them.
    limits: Option<Limits>,
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
        let max_batch_bytes = self.session.max_batch_bytes();
        let request = FetchRequest { partitions: partitions.collect(), max_bytes: FETCH_BYTES, max_batch_bytes };
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
            // A broker returns the first batch even if it is larger than what was asked for, and will do so the next time.
            Err(ClientError::AnswerTooLong { bytes, limit, .. }) if let Some(&index) = members.first() => Err(ClientError::Unreadable {
                partition: self.parts[index].partition.clone(),
                offset: self.next[index],
                source: format!(
                    "the broker announces {bytes} bytes, and {limit} are the most; max_batch_bytes says how large a batch may be"
                )
                .into(),
            }),
            Err(error) if !error.is_transient() => Err(error),
            Err(error) => {
                self.problem = Some(error);
                Ok(None)
            }
        }
    }

    async fn take<E: From<ClientError>>(
        &mut self,
        index: usize,
        answer: &Arc<FetchResponse>,
        fetched: &FetchedPartition,
        visit: &mut impl FnMut(usize, i64, RecordHead<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let part = &self.parts[index];
        if fetched.code != ErrorCode::NONE {
            self.problem = Some(refusal(self.session, &part.partition, fetched.code)?);
            return Ok(());
        }
        let unreadable =
            |offset, problem: String| ClientError::Unreadable { partition: part.partition.clone(), offset, source: problem.into() };
        let from = self.next[index];
        let lost = || unreadable(from, "the thread that decompresses its records was lost".into());
        let work = Work {
            answer: answer.clone(),
            fetched: fetched.clone(),
            wanted_header: self.wanted_header.clone(),
            offsets: from..part.to,
            first_only: part.first_only,
            limits: self.limits.take().ok_or_else(lost)?,
        };
        let (sender, mut heads) = mpsc::channel(1);
        let reading = tokio::task::spawn_blocking(|| work.run(sender));
        let mut visited = false;
        while let Some(heads) = heads.recv().await {
            for head in heads {
                visited = true;
                visit(index, head.offset, head.head())?;
            }
        }
        let (limits, end) = reading.await.map_err(|_| lost())?;
        self.limits = Some(limits);
        match end {
            Ok(Some(_)) if part.first_only && visited => self.next[index] = part.to,
            Ok(Some(end)) => self.next[index] = end.max(from),
            Ok(None) => {}
            Err((offset, problem)) => return Err(unreadable(offset, problem).into()),
        }
        Ok(())
    }
}

/// The records of one partition in an answer, to be read on a thread of its own.
struct Work {
    answer: Arc<FetchResponse>,
    fetched: FetchedPartition,
    wanted_header: Arc<str>,
    /// The offsets of the records that are wanted.
    offsets: Range<i64>,
    first_only: bool,
    limits: Limits,
}

/// The offset after the last complete batch; or the offset of a batch that cannot be read, and why.
type End = Result<Option<i64>, (i64, String)>;

impl Work {
    /// Sends the heads of the wanted records. Returns what is left of the limits.
    fn run(mut self, sender: mpsc::Sender<Vec<OwnedHead>>) -> (Limits, End) {
        let records = self.answer.records(&self.fetched);
        let mut heads = Vec::new();
        let end = batch_reader::read_batches(records, &self.wanted_header, &mut self.limits, |offset, head| {
            if !self.offsets.contains(&offset) {
                return ControlFlow::Continue(());
            }
            heads.push(OwnedHead::new(offset, head));
            let is_sent = heads.len() < HANDOVER || sender.blocking_send(std::mem::take(&mut heads)).is_ok();
            // Nobody receives after a failure of the visitor.
            if is_sent && !self.first_only { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if !heads.is_empty() {
            // As above.
            let _ = sender.blocking_send(heads);
        }
        (self.limits, end)
    }
}
