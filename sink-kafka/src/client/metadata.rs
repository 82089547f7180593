//! The metadata of a cluster: its brokers, and the leader of each partition.

use std::collections::HashMap;
use std::sync::Arc;

use super::api::metadata::{ClusterDescription, TopicDescription};
use super::error_code::ErrorCode;

/// The metadata of a cluster, from the last answers of its brokers.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    brokers: HashMap<i32, String>,
    controller: Option<i32>,
    /// For each topic, the broker id of the leader of each partition; −1 if there is no leader.
    leaders: HashMap<Arc<str>, Vec<i32>>,
}

/// Why an answer does not show the partitions of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicProblem {
    Code(ErrorCode),
    /// The partition numbers have gaps, although Kafka numbers the partitions of a topic without gaps.
    Gaps,
}

impl Metadata {
    /// Replaces the list of brokers. Returns the ids of the brokers that are gone or have a new address.
    pub(super) fn set_brokers(&mut self, brokers: HashMap<i32, String>, controller: Option<i32>) -> Vec<i32> {
        // A list without any broker cannot be right, so it is ignored.
        if brokers.is_empty() {
            return Vec::new();
        }
        let moved =
            self.brokers.iter().filter(|(broker, address)| brokers.get(broker) != Some(address)).map(|(broker, _)| *broker).collect();
        self.brokers = brokers;
        self.controller = controller;
        moved
    }

    /// Replaces the leaders of a topic. Returns the number of its partitions.
    pub(super) fn set_leaders(&mut self, topic: &Arc<str>, answer: &ClusterDescription) -> Result<usize, TopicProblem> {
        let found = answer.topics.iter().find(|found| found.name == **topic);
        let Some(TopicDescription { code: ErrorCode::NONE, leaders: numbered, .. }) = found else {
            return Err(TopicProblem::Code(found.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |found| found.code)));
        };
        let mut leaders = vec![-1; numbered.len()];
        for (number, leader) in numbered {
            let slot = usize::try_from(*number).ok().and_then(|number| leaders.get_mut(number));
            *slot.ok_or(TopicProblem::Gaps)? = *leader;
        }
        if leaders.is_empty() {
            return Err(TopicProblem::Code(ErrorCode::LEADER_NOT_AVAILABLE));
        }
        let count = leaders.len();
        self.leaders.insert(topic.clone(), leaders);
        Ok(count)
    }

    pub(super) fn leader(&self, topic: &str, partition: usize) -> Option<i32> {
        self.leaders.get(topic)?.get(partition).copied().filter(|leader| *leader >= 0 && self.brokers.contains_key(leader))
    }

    pub(super) fn controller(&self) -> Option<i32> {
        self.controller
    }

    pub(super) fn address(&self, broker: i32) -> Option<String> {
        self.brokers.get(&broker).cloned()
    }

    /// The addresses of all brokers, sorted.
    pub(super) fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.brokers.values().cloned().collect();
        addresses.sort();
        addresses
    }
}
