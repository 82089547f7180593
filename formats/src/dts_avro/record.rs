//! The fields of the record, except the contents of its images. Fields are written in the order of the schema.

use super::cell::write_image;
use super::encoding::{Tags, branch, write_long, write_string, write_tags};
use super::template::Template;
use crate::error::FormatError;
use crate::row::Images;

/// The symbols of the schema's enum `Operation` that this format uses, with their index.
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

/// The fields of a record before `objectName`.
pub(super) struct Head<'a> {
    pub(super) id: i64,
    /// Seconds since the epoch.
    pub(super) timestamp: i64,
    /// The encoded fields from `sourcePosition` to `source`.
    pub(super) source: &'a [u8],
    pub(super) operation: Operation,
}

impl Head<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        // The field `version` is not the version of the format. Recent versions of DTS write 0.
        write_long(out, 0);
        write_long(out, self.id);
        write_long(out, self.timestamp);
        out.extend_from_slice(self.source);
        write_long(out, self.operation as i64);
    }
}

/// Appends the record of a row. `tags` are written after the tags of the table.
pub(super) fn write_row(
    out: &mut Vec<u8>,
    head: &Head<'_>,
    template: &Template,
    tags: &Tags,
    images: Images<'_>,
) -> Result<(), FormatError> {
    head.write(out);
    out.extend_from_slice(&template.object_name);
    out.push(branch::NULL); // processTimestamps
    write_tags(out, &[&template.tags, tags]);
    out.extend_from_slice(&template.fields);
    let (before, after) = match images {
        Images::After(after) => (None, Some(after)),
        Images::Before(before) => (Some(before), None),
        Images::Both(before, after) => (Some(before), Some(after)),
    };
    write_image(out, &template.columns, before)?;
    write_image(out, &template.columns, after)?;
    write_long(out, head.timestamp); // bornTimestamp, in seconds as DTS writes it
    Ok(())
}

/// Appends a record without a row. The text of a DDL statement is written in the place of the after image.
pub(super) fn write_without_row(out: &mut Vec<u8>, head: &Head<'_>, object_name: Option<&str>, tags: &Tags, statement: Option<&str>) {
    head.write(out);
    write_optional(out, object_name);
    out.push(branch::NULL); // processTimestamps
    write_tags(out, &[tags]);
    out.push(branch::NULL); // fields
    out.push(branch::NULL); // beforeImages
    write_optional(out, statement);
    write_long(out, head.timestamp);
}

fn write_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            out.push(branch::STRING);
            write_string(out, text);
        }
        None => out.push(branch::NULL),
    }
}
