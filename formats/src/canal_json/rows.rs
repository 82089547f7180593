//! Messages of rows.

use std::sync::Arc;

use runtime::{Body, Event, Op, Row, RowChange, Value};

use super::CanalJson;
use super::config::{Config, Old, RowsPerMessage};
use super::template::Plan;
use crate::SnapshotType;
use crate::error::FormatError;
use crate::row::{Images, differ};

/// Length of `data` at which a message of several rows is closed. With `old` it stays below what a Kafka record usually may have.
const FULL: usize = 256 * 1024;

/// Which row of a message could not be written, and why.
struct Stopped {
    row: usize,
    error: FormatError,
}

impl CanalJson {
    /// Encodes the rows at the front of `events` that go into one message, the first of which is `change`; returns how many they are.
    pub(super) fn encode_rows(&mut self, events: &[Event], change: &RowChange, out: &mut Vec<u8>) -> Result<usize, FormatError> {
        let mut together = match self.config.rows {
            RowsPerMessage::One => 1,
            RowsPerMessage::Event => same_event(events, change),
        };
        loop {
            match self.write(events.get(..together).unwrap_or(events), change, out) {
                Ok(rows) => return Ok(rows),
                Err(Stopped { row: 0, error }) => return Err(error),
                // An error speaks of the first event, so the rows before the one that failed go alone.
                Err(Stopped { row, .. }) => {
                    together = row;
                    out.clear();
                }
            }
        }
    }

    fn write(&mut self, events: &[Event], first: &RowChange, out: &mut Vec<u8>) -> Result<usize, Stopped> {
        let at_first = |error| Stopped { row: 0, error };
        let config = &self.config;
        let plan = self.plans.get(&first.schema, |schema| Plan::of(schema, config)).map_err(at_first)?;
        let event = events.first().ok_or_else(|| at_first(FormatError::NoEvents))?;
        out.reserve(self.last_size);
        out.extend_from_slice(b"{\"data\":[");
        let (mut rows, mut last) = (0, None);
        for (_, change) in changes(events) {
            let stopped = |error| Stopped { row: rows, error };
            let row = match Images::of(change).map_err(stopped)? {
                Images::After(row) | Images::Before(row) | Images::Both(_, row) => row,
            };
            out.extend_from_slice(if rows == 0 { b"{" } else { b",{" });
            write_row(out, plan, row).map_err(stopped)?;
            (rows, last) = (rows + 1, Some(row));
            if out.len() >= FULL {
                break;
            }
        }
        let last = last.ok_or_else(|| at_first(FormatError::NoEvents))?;
        out.push(b']');
        out.extend_from_slice(&plan.database);
        self.origin.renew(event);
        self.origin.write_before(out, self.ids.next(event.origin.read_ms));
        if first.op == Op::Update {
            out.extend_from_slice(&plan.mysql_types);
            write_old(out, plan, config, events.get(..rows).unwrap_or(events), &mut self.changed)?;
            plan.write_end(out, last);
        } else {
            plan.write_end_without_old(out, last);
        }
        self.origin.write_after(out);
        out.extend_from_slice(type_and_end(first.op, config.snapshot_type));
        self.last_size = out.len();
        Ok(rows)
    }
}

/// How many events at the front are rows of one binlog event, or chunk: they share its facts.
fn same_event(events: &[Event], first: &RowChange) -> usize {
    let Some(front) = events.first() else { return 0 };
    let together = |event: &&Event| match &event.body {
        Body::Row(change) => {
            Arc::ptr_eq(&event.origin, &front.origin)
                && Arc::ptr_eq(&change.schema, &first.schema)
                && change.op == first.op
                && event.timestamp_ms == front.timestamp_ms
        }
        _ => false,
    };
    events.iter().take_while(together).count()
}

/// The row changes of events, with their number.
fn changes(events: &[Event]) -> impl Iterator<Item = (usize, &RowChange)> {
    events.iter().enumerate().filter_map(|(number, event)| match &event.body {
        Body::Row(change) => Some((number, change)),
        _ => None,
    })
}

/// Appends the cells of a row and the end of its object.
fn write_row(out: &mut Vec<u8>, plan: &Plan, row: &Row) -> Result<(), FormatError> {
    // Invariant: Images::of counted the cells, so there is a value for every column.
    let mut values = row.values();
    for (index, planned) in plan.columns.iter().enumerate() {
        let value = values.next();
        planned.write_cell(out, value.as_ref().unwrap_or(&Value::Null), index == 0)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends `old`: of each row the before values of the columns that changed in any of the rows, or of all. Readers that look for a name in
/// the whole of `old` would take an unchanged column for one that was NULL if the rows had different names.
fn write_old(out: &mut Vec<u8>, plan: &Plan, config: &Config, events: &[Event], changed: &mut Vec<bool>) -> Result<(), Stopped> {
    if let ([Event { body: Body::Row(change), .. }], Old::Changed) = (events, config.old) {
        return write_changed(out, plan, change).map_err(|error| Stopped { row: 0, error });
    }
    changed.clear();
    changed.resize(plan.columns.len(), config.old == Old::All);
    if config.old == Old::Changed {
        for (number, change) in changes(events) {
            if let Images::Both(before, after) = Images::of(change).map_err(|error| Stopped { row: number, error })? {
                for (changed, (old, new)) in changed.iter_mut().zip(before.values().zip(after.values())) {
                    *changed |= differ(&old, &new);
                }
            }
        }
    }
    out.extend_from_slice(b",\"old\":[");
    for (number, change) in changes(events) {
        let stopped = |error| Stopped { row: number, error };
        let Images::Both(before, _) = Images::of(change).map_err(stopped)? else { continue };
        out.extend_from_slice(if number == 0 { b"{" } else { b",{" });
        let mut first = true;
        for ((planned, old), _) in plan.columns.iter().zip(before.values()).zip(&*changed).filter(|(_, changed)| **changed) {
            planned.write_cell(out, &old, first).map_err(stopped)?;
            first = false;
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}

/// The same for one row, in one pass.
fn write_changed(out: &mut Vec<u8>, plan: &Plan, change: &RowChange) -> Result<(), FormatError> {
    out.extend_from_slice(b",\"old\":[{");
    if let Images::Both(before, after) = Images::of(change)? {
        let mut first = true;
        let (mut before, mut after) = (before.values(), after.values());
        for planned in &plan.columns {
            let (old, new) = (before.next(), after.next());
            let old = old.as_ref().unwrap_or(&Value::Null);
            if differ(old, new.as_ref().unwrap_or(&Value::Null)) {
                planned.write_cell(out, old, first)?;
                first = false;
            }
        }
    }
    out.extend_from_slice(b"}]");
    Ok(())
}

/// The value of `type` of a row's message, and what is left.
fn type_and_end(op: Op, snapshot: SnapshotType) -> &'static [u8] {
    match op {
        Op::Read => match snapshot {
            SnapshotType::Insert => b"\"INSERT\"}",
            SnapshotType::Init => b"\"INIT\"}",
        },
        Op::Insert => b"\"INSERT\"}",
        Op::Update => b"\"UPDATE\"}",
        Op::Delete => b"\"DELETE\"}",
    }
}
