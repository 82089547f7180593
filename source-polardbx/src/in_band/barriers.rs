//! Finds out again and again which changes every new SELECT sees.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::Result;
use crate::server::Server;
use crate::session::{Endpoint, Session};
use crate::snapshot::barrier::Barrier;

/// The time between two barriers.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection that passes barriers.
pub(super) struct Barriers {
    session: Session,
    server: Arc<Server>,
    task: String,
    delay: Duration,
    /// How the last barrier was passed.
    last: Option<Barrier>,
}

impl Barriers {
    pub(super) async fn connect(endpoint: &Endpoint, server: Arc<Server>, task: String, delay: Duration) -> Result<Self> {
        Ok(Self { session: endpoint.connect().await?, server, task, delay, last: None })
    }

    /// Returns once every change that was in the binlog at the call is visible to new SELECTs.
    pub(super) async fn pass(&mut self) -> Result<()> {
        if let Some(Barrier::Delay(delay, _)) = self.last {
            // The account may not write, which is found out once.
            sleep(delay).await;
            return Ok(());
        }
        self.last = Some(Barrier::pass(&mut self.session, &self.server, &self.task, self.delay).await?);
        Ok(())
    }

    /// Waits until the next barrier is due.
    pub(super) async fn pause(&self) {
        sleep(PAUSE).await;
    }
}
