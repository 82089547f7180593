//! Where events come from.

use std::sync::Arc;

use crate::checkpoint::{Committed, State};
use crate::{Batch, Finding, Position, Result, SplitId, TableId, TableSchema, async_trait};

/// A source of events, made of splits that are read independently.
///
/// Building a source parses its configuration; the first method that needs the network connects.
#[async_trait]
pub trait Source: Send + Sync {
    /// The splits still to read. Called at the start, after every failure, and whenever all snapshot splits of the last plan are done;
    /// an empty plan ends the pipeline. Splits of kind `Snapshot` run first, and only when a plan has none the `Stream` splits do; but the
    /// start of every split is durable before any of them is opened. A huge table may hand out its chunks in slices, one plan at a time.
    ///
    /// `pushdown` holds conditions of the transforms that a source may evaluate while it reads a snapshot; it may ignore them.
    async fn plan(&self, committed: &Committed, pushdown: &[RowFilter]) -> Result<Vec<Split>>;

    /// Opens one split of the last plan at its committed position.
    async fn open(&self, split: &Split, committed: &Committed) -> Result<Box<dyn SplitReader>>;

    /// Looks for what would make the task fail: grants, settings, unsupported columns. The default has nothing to look at.
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// As [`Source::check`], for a task that ran before: whether it can go on from its checkpoint. The default has nothing to look at.
    async fn check_resume(&self, committed: &Committed) -> Vec<Finding> {
        let _ = committed;
        Vec::new()
    }

    /// The tables of the snapshot in the order of reading, as the last plan found them: for people who watch. The default tells nothing.
    fn tables(&self) -> Vec<TableProgress> {
        Vec::new()
    }
}

/// How far the snapshot of a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProgress {
    /// The table.
    pub table: TableId,
    /// Rows that it has; an estimate.
    pub estimate: u64,
    /// Rows in its chunks that were read before the last plan; an estimate.
    pub read: u64,
    /// Whether all of it was read.
    pub done: bool,
}

/// Reads one split.
#[async_trait]
pub trait SplitReader: Send {
    /// The next batch in order; `None` when the split is finished. A reader that is behind hands over full batches, one that has caught up
    /// hands over what it has at once, and an idle one waits.
    ///
    /// Cancel-safe: a call that was dropped loses nothing, the next call goes on where it was.
    async fn next(&mut self) -> Result<Option<Batch>>;
}

/// A part of the source that is read in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Stable name.
    pub id: SplitId,
    /// Whether its replay is exact.
    pub kind: SplitKind,
    /// Where it begins, or where the checkpoint says that it goes on.
    pub start: Position,
    /// Table structures valid at `start`, committed with it.
    pub schemas: Vec<Arc<TableSchema>>,
    /// Facts of the source to commit with the start.
    pub state: State,
}

/// Kinds of splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitKind {
    /// Ends. After a failure it is read again from its last position, and rows may differ from the first time.
    Snapshot,
    /// Has no end. A replay gives the same events with the same seq.
    Stream,
}

/// A condition on the rows of a table, in the source's SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFilter {
    /// The table.
    pub table: TableId,
    /// The text of the condition.
    pub condition: String,
}
