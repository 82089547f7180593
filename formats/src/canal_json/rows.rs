//! Messages of rows.

use std::sync::Arc;

use runtime::{Body, Event, Op, Row, RowChange, Value};

use super::CanalJson;
use super::config::{Config, Old, RowsPerMessage};
use super::template::Template;
use crate::error::FormatError;
use crate::message::SnapshotType;
use crate::row::{Images, differ};

/// The length of `data`, in bytes, at which a message of several rows is closed. `data` and `old` together then stay below Kafka's usual
/// limit for a record.
const FULL: usize = 256 * 1024;

/// A row of a message that cannot be encoded: its number in the message, and the reason.
struct RowError {
    row: usize,
    error: FormatError,
}

impl CanalJson {
    /// Encodes rows from the front of `events` until one message is full, and returns their number. `change` is the row of the first
    /// event.
    pub(super) fn encode_rows(&mut self, events: &[Event], change: &RowChange, out: &mut Vec<u8>) -> Result<usize, FormatError> {
        let mut together = match self.config.rows {
            RowsPerMessage::One => 1,
            RowsPerMessage::Event => same_event(events, change),
        };
        loop {
            match self.write(events.get(..together).unwrap_or(events), change, out) {
                Ok(rows) => return Ok(rows),
                Err(RowError { row: 0, error }) => return Err(error),
                // The caller attributes an error to the first event, so the rows before the failed row become a message without it.
                Err(RowError { row, .. }) => {
                    together = row;
                    out.clear();
                }
            }
        }
    }

    fn write(&mut self, events: &[Event], first: &RowChange, out: &mut Vec<u8>) -> Result<usize, RowError> {
        let at_first = |error| RowError { row: 0, error };
        let config = &self.config;
        let template = self.templates.get(&first.schema, |schema| Template::of(schema, config)).map_err(at_first)?;
        let Some(event) = events.first() else { return Err(at_first(FormatError::NoEvents)) };
        out.reserve(self.last_size);
        out.extend_from_slice(b"{\"data\":[");
        let (mut rows, mut last) = (0, None);
        for (_, change) in changes(events) {
            let at_row = |error| RowError { row: rows, error };
            let row = match Images::of(change).map_err(at_row)? {
                Images::After(row) | Images::Before(row) | Images::Both(_, row) => row,
            };
            out.extend_from_slice(if rows == 0 { b"{" } else { b",{" });
            write_row(out, template, row).map_err(at_row)?;
            (rows, last) = (rows + 1, Some(row));
            if out.len() >= FULL {
                break;
            }
        }
        let Some(last) = last else { return Err(at_first(FormatError::NoEvents)) };
        out.push(b']');
        out.extend_from_slice(&template.database);
        self.origin.set(event);
        self.origin.write_until_id(out, self.ids.next(event.origin.read_ms));
        if first.op == Op::Update {
            out.extend_from_slice(&template.mysql_types);
            write_old(out, template, config, events.get(..rows).unwrap_or(events), &mut self.changed)?;
            template.write_end(out, last);
        } else {
            template.write_end_without_old(out, last);
        }
        self.origin.write_read_time(out);
        out.extend_from_slice(type_and_end(first.op, config.snapshot_type));
        self.last_size = out.len();
        Ok(rows)
    }
}

/// The number of events at the front that are rows of the same binlog event or chunk, with the same operation.
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

/// The row changes among `events`, each with its index.
fn changes(events: &[Event]) -> impl Iterator<Item = (usize, &RowChange)> {
    events.iter().enumerate().filter_map(|(number, event)| match &event.body {
        Body::Row(change) => Some((number, change)),
        _ => None,
    })
}

/// Appends the cells of a row and the closing brace of its object.
fn write_row(out: &mut Vec<u8>, template: &Template, row: &Row) -> Result<(), FormatError> {
    // Invariant: `Images::of` counted the cells, so there is a value for every column.
    let mut values = row.values();
    for (index, column) in template.columns.iter().enumerate() {
        let value = values.next();
        column.write_cell(out, value.as_ref().unwrap_or(&Value::Null), index == 0)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends `old`. For each row it holds the former values of the columns that changed in at least one of the rows, or of all columns.
///
/// All rows in `old` have the same columns. Some readers look for a column's name in the whole of `old`: if each row had other columns,
/// they would mistake an unchanged column for one that was NULL.
fn write_old(out: &mut Vec<u8>, template: &Template, config: &Config, events: &[Event], changed: &mut Vec<bool>) -> Result<(), RowError> {
    if let ([Event { body: Body::Row(change), .. }], Old::Changed) = (events, config.old) {
        return write_changed(out, template, change).map_err(|error| RowError { row: 0, error });
    }
    changed.clear();
    changed.resize(template.columns.len(), config.old == Old::All);
    if config.old == Old::Changed {
        for (number, change) in changes(events) {
            if let Images::Both(before, after) = Images::of(change).map_err(|error| RowError { row: number, error })? {
                for (changed, (old, new)) in changed.iter_mut().zip(before.values().zip(after.values())) {
                    *changed |= differ(&old, &new);
                }
            }
        }
    }
    out.extend_from_slice(b",\"old\":[");
    for (number, change) in changes(events) {
        let at_row = |error| RowError { row: number, error };
        let Images::Both(before, _) = Images::of(change).map_err(at_row)? else { continue };
        out.extend_from_slice(if number == 0 { b"{" } else { b",{" });
        let mut first = true;
        for ((column, old), _) in template.columns.iter().zip(before.values()).zip(&*changed).filter(|(_, changed)| **changed) {
            column.write_cell(out, &old, first).map_err(at_row)?;
            first = false;
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}

/// Appends `old` of a message with a single row, in one pass over its columns.
fn write_changed(out: &mut Vec<u8>, template: &Template, change: &RowChange) -> Result<(), FormatError> {
    out.extend_from_slice(b",\"old\":[{");
    if let Images::Both(before, after) = Images::of(change)? {
        let mut first = true;
        let (mut before, mut after) = (before.values(), after.values());
        for column in &template.columns {
            let (old, new) = (before.next(), after.next());
            let old = old.as_ref().unwrap_or(&Value::Null);
            if differ(old, new.as_ref().unwrap_or(&Value::Null)) {
                column.write_cell(out, old, first)?;
                first = false;
            }
        }
    }
    out.extend_from_slice(b"}]");
    Ok(())
}

/// The value of `type` in the message of a row, and the end of the message.
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
