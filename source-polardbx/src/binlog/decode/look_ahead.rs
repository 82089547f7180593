//! Looks ahead in the binlog for the outcome of a prepared XA transaction.
//!
//! MySQL 5.7 commits an XA transaction of another session in its storage engine first, and writes the XA COMMIT into the binlog afterwards. In
//! between, other transactions may change the same rows and get into the binlog. To keep the order of the changes of a row, the rows of the XA
//! transaction are delivered before the first row event that follows one of them. So this row event waits until the outcome is read. The
//! events from there to the outcome are kept in a spool and decoded afterwards. All of it is read again after a restart.

use std::collections::VecDeque;

use runtime::TableId;

use super::group_end::{EndSearch, GroupEnd, OpenGroup};
use super::prepared::PreparedTransactions;
use crate::binlog::error::StreamError;
use crate::binlog::event::{RawEvent, kind, read_format, read_query};
use crate::binlog::position::FileOffset;
use crate::binlog::profile::ServerProfile;
use crate::binlog::track::Tracker;
use crate::schema::{Statement, StatementContext, XaStatement, Xid, read_statement};
use crate::spool::{SpoolReader, SpoolWriter};

/// An outcome is missing if it is not read within this time, in milliseconds, although the server has nothing more, or [`GROUPS`] groups were
/// read.
const PATIENCE_MS: i64 = 60_000;
/// So many groups may be written between the moment when locks are released and the outcome.
const GROUPS: u64 = 1_000;

/// The events that were read before their turn.
#[derive(Default)]
pub(super) struct LookAhead {
    wait: Option<Wait>,
    /// The position of reading; `None` if no event was read before its turn.
    tracker: Option<Tracker>,
    /// The events: those of the readers come first. Each record is the time of reading and the bytes of the event.
    readers: VecDeque<SpoolReader>,
    writer: Option<SpoolWriter>,
    /// The outcomes in these events: where each begins, and whether it is a commit.
    outcomes: VecDeque<(FileOffset, Xid, bool)>,
    /// The groups that have ended in these events: where each begins and ends, and how it ends.
    ends: VecDeque<(FileOffset, FileOffset, GroupEnd)>,
    /// The group at the position of reading.
    group: Option<AheadGroup>,
}

struct AheadGroup {
    start: FileOffset,
    end: EndSearch,
    /// Whether it is the first half of an XA transaction.
    is_branch: bool,
}

/// What is looked for.
pub(super) struct Wait {
    xid: Xid,
    /// Where the transaction was prepared.
    prepared: FileOffset,
    /// The table of the row event that waits, and where that event ends.
    table: TableId,
    event: FileOffset,
    /// When the first event after it was read, in milliseconds since the epoch.
    since_ms: Option<i64>,
    /// The number of groups that were read since.
    groups: u64,
}

impl LookAhead {
    /// Whether events are read only to find an outcome.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.wait.is_some()
    }

    /// Whether there are events whose turn has come or comes next.
    #[inline]
    pub(super) fn has_events(&self) -> bool {
        self.tracker.is_some()
    }

    /// The error for an outcome that is looked for, if the binlog ends here; `None` if none is looked for.
    pub(super) fn missing(&self) -> Option<StreamError> {
        self.wait.as_ref().map(Wait::missing)
    }

    /// The position of reading, while an outcome is looked for.
    pub(super) fn at(&self) -> Option<FileOffset> {
        self.wait.as_ref().and(self.tracker.as_ref()).map(Tracker::at)
    }

    /// Whether the transaction is committed by the first outcome at or behind `from`; `None` if no outcome was read yet.
    pub(super) fn outcome(&self, xid: &Xid, from: FileOffset) -> Option<bool> {
        self.outcomes.iter().find(|(at, other, _)| *at >= from && other == xid).map(|(_, _, committed)| *committed)
    }

    /// How the group that begins at `start` ends, if its end was read.
    pub(super) fn end_of(&self, start: FileOffset) -> Option<GroupEnd> {
        self.ends.iter().find(|(other, ..)| *other == start).map(|(.., end)| end.clone())
    }

    /// Begins to look for an outcome. `open` is the group at `tracker`, if its end is not known.
    pub(super) fn begin(&mut self, wait: Wait, tracker: &Tracker, open: Option<OpenGroup>) {
        tracing::debug!(xid = %wait.xid, table = %wait.table, "looking for the outcome of an XA transaction");
        if self.tracker.is_none() {
            self.tracker = Some(tracker.clone());
            self.group = open.map(|open| AheadGroup { start: open.start, end: EndSearch::new(open.savepoints), is_branch: false });
        }
        self.wait = Some(wait);
    }

    /// Takes an event while an outcome is looked for.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        read_ms: i64,
        profile: &ServerProfile,
        prepared: &PreparedTransactions,
    ) -> Result<(), StreamError> {
        let Some(tracker) = &mut self.tracker else { return Err(StreamError::corrupt("an event ahead of nothing")) };
        let (event, start) = tracker.pass(bytes)?;
        let is_idle = matches!(event.header.kind, kind::HEARTBEAT | kind::HEARTBEAT_V2);
        if !is_idle {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                None => {
                    let path = prepared.file_beside(&format!("ahead-{:06}-{}.rows", start.file, start.offset));
                    let path =
                        path.ok_or_else(|| StreamError::SpoolUnwritten { message: "the task has no folder for files".to_owned() })?;
                    self.writer.insert(SpoolWriter::new(path))
                }
            };
            writer.add(&[&read_ms.to_le_bytes(), bytes]).map_err(|error| StreamError::SpoolUnwritten { message: error.to_string() })?;
            self.look_at(&event, start, profile).map_err(StreamError::of_content)?;
        }
        let Some(wait) = &mut self.wait else { return Ok(()) };
        let since_ms = *wait.since_ms.get_or_insert(read_ms);
        let is_overdue = read_ms - since_ms >= PATIENCE_MS && (is_idle || wait.groups >= GROUPS);
        if is_overdue { Err(wait.missing()) } else { Ok(()) }
    }

    fn look_at(&mut self, event: &RawEvent<'_>, start: FileOffset, profile: &ServerProfile) -> Result<(), StreamError> {
        let Some(tracker) = &mut self.tracker else { return Ok(()) };
        match event.header.kind {
            kind::FORMAT_DESCRIPTION => tracker.checksums = read_format(event.body)?.checksums,
            kind::ROTATE => _ = tracker.rotate(event, profile.is_polardbx())?,
            _ => {}
        }
        if !event.header.is_real() {
            return Ok(());
        }
        let opens = matches!(event.header.kind, kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID);
        if opens || (event.header.kind == kind::QUERY && self.group.is_none()) {
            self.group = Some(AheadGroup { start, end: EndSearch::default(), is_branch: false });
        }
        let Some(group) = &mut self.group else { return Ok(()) };
        if let Some(end) = group.end.take(event, tracker.at(), profile)? {
            self.ends.push_back((group.start, tracker.at(), end));
            self.group = None;
            if let Some(wait) = &mut self.wait {
                wait.groups += 1;
            }
            return Ok(());
        }
        if event.header.kind != kind::QUERY {
            return Ok(());
        }
        let text = read_query(event.body, false)?.text;
        if !text.starts_with(b"XA ") {
            return Ok(());
        }
        let context = StatementContext { dialect: profile.dialect(), ..StatementContext::new("", &|_| None) };
        let (xid, committed) = match read_statement(&String::from_utf8_lossy(text), &context) {
            Statement::Xa(XaStatement::Start(_)) => {
                group.is_branch = true;
                return Ok(());
            }
            Statement::Xa(XaStatement::Commit(xid)) => (xid, true),
            // The end of a transaction that was never prepared is no outcome.
            Statement::Xa(XaStatement::Rollback(xid)) if !group.is_branch => (xid, false),
            _ => return Ok(()),
        };
        if self.wait.as_ref().is_some_and(|wait| wait.xid == xid) {
            self.wait = None;
        }
        self.outcomes.push_back((start, xid, committed));
        self.group = None;
        Ok(())
    }

    /// The next event, and when it was read. The position of decoding is `at`.
    pub(super) fn next(&mut self, at: FileOffset) -> Result<Option<(Vec<u8>, i64)>, StreamError> {
        let unread = |error: std::io::Error| StreamError::SpoolUnread { message: error.to_string() };
        while self.outcomes.pop_front_if(|(start, ..)| *start < at).is_some() {}
        while self.ends.pop_front_if(|(_, end, _)| *end <= at).is_some() {}
        loop {
            if let Some(reader) = self.readers.front_mut() {
                if let Some((read_ms, bytes)) = reader.next().map_err(unread)?.and_then(|record| record.split_first_chunk()) {
                    return Ok(Some((bytes.to_vec(), i64::from_le_bytes(*read_ms))));
                }
                self.readers.pop_front();
            } else if let Some(writer) = self.writer.take() {
                self.readers.push_back(writer.into_reader().map_err(unread)?);
            } else {
                *self = Self::default();
                return Ok(None);
            }
        }
    }
}

impl Wait {
    /// A row event of `table`, which ends at `event`, waits for the outcome of the transaction `xid`, which was prepared at `prepared`.
    pub(super) fn new(xid: Xid, prepared: FileOffset, table: TableId, event: FileOffset) -> Self {
        Self { xid, prepared, table, event, since_ms: None, groups: 0 }
    }

    fn missing(&self) -> StreamError {
        StreamError::XaOrder {
            xid: self.xid.to_string(),
            prepared: self.prepared.to_string(),
            table: self.table.clone(),
            event: self.event.to_string(),
        }
    }
}
