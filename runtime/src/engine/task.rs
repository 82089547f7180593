//! What the lanes of a task share, and how failures are retried.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::ledger::Ledger;
use super::registry::{SinkFactory, TransformFactory};
use crate::{Context, Result, Source, Transform};

/// How failures that may pass are retried.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retry {
    /// How long without any progress before the task fails. DTS: "Retry Time for Failed Connections", default 720 minutes.
    pub window: Duration,
    /// The first pause is at most this long; each next one at most twice as long as the one before.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { window: Duration::from_secs(720 * 60), first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(30) }
    }
}

/// What the lanes of a task share.
pub(crate) struct Task {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) transforms: Vec<TransformFactory>,
    pub(crate) sink: SinkFactory,
    pub(crate) ledger: Ledger,
    pub(crate) context: Context,
    pub(crate) flush_interval: Duration,
    pub(crate) budget: Budget,
}

impl Task {
    /// One instance of each transform, in order.
    pub(crate) fn transforms(&self) -> Result<Vec<Box<dyn Transform>>> {
        self.transforms.iter().map(|factory| factory()).collect()
    }
}
