//! Turns the bytes of binlog events into batches. Knows no socket: bytes in, batches out.
//!
//! This file sorts the events by type and cuts the batches; `resume` finds the last delivered transaction again, `groups` watches the
//! borders of transactions, `rows` decodes row events, `statements` follows changes of structures, `text` reads the text of statements, `payload` goes through compressed transactions,
//! `alive` gives signs of life.

mod group;
mod heartbeat;
mod payload;
mod query;
mod resume_guard;
mod rows;
mod statement_text;
mod transaction;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use runtime::{Batch, BatchBuilder, Error, Event, Position, TableId};

use super::error::{StreamError, place};
use super::event::{Gtid, IGNORABLE, Payload, RawEvent, kind, read_format, read_incident, read_query};
use super::position::file_name;
use super::track::Tracker;
use super::{FileOffset, StreamPosition};
use crate::schema::{Dialect, History};
use group::{Fingerprint, Group};
use heartbeat::Alive;
use resume_guard::{Phase, start};
use rows::MappedTable;

/// The fact of a stream that holds the default character sets of the databases at its resume point.
pub(crate) const DATABASES: &str = "databases";

/// Whether a table is selected; names come folded as the server compares them.
pub type Selected = Arc<dyn Fn(&TableId) -> bool + Send + Sync>;

/// Whether a database is selected.
pub type SelectedDatabase = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What a decoder needs.
pub struct DecoderOptions {
    /// Where the stream goes on.
    pub position: StreamPosition,
    /// Structures at that position.
    pub history: History,
    /// Which tables are wanted.
    pub selected: Selected,
    /// Of which databases the statements about themselves are wanted.
    pub selected_databases: SelectedDatabase,
    /// Version text of the server.
    pub server_version: Arc<str>,
    /// `explicit_defaults_for_timestamp` of the server, for statements that do not say.
    pub explicit_timestamps: bool,
    /// Whether a server that sends a heartbeat has nothing newer than what it sent.
    pub idle_is_current: bool,
    /// Batches are cut at about this size.
    pub batch_max_bytes: usize,
}

/// Decodes one stream.
pub struct Decoder {
    selected: Selected,
    selected_databases: SelectedDatabase,
    server_version: Arc<str>,
    dialect: Dialect,
    explicit_timestamps: bool,
    idle_is_current: bool,
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
    /// The compressed transaction that is being taken apart, and when it was read.
    payload: Option<(Payload, i64)>,
    /// The last batch ended inside a transaction, so a resume point is due at its end.
    resume_due: bool,
    ready: VecDeque<Batch>,
    /// The databases changed since the last batch that can be resumed behind.
    databases_changed: bool,
    alive: Alive,
    file_name: String,
    scratch: String,
}

impl Decoder {
    /// A decoder for a stream that is dumped from [`Decoder::dump_from`].
    pub fn new(options: DecoderOptions) -> Self {
        let DecoderOptions { position, history, selected, selected_databases, server_version, .. } = options;
        let (from, phase) = start(&position);
        Self {
            dialect: Dialect::of_version(&server_version),
            selected,
            selected_databases,
            server_version,
            explicit_timestamps: options.explicit_timestamps,
            idle_is_current: options.idle_is_current,
            batch_max_bytes: options.batch_max_bytes.max(1),
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
            payload: None,
            resume_due: false,
            ready: VecDeque::new(),
            databases_changed: false,
            alive: Alive::default(),
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
        let mut taken = self.take_event(bytes, read_ms);
        while taken.is_ok() && self.is_expanding() {
            taken = self.expand();
        }
        taken.map_err(|error| self.located(error, at))
    }

    /// The same error with its place.
    pub(crate) fn located(&self, error: StreamError, at: FileOffset) -> Error {
        Error::from(error).at(&Position::from(place(&self.position.base, at)))
    }

    pub(crate) fn take_event(&mut self, bytes: &[u8], read_ms: i64) -> Result<(), StreamError> {
        let (event, start) = self.tracker.pass(bytes)?;
        let real = event.header.is_real();
        let opens = matches!(event.header.kind, kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID);
        // A compressed transaction without a GTID of its own is a group too.
        let alone = matches!(event.header.kind, kind::QUERY | kind::TRANSACTION_PAYLOAD) && self.group.is_none();
        if opens || alone {
            self.open_group(start)?;
        }
        if let Some(group) = self.group.as_mut().filter(|_| real) {
            group.add(&event);
            // What was delivered in an earlier run is older than what that run told.
            if self.phase == Phase::Live {
                self.alive.met(&event.header);
            }
        }
        self.dispatch(&event, read_ms)
    }

    /// What an event means, wherever it comes from.
    fn dispatch(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        match event.header.kind {
            kind::TABLE_MAP => self.table_map(event),
            kind::WRITE_ROWS
            | kind::UPDATE_ROWS
            | kind::DELETE_ROWS
            | kind::WRITE_ROWS_V1
            | kind::UPDATE_ROWS_V1
            | kind::DELETE_ROWS_V1 => self.rows(event, read_ms),
            kind::QUERY => self.query(event, read_ms),
            kind::XID => self.commit(event, read_ms),
            kind::GTID => {
                if let Some(group) = &mut self.group {
                    group.gtid = Some(Gtid::read(event.body)?);
                }
                Ok(())
            }
            kind::MARIADB_GTID => self.mariadb_gtid(event),
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => {
                self.heard(&event.header, read_ms);
                Ok(())
            }
            kind::FORMAT_DESCRIPTION => {
                self.alive.server_id = event.header.server_id;
                self.tracker.checksums = read_format(event.body)?;
                self.tables.clear();
                self.interrupted()
            }
            kind::ROTATE => self.rotate(event),
            kind::INCIDENT => Err(StreamError::Incident { message: read_incident(event.body) }),
            kind::XA_PREPARE => self.xa_prepare(),
            kind::EXECUTE_LOAD_QUERY => {
                let query = read_query(event.body, true)?;
                self.statement(event, &query, read_ms)
            }
            kind::PARTIAL_UPDATE_ROWS => self.partial_rows(event),
            kind::TRANSACTION_PAYLOAD => self.payload(event, read_ms),
            kind::START_ENCRYPTION => Err(StreamError::Unsupported {
                what: "an encrypted binlog".to_owned(),
                help: "set encrypt_binlog=OFF in the server's option file and restart it, then start afresh with a full phase",
            }),
            kind::FIRST_COMPRESSED..=kind::LAST_COMPRESSED => Err(StreamError::Unsupported {
                what: "a compressed event of MariaDB".to_owned(),
                help: "SET GLOBAL log_bin_compress=OFF, then start afresh with a full phase",
            }),
            kind::ANONYMOUS_GTID
            | kind::STOP
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
            | kind::VIEW_CHANGE
            | kind::GTID_TAGGED
            | kind::ANNOTATE_ROWS
            | kind::CHECKPOINT
            | kind::GTID_LIST => Ok(()),
            _ if event.header.flags & IGNORABLE != 0 => Ok(()),
            unknown => Err(StreamError::Unsupported {
                what: format!("an event of type {unknown}"),
                help: "switch off what makes the server write it, then start afresh with a full phase",
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
        self.has_moved().then(|| self.resumable(Vec::new()))
    }

    /// Whether rows of an open transaction were put into batches.
    fn in_transaction(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.emitted)
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
        let mut batch = self.builder.finish(resume);
        if batch.resume.is_some() {
            self.note_databases(&mut batch);
        }
        self.ready.push_back(batch);
    }

    /// A batch behind which the stream can be resumed.
    fn resumable(&mut self, events: Vec<Event>) -> Batch {
        let mut batch = Batch::new(events, Some(self.resume()), 0);
        self.note_databases(&mut batch);
        batch
    }

    /// Commits the databases with the resume point. It may be that of the place before the statement that changed them, which changes them
    /// to the same when it is read again.
    fn note_databases(&mut self, batch: &mut Batch) {
        if std::mem::take(&mut self.databases_changed) {
            batch.state.push((DATABASES.to_owned(), Some(self.history.databases().to_text())));
        }
    }

    fn resume(&mut self) -> Position {
        if let Some(last) = &self.last {
            self.position.fingerprint = Some(last.value());
        }
        self.handed = self.position.at;
        self.position.to_position()
    }
}
