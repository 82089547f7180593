//! The connections that read the snapshot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Result, SourceError};
use crate::session::{Endpoint, Session};

/// A connection that was idle for longer than this is not reused. It may already be broken without having reported an error, for example
/// because a firewall dropped it or the task was paused.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// The connections for reading chunks. There are at most as many as the configured parallelism, and they are reused for the next chunks.
pub(crate) struct ReaderSessions {
    endpoint: Endpoint,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<(Session, Instant)>>,
}

/// A connection lent by [`ReaderSessions`]. It is given back only after a success; otherwise it is closed.
pub(crate) struct Lent {
    pub(crate) session: Session,
    _permit: OwnedSemaphorePermit,
}

impl ReaderSessions {
    pub(crate) fn new(endpoint: Endpoint, parallelism: usize) -> Self {
        Self { endpoint, permits: Arc::new(Semaphore::new(parallelism)), idle: Mutex::default() }
    }

    /// Lends an idle connection or a new one. Waits while the permitted number of connections is lent.
    pub(crate) async fn lend(&self) -> Result<Lent> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| SourceError::answer("wait for a connection", "the source is closed"))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle {
            Some((session, since)) if since.elapsed() <= MAX_IDLE => session,
            Some(_) => {
                // The other idle connections have been idle for even longer.
                self.discard_idle();
                self.endpoint.connect_reader().await?
            }
            None => self.endpoint.connect_reader().await?,
        };
        Ok(Lent { session, _permit: permit })
    }

    /// Fails if a connection does not reach the server of the task any more.
    pub(crate) async fn confirm(&self, lent: &mut Lent) -> Result<()> {
        self.endpoint.confirm(&mut lent.session).await
    }

    /// Lends another connection in the place of one that may be broken.
    pub(crate) async fn replace(&self, lent: Lent) -> Result<Lent> {
        let Lent { _permit, .. } = lent;
        Ok(Lent { session: self.endpoint.connect_reader().await?, _permit })
    }

    pub(crate) fn give_back(&self, lent: Lent) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((lent.session, Instant::now()));
    }

    /// Closes the idle connections. This is called when a connection has failed or the snapshot is over.
    pub(crate) fn discard_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
