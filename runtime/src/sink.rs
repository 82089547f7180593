//! Where events go.

use tokio::sync::watch;

use crate::{Batch, Finding, Receipt, Result, Split, async_trait};

/// The lane that a sink serves; sinks write it into what they deliver so that a later run can recognise it.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'a> {
    /// Random id of the task, made at its first start and kept until it is reset.
    pub run: u64,
    /// Rises with every start of the process.
    pub epoch: u32,
    /// Number of the split, from 1, stable over restarts.
    pub number: u32,
    /// The split.
    pub split: &'a Split,
}

/// Tells when a lane is to end: because the task was stopped or paused, or because another lane failed.
#[derive(Clone, Debug, Default)]
pub struct Stop(Option<watch::Receiver<bool>>);

impl Stop {
    pub(crate) fn new(signal: watch::Receiver<bool>) -> Self {
        Self(Some(signal))
    }

    /// Returns once the lane is to end; never for a default `Stop`, nor when the pipeline itself is gone. May be cancelled.
    pub async fn requested(&self) {
        if let Some(mut signal) = self.0.clone()
            && signal.wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// A place that events are delivered to. One instance serves one run of one split.
#[async_trait]
pub trait Sink: Send {
    /// Gives the sink the lane's stop signal, before `open`. A sink may then end waits of its own with a `Retryable` error, where nothing that
    /// it sent is in doubt; the lane is not opened again. A sink that does not look at it is awaited as ever.
    fn heed(&mut self, stop: Stop) {
        let _ = stop;
    }

    /// Connects, and looks at what an earlier run delivered after its last receipt. The receipt that it returns is committed before the
    /// first write. The default accepts `last` as it is: right for a sink that cannot look, which may then repeat events after a failure.
    async fn open(&mut self, lane: &Lane<'_>, last: &Receipt) -> Result<Receipt> {
        let _ = lane;
        Ok(last.clone())
    }

    /// Delivers a batch. `Ok` means that every event left in `batch` is durable; events that cannot be carried are rejected from it
    /// ([`Batch::reject`]). `Err` means that it is unknown what was delivered: the lane is dropped and the batch replayed after a new `open`.
    /// Never called concurrently, never cancelled.
    async fn write(&mut self, batch: &mut Batch) -> Result<Receipt>;

    /// Ends cleanly, after the last write was committed. Nothing to do by default.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }

    /// Looks for what would make the task fail: connections, topics, permissions. The default has nothing to look at.
    async fn check(&mut self) -> Vec<Finding> {
        Vec::new()
    }
}
