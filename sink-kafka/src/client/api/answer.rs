//! Reads the answers to every request, as the fuzzer does it.

use std::io::Cursor;
use std::ops::RangeInclusive;

use rskafka::protocol::api_version::ApiVersion;
use rskafka::protocol::messages::{ApiVersionsRequest, ReadVersionedType, RequestBody, SaslHandshakeRequest};
use rskafka::protocol::primitives::Int16;

use super::create_topics::CreateTopicsRequest;
use super::describe_configs::DescribeConfigRequest;
use super::fetch::FetchRequest;
use super::init_producer_id::InitProducerIdRequest;
use super::list_offsets::ListOffsetsRequest;
use super::metadata::MetadataRequest;
use super::produce::ProduceRequest;
use super::sasl::AuthenticateRequest;

/// The answer to a request, by the name of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The versions of all requests that a broker supports.
    ApiVersions,
    /// The SASL mechanisms.
    SaslHandshake,
    /// A message of a SASL exchange.
    SaslAuthenticate,
    /// Brokers, topics and leaders.
    Metadata,
    /// The results of creating topics.
    CreateTopics,
    /// The value of a config.
    DescribeConfigs,
    /// A producer id.
    InitProducerId,
    /// Offsets of logs.
    ListOffsets,
    /// The results of writing batches.
    Produce,
    /// Records.
    Fetch,
}

impl Answer {
    /// All answers.
    pub const ALL: [Self; 10] = [
        Self::ApiVersions,
        Self::SaslHandshake,
        Self::SaslAuthenticate,
        Self::Metadata,
        Self::CreateTopics,
        Self::DescribeConfigs,
        Self::InitProducerId,
        Self::ListOffsets,
        Self::Produce,
        Self::Fetch,
    ];

    /// The versions of the request that are used.
    pub fn versions(self) -> RangeInclusive<i16> {
        fn of<R: RequestBody>() -> RangeInclusive<i16> {
            R::API_VERSION_RANGE.min().0.0..=R::API_VERSION_RANGE.max().0.0
        }
        match self {
            Self::ApiVersions => of::<ApiVersionsRequest>(),
            Self::SaslHandshake => of::<SaslHandshakeRequest>(),
            Self::SaslAuthenticate => of::<AuthenticateRequest>(),
            Self::Metadata => of::<MetadataRequest<'_>>(),
            Self::CreateTopics => of::<CreateTopicsRequest<'_>>(),
            Self::DescribeConfigs => of::<DescribeConfigRequest<'_>>(),
            Self::InitProducerId => of::<InitProducerIdRequest>(),
            Self::ListOffsets => of::<ListOffsetsRequest<'_>>(),
            Self::Produce => of::<ProduceRequest<'_>>(),
            Self::Fetch => of::<FetchRequest>(),
        }
    }

    /// Reads the body of an answer of this version as a connection does it. `topic` is the topic that was asked for.
    pub fn read(self, version: i16, bytes: Vec<u8>, topic: &str) -> Result<(), String> {
        match self {
            Self::ApiVersions => body::<ApiVersionsRequest>(version, bytes).map(drop),
            Self::SaslHandshake => body::<SaslHandshakeRequest>(version, bytes).map(drop),
            Self::SaslAuthenticate => body::<AuthenticateRequest>(version, bytes).map(drop),
            Self::Metadata => body::<MetadataRequest<'_>>(version, bytes).map(|answer| drop(answer.describe(|name| name == topic))),
            Self::CreateTopics => body::<CreateTopicsRequest<'_>>(version, bytes).map(drop),
            Self::DescribeConfigs => body::<DescribeConfigRequest<'_>>(version, bytes).map(drop),
            Self::InitProducerId => body::<InitProducerIdRequest>(version, bytes).map(drop),
            Self::ListOffsets => body::<ListOffsetsRequest<'_>>(version, bytes).map(drop),
            Self::Produce => body::<ProduceRequest<'_>>(version, bytes).map(drop),
            Self::Fetch => body::<FetchRequest>(version, bytes).map(|answer| {
                for (_, fetched) in answer.partitions(|name, partition| (name == topic).then(|| usize::try_from(partition).ok())?) {
                    answer.records(&fetched);
                }
            }),
        }
    }
}

/// Reads a body, and checks like the messenger that nothing is left over.
fn body<R>(version: i16, bytes: Vec<u8>) -> Result<R::ResponseBody, String>
where
    R: RequestBody,
    R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
{
    let mut reader = Cursor::new(bytes);
    let body = R::ResponseBody::read_versioned(&mut reader, ApiVersion(Int16(version))).map_err(|error| error.to_string())?;
    let left = (reader.get_ref().len() as u64).saturating_sub(reader.position());
    if left == 0 { Ok(body) } else { Err(format!("{left} bytes are left over")) }
}
