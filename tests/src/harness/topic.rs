//! Reads topics from the beginning, including the records' headers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};

use super::Kafka;
use crate::{Failure, Result};

/// How long a broker may wait for new records before it responds to a fetch.
const FETCH_WAIT_MS: i32 = 200;
const FETCH_BYTES: i32 = 8 << 20;

/// One record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The partition of the record.
    pub partition: i32,
    /// The record's offset in the partition.
    pub offset: i64,
    /// The record's key in Kafka.
    pub key: Option<Vec<u8>>,
    /// The record's value; empty if the value is null.
    pub value: Vec<u8>,
    /// Whether the value is null.
    pub tombstone: bool,
    /// The header `dts`, if there is one.
    pub header: Option<Vec<u8>>,
    /// All headers, by name.
    pub headers: BTreeMap<String, Vec<u8>>,
    /// The record's timestamp in milliseconds.
    pub timestamp_ms: i64,
}

/// The timeout for reading one partition. Without it, the client would wait forever for a frozen broker.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads all partitions of one topic; each call continues where the last one stopped.
pub struct TopicReader {
    topic: String,
    partitions: Vec<Partition>,
    /// The error after which the connections are not used any more; `None` while they work.
    broken: Option<Failure>,
}

struct Partition {
    client: PartitionClient,
    next: i64,
}

impl TopicReader {
    /// Opens a reader at the beginning of a topic.
    pub async fn open(kafka: &Kafka, topic: &str) -> Result<Self> {
        let mut partitions = Vec::new();
        for client in clients(kafka, topic).await? {
            let next = client.get_offset(OffsetAt::Earliest).await?;
            partitions.push(Partition { client, next });
        }
        Ok(Self { topic: topic.to_owned(), partitions, broken: None })
    }

    /// The number of records that are left to read, over all partitions.
    pub async fn remaining(&self) -> Result<i64> {
        let mut count = 0;
        for Partition { client, next } in &self.partitions {
            count += client.get_offset(OffsetAt::Latest).await? - next;
        }
        Ok(count)
    }

    /// Reads everything up to the current end: partition by partition, and in log order within a partition.
    pub async fn read(&mut self) -> Result<Vec<Entry>> {
        let entries = self.read_some().await;
        match self.broken.take() {
            Some(broken) => Err(broken.context(format!("topic {}", self.topic))),
            None => Ok(entries),
        }
    }

    /// Like [`TopicReader::read`], but for brokers that may freeze or die: returns what could be read. If a connection fails, the next
    /// call reconnects.
    pub async fn read_through_faults(&mut self, kafka: &Kafka) -> Result<Vec<Entry>> {
        if self.broken.is_some() {
            let reopened = tokio::time::timeout(READ_TIMEOUT, clients(kafka, &self.topic)).await;
            let Ok(Ok(clients)) = reopened else { return Ok(Vec::new()) };
            for client in clients {
                match self.partitions.iter_mut().find(|partition| partition.client.partition() == client.partition()) {
                    Some(partition) => partition.client = client,
                    None => return Failure::err(format!("topic {} has grown", self.topic)),
                }
            }
            self.broken = None;
        }
        Ok(self.read_some().await)
    }

    /// Reads until the end or until something fails. What was read before a failure is returned, because it will not be read again.
    async fn read_some(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for partition in &mut self.partitions {
            match tokio::time::timeout(READ_TIMEOUT, partition.read(&mut entries)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.broken = Some(error),
                Err(_) => self.broken = Some(Failure::new(format!("the brokers did not respond for {} s", READ_TIMEOUT.as_secs()))),
            }
            if self.broken.is_some() {
                break;
            }
        }
        entries
    }

    /// Reads repeatedly until an entry satisfies `wanted`; returns all entries that were read. Fails if no such entry arrives within
    /// `limit`.
    pub async fn read_until(&mut self, what: &str, limit: Duration, mut wanted: impl FnMut(&Entry) -> bool) -> Result<Vec<Entry>> {
        let (start, mut entries) = (Instant::now(), Vec::new());
        loop {
            let more = self.read().await?;
            let found = more.iter().any(&mut wanted);
            entries.extend(more);
            if found {
                return Ok(entries);
            }
            if start.elapsed() > limit {
                let count = entries.len();
                return Failure::err(format!(
                    "topic {}: waited {} s for {what}, which did not come ({count} records did)",
                    self.topic,
                    limit.as_secs()
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Partition {
    async fn read(&mut self, entries: &mut Vec<Entry>) -> Result<()> {
        let number = self.client.partition();
        let end = self.client.get_offset(OffsetAt::Latest).await?;
        while self.next < end {
            let (records, _) = self.client.fetch_records(self.next, 1..FETCH_BYTES, FETCH_WAIT_MS).await?;
            let before = self.next;
            for found in records {
                // A response contains whole record batches, so its first records may have offsets before the requested one.
                if found.offset < self.next {
                    continue;
                }
                self.next = found.offset + 1;
                entries.push(Entry {
                    partition: number,
                    offset: found.offset,
                    timestamp_ms: found.record.timestamp.timestamp_millis(),
                    key: found.record.key,
                    tombstone: found.record.value.is_none(),
                    value: found.record.value.unwrap_or_default(),
                    header: found.record.headers.get("dts").cloned(),
                    headers: found.record.headers,
                });
            }
            if self.next == before {
                return Failure::err(format!("partition {number} ends at {end}, but a fetch from {before} returns nothing"));
            }
        }
        Ok(())
    }
}

async fn clients(kafka: &Kafka, topic: &str) -> Result<Vec<PartitionClient>> {
    let client = kafka.client().await?;
    let topics = client.list_topics().await?;
    let found = topics.iter().find(|candidate| candidate.name == topic);
    let found = found.ok_or_else(|| Failure::new(format!("there is no topic {topic}")))?;
    let mut clients = Vec::new();
    for &partition in &found.partitions {
        clients.push(Arc::clone(&client).partition_client(topic, partition, UnknownTopicHandling::Retry).await?);
    }
    Ok(clients)
}
