//! A commit is written while further batches are delivered, and is never ahead of what the sink has acknowledged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, Body, CheckpointStore, Commit, Committed, Context, Error, Event, Phase, Pipeline, Plan, Position, Receipt, Result, Retry,
    Running, SchemaChange, SchemaChangeKind, Seq, Sink, Source, Split, SplitId, SplitKind, SplitReader, async_trait,
};
use tokio::time::{Instant, sleep, timeout};

/// What happened, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happened {
    /// The sink was opened, and knew this many events from the committed receipt.
    Opened(u64),
    /// The sink has acknowledged everything up to this event.
    Acknowledged(u64),
    /// The store was asked to commit the position behind this event.
    Began(u64),
    /// The commit was durable.
    Committed(u64),
}
use Happened::{Acknowledged, Began, Committed as Written, Opened};

/// A stream of one-event batches with a resume position each, a sink with a log, and a store, with the delays that a test sets.
#[derive(Clone)]
struct World {
    /// The number of events in the stream.
    events: u64,
    /// The size that each batch claims.
    batch_bytes: usize,
    /// The event that is a schema change; 0 if there is none.
    schema_change: u64,
    /// The commit that fails, counted from 1 over the life of the world; 0 if none does.
    failing_commit: usize,
    /// The delivery of this event fails the first time; 0 if none does.
    failing_event: u64,
    read_delay: Delay,
    write_delay: Delay,
    commit_delay: Delay,
    dice: Arc<Mutex<fastrand::Rng>>,
    /// The events in the destination. This and the store survive a crash.
    log: Arc<Mutex<Vec<u64>>>,
    store: MemoryStore,
    happened: Arc<Mutex<Vec<(Instant, Happened)>>>,
}

/// From and to, in milliseconds.
type Delay = (u64, u64);

const SPLIT: &str = "stream";

impl World {
    fn new(events: u64) -> Self {
        Self {
            events,
            batch_bytes: 10,
            schema_change: 0,
            failing_commit: 0,
            failing_event: 0,
            read_delay: (10, 10),
            write_delay: (1, 1),
            commit_delay: (300, 300),
            dice: Arc::new(Mutex::new(fastrand::Rng::with_seed(1))),
            log: Arc::default(),
            store: MemoryStore::new(1),
            happened: Arc::default(),
        }
    }

    fn start(&self) -> Running {
        let sink = self.clone();
        let mut retry = Retry::default();
        (retry.first_pause, retry.longest_pause) = (Duration::ZERO, Duration::ZERO);
        let pipeline = Pipeline::builder("commits").source(self.clone()).sink(move || Ok(WorldSink { world: sink.clone(), last: 0 }));
        let pipeline = pipeline.store(self.clone()).flush_interval(Duration::from_millis(100)).retry(retry);
        pipeline.build().unwrap().start()
    }

    async fn delay(&self, (from, to): Delay) {
        let ms = self.dice.lock().unwrap().u64(from..=to);
        sleep(Duration::from_millis(ms)).await;
    }

    fn note(&self, happened: Happened) {
        self.happened.lock().unwrap().push((Instant::now(), happened));
    }

    fn happened(&self) -> Vec<(Instant, Happened)> {
        self.happened.lock().unwrap().clone()
    }

    fn acknowledged(&self) -> u64 {
        self.happened().iter().rev().find_map(|(_, happened)| if let Acknowledged(seq) = happened { Some(*seq) } else { None }).unwrap_or(0)
    }

    fn committed(&self) -> u64 {
        self.store.committed().split(&SplitId::from(SPLIT)).map_or(0, |split| split.checkpoint.position.as_str().parse().unwrap())
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let reached = async {
            while !what(self) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(600), reached).await.unwrap_or_else(|_| panic!("after {:?}", self.happened.lock().unwrap().last()));
    }
}

#[async_trait]
impl Source for World {
    async fn plan(&self, _: &Context, _: &Committed) -> Result<Plan> {
        let mut plan = Plan::new(Phase::Stream);
        plan.splits = vec![Split { id: SPLIT.into(), kind: SplitKind::Stream, start: "0".into() }];
        Ok(plan)
    }

    async fn open(&self, _: &Context, split: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(Reader { world: self.clone(), at: split.start.as_str().parse().unwrap() }))
    }
}

struct Reader {
    world: World,
    at: u64,
}

#[async_trait]
impl SplitReader for Reader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        if self.at == self.world.events {
            std::future::pending::<()>().await;
        }
        self.world.delay(self.world.read_delay).await;
        self.at += 1;
        let mut events = events(u128::from(self.at), 1);
        if self.at == self.world.schema_change {
            let change = SchemaChange::new(SchemaChangeKind::AlterTable, "contract", "ALTER TABLE rows COMMENT ''");
            events = events.into_iter().map(|event| Event { body: Body::Schema(change.clone()), ..event }).collect();
        }
        Ok(Some(Batch::new(events, Some(Position::from(self.at.to_string())), self.world.batch_bytes)))
    }
}

struct WorldSink {
    world: World,
    last: u64,
}

#[async_trait]
impl Sink for WorldSink {
    async fn open(&mut self, _: &Context, last: &Receipt) -> Result<()> {
        self.last = self.world.log.lock().unwrap().last().copied().unwrap_or(0);
        self.world.note(Opened(last.as_str().parse().unwrap_or(0)));
        // What is in the log when a sink is opened counts as acknowledged.
        self.world.note(Acknowledged(self.last));
        Ok(())
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        self.world.delay(self.world.write_delay).await;
        let last = batch.last_seq().unwrap_or(Seq(0)).0 as u64;
        if last > self.last {
            let opened = || self.world.happened().iter().filter(|(_, happened)| matches!(happened, Opened(_))).count();
            if last == self.world.failing_event && opened() == 1 {
                return Err(Error::retryable("the delivery failed"));
            }
            self.world.log.lock().unwrap().push(last);
            self.last = last;
        }
        self.world.delay(self.world.write_delay).await;
        self.world.note(Acknowledged(self.last));
        Ok(())
    }

    fn receipt(&self) -> Receipt {
        Receipt::new(self.last.to_string())
    }
}

#[async_trait]
impl CheckpointStore for World {
    async fn load(&self) -> Result<Committed> {
        self.store.load().await
    }

    async fn commit(&self, commit: Commit) -> Result<()> {
        let position = commit.splits.first().filter(|progress| progress.checkpoint.receipt != Receipt::default());
        let Some(position) = position.map(|progress| progress.checkpoint.position.as_str().parse().unwrap()) else {
            return self.store.commit(commit).await;
        };
        self.note(Began(position));
        let count = self.happened().iter().filter(|(_, happened)| matches!(happened, Began(_))).count();
        self.delay(self.commit_delay).await;
        if count == self.failing_commit {
            return Err(Error::retryable("the commit failed"));
        }
        self.store.commit(commit).await?;
        self.note(Written(position));
        // The answer may take its time, too.
        self.delay((0, self.commit_delay.1 / 10)).await;
        Ok(())
    }

    async fn peek(&self) -> Result<Option<Committed>> {
        self.store.peek().await
    }
}

#[tokio::test(start_paused = true)]
async fn batches_are_delivered_while_a_commit_is_written() {
    let world = World::new(200);
    let running = world.start();
    world.until(|world| world.committed() == 200).await;
    running.stop().await.unwrap();
    let happened = world.happened();
    let acknowledged: Vec<Instant> =
        happened.iter().filter(|(_, happened)| matches!(happened, Acknowledged(1..))).map(|(at, _)| *at).collect();
    let longest = acknowledged.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest < Duration::from_millis(50), "delivery was held up for {longest:?}");
    let commits = happened.iter().filter(|(_, happened)| matches!(happened, Written(_))).count();
    assert!((4..=10).contains(&commits), "{commits} commits of 300 ms in 2.4 s");
}

/// Whether at every moment everything before the committed position was acknowledged, and commits came one at a time and in order.
fn check(happened: &[(Instant, Happened)]) {
    let (mut acknowledged, mut began, mut committed) = (0, None, 0);
    for (_, happened) in happened {
        match happened {
            Opened(_) => began = None,
            Acknowledged(seq) => acknowledged = *seq,
            Began(position) => {
                assert!(*position <= acknowledged, "{position} is committed and {acknowledged} acknowledged");
                assert!(began.replace(position).is_none(), "two commits at once");
                assert!(*position >= committed, "{position} behind {committed}");
            }
            Written(position) => {
                assert_eq!(began.take(), Some(position));
                committed = *position;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Each life of the process ends at any moment: its runtime is dropped with all that is under way.
    #[test]
    fn no_commit_is_ahead_of_what_was_acknowledged(
        seed: u64,
        lives in prop::collection::vec(1u64..1500, 0..6),
        write_delay in 0u64..60,
        commit_delay in 0u64..400,
        failing_commit in 0usize..12,
        failing_event in 0u64..80,
    ) {
        let mut world = World::new(80);
        world.dice = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        (world.read_delay, world.write_delay, world.commit_delay) = ((0, 20), (0, write_delay), (0, commit_delay));
        (world.failing_commit, world.failing_event, world.schema_change) = (failing_commit, failing_event, 40);
        let alive = |life: Option<u64>| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let running = world.start();
                match life {
                    Some(ms) => _ = timeout(Duration::from_millis(ms), running.wait()).await,
                    None => {
                        world.until(|world| world.committed() == world.events).await;
                        running.stop().await.unwrap();
                    }
                }
            });
        };
        lives.iter().for_each(|ms| alive(Some(*ms)));
        alive(None);
        check(&world.happened());
        prop_assert!(world.log.lock().unwrap().iter().copied().eq(1..=80), "nothing is lost, repeated or out of order");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_commit_under_way_and_commits_the_rest() {
    for pause in [false, true] {
        let world = World::new(1000);
        let running = world.start();
        world.until(|world| world.happened().iter().any(|(_, happened)| matches!(happened, Began(1..)))).await;
        sleep(Duration::from_millis(100)).await;
        assert_eq!(world.committed(), 0, "the first commit is being written");
        match pause {
            true => running.pause().await,
            false => running.stop().await.unwrap(),
        }
        let (acknowledged, committed) = (world.acknowledged(), world.committed());
        assert!(acknowledged > 15 && committed == acknowledged, "{committed} of {acknowledged}");
        check(&world.happened());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_ends_the_lane_even_if_nothing_comes() {
    let mut world = World::new(5);
    world.failing_commit = 1;
    let running = world.start();
    world.until(|world| world.committed() == 5).await;
    let opened = world.happened().into_iter().filter(|(_, happened)| matches!(happened, Opened(_))).map(|(at, _)| at).collect::<Vec<_>>();
    assert!(opened.len() == 2 && opened[1] - opened[0] < Duration::from_secs(1), "{opened:?}");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_before_a_failed_delivery_is_committed_behind_the_commit_under_way() {
    let mut world = World::new(30);
    world.failing_event = 20;
    let running = world.start();
    world.until(|world| world.committed() == 30).await;
    running.stop().await.unwrap();
    let happened: Vec<Happened> = world.happened().into_iter().map(|(_, happened)| happened).collect();
    let reopened = happened.iter().rposition(|happened| matches!(happened, Opened(_))).unwrap();
    assert_eq!(happened[reopened], Opened(19));
    assert_eq!(happened[reopened - 1], Written(19));
    let before = happened[..reopened - 1].iter().filter(|happened| matches!(happened, Written(1..))).count();
    assert_eq!(before, 1, "the commit that was under way: {happened:?}");
    check(&world.happened());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_before_a_schema_change_is_committed() {
    let mut world = World::new(40);
    world.schema_change = 20;
    let running = world.start();
    world.until(|world| world.committed() == 40).await;
    running.stop().await.unwrap();
    let happened: Vec<Happened> = world.happened().into_iter().map(|(_, happened)| happened).collect();
    let at = |wanted| happened.iter().position(|happened| *happened == wanted).unwrap();
    assert!(at(Written(20)) < at(Acknowledged(21)), "{happened:?}");
    assert!(at(Acknowledged(20)) < at(Written(20)));
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_and_not_committed_is_limited() {
    const BATCH: usize = 30 << 20;
    let mut world = World::new(40);
    (world.batch_bytes, world.commit_delay) = (BATCH, (5000, 5000));
    let running = world.start();
    world.until(|world| world.committed() == 40).await;
    running.stop().await.unwrap();
    let (mut committed, mut most) = (0, 0);
    for (_, happened) in world.happened() {
        match happened {
            Acknowledged(seq) => most = most.max(seq - committed),
            Written(position) => committed = position,
            Opened(_) | Began(_) => {}
        }
    }
    // Twice what makes a commit due, and the batches that exceed it.
    assert!(most as usize * BATCH <= (128 << 20) + 2 * BATCH, "{most} batches");
}
