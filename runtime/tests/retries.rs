//! The retry window, in paused time.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use runtime::testing::{MemoryStore, events};
use runtime::{
    Batch, Committed, Context, Error, Kind, Phase, Pipeline, Plan, Receipt, Result, Retry, RunState, Running, Seq, Sink, Source, Split,
    SplitKind, SplitReader, async_trait,
};
use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

const WINDOW: Duration = Duration::from_secs(600);

/// What a reader does next.
#[derive(Clone, Copy)]
enum Step {
    /// Wait for so many seconds.
    Wait(u64),
    /// Return the event with this number, without a resume position.
    Event(u128),
    /// Fail; the next lane continues with the next step.
    Fail,
}

/// A stream that follows a list of steps across all its lanes. Behind the last step it fails for ever, or waits for ever.
#[derive(Clone)]
struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    fails_at_end: bool,
}

#[async_trait]
impl Source for Script {
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
impl SplitReader for Script {
    async fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            let step = self.steps.lock().unwrap().pop_front();
            match step {
                Some(Step::Wait(seconds)) => sleep(Duration::from_secs(seconds)).await,
                Some(Step::Event(seq)) => return Ok(Some(Batch::new(events(seq, 1), None, 1))),
                None if !self.fails_at_end => std::future::pending().await,
                Some(Step::Fail) | None => return Err(Error::retryable("the server is away").with_help("start the server")),
            }
        }
    }
}

/// Accepts everything but one event, which it refuses for a while.
struct Picky(Option<Seq>);

#[async_trait]
impl Sink for Picky {
    async fn open(&mut self, _: &Context, _: &Receipt) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        match batch.events.iter().any(|event| Some(event.seq) == self.0) {
            true => Err(Error::retryable("the partition has no leader")),
            false => Ok(()),
        }
    }
}

fn start(steps: &[Step], fails_at_end: bool) -> Running {
    let source = Script { steps: Arc::new(Mutex::new(steps.iter().copied().collect())), fails_at_end };
    pipeline(source, None)
}

fn pipeline(source: impl Source + 'static, refused: Option<Seq>) -> Running {
    let mut retry = Retry::default();
    (retry.window, retry.first_pause, retry.longest_pause) = (WINDOW, Duration::from_secs(1), Duration::from_secs(30));
    let pipeline = Pipeline::builder("retries").source(source).sink(move || Ok(Picky(refused))).store(MemoryStore::new(1)).retry(retry);
    pipeline.build().unwrap().start()
}

/// Waits until the script is at its end, and nothing has failed since.
async fn runs_on(running: Running, within: Duration) {
    sleep(within).await;
    assert_eq!(running.state(), RunState::Streaming);
    running.stop().await.unwrap();
}

/// How long the task was retried before it ended. `before` is the time before its last first failure.
async fn retried_for(running: Running, before: Duration) -> Duration {
    let start = Instant::now();
    let error = running.wait().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Retryable);
    start.elapsed() - before
}

#[track_caller]
fn is_the_window(found: Duration) {
    // The window ends at the first failure behind its end, so at most a pause later.
    assert!(found >= WINDOW && found < WINDOW + Duration::from_secs(60), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_transaction_has_the_whole_window() {
    let mut steps: Vec<Step> = (1..=20).flat_map(|seq| [Step::Wait(60), Step::Event(seq)]).collect();
    steps.push(Step::Fail);
    runs_on(start(&steps, false), 3 * WINDOW).await;
    let running = start(&steps, true);
    is_the_window(retried_for(running, Duration::from_secs(20 * 60)).await);
}

#[tokio::test(start_paused = true)]
async fn an_idle_task_has_the_whole_window() {
    let idle = Step::Wait(3600);
    runs_on(start(&[idle, Step::Fail], false), 10 * WINDOW).await;
    // Between two failures the stream has worked, although it had no event.
    runs_on(start(&[Step::Fail, idle, Step::Fail], false), 10 * WINDOW).await;
    is_the_window(retried_for(start(&[idle], true), Duration::from_secs(3600)).await);
}

#[tokio::test(start_paused = true)]
async fn a_paused_task_has_the_whole_window() {
    let running = start(&[Step::Fail, Step::Fail, Step::Fail], true);
    sleep(WINDOW / 2).await;
    assert_eq!(running.state(), RunState::Retrying);
    running.pause().await;
    sleep(3 * WINDOW).await;
    running.resume();
    is_the_window(retried_for(running, Duration::ZERO).await);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_only_delivered_again_do_not_prolong_the_window() {
    /// A transaction of ten events, which is read from its start whenever a lane is opened.
    struct Transaction;
    #[async_trait]
    impl Source for Transaction {
        async fn plan(&self, context: &Context, committed: &Committed) -> Result<Plan> {
            Script { steps: Arc::default(), fails_at_end: false }.plan(context, committed).await
        }

        async fn open(&self, _: &Context, _: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
            Ok(Box::new(Script { steps: Arc::new(Mutex::new((1..=10).map(Step::Event).collect())), fails_at_end: false }))
        }
    }
    is_the_window(retried_for(pipeline(Transaction, Some(Seq(7))), Duration::ZERO).await);
}

#[tokio::test(start_paused = true)]
async fn the_help_of_the_error_stays_when_the_window_ends() {
    let error = start(&[], true).wait().await.unwrap_err();
    let help = error.help().unwrap();
    assert!(help.starts_with("start the server; ") && help.contains("10 minutes without progress"), "{help}");
}

/// Collects the warnings of one thread. The tests of this file run at the same time, each in a thread of its own.
#[derive(Clone)]
struct Warnings {
    thread: ThreadId,
    seen: Arc<Mutex<Vec<Warning>>>,
}

#[derive(Clone, Debug, Default)]
struct Warning {
    at: Option<Instant>,
    message: String,
    help: String,
    pause_ms: u64,
}

impl Visit for Warning {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "help" {
            self.help = value.into();
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "pause_ms" {
            self.pause_ms = value;
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut warning = Warning { at: Some(Instant::now()), ..Warning::default() };
        event.record(&mut warning);
        if std::thread::current().id() == self.thread {
            self.seen.lock().unwrap().push(warning);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_log_names_the_pause_that_is_taken() {
    let warnings = Warnings { thread: std::thread::current().id(), seen: Arc::default() };
    tracing::subscriber::set_global_default(warnings.clone()).unwrap();
    // Another thread may have passed the warning before, when nobody wanted it.
    tracing::callsite::rebuild_interest_cache();
    start(&[], true).wait().await.unwrap_err();
    let seen = warnings.seen.lock().unwrap().clone();
    assert!(seen.len() > 20, "{seen:?}");
    for pair in seen.windows(2) {
        let Warning { at, message, help, pause_ms } = &pair[0];
        assert_eq!(message, &format!("the task failed and is tried again in {pause_ms} ms"));
        assert_eq!(help, "start the server");
        let taken = (pair[1].at.unwrap() - at.unwrap()).as_millis() as u64;
        // Timers are exact to a millisecond.
        assert!(taken.abs_diff(*pause_ms) <= 2, "{taken} ms instead of {pause_ms} ms");
    }
}
