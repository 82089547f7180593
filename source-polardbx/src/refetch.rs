//! Reads the definition of a table again, for a stopped task to which the binlog showed that what it knows of the table is wrong.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use runtime::{Committed, Facts, Position, Refetched, TableId, TableSchema};

use crate::binlog::{
    BinlogCoordinates, ChangedSchema, RefetchedTables, ScanError, ServerProfile, StreamError, StreamPosition, Upstream, first_schema_change,
};
use crate::check::{columns, demand, same_streams, same_task};
use crate::config::{Phase, SourceSettings};
use crate::error::{Result, SourceError};
use crate::facts::{TaskFacts, selection_of_task};
use crate::schema::Unstated;
use crate::selection::Selection;
use crate::server::{Server, binlog_end, binlog_files, parse_definition, read_ddl};
use crate::session::{Endpoint, Session};
use crate::splits::{SplitName, StreamName};
use crate::start::timestamp;

const FROM_SCRATCH: &str = "start the task from scratch with a full phase, in an empty state directory";

/// Reads the definition of `table` and proves that it holds where the streams of the task have stopped. Returns what replaces the known schema.
pub(crate) async fn refetch(settings: &SourceSettings, endpoint: &Endpoint, committed: &Committed, table: &TableId) -> Result<Refetched> {
    let task = TaskFacts::read(committed)?;
    endpoint.expect(Some(task.identity.clone()));
    let mut session = endpoint.connect().await?;
    let server = Server::identify(&mut session).await?;
    same_task(settings, &server, &task)?;
    same_streams(&mut session, &task).await?;
    let selection = selection_of_task(settings, &server, committed)?;
    let table = if server.lower_case() { TableId::new(table.database.to_lowercase(), table.table.to_lowercase()) } else { table.clone() };
    if !selection.selects(&table) {
        return Err(refused(&table, "the task does not read it", "name a table that `tables` selects, as database.table"));
    }
    let mut streams = Vec::new();
    for (stream, _) in task.stream_starts()?.into_iter().filter(|_| task.has(Phase::Incremental)) {
        let id = SplitName::Stream(stream.clone()).id();
        if let Some(split) = committed.split(&id) {
            let position = StreamPosition::parse(split.checkpoint.position.as_str())?;
            binlog_files(&mut session, &stream).await?.find(&position.base, position.at)?;
            streams.push((stream, id, BinlogCoordinates { base: position.base, at: position.at }));
        }
    }
    if streams.is_empty() {
        return Err(refused(&table, "the task has not begun to read the binlog", FROM_SCRATCH));
    }

    let schema = definition(&mut session, &table).await?;
    let profile = server.profile();
    let (mut schemas, mut facts, mut proof) = (Vec::new(), Facts::new(), Vec::new());
    for (stream, id, from) in streams {
        let known = committed.split_schemas(&id).into_iter().find(|known| selection.same(&known.id, &table));
        let mut schema = schema.clone();
        schema.version = next_version(known.as_deref());
        let schema = Arc::new(schema);
        let refetched = Refetching { endpoint, selection: &selection, profile: &profile, server: &server };
        proof.push(refetched.prove(&mut session, &stream, &from, std::slice::from_ref(&schema)).await?);
        facts.remove_at::<Unstated>(&format!("{stream}/{}", schema.id));
        schemas.push((id, schema));
    }
    session.close().await;
    Ok(Refetched { schemas, facts, proof: proof.join("; ") })
}

/// Reads the definitions of tables and proves that they hold at `from`, behind a statement of a stream that cannot be read.
pub(crate) async fn refetch_behind(
    endpoint: &Endpoint,
    selection: &Selection,
    profile: &ServerProfile,
    stream: &StreamName,
    from: &BinlogCoordinates,
    tables: &[TableId],
) -> Result<Vec<TableSchema>> {
    let mut session = endpoint.connect().await?;
    let server = Server::identify(&mut session).await?;
    let mut schemas = Vec::with_capacity(tables.len());
    for table in tables {
        schemas.push(definition(&mut session, table).await?);
    }
    let shared: Vec<_> = schemas.iter().cloned().map(Arc::new).collect();
    Refetching { endpoint, selection, profile, server: &server }.prove(&mut session, stream, from, &shared).await?;
    session.close().await;
    Ok(schemas)
}

/// The definition of a table as the server has it now.
async fn definition(session: &mut Session, table: &TableId) -> Result<TableSchema> {
    let ddl = read_ddl(session, table).await.map_err(|error| match SourceError::or_table_is_gone(error, table) {
        SourceError::TableGone { table } => refused(&table, "the server has no such table now", FROM_SCRATCH),
        error => error,
    })?;
    let schema = parse_definition(table, &ddl)?;
    demand(columns(&schema))?;
    Ok(schema)
}

/// The version of a definition that was read again. It is greater than every version before, see [`crate::schema::History::apply`].
fn next_version(known: Option<&TableSchema>) -> u32 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX));
    known.map_or_else(now, |known| known.version.saturating_add(1))
}

/// What is needed to prove that definitions hold at a former position.
struct Refetching<'a> {
    endpoint: &'a Endpoint,
    selection: &'a Selection,
    profile: &'a ServerProfile,
    server: &'a Server,
}

impl Refetching<'_> {
    /// Proves that definitions which have just been read hold at `from`, where a stream has stopped. Fails if not. Returns the proof as text.
    async fn prove(
        &self,
        session: &mut Session,
        stream: &StreamName,
        from: &BinlogCoordinates,
        schemas: &[Arc<TableSchema>],
    ) -> Result<String> {
        const DOING: &str = "read the binlog from where the stream stopped";
        let end = binlog_end(session, self.server, stream).await?;
        let end = end.ok_or_else(|| SourceError::answer(DOING, "the server writes no binlog"))?;
        // The tables were read before this.
        let until = if self.server.is_polardbx() { Some(timestamp(session).await?) } else { None };
        let mut tables = RefetchedTables::new(self.selection, self.profile, schemas.iter().cloned());
        match first_schema_change(&Upstream::Server(self.endpoint.clone()), self.profile, from, &end, until, &mut tables).await {
            Ok(None) => {}
            Ok(Some(ChangedSchema { location, statement, what })) => {
                let table = schemas.first().map_or_else(|| TableId::new("", ""), |schema| schema.id.clone());
                let why = format!("the statement at {location} {what}, so the table may have been another before it: {statement}");
                return Err(refused(&table, &why, FROM_SCRATCH));
            }
            Err(ScanError::Wire(error)) => return Err(SourceError::wire(DOING, error)),
            Err(ScanError::Stream(StreamError::SchemaMismatch { table, what }, at)) => {
                let at = BinlogCoordinates { base: from.base.clone(), at }.location();
                let why =
                    format!("the rows at {at} do not match what the server shows of it now, which is called the known schema here: {what}");
                return Err(refused(&table, &why, FROM_SCRATCH));
            }
            Err(ScanError::Stream(error, at)) => {
                let at = Position::from(BinlogCoordinates { base: from.base.clone(), at }.location());
                return Err(runtime::Error::from(error).at(&at).into());
            }
        }
        let found = schemas.iter().map(|schema| match tables.first_rows(&schema.id) {
            Some(at) => {
                let at = BinlogCoordinates { base: from.base.clone(), at }.location();
                format!("{} matches its rows from {at} on", schema.id)
            }
            None => format!("the binlog has no rows of {} between {} and {}", schema.id, from.location(), end.location()),
        });
        Ok(found.collect::<Vec<_>>().join(", "))
    }
}

fn refused(table: &TableId, why: &str, help: &str) -> SourceError {
    let error = runtime::Error::config("the schema of the table cannot be read again").with_code("E_REFETCH_REFUSED");
    error.because(why.to_owned()).of_table(table).with_help(help.to_owned()).into()
}
