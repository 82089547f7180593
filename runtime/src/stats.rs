//! What a pipeline tells about itself: plain snapshots, no global recorder.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::source::TableProgress;
use crate::{Batch, Body, Checkpoint, Op, Position, Split, SplitId, SplitKind, TableId};

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
    /// Stopped at a commit, ready to go on.
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

/// A snapshot of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The task's name.
    pub name: String,
    /// What it is doing.
    pub state: RunState,
    /// The last error, while `Retrying` or `Failed`.
    pub error: Option<String>,
    /// The splits of the current plan, and finished ones of this process.
    pub splits: Vec<SplitStatus>,
    /// The tables of the snapshot in the order of reading, if the source tells them.
    pub tables: Vec<TableStatus>,
}

/// A snapshot of a table that is, or was, read as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableStatus {
    /// The table, under the source's name.
    pub table: TableId,
    /// Rows delivered, with those of earlier processes as the source estimates them. Rows of a chunk that is read again count again.
    pub rows: u64,
    /// Rows that it has, as the source estimates them.
    pub estimate: u64,
    /// Whether a lane reads it now.
    pub reading: bool,
    /// Whether all of it is delivered.
    pub done: bool,
}

/// A snapshot of a split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SplitStatus {
    /// The split.
    pub split: SplitId,
    /// Whether it is a part of the snapshot.
    pub snapshot: bool,
    /// Whether it was read to its end.
    pub done: bool,
    /// The last committed position.
    pub position: Option<Position>,
    /// Where the last delivered event is, for people.
    pub place: Option<Position>,
    /// Rows delivered by this process.
    pub rows: u64,
    /// Bytes of cells delivered by this process.
    pub bytes: u64,
    /// Age of the newest delivered change when it was durable; 0 after a heartbeat of a source that has nothing new.
    pub lag_ms: u64,
    /// How often its lane was opened.
    pub opened: u32,
}

/// Counters of one split, added to once a batch.
pub(crate) struct SplitStats {
    snapshot: bool,
    rows: AtomicU64,
    bytes: AtomicU64,
    lag_ms: AtomicI64,
    pub(crate) opened: AtomicU32,
    marks: Mutex<Marks>,
    progress: Arc<Mutex<Instant>>,
    tables: Arc<Tables>,
    /// The table that the lane reads, once its first batch is there.
    table: Mutex<Option<Arc<TableCount>>>,
}

type Tables = Mutex<Vec<(TableProgress, Arc<TableCount>)>>;

/// What this process did for a table.
#[derive(Default)]
pub(crate) struct TableCount {
    rows: AtomicU64,
    lanes: AtomicU32,
}

/// A lane that reads; dropped when it has ended.
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
    place: Option<Position>,
    done: bool,
}

impl SplitStats {
    /// A lane begins.
    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading(self)
    }

    /// The table whose existing rows are in `batch`, under the source's name: to be asked before the transforms.
    pub(crate) fn table(&self, batch: &Batch) -> Option<Arc<TableCount>> {
        let mut current = lock(&self.table);
        if self.snapshot
            && current.is_none()
            && let Some(Body::Row(row)) = batch.events.first().map(|event| &event.body)
            && row.op == Op::Read
        {
            let tables = lock(&self.tables);
            let (_, table) = tables.iter().find(|(known, _)| known.table == row.schema.id)?;
            table.lanes.fetch_add(1, Relaxed);
            *current = Some(table.clone());
        }
        current.clone()
    }

    pub(crate) fn delivered(&self, batch: &Batch, table: Option<Arc<TableCount>>) {
        let rows = batch.row_count() as u64;
        self.rows.fetch_add(rows, Relaxed);
        if let Some(table) = table {
            table.rows.fetch_add(rows, Relaxed);
        }
        self.bytes.fetch_add(batch.size() as u64, Relaxed);
        match batch.events.last() {
            Some(event) => {
                self.lag_ms.store((now_ms() - event.timestamp_ms).max(0), Relaxed);
                lock(&self.marks).place = Some(event.place());
            }
            None if batch.resume.is_some() => self.lag_ms.store(0, Relaxed),
            None => {}
        }
    }

    pub(crate) fn committed(&self, checkpoint: &Checkpoint) {
        let mut marks = lock(&self.marks);
        marks.position = Some(checkpoint.position.clone());
        marks.done = checkpoint.done;
        *lock(&self.progress) = Instant::now();
    }
}

/// The counters of a pipeline.
pub(crate) struct Stats {
    splits: Mutex<BTreeMap<SplitId, Arc<SplitStats>>>,
    progress: Arc<Mutex<Instant>>,
    tables: Arc<Tables>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self { splits: Mutex::default(), progress: Arc::new(Mutex::new(Instant::now())), tables: Arc::default() }
    }

    /// What the source tells of its tables after a plan. What it says was read counts once: rows of this process are counted here.
    pub(crate) fn planned(&self, told: Vec<TableProgress>) {
        let mut tables = lock(&self.tables);
        for told in told {
            match tables.iter_mut().find(|(known, _)| known.table == told.table) {
                Some((known, _)) => (known.estimate, known.done) = (told.estimate, told.done),
                None => tables.push((told, Arc::default())),
            }
        }
    }

    pub(crate) fn tables(&self) -> Vec<TableStatus> {
        let status = |(told, count): &(TableProgress, Arc<TableCount>)| TableStatus {
            table: told.table.clone(),
            rows: told.read + count.rows.load(Relaxed),
            estimate: told.estimate,
            reading: count.lanes.load(Relaxed) > 0,
            done: told.done,
        };
        lock(&self.tables).iter().map(status).collect()
    }

    pub(crate) fn split(&self, split: &Split) -> Arc<SplitStats> {
        let stats = || SplitStats {
            snapshot: split.kind == SplitKind::Snapshot,
            rows: AtomicU64::default(),
            bytes: AtomicU64::default(),
            lag_ms: AtomicI64::default(),
            opened: AtomicU32::default(),
            marks: Mutex::default(),
            progress: self.progress.clone(),
            tables: self.tables.clone(),
            table: Mutex::default(),
        };
        lock(&self.splits).entry(split.id.clone()).or_insert_with(|| Arc::new(stats())).clone()
    }

    /// When anything was committed last; at first, when the pipeline was made.
    pub(crate) fn last_progress(&self) -> Instant {
        *lock(&self.progress)
    }

    pub(crate) fn splits(&self) -> Vec<SplitStatus> {
        let status = |(split, stats): (&SplitId, &Arc<SplitStats>)| {
            let marks = lock(&stats.marks);
            SplitStatus {
                split: split.clone(),
                snapshot: stats.snapshot,
                done: marks.done,
                position: marks.position.clone(),
                place: marks.place.clone(),
                rows: stats.rows.load(Relaxed),
                bytes: stats.bytes.load(Relaxed),
                lag_ms: stats.lag_ms.load(Relaxed).unsigned_abs(),
                opened: stats.opened.load(Relaxed),
            }
        };
        lock(&self.splits).iter().map(status).collect()
    }
}

/// A poisoned lock only means that some thread panicked between two plain stores; the values are still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
