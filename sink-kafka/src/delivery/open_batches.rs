//! The batches of a lane that are still being filled, at most one per partition.

use std::ops::Range;

use runtime::Seq;

use super::buffer_pool::BufferPool;
use super::record_batch::{Record, RecordBatchBuilder, SealedBatch};
use crate::codec::Codec;
use crate::error::Error;
use crate::routing::Target;

/// The size of the buffer pool, as a number of full batches. One batch is being filled and one is in flight, and each may need a buffer
/// before and after compression.
const KEPT_BATCHES: usize = 6;

/// The batches that are being filled.
pub(super) struct OpenBatches {
    codec: Codec,
    max_batch_bytes: usize,
    buffers: BufferPool,
    /// The open batch of each partition, by index of the topic and number of the partition.
    builders: Vec<Vec<Option<RecordBatchBuilder>>>,
    /// The partitions in which a batch was opened since the last call of [`OpenBatches::take_touched`]. Some of these batches may be sealed
    /// by now.
    touched: Vec<Target>,
    bytes: usize,
}

impl OpenBatches {
    pub(super) fn new(codec: Codec, max_batch_bytes: usize) -> Self {
        let buffers = BufferPool::new(KEPT_BATCHES * max_batch_bytes);
        Self { codec, max_batch_bytes, buffers, builders: Vec::new(), touched: Vec::new(), bytes: 0 }
    }

    /// Adds a topic, which gets the next topic index.
    pub(super) fn add_topic(&mut self, partitions: usize) {
        self.builders.push((0..partitions).map(|_| None).collect());
    }

    /// The total size of the records in all open batches, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a record to the batch of a partition. Returns whether the batch is full now; `None` if the partition does not exist.
    pub(super) fn push(&mut self, target: Target, record: &Record<'_>, events: Range<u32>, seq: Seq) -> Option<bool> {
        let Self { max_batch_bytes, buffers, builders, touched, bytes, .. } = self;
        let builder = builders.get_mut(target.topic)?.get_mut(target.partition)?;
        let builder = builder.get_or_insert_with(|| {
            touched.push(target);
            RecordBatchBuilder::new(buffers.take())
        });
        let before = builder.len();
        builder.push(record, events, seq);
        *bytes += builder.len() - before;
        Some(builder.len() >= *max_batch_bytes)
    }

    /// Closes and returns the batch of a partition; `None` if the partition has no open batch.
    pub(super) fn seal(&mut self, target: Target) -> Result<Option<SealedBatch>, Error> {
        let builder = self.builders.get_mut(target.topic).and_then(|topic| topic.get_mut(target.partition)).and_then(Option::take);
        let Some(builder) = builder.filter(|builder| !builder.is_empty()) else { return Ok(None) };
        let buffer = self.buffers.take();
        self.bytes = self.bytes.saturating_sub(builder.len());
        let (batch, records) = builder.seal(&mut self.codec, buffer)?;
        self.buffers.keep(records);
        Ok(Some(batch))
    }

    /// Drops the batch of a partition, if it has one.
    pub(super) fn discard(&mut self, target: Target) {
        let builder = self.builders.get_mut(target.topic).and_then(|topic| topic.get_mut(target.partition)).and_then(Option::take);
        self.bytes = self.bytes.saturating_sub(builder.map_or(0, |builder| builder.len()));
    }

    /// The partitions that may have an open batch, sorted. Give the list back with [`OpenBatches::reuse`].
    pub(super) fn take_touched(&mut self) -> Vec<Target> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Takes back the list of [`OpenBatches::take_touched`], to reuse its memory.
    pub(super) fn reuse(&mut self, mut touched: Vec<Target>) {
        touched.clear();
        self.touched = touched;
    }

    /// Takes back the buffer of a delivered batch, to reuse its memory.
    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        self.buffers.keep(buffer);
    }
}
