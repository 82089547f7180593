//! Tracks what a lane has delivered but not committed yet.

use std::time::Duration;

use tokio::time::Instant;

use super::ledger::{Ledger, Turn};
use super::stats::SplitStats;
use crate::api::context::CommittedPosition;
use crate::{Batch, Body, Checkpoint, Commit, Facts, Position, Progress, Receipt, Result, SchemaChanges, SplitId};

/// A commit is due after this many delivered bytes even if the flush interval has not passed.
const COMMIT_BYTES: usize = 64 << 20;
/// The time until the deadline if nothing has to be committed. Any long time would do.
const NEVER: Duration = Duration::from_secs(3600);

/// Collects the contents of the next commit, and writes it.
///
/// Invariant: every event before a committed position is durable in the sink. The committed receipt may be ahead of the position.
pub(crate) struct Commits<'a> {
    ledger: &'a Ledger,
    split: &'a SplitId,
    number: u32,
    stats: &'a SplitStats,
    flush_interval: Duration,
    /// The checkpoint that was committed last.
    committed: Checkpoint,
    /// Tells the plugins the position of `committed`.
    position: CommittedPosition,
    /// Changes since the last resume position; they are committed with the next one.
    changes: Changes,
    /// The contents of the next commit; `None` if there is nothing to commit. `flush_at` is the time at which it must be written at the
    /// latest.
    due: Option<Due>,
    due_bytes: usize,
    flush_at: Instant,
    barrier: bool,
    /// Whether nothing is committed yet of what the sink says of the whole task.
    without_evidence: bool,
}

/// What a sink says when something is committed: its receipt, and what it says of the whole task.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) receipt: Receipt,
    pub(crate) evidence: Option<Receipt>,
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

impl<'a> Commits<'a> {
    /// Creates the commits of a split, which has the number `number` and continues from `committed`.
    pub(crate) fn new(
        ledger: &'a Ledger,
        split: &'a SplitId,
        number: u32,
        committed: Checkpoint,
        stats: &'a SplitStats,
        flush_interval: Duration,
        position: CommittedPosition,
    ) -> Self {
        let (changes, flush_at, without_evidence) = (Changes::default(), Instant::now(), !ledger.has_evidence());
        let (due, due_bytes, barrier) = (None, 0, false);
        Self {
            ledger,
            split,
            number,
            stats,
            flush_interval,
            committed,
            position,
            changes,
            due,
            due_bytes,
            flush_at,
            barrier,
            without_evidence,
        }
    }

    /// Waits until no other lane is committing. What the sink says is asked for afterwards.
    pub(crate) async fn turn(&self) -> Turn<'a> {
        self.ledger.turn().await
    }

    /// Whether what the sink says of the whole task must be committed now, because something was delivered and nothing is committed of it.
    pub(crate) fn needs_evidence(&self) -> bool {
        self.without_evidence
    }

    /// Commits what the sink says of the whole task, and nothing else.
    pub(crate) async fn first_evidence(&mut self, turn: Turn<'_>, evidence: Option<Receipt>) -> Result<()> {
        self.without_evidence = false;
        if evidence.is_none() {
            return Ok(());
        }
        turn.commit(Commit { evidence, ..Commit::default() }).await
    }

    /// Commits the receipt of a sink that was just opened, before anything is written to it. Does nothing if the receipt is already
    /// committed.
    pub(crate) async fn baseline(&mut self, receipt: Receipt) -> Result<()> {
        if receipt == self.committed.receipt {
            return Ok(());
        }
        let checkpoint = Checkpoint { receipt, ..self.committed.clone() };
        let turn = self.turn().await;
        self.write(turn, checkpoint, Changes::default(), None).await
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
        self.changes.schemas.append(&mut batch.schemas);
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

    /// When the next commit must be written at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        if self.due.is_some() { self.flush_at } else { Instant::now() + NEVER }
    }

    /// Whether it is time to commit: after the flush interval, after `COMMIT_BYTES`, and after every schema change.
    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some() && (self.barrier || self.due_bytes >= COMMIT_BYTES || Instant::now() >= self.flush_at)
    }

    /// Whether there is anything to commit.
    pub(crate) fn is_pending(&self) -> bool {
        self.due.is_some()
    }

    /// Commits everything up to the last resume position, with the sink's current receipt.
    pub(crate) async fn commit(&mut self, turn: Turn<'_>, said: Said) -> Result<()> {
        let Said { receipt, evidence } = said;
        match self.due.take() {
            Some(Due { position, changes }) => self.write(turn, Checkpoint { position, receipt, done: false }, changes, evidence).await,
            None => Ok(()),
        }
    }

    /// Commits that the split was read to its end, together with all remaining changes.
    pub(crate) async fn finish(&mut self, turn: Turn<'_>, said: Said) -> Result<()> {
        let Said { receipt, evidence } = said;
        let due = self.due.take();
        let due = due.unwrap_or_else(|| Due { position: self.committed.position.clone(), changes: Changes::default() });
        let Due { position, mut changes } = due;
        changes.schemas.append(&mut self.changes.schemas);
        changes.facts.append(&mut self.changes.facts);
        self.write(turn, Checkpoint { position, receipt, done: true }, changes, evidence).await
    }

    async fn write(&mut self, turn: Turn<'_>, checkpoint: Checkpoint, changes: Changes, evidence: Option<Receipt>) -> Result<()> {
        let Changes { schemas, facts } = changes;
        let progress = Progress { split: self.split.clone(), number: self.number, checkpoint: checkpoint.clone(), schemas };
        turn.commit(Commit { facts, splits: vec![progress], evidence, ..Commit::default() }).await?;
        self.stats.committed(&checkpoint);
        self.position.set(checkpoint.position.clone());
        self.committed = checkpoint;
        (self.due_bytes, self.barrier) = (0, false);
        Ok(())
    }
}
