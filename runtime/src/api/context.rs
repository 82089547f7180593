//! What a plugin is told about the task and the lane that it serves.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::metrics::Metrics;
use super::notices::Notices;
use super::source::{Renumbered, SourceInfo, SplitKind};
use crate::sync::lock;
use crate::{Committed, Position, Receipt, Result, SplitId, TableSchema};

/// What a plugin is told about the task, and about the lane that it serves. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    task: Arc<TaskContext>,
    lane: Option<Arc<Lane>>,
    evidence: Arc<Receipt>,
    run: Option<u64>,
    tables: Arc<[Arc<TableSchema>]>,
    receipts: Arc<[Receipt]>,
    cancellation: Cancellation,
    committed: CommittedPosition,
    renumbered: Option<Renumbered>,
    for_letters: bool,
}

/// The position of a lane that was committed last. The lane sets it, and its plugins read it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommittedPosition(Arc<Mutex<Option<Position>>>);

impl CommittedPosition {
    pub(crate) fn set(&self, position: Position) {
        *lock(&self.0) = Some(position);
    }
}

/// Asks the transforms of a task for their conditions on a table.
#[derive(Clone)]
pub(crate) struct Pushdown(Arc<AskPushdown>);

type AskPushdown = dyn Fn(&Arc<TableSchema>) -> Result<Vec<String>> + Send + Sync;

impl Pushdown {
    pub(crate) fn new(ask: impl Fn(&Arc<TableSchema>) -> Result<Vec<String>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl fmt::Debug for Pushdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushdown").finish_non_exhaustive()
    }
}

/// What is the same for all lanes of a task.
#[derive(Debug)]
pub(crate) struct TaskContext {
    pub(crate) name: String,
    pub(crate) batch_max_bytes: usize,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) transforms: String,
    pub(crate) pushdown: Pushdown,
    pub(crate) source: SourceInfo,
    pub(crate) metrics: Metrics,
    pub(crate) notices: Notices,
}

/// The lane that a plugin serves. A sink writes it beside what it delivers, so that a later lane can recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Random id of the task, made at its first start and kept until its checkpoint is deleted.
    pub run: u64,
    /// Rises with every start of the process.
    pub epoch: u32,
    /// Number of the split, from 1; the same over restarts, and never that of another split.
    pub number: u32,
    /// The split.
    pub split: SplitId,
    /// Whether a replay of the split is exact.
    pub kind: SplitKind,
}

impl Context {
    pub(crate) fn new(task: TaskContext) -> Self {
        Self {
            task: Arc::new(task),
            lane: None,
            evidence: Arc::default(),
            run: None,
            tables: Arc::default(),
            receipts: Arc::default(),
            cancellation: Cancellation::default(),
            committed: CommittedPosition::default(),
            renumbered: None,
            for_letters: false,
        }
    }

    /// The same task, for a lane that ends when `cancellation` says so. `evidence` is what the sink last said of the whole task, `tables` are
    /// those of the split.
    pub(crate) fn for_lane(&self, lane: Lane, evidence: Arc<Receipt>, tables: Vec<Arc<TableSchema>>, cancellation: Cancellation) -> Self {
        let (run, tables, committed) = (Some(lane.run), tables.into(), CommittedPosition::default());
        Self { run, lane: Some(Arc::new(lane)), evidence, tables, cancellation, committed, ..self.clone() }
    }

    /// The same lane, once its sink is open. The schemas that it started with are not kept any longer.
    #[must_use]
    pub(crate) fn without_tables(self) -> Self {
        Self { tables: Arc::default(), ..self }
    }

    /// The same task or lane, for the sink for dead letters: what the other sink delivered means nothing to it.
    #[must_use]
    pub(crate) fn for_letters(&self) -> Self {
        let (evidence, tables, receipts) = Default::default();
        Self { evidence, tables, receipts, renumbered: None, for_letters: true, ..self.clone() }
    }

    /// The same lane, whose events are numbered anew since a certain seq.
    #[must_use]
    pub(crate) fn with_renumbered(self, renumbered: Option<Renumbered>) -> Self {
        Self { renumbered, ..self }
    }

    /// Where the lane notes what it has committed.
    pub(crate) fn committed(&self) -> &CommittedPosition {
        &self.committed
    }

    /// The same task, for a check of what is committed; `None` if nothing is.
    pub(crate) fn for_check(&self, committed: Option<&Committed>) -> Self {
        let Some(committed) = committed else { return Self { run: Some(0), ..self.clone() } };
        let receipts = committed.splits().map(|(_, split)| split.checkpoint.receipt.clone()).filter(|receipt| !receipt.is_empty());
        Self { run: Some(committed.run()), evidence: committed.evidence().clone(), receipts: receipts.collect(), ..self.clone() }
    }

    /// The task's name.
    pub fn task(&self) -> &str {
        &self.task.name
    }

    /// Whether the sink is the one for dead letters.
    pub fn is_for_letters(&self) -> bool {
        self.for_letters
    }

    /// The lane, where a plugin is called for one: in `Sink::open` and `Source::open`.
    pub fn lane(&self) -> Option<&Lane> {
        self.lane.as_deref()
    }

    /// The position that the lane committed last; `None` before its first commit, and without a lane. A source can remove what it keeps for
    /// the events before this position.
    pub fn committed_position(&self) -> Option<Position> {
        lock(&self.committed.0).clone()
    }

    /// Since when the events of the lane have other numbers than before; `None` if they always had the same ones.
    pub fn renumbered(&self) -> Option<&Renumbered> {
        self.renumbered.as_ref()
    }

    /// The random id of the task, kept until its checkpoint is deleted; 0 if it has no checkpoint yet. In a check, `None` if that is not known.
    pub fn run(&self) -> Option<u64> {
        self.run
    }

    /// What the sink said of the whole task when it was committed last ([`crate::Sink::evidence`]), or earlier; empty if it never did.
    pub fn evidence(&self) -> &Receipt {
        &self.evidence
    }

    /// In `Sink::open`: the tables of a stream at its checkpoint, as the transforms show them. Tables that are created later are not among
    /// them. Empty for a snapshot, and where the source has committed no schemas.
    pub fn tables(&self) -> &[Arc<TableSchema>] {
        &self.tables
    }

    /// The last receipts of all splits, in a check; empty without a checkpoint, or if it cannot be read. The one of a lane is given to
    /// [`crate::Sink::open`].
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// Tells when the lane is to end; never without a lane.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// Where counters, gauges and histograms are registered.
    pub fn metrics(&self) -> &Metrics {
        &self.task.metrics
    }

    /// Where warnings about single tables go that the owner of the task should see.
    pub fn notices(&self) -> &Notices {
        &self.task.notices
    }

    /// A directory for files of this task, if there is one. A plugin makes a subdirectory of its own in it.
    pub fn state_dir(&self) -> Option<&Path> {
        self.task.state_dir.as_deref()
    }

    /// How many bytes of cells a source hands over in one batch, unless a single event is larger.
    pub fn batch_max_bytes(&self) -> usize {
        self.task.batch_max_bytes
    }

    /// The fingerprints of the task's transforms: changes whenever they may give tables, columns or keys other values.
    pub fn transforms(&self) -> &str {
        &self.task.transforms
    }

    /// Conditions in the source's SQL on the rows of a table, all of which are true for the rows that the transforms keep. A source may leave
    /// out the other rows while it reads a snapshot. Fails if a transform cannot work with this schema.
    pub fn pushdown(&self, schema: &Arc<TableSchema>) -> Result<Vec<String>> {
        (self.task.pushdown.0)(schema)
    }

    /// What the source says of itself.
    pub fn source(&self) -> &SourceInfo {
        &self.task.source
    }
}

#[cfg(any(test, feature = "testing"))]
impl Context {
    /// The context of a task without a pipeline, for tests of plugins.
    pub fn testing(task: &str) -> Self {
        let metrics = Metrics::default();
        Self::new(TaskContext {
            name: task.into(),
            batch_max_bytes: 1 << 20,
            state_dir: None,
            transforms: String::new(),
            pushdown: Pushdown::new(|_| Ok(Vec::new())),
            source: SourceInfo::default(),
            notices: Notices::new(&metrics),
            metrics,
        })
    }

    /// The same task, for a lane that is never cancelled.
    #[must_use]
    pub fn with_lane(&self, lane: Lane) -> Self {
        self.for_lane(lane, self.evidence.clone(), self.tables.to_vec(), Cancellation::default())
    }

    /// The same lane, for the sink for dead letters.
    #[must_use]
    pub fn with_letters(&self) -> Self {
        self.for_letters()
    }

    /// The same lane, with these tables.
    #[must_use]
    pub fn with_tables(&self, tables: Vec<Arc<TableSchema>>) -> Self {
        Self { tables: tables.into(), ..self.clone() }
    }

    /// The same lane of a task whose sink has said this of the whole task.
    #[must_use]
    pub fn with_evidence(&self, evidence: Receipt) -> Self {
        Self { evidence: Arc::new(evidence), ..self.clone() }
    }

    /// The same task, for a check that knows these receipts.
    #[must_use]
    pub fn with_receipts(&self, receipts: Vec<Receipt>) -> Self {
        Self { receipts: receipts.into(), ..self.clone() }
    }

    /// The same task, for a check that knows the task's run.
    #[must_use]
    pub fn with_run(&self, run: u64) -> Self {
        Self { run: Some(run), ..self.clone() }
    }

    /// The same lane, with a token that is cancelled by sending `true`.
    #[must_use]
    pub fn with_cancellation(&self, signal: watch::Receiver<bool>) -> Self {
        Self { cancellation: Cancellation::new(signal), ..self.clone() }
    }

    /// A task with these fingerprints of transforms.
    #[must_use]
    pub fn with_transforms(&self, transforms: &str) -> Self {
        let TaskContext { name, batch_max_bytes, state_dir, pushdown, source, metrics, notices, .. } = &*self.task;
        let task = TaskContext {
            name: name.clone(),
            batch_max_bytes: *batch_max_bytes,
            state_dir: state_dir.clone(),
            transforms: transforms.into(),
            pushdown: pushdown.clone(),
            source: source.clone(),
            metrics: metrics.clone(),
            notices: notices.clone(),
        };
        Self { task: Arc::new(task), ..self.clone() }
    }
}

/// Tells when a lane is to end: because the task was stopped or paused, or because another lane failed.
///
/// A plugin may abort waits of its own with a `Retryable` error, as long as it is known what became of everything that it sent; the lane is
/// not opened again then. It must not abort a write that is in flight. A write that ignores the token is awaited. The calls that open a lane
/// need not look at it: they are dropped.
#[derive(Clone, Default)]
pub struct Cancellation(Option<watch::Receiver<bool>>);

impl Cancellation {
    pub(crate) fn new(signal: watch::Receiver<bool>) -> Self {
        Self(Some(signal))
    }

    /// Returns once the lane is to end; never for a default token, nor when the pipeline itself is gone. Cancel-safe.
    pub async fn cancelled(&self) {
        if let Some(mut signal) = self.0.clone()
            && signal.wait_for(|stop| *stop).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// The result of `work`; `None` if the lane is to end before the work is done, which is then dropped.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// Whether the lane is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|signal| *signal.borrow())
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation").field(&self.is_cancelled()).finish()
    }
}
