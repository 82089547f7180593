//! The request Produce, versions 3 to 7, for batches that are already encoded. The request of rskafka can only send batches that it encodes
//! itself.

use std::sync::Arc;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ProduceResponse, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Int16, Int32, NullableString};
use rskafka::protocol::traits::{WriteError, WriteType};

use crate::client::answer_limit::{AnswerLimit, PARTITION_ANSWER_BYTES, SMALL_ANSWER_BYTES};
use crate::client::connection::{CLIENT_ID, Connection};
use crate::client::error::ClientError;
use crate::client::error_code::ErrorCode;

/// How long a broker waits for the replicas to acknowledge a batch, in milliseconds.
const REPLICAS_TIMEOUT_MS: i32 = 30_000;
/// The size in bytes of a request with one batch, without the client id, the name of the topic and the batch: 10 for the header, 8 for its
/// own fields, and 18 for those of topic and partition.
const REQUEST_BYTES: usize = 36;
/// The value of `acks` for "wait until all in-sync replicas have the batch".
const ACKS_ALL: i16 = -1;

/// One encoded record batch for one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionRecords<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) records: &'a [u8],
}

impl PartitionRecords<'_> {
    /// The size in bytes of a request with only this batch, as a broker compares it with its limit.
    pub(crate) fn request_bytes(&self) -> usize {
        REQUEST_BYTES + CLIENT_ID.len() + self.topic.len() + self.records.len()
    }
}

/// Record batches for several partitions, at most one batch per partition. Partitions of the same topic must be adjacent.
#[derive(Debug)]
pub(super) struct ProduceRequest<'a> {
    partitions: &'a [PartitionRecords<'a>],
    /// Whether any batch is compressed with zstd, which needs version 7 of the request.
    zstd: bool,
}

/// The broker's result for one batch.
#[derive(Clone, Debug)]
pub(crate) struct Produced {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) code: ErrorCode,
    pub(crate) base_offset: i64,
}

/// Sends record batches for several partitions, at most one batch per partition. Partitions of the same topic must be adjacent. `zstd` says
/// whether any batch is compressed with zstd.
pub(crate) async fn produce(
    connection: &Connection,
    partitions: &[PartitionRecords<'_>],
    zstd: bool,
) -> Result<Vec<Produced>, ClientError> {
    let answer = connection.request(ProduceRequest { partitions, zstd }).await?;
    if let Some(throttle) = answer.throttle_time_ms {
        connection.throttle(throttle.0);
    }
    let batches = answer.responses.into_iter().flat_map(|topic| {
        let name: Arc<str> = topic.name.0.into();
        topic.partition_responses.into_iter().map(move |part| Produced {
            topic: name.clone(),
            partition: part.index.0,
            code: ErrorCode::of(part.error),
            base_offset: part.base_offset.0,
        })
    });
    Ok(batches.collect())
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for ProduceRequest<'_> {
    type ResponseBody = ProduceResponse;
    const API_KEY: ApiKey = ApiKey::Produce;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(3), version(7));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(9);
}

impl AnswerLimit for ProduceRequest<'_> {
    fn answer_limit(&self) -> usize {
        SMALL_ANSWER_BYTES + self.partitions.len() * PARTITION_ANSWER_BYTES
    }
}

impl WriteVersionedType<Vec<u8>> for ProduceRequest<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        if self.zstd && version.0.0 < 7 {
            return Err(WriteVersionedError::FieldNotAvailable { field: "zstd (compression = \"none\" works)".into(), version });
        }
        // With enough room reserved here, the buffer never grows, and each batch is copied exactly once.
        out.reserve_exact(self.partitions.iter().map(|part| part.records.len() + part.topic.len() + 32).sum::<usize>() + 32);
        NullableString(None).write(out)?;
        Int16(ACKS_ALL).write(out)?;
        Int32(REPLICAS_TIMEOUT_MS).write(out)?;
        let topics: Vec<&[PartitionRecords<'_>]> = self.partitions.chunk_by(|a, b| a.topic == b.topic).collect();
        write_len(out, topics.len())?;
        for parts in topics {
            let name = parts.first().map_or("", |part| part.topic);
            Int16(i16::try_from(name.len()).map_err(WriteError::from)?).write(out)?;
            out.extend_from_slice(name.as_bytes());
            write_len(out, parts.len())?;
            for part in parts {
                Int32(part.partition).write(out)?;
                write_len(out, part.records.len())?;
                out.extend_from_slice(part.records);
            }
        }
        Ok(())
    }
}

fn write_len(out: &mut Vec<u8>, len: usize) -> Result<(), WriteError> {
    Int32(i32::try_from(len)?).write(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_request_is_known_before_it_is_written() {
        let part = PartitionRecords { topic: "shop", partition: 3, records: b"records" };
        let mut body = Vec::new();
        ProduceRequest { partitions: &[part], zstd: false }.write_versioned(&mut body, version(7)).unwrap();
        // The header: the number of the request, its version, the correlation id, and the client id with its length.
        let header = 2 + 2 + 4 + 2 + CLIENT_ID.len();
        assert_eq!(part.request_bytes(), header + body.len());
    }
}
