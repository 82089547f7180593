//! The topics of a lane. Notes up to where each partition was delivered, and whether a topic is ready to be written to.

use std::sync::Arc;

use runtime::Seq;

use super::producer::Partition;
use crate::resume::Mark;
use crate::routing::Target;
use crate::schema_registry::SchemaIdPrefix;

/// The state of a topic in one lane.
pub(crate) struct TopicState {
    name: Arc<str>,
    partitions: Vec<(Arc<Partition>, Mark)>,
    ready: bool,
    /// The first bytes of every record value, with the schema id; `None` without a schema registry.
    prefix: Option<SchemaIdPrefix>,
}

/// The topics of a lane; the index is the topic index of the router.
#[derive(Default)]
pub(super) struct WriterTopics(Vec<TopicState>);

impl TopicState {
    /// A topic that is not ready yet.
    pub(crate) fn new(name: Arc<str>, partitions: Vec<(Arc<Partition>, Mark)>) -> Self {
        Self { name, partitions, ready: false, prefix: None }
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Whether the lane's split has written a record to the topic.
    pub(crate) fn is_written(&self) -> bool {
        self.partitions.iter().any(|(_, mark)| mark.is_written())
    }

    /// Whether the checks that allow writing to the topic were made.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Notes that the topic may be written to, and that every record value begins with `prefix`.
    pub(crate) fn set_ready(&mut self, prefix: Option<SchemaIdPrefix>) {
        (self.ready, self.prefix) = (true, prefix);
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn prefix(&self) -> &[u8] {
        self.prefix.as_ref().map_or(&[], SchemaIdPrefix::as_slice)
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.partitions.iter().map(|(_, mark)| mark)
    }
}

impl WriterTopics {
    pub(super) fn push(&mut self, topic: TopicState) {
        self.0.push(topic);
    }

    pub(super) fn get(&self, index: usize) -> Option<&TopicState> {
        self.0.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut TopicState> {
        self.0.get_mut(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TopicState> {
        self.0.iter()
    }

    pub(super) fn partition(&self, target: Target) -> Option<&Arc<Partition>> {
        self.0.get(target.topic)?.partitions.get(target.partition).map(|(partition, _)| partition)
    }

    /// Whether the record with this seq was delivered to the partition before.
    pub(super) fn covers(&self, target: Target, seq: Seq) -> bool {
        self.0.get(target.topic).and_then(|topic| topic.partitions.get(target.partition)).is_some_and(|(_, mark)| mark.covers(seq))
    }

    /// The seq of the last record that was delivered to the partition; 0 if there is none.
    pub(super) fn last_seq(&self, target: Target) -> Seq {
        self.0.get(target.topic).and_then(|topic| topic.partitions.get(target.partition)).map_or(Seq(0), |(_, mark)| mark.last_seq)
    }

    /// Notes that a record was delivered.
    pub(super) fn advance(&mut self, target: Target, offset: i64, seq: Seq) {
        if let Some((_, mark)) = self.0.get_mut(target.topic).and_then(|topic| topic.partitions.get_mut(target.partition)) {
            mark.advance(offset, seq);
        }
    }
}
