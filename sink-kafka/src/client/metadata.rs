//! What is known of a cluster: its brokers, and which of them leads which partition.

use std::collections::HashMap;
use std::sync::Arc;

use super::api::metadata::{ClusterDescription, TopicDescription};
use super::error_code::ErrorCode;

/// What is known of a cluster.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    brokers: HashMap<i32, String>,
    controller: Option<i32>,
    /// Leaders by partition; −1 where there is none.
    leaders: HashMap<Arc<str>, Vec<i32>>,
}

/// Why the partitions of a topic are not known after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicProblem {
    Code(ErrorCode),
    /// Invariant of Kafka: partitions of a topic are numbered without gaps.
    Gaps,
}

impl Metadata {
    /// Takes over the brokers. Returns those that are gone or have another address now.
    pub(super) fn set_brokers(&mut self, brokers: HashMap<i32, String>, controller: Option<i32>) -> Vec<i32> {
        // An answer without any broker is no answer.
        if brokers.is_empty() {
            return Vec::new();
        }
        let moved =
            self.brokers.iter().filter(|(broker, address)| brokers.get(broker) != Some(address)).map(|(broker, _)| *broker).collect();
        self.brokers = brokers;
        self.controller = controller;
        moved
    }

    /// Takes over the leaders of a topic. Returns the number of its partitions.
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

    /// All addresses, sorted.
    pub(super) fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.brokers.values().cloned().collect();
        addresses.sort();
        addresses
    }
}
