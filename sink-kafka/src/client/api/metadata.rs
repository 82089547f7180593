//! The request Metadata: the brokers, and the leaders of partitions. This request never makes a broker create a missing topic.

use std::collections::HashMap;
use std::sync::Arc;

use rskafka::protocol::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use rskafka::protocol::primitives::{Boolean, String_};

use crate::client::error_code::ErrorCode;

/// The part of an answer to Metadata that this client uses.
#[derive(Debug)]
pub(crate) struct ClusterDescription {
    /// The address `host:port` of each broker, by broker id.
    pub(crate) brokers: HashMap<i32, String>,
    pub(crate) controller: Option<i32>,
    pub(crate) topics: Vec<TopicDescription>,
}

/// The part of an answer to Metadata that describes one topic.
#[derive(Debug)]
pub(crate) struct TopicDescription {
    pub(crate) name: String,
    pub(crate) code: ErrorCode,
    /// Whether the topic is an internal topic of Kafka, such as `__consumer_offsets`.
    pub(crate) is_internal: bool,
    /// The number of each partition and the broker id of its leader; the id is negative if there is no leader.
    pub(crate) leaders: Vec<(i32, i32)>,
}

/// A request about these topics; `None` requests all topics.
pub(crate) fn request(topics: Option<&[Arc<str>]>) -> MetadataRequest {
    let named = |topic: &Arc<str>| MetadataRequestTopic { name: String_(topic.to_string()) };
    MetadataRequest { topics: topics.map(|topics| topics.iter().map(named).collect()), allow_auto_topic_creation: Some(Boolean(false)) }
}

impl From<MetadataResponse> for ClusterDescription {
    fn from(answer: MetadataResponse) -> Self {
        let brokers = answer.brokers.into_iter().map(|broker| {
            let host = if broker.host.0.contains(':') { format!("[{}]", broker.host.0) } else { broker.host.0 };
            (broker.node_id.0, format!("{host}:{}", broker.port.0))
        });
        let topics = answer.topics.into_iter().map(|topic| TopicDescription {
            is_internal: topic.is_internal.is_some_and(|internal| internal.0) || topic.name.0.starts_with("__"),
            name: topic.name.0,
            code: ErrorCode::of(topic.error),
            leaders: topic.partitions.iter().map(|partition| (partition.partition_index.0, partition.leader_id.0)).collect(),
        });
        Self { brokers: brokers.collect(), controller: answer.controller_id.map(|id| id.0), topics: topics.collect() }
    }
}
