//! Reads topics from the beginning, with headers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};

use super::Kafka;
use crate::{Failure, Result};

/// How long a reader waits for a broker that was just started.
const FETCH_WAIT_MS: i32 = 200;
const FETCH_BYTES: i32 = 8 << 20;

/// One record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Partition it is in.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
    /// The Kafka key.
    pub key: Option<Vec<u8>>,
    /// The value; empty if there is none.
    pub value: Vec<u8>,
    /// The header `dts`, if there is one.
    pub header: Option<Vec<u8>>,
    /// The record's timestamp in milliseconds.
    pub timestamp_ms: i64,
}

/// Reads all partitions of one topic, each from where it last stopped.
pub struct TopicReader {
    topic: String,
    partitions: Vec<(PartitionClient, i64)>,
}

impl TopicReader {
    /// A reader at the beginning of a topic.
    pub async fn open(kafka: &Kafka, topic: &str) -> Result<Self> {
        let client = kafka.client().await?;
        let topics = client.list_topics().await?;
        let found = topics.iter().find(|candidate| candidate.name == topic);
        let found = found.ok_or_else(|| Failure::new(format!("there is no topic {topic}")))?;
        let mut partitions = Vec::new();
        for &partition in &found.partitions {
            let reader = Arc::clone(&client).partition_client(topic, partition, UnknownTopicHandling::Retry).await?;
            let start = reader.get_offset(OffsetAt::Earliest).await?;
            partitions.push((reader, start));
        }
        Ok(Self { topic: topic.to_owned(), partitions })
    }

    /// How many records lie between the reader's place and the end, over all partitions.
    pub async fn remaining(&self) -> Result<i64> {
        let mut count = 0;
        for (partition, next) in &self.partitions {
            count += partition.get_offset(OffsetAt::Latest).await? - next;
        }
        Ok(count)
    }

    /// Everything from the reader's place to the present end, partition by partition, in log order within each.
    pub async fn read(&mut self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (partition, next) in &mut self.partitions {
            let end = partition.get_offset(OffsetAt::Latest).await?;
            while *next < end {
                let (records, _) = partition.fetch_records(*next, 1..FETCH_BYTES, FETCH_WAIT_MS).await?;
                let before = *next;
                for found in records {
                    // A fetch answers with whole batches, so it may begin before the offset asked for.
                    if found.offset < *next {
                        continue;
                    }
                    *next = found.offset + 1;
                    entries.push(Entry {
                        partition: partition.partition(),
                        offset: found.offset,
                        timestamp_ms: found.record.timestamp.timestamp_millis(),
                        key: found.record.key,
                        value: found.record.value.unwrap_or_default(),
                        header: found.record.headers.get("dts").cloned(),
                    });
                }
                if *next == before {
                    return Failure::err(format!(
                        "topic {}: partition {} ends at {end}, but nothing comes from {before}",
                        self.topic,
                        partition.partition()
                    ));
                }
            }
        }
        Ok(entries)
    }

    /// Reads on, at least once, until an entry answers `wanted`, and returns everything read.
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
                    "topic {}: waited {} s in vain for {what} ({count} records came)",
                    self.topic,
                    limit.as_secs()
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
