//! Compressed transactions: their events are taken out a few at a time, so that a batch is delivered before the next one is made.

use super::Decoder;
use super::resume_guard::Phase;
use crate::binlog::error::StreamError;
use crate::binlog::event::{Payload, RawEvent, kind};

impl Decoder {
    /// Begins with a compressed transaction; [`Decoder::expand`] goes on.
    pub(super) fn payload(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        if self.phase != Phase::Live {
            // The group is compared as it is in the file.
            return self.close_group();
        }
        self.payload = Some((Payload::open(event.body)?, read_ms));
        Ok(())
    }

    /// Whether events of a compressed transaction are still to be taken out, before the next event is read.
    pub(crate) fn is_expanding(&self) -> bool {
        self.payload.is_some()
    }

    /// Takes one event out of the compressed transaction that was read last.
    pub(crate) fn expand(&mut self) -> Result<(), StreamError> {
        let Some((mut payload, read_ms)) = self.payload.take() else { return Ok(()) };
        let Some(event) = payload.next()? else {
            // Its XID must have closed it.
            return match &self.group {
                None => Ok(()),
                Some(_) => Err(StreamError::corrupt("a compressed transaction without its end")),
            };
        };
        if matches!(
            event.header.kind,
            kind::TRANSACTION_PAYLOAD | kind::ROTATE | kind::FORMAT_DESCRIPTION | kind::GTID | kind::ANONYMOUS_GTID
        ) {
            return Err(StreamError::corrupt(format!("an event of type {} in a compressed transaction", event.header.kind)));
        }
        if self.group.is_none() {
            return Err(StreamError::corrupt("a compressed transaction goes on behind its end"));
        }
        self.dispatch(&event, read_ms)?;
        self.payload = Some((payload, read_ms));
        Ok(())
    }
}
