//! The request Metadata, version 8, used only to learn which operations on some topics the broker allows this client. The Metadata request
//! of rskafka is too old to return them.

use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Boolean, Int16, Int32, NullableString, String_};
use rskafka::protocol::traits::{ReadError, ReadType, WriteError, WriteType};

use crate::client::error_code::ErrorCode;

/// The value that a broker sends if it does not report the allowed operations.
const UNKNOWN: i32 = i32::MIN;
/// The operations that a writer needs, with their numbers in Kafka's protocol.
const NEEDED: [(&str, u32); 3] = [("Describe", 8), ("Read", 3), ("Write", 4)];

/// Requests the operations that are allowed on these topics.
#[derive(Debug)]
pub(crate) struct RightsRequest<'a> {
    pub(crate) topics: Vec<&'a str>,
}

/// The name, error code and allowed operations of each topic. The operations are a bit set: bit `n` stands for operation `n`.
#[derive(Debug)]
pub(crate) struct RightsResponse {
    pub(crate) topics: Vec<(String, ErrorCode, i32)>,
}

/// The operations that a writer needs and that the bit set `rights` does not contain; empty if the broker does not report rights.
pub(crate) fn missing(rights: i32) -> Vec<&'static str> {
    if rights == UNKNOWN {
        return Vec::new();
    }
    NEEDED.into_iter().filter(|(_, operation)| rights & (1 << operation) == 0).map(|(name, _)| name).collect()
}

impl RequestBody for RightsRequest<'_> {
    type ResponseBody = RightsResponse;
    const API_KEY: ApiKey = ApiKey::Metadata;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(8)), ApiVersion(Int16(8)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(9));
}

impl WriteVersionedType<Vec<u8>> for RightsRequest<'_> {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        Int32(i32::try_from(self.topics.len()).map_err(WriteError::from)?).write(out)?;
        for topic in &self.topics {
            String_((*topic).to_owned()).write(out)?;
        }
        // The flags in order: create missing topics (no), report rights on the cluster (no), report rights on the topics (yes).
        for flag in [false, false, true] {
            Boolean(flag).write(out)?;
        }
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for RightsResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        Int32::read(reader)?; // throttle time
        for _ in 0..length(reader)? {
            Int32::read(reader)?; // broker id
            String_::read(reader)?; // host
            Int32::read(reader)?; // port
            NullableString::read(reader)?; // rack
        }
        NullableString::read(reader)?; // cluster id
        Int32::read(reader)?; // broker id of the controller
        let mut topics = Vec::new();
        for _ in 0..length(reader)? {
            let (code, name) = (ErrorCode(Int16::read(reader)?.0), String_::read(reader)?.0);
            Boolean::read(reader)?; // whether the topic is internal
            for _ in 0..length(reader)? {
                Int16::read(reader)?; // error code of the partition
                for _ in 0..3 {
                    Int32::read(reader)?; // partition number, leader, leader epoch
                }
                for _ in 0..3 {
                    // Three lists of broker ids: replicas, in-sync replicas, offline replicas.
                    for _ in 0..length(reader)? {
                        Int32::read(reader)?;
                    }
                }
            }
            topics.push((name, code, Int32::read(reader)?.0));
        }
        Int32::read(reader)?; // rights on the cluster
        Ok(Self { topics })
    }
}

fn length(reader: &mut Cursor<Vec<u8>>) -> Result<usize, ReadError> {
    match Int32::read(reader)?.0 {
        -1 => Ok(0),
        length => Ok(usize::try_from(length)?),
    }
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn rights_are_bits() {
        assert_eq!(missing(1 << 8 | 1 << 3 | 1 << 4), Vec::<&str>::new());
        assert_eq!(missing(1 << 8), ["Read", "Write"]);
        assert_eq!(missing(0), ["Describe", "Read", "Write"]);
        assert_eq!(missing(i32::MIN), Vec::<&str>::new(), "unknown rights are not missing rights");
    }
}
