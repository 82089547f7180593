//! A stop and a pause are heeded wherever a task waits for a plugin.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::testing::MemoryStore;
use runtime::{
    Batch, Committed, Context, Error, Phase, Pipeline, Plan, Receipt, Result, RunState, Running, Sink, Source, Split, SplitKind,
    SplitReader, async_trait,
};
use tokio::time::{sleep, timeout};

/// The call that does not return the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Plan,
    OpenSink,
    OpenSource,
}

/// A source and a sink. One call of theirs hangs the first time. Notes the calls that were begun.
#[derive(Clone)]
struct Plugin {
    hangs: Call,
    /// Whether the lane of the second of two splits fails.
    second_fails: bool,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Plugin {
    async fn call(&self, call: Call) {
        let is_first = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(call);
            calls.iter().filter(|known| **known == call).count() == 1
        };
        if is_first && call == self.hangs {
            pending().await
        }
    }

    /// How often the call that hangs the first time was begun.
    fn begun(&self) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| **call == self.hangs).count()
    }
}

#[async_trait]
impl Source for Plugin {
    async fn plan(&self, _: &Context, _: &Committed) -> Result<Plan> {
        self.call(Call::Plan).await;
        let mut plan = Plan::new(Phase::Stream);
        let splits = if self.second_fails { &["first", "second"][..] } else { &["first"] };
        plan.splits = splits.iter().map(|id| Split { id: (*id).into(), kind: SplitKind::Stream, start: "0".into() }).collect();
        Ok(plan)
    }

    async fn open(&self, _: &Context, split: &Split, _: &Committed) -> Result<Box<dyn SplitReader>> {
        if split.id.as_str() == "second" {
            sleep(Duration::from_secs(1)).await;
            return Err(Error::fatal("the second split is broken"));
        }
        self.call(Call::OpenSource).await;
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl SplitReader for Plugin {
    async fn next(&mut self) -> Result<Option<Batch>> {
        pending().await
    }
}

#[async_trait]
impl Sink for Plugin {
    async fn open(&mut self, context: &Context, _: &Receipt) -> Result<()> {
        if context.lane().unwrap().split.as_str() == "first" {
            self.call(Call::OpenSink).await;
        }
        Ok(())
    }

    async fn write(&mut self, _: &mut Batch) -> Result<()> {
        Ok(())
    }
}

/// A pipeline in the call that hangs.
async fn hanging(hangs: Call, second_fails: bool) -> (Running, Plugin) {
    let plugin = Plugin { hangs, second_fails, calls: Arc::default() };
    let sink = plugin.clone();
    let pipeline = Pipeline::builder("stops").source(plugin.clone()).sink(move || Ok(sink.clone())).store(MemoryStore::new(1));
    let running = pipeline.build().unwrap().start();
    while plugin.begun() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    (running, plugin)
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_every_call_that_waits() {
    for call in [Call::Plan, Call::OpenSink, Call::OpenSource] {
        let (running, _) = hanging(call, false).await;
        timeout(Duration::from_secs(1), running.stop()).await.unwrap_or_else(|_| panic!("{call:?} continues")).unwrap();
        let (running, plugin) = hanging(call, false).await;
        timeout(Duration::from_secs(1), running.pause()).await.unwrap_or_else(|_| panic!("{call:?} continues"));
        assert_eq!(running.state(), RunState::Paused);
        running.resume();
        sleep(Duration::from_secs(1)).await;
        assert_eq!((running.state(), plugin.begun()), (RunState::Streaming, 2), "{call:?} is made again");
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_fails_ends_the_opening_of_the_others() {
    for call in [Call::OpenSink, Call::OpenSource] {
        let (running, _) = hanging(call, true).await;
        let ended = timeout(Duration::from_secs(10), running.wait()).await.unwrap_or_else(|_| panic!("{call:?} continues"));
        assert_eq!(ended.unwrap_err().message(), "the second split is broken");
    }
}
