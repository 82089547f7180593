//! Heartbeats: between transactions, where the stream is and what the latest known time of the source is.

use std::sync::Arc;

use runtime::{Body, Event, Origin, Position};

use crate::binlog::event::Header;
use crate::binlog::position::{FileOffset, StreamPosition, heartbeat_seq};

/// What a heartbeat says.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    /// Latest known time of the source in milliseconds since the epoch; 0 if none is known yet. Invariant: it never goes back; over a
    /// restart it may by less than a second, because the binlog counts seconds.
    source_ms: i64,
    /// The server that sends the stream.
    server_id: u32,
    /// Where the last heartbeat was made, and its number there.
    last: Option<(FileOffset, u64)>,
}

impl Heartbeats {
    /// Notes the server that sends the stream.
    pub(super) fn set_server(&mut self, server_id: u32) {
        self.server_id = server_id;
    }

    /// Notes the time of an event of a new transaction. Events at the head of a file do not count: their time is that of the file's
    /// creation.
    pub(super) fn note_event(&mut self, header: &Header) {
        self.note_time(i64::from(header.timestamp) * 1000);
    }

    /// The source has nothing newer than `ms`.
    pub(super) fn note_time(&mut self, ms: i64) {
        self.source_ms = self.source_ms.max(ms);
    }

    /// The next heartbeat, at the resume point; `None` while no time of the source is known.
    pub(super) fn event(&mut self, position: &StreamPosition, server_version: &Arc<str>, read_ms: i64) -> Option<Event> {
        if self.source_ms == 0 {
            return None;
        }
        let at = position.at;
        // After the transactions before this position and the earlier heartbeats at it, before the transaction that begins here.
        let number = self.last.filter(|(last, _)| *last == at).map_or(0, |(_, number)| number + 1);
        self.last = Some((at, number));
        let mut origin = Origin::default();
        origin.server_id = self.server_id;
        origin.server_version = server_version.clone();
        origin.read_ms = read_ms;
        let offset: Arc<str> = format!("{}@{}", at.offset, at.file).into();
        (origin.offset, origin.safe_offset) = (offset.clone(), offset);
        Some(Event {
            seq: heartbeat_seq(position.timeline, at, number),
            position: Position::from(position.location(at)),
            timestamp_ms: self.source_ms,
            txid: None,
            origin: Arc::new(origin),
            body: Body::Heartbeat,
        })
    }
}
