//! Signs of life: between transactions, where the stream is and what the last known moment of the source is.

use std::sync::Arc;

use runtime::{Batch, Body, Event, Origin, Position, Seq};

use super::Decoder;
use super::resume_guard::Phase;
use crate::binlog::FileOffset;
use crate::binlog::error::place;
use crate::binlog::event::Header;
use crate::binlog::position::sign_seq;

/// What a sign of life says.
#[derive(Debug, Default)]
pub(super) struct Alive {
    /// The last known moment of the source, in milliseconds since the epoch; 0 if there is none yet. It never goes back, and over a restart
    /// by less than a second: the binlog has seconds, our clock more.
    moment_ms: i64,
    /// The server that sends the stream.
    pub(super) server_id: u32,
    /// The place of the last sign, and how many there were at it.
    last: Option<(FileOffset, u64)>,
}

impl Alive {
    /// An event of a new transaction was read. The events at the head of a file say when the file was made, which may be long ago.
    pub(super) fn met(&mut self, header: &Header) {
        self.moment_ms = self.moment_ms.max(i64::from(header.timestamp) * 1000);
    }

    /// Order of a sign at `at`: behind the transactions before that place and the earlier signs at it, before the transaction there.
    fn next_seq(&mut self, timeline: u16, at: FileOffset) -> Seq {
        let number = self.last.filter(|(last, _)| *last == at).map_or(0, |(_, number)| number + 1);
        self.last = Some((at, number));
        sign_seq(timeline, at, number)
    }
}

impl Decoder {
    /// The server sent a heartbeat: it has sent all that it has.
    pub(super) fn heard(&mut self, header: &Header, read_ms: i64) {
        // The low 32 bits of where the server is.
        let here = header.log_pos == 0 || header.log_pos == self.tracker.at().offset as u32;
        if self.idle_is_current && here {
            self.alive.moment_ms = self.alive.moment_ms.max(read_ms);
        }
    }

    /// Whether the stream stands between two transactions and all before is handed on.
    pub(crate) fn is_between(&self) -> bool {
        self.phase == Phase::Live && self.group.is_none() && self.ready.is_empty() && self.builder.is_empty()
    }

    /// A batch with one sign of life, which also moves the resume point; `None` inside a transaction, and while no moment of the source is known.
    pub(crate) fn sign_of_life(&mut self, read_ms: i64) -> Option<Batch> {
        if !self.is_between() || self.alive.moment_ms == 0 {
            return None;
        }
        let at = self.position.at;
        let mut origin = Origin::default();
        origin.server_id = self.alive.server_id;
        origin.server_version = self.server_version.clone();
        origin.read_ms = read_ms;
        let offset: Arc<str> = format!("{}@{}", at.offset, at.file).into();
        (origin.offset, origin.safe_offset) = (offset.clone(), offset);
        let event = Event {
            seq: self.alive.next_seq(self.position.timeline, at),
            position: Position::from(place(&self.position.base, at)),
            timestamp_ms: self.alive.moment_ms,
            txid: None,
            origin: Arc::new(origin),
            body: Body::Heartbeat,
        };
        Some(self.resumable(vec![event]))
    }
}
