//! The request CreateTopics, versions 2 to 4. It is written out here because the one of rskafka supports neither configs nor validation
//! without creation.

use std::collections::BTreeMap;
use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Boolean, Int16, Int32, NullableString, String_};
use rskafka::protocol::traits::{ReadType, WriteError, WriteType};

use crate::client::answer_limit::{AnswerLimit, SMALL_ANSWER_BYTES};
use crate::client::error_code::ErrorCode;

/// The most bytes of an answer about one topic, with its name and an error text.
const TOPIC_ANSWER_BYTES: usize = 4 << 10;
/// How long a broker waits for the new topics to exist on all brokers, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;
/// The value for "use the broker's default" in the fields for partitions and replication; allowed since version 4.
const BROKERS_DEFAULT: i16 = -1;

/// Requests new topics that all have the same partitions, replication and configs. `None` stands for the broker's default.
#[derive(Clone, Debug)]
pub(crate) struct CreateTopicsRequest<'a> {
    pub(crate) names: Vec<&'a str>,
    pub(crate) partitions: Option<i32>,
    pub(crate) replication: Option<i16>,
    pub(crate) configs: &'a BTreeMap<String, String>,
    /// Whether the broker only checks if the topics could be created, and creates nothing.
    pub(crate) validate_only: bool,
}

/// The result for each topic: its name, the error code, and the broker's text.
#[derive(Debug)]
pub(crate) struct CreateTopicsResponse {
    pub(crate) topics: Vec<(String, ErrorCode, Option<String>)>,
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for CreateTopicsRequest<'_> {
    type ResponseBody = CreateTopicsResponse;
    const API_KEY: ApiKey = ApiKey::CreateTopics;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(2), version(4));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(5);
}

impl AnswerLimit for CreateTopicsRequest<'_> {
    fn answer_limit(&self) -> usize {
        SMALL_ANSWER_BYTES + self.names.len() * TOPIC_ANSWER_BYTES
    }
}

impl WriteVersionedType<Vec<u8>> for CreateTopicsRequest<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, version: ApiVersion) -> Result<(), WriteVersionedError> {
        if version.0.0 < 4 && (self.partitions.is_none() || self.replication.is_none()) {
            let field = "the brokers' defaults (set create_topics.partitions and create_topics.replication)";
            return Err(WriteVersionedError::FieldNotAvailable { field: field.into(), version });
        }
        write_len(out, self.names.len())?;
        for name in &self.names {
            String_((*name).to_owned()).write(out)?;
            Int32(self.partitions.unwrap_or(i32::from(BROKERS_DEFAULT))).write(out)?;
            Int16(self.replication.unwrap_or(BROKERS_DEFAULT)).write(out)?;
            write_len(out, 0)?; // no manual replica assignments
            write_len(out, self.configs.len())?;
            for (key, value) in self.configs {
                String_(key.clone()).write(out)?;
                NullableString(Some(value.clone())).write(out)?;
            }
        }
        Int32(TIMEOUT_MS).write(out)?;
        Boolean(self.validate_only).write(out)?;
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for CreateTopicsResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        Int32::read(reader)?; // throttle time
        let mut topics = Vec::new();
        for _ in 0..Int32::read(reader)?.0 {
            topics.push((String_::read(reader)?.0, ErrorCode(Int16::read(reader)?.0), NullableString::read(reader)?.0));
        }
        Ok(Self { topics })
    }
}

fn write_len(out: &mut Vec<u8>, len: usize) -> Result<(), WriteError> {
    Int32(i32::try_from(len)?).write(out)
}
