//! What the messages of both formats have in common: the type of rows read by the snapshot, and an increasing `id`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

/// The type that a message gives to a row read by the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SnapshotType {
    /// The same type as an inserted row: for readers that know only row changes.
    #[serde(rename = "INSERT")]
    Insert,
    /// A type of its own, so that consumers can distinguish the row from an inserted row.
    #[serde(rename = "INIT")]
    Init,
}

/// Ids of messages. An id is the time in microseconds at which the event was read, or the next free number if that id is already used.
///
/// The ids of one encoder increase, also after a restart, since the clock has advanced by then. Encoders with clones of the same
/// `MessageIds` never use an id twice, although several lanes encode at the same time in the full phase. An id does not identify an
/// event: an event that is sent again gets a new id.
#[derive(Debug, Default)]
pub(crate) struct MessageIds {
    /// The last id that any of the encoders has reserved.
    reserved: Arc<AtomicI64>,
    /// The ids that this encoder has reserved but not used: from `next` up to, not including, `end`.
    next: i64,
    end: i64,
}

/// A clone starts without reserved ids, and reserves ids from the same counter.
impl Clone for MessageIds {
    fn clone(&self) -> Self {
        Self { reserved: self.reserved.clone(), next: 0, end: 0 }
    }
}

impl MessageIds {
    /// How many ids an encoder reserves in one step, so that lanes do not contend for the counter at every message.
    const AT_ONCE: i64 = 64;

    /// The id of the next message, whose event was read at `read_ms`.
    #[inline]
    pub(crate) fn next(&mut self, read_ms: i64) -> i64 {
        let least = read_ms.saturating_mul(1000);
        if self.next >= self.end || self.next < least {
            self.reserve(least);
        }
        let id = self.next;
        self.next = id.saturating_add(1);
        id
    }

    fn reserve(&mut self, least: i64) {
        let mut reserved = self.reserved.load(Ordering::Relaxed);
        loop {
            let first = reserved.saturating_add(1).max(least);
            let end = first.saturating_add(Self::AT_ONCE);
            match self.reserved.compare_exchange_weak(reserved, end - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    (self.next, self.end) = (first, end);
                    return;
                }
                Err(now) => reserved = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_rise_even_when_the_clock_does_not() {
        let mut ids = MessageIds::default();
        assert_eq!([ids.next(5), ids.next(5), ids.next(3), ids.next(6)], [5_000, 5_001, 5_002, 6_000]);
        let many: Vec<_> = (0..200).map(|_| ids.next(6)).collect();
        assert!(many.iter().copied().eq(6_001..6_201));
        assert_eq!([ids.next(i64::MAX), ids.next(0)], [i64::MAX, i64::MAX]);
    }

    #[test]
    fn encoders_with_clones_never_use_an_id_twice() {
        let shared = MessageIds::default();
        let of_one = |mut ids: MessageIds| (0..10_000).map(|number| ids.next(number / 100)).collect::<Vec<_>>();
        let lanes = std::thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|_| scope.spawn(|| of_one(shared.clone()))).collect();
            running.into_iter().map(|lane| lane.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(lanes.iter().all(|ids| ids.is_sorted_by(|id, next| id < next)));
        assert_eq!(lanes.iter().flatten().collect::<BTreeSet<_>>().len(), 40_000);
    }
}
