//! Borders of transactions: where a group begins and ends, and what all its events carry.

use std::fmt::Write as _;
use std::sync::Arc;

use runtime::{Body, Event, Origin, Position};

use super::Decoder;
use super::group::{Group, GroupFacts};
use super::resume_guard::{DUMP_LIMIT, Phase};
use crate::binlog::FileOffset;
use crate::binlog::error::StreamError;
use crate::binlog::event::{Gtid, RawEvent, StatementFacts};
use crate::binlog::position::{file_name, transaction_seq};

impl Decoder {
    pub(super) fn open_group(&mut self, start: FileOffset) -> Result<(), StreamError> {
        self.interrupted()?;
        if self.phase != Phase::Live {
            self.enter(start)?;
        }
        self.group = Some(Group::new(start));
        Ok(())
    }

    /// MariaDB's GTID: the beginning of a transaction too, unless a single statement follows.
    pub(super) fn mariadb_gtid(&mut self, event: &RawEvent<'_>) -> Result<(), StreamError> {
        let (gtid, standalone) = Gtid::read_mariadb(event.body, event.header.server_id)?;
        let end = self.tracker.at().offset;
        self.begin_status.clear();
        if let Some(group) = &mut self.group {
            group.gtid = Some(gtid);
            group.begun = !standalone;
            group.begin = Some((end, event.header.server_id, event.header.timestamp));
        }
        Ok(())
    }

    /// A group that another one, or another file, ends was never committed.
    pub(super) fn interrupted(&mut self) -> Result<(), StreamError> {
        let emitted = self.in_transaction();
        self.group = None;
        if emitted { Err(StreamError::RollbackGroup { what: "a transaction has no end in the binlog" }) } else { Ok(()) }
    }

    pub(super) fn rotate(&mut self, event: &RawEvent<'_>) -> Result<(), StreamError> {
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

    /// Puts the BEGIN of the open group into the batch, once.
    pub(super) fn begin(&mut self, read_ms: i64) -> Result<(), StreamError> {
        let file = self.tracker.at().file;
        let Some(group) = &mut self.group else { return Err(StreamError::corrupt("rows outside a transaction")) };
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
        group.ord = 1;
        let start = group.start;
        let (end, server_id, timestamp) = group.begin.unwrap_or_default();
        if group.facts.is_none() {
            group.facts = Some(make_facts(group, file));
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
    pub(super) fn place_event(
        &mut self,
        server_id: u32,
        end: u64,
        read_ms: i64,
        facts: Vec<(&'static str, String)>,
    ) -> (Arc<Origin>, Position) {
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

    pub(super) fn commit(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
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
    pub(super) fn close_group(&mut self) -> Result<(), StreamError> {
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

    pub(super) fn xa_prepare(&mut self) -> Result<(), StreamError> {
        // With rows of a selected table the group was refused at the first of them; without, nothing of it is wanted.
        self.close_group()
    }
}

pub(super) fn make_facts(group: &Group, file: u32) -> GroupFacts {
    let gtid = group.gtid.map(|gtid| Arc::from(gtid.to_string()));
    GroupFacts { gtid, safe_offset: Arc::from(format!("{}@{file}", group.start.offset)) }
}
