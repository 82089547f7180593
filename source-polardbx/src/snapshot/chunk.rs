//! Reads one chunk of a table.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mysql_async::Row;
use mysql_async::prelude::{Query, WithParams};
use runtime::{
    Batch, BatchBuilder, Body, Error, Event, Op, Origin, Position, RowChange, Seq, SplitId, SplitReader, TableSchema, async_trait,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::cells;
use super::plan::table_name;
use super::range::{KeyRange, chunk_key};
use super::sessions::ReaderSessions;
use crate::error::{Result, SourceError};
use crate::server::{parse_definition, read_ddl};
use crate::session::Session;

/// The connection counts as lost if the server takes longer than this for the rows of one batch. The client library has no read time-out.
const BATCH_TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes of memory that an event takes besides its cells. They count towards the size of a batch.
const EVENT_BYTES: usize = size_of::<Event>();

/// A chunk to read, and the data that its events carry.
pub(crate) struct Chunk {
    pub(crate) id: SplitId,
    pub(crate) start: Position,
    /// The table as the full phase began with it.
    pub(crate) schema: Arc<TableSchema>,
    /// The same as its rows arrive, see [`as_read`].
    pub(crate) read_as: Arc<TableSchema>,
    pub(crate) origin: Origin,
    pub(crate) batch_max_bytes: usize,
    /// Whether a stream follows the full phase. If the table was dropped, the stream then delivers its DROP TABLE.
    pub(crate) stream_follows: bool,
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

/// Reads the chunk. If its table was dropped and a stream follows, the chunk ends without the rows that were not sent yet.
async fn read(sessions: &ReaderSessions, mut chunk: Chunk, batches: mpsc::Sender<Batch>) -> Result<()> {
    chunk.origin.read_ms = now_ms();
    match read_rows(sessions, &chunk, &batches).await {
        Err(SourceError::TableGone { table }) if chunk.stream_follows => {
            tracing::warn!(%table, "the table was dropped before all its rows were read; the stream will deliver the statement");
            let (mut packer, _) = Packer::new(&chunk)?;
            let _ = batches.send(packer.finish(Some(chunk.start.clone()))).await;
            Ok(())
        }
        read => read,
    }
}

async fn read_rows(sessions: &ReaderSessions, chunk: &Chunk, batches: &mpsc::Sender<Batch>) -> Result<()> {
    let mut lent = sessions.lend().await?;
    let ddl = verify_schema(&mut lent.session, chunk, None).await?;
    let (mut packer, sql) = Packer::new(chunk)?;
    let doing = format!("read chunk {}", chunk.id);
    let late = || SourceError::Timeout { doing: doing.clone().into(), seconds: BATCH_TIMEOUT.as_secs() };
    let failed = |error| SourceError::or_table_is_gone(SourceError::mysql(doing.clone())(error), &chunk.schema.id);
    let mut result = timeout(BATCH_TIMEOUT, sql.with(()).run(&mut lent.session.conn)).await.map_err(|_| late())?.map_err(failed)?;
    loop {
        let filling = async {
            while !packer.is_full() {
                // The method `next` is not in the library's documentation. The documented ways to stream rows box every row, or cannot be
                // paused.
                match result.next().await.map_err(failed)? {
                    Some(row) => packer.push(&row)?,
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
    drop(result);
    // Invariant: a chunk is complete only if its table was not altered while it was read.
    verify_schema(&mut lent.session, chunk, Some(&ddl)).await?;
    // Invariant: the rows of a chunk are the rows of the server whose binlog is read.
    sessions.confirm(&mut lent).await?;
    // Sending fails only if the `ChunkReader` was dropped.
    let _ = batches.send(packer.finish(Some(chunk.start.clone()))).await;
    sessions.give_back(lent);
    Ok(())
}

/// Checks that the table still has the schema with which the full phase began. Returns the table's SHOW CREATE TABLE. `known` is such a
/// text that was checked before; if the text is the same now, it is not parsed again.
async fn verify_schema(session: &mut Session, chunk: &Chunk, known: Option<&str>) -> Result<String> {
    let table = &chunk.schema.id;
    let ddl = read_ddl(session, table).await.map_err(|error| SourceError::or_table_is_gone(error, table))?;
    if known == Some(ddl.as_str()) {
        return Ok(ddl);
    }
    let mut now = parse_definition(table, &ddl)?;
    now.version = chunk.schema.version;
    if now != *chunk.schema {
        let what = "its columns or keys are not those that the full phase began with".to_owned();
        return Err(SourceError::TableChanged { table: table.clone(), what });
    }
    Ok(ddl)
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
        let condition = condition
            .ok_or_else(|| SourceError::Checkpoint { what: format!("split {} has the unreadable range {}", chunk.id, chunk.start) })?;
        let sql = format!("SELECT {} FROM {}{condition}", cells::select_list(&chunk.schema), table_name(&chunk.schema.id));
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

    fn push(&mut self, row: &Row) -> Result<()> {
        let schema = &self.chunk.read_as;
        let mut writer = self.builder.block.row(schema.columns.len());
        for (index, column) in schema.columns.iter().enumerate() {
            let packed = row.as_ref(index).and_then(|cell| cells::push(&mut writer, cell, column));
            packed.ok_or_else(|| SourceError::Cell {
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
            body: Body::Row(RowChange { schema: schema.clone(), op: Op::Read, before: None, after }),
        });
        Ok(())
    }

    fn finish(&mut self, resume: Option<Position>) -> Batch {
        let batch = self.builder.finish(resume);
        self.begin();
        batch
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
