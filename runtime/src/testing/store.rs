use std::sync::{Arc, Mutex};

use crate::stats::lock;
use crate::{CheckpointStore, Committed, Progress, Result, async_trait};

/// A checkpoint store in memory. Clones share what was committed, so that a test can "restart" a pipeline.
#[derive(Clone, Default)]
pub struct MemoryStore {
    committed: Arc<Mutex<Committed>>,
}

impl MemoryStore {
    /// A store of a task that never ran; `run` must not be 0.
    pub fn new(run: u64) -> Self {
        let store = Self::default();
        let mut committed = lock(&store.committed);
        committed.run = run;
        committed.epoch = 1;
        drop(committed);
        store
    }

    /// What was committed so far.
    pub fn committed(&self) -> Committed {
        lock(&self.committed).clone()
    }
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn load(&self) -> Result<Committed> {
        Ok(self.committed())
    }

    async fn commit(&self, progress: Vec<Progress>) -> Result<()> {
        let mut committed = lock(&self.committed);
        progress.iter().for_each(|step| committed.apply(step));
        Ok(())
    }
}
