//! Events that are not read from the binlog itself: they were compressed into one event, or waited in a spool.

use super::table_maps::TableMaps;
use crate::binlog::error::StreamError;
use crate::binlog::event::{Header, KeptEvent, Payload, RawEvent};
use crate::binlog::position::FileOffset;
use crate::spool::SpoolReader;

/// A source of events inside a group.
pub(super) enum Expansion {
    /// A compressed transaction.
    Payload(Payload, i64),
    /// The row events of an XA transaction.
    Spool(Box<SpooledRows>),
    /// A row event before which the rows of a prepared XA transaction come.
    Later(Box<LaterEvent>),
}

/// An event that is decoded once what comes before it is known.
pub(super) struct LaterEvent {
    pub(super) event: KeptEvent,
    pub(super) read_ms: i64,
}

/// The row events of an XA transaction, which were read before.
pub(super) struct SpooledRows {
    spool: SpoolReader,
    /// The header of the event that commits the transaction. The events get its time.
    pub(super) header: Header,
    /// When that event was read, in milliseconds since the epoch.
    pub(super) read_ms: i64,
    /// The TABLE_MAPs of the transaction. Their ids may mean other tables by now.
    pub(super) tables: TableMaps,
    /// Where the transaction begins.
    pub(super) start: FileOffset,
    /// Whether the open group is the outcome of the transaction, and ends with its rows.
    pub(super) is_outcome: bool,
    /// Whether the next event is the last one once more.
    again: bool,
}

impl Expansion {
    /// The row events of the transaction that begins at `start`.
    pub(super) fn of_spool(spool: SpoolReader, start: FileOffset, tables: TableMaps, header: Header, read_ms: i64) -> Box<SpooledRows> {
        Box::new(SpooledRows { spool, header, read_ms, tables, start, is_outcome: true, again: false })
    }

    /// The event once more.
    pub(super) fn later(event: &RawEvent<'_>, read_ms: i64) -> Self {
        Self::Later(Box::new(LaterEvent { event: KeptEvent::new(event), read_ms }))
    }
}

impl SpooledRows {
    /// The next event; `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<(RawEvent<'_>, &mut TableMaps)>, StreamError> {
        let header = self.header;
        let event = if std::mem::take(&mut self.again) { Some(event_of(self.spool.last())?) } else { spooled(&mut self.spool)? };
        let event = event.map(|event| RawEvent { header: Header { kind: event.header.kind, ..header }, ..event });
        Ok(event.map(|event| (event, &mut self.tables)))
    }

    /// Gives the last event once more.
    pub(super) fn step_back(&mut self) {
        self.again = true;
    }
}

/// The next row event or TABLE_MAP of a spool; `None` at its end. Only the type in its header has a meaning.
pub(super) fn spooled(spool: &mut SpoolReader) -> Result<Option<RawEvent<'_>>, StreamError> {
    let unread = |error: std::io::Error| StreamError::SpoolUnread { message: error.to_string() };
    spool.next().map_err(unread)?.map(event_of).transpose()
}

fn event_of(record: &[u8]) -> Result<RawEvent<'_>, StreamError> {
    let (&kind, body) = record.split_first().ok_or_else(|| StreamError::corrupt("an empty record in a spool"))?;
    Ok(RawEvent { header: Header { kind, timestamp: 0, server_id: 0, size: 0, log_pos: 0, flags: 0 }, body, crc: 0 })
}
