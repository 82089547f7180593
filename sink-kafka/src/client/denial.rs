//! Decides how a refusal for lack of permission is treated. This depends on whether the same client succeeded before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a client that succeeded before may lack permissions until the refusal counts as lasting.
const GRACE: Duration = Duration::from_secs(600);

/// How a refusal for lack of permission is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// No request has succeeded yet, so the task is probably set up wrongly.
    AtStart,
    /// Requests succeeded before, so the permission may come back.
    Grace,
    /// Requests succeeded before, but the permission has been missing for too long.
    Lasting,
}

/// The successes and refusals of a client, across all its sessions.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    worked: AtomicBool,
    denied_since: Mutex<Option<Instant>>,
}

impl Denials {
    /// Records that a request that needs permissions succeeded. This also ends a period of refusals.
    pub(crate) fn note_success(&self) {
        let mut denied_since = self.denied_since.lock().unwrap_or_else(PoisonError::into_inner);
        *denied_since = None;
        self.worked.store(true, Ordering::Release);
    }

    /// Records that a permission is missing. Returns how the refusal is treated.
    pub(crate) fn note_denial(&self) -> Denial {
        if !self.worked.load(Ordering::Acquire) {
            return Denial::AtStart;
        }
        let since = *self.denied_since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        if since.elapsed() > GRACE { Denial::Lasting } else { Denial::Grace }
    }
}
