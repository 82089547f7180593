//! The request SaslAuthenticate, versions 0 and 1. The one of rskafka is not used: its version 2 subtracts from a length without checking
//! that the length is large enough.

use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Int16, Int32, Int64, NullableBytes, NullableString};
use rskafka::protocol::traits::{ReadType, WriteError, WriteType};

use crate::client::answer_limit::AnswerLimit;
use crate::client::error_code::ErrorCode;

/// One message of the client in a SASL exchange.
pub(crate) struct AuthenticateRequest(pub(crate) Vec<u8>);

pub(crate) struct AuthenticateResponse {
    pub(crate) code: ErrorCode,
    pub(crate) text: Option<String>,
    pub(crate) bytes: Vec<u8>,
    /// How long the broker accepts this authentication, in milliseconds; 0 means no limit.
    pub(crate) lifetime_ms: i64,
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for AuthenticateRequest {
    type ResponseBody = AuthenticateResponse;
    const API_KEY: ApiKey = ApiKey::SaslAuthenticate;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(0), version(1));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(2);
}

impl AnswerLimit for AuthenticateRequest {}

impl WriteVersionedType<Vec<u8>> for AuthenticateRequest {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        Int32(i32::try_from(self.0.len()).map_err(WriteError::from)?).write(out)?;
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for AuthenticateResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, version: ApiVersion) -> Result<Self, ReadVersionedError> {
        Ok(Self {
            code: ErrorCode(Int16::read(reader)?.0),
            text: NullableString::read(reader)?.0,
            bytes: NullableBytes::read(reader)?.0.unwrap_or_default(),
            lifetime_ms: if version.0.0 >= 1 { Int64::read(reader)?.0 } else { 0 },
        })
    }
}
