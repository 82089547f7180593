//! The pipeline against a source, a sink and a store that fail at random moments: nothing lost, nothing repeated, nothing out of order.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, CheckpointStore, Column, ColumnKind, Commit, Committed, Context, Error, Fact, Finding, Kind, Level, Phase, Pipeline, Plan,
    Position, Receipt, Result, Retry, RunState, Seq, Sink, Source, SourceInfo, Split, SplitId, SplitKind, SplitReader, TableId,
    TableSchema, Transform, async_trait,
};
use serde::{Deserialize, Serialize};

const CHUNKS: u64 = 5;
const CHUNK_ROWS: u64 = 7;

/// Dice that all parts of one run share: `true` means fail here.
#[derive(Clone)]
struct Chaos(Arc<Mutex<(fastrand::Rng, f64, u32)>>);

impl Chaos {
    fn new(seed: u64, rate: f64) -> Self {
        Self(Arc::new(Mutex::new((fastrand::Rng::with_seed(seed), rate, 0))))
    }

    fn strike(&self, message: &'static str) -> Result<()> {
        let mut dice = self.0.lock().unwrap();
        let rate = dice.1;
        if dice.0.f64() < rate {
            dice.2 += 1;
            return Err(Error::retryable(message).because("chaos"));
        }
        Ok(())
    }

    fn below(&self, n: u64) -> u64 {
        self.0.lock().unwrap().0.u64(0..n)
    }

    fn strikes(&self) -> u32 {
        self.0.lock().unwrap().2
    }
}

/// Five chunks of seven rows, then a stream of `stream` events whose transactions have one to four events, and then silence.
struct Model {
    chaos: Chaos,
    stream: u64,
}

/// How many chunks were handed out.
#[derive(Serialize, Deserialize)]
struct Planned(u64);

impl Fact for Planned {
    const NAME: &'static str = "planned";
    const VERSION: u32 = 1;
}

/// The schema that a table has at a position of the stream.
fn schema_at(position: u64) -> Arc<TableSchema> {
    let column = Column::new(position.to_string(), ColumnKind::Int { bytes: 4 }, "int");
    Arc::new(TableSchema::new(TableId::new("model", "t"), vec![column]))
}

fn split(id: String, kind: SplitKind) -> Split {
    Split { id: SplitId::from(id), kind, start: Position::from("0") }
}

#[async_trait]
impl Source for Model {
    fn info(&self) -> SourceInfo {
        SourceInfo::default().with_parallelism(3)
    }

    /// Two new chunks a plan, beside those that are not done; what is done is forgotten.
    async fn plan(&self, _: &Context, committed: &Committed) -> Result<Plan> {
        self.chaos.strike("the plan failed")?;
        let Planned(planned) = committed.fact()?.unwrap_or(Planned(0));
        let mut plan = Plan::new(Phase::Snapshot);
        for (id, known) in committed.splits().filter(|(id, _)| id.as_str() != "stream") {
            match known.checkpoint.done {
                true => plan.forget.push(id.clone()),
                false => plan.splits.push(split(id.to_string(), SplitKind::Snapshot)),
            }
        }
        let next = (planned + 2).min(CHUNKS);
        plan.splits.extend((planned..next).map(|n| split(format!("chunk-{n}"), SplitKind::Snapshot)));
        plan.facts.set(&Planned(next))?;
        if plan.splits.is_empty() {
            plan.phase = Phase::Stream;
            let stream = SplitId::from("stream".to_owned());
            let position = committed.split(&stream).map_or("0", |split| split.checkpoint.position.as_str());
            // The schemas are committed together with the position behind which they hold.
            if position != "0" && committed.split_schemas(&stream) != [schema_at(position.parse().unwrap())] {
                return Err(Error::fatal(format!("the schemas are not those of position {position}")));
            }
            plan.splits.push(split("stream".into(), SplitKind::Stream));
        }
        Ok(plan)
    }

    async fn open(&self, _: &Context, split: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        self.chaos.strike("the source was not opened")?;
        let at = split.start.as_str().parse().map_err(|_| Error::fatal("the position is not a number"))?;
        let end = if split.kind == SplitKind::Stream { self.stream } else { CHUNK_ROWS };
        Ok(Box::new(ModelReader { chaos: self.chaos.clone(), stream: split.kind == SplitKind::Stream, at, end }))
    }
}

struct ModelReader {
    chaos: Chaos,
    stream: bool,
    at: u64,
    end: u64,
}

#[async_trait]
impl SplitReader for ModelReader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        tokio::task::yield_now().await;
        self.chaos.strike("nothing was read")?;
        if self.at == self.end {
            if self.stream {
                std::future::pending::<()>().await;
            }
            return Ok(None);
        }
        let count = (self.chaos.below(6) + 1).min(self.end - self.at);
        let batch = events(u128::from(self.at) + 1, count as usize);
        self.at += count;
        // Every third event ends a transaction; a chunk has no place to resume in its middle.
        let resume = (self.stream && (self.at.is_multiple_of(3) || self.at == self.end)).then(|| Position::from(self.at.to_string()));
        let mut batch = Batch::new(batch, resume, count as usize);
        if batch.resume.is_some() {
            batch.schemas.push((TableId::new("model", "t"), Some(schema_at(self.at))));
        }
        Ok(Some(batch))
    }
}

type Log = Arc<Mutex<BTreeMap<String, Vec<u128>>>>;

/// Appends to a log per split; scans the end of the log when it is opened, as a Kafka sink does.
struct LogSink {
    chaos: Chaos,
    log: Log,
    split: String,
    skip: u128,
    last: u128,
}

impl LogSink {
    fn new(chaos: &Chaos, log: &Log) -> Self {
        Self { chaos: chaos.clone(), log: log.clone(), split: String::new(), skip: 0, last: 0 }
    }
}

#[async_trait]
impl Sink for LogSink {
    async fn open(&mut self, context: &Context, _: &Receipt) -> Result<()> {
        self.chaos.strike("the sink was not opened")?;
        let lane = context.lane().unwrap();
        self.split = lane.split.to_string();
        let log = self.log.lock().unwrap();
        self.last = log.get(&self.split).and_then(|seqs| seqs.last().copied()).unwrap_or(0);
        if lane.kind == SplitKind::Stream {
            self.skip = self.last;
        }
        Ok(())
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        for event in batch.events.iter().filter(|event| event.seq.0 > self.skip) {
            self.chaos.strike("nothing was sent")?;
            tokio::task::yield_now().await;
            self.log.lock().unwrap().entry(self.split.clone()).or_default().push(event.seq.0);
            self.chaos.strike("the answer was lost")?;
        }
        self.last = batch.last_seq().unwrap_or(Seq(self.last)).0;
        Ok(())
    }

    fn receipt(&self) -> Receipt {
        Receipt::new(self.last.to_string())
    }
}

#[derive(Clone)]
struct ChaosStore {
    chaos: Chaos,
    inner: MemoryStore,
}

#[async_trait]
impl CheckpointStore for ChaosStore {
    async fn load(&self) -> Result<Committed> {
        self.inner.load().await
    }

    async fn commit(&self, commit: Commit) -> Result<()> {
        self.chaos.strike("the commit did not begin")?;
        self.inner.commit(commit).await?;
        self.chaos.strike("the outcome of the commit was lost")
    }

    async fn peek(&self) -> Result<Option<Committed>> {
        self.inner.peek().await
    }
}

fn retry() -> Retry {
    let mut retry = Retry::default();
    // No back-off: a pause would hide lanes that overlap.
    (retry.first_pause, retry.longest_pause) = (Duration::ZERO, Duration::ZERO);
    retry
}

fn pipeline(chaos: &Chaos, log: &Log, store: &MemoryStore, stream: u64) -> Pipeline {
    let (sink_chaos, sink_log) = (chaos.clone(), log.clone());
    Pipeline::builder("model")
        .source(Model { chaos: chaos.clone(), stream })
        .sink(move || Ok(LogSink::new(&sink_chaos, &sink_log)))
        .store(ChaosStore { chaos: chaos.clone(), inner: store.clone() })
        // Every batch waits for all others: the tightest there is.
        .memory_max_bytes(1)
        .flush_interval(Duration::from_millis(1))
        .retry(retry())
        .build()
        .unwrap()
}

async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not get there in 20 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_repeated_or_reordered_whatever_fails() {
    let mut strikes = 0;
    for seed in 0..60 {
        let chaos = Chaos::new(seed, 0.02);
        let (log, store) = (Log::default(), MemoryStore::new(1));
        let running = pipeline(&chaos, &log, &store, 300).start();
        until(|| store.committed().split(&"stream".into()).is_some_and(|known| known.checkpoint.position.as_str() == "300")).await;
        running.stop().await.unwrap();
        let log = log.lock().unwrap();
        assert_eq!(log["stream"], (1..=300).collect::<Vec<_>>(), "seed {seed}");
        for chunk in 0..CHUNKS {
            // A chunk that was cut is read again from its start, so its log is one or more beginnings and a whole.
            let seqs = &log[&format!("chunk-{chunk}")];
            assert!(seqs.ends_with(&(1..=u128::from(CHUNK_ROWS)).collect::<Vec<_>>()), "seed {seed}, chunk {chunk}: {seqs:?}");
        }
        let kept: Vec<_> = store.committed().splits().map(|(id, _)| id.to_string()).collect();
        assert_eq!(kept, ["stream"], "chunks that are done are forgotten");
        strikes += chaos.strikes();
    }
    assert!(strikes > 300, "only {strikes} failures were injected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_and_stop_commit_everything_that_was_read() {
    let chaos = Chaos::new(7, 0.0);
    let (log, store) = (Log::default(), MemoryStore::new(1));
    let running = pipeline(&chaos, &log, &store, 200_000).start();
    until(|| log.lock().unwrap().get("stream").is_some_and(|seqs| seqs.len() > 500)).await;
    running.pause().await;
    assert_eq!(running.status().state, RunState::Paused);
    let paused = log.lock().unwrap()["stream"].len();
    let committed = store.committed().split(&"stream".into()).unwrap().checkpoint.clone();
    // What was delivered behind the last transaction's end is not covered by the position.
    let position: usize = committed.position.as_str().parse().unwrap();
    // A batch of the model ends at the end of a transaction one time in three.
    assert!(position <= paused && paused - position < 100, "{position} of {paused}");
    // The receipt may miss batches that came after the last commit and end inside a transaction. They are found again behind it.
    let receipt: usize = committed.receipt.as_str().parse().unwrap();
    assert!((position..=paused).contains(&receipt), "{receipt} of {paused}");
    running.resume();
    until(|| log.lock().unwrap()["stream"].len() > paused + 500).await;
    running.stop().await.unwrap();
    let log = log.lock().unwrap();
    assert!(log["stream"].iter().copied().eq(1..=log["stream"].len() as u128));
}

#[tokio::test]
async fn an_error_that_cannot_pass_ends_the_pipeline() {
    struct Broken;
    #[async_trait]
    impl Source for Broken {
        async fn plan(&self, _: &Context, _: &Committed) -> Result<Plan> {
            Err(Error::config("table shop.orders does not exist"))
        }

        async fn open(&self, _: &Context, _: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
            Err(Error::fatal("nothing was planned"))
        }
    }
    let (chaos, log) = (Chaos::new(1, 0.0), Log::default());
    let running = Pipeline::builder("broken")
        .source(Broken)
        .sink(move || Ok(LogSink::new(&chaos, &log)))
        .store(MemoryStore::new(1))
        .build()
        .unwrap()
        .start();
    let error = running.wait().await.unwrap_err();
    assert_eq!((error.kind(), error.context().as_deref()), (Kind::Config, Some("planning")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_handle_stops_the_pipeline_and_a_detached_one_does_not() {
    for detached in [false, true] {
        let chaos = Chaos::new(5, 0.0);
        let (log, store) = (Log::default(), MemoryStore::new(1));
        const EVENTS: usize = 1_000_000;
        let running = pipeline(&chaos, &log, &store, EVENTS as u64).start();
        assert_eq!(running.wait_for(|state| state == RunState::Streaming).await, RunState::Streaming);
        if detached {
            running.detach();
        } else {
            drop(running);
        }
        let len = || log.lock().unwrap().get("stream").map_or(0, Vec::len);
        let mut last = len();
        let mut still = 0;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            still = if len() == last { still + 1 } else { 0 };
            last = len();
            if still >= 10 {
                break;
            }
        }
        // A detached pipeline may have delivered everything by now.
        let stopped = still >= 10 && last < EVENTS;
        assert_eq!(stopped, !detached, "{last} events");
    }
}

/// Keeps the open rows of `shop.orders`. Of a table without the column it says so.
struct OnlyOpen;

impl Transform for OnlyOpen {
    fn apply(&mut self, _: &mut Batch) -> Result<()> {
        Ok(())
    }

    fn fingerprint(&self) -> String {
        "only open".into()
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let without = tables.iter().filter(|table| table.column("state").is_none());
        without.map(|table| Finding::failed("filter", format!("table {} has no column `state`", table.id), "correct the name")).collect()
    }

    fn pushdown(&mut self, schema: &Arc<TableSchema>) -> Result<Option<String>> {
        Ok((schema.id == TableId::new("shop", "orders")).then(|| "state = 'open'".into()))
    }
}

/// A source that asks for conditions on its only table when it plans.
struct Asking {
    table: Arc<TableSchema>,
    answers: Arc<Mutex<Vec<String>>>,
}

impl Asking {
    fn new(columns: &[&str]) -> Self {
        let columns = columns.iter().map(|name| Column::new(*name, ColumnKind::Varchar { length: 9 }, "varchar(9)")).collect();
        Self { table: Arc::new(TableSchema::new(TableId::new("shop", "orders"), columns)), answers: Arc::default() }
    }

    fn pipeline(self) -> Pipeline {
        let (chaos, log) = (Chaos::new(1, 0.0), Log::default());
        let builder = Pipeline::builder("asked").source(self).transform(|| Ok(OnlyOpen)).transform(|| Ok(Unconditional));
        let builder = builder.transform(|| Ok(OnlyOpen)).sink(move || Ok(LogSink::new(&chaos, &log)));
        builder.store(MemoryStore::new(1)).batch_max_bytes(4096).build().unwrap()
    }
}

#[async_trait]
impl Source for Asking {
    async fn plan(&self, context: &Context, _: &Committed) -> Result<Plan> {
        assert_eq!((context.task(), context.batch_max_bytes()), ("asked", 4096));
        *self.answers.lock().unwrap() = context.pushdown(&self.table)?;
        let mut plan = Plan::new(Phase::Done);
        plan.schemas = vec![(self.table.id.clone(), Some(self.table.clone()))];
        Ok(plan)
    }

    async fn open(&self, _: &Context, _: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        Err(Error::fatal("nothing was planned"))
    }

    async fn tables(&self, _: &Context) -> Result<Vec<Arc<TableSchema>>> {
        Ok(vec![self.table.clone()])
    }
}

/// Has no condition, and might give tables other names.
struct Unconditional;

impl Transform for Unconditional {
    fn apply(&mut self, _: &mut Batch) -> Result<()> {
        Ok(())
    }

    fn fingerprint(&self) -> String {
        String::new()
    }
}

#[tokio::test]
async fn a_source_is_told_the_conditions_of_the_first_transforms() {
    let source = Asking::new(&["state"]);
    let answers = source.answers.clone();
    source.pipeline().start().wait().await.unwrap();
    assert_eq!(*answers.lock().unwrap(), ["state = 'open'"]);
}

#[tokio::test]
async fn what_transforms_find_ends_the_check_and_the_first_start() {
    let found = Asking::new(&["id"]).pipeline().check().await;
    let found: Vec<_> = found.into_iter().filter(|finding| finding.level == Level::Failed).map(|finding| finding.what).collect();
    assert_eq!(found, ["table shop.orders has no column `state`"; 2]);
    let error = Asking::new(&["id"]).pipeline().start().wait().await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::Config, "table shop.orders has no column `state`"));
}

#[tokio::test]
async fn the_retry_window_ends() {
    let (log, store) = (Log::default(), MemoryStore::new(1));
    let chaos = Chaos::new(1, 1.0);
    let mut short = retry();
    (short.window, short.longest_pause, short.first_pause) =
        (Duration::from_millis(50), Duration::from_millis(5), Duration::from_millis(1));
    let sink_log = log.clone();
    let sink_chaos = chaos.clone();
    let running = Pipeline::builder("down")
        .source(Model { chaos, stream: 1 })
        .sink(move || Ok(LogSink::new(&sink_chaos, &sink_log)))
        .store(store)
        .retry(short)
        .build()
        .unwrap()
        .start();
    let error = running.wait().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Retryable);
    assert!(error.help().unwrap().contains("without progress"), "{error}");
}

#[tokio::test]
async fn the_models_keep_the_contracts() {
    let source = Model { chaos: Chaos::new(3, 0.0), stream: 50 };
    runtime::testing::source_contract(&source, || async {}, Duration::from_millis(50)).await;

    let (chaos, log) = (Chaos::new(3, 0.0), Log::default());
    let make = || -> Result<Box<dyn Sink>> { Ok(Box::new(LogSink::new(&chaos, &log))) };
    let delivered = || {
        let seqs = log.lock().unwrap().get("contract").cloned().unwrap_or_default();
        async move { seqs }
    };
    runtime::testing::sink_contract(make, delivered, true).await;
}
