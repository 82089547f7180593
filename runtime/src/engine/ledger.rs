//! What is committed, in the store and in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::{CheckpointStore, Commit, Committed, Result, lock};

/// Writes steps to the store and keeps what is committed in memory, so that nothing is read back while all goes well.
///
/// Invariant: what is in memory is what the store holds, unless a commit failed. Then the outcome of that commit is unknown, and everything
/// is loaded again.
pub(crate) struct Ledger {
    store: Arc<dyn CheckpointStore>,
    committed: Mutex<Committed>,
    stale: AtomicBool,
}

/// Marks the ledger as stale when it is dropped: a commit failed, or was never awaited to its end.
struct Unknown<'a>(&'a AtomicBool);

impl Drop for Unknown<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Ledger {
    /// A ledger over a store that is not loaded yet.
    pub(crate) fn new(store: Arc<dyn CheckpointStore>) -> Self {
        Self { store, committed: Mutex::default(), stale: AtomicBool::new(true) }
    }

    /// The store.
    pub(crate) fn store(&self) -> &dyn CheckpointStore {
        &*self.store
    }

    /// What is committed; loaded if that is not known. Not to be called while lanes run.
    pub(crate) async fn load(&self) -> Result<Committed> {
        if self.stale.load(Ordering::Acquire) {
            let loaded = self.store.load().await?;
            *lock(&self.committed) = loaded;
            self.stale.store(false, Ordering::Release);
        }
        Ok(lock(&self.committed).clone())
    }

    /// Commits one step.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<()> {
        let unknown = Unknown(&self.stale);
        self.store.commit(commit.clone()).await?;
        lock(&self.committed).apply(&commit);
        std::mem::forget(unknown);
        Ok(())
    }
}
