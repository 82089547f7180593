//! Reads a busy stream in fewer and larger batches, because a write of a sink has a cost of its own.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Batch;

/// From this size on, a batch is worth a write of its own.
const LARGE_BYTES: usize = 32 << 10;

/// Waits before a stream is read again, so that more events come with the next batch.
///
/// Invariant: there is no wait if no batch with events was read for the time of the linger. So an idle stream is read at once, and a stream
/// that is behind, whose batches are large, is not held up.
pub(crate) struct Linger {
    linger: Duration,
    /// When the stream may be read again; `None` at once.
    until: Option<Instant>,
}

impl Linger {
    /// Small batches come at intervals of at least `linger`.
    pub(crate) fn new(linger: Duration) -> Self {
        Self { linger, until: None }
    }

    /// Notes a batch that was just read.
    pub(crate) fn read(&mut self, batch: &Batch) {
        let is_small = !batch.events.is_empty() && batch.size() < LARGE_BYTES;
        self.until = (is_small && !self.linger.is_zero()).then(|| Instant::now() + self.linger);
    }

    /// Waits until the stream may be read again. May be cancelled.
    pub(crate) async fn wait(&self) {
        // A timer costs more than a look at the clock.
        if let Some(until) = self.until.filter(|until| *until > Instant::now()) {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::events;

    const LINGER: Duration = Duration::from_millis(2);

    async fn waited(linger: &Linger) -> Duration {
        let asked = Instant::now();
        linger.wait().await;
        asked.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_small_batches_that_come_fast_are_awaited() {
        let small = Batch::new(events(1, 1), None, 200);
        let mut linger = Linger::new(LINGER);
        assert_eq!(waited(&linger).await, Duration::ZERO, "nothing was read before");
        linger.read(&small);
        assert_eq!(waited(&linger).await, LINGER);
        assert_eq!(waited(&linger).await, Duration::ZERO, "the time is over");
        linger.read(&small);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(waited(&linger).await, Duration::from_millis(1), "a part of the time has passed");
        linger.read(&small);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(waited(&linger).await, Duration::ZERO, "the stream was idle");
        for other in [Batch::new(events(1, 1), None, LARGE_BYTES), Batch::new(Vec::new(), Some("5".into()), 0)] {
            linger.read(&small);
            linger.read(&other);
            assert_eq!(waited(&linger).await, Duration::ZERO, "{} bytes", other.size());
        }
        let mut none = Linger::new(Duration::ZERO);
        none.read(&small);
        assert_eq!(waited(&none).await, Duration::ZERO);
    }
}
