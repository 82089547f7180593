//! A partition of a topic by name.

use std::fmt;
use std::sync::Arc;

/// A partition of a topic; shown as `shop/3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The number of the partition.
    pub partition: usize,
}

impl TopicPartition {
    /// A partition of a topic.
    pub(crate) fn new(topic: &Arc<str>, partition: usize) -> Self {
        Self { topic: topic.clone(), partition }
    }

    /// The number as the protocol has it.
    pub(crate) fn index(&self) -> i32 {
        // Invariant: Kafka numbers partitions with 31 bits, and this number came from a broker.
        self.partition as i32
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}
