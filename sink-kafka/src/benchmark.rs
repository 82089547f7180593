//! Support for the benchmarks of this crate and for the fuzzer; not part of the API.

use std::sync::Arc;

use runtime::Seq;

use crate::codec::{Codec, Compression};
use crate::delivery::{ProducerId, Record, RecordBatchBuilder};
use crate::error::Error;
use crate::resume::TransactionBytes;
use crate::resume::record_header::RecordPosition;

/// Builds record batches from the same values repeatedly and reuses its buffers, as a lane of the sink does.
pub struct BatchMaker {
    codec: Codec,
    records: Vec<u8>,
    batch: Vec<u8>,
}

impl BatchMaker {
    /// A maker with empty buffers.
    pub fn new(compression: Compression) -> Result<Self, Error> {
        Self::of(Codec::new(compression))
    }

    /// A maker that compresses at a level.
    pub fn with_level(compression: Compression, level: i32) -> Result<Self, Error> {
        Self::of(Codec::with_level(compression, level))
    }

    fn of(codec: Result<Codec, String>) -> Result<Self, Error> {
        let codec = codec.map_err(|problem| Error::RecordBatch { problem })?;
        Ok(Self { codec, records: Vec::new(), batch: Vec::new() })
    }

    /// Encodes, compresses and stamps one batch of these values, with the ids of their transactions. Returns the size of the batch in bytes.
    pub fn make(&mut self, values: &[Vec<u8>], transactions: &[Arc<str>]) -> Result<usize, Error> {
        let mut builder = RecordBatchBuilder::new(std::mem::take(&mut self.records));
        let mut header = RecordPosition { run: 1, epoch: 1, split: 1, seq: Seq(0), flags: 0 }.encode();
        let seq_at = header.len() - 17;
        let mut transaction = TransactionBytes::default();
        for (index, value) in values.iter().enumerate() {
            header.truncate(seq_at);
            header.extend_from_slice(&(index as u128).to_be_bytes());
            header.push(0);
            header.extend_from_slice(transaction.of(transactions.get(index)));
            let record = Record { value: Some(value), position: &header, ..Record::default() };
            builder.push(&record, index as u32..index as u32 + 1, Seq(index as u128));
        }
        let (mut sealed, records) = builder.seal(&mut self.codec, std::mem::take(&mut self.batch))?;
        sealed.stamp(ProducerId { id: 1, epoch: 0 }, 0);
        self.records = records;
        let size = sealed.bytes().len();
        self.batch = sealed.into_buffer();
        Ok(size)
    }

    /// The last batch.
    pub fn bytes(&self) -> &[u8] {
        &self.batch
    }
}
