//! The properties of a binlog event that are copied into the events decoded from it.

use crate::binlog::event::Header;
use crate::binlog::track::Tracker;

/// Origin and position of the binlog event that is being decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventContext<'a> {
    /// Id of the server that wrote the binlog event.
    pub(super) server_id: u32,
    /// When the binlog event was written, in seconds since the epoch.
    pub(super) timestamp: u32,
    /// Name of the file that holds the binlog event; `file` is the number of the file.
    pub(super) file_name: &'a str,
    pub(super) file: u32,
    /// Offset in the file at which the binlog event ends.
    pub(super) end: u64,
    /// When the connector read the binlog event, in milliseconds since the epoch.
    pub(super) read_ms: i64,
}

impl<'a> EventContext<'a> {
    /// The context of the event that `tracker` verified last.
    pub(super) fn new(tracker: &'a Tracker, header: &Header, read_ms: i64) -> Self {
        let end = tracker.at();
        let (server_id, timestamp) = (header.server_id, header.timestamp);
        Self { server_id, timestamp, file_name: tracker.file_name(), file: end.file, end: end.offset, read_ms }
    }

    /// The event's time in milliseconds.
    pub(super) fn timestamp_ms(&self) -> i64 {
        i64::from(self.timestamp) * 1000
    }
}

/// The binlog event that began a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BeginEvent {
    pub(super) end: u64,
    pub(super) server_id: u32,
    pub(super) timestamp: u32,
}

impl BeginEvent {
    pub(super) fn of(context: &EventContext<'_>) -> Self {
        Self { end: context.end, server_id: context.server_id, timestamp: context.timestamp }
    }
}
