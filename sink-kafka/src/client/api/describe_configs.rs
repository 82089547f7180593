//! The request DescribeConfigs, version 1, limited to one config of one topic or broker.

use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Boolean, Int8, Int16, Int32, NullableString, String_};
use rskafka::protocol::traits::{ReadType, WriteType};

use crate::client::answer_limit::AnswerLimit;

const VERSION: ApiVersion = ApiVersion(Int16(1));

/// The owner of a config.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resource<'a> {
    Topic(&'a str),
    /// The broker with this id. Only the broker itself knows its config.
    Broker(i32),
}

/// Requests the value of the config `key` of a resource.
#[derive(Debug)]
pub(crate) struct DescribeConfigRequest<'a> {
    pub(crate) resource: Resource<'a>,
    pub(crate) key: &'static str,
}

/// The value of the config; `None` if the broker does not return it, for example because the permission to read configs is missing.
#[derive(Debug)]
pub(crate) struct DescribeConfigResponse {
    pub(crate) value: Option<String>,
}

impl RequestBody for DescribeConfigRequest<'_> {
    type ResponseBody = DescribeConfigResponse;
    const API_KEY: ApiKey = ApiKey::DescribeConfigs;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(VERSION, VERSION);
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(4));
}

impl AnswerLimit for DescribeConfigRequest<'_> {}

impl WriteVersionedType<Vec<u8>> for DescribeConfigRequest<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        Int32(1).write(out)?;
        let (kind, name) = match self.resource {
            Resource::Topic(name) => (2, name.to_owned()),
            Resource::Broker(id) => (4, id.to_string()),
        };
        Int8(kind).write(out)?;
        String_(name).write(out)?;
        Int32(1).write(out)?;
        String_(self.key.to_owned()).write(out)?;
        Boolean(false).write(out)?; // whether to include synonyms: no
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for DescribeConfigResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        Int32::read(reader)?; // throttle time
        let mut found = None;
        for _ in 0..Int32::read(reader)?.0 {
            Int16::read(reader)?; // error code; ignored, since an error comes with an empty list of configs
            NullableString::read(reader)?; // error message
            Int8::read(reader)?; // resource type
            String_::read(reader)?; // resource name
            for _ in 0..Int32::read(reader)?.0 {
                String_::read(reader)?; // config name; only one was requested
                found = NullableString::read(reader)?.0;
                Boolean::read(reader)?; // whether the config is read-only
                Int8::read(reader)?; // config source
                Boolean::read(reader)?; // whether the value is sensitive
                for _ in 0..Int32::read(reader)?.0 {
                    String_::read(reader)?;
                    NullableString::read(reader)?;
                    Int8::read(reader)?;
                }
            }
        }
        Ok(Self { value: found })
    }
}
