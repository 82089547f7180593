//! The data that all lanes of a task share, and the settings for retries.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::ledger::Ledger;
use super::named_transform::NamedTransform;
use super::registry::SinkFactory;
use super::rejections::Rules;
use super::seams::Seams;
use crate::{Context, Result, Source, Transform};

/// How temporary failures are retried.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retry {
    /// The task fails if retries make no progress for this long. The time begins at the first failure since the last progress, so a task
    /// that was idle or paused, or delivered a long transaction, has all of it. DTS calls this setting "Retry Time for Failed
    /// Connections"; its default is 720 minutes.
    pub window: Duration,
    /// The longest duration of the first pause before a retry. It doubles with each further pause.
    pub first_pause: Duration,
    /// The longest duration of any pause.
    pub longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { window: Duration::from_secs(720 * 60), first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(30) }
    }
}

/// The data that all lanes of a task share.
pub(crate) struct Task {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) transforms: Vec<NamedTransform>,
    pub(crate) sink: SinkFactory,
    pub(crate) dead_letters: Option<SinkFactory>,
    pub(crate) rules: Rules,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) seams: Arc<Seams>,
    pub(crate) context: Context,
    pub(crate) flush_interval: Duration,
    pub(crate) budget: Budget,
}

impl Task {
    /// One instance of each transform, in order.
    pub(crate) fn transforms(&self) -> Result<Vec<Box<dyn Transform>>> {
        self.transforms.iter().map(NamedTransform::make).collect()
    }
}
