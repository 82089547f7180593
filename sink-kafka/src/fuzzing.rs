//! Support for the fuzzer: the code that reads the bytes of brokers, of whoever writes to a topic, and of schema registries. Not part of the
//! API.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value;

pub use crate::client::Answer;
use crate::client::read_batches as read;
use crate::codec::Limits;
use crate::resume::record_header::HEADER;
use crate::schema_registry;

/// Reads record batches as a recovery does it. Returns the number of records with a position header.
pub fn read_batches(bytes: &[u8]) -> Result<u64, String> {
    let mut count = 0;
    let visit = |_, head: crate::client::RecordHead<'_>| {
        count += u64::from(head.header.is_some());
        ControlFlow::Continue(())
    };
    read(bytes, HEADER, &mut Limits::new(Arc::default()), visit).map_err(|(offset, problem)| format!("offset {offset}: {problem}"))?;
    Ok(count)
}

/// Sets the length and the checksum of a batch to those that its bytes have.
pub fn fix_batch(batch: &mut [u8]) {
    /// Where the length, the checksum and what the checksum covers begin.
    const LENGTH: usize = 8;
    const CHECKSUM: usize = 17;
    const COVERED: usize = 21;
    let length = (batch.len().saturating_sub(LENGTH + 4)) as u32;
    let checksum = crc32c::crc32c(batch.get(COVERED..).unwrap_or_default());
    for (at, number) in [(LENGTH, length), (CHECKSUM, checksum)] {
        if let Some(field) = batch.get_mut(at..at + 4) {
            field.copy_from_slice(&number.to_be_bytes());
        }
    }
}

/// Reads the answer of a registry and, if it has a schema, computes the identity of the schema. Returns the fingerprint.
pub fn read_registry_answer(answer: &[u8]) -> Result<Option<String>, String> {
    let answer = schema_registry::parse(answer)?;
    let Some(text) = answer.get("schema").and_then(Value::as_str) else { return Ok(None) };
    schema_registry::identify(text).map(|identity| Some(identity.hash))
}
