//! What a sink says of the whole task is committed with every chunk, never replaced by something older, and given to later lanes.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, CheckpointStore, Commit, Committed, Context, Phase, Pipeline, Plan, Receipt, Result, Sink, Source, SourceInfo, Split, SplitKind,
    SplitReader, async_trait,
};

const CHUNKS: usize = 40;

/// A source of many chunks with one batch each.
struct Chunks;

#[async_trait]
impl Source for Chunks {
    fn info(&self) -> SourceInfo {
        SourceInfo::default().with_parallelism(8)
    }

    async fn plan(&self, _: &Context, committed: &Committed) -> Result<Plan> {
        let split = |number: usize| Split { id: format!("chunk-{number}").into(), kind: SplitKind::Snapshot, start: "0".into() };
        let is_done = |split: &Split| committed.split(&split.id).is_some_and(|known| known.checkpoint.done);
        let left: Vec<Split> = (0..CHUNKS).map(split).filter(|split| !is_done(split)).collect();
        let mut plan = Plan::new(if left.is_empty() { Phase::Done } else { Phase::Snapshot });
        plan.splits = left;
        Ok(plan)
    }

    async fn open(&self, _: &Context, _: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(OneBatch(Some(Batch::new(events(1, 3), None, 0)))))
    }
}

struct OneBatch(Option<Batch>);

#[async_trait]
impl SplitReader for OneBatch {
    async fn next(&mut self) -> Result<Option<Batch>> {
        Ok(self.0.take())
    }
}

/// A sink that says how many batches all lanes have written.
#[derive(Clone, Default)]
struct Counting {
    written: Arc<AtomicU64>,
    opened_with: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Sink for Counting {
    async fn open(&mut self, context: &Context, _: &Receipt) -> Result<()> {
        self.opened_with.lock().unwrap().push(context.evidence().as_str().to_owned());
        Ok(())
    }

    async fn write(&mut self, _: &mut Batch) -> Result<()> {
        self.written.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn evidence(&self) -> Option<Receipt> {
        Some(Receipt::new(self.written.load(Ordering::SeqCst).to_string()))
    }
}

/// A store whose commits take different times. Notes what was committed of the whole task.
#[derive(Clone)]
struct Slow(MemoryStore, Arc<Mutex<Vec<u64>>>);

#[async_trait]
impl CheckpointStore for Slow {
    async fn load(&self) -> Result<Committed> {
        self.0.load().await
    }

    async fn commit(&self, commit: Commit) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(commit.splits.first().map_or(1, |progress| u64::from(progress.number) * 7 % 11))).await;
        if let Some(evidence) = &commit.evidence {
            self.1.lock().unwrap().push(evidence.as_str().parse().unwrap());
        }
        self.0.commit(commit).await
    }

    async fn peek(&self) -> Result<Option<Committed>> {
        self.0.peek().await
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_older_replaces_what_was_said_of_the_whole_task() {
    let (store, sink) = (Slow(MemoryStore::new(1), Arc::default()), Counting::default());
    let of_lanes = sink.clone();
    let pipeline = Pipeline::builder("chunks").source(Chunks).sink(move || Ok(of_lanes.clone())).store(store.clone());
    pipeline.build().unwrap().start().wait().await.unwrap();
    let committed = store.1.lock().unwrap().clone();
    assert!(committed.len() > CHUNKS, "with the first batch, and with the end of every chunk: {committed:?}");
    assert!(committed.is_sorted(), "{committed:?}");
    assert_eq!((committed.last(), store.0.committed().evidence().as_str()), (Some(&(CHUNKS as u64)), "40"));
    assert!(sink.opened_with.lock().unwrap().iter().all(String::is_empty), "nothing was known when the round began");

    // A later process gives it to its lanes.
    let later = Counting::default();
    let of_lanes = later.clone();
    store.0.commit(Commit { forget: vec!["chunk-3".into()], ..Commit::default() }).await.unwrap();
    let pipeline = Pipeline::builder("chunks").source(Chunks).sink(move || Ok(of_lanes.clone())).store(store.clone());
    pipeline.build().unwrap().start().wait().await.unwrap();
    assert_eq!(*later.opened_with.lock().unwrap(), ["40"]);
}
