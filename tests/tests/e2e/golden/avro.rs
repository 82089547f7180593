//! Parses DTS Avro with apache-avro and the published schema.

use std::collections::BTreeMap;

use apache_avro::types::Value;
use tests::checker::avro::{BRANCHES, fields, inner};
use tests::{Failure, Result};

use super::piece::{Cell, Op, Piece};

/// The fields of a record whose values differ from run to run.
const VOLATILE: [&str; 7] =
    ["id", "sourceTimestamp", "sourcePosition", "safeSourcePosition", "sourceTxid", "processTimestamps", "bornTimestamp"];

/// The tags whose values differ from run to run.
const VOLATILE_TAGS: [&str; 5] = ["readerThroughoutTime", "thread_id", "GTID", "GTID_SET", "commitTimestamp"];

/// Splits a record into the parts that are compared.
pub(super) fn take_apart(value: &[u8]) -> Result<Piece> {
    let fields = fields(value)?;
    let (mut shape, mut name, mut kind, mut id) = (Vec::new(), String::new(), String::new(), None);
    let (mut before, mut after) = (None, None);
    for (field, value) in &fields {
        let text = match (field.as_str(), inner(value)) {
            ("beforeImages" | "afterImages", Value::Array(cells)) => {
                let [key, cell] = cells.as_slice() else { return Failure::err("an image that is not of two columns") };
                id = Some(number(key)?);
                let cell = Cell { text: branch(cell)?, note: String::new() };
                *(if field == "beforeImages" { &mut before } else { &mut after }) = Some(cell);
                format!("[{}, …]", hide_number(&branch(key)?, id))
            }
            ("tags", Value::Map(tags)) => {
                let sorted: BTreeMap<_, _> = tags.iter().collect();
                sorted.into_iter().map(tag).collect::<Vec<_>>().join(", ")
            }
            ("source", Value::Record(parts)) => parts.first().map(|(_, value)| show(value)).unwrap_or_default(),
            ("operation", Value::Enum(_, text)) => {
                kind = text.clone();
                text.clone()
            }
            ("objectName", Value::String(text)) => {
                name = text.clone();
                text.clone()
            }
            (name, _) if VOLATILE.contains(&name) => continue,
            (_, value) => show(value),
        };
        shape.push(format!("{field}: {text}"));
    }
    let id = id.ok_or_else(|| Failure::new(format!("{kind} of {name} without images")))?;
    let table = name.split_once('.').map(|(_, table)| table.to_owned()).unwrap_or_default();
    Ok(Piece { table, op: Op::of(&kind, id)?, id, shape: shape.join("; "), before, after })
}

fn tag((name, value): (&String, &Value)) -> String {
    if VOLATILE_TAGS.contains(&name.as_str()) { format!("{name} …") } else { format!("{name} {}", show(value)) }
}

/// A record of any operation and table as one line. Nulls and values that differ from run to run are left out; of `fields` only the count
/// is written.
pub(super) fn line(value: &[u8]) -> Result<String> {
    let mut parts = Vec::new();
    for (field, value) in &fields(value)? {
        let text = match (field.as_str(), inner(value)) {
            (name, _) if VOLATILE.contains(&name) => continue,
            (_, Value::Null) => continue,
            ("fields", Value::Array(columns)) => columns.len().to_string(),
            ("beforeImages" | "afterImages", Value::Array(cells)) => {
                format!("[{}]", cells.iter().map(branch).collect::<Result<Vec<_>>>()?.join(", "))
            }
            ("tags", Value::Map(tags)) => {
                let sorted: BTreeMap<_, _> = tags.iter().collect();
                sorted.into_iter().map(tag).collect::<Vec<_>>().join(", ")
            }
            (_, value) => show(value),
        };
        parts.push(format!("{field}: {text}"));
    }
    Ok(parts.join("; "))
}

/// The number in the cell of the key column `id`.
fn number(cell: &Value) -> Result<u32> {
    match inner(cell) {
        Value::Record(parts) => match parts.last() {
            Some((_, Value::String(text))) => Ok(text.parse()?),
            _ => Failure::err(format!("a key that is no number: {cell:?}")),
        },
        _ => Failure::err(format!("a key that is no record: {cell:?}")),
    }
}

fn hide_number(text: &str, id: Option<u32>) -> String {
    id.map_or_else(|| text.to_owned(), |id| text.replace(&format!("\"{id}\""), "…"))
}

/// The value of a cell, preceded by the name of its union branch.
fn branch(cell: &Value) -> Result<String> {
    match cell {
        Value::Union(0, _) => Ok("null".to_owned()),
        Value::Union(index, value) => match BRANCHES.get(*index as usize) {
            Some(name) => Ok(format!("{name} {}", show(value))),
            None => Failure::err(format!("a value in branch {index}")),
        },
        other => Failure::err(format!("{other:?} is no union")),
    }
}

fn show(value: &Value) -> String {
    match inner(value) {
        Value::Record(fields) => {
            let parts: Vec<String> = fields.iter().map(|(name, value)| format!("{name} {}", show(value))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Null => "null".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::String(text) => format!("{text:?}"),
        Value::Enum(_, name) => name.clone(),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => format!("{text:?}"),
            _ => bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        },
        other => format!("{other:?}"),
    }
}
