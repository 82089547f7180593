//! A busy stream is read in fewer batches if the sink wants it, and an idle one is not delayed.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, Committed, Context, Phase, Pipeline, Plan, Position, Receipt, Result, Sink, Source, Split, SplitKind, SplitReader, async_trait,
};
use tokio::time::{Instant, sleep_until, timeout};

/// A stream whose events come at certain moments. A batch has all events that have come.
#[derive(Clone)]
struct Timed {
    kind: SplitKind,
    start: Instant,
    at: Vec<Duration>,
}

#[async_trait]
impl Source for Timed {
    async fn plan(&self, _: &Context, committed: &Committed) -> Result<Plan> {
        let is_done = committed.split(&"split".into()).is_some_and(|split| split.checkpoint.done);
        let mut plan = Plan::new(match self.kind {
            _ if is_done => Phase::Done,
            SplitKind::Stream => Phase::Stream,
            SplitKind::Snapshot => Phase::Snapshot,
        });
        if !is_done {
            plan.splits = vec![Split { id: "split".into(), kind: self.kind, start: "0".into() }];
        }
        Ok(plan)
    }

    async fn open(&self, _: &Context, _: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(TimedReader { start: self.start, left: self.at.iter().copied().collect(), next: 1 }))
    }
}

struct TimedReader {
    start: Instant,
    left: VecDeque<Duration>,
    next: u128,
}

#[async_trait]
impl SplitReader for TimedReader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        let Some(first) = self.left.front() else { return Ok(None) };
        sleep_until(self.start + *first).await;
        let mut count = 0;
        while self.left.pop_front_if(|at| self.start + *at <= Instant::now()).is_some() {
            count += 1;
        }
        let events = events(self.next, count);
        self.next += count as u128;
        Ok(Some(Batch::new(events, Some(Position::from((self.next - 1).to_string())), 100 * count)))
    }
}

/// Notes when each batch was written, and how many events it had.
#[derive(Clone)]
struct Noting {
    linger: Duration,
    start: Instant,
    written: Arc<Mutex<Vec<(u64, usize)>>>,
}

#[async_trait]
impl Sink for Noting {
    async fn open(&mut self, _: &Context, _: &Receipt) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        self.written.lock().unwrap().push((self.start.elapsed().as_millis() as u64, batch.events.len()));
        Ok(())
    }

    fn linger(&self) -> Duration {
        self.linger
    }
}

/// The batches, as milliseconds and counts of events.
async fn written(kind: SplitKind, linger_ms: u64, at_ms: impl IntoIterator<Item = u64>) -> Vec<(u64, usize)> {
    let start = Instant::now();
    let source = Timed { kind, start, at: at_ms.into_iter().map(Duration::from_millis).collect() };
    let sink = Noting { linger: Duration::from_millis(linger_ms), start, written: Arc::default() };
    let of_lanes = sink.clone();
    let pipeline = Pipeline::builder("linger").source(source).sink(move || Ok(of_lanes.clone())).store(MemoryStore::new(1));
    timeout(Duration::from_secs(60), pipeline.build().unwrap().start().wait()).await.unwrap().unwrap();
    sink.written.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn the_first_event_after_a_pause_is_written_at_once() {
    let at = [10, 60, 110, 160];
    assert_eq!(written(SplitKind::Stream, 50, at).await, at.map(|ms| (ms, 1)));
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_the_time_of_the_linger_is_one_batch() {
    assert_eq!(written(SplitKind::Stream, 10, 100..125).await, [(100, 1), (110, 10), (120, 10), (130, 4)]);
    assert_eq!(written(SplitKind::Stream, 0, 100..125).await, (100..125).map(|ms| (ms, 1)).collect::<Vec<_>>());
    assert_eq!(written(SplitKind::Snapshot, 10, 100..125).await, (100..125).map(|ms| (ms, 1)).collect::<Vec<_>>());
}
