//! The status of a pipeline: snapshots and metrics as plain values, without a global recorder.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::seams::Seam;
use crate::sync::lock;
use crate::{
    Batch, Body, Checkpoint, Context, Counter, Gauge, Metrics, Notice, Op, Position, Seq, Split, SplitId, SplitKind, TableId, TableProgress,
};

/// A stream that had nothing to deliver for this long works again after a failure. It is longer than sources take to notice that they are
/// not served.
const IDLE: Duration = Duration::from_secs(60);

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// Loading the checkpoint and planning.
    Starting,
    /// Reading existing rows.
    Snapshot,
    /// Following changes.
    Streaming,
    /// Stopped after a commit, and ready to continue.
    Paused,
    /// Waiting before the lanes are opened again after a failure.
    Retrying,
    /// Ended by `stop`.
    Stopped,
    /// Ended because nothing is left to read.
    Finished,
    /// Ended by an error.
    Failed,
}

impl RunState {
    /// Whether the pipeline has ended.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Finished | Self::Failed)
    }
}

/// A snapshot of a pipeline's status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The task's name.
    pub name: String,
    /// What the pipeline is doing.
    pub state: RunState,
    /// The last error, while the state is `Retrying` or `Failed`; otherwise `None`.
    pub error: Option<String>,
    /// Rows delivered by this process.
    pub rows: u64,
    /// Bytes of cells delivered by this process.
    pub bytes: u64,
    /// Rows that this process did not deliver because they cannot be carried: skipped, or written as dead letters.
    #[serde(default)]
    pub rejected: u64,
    /// The splits that this process opened, without the snapshot splits that are done.
    pub splits: Vec<SplitStatus>,
    /// The tables of the snapshot in the order in which they are read; empty if the source does not report them.
    pub tables: Vec<TableStatus>,
    /// What plugins have said of single tables since the start of this process, the newest last ([`crate::Notices`]).
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// Where the task last continued with other transforms than before, if it ever did; also in earlier processes.
    #[serde(default)]
    pub seam: Option<Seam>,
    /// Counters and gauges of the runtime and the plugins, by name.
    pub metrics: BTreeMap<String, i64>,
}

/// The progress of a table in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableStatus {
    /// The table, under its name in the source.
    pub table: TableId,
    /// The number of delivered rows. For earlier processes it is the source's estimate. Rows of a chunk that is read again are counted
    /// again.
    pub rows: u64,
    /// The number of rows in the table, as the source estimates it.
    pub estimate: u64,
    /// Whether a lane is reading the table now.
    pub reading: bool,
    /// Whether the whole table is delivered.
    pub done: bool,
}

/// The status of a split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SplitStatus {
    /// The split.
    pub split: SplitId,
    /// Whether the split is a part of the snapshot.
    pub snapshot: bool,
    /// Whether the split was read to its end.
    pub done: bool,
    /// The last committed position.
    pub position: Option<Position>,
    /// The position of the last delivered event in the source, in a form for display.
    pub location: Option<Position>,
    /// Rows delivered by this process.
    pub rows: u64,
    /// Bytes of cells delivered by this process.
    pub bytes: u64,
    /// Rows that this process skipped or wrote as dead letters.
    #[serde(default)]
    pub rejected: u64,
    /// How far the split was behind its source when a batch was last delivered, in milliseconds: the age of the last event that was read
    /// before, also of one that is not delivered. 0 if the source had nothing more.
    pub lag_ms: u64,
    /// How often a lane for the split was opened.
    pub opened: u32,
}

/// Counters of one split, updated once per batch.
pub(crate) struct SplitStats {
    snapshot: bool,
    rows: AtomicU64,
    bytes: AtomicU64,
    rejected: AtomicU64,
    lag_ms: AtomicI64,
    opened: AtomicU32,
    marks: Mutex<Marks>,
    /// The table that the lane reads; `None` before its first batch.
    table: Mutex<Option<Arc<TableCount>>>,
    shared: Arc<SharedStats>,
}

/// The counters that all splits share.
struct SharedStats {
    /// Increases whenever a lane gets further than any lane before it.
    progress: AtomicU64,
    tables: Mutex<Tables>,
    rows: Counter,
    bytes: Counter,
    rejected: Counter,
    commits: Counter,
    lag_ms: Gauge,
}

/// The tables of the snapshot in the order in which they are read.
#[derive(Default)]
struct Tables {
    list: Vec<(TableProgress, Arc<TableCount>)>,
    places: HashMap<TableId, usize>,
}

/// What this process has delivered of a table, and how many lanes are reading it.
#[derive(Default)]
pub(crate) struct TableCount {
    rows: AtomicU64,
    lanes: AtomicU32,
}

/// What is counted of a batch once it is delivered.
pub(crate) struct Read {
    table: Option<Arc<TableCount>>,
    last: Seq,
    source_ms: Option<i64>,
    tables: Vec<TableProgress>,
}

/// A guard that exists while a lane reads a split.
pub(crate) struct Reading<'a>(&'a SplitStats);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(table) = lock(&self.0.table).take() {
            table.lanes.fetch_sub(1, Relaxed);
        }
    }
}

#[derive(Default)]
struct Marks {
    position: Option<Position>,
    location: Option<Position>,
    /// The last event that any lane of the split has delivered.
    delivered: Seq,
    /// The rejected events behind `delivered` that were counted. A lane that is opened again rejects them again.
    rejected: BTreeSet<Seq>,
    done: bool,
}

impl SplitStats {
    /// Marks that a lane reads the split, until the returned guard is dropped.
    pub(crate) fn reading(&self) -> Reading<'_> {
        self.opened.fetch_add(1, Relaxed);
        Reading(self)
    }

    /// What is counted of a batch once it is delivered. Must be called before the transforms, which may rename tables and drop events.
    pub(crate) fn read(&self, batch: &Batch) -> Read {
        let source_ms = batch.source_ms.or_else(|| batch.events.last().map(|event| event.timestamp_ms));
        Read { table: self.table(batch), last: batch.last_seq().unwrap_or_default(), source_ms, tables: batch.tables.clone() }
    }

    /// The table whose existing rows are in `batch`.
    fn table(&self, batch: &Batch) -> Option<Arc<TableCount>> {
        if !self.snapshot {
            return None;
        }
        let mut current = lock(&self.table);
        if current.is_none()
            && let Some(Body::Row(row)) = batch.events.first().map(|event| &event.body)
            && row.op == Op::Read
        {
            let table = lock(&self.shared.tables).count(&row.schema.id)?;
            table.lanes.fetch_add(1, Relaxed);
            *current = Some(table);
        }
        current.clone()
    }

    /// Records that the sink has acknowledged a batch. `read` was made of it before the transforms.
    pub(crate) fn delivered(&self, batch: &Batch, read: Read) {
        let (rows, bytes) = (batch.row_count() as u64, batch.size() as u64);
        self.rows.fetch_add(rows, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.shared.rows.add(rows);
        self.shared.bytes.add(bytes);
        let Read { table, last, source_ms, tables } = read;
        if !tables.is_empty() {
            lock(&self.shared.tables).report(tables);
        }
        if let Some(table) = table {
            table.rows.fetch_add(rows, Relaxed);
        }
        // Events that are delivered again after a failure are no progress. A heartbeat is: it has no place of its own among the events.
        let is_heartbeat = batch.events.last().is_some_and(|event| matches!(event.body, Body::Heartbeat));
        let mut marks = lock(&self.marks);
        if last > marks.delivered || is_heartbeat {
            marks.delivered = marks.delivered.max(last);
            marks.rejected.clear();
            self.shared.progress.fetch_add(1, Relaxed);
        }
        if let Some(event) = batch.events.last() {
            marks.location = Some(event.location());
        }
        let Some(source_ms) = source_ms else { return };
        let lag_ms = (now_ms() - source_ms).max(0);
        self.lag_ms.store(lag_ms, Relaxed);
        if !self.snapshot {
            self.shared.lag_ms.set(lag_ms);
        }
    }

    /// Counts an event that is about to be skipped or written as a dead letter, unless that was done before. Returns how many rows all lanes
    /// have rejected and delivered.
    pub(crate) fn rejected(&self, seq: Seq) -> (u64, u64) {
        let mut marks = lock(&self.marks);
        if seq > marks.delivered && marks.rejected.insert(seq) {
            self.rejected.fetch_add(1, Relaxed);
            self.shared.rejected.add(1);
        }
        (self.shared.rejected.get(), self.shared.rows.get())
    }

    pub(crate) fn committed(&self, checkpoint: &Checkpoint) {
        let mut marks = lock(&self.marks);
        let position = marks.position.replace(checkpoint.position.clone());
        marks.done = checkpoint.done;
        self.shared.commits.add(1);
        // A commit of the receipt alone is made whenever a sink is opened, so it is no progress.
        if checkpoint.done || position != marks.position {
            self.shared.progress.fetch_add(1, Relaxed);
        }
    }

    /// Records that the lane has had nothing to deliver for this long. A stream that was idle for a while works again after a failure.
    /// A lane of the snapshot always has something to deliver, so its wait proves nothing.
    pub(crate) fn idle(&self, time: Duration) {
        if !self.snapshot && time >= IDLE {
            self.shared.progress.fetch_add(1, Relaxed);
        }
    }
}

impl Tables {
    /// Takes progress that counts the rows of all processes.
    fn report(&mut self, reported: Vec<TableProgress>) {
        for reported in reported {
            match self.places.get(&reported.table).and_then(|place| self.list.get_mut(*place)) {
                Some((known, _)) => *known = reported,
                None => self.add(reported),
            }
        }
    }

    fn add(&mut self, reported: TableProgress) {
        self.places.insert(reported.table.clone(), self.list.len());
        self.list.push((reported, Arc::default()));
    }

    fn count(&self, table: &TableId) -> Option<Arc<TableCount>> {
        self.list.get(*self.places.get(table)?).map(|(_, count)| count.clone())
    }
}

/// The counters of a pipeline.
pub(crate) struct Stats {
    splits: Mutex<BTreeMap<SplitId, Arc<SplitStats>>>,
    shared: Arc<SharedStats>,
    metrics: Metrics,
}

impl Stats {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let shared = SharedStats {
            progress: AtomicU64::default(),
            tables: Mutex::default(),
            rows: metrics.counter("rows", "Rows delivered."),
            bytes: metrics.counter("bytes", "Bytes of cells delivered."),
            rejected: metrics.counter("rejected", "Rows that were skipped or written as dead letters."),
            commits: metrics.counter("commits", "Checkpoints committed by lanes."),
            lag_ms: metrics.gauge("lag_ms", "How far a stream was behind its source at its last delivery, in milliseconds."),
        };
        Self { splits: Mutex::default(), shared: Arc::new(shared), metrics }
    }

    /// Records the table progress that a plan reports. The rows of earlier processes are taken only from the first report, because this
    /// process counts its own rows. Snapshot splits that are done are omitted from the status from now on.
    pub(crate) fn planned(&self, reported: Vec<TableProgress>) {
        lock(&self.splits).retain(|_, stats| !(stats.snapshot && lock(&stats.marks).done));
        let mut tables = lock(&self.shared.tables);
        for reported in reported {
            match tables.places.get(&reported.table).copied() {
                Some(place) => {
                    if let Some((known, _)) = tables.list.get_mut(place) {
                        (known.estimate, known.done) = (reported.estimate, reported.done);
                    }
                }
                None => tables.add(reported),
            }
        }
    }

    pub(crate) fn split(&self, split: &Split) -> Arc<SplitStats> {
        let stats = || SplitStats {
            snapshot: split.kind == SplitKind::Snapshot,
            rows: AtomicU64::default(),
            bytes: AtomicU64::default(),
            rejected: AtomicU64::default(),
            lag_ms: AtomicI64::default(),
            opened: AtomicU32::default(),
            marks: Mutex::default(),
            table: Mutex::default(),
            shared: self.shared.clone(),
        };
        lock(&self.splits).entry(split.id.clone()).or_insert_with(|| Arc::new(stats())).clone()
    }

    /// A number that increases whenever a lane delivers an event for the first time, commits a new position, or was idle for a while.
    pub(crate) fn progress(&self) -> u64 {
        self.shared.progress.load(Relaxed)
    }

    /// The current status of the pipeline.
    pub(crate) fn status(&self, context: &Context, state: RunState, error: Option<String>, seam: Option<Seam>) -> Status {
        let splits = lock(&self.splits).iter().map(|(split, stats)| split_status(split, stats)).collect();
        let tables = lock(&self.shared.tables).list.iter().map(table_status).collect();
        let (rows, bytes, rejected) = (self.shared.rows.get(), self.shared.bytes.get(), self.shared.rejected.get());
        let (name, notices) = (context.task().to_owned(), context.notices().list());
        Status { name, state, error, rows, bytes, rejected, splits, tables, notices, seam, metrics: self.metrics.values() }
    }
}

fn split_status(split: &SplitId, stats: &SplitStats) -> SplitStatus {
    let marks = lock(&stats.marks);
    SplitStatus {
        split: split.clone(),
        snapshot: stats.snapshot,
        done: marks.done,
        position: marks.position.clone(),
        location: marks.location.clone(),
        rows: stats.rows.load(Relaxed),
        bytes: stats.bytes.load(Relaxed),
        rejected: stats.rejected.load(Relaxed),
        lag_ms: stats.lag_ms.load(Relaxed).unsigned_abs(),
        opened: stats.opened.load(Relaxed),
    }
}

fn table_status((progress, count): &(TableProgress, Arc<TableCount>)) -> TableStatus {
    TableStatus {
        table: progress.table.clone(),
        rows: progress.read + count.rows.load(Relaxed),
        estimate: progress.estimate,
        reading: count.lanes.load(Relaxed) > 0,
        done: progress.done,
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
