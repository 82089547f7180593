//! Reads record batches with the decoder of the protocol library. Tests use it as an independent check of the batches that this crate
//! writes.

use std::io::Cursor;

use rskafka::protocol::record::{ControlBatchOrRecords, RecordBatch, RecordBatchCompression};
use rskafka::protocol::traits::ReadType as _;

use crate::codec::Compression;

/// A record as the protocol library decodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadRecord {
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// A batch as the protocol library decodes it.
#[derive(Clone, Debug)]
pub(crate) struct ReadBatch {
    pub(crate) base_offset: i64,
    pub(crate) producer: (i64, i16),
    pub(crate) base_sequence: i32,
    pub(crate) last_offset_delta: i32,
    pub(crate) compression: Compression,
    pub(crate) timestamps: (i64, i64),
    pub(crate) records: Vec<ReadRecord>,
}

/// Reads one batch.
pub(crate) fn read_batch(bytes: &[u8]) -> ReadBatch {
    let batch = RecordBatch::read(&mut Cursor::new(bytes)).unwrap();
    let ControlBatchOrRecords::Records(records) = batch.records else { panic!("a control batch") };
    let records = records.into_iter().map(|record| {
        assert_eq!(record.timestamp_delta, 0);
        ReadRecord {
            offset_delta: record.offset_delta,
            key: record.key,
            value: record.value,
            headers: record.headers.into_iter().map(|header| (header.key, header.value)).collect(),
        }
    });
    ReadBatch {
        base_offset: batch.base_offset,
        producer: (batch.producer_id, batch.producer_epoch),
        base_sequence: batch.base_sequence,
        last_offset_delta: batch.last_offset_delta,
        compression: match batch.compression {
            RecordBatchCompression::NoCompression => Compression::None,
            RecordBatchCompression::Gzip => Compression::Gzip,
            RecordBatchCompression::Snappy => Compression::Snappy,
            RecordBatchCompression::Lz4 => Compression::Lz4,
            RecordBatchCompression::Zstd => Compression::Zstd,
        },
        timestamps: (batch.first_timestamp, batch.max_timestamp),
        records: records.collect(),
    }
}
