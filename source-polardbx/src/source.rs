//! The source: plans the splits and opens them.

use std::sync::Arc;

use runtime::{
    Committed, Error, Finding, Origin, Position, RowFilter, Source, Split, SplitId, SplitKind, SplitReader, State, TableId, TableProgress,
    TableSchema, async_trait,
};

use crate::binlog::{BinlogCoordinates, DATABASES, FileOffset, StreamOptions, StreamPosition, StreamReader};
use crate::check::{self, demand};
use crate::config::{Config, ConfigError, Start, Task};
use crate::error::{Result, SourceError};
use crate::resume::{self, committed_schema, fact, required_fact, same_task};
use crate::schema::{Databases, parse_databases};
use crate::schema_phase::{self as structures, STRUCTURES, StructuresReader};
use crate::selection::Selection;
use crate::server::{Definition, Server, binlog_end, binlog_files, database_charsets, read_definitions, selected_tables};
use crate::session::{Endpoint, Session};
use crate::snapshot::barrier::Barrier;
use crate::snapshot::chunk::{Chunk, ChunkReader, ReaderSessions};
use crate::snapshot::plan::{next_chunks, progress, table_of};
use crate::snapshot::progress::Overview;

/// Id of the split that reads the binlog. With an incremental phase, the facts of the task are committed with it.
const STREAM: &str = "stream_global";

/// Id of the split that the facts are committed with where there is no stream. It has no rows.
const SNAPSHOT_PLAN: &str = "snapshot_plan";

/// Chunks of one plan for each connection that reads: enough to keep all busy, few enough for a short list.
const CHUNKS_PER_READER: usize = 8;

/// The batches of a chunk are not smaller than this, or Kafka's record batches would be.
const CHUNK_BATCH_BYTES: usize = 256 << 10;

/// A PolarDB-X or MySQL server as a source: its tables as chunks, then its binlog as a stream.
pub struct PolardbxSource {
    task: Task,
    endpoint: Endpoint,
    readers: Arc<ReaderSessions>,
    overview: Overview,
}

impl PolardbxSource {
    /// A source by its configuration, for the task `name`. Does not connect yet; an error of kind `Config` names the key that is wrong.
    pub fn new(config: Config, name: &str, batch_max_bytes: usize) -> Result<Self, Error> {
        let task = Task::new(config, name, batch_max_bytes).map_err(SourceError::from)?;
        let endpoint = Endpoint::new(&task.config)?;
        let readers = Arc::new(ReaderSessions::new(endpoint.clone(), task.config.parallelism));
        Ok(Self { task, endpoint, readers, overview: Overview::default() })
    }

    /// The split that carries the facts of the task.
    fn anchor(&self) -> SplitId {
        if self.task.incremental { STREAM.into() } else { SNAPSHOT_PLAN.into() }
    }

    async fn plan_splits(&self, committed: &Committed) -> Result<Vec<Split>> {
        self.readers.forget_idle();
        // A reader's session: the bounds of chunks must come in the character sets of their columns.
        let mut session = self.endpoint.connect_reader().await?;
        let server = Server::identify(&mut session).await?;
        demand([server.support()])?;
        tracing::info!(server = %server.kind, version = server.version, "connected to the source");
        if self.task.incremental {
            demand(server.stream_settings())?;
            self.task.server_id(server.server_id())?;
        }
        let planned = match committed.splits.contains_key(&self.anchor()) {
            true => self.go_on(&mut session, &server, committed).await,
            false if committed.splits.is_empty() => self.begin(&mut session, &server).await,
            false => Err(SourceError::TaskChanged { what: "the task was started with other `phases`".into() }),
        };
        session.close().await;
        planned
    }

    /// The first plan: notes where the stream begins, passes the barrier, and only then looks at tables.
    async fn begin(&self, session: &mut Session, server: &Server) -> Result<Vec<Split>> {
        let start = self.start(session, server).await?;
        if let (true, Some(place)) = (self.task.incremental, &start) {
            // Now, and not when all tables are read and the stream begins.
            let id = self.task.server_id(server.server_id())?;
            demand([check::may_dump(&self.endpoint, id, place).await])?;
            if let Some(Start::Position { .. }) = self.task.config.start {
                check::begins_transaction(&self.endpoint, id, place).await?;
            }
        }
        if self.task.full && self.task.incremental {
            let barrier = Barrier::pass(session, server, &self.task.name, self.task.barrier_delay).await?;
            tracing::info!(%barrier, "all commits before the start of the stream are visible");
        }
        let selection = self.selection(server);
        let (tables, views) = selected_tables(session, &selection).await?;
        demand(check::missing(&selection, &tables, &views))?;
        if tables.is_empty() && (self.task.full || self.task.structures) {
            let why = format!("no table is selected by {}", self.task.config.tables.join(", "));
            let help = "check `tables` and `exclude`, and that the account has SELECT on the tables";
            return Err(ConfigError::new("tables", why, help).into());
        }
        let definitions = read_definitions(session, &self.endpoint, self.task.config.parallelism, &tables).await?;
        let schemas: Vec<Arc<TableSchema>> = definitions.iter().map(|Definition { schema, .. }| schema.clone()).collect();
        demand(schemas.iter().flat_map(|schema| check::columns(schema)))?;

        let mut state: State = vec![
            (fact::IDENTITY.into(), Some(server.identity()?)),
            (fact::SERVER_ID.into(), Some(server.server_id().to_string())),
            (fact::VERSION.into(), Some(server.version.clone())),
            (fact::SELECTION.into(), Some(self.task.selection_text())),
            (fact::START.into(), Some(start.as_ref().map_or_else(|| "0@0".to_owned(), BinlogCoordinates::offset_text))),
        ];
        if self.task.incremental {
            let databases = Databases::new(database_charsets(session).await?, false);
            state.push((DATABASES.into(), Some(databases.to_text())));
        }
        if self.task.full {
            state.push((fact::TABLES.into(), Some(tables_text(&tables))));
        }
        let mut splits = Vec::new();
        if self.task.structures {
            // Invariant: chunks are planned when all structures were delivered.
            state.push((fact::STRUCTURES.into(), Some(String::new())));
            splits.push(structures::split(&definitions)?);
        } else if self.task.full {
            splits = self.chunks(session, &schemas, &Committed::default()).await?;
        }
        let (kind, position) = match (self.task.incremental, start) {
            (true, Some(place)) => (SplitKind::Stream, stream_position(server.identity()?, &place)?),
            (true, None) => return Err(SourceError::answer("ask for the end of the binlog", "the server writes no binlog")),
            (false, _) => (SplitKind::Snapshot, "v1".into()),
        };
        splits.push(Split { id: self.anchor(), kind, start: position, schemas, state });
        Ok(splits)
    }

    /// A later plan: what is left of the snapshot, and the stream.
    async fn go_on(&self, session: &mut Session, server: &Server, committed: &Committed) -> Result<Vec<Split>> {
        let anchor = self.anchor();
        same_task(&self.task, server, committed, &anchor)?;
        let mut splits = Vec::from_iter(structures::left(committed));
        if splits.is_empty()
            && let Some(tables) = committed.fact(&anchor, fact::TABLES)
        {
            let tables = parse_tables(tables)?;
            let schemas = tables.iter().map(|table| committed_schema(committed, &anchor, table)).collect::<Result<Vec<_>>>()?;
            splits = self.chunks(session, &schemas, committed).await?;
        }
        if let Some(checkpoint) = committed.splits.get(&anchor).filter(|checkpoint| !checkpoint.done) {
            let kind = if self.task.incremental { SplitKind::Stream } else { SplitKind::Snapshot };
            let schemas = schemas_of(committed, &anchor);
            splits.push(Split { id: anchor, kind, start: checkpoint.position.clone(), schemas, state: State::new() });
        }
        Ok(splits)
    }

    /// The next chunks of the snapshot; empty when all of it was read.
    async fn chunks(&self, session: &mut Session, schemas: &[Arc<TableSchema>], committed: &Committed) -> Result<Vec<Split>> {
        let tables: Vec<TableId> = schemas.iter().map(|schema| schema.id.clone()).collect();
        let planned = progress(committed, &tables)?;
        self.overview.note(session, &tables, &planned, self.task.config.chunk_rows).await;
        next_chunks(session, schemas, &planned, self.task.config.chunk_rows, self.slice()).await
    }

    /// Where the stream begins; `None` if a snapshot alone runs where the account may not ask.
    async fn start(&self, session: &mut Session, server: &Server) -> Result<Option<BinlogCoordinates>> {
        const DOING: &str = "find the start of the stream";
        let first_byte = |file: &str, offset| {
            BinlogCoordinates::new(file, offset).ok_or_else(|| SourceError::answer(DOING, format!("{file} is no name of a binlog file")))
        };
        match &self.task.config.start {
            _ if !self.task.incremental => Ok(binlog_end(session, server).await.ok().flatten()),
            Some(Start::Earliest {}) => {
                let files = binlog_files(session).await?;
                files.oldest().map(|file| first_byte(file, FileOffset::FIRST)).transpose()
            }
            Some(Start::Position { file, offset }) => {
                let refuse =
                    |why: String| ConfigError::new("start", why, "choose a file and an offset that SHOW BINLOG EVENTS lists").into();
                match binlog_files(session).await?.size(file) {
                    Some(size) if *offset <= size => first_byte(file, *offset).map(Some),
                    Some(size) => Err(refuse(format!("position.offset = {offset} is beyond the {size} bytes of {file}"))),
                    None => Err(refuse(format!("the server has no binlog file {file:?}"))),
                }
            }
            // The others are refused with the configuration.
            Some(Start::Latest {} | Start::Gtid { .. } | Start::Timestamp { .. }) | None => binlog_end(session, server).await,
        }
    }

    async fn open_chunk(&self, split: &Split, committed: &Committed) -> Result<ChunkReader> {
        let anchor = self.anchor();
        let tables = parse_tables(required_fact(committed, &anchor, fact::TABLES)?)?;
        let table = table_of(&split.id, &tables)
            .ok_or_else(|| SourceError::Checkpoint { what: format!("split {} is no chunk of a known table", split.id) })?;
        let origin = snapshot_origin(committed, &anchor)?;
        let schema = committed_schema(committed, &anchor, table)?;
        let (id, start) = (split.id.clone(), split.start.clone());
        // Chunks are read side by side: together they hold as much as one stream.
        let batch_max_bytes = (self.task.batch_max_bytes / self.task.config.parallelism).max(CHUNK_BATCH_BYTES);
        Ok(ChunkReader::new(self.readers.clone(), Chunk { id, start, schema, origin, batch_max_bytes }))
    }

    async fn open_stream(&self, split: &Split, committed: &Committed) -> Result<StreamReader, Error> {
        let mut position = StreamPosition::parse(split.start.as_str()).map_err(SourceError::from)?;
        let mut session = self.endpoint.connect().await?;
        let server = Server::identify(&mut session).await?;
        let found = server.identity()?;
        if found != position.identity {
            return Err(SourceError::IdentityChanged { known: position.identity, found }.into());
        }
        let files = binlog_files(&mut session).await?;
        files.find(&position.base, position.at)?;
        position.forget_purged(|file| files.size(file).is_some());
        // As they were at the position. A checkpoint of an older program does not tell: then they are taken as they are now.
        let database_charsets = match committed.fact(&split.id, DATABASES) {
            Some(text) => parse_databases(text)
                .ok_or_else(|| SourceError::Checkpoint { what: format!("the fact {DATABASES:?} of {} is unreadable", split.id) })?,
            None => database_charsets(&mut session).await?,
        };
        session.close().await;
        let options = StreamOptions {
            endpoint: self.endpoint.clone(),
            server_id: self.task.server_id(server.server_id()).map_err(SourceError::from)?,
            position,
            schemas: schemas_of(committed, &split.id),
            database_charsets,
            selection: self.selection(&server),
            profile: server.profile(),
            heartbeat: self.task.heartbeat,
            batch_max_bytes: self.task.batch_max_bytes,
        };
        Ok(StreamReader::open(options).await?)
    }

    fn selection(&self, server: &Server) -> Selection {
        self.task.selection.clone().folded(server.lower_case())
    }

    fn slice(&self) -> usize {
        self.task.config.parallelism * CHUNKS_PER_READER
    }
}

#[async_trait]
impl Source for PolardbxSource {
    async fn plan(&self, committed: &Committed, _pushdown: &[RowFilter]) -> Result<Vec<Split>, Error> {
        Ok(self.plan_splits(committed).await?)
    }

    async fn open(&self, split: &Split, committed: &Committed) -> Result<Box<dyn SplitReader>, Error> {
        match split.id.as_str() {
            STREAM => Ok(Box::new(self.open_stream(split, committed).await?)),
            SNAPSHOT_PLAN => Ok(Box::new(NoRows)),
            STRUCTURES => {
                let anchor = self.anchor();
                Ok(Box::new(StructuresReader::new(committed, &anchor, snapshot_origin(committed, &anchor)?)?))
            }
            _ => Ok(Box::new(self.open_chunk(split, committed).await?)),
        }
    }

    async fn check(&self) -> Vec<Finding> {
        check::findings(&self.task, &self.endpoint).await
    }

    async fn check_resume(&self, committed: &Committed) -> Vec<Finding> {
        resume::findings(&self.task, &self.endpoint, committed, &self.anchor()).await
    }

    fn tables(&self) -> Vec<TableProgress> {
        self.overview.tables()
    }
}

/// The reader of the split that only carries facts.
struct NoRows;

#[async_trait]
impl SplitReader for NoRows {
    async fn next(&mut self) -> Result<Option<runtime::Batch>, Error> {
        Ok(None)
    }
}

/// What events of the snapshot say of themselves.
fn snapshot_origin(committed: &Committed, anchor: &SplitId) -> Result<Origin> {
    let mut origin = Origin::default();
    origin.server_id = required_fact(committed, anchor, fact::SERVER_ID)?.parse().unwrap_or_default();
    origin.server_version = required_fact(committed, anchor, fact::VERSION)?.into();
    let start: Arc<str> = required_fact(committed, anchor, fact::START)?.into();
    (origin.offset, origin.safe_offset) = (start.clone(), start);
    Ok(origin)
}

fn schemas_of(committed: &Committed, split: &SplitId) -> Vec<Arc<TableSchema>> {
    committed.schemas.iter().filter(|((of, _), _)| of == split).map(|(_, schema)| schema.clone()).collect()
}

fn tables_text(tables: &[TableId]) -> String {
    serde_json::Value::from_iter(tables.iter().map(|table| vec![table.database.to_string(), table.table.to_string()])).to_string()
}

fn parse_tables(text: &str) -> Result<Vec<TableId>> {
    let names: Vec<[String; 2]> = serde_json::from_str(text)
        .map_err(|error| SourceError::Checkpoint { what: format!("the list of tables is unreadable: {error}") })?;
    Ok(names.into_iter().map(|[database, table]| TableId::new(database, table)).collect())
}

fn stream_position(identity: String, place: &BinlogCoordinates) -> Result<Position> {
    let start = StreamPosition::start(identity, &place.file_name(), place.at.offset);
    start.map(|position| position.to_position()).map_err(|error| SourceError::answer("note the start of the stream", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tables_read_back() {
        let tables = [TableId::new("a.b", "c\"d"), TableId::new("shop", "orders")];
        assert_eq!(parse_tables(&tables_text(&tables)).unwrap(), tables);
        assert!(parse_tables("{}").is_err());
    }
}
