//! The request InitProducerId, versions 0 and 1. It returns the producer id by which a broker recognises batches that are sent again.

use std::io::Cursor;

use rskafka::protocol::api_key::ApiKey;
use rskafka::protocol::api_version::{ApiVersion, ApiVersionRange};
use rskafka::protocol::messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType};
use rskafka::protocol::primitives::{Int16, Int32, Int64, NullableString};
use rskafka::protocol::traits::{ReadType, WriteType};

use crate::client::answer_limit::AnswerLimit;
use crate::client::error_code::ErrorCode;

/// The longest possible transaction time-out, in milliseconds. It has no effect, since this client uses no transactions.
const NO_TRANSACTION_TIMEOUT: i32 = i32::MAX;

/// Requests a producer id for a producer without transactions.
#[derive(Debug)]
pub(crate) struct InitProducerIdRequest;

/// The new producer id and its epoch, or an error code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InitProducerIdResponse {
    pub(crate) code: ErrorCode,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

const fn version(number: i16) -> ApiVersion {
    ApiVersion(Int16(number))
}

impl RequestBody for InitProducerIdRequest {
    type ResponseBody = InitProducerIdResponse;
    const API_KEY: ApiKey = ApiKey::InitProducerId;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(version(0), version(1));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = version(2);
}

impl AnswerLimit for InitProducerIdRequest {}

impl WriteVersionedType<Vec<u8>> for InitProducerIdRequest {
    fn write_versioned(&self, out: &mut Vec<u8>, _: ApiVersion) -> Result<(), WriteVersionedError> {
        NullableString(None).write(out)?;
        Int32(NO_TRANSACTION_TIMEOUT).write(out)?;
        Ok(())
    }
}

impl ReadVersionedType<Cursor<Vec<u8>>> for InitProducerIdResponse {
    fn read_versioned(reader: &mut Cursor<Vec<u8>>, _: ApiVersion) -> Result<Self, ReadVersionedError> {
        Int32::read(reader)?; // throttle time
        Ok(Self { code: ErrorCode(Int16::read(reader)?.0), producer_id: Int64::read(reader)?.0, producer_epoch: Int16::read(reader)?.0 })
    }
}
