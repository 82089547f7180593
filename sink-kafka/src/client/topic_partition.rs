//! The name of a partition: its topic and its number.

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

    /// The partition number in the type that Kafka's protocol uses.
    pub(crate) fn index(&self) -> i32 {
        // Invariant: the number came from a broker, where partition numbers are non-negative 32-bit integers.
        self.partition as i32
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}
