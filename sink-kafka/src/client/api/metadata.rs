//! Metadata: the brokers, and the leaders of partitions. Never creates a topic.

use std::collections::HashMap;
use std::sync::Arc;

use rskafka::protocol::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use rskafka::protocol::primitives::{Boolean, String_};

use crate::client::error_code::ErrorCode;

/// What an answer to Metadata holds.
#[derive(Debug)]
pub(crate) struct ClusterDescription {
    /// Addresses by broker.
    pub(crate) brokers: HashMap<i32, String>,
    pub(crate) controller: Option<i32>,
    pub(crate) topics: Vec<TopicDescription>,
}

/// What an answer to Metadata holds of one topic.
#[derive(Debug)]
pub(crate) struct TopicDescription {
    pub(crate) name: String,
    pub(crate) code: ErrorCode,
    /// Whether it is one of Kafka's own.
    pub(crate) is_internal: bool,
    /// Number and leader of each partition.
    pub(crate) leaders: Vec<(i32, i32)>,
}

/// The request about these topics; `None`: about all.
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
