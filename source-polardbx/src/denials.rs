//! Decides how a refusal of the account is treated. A password or a grant is often changed in two steps, on the server and in this program,
//! so a task that has worked waits for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use runtime::{Batch, Committed, Error, Kind, Result, SplitReader, async_trait};

use crate::error::DENIED;

/// How long the account of a task that has worked may be refused.
const GRACE: Duration = Duration::from_secs(600);

/// Whether the task has worked, and since when the account is refused.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    /// Whether [`Denials::begin`] was called.
    begun: AtomicBool,
    worked: AtomicBool,
    since: Mutex<Option<Instant>>,
}

impl Denials {
    /// Notes the checkpoint with which the process begins. If there is one, the task has worked before. Later calls do nothing.
    pub(crate) fn begin(&self, committed: &Committed) {
        if !self.begun.swap(true, Ordering::AcqRel) && !committed.is_new() {
            self.worked.store(true, Ordering::Release);
        }
    }

    /// Notes that the account was not refused.
    fn note_success(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.worked.store(true, Ordering::Release);
    }

    /// Makes a refusal retryable in a task that has worked, and fatal once it has lasted for too long. Other errors are not changed.
    pub(crate) fn judge(&self, error: Error) -> Error {
        if error.code() != Some(DENIED) || !self.worked.load(Ordering::Acquire) {
            return error;
        }
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        error.into_kind(if since.elapsed() > GRACE { Kind::Fatal } else { Kind::Retryable })
    }
}

/// A reader whose refusals are judged.
pub(crate) struct Judged {
    pub(crate) reader: Box<dyn SplitReader>,
    pub(crate) denials: Arc<Denials>,
}

#[async_trait]
impl SplitReader for Judged {
    async fn next(&mut self) -> Result<Option<Batch>> {
        match self.reader.next().await {
            Ok(batch) => {
                self.denials.note_success();
                Ok(batch)
            }
            Err(error) => Err(self.denials.judge(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SourceError;
    use crate::wire::WireError;

    fn refused(code: u16) -> Error {
        SourceError::wire("read", WireError::Refused(code, "no".to_owned())).into()
    }

    #[test]
    fn a_task_that_has_worked_waits_for_its_account() {
        let denials = Denials::default();
        denials.begin(&Committed::default());
        for code in [1044, 1045, 1142, 1227] {
            assert_eq!(denials.judge(refused(code)).kind(), Kind::Config, "at the first start");
        }
        denials.note_success();
        for code in [1044, 1045, 1142, 1227] {
            assert_eq!(denials.judge(refused(code)).kind(), Kind::Retryable);
        }
        assert_eq!(denials.judge(refused(1064)).kind(), Kind::Fatal, "a syntax error is no refusal");
        let long_ago = Instant::now().checked_sub(GRACE + Duration::from_secs(1)).unwrap();
        *denials.since.lock().unwrap() = Some(long_ago);
        assert_eq!(denials.judge(refused(1045)).kind(), Kind::Fatal);
        denials.note_success();
        assert_eq!(denials.judge(refused(1045)).kind(), Kind::Retryable);
    }
}
