//! The clocks that tell a stream reader what is due although no event came.

use std::time::{Duration, Instant};

use super::position::FileOffset;
use super::transport::SILENCE;

/// An idle stream commits its position at most this often.
const POSITION_INTERVAL: Duration = Duration::from_secs(1);
/// A stream without events is compared with the server's list of files this often: after RESET MASTER a server keeps sending heartbeats to
/// a reader of files that no longer exist.
const COMPARE_INTERVAL: Duration = Duration::from_secs(20);
/// After so many events the reader lets other tasks run, even if more events are here already.
const EVENTS_PER_TURN: u32 = 512;

/// The clocks of a stream reader.
#[derive(Debug)]
pub(super) struct Timers {
    /// When waiting for the current event began.
    idle_since: Option<Instant>,
    /// When the last event came, or the stream was compared with the server's files.
    compared: Instant,
    /// Position of the stream at the last comparison, if the server's files continued behind it.
    behind: Option<FileOffset>,
    /// When the last batch was handed over.
    batch: Instant,
    /// Interval of heartbeats, if they are wanted, and when the last event was handed over.
    heartbeat: Option<(Duration, Instant)>,
    events: u32,
}

/// How long the reader may wait for an event.
pub(super) struct Wait {
    pub(super) limit: Duration,
    /// Whether the connection counts as lost if no event comes.
    pub(super) is_last: bool,
}

impl Timers {
    /// Starts now. `heartbeat` is the interval of heartbeats, if they are wanted.
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

    /// An event was there without waiting.
    pub(super) fn event_was_ready(&mut self) {
        (self.idle_since, self.compared) = (None, Instant::now());
    }

    /// An awaited event came. It may be a heartbeat of the server, so a comparison with the server's files stays due.
    pub(super) fn event_was_awaited(&mut self) {
        self.idle_since = None;
    }

    /// A batch is handed over.
    pub(super) fn batch(&mut self, has_events: bool) {
        self.batch = Instant::now();
        if let Some((_, last)) = self.heartbeat.as_mut().filter(|_| has_events) {
            *last = self.batch;
        }
    }

    /// Whether the position may be committed without events.
    pub(super) fn is_position_due(&self) -> bool {
        self.batch.elapsed() >= POSITION_INTERVAL
    }

    pub(super) fn is_heartbeat_due(&self) -> bool {
        self.heartbeat.is_some_and(|(interval, last)| last.elapsed() >= interval)
    }

    /// Whether the stream is to be compared with the server's files.
    pub(super) fn is_comparison_due(&self) -> bool {
        self.compared.elapsed() >= COMPARE_INTERVAL
    }

    /// The stream at `at` was compared with the server's files. Returns whether it is stuck: the server had more events at two comparisons
    /// in a row, and none of them came in between.
    pub(super) fn is_stuck(&mut self, at: FileOffset, server_has_more: bool) -> bool {
        self.compared = Instant::now();
        let stuck = server_has_more && self.behind == Some(at);
        self.behind = server_has_more.then_some(at);
        stuck
    }

    /// How long to wait for the next event.
    pub(super) fn wait(&mut self, position_waits: bool, between_transactions: bool) -> Wait {
        let patience = SILENCE.saturating_sub(self.idle_since.get_or_insert_with(Instant::now).elapsed());
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
