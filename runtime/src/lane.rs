//! A lane runs one split in a straight line, and is the place where nothing may be lost:
//!
//! ```text
//! SplitReader::next ──channel of 2 batches──▶ Transform::apply* ─▶ Sink::write ─▶ commit
//!   own task, may be cancelled                 never cancelled, awaited to the end
//! ```
//!
//! Any failure ends the whole lane; the supervisor opens a new one at the last checkpoint. There is no other recovery.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout_at;

use crate::budget::{Budget, Share};
use crate::commits::Commits;
use crate::pipeline::Plugins;
use crate::stats::SplitStats;
use crate::{Batch, Committed, Error, Lane, Result, Seq, Sink, Split, SplitId, SplitReader, Stop, Transform};

/// Batches between the reader and the writer: with one in each hand, memory is at most four batches a lane, and less where the budget of
/// all lanes is used up.
const CHANNEL_BATCHES: usize = 2;

/// How a lane ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The split was read to its end.
    Finished,
    /// The stop signal ended the reader; everything read was delivered, and committed as far as it can be.
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
    let last = last.ok_or_else(|| Error::fatal("run a split whose start was not committed").in_split(&split.id))?;
    split.start = last.position.clone();
    let number = committed.numbers.get(&split.id).copied().unwrap_or(0);
    let _reading = stats.reading();
    let lane = Lane { run: committed.run, epoch: committed.epoch, number, split: &split };

    let mut sink = (plugins.sink)()?;
    sink.heed(Stop::new(stop.clone()));
    let receipt = sink.open(&lane, &last.receipt).await?;
    let mut commits = Commits::new(&*plugins.store, &split.id, last, &stats, plugins.flush_interval);
    commits.baseline(receipt).await?;
    let transforms = plugins.transforms.iter().map(|factory| factory()).collect::<Result<Vec<_>>>()?;
    let mut writer = Writer { split: &split.id, transforms, sink, commits, stats: &stats, last_seq: Seq(0) };

    let reader = plugins.source.open(&split, &committed).await?;
    let (sender, receiver) = mpsc::channel(CHANNEL_BATCHES);
    let reading = tokio::spawn(read(reader, sender, plugins.budget.clone(), stop));
    // `drain` owns the receiver: when it returns, also with an error, the reader sees a closed channel and ends.
    let written = writer.drain(receiver).await;
    let read = match reading.await {
        Ok(read) => read,
        Err(panic) => Err(Error::retryable("read the split").because(panic).with_code("E_PANIC").in_split(&split.id)),
    };
    written?;
    let ended = read?;
    if ended == Ended::Finished {
        writer.commits.finish().await?;
    }
    writer.sink.close().await?;
    Ok(ended)
}

async fn read(
    mut reader: Box<dyn SplitReader>,
    batches: mpsc::Sender<(Batch, Share)>,
    budget: Budget,
    mut stop: watch::Receiver<bool>,
) -> Result<Ended> {
    loop {
        let batch = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(Ended::Stopped),
            () = batches.closed() => return Ok(Ended::Stopped),
            batch = reader.next() => batch?,
        };
        let Some(batch) = batch else { return Ok(Ended::Finished) };
        // Held until the batch is delivered. Other lanes only ever wait for lanes that deliver, never in a circle.
        let share = budget.take(batch.size()).await;
        if batches.send((batch, share)).await.is_err() {
            return Ok(Ended::Stopped);
        }
    }
}

/// The half of a lane that delivers and commits.
struct Writer<'a> {
    split: &'a SplitId,
    transforms: Vec<Box<dyn Transform>>,
    sink: Box<dyn Sink>,
    commits: Commits<'a>,
    stats: &'a SplitStats,
    last_seq: Seq,
}

impl Writer<'_> {
    async fn drain(&mut self, mut batches: mpsc::Receiver<(Batch, Share)>) -> Result<()> {
        loop {
            match timeout_at(self.commits.deadline(), batches.recv()).await {
                Ok(Some((batch, _share))) => {
                    if let Err(error) = self.deliver(batch).await {
                        // What was acknowledged before is worth keeping; the error that ends the lane is the delivery's.
                        let _ = self.commits.commit().await;
                        return Err(error);
                    }
                }
                Ok(None) => return self.commits.commit().await,
                Err(_elapsed) => {}
            }
            self.commits.commit_if_due().await?;
        }
    }

    async fn deliver(&mut self, mut batch: Batch) -> Result<()> {
        if cfg!(debug_assertions) {
            batch
                .verify(self.last_seq)
                .map_err(|broken| Error::fatal("check the order of a batch").because(broken).in_split(self.split))?;
        }
        self.last_seq = batch.last_seq().unwrap_or(self.last_seq);
        self.commits.met(&batch.events, &mut batch.state);
        let table = self.stats.table(&batch);
        for transform in &mut self.transforms {
            transform.apply(&mut batch)?;
        }
        // Before anything is written: a sink that skips what is behind its last event would take a rejected one for delivered.
        self.refuse_rejected(&mut batch)?;
        let receipt = self.sink.write(&mut batch).await?;
        self.refuse_rejected(&mut batch)?;
        self.stats.delivered(&batch, table);
        self.commits.delivered(receipt, batch.size(), batch.resume.take());
        Ok(())
    }

    /// Rejected events end the lane.
    fn refuse_rejected(&self, batch: &mut Batch) -> Result<()> {
        match batch.take_rejected().into_iter().next() {
            Some((event, error)) => Err(error.in_split(self.split).at(&event.place())),
            None => Ok(()),
        }
    }
}
