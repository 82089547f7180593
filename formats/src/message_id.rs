//! The `id` of messages: both formats have one that rises along the stream.

/// Ids of one lane: microseconds of the reading time, or one more than the last.
///
/// They rise within a run and, as the clock goes on, over restarts too. They are no key: a repeated event gets a new one.
#[derive(Debug, Default)]
pub(crate) struct MessageIds {
    last: i64,
}

impl MessageIds {
    /// The id of the next message, whose event was read at `read_ms`.
    pub(crate) fn next(&mut self, read_ms: i64) -> i64 {
        self.last = self.last.saturating_add(1).max(read_ms.saturating_mul(1000));
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_when_the_clock_does_not() {
        let mut ids = MessageIds::default();
        assert_eq!([ids.next(5), ids.next(5), ids.next(3), ids.next(6)], [5_000, 5_001, 5_002, 6_000]);
    }
}
