//! Tracks the transaction that is being read: its begin and end, and the data that all its events carry.

use std::fmt::Write as _;
use std::sync::Arc;

use runtime::{Body, Event, Origin, Position, SchemaChange, Seq, TableId};

use super::context::EventContext;
use super::fingerprint::Fingerprint;
use super::output::BatchOutput;
use crate::binlog::error::StreamError;
use crate::binlog::event::{Gtid, MariaDbGroup, RawEvent, SessionVariables};
use crate::binlog::position::{FileOffset, transaction_seq};

/// The transaction that is being read, if there is one.
///
/// It also numbers the events. Invariant: the events of a transaction have the numbers 0 (BEGIN), 1, 2 … without a gap, and the same
/// numbers whenever the binlog is read again. BEGIN is emitted right before the first event of a selected table, and COMMIT only if BEGIN
/// was emitted.
#[derive(Debug)]
pub(super) struct Transaction {
    timeline: u16,
    server_version: Arc<str>,
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
    /// Whether the group is a branch of an XA transaction.
    xa: bool,
    /// Whether the group holds an ALTER TABLE that has only begun or was rolled back.
    uncommitted_alter: bool,
    /// The table of the engine MEMORY that the server emptied, see [`Transaction::note_emptied`].
    emptied: Option<TableId>,
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

/// Texts that all events of a group carry.
#[derive(Clone, Debug)]
struct GroupLabels {
    gtid: Option<Arc<str>>,
    safe_offset: Arc<str>,
}

/// The binlog event that began a transaction.
#[derive(Clone, Copy, Debug, Default)]
struct BeginEvent {
    end: u64,
    server_id: u32,
    timestamp: u32,
}

/// The data that is shared by all events made from one binlog event.
#[derive(Debug)]
pub(super) struct Stamp {
    timestamp_ms: i64,
    position: Position,
    txid: Option<Arc<str>>,
    origin: Arc<Origin>,
}

/// A group that was read to its end.
#[derive(Debug)]
pub(super) struct ClosedGroup {
    pub(super) start: FileOffset,
    pub(super) fingerprint: Fingerprint,
}

impl Transaction {
    pub(super) fn new(timeline: u16, server_version: Arc<str>) -> Self {
        Self { timeline, server_version, open: None, begin_variables: Vec::new(), scratch: String::new() }
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
            xa: false,
            uncommitted_alter: false,
            emptied: None,
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
        self.open = None;
        if emitted { Err(StreamError::RollbackGroup { what: "a transaction has no end in the binlog" }) } else { Ok(()) }
    }

    /// Closes the open group, which is complete; `None` if no group is open.
    pub(super) fn close(&mut self) -> Option<ClosedGroup> {
        self.open.take().map(|group| ClosedGroup { start: group.start, fingerprint: group.fingerprint })
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
            group.xa = prepared_xa;
            group.uncommitted_alter = uncommitted_alter;
            group.begin = Some(BeginEvent::of(context));
        }
        Ok(())
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

    /// Begins a branch of an XA transaction.
    pub(super) fn begin_xa(&mut self) {
        if let Some(group) = &mut self.open {
            (group.xa, group.begun) = (true, true);
        }
    }

    /// Emits the BEGIN event of the open group. It is called before the events of a selected table, and only the first call in a group
    /// emits.
    pub(super) fn emit_begin(&mut self, context: &EventContext<'_>, output: &mut BatchOutput) -> Result<(), StreamError> {
        let Some(group) = &mut self.open else { return Err(StreamError::corrupt("rows outside a transaction")) };
        if group.xa {
            return Err(StreamError::Unsupported {
                what: "an XA transaction with rows of a selected table".to_owned(),
                help: "leave the table out of the selection, or use ordinary transactions",
            });
        }
        if group.emitted {
            return Ok(());
        }
        group.emitted = true;
        let BeginEvent { end, server_id, timestamp } = group.begin.unwrap_or_default();
        let variables = SessionVariables::read(&self.begin_variables)?.named();
        let (stamp, group) = self.stamp(&EventContext { end, server_id, timestamp, ..*context }, variables)?;
        output.push(stamp.into_event(group.next_seq(), Body::Begin));
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
        let labels = group.labels.get_or_insert_with(|| GroupLabels {
            gtid: group.gtid.map(|gtid| Arc::from(gtid.to_string())),
            safe_offset: Arc::from(format!("{}@{}", group.start.offset, context.file)),
        });
        let mut origin = Origin::default();
        origin.server_id = context.server_id;
        origin.server_version = self.server_version.clone();
        origin.read_ms = context.read_ms;
        origin.facts = facts;
        origin.thread_id = group.thread_id;
        origin.gtid = labels.gtid.clone();
        origin.safe_offset = labels.safe_offset.clone();
        let txid = labels.gtid.clone();
        self.scratch.clear();
        // Writing into a String never fails, so the result is ignored.
        let _ = write!(self.scratch, "{}@{}", context.end, context.file);
        origin.offset = Arc::from(self.scratch.as_str());
        self.scratch.clear();
        let _ = write!(self.scratch, "{}:{}", context.file_name, context.end);
        let position = Position::from(self.scratch.as_str());
        Ok((Stamp { timestamp_ms: context.timestamp_ms(), position, txid, origin: Arc::new(origin) }, group))
    }
}

impl Group {
    /// The sequence number of the group's next event.
    #[inline]
    pub(super) fn next_seq(&mut self) -> Seq {
        let seq = transaction_seq(self.timeline, self.start, self.ord);
        self.ord += 1;
        seq
    }
}

impl Stamp {
    /// Makes an event. The stamp can be used for more events.
    #[inline]
    pub(super) fn event(&self, seq: Seq, body: Body) -> Event {
        Event {
            seq,
            position: self.position.clone(),
            timestamp_ms: self.timestamp_ms,
            txid: self.txid.clone(),
            origin: self.origin.clone(),
            body,
        }
    }

    /// Makes the only event from this stamp. Its data is moved into the event and not cloned.
    #[inline]
    fn into_event(self, seq: Seq, body: Body) -> Event {
        let Self { timestamp_ms, position, txid, origin } = self;
        Event { seq, position, timestamp_ms, txid, origin, body }
    }
}

impl BeginEvent {
    fn of(context: &EventContext<'_>) -> Self {
        Self { end: context.end, server_id: context.server_id, timestamp: context.timestamp }
    }
}
