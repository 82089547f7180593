//! Repeats an attempt until it succeeds or a time limit is over. All retries of the sink use this module.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Pauses between attempts. Each pause is twice as long as the one before, up to `longest`.
#[derive(Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Sleeps for the next pause.
    pub(crate) async fn pause(&mut self) {
        sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
    }

    /// Starts again with the first pause.
    pub(crate) fn restart(&mut self) {
        self.next = self.first;
    }
}

/// Repeats attempts with pauses until a limit of time has passed:
///
/// ```text
/// let mut retry = Retry::new(limit, FIRST_PAUSE, LONGEST_PAUSE);
/// loop {
///     match attempt().await {
///         Err(error) if error.is_transient() => retry.again(error).await?,
///         result => return result,
///     }
/// }
/// ```
#[derive(Debug)]
pub(crate) struct Retry {
    limit: Duration,
    deadline: Instant,
    pauses: Pauses,
}

impl Retry {
    /// Allows attempts for `limit` from now on.
    pub(crate) fn new(limit: Duration, first_pause: Duration, longest_pause: Duration) -> Self {
        Self { limit, deadline: Instant::now() + limit, pauses: Pauses::new(first_pause, longest_pause) }
    }

    /// Pauses before the next attempt. Returns `error`, the error of the last attempt, if there is no time left for another one. A last
    /// attempt that is cut short would only fail with a time-out, which says less.
    pub(crate) async fn again<E>(&mut self, error: E) -> Result<(), E> {
        if Instant::now() + self.pauses.next * 2 >= self.deadline {
            return Err(error);
        }
        self.pauses.pause().await;
        Ok(())
    }

    /// The time after which no further attempt begins.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Notes that an attempt made progress: the time limit and the pauses start again.
    pub(crate) fn restart(&mut self) {
        self.deadline = Instant::now() + self.limit;
        self.pauses.restart();
    }

    /// Moves the deadline so that at least `limit` is left from now on.
    pub(crate) fn extend(&mut self, limit: Duration) {
        self.deadline = self.deadline.max(Instant::now() + limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_error_of_the_last_attempt_is_returned_when_the_time_is_over() {
        let ms = Duration::from_millis;
        let (begin, mut attempts) = (Instant::now(), 0);
        let mut retry = Retry::new(ms(100), ms(10), ms(20));
        let last = loop {
            attempts += 1;
            if let Err(error) = retry.again(attempts).await {
                break error;
            }
        };
        assert_eq!(last, attempts);
        assert!((3..=6).contains(&attempts) && begin.elapsed() >= ms(50), "{attempts} {:?}", begin.elapsed());
        retry.restart();
        assert!(retry.again(0).await.is_ok());
        retry.extend(ms(5000));
        assert!(retry.deadline() > Instant::now() + ms(4000));
    }
}
