//! Row events: from their TABLE_MAP and their images to events of a batch.

use std::sync::Arc;

use runtime::{Body, Event, Op, RowChange};

use super::Decoder;
use super::resume_guard::Phase;
use crate::binlog::error::StreamError;
use crate::binlog::event::RawEvent;
use crate::binlog::position::transaction_seq;
use crate::binlog::row::{RowImages, RowsKind};
use crate::binlog::table_map::{RowPlan, plan_rows, read_table_id, read_table_map};

/// A table id that only carries the end of a statement.
const NO_TABLE: u64 = 0xff_ffff;

/// A known table id: the TABLE_MAP's bytes, and the plan if the table is selected.
pub(super) struct MappedTable {
    body: Vec<u8>,
    plan: Option<Arc<RowPlan>>,
}

impl Decoder {
    pub(super) fn table_map(&mut self, event: &RawEvent<'_>) -> Result<(), StreamError> {
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
            match self.history.table(&map.table) {
                Some(schema) => Some(Arc::new(plan_rows(&map, schema, self.dialect)?)),
                // A sequence of MariaDB's has a structure of its own, which is never listed.
                None if self.dialect.is_mariadb() && map.is_sequence() => None,
                None => {
                    let what = "rows of a selected table whose structure is not known".to_owned();
                    return Err(StreamError::SchemaMismatch { table: map.table, what });
                }
            }
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

    pub(super) fn partial_rows(&self, event: &RawEvent<'_>) -> Result<(), StreamError> {
        if self.phase == Phase::Live && self.plan(event)?.is_some() { Err(StreamError::PartialJson) } else { Ok(()) }
    }

    pub(super) fn rows(&mut self, event: &RawEvent<'_>, read_ms: i64) -> Result<(), StreamError> {
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
}
