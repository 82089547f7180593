//! A lane moves the events of one split from the source to the sink, without losing any:
//!
//! ```text
//! SplitReader::next ──channel of 2 batches──▶ Transform::apply* ─▶ Sink::write ─▶ commit
//!   own task, may be cancelled                 never cancelled, awaited to the end
//! ```
//!
//! While a commit is written, the next batches are delivered.
//!
//! Events that cannot be carried leave this line behind the transforms or the write, and are dealt with before anything behind them is
//! written (`rejections`).
//!
//! Any failure ends the whole lane. The supervisor then opens a new lane at the last checkpoint. There is no other recovery.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::budget::{Budget, Share};
use super::commits::Commits;
use super::ledger::Said;
use super::linger::Linger;
use super::rejections::Rejections;
use super::shape::transformed;
use super::stats::SplitStats;
use super::task::Task;
use crate::{
    Batch, Body, Cancellation, Cause, Committed, Error, Event, Lane, Receipt, Result, Seq, Sink, Split, SplitKind, SplitReader, Transform,
};

/// The number of batches in the channel between the reader and the writer. Including one batch that is being read and one that is being
/// written, a lane holds at most four batches. It holds fewer if the memory budget of all lanes is used up.
const CHANNEL_BATCHES: usize = 2;

/// How a lane ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The split was read to its end.
    Finished,
    /// The stop signal ended the reader. Everything that was read was delivered, and is committed up to the last resume position.
    Stopped,
}

/// Runs one split until it ends, fails, or `stop` becomes true. When this function returns, no task of the lane is running any more.
pub(crate) async fn run(
    task: Arc<Task>,
    split: Split,
    committed: Arc<Committed>,
    stats: Arc<SplitStats>,
    stop: watch::Receiver<bool>,
) -> Result<Ended> {
    let id = split.id.clone();
    run_split(task, split, committed, stats, stop).await.map_err(|error| error.in_split(&id))
}

async fn run_split(
    task: Arc<Task>,
    mut split: Split,
    committed: Arc<Committed>,
    stats: Arc<SplitStats>,
    stop: watch::Receiver<bool>,
) -> Result<Ended> {
    // Invariant: the supervisor commits the start of every split before it runs one.
    let known = committed.split(&split.id).ok_or_else(|| Error::fatal("the start of the split was not committed"))?;
    let (number, last) = (known.number, known.checkpoint.clone());
    split.start = last.position.clone();
    let _reading = stats.reading();
    let lane = Lane { run: committed.run(), epoch: committed.epoch(), number, split: split.id.clone(), kind: split.kind };
    let cancellation = Cancellation::new(stop.clone());
    let mut transforms = task.transforms()?;
    let tables = match split.kind {
        SplitKind::Stream => transformed(&mut transforms, committed.split_schemas(&split.id))?,
        SplitKind::Snapshot => Vec::new(),
    };
    let know_tables = split.kind == SplitKind::Stream;
    let context = task.context.for_lane(lane, committed.evidence().clone(), tables, cancellation.clone());

    let asked = cancellation.unless_cancelled(task.source.renumbered(&context, &split)).await;
    let Some(renumbered) = asked else { return Ok(Ended::Stopped) };
    let context = context.with_renumbered(renumbered.map_err(|error| error.while_doing("opening the split"))?);

    let mut sink = (task.sink)()?;
    // Before anything is written, both `open`s are dropped when the lane is to end.
    let opened = cancellation.unless_cancelled(sink.open(&context, &last.receipt)).await;
    let Some(opened) = opened else { return Ok(Ended::Stopped) };
    opened.map_err(|error| error.while_doing("opening the sink"))?;
    let letters = match task.dead_letters.as_ref().map(|make| make()).transpose()? {
        None => None,
        Some(mut letters) => {
            let opened = cancellation.unless_cancelled(letters.open(&context.for_letters(), &Receipt::default())).await;
            let Some(opened) = opened else { return Ok(Ended::Stopped) };
            opened.map_err(|error| error.while_doing("opening the sink for dead letters"))?;
            Some(letters)
        }
    };
    let rejections = Rejections::new(&task.rules, letters, context.for_letters(), &stats);
    task.seams.accepted(&task.ledger).await?;
    let context = context.without_tables();
    // A batch of a snapshot is what a query returned, and nothing comes by itself that could join it.
    let linger = Linger::new(if split.kind == SplitKind::Stream { sink.linger() } else { Duration::ZERO });
    let (ledger, position) = (task.ledger.clone(), context.committed().clone());
    let mut commits = Commits::new(ledger, split.id.clone(), number, last, stats.clone(), task.flush_interval, position);
    commits.baseline(task.ledger.ask(&*sink)).await?;
    let mut writer =
        Writer { task: &task, split: &split, transforms, know_tables, sink, rejections, commits, stats: &stats, last_seq: Seq(0) };

    let opened = cancellation.unless_cancelled(task.source.open(&context, &split, &committed)).await;
    let Some(opened) = opened else { return Ok(Ended::Stopped) };
    let reader = opened.map_err(|error| error.while_doing("opening the split"))?;
    // `committed` is dropped before the lane runs. While it is still shared, a commit would copy the whole state.
    drop(committed);
    let (sender, receiver) = mpsc::channel(CHANNEL_BATCHES);
    let reading = tokio::spawn(read(reader, linger, sender, task.budget.clone(), stop));
    // `drain` owns the receiver. When it returns, even with an error, the channel is closed, so the reader ends.
    let drained = writer.drain(receiver).await;
    // Invariant: when the lane ends, even with an error, none of its commits is being written.
    let written = writer.commits.written().await;
    let read = match reading.await {
        Ok(read) => read.map_err(|error| error.while_doing("reading the split")),
        Err(panic) => Err(Error::retryable("the reader of the split panicked").because(panic).with_code("E_PANIC")),
    };
    drained.and(written)?;
    // If the split was read to its end, one commit marks it as done. Otherwise everything that was delivered is committed, even if the
    // reader failed.
    match &read {
        Ok(Ended::Finished) => writer.commits.finish(writer.ask_sink()).await?,
        Ok(Ended::Stopped) | Err(_) => writer.commit().await?,
    }
    let ended = read?;
    writer.sink.close().await.map_err(|error| error.while_doing("closing the sink"))?;
    writer.rejections.close().await?;
    Ok(ended)
}

async fn read(
    mut reader: Box<dyn SplitReader>,
    mut linger: Linger,
    batches: mpsc::Sender<(Batch, Share)>,
    budget: Budget,
    mut stop: watch::Receiver<bool>,
) -> Result<Ended> {
    loop {
        let batch = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(Ended::Stopped),
            () = batches.closed() => return Ok(Ended::Stopped),
            batch = async { linger.wait().await; reader.next().await } => batch?,
        };
        let Some(batch) = batch else { return Ok(Ended::Finished) };
        linger.read(&batch);
        // The share is held until the batch is delivered. A lane that waits here waits only for lanes that are delivering, so there is no
        // deadlock.
        let share = budget.take(batch.size()).await;
        if batches.send((batch, share)).await.is_err() {
            return Ok(Ended::Stopped);
        }
    }
}

/// The half of a lane that delivers and commits.
struct Writer<'a> {
    task: &'a Task,
    split: &'a Split,
    transforms: Vec<Box<dyn Transform>>,
    /// Whether the transforms have seen the tables as they were at the start of the lane.
    know_tables: bool,
    sink: Box<dyn Sink>,
    rejections: Rejections<'a>,
    commits: Commits,
    stats: &'a SplitStats,
    last_seq: Seq,
}

impl Writer<'_> {
    /// Delivers the batches that the reader sends, and commits when a commit is due, until the reader has ended. A commit may then still be
    /// being written.
    async fn drain(&mut self, mut batches: mpsc::Receiver<(Batch, Share)>) -> Result<()> {
        let mut idle_since = Instant::now();
        loop {
            let (is_writing, deadline) = (self.commits.is_writing(), self.commits.deadline());
            let received = tokio::select! {
                biased;
                written = self.commits.written(), if is_writing => {
                    written?;
                    None
                }
                received = timeout_at(deadline, batches.recv()) => received.ok(),
            };
            self.stats.idle(idle_since.elapsed());
            match received {
                Some(Some((batch, _share))) => {
                    let has_events = !batch.events.is_empty();
                    if let Err(error) = self.deliver(batch).await {
                        // The batches that were acknowledged before are still committed. If this commit fails too, the error of the
                        // delivery is returned.
                        let _ = self.commit().await;
                        return Err(error);
                    }
                    if has_events {
                        if self.commits.needs_evidence() {
                            self.commits.first_evidence(self.ask_sink()).await?;
                        }
                        idle_since = Instant::now();
                    }
                }
                Some(None) => return Ok(()),
                // The deadline has passed, or a commit was written.
                None => {}
            }
            if self.commits.is_due() {
                let is_barrier = self.commits.is_barrier();
                self.commits.begin(self.ask_sink()).await?;
                if is_barrier {
                    self.commits.written().await?;
                }
            }
        }
    }

    /// Commits everything up to the last resume position, and waits until this is written. The receipt may be long, so it is made only if
    /// there is something to commit.
    async fn commit(&mut self) -> Result<()> {
        if self.commits.is_pending() {
            self.commits.begin(self.ask_sink()).await?;
        }
        self.commits.written().await
    }

    /// Asks the sink what to commit.
    fn ask_sink(&self) -> Said {
        self.task.ledger.ask(&*self.sink)
    }

    async fn deliver(&mut self, mut batch: Batch) -> Result<()> {
        if cfg!(debug_assertions) {
            batch.verify(self.last_seq).map_err(|broken| Error::fatal("the source broke the order of a batch").because(broken))?;
        }
        self.last_seq = batch.last_seq().unwrap_or(self.last_seq);
        self.commits.collect(&mut batch);
        let read = self.stats.read(&batch);
        let is_schema_change = matches!(batch.events.as_slice(), [Event { body: Body::Schema(_), .. }]);
        if is_schema_change && !self.know_tables {
            // Most splits of a snapshot have no schema change, and a task may have many tables.
            transformed(&mut self.transforms, self.task.ledger.schemas(&self.split.id))?;
            self.know_tables = true;
        }
        for transform in &mut self.transforms {
            transform.apply(&mut batch).map_err(|error| error.while_doing("transforming a batch"))?;
        }
        if is_schema_change {
            batch.events.retain(|event| !matches!(&event.body, Body::Schema(change) if !change.delivered));
        }
        // Invariant: rejected events are dealt with before any later event is written. After a restart, a sink may skip every event up to the
        // last one that it wrote, and so would skip a rejected event before it.
        self.rejections.settle(&mut batch, Cause::Transform).await.map_err(|error| error.while_doing("transforming a batch"))?;
        self.write(&mut batch).await.map_err(|error| error.while_doing("delivering a batch"))?;
        self.stats.delivered(&batch, read);
        self.commits.delivered(batch.size(), batch.resume.take());
        Ok(())
    }

    /// Writes a batch to the sink. Events that the sink postpones behind rejected ones are written once these are dealt with.
    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        let mut delivered = Vec::new();
        loop {
            let before = batch.events.len();
            self.sink.write(batch).await?;
            let postponed = batch.take_postponed();
            self.rejections.settle(batch, Cause::NotEncodable).await?;
            if postponed.is_empty() {
                break;
            }
            if batch.events.is_empty() && postponed.len() >= before {
                return Err(Error::fatal("the sink postponed events and rejected none"));
            }
            delivered.append(&mut batch.events);
            batch.events = postponed;
        }
        if !delivered.is_empty() {
            delivered.append(&mut batch.events);
            batch.events = delivered;
        }
        Ok(())
    }
}
