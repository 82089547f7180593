//! Canal JSON: the *FlatMessage* of Alibaba Canal, one row a message.
//!
//! The envelope is Canal's own: its 14 keys in alphabetical order, all of them always there. What differs from Canal, because Canal's own
//! form loses or blurs something: one row per message, `old` holds exactly the changed columns of that row, text is read in the character
//! set of its column, and timestamps are in a zone that the settings name (UTC if they do not).

mod cell;
mod config;
mod escape;
mod java_float;
mod plan;
mod schema_change;

pub use config::{Config, DecimalText, NotAnOffset, ZoneOffset};
use runtime::{Body, Encoder, Event, Message, Op, Row, RowChange, Value, text};

use crate::error::FormatError;
use crate::message_id::MessageIds;
use crate::plans::Plans;
use crate::row_image::{Images, differ};
use crate::{SnapshotType, in_context};
use plan::Plan;

/// Encodes events as Canal JSON, one message per row or schema change; transaction borders have no message.
pub struct CanalJson {
    config: Config,
    plans: Plans<Plan>,
    ids: MessageIds,
    /// Size of the last message: the next one is probably as long.
    last_size: usize,
}

impl CanalJson {
    /// An encoder for one lane.
    pub fn new(config: Config) -> Self {
        Self { config, plans: Plans::new(), ids: MessageIds::default(), last_size: 0 }
    }

    fn encode_event(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), FormatError> {
        match &event.body {
            Body::Row(change) => self.encode_row(event, change, out),
            Body::Schema(change) => schema_change::write(out, event, change, &mut self.ids),
            Body::Begin | Body::Commit | Body::Heartbeat => Ok(()),
            _ => Err(FormatError::UnknownEvent),
        }
    }

    fn encode_row(&mut self, event: &Event, change: &RowChange, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let plan = self.plans.get(&change.schema, Plan::of)?;
        let images = Images::of(change)?;
        let (row, before) = match images {
            Images::After(row) | Images::Before(row) => (row, None),
            Images::Both(before, after) => (after, Some(before)),
        };
        out.reserve(self.last_size);
        out.extend_from_slice(b"{\"data\":[{");
        // Invariant: Images::of counted the cells, so there is a value for every column.
        let mut values = row.values();
        for (index, planned) in plan.columns.iter().enumerate() {
            let value = values.next();
            out.extend_from_slice(planned.key(index == 0));
            cell::write_cell(out, value.as_ref().unwrap_or(&Value::Null), &planned.form, &self.config)
                .map_err(|refusal| refusal.of(&planned.column))?;
        }
        out.extend_from_slice(b"}]");
        out.extend_from_slice(&plan.database);
        write_origin(out, event, self.ids.next(event.origin.read_ms));
        out.extend_from_slice(&plan.mysql_types);
        match before {
            Some(before) => write_changed(out, plan, before, row, &self.config)?,
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(&plan.keys);
        plan.write_sql_types(out, row);
        out.extend_from_slice(&plan.table);
        write_end(out, event, type_name(change.op, self.config.snapshot_type));
        self.last_size = out.len();
        Ok(())
    }
}

impl Encoder for CanalJson {
    fn encode(&mut self, events: &[Event], out: &mut Message) -> runtime::Result<usize> {
        let event = events.first().ok_or_else(|| FormatError::NoEvents)?;
        match self.encode_event(event, &mut out.value) {
            Ok(()) => Ok(1),
            Err(error) => {
                // Half a message must not look like one.
                out.value.clear();
                Err(in_context(error, event))
            }
        }
    }
}

/// The `type` of a row's message.
fn type_name(op: Op, snapshot: SnapshotType) -> &'static str {
    match op {
        Op::Read => match snapshot {
            SnapshotType::Insert => "INSERT",
            SnapshotType::Init => "INIT",
        },
        Op::Insert => "INSERT",
        Op::Update => "UPDATE",
        Op::Delete => "DELETE",
    }
}

/// Appends `old`: the before values of the columns that changed.
fn write_changed(out: &mut Vec<u8>, plan: &Plan, before: &Row, after: &Row, config: &Config) -> Result<(), FormatError> {
    out.extend_from_slice(b"[{");
    let mut first = true;
    let (mut before, mut after) = (before.values(), after.values());
    for planned in &plan.columns {
        let (old, new) = (before.next(), after.next());
        let old = old.as_ref().unwrap_or(&Value::Null);
        if differ(old, new.as_ref().unwrap_or(&Value::Null)) {
            out.extend_from_slice(planned.key(first));
            cell::write_cell(out, old, &planned.form, config).map_err(|refusal| refusal.of(&planned.column))?;
            first = false;
        }
    }
    out.extend_from_slice(b"}]");
    Ok(())
}

/// Appends the value of `es`, then `gtid` and `id`.
fn write_origin(out: &mut Vec<u8>, event: &Event, id: i64) {
    text::write_i64(out, event.timestamp_ms);
    out.extend_from_slice(b",\"gtid\":");
    escape::write_quoted(out, event.origin.gtid.as_deref().unwrap_or_default());
    out.extend_from_slice(b",\"id\":");
    text::write_i64(out, id);
}

/// Appends the value of `ts`, then `type` and the end.
fn write_end(out: &mut Vec<u8>, event: &Event, type_name: &str) {
    text::write_i64(out, event.origin.read_ms);
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(type_name.as_bytes());
    out.extend_from_slice(b"\"}");
}
