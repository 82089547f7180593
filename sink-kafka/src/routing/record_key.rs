//! Writes the keys of records. They are JSON, so that every consumer can read them.
//!
//! - The key of a row is an array of canonical texts ([`runtime::text`]). It contains database and table, unless the name of the topic
//!   contains both. With `primary_key` it also contains the values of the key columns. Example: `["shop","orders","42"]`.
//! - The key of any other record is an object, so it never equals the key of a row: `{"ddl":["shop","orders"]}`, or `{"heartbeat":3}` and
//!   `{"transaction":3}` with the number of the split. These keys exist because a compacted topic refuses records without a key.
//!
//! The texts must never change, because compaction and consumers compare them byte by byte.

use runtime::{Body, Error, Result, Row, TableId, TableSchema, Value, text};
use serde::Deserialize;

/// Which key each record gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordKey {
    /// No key, unless the format sets one.
    #[default]
    None,
    /// The key of the row: the primary key together with the partition columns, or else the first unique key without nullable columns. Rows
    /// of a table without such a key get no key.
    PrimaryKey,
    /// The database and the table of the row.
    Table,
}

/// Writes the keys of the rows of one table.
#[derive(Debug)]
pub(crate) struct RowKey {
    /// The start of the JSON array, which is the same for all rows.
    prefix: Vec<u8>,
    columns: Vec<usize>,
}

impl RowKey {
    /// The writer of a table's row keys; `None` if its rows have no key. `in_topic` says whether the name of the topic contains both
    /// database and table.
    pub(super) fn of_table(schema: &TableSchema, kind: RecordKey, in_topic: bool) -> Option<Self> {
        let columns = match kind {
            RecordKey::None => return None,
            RecordKey::PrimaryKey => schema.effective_key(),
            RecordKey::Table => Vec::new(),
        };
        if kind == RecordKey::PrimaryKey && columns.is_empty() {
            return None;
        }
        let mut prefix = vec![b'['];
        if !in_topic || kind == RecordKey::Table {
            write_table(&mut prefix, &schema.id);
        }
        Some(Self { prefix, columns })
    }

    /// The columns whose values are in the key.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Writes the key of a row into `out`. A key value without a canonical text is an error of kind `Data`. `scratch` is a reused buffer.
    pub(super) fn write(&self, schema: &TableSchema, row: &Row, out: &mut Vec<u8>, scratch: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.extend_from_slice(&self.prefix);
        for &column in &self.columns {
            let description = schema.columns.get(column).ok_or_else(|| Error::data("the row's key has a column that the table lacks"))?;
            if out.len() > 1 {
                out.push(b',');
            }
            match row.get(column) {
                // A partition column can be NULL, because it may be nullable.
                Value::Null => out.extend_from_slice(b"null"),
                value => {
                    scratch.clear();
                    text::write_canonical(scratch, value, description)?;
                    std::str::from_utf8(scratch)
                        .map_err(|error| Error::data("a value of the row's key is not valid text").because(error))?;
                    write_string(out, scratch);
                }
            }
        }
        out.push(b']');
        Ok(())
    }
}

/// Writes the key of a record that is not about a row into `out`. `split` is the number of the split that the event comes from.
pub(super) fn write_control_key(body: &Body, split: u32, out: &mut Vec<u8>) {
    out.clear();
    match body {
        Body::Schema(change) => {
            out.extend_from_slice(b"{\"ddl\":[");
            match change.tables.first() {
                Some((table, _)) => write_table(out, table),
                None => write_string(out, change.database.as_bytes()),
            }
            out.extend_from_slice(b"]}");
        }
        Body::Heartbeat => write_numbered(out, "heartbeat", split),
        _ => write_numbered(out, "transaction", split),
    }
}

fn write_numbered(out: &mut Vec<u8>, name: &str, split: u32) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    text::write_u64(out, u64::from(split));
    out.push(b'}');
}

fn write_table(out: &mut Vec<u8>, table: &TableId) {
    write_string(out, table.database.as_bytes());
    out.push(b',');
    write_string(out, table.table.as_bytes());
}

/// Appends these bytes, which must be UTF-8, as a JSON string.
fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in text {
        let escaped = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..0x20 => {
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escaped]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::{Column, ColumnKind, SchemaChange, SchemaChangeKind};

    use super::*;

    fn schema() -> TableSchema {
        let columns = vec![
            Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint"),
            Column::new("name", ColumnKind::Varchar { length: 10 }, "varchar(10)"),
            Column::new("region", ColumnKind::Int { bytes: 4 }, "int"),
        ];
        TableSchema::new(TableId::new("shop", "orders"), columns)
    }

    fn key(schema: &TableSchema, kind: RecordKey, in_topic: bool, row: &Row) -> Option<String> {
        let mut out = b"left over".to_vec();
        RowKey::of_table(schema, kind, in_topic)?.write(schema, row, &mut out, &mut Vec::new()).unwrap();
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn keys_of_rows_are_arrays_of_canonical_texts() {
        let mut schema = schema();
        let row = Row::from_values([Value::Int(42), Value::Text(b"a\"b"), Value::Null]);
        assert_eq!(key(&schema, RecordKey::None, false, &row), None);
        assert_eq!(key(&schema, RecordKey::PrimaryKey, false, &row), None, "the table has no key");
        assert_eq!(key(&schema, RecordKey::Table, true, &row).as_deref(), Some(r#"["shop","orders"]"#));
        schema.primary_key = vec![0];
        assert_eq!(key(&schema, RecordKey::PrimaryKey, false, &row).as_deref(), Some(r#"["shop","orders","42"]"#));
        assert_eq!(key(&schema, RecordKey::PrimaryKey, true, &row).as_deref(), Some(r#"["42"]"#));
        schema.primary_key = vec![1, 0];
        schema.partition_columns = vec![2];
        assert_eq!(key(&schema, RecordKey::PrimaryKey, true, &row).as_deref(), Some(r#"["a\"b","42",null]"#));
    }

    #[test]
    fn keys_of_other_records_are_objects() {
        let key = |body: &Body| {
            let mut out = Vec::new();
            write_control_key(body, 3, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!((key(&Body::Heartbeat).as_str(), key(&Body::Commit).as_str()), (r#"{"heartbeat":3}"#, r#"{"transaction":3}"#));
        let mut change = SchemaChange::new(SchemaChangeKind::Other, "shop", "x");
        assert_eq!(key(&Body::Schema(change.clone())), r#"{"ddl":["shop"]}"#);
        change.tables.push((TableId::new("shop", "orders"), None));
        assert_eq!(key(&Body::Schema(change)), r#"{"ddl":["shop","orders"]}"#);
    }

    proptest! {
        #[test]
        fn strings_are_those_of_json(text: String) {
            let mut out = Vec::new();
            write_string(&mut out, text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text.clone());
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
