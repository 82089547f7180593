//! Events that are not read from the binlog itself: they were compressed into one event, or waited in a spool.

use super::table_maps::TableMaps;
use crate::binlog::error::StreamError;
use crate::binlog::event::{Header, Payload, RawEvent};
use crate::spool::SpoolReader;

/// A source of events inside a group.
pub(super) enum Expansion {
    /// A compressed transaction.
    Payload(Payload, i64),
    /// The row events of an XA transaction.
    Spool(Box<SpooledRows>),
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
}

impl Expansion {
    pub(super) fn of_spool(spool: SpoolReader, tables: TableMaps, header: Header, read_ms: i64) -> Self {
        Self::Spool(Box::new(SpooledRows { spool, header, read_ms, tables }))
    }
}

impl SpooledRows {
    /// The next event; `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<(RawEvent<'_>, &mut TableMaps)>, StreamError> {
        let unread = |error: std::io::Error| StreamError::SpoolUnread { message: error.to_string() };
        let Some(record) = self.spool.next().map_err(unread)? else { return Ok(None) };
        let (&kind, body) = record.split_first().ok_or_else(|| StreamError::corrupt("an empty record in a spool"))?;
        Ok(Some((RawEvent { header: Header { kind, ..self.header }, body, crc: 0 }, &mut self.tables)))
    }
}
