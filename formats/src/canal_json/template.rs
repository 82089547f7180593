//! The parts of a message that do not depend on the row. They are prepared once per table version, or once per binlog event or chunk.

use runtime::{Column, Event, Origin, Row, TableSchema, Value, text};

use super::cell::{Encoding, write_cell};
use super::config::{Config, MysqlType, NullKeys, SqlType};
use crate::cache::LastSeen;
use crate::error::FormatError;
use crate::escape::write_quoted;

/// The parts that are prepared once per table version. The byte strings are pieces of the message's text.
pub(super) struct Template {
    pub(super) columns: Vec<ColumnTemplate>,
    /// `,"database":"shop","es":`
    pub(super) database: Vec<u8>,
    /// `,"isDdl":false,"mysqlType":{…}`
    pub(super) mysql_types: Vec<u8>,
    /// `,"old":null`; empty if keys without a value are omitted.
    null_old: &'static [u8],
    /// `,"pkNames":["id"],"sql":"","sqlType":{`
    keys: Vec<u8>,
    /// `},"table":"orders","ts":`
    table: Vec<u8>,
    /// The text from `pkNames` to `ts`, used if every value has the `sqlType` of its column.
    end: Vec<u8>,
    /// The text from `isDdl` to `ts` of a message without `old`, used if every value has the `sqlType` of its column.
    end_without_old: Vec<u8>,
    /// The columns whose `sqlType` depends on the value.
    varying: Vec<usize>,
}

/// What is prepared for one column: its name as a JSON key, and the encoding and `sqlType` of its values.
pub(super) struct ColumnTemplate {
    column: Column,
    encoding: Encoding,
    /// `,"name":"`; the last quote is left out before null and numbers.
    key: ShortBytes,
    /// `"name":"`, for the first member of an object.
    first_key: ShortBytes,
    sql_type: i16,
}

impl ColumnTemplate {
    fn of(column: &Column, config: &Config) -> Result<Self, FormatError> {
        let (encoding, sql_type) = Encoding::of(column, config)?;
        let mut key = vec![b','];
        write_quoted(&mut key, &column.name);
        key.extend_from_slice(b":\"");
        let first_key = ShortBytes::new(key.get(1..).unwrap_or_default().to_vec());
        Ok(Self { column: column.clone(), encoding, key: ShortBytes::new(key), first_key, sql_type })
    }

    /// Appends the cell as a member of an object; the value is a string or `null`.
    #[inline]
    pub(super) fn write_cell(&self, out: &mut Vec<u8>, value: &Value<'_>, first: bool) -> Result<(), FormatError> {
        if matches!(value, Value::Null) {
            out.extend_from_slice(self.key(first));
            out.extend_from_slice(b"null");
            return Ok(());
        }
        if first { &self.first_key } else { &self.key }.write(out);
        write_cell(out, value, &self.encoding).map_err(|error| error.of(&self.column))?;
        out.push(b'"');
        Ok(())
    }

    /// The column's key with its colon, with a comma before it unless it is the first member of an object.
    fn key(&self, first: bool) -> &[u8] {
        let key = if first { &self.first_key } else { &self.key }.bytes();
        key.split_last().map_or(key, |(_, key)| key)
    }
}

impl Template {
    pub(super) fn of(schema: &TableSchema, config: &Config) -> Result<Self, FormatError> {
        let columns = schema.columns.iter().map(|column| ColumnTemplate::of(column, config)).collect::<Result<Vec<_>, _>>()?;
        let mut mysql_types = b",\"isDdl\":false,\"mysqlType\":{".to_vec();
        let mut sql_types = Vec::new();
        for (index, template) in columns.iter().enumerate() {
            mysql_types.extend_from_slice(template.key(index == 0));
            write_quoted(&mut mysql_types, mysql_type(&template.column, config.mysql_type));
            write_sql_type(&mut sql_types, template, index == 0, template.sql_type);
        }
        mysql_types.push(b'}');
        let mut database = b",\"database\":".to_vec();
        write_quoted(&mut database, &schema.id.database);
        database.extend_from_slice(b",\"es\":");
        let mut table = b"},\"table\":".to_vec();
        write_quoted(&mut table, &schema.id.table);
        table.extend_from_slice(b",\"ts\":");
        let null_old: &[u8] = if config.null_keys == NullKeys::Write { b",\"old\":null" } else { b"" };
        let keys = keys(schema, config.null_keys)?;
        let end = [keys.as_slice(), &sql_types, &table].concat();
        let end_without_old = [mysql_types.as_slice(), null_old, &end].concat();
        let varies = |template: &ColumnTemplate| config.sql_type == SqlType::Canal && template.encoding.sql_type_varies();
        let varying = columns.iter().enumerate().filter(|(_, template)| varies(template)).map(|(index, _)| index).collect();
        Ok(Self { columns, database, mysql_types, null_old, keys, table, end, end_without_old, varying })
    }

    /// Appends the text between `id` and the value of `ts`, for a message without `old`. `sqlType` describes the values of `row`.
    pub(super) fn write_end_without_old(&self, out: &mut Vec<u8>, row: &Row) {
        if self.has_column_types(row) {
            return out.extend_from_slice(&self.end_without_old);
        }
        out.extend_from_slice(&self.mysql_types);
        out.extend_from_slice(self.null_old);
        self.write_varying_end(out, row);
    }

    /// Appends the text between `old` and the value of `ts`. `sqlType` describes the values of `row`.
    pub(super) fn write_end(&self, out: &mut Vec<u8>, row: &Row) {
        if self.has_column_types(row) { out.extend_from_slice(&self.end) } else { self.write_varying_end(out, row) }
    }

    /// Whether the prepared end of the message fits `row`: every value has the `sqlType` of its column. In columns of some types, a value
    /// may have a `sqlType` of its own.
    fn has_column_types(&self, row: &Row) -> bool {
        let has = |index: &usize| self.columns.get(*index).is_none_or(|column| column.encoding.varying_sql_type(row.get(*index)).is_none());
        self.varying.iter().all(has)
    }

    fn write_varying_end(&self, out: &mut Vec<u8>, row: &Row) {
        out.extend_from_slice(&self.keys);
        for (index, (column, value)) in self.columns.iter().zip(row.values()).enumerate() {
            write_sql_type(out, column, index == 0, column.encoding.varying_sql_type(value).unwrap_or(column.sql_type));
        }
        out.extend_from_slice(&self.table);
    }
}

/// The column's type as the source writes it, or only its name: `int` for `int(10) unsigned`.
fn mysql_type(column: &Column, wanted: MysqlType) -> &str {
    match wanted {
        MysqlType::Full => &column.source_type,
        MysqlType::Base => column.source_type.split(['(', ' ']).next().unwrap_or_default(),
    }
}

fn write_sql_type(out: &mut Vec<u8>, column: &ColumnTemplate, first: bool, code: i16) {
    out.extend_from_slice(column.key(first));
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
}

/// Returns `pkNames`, which lists the columns of the primary key in the order of the table's columns, as Canal does, not in the order of
/// the key. It is null for a table without a primary key.
fn keys(schema: &TableSchema, null_keys: NullKeys) -> Result<Vec<u8>, FormatError> {
    let mut out = Vec::new();
    let mut indexes = schema.primary_key.clone();
    indexes.sort_unstable();
    for (position, &index) in indexes.iter().enumerate() {
        out.extend_from_slice(if position == 0 { b",\"pkNames\":[" } else { b"," });
        let column = schema.columns.get(index).ok_or_else(|| FormatError::UnknownKeyColumn { key: "PRIMARY".to_owned() })?;
        write_quoted(&mut out, &column.name);
    }
    match (indexes.is_empty(), null_keys) {
        (false, _) => out.push(b']'),
        (true, NullKeys::Write) => out.extend_from_slice(b",\"pkNames\":null"),
        (true, NullKeys::Omit) => {}
    }
    out.extend_from_slice(b",\"sql\":\"\",\"sqlType\":{");
    Ok(out)
}

/// The parts that are written once per origin and time of a change. The buffers are reused for the next origin.
pub(super) struct OriginParts {
    null_keys: NullKeys,
    last: LastSeen<Origin, i64>,
    /// The text from the value of `es` up to the value of `id`.
    before_id: Vec<u8>,
    /// The text from the value of `ts` up to the value of `type`.
    read_time: Vec<u8>,
}

impl OriginParts {
    pub(super) fn new(null_keys: NullKeys) -> Self {
        Self { null_keys, last: LastSeen::default(), before_id: Vec::new(), read_time: Vec::new() }
    }

    /// Sets the parts to those of `event`.
    #[inline]
    pub(super) fn set(&mut self, event: &Event) {
        if self.last.is_new(&event.origin, event.timestamp_ms) {
            self.fill(event);
        }
    }

    fn fill(&mut self, event: &Event) {
        self.before_id.clear();
        text::write_i64(&mut self.before_id, event.timestamp_ms);
        let gtid = event.origin.gtid.as_deref();
        if gtid.is_some() || self.null_keys == NullKeys::Write {
            self.before_id.extend_from_slice(b",\"gtid\":");
            write_quoted(&mut self.before_id, gtid.unwrap_or_default());
        }
        self.before_id.extend_from_slice(b",\"id\":");
        self.read_time.clear();
        text::write_i64(&mut self.read_time, event.origin.read_ms);
        self.read_time.extend_from_slice(b",\"type\":");
    }

    /// Appends the text from the value of `es` to the value of `id`, which includes `gtid`.
    pub(super) fn write_until_id(&self, out: &mut Vec<u8>, id: i64) {
        out.extend_from_slice(&self.before_id);
        text::write_i64(out, id);
    }

    /// Appends the value of `ts` and the key `type`.
    pub(super) fn write_read_time(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.read_time);
    }
}

/// Bytes that are usually short and often copied. A copy of a constant size costs half as much as one of a variable size. Short bytes are
/// therefore stored with padding and copied together with it.
struct ShortBytes {
    bytes: Vec<u8>,
    /// The bytes and their padding; `None` if there are more than [`ShortBytes::MAX`].
    padded: Option<[u8; ShortBytes::MAX]>,
}

impl ShortBytes {
    const MAX: usize = 32;

    fn new(bytes: Vec<u8>) -> Self {
        let mut padded = [0; Self::MAX];
        let fits = padded.get_mut(..bytes.len()).map(|start| start.copy_from_slice(&bytes));
        Self { bytes, padded: fits.map(|()| padded) }
    }

    /// Appends the bytes.
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        match &self.padded {
            Some(padded) => {
                let end = out.len() + self.bytes.len();
                out.extend_from_slice(padded);
                out.truncate(end);
            }
            None => out.extend_from_slice(&self.bytes),
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bytes_of_any_length() {
        for length in 0..40u8 {
            let bytes: Vec<u8> = (0..length).collect();
            let mut out = b"x".to_vec();
            ShortBytes::new(bytes.clone()).write(&mut out);
            out.push(b'y');
            assert_eq!(out, [b"x", bytes.as_slice(), b"y"].concat());
        }
    }
}
