//! How a refusal for lack of permission is taken: that depends on whether the same client worked before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long permissions may be missing for a client that worked before.
const GRACE: Duration = Duration::from_secs(600);

/// How a refusal for lack of permission is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// Nothing worked yet: the task is set up wrongly.
    AtStart,
    /// It worked before: the permission may come back.
    Grace,
    /// It has been missing for too long.
    Lasting,
}

/// What is remembered of successes and refusals, over all sessions of a client.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    worked: AtomicBool,
    denied_since: Mutex<Option<Instant>>,
}

impl Denials {
    /// Something worked that needs permissions.
    pub(crate) fn note_success(&self) {
        let mut denied_since = self.denied_since.lock().unwrap_or_else(PoisonError::into_inner);
        *denied_since = None;
        self.worked.store(true, Ordering::Release);
    }

    /// A permission is missing.
    pub(crate) fn note_denial(&self) -> Denial {
        if !self.worked.load(Ordering::Acquire) {
            return Denial::AtStart;
        }
        let since = *self.denied_since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        if since.elapsed() > GRACE { Denial::Lasting } else { Denial::Grace }
    }
}
