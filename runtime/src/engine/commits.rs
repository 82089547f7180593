//! What a lane has delivered and not committed yet.

use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Ledger;
use super::stats::SplitStats;
use crate::{Body, Checkpoint, Commit, Event, Facts, Position, Progress, Receipt, Result, SchemaChanges, SplitId};

/// A commit is due after so many bytes even if the flush interval has not passed.
const COMMIT_BYTES: usize = 64 << 20;
/// Deadline where no commit is due: any long time.
const NEVER: Duration = Duration::from_secs(3600);

/// Collects what the next commit writes, and writes it.
///
/// Invariant: a committed position never passes an event that is not durable. The receipt may be ahead of it.
pub(crate) struct Commits<'a> {
    ledger: &'a Ledger,
    split: &'a SplitId,
    number: u32,
    stats: &'a SplitStats,
    flush_interval: Duration,
    /// What was committed last.
    committed: Checkpoint,
    /// Changes since the last resume position; they are committed with the next one.
    changes: Changes,
    /// What the next commit writes, and when it must be written.
    due: Option<Due>,
    due_bytes: usize,
    flush_at: Instant,
    barrier: bool,
}

/// What is committed together with a position.
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
    /// Commits of the split `number` that continues from `committed`.
    pub(crate) fn new(
        ledger: &'a Ledger,
        split: &'a SplitId,
        number: u32,
        committed: Checkpoint,
        stats: &'a SplitStats,
        flush_interval: Duration,
    ) -> Self {
        let (changes, flush_at) = (Changes::default(), Instant::now());
        Self { ledger, split, number, stats, flush_interval, committed, changes, due: None, due_bytes: 0, flush_at, barrier: false }
    }

    /// Commits what a sink found when it was opened, before anything is written.
    pub(crate) async fn baseline(&mut self, receipt: Receipt) -> Result<()> {
        if receipt == self.committed.receipt {
            return Ok(());
        }
        let checkpoint = Checkpoint { receipt, ..self.committed.clone() };
        self.write(checkpoint, Changes::default()).await
    }

    /// Collects what changes with these events: schemas under the source's own names, so this is called before the transforms.
    pub(crate) fn collect(&mut self, events: &[Event], facts: &mut Facts) {
        for event in events {
            if let Body::Schema(change) = &event.body {
                self.changes.schemas.extend(change.tables.iter().cloned());
                self.barrier = true;
            }
        }
        self.changes.facts.append(facts);
    }

    /// A batch of so many bytes is durable. `resume` is its resume position, if it has one.
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

    /// Whether it is time to commit: after the flush interval, after many bytes, and behind every schema change.
    pub(crate) fn is_due(&self) -> bool {
        self.due.is_some() && (self.barrier || self.due_bytes >= COMMIT_BYTES || Instant::now() >= self.flush_at)
    }

    /// Whether there is anything to commit.
    pub(crate) fn is_pending(&self) -> bool {
        self.due.is_some()
    }

    /// Commits all that can be, with what the sink says now.
    pub(crate) async fn commit(&mut self, receipt: Receipt) -> Result<()> {
        match self.due.take() {
            Some(Due { position, changes }) => self.write(Checkpoint { position, receipt, done: false }, changes).await,
            None => Ok(()),
        }
    }

    /// The split was read to its end: commits that together with all that is left.
    pub(crate) async fn finish(&mut self, receipt: Receipt) -> Result<()> {
        let due = self.due.take();
        let due = due.unwrap_or_else(|| Due { position: self.committed.position.clone(), changes: Changes::default() });
        let Due { position, mut changes } = due;
        changes.schemas.append(&mut self.changes.schemas);
        changes.facts.append(&mut self.changes.facts);
        self.write(Checkpoint { position, receipt, done: true }, changes).await
    }

    async fn write(&mut self, checkpoint: Checkpoint, changes: Changes) -> Result<()> {
        let Changes { schemas, facts } = changes;
        let progress = Progress { split: self.split.clone(), number: self.number, checkpoint: checkpoint.clone(), schemas };
        self.ledger.commit(Commit { facts, splits: vec![progress], ..Commit::default() }).await?;
        self.stats.committed(&checkpoint);
        self.committed = checkpoint;
        (self.due_bytes, self.barrier) = (0, false);
        Ok(())
    }
}
