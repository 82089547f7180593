//! Reads one chunk of a table.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::{
    Batch, BatchBuilder, Body, Error, Event, Op, Origin, Position, RowChange, Seq, SplitId, SplitReader, TableId, TableSchema, async_trait,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::cells;
use super::difference::difference;
use super::plan::table_name;
use super::range::{KeyRange, chunk_key};
use super::sessions::ReaderSessions;
use crate::binlog::profile::is_polardbx;
use crate::config::OnDdlInFull;
use crate::error::{Result, SourceError};
use crate::facts::ChangedTable;
use crate::server::{parse_definition, read_ddl};
use crate::session::Session;
use crate::wire::BinaryRow;

/// The connection counts as lost if the server takes longer than this for the rows of one batch.
const BATCH_TIMEOUT: Duration = Duration::from_secs(600);

const READING: &str = "read rows";

/// Bytes of memory that an event takes besides its cells. They count towards the size of a batch.
const EVENT_BYTES: usize = size_of::<Event>();

/// A chunk to read, and the data that its events carry.
pub(crate) struct Chunk {
    pub(crate) id: SplitId,
    pub(crate) start: Position,
    /// The table as the full phase knows it.
    pub(crate) schema: Arc<TableSchema>,
    /// The same as its rows arrive, see [`as_read`].
    pub(crate) read_as: Arc<TableSchema>,
    /// Conditions in SQL. Rows that do not meet all of them need not be read.
    pub(crate) conditions: Vec<String>,
    pub(crate) origin: Origin,
    pub(crate) batch_max_bytes: usize,
    /// What becomes of the task if the schema of the table has changed.
    pub(crate) on_ddl: OnDdlInFull,
    pub(crate) announced: Arc<Announced>,
}

/// The tables of which the log says already that they have changed, each with the version of the schema that does not hold any more. All chunks
/// of a table find this out.
#[derive(Debug, Default)]
pub(crate) struct Announced(Mutex<HashMap<TableId, u32>>);

impl Announced {
    /// Notes that the schema does not hold any more. Returns whether this is new.
    fn note(&self, schema: &TableSchema) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(schema.id.clone(), schema.version) != Some(schema.version)
    }
}

/// Reads the rows of one chunk in batches. The last batch carries the resume position.
///
/// Reading is one future, which sends batches through a channel of capacity one and is polled only inside [`SplitReader::next`]. The future
/// and the channel are kept between calls, so nothing is lost if a call of `next` is dropped.
pub(crate) struct ChunkReader {
    reading: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    batches: mpsc::Receiver<Batch>,
    failed: bool,
}

impl ChunkReader {
    pub(crate) fn new(sessions: Arc<ReaderSessions>, chunk: Chunk) -> Self {
        let (sender, batches) = mpsc::channel(1);
        let reading = async move {
            let read = read(&sessions, chunk, sender).await;
            if read.is_err() {
                // The cause of the failure may have broken the idle connections, too.
                sessions.discard_idle();
            }
            read
        };
        Self { reading: Some(Box::pin(reading)), batches, failed: false }
    }
}

#[async_trait]
impl SplitReader for ChunkReader {
    async fn next(&mut self) -> runtime::Result<Option<Batch>> {
        if self.failed {
            return Err(Error::retryable("the chunk is read again from its beginning"));
        }
        if let Some(reading) = &mut self.reading {
            let ended = tokio::select! {
                biased;
                Some(batch) = self.batches.recv() => return Ok(Some(batch)),
                ended = reading => ended,
            };
            self.reading = None;
            if let Err(error) = ended {
                self.failed = true;
                return Err(error.into());
            }
        }
        Ok(self.batches.recv().await)
    }
}

/// Reads the chunk. If its table has another schema now, or does not exist any more, the chunk ends without the rows that were not sent yet,
/// and notes the table.
async fn read(sessions: &ReaderSessions, mut chunk: Chunk, batches: mpsc::Sender<Batch>) -> Result<()> {
    chunk.origin.read_ms = now_ms();
    let read = match read_rows(sessions, &chunk, &batches).await {
        Err(error) if may_be_a_change(&error) => Err(cause(sessions, &chunk, error).await),
        read => read,
    };
    let what = match read {
        Err(SourceError::TableGone { .. }) => "it does not exist under this name any more".to_owned(),
        Err(SourceError::TableChanged { what, .. }) if chunk.on_ddl == OnDdlInFull::RestartTable => what,
        read => return read,
    };
    let table = chunk.schema.id.clone();
    if chunk.announced.note(&chunk.schema) {
        tracing::warn!(%table, what, "the table was changed before all its rows were read");
    }
    let mut batch = Batch::new(Vec::new(), Some(chunk.start.clone()), 0);
    batch.facts.set_at(&table.to_string(), &ChangedTable { table })?;
    // Sending fails only if the `ChunkReader` was dropped.
    let _ = batches.send(batch).await;
    Ok(())
}

async fn read_rows(sessions: &ReaderSessions, chunk: &Chunk, batches: &mpsc::Sender<Batch>) -> Result<()> {
    let mut lent = sessions.lend().await?;
    let holds = !is_polardbx(lent.session.version());
    let failed = |error| SourceError::or_table_is_gone(error, &chunk.schema.id);
    if holds {
        // Invariant: nobody alters the table between the check of its schema and its last row. The server waits with statements that change
        // a table until the end of every transaction that has read from it.
        lent.session.execute(READING, "START TRANSACTION").await?;
        let touch = format!("SELECT 1 FROM {} LIMIT 0", table_name(&chunk.schema.id));
        lent.session.rows(READING, touch).await.map_err(failed)?;
    }
    let ddl = verify_schema(&mut lent.session, &chunk.schema, None).await?;
    let (mut packer, sql) = Packer::new(chunk)?;
    let doing = format!("read chunk {}", chunk.id);
    let late = || SourceError::Timeout { doing: doing.clone().into(), seconds: BATCH_TIMEOUT.as_secs() };
    let failed = |error| failed(SourceError::wire(doing.clone(), error));
    let mut rows = timeout(BATCH_TIMEOUT, lent.session.select(&sql)).await.map_err(|_| late())?.map_err(failed)?;
    loop {
        let filling = async {
            while !packer.is_full() {
                match rows.next().await.map_err(failed)? {
                    Some(row) => packer.push(row)?,
                    None => return Ok(true),
                }
            }
            Ok::<_, SourceError>(false)
        };
        let ended = timeout(BATCH_TIMEOUT, filling).await.map_err(|_| late())??;
        if ended {
            break;
        }
        if batches.send(packer.finish(None)).await.is_err() {
            return Ok(());
        }
    }
    if holds {
        lent.session.execute(READING, "COMMIT").await?;
    } else {
        // Invariant: a chunk is complete only if its table was not altered while it was read.
        verify_schema(&mut lent.session, &chunk.schema, Some(&ddl)).await?;
    }
    // Invariant: the rows of a chunk are the rows of the server whose binlog is read.
    sessions.confirm(&mut lent).await?;
    // Sending fails only if the `ChunkReader` was dropped.
    let _ = batches.send(packer.finish(Some(chunk.start.clone()))).await;
    sessions.give_back(lent);
    Ok(())
}

/// The first rows of a chunk, at most `limit`. Fails if the table has another schema than the chunk.
pub(crate) async fn first_rows(session: &mut Session, chunk: &Chunk, limit: usize) -> Result<Vec<Event>> {
    let (mut packer, sql) = Packer::new(chunk)?;
    let failed = |error| SourceError::or_table_is_gone(SourceError::wire(READING, error), &chunk.schema.id);
    let late = || SourceError::Timeout { doing: READING.into(), seconds: BATCH_TIMEOUT.as_secs() };
    let ddl = verify_schema(session, &chunk.schema, None).await?;
    let reading = async {
        let mut rows = session.select(&format!("{sql} LIMIT {limit}")).await.map_err(failed)?;
        while let Some(row) = rows.next().await.map_err(failed)? {
            packer.push(row)?;
        }
        Ok::<_, SourceError>(())
    };
    timeout(BATCH_TIMEOUT, reading).await.map_err(|_| late())??;
    verify_schema(session, &chunk.schema, Some(&ddl)).await?;
    Ok(packer.finish(None).events)
}

/// Whether a table that was altered while it was read can be the cause of this error.
fn may_be_a_change(error: &SourceError) -> bool {
    /// A column that does not exist, and a definition that is newer than the transaction.
    const CHANGED: [u16; 2] = [1054, 1412];
    matches!(error, SourceError::Cell { .. }) || error.code().is_some_and(|code| CHANGED.contains(&code))
}

/// The change of the table if there was one; otherwise the error, which then has another cause.
async fn cause(sessions: &ReaderSessions, chunk: &Chunk, error: SourceError) -> SourceError {
    let verified = async {
        let mut lent = sessions.lend().await?;
        verify_schema(&mut lent.session, &chunk.schema, None).await?;
        sessions.give_back(lent);
        Ok::<_, SourceError>(())
    };
    match verified.await {
        Err(change @ (SourceError::TableChanged { .. } | SourceError::TableGone { .. })) => change,
        _ => error,
    }
}

/// Checks that the table still has the schema that the full phase knows. Returns the table's SHOW CREATE TABLE. `known` is such a text
/// that was checked before; if the text is the same now, it is not parsed again.
pub(crate) async fn verify_schema(session: &mut Session, schema: &TableSchema, known: Option<&str>) -> Result<String> {
    let table = &schema.id;
    let ddl = read_ddl(session, table).await.map_err(|error| SourceError::or_table_is_gone(error, table))?;
    if known == Some(ddl.as_str()) {
        return Ok(ddl);
    }
    match difference(schema, &parse_definition(table, &ddl)?) {
        Some(what) => Err(SourceError::TableChanged { table: table.clone(), what }),
        None => Ok(ddl),
    }
}

/// Packs rows into batches.
struct Packer<'a> {
    chunk: &'a Chunk,
    origin: Arc<Origin>,
    builder: BatchBuilder,
    position: Position,
    row_count: u64,
    timestamp_ms: i64,
}

impl<'a> Packer<'a> {
    fn new(chunk: &'a Chunk) -> Result<(Self, String)> {
        let range = KeyRange::parse(chunk.start.as_str());
        let condition = range.and_then(|range| range.condition(&chunk_key(&chunk.read_as)));
        let condition =
            condition.ok_or_else(|| SourceError::Checkpoint { what: format!("split {} has an unreadable range of keys", chunk.id) })?;
        let mut sql = format!("SELECT {} FROM {}{condition}", cells::select_list(&chunk.schema), table_name(&chunk.schema.id));
        for (index, wanted) in chunk.conditions.iter().enumerate() {
            sql.push_str(if index == 0 && condition.is_empty() { " WHERE " } else { " AND " });
            sql.push_str(&format!("({wanted})"));
        }
        let origin = Arc::new(chunk.origin.clone());
        let mut packer =
            Self { chunk, origin, builder: BatchBuilder::default(), position: chunk.id.as_str().into(), row_count: 0, timestamp_ms: 0 };
        packer.begin();
        Ok((packer, sql))
    }

    /// Begins the next batch. All events of a batch have the same timestamp, in whole seconds.
    fn begin(&mut self) {
        self.timestamp_ms = now_ms() / 1000 * 1000;
    }

    fn is_full(&self) -> bool {
        self.builder.block.len() + self.builder.len() * EVENT_BYTES >= self.chunk.batch_max_bytes
    }

    fn push(&mut self, mut row: BinaryRow<'_>) -> Result<()> {
        let schema = &self.chunk.read_as;
        let mut writer = self.builder.block.row(schema.columns.len());
        for column in &schema.columns {
            let cell = row.cell().map_err(|error| SourceError::wire(READING, error))?;
            cells::push(&mut writer, cell, column).ok_or_else(|| SourceError::Cell {
                table: schema.id.clone(),
                column: column.name.clone(),
                source_type: column.source_type.clone(),
                position: format!("{} row {}", self.chunk.id, self.row_count + 1).into(),
            })?;
        }
        let after = Some(writer.finish());
        self.row_count += 1;
        self.builder.push(Event {
            seq: Seq(u128::from(self.row_count)),
            position: self.position.clone(),
            timestamp_ms: self.timestamp_ms,
            txid: None,
            origin: self.origin.clone(),
            body: Body::Row(RowChange::new(schema.clone(), Op::Read, None, after)),
        });
        Ok(())
    }

    fn finish(&mut self, resume: Option<Position>) -> Batch {
        let batch = self.builder.finish(resume);
        self.begin();
        batch
    }
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use runtime::{Column, ColumnKind};

    use super::*;

    #[test]
    fn an_error_holds_no_key_of_a_row() {
        let mut schema = TableSchema::new(TableId::new("d", "t"), vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint")]);
        schema.primary_key = vec![0];
        let schema = Arc::new(schema);
        // The keys have one column too many, or are no keys at all.
        for start in ["v1;after=4711,4712;upto=-", "v1;after=-;upto=4711x", "4711"] {
            let chunk = Chunk {
                id: "d.t/chunk-3".into(),
                start: start.into(),
                schema: schema.clone(),
                read_as: schema.clone(),
                conditions: Vec::new(),
                origin: Origin::default(),
                batch_max_bytes: 1,
                on_ddl: OnDdlInFull::Fail,
                announced: Arc::default(),
            };
            let Err(error) = Packer::new(&chunk) else { panic!("{start}") };
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("d.t/chunk-3") && !shown.contains("471"), "{shown}");
        }
    }

    #[test]
    fn a_change_is_announced_once_for_all_chunks_of_a_table() {
        let announced = Announced::default();
        let schema = |table: &str, version| {
            let mut schema = TableSchema::new(TableId::new("d", table), Vec::new());
            schema.version = version;
            schema
        };
        let said =
            [("t", 1), ("t", 1), ("u", 1), ("t", 1), ("t", 2), ("t", 2)].map(|(table, version)| announced.note(&schema(table, version)));
        assert_eq!(said, [true, false, true, false, true, false]);
    }
}
