//! Merges chunks of tables into the events of a stream.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runtime::{
    Batch, Body, Context, Error, Event, Facts, Origin, Position, Result, SchemaChange, SchemaChangeKind, SplitReader, TableId,
    TableProgress, TableSchema, async_trait,
};
use tokio::task::JoinSet;

use super::barriers::Barriers;
use super::keyless::Keyless;
use super::options::InBandOptions;
use super::phases::{CHUNK_BYTES, Phases, Reading};
use super::read::{Chunk, Job, Moment, MomentRows, Read, Readers, Sought};
use super::spooled::{ChunkFiles, Inserted};
use super::touched::Touched;
use crate::binlog::{Insertion, StreamMark, StreamPosition, StreamReader};
use crate::config::OnDdlInFull;
use crate::error::SourceError;
use crate::server::Server;
use crate::session::Endpoint;
use crate::snapshot::cells::as_read;
use crate::snapshot::difference::difference;
use crate::snapshot::range::KeyRange;
use crate::snapshot::sessions::Lent;
use crate::table_phase::TablePhase;

/// No chunk is begun while the keys that the stream has changed take more memory than this, in bytes.
const TOUCHED_BYTES: usize = 32 << 20;
/// How many bytes of rows may wait to be inserted for each connection that reads, and how many chunks in all.
const WAITING_BYTES: u64 = CHUNK_BYTES;
const WAITING: usize = 256;
/// Into how many ranges for each connection a large table is cut.
const PARTS: usize = 4;

/// Reads a stream and, until all rows of its tables are delivered, chunks of these tables. `next` is cancel-safe: all its state is in this
/// struct.
pub(crate) struct InBandReader {
    stream: StreamReader,
    base: String,
    phases: Phases,
    touched: Touched,
    keyless: Keyless,
    /// The moments of tables without a key that the stream has not passed.
    moments: Vec<Moment>,
    /// The generation of the changes that are noted now.
    generation: u64,
    /// The generation that every new SELECT sees; `None` before the first barrier.
    visible: Option<u64>,
    /// Whether barriers are passed.
    has_barriers: bool,
    /// What runs beside the stream. It ends together with this reader.
    tasks: JoinSet<Result<Done, SourceError>>,
    /// Of each chunk that is being read or waits: the generation that it has seen.
    seen: Vec<u64>,
    reading: usize,
    waiting: VecDeque<Read>,
    /// The chunks of an earlier run that are inserted again.
    again: VecDeque<Inserted>,
    inserting: Option<Inserting>,
    files: ChunkFiles,
    /// The files that are not needed once their insertion is committed.
    leftover: VecDeque<(Insertion, PathBuf)>,
    committed: Option<Position>,
    readers: Arc<Readers>,
    server: Arc<Server>,
    endpoint: Endpoint,
    barrier_delay: Duration,
    origin: Origin,
    on_ddl: OnDdlInFull,
    parallelism: usize,
    batch_max_bytes: usize,
    /// The time up to which the stream was read.
    source_ms: Option<i64>,
    /// The progress that the next batch tells.
    progress: Vec<TableProgress>,
    context: Context,
}

/// A chunk that is being inserted, and the schema of its table at this place.
struct Inserting {
    chunk: Inserted,
    schema: Arc<TableSchema>,
}

/// What a task beside the stream has done.
enum Done {
    /// All changes of the generation and before are visible now.
    Visible(Barriers, u64),
    /// The next barrier is due.
    BarrierDue(Barriers),
    Read(Read),
    Cut(Reading, Vec<KeyRange>),
    Sought(Sought),
    /// What the table was at its moment cannot be read any more.
    Missed(Reading),
}

impl InBandReader {
    pub(crate) fn new(options: InBandOptions) -> Result<Self, SourceError> {
        let InBandOptions { stream, name, position, tables, state_dir, sessions, endpoint, server, origin, .. } = options;
        let (files, inserted) = ChunkFiles::open(&state_dir, &position)?;
        let (mut phases, mut touched, mut keyless) = (Phases::new(options.chunk_rows), Touched::default(), Keyless::default());
        for (schema, phase, estimate) in tables {
            follow(&schema, &mut touched, &mut keyless);
            phases.add(schema, phase, estimate)?;
        }
        let server = Arc::new(server);
        let progress = phases.all_progress();
        Ok(Self {
            stream,
            base: position.base,
            phases,
            touched,
            keyless,
            moments: Vec::new(),
            generation: 0,
            visible: None,
            has_barriers: false,
            tasks: JoinSet::new(),
            seen: Vec::new(),
            reading: 0,
            waiting: VecDeque::new(),
            again: inserted.into(),
            inserting: None,
            files,
            leftover: VecDeque::new(),
            committed: None,
            readers: Arc::new(Readers {
                sessions,
                server: server.clone(),
                stream: name,
                task: options.context.task().to_owned(),
                barrier_delay: options.barrier_delay,
            }),
            server,
            endpoint,
            barrier_delay: options.barrier_delay,
            origin,
            on_ddl: options.on_ddl,
            parallelism: options.parallelism,
            batch_max_bytes: options.batch_max_bytes,
            source_ms: None,
            progress,
            context: options.context,
        })
    }

    /// Whether nothing is left to insert.
    fn is_over(&self) -> bool {
        self.phases.is_empty() && self.again.is_empty() && self.inserting.is_none()
    }

    /// Begins to read what can be read now.
    fn begin(&mut self) -> Result<()> {
        if !self.has_barriers && !self.is_over() {
            self.has_barriers = true;
            let (endpoint, server) = (self.endpoint.clone(), self.server.clone());
            let (task, delay) = (self.context.task().to_owned(), self.barrier_delay);
            self.tasks.spawn(async move { Ok(Done::BarrierDue(Barriers::connect(&endpoint, server, task, delay).await?)) });
        }
        // Chunks of an earlier run come first: they tell how far their tables are.
        let Some(since) = self.visible.filter(|_| self.again.is_empty() && self.inserting.is_none()) else { return Ok(()) };
        while self.reading < self.parallelism
            && self.reading + self.waiting.len() < WAITING
            && self.waiting.iter().map(Read::bytes).sum::<u64>() < WAITING_BYTES * self.parallelism as u64
            && self.touched.bytes() < TOUCHED_BYTES
            && let Some(reading) = self.phases.take(since)
        {
            self.reading += 1;
            if reading.is_keyless() {
                let job = self.job(reading)?;
                self.seek(job, None);
                continue;
            }
            self.seen.push(since);
            let readers = self.readers.clone();
            if self.phases.is_large(&reading) {
                let parts = (self.parallelism * PARTS) as u64;
                self.tasks.spawn(async move {
                    let ranges = readers.cut(&reading.schema, parts).await?;
                    Ok(Done::Cut(reading, ranges))
                });
                continue;
            }
            let job = self.job(reading)?;
            self.tasks.spawn(async move { Ok(Done::Read(readers.read(job).await?)) });
        }
        Ok(())
    }

    fn job(&self, reading: Reading) -> Result<Job> {
        let read_as = as_read(&reading.schema, self.server.is_polardbx());
        let mut conditions = self.context.pushdown(&reading.schema)?;
        conditions.extend(reading.condition.clone());
        Ok(Job { read_as, conditions, path: self.files.unfinished(), reading })
    }

    /// Seeks a moment at which a table without a key can be read. `lent` is the connection that had shown another one.
    fn seek(&mut self, job: Job, lent: Option<Lent>) {
        let (readers, table) = (self.readers.clone(), job.reading.schema.id.clone());
        let tries = self.keyless.hold(&table, self.files.unfinished());
        self.tasks.spawn(async move { Ok(Done::Sought(readers.moment(job, lent, tries).await?)) });
    }

    /// Begins to read the tables at whose moments nothing has changed, once the stream has passed these moments. Other moments are sought for the
    /// rest.
    fn pass_moments(&mut self) {
        let Some(position) = self.stream.boundary() else { return };
        self.keyless.at_boundary(position.tso);
        while let Some(place) = self.moments.iter().position(|moment| self.stream.has_passed(&moment.bracket.high)) {
            let moment = self.moments.swap_remove(place);
            let reading = moment.reading();
            if !self.phases.is_current(&reading.schema.id, reading.attempt) {
                self.reading -= 1;
                continue;
            }
            let is_exact = self.keyless.is_exact(&reading.schema.id);
            match moment.rows {
                MomentRows::Unread(unread) if is_exact => {
                    let (lent, job) = *unread;
                    let readers = self.readers.clone();
                    self.tasks.spawn(async move {
                        let reading = job.reading.clone();
                        Ok(readers.read_then(lent, job).await?.map_or(Done::Missed(reading), Done::Read))
                    });
                }
                MomentRows::Unread(unread) => {
                    let (lent, job) = *unread;
                    self.seek(job, Some(lent));
                }
                MomentRows::Read(chunk) if is_exact => self.take(Done::Read(Read::Chunk(chunk))),
                MomentRows::Read(chunk) => self.take(Done::Missed(chunk.reading)),
            }
        }
    }

    /// Takes what a task has done.
    fn take(&mut self, done: Done) {
        match done {
            Done::BarrierDue(_) if self.is_over() => self.has_barriers = false,
            Done::BarrierDue(mut barriers) => {
                // What was handed over until now is in the binlog, so the barrier makes it visible.
                self.generation += 1;
                let generation = self.generation;
                self.tasks.spawn(async move {
                    barriers.pass().await?;
                    Ok(Done::Visible(barriers, generation))
                });
            }
            Done::Visible(barriers, generation) => {
                self.visible = Some(generation);
                self.touched.prune(self.seen.iter().copied().min().unwrap_or(generation));
                self.tasks.spawn(async move {
                    barriers.pause().await;
                    Ok(Done::BarrierDue(barriers))
                });
            }
            Done::Sought(Sought::Moment(moment)) => {
                let reading = moment.reading();
                if self.phases.is_current(&reading.schema.id, reading.attempt) {
                    self.keyless.found(&reading.schema.id, moment.bracket.clone());
                }
                self.moments.push(*moment);
            }
            Done::Sought(Sought::Changed(changed)) => self.take(Done::Read(Read::Changed(changed))),
            Done::Missed(reading) => {
                self.reading -= 1;
                if self.phases.is_current(&reading.schema.id, reading.attempt) {
                    self.keyless.leave_out(&reading.schema.id);
                }
                self.phases.put_back(&reading);
            }
            Done::Cut(reading, ranges) => {
                self.reading -= 1;
                self.forget(&reading);
                self.phases.cut(&reading, ranges);
            }
            Done::Read(read) => {
                self.reading -= 1;
                if let Read::Chunk(chunk) = &read {
                    self.phases.read(&chunk.reading, chunk.rest.as_ref(), chunk.rows, chunk.bytes);
                }
                self.waiting.push_back(read);
            }
        }
    }

    /// Notes that a reading has ended.
    fn forget(&mut self, reading: &Reading) {
        if reading.is_keyless() {
            return;
        }
        if let Some(place) = self.seen.iter().position(|since| *since == reading.since) {
            self.seen.swap_remove(place);
        }
    }

    /// Where the stream has to stop next.
    fn next_stop(&self) -> Option<StreamMark> {
        let wraps = self.server.is_polardbx();
        if let Some(again) = self.again.front() {
            return Some(StreamMark { at: again.at(), timestamp: None, wraps });
        }
        let first = self.waiting.iter().map(Read::high).chain(self.moments.iter().map(|moment| &moment.bracket.high));
        // With timestamps, every mark is worth a look.
        first.reduce(|one, other| if other.at.is_before(one.at, wraps) || other.timestamp < one.timestamp { other } else { one }).cloned()
    }

    /// Begins to insert what comes at the present place of the stream. Returns a batch that only tells of a table whose last rows the stream has
    /// changed; `None` if there is none.
    fn insert_here(&mut self) -> Result<Option<Batch>> {
        let wraps = self.server.is_polardbx();
        let mark = |at| StreamMark { at, timestamp: None, wraps };
        if self.stream.boundary().is_none() {
            return Ok(None);
        }
        self.pass_moments();
        if let Some(again) = self.again.pop_front_if(|again| self.stream.has_passed(&mark(again.at()))) {
            let table = &again.phase().table;
            let schema = self.phases.schema(table).cloned().ok_or_else(|| SourceError::unknown_schema(table))?;
            self.phases.restore(again.phase())?;
            self.keyless.forget(table);
            self.inserting = Some(Inserting { chunk: again, schema });
            return Ok(None);
        }
        while let Some(place) = self.waiting.iter().position(|read| self.stream.has_passed(read.high())) {
            let Some(read) = self.waiting.remove(place) else { break };
            self.forget(read.reading());
            match read {
                Read::Changed(changed) => self.retry(&changed.reading, changed.error)?,
                Read::Chunk(chunk) => {
                    let batch = self.insert(*chunk)?;
                    if batch.is_some() || self.inserting.is_some() {
                        return Ok(batch);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Inserts a chunk at the present place of the stream. Returns a batch if the stream has changed all its rows.
    fn insert(&mut self, chunk: Chunk) -> Result<Option<Batch>> {
        let Some(StreamPosition { at, inserted, timeline, .. }) = self.stream.boundary() else { return Ok(None) };
        let (timeline, insertion) = (*timeline, Insertion::next(*inserted, *at).ok_or(SourceError::TooManyChunks)?);
        let (reading, rest, rows) = (chunk.reading.clone(), chunk.rest.clone(), chunk.rows);
        let Some(schema) = self.phases.schema(&reading.schema.id).cloned() else { return Ok(None) };
        let Some(phase) = self.phases.delivered(&reading, rest.as_ref(), rows) else { return Ok(None) };
        let unwritten = |error: std::io::Error| SourceError::ChunkUnwritten { message: error.to_string() };
        let held = self.keyless.finish(&reading.schema.id).map_err(unwritten)?;
        if let Some(chunk) = self.files.insert(chunk, &self.touched, timeline, insertion, &phase, held)? {
            self.inserting = Some(Inserting { chunk, schema });
            return Ok(None);
        }
        let mut batch = Batch::new(Vec::new(), Some(self.stream.resume()), 0);
        self.end_of_chunk(&phase, &mut batch)?;
        Ok(Some(batch))
    }

    /// The next batch of the chunk that is being inserted; `None` if none is.
    fn inserted(&mut self) -> Result<Option<Batch>> {
        let Some(Inserting { chunk, schema }) = &mut self.inserting else { return Ok(None) };
        let read_as = as_read(schema, self.server.is_polardbx());
        let (events, bytes) = chunk.events(&read_as, schema, &self.base, &self.origin, self.batch_max_bytes)?;
        let mut batch = Batch::new(events, None, bytes);
        batch.source_ms = self.source_ms;
        if chunk.has_more() {
            return Ok(Some(batch));
        }
        let Some(Inserting { chunk, .. }) = self.inserting.take() else { return Ok(None) };
        let (last, phase) = (chunk.last(), chunk.phase().clone());
        batch.resume = Some(self.stream.insert(last));
        self.leftover.push_back((last, chunk.into_path()));
        self.end_of_chunk(&phase, &mut batch)?;
        Ok(Some(batch))
    }

    /// Notes with a batch how far a table is.
    fn end_of_chunk(&mut self, phase: &TablePhase, batch: &mut Batch) -> Result<()> {
        let name = phase.table.to_string();
        if phase.is_done() {
            batch.facts.remove_at::<TablePhase>(&name);
            self.touched.forget(&phase.table);
            self.keyless.forget(&phase.table);
            tracing::info!(table = name, rows = phase.rows(), "all rows of the table are read");
        } else {
            batch.facts.set_at(&name, phase)?;
        }
        self.progress.push(self.phases.progress(&phase.table, phase.rows()));
        batch.tables.append(&mut self.progress);
        batch.commits_at_once = self.tell_if_over();
        Ok(())
    }

    /// Says so if all rows are read. Then a commit follows, so that a later failure does not have the last tables read again.
    fn tell_if_over(&self) -> bool {
        let is_over = self.is_over();
        if is_over {
            self.readers.sessions.discard_idle();
            tracing::info!("all rows are read: from now on the task reads the binlog alone");
        }
        is_over
    }

    /// Reads a range again whose table did not have the known schema. The stream has passed what the server showed then: if it has not told of a
    /// change, the server shows another schema than the statements lead to.
    fn retry(&mut self, reading: &Reading, error: SourceError) -> Result<()> {
        if !self.phases.is_current(&reading.schema.id, reading.attempt) {
            return Ok(());
        }
        let has_told = self.phases.schema(&reading.schema.id).is_some_and(|now| difference(&reading.schema, now).is_some());
        if !has_told {
            return Err(error.into());
        }
        self.phases.put_back(reading);
        Ok(())
    }

    /// Notes what a batch of the stream has changed.
    fn note(&mut self, batch: &mut Batch) -> Result<()> {
        self.source_ms = batch.source_ms.or(batch.events.last().map(|event| event.timestamp_ms)).or(self.source_ms);
        // A schema change travels alone. It may bring a table whose rows are to be read, also when all others are read.
        if let [Event { body: Body::Schema(change), .. }] = batch.events.as_slice() {
            return self.schema_changed(change, &mut batch.facts);
        }
        if self.phases.is_empty() {
            return Ok(());
        }
        for (_, schema) in &batch.schemas {
            schema.iter().for_each(|schema| self.phases.alter(schema));
        }
        for event in &batch.events {
            self.touched.note(event, self.generation)?;
        }
        let mut failed = None;
        batch.events.retain(|event| match self.keyless.take(event) {
            Ok(is_taken) => !is_taken,
            Err(error) => {
                failed = Some(error);
                true
            }
        });
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Begins tables again whose rows a statement has changed, or may have moved to another name.
    fn schema_changed(&mut self, change: &SchemaChange, facts: &mut Facts) -> Result<()> {
        let was_over = self.is_over();
        let is_unread = change.tables.iter().any(|(table, _)| self.phases.contains(table));
        // Rows that nobody has read may be in any table of the statement now: two tables may have exchanged their names.
        let is_renamed = change.kind == SchemaChangeKind::RenameTable && is_unread;
        let is_emptied = change.kind == SchemaChangeKind::TruncateTable;
        for (table, schema) in &change.tables {
            let known = self.phases.schema(table).cloned();
            match (known, schema) {
                (Some(_), None) => {
                    self.phases.remove(table);
                    self.touched.forget(table);
                    self.keyless.forget(table);
                    facts.remove_at::<TablePhase>(&table.to_string());
                }
                (Some(known), Some(schema)) => {
                    self.phases.alter(schema);
                    let what = difference(&known, schema);
                    if what.is_none() && !is_emptied && !is_renamed {
                        continue;
                    }
                    let what = what.unwrap_or_else(|| if is_emptied { "it was emptied" } else { "it was renamed" }.to_owned());
                    self.restart(table, what, is_emptied, facts)?;
                }
                (None, Some(schema)) if is_renamed || facts.has_at::<TablePhase>(&table.to_string()) => self.plan(schema.clone(), facts)?,
                (None, _) => {}
            }
        }
        if !was_over {
            // The change is committed at once in any case.
            self.tell_if_over();
        }
        Ok(())
    }

    /// Has all rows of a table read, behind the statement that has changed it.
    fn restart(&mut self, table: &TableId, what: String, is_emptied: bool, facts: &mut Facts) -> Result<()> {
        if self.phases.is_begun(table) {
            if self.on_ddl == OnDdlInFull::Fail && !is_emptied {
                return Err(SourceError::TableChanged { table: table.clone(), what }.into());
            }
            tracing::warn!(%table, what, "the table was changed before all its rows were read, and is read again from its first row");
        }
        if let Some(phase) = self.phases.restart(table, self.generation + 1) {
            self.follow_again(table);
            facts.set_at(&table.to_string(), &phase)?;
        }
        Ok(())
    }

    /// Has the rows of a table read.
    fn plan(&mut self, schema: Arc<TableSchema>, facts: &mut Facts) -> Result<()> {
        let phase = TablePhase::planned(schema.id.clone());
        facts.set_at(&schema.id.to_string(), &phase)?;
        follow(&schema, &mut self.touched, &mut self.keyless);
        self.phases.add(schema, phase, 0)?;
        Ok(())
    }

    /// Follows the changes of a table that is begun again: it may have another key now, or none.
    fn follow_again(&mut self, table: &TableId) {
        self.touched.forget(table);
        self.keyless.forget(table);
        if let Some(schema) = self.phases.schema(table) {
            follow(schema, &mut self.touched, &mut self.keyless);
        }
    }

    /// Removes the files whose rows are committed.
    fn remove_leftover(&mut self) {
        if self.leftover.is_empty() {
            return;
        }
        let committed = self.context.committed_position();
        if committed == self.committed {
            return;
        }
        let inserted = committed.as_ref().and_then(|position| StreamPosition::parse(position.as_str()).ok()?.inserted);
        self.committed = committed;
        while let Some((_, path)) = self.leftover.pop_front_if(|(last, _)| Some(*last) <= inserted) {
            // A file that cannot be removed now is removed at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

#[async_trait]
impl SplitReader for InBandReader {
    async fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            self.remove_leftover();
            if let Some(batch) = self.inserted()? {
                return Ok(Some(batch));
            }
            while let Some(done) = self.tasks.try_join_next() {
                let done = ended(done)?;
                self.take(done);
            }
            if let Some(batch) = self.insert_here()? {
                return Ok(Some(batch));
            }
            if self.inserting.is_some() {
                continue;
            }
            self.begin()?;
            self.stream.stop_at(self.next_stop());
            tokio::select! {
                biased;
                batch = self.stream.next() => {
                    let Some(mut batch) = batch? else { return Ok(None) };
                    let is_empty = batch.events.is_empty() && batch.resume.is_none();
                    if is_empty && self.next_stop().is_some_and(|mark| self.stream.has_passed(&mark)) {
                        continue;
                    }
                    self.note(&mut batch)?;
                    return Ok(Some(batch));
                }
                Some(done) = self.tasks.join_next() => {
                    let done = ended(done)?;
                    self.take(done);
                }
            }
        }
    }
}

/// What a task has done, or why it failed.
fn ended(joined: Result<Result<Done, SourceError>, tokio::task::JoinError>) -> Result<Done> {
    match joined {
        Ok(done) => Ok(done?),
        Err(panic) => Err(Error::retryable("a reader of rows panicked").because(panic).with_code("E_PANIC")),
    }
}

/// Begins to follow the changes of a table whose rows are not all delivered.
fn follow(schema: &TableSchema, touched: &mut Touched, keyless: &mut Keyless) {
    if schema.effective_key().is_empty() { keyless.leave_out(&schema.id) } else { touched.follow(&schema.id) }
}
