//! The handle of a pipeline that runs.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stats::{RunState, Status};
use super::supervisor::{Desired, Shared};
use crate::sync::lock;
use crate::{Context, Error, Metrics, Result};

/// A pipeline that runs.
///
/// Dropping it asks the pipeline to stop at a commit; it then ends by itself, as long as the tokio runtime lives. Use [`Running::wait`] to
/// wait for the end, or [`Running::detach`] to let it run without a handle.
#[must_use = "a pipeline stops when its handle is dropped"]
pub struct Running {
    context: Context,
    shared: Arc<Shared>,
    desired: watch::Sender<Desired>,
    task: Option<JoinHandle<Result<()>>>,
}

impl Running {
    pub(crate) fn new(context: Context, shared: Arc<Shared>, desired: watch::Sender<Desired>, task: JoinHandle<Result<()>>) -> Self {
        Self { context, shared, desired, task: Some(task) }
    }

    /// What it is doing.
    pub fn state(&self) -> RunState {
        *self.shared.state.borrow()
    }

    /// Waits until `condition` holds for the state, and returns that state. Returns as well when the pipeline has ended: no other state comes
    /// then. Cancel-safe.
    pub async fn wait_for(&self, mut condition: impl FnMut(RunState) -> bool) -> RunState {
        let mut state = self.shared.state.subscribe();
        // The sender lives in `self.shared`, so waiting cannot fail.
        match state.wait_for(|state| condition(*state) || state.is_ended()).await {
            Ok(state) => *state,
            Err(_) => self.state(),
        }
    }

    /// A snapshot of what it is doing.
    pub fn status(&self) -> Status {
        let error = lock(&self.shared.error).clone();
        self.shared.stats.status(self.context.task(), self.state(), error)
    }

    /// The metrics of the runtime and the plugins.
    pub fn metrics(&self) -> &Metrics {
        self.context.metrics()
    }

    /// Stops reading, delivers and commits what was read, closes everything, and waits for [`Running::resume`]. Returns when all is closed,
    /// or when the pipeline has ended.
    pub async fn pause(&self) {
        self.desired.send_replace(Desired::Pause);
        self.wait_for(|state| state == RunState::Paused).await;
    }

    /// Continues after [`Running::pause`], from the checkpoint.
    pub fn resume(&self) {
        self.desired.send_replace(Desired::Run);
    }

    /// Asks it to stop at a commit, without waiting; [`Running::wait`] then returns.
    pub fn request_stop(&self) {
        self.desired.send_replace(Desired::Stop);
    }

    /// Stops at a commit and waits for the end.
    pub async fn stop(self) -> Result<()> {
        self.request_stop();
        self.wait().await
    }

    /// Waits until it ends: by itself, by a stop, or by an error.
    pub async fn wait(mut self) -> Result<()> {
        self.wait_mut().await
    }

    /// As [`Running::wait`], for callers that ask for the status meanwhile; cancel-safe. After the end was returned once, it is an error to
    /// ask again.
    pub async fn wait_mut(&mut self) -> Result<()> {
        let Some(task) = &mut self.task else { return Err(Error::fatal("the end of the pipeline was returned before")) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or_else(|panic| Err(Error::fatal("the pipeline panicked").because(panic)))
    }

    /// Lets it run without a handle, until it ends by itself.
    pub fn detach(mut self) {
        let desired = std::mem::replace(&mut self.desired, watch::Sender::new(Desired::Run));
        // Without a sender nobody could ask a paused pipeline to continue.
        desired.send_if_modified(|desired| std::mem::replace(desired, Desired::Run) == Desired::Pause);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.desired.send_replace(Desired::Stop);
    }
}
