//! The metadata of a cluster: its brokers, and the id and the leaders of each topic.

use std::collections::HashMap;
use std::sync::Arc;

use super::api::metadata::{ClusterDescription, PartitionDescription, TopicDescription};
use super::error_code::ErrorCode;
use super::topic_id::TopicId;

/// The metadata of a cluster, from the last answers of its brokers.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    brokers: HashMap<i32, String>,
    controller: Option<i32>,
    topics: HashMap<Arc<str>, TopicMetadata>,
}

#[derive(Debug)]
struct TopicMetadata {
    id: Option<TopicId>,
    leaders: Vec<Leader>,
}

/// The leader of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    /// The broker id; −1 if there is no leader.
    broker: i32,
    /// Rises with every election. A broker that is asked with a greater epoch than it knows does not answer as a leader any more. `None` if
    /// the brokers do not return epochs that can be relied on.
    epoch: Option<i32>,
}

/// Why an answer does not show the partitions of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicProblem {
    Code(ErrorCode),
    /// The partition numbers have gaps, although Kafka numbers the partitions of a topic without gaps.
    Gaps,
    /// The topic has another id than before: it was deleted and created again.
    OtherTopic {
        before: TopicId,
        now: TopicId,
    },
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

    /// Replaces the leaders of a topic. Returns the number of its partitions. A leader of an older epoch than the known one is ignored, because
    /// the broker that names it is cut off from the others, or has not heard from them yet. `in_use` says that the topic must still have the
    /// id that it had before.
    pub(super) fn set_leaders(&mut self, topic: &Arc<str>, answer: &ClusterDescription, in_use: bool) -> Result<usize, TopicProblem> {
        let found = answer.topics.iter().find(|found| found.name == **topic);
        let Some(found @ TopicDescription { code: ErrorCode::NONE, .. }) = found else {
            return Err(TopicProblem::Code(found.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |found| found.code)));
        };
        let mut leaders = leaders_of(&found.partitions)?;
        if let Some(known) = self.topics.get(topic) {
            match (known.id, found.id) {
                (Some(before), Some(now)) if before != now => {
                    if in_use {
                        return Err(TopicProblem::OtherTopic { before, now });
                    }
                }
                _ => {
                    for (leader, known) in leaders.iter_mut().zip(&known.leaders) {
                        if leader.epoch.is_some() && leader.epoch < known.epoch {
                            *leader = *known;
                        }
                    }
                }
            }
        }
        let count = leaders.len();
        self.topics.insert(topic.clone(), TopicMetadata { id: found.id, leaders });
        Ok(count)
    }

    pub(super) fn leader(&self, topic: &str, partition: usize) -> Option<i32> {
        let leader = self.topics.get(topic)?.leaders.get(partition)?.broker;
        (leader >= 0 && self.brokers.contains_key(&leader)).then_some(leader)
    }

    pub(super) fn leader_epoch(&self, topic: &str, partition: usize) -> Option<i32> {
        self.topics.get(topic)?.leaders.get(partition)?.epoch
    }

    pub(super) fn topic_id(&self, topic: &str) -> Option<TopicId> {
        self.topics.get(topic)?.id
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

/// The leaders in the order of the partition numbers.
fn leaders_of(partitions: &[PartitionDescription]) -> Result<Vec<Leader>, TopicProblem> {
    let mut leaders = vec![Leader { broker: -1, epoch: None }; partitions.len()];
    for partition in partitions {
        let slot = usize::try_from(partition.number).ok().and_then(|number| leaders.get_mut(number));
        *slot.ok_or(TopicProblem::Gaps)? = Leader { broker: partition.leader, epoch: partition.leader_epoch };
    }
    if leaders.is_empty() { Err(TopicProblem::Code(ErrorCode::LEADER_NOT_AVAILABLE)) } else { Ok(leaders) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer about one topic: its id, and the leader and the leader epoch of each partition.
    fn answer(id: u8, leaders: &[(i32, i32)]) -> ClusterDescription {
        let partitions = leaders.iter().enumerate().map(|(number, (leader, epoch))| PartitionDescription {
            number: number as i32,
            leader: *leader,
            leader_epoch: (*epoch >= 0).then_some(*epoch),
        });
        let topic = TopicDescription {
            name: "t".into(),
            id: TopicId::of([id; 16]),
            code: ErrorCode::NONE,
            is_internal: false,
            partitions: partitions.collect(),
            rights: None,
        };
        ClusterDescription { brokers: HashMap::new(), controller: None, topics: vec![topic] }
    }

    #[test]
    fn a_leader_of_an_older_epoch_is_not_believed() {
        let topic: Arc<str> = "t".into();
        let mut metadata = Metadata::default();
        metadata.set_brokers((0..3).map(|broker| (broker, format!("b:{broker}"))).collect(), None);
        let mut leaders = |id, leaders: &[(i32, i32)]| {
            metadata.set_leaders(&topic, &answer(id, leaders), false).unwrap();
            (metadata.leader("t", 0), metadata.leader_epoch("t", 0), metadata.leader("t", 1))
        };
        assert_eq!(leaders(1, &[(0, 5), (1, 5)]), (Some(0), Some(5), Some(1)));
        assert_eq!(leaders(1, &[(2, 6), (0, 4)]), (Some(2), Some(6), Some(1)), "each partition by itself");
        assert_eq!(leaders(1, &[(0, 6), (2, 5)]), (Some(0), Some(6), Some(2)), "the same epoch is as new");
        assert_eq!(leaders(2, &[(1, 0), (1, 0)]), (Some(1), Some(0), Some(1)), "another topic has other epochs");
        assert_eq!(leaders(2, &[(0, -1), (0, -1)]), (Some(0), None, Some(0)), "without epochs the last answer counts");
        assert_eq!(leaders(0, &[(-1, 3), (0, 3)]), (None, Some(3), Some(0)));
    }

    #[test]
    fn a_topic_in_use_keeps_its_id() {
        let (topic, one) = (Arc::from("t"), answer(1, &[(0, 1)]));
        let mut metadata = Metadata::default();
        assert_eq!(metadata.set_leaders(&topic, &one, true), Ok(1));
        assert_eq!(metadata.set_leaders(&topic, &one, true), Ok(1));
        let [before, now] = [1, 2].map(|id| TopicId::of([id; 16]).unwrap());
        let two = answer(2, &[(0, 0), (0, 0)]);
        assert_eq!(metadata.set_leaders(&topic, &two, true), Err(TopicProblem::OtherTopic { before, now }));
        assert_eq!(metadata.topic_id("t"), Some(before));
        assert_eq!(metadata.set_leaders(&topic, &two, false), Ok(2));
        assert_eq!(metadata.topic_id("t"), Some(now));
        // A broker that is too old to return ids.
        assert_eq!(metadata.set_leaders(&topic, &answer(0, &[(0, 1)]), true), Ok(1));
    }
}
