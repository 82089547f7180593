//! The request Fetch, versions 4 to 10. rskafka supports only version 4, which brokers refuse for topics with `compression.type=zstd`. It
//! also decodes whole answers, which fails on control batches and on some compressions of other producers. The code here returns the
//! records as undecoded bytes.

use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Int8, Int16, Int32, Int64, NullableBytes, String_};
use rskafka::protocol::traits::{ReadError, ReadType, WriteError, WriteType};

use super::NO_LEADER_EPOCH;
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
}

/// The answer to a fetch request.
#[derive(Debug)]
pub(crate) struct FetchResponse {
    /// The error code of the whole request; each partition also has its own.
    pub(crate) code: ErrorCode,
    pub(crate) partitions: Vec<FetchedPartition>,
}

/// The records that were read from one partition, or its error code.
#[derive(Debug)]
pub(crate) struct FetchedPartition {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) code: ErrorCode,
    pub(crate) high_watermark: i64,
    /// Consecutive record batches; the last one may be cut off.
    pub(crate) records: Vec<u8>,
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
        let v = version.0.0;
        Int32::read(reader)?; // throttle time
        let mut code = ErrorCode::NONE;
        if v >= 7 {
            code = ErrorCode(Int16::read(reader)?.0);
            Int32::read(reader)?; // session id
        }
        let mut partitions = Vec::new();
        for _ in 0..read_len(reader)? {
            let topic = String_::read(reader)?.0;
            for _ in 0..read_len(reader)? {
                let partition = Int32::read(reader)?.0;
                let code = ErrorCode(Int16::read(reader)?.0);
                let high_watermark = Int64::read(reader)?.0;
                Int64::read(reader)?; // last stable offset
                if v >= 5 {
                    Int64::read(reader)?; // log start offset
                }
                for _ in 0..read_len(reader)? {
                    Int64::read(reader)?; // aborted transaction: producer id
                    Int64::read(reader)?; // aborted transaction: first offset
                }
                let records = NullableBytes::read(reader)?.0.unwrap_or_default();
                partitions.push(FetchedPartition { topic: topic.clone(), partition, code, high_watermark, records });
            }
        }
        Ok(Self { code, partitions })
    }
}

/// The length of an array; a null array counts as empty. The length comes from the network, so callers must not allocate memory by it; they
/// read the elements one by one.
fn read_len(reader: &mut Cursor<Vec<u8>>) -> Result<usize, ReadError> {
    match Int32::read(reader)?.0 {
        -1 => Ok(0),
        len => Ok(usize::try_from(len)?),
    }
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

    fn read(v: i16, bytes: Vec<u8>) -> Result<(FetchResponse, usize), ReadVersionedError> {
        let mut reader = Cursor::new(bytes);
        FetchResponse::read_versioned(&mut reader, version(v)).map(|read| (read, reader.position() as usize))
    }

    #[test]
    fn every_version_is_read_to_its_end() {
        for v in 4..=10 {
            let (read, end) = read(v, answer(v)).unwrap();
            let part = &read.partitions[0];
            assert_eq!((part.topic.as_str(), part.partition, part.code, part.high_watermark), ("t", 7, ErrorCode(75), 9), "{v}");
            assert_eq!((part.records.as_slice(), end), (&b"abc"[..], answer(v).len()), "{v}");
        }
    }

    #[test]
    fn a_request_has_the_leader_epoch_since_version_9() {
        let part = FetchPartition { topic: "t".into(), partition: 7, leader_epoch: Some(0x1234_5678), offset: 9, max_bytes: 5 };
        let request = FetchRequest { partitions: vec![part], max_bytes: 6 };
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
            let _ = read(v, bytes.clone());
            bytes.truncate(at);
            bytes.extend(rest);
            let _ = read(v, bytes);
        }
    }
}
