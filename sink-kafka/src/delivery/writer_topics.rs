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
    partitions: Vec<PartitionState>,
    ready: bool,
    /// The first bytes of every record value, with the schema id; `None` without a schema registry.
    prefix: Option<SchemaIdPrefix>,
}

/// The state of a partition in one lane.
struct PartitionState {
    partition: Arc<Partition>,
    mark: Mark,
    /// The mark that the receipt keeps while not everything was read once more that was delivered under earlier numbers.
    kept: Option<Mark>,
}

/// The topics of a lane; the index is the topic index of the router.
#[derive(Default)]
pub(super) struct WriterTopics(Vec<TopicState>);

impl TopicState {
    /// A topic that is not ready yet.
    pub(crate) fn new(name: Arc<str>, partitions: Vec<(Arc<Partition>, Mark, Option<Mark>)>) -> Self {
        let partitions = partitions.into_iter().map(|(partition, mark, kept)| PartitionState { partition, mark, kept });
        Self { name, partitions: partitions.collect(), ready: false, prefix: None }
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Whether the lane's split has written a record to the topic.
    pub(crate) fn is_written(&self) -> bool {
        self.partitions.iter().any(|partition| partition.mark.is_written())
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

    /// The marks for the receipt.
    pub(super) fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.partitions.iter().map(|partition| partition.kept.as_ref().unwrap_or(&partition.mark))
    }
}

impl WriterTopics {
    pub(super) fn push(&mut self, topic: TopicState) {
        self.0.push(topic);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
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
        self.0.get(target.topic)?.partitions.get(target.partition).map(|state| &state.partition)
    }

    /// Whether the record with this seq was delivered to the partition before.
    pub(super) fn covers(&self, target: Target, seq: Seq) -> bool {
        self.0.get(target.topic).and_then(|topic| topic.partitions.get(target.partition)).is_some_and(|state| state.mark.covers(seq))
    }

    /// The seq of the last record that was delivered to the partition; 0 if there is none.
    pub(super) fn last_seq(&self, target: Target) -> Seq {
        self.0.get(target.topic).and_then(|topic| topic.partitions.get(target.partition)).map_or(Seq(0), |state| state.mark.last_seq)
    }

    /// Notes that a record was delivered.
    pub(super) fn advance(&mut self, target: Target, offset: i64, seq: Seq) {
        if let Some(state) = self.0.get_mut(target.topic).and_then(|topic| topic.partitions.get_mut(target.partition)) {
            state.mark.advance(offset, seq);
        }
    }

    /// Lets the receipt say what was delivered, because nothing is left that was delivered under earlier numbers.
    pub(super) fn release_marks(&mut self) {
        self.0.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(|state| state.kept = None);
    }
}
