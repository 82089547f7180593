//! Reads tables again whose schema changed before all their rows were read.
//!
//! Rows with the new schema must not come before changes with the old one. So the binlog is read up to its present end first, as a part of
//! the full phase. It delivers the statement that changed the table, in order with the rows before and behind it. Then the stream starts at this
//! end, with the schemas that the tables have there, and the rows of the tables are read again. A task without a stream reads them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use runtime::{Committed, Context, Phase as RunPhase, Plan, SchemaChanges, TableId, TableSchema};
use tokio::time::sleep;

use crate::binlog::{BinlogCoordinates, StreamPosition};
use crate::check::{self, demand};
use crate::config::{DdlText, OnDdlInFull, Phase};
use crate::error::{Result, SourceError};
use crate::facts::{CatchUpEnds, ChangedTable, SnapshotPlan, StartFact, StreamStart, TaskFacts};
use crate::planner::{Planner, snapshot_split};
use crate::schema_phase::{self, note_definitions};
use crate::server::{Definition, Server, binlog_end, parse_definition, read_ddl};
use crate::session::Session;
use crate::snapshot::barrier::Barrier;
use crate::snapshot::difference::{difference, have_same_schema};
use crate::snapshot::restart::restart;
use crate::splits::SplitName;
use crate::start::timestamp;

/// How long the binlog may lag behind what the server shows of a table.
const LAG: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
const GONE: &str = "the server has no such table";

/// The plans from the moment at which a change of a table is noted until the table is read again.
pub(crate) struct Restart<'a> {
    pub(crate) planner: &'a Planner,
    pub(crate) context: &'a Context,
    pub(crate) committed: &'a Committed,
    pub(crate) task: &'a TaskFacts,
}

/// A table of which the server does not show what the checkpoint holds.
struct Disturbed {
    table: TableId,
    what: String,
}

impl Restart<'_> {
    /// The next plan. `changed` are the tables that have changed, or that do not exist any more.
    pub(crate) async fn plan(&self, session: &mut Session, changed: BTreeSet<TableId>) -> Result<Plan> {
        if !self.task.has(Phase::Incremental) {
            return self.read_again(session, changed).await;
        }
        let (mut open, mut last) = (Vec::new(), None);
        for (id, state) in self.committed.splits() {
            if let name @ SplitName::CatchUp { .. } = SplitName::parse(id)? {
                if !state.checkpoint.done {
                    open.push(snapshot_split(&name, state.checkpoint.position.clone()));
                }
                if let SplitName::CatchUp { round, .. } = name {
                    last = last.max(Some(round));
                }
            }
        }
        match last {
            None => {
                let server = self.planner.identify(session, self.context).await?;
                self.catch_up(session, &server, self.task, 1, changed).await
            }
            Some(_) if !open.is_empty() => {
                let mut plan = Plan::new(RunPhase::Snapshot);
                plan.splits = open;
                Ok(plan)
            }
            Some(round) => self.caught_up(session, round, changed).await,
        }
    }

    /// Plans to read each stream of `task` from its start to the present end of the binlog.
    async fn catch_up(
        &self,
        session: &mut Session,
        server: &Server,
        task: &TaskFacts,
        round: u32,
        changed: BTreeSet<TableId>,
    ) -> Result<Plan> {
        let mut plan = Plan::new(RunPhase::Snapshot);
        // The binlog of PolarDB-X lags behind what its tables show.
        let timestamp = if server.is_polardbx() { Some(timestamp(session).await?) } else { None };
        let mut ends = CatchUpEnds { streams: Vec::new(), timestamp };
        for (stream, start) in task.stream_starts()? {
            let end = binlog_end(session, server, &stream).await?;
            let end = end.ok_or_else(|| SourceError::answer("find the end of the binlog", "the server writes no binlog"))?;
            ends.streams.push(StreamStart { name: stream.clone(), start: StartFact::new(&end), passed: None });
            plan.splits.push(snapshot_split(&SplitName::CatchUp { round, stream }, start));
        }
        plan.facts.set(&ends)?;
        for table in changed {
            plan.facts.set_at(&table.to_string(), &ChangedTable { table })?;
        }
        Ok(plan)
    }

    /// The plan after the binlog was read up to a point behind the change: the stream starts there, and the rows of the changed tables are read
    /// again. If the tables have changed once more, the binlog is read further.
    async fn caught_up(&self, session: &mut Session, round: u32, noted: BTreeSet<TableId>) -> Result<Plan> {
        let server = self.planner.identify(session, self.context).await?;
        // The stream starts where the binlog was read to. All changes before that must be visible to the SELECTs.
        Barrier::pass(session, &server, self.context.task(), self.planner.settings.barrier_delay).await?;
        let (task, tables) = self.reached(round)?;
        let known: BTreeMap<&TableId, &Arc<TableSchema>> = self.committed.schemas().map(|schema| (&schema.id, schema)).collect();
        let is_changed = |schema: &Arc<TableSchema>| known.get(&schema.id) != Some(&schema) || noted.contains(&schema.id);
        let mut changed: BTreeSet<TableId> = tables.iter().filter(|schema| is_changed(schema)).map(|schema| schema.id.clone()).collect();

        let shown = self.shown(session, &tables, &changed, &known).await?;
        let is_followed = tables.iter().any(|schema| known.get(&schema.id) != Some(&schema));
        if is_followed {
            self.settle();
        }
        let read_to = task.streams.iter().map(|stream| stream.start.coordinates().location()).collect::<Vec<_>>().join(", ");
        let planned = match shown {
            Ok(shown) => self.chunks(session, &task, &shown, &changed).await?.map(|plan| (plan, shown)),
            Err(disturbed) => Err(disturbed),
        };
        let (mut plan, now) = match planned {
            Ok((mut plan, shown)) => {
                self.settle();
                for table in &changed {
                    tracing::warn!(%table, "the table is read again from its first row, with the schema that it has at {read_to}");
                }
                plan.facts.remove::<CatchUpEnds>();
                noted.iter().for_each(|table| plan.facts.remove_at::<ChangedTable>(&table.to_string()));
                (plan, shown)
            }
            Err(Disturbed { table, what }) => {
                self.wait_for_binlog(&table, &what, &read_to)?;
                sleep(PAUSE).await;
                changed.insert(table);
                (self.catch_up(session, &server, &task, round.saturating_add(1), changed).await?, tables)
            }
        };
        plan.facts.set(&task)?;
        plan.schemas = changes(&known, &now);
        for (id, _) in self.committed.splits() {
            if matches!(SplitName::parse(id)?, SplitName::CatchUp { .. }) && !plan.forget.contains(id) {
                plan.forget.push(id.clone());
            }
        }
        self.planner.forget_tables();
        Ok(plan)
    }

    /// The schemas of all tables: of the `changed` ones as the server shows them. The inner error is a table of which the server shows another
    /// schema than the statements lead to that were read.
    async fn shown(
        &self,
        session: &mut Session,
        tables: &[Arc<TableSchema>],
        changed: &BTreeSet<TableId>,
        known: &BTreeMap<&TableId, &Arc<TableSchema>>,
    ) -> Result<Result<Vec<Arc<TableSchema>>, Disturbed>> {
        let mut all = Vec::with_capacity(tables.len());
        for followed in tables {
            if !changed.contains(&followed.id) {
                all.push(followed.clone());
                continue;
            }
            self.may_restart(&followed.id, known, followed)?;
            let disturbed = |what: String| Ok(Err(Disturbed { table: followed.id.clone(), what }));
            let Some(Definition { schema: shown, .. }) = definition(session, &followed.id).await? else {
                return disturbed(GONE.to_owned());
            };
            if !have_same_schema(followed, &shown) {
                return disturbed(difference(followed, &shown).unwrap_or_else(|| "its columns differ".to_owned()));
            }
            demand(check::columns(&shown))?;
            let mut shown = TableSchema::clone(&shown);
            shown.version = followed.version;
            all.push(Arc::new(shown));
        }
        Ok(Ok(all))
    }

    /// The task with the streams where the binlog was read to, and the schemas of the tables there.
    fn reached(&self, round: u32) -> Result<(TaskFacts, Vec<Arc<TableSchema>>)> {
        let mut task = self.task.clone();
        let mut tables: Option<Vec<Arc<TableSchema>>> = None;
        for StreamStart { name, start, passed } in &mut task.streams {
            let id = SplitName::CatchUp { round, stream: name.clone() }.id();
            let split = self.committed.split(&id);
            let split = split.ok_or_else(|| SourceError::Checkpoint { what: format!("it does not hold the split {id}") })?;
            let StreamPosition { base, at, .. } = StreamPosition::parse(split.checkpoint.position.as_str())?;
            (*start, *passed) = (StartFact::new(&BinlogCoordinates { base, at }), None);
            let found = self.committed.split_schemas(&id);
            match &tables {
                Some(tables) if *tables != found => {
                    let differ = |table: &&Arc<TableSchema>| !found.contains(table);
                    let table = tables.iter().find(differ).or(found.first()).map(|schema| schema.id.clone());
                    let what = "the streams of the group were read to different statements that change it".to_owned();
                    let table = table.ok_or_else(|| SourceError::Checkpoint { what: "it holds no table".into() })?;
                    return Err(SourceError::TableChanged { table, what });
                }
                Some(_) => {}
                None => tables = Some(found),
            }
        }
        Ok((task, tables.unwrap_or_default()))
    }

    /// Fails if the task has to stop because of a table that was not read completely.
    fn may_restart(&self, table: &TableId, known: &BTreeMap<&TableId, &Arc<TableSchema>>, now: &TableSchema) -> Result<()> {
        let Some(what) = known.get(table).and_then(|known| difference(known, now)) else { return Ok(()) };
        let snapshot: SnapshotPlan = self.committed.fact()?.unwrap_or(SnapshotPlan { next: None, again: Vec::new() });
        let mut is_read = snapshot.next.is_none_or(|next| *table < next.table) && snapshot.again.iter().all(|next| next.table != *table);
        for (id, state) in self.committed.splits() {
            is_read &= state.checkpoint.done || !matches!(SplitName::parse(id)?, SplitName::Chunk { table: of, .. } if of == *table);
        }
        match self.planner.settings.config.on_ddl_in_full {
            OnDdlInFull::Fail if !is_read => Err(SourceError::TableChanged { table: table.clone(), what }),
            _ => Ok(()),
        }
    }

    /// Notes that the binlog leads to what the server shows, or has come closer to it.
    fn settle(&self) {
        *self.planner.unsettled.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Fails if the binlog has not led to what the server shows of a table for too long.
    fn wait_for_binlog(&self, table: &TableId, what: &str, read_to: &str) -> Result<()> {
        let since = *self.planner.unsettled.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
        tracing::info!(%table, what, "the binlog up to {read_to} does not lead to what the server shows; it is read further");
        if since.elapsed() < LAG {
            return Ok(());
        }
        let what = format!("the statements of the binlog up to {read_to} do not lead to what the server shows: {what}");
        Err(SourceError::TableChanged { table: table.clone(), what })
    }

    /// The next chunks after `changed` tables begin anew. The inner error is a table that has changed as well.
    async fn chunks(
        &self,
        session: &mut Session,
        task: &TaskFacts,
        tables: &[Arc<TableSchema>],
        changed: &BTreeSet<TableId>,
    ) -> Result<Result<Plan, Disturbed>> {
        let (snapshot, restarted) = self.restarted(tables, changed)?;
        match self.planner.snapshot_or_stream(session, tables, task, snapshot, self.committed, &restarted).await {
            Err(SourceError::TableGone { table }) => Ok(Err(Disturbed { table, what: GONE.to_owned() })),
            Err(SourceError::TableChanged { table, what }) if self.planner.settings.config.on_ddl_in_full == OnDdlInFull::RestartTable => {
                Ok(Err(Disturbed { table, what }))
            }
            planned => planned.map(Ok),
        }
    }

    /// What is planned after `changed` tables begin anew, and the tables whose chunks are forgotten: those, and the ones that are gone.
    fn restarted(&self, tables: &[Arc<TableSchema>], changed: &BTreeSet<TableId>) -> Result<(SnapshotPlan, BTreeSet<TableId>)> {
        let exists = |table: &TableId| tables.binary_search_by(|schema| schema.id.cmp(table)).is_ok();
        let (mut chunks, mut restarted) = (Vec::new(), changed.clone());
        for (id, _) in self.committed.splits() {
            if let SplitName::Chunk { table, number } = SplitName::parse(id)? {
                if !exists(&table) {
                    restarted.insert(table.clone());
                }
                chunks.push((table, number));
            }
        }
        let snapshot = self.committed.fact()?.unwrap_or(SnapshotPlan { next: None, again: Vec::new() });
        Ok((restart(&snapshot, tables, changed, &chunks), restarted))
    }

    /// The plan of a task without a stream: the changed tables are read again at once.
    async fn read_again(&self, session: &mut Session, mut changed: BTreeSet<TableId>) -> Result<Plan> {
        let known: BTreeMap<&TableId, &Arc<TableSchema>> = self.committed.schemas().map(|schema| (&schema.id, schema)).collect();
        let noted = changed.clone();
        let (mut plan, now) = loop {
            let (now, definitions) = self.definitions(session, &known, &changed).await?;
            if self.task.has(Phase::Schema) && !definitions.is_empty() {
                break (self.schema_again(&now, &definitions, &changed)?, now);
            }
            match self.chunks(session, self.task, &now, &changed).await? {
                Ok(plan) => break (plan, now),
                Err(Disturbed { table, .. }) => _ = changed.insert(table),
            }
        };
        for table in &changed {
            match now.iter().any(|schema| schema.id == *table) {
                true => tracing::warn!(%table, "the table is read again from its first row, with the schema that it has now"),
                false => tracing::warn!(%table, "the table does not exist any more; its other rows are not read"),
            }
        }
        noted.iter().for_each(|table| plan.facts.remove_at::<ChangedTable>(&table.to_string()));
        plan.schemas = changes(&known, &now);
        self.planner.forget_tables();
        Ok(plan)
    }

    /// The schemas of all tables that exist, and the definitions of the changed ones among them.
    async fn definitions(
        &self,
        session: &mut Session,
        known: &BTreeMap<&TableId, &Arc<TableSchema>>,
        changed: &BTreeSet<TableId>,
    ) -> Result<(Vec<Arc<TableSchema>>, Vec<Definition>)> {
        let (mut now, mut definitions) = (Vec::new(), Vec::new());
        for schema in known.values() {
            if !changed.contains(&schema.id) {
                now.push(Arc::clone(schema));
            } else if let Some(Definition { schema: shown, ddl }) = definition(session, &schema.id).await? {
                demand(check::columns(&shown))?;
                self.may_restart(&schema.id, known, &shown)?;
                let mut shown = TableSchema::clone(&shown);
                shown.version = schema.version.saturating_add(1);
                let shown = Arc::new(shown);
                now.push(shown.clone());
                definitions.push(Definition { schema: shown, ddl });
            }
        }
        Ok((now, definitions))
    }

    /// Plans to deliver the new definitions of the changed tables. No row may come before the CREATE TABLE of its schema, so chunks are
    /// planned after that.
    fn schema_again(&self, now: &[Arc<TableSchema>], definitions: &[Definition], changed: &BTreeSet<TableId>) -> Result<Plan> {
        let (snapshot, restarted) = self.restarted(now, changed)?;
        let mut plan = Plan::new(RunPhase::Snapshot);
        plan.facts.set(&snapshot)?;
        let is_for_mysql = self.task.is_polardbx() && self.planner.settings.config.ddl_text == DdlText::Mysql;
        note_definitions(&mut plan.facts, definitions, is_for_mysql, true)?;
        // A split that is done keeps its name until the next plan.
        let is_free = |name: &SplitName| self.committed.split(&name.id()).is_none();
        let name = if is_free(&SplitName::SchemaAgain) { SplitName::SchemaAgain } else { SplitName::Schema };
        plan.splits = vec![snapshot_split(&name, schema_phase::POSITION.into())];
        for (id, state) in self.committed.splits() {
            let is_restarted = matches!(SplitName::parse(id)?, SplitName::Chunk { table, .. } if restarted.contains(&table));
            if is_restarted || state.checkpoint.done {
                plan.forget.push(id.clone());
            }
        }
        Ok(plan)
    }
}

/// The definition of a table; `None` if the table does not exist.
async fn definition(session: &mut Session, table: &TableId) -> Result<Option<Definition>> {
    match read_ddl(session, table).await.map_err(|error| SourceError::or_table_is_gone(error, table)) {
        Ok(ddl) => Ok(Some(Definition { schema: Arc::new(parse_definition(table, &ddl)?), ddl })),
        Err(SourceError::TableGone { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The changes that lead from the schemas `known` to `now`.
fn changes(known: &BTreeMap<&TableId, &Arc<TableSchema>>, now: &[Arc<TableSchema>]) -> SchemaChanges {
    let kept: BTreeSet<&TableId> = now.iter().map(|schema| &schema.id).collect();
    let gone = known.keys().filter(|table| !kept.contains(*table)).map(|table| ((*table).clone(), None));
    let set = now.iter().filter(|schema| known.get(&schema.id) != Some(schema)).map(|schema| (schema.id.clone(), Some(schema.clone())));
    gone.chain(set).collect()
}
