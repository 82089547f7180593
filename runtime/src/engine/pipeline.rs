//! Pipelines and their builder.
//!
//! ```no_run
//! # async fn example(source: impl runtime::Source + 'static, sink: impl runtime::Sink + Clone + Sync + 'static) -> runtime::Result<()> {
//! use runtime::{LocalStore, Pipeline};
//!
//! let running = Pipeline::builder("orders")
//!     .source(source)
//!     .sink(move || Ok(sink.clone()))
//!     .store(LocalStore::new("state/orders"))
//!     .build()?
//!     .start(); // on the caller's tokio
//! println!("{:?}", running.status());
//! running.stop().await
//! # }
//! ```

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::budget::Budget;
use super::ledger::Ledger;
use super::named_transform::NamedTransform;
use super::preview::{self, Previewed};
use super::registry::SinkFactory;
use super::rejections::Rules;
use super::running::Running;
use super::seams::Seams;
use super::shape;
use super::stats::{RunState, Stats};
use super::supervisor::{Desired, Shared, Supervisor};
use super::task::{Retry, Task};
use crate::api::context::{Pushdown, TaskContext};
use crate::{
    Batch, Body, CheckpointStore, Commit, Context, DataErrors, Error, Event, Finding, Metrics, Notices, OnDataError, Played, Progress,
    Refetched, Resnapshot, Result, Sink, Source, TableId, TableSchema, TestInput, Transform,
};

/// The default memory limit for the batches of all lanes. It is far more than a usual task needs, and far less than a usual machine has.
const MEMORY_MAX_BYTES: usize = 512 << 20;

/// The default size of a batch, in bytes of cells.
const BATCH_MAX_BYTES: usize = 1 << 20;

/// A pipeline that is built but not started yet.
pub struct Pipeline {
    task: Task,
    retry: Retry,
}

/// What the transforms have made of the input of a test.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Rehearsed {
    /// The events that a sink would be given, in their order.
    pub events: Vec<Event>,
    /// The events that a transform has rejected, and why.
    pub rejected: Vec<(Event, Error)>,
    /// The selected tables that the input has made, as the source has them, with each of their schemas.
    pub tables: Vec<Arc<TableSchema>>,
    /// The tables that the input has changed and the source does not select.
    pub not_selected: Vec<TableId>,
}

/// Builds a [`Pipeline`].
pub struct PipelineBuilder {
    name: String,
    source: Option<Arc<dyn Source>>,
    transforms: Vec<NamedTransform>,
    sink: Option<SinkFactory>,
    dead_letters: Option<SinkFactory>,
    data_errors: DataErrors,
    store: Option<Arc<dyn CheckpointStore>>,
    state_dir: Option<PathBuf>,
    batch_max_bytes: usize,
    flush_interval: Duration,
    memory_max_bytes: usize,
    retry: Retry,
}

impl Pipeline {
    /// Creates a builder for a pipeline called `name`.
    pub fn builder(name: impl Into<String>) -> PipelineBuilder {
        PipelineBuilder {
            name: name.into(),
            source: None,
            transforms: Vec::new(),
            sink: None,
            dead_letters: None,
            data_errors: DataErrors::default(),
            store: None,
            state_dir: None,
            batch_max_bytes: BATCH_MAX_BYTES,
            flush_interval: Duration::from_secs(1),
            memory_max_bytes: MEMORY_MAX_BYTES,
            retry: Retry::default(),
        }
    }

    /// Looks for everything that would make the task fail, without changing anything. It checks the source, the sink, and whether a task
    /// that has run before can continue from its checkpoint.
    pub async fn check(&self) -> Vec<Finding> {
        let Task { source, sink, dead_letters, ledger, context, .. } = &self.task;
        let peeked = ledger.store().peek().await;
        let context = &match &peeked {
            Ok(committed) => context.for_check(committed.as_ref()),
            Err(_) => context.clone(),
        };
        let (committed, checkpoint) = match peeked {
            Ok(Some(committed)) if !committed.is_new() => (Some(committed), None),
            Ok(_) => (None, Some(Finding::passed("checkpoint", "there is none yet: the task starts from its beginning"))),
            Err(error) if error.code() == Some("E_STORE_LOCKED") => {
                let what = "the task is running, so its checkpoint was not read";
                (None, Some(Finding::warning("checkpoint", what, "stop the task to check whether it could continue")))
            }
            Err(error) => (None, Some(Finding::from_error("checkpoint", &error))),
        };
        let check_sink = async {
            match sink() {
                Ok(mut sink) => sink.check(context).await,
                Err(error) => vec![Finding::from_error("sink", &error)],
            }
        };
        let check_letters = async {
            let of_letters = |finding: Finding| Finding { item: format!("dead_letters_{}", finding.item).into(), ..finding };
            let found = match dead_letters.as_ref().map(|make| make()).transpose() {
                Ok(Some(mut letters)) => letters.check(&context.for_letters()).await,
                Ok(None) => Vec::new(),
                Err(error) => vec![Finding::from_error("sink", &error)],
            };
            found.into_iter().map(of_letters).collect::<Vec<_>>()
        };
        let check_transforms = async {
            if self.task.transforms.is_empty() {
                return Vec::new();
            }
            // A source that cannot be reached says so in its own check.
            let tables = source.tables(context).await.unwrap_or_default();
            shape::check(&self.task.transforms, tables).unwrap_or_else(|error| vec![Finding::from_error("transform", &error)])
        };
        let (mut findings, of_sink, of_letters, of_transforms) =
            tokio::join!(source.check(context, committed.as_ref()), check_sink, check_letters, check_transforms);
        findings.extend(of_transforms);
        match committed.as_ref().map(|committed| self.task.seams.changes(committed)) {
            Some(Ok(changes)) if !changes.is_empty() => {
                let what = format!("the transforms are not those of the last run: {}", changes.join(", "));
                let help = "put the settings back if they are not to hold from the next record on";
                findings.push(Finding::warning("transform", what, help));
            }
            Some(Err(error)) => findings.push(Finding::from_error("checkpoint", &error)),
            Some(Ok(_)) | None => {}
        }
        findings.extend(of_sink);
        findings.extend(of_letters);
        findings.extend(checkpoint);
        findings
    }

    /// Checks the transforms against the tables that the source selects now, as a part of [`Pipeline::check`]. Returns the warnings. Fails with an
    /// error of kind `Config` if the task could not start with these transforms, or if the source cannot tell its tables.
    pub async fn check_transforms(&self) -> Result<Vec<Finding>> {
        let Task { source, transforms, context, .. } = &self.task;
        if transforms.is_empty() {
            return Ok(Vec::new());
        }
        shape::refuse_failed(shape::check(transforms, source.tables(context).await?)?)
    }

    /// Checks the transforms against the tables that tests of the configuration have made, instead of those of a server. Returns the warnings,
    /// and fails with an error of kind `Config` if the task could not start. What only some versions of a table show is not found.
    pub fn check_rehearsed(&self, tests: &[Rehearsed]) -> Result<Vec<Finding>> {
        let versions = tests.iter().flat_map(|test| &test.tables);
        shape::refuse_failed(shape::check_versions(&self.task.transforms, versions)?)
    }

    /// Reads the schema of a table again and replaces the one in the checkpoint, for a task that has stopped because what it knows of the table
    /// is wrong. Fails, and changes nothing, if the task runs, or if the source cannot tell that the schema holds where the task has stopped.
    pub async fn refetch_schema(&self, table: &TableId) -> Result<Refetched> {
        let Task { source, ledger, context, .. } = &self.task;
        if ledger.store().peek().await?.is_none_or(|committed| committed.is_new()) {
            return Err(Error::config("there is no checkpoint of the task yet, so it knows no schema").of_table(table));
        }
        // From here on, no other process can start the task.
        let committed = ledger.load().await?;
        let refetched = source.refetch_schema(&context.for_check(Some(&committed)), &committed, table).await?;
        let mut splits = Vec::new();
        for (id, schema) in &refetched.schemas {
            let split =
                committed.split(id).ok_or_else(|| Error::fatal(format!("the source names the split {id}, which does not exist")))?;
            let (number, checkpoint) = (split.number, split.checkpoint.clone());
            splits.push(Progress { split: id.clone(), number, checkpoint, schemas: vec![(schema.id.clone(), Some(schema.clone()))] });
        }
        ledger.commit(Commit { facts: refetched.facts.clone(), splits, ..Commit::default() }).await?;
        Ok(refetched)
    }

    /// Has the rows of a table read again when the task starts next. Fails, and changes nothing, if the task runs, or if the source cannot read
    /// them.
    pub async fn resnapshot(&self, what: &Resnapshot) -> Result<()> {
        let Task { source, ledger, context, .. } = &self.task;
        if ledger.store().peek().await?.is_none_or(|committed| committed.is_new()) {
            return Err(Error::config("there is no checkpoint of the task yet, so it has read no rows").of_table(&what.table));
        }
        // From here on, no other process can start the task.
        let committed = ledger.load().await?;
        let facts = source.resnapshot(&context.for_check(Some(&committed)), &committed, what).await?;
        ledger.commit(Commit { facts, ..Commit::default() }).await
    }

    /// Plays the input of a test without a server, and returns what the transforms make of it.
    pub fn rehearse(&self, input: &[TestInput]) -> Result<Rehearsed> {
        let mut transforms = self.task.transforms()?;
        let Played { events, not_selected, .. } = self.task.source.rehearse(input)?;
        let mut rehearsed = Rehearsed { not_selected, ..Rehearsed::default() };
        for event in events {
            if let Body::Schema(change) = &event.body {
                rehearsed.tables.extend(change.tables.iter().filter_map(|(_, schema)| schema.clone()));
            }
            // Each event travels alone, as a schema change must.
            let mut batch = Batch::new(vec![event], None, 0);
            for (number, (transform, named)) in (1..).zip(transforms.iter_mut().zip(&self.task.transforms)) {
                let place = || format!("transforming with `{}`, transform number {number}", named.name());
                transform.apply(&mut batch).map_err(|error| error.while_doing(place()))?;
                let rejected = batch.take_rejected().into_iter();
                rehearsed.rejected.extend(rejected.map(|(event, error)| (event, error.while_doing(place()))));
            }
            rehearsed.events.append(&mut batch.events);
        }
        Ok(rehearsed)
    }

    /// Shows what becomes of the first rows of a table, at most `limit`: the transforms, and then the records of the sink. Writes nothing, and
    /// connects only to the source. Fails if the source cannot give rows, or if the settings do not fit the table.
    pub async fn preview(&self, table: &TableId, limit: usize) -> Result<Vec<Previewed>> {
        preview::preview(&self.task, table, limit).await
    }

    /// Starts the pipeline on the caller's tokio runtime.
    pub fn start(self) -> Running {
        let Self { task, retry } = self;
        let stats = Stats::new(task.context.metrics().clone());
        let (error, state, seams) = (Mutex::default(), watch::Sender::new(RunState::Starting), task.seams.clone());
        let shared = Arc::new(Shared { stats, error, state, seams });
        let desired = watch::Sender::new(Desired::Run);
        let (parallelism, context) = (task.source.info().parallelism.max(1), task.context.clone());
        let supervisor = Supervisor { task: Arc::new(task), parallelism, retry, shared: shared.clone(), desired: desired.subscribe() };
        Running::new(context, shared, desired, tokio::spawn(supervisor.run()))
    }
}

impl PipelineBuilder {
    /// Sets the source, from which events come.
    #[must_use]
    pub fn source(self, source: impl Source + 'static) -> Self {
        self.shared_source(Arc::new(source))
    }

    /// Like [`PipelineBuilder::source`], but takes a source that a registry has built.
    #[must_use]
    pub fn shared_source(mut self, source: Arc<dyn Source>) -> Self {
        self.source = Some(source);
        self
    }

    /// Adds a transform, which runs after the transforms that were added before. `factory` makes one instance per lane.
    #[must_use]
    pub fn transform<T: Transform + 'static>(self, factory: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        self.named_transform(NamedTransform::in_code(factory))
    }

    /// Like [`PipelineBuilder::transform`], but takes a transform that a registry has built.
    #[must_use]
    pub fn named_transform(mut self, transform: NamedTransform) -> Self {
        self.transforms.push(transform);
        self
    }

    /// Sets the sink, to which events go. `factory` makes one instance per lane.
    #[must_use]
    pub fn sink<T: Sink + 'static>(self, factory: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        self.sink_factory(Arc::new(move || Ok(Box::new(factory()?))))
    }

    /// Like [`PipelineBuilder::sink`], but takes a factory that a registry has built.
    #[must_use]
    pub fn sink_factory(mut self, factory: SinkFactory) -> Self {
        self.sink = Some(factory);
        self
    }

    /// Sets the sink for dead letters: rows that cannot be delivered, as [`PipelineBuilder::on_data_error`] says. `factory` makes one instance
    /// per lane.
    #[must_use]
    pub fn dead_letters<T: Sink + 'static>(self, factory: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        self.dead_letters_factory(Arc::new(move || Ok(Box::new(factory()?))))
    }

    /// Like [`PipelineBuilder::dead_letters`], but takes a factory that a registry has built.
    #[must_use]
    pub fn dead_letters_factory(mut self, factory: SinkFactory) -> Self {
        self.dead_letters = Some(factory);
        self
    }

    /// Sets what becomes of rows that cannot be delivered. By default the first one stops the task.
    #[must_use]
    pub fn on_data_error(mut self, errors: DataErrors) -> Self {
        self.data_errors = errors;
        self
    }

    /// Sets the store, in which checkpoints are kept.
    #[must_use]
    pub fn store(self, store: impl CheckpointStore + 'static) -> Self {
        self.shared_store(Arc::new(store))
    }

    /// Like [`PipelineBuilder::store`], but takes a store that a registry has built.
    #[must_use]
    pub fn shared_store(mut self, store: Arc<dyn CheckpointStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the directory in which plugins keep files of this task. The default is the directory of the store, if the store has one.
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Sets how many bytes of cells the source puts into one batch; 1 MiB by default.
    #[must_use]
    pub fn batch_max_bytes(mut self, bytes: usize) -> Self {
        self.batch_max_bytes = bytes;
        self
    }

    /// Sets the longest time between a delivery and its commit; 1 s by default.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Sets how many bytes of cells all lanes together may hold between reading and delivery; 512 MiB by default. A batch that is larger
    /// than the limit waits until no other batch is held.
    #[must_use]
    pub fn memory_max_bytes(mut self, bytes: usize) -> Self {
        self.memory_max_bytes = bytes;
        self
    }

    /// Sets how temporary failures are retried.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Builds the pipeline. Fails with an error of kind `Config` if the source, the sink or the store is missing, if a transform cannot be
    /// made, if rows are to become dead letters and there is no sink that accepts them, or the other way round, or if there is a limit of
    /// rejected rows and no row can be rejected.
    pub fn build(self) -> Result<Pipeline> {
        fn required<T>(part: Option<T>, what: &str) -> Result<T> {
            part.ok_or_else(|| Error::config(format!("the pipeline has no {what}")))
        }
        let (source, store) = (required(self.source, "source")?, required(self.store, "store")?);
        let mut transforms = self.transforms.iter().map(|named| Ok(named.make()?.fingerprint())).collect::<Result<Vec<_>>>()?;
        // A transform that changes neither names nor keys may come and go.
        transforms.retain(|fingerprint| !fingerprint.is_empty());
        let sink = required(self.sink, "sink")?;
        check_errors(self.dead_letters.as_ref(), &sink, &self.data_errors)?;
        let metrics = Metrics::default();
        let named = self.transforms.clone();
        let pushdown = Pushdown::new(move |schema| {
            let mut transforms = named.iter().map(NamedTransform::make).collect::<Result<Vec<_>>>()?;
            shape::pushdown(&mut transforms, schema)
        });
        let context = Context::new(TaskContext {
            name: self.name,
            batch_max_bytes: self.batch_max_bytes,
            state_dir: self.state_dir.or_else(|| store.directory().map(Into::into)),
            transforms: transforms.join("\n"),
            pushdown,
            source: source.info(),
            notices: Notices::new(&metrics),
            metrics,
        });
        let task = Task {
            source,
            seams: Arc::new(Seams::new(&self.transforms)),
            transforms: self.transforms,
            sink,
            dead_letters: self.dead_letters,
            rules: Rules::new(self.data_errors),
            ledger: Arc::new(Ledger::new(store)),
            context,
            flush_interval: self.flush_interval,
            budget: Budget::new(self.memory_max_bytes),
        };
        Ok(Pipeline { task, retry: self.retry })
    }
}

/// Fails unless there is a sink for dead letters exactly if rows are to become dead letters, and it accepts them; or if there is a limit of
/// rejected rows, and no row can be rejected.
fn check_errors(letters: Option<&SinkFactory>, sink: &SinkFactory, errors: &DataErrors) -> Result<()> {
    if errors.has_idle_limit() {
        return Err(Error::config("key `errors.max_rejected` has no effect: the first row that cannot be delivered ends the task")
            .with_help("set `errors.on_data_error` or one of `errors.causes` to \"skip\" or \"dead_letters\", or remove the key"));
    }
    match (letters, errors.uses(OnDataError::DeadLetters)) {
        (None, false) => Ok(()),
        (None, true) => Err(Error::config("rows that cannot be delivered are to become dead letters, and there is no sink for them")
            .with_help("add [dead_letters.<sink>], a sink with settings of its own")),
        (Some(_), false) => Err(Error::config("there is a sink for dead letters, and no error makes a row one")
            .with_help("set `errors.on_data_error` or one of `errors.causes` to \"dead_letters\", or remove [dead_letters]")),
        (Some(make), true) => make()?.accepts_letters(&*sink()?),
    }
}
