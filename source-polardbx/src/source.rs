//! The source: it opens the splits that the planner has planned.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::{
    Committed, Context, Error, Event, Facts, Finding, Plan, Played, Position, Refetched, Renumbered, Resnapshot, Source, SourceInfo, Split,
    SplitReader, TableId, TableSchema, TestInput, async_trait,
};

use crate::binlog::{
    IgnoredTables, LastEnd, PreparedTransactions, Refusals, RowsWithoutEvents, StreamOptions, StreamPosition, StreamReader, Undecodable,
    Upstream,
};
use crate::builder::PolardbxSourceBuilder;
use crate::check;
use crate::config::{Config, NewTables, Phase, SourceSettings, StreamSplit};
use crate::denials::{Denials, Judged};
use crate::error::{Result, SourceError};
use crate::facts::{CatchUpEnds, DatabaseCollations, TaskFacts, facts_of_stream, selection_of_task};
use crate::failover::renumbered;
use crate::in_band::{InBandOptions, InBandReader, remove_chunk_files};
use crate::planner::Planner;
use crate::refetch::refetch;
use crate::rehearsal::rehearse;
use crate::resnapshot::resnapshot;
use crate::schema::{FollowedTable, OtherObjects, Unstated};
use crate::schema_phase::SchemaReader;
use crate::server::{Server, binlog_files, database_collations};
use crate::session::Endpoint;
use crate::snapshot::catch_up::{CatchUpEnd, CatchUpReader};
use crate::snapshot::cells::as_read;
use crate::snapshot::chunk::{Announced, Chunk, ChunkReader};
use crate::snapshot::preview::preview;
use crate::snapshot::progress::estimate;
use crate::snapshot::sessions::ReaderSessions;
use crate::splits::{SplitName, StreamName};
use crate::table_phase::TablePhase;

/// The lower bound for the size limit of a chunk's batches, in bytes. Smaller batches would make Kafka's record batches small, too.
const CHUNK_BATCH_BYTES: usize = 256 << 10;

/// What a reader of a stream hands on to the next one.
#[derive(Clone, Default)]
struct Reading {
    undecodable: Undecodable,
    last_end: LastEnd,
    refusals: Refusals,
}

/// A PolarDB-X, MySQL or MariaDB server as a source. Its tables are read as chunks, then its binlog as a stream.
pub struct PolardbxSource {
    settings: Arc<SourceSettings>,
    endpoint: Endpoint,
    sessions: Arc<ReaderSessions>,
    planner: Planner,
    /// What the readers of each stream, which follow one another, know of it.
    readings: Mutex<HashMap<StreamName, Reading>>,
    denials: Arc<Denials>,
    announced: Arc<Announced>,
    ignored: IgnoredTables,
}

impl PolardbxSource {
    /// Starts to build a source in code. `host` is the name or address of the server.
    ///
    /// ```
    /// use source_polardbx::PolardbxSource;
    /// use source_polardbx::config::Phase;
    ///
    /// # fn main() -> runtime::Result<()> {
    /// let source = PolardbxSource::builder("127.0.0.1")
    ///     .user("dts")
    ///     .password("secret")
    ///     .tables(["shop.*"])
    ///     .phases([Phase::Full, Phase::Incremental])
    ///     .build()?; // nothing is connected yet
    /// # drop(source);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(host: impl Into<String>) -> PolardbxSourceBuilder {
        PolardbxSourceBuilder::new(host.into())
    }

    /// Makes a source from its configuration, without connecting yet. An error of kind `Config` names the key that is wrong.
    pub fn new(config: Config) -> Result<Self, Error> {
        let settings = Arc::new(SourceSettings::new(config)?);
        let endpoint = Endpoint::new(&settings.config)?;
        let sessions = Arc::new(ReaderSessions::new(endpoint.clone(), settings.config.parallelism));
        let planner = Planner::new(settings.clone(), endpoint.clone(), sessions.clone());
        let (denials, announced, ignored) = Default::default();
        Ok(Self { settings, endpoint, sessions, planner, readings: Mutex::default(), denials, announced, ignored })
    }

    fn open_chunk(&self, context: &Context, split: &Split, table: &TableId, committed: &Committed) -> Result<ChunkReader> {
        let schema = committed.schema(table).cloned().ok_or_else(|| SourceError::unknown_schema(table))?;
        let task = TaskFacts::read(committed)?;
        let (origin, on_ddl) = (task.origin(), self.settings.config.on_ddl_in_full);
        // The chunks that are read in parallel share the batch size of one stream. So together they need about as much memory as a stream.
        let batch_max_bytes = (context.batch_max_bytes() / self.settings.config.parallelism).max(CHUNK_BATCH_BYTES);
        let (id, start) = (split.id.clone(), split.start.clone());
        let read_as = as_read(&schema, task.is_polardbx());
        let announced = self.announced.clone();
        let conditions = context.pushdown(&schema)?;
        let chunk = Chunk { id, start, read_as, schema, conditions, origin, batch_max_bytes, on_ddl, announced };
        Ok(ChunkReader::new(self.sessions.clone(), chunk))
    }

    async fn open_catch_up(&self, context: &Context, split: &Split, name: StreamName, committed: &Committed) -> Result<CatchUpReader> {
        /// How soon a stream that has nothing more says how far it is.
        const INTERVAL: Duration = Duration::from_secs(1);
        let CatchUpEnds { streams, timestamp } = committed.fact()?.unwrap_or_default();
        let end = streams.iter().find(|end| end.name == name).map(|end| end.start.coordinates());
        let end = end.ok_or_else(|| SourceError::Checkpoint { what: format!("it does not hold where {} ends", split.id) })?;
        let from = StreamPosition::parse(split.start.as_str())?;
        if from.base != end.base {
            return Err(SourceError::Checkpoint { what: format!("{} begins in {} and ends in {}", split.id, from.base, end.base) });
        }
        let wraps = TaskFacts::read(committed)?.is_polardbx();
        let stream = self.open_stream(context, split, name, committed, Some(INTERVAL)).await?;
        Ok(CatchUpReader::new(stream, &from, CatchUpEnd { at: end.at, timestamp, wraps }))
    }

    async fn open_stream(
        &self,
        context: &Context,
        split: &Split,
        name: StreamName,
        committed: &Committed,
        heartbeat: Option<Duration>,
    ) -> Result<StreamReader> {
        let mut position = StreamPosition::parse(split.start.as_str())?;
        let mut session = self.endpoint.connect().await?;
        let server = Server::identify(&mut session).await?;
        check::same_server(&server, &position.identity)?;
        let files = binlog_files(&mut session, &name).await?;
        files.find(&position.base, position.at)?;
        position.forget_purged(|file| files.size(file).is_some());
        // The checkpoint holds the collations as of the resume point. If it holds none, the current ones are used.
        let database_collations = match committed.fact_at::<DatabaseCollations>(name.as_str())? {
            Some(collations) => collations.into_map(),
            None => database_collations(&mut session).await?,
        };
        session.close().await;
        let (unstated, followed) = (facts_of_stream::<Unstated>(committed, &name)?, facts_of_stream::<FollowedTable>(committed, &name)?);
        let others = committed.fact_at::<OtherObjects>(name.as_str())?.unwrap_or_default();
        let task = TaskFacts::read(committed)?;
        let settled = task.settled.as_ref().map(|settled| settled.coordinates().at);
        let prepared = PreparedTransactions::open(name.as_str(), context.state_dir(), settled, committed)?;
        let mut polardbx = self.settings.polardbx();
        polardbx.is_later_stream = task.is_later_stream(&name);
        polardbx.lacks_keyless = task.group.is_some() && self.settings.config.stream_split == StreamSplit::Record;
        let reading = self.readings.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default().clone();
        StreamReader::open(StreamOptions {
            stream: name,
            upstream: Upstream::Server(self.endpoint.clone()),
            server_id: self.settings.server_id(context.task(), server.server_id())?,
            position,
            schemas: committed.split_schemas(&split.id),
            followed,
            others,
            unstated,
            database_collations,
            selection: selection_of_task(&self.settings, &server, committed)?,
            ignored: self.ignored.clone(),
            profile: server.profile(),
            polardbx,
            rows_without_events: RowsWithoutEvents {
                then: self.settings.config.on_rows_without_events,
                new_are_read: task.in_band && self.settings.config.new_tables == NewTables::Full,
            },
            on_unparsed_ddl: self.settings.config.on_unparsed_ddl,
            heartbeat,
            batch_max_bytes: context.batch_max_bytes(),
            undecodable: reading.undecodable,
            last_end: reading.last_end,
            refusals: reading.refusals,
            behind_full_phase: task.has(Phase::Full),
            prepared,
            context: context.clone(),
        })
        .await
    }

    /// The reader of a stream: it merges the rows of tables into the stream, if there are rows that are not delivered.
    async fn in_band(
        &self,
        context: &Context,
        split: &Split,
        name: StreamName,
        committed: &Committed,
        stream: StreamReader,
    ) -> Result<Box<dyn SplitReader>> {
        let task = TaskFacts::read(committed)?;
        let Some(state_dir) = context.state_dir().filter(|_| task.in_band) else { return Ok(Box::new(stream)) };
        let mut phases = Vec::new();
        for fact in committed.facts::<TablePhase>() {
            phases.push(fact?.1);
        }
        if phases.is_empty() && self.settings.config.new_tables != NewTables::Full {
            remove_chunk_files(state_dir);
            return Ok(Box::new(stream));
        }
        let position = StreamPosition::parse(split.start.as_str())?;
        let mut session = self.endpoint.connect().await?;
        let server = Server::identify(&mut session).await?;
        let schemas = if phases.is_empty() { Vec::new() } else { committed.split_schemas(&split.id) };
        let known: HashMap<TableId, Arc<TableSchema>> = schemas.into_iter().map(|schema| (schema.id.clone(), schema)).collect();
        let schemas: Vec<_> = phases.iter().filter_map(|phase| known.get(&phase.table).cloned()).collect();
        let estimates = estimate(&mut session, &schemas).await;
        session.close().await;
        let tables = phases.into_iter().map(|phase| {
            let schema = known.get(&phase.table).cloned().ok_or_else(|| SourceError::unknown_schema(&phase.table))?;
            let estimate = estimates.get(&phase.table).copied().unwrap_or(0);
            Ok((schema, phase, estimate))
        });
        let config = &self.settings.config;
        Ok(Box::new(InBandReader::new(InBandOptions {
            stream,
            name,
            position,
            tables: tables.collect::<Result<_>>()?,
            state_dir: state_dir.to_owned(),
            sessions: self.sessions.clone(),
            endpoint: self.endpoint.clone(),
            server,
            origin: task.origin(),
            on_ddl: config.on_ddl_in_full,
            barrier_delay: self.settings.barrier_delay,
            parallelism: config.parallelism,
            chunk_rows: config.chunk_rows,
            batch_max_bytes: context.batch_max_bytes(),
            context: context.clone(),
        })?))
    }
}

#[async_trait]
impl Source for PolardbxSource {
    fn info(&self) -> SourceInfo {
        SourceInfo::default().with_parallelism(self.settings.config.parallelism).with_heartbeats(self.settings.heartbeat.is_some())
    }

    async fn plan(&self, context: &Context, committed: &Committed) -> Result<Plan, Error> {
        self.denials.begin(committed);
        self.planner.plan(context, committed).await.map_err(|error| self.denials.judge(error.into()))
    }

    async fn open(&self, context: &Context, split: &Split, committed: &Committed) -> Result<Box<dyn SplitReader>, Error> {
        let reader: Box<dyn SplitReader> = match SplitName::parse(&split.id)? {
            // The definitions are in the checkpoint, so this reader proves nothing about the account.
            SplitName::Schema | SplitName::SchemaAgain => {
                return Ok(Box::new(SchemaReader::new(committed, TaskFacts::read(committed)?.origin())?));
            }
            SplitName::Chunk { table, .. } => Box::new(self.open_chunk(context, split, &table, committed)?),
            SplitName::CatchUp { stream, .. } => {
                let opened = self.open_catch_up(context, split, stream, committed).await;
                Box::new(opened.map_err(|error| self.denials.judge(error.into()))?)
            }
            SplitName::Stream(name) => {
                let opened = self.open_stream(context, split, name.clone(), committed, self.settings.heartbeat).await;
                let stream = opened.map_err(|error| self.denials.judge(error.into()))?;
                let opened = self.in_band(context, split, name, committed, stream).await;
                opened.map_err(|error| self.denials.judge(error.into()))?
            }
        };
        Ok(Box::new(Judged { reader, denials: self.denials.clone() }))
    }

    async fn renumbered(&self, _context: &Context, split: &Split) -> Result<Option<Renumbered>, Error> {
        match SplitName::parse(&split.id)? {
            SplitName::Stream(_) => {
                let position = StreamPosition::parse(split.start.as_str()).map_err(SourceError::from)?;
                Ok(renumbered(&self.endpoint, position).await?)
            }
            SplitName::Schema | SplitName::SchemaAgain | SplitName::Chunk { .. } | SplitName::CatchUp { .. } => Ok(None),
        }
    }

    fn location(&self, position: &Position) -> Position {
        match StreamPosition::parse(position.as_str()) {
            Ok(parsed) => parsed.location(parsed.at).into(),
            Err(_) => position.clone(),
        }
    }

    async fn check(&self, context: &Context, committed: Option<&Committed>) -> Vec<Finding> {
        let committed = committed.filter(|committed| !committed.is_new());
        let mut found = check::findings(&self.settings, &self.endpoint, context.task(), committed.is_none()).await;
        if let Some(committed) = committed {
            found.push(check::checkpoint(&self.settings, &self.endpoint, context.state_dir(), committed).await);
        }
        found
    }

    async fn tables(&self, _: &Context) -> Result<Vec<Arc<TableSchema>>, Error> {
        Ok(self.planner.tables_now().await?)
    }

    async fn preview(&self, context: &Context, table: &TableId, limit: usize) -> Result<Vec<Event>, Error> {
        Ok(preview(&self.settings, &self.endpoint, context, table, limit).await?)
    }

    fn rehearse(&self, input: &[TestInput]) -> Result<Played, Error> {
        rehearse(&self.settings.selection, input)
    }

    async fn refetch_schema(&self, _: &Context, committed: &Committed, table: &TableId) -> Result<Refetched, Error> {
        Ok(refetch(&self.settings, &self.endpoint, committed, table).await?)
    }

    async fn resnapshot(&self, _: &Context, committed: &Committed, what: &Resnapshot) -> Result<Facts, Error> {
        Ok(resnapshot(&self.settings, &self.endpoint, committed, what).await?)
    }
}
