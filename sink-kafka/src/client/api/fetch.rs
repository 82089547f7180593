//! The request Fetch, versions 4 to 10. rskafka supports only version 4, which brokers refuse for topics with `compression.type=zstd`. It
//! also decodes whole answers, which fails on control batches and on some compressions of other producers. The code here returns the
//! records as undecoded bytes, and needs no memory beside those of the answer.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Int8, Int16, Int32, Int64, String_};
use rskafka::protocol::traits::{ReadError, WriteError, WriteType};

use super::NO_LEADER_EPOCH;
use super::fields::{Body, Fields};
use crate::client::answer_limit::{AnswerLimit, PARTITION_ANSWER_BYTES, SMALL_ANSWER_BYTES};
use crate::client::error_code::ErrorCode;

/// The replica id of an ordinary consumer.
const CONSUMER: i32 = -1;
/// The isolation level that returns all records up to the high watermark, including those of open transactions.
const READ_UNCOMMITTED: i8 = 0;
/// The session id and session epoch of a request without a fetch session.
const NO_SESSION: (i32, i32) = (0, -1);

/// The offset at which to read in one partition, the most bytes to return for it, and the epoch in which the broker should lead it.
#[derive(Clone, Debug)]
pub(crate) struct FetchPartition {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: Option<i32>,
    pub(crate) offset: i64,
    pub(crate) max_bytes: i32,
}

/// Reads records of several partitions from one broker. Partitions of the same topic must be adjacent. The broker answers without waiting
/// for new records.
#[derive(Debug)]
pub(crate) struct FetchRequest {
    pub(crate) partitions: Vec<FetchPartition>,
    pub(crate) max_bytes: i32,
    /// The size of the largest batch that may be in the log, in bytes. A broker returns the first batch even if it is larger than
    /// `max_bytes`.
    pub(crate) max_batch_bytes: usize,
}

/// The answer to a fetch request.
pub(crate) struct FetchResponse {
    /// The error code of the whole request; each partition also has its own.
    pub(crate) code: ErrorCode,
    version: i16,
    body: Body,
}

/// The result for one partition: its error code, or where the records are in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchedPartition {
    pub(crate) code: ErrorCode,
    pub(crate) high_watermark: i64,
    records: Range<usize>,
}

impl FetchedPartition {
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl FetchResponse {
    /// The partitions that were asked for, by the index that `index_of` returns for the topic and the number of a partition. The rest of the
    /// answer is skipped.
    pub(crate) fn partitions(&self, mut index_of: impl FnMut(&str, i32) -> Option<usize>) -> BTreeMap<usize, FetchedPartition> {
        let mut found = BTreeMap::new();
        // Invariant: the answer was read to its end before.
        let _ = read(&mut self.body.fields(false), self.version, |topic, partition, fetched| {
            if let Some(index) = index_of(topic, partition) {
                found.entry(index).or_insert(fetched);
            }
        });
        found
    }

    /// Consecutive record batches; the last one may be cut off.
    pub(crate) fn records(&self, of: &FetchedPartition) -> &[u8] {
        self.body.bytes(of.records.clone())
    }
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for FetchRequest {
    type ResponseBody = FetchResponse;
    const API_KEY: ApiKey = ApiKey::Fetch;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(4), version(10));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(12);
}

impl AnswerLimit for FetchRequest {
    fn answer_limit(&self) -> usize {
        let records = usize::try_from(self.max_bytes).unwrap_or(0).max(self.max_batch_bytes);
        SMALL_ANSWER_BYTES + records + self.partitions.len() * PARTITION_ANSWER_BYTES
    }
}

impl WriteVersionedType<Vec<u8>> for FetchRequest {
    fn write_versioned(&self, out: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        let v = version.0.0;
        Int32(CONSUMER).write(out)?;
        Int32(0).write(out)?; // longest wait, in milliseconds
        Int32(0).write(out)?; // fewest bytes to wait for
        Int32(self.max_bytes).write(out)?;
        Int8(READ_UNCOMMITTED).write(out)?;
        if v >= 7 {
            Int32(NO_SESSION.0).write(out)?;
            Int32(NO_SESSION.1).write(out)?;
        }
        let topics: Vec<&[FetchPartition]> = self.partitions.chunk_by(|a, b| a.topic == b.topic).collect();
        write_len(out, topics.len())?;
        for parts in topics {
            let name = parts.first().map_or("", |part| part.topic.as_str());
            String_(name.to_owned()).write(out)?;
            write_len(out, parts.len())?;
            for part in parts {
                Int32(part.partition).write(out)?;
                if v >= 9 {
                    Int32(part.leader_epoch.unwrap_or(NO_LEADER_EPOCH)).write(out)?;
                }
                Int64(part.offset).write(out)?;
                if v >= 5 {
                    Int64(-1).write(out)?; // log start offset; only followers set it
                }
                Int32(part.max_bytes).write(out)?;
            }
        }
        if v >= 7 {
            write_len(out, 0)?; // number of forgotten topics, which only fetch sessions use
        }
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for FetchResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, version: ApiVersion) -> Result<Self, ReadVersionedError> {
        let (version, body) = (version.0.0, Body::take(reader));
        let mut fields = body.fields(false);
        let code = read(&mut fields, version, |_, _, _| ())?;
        fields.finish()?;
        Ok(Self { code, version, body })
    }
}

/// Reads an answer. Passes each partition to `visit` with the name of its topic and its number. Returns the error code of the request.
fn read(fields: &mut Fields<'_>, v: i16, mut visit: impl FnMut(&str, i32, FetchedPartition)) -> Result<ErrorCode, ReadError> {
    fields.i32()?; // throttle time
    let mut request_code = ErrorCode::NONE;
    if v >= 7 {
        request_code = fields.code()?;
        fields.i32()?; // session id
    }
    fields.each(|fields| {
        let topic = fields.str()?;
        fields.each(|fields| {
            let (partition, code, high_watermark) = (fields.i32()?, fields.code()?, fields.i64()?);
            fields.i64()?; // last stable offset
            if v >= 5 {
                fields.i64()?; // log start offset
            }
            fields.each(|fields| {
                fields.i64()?; // aborted transaction: producer id
                fields.i64()?; // aborted transaction: first offset
                Ok(())
            })?;
            visit(topic, partition, FetchedPartition { code, high_watermark, records: fields.plain_bytes()? });
            Ok(())
        })
    })?;
    Ok(request_code)
}

fn write_len(out: &mut Vec<u8>, len: usize) -> Result<(), WriteError> {
    Int32(i32::try_from(len)?).write(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(v: i16) -> Vec<u8> {
        let mut out = vec![0; 4];
        if v >= 7 {
            out.extend([0; 6]);
        }
        out.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7, 0, 75]);
        out.extend([[0, 0, 0, 0, 0, 0, 0, 9], [0; 8]].concat());
        if v >= 5 {
            out.extend([0; 8]);
        }
        out.extend([[0xff; 4], [0, 0, 0, 3]].concat());
        out.extend(b"abc");
        out
    }

    fn read(v: i16, bytes: Vec<u8>) -> Result<FetchResponse, ReadVersionedError> {
        FetchResponse::read_versioned(&mut Cursor::new(bytes), version(v))
    }

    /// The only partition of [`answer`], if it was asked for.
    fn only(answer: &FetchResponse) -> FetchedPartition {
        answer.partitions(|topic, partition| (topic == "t" && partition == 7).then_some(3)).remove(&3).unwrap()
    }

    #[test]
    fn every_version_is_read_to_its_end() {
        for v in 4..=10 {
            let found = read(v, answer(v)).unwrap();
            let part = only(&found);
            assert_eq!((part.code, part.high_watermark, found.records(&part)), (ErrorCode(75), 9, &b"abc"[..]), "{v}");
            assert!(read(v, [answer(v), vec![0]].concat()).is_err(), "{v}");
        }
    }

    #[test]
    fn what_was_not_asked_for_takes_no_memory() {
        // A topic with a long name and as many partitions as fit into a megabyte.
        let name = "n".repeat(32_000);
        let partition = [&[0; 22][..], &[0xff; 8]].concat();
        let count = 1_000_000 / partition.len();
        let mut bytes = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &(name.len() as i16).to_be_bytes(), name.as_bytes()].concat();
        bytes.extend((count as i32).to_be_bytes());
        bytes.extend(partition.repeat(count));
        let held = allocation_counter::measure(|| {
            let found = read(4, std::hint::black_box(bytes)).unwrap();
            assert_eq!(found.partitions(|topic, _| (topic == "t").then_some(0)), BTreeMap::new());
            assert_eq!(found.partitions(|_, _| Some(0)).len(), 1);
        });
        assert!(held.bytes_max < 10_000, "{held:?}");
    }

    #[test]
    fn a_request_has_the_leader_epoch_since_version_9() {
        let part = FetchPartition { topic: "t".into(), partition: 7, leader_epoch: Some(0x1234_5678), offset: 9, max_bytes: 5 };
        let request = FetchRequest { partitions: vec![part], max_bytes: 6, max_batch_bytes: 7 };
        for v in 4..=10 {
            let mut out = Vec::new();
            request.write_versioned(&mut out, version(v)).unwrap();
            let found = out.windows(8).any(|window| window == [0, 0, 0, 7, 0x12, 0x34, 0x56, 0x78]);
            assert_eq!(found, v >= 9, "{v}");
        }
    }

    proptest! {
        #[test]
        fn any_damage_is_read_or_refused(v in 4i16..=10, at: prop::sample::Index, byte: u8, rest: Vec<u8>) {
            let mut bytes = answer(v);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(v, bytes.clone()).map(|found| found.partitions(|_, _| Some(0)));
            bytes.truncate(at);
            bytes.extend(rest);
            let _ = read(v, bytes);
        }
    }
}
