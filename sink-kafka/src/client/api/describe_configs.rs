//! DescribeConfigs, version 1, for one thing: the largest record batch that a topic takes.

use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Boolean, Int8, Int16, Int32, NullableString, String_};
use rskafka::protocol::traits::{ReadType, WriteType};

const TOPIC: i8 = 2;
const KEY: &str = "max.message.bytes";
const VERSION: ApiVersion = ApiVersion(Int16(1));

/// Asks for a topic's limit.
#[derive(Debug)]
pub(crate) struct TopicLimitRequest<'a> {
    pub(crate) topic: &'a str,
}

/// The limit in bytes; `None` if the broker does not tell it to us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicLimitResponse {
    pub(crate) bytes: Option<u64>,
}

impl RequestBody for TopicLimitRequest<'_> {
    type ResponseBody = TopicLimitResponse;
    const API_KEY: ApiKey = ApiKey::DescribeConfigs;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(VERSION, VERSION);
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(4));
}

impl WriteVersionedType<Vec<u8>> for TopicLimitRequest<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        Int32(1).write(out)?;
        Int8(TOPIC).write(out)?;
        String_(self.topic.to_owned()).write(out)?;
        Int32(1).write(out)?;
        String_(KEY.to_owned()).write(out)?;
        Boolean(false).write(out)?; // no synonyms
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for TopicLimitResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        Int32::read(reader)?; // throttle time
        let mut bytes = None;
        for _ in 0..Int32::read(reader)?.0 {
            Int16::read(reader)?; // code; without the right to know there are no configs
            NullableString::read(reader)?; // its words
            Int8::read(reader)?; // type
            String_::read(reader)?; // topic
            for _ in 0..Int32::read(reader)?.0 {
                let (name, value) = (String_::read(reader)?.0, NullableString::read(reader)?.0);
                Boolean::read(reader)?; // read only
                Int8::read(reader)?; // where it is from
                Boolean::read(reader)?; // sensitive
                for _ in 0..Int32::read(reader)?.0 {
                    String_::read(reader)?;
                    NullableString::read(reader)?;
                    Int8::read(reader)?;
                }
                if name == KEY {
                    bytes = value.and_then(|value| value.parse().ok());
                }
            }
        }
        Ok(Self { bytes })
    }
}
