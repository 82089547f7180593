//! Putting a pipeline together, and the handle of one that runs.
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

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::budget::Budget;
use crate::registry::{SinkFactory, TransformFactory};
use crate::stats::{RunState, Stats, Status, lock};
use crate::supervisor::{Desired, Shared, Supervisor};
use crate::{CheckpointStore, Error, Result, Sink, Source, Transform};

/// Room for the batches of all lanes: far more than a usual task takes, far less than a usual machine has.
const MEMORY_MAX_BYTES: usize = 512 << 20;

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
    pub(crate) budget: Budget,
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
    memory_max_bytes: usize,
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
            memory_max_bytes: MEMORY_MAX_BYTES,
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

    /// How many bytes of cells all lanes together may hold between reading and delivery; 512 MiB by default. A batch that is larger waits
    /// until nothing else is held, and passes alone.
    #[must_use]
    pub fn memory_max_bytes(mut self, bytes: usize) -> Self {
        self.memory_max_bytes = bytes;
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
            budget: Budget::new(self.memory_max_bytes),
        };
        Ok(Pipeline { name: self.name, plugins, parallelism: self.parallelism, retry: self.retry })
    }
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
        Status {
            name: self.name.clone(),
            state: *self.shared.state.borrow(),
            error,
            splits: self.shared.stats.splits(),
            tables: self.shared.stats.tables(),
        }
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
