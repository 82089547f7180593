//! Whether a binlog that does not continue, such as files on disk, may end where the decoder is.

use super::Decoder;
use crate::binlog::error::StreamError;
use crate::binlog::position::FileOffset;

/// Where the transaction begins that is open at the end of the binlog; `None` if there is none. Fails if the binlog ends before it tells the
/// outcome of an XA transaction that is needed first, or before the transaction that was delivered last.
pub(in crate::binlog) fn open_at_end(decoder: &Decoder) -> Result<Option<FileOffset>, StreamError> {
    if let Some(missing) = decoder.ahead.missing() {
        return Err(missing);
    }
    if decoder.first_group.is_inside() {
        return Err(StreamError::StartInTransaction);
    }
    decoder.resume.check_end()?;
    if !decoder.prepared.is_empty() {
        tracing::warn!("the binlog ends before it tells the outcome of XA transactions; their changes are not delivered");
    }
    Ok(decoder.transaction.start())
}
