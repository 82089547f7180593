//! Turns the bytes of binlog events into batches. It does no I/O, except for the files in which the rows of XA transactions wait.
//!
//! This file dispatches the events by type. The submodules do the work:
//!
//! - `first_group` passes over a transaction of PolarDB-X that began before the stream.
//! - `resume_guard` holds the position at which reading continues after a restart, and checks that the last delivered transaction is there.
//! - `transaction` tracks where transactions begin and end, and gives each event its `seq` and its `stamp`.
//! - `table_maps` maps table ids to tables, and `rows` decodes row events.
//! - `new_tables` notes tables that are ignored because they are new, and `unstated` takes from TABLE_MAPs what CREATE TABLE statements leave open.
//! - `followed` stores the schemas of tables that are not selected, and `rebuilt` takes those of tables that are rebuilt from their TABLE_MAPs.
//! - `unread` waits behind a statement that cannot be read until the schemas of its tables are known.
//! - `query` handles statements such as DDL, and the commit marks of PolarDB-X; `statement_text` decodes their text.
//! - `prepared` keeps the changes of XA transactions until their outcome is read, and `expansion` gives them back. `row_keys` finds later
//!   changes of the same rows, before which `look_ahead` looks for the outcome.
//! - `savepoints` and `group_end` tell which changes of a transaction are rolled back.
//! - `polardbx` reads the comment lines before the statements of PolarDB-X, and `insertion` tells where chunks can be inserted.
//! - `heartbeat` makes heartbeat events, and `output` groups events into batches. `ending` tells whether a binlog may end where it does.

mod context;
mod ending;
mod expansion;
mod fingerprint;
mod first_group;
mod followed;
mod group_end;
mod heartbeat;
mod insertion;
mod look_ahead;
mod new_tables;
mod options;
mod output;
mod polardbx;
mod prepared;
mod query;
mod rebuilt;
mod resume_guard;
mod row_keys;
mod rows;
mod savepoints;
mod stamp;
mod statement_text;
mod table_maps;
mod transaction;
mod unread;
mod unstated;

use runtime::{Batch, Error, Event, Position};

use super::error::StreamError;
use super::event::{Checksums, Header, IGNORABLE, KeptEvent, Payload, RawEvent, kind, read_format, read_incident, read_query};
use super::position::{FileOffset, StreamPosition};
use super::profile::ServerProfile;
use super::row::{RowLayout, RowsKind};
use super::track::Tracker;
use crate::config::PolarDbXOptions;
use crate::schema::History;
use crate::selection::Selection;
use context::EventContext;
pub(super) use ending::open_at_end;
use expansion::{Expansion, SpooledRows};
use first_group::FirstGroup;
#[cfg(test)]
pub(super) use group_end::Undone;
pub(super) use group_end::{EndSearch, GroupEnd, OpenGroup};
use heartbeat::Heartbeats;
pub(super) use insertion::{boundary, insert, resume};
use look_ahead::{LookAhead, Wait};
use new_tables::NewTables;
pub use options::{DecoderOptions, RowsWithoutEvents};
use output::BatchOutput;
pub(super) use polardbx::StatementTexts;
pub use prepared::PreparedTransactions;
use prepared::{Ended, Schemas};
use resume_guard::ResumeGuard;
use rows::{decode_rows, pass_over_rows};
pub(super) use statement_text::StatementText;
pub(super) use table_maps::TableMaps;
use transaction::Transaction;
use unread::Unread;
pub(super) use unread::{continue_behind, wants_schemas};

/// Decodes the binlog events of one stream into batches.
pub struct Decoder {
    stream: String,
    profile: ServerProfile,
    selection: Selection,
    history: History,
    tracker: Tracker,
    resume: ResumeGuard,
    first_group: FirstGroup,
    transaction: Transaction,
    tables: TableMaps,
    heartbeats: Heartbeats,
    output: BatchOutput,
    prepared: PreparedTransactions,
    /// The sources of events that are being expanded, the innermost last. Each belongs to the open group.
    expansions: Vec<Expansion>,
    polardbx: PolarDbXOptions,
    rows_without_events: RowsWithoutEvents,
    /// The statement of PolarDB-X whose commit mark was not read yet.
    logged: Option<KeptEvent>,
    /// The events that were read before their turn. They follow the expansions.
    ahead: LookAhead,
    /// Whether schemas are read from the server behind a statement that cannot be read.
    pub(super) refetches: bool,
    unread: Option<Unread>,
    pub(super) ignored: NewTables,
}

impl Decoder {
    /// Creates a decoder. Its first event must be the first event of a binlog dump that begins at [`Decoder::dump_from`].
    pub fn new(options: DecoderOptions) -> Self {
        let DecoderOptions { stream, position, history, selection, profile, prepared, polardbx, rows_without_events, batch_max_bytes } =
            options;
        Self {
            tracker: Tracker::new(&position.base, ResumeGuard::dump_from(&position)),
            transaction: Transaction::new(position.timeline, &profile),
            first_group: FirstGroup::new(&position, &profile),
            resume: ResumeGuard::new(position),
            tables: TableMaps::that_rebuild(),
            heartbeats: Heartbeats::default(),
            output: BatchOutput::new(batch_max_bytes),
            prepared,
            expansions: Vec::new(),
            polardbx,
            rows_without_events,
            logged: None,
            ahead: LookAhead::default(),
            refetches: false,
            unread: None,
            ignored: NewTables::default(),
            stream,
            profile,
            selection,
            history,
        }
    }

    /// Says whether a full phase has read what comes before the start of the stream. If so, the stream may begin inside a transaction.
    pub fn behind_full_phase(mut self, is_behind: bool) -> Self {
        self.first_group.set_read(is_behind);
        self
    }

    /// The position at which the binlog dump has to begin so that it contains the last delivered transaction.
    pub fn dump_from(position: &StreamPosition) -> FileOffset {
        ResumeGuard::dump_from(position)
    }

    /// The position at which the next binlog event begins.
    pub fn at(&self) -> FileOffset {
        self.ahead.at().unwrap_or(self.tracker.at())
    }

    /// Whether the server has sent the format of the file, which it does once it has found the position.
    pub(crate) fn has_format(&self) -> bool {
        self.tracker.checksums != Checksums::Unknown
    }

    /// Whether events are read before their turn, because the outcome of an XA transaction has to be known first.
    pub(crate) fn is_looking_ahead(&self) -> bool {
        self.ahead.is_waiting()
    }

    /// Decodes one event. `bytes` include the header and the checksum. `read_ms` is when the event was read, in milliseconds since the
    /// epoch. After an error the decoder must not be given more events, but [`Decoder::drain`] still returns the events before the error.
    pub fn event(&mut self, bytes: &[u8], read_ms: i64) -> Result<(), Error> {
        let at = self.at();
        let mut taken = self.take_event(bytes, read_ms);
        while taken.is_ok() && self.is_expanding() {
            taken = self.expand();
        }
        taken.map_err(|error| self.located(error, at))
    }

    /// Adds the position `at` in the binlog to an error.
    pub(crate) fn located(&self, error: StreamError, at: FileOffset) -> Error {
        Error::from(error).at(&Position::from(self.resume.position().location(at)))
    }

    /// Like [`Decoder::event`], but does not expand a compressed transaction: the caller must call [`Decoder::expand`].
    pub(crate) fn take_event(&mut self, bytes: &[u8], read_ms: i64) -> Result<(), StreamError> {
        if self.ahead.is_waiting() {
            return self.ahead.take(bytes, read_ms, &self.profile, &self.prepared);
        }
        self.take_in_turn(bytes, read_ms)
    }

    fn take_in_turn(&mut self, bytes: &[u8], read_ms: i64) -> Result<(), StreamError> {
        let (event, start) = self.tracker.pass(bytes)?;
        self.take_intact(&event, start, read_ms).map_err(StreamError::of_content)
    }

    /// Handles an event whose length, checksum and offset are right.
    fn take_intact(&mut self, event: &RawEvent<'_>, start: FileOffset, read_ms: i64) -> Result<(), StreamError> {
        if self.first_group.passes_over(event)? {
            return Ok(());
        }
        let opens = matches!(event.header.kind, kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID);
        // A statement or a compressed transaction begins a group itself if no GTID event has opened the group before.
        let alone = matches!(event.header.kind, kind::QUERY | kind::TRANSACTION_PAYLOAD)
            || (event.header.kind == kind::ROWS_QUERY && self.profile.is_polardbx());
        if opens || (alone && !self.transaction.is_open()) {
            self.transaction.interrupt()?;
            self.resume.open(start)?;
            self.transaction.open(start);
            if !matches!(event.header.kind, kind::GTID | kind::MARIADB_GTID) {
                self.resume.decide(None)?;
            }
        }
        // Transactions that an earlier run delivered do not update the heartbeat's time, because they are in the past. Whether a transaction is
        // one of them is known only behind its first event.
        if event.header.is_real() && self.transaction.add(event) && self.resume.is_live() && !opens {
            self.heartbeats.note_event(&event.header);
        }
        self.dispatch(event, read_ms)
    }

    /// Handles an event of the file or of a compressed transaction.
    fn dispatch(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        match event.header.kind {
            kind::TABLE_MAP if self.resume.is_live() => {
                unstated::settle(event.body, &self.stream, &mut self.history, &mut self.output)?;
                if let Some(table) = self.tables.add(event.body, &self.history, &self.selection, &self.profile)? {
                    self.ignored.note(&table, &self.selection);
                    self.history.saw_rows(&table);
                    followed::note(&self.stream, &mut self.history, &mut self.output)?;
                }
                self.spool(event).map(drop)
            }
            kind::TABLE_MAP => Ok(()),
            kind::WRITE_ROWS
            | kind::UPDATE_ROWS
            | kind::DELETE_ROWS
            | kind::WRITE_ROWS_V1
            | kind::UPDATE_ROWS_V1
            | kind::DELETE_ROWS_V1 => self.rows(event, read_ms),
            kind::QUERY => unread::take_statement(self, event, read_ms),
            kind::XID if self.profile.is_polardbx() => self.transaction.end(),
            kind::XID => {
                self.transaction.check_emptied()?;
                self.commit(event, read_ms)
            }
            kind::GTID => {
                self.transaction.gtid(event.body)?;
                self.resume.decide(self.transaction.gtid_of_group())
            }
            kind::MARIADB_GTID => {
                self.transaction.mariadb_gtid(event.body, &EventContext::new(&self.tracker, &event.header, read_ms))?;
                self.resume.decide(self.transaction.gtid_of_group())
            }
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => {
                self.heartbeats.server_idle(&self.profile, self.tracker.at(), &event.header, read_ms);
                Ok(())
            }
            kind::FORMAT_DESCRIPTION => {
                self.heartbeats.set_server(event.header.server_id);
                let format = read_format(event.body)?;
                self.tracker.checksums = format.checksums;
                self.profile.set_writer(format.server);
                self.tables.clear();
                self.transaction.interrupt()
            }
            kind::ROTATE => self.rotate(event),
            kind::ROWS_QUERY if self.profile.is_polardbx() => self.rows_query(event, read_ms),
            kind::INCIDENT => Err(StreamError::Incident { message: read_incident(event.body) }),
            kind::XA_PREPARE => self.xa_prepare(event, read_ms),
            kind::EXECUTE_LOAD_QUERY => {
                let query = read_query(event.body, true)?;
                self.statement(event, &query, read_ms)
            }
            kind::PARTIAL_UPDATE_ROWS if self.resume.is_live() => match self.tables.table(event.body)? {
                Some(_) => Err(StreamError::PartialJson),
                None => Ok(()),
            },
            kind::PARTIAL_UPDATE_ROWS => Ok(()),
            kind::TRANSACTION_PAYLOAD => self.payload(event, read_ms),
            kind::START_ENCRYPTION => Err(StreamError::Unsupported {
                what: "an encrypted binlog".to_owned(),
                help: "set encrypt_binlog=OFF in the server's option file and restart it, then start from scratch with a full phase",
            }),
            kind::FIRST_COMPRESSED..=kind::LAST_COMPRESSED => Err(StreamError::Unsupported {
                what: "a compressed event of MariaDB".to_owned(),
                help: "SET GLOBAL log_bin_compress=OFF, then start from scratch with a full phase",
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
                help: "switch off what makes the server write it, then start from scratch with a full phase",
            }),
        }
    }

    fn rows(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        if !self.resume.is_live() {
            return Ok(());
        }
        if self.spool(event)? {
            return Ok(());
        }
        if self.profile.is_polardbx() && !self.transaction.takes_rows() {
            return Err(StreamError::corrupt("rows outside a transaction"));
        }
        let Some(layout) = rebuilt::layout(self, event)? else { return Ok(()) };
        if self.passes_over(event)? {
            return pass_over_rows(event, &layout, &mut self.transaction);
        }
        let place = self.expansions.len();
        if self.follows_prepared(event, &layout, None, &event.header, read_ms)? {
            self.expansions.insert(place, Expansion::later(event, read_ms));
            return Ok(());
        }
        let context = EventContext::new(&self.tracker, &event.header, read_ms);
        decode_rows(event, &layout, &context, &mut self.transaction, &mut self.output)
    }

    /// Whether the rows of a prepared XA transaction come before this row event. If so, they come next, or their outcome is looked for, and
    /// the event must come again after that. `before` is where the transaction of the event begins if the event comes from a spool.
    fn follows_prepared(
        &mut self,
        event: &RawEvent<'_>,
        layout: &RowLayout,
        before: Option<FileOffset>,
        header: &Header,
        read_ms: i64,
    ) -> Result<bool, StreamError> {
        let here = self.tracker.at();
        if self.prepared.is_empty() || self.transaction.undoes(here) {
            return Ok(false);
        }
        let schemas = Schemas { history: &self.history, selection: &self.selection, profile: &self.profile };
        let Some(earlier) = self.prepared.followed(event, layout, before, schemas)? else { return Ok(false) };
        let (xid, prepared) = (earlier.xid.clone(), earlier.at());
        let Some(committed) = self.ahead.outcome(&xid, here) else {
            let wait = Wait::new(xid, prepared, layout.schema.id.clone(), here);
            self.ahead.begin(wait, &self.tracker, self.transaction.unknown_end(here));
            return Ok(true);
        };
        if let Some(open) = self.transaction.unknown_end(here) {
            let end = self.ahead.end_of(open.start);
            self.end_is_known(end.ok_or(StreamError::RollbackGroup { what: "a transaction has no end in the binlog" })?)?;
            if self.transaction.undoes(here) {
                return Ok(false);
            }
        }
        if let Ended::Rows { start, spool, removed } = self.prepared.settle(&xid, committed)? {
            let mut rows = Expansion::of_spool(spool, start, TableMaps::without(removed), *header, read_ms);
            rows.is_outcome = false;
            self.expansions.push(Expansion::Spool(rows));
        }
        Ok(true)
    }

    /// Puts a row event or a TABLE_MAP of a selected table into the spool of the XA transaction to which it belongs. Returns whether it
    /// belongs to an XA transaction.
    fn spool(&mut self, event: &RawEvent<'_>) -> Result<bool, StreamError> {
        if self.transaction.branch().is_none() {
            return Ok(false);
        }
        // The rows are decoded later, but their schema is known now.
        if RowsKind::of(event.header.kind).is_some() {
            rebuilt::layout(self, event)?;
        }
        if let (Some((branch, start)), Some(table)) = (self.transaction.branch(), self.tables.table(event.body)?) {
            self.prepared.add(branch, start, self.history.fold(table), event)?;
        }
        Ok(true)
    }

    fn commit(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        self.transaction.emit_commit(&EventContext::new(&self.tracker, &event.header, read_ms), &mut self.output)?;
        self.close_transaction()
    }

    /// Closes the open group, if there is one. If the stream is live, the end of the group becomes the resume point.
    fn close_transaction(&mut self) -> Result<(), StreamError> {
        self.transaction.check_emptied()?;
        let Some(group) = self.transaction.close() else { return Ok(()) };
        if self.profile.is_polardbx() && self.resume.starts_inside(self.tracker.at()) {
            self.first_group.pass_over()?;
        }
        if self.resume.close(group, self.tracker.at())? {
            self.prepared.group_closed(self.tracker.at(), &mut self.output)?;
            if self.output.is_cut_due() {
                self.cut();
            }
        }
        Ok(())
    }

    fn rotate(&mut self, event: &RawEvent<'_>) -> Result<(), StreamError> {
        let before = self.tracker.at().file;
        if self.tracker.rotate(event, self.profile.is_polardbx())? {
            self.transaction.interrupt()?;
            self.tables.clear();
            let is_passed = self.resume.position().at == self.tracker.at();
            if self.tracker.at().file < before && !is_passed {
                // The numbers of the files begin again. The events behind must sort after all before.
                self.transaction.begin_timeline();
                self.resume.begin_timeline();
            }
            self.resume.enter_file(self.tracker.at());
        }
        Ok(())
    }

    /// Opens a compressed transaction. [`Decoder::expand`] extracts its events.
    fn payload(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
        if !self.resume.is_live() {
            // No event needs to be extracted: the fingerprint covers the compressed event as a whole.
            return self.close_transaction();
        }
        self.expansions.push(Expansion::Payload(Payload::open(event.body)?, read_ms));
        Ok(())
    }

    /// Whether a compressed transaction or an XA transaction still has to be expanded, or events were read before their turn. The next event
    /// of the file may be read only after that.
    pub(crate) fn is_expanding(&self) -> bool {
        !self.ahead.is_waiting() && (!self.expansions.is_empty() || self.ahead.has_events())
    }

    /// Expands the next event. Each call expands only one event, so that a full batch can be delivered before the next batch is filled.
    pub(crate) fn expand(&mut self) -> Result<(), StreamError> {
        self.expand_next().map_err(StreamError::of_content)
    }

    fn expand_next(&mut self) -> Result<(), StreamError> {
        let Some(expansion) = self.expansions.pop() else {
            return match self.ahead.next(self.tracker.at())? {
                Some((bytes, read_ms)) => self.take_in_turn(&bytes, read_ms),
                None => Ok(()),
            };
        };
        // The event may begin another expansion, which then comes first.
        let place = self.expansions.len();
        let rest = match expansion {
            Expansion::Payload(payload, read_ms) => self.expand_payload(payload, read_ms)?.map(|rest| Expansion::Payload(rest, read_ms)),
            Expansion::Spool(rows) => self.expand_spool(rows)?.map(Expansion::Spool),
            Expansion::Later(later) => {
                self.dispatch(&later.event.event(), later.read_ms)?;
                None
            }
        };
        if let Some(rest) = rest {
            self.expansions.insert(place, rest);
        }
        Ok(())
    }

    /// Emits the next row event of an XA transaction, or ends the group of its outcome after the last one. Returns the rest.
    fn expand_spool(&mut self, mut rows: Box<SpooledRows>) -> Result<Option<Box<SpooledRows>>, StreamError> {
        let (header, read_ms, start, is_outcome) = (rows.header, rows.read_ms, rows.start, rows.is_outcome);
        let Some((event, tables)) = rows.next()? else {
            if !is_outcome {
                return Ok(None);
            }
            let context = EventContext::new(&self.tracker, &header, read_ms);
            self.transaction.emit_commit(&context, &mut self.output)?;
            return self.close_transaction().map(|()| None);
        };
        if event.header.kind == kind::TABLE_MAP {
            tables.add(event.body, &self.history, &self.selection, &self.profile)?;
        } else if let Some(layout) = tables.layout(&event, &self.profile)? {
            if self.follows_prepared(&event, &layout, Some(start), &header, read_ms)? {
                rows.step_back();
                return Ok(Some(rows));
            }
            let context = EventContext::new(&self.tracker, &header, read_ms);
            decode_rows(&event, &layout, &context, &mut self.transaction, &mut self.output)?;
        }
        Ok(Some(rows))
    }

    /// Extracts the next event of a compressed transaction. Returns the rest.
    fn expand_payload(&mut self, mut payload: Payload, read_ms: i64) -> Result<Option<Payload>, StreamError> {
        let Some(event) = payload.next()? else {
            // The last event of the compressed transaction is an XID, which must have closed the group.
            return match self.transaction.is_open() {
                false => Ok(None),
                true => Err(StreamError::corrupt("a compressed transaction without its end")),
            };
        };
        if matches!(
            event.header.kind,
            kind::TRANSACTION_PAYLOAD | kind::ROTATE | kind::FORMAT_DESCRIPTION | kind::GTID | kind::ANONYMOUS_GTID
        ) {
            return Err(StreamError::corrupt(format!("an event of type {} in a compressed transaction", event.header.kind)));
        }
        if !self.transaction.is_open() {
            return Err(StreamError::corrupt("a compressed transaction has events behind its end"));
        }
        self.dispatch(&event, read_ms)?;
        Ok(Some(payload))
    }

    /// The open group, if its end must be found before more of it is read.
    pub(crate) fn wants_end(&self) -> Option<OpenGroup> {
        self.transaction.wants_end(self.tracker.at(), &self.output)
    }

    #[cfg(test)]
    pub(super) fn hold_at_most(&mut self, bytes: usize) {
        self.transaction.hold_at_most(bytes);
    }

    /// Notes how the group ends that [`Decoder::wants_end`] has returned.
    pub(crate) fn end_is_known(&mut self, end: GroupEnd) -> Result<(), StreamError> {
        self.transaction.end_is_known(end, self.tracker.at(), &mut self.output)
    }

    /// The files of XA transactions.
    pub(crate) fn prepared(&mut self) -> &mut PreparedTransactions {
        &mut self.prepared
    }

    /// The next finished batch; `None` if there is none.
    pub fn take(&mut self) -> Option<Batch> {
        self.output.take()
    }

    /// Returns the next batch, even if it is not full. While a transaction is being emitted, no batch is cut early, because the rest of the
    /// transaction follows soon.
    pub fn flush(&mut self) -> Option<Batch> {
        if !self.transaction.is_emitted() {
            self.cut();
        }
        self.take()
    }

    /// The next batch, even if it is not full or ends inside a transaction. Events whose transaction may still be rolled back are dropped.
    pub fn drain(&mut self) -> Option<Batch> {
        if self.output.drop_held() && !self.output.is_empty() {
            // What is left comes before the open transaction.
            let resume = self.resume.hand_out();
            self.output.cut(Some(resume));
        }
        self.cut();
        self.take()
    }

    /// Whether the resume point has moved, and no decoded event is left whose batch could carry it.
    pub fn has_moved(&self) -> bool {
        self.output.is_drained() && !self.transaction.is_emitted() && self.resume.has_moved()
    }

    /// An empty batch that only moves the resume point; `None` if the resume point has not moved.
    pub fn position_update(&mut self) -> Option<Batch> {
        self.has_moved().then(|| self.output.separate(Vec::new(), self.resume.hand_out()))
    }

    /// Whether the stream is live and between two transactions, and every decoded event was taken.
    pub(crate) fn is_between_transactions(&self) -> bool {
        self.resume.is_live() && !self.transaction.is_open() && !self.first_group.is_inside() && self.output.is_drained()
    }

    /// A batch with one heartbeat event, which also moves the resume point; `None` inside a transaction, and while no time of the source is
    /// known.
    pub(crate) fn heartbeat(&mut self, read_ms: i64) -> Option<Batch> {
        if !self.is_between_transactions() {
            return None;
        }
        let heartbeat: Event = self.heartbeats.event(self.resume.position(), self.profile.version(), read_ms)?;
        Some(self.output.separate(vec![heartbeat], self.resume.hand_out()))
    }

    /// Makes a batch of the events that were decoded so far.
    fn cut(&mut self) {
        if self.output.is_empty() {
            return;
        }
        // Invariant: a batch has a resume point only if the batch ends at the end of a transaction.
        let resume = (!self.transaction.is_emitted()).then(|| self.resume.hand_out());
        self.output.cut(resume);
    }
}
