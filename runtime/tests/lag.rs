//! The lag of a stream.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, Committed, Context, Phase, Pipeline, Plan, Result, RunState, Running, Sink, Source, Split, SplitKind, SplitReader, Transform,
    async_trait,
};

const HOUR_MS: u64 = 3_600_000;

/// A stream that returns these batches and then waits.
#[derive(Clone)]
struct Batches(Arc<Mutex<VecDeque<Batch>>>);

#[async_trait]
impl Source for Batches {
    async fn plan(&self, _: &Context, _: &Committed) -> Result<Plan> {
        let mut plan = Plan::new(Phase::Stream);
        plan.splits = vec![Split { id: "stream".into(), kind: SplitKind::Stream, start: "0".into() }];
        Ok(plan)
    }

    async fn open(&self, _: &Context, _: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl SplitReader for Batches {
    async fn next(&mut self) -> Result<Option<Batch>> {
        let next = self.0.lock().unwrap().pop_front();
        match next {
            Some(batch) => Ok(Some(batch)),
            None => std::future::pending().await,
        }
    }
}

struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn write(&mut self, _: &mut Batch) -> Result<()> {
        Ok(())
    }
}

/// Drops every event.
struct Nothing;

impl Transform for Nothing {
    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        batch.retain(|_| Ok(false))
    }

    fn fingerprint(&self) -> String {
        "nothing".into()
    }
}

fn ago(ms: u64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64 - ms as i64
}

fn rows(first: u128, timestamp_ms: i64) -> Batch {
    let mut events = events(first, 2);
    events.iter_mut().for_each(|event| event.timestamp_ms = timestamp_ms);
    Batch::new(events, Some(first.to_string().into()), 2)
}

fn empty(position: &str, source_ms: Option<i64>) -> Batch {
    let mut batch = Batch::new(Vec::new(), Some(position.into()), 0);
    batch.source_ms = source_ms;
    batch
}

async fn lag_after(batches: Vec<Batch>, transform: bool) -> u64 {
    let source = Batches(Arc::new(Mutex::new(batches.into())));
    let mut pipeline = Pipeline::builder("lag").source(source.clone()).sink(|| Ok(Nowhere)).store(MemoryStore::new(1));
    if transform {
        pipeline = pipeline.transform(|| Ok(Nothing));
    }
    let running: Running = pipeline.build().unwrap().start();
    running.wait_for(|state| state == RunState::Streaming).await;
    while !source.0.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A pause is over when everything that was read is delivered.
    running.pause().await;
    let status = running.status();
    running.stop().await.unwrap();
    assert_eq!(status.metrics["lag_ms"].unsigned_abs(), status.splits[0].lag_ms);
    status.splits[0].lag_ms
}

#[track_caller]
fn is_about(found: u64, expected: u64) {
    assert!(found >= expected && found < expected + 60_000, "{found} ms instead of {expected} ms");
}

#[tokio::test]
async fn a_stream_that_passes_over_old_events_is_not_up_to_date() {
    let hours = |hours: u64| ago(hours * HOUR_MS);
    is_about(lag_after(vec![rows(1, hours(5))], false).await, 5 * HOUR_MS);
    is_about(lag_after(vec![rows(1, hours(5)), empty("2", Some(hours(3)))], false).await, 3 * HOUR_MS);
    is_about(lag_after(vec![empty("1", Some(hours(3))), empty("2", None)], false).await, 3 * HOUR_MS);
    is_about(lag_after(vec![rows(1, hours(4))], true).await, 4 * HOUR_MS);
    is_about(lag_after(vec![rows(1, hours(5)), empty("2", Some(hours(3))), empty("3", Some(ago(0)))], false).await, 0);
}
