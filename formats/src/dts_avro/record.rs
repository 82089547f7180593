//! The record around the images: its head, tags and end. Field order is wire order.

use runtime::{Row, Value};

use super::cell::write_cell;
use super::encoding::{begin_block, write_long, write_string};
use super::template::Plan;
use crate::error::FormatError;
use crate::row::Images;

/// The branch of `[null, string, array]` that is an array, as the byte that announces it.
pub(super) const ARRAY: u8 = 2 << 1;
/// The branch that is a string, there and in `[null, string]`.
pub(super) const STRING: u8 = 1 << 1;
/// The first branch of every union.
pub(super) const NULL: u8 = 0;

/// Symbols of `Operation` that are written, by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Insert = 0,
    Update = 1,
    Delete = 2,
    Ddl = 3,
    Begin = 4,
    Commit = 5,
    Heartbeat = 8,
    Checkpoint = 9,
    Init = 16,
}

/// A map's entries, encoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    count: usize,
    bytes: Vec<u8>,
}

impl Tags {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        write_string(&mut self.bytes, name);
        write_string(&mut self.bytes, value);
        self.count += 1;
    }

    pub(super) fn push_number(&mut self, name: &str, value: impl itoa::Integer) {
        self.push(name, itoa::Buffer::new().format(value));
    }

    /// Makes these the same as `other`, in the memory they have.
    pub(super) fn copy(&mut self, other: &Tags) {
        self.count = other.count;
        self.bytes.clone_from(&other.bytes);
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }
}

/// What stands in front of `objectName`.
pub(super) struct Head<'a> {
    pub(super) id: i64,
    /// Seconds since the epoch.
    pub(super) timestamp: i64,
    /// `sourcePosition` to `source.version`, encoded.
    pub(super) place: &'a [u8],
    pub(super) operation: Operation,
}

impl Head<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        // `version` says nothing about the format; recent DTS readers write 0.
        write_long(out, 0);
        write_long(out, self.id);
        write_long(out, self.timestamp);
        out.extend_from_slice(self.place);
        write_long(out, self.operation as i64);
    }
}

/// Appends `sourcePosition`, `safeSourcePosition`, `sourceTxid` and `source`.
pub(super) fn write_place(out: &mut Vec<u8>, position: &str, safe_position: &str, server_version: &str) {
    const MYSQL: i64 = 0;
    write_string(out, position);
    write_string(out, safe_position);
    write_string(out, "0");
    write_long(out, MYSQL);
    write_string(out, server_version);
}

/// Appends the record of a row. `tags` come after those of the table.
pub(super) fn write_row(out: &mut Vec<u8>, head: &Head<'_>, plan: &Plan, tags: &Tags, images: Images<'_>) -> Result<(), FormatError> {
    head.write(out);
    out.extend_from_slice(&plan.object_name);
    out.push(NULL); // processTimestamps
    write_tags(out, &[&plan.tags, tags]);
    out.extend_from_slice(&plan.fields);
    let (before, after) = match images {
        Images::After(after) => (None, Some(after)),
        Images::Before(before) => (Some(before), None),
        Images::Both(before, after) => (Some(before), Some(after)),
    };
    write_image(out, plan, before)?;
    write_image(out, plan, after)?;
    write_long(out, head.timestamp); // bornTimestamp: seconds, as DTS writes it
    Ok(())
}

/// Appends a record without rows. `statement` stands in the place of the after image.
pub(super) fn write_without_row(out: &mut Vec<u8>, head: &Head<'_>, object_name: Option<&str>, tags: &Tags, statement: Option<&str>) {
    head.write(out);
    write_optional(out, object_name);
    out.push(NULL); // processTimestamps
    write_tags(out, &[tags]);
    out.push(NULL); // fields
    out.push(NULL); // beforeImages
    write_optional(out, statement);
    write_long(out, head.timestamp);
}

/// Appends a part of an `objectName`, where a dot would end the part.
pub(super) fn escaped_name(name: &str) -> String {
    name.replace('.', "\\u002E")
}

fn write_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            out.push(STRING);
            write_string(out, text);
        }
        None => out.push(NULL),
    }
}

fn write_tags(out: &mut Vec<u8>, parts: &[&Tags]) {
    begin_block(out, parts.iter().map(|tags| tags.count).sum());
    for tags in parts {
        out.extend_from_slice(&tags.bytes);
    }
    out.push(0);
}

fn write_image(out: &mut Vec<u8>, plan: &Plan, row: Option<&Row>) -> Result<(), FormatError> {
    let Some(row) = row else {
        out.push(NULL);
        return Ok(());
    };
    out.push(ARRAY);
    begin_block(out, plan.columns.len());
    // Invariant: Images::of counted the cells, so there is a value for every column.
    let mut values = row.values();
    for (column, form) in &plan.columns {
        let value = values.next();
        write_cell(out, value.as_ref().unwrap_or(&Value::Null), form).map_err(|refusal| refusal.of(column))?;
    }
    out.push(0);
    Ok(())
}
