//! Tracks the transaction that is being read: its begin and end, and the data that all its events carry.

use std::fmt::Write as _;
use std::sync::Arc;

use runtime::{Body, Origin, Position, SchemaChange, Seq, TableId};

use super::context::{BeginEvent, EventContext};
use super::fingerprint::Fingerprint;
use super::group_end::{GroupEnd, OpenGroup};
use super::output::{BatchOutput, Mark};
use super::prepared::Branch;
use super::savepoints::Savepoints;
use super::stamp::Stamp;
use crate::binlog::error::StreamError;
use crate::binlog::event::{Gtid, MariaDbGroup, RawEvent, SessionVariables, Tso};
use crate::binlog::position::{FileOffset, transaction_seq};
use crate::binlog::profile::ServerProfile;
use crate::schema::Xid;

/// The usual value of [`Transaction::hold_bytes`].
const HOLD_BYTES: usize = 4 << 20;

/// The transaction that is being read, if there is one.
///
/// It also numbers the events. Invariant: the events of a transaction have the numbers 0 (BEGIN), 1, 2 … without a gap, and the same
/// numbers whenever the binlog is read again. BEGIN is emitted right before the first event of a selected table, and COMMIT only if BEGIN
/// was emitted.
#[derive(Debug)]
pub(super) struct Transaction {
    timeline: u16,
    server_version: Arc<str>,
    /// Whether the events of a transaction are held back until its end is known, because it may be rolled back.
    holds: bool,
    /// Whether transactions end with a commit mark, as in PolarDB-X.
    marks: bool,
    /// Events of a transaction are held back up to this size, in bytes. The end of a larger transaction is looked for.
    hold_bytes: usize,
    open: Option<Group>,
    /// Session variables logged with the BEGIN of the open group, undecoded.
    begin_variables: Vec<u8>,
    /// A buffer that is reused to format texts.
    scratch: String,
}

/// The events that the server commits as a whole: a transaction, or a single DDL statement.
#[derive(Debug)]
pub(super) struct Group {
    timeline: u16,
    /// Where the first event of the group begins.
    start: FileOffset,
    /// Whether a BEGIN was read. If so, the group ends with an XID or COMMIT; otherwise it ends with its only statement.
    begun: bool,
    /// The first half of an XA transaction, if the group is one.
    branch: Option<Branch>,
    savepoints: Savepoints<Place>,
    /// The end of the group, if it is known before it is read.
    end: Option<GroupEnd>,
    /// Whether the group has changed the schema of a table. A ROLLBACK would not undo that.
    changed_schema: bool,
    /// Whether the group holds an ALTER TABLE that has only begun or was rolled back.
    uncommitted_alter: bool,
    /// The table of the engine MEMORY that the server emptied, see [`Transaction::note_emptied`].
    emptied: Option<TableId>,
    /// The commit timestamp, if it is known.
    tso: Option<Tso>,
    /// Whether the server's own archiving made the transaction.
    is_archive: bool,
    /// Whether the XID was read. If transactions end with a commit mark, only this mark may follow.
    ended: bool,
    /// Whether the BEGIN event of the group was emitted.
    emitted: bool,
    /// Number of the next event within the group.
    ord: u64,
    /// Id of the connection that made the changes.
    thread_id: u32,
    gtid: Option<Gtid>,
    /// Texts that all events of the group carry; `None` until the first event is emitted.
    labels: Option<GroupLabels>,
    begin: Option<BeginEvent>,
    fingerprint: Fingerprint,
}

/// The place of a savepoint.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where the event that set it ends.
    end: FileOffset,
    /// The place in the output; `None` if no event of the group was emitted before it.
    mark: Option<Mark>,
}

/// Texts that all events of a group carry.
#[derive(Clone, Debug)]
struct GroupLabels {
    gtid: Option<Arc<str>>,
    txid: Option<Arc<str>>,
    safe_offset: Arc<str>,
}

/// A group that was read to its end.
#[derive(Debug)]
pub(super) struct ClosedGroup {
    pub(super) start: FileOffset,
    pub(super) fingerprint: Fingerprint,
    pub(super) tso: Option<Tso>,
    pub(super) gtid: Option<Gtid>,
}

impl Transaction {
    pub(super) fn new(timeline: u16, profile: &ServerProfile) -> Self {
        Self {
            timeline,
            server_version: profile.version().clone(),
            holds: profile.logs_rollbacks(),
            marks: profile.is_polardbx(),
            hold_bytes: HOLD_BYTES,
            open: None,
            begin_variables: Vec::new(),
            scratch: String::new(),
        }
    }

    /// Begins the next timeline, see [`StreamPosition::timeline`].
    ///
    /// [`StreamPosition::timeline`]: crate::binlog::StreamPosition::timeline
    pub(super) fn begin_timeline(&mut self) {
        self.timeline += 1;
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a BEGIN was read. If so, the group does not end with the current statement.
    pub(super) fn is_begun(&self) -> bool {
        self.open.as_ref().is_some_and(|group| group.begun)
    }

    /// Whether the statement of the open group must be passed over: it is an ALTER TABLE that has only begun or was rolled back.
    pub(super) fn is_uncommitted_alter(&self) -> bool {
        self.open.as_ref().is_some_and(|group| group.uncommitted_alter)
    }

    /// Notes that the server found the only one of `tables` empty, a table of the engine MEMORY. The server logs this in a group without an
    /// XID. A session's own statement of the same text can change a transactional table by a trigger, and then its group ends with an XID.
    /// Returns whether this is the first statement of the group, as it must be.
    pub(super) fn note_emptied(&mut self, tables: &[TableId]) -> bool {
        match (&mut self.open, tables) {
            (Some(group), [table]) if !group.emitted && group.emptied.is_none() => {
                group.emptied = Some(table.clone());
                true
            }
            _ => false,
        }
    }

    /// Takes the table that the server emptied, if the group, which ends without an XID, holds nothing else. The group then counts as one
    /// statement without a BEGIN.
    pub(super) fn take_emptied(&mut self) -> Option<TableId> {
        let group = self.open.as_mut().filter(|group| !group.emitted)?;
        let table = group.emptied.take()?;
        group.begun = false;
        Some(table)
    }

    /// Fails if the group, which ends in another way than a group of the server's own statement, holds a statement that may have changed
    /// rows by a trigger.
    pub(super) fn check_emptied(&mut self) -> Result<(), StreamError> {
        match self.open.as_mut().and_then(|group| group.emptied.take()) {
            Some(table) => Err(StreamError::StatementDml { table: None, statement: format!("DELETE FROM {table}") }),
            None => Ok(()),
        }
    }

    /// Whether events of the open transaction were emitted.
    pub(super) fn is_emitted(&self) -> bool {
        self.open.as_ref().is_some_and(|group| group.emitted)
    }

    /// Begins a group whose first event begins at `start`.
    pub(super) fn open(&mut self, start: FileOffset) {
        self.open = Some(Group {
            timeline: self.timeline,
            start,
            begun: false,
            branch: None,
            savepoints: Savepoints::default(),
            end: None,
            changed_schema: false,
            uncommitted_alter: false,
            emptied: None,
            tso: None,
            is_archive: false,
            ended: false,
            emitted: false,
            ord: 0,
            thread_id: 0,
            gtid: None,
            labels: None,
            begin: None,
            fingerprint: Fingerprint::default(),
        });
    }

    /// Drops the open group, because the next group or the next file begins before the group was committed. Fails if events of the group
    /// were already emitted.
    pub(super) fn interrupt(&mut self) -> Result<(), StreamError> {
        let emitted = self.is_emitted();
        // Where transactions end with commit marks, nothing else may come before the mark.
        let unmarked = self.marks && self.is_open();
        self.open = None;
        if emitted || unmarked { Err(StreamError::RollbackGroup { what: "a transaction has no end in the binlog" }) } else { Ok(()) }
    }

    /// Closes the open group, which is complete; `None` if no group is open.
    pub(super) fn close(&mut self) -> Option<ClosedGroup> {
        self.open.take().map(|Group { start, fingerprint, tso, gtid, .. }| ClosedGroup { start, fingerprint, tso, gtid })
    }

    /// Adds an event of the file to the open group's fingerprint; returns whether a group is open.
    #[inline]
    pub(super) fn add(&mut self, event: &RawEvent<'_>) -> bool {
        let Some(group) = &mut self.open else { return false };
        group.fingerprint.add(event);
        true
    }

    /// Reads MySQL's GTID event.
    pub(super) fn gtid(&mut self, body: &[u8]) -> Result<(), StreamError> {
        if let Some(group) = &mut self.open {
            group.gtid = Some(Gtid::read(body)?);
        }
        Ok(())
    }

    /// Reads MariaDB's GTID event. The event also begins a transaction or an XA transaction, unless it announces a single statement.
    pub(super) fn mariadb_gtid(&mut self, body: &[u8], context: &EventContext<'_>) -> Result<(), StreamError> {
        let MariaDbGroup { gtid, standalone, prepared_xa, uncommitted_alter } = MariaDbGroup::read(body, context.server_id)?;
        self.begin_variables.clear();
        if let Some(group) = &mut self.open {
            group.gtid = Some(gtid);
            group.begun = !standalone;
            group.branch = prepared_xa.map(Branch::new);
            group.uncommitted_alter = uncommitted_alter;
            group.begin = Some(BeginEvent::of(context));
        }
        Ok(())
    }

    /// The GTID of the open group.
    pub(super) fn gtid_of_group(&self) -> Option<Gtid> {
        self.open.as_ref().and_then(|group| group.gtid)
    }

    /// Handles a BEGIN statement, with the session variables that were logged with it.
    pub(super) fn begin(&mut self, thread_id: u32, variables: &[u8], context: &EventContext<'_>) {
        if let Some(group) = &mut self.open {
            group.begun = true;
            group.thread_id = thread_id;
            group.begin = Some(BeginEvent::of(context));
        }
        self.begin_variables.clear();
        self.begin_variables.extend_from_slice(variables);
    }

    /// Handles a statement that begins a transaction and is itself a part of it.
    pub(super) fn begin_with_statement(&mut self, context: &EventContext<'_>) {
        if let Some(group) = &mut self.open {
            group.begun = true;
            group.begin.get_or_insert(BeginEvent::of(context));
        }
    }

    /// Begins the first half of an XA transaction.
    pub(super) fn begin_xa(&mut self, xid: Xid) {
        if let Some(group) = &mut self.open {
            group.begun = true;
            group.branch = Some(Branch::new(xid));
        }
    }

    /// The first half of an XA transaction and where it begins, if the open group is one.
    pub(super) fn branch(&mut self) -> Option<(&mut Branch, FileOffset)> {
        let group = self.open.as_mut()?;
        Some((group.branch.as_mut()?, group.start))
    }

    /// Takes the first half of the XA transaction, because all of it was read.
    pub(super) fn take_branch(&mut self) -> Option<(Branch, FileOffset)> {
        let group = self.open.as_mut()?;
        Some((group.branch.take()?, group.start))
    }

    /// Where the open group begins.
    pub(super) fn start(&self) -> Option<FileOffset> {
        self.open.as_ref().map(|group| group.start)
    }

    /// Begins the events of an XA transaction that is committed by this statement of the connection `thread_id`.
    pub(super) fn begin_committed(&mut self, thread_id: Option<u32>, context: &EventContext<'_>) {
        if let Some(group) = &mut self.open {
            group.begun = true;
            group.thread_id = thread_id.unwrap_or(group.thread_id);
            group.end = Some(GroupEnd::COMMITTED);
            group.begin = Some(BeginEvent::of(context));
        }
        self.begin_variables.clear();
    }

    /// Sets a savepoint with an event that ends at `end`.
    pub(super) fn savepoint(&mut self, name: String, end: FileOffset, output: &BatchOutput) {
        let Some(group) = &mut self.open else { return };
        match &mut group.branch {
            Some(branch) => branch.savepoint(name),
            None => group.savepoints.set(name, Place { end, mark: group.emitted.then(|| output.mark()) }),
        }
    }

    /// Undoes the events since the savepoint `name`.
    pub(super) fn return_to(&mut self, name: &str, output: &mut BatchOutput) -> Result<(), StreamError> {
        let Some(group) = &mut self.open else { return Ok(()) };
        if let Some(branch) = &mut group.branch {
            return branch.return_to(name);
        }
        if !group.emitted || group.end.is_some() {
            // Nothing was emitted since the savepoint, or only what stays.
            return Ok(());
        }
        group.check_undo(self.holds)?;
        match group.savepoints.return_to(name)?.mark {
            Some(mark) => output.drop_behind(mark),
            None => group.drop_all(output),
        }
        Ok(())
    }

    /// Drops the emitted events of the open group, because it is rolled back.
    pub(super) fn roll_back(&mut self, output: &mut BatchOutput) -> Result<(), StreamError> {
        let Some(group) = self.open.as_mut().filter(|group| group.emitted) else { return Ok(()) };
        match &group.end {
            Some(end) if !end.committed => Ok(()),
            Some(_) => Err(StreamError::corrupt("a transaction that ends in two ways")),
            None => {
                group.check_undo(self.holds)?;
                group.drop_all(output);
                Ok(())
            }
        }
    }

    /// The open group, if so many of its events are held back in `output` that its end must be found before more of it is read. It was read
    /// up to `at`.
    pub(super) fn wants_end(&self, at: FileOffset, output: &BatchOutput) -> Option<OpenGroup> {
        if output.held_bytes() <= self.hold_bytes {
            return None;
        }
        Some(self.open.as_ref()?.read_to(at))
    }

    /// The open group, if it may be rolled back and its end is not known. It was read up to `at`.
    pub(super) fn unknown_end(&self, at: FileOffset) -> Option<OpenGroup> {
        let group = self.open.as_ref().filter(|group| self.holds && group.end.is_none() && group.branch.is_none())?;
        Some(group.read_to(at))
    }

    #[cfg(test)]
    pub(super) fn hold_at_most(&mut self, bytes: usize) {
        self.hold_bytes = bytes;
    }

    /// Notes how the open group ends, which was read up to `at`, and lets its held events go or drops them.
    pub(super) fn end_is_known(&mut self, end: GroupEnd, at: FileOffset, output: &mut BatchOutput) -> Result<(), StreamError> {
        let Some(group) = &mut self.open else { return Ok(()) };
        if !end.committed || !end.undone.is_empty() {
            group.check_undo(self.holds)?;
        }
        if !end.committed {
            group.drop_all(output);
        }
        // What was undone before `at` is dropped already.
        for part in end.undone.iter().filter(|part| part.upto > at) {
            match group.savepoints.place(|place| place.end == part.after) {
                Some(Place { mark: Some(mark), .. }) => output.drop_behind(mark),
                Some(Place { mark: None, .. }) => group.drop_all(output),
                // The savepoint is set later.
                None => {}
            }
        }
        if let Some(tso) = end.tso {
            group.set_tso(tso, output);
        }
        output.release();
        group.end = Some(end);
        Ok(())
    }

    /// Notes the commit timestamp that a transaction announces. It must come before the rows.
    #[inline]
    pub(super) fn announce(&mut self, tso: Tso, is_archive: bool) -> Result<(), StreamError> {
        match &mut self.open {
            Some(group) if group.begun && !group.emitted && group.tso.is_none_or(|known| known == tso) => {
                (group.tso, group.is_archive) = (Some(tso), is_archive);
                Ok(())
            }
            _ => Err(StreamError::corrupt("a commit mark in the middle of a transaction")),
        }
    }

    /// The commit timestamp of the open group, if it is known.
    pub(super) fn announced(&self) -> Option<Tso> {
        self.open.as_ref()?.tso
    }

    /// Notes that the XID of a transaction was read.
    pub(super) fn end(&mut self) -> Result<(), StreamError> {
        match &mut self.open {
            Some(group) if group.begun && !group.ended => {
                group.ended = true;
                Ok(())
            }
            _ => Err(StreamError::corrupt("the end of a transaction that did not begin")),
        }
    }

    /// Notes the commit mark that ends the open group.
    #[inline]
    pub(super) fn mark(&mut self, tso: Tso, output: &mut BatchOutput) -> Result<(), StreamError> {
        let Some(group) = &mut self.open else { return Ok(()) };
        if group.begun && !group.ended {
            return Err(StreamError::corrupt("a commit mark (CTS) before the end of its transaction (XID)"));
        }
        if group.tso.is_some_and(|known| known != tso) {
            return Err(StreamError::corrupt("a transaction that ends with another commit timestamp than it has announced"));
        }
        group.set_tso(tso, output);
        Ok(())
    }

    /// Whether the DELETEs of the open group are those of the server's own archiving.
    pub(super) fn is_archive(&self) -> bool {
        self.open.as_ref().is_some_and(|group| group.is_archive)
    }

    /// Whether rows may follow in the open group.
    pub(super) fn takes_rows(&self) -> bool {
        self.open.as_ref().is_some_and(|group| group.begun && !group.ended)
    }

    /// Passes over the number of the next event.
    pub(super) fn skip_number(&mut self) {
        if let Some(group) = &mut self.open {
            group.begin_seq();
            group.next_seq();
        }
    }

    /// Notes that the open group has changed the schema of a table.
    pub(super) fn schema_changed(&mut self) {
        if let Some(group) = &mut self.open {
            group.changed_schema = true;
        }
    }

    /// Whether the row event that ends at `end` is undone by a later event of the open group.
    pub(super) fn undoes(&self, end: FileOffset) -> bool {
        self.open.as_ref().and_then(|group| group.end.as_ref()).is_some_and(|known| known.undoes(end))
    }

    /// Emits the BEGIN event of the open group. It is called before the events of a selected table, and only the first call in a group
    /// emits.
    pub(super) fn emit_begin(&mut self, context: &EventContext<'_>, output: &mut BatchOutput) -> Result<(), StreamError> {
        let Some(group) = &mut self.open else { return Err(StreamError::corrupt("rows outside a transaction")) };
        if group.emitted {
            return Ok(());
        }
        group.emitted = true;
        let waits_for_mark = self.marks && group.tso.is_none();
        if waits_for_mark || (self.holds && group.end.is_none()) {
            output.hold();
        }
        let BeginEvent { end, server_id, timestamp } = group.begin.unwrap_or_default();
        let variables = SessionVariables::read(&self.begin_variables)?.named();
        let (stamp, group) = self.stamp(&EventContext { end, server_id, timestamp, ..*context }, variables)?;
        output.push(stamp.into_event(group.begin_seq(), Body::Begin));
        Ok(())
    }

    /// Emits the COMMIT event if BEGIN was emitted.
    pub(super) fn emit_commit(&mut self, context: &EventContext<'_>, output: &mut BatchOutput) -> Result<(), StreamError> {
        match &self.open {
            None => return Err(StreamError::corrupt("the end of a transaction that did not begin")),
            Some(group) if !group.emitted => return Ok(()),
            Some(_) => {}
        }
        let (stamp, group) = self.stamp(context, Vec::new())?;
        output.push(stamp.into_event(group.next_seq(), Body::Commit));
        output.release();
        Ok(())
    }

    /// Emits a DDL statement of the connection `thread_id`.
    pub(super) fn emit_ddl(
        &mut self,
        thread_id: u32,
        context: &EventContext<'_>,
        variables: Vec<(&'static str, String)>,
        change: SchemaChange,
        output: &mut BatchOutput,
    ) -> Result<(), StreamError> {
        if let Some(group) = &mut self.open {
            group.thread_id = thread_id;
        }
        let (mut stamp, group) = self.stamp(context, variables)?;
        if let Some(origin) = Arc::get_mut(&mut stamp.origin) {
            // DTS reports the end of a DDL statement both as its offset and as its safe offset.
            origin.safe_offset = origin.offset.clone();
        }
        output.push(stamp.into_event(group.next_seq(), Body::Schema(change)));
        Ok(())
    }

    /// Returns the data that is shared by all events made from the binlog event of `context`, and the group that numbers these events.
    #[inline]
    pub(super) fn stamp(
        &mut self,
        context: &EventContext<'_>,
        facts: Vec<(&'static str, String)>,
    ) -> Result<(Stamp, &mut Group), StreamError> {
        let Some(group) = &mut self.open else { return Err(StreamError::corrupt("an event outside a transaction")) };
        let labels = group.labels.get_or_insert_with(|| {
            let gtid: Option<Arc<str>> = group.gtid.map(|gtid| Arc::from(gtid.to_string()));
            let txid = group.tso.map_or_else(|| gtid.clone(), |tso| Some(Arc::from(tso.text())));
            GroupLabels { gtid, txid, safe_offset: Arc::from(format!("{}@{}", group.start.offset, context.file)) }
        });
        let mut origin = Origin::default();
        origin.server_id = context.server_id;
        origin.server_version = self.server_version.clone();
        origin.read_ms = context.read_ms;
        origin.facts = facts;
        origin.thread_id = group.thread_id;
        origin.gtid = labels.gtid.clone();
        origin.safe_offset = labels.safe_offset.clone();
        let txid = labels.txid.clone();
        let timestamp_ms = group.tso.map_or_else(|| context.timestamp_ms(), |tso| tso.ms());
        self.scratch.clear();
        // Writing into a String never fails, so the result is ignored.
        let _ = write!(self.scratch, "{}@{}", context.end, context.file);
        origin.offset = Arc::from(self.scratch.as_str());
        self.scratch.clear();
        let _ = write!(self.scratch, "{}:{}", context.file_name, context.end);
        let position = Position::from(self.scratch.as_str());
        Ok((Stamp { timestamp_ms, position, txid, origin: Arc::new(origin) }, group))
    }
}

impl Group {
    /// Sets the commit timestamp, also of the events that are held back until it is known.
    #[inline]
    fn set_tso(&mut self, tso: Tso, output: &mut BatchOutput) {
        if self.tso.replace(tso).is_none() {
            self.labels = None;
            let txid: Arc<str> = Arc::from(tso.text());
            output.change_held(|event| (event.timestamp_ms, event.txid) = (tso.ms(), Some(txid.clone())));
        }
    }

    fn read_to(&self, at: FileOffset) -> OpenGroup {
        OpenGroup { start: self.start, at, savepoints: self.savepoints.map(|place| place.end) }
    }

    /// Fails if emitted events of the group cannot be undone.
    fn check_undo(&self, holds: bool) -> Result<(), StreamError> {
        match (holds, self.changed_schema) {
            (false, _) => Err(StreamError::RollbackGroup { what: "a transaction was rolled back after its rows were written" }),
            (true, true) => Err(StreamError::RollbackGroup { what: "a transaction that created a table was rolled back" }),
            (true, false) => Ok(()),
        }
    }

    /// Drops the emitted events of the group, which are all held back. Another BEGIN is emitted before the next event.
    fn drop_all(&mut self, output: &mut BatchOutput) {
        output.drop_held();
        self.emitted = false;
    }

    /// The sequence number of BEGIN. It is always the first one, also if the first rows of the group were undone.
    fn begin_seq(&mut self) -> Seq {
        self.ord = self.ord.max(1);
        transaction_seq(self.timeline, self.start, 0)
    }

    /// The sequence number of the group's next event.
    #[inline]
    pub(super) fn next_seq(&mut self) -> Seq {
        let seq = transaction_seq(self.timeline, self.start, self.ord);
        self.ord += 1;
        seq
    }
}
