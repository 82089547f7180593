//! What a lane has delivered and not committed yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::stats::SplitStats;
use crate::{Body, Checkpoint, CheckpointStore, Event, Position, Progress, Receipt, Result, SplitId, State, TableId, TableSchema};

/// A commit is due after so many bytes even if the flush interval has not passed.
const COMMIT_BYTES: usize = 64 << 20;
/// How long to wait for a commit that is not due: any long time.
const NEVER: Duration = Duration::from_secs(3600);

/// Collects what the next commit writes, and writes it.
///
/// Invariant: a committed position never passes an event that is not durable. The receipt may be ahead of it.
pub(crate) struct Commits<'a> {
    store: &'a dyn CheckpointStore,
    split: &'a SplitId,
    stats: &'a SplitStats,
    flush_interval: Duration,
    /// What was committed last.
    committed: Checkpoint,
    /// What the sink said last.
    receipt: Receipt,
    /// Changes met since the last resume position; they are committed with the next one.
    schemas: Vec<(TableId, Option<Arc<TableSchema>>)>,
    state: State,
    /// What the next commit writes, and when it must be written.
    due: Option<Progress>,
    due_bytes: usize,
    flush_at: Instant,
    barrier: bool,
}

impl<'a> Commits<'a> {
    /// Commits of a split that goes on from `committed`.
    pub(crate) fn new(
        store: &'a dyn CheckpointStore,
        split: &'a SplitId,
        committed: Checkpoint,
        stats: &'a SplitStats,
        flush_interval: Duration,
    ) -> Self {
        let receipt = committed.receipt.clone();
        let (schemas, state, flush_at) = (Vec::new(), State::new(), Instant::now());
        Self { store, split, stats, flush_interval, committed, receipt, schemas, state, due: None, due_bytes: 0, flush_at, barrier: false }
    }

    /// Commits what a sink found when it was opened, before anything is written.
    pub(crate) async fn baseline(&mut self, receipt: Receipt) -> Result<()> {
        self.receipt = receipt;
        if self.receipt == self.committed.receipt {
            return Ok(());
        }
        self.write(self.progress(self.committed.position.clone())).await
    }

    /// Remembers the structures that change with these events, under the source's own names: called before the transforms.
    pub(crate) fn met(&mut self, events: &[Event], state: &mut State) {
        for event in events {
            if let Body::Schema(change) = &event.body {
                self.schemas.extend(change.tables.iter().cloned());
                self.barrier = true;
            }
        }
        self.state.append(state);
    }

    /// Everything up to here is durable; `resume` is where the source could go on, if it can here.
    pub(crate) fn delivered(&mut self, receipt: Receipt, bytes: usize, resume: Option<Position>) {
        self.receipt = receipt;
        self.due_bytes += bytes;
        let Some(position) = resume else { return };
        let mut progress = self.progress(position);
        match self.due.take() {
            Some(due) => (progress.schemas, progress.state) = (due.schemas, due.state),
            None => self.flush_at = Instant::now() + self.flush_interval,
        }
        progress.schemas.append(&mut self.schemas);
        progress.state.append(&mut self.state);
        self.due = Some(progress);
    }

    /// When the next commit must be written at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        if self.due.is_some() { self.flush_at } else { Instant::now() + NEVER }
    }

    /// Commits if it is time to: after the flush interval, after many bytes, and behind every schema change.
    pub(crate) async fn commit_if_due(&mut self) -> Result<()> {
        let now = self.barrier || self.due_bytes >= COMMIT_BYTES || Instant::now() >= self.flush_at;
        if self.due.is_some() && now { self.commit().await } else { Ok(()) }
    }

    /// Commits all that can be.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        match self.due.take() {
            Some(mut due) => {
                due.checkpoint.receipt = self.receipt.clone();
                self.write(due).await
            }
            None => Ok(()),
        }
    }

    /// The split was read to its end.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        let mut progress = self.progress(self.committed.position.clone());
        progress.checkpoint.done = true;
        (progress.schemas, progress.state) = (std::mem::take(&mut self.schemas), std::mem::take(&mut self.state));
        self.write(progress).await
    }

    fn progress(&self, position: Position) -> Progress {
        let checkpoint = Checkpoint { position, receipt: self.receipt.clone(), done: false };
        Progress { split: self.split.clone(), checkpoint, schemas: Vec::new(), state: State::new() }
    }

    async fn write(&mut self, progress: Progress) -> Result<()> {
        let checkpoint = progress.checkpoint.clone();
        self.store.commit(vec![progress]).await?;
        self.stats.committed(&checkpoint);
        self.committed = checkpoint;
        (self.due_bytes, self.barrier) = (0, false);
        Ok(())
    }
}
