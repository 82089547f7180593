//! The supervisor: load → plan → commit the start of every new split → run → join → plan again.
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # async fn example(source: Arc<dyn runtime::Source>, sink: impl runtime::Sink + Clone + Sync + 'static) -> runtime::Result<()> {
//! use runtime::{LocalStore, Pipeline};
//!
//! let running = Pipeline::builder("orders")
//!     .source(source)
//!     .sink(move || Ok(sink.clone()))
//!     .store(LocalStore::open("state/orders")?)
//!     .build()?
//!     .start(); // on the caller's tokio
//! println!("{:?}", running.status());
//! running.stop().await
//! # }
//! ```

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::lane::{self, Ended};
use crate::registry::{SinkFactory, TransformFactory};
use crate::stats::{RunState, Stats, Status, lock};
use crate::{Checkpoint, CheckpointStore, Committed, Error, Kind, Progress, Receipt, Result, Sink, Source, Split, SplitKind, Transform};

/// How failures that may pass are retried.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retry {
    /// How long without any progress before the task fails. DTS: "Retry Time for Failed Connections", default 720 minutes.
    pub window: Duration,
    /// The first pause is at most this long; each next one at most twice as long as the one before.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { window: Duration::from_secs(720 * 60), first_pause: Duration::from_millis(100), longest_pause: Duration::from_secs(30) }
    }
}

/// What the lanes of a pipeline share.
pub(crate) struct Plugins {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) transforms: Vec<TransformFactory>,
    pub(crate) sink: SinkFactory,
    pub(crate) store: Arc<dyn CheckpointStore>,
    pub(crate) flush_interval: Duration,
}

/// A pipeline that is put together and not started yet.
pub struct Pipeline {
    name: String,
    plugins: Plugins,
    parallelism: usize,
    retry: Retry,
}

/// Puts a pipeline together.
pub struct PipelineBuilder {
    name: String,
    source: Option<Arc<dyn Source>>,
    transforms: Vec<TransformFactory>,
    sink: Option<SinkFactory>,
    store: Option<Arc<dyn CheckpointStore>>,
    parallelism: usize,
    flush_interval: Duration,
    retry: Retry,
}

impl Pipeline {
    /// Begins a pipeline called `name`.
    pub fn builder(name: impl Into<String>) -> PipelineBuilder {
        PipelineBuilder {
            name: name.into(),
            source: None,
            transforms: Vec::new(),
            sink: None,
            store: None,
            parallelism: 4,
            flush_interval: Duration::from_secs(1),
            retry: Retry::default(),
        }
    }

    /// Starts it on the caller's tokio runtime.
    pub fn start(self) -> Running {
        let shared = Arc::new(Shared { stats: Stats::new(), error: Mutex::default(), state: watch::Sender::new(RunState::Starting) });
        let desired = watch::Sender::new(Desired::Run);
        let supervisor = Supervisor {
            plugins: Arc::new(self.plugins),
            parallelism: self.parallelism,
            retry: self.retry,
            shared: shared.clone(),
            desired: desired.subscribe(),
        };
        Running { name: self.name, shared, desired, task: tokio::spawn(supervisor.run()) }
    }
}

impl PipelineBuilder {
    /// Where events come from.
    #[must_use]
    pub fn source(mut self, source: Arc<dyn Source>) -> Self {
        self.source = Some(source);
        self
    }

    /// Adds a transform behind the ones that are there; `factory` makes one instance a lane.
    #[must_use]
    pub fn transform<T: Transform + 'static>(self, factory: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        self.transform_factory(Arc::new(move || Ok(Box::new(factory()?))))
    }

    /// As [`PipelineBuilder::transform`], with a factory from a registry.
    #[must_use]
    pub fn transform_factory(mut self, factory: TransformFactory) -> Self {
        self.transforms.push(factory);
        self
    }

    /// Where events go; `factory` makes one instance a lane.
    #[must_use]
    pub fn sink<T: Sink + 'static>(self, factory: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        self.sink_factory(Arc::new(move || Ok(Box::new(factory()?))))
    }

    /// As [`PipelineBuilder::sink`], with a factory from a registry.
    #[must_use]
    pub fn sink_factory(mut self, factory: SinkFactory) -> Self {
        self.sink = Some(factory);
        self
    }

    /// Where checkpoints are kept.
    #[must_use]
    pub fn store(self, store: impl CheckpointStore + 'static) -> Self {
        self.shared_store(Arc::new(store))
    }

    /// As [`PipelineBuilder::store`], with a store from a registry.
    #[must_use]
    pub fn shared_store(mut self, store: Arc<dyn CheckpointStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// How many snapshot splits run at once; 4 by default. Streams all run at once.
    #[must_use]
    pub fn parallelism(mut self, lanes: usize) -> Self {
        self.parallelism = lanes.max(1);
        self
    }

    /// The longest time between a delivery and its commit; 1 s by default.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// How failures that may pass are retried.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The pipeline; an error of kind `Config` if source, sink or store is missing.
    pub fn build(self) -> Result<Pipeline> {
        fn there<T>(part: Option<T>, what: &str) -> Result<T> {
            part.ok_or_else(|| Error::config(format!("build a pipeline without a {what}")))
        }
        let plugins = Plugins {
            source: there(self.source, "source")?,
            transforms: self.transforms,
            sink: there(self.sink, "sink")?,
            store: there(self.store, "store")?,
            flush_interval: self.flush_interval,
        };
        Ok(Pipeline { name: self.name, plugins, parallelism: self.parallelism, retry: self.retry })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Desired {
    Run,
    Pause,
    Stop,
}

struct Shared {
    stats: Stats,
    error: Mutex<Option<String>>,
    state: watch::Sender<RunState>,
}

/// A pipeline that runs. Dropping it lets it run on; use [`Running::stop`].
pub struct Running {
    name: String,
    shared: Arc<Shared>,
    desired: watch::Sender<Desired>,
    task: JoinHandle<Result<()>>,
}

impl Running {
    /// A snapshot of what it is doing.
    pub fn status(&self) -> Status {
        let error = lock(&self.shared.error).clone();
        Status { name: self.name.clone(), state: *self.shared.state.borrow(), error, splits: self.shared.stats.splits() }
    }

    /// Stops reading, delivers and commits what was read, closes everything, and waits for [`Running::resume`]. Returns when all is closed,
    /// or when the pipeline has ended.
    pub async fn pause(&self) {
        self.desired.send_replace(Desired::Pause);
        let settled = |state: &RunState| matches!(state, RunState::Paused | RunState::Stopped | RunState::Finished | RunState::Failed);
        // The sender lives in `self.shared`, so this cannot fail.
        let _ = self.shared.state.subscribe().wait_for(settled).await;
    }

    /// Goes on after [`Running::pause`], from the checkpoint.
    pub fn resume(&self) {
        self.desired.send_replace(Desired::Run);
    }

    /// Asks it to stop at a commit, without waiting; [`Running::wait`] then returns.
    pub fn request_stop(&self) {
        self.desired.send_replace(Desired::Stop);
    }

    /// Stops at a commit and waits for the end.
    pub async fn stop(self) -> Result<()> {
        self.request_stop();
        self.wait().await
    }

    /// Waits until it ends: by itself, by a stop, or by an error.
    pub async fn wait(mut self) -> Result<()> {
        self.wait_mut().await
    }

    /// As [`Running::wait`], for callers that go on asking for the status; cancel-safe. Not to be called again after it returned.
    pub async fn wait_mut(&mut self) -> Result<()> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(panic) => Err(Error::fatal("run the pipeline").because(panic)),
        }
    }
}

struct Supervisor {
    plugins: Arc<Plugins>,
    parallelism: usize,
    retry: Retry,
    shared: Arc<Shared>,
    desired: watch::Receiver<Desired>,
}

enum Round {
    Finished,
    Again,
}

impl Supervisor {
    async fn run(mut self) -> Result<()> {
        let mut pause = self.retry.first_pause;
        let mut panicked_at = None;
        loop {
            let desired = *self.desired.borrow_and_update();
            match desired {
                Desired::Stop => return self.end(RunState::Stopped, Ok(())),
                Desired::Pause => {
                    self.shared.state.send_replace(RunState::Paused);
                    // An error means that the handle is gone: nobody can resume any more.
                    if self.desired.changed().await.is_err() {
                        return self.end(RunState::Stopped, Ok(()));
                    }
                    continue;
                }
                Desired::Run => {}
            }
            let before = self.shared.stats.last_progress();
            let error = match self.round().await {
                Ok(Round::Finished) => return self.end(RunState::Finished, Ok(())),
                Ok(Round::Again) => {
                    pause = self.retry.first_pause;
                    continue;
                }
                Err(error) => error,
            };
            let progress = self.shared.stats.last_progress();
            if progress > before {
                pause = self.retry.first_pause;
            }
            // A panic may be an accident once; at the same place again it is a defect that no retry mends.
            if error.code() == Some("E_PANIC") && panicked_at.replace(progress) == Some(progress) {
                return self.end(RunState::Failed, Err(error.into_kind(Kind::Fatal)));
            }
            if error.kind() != Kind::Retryable {
                return self.end(RunState::Failed, Err(error));
            }
            if progress.elapsed() >= self.retry.window {
                let minutes = self.retry.window.as_secs_f64() / 60.0;
                return self.end(RunState::Failed, Err(error.remedied_by(format!("it was retried for {minutes:.1} minutes without progress; see to the cause, then start the task again: it goes on from its checkpoint"))));
            }
            tracing::warn!(error = %error, pause_ms = pause.as_millis() as u64, "opening the lanes again after a failure");
            *lock(&self.shared.error) = Some(error.to_string());
            self.shared.state.send_replace(RunState::Retrying);
            // Full jitter, so that many tasks do not come back in step.
            let jittered = pause.mul_f64(fastrand::f64().max(0.05));
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                _ = self.desired.changed() => {}
            }
            pause = (pause * 2).min(self.retry.longest_pause);
        }
    }

    fn end(&self, state: RunState, result: Result<()>) -> Result<()> {
        *lock(&self.shared.error) = result.as_ref().err().map(ToString::to_string);
        self.shared.state.send_replace(state);
        result
    }

    async fn round(&mut self) -> Result<Round> {
        let mut committed = self.plugins.store.load().await?;
        let transforms = self.plugins.transforms.iter().map(|factory| factory()).collect::<Result<Vec<_>>>()?;
        let pushdown: Vec<_> = transforms.iter().flat_map(|transform| transform.pushdown()).collect();
        let splits = self.plugins.source.plan(&committed, &pushdown).await?;
        if splits.is_empty() {
            return Ok(Round::Finished);
        }
        // Invariant: a stream's start is durable before the first chunk is read, or a restart would begin the stream too late.
        let starts: Vec<Progress> = splits.iter().filter(|split| !committed.splits.contains_key(&split.id)).map(start_of).collect();
        if !starts.is_empty() {
            starts.iter().for_each(|start| committed.apply(start));
            self.plugins.store.commit(starts).await?;
            // Numbers are the store's to give.
            committed = self.plugins.store.load().await?;
        }
        let (snapshots, streams): (Vec<Split>, Vec<Split>) = splits.into_iter().partition(|split| split.kind == SplitKind::Snapshot);
        let (state, lanes, at_once) = if snapshots.is_empty() {
            let all = streams.len();
            (RunState::Streaming, streams, all)
        } else {
            (RunState::Snapshot, snapshots, self.parallelism)
        };
        *lock(&self.shared.error) = None;
        self.shared.state.send_replace(state);
        self.run_lanes(lanes.into(), at_once, Arc::new(committed)).await
    }

    /// Runs lanes until all have ended. On the first error, or when something else than running is desired, the others are stopped.
    ///
    /// Invariant: every lane is joined before this returns. An old lane that still writes while a new one looks at what was delivered breaks
    /// the order of records.
    async fn run_lanes(&mut self, mut waiting: VecDeque<Split>, at_once: usize, committed: Arc<Committed>) -> Result<Round> {
        let stop = watch::Sender::new(false);
        let mut lanes = JoinSet::new();
        let mut failed = None;
        loop {
            if *self.desired.borrow_and_update() != Desired::Run {
                stop.send_replace(true);
            }
            while lanes.len() < at_once && !*stop.borrow() {
                let Some(split) = waiting.pop_front() else { break };
                let stats = self.shared.stats.split(&split);
                stats.opened.fetch_add(1, Relaxed);
                lanes.spawn(lane::run(self.plugins.clone(), split, committed.clone(), stats, stop.subscribe()));
            }
            let stopping = *stop.borrow();
            let joined = tokio::select! {
                joined = lanes.join_next() => joined,
                // An error means that the handle is gone: nobody can ask for anything else any more.
                Ok(()) = self.desired.changed(), if !stopping => continue,
            };
            let error = match joined {
                None => break,
                Some(Ok(Ok(Ended::Finished | Ended::Stopped))) => None,
                Some(Ok(Err(error))) => Some(error),
                Some(Err(panic)) => Some(Error::retryable("run a lane").because(panic).with_code("E_PANIC")),
            };
            if let Some(error) = error {
                stop.send_replace(true);
                // The first error tells the cause; a worse one of another lane decides.
                match &failed {
                    Some(first) if error_rank(first) >= error_rank(&error) => tracing::debug!(%error, "another lane failed too"),
                    _ => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(Round::Again), Err)
    }
}

fn start_of(split: &Split) -> Progress {
    Progress {
        split: split.id.clone(),
        checkpoint: Checkpoint { position: split.start.clone(), receipt: Receipt::default(), done: false },
        schemas: split.schemas.iter().map(|schema| (schema.id.clone(), Some(schema.clone()))).collect(),
        state: split.state.clone(),
    }
}

fn error_rank(error: &Error) -> u8 {
    match error.kind() {
        Kind::Retryable => 0,
        Kind::Data => 1,
        Kind::Config => 2,
        Kind::Fatal => 3,
    }
}
