//! Where events come from.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::checkpoint::{Committed, SchemaChanges};
use crate::{Batch, Context, Error, Event, Facts, Finding, Position, Result, Seq, SplitId, TableId, TableSchema, async_trait};

/// A source of events, made of splits that are read independently.
///
/// Building a source parses its configuration; the first method that needs the network connects.
#[async_trait]
pub trait Source: Send + Sync {
    /// What the source says of itself.
    fn info(&self) -> SourceInfo {
        SourceInfo::default()
    }

    /// What is to be read next. Called at the start, after every failure, and when all splits of the last plan have ended. The task state and
    /// the start of every new split are durable before any split of the plan is opened.
    ///
    /// A plan is small: a source hands out a large snapshot in slices, one plan at a time, and lets splits that are done be forgotten, so
    /// that neither a plan nor the checkpoint grows with what was read.
    ///
    /// A call may be dropped at any await, because the task is stopped or paused. A later call then plans as if it had never been made.
    async fn plan(&self, context: &Context, committed: &Committed) -> Result<Plan>;

    /// Opens one split of the last plan at its committed position, for the lane of `context`.
    ///
    /// A call may be dropped at any await, because the lane is to end. The split can be opened again after that.
    async fn open(&self, context: &Context, split: &Split, committed: &Committed) -> Result<Box<dyn SplitReader>>;

    /// Since when the events of a split have other numbers than before; `None`, as by default, if a replay has always given the same ones.
    /// Called for each lane before its sink is opened, which is told the answer ([`Context::renumbered`]).
    ///
    /// A call may be dropped at any await, as one of `open`.
    async fn renumbered(&self, context: &Context, split: &Split) -> Result<Option<Renumbered>> {
        let _ = (context, split);
        Ok(None)
    }

    /// A committed position of a stream in the form in which people see places of the source, as in [`Event::position`]. By default its own text.
    fn location(&self, position: &Position) -> Position {
        position.clone()
    }

    /// Looks for what would make the task fail: grants, settings, unsupported columns; with `committed`, also whether a task that ran before
    /// can continue from there. The default checks nothing.
    async fn check(&self, context: &Context, committed: Option<&Committed>) -> Vec<Finding> {
        let _ = (context, committed);
        Vec::new()
    }

    /// The schemas that the selected tables have now, for a check of the transforms; by default empty, and then they are checked only against
    /// the tables of the first plan ([`Plan::schemas`]).
    async fn tables(&self, context: &Context) -> Result<Vec<Arc<TableSchema>>> {
        let _ = context;
        Ok(Vec::new())
    }

    /// The first rows of a table as a snapshot would read them, at most `limit`, without a checkpoint and without leaving a trace. For people who
    /// want to see what a configuration makes of them. By default no source can.
    async fn preview(&self, context: &Context, table: &TableId, limit: usize) -> Result<Vec<Event>> {
        let _ = (context, limit);
        Err(Error::config("this source cannot show rows").of_table(table))
    }

    /// Plays the input of a test, without a server. For tests of configurations. By default no source can.
    fn rehearse(&self, input: &[TestInput]) -> Result<Played> {
        let _ = input;
        Err(Error::config("this source cannot play the input of tests"))
    }

    /// Reads the schema of a table again, for a task that has stopped because what it knows of the table is wrong. Fails unless the schema is
    /// known to hold where the splits are. The caller commits what is returned. The default can read no schema again.
    async fn refetch_schema(&self, context: &Context, committed: &Committed, table: &TableId) -> Result<Refetched> {
        let _ = (context, committed);
        Err(Error::config("this source cannot read the schema of a table again").of_table(table))
    }

    /// Has the rows of a table read again when the task starts next, while everything else is delivered as before. Returns the changes of the task's
    /// facts that say so. The caller commits them. The default can read no rows again.
    async fn resnapshot(&self, context: &Context, committed: &Committed, what: &Resnapshot) -> Result<Facts> {
        let _ = (context, committed);
        Err(Error::config("this source cannot read the rows of a table again").of_table(&what.table))
    }
}

/// Which rows of a table are to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resnapshot {
    /// The table.
    pub table: TableId,
    /// A condition in the source's language that the rows meet; all rows without one.
    pub condition: Option<String>,
}

impl Resnapshot {
    /// All rows of a table.
    pub fn new(table: TableId) -> Self {
        Self { table, condition: None }
    }

    /// Only the rows that meet the condition.
    #[must_use]
    pub fn with_condition(self, condition: Option<String>) -> Self {
        Self { condition, ..self }
    }
}

/// What happens in the source in a test of a configuration.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TestInput {
    /// Statements in the source's SQL, separated by semicolons.
    Statements(String),
    /// A row is inserted, updated or deleted, given by its columns. A column that is not named is NULL.
    Row {
        /// The table, which a statement has created.
        table: TableId,
        /// The row before: of an update or a deletion.
        before: Option<Map<String, Json>>,
        /// The row after: of an insertion or an update.
        after: Option<Map<String, Json>>,
    },
}

/// What the input of a test amounts to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Played {
    /// The events that a stream would have.
    pub events: Vec<Event>,
    /// The tables that the input has changed and the settings do not select, so that there are no events of them.
    pub not_selected: Vec<TableId>,
}

/// The schema of a table that was read again.
#[derive(Clone, Debug, PartialEq)]
pub struct Refetched {
    /// The splits in which the schema replaces the known one, each with its version there.
    pub schemas: Vec<(SplitId, Arc<TableSchema>)>,
    /// Changes of the task's facts that belong to it.
    pub facts: Facts,
    /// Why the schema holds where the splits are, for people.
    pub proof: String,
}

/// What a source says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceInfo {
    /// How many splits of a snapshot are read at once.
    pub parallelism: usize,
    /// Whether it sends heartbeats; `None` if that is not known.
    pub heartbeats: Option<bool>,
}

impl Default for SourceInfo {
    fn default() -> Self {
        Self { parallelism: 4, heartbeats: None }
    }
}

impl SourceInfo {
    /// Reads so many splits of a snapshot at once.
    #[must_use]
    pub fn with_parallelism(mut self, splits: usize) -> Self {
        self.parallelism = splits;
        self
    }

    /// Sends heartbeats, or does not.
    #[must_use]
    pub fn with_heartbeats(mut self, sent: bool) -> Self {
        self.heartbeats = Some(sent);
        self
    }
}

/// What is to be read next, and what is to be remembered before that.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// How the splits are run.
    pub phase: Phase,
    /// The splits to read now.
    pub splits: Vec<Split>,
    /// Changes of the task's facts.
    pub facts: Facts,
    /// Changes of the task's schemas, which are those of the moment when it began.
    pub schemas: SchemaChanges,
    /// Splits that are done and not needed any more.
    pub forget: Vec<SplitId>,
    /// Committed splits that continue at another position than the committed one, which stands for the same place in the source. What the
    /// sink has said of them stays.
    pub moved: Vec<(SplitId, Position)>,
    /// Progress of the tables of the snapshot, for people: all of them in a plan of a new process, later those that changed.
    pub tables: Vec<TableProgress>,
}

impl Plan {
    /// A plan without splits and changes.
    pub fn new(phase: Phase) -> Self {
        Self {
            phase,
            splits: Vec::new(),
            facts: Facts::new(),
            schemas: Vec::new(),
            forget: Vec::new(),
            moved: Vec::new(),
            tables: Vec::new(),
        }
    }
}

/// Since when the events of a stream have other numbers than before, because the source reads them from another place now: a database that
/// took over from another one, with other positions of the same transactions.
///
/// What was delivered under earlier numbers cannot be compared by its seq. It is compared by its transaction and its number within that
/// ([`Seq::in_transaction`]), which stay the same.
#[derive(Clone)]
pub struct Renumbered {
    /// The smallest of the present numbers. All earlier numbers are smaller.
    pub since: Seq,
    is_ahead: Arc<IsAhead>,
}

type IsAhead = dyn Fn(&str) -> Result<bool> + Send + Sync;

impl Renumbered {
    /// `is_ahead` tells of a transaction that was delivered under an earlier number, by its id, whether it is read once more, under a present
    /// number. It fails if the source does not have the transaction.
    pub fn new(since: Seq, is_ahead: impl Fn(&str) -> Result<bool> + Send + Sync + 'static) -> Self {
        Self { since, is_ahead: Arc::new(is_ahead) }
    }

    /// Whether a transaction that was delivered, or a part of it, is read once more. Fails if the source does not have it.
    pub fn is_ahead(&self, transaction: &str) -> Result<bool> {
        (self.is_ahead)(transaction)
    }
}

impl fmt::Debug for Renumbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renumbered").field("since", &self.since).finish_non_exhaustive()
    }
}

/// How the splits of a plan are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// At most [`SourceInfo::parallelism`] at once; planned again when all have ended.
    Snapshot,
    /// All at once. When one ends, the others are stopped and the source plans again.
    Stream,
    /// Nothing is left to read: the pipeline ends.
    Done,
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
    /// Cancel-safe: a call that was dropped loses nothing, the next call continues where it was.
    async fn next(&mut self) -> Result<Option<Batch>>;
}

/// A part of the source that is read in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Stable name.
    pub id: SplitId,
    /// Whether its replay is exact.
    pub kind: SplitKind,
    /// Where it begins, or where the checkpoint says that it continues.
    pub start: Position,
}

/// Kinds of splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitKind {
    /// Ends. After a failure it is read again from its last position, and rows may differ from the first time.
    Snapshot,
    /// Has no end. A replay gives the same events with the same seq.
    Stream,
}
