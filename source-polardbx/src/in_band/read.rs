//! Reads one chunk of a table.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runtime::{CellBlock, Column, Error, Kind, Row, TableSchema};
use tokio::time::{sleep, timeout};

use super::key::key_of;
use super::keyless::Bracket;
use super::phases::Reading;
use crate::binlog::{BinlogCoordinates, StreamMark};
use crate::error::{Result, SourceError};
use crate::server::{Server, binlog_end};
use crate::session::{Session, literal, quoted};
use crate::snapshot::barrier::Barrier;
use crate::snapshot::cells;
use crate::snapshot::chunk::{now_ms, verify_schema};
use crate::snapshot::plan::table_name;
use crate::snapshot::range::{Key, KeyRange, chunk_key};
use crate::snapshot::sessions::{Lent, ReaderSessions};
use crate::splits::StreamName;
use crate::spool::{SpoolReader, SpoolWriter};
use crate::start::timestamp;
use crate::wire::BinaryRow;

/// The connection counts as lost if the server takes longer than this for so many rows.
const TIMEOUT: Duration = Duration::from_secs(600);
const ROWS_IN_TIME: u64 = 10_000;

/// The rows of a record of a spool have at least so many bytes together.
const RECORD_BYTES: usize = 256 << 10;

/// The pauses before a chunk is read again.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// So many moments are tried without a pause.
const FAST_TRIES: u32 = 20;
/// The pause before each later try.
const SLOW_TRY: Duration = Duration::from_millis(200);

/// What is read of a table, and how.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) reading: Reading,
    /// The table as its rows arrive.
    pub(super) read_as: Arc<TableSchema>,
    /// Conditions in SQL. Rows that do not meet all of them need not be read.
    pub(super) conditions: Vec<String>,
    /// The file in which the rows wait, if they are many.
    pub(super) path: PathBuf,
}

/// The rows of a chunk.
pub(super) struct Chunk {
    pub(super) reading: Reading,
    pub(super) read_as: Arc<TableSchema>,
    /// Everything that the SELECT can have seen is in the stream before this place.
    pub(super) high: StreamMark,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// What is left of the range.
    pub(super) rest: Option<KeyRange>,
    /// When it was read, in milliseconds since the epoch.
    pub(super) read_ms: i64,
    spool: SpoolWriter,
}

impl Chunk {
    /// The rows, as records of rows.
    pub(super) fn into_rows(self) -> std::io::Result<SpoolReader> {
        self.spool.into_reader()
    }
}

/// What came of a reading.
pub(super) enum Read {
    Chunk(Box<Chunk>),
    Changed(Box<Changed>),
}

/// A table that does not have the known schema any more.
pub(super) struct Changed {
    pub(super) reading: Reading,
    pub(super) error: SourceError,
    /// The stream tells of the change before it has reached this place.
    pub(super) high: StreamMark,
}

/// What came of seeking a moment at which a table can be read.
pub(super) enum Sought {
    Moment(Box<Moment>),
    Changed(Box<Changed>),
}

/// A moment at which a table without a key can be read, or was read.
pub(super) struct Moment {
    pub(super) bracket: Bracket,
    pub(super) rows: MomentRows,
}

/// The rows of a table at a moment.
pub(super) enum MomentRows {
    /// The connection shows them as they are at the moment.
    Unread(Box<(Lent, Job)>),
    /// They were read between the marks.
    Read(Box<Chunk>),
}

impl Moment {
    pub(super) fn reading(&self) -> &Reading {
        match &self.rows {
            MomentRows::Unread(unread) => &unread.1.reading,
            MomentRows::Read(chunk) => &chunk.reading,
        }
    }
}

impl Read {
    pub(super) fn reading(&self) -> &Reading {
        match self {
            Self::Chunk(chunk) => &chunk.reading,
            Self::Changed(changed) => &changed.reading,
        }
    }

    /// How many bytes its rows have.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.bytes,
            Self::Changed(_) => 0,
        }
    }

    /// The place of the stream at which it has its turn.
    pub(super) fn high(&self) -> &StreamMark {
        match self {
            Self::Chunk(chunk) => &chunk.high,
            Self::Changed(changed) => &changed.high,
        }
    }
}

/// What reading needs of the task.
pub(super) struct Readers {
    pub(super) sessions: Arc<ReaderSessions>,
    pub(super) server: Arc<Server>,
    pub(super) stream: StreamName,
    /// The name of the task.
    pub(super) task: String,
    pub(super) barrier_delay: Duration,
}

impl Readers {
    /// Reads a chunk. What may pass, such as a statement that the server has ended, is tried again a few times.
    pub(super) async fn read(&self, job: Job) -> Result<Read> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.try_to_read(job.clone()).await {
                Err(error) => Error::from(error),
                read => return read,
            };
            match pauses.next().filter(|_| error.kind() == Kind::Retryable) {
                Some(pause) => {
                    tracing::debug!(%error, "a chunk is read again");
                    sleep(*pause).await;
                }
                None => return Err(error.into()),
            }
        }
    }

    async fn try_to_read(&self, job: Job) -> Result<Read> {
        let (lent, reading) = (self.sessions.lend().await?, job.reading.clone());
        let (lent, read) = self.attempt(lent, &reading, async |session| self.rows(session, job, false).await).await?;
        self.sessions.give_back(lent);
        Ok(read.map_or_else(Read::Changed, |chunk| Read::Chunk(Box::new(chunk))))
    }

    /// Does something that needs the table to have the known schema. If it fails and the table has another one, the result says so.
    async fn attempt<T>(
        &self,
        mut lent: Lent,
        reading: &Reading,
        doing: impl AsyncFnOnce(&mut Session) -> Result<T>,
    ) -> Result<(Lent, Result<T, Box<Changed>>)> {
        let done = match doing(&mut lent.session).await {
            Ok(done) => Ok(done),
            Err(error) => {
                // What the failure was about may have broken the idle connections, too.
                self.sessions.discard_idle();
                lent = self.sessions.replace(lent).await?;
                let error = match verify_schema(&mut lent.session, &reading.schema, None).await {
                    Err(change @ (SourceError::TableChanged { .. } | SourceError::TableGone { .. })) => change,
                    _ if matches!(error, SourceError::TableChanged { .. } | SourceError::TableGone { .. }) => error,
                    _ => return Err(error),
                };
                Err(Box::new(Changed { reading: reading.clone(), error, high: self.end(&mut lent.session).await? }))
            }
        };
        // Invariant: the rows of a chunk are the rows of the server whose binlog is read.
        self.sessions.confirm(&mut lent).await?;
        Ok((lent, done))
    }

    /// Finds a moment at which a table without a key can be read. `tries` of them were of no use. `lent` is the connection of the last one.
    pub(super) async fn moment(&self, job: Job, lent: Option<Lent>, tries: u32) -> Result<Sought> {
        if tries >= FAST_TRIES {
            sleep(SLOW_TRY).await;
        }
        let is_used = lent.is_some();
        let lent = match lent {
            Some(lent) => lent,
            None => self.sessions.lend().await?,
        };
        let reading = job.reading.clone();
        let sought = self.attempt(lent, &reading, async |session| self.bracket(session, &job, is_used).await).await?;
        Ok(match sought {
            (lent, Ok((bracket, None))) => Sought::Moment(Box::new(Moment { bracket, rows: MomentRows::Unread(Box::new((lent, job))) })),
            (lent, Ok((bracket, Some(chunk)))) => {
                self.sessions.give_back(lent);
                Sought::Moment(Box::new(Moment { bracket, rows: MomentRows::Read(chunk) }))
            }
            (lent, Err(changed)) => {
                self.sessions.give_back(lent);
                Sought::Changed(changed)
            }
        })
    }

    /// The marks around a moment. What the session shows is the state at this moment, if the server can do that. Otherwise the rows are read
    /// between the marks.
    async fn bracket(&self, session: &mut Session, job: &Job, is_used: bool) -> Result<(Bracket, Option<Box<Chunk>>)> {
        const SHOWING: &str = "begin to read a table without a key";
        if is_used {
            session.execute(SHOWING, "ROLLBACK").await?;
        }
        let low = self.end(session).await?;
        Barrier::pass(session, &self.server, &self.task, self.barrier_delay).await?;
        if self.server.is_polardbx() || !has_moments(session, &job.reading.schema).await? {
            let chunk = self.rows(session, job.clone(), false).await?;
            return Ok((Bracket { low, high: chunk.high.clone() }, Some(Box::new(chunk))));
        }
        session.execute(SHOWING, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        session.execute(SHOWING, "START TRANSACTION WITH CONSISTENT SNAPSHOT").await?;
        Ok((Bracket { low, high: self.end(session).await? }, None))
    }

    /// Reads the rows of a table without a key as they are at the moment; `None` if the server cannot show them any more.
    pub(super) async fn read_then(&self, lent: Lent, job: Job) -> Result<Option<Read>> {
        let reading = job.reading.clone();
        match self.attempt(lent, &reading, async |session| self.rows(session, job, true).await).await {
            Ok((lent, read)) => {
                self.sessions.give_back(lent);
                Ok(Some(read.map_or_else(Read::Changed, |chunk| Read::Chunk(Box::new(chunk)))))
            }
            // ER_TABLE_DEF_CHANGED: the table was emptied or made again since then.
            Err(error) if error.code() == Some(1412) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the rows of a chunk. `is_open` says that the session is in a transaction already.
    async fn rows(&self, session: &mut Session, job: Job, is_open: bool) -> Result<Chunk> {
        const READING: &str = "read rows";
        let Job { reading, read_as, conditions, path } = job;
        let Reading { schema, range, limit, .. } = &reading;
        let holds = !self.server.is_polardbx();
        let failed = |error| SourceError::or_table_is_gone(error, &schema.id);
        if holds {
            // Invariant: nobody alters the table between the check of its schema and its last row. The server waits with statements that
            // change a table until the end of every transaction that has read from it. Each SELECT has a view of its own, unless the
            // transaction shows a moment.
            if !is_open {
                session.execute(READING, "START TRANSACTION").await?;
            }
            session.rows(READING, format!("SELECT 1 FROM {} LIMIT 0", table_name(&schema.id))).await.map_err(failed)?;
        }
        let ddl = verify_schema(session, schema, None).await?;
        let doing = format!("read rows of table {}", schema.id);
        let key = chunk_key(&read_as);
        let limit = if key.is_empty() { None } else { Some(*limit) };
        let mut collected = Collected::new(path, &read_as, &key);
        let sql = select(schema, &key, range, &conditions, limit)
            .ok_or_else(|| SourceError::Checkpoint { what: format!("it has an unreadable range of keys of table {}", schema.id) })?;
        let late = || SourceError::Timeout { doing: doing.clone().into(), seconds: TIMEOUT.as_secs() };
        let failed = |error| failed(SourceError::wire(doing.clone(), error));
        let read_ms = now_ms();
        let mut rows = timeout(TIMEOUT, session.select(&sql)).await.map_err(|_| late())?.map_err(failed)?;
        loop {
            let filling = async {
                for _ in 0..ROWS_IN_TIME {
                    match rows.next().await.map_err(failed)? {
                        Some(row) => collected.push(row)?,
                        None => return Ok(true),
                    }
                }
                Ok::<_, SourceError>(false)
            };
            if timeout(TIMEOUT, filling).await.map_err(|_| late())?? {
                break;
            }
        }
        let (spool, count, bytes, last) = collected.finish()?;
        let rest = match limit.filter(|limit| count >= *limit) {
            Some(_) => {
                let what = "the last row of a chunk has a key without a form in SQL";
                let after = last.ok_or_else(|| SourceError::answer(doing, what))?;
                Some(KeyRange { after: Some(after), upto: range.upto.clone() })
            }
            None => None,
        };
        // Only now is everything in the binlog that the SELECT has seen.
        let high = self.end(session).await?;
        if holds {
            session.execute(READING, "COMMIT").await?;
        } else {
            // Invariant: a chunk is complete only if its table was not altered while it was read.
            verify_schema(session, schema, Some(&ddl)).await?;
        }
        Ok(Chunk { reading, read_as, high, rows: count, bytes, rest, read_ms, spool })
    }

    /// The place in the stream before which everything is that a SELECT before this call can have seen.
    async fn end(&self, session: &mut Session) -> Result<StreamMark> {
        // The binlog of PolarDB-X lags behind what its tables show.
        let timestamp = if self.server.is_polardbx() { Some(timestamp(session).await?) } else { None };
        let end = binlog_end(session, &self.server, &self.stream).await?;
        let BinlogCoordinates { at, .. } =
            end.ok_or_else(|| SourceError::answer("find the end of the binlog", "the server writes no binlog"))?;
        Ok(StreamMark { at, timestamp, wraps: self.server.is_polardbx() })
    }

    /// Cuts a whole table into `parts` ranges of about the same width, if its key is one integer. Otherwise the result is the whole table.
    pub(super) async fn cut(&self, schema: &TableSchema, parts: u64) -> Result<Vec<KeyRange>> {
        let key = chunk_key(schema);
        let [column] = key.as_slice() else { return Ok(vec![KeyRange::default()]) };
        if !matches!(column.kind, runtime::ColumnKind::Int { .. }) {
            return Ok(vec![KeyRange::default()]);
        }
        let mut lent = self.sessions.lend().await?;
        let name = quoted(&column.name);
        let sql = format!("SELECT MIN({name}), MAX({name}) FROM {}", table_name(&schema.id));
        let rows = lent.session.rows(format!("ask for the keys of table {}", schema.id), sql).await;
        let rows = match rows {
            // The server refuses: the table may have changed. Reading it finds that out, and whether the stream tells of it.
            Err(error) if error.code().is_some() => Vec::new(),
            rows => rows?,
        };
        self.sessions.give_back(lent);
        let number = |column| rows.first().and_then(|row| row.text(column)).and_then(|text| text.parse::<i128>().ok());
        Ok(number(0).zip(number(1)).map_or_else(|| vec![KeyRange::default()], |(least, most)| even(least, most, parts)))
    }
}

/// Whether the server can show the table as it was at one moment.
async fn has_moments(session: &mut Session, schema: &TableSchema) -> Result<bool> {
    let (database, table) = (literal(&schema.id.database), literal(&schema.id.table));
    let sql = format!("SELECT engine FROM information_schema.tables WHERE table_schema = {database} AND table_name = {table}");
    let rows = session.rows("ask for the engine of a table", sql).await?;
    Ok(rows.first().and_then(|row| row.text(0)).is_some_and(|engine| engine.eq_ignore_ascii_case("InnoDB")))
}

/// Cuts the keys from `least` to `most` into `parts` ranges. The first and the last one are open.
fn even(least: i128, most: i128, parts: u64) -> Vec<KeyRange> {
    let parts = i128::from(parts.max(1));
    let width = (most - least) / parts;
    let bounds = (1..parts).map(|part| Some(vec![(least + width * part).to_string().into_bytes()]));
    let mut bounds: Vec<Option<Key>> = if width > 0 { bounds.collect() } else { Vec::new() };
    bounds.push(None);
    let mut after = None;
    bounds.into_iter().map(|upto| KeyRange { after: std::mem::replace(&mut after, upto.clone()), upto }).collect()
}

/// The SELECT of a chunk; `None` if a bound of the range does not fit the key.
fn select(schema: &TableSchema, key: &[&Column], range: &KeyRange, conditions: &[String], limit: Option<u64>) -> Option<String> {
    let condition = range.condition(key)?;
    let mut sql = format!("SELECT {} FROM {}{condition}", cells::select_list(schema), table_name(&schema.id));
    for (index, wanted) in conditions.iter().enumerate() {
        sql.push_str(if index == 0 && condition.is_empty() { " WHERE " } else { " AND " });
        sql.push_str(&format!("({wanted})"));
    }
    if let Some(limit) = limit {
        let names = key.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ");
        sql.push_str(&format!(" ORDER BY {names} LIMIT {limit}"));
    }
    Some(sql)
}

/// Collects the rows of a chunk in a spool.
struct Collected<'a> {
    schema: &'a TableSchema,
    /// The columns of the key with their places.
    key: Vec<(usize, &'a Column)>,
    spool: SpoolWriter,
    block: CellBlock,
    /// The record that is being made: for each row its length, 4 bytes little-endian, and its bytes.
    record: Vec<u8>,
    /// Where the last row begins in the record.
    last: usize,
    rows: u64,
    bytes: u64,
}

impl<'a> Collected<'a> {
    fn new(path: PathBuf, schema: &'a TableSchema, key: &[&Column]) -> Self {
        let is_of_key = |column: &Column| key.iter().any(|of| of.name == column.name);
        // In the order of the key.
        let places: Vec<_> = schema.columns.iter().enumerate().filter(|(_, column)| is_of_key(column)).collect();
        let of = |name: &str| places.iter().find(|(_, column)| column.name == name).copied();
        let key = key.iter().filter_map(|column| of(&column.name)).collect();
        let spool = SpoolWriter::new(path);
        Self { schema, key, spool, block: CellBlock::default(), record: Vec::new(), last: 0, rows: 0, bytes: 0 }
    }

    fn push(&mut self, mut row: BinaryRow<'_>) -> Result<()> {
        if self.record.len() >= RECORD_BYTES {
            self.add_record()?;
        }
        let mut writer = self.block.row(self.schema.columns.len());
        for column in &self.schema.columns {
            let cell = row.cell().map_err(|error| SourceError::wire("read rows", error))?;
            cells::push(&mut writer, cell, column).ok_or_else(|| SourceError::Cell {
                table: self.schema.id.clone(),
                column: column.name.clone(),
                source_type: column.source_type.clone(),
                position: format!("row {} of a chunk", self.rows + 1).into(),
            })?;
        }
        let start = self.record.len();
        self.record.extend_from_slice(&[0; 4]);
        writer.finish_into(&mut self.record);
        let length = self.record.len() - start - 4;
        if let (Ok(length), Some(slot)) = (u32::try_from(length), self.record.get_mut(start..start + 4)) {
            slot.copy_from_slice(&length.to_le_bytes());
        }
        (self.last, self.rows, self.bytes) = (start, self.rows + 1, self.bytes + length as u64);
        Ok(())
    }

    fn add_record(&mut self) -> Result<()> {
        self.spool.add(&[&self.record]).map_err(|error| SourceError::ChunkUnwritten { message: error.to_string() })?;
        self.record.clear();
        Ok(())
    }

    /// The spool, the number of rows, their bytes, and the key of the last row.
    fn finish(mut self) -> Result<(SpoolWriter, u64, u64, Option<Key>)> {
        let last = rows_of(self.record.get(self.last..).unwrap_or(&[]), self.schema.columns.len());
        let last = last.and_then(|rows| key_of(rows.first()?, &self.key));
        if !self.record.is_empty() {
            self.add_record()?;
        }
        Ok((self.spool, self.rows, self.bytes, last))
    }
}

/// The rows of a record; `None` if it is none.
pub(super) fn rows_of(mut record: &[u8], columns: usize) -> Option<Vec<Row>> {
    let (mut block, mut rows) = (CellBlock::with_capacity(record.len()), Vec::new());
    while let Some((length, rest)) = record.split_first_chunk::<4>() {
        let (row, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rows.push(block.add_packed(columns, row)?);
        record = rest;
    }
    block.seal();
    record.is_empty().then_some(rows)
}

#[cfg(test)]
mod tests {
    use runtime::{ColumnKind, TableId};

    use super::*;

    #[test]
    fn even_ranges_meet_and_the_ends_are_open() {
        let texts = |least, most, parts| even(least, most, parts).iter().map(|range| range.position().to_string()).collect::<Vec<_>>();
        assert_eq!(texts(0, 30, 3), ["v1;after=-;upto=10", "v1;after=10;upto=20", "v1;after=20;upto=-"]);
        assert_eq!(texts(-5, -3, 4), ["v1;after=-;upto=-"]);
        assert_eq!(even(i128::from(i64::MIN), i128::from(u64::MAX), 64).len(), 64);
    }

    #[test]
    fn a_select_is_in_the_order_of_the_key() {
        let mut schema = TableSchema::new(
            TableId::new("d", "t"),
            vec![Column::new("a", ColumnKind::Int { bytes: 8 }, "bigint"), Column::new("b", ColumnKind::Int { bytes: 8 }, "bigint")],
        );
        schema.columns.iter_mut().for_each(|column| column.nullable = false);
        schema.primary_key = vec![1, 0];
        let key = chunk_key(&schema);
        let range = KeyRange { after: Some(vec![b"1".to_vec(), b"2".to_vec()]), upto: None };
        assert_eq!(
            select(&schema, &key, &range, &["x".into()], Some(9)).as_deref(),
            Some("SELECT `a`, `b` FROM `d`.`t` WHERE `b` >= 1 AND (`b` > 1 OR (`b` = 1 AND `a` > 2)) AND (x) ORDER BY `b`, `a` LIMIT 9")
        );
        assert_eq!(
            select(&schema, &key, &KeyRange::default(), &["x".into(), "y".into()], None).as_deref(),
            Some("SELECT `a`, `b` FROM `d`.`t` WHERE (x) AND (y)")
        );
    }

    #[test]
    fn records_give_back_their_rows() {
        use runtime::Value;
        let rows = [Row::from_values([Value::Int(1), Value::Null]), Row::from_values([Value::Int(2), Value::Text(b"x")])];
        let mut record = Vec::new();
        for row in &rows {
            record.extend_from_slice(&(row.packed_bytes().len() as u32).to_le_bytes());
            record.extend_from_slice(row.packed_bytes());
        }
        assert_eq!(rows_of(&record, 2).unwrap(), rows);
        assert_eq!(rows_of(&[], 2), Some(Vec::new()));
        for length in 1..record.len() {
            let cut = rows_of(&record[..length], 2);
            assert!(cut.is_none() || cut.is_some_and(|read| read.len() < rows.len()), "{length}");
        }
        assert_eq!(rows_of(&record, 3), None);
    }
}
