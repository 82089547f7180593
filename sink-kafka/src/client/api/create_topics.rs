//! CreateTopics, versions 2 to 4: with configs, and with validation alone. rskafka's request has neither.

use std::collections::BTreeMap;
use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Boolean, Int16, Int32, NullableString, String_};
use rskafka::protocol::traits::{ReadType, WriteError, WriteType};

use crate::client::error_code::ErrorCode;

/// How long a broker waits until the topics exist on all brokers.
const TIMEOUT_MS: i32 = 30_000;
/// Means "as the brokers are set"; since version 4.
const BROKERS_DEFAULT: i16 = -1;

/// Topics to be created, all alike.
#[derive(Clone, Debug)]
pub(crate) struct CreateTopicsRequest<'a> {
    pub(crate) names: Vec<&'a str>,
    pub(crate) partitions: Option<i32>,
    pub(crate) replication: Option<i16>,
    pub(crate) configs: &'a BTreeMap<String, String>,
    /// Nothing is created; the answer says whether it could be.
    pub(crate) validate_only: bool,
}

/// By topic: its name, the code, and the broker's text.
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
            write_len(out, 0)?; // no assignments
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
