//! A lane runs one split in a straight line, and is the place where nothing may be lost:
//!
//! ```text
//! SplitReader::next ──channel of 2 batches──▶ Transform::apply* ─▶ Sink::write ─▶ commit
//!   own task, may be cancelled                 never cancelled, awaited to the end
//! ```
//!
//! Any failure ends the whole lane; the supervisor opens a new one at the last checkpoint. There is no other recovery.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::pipeline::Plugins;
use crate::stats::SplitStats;
use crate::{
    Batch, Body, Checkpoint, Committed, Error, Lane, Position, Progress, Receipt, Result, Seq, Sink, Split, SplitReader, State, TableId,
    TableSchema, Transform,
};

/// Batches between the reader and the writer: with one in each hand, memory is at most four batches a lane.
const CHANNEL_BATCHES: usize = 2;
/// A commit is due after so many bytes even if the flush interval has not passed.
const COMMIT_BYTES: usize = 64 << 20;

/// How a lane ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The split was read to its end.
    Finished,
    /// The stop signal ended the reader; everything read was delivered and committed.
    Stopped,
}

/// Runs one split until it ends, fails, or `stop` becomes true. When it returns, nothing of it is running any more.
pub(crate) async fn run(
    plugins: Arc<Plugins>,
    mut split: Split,
    committed: Arc<Committed>,
    stats: Arc<SplitStats>,
    stop: watch::Receiver<bool>,
) -> Result<Ended> {
    let last = committed.splits.get(&split.id).cloned();
    // Invariant: the supervisor commits the start of every split before it runs one.
    let last = last.ok_or_else(|| Error::fatal("run a split whose start was not committed"))?;
    split.start = last.position.clone();

    let mut sink = (plugins.sink)()?;
    let number = committed.numbers.get(&split.id).copied().unwrap_or(0);
    let receipt = sink.open(&Lane { run: committed.run, epoch: committed.epoch, number, split: &split }, &last.receipt).await?;
    let transforms = plugins.transforms.iter().map(|factory| factory()).collect::<Result<Vec<_>>>()?;
    let mut writer = Writer::new(&plugins, &split, transforms, sink, receipt, last, &stats);
    writer.commit_baseline().await?;

    let reader = plugins.source.open(&split, &committed).await?;
    let (sender, receiver) = mpsc::channel(CHANNEL_BATCHES);
    let reading = tokio::spawn(read(reader, sender, stop));
    // `drain` owns the receiver: when it returns, also with an error, the reader sees a closed channel and ends.
    let written = writer.drain(receiver).await;
    let read = match reading.await {
        Ok(read) => read,
        Err(panic) => Err(Error::retryable("read the split").because(panic).with_code("E_PANIC")),
    };
    written?;
    let ended = read?;
    if ended == Ended::Finished {
        writer.finish().await?;
    }
    writer.sink.close().await?;
    Ok(ended)
}

async fn read(mut reader: Box<dyn SplitReader>, batches: mpsc::Sender<Batch>, mut stop: watch::Receiver<bool>) -> Result<Ended> {
    loop {
        let batch = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(Ended::Stopped),
            () = batches.closed() => return Ok(Ended::Stopped),
            batch = reader.next() => batch?,
        };
        let Some(batch) = batch else { return Ok(Ended::Finished) };
        if batches.send(batch).await.is_err() {
            return Ok(Ended::Stopped);
        }
    }
}

/// The half of a lane that delivers and commits.
struct Writer<'a> {
    plugins: &'a Plugins,
    split: &'a Split,
    stats: &'a SplitStats,
    transforms: Vec<Box<dyn Transform>>,
    sink: Box<dyn Sink>,
    receipt: Receipt,
    committed: Checkpoint,
    /// Changes met since `resume`; they move to `due` with the next resume position.
    schemas: Vec<(TableId, Option<Arc<TableSchema>>)>,
    state: State,
    /// What the next commit writes.
    due: Option<Progress>,
    due_bytes: usize,
    flush_at: Instant,
    last_seq: Seq,
}

impl<'a> Writer<'a> {
    fn new(
        plugins: &'a Plugins,
        split: &'a Split,
        transforms: Vec<Box<dyn Transform>>,
        sink: Box<dyn Sink>,
        receipt: Receipt,
        committed: Checkpoint,
        stats: &'a SplitStats,
    ) -> Self {
        let (schemas, state) = (Vec::new(), State::new());
        Self {
            plugins,
            split,
            stats,
            transforms,
            sink,
            receipt,
            committed,
            schemas,
            state,
            due: None,
            due_bytes: 0,
            flush_at: Instant::now(),
            last_seq: Seq(0),
        }
    }

    async fn drain(&mut self, mut batches: mpsc::Receiver<Batch>) -> Result<()> {
        loop {
            let deadline = if self.due.is_some() { self.flush_at } else { Instant::now() + Duration::from_secs(3600) };
            match timeout_at(deadline, batches.recv()).await {
                Ok(Some(batch)) => {
                    let delivered = self.deliver(batch).await;
                    if delivered.is_err() {
                        // What was acknowledged before is worth keeping; the error that ends the lane is the delivery's.
                        let _ = self.commit().await;
                    }
                    delivered?;
                }
                Ok(None) => return self.commit().await,
                Err(_elapsed) => {}
            }
            if self.due.is_some() && (Instant::now() >= self.flush_at || self.due_bytes >= COMMIT_BYTES) {
                self.commit().await?;
            }
        }
    }

    async fn deliver(&mut self, mut batch: Batch) -> Result<()> {
        if cfg!(debug_assertions) {
            batch
                .verify(self.last_seq)
                .map_err(|broken| Error::fatal("check the order of a batch").because(broken).in_split(&self.split.id))?;
        }
        self.last_seq = batch.last_seq().unwrap_or(self.last_seq);
        let mut barrier = false;
        // Structures are remembered under the source's own names, so they are taken before the transforms.
        for event in &batch.events {
            if let Body::Schema(change) = &event.body {
                self.schemas.extend(change.tables.iter().cloned());
                barrier = true;
            }
        }
        self.state.append(&mut batch.state);
        for transform in &mut self.transforms {
            transform.apply(&mut batch)?;
        }
        self.receipt = self.sink.write(&mut batch).await?;
        if let Some((event, error)) = batch.take_rejected().into_iter().next() {
            return Err(error.in_split(&self.split.id).at(&event.position));
        }
        self.stats.delivered(&batch);
        self.due_bytes += batch.size();
        if let Some(resume) = batch.resume.take() {
            self.passed(resume);
            if barrier {
                self.commit().await?;
            }
        }
        Ok(())
    }

    fn passed(&mut self, resume: Position) {
        let (mut schemas, mut state) = match self.due.take() {
            Some(due) => (due.schemas, due.state),
            None => {
                self.flush_at = Instant::now() + self.plugins.flush_interval;
                (Vec::new(), State::new())
            }
        };
        schemas.append(&mut self.schemas);
        state.append(&mut self.state);
        // Invariant: the position never passes an event that is not durable; the receipt may be ahead of it.
        let checkpoint = Checkpoint { position: resume, receipt: Receipt::default(), done: false };
        self.due = Some(Progress { split: self.split.id.clone(), checkpoint, schemas, state });
    }

    async fn commit(&mut self) -> Result<()> {
        let Some(mut due) = self.due.take() else { return Ok(()) };
        due.checkpoint.receipt = self.receipt.clone();
        self.write(due).await
    }

    async fn commit_baseline(&mut self) -> Result<()> {
        if self.receipt == self.committed.receipt {
            return Ok(());
        }
        let checkpoint = Checkpoint { receipt: self.receipt.clone(), ..self.committed.clone() };
        self.write(Progress { split: self.split.id.clone(), checkpoint, schemas: Vec::new(), state: State::new() }).await
    }

    async fn finish(&mut self) -> Result<()> {
        let checkpoint = Checkpoint { done: true, receipt: self.receipt.clone(), ..self.committed.clone() };
        let (schemas, state) = (std::mem::take(&mut self.schemas), std::mem::take(&mut self.state));
        self.write(Progress { split: self.split.id.clone(), checkpoint, schemas, state }).await
    }

    async fn write(&mut self, progress: Progress) -> Result<()> {
        let checkpoint = progress.checkpoint.clone();
        self.plugins.store.commit(vec![progress]).await?;
        self.stats.committed(&checkpoint);
        self.committed = checkpoint;
        self.due_bytes = 0;
        Ok(())
    }
}
