//! The `id` of messages: both formats have one that rises along the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Ids of messages: microseconds of the reading time, or one more than the last.
///
/// Those of one encoder rise, and no two encoders with clones of the same `MessageIds` give one twice, although several lanes encode at once
/// in the full phase. As the clock goes on, they rise over restarts too. They are no key: a repeated event gets a new one.
#[derive(Debug, Default)]
pub struct MessageIds {
    /// The last id that anybody has taken.
    taken: Arc<AtomicI64>,
    /// What is left of this encoder's own: from `next` to before `end`.
    next: i64,
    end: i64,
}

/// Clones have no ids of their own at first; they take from the same.
impl Clone for MessageIds {
    fn clone(&self) -> Self {
        Self { taken: self.taken.clone(), next: 0, end: 0 }
    }
}

impl MessageIds {
    /// How many ids an encoder takes at once, so that lanes need not wait for each other at every message.
    const AT_ONCE: i64 = 64;

    /// The id of the next message, whose event was read at `read_ms`.
    #[inline]
    pub(crate) fn next(&mut self, read_ms: i64) -> i64 {
        let least = read_ms.saturating_mul(1000);
        if self.next >= self.end || self.next < least {
            self.take(least);
        }
        let id = self.next;
        self.next = id.saturating_add(1);
        id
    }

    fn take(&mut self, least: i64) {
        let first_after = |taken: i64| taken.saturating_add(1).max(least);
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let first = first_after(taken);
            let end = first.saturating_add(Self::AT_ONCE);
            match self.taken.compare_exchange_weak(taken, end - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    (self.next, self.end) = (first, end);
                    return;
                }
                Err(now) => taken = now,
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
    fn encoders_that_share_give_no_id_twice() {
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
