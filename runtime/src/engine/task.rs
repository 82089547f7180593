//! What the lanes of a task share.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::ledger::Ledger;
use super::registry::{SinkFactory, TransformFactory};
use crate::{Context, Result, Source, Transform};

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
