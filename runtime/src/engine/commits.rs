//! Tracks what a lane has delivered but not committed yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ledger::{Ledger, Said};
use super::stats::SplitStats;
use crate::api::context::CommittedPosition;
use crate::{Batch, Body, Checkpoint, Commit, Error, Facts, Position, Progress, Result, SchemaChanges, SplitId};

/// A commit is due after this many delivered bytes even if the flush interval has not passed. If the commit before is still being written
/// then, delivery waits for it. So this also limits what can be delivered and not committed.
const COMMIT_BYTES: usize = 64 << 20;
/// The time until the deadline if nothing has to be committed. Any long time would do.
const NEVER: Duration = Duration::from_secs(3600);

/// Collects the contents of the next commit, and writes it while the lane delivers further batches.
///
/// Invariants: every event before a committed position is durable in the sink; the committed receipt may be ahead of the position. At most
/// one commit of a lane is being written, so the commits of a split are in order.
pub(crate) struct Commits {
    ledger: Arc<Ledger>,
    split: SplitId,
    number: u32,
    stats: Arc<SplitStats>,
    flush_interval: Duration,
    /// The checkpoint of the last commit that was begun.
    last: Checkpoint,
    /// Tells the plugins the position that was committed last.
    position: CommittedPosition,
    /// Changes since the last resume position; they are committed with the next one.
    changes: Changes,
    /// The contents of the next commit; `None` if there is nothing to commit. `flush_at` is the time from which it must be written.
    due: Option<Due>,
    due_bytes: usize,
    flush_at: Instant,
    barrier: bool,
    /// Whether nothing is committed yet of what the sink says of the whole task.
    without_evidence: bool,
    /// The commit that is being written, in a task of its own.
    writing: Option<JoinHandle<Result<()>>>,
}

/// The changes that are committed together with a position.
#[derive(Default)]
struct Changes {
    schemas: SchemaChanges,
    facts: Facts,
}

struct Due {
    position: Position,
    changes: Changes,
}

impl Commits {
    /// Creates the commits of a split, which has the number `number` and continues from `last`, its committed checkpoint.
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        split: SplitId,
        number: u32,
        last: Checkpoint,
        stats: Arc<SplitStats>,
        flush_interval: Duration,
        position: CommittedPosition,
    ) -> Self {
        let (changes, flush_at, without_evidence) = (Changes::default(), Instant::now(), !ledger.has_evidence());
        let (due, due_bytes, barrier, writing) = (None, 0, false, None);
        Self {
            ledger,
            split,
            number,
            stats,
            flush_interval,
            last,
            position,
            changes,
            due,
            due_bytes,
            flush_at,
            barrier,
            without_evidence,
            writing,
        }
    }

    /// Whether what the sink says of the whole task must be committed now, because something was delivered and nothing is committed of it.
    pub(crate) fn needs_evidence(&self) -> bool {
        self.without_evidence
    }

    /// Commits what the sink says of the whole task, and nothing else.
    pub(crate) async fn first_evidence(&mut self, said: Said) -> Result<()> {
        self.without_evidence = false;
        if said.evidence.is_none() {
            return Ok(());
        }
        self.written().await?;
        let ledger = self.ledger.clone();
        self.writing = Some(tokio::spawn(async move { ledger.turn().await.commit_with(Commit::default(), said.evidence).await }));
        self.written().await
    }

    /// Commits the receipt of a sink that was just opened, before anything is written to it. Does nothing if the receipt is already
    /// committed.
    pub(crate) async fn baseline(&mut self, said: Said) -> Result<()> {
        if said.receipt == self.last.receipt {
            return Ok(());
        }
        let checkpoint = Checkpoint { receipt: said.receipt.clone(), ..self.last.clone() };
        self.write(checkpoint, Changes::default(), Said { evidence: None, ..said }).await?;
        self.written().await
    }

    /// Collects the facts and the schema changes of a batch. Must be called before the transforms, because schemas are committed under
    /// their names in the source.
    pub(crate) fn collect(&mut self, batch: &mut Batch) {
        for event in &batch.events {
            if let Body::Schema(change) = &event.body {
                self.changes.schemas.extend(change.tables.iter().cloned());
                self.barrier = true;
            }
        }
        self.barrier |= batch.commits_at_once;
        self.changes.schemas.append(&mut batch.schemas);
        self.due_bytes += batch.facts.stored().map(|(name, text)| name.len() + text.map_or(0, str::len)).sum::<usize>();
        self.changes.facts.append(&mut batch.facts);
    }

    /// Records that a batch of `bytes` is durable. `resume` is the resume position of the batch, if it has one.
    pub(crate) fn delivered(&mut self, bytes: usize, resume: Option<Position>) {
        self.due_bytes += bytes;
        let Some(position) = resume else { return };
        let mut changes = match self.due.take() {
            Some(due) => due.changes,
            None => {
                self.flush_at = Instant::now() + self.flush_interval;
                Changes::default()
            }
        };
        changes.schemas.append(&mut self.changes.schemas);
        changes.facts.append(&mut self.changes.facts);
        self.due = Some(Due { position, changes });
    }

    /// When the next commit must be begun at the latest. While one is being written, its end comes first.
    pub(crate) fn deadline(&self) -> Instant {
        if self.due.is_some() && self.writing.is_none() { self.flush_at } else { Instant::now() + NEVER }
    }

    /// Whether it is time to begin a commit: after the flush interval if none is being written, after `COMMIT_BYTES`, and after every schema
    /// change.
    pub(crate) fn is_due(&self) -> bool {
        let is_time = || self.writing.is_none() && Instant::now() >= self.flush_at;
        self.due.is_some() && (self.barrier || self.due_bytes >= COMMIT_BYTES || is_time())
    }

    /// Whether the next commit must be written before anything more is delivered: that of a schema change, or one for which the source asks.
    pub(crate) fn is_barrier(&self) -> bool {
        self.barrier
    }

    /// Whether there is anything to commit.
    pub(crate) fn is_pending(&self) -> bool {
        self.due.is_some()
    }

    /// Whether a commit is being written.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Begins to commit everything up to the last resume position. `said` is what the sink says now. Waits for the commit before.
    pub(crate) async fn begin(&mut self, said: Said) -> Result<()> {
        match self.due.take() {
            Some(Due { position, changes }) => {
                let checkpoint = Checkpoint { position, receipt: said.receipt.clone(), done: false };
                self.write(checkpoint, changes, said).await
            }
            None => Ok(()),
        }
    }

    /// Commits that the split was read to its end, together with all remaining changes.
    pub(crate) async fn finish(&mut self, said: Said) -> Result<()> {
        let due = self.due.take().unwrap_or_else(|| Due { position: self.last.position.clone(), changes: Changes::default() });
        let Due { position, mut changes } = due;
        changes.schemas.append(&mut self.changes.schemas);
        changes.facts.append(&mut self.changes.facts);
        let checkpoint = Checkpoint { position, receipt: said.receipt.clone(), done: true };
        self.write(checkpoint, changes, said).await?;
        self.written().await
    }

    /// Waits for the end of the commit that is being written, if there is one. Fails if it failed. The wait may be cancelled; the commit is
    /// not.
    pub(crate) async fn written(&mut self) -> Result<()> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let ended = writing.await;
        self.writing = None;
        ended.unwrap_or_else(|panic| Err(Error::retryable("a commit panicked").because(panic).with_code("E_PANIC")))
    }

    /// Begins to write a commit, after the end of the one before.
    async fn write(&mut self, checkpoint: Checkpoint, changes: Changes, said: Said) -> Result<()> {
        self.written().await?;
        self.last = checkpoint.clone();
        (self.due_bytes, self.barrier) = (0, false);
        let Changes { schemas, facts } = changes;
        let progress = Progress { split: self.split.clone(), number: self.number, checkpoint: checkpoint.clone(), schemas };
        let commit = Commit { facts, splits: vec![progress], ..Commit::default() };
        let (ledger, stats, position) = (self.ledger.clone(), self.stats.clone(), self.position.clone());
        self.writing = Some(tokio::spawn(async move {
            ledger.turn().await.commit_with(commit, said.evidence).await?;
            stats.committed(&checkpoint);
            position.set(checkpoint.position);
            Ok(())
        }));
        Ok(())
    }
}
