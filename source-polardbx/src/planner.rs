//! Plans what the task reads next.
//!
//! The first plan notes where the stream will start, passes the visibility barrier, and only then reads table definitions. It commits facts
//! that say what the task reads. All later plans follow from these facts and from the splits in the checkpoint.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use runtime::{
    Committed, Context, Error, Facts, Finding, Phase as RunPhase, Plan, Position, Split, SplitId, SplitKind, TableId, TableSchema,
};

use crate::binlog::{BinlogCoordinates, StreamPosition};
use crate::check::{self, demand, demand_of_key, same_streams, same_task};
use crate::config::{ConfigError, DdlText, OnDdlInFull, Phase, SourceSettings, Start};
use crate::error::{Result, SourceError};
use crate::facts::{ChangedTable, DatabaseCollations, SelectionFact, SnapshotPlan, StartFact, TablesAtStart, TaskFacts};
use crate::failover::{may_move, take_over};
use crate::prepared;
use crate::restart::Restart;
use crate::schema::{Databases, FollowedTable, OtherObjects};
use crate::schema_phase::{self, note_definitions};
use crate::server::{Definition, Listed, Server, binlog_files, database_collations, gtids_before, list_tables, read_definitions};
use crate::session::{Endpoint, Session};
use crate::snapshot::barrier::Barrier;
use crate::snapshot::plan::{first_cursor, next_chunks};
use crate::snapshot::progress::{Estimates, SnapshotState};
use crate::snapshot::sessions::ReaderSessions;
use crate::splits::{SplitName, StreamName};
use crate::start::{AtStart, Begin, prove_schemas, starts_now, stream_starts};
use crate::start_schema;
use crate::streams::Streams;
use crate::table_phase::TablePhase;

/// The number of chunks that one plan holds for each reading connection. It is large enough to keep all connections busy, and small enough
/// to keep the list of splits short.
const CHUNKS_PER_READER: usize = 8;

/// Plans the splits of a task.
pub(crate) struct Planner {
    pub(crate) settings: Arc<SourceSettings>,
    endpoint: Endpoint,
    sessions: Arc<ReaderSessions>,
    estimates: Estimates,
    /// The tables of the snapshot; `None` until they are first needed, and after they have changed. These tables are the schemas of the task.
    tables: Mutex<Option<Arc<[Arc<TableSchema>]>>>,
    /// Since when the server shows another schema of a table than the binlog leads to; `None` if it does not.
    pub(crate) unsettled: Mutex<Option<Instant>>,
    /// Whether listed tables were looked for.
    has_warned: AtomicBool,
}

impl Planner {
    pub(crate) fn new(settings: Arc<SourceSettings>, endpoint: Endpoint, sessions: Arc<ReaderSessions>) -> Self {
        let (estimates, tables, unsettled, has_warned) = Default::default();
        Self { settings, endpoint, sessions, estimates, tables, unsettled, has_warned }
    }

    /// Returns what the task reads next.
    pub(crate) async fn plan(&self, context: &Context, committed: &Committed) -> Result<Plan> {
        // Every connection must reach the server of the checkpoint, or else the server that the first plan finds.
        self.endpoint.expect(if committed.is_new() { None } else { Some(TaskFacts::read(committed)?.identity) });
        // The plan uses a session of the chunk readers. Such a session returns text in the character set of its column, which the bounds of
        // chunks need.
        let (mut lent, elsewhere) = match self.sessions.lend().await {
            // Another server may have taken over.
            Err(error @ (SourceError::OtherServer { .. } | SourceError::IdentityChanged { .. })) if may_move(committed)? => {
                self.endpoint.expect(None);
                let was_reached = matches!(error, SourceError::OtherServer { .. });
                (self.sessions.lend().await?, Some(Elsewhere { was_reached }))
            }
            lent => (lent?, None),
        };
        let mut planned = if committed.is_new() {
            self.first(&mut lent.session, context).await
        } else {
            self.next(&mut lent.session, context, committed, elsewhere).await
        };
        if let Ok(plan) = &mut planned {
            planned = match self.note_gtids(&mut lent.session, plan, committed).await {
                Ok(()) => planned,
                Err(error) => Err(error),
            };
        }
        match &planned {
            Ok(plan) if plan.phase == RunPhase::Snapshot => self.sessions.give_back(lent),
            _ => {
                self.sessions.discard_idle();
                lent.session.close().await;
            }
        }
        planned
    }

    /// The first plan of a task.
    async fn first(&self, session: &mut Session, context: &Context) -> Result<Plan> {
        let settings = &*self.settings;
        let server = self.identify(session, context).await?;
        session.is_identified = true;
        self.endpoint.expect(Some(server.identity()?));
        let streams = match settings.has(Phase::Incremental) {
            true => Streams::choose(settings, session, &server).await?,
            false => Streams::global(),
        };
        let starts = stream_starts(settings, &self.endpoint, session, &server, &streams).await?;
        if let (true, Some(Begin { at: start, .. })) = (settings.has(Phase::Incremental), starts.first()) {
            // The grant and the replica id are checked now. If one were wrong, the task would otherwise fail only after the full phase, when
            // the stream begins.
            settings.server_id(context.task(), server.server_id())?;
            if let Some(Start::Position { .. }) = settings.config.start {
                check::begins_transaction(&self.endpoint, start).await?;
            }
            demand([check::may_dump(&self.endpoint, start).await?])?;
        }
        let settled = match starts_now(settings) {
            true => prepared::settle(session, &server, settings.xa_wait).await?,
            false => None,
        };
        if settings.has(Phase::Full) && settings.has(Phase::Incremental) {
            let barrier = Barrier::pass(session, &server, context.task(), settings.barrier_delay).await?;
            tracing::info!(%barrier, "all commits before the start of the stream are visible");
        }
        let (definitions, followed, others) = self.definitions(session, &server).await?;
        if settings.has(Phase::Incremental) {
            demand(check::cascades(definitions.iter().map(|Definition { schema, ddl }| (&schema.id, ddl.as_str()))))?;
            demand(check::streams(&streams))?;
            demand(definitions.iter().filter_map(|Definition { schema, .. }| check::stream_key(settings, &streams, schema)))?;
        }
        let mut tables: Vec<Arc<TableSchema>> = definitions.iter().map(|Definition { schema, .. }| schema.clone()).collect();
        let collations = if settings.has(Phase::Incremental) { database_collations(session).await? } else { HashMap::new() };
        let given = start_schema::given(settings, &server, &collations)?;
        demand(given.iter().flat_map(|schema| check::columns(schema)))?;
        tables.retain(|table| given.iter().all(|given| given.id != table.id));
        tables.extend(given.iter().cloned());
        tables.sort_by(|one, other| one.id.cmp(&other.id));

        let in_band = check::is_in_band(settings, &streams, context.state_dir().is_some());
        demand_of_key("handover", check::handover(settings, &streams))?;
        if in_band && context.state_dir().is_none() {
            let why = "\"in_band\" needs a checkpoint store with a folder for files";
            return Err(ConfigError::new("handover", why, "use the store `local`, or leave `handover` out for \"sequential\"").into());
        }
        let mut facts = Facts::new();
        let task = TaskFacts {
            in_band,
            identity: server.identity()?,
            server_id: server.server_id(),
            version: server.version.clone(),
            selection: SelectionFact::new(&settings.config),
            phases: settings.phases.clone(),
            streams: starts.iter().map(Begin::fact).collect(),
            group: streams.group,
            stream_group: settings.config.stream_group.clone(),
            settled: settled.as_ref().map(StartFact::new),
        };
        facts.set(&task)?;
        if settings.has(Phase::Incremental) {
            let databases = Databases::new(collations, false);
            for Begin { stream, .. } in &starts {
                facts.set_at(stream.as_str(), &DatabaseCollations::new(databases.iter()))?;
                facts.set_at(stream.as_str(), &others)?;
            }
            let known: Vec<TableId> =
                tables.iter().chain(followed.iter().map(|definition| &definition.schema)).map(|schema| schema.id.clone()).collect();
            for start in &starts {
                let AtStart { unknown, shown } = prove_schemas(settings, &self.endpoint, session, &server, start, &known, &given).await?;
                for Definition { schema, .. } in followed.iter().filter(|definition| !unknown.contains(&definition.schema.id)) {
                    let followed = FollowedTable::new(TableSchema::clone(schema));
                    facts.set_at(&format!("{}/{}", start.stream, schema.id), &followed)?;
                }
                for shown in shown {
                    let now = tables.iter().position(|table| table.id == *shown.id()).map(|index| tables.remove(index));
                    let schema = shown.into_schema(now.as_deref());
                    demand(check::columns(&schema))?;
                    tables.push(Arc::new(schema));
                }
            }
        }
        if in_band {
            for schema in &tables {
                facts.set_at(&schema.id.to_string(), &TablePhase::planned(schema.id.clone()))?;
            }
        }
        let next = (settings.has(Phase::Full) && !in_band).then(|| first_cursor(&tables)).flatten();
        let snapshot = SnapshotPlan { next, again: Vec::new() };
        let mut plan = if settings.has(Phase::Schema) {
            // Invariant: chunks are planned only after all definitions are delivered, so that no row comes before the CREATE TABLE of its
            // table.
            facts.set(&snapshot)?;
            let is_for_mysql = server.is_polardbx() && settings.config.ddl_text == DdlText::Mysql;
            note_definitions(&mut facts, &definitions, is_for_mysql, false)?;
            let mut plan = Plan::new(RunPhase::Snapshot);
            plan.splits = vec![snapshot_split(&SplitName::Schema, schema_phase::POSITION.into())];
            plan
        } else {
            match self.snapshot_or_stream(session, &tables, &task, snapshot, &Committed::default(), &BTreeSet::new()).await {
                Err(error @ (SourceError::TableChanged { .. } | SourceError::TableGone { .. })) => return Err(begins_again(error)),
                planned => planned?,
            }
        };
        if let Some(begun_with) = TablesAtStart::new(settings, tables.iter().map(|schema| &schema.id)) {
            facts.set(&begun_with)?;
        }
        facts.append(&mut plan.facts);
        plan.facts = facts;
        plan.schemas = tables.into_iter().map(|schema| (schema.id.clone(), Some(schema))).collect();
        Ok(plan)
    }

    /// A later plan: the schema phase until it is done, then the rest of the snapshot, then the stream. Tables that have changed are read again
    /// before anything else.
    async fn next(&self, session: &mut Session, context: &Context, committed: &Committed, elsewhere: Option<Elsewhere>) -> Result<Plan> {
        let mut task = TaskFacts::read(committed)?;
        let mut moved = None;
        if !session.is_identified {
            let server = self.identify(session, context).await?;
            if let Some(Elsewhere { was_reached }) = elsewhere
                && server.identity()? != task.identity
            {
                self.endpoint.expect(Some(server.identity()?));
                let (split, position) = take_over(&self.endpoint, session, &server, committed, was_reached).await?;
                tracing::warn!(
                    from = task.identity,
                    to = position.identity,
                    delivered = position.gtid.as_ref().map(ToString::to_string),
                    "another server took over: the stream continues there, behind the transactions that were delivered"
                );
                moved = Some((split, position.to_position()));
                task = task.on(&server)?;
            }
            same_task(&self.settings, &server, &task)?;
            same_streams(session, &task).await?;
            self.warn_of_missing(session).await;
            session.is_identified = true;
        }
        for name in [SplitName::Schema, SplitName::SchemaAgain] {
            if let Some(split) = committed.split(&name.id()).filter(|split| !split.checkpoint.done) {
                let mut plan = Plan::new(RunPhase::Snapshot);
                plan.splits = vec![snapshot_split(&name, split.checkpoint.position.clone())];
                return Ok(plan);
            }
        }
        let mut changed = BTreeSet::new();
        for fact in committed.facts::<ChangedTable>() {
            changed.insert(fact?.1.table);
        }
        let restart = Restart { planner: self, context, committed, task: &task };
        if !changed.is_empty() {
            return restart.plan(session, changed).await;
        }
        let snapshot = committed.fact()?.unwrap_or(SnapshotPlan { next: None, again: Vec::new() });
        let tables = if task.has(Phase::Full) { self.tables(committed) } else { Arc::from([]) };
        let mut plan = match self.snapshot_or_stream(session, &tables, &task, snapshot, committed, &changed).await {
            Err(SourceError::TableGone { table }) => {
                tracing::warn!(%table, "the table does not exist any more, and not all its rows were read");
                restart.plan(session, [table].into()).await
            }
            Err(SourceError::TableChanged { table, what }) if self.settings.config.on_ddl_in_full == OnDdlInFull::RestartTable => {
                tracing::warn!(%table, what, "the table was changed before all its rows were read");
                restart.plan(session, [table].into()).await
            }
            planned => planned,
        }?;
        if let Some(moved) = moved {
            for split in plan.splits.iter_mut().filter(|split| split.id == moved.0) {
                split.start = moved.1.clone();
            }
            plan.facts.set(&task)?;
            plan.moved = vec![moved];
        }
        Ok(plan)
    }

    /// Warns once of tables that the configuration lists and that are not there any more. The first start has refused such a table.
    async fn warn_of_missing(&self, session: &mut Session) {
        let Ok(server) = Server::identify(session).await else { return };
        let listed = self.settings.selection.clone().folded(server.lower_case()).only_literals();
        if listed.literals().next().is_none() || self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        // What keeps the server from answering shows at the next statement, too.
        if let Ok(Listed { tables, views, .. }) = list_tables(session, &listed).await {
            for Finding { what, help, .. } in check::missing(&listed, &tables, &views) {
                tracing::warn!(help, "{what}");
            }
        }
    }

    /// Notes with the position of a stream which transactions come before it, where that is not known and the server can tell.
    async fn note_gtids(&self, session: &mut Session, plan: &mut Plan, committed: &Committed) -> Result<()> {
        if plan.phase != RunPhase::Stream || self.endpoint.is_polardbx() {
            return Ok(());
        }
        for split in &mut plan.splits {
            let mut position = StreamPosition::parse(split.start.as_str())?;
            let files = binlog_files(session, &StreamName::global()).await?;
            // If the position is not there any more, opening the stream says so.
            if position.gtid.is_some() || files.find(&position.base, position.at).is_err() {
                continue;
            }
            let at = BinlogCoordinates { base: position.base.clone(), at: position.at };
            let server = Server::identify(session).await?;
            position.gtid = gtids_before(&self.endpoint, session, &server, &at).await?;
            if position.gtid.is_some() {
                split.start = position.to_position();
                if committed.split(&split.id).is_some() {
                    plan.moved.push((split.id.clone(), split.start.clone()));
                }
            }
        }
        Ok(())
    }

    /// Plans the next chunks. Once all chunks are done, plans the stream, or ends the task if it has no incremental phase. The chunks of
    /// `restarted` tables that the checkpoint holds are forgotten.
    pub(crate) async fn snapshot_or_stream(
        &self,
        session: &mut Session,
        tables: &[Arc<TableSchema>],
        task: &TaskFacts,
        snapshot: SnapshotPlan,
        committed: &Committed,
        restarted: &BTreeSet<TableId>,
    ) -> Result<Plan> {
        let (mut open, mut done) = (Vec::new(), Vec::new());
        for (id, state) in committed.splits() {
            match SplitName::parse(id)? {
                SplitName::Stream(_) => {}
                name @ SplitName::Chunk { .. } if matches!(&name, SplitName::Chunk { table, .. } if restarted.contains(table)) => {
                    done.push((id.clone(), name));
                }
                name if state.checkpoint.done => done.push((id.clone(), name)),
                name => open.push((name, state.checkpoint.position.clone())),
            }
        }
        let slice = self.settings.config.parallelism * CHUNKS_PER_READER;
        let (chunk_rows, wanted) = (self.settings.config.chunk_rows, slice.saturating_sub(open.len()));
        let (chunks, left) = next_chunks(session, tables, &snapshot, chunk_rows, wanted).await?;
        // The chunks that an earlier plan left unread come first. The new chunks follow.
        open.extend(chunks.into_iter().map(|chunk| {
            let position = chunk.range.position();
            (SplitName::Chunk { table: chunk.table, number: chunk.number }, position)
        }));

        let table = |name: &SplitName| if let SplitName::Chunk { table, .. } = name { Some(table.clone()) } else { None };
        let open_tables: Vec<TableId> = open.iter().filter_map(|(name, _)| table(name)).collect();
        let done_tables: Vec<TableId> = done.iter().filter_map(|(_, name)| table(name)).collect();
        let changed: BTreeSet<&TableId> = open_tables.iter().chain(&done_tables).collect();
        let state =
            SnapshotState { tables, cursor: left.next.as_ref(), again: &left.again, open: open_tables.iter().collect(), chunk_rows };

        let mut plan = Plan::new(RunPhase::Snapshot);
        if task.has(Phase::Full) && !task.in_band {
            plan.tables = self.estimates.progress(session, &state, &changed).await;
        }
        plan.splits = open.iter().map(|(name, start)| snapshot_split(name, start.clone())).collect();
        plan.forget = done.into_iter().map(|(id, _)| id).collect::<Vec<SplitId>>();
        if committed.fact::<SnapshotPlan>()?.as_ref() != Some(&left) {
            plan.facts.set(&left)?;
        }
        if !plan.splits.is_empty() {
            return Ok(plan);
        }
        if !task.has(Phase::Incremental) {
            plan.phase = RunPhase::Done;
            return Ok(plan);
        }
        plan.phase = RunPhase::Stream;
        let split = |(name, start): (StreamName, Position)| {
            let id = SplitName::Stream(name).id();
            let start = committed.split(&id).map_or(start, |split| split.checkpoint.position.clone());
            Split { id, kind: SplitKind::Stream, start }
        };
        plan.splits = task.stream_starts()?.into_iter().map(split).collect();
        Ok(plan)
    }

    /// Forgets the tables of the snapshot, because the next plan reads others.
    pub(crate) fn forget_tables(&self) {
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks the server for its kind and its settings. Fails if the server cannot be read with the settings of this task.
    pub(crate) async fn identify(&self, session: &mut Session, context: &Context) -> Result<Server> {
        let server = Server::identify(session).await?;
        demand([server.support()])?;
        tracing::info!(server = %server.kind, version = server.version, "connected to the source");
        if self.settings.has(Phase::Incremental) {
            demand(server.stream_settings())?;
            self.settings.server_id(context.task(), server.server_id())?;
            let selection = self.settings.selection.clone().folded(server.lower_case());
            demand(check::completeness(session, &server, &selection).await?)?;
        }
        Ok(server)
    }

    /// Reads the definitions of all selected tables, and those of the followed ones, and lists what else has names like tables. Fails if a selected table cannot be read or has an
    /// unsupported column.
    async fn definitions(&self, session: &mut Session, server: &Server) -> Result<(Vec<Definition>, Vec<Definition>, OtherObjects)> {
        let settings = &*self.settings;
        let selection = settings.selection.clone().folded(server.lower_case());
        let Listed { tables, views, followed, others } = list_tables(session, &selection).await?;
        demand_of_key("tables", check::missing(&selection, &tables, &views))?;
        if let Some(Finding { what, help, .. }) = check::shadows(&selection, &followed) {
            tracing::warn!(help, "tables are {what}");
        }
        if tables.is_empty() && (settings.has(Phase::Full) || settings.has(Phase::Schema)) {
            let why = format!("no table is selected by {}", settings.config.tables.join(", "));
            let help = "check `tables` and `exclude`, and that the account has SELECT on the tables";
            return Err(ConfigError::new("tables", why, help).into());
        }
        let parallelism = settings.config.parallelism;
        let definitions = read_definitions(session, &self.endpoint, parallelism, &tables, true).await?;
        demand(definitions.iter().flat_map(|Definition { schema, .. }| check::columns(schema)))?;
        let followed = if settings.has(Phase::Incremental) { followed } else { Vec::new() };
        let followed = read_definitions(session, &self.endpoint, parallelism, &followed, false).await?;
        Ok((definitions, followed, OtherObjects::new(others)))
    }

    /// The schemas that the selected tables have now.
    pub(crate) async fn tables_now(&self) -> Result<Vec<Arc<TableSchema>>> {
        let mut session = self.endpoint.connect().await?;
        let server = Server::identify(&mut session).await?;
        let (definitions, ..) = self.definitions(&mut session, &server).await?;
        session.close().await;
        Ok(definitions.into_iter().map(|definition| definition.schema).collect())
    }

    /// The tables of the snapshot, in the order in which they are read.
    fn tables(&self, committed: &Committed) -> Arc<[Arc<TableSchema>]> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get_or_insert_with(|| committed.schemas().cloned().collect()).clone()
    }
}

/// The error for a table that changed while the first plan was made: nothing is committed yet.
fn begins_again(error: SourceError) -> SourceError {
    Error::retryable("a table changed while the task began, and it begins again").because(Error::from(error)).into()
}

/// A connection has reached another server than that of the task.
#[derive(Clone, Copy)]
struct Elsewhere {
    /// Whether this process has read from the server of the task.
    was_reached: bool,
}

pub(crate) fn snapshot_split(name: &SplitName, start: Position) -> Split {
    Split { id: name.id(), kind: SplitKind::Snapshot, start }
}
