//! Keeps the committed state in the store and in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::sync::lock;
use crate::{CheckpointStore, Commit, Committed, Receipt, Result, Sink, SplitId, TableSchema};

/// Writes commits to the store and also keeps the committed state in memory, so that nothing is read back unless a commit fails.
///
/// Invariant: the state in memory equals the state in the store, unless a commit failed. The outcome of a failed commit is unknown, so the
/// state is then loaded again.
pub(crate) struct Ledger {
    store: Arc<dyn CheckpointStore>,
    committed: Mutex<Committed>,
    stale: AtomicBool,
    /// How many times a sink was asked. It is locked while one is asked.
    asked: Mutex<u64>,
    /// The number of the newest evidence that was committed. It is locked while a commit is written.
    turn: tokio::sync::Mutex<u64>,
}

/// What a sink says when a commit begins: its receipt, and what it says of the whole task.
pub(crate) struct Said {
    pub(crate) receipt: Receipt,
    pub(crate) evidence: Option<Evidence>,
}

/// What a sink says of the whole task. What was said later has a greater number.
pub(crate) struct Evidence {
    number: u64,
    text: Receipt,
}

/// The right to write the next commit.
pub(crate) struct Turn<'a> {
    ledger: &'a Ledger,
    newest: tokio::sync::MutexGuard<'a, u64>,
}

impl Turn<'_> {
    /// Writes one commit that says nothing of the whole task.
    pub(crate) async fn commit(self, commit: Commit) -> Result<()> {
        self.ledger.write(commit).await
    }

    /// Writes one commit, with what a sink said of the whole task. That is left out if something newer is committed, which includes it: lanes
    /// do not get their turns in the order in which their sinks were asked.
    pub(crate) async fn commit_with(mut self, commit: Commit, evidence: Option<Evidence>) -> Result<()> {
        let Some(Evidence { number, text }) = evidence.filter(|evidence| evidence.number > *self.newest) else {
            return self.commit(commit).await;
        };
        self.ledger.write(Commit { evidence: Some(text), ..commit }).await?;
        *self.newest = number;
        Ok(())
    }
}

/// A guard that marks the ledger as stale when it is dropped, because a commit failed or was not awaited to its end.
struct Unknown<'a>(&'a AtomicBool);

impl Drop for Unknown<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Ledger {
    /// Creates a ledger for a store that is not loaded yet.
    pub(crate) fn new(store: Arc<dyn CheckpointStore>) -> Self {
        let (committed, stale) = (Mutex::default(), AtomicBool::new(true));
        Self { store, committed, stale, asked: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// The store.
    pub(crate) fn store(&self) -> &dyn CheckpointStore {
        &*self.store
    }

    /// The committed state. It is loaded from the store if the state in memory is stale. Must not be called while lanes run.
    pub(crate) async fn load(&self) -> Result<Committed> {
        // A lane that panicked may have left a commit behind.
        let _turn = self.turn().await;
        if self.stale.load(Ordering::Acquire) {
            let loaded = self.store.load().await?;
            *lock(&self.committed) = loaded;
            self.stale.store(false, Ordering::Release);
        }
        Ok(lock(&self.committed).clone())
    }

    /// Waits until no other commit is being written.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { ledger: self, newest: self.turn.lock().await }
    }

    /// Asks a sink what to commit.
    pub(crate) fn ask(&self, sink: &dyn Sink) -> Said {
        // Invariant: the lock is held, so that what has the greater number was said later.
        let mut asked = lock(&self.asked);
        *asked += 1;
        let evidence = sink.evidence().map(|text| Evidence { number: *asked, text });
        Said { receipt: sink.receipt(), evidence }
    }

    /// Whether the sink has said something of the whole task.
    pub(crate) fn has_evidence(&self) -> bool {
        !lock(&self.committed).evidence().is_empty()
    }

    /// The schemas of the tables at the committed position of a split.
    pub(crate) fn schemas(&self, split: &SplitId) -> Vec<Arc<TableSchema>> {
        lock(&self.committed).split_schemas(split)
    }

    /// Writes one commit that says nothing of the whole task.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<()> {
        self.turn().await.commit(commit).await
    }

    /// Writes one commit to the store, and then applies it to the state in memory.
    async fn write(&self, commit: Commit) -> Result<()> {
        let unknown = Unknown(&self.stale);
        self.store.commit(commit.clone()).await?;
        lock(&self.committed).apply(&commit);
        std::mem::forget(unknown);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryStore;
    use crate::{Checkpoint, Error, Progress, Receipt, async_trait};

    /// Counts how often it was loaded; a commit of a split called `lost` is durable and reported as failed.
    #[derive(Clone, Default)]
    struct Store(MemoryStore, Arc<Mutex<u32>>);

    #[async_trait]
    impl CheckpointStore for Store {
        async fn load(&self) -> Result<Committed> {
            *lock(&self.1) += 1;
            self.0.load().await
        }

        async fn commit(&self, commit: Commit) -> Result<()> {
            let lost = commit.splits.iter().any(|progress| progress.split.as_str() == "lost");
            self.0.commit(commit).await?;
            if lost { Err(Error::retryable("the answer was lost")) } else { Ok(()) }
        }

        async fn peek(&self) -> Result<Option<Committed>> {
            self.0.peek().await
        }
    }

    fn begin(split: &str, number: u32) -> Commit {
        let checkpoint = Checkpoint { position: "p".into(), receipt: Receipt::default(), done: false };
        let progress = Progress { split: split.into(), number, checkpoint, schemas: Vec::new() };
        Commit { splits: vec![progress], ..Commit::default() }
    }

    #[tokio::test]
    async fn the_store_is_read_again_only_when_a_commit_has_failed() {
        let store = Store::default();
        let ledger = Ledger::new(Arc::new(store.clone()));
        let names = |committed: Committed| committed.splits().map(|(split, _)| split.to_string()).collect::<Vec<_>>();
        assert!(names(ledger.load().await.unwrap()).is_empty());
        ledger.commit(begin("a", 1)).await.unwrap();
        assert_eq!((names(ledger.load().await.unwrap()), *lock(&store.1)), (vec!["a".to_owned()], 1));
        ledger.commit(begin("lost", 2)).await.unwrap_err();
        ledger.commit(begin("c", 3)).await.unwrap();
        let all = ["a", "c", "lost"].map(String::from);
        assert_eq!((names(ledger.load().await.unwrap()), *lock(&store.1)), (all.to_vec(), 2));
    }
}
