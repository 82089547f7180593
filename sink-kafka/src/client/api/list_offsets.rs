//! The request ListOffsets, versions 1 to 5: the offsets at which the logs of partitions begin and end. It is written out here because the
//! one of rskafka ends at version 3, which has no leader epochs.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Int8, Int16, Int32, Int64};
use rskafka::protocol::traits::{ReadError, WriteType};

use super::NO_LEADER_EPOCH;
use super::fields::{Body, FieldWriter, Fields};
use crate::client::answer_limit::{AnswerLimit, PARTITION_ANSWER_BYTES, SMALL_ANSWER_BYTES};
use crate::client::connection::Connection;
use crate::client::error::ClientError;
use crate::client::error_code::ErrorCode;
use crate::client::topic_partition::TopicPartition;

/// The replica id of an ordinary consumer.
const CONSUMER: i32 = -1;
/// The replica id with which a broker returns the end of the leader's own log, even if that is beyond the high watermark.
const DEBUGGING_REPLICA: i32 = -2;
/// The isolation level at which open transactions do not hide the records after them.
const READ_UNCOMMITTED: i8 = 0;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// The offset of a partition's log that is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The first offset of the log.
    Start,
    /// The high watermark: the end of what consumers can read.
    HighWatermark,
    /// The end of the leader's own log, which may be beyond the high watermark. Some brokers do not return it.
    LeaderEnd,
}

/// Requests an offset of each partition. Partitions of the same topic must be adjacent.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListOffsetsRequest<'a> {
    boundary: Boundary,
    /// The partitions, with the epochs in which this client believes that the broker leads them.
    partitions: &'a [(TopicPartition, Option<i32>)],
}

/// The error code and the offset of each partition.
#[derive(Debug)]
pub(super) struct ListOffsetsResponse {
    partitions: Vec<(TopicPartition, ErrorCode, i64)>,
}

/// The requested offset of each partition, or the error code for that partition.
pub(crate) type Offsets = BTreeMap<TopicPartition, Result<i64, ErrorCode>>;

/// Requests the offset at `boundary` of each partition from the broker of `connection`. Partitions of the same topic must be adjacent. A
/// broker that does not lead a partition in the given epoch returns an error code for it.
pub(crate) async fn list_offsets(
    connection: &Connection,
    partitions: &[(TopicPartition, Option<i32>)],
    boundary: Boundary,
) -> Result<Offsets, ClientError> {
    let answer = connection.request(ListOffsetsRequest { boundary, partitions }).await?;
    let offsets = answer.partitions.into_iter().map(|(partition, code, offset)| match code {
        ErrorCode::NONE if offset >= 0 => (partition, Ok(offset)),
        ErrorCode::NONE => (partition, Err(ErrorCode(-1))),
        code => (partition, Err(code)),
    });
    Ok(offsets.collect())
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for ListOffsetsRequest<'_> {
    type ResponseBody = ListOffsetsResponse;
    const API_KEY: ApiKey = ApiKey::ListOffsets;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(1), version(5));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(6);
}

impl AnswerLimit for ListOffsetsRequest<'_> {
    fn answer_limit(&self) -> usize {
        SMALL_ANSWER_BYTES + self.partitions.len() * PARTITION_ANSWER_BYTES
    }
}

impl WriteVersionedType<Vec<u8>> for ListOffsetsRequest<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        let v = version.0.0;
        let (replica_id, timestamp) = match self.boundary {
            Boundary::Start => (CONSUMER, EARLIEST),
            Boundary::HighWatermark => (CONSUMER, LATEST),
            Boundary::LeaderEnd => (DEBUGGING_REPLICA, LATEST),
        };
        Int32(replica_id).write(out)?;
        if v >= 2 {
            Int8(READ_UNCOMMITTED).write(out)?;
        }
        let topics: Vec<&[(TopicPartition, Option<i32>)]> = self.partitions.chunk_by(|(a, _), (b, _)| a.topic == b.topic).collect();
        FieldWriter::new(out, false).length(Some(topics.len()))?;
        for parts in topics {
            let mut fields = FieldWriter::new(out, false);
            fields.string(parts.first().map_or("", |(part, _)| &part.topic))?;
            fields.length(Some(parts.len()))?;
            for (part, epoch) in parts {
                Int32(part.index()).write(out)?;
                if v >= 4 {
                    Int32(epoch.unwrap_or(NO_LEADER_EPOCH)).write(out)?;
                }
                Int64(timestamp).write(out)?;
            }
        }
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for ListOffsetsResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, version: ApiVersion) -> Result<Self, ReadVersionedError> {
        let v = version.0.0;
        let body = Body::take(reader);
        let mut fields = body.fields(false);
        if v >= 2 {
            fields.i32()?; // throttle time
        }
        let mut partitions = Vec::new();
        fields.each(|fields| {
            let topic: Arc<str> = fields.str()?.into();
            fields.each(|fields| {
                partitions.extend(read_partition(fields, &topic, v)?);
                Ok(())
            })
        })?;
        fields.finish()?;
        Ok(Self { partitions })
    }
}

/// Reads one partition of an answer; `None` if its number is not one.
fn read_partition(fields: &mut Fields<'_>, topic: &Arc<str>, v: i16) -> Result<Option<(TopicPartition, ErrorCode, i64)>, ReadError> {
    let (number, code) = (fields.i32()?, fields.code()?);
    fields.i64()?; // timestamp
    let offset = fields.i64()?;
    if v >= 4 {
        fields.i32()?; // epoch in which the record at that offset was written
    }
    Ok(usize::try_from(number).ok().map(|number| (TopicPartition::new(topic, number), code, offset)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(v: i16, bytes: Vec<u8>) -> Result<ListOffsetsResponse, ReadVersionedError> {
        ListOffsetsResponse::read_versioned(&mut Cursor::new(bytes), version(v))
    }

    fn answer(v: i16) -> Vec<u8> {
        let mut out = if v >= 2 { vec![0, 0, 0, 0] } else { Vec::new() };
        out.extend([&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 7, 0, 74][..], &[0xff; 8], &[0, 0, 0, 0, 0, 0, 1, 0]].concat());
        if v >= 4 {
            out.extend([0, 0, 0, 3]);
        }
        out
    }

    #[test]
    fn every_version_is_read_to_its_end() {
        for v in 1..=5 {
            let found = read(v, answer(v)).unwrap();
            assert_eq!(found.partitions, [(TopicPartition::new(&"t".into(), 7), ErrorCode(74), 256)], "{v}");
            assert!(read(v, [answer(v), vec![0]].concat()).is_err(), "{v}");
        }
    }

    #[test]
    fn the_bytes_of_a_request_are_those_of_its_version() {
        let topic: Arc<str> = "t".into();
        let partitions = [(TopicPartition::new(&topic, 7), Some(3)), (TopicPartition::new(&topic, 8), None)];
        let bytes = |v| {
            let mut out = Vec::new();
            let request = ListOffsetsRequest { boundary: Boundary::LeaderEnd, partitions: &partitions };
            request.write_versioned(&mut out, version(v)).unwrap();
            out
        };
        let (replica, topics) = ([0xff, 0xff, 0xff, 0xfe], [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2]);
        let (seven, eight, latest) = ([0, 0, 0, 7], [0, 0, 0, 8], [0xff; 8]);
        assert_eq!(bytes(1), [&replica[..], &topics, &seven, &latest, &eight, &latest].concat());
        assert_eq!(bytes(3), [&replica[..], &[0], &topics, &seven, &latest, &eight, &latest].concat());
        let (three, none) = ([0, 0, 0, 3], [0xff; 4]);
        assert_eq!(bytes(5), [&replica[..], &[0], &topics, &seven, &three, &latest, &eight, &none, &latest].concat());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, v in 1i16..=5) {
            let _ = read(v, bytes);
        }

        #[test]
        fn any_damage_is_read_or_refused(v in 1i16..=5, at: prop::sample::Index, byte: u8) {
            let mut bytes = answer(v);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(v, bytes);
        }
    }
}
