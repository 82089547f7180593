//! The batches of a lane that are being filled, at most one per partition.

use std::ops::Range;

use runtime::Seq;

use super::buffer_pool::BufferPool;
use super::record_batch::{Record, RecordBatchBuilder, SealedBatch};
use crate::codec::Codec;
use crate::error::Error;
use crate::routing::Target;

/// Buffers that are kept, in full batches: one is filled and one is in flight, each before and after compression.
const KEPT_BATCHES: usize = 6;

/// The batches that are being filled.
pub(super) struct OpenBatches {
    codec: Codec,
    max_batch_bytes: usize,
    buffers: BufferPool,
    /// By topic and partition.
    builders: Vec<Vec<Option<RecordBatchBuilder>>>,
    /// Partitions whose batch was opened since the last [`OpenBatches::take_touched`]; some may have been sealed.
    touched: Vec<Target>,
    bytes: usize,
}

impl OpenBatches {
    pub(super) fn new(codec: Codec, max_batch_bytes: usize) -> Self {
        let buffers = BufferPool::new(KEPT_BATCHES * max_batch_bytes);
        Self { codec, max_batch_bytes, buffers, builders: Vec::new(), touched: Vec::new(), bytes: 0 }
    }

    /// Makes room for the next topic.
    pub(super) fn add_topic(&mut self, partitions: usize) {
        self.builders.push((0..partitions).map(|_| None).collect());
    }

    /// Bytes of records in all batches together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a record to the batch of a partition; true if the batch is full now. `None`: there is no such partition.
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

    /// Closes the batch of a partition, if it has one.
    pub(super) fn seal(&mut self, target: Target) -> Result<Option<SealedBatch>, Error> {
        let builder = self.builders.get_mut(target.topic).and_then(|topic| topic.get_mut(target.partition)).and_then(Option::take);
        let Some(builder) = builder.filter(|builder| !builder.is_empty()) else { return Ok(None) };
        let buffer = self.buffers.take();
        self.bytes = self.bytes.saturating_sub(builder.len());
        let (batch, records) = builder.seal(&mut self.codec, buffer)?;
        self.buffers.keep(records);
        Ok(Some(batch))
    }

    /// The partitions that may have an open batch, in order. [`OpenBatches::reuse`] takes the list back.
    pub(super) fn take_touched(&mut self) -> Vec<Target> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Takes the list of [`OpenBatches::take_touched`] back, for its memory.
    pub(super) fn reuse(&mut self, mut touched: Vec<Target>) {
        touched.clear();
        self.touched = touched;
    }

    /// Keeps the buffer of a delivered batch for another one.
    pub(super) fn keep(&mut self, buffer: Vec<u8>) {
        self.buffers.keep(buffer);
    }
}
