//! The data that all events made from one binlog event carry.

use std::sync::Arc;

use runtime::{Body, Event, Origin, Position, Seq};

/// The data that is shared by all events made from one binlog event.
#[derive(Debug)]
pub(super) struct Stamp {
    pub(super) timestamp_ms: i64,
    pub(super) position: Position,
    pub(super) txid: Option<Arc<str>>,
    pub(super) origin: Arc<Origin>,
}

impl Stamp {
    /// Makes an event. The stamp can be used for more events.
    #[inline]
    pub(super) fn event(&self, seq: Seq, body: Body) -> Event {
        Event {
            seq,
            position: self.position.clone(),
            timestamp_ms: self.timestamp_ms,
            txid: self.txid.clone(),
            origin: self.origin.clone(),
            body,
        }
    }

    /// Makes the only event from this stamp. Its data is moved into the event and not cloned.
    #[inline]
    pub(super) fn into_event(self, seq: Seq, body: Body) -> Event {
        let Self { timestamp_ms, position, txid, origin } = self;
        Event { seq, position, timestamp_ms, txid, origin, body }
    }
}
