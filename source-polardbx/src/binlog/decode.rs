//! Turns the bytes of binlog events into batches. Knows no socket: bytes in, batches out.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use runtime::{Batch, BatchBuilder, Body, Charset, Error, Event, Op, Origin, Position, RowChange, SchemaChange, TableId};

use super::error::{StreamError, place, shorten};
use super::event::{IGNORABLE, Query, RawEvent, StatementFacts, kind, read_format, read_gtid, read_incident, read_query};
use super::group::{Fingerprint, Group, GroupFacts};
use super::position::{file_name, transaction_seq};
use super::row::{RowImages, RowsKind};
use super::table_map::{RowPlan, plan_rows, read_table_id, read_table_map};
use super::track::Tracker;
use super::{FileOffset, StreamPosition};
use crate::schema::history::Touched;
use crate::schema::{Change, Dialect, Effect, History, Statement, StatementContext, of_collation_number, read_statement};

/// A table id that only carries the end of a statement.
const NO_TABLE: u64 = 0xff_ffff;
/// The greatest offset that every server takes in a dump request.
const DUMP_LIMIT: u64 = 1 << 31;

/// Whether a table is selected; names come folded as the server compares them.
pub type Selected = Arc<dyn Fn(&TableId) -> bool + Send + Sync>;

/// What a decoder needs.
pub struct DecoderOptions {
    /// Where the stream goes on.
    pub position: StreamPosition,
    /// Structures at that position.
    pub history: History,
    /// Which tables are wanted.
    pub selected: Selected,
    /// Version text of the server.
    pub server_version: Arc<str>,
    /// `explicit_defaults_for_timestamp` of the server, for statements that do not say.
    pub explicit_timestamps: bool,
    /// Batches are cut at about this size.
    pub batch_max_bytes: usize,
}

/// What is done with the events read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the last delivered transaction: nothing is looked at but borders.
    Skip,
    /// In the last delivered transaction: it is compared with what was delivered.
    Verify,
    /// Behind it: everything counts.
    Live,
}

/// A known table id: the TABLE_MAP's bytes, and the plan if the table is selected.
struct MappedTable {
    body: Vec<u8>,
    plan: Option<Arc<RowPlan>>,
}

/// Decodes one stream.
pub struct Decoder {
    selected: Selected,
    server_version: Arc<str>,
    dialect: Dialect,
    explicit_timestamps: bool,
    batch_max_bytes: usize,
    history: History,
    phase: Phase,
    tracker: Tracker,
    /// Where the stream resumes; its fingerprint is made when it is handed out.
    position: StreamPosition,
    last: Option<Fingerprint>,
    /// The commit point that was handed out last.
    handed: FileOffset,
    group: Option<Group>,
    /// Status variables of the open group's BEGIN.
    begin_status: Vec<u8>,
    tables: HashMap<u64, MappedTable>,
    builder: BatchBuilder,
    /// The last batch ended inside a transaction, so a resume point is due at its end.
    resume_due: bool,
    ready: VecDeque<Batch>,
    file_name: String,
    scratch: String,
}

impl Decoder {
    /// A decoder for a stream that is dumped from [`Decoder::dump_from`].
    pub fn new(options: DecoderOptions) -> Self {
        let DecoderOptions { position, history, selected, server_version, explicit_timestamps, batch_max_bytes } = options;
        let (from, phase) = start(&position);
        Self {
            dialect: Dialect::of_version(&server_version),
            selected,
            server_version,
            explicit_timestamps,
            batch_max_bytes: batch_max_bytes.max(1),
            history,
            phase,
            tracker: Tracker::new(&position.base, from),
            handed: position.at,
            file_name: file_name(&position.base, from.file),
            position,
            last: None,
            group: None,
            begin_status: Vec::new(),
            tables: HashMap::new(),
            builder: BatchBuilder::default(),
            resume_due: false,
            ready: VecDeque::new(),
            scratch: String::new(),
        }
    }

    /// Where the dump has to begin.
    pub fn dump_from(position: &StreamPosition) -> FileOffset {
        start(position).0
    }

    /// Where the next event begins.
    pub fn at(&self) -> FileOffset {
        self.tracker.at()
    }

    /// Takes one event with header and checksum, read at `read_ms` since the epoch. After an error the decoder takes no more events, but
    /// what came before the event can still be taken out.
    pub fn event(&mut self, bytes: &[u8], read_ms: i64) -> Result<(), Error> {
        let at = self.tracker.at();
        self.take_event(bytes, read_ms).map_err(|error| self.located(error, at))
    }

    /// The same error with its place.
    pub(crate) fn located(&self, error: StreamError, at: FileOffset) -> Error {
        Error::from(error).at(&Position::from(place(&self.position.base, at)))
    }

    pub(crate) fn take_event(&mut self, bytes: &[u8], read_ms: i64) -> Result<(), StreamError> {
        let (event, start) = self.tracker.pass(bytes)?;
        let real = event.header.is_real();
        let opens = matches!(event.header.kind, kind::GTID | kind::ANONYMOUS_GTID);
        if opens || (event.header.kind == kind::QUERY && self.group.is_none()) {
            self.open_group(start)?;
        }
        if real && let Some(group) = &mut self.group {
            group.add(&event);
        }
        match event.header.kind {
            kind::TABLE_MAP => self.table_map(&event),
            kind::WRITE_ROWS
            | kind::UPDATE_ROWS
            | kind::DELETE_ROWS
            | kind::WRITE_ROWS_V1
            | kind::UPDATE_ROWS_V1
            | kind::DELETE_ROWS_V1 => self.rows(&event, read_ms),
            kind::QUERY => self.query(&event, read_ms),
            kind::XID => self.commit(&event, read_ms),
            kind::GTID => {
                if let Some(group) = &mut self.group {
                    group.gtid_body = event.body.first_chunk().copied();
                }
                Ok(())
            }
            kind::FORMAT_DESCRIPTION => {
                self.tracker.checksums = read_format(event.body)?;
                self.tables.clear();
                self.interrupted()
            }
            kind::ROTATE => self.rotate(&event),
            kind::INCIDENT => Err(StreamError::Incident { message: read_incident(event.body) }),
            kind::XA_PREPARE => self.xa_prepare(),
            kind::EXECUTE_LOAD_QUERY => {
                let query = read_query(event.body, true)?;
                self.statement(&event, &query, read_ms)
            }
            kind::PARTIAL_UPDATE_ROWS => self.partial_rows(&event),
            kind::TRANSACTION_PAYLOAD => Err(StreamError::Unsupported {
                what: "a compressed transaction".to_owned(),
                remedy: "set binlog_transaction_compression=OFF globally and reconnect all sessions, then start afresh with a full phase",
            }),
            kind::ANONYMOUS_GTID
            | kind::STOP
            | kind::HEARTBEAT
            | kind::HEARTBEAT_V2
            | kind::PREVIOUS_GTIDS
            | kind::ROWS_QUERY
            | kind::IGNORABLE
            | kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::BEGIN_LOAD_QUERY
            | kind::APPEND_BLOCK
            | kind::DELETE_FILE
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE => Ok(()),
            _ if event.header.flags & IGNORABLE != 0 => Ok(()),
            unknown => Err(StreamError::Unsupported {
                what: format!("an event of type {unknown}"),
                remedy: "switch off what makes the server write it (on MariaDB: log_bin_compress=OFF), then start afresh with a full phase",
            }),
        }
    }

    /// A finished batch.
    pub fn take(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }

    /// What was decoded so far, unless it ends inside a transaction, the rest of which is on its way.
    pub fn flush(&mut self) -> Option<Batch> {
        if !self.in_transaction() {
            self.cut();
        }
        self.take()
    }

    /// What was decoded so far, even if it ends inside a transaction.
    pub fn drain(&mut self) -> Option<Batch> {
        self.cut();
        self.take()
    }

    /// Whether the resume point moved since the last batch while no event was decoded.
    pub fn has_moved(&self) -> bool {
        self.ready.is_empty() && self.builder.is_empty() && !self.in_transaction() && self.handed != self.position.at
    }

    /// An empty batch that only moves the resume point, if it moved.
    pub fn heartbeat(&mut self) -> Option<Batch> {
        self.has_moved().then(|| Batch::new(Vec::new(), Some(self.resume()), 0))
    }

    /// Whether rows of an open transaction were put into batches.
    fn in_transaction(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.emitted)
    }

    fn open_group(&mut self, start: FileOffset) -> Result<(), StreamError> {
        self.interrupted()?;
        if self.phase != Phase::Live {
            self.enter(start)?;
        }
        self.group = Some(Group::new(start));
        Ok(())
    }

    /// Looks, before the first live event, whether a group that begins here is the one looked for.
    fn enter(&mut self, start: FileOffset) -> Result<(), StreamError> {
        let (target, verified) = target(&self.position);
        self.phase = match start.cmp(&target) {
            std::cmp::Ordering::Less => Phase::Skip,
            _ if !verified => Phase::Live,
            std::cmp::Ordering::Equal => Phase::Verify,
            std::cmp::Ordering::Greater => {
                let what = format!(
                    "the last delivered transaction began at {}, and no transaction begins there",
                    place(&self.position.base, target)
                );
                return Err(StreamError::HistoryDiverged { what });
            }
        };
        Ok(())
    }

    /// A group that another one, or another file, ends was never committed.
    fn interrupted(&mut self) -> Result<(), StreamError> {
        let emitted = self.in_transaction();
        self.group = None;
        if emitted { Err(StreamError::RollbackGroup { what: "a transaction has no end in the binlog" }) } else { Ok(()) }
    }

    fn rotate(&mut self, event: &RawEvent<'_>) -> Result<(), StreamError> {
        if self.tracker.rotate(event)? {
            self.interrupted()?;
            self.tables.clear();
            let at = self.tracker.at();
            self.file_name = file_name(&self.position.base, at.file);
            if self.phase == Phase::Live {
                self.position.at = at;
            }
        }
        Ok(())
    }

    fn table_map(&mut self, event: &RawEvent<'_>) -> Result<(), StreamError> {
        if self.phase != Phase::Live {
            return Ok(());
        }
        let id = read_table_id(event.body)?;
        if self.tables.get(&id).is_some_and(|known| known.body == event.body) {
            return Ok(());
        }
        let mut map = read_table_map(event.body)?;
        map.table = self.history.fold(&map.table);
        let plan = if (self.selected)(&map.table) {
            let schema = self.history.table(&map.table).ok_or_else(|| StreamError::SchemaMismatch {
                table: map.table.clone(),
                what: "rows of a selected table whose structure is not known".to_owned(),
            })?;
            Some(Arc::new(plan_rows(&map, schema)?))
        } else {
            None
        };
        self.tables.insert(map.table_id, MappedTable { body: event.body.to_vec(), plan });
        Ok(())
    }

    /// The plan for a row event's table; `None` if the table is not selected.
    fn plan(&self, event: &RawEvent<'_>) -> Result<Option<Arc<RowPlan>>, StreamError> {
        let id = read_table_id(event.body)?;
        match self.tables.get(&id) {
            Some(table) => Ok(table.plan.clone()),
            None if id == NO_TABLE => Ok(None),
            None => Err(StreamError::corrupt("a row event without its TABLE_MAP")),
        }
    }

    fn partial_rows(&self, event: &RawEvent<'_>) -> Result<(), StreamError> {
        if self.phase == Phase::Live && self.plan(event)?.is_some() { Err(StreamError::PartialJson) } else { Ok(()) }
    }

    fn rows(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        if self.phase != Phase::Live {
            return Ok(());
        }
        let Some(plan) = self.plan(event)? else { return Ok(()) };
        let Some(kind) = RowsKind::of(event.header.kind) else { return Ok(()) };
        let mut images = RowImages::open(event.body, event.header.kind, &plan)?;
        if images.is_empty() {
            return Ok(());
        }
        self.begin(read_ms)?;
        let Some(group) = &self.group else { return Err(StreamError::corrupt("rows outside a transaction")) };
        let start = group.start;
        let txid = group.facts.as_ref().and_then(|facts| facts.gtid.clone());
        let mut ord = group.ord;
        let (origin, position) = self.place_event(event.header.server_id, self.tracker.at().offset, read_ms, Vec::new());
        let timestamp_ms = i64::from(event.header.timestamp) * 1000;
        while !images.is_empty() {
            let first = images.decode(&plan, &mut self.builder.block)?;
            let (op, before, after) = match kind {
                RowsKind::Write => (Op::Insert, None, Some(first)),
                RowsKind::Delete => (Op::Delete, Some(first), None),
                RowsKind::Update => (Op::Update, Some(first), Some(images.decode(&plan, &mut self.builder.block)?)),
            };
            self.builder.push(Event {
                seq: transaction_seq(self.position.timeline, start, ord),
                position: position.clone(),
                timestamp_ms,
                txid: txid.clone(),
                origin: origin.clone(),
                body: Body::Row(RowChange { schema: plan.schema.clone(), op, before, after }),
            });
            ord += 1;
            if self.size() >= self.batch_max_bytes {
                self.cut();
            }
        }
        if let Some(group) = &mut self.group {
            group.ord = ord;
        }
        Ok(())
    }

    /// Puts the BEGIN of the open group into the batch, once.
    fn begin(&mut self, read_ms: i64) -> Result<(), StreamError> {
        let file = self.tracker.at().file;
        let Some(group) = &mut self.group else { return Err(StreamError::corrupt("rows outside a transaction")) };
        if group.xa {
            return Err(StreamError::Unsupported {
                what: "an XA transaction with rows of a selected table".to_owned(),
                remedy: "leave the table out of the selection, or use ordinary transactions",
            });
        }
        if group.emitted {
            return Ok(());
        }
        group.emitted = true;
        group.ord = 1;
        let start = group.start;
        let (end, server_id, timestamp) = group.begin.unwrap_or_default();
        if group.facts.is_none() {
            group.facts = Some(make_facts(group, file)?);
        }
        let txid = group.facts.as_ref().and_then(|facts| facts.gtid.clone());
        let facts = StatementFacts::read(&self.begin_status)?.named();
        let (origin, position) = self.place_event(server_id, end, read_ms, facts);
        self.builder.push(Event {
            seq: transaction_seq(self.position.timeline, start, 0),
            position,
            timestamp_ms: i64::from(timestamp) * 1000,
            txid,
            origin,
            body: Body::Begin,
        });
        Ok(())
    }

    /// What an event that ends at `end` of the current file carries.
    fn place_event(&mut self, server_id: u32, end: u64, read_ms: i64, facts: Vec<(&'static str, String)>) -> (Arc<Origin>, Position) {
        let file = self.tracker.at().file;
        let mut origin = Origin::default();
        origin.server_id = server_id;
        origin.server_version = self.server_version.clone();
        origin.read_ms = read_ms;
        origin.facts = facts;
        if let Some(group) = &self.group {
            origin.thread_id = group.thread_id;
            if let Some(facts) = &group.facts {
                origin.gtid = facts.gtid.clone();
                origin.safe_offset = facts.safe_offset.clone();
            }
        }
        self.scratch.clear();
        // Writing into a String does not fail.
        let _ = write!(self.scratch, "{end}@{file}");
        origin.offset = Arc::from(self.scratch.as_str());
        self.scratch.clear();
        let _ = write!(self.scratch, "{}:{end}", self.file_name);
        (Arc::new(origin), Position::from(self.scratch.as_str()))
    }

    fn commit(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let Some(group) = &self.group else { return Err(StreamError::corrupt("the end of a transaction that did not begin")) };
        if group.emitted {
            let (start, ord) = (group.start, group.ord);
            let txid = group.facts.as_ref().and_then(|facts| facts.gtid.clone());
            let (origin, position) = self.place_event(event.header.server_id, self.tracker.at().offset, read_ms, Vec::new());
            self.builder.push(Event {
                seq: transaction_seq(self.position.timeline, start, ord),
                position,
                timestamp_ms: i64::from(event.header.timestamp) * 1000,
                txid,
                origin,
                body: Body::Commit,
            });
        }
        self.close_group()
    }

    /// The open group is complete: its end is the new resume point.
    fn close_group(&mut self) -> Result<(), StreamError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let end = self.tracker.at();
        match self.phase {
            Phase::Skip => {}
            Phase::Verify => {
                self.verify(group, end)?;
                self.phase = Phase::Live;
            }
            Phase::Live => {
                if group.start.offset < DUMP_LIMIT {
                    self.position.floor = Some(group.start);
                }
                self.position.at = end;
                self.position.previous = Some(group.start);
                self.last = Some(group.into_fingerprint());
                if self.size() >= self.batch_max_bytes / 2 || self.resume_due {
                    self.cut();
                }
            }
        }
        Ok(())
    }

    /// Compares the last delivered transaction with what the server has in its place now.
    fn verify(&mut self, group: Group, end: FileOffset) -> Result<(), StreamError> {
        let at = self.position.at;
        // Behind the last transaction of a file the resume point moves on to the beginning of the next one.
        let ends_right = end == at || (end.file < at.file && at.offset == FileOffset::FIRST);
        let found = group.into_fingerprint();
        if ends_right && Some(found.value()) == self.position.fingerprint {
            self.last = Some(found);
            return Ok(());
        }
        let at = self.position.previous.unwrap_or(at);
        Err(StreamError::HistoryDiverged {
            what: format!("the transaction at {} is not the one that was delivered", place(&self.position.base, at)),
        })
    }

    fn xa_prepare(&mut self) -> Result<(), StreamError> {
        // With rows of a selected table the group was refused at the first of them; without, nothing of it is wanted.
        self.close_group()
    }

    fn query(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        let query = read_query(event.body, false)?;
        let end = self.tracker.at().offset;
        if query.text == b"BEGIN" {
            if let Some(group) = &mut self.group {
                group.begun = true;
                group.thread_id = query.thread_id;
                group.begin = Some((end, event.header.server_id, event.header.timestamp));
            }
            self.begin_status.clear();
            self.begin_status.extend_from_slice(query.status);
            return Ok(());
        }
        if query.text == b"COMMIT" {
            return self.commit(event, read_ms);
        }
        if query.text == b"ROLLBACK" {
            if self.in_transaction() {
                return Err(StreamError::RollbackGroup { what: "a transaction was rolled back after its rows were written" });
            }
            return self.close_group();
        }
        self.statement(event, &query, read_ms)
    }

    fn statement(&mut self, event: &RawEvent<'_>, query: &Query<'_>, read_ms: i64) -> Result<(), StreamError> {
        let begun = self.group.as_ref().is_some_and(|group| group.begun);
        let facts = StatementFacts::read(query.status)?;
        let (text, certain) = statement_text(query.text, &facts);
        let database = String::from_utf8_lossy(query.database);
        let context = StatementContext {
            database: &database,
            charsets: &|name| self.history.charset(name),
            dialect: self.dialect.with_sql_mode(facts.sql_mode.unwrap_or(0)),
            explicit_timestamps: facts.explicit_timestamps.unwrap_or(self.explicit_timestamps),
        };
        let statement = read_statement(&text, &context);
        if let Statement::Xa(word) = &statement {
            return self.xa(word);
        }
        if self.phase == Phase::Live {
            let wanted = |table: &TableId| (self.selected)(&self.history.fold(table));
            match statement {
                Statement::Change(_) if !certain => {
                    return Err(StreamError::Unsupported {
                        what: format!("a statement in the client character set number {}", facts.charset.map_or(0, |[client, ..]| client)),
                        remedy: "execute such statements with a client that speaks utf8mb4, then start afresh with a full phase",
                    });
                }
                Statement::Change(change) => self.change(event, query, &change, &text, &facts, read_ms)?,
                Statement::Rows(tables) => {
                    if let Some(table) = tables.into_iter().find(wanted) {
                        return Err(StreamError::StatementDml { table });
                    }
                }
                Statement::RollbackTo if self.in_transaction() => {
                    return Err(StreamError::RollbackGroup {
                        what: "a transaction was rolled back to a savepoint after its rows were written",
                    });
                }
                Statement::Unreadable(error, tables) => {
                    // A text that cannot even be cut into words may name any table.
                    let table = if tables.is_empty() { Some(TableId::new(database.as_ref(), "")) } else { tables.into_iter().find(wanted) };
                    if let Some(table) = table {
                        return Err(StreamError::Unreadable { table, error, statement: shorten(&text) });
                    }
                }
                Statement::Nothing | Statement::Savepoint | Statement::RollbackTo | Statement::Xa(_) | Statement::Unrelated => {}
            }
        }
        // A statement alone is its whole group; after a DDL statement the group may be closed already.
        if begun { Ok(()) } else { self.close_group() }
    }

    fn xa(&mut self, word: &str) -> Result<(), StreamError> {
        match word {
            "START" | "BEGIN" => {
                if let Some(group) = &mut self.group {
                    (group.xa, group.begun) = (true, true);
                }
                Ok(())
            }
            "END" => Ok(()),
            // The second half of a transaction whose first half had no row of a selected table.
            _ => self.close_group(),
        }
    }

    fn change(
        &mut self,
        event: &RawEvent<'_>,
        query: &Query<'_>,
        change: &Change,
        text: &str,
        facts: &StatementFacts,
        read_ms: i64,
    ) -> Result<(), StreamError> {
        let server_charset = facts.charset.and_then(|[.., server]| of_collation_number(server));
        let selected = self.selected.clone();
        let touched = self
            .history
            .apply(change, event.header.timestamp, server_charset, &|table| selected(table))
            .map_err(|change| StreamError::Change { change, statement: shorten(text) })?;
        if touched.is_empty() {
            return Ok(());
        }
        self.tables.clear();
        let begun = self.group.as_ref().is_some_and(|group| group.begun);
        if begun {
            self.begin(read_ms)?;
        }
        self.cut();
        let (file, end) = (self.tracker.at().file, self.tracker.at().offset);
        let Some(group) = &mut self.group else { return Err(StreamError::corrupt("a statement outside a group")) };
        if group.facts.is_none() {
            group.facts = Some(make_facts(group, file)?);
        }
        group.thread_id = query.thread_id;
        let (start, ord, txid) = (group.start, group.ord, group.facts.as_ref().and_then(|facts| facts.gtid.clone()));
        group.ord += 1;
        let (mut origin, position) = self.place_event(event.header.server_id, end, read_ms, facts.named());
        if let Some(origin) = Arc::get_mut(&mut origin) {
            // DTS prints its own end as the safe place of a statement.
            origin.safe_offset = origin.offset.clone();
        }
        let mut schema = SchemaChange::new(change.kind, database_of(change, query, &touched), text);
        schema.tables = touched;
        self.builder.push(Event {
            seq: transaction_seq(self.position.timeline, start, ord),
            position,
            timestamp_ms: i64::from(event.header.timestamp) * 1000,
            txid,
            origin,
            body: Body::Schema(schema),
        });
        if !begun {
            self.close_group()?;
        }
        // Invariant: a schema change travels alone.
        self.cut();
        Ok(())
    }

    /// What the events waiting for a batch take in memory.
    fn size(&self) -> usize {
        self.builder.block.len() + self.builder.len() * size_of::<Event>()
    }

    /// Makes a batch of what was decoded so far.
    fn cut(&mut self) {
        if self.builder.is_empty() {
            return;
        }
        // Invariant: a batch may be resumed behind only if it ends where a transaction ends.
        let resume = if self.in_transaction() { None } else { Some(self.resume()) };
        self.resume_due = resume.is_none();
        let batch = self.builder.finish(resume);
        self.ready.push_back(batch);
    }

    fn resume(&mut self) -> Position {
        if let Some(last) = &self.last {
            self.position.fingerprint = Some(last.value());
        }
        self.handed = self.position.at;
        self.position.to_position()
    }
}

/// Where the dump begins for a position, and in which phase.
fn start(position: &StreamPosition) -> (FileOffset, Phase) {
    let (target, verified) = target(position);
    if target.offset < DUMP_LIMIT {
        return (target, if verified { Phase::Verify } else { Phase::Live });
    }
    let floor = position.floor.filter(|floor| floor.file == target.file && floor.offset < DUMP_LIMIT);
    (floor.unwrap_or(FileOffset::new(target.file, FileOffset::FIRST)), Phase::Skip)
}

/// The first place to look at, and whether the transaction there is compared: the last delivered one, if it is known.
fn target(position: &StreamPosition) -> (FileOffset, bool) {
    match (position.previous, position.fingerprint) {
        (Some(previous), Some(_)) => (previous, true),
        _ => (position.at, false),
    }
}

fn make_facts(group: &Group, file: u32) -> Result<GroupFacts, StreamError> {
    let gtid = group.gtid_body.map(|body| read_gtid(&body)).transpose()?;
    Ok(GroupFacts { gtid: gtid.map(Arc::from), safe_offset: Arc::from(format!("{}@{file}", group.start.offset)) })
}

/// The database that a statement is about, else the session's, else the one of the first table.
fn database_of(change: &Change, query: &Query<'_>, touched: &Touched) -> String {
    let own = change.effects.iter().find_map(|effect| match effect {
        Effect::DropDatabase { database } | Effect::DatabaseCharset { database, .. } => Some(database.clone()),
        _ => None,
    });
    let session = || Some(String::from_utf8_lossy(query.database).into_owned()).filter(|name| !name.is_empty());
    let table = || touched.first().map(|(table, _)| table.database.to_string());
    own.or_else(session).or_else(table).unwrap_or_default()
}

/// The statement's text in Unicode, and whether that is certain.
fn statement_text(bytes: &[u8], facts: &StatementFacts) -> (String, bool) {
    let client = facts.charset.and_then(|[client, ..]| of_collation_number(client)).and_then(Charset::from_name);
    let known = match client {
        Some(charset) => charset.decode(bytes),
        None if facts.charset.is_none() || bytes.is_ascii() => Charset::Utf8.decode(bytes),
        None => None,
    };
    match known {
        Some(text) => (text.into_owned(), true),
        None => (String::from_utf8_lossy(bytes).into_owned(), false),
    }
}
