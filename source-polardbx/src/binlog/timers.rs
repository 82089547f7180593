//! The timers of a stream reader. They tell when something must be done even if no event comes.

use std::time::Duration;

use tokio::time::Instant;

use super::position::FileOffset;
use super::transport::SILENCE;

/// An idle stream commits its position at most this often.
const POSITION_INTERVAL: Duration = Duration::from_secs(1);
/// A stream without events is compared with the server's list of binlog files this often. The comparison is needed because after RESET
/// MASTER a server keeps sending heartbeats to a reader whose files no longer exist.
const COMPARE_INTERVAL: Duration = Duration::from_secs(20);
/// After this many events the reader lets other tasks run, even if more events have already arrived.
const EVENTS_PER_TURN: u32 = 512;

/// The timers of a stream reader.
#[derive(Debug)]
pub(super) struct Timers {
    /// When the reader began to wait for the next event; `None` while it does not wait.
    idle_since: Option<Instant>,
    /// When an event last came without a wait, or the stream was last compared with the server's files.
    compared: Instant,
    /// Position of the stream at the last comparison, if the server had more events after this position; otherwise `None`.
    behind: Option<FileOffset>,
    /// When the last batch was returned.
    batch: Instant,
    /// The interval of heartbeats, and when the last batch with events was returned; `None` if heartbeats are off.
    heartbeat: Option<(Duration, Instant)>,
    events: u32,
}

/// How long the reader may wait for an event.
pub(super) struct Wait {
    pub(super) limit: Duration,
    /// Whether the connection counts as lost if not a single byte comes.
    pub(super) is_last: bool,
}

impl Timers {
    /// Starts the timers now. `heartbeat` is the interval of heartbeats; `None` turns them off.
    pub(super) fn start(heartbeat: Option<Duration>) -> Self {
        let now = Instant::now();
        let heartbeat = heartbeat.map(|interval| (interval, now));
        Self { idle_since: None, compared: now, behind: None, batch: now, heartbeat, events: 0 }
    }

    /// Counts an event; returns whether it is time to let other tasks run.
    pub(super) fn ends_turn(&mut self) -> bool {
        self.events = self.events.wrapping_add(1);
        self.events.is_multiple_of(EVENTS_PER_TURN)
    }

    /// Records that an event came without a wait.
    pub(super) fn event_was_ready(&mut self) {
        (self.idle_since, self.compared) = (None, Instant::now());
    }

    /// Records that an event came after a wait. The event may be a heartbeat of the server, so it does not delay the next comparison with
    /// the server's files.
    pub(super) fn event_was_awaited(&mut self) {
        self.idle_since = None;
    }

    /// Records that a batch is returned.
    pub(super) fn batch(&mut self, has_events: bool) {
        self.batch = Instant::now();
        if let Some((_, last)) = self.heartbeat.as_mut().filter(|_| has_events) {
            *last = self.batch;
        }
    }

    /// Whether enough time has passed to return an empty batch that only commits the position.
    pub(super) fn is_position_due(&self) -> bool {
        self.batch.elapsed() >= POSITION_INTERVAL
    }

    pub(super) fn is_heartbeat_due(&self) -> bool {
        self.heartbeat.is_some_and(|(interval, last)| last.elapsed() >= interval)
    }

    /// Whether it is time to compare the stream with the server's files.
    pub(super) fn is_comparison_due(&self) -> bool {
        self.compared.elapsed() >= COMPARE_INTERVAL
    }

    /// Records that the stream was compared with the server's files while it was at `at`. Returns whether the stream is stuck: the server
    /// had more events at two comparisons in a row, but the stream received none in between.
    pub(super) fn is_stuck(&mut self, at: FileOffset, server_has_more: bool) -> bool {
        self.compared = Instant::now();
        let stuck = server_has_more && self.behind == Some(at);
        self.behind = server_has_more.then_some(at);
        stuck
    }

    /// How long to wait for the next event. `last_byte` is when the last bytes came. `position_waits` tells whether the resume point has moved
    /// and is not committed yet.
    pub(super) fn wait(&mut self, last_byte: Instant, position_waits: bool, between_transactions: bool) -> Wait {
        let idle_since = *self.idle_since.get_or_insert_with(Instant::now);
        let patience = SILENCE.saturating_sub(idle_since.max(last_byte).elapsed());
        let mut limit = patience;
        if position_waits {
            limit = limit.min(POSITION_INTERVAL.saturating_sub(self.batch.elapsed()));
        }
        if let Some((interval, last)) = self.heartbeat.filter(|_| between_transactions) {
            limit = limit.min(interval.saturating_sub(last.elapsed()));
        }
        Wait { limit, is_last: limit >= patience }
    }
}

/// The error message for a stuck stream.
pub(super) fn stuck_message() -> String {
    format!("no event came for {} s, although the server has more", COMPARE_INTERVAL.as_secs())
}
