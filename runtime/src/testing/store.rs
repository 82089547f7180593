use std::sync::{Arc, Mutex};

use crate::sync::lock;
use crate::{CheckpointStore, Commit, Committed, Result, async_trait};

/// A checkpoint store in memory. Clones share what was committed, so that a test can "restart" a pipeline.
#[derive(Clone, Default)]
pub struct MemoryStore {
    committed: Arc<Mutex<Committed>>,
}

impl MemoryStore {
    /// A store of a task that never ran; `run` must not be 0.
    pub fn new(run: u64) -> Self {
        Self { committed: Arc::new(Mutex::new(Committed::new(run, 1, 0))) }
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

    async fn commit(&self, commit: Commit) -> Result<()> {
        lock(&self.committed).apply(&commit);
        Ok(())
    }

    async fn peek(&self) -> Result<Option<Committed>> {
        Ok(Some(self.committed()))
    }
}
