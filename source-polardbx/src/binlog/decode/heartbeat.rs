//! Heartbeat events. They are made between transactions and carry the stream's position and the latest known time of the source.

use std::sync::Arc;

use runtime::{Body, Event, Origin, Position, Seq};

use crate::binlog::event::Header;
use crate::binlog::position::{FileOffset, StreamPosition};
use crate::binlog::profile::ServerProfile;

/// The state from which heartbeat events are made.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    /// Latest known time of the source in milliseconds since the epoch; 0 while no time is known. Invariant: it never decreases while the
    /// connector runs. A restart may set it back by less than a second, because times in the binlog are whole seconds.
    source_ms: i64,
    /// Id of the server that sends the stream.
    server_id: u32,
}

impl Heartbeats {
    /// Records the id of the server that sends the stream.
    pub(super) fn set_server(&mut self, server_id: u32) {
        self.server_id = server_id;
    }

    /// Records the time of an event in a new transaction. It must not be called for the events at the head of a file: they carry the time
    /// at which the file was created.
    pub(super) fn note_event(&mut self, header: &Header) {
        self.note_time(i64::from(header.timestamp) * 1000);
    }

    /// Records that every change before `ms` was read. `ms` is a time of the source, in milliseconds since the epoch.
    pub(super) fn note_time(&mut self, ms: i64) {
        self.source_ms = self.source_ms.max(ms);
    }

    /// Handles a heartbeat of the server, which it sends when it has no more events at the moment. `at` is where the stream is.
    pub(super) fn server_idle(&mut self, profile: &ServerProfile, at: FileOffset, header: &Header, read_ms: i64) {
        // The header holds only the low 32 bits of the server's position, so only these bits are compared.
        let here = header.log_pos == 0 || header.log_pos == at.offset as u32;
        if profile.idle_is_current() && here {
            self.note_time(read_ms);
        }
    }

    /// Makes the next heartbeat event, with the resume point as its position. Returns `None` while no time of the source is known.
    pub(super) fn event(&mut self, position: &StreamPosition, server_version: &Arc<str>, read_ms: i64) -> Option<Event> {
        if self.source_ms == 0 {
            return None;
        }
        let at = position.at;
        let mut origin = Origin::default();
        origin.server_id = self.server_id;
        origin.server_version = server_version.clone();
        origin.read_ms = read_ms;
        let offset: Arc<str> = format!("{}@{}", at.offset, at.file).into();
        (origin.offset, origin.safe_offset) = (offset.clone(), offset);
        Some(Event {
            // A heartbeat has no place among the events.
            seq: Seq(0),
            position: Position::from(position.location(at)),
            timestamp_ms: self.source_ms,
            txid: None,
            origin: Arc::new(origin),
            body: Body::Heartbeat,
        })
    }
}
