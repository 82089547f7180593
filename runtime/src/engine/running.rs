//! The handle of a running pipeline.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::stats::{RunState, Status};
use super::supervisor::{Desired, Shared};
use crate::sync::lock;
use crate::{Context, Error, Metrics, Result};

/// A running pipeline.
///
/// Dropping the handle asks the pipeline to stop after a commit. The pipeline then ends by itself, as long as the tokio runtime runs. Use
/// [`Running::wait`] to wait for the end, or [`Running::detach`] to let it run without a handle.
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

    /// What the pipeline is doing.
    pub fn state(&self) -> RunState {
        *self.shared.state.borrow()
    }

    /// Waits until `condition` holds for the state, and returns that state. Also returns when the pipeline has ended, because the state
    /// then does not change any more. Cancel-safe.
    pub async fn wait_for(&self, mut condition: impl FnMut(RunState) -> bool) -> RunState {
        let mut state = self.shared.state.subscribe();
        // The sender lives in `self.shared`, so waiting cannot fail.
        match state.wait_for(|state| condition(*state) || state.is_ended()).await {
            Ok(state) => *state,
            Err(_) => self.state(),
        }
    }

    /// A snapshot of the pipeline's status.
    pub fn status(&self) -> Status {
        let error = lock(&self.shared.error).clone();
        self.shared.stats.status(&self.context, self.state(), error, self.shared.seams.last())
    }

    /// The metrics of the runtime and the plugins.
    pub fn metrics(&self) -> &Metrics {
        self.context.metrics()
    }

    /// Pauses the pipeline: it stops reading, delivers and commits what was read, and closes its lanes. Returns when all lanes are closed,
    /// or when the pipeline has ended. [`Running::resume`] continues it.
    pub async fn pause(&self) {
        self.desired.send_replace(Desired::Pause);
        self.wait_for(|state| state == RunState::Paused).await;
    }

    /// Continues after [`Running::pause`], from the checkpoint.
    pub fn resume(&self) {
        self.desired.send_replace(Desired::Run);
    }

    /// Asks the pipeline to stop after a commit, and does not wait. [`Running::wait`] returns when it has stopped.
    pub fn request_stop(&self) {
        self.desired.send_replace(Desired::Stop);
    }

    /// Stops the pipeline after a commit, and waits until it has ended.
    pub async fn stop(self) -> Result<()> {
        self.request_stop();
        self.wait().await
    }

    /// Waits until the pipeline ends: because nothing is left to read, by a stop, or by an error.
    pub async fn wait(mut self) -> Result<()> {
        self.wait_mut().await
    }

    /// Like [`Running::wait`], but keeps the handle, so that the caller can get the status in the meantime. Cancel-safe. After it has
    /// returned once, a further call returns an error.
    pub async fn wait_mut(&mut self) -> Result<()> {
        let Some(task) = &mut self.task else { return Err(Error::fatal("the end of the pipeline was returned before")) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or_else(|panic| Err(Error::fatal("the pipeline panicked").because(panic)))
    }

    /// Drops the handle, but lets the pipeline run until it ends by itself.
    pub fn detach(mut self) {
        let desired = std::mem::replace(&mut self.desired, watch::Sender::new(Desired::Run));
        // A paused pipeline is resumed, because nobody could resume it without the handle.
        desired.send_if_modified(|desired| std::mem::replace(desired, Desired::Run) == Desired::Pause);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.desired.send_replace(Desired::Stop);
    }
}
