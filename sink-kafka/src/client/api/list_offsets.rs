//! The request ListOffsets: the offsets at which the logs of partitions begin and end.

use std::collections::BTreeMap;
use std::sync::Arc;

use rskafka::protocol::messages::{
    IsolationLevel, ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, NORMAL_CONSUMER,
};
use rskafka::protocol::primitives::{Int32, Int64, String_};

use crate::client::connection::Connection;
use crate::client::error::ClientError;
use crate::client::error_code::ErrorCode;
use crate::client::topic_partition::TopicPartition;

/// The replica id with which a broker returns the end of the leader's own log, even if that is beyond the high watermark.
const DEBUGGING_REPLICA: Int32 = Int32(-2);
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// The offset of a partition's log that is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The first offset of the log.
    Start,
    /// The high watermark: the end of what consumers can read.
    HighWatermark,
    /// The end of the leader's own log, which may be beyond the high watermark. Some brokers do not return it.
    LeaderEnd,
}

/// The requested offset of each partition, or the error code for that partition.
pub(crate) type Offsets = BTreeMap<TopicPartition, Result<i64, ErrorCode>>;

/// Requests the offset at `boundary` of each partition from the broker of `connection`.
pub(crate) async fn list_offsets(
    connection: &Connection,
    partitions: &[TopicPartition],
    boundary: Boundary,
) -> Result<Offsets, ClientError> {
    let (replica_id, timestamp) = match boundary {
        Boundary::Start => (NORMAL_CONSUMER, EARLIEST),
        Boundary::HighWatermark => (NORMAL_CONSUMER, LATEST),
        Boundary::LeaderEnd => (DEBUGGING_REPLICA, LATEST),
    };
    let mut topics: BTreeMap<Arc<str>, Vec<ListOffsetsRequestPartition>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.clone()).or_default().push(ListOffsetsRequestPartition {
            partition_index: Int32(partition.index()),
            timestamp: Int64(timestamp),
            max_num_offsets: None,
        });
    }
    let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsRequestTopic { name: String_(name.to_string()), partitions });
    let request = ListOffsetsRequest { replica_id, isolation_level: Some(IsolationLevel::ReadUncommitted), topics: topics.collect() };
    let answer = connection.request(request).await?;
    let mut offsets = Offsets::new();
    for topic in answer.topics {
        let name: Arc<str> = topic.name.0.into();
        for partition in topic.partitions {
            let Ok(number) = usize::try_from(partition.partition_index.0) else { continue };
            let offset = match (ErrorCode::of(partition.error_code), partition.offset) {
                (ErrorCode::NONE, Some(offset)) if offset.0 >= 0 => Ok(offset.0),
                (ErrorCode::NONE, _) => Err(ErrorCode(-1)),
                (code, _) => Err(code),
            };
            offsets.insert(TopicPartition::new(&name, number), offset);
        }
    }
    Ok(offsets)
}
