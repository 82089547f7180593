//! Decides whether a failed task is tried again, and after which pause.

use std::time::Duration;

use tokio::time::Instant;

use super::task::Retry;
use crate::Error;

/// The failures of a task since its last progress.
///
/// The retry window begins at the first of these failures. So a task that was idle, paused or in a long transaction before has the whole
/// window.
pub(crate) struct Retries {
    retry: Retry,
    /// The progress of the task at its last failure, as a number that only increases.
    progress: u64,
    first_failure: Option<Instant>,
    /// The longest duration of the next pause.
    pause: Duration,
}

impl Retries {
    /// The retries of a task that has not failed yet.
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, progress: 0, first_failure: None, pause: retry.first_pause }
    }

    /// Forgets the failures so far.
    pub(crate) fn forget(&mut self) {
        (self.first_failure, self.pause) = (None, self.retry.first_pause);
    }

    /// Notes a failure, at which the task has made `progress`. Returns the pause before the task is tried again; `None` if the retry window
    /// has ended.
    pub(crate) fn failed(&mut self, progress: u64) -> Option<Duration> {
        if std::mem::replace(&mut self.progress, progress) != progress {
            self.forget();
        }
        if self.first_failure.get_or_insert_with(Instant::now).elapsed() >= self.retry.window {
            return None;
        }
        // The pause is random (full jitter), so that many tasks do not retry at the same time.
        let jittered = self.pause.mul_f64(fastrand::f64().max(0.05));
        self.pause = (self.pause * 2).min(self.retry.longest_pause);
        Some(jittered)
    }

    /// The error with which the task ends when the window has ended.
    pub(crate) fn window_ended(&self, error: Error) -> Error {
        let window = match self.retry.window.as_secs() {
            seconds @ 0..=119 => format!("{seconds} seconds"),
            seconds => format!("{} minutes", seconds / 60),
        };
        let ended = format!(
            "the task was retried for {window} without progress; fix the cause, then start it again: it continues from its checkpoint"
        );
        let help = match error.help().filter(|help| !help.is_empty()) {
            Some(help) => format!("{help}; {ended}"),
            None => ended,
        };
        error.with_help(help)
    }
}
