//! Reads ranges of the log and uses the position header to tell this program's records from those of others.

use std::sync::Arc;

use super::record_header::{HEADER, PositionError, RecordPosition, SCHEMA_ID};
use crate::client::{ClientError, LogPart, RecordHead, Session, read_log};
use crate::error::Error;
use crate::schema_registry;

/// The origin of a record in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record of this program: its position header, and the id of its schema if the value begins with one.
    Ours(RecordPosition, Option<u32>),
    /// A record of another program.
    Foreign,
}

/// Passes every record of the parts to `visit`, with the index of its part and its offset. The records of a part come in order.
pub(crate) async fn scan(
    session: &Session,
    parts: &[LogPart],
    mut visit: impl FnMut(usize, i64, Found) -> Result<(), Error> + Send,
) -> Result<(), Error> {
    scan_with_producers(session, parts, |index, offset, found, _| visit(index, offset, found)).await
}

/// Like [`scan`], and also passes the producer id of each record; −1 if it was written without one.
pub(crate) async fn scan_with_producers(
    session: &Session,
    parts: &[LogPart],
    mut visit: impl FnMut(usize, i64, Found, i64) -> Result<(), Error> + Send,
) -> Result<(), Error> {
    scan_heads(session, parts, |index, offset, found, head| visit(index, offset, found, head.producer_id)).await
}

/// Like [`scan`], and also passes the head of each record.
pub(crate) async fn scan_heads(
    session: &Session,
    parts: &[LogPart],
    mut visit: impl FnMut(usize, i64, Found, RecordHead<'_>) -> Result<(), Error> + Send,
) -> Result<(), Error> {
    read_log(session, parts, HEADER, |index, offset, head| {
        let found = found(head).map_err(|problem| ClientError::Unreadable {
            partition: parts[index].partition.clone(),
            offset,
            source: problem.to_string().into(),
        })?;
        visit(index, offset, found, head)
    })
    .await
}

/// The id of the transaction of a record; `None` if it does not say it.
pub(super) fn transaction_of(head: RecordHead<'_>) -> Option<Arc<str>> {
    let (_, id) = RecordPosition::decode_with_transaction(head.header?).ok()?;
    id.map(|id| id.to_string().into())
}

/// Decides whose record it is, by its position header.
pub(crate) fn found(head: RecordHead<'_>) -> Result<Found, PositionError> {
    let Some(value) = head.header else { return Ok(Found::Foreign) };
    match RecordPosition::decode(value) {
        Ok(position) => {
            let id = head.value_start.filter(|_| position.flags & SCHEMA_ID != 0).and_then(schema_registry::id_of);
            Ok(Found::Ours(position, id))
        }
        Err(error @ PositionError::Version(_)) => Err(error),
        // Another program uses a header with the same name.
        Err(PositionError::Malformed) => Ok(Found::Foreign),
    }
}
