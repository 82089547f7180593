//! The parts of a message that are the same for every row of a table version.

use runtime::{Column, Row, TableSchema, Value};

use super::cell::write_cell;
use super::config::{Config, MysqlType, NullKeys, SqlType};
use super::form::Form;
use super::piece::Piece;
use crate::error::FormatError;
use crate::escape::write_quoted;

/// What is prepared per table version. The byte strings are pieces of the message, in the order of writing.
pub(super) struct Plan {
    pub(super) columns: Vec<PlannedColumn>,
    /// `,"database":"shop","es":`
    pub(super) database: Vec<u8>,
    /// `,"isDdl":false,"mysqlType":{…}`
    pub(super) mysql_types: Vec<u8>,
    /// `,"old":null`, or nothing.
    no_old: &'static [u8],
    /// `,"pkNames":["id"],"sql":"","sqlType":{`
    keys: Vec<u8>,
    /// `},"table":"orders","ts":`
    table: Vec<u8>,
    /// From `pkNames` to `ts` if no column has an unusual code.
    usual_end: Vec<u8>,
    /// From `isDdl` to `ts` of a message without `old` if no column has an unusual code.
    usual_end_without_old: Vec<u8>,
    /// Columns whose code depends on the value.
    with_unusual_codes: Vec<usize>,
}

/// What is prepared per column.
pub(super) struct PlannedColumn {
    column: Column,
    form: Form,
    /// `,"name":"`; what is no string leaves the last quote out.
    key: Piece,
    /// The same as the first member of an object, without the comma.
    first_key: Piece,
    usual_code: i16,
}

impl PlannedColumn {
    fn of(column: &Column, config: &Config) -> Result<Self, FormatError> {
        let (form, usual_code) = Form::of(column, config)?;
        let mut key = vec![b','];
        write_quoted(&mut key, &column.name);
        key.extend_from_slice(b":\"");
        let first_key = Piece::new(key.get(1..).unwrap_or_default().to_vec());
        Ok(Self { column: column.clone(), form, key: Piece::new(key), first_key, usual_code })
    }

    /// Appends the cell as a member of an object: a string, or `null`.
    #[inline]
    pub(super) fn write_cell(&self, out: &mut Vec<u8>, value: &Value<'_>, first: bool) -> Result<(), FormatError> {
        if matches!(value, Value::Null) {
            out.extend_from_slice(self.key(first));
            out.extend_from_slice(b"null");
            return Ok(());
        }
        if first { &self.first_key } else { &self.key }.write(out);
        write_cell(out, value, &self.form).map_err(|refusal| refusal.of(&self.column))?;
        out.push(b'"');
        Ok(())
    }

    /// The column's key as the first member of an object, or as a later one, up to its colon.
    fn key(&self, first: bool) -> &[u8] {
        let key = if first { &self.first_key } else { &self.key }.bytes();
        key.split_last().map_or(key, |(_, key)| key)
    }
}

impl Plan {
    pub(super) fn of(schema: &TableSchema, config: &Config) -> Result<Self, FormatError> {
        let columns = schema.columns.iter().map(|column| PlannedColumn::of(column, config)).collect::<Result<Vec<_>, _>>()?;
        let mut mysql_types = b",\"isDdl\":false,\"mysqlType\":{".to_vec();
        let mut sql_types = Vec::new();
        for (index, planned) in columns.iter().enumerate() {
            mysql_types.extend_from_slice(planned.key(index == 0));
            write_quoted(&mut mysql_types, mysql_type(&planned.column, config.mysql_type));
            write_code(&mut sql_types, planned, index == 0, planned.usual_code);
        }
        mysql_types.push(b'}');
        let mut database = b",\"database\":".to_vec();
        write_quoted(&mut database, &schema.id.database);
        database.extend_from_slice(b",\"es\":");
        let mut table = b"},\"table\":".to_vec();
        write_quoted(&mut table, &schema.id.table);
        table.extend_from_slice(b",\"ts\":");
        let no_old: &[u8] = if config.null_keys == NullKeys::Write { b",\"old\":null" } else { b"" };
        let keys = keys(schema, config.null_keys)?;
        let usual_end = [keys.as_slice(), &sql_types, &table].concat();
        let usual_end_without_old = [mysql_types.as_slice(), no_old, &usual_end].concat();
        let unusual = |planned: &PlannedColumn| config.sql_type == SqlType::Canal && planned.form.has_unusual_codes();
        let with_unusual_codes = columns.iter().enumerate().filter(|(_, planned)| unusual(planned)).map(|(index, _)| index).collect();
        Ok(Self { columns, database, mysql_types, no_old, keys, table, usual_end, usual_end_without_old, with_unusual_codes })
    }

    /// Appends what is between `id` and the value of `ts` in a message without `old`. `row` is the one that `sqlType` speaks of.
    pub(super) fn write_end_without_old(&self, out: &mut Vec<u8>, row: &Row) {
        if self.has_usual_codes(row) {
            return out.extend_from_slice(&self.usual_end_without_old);
        }
        out.extend_from_slice(&self.mysql_types);
        out.extend_from_slice(self.no_old);
        self.write_unusual_end(out, row);
    }

    /// Appends what is between `old` and the value of `ts`.
    pub(super) fn write_end(&self, out: &mut Vec<u8>, row: &Row) {
        if self.has_usual_codes(row) { out.extend_from_slice(&self.usual_end) } else { self.write_unusual_end(out, row) }
    }

    fn has_usual_codes(&self, row: &Row) -> bool {
        let usual = |index: &usize| self.columns.get(*index).is_none_or(|planned| planned.form.unusual_code(row.get(*index)).is_none());
        self.with_unusual_codes.iter().all(usual)
    }

    fn write_unusual_end(&self, out: &mut Vec<u8>, row: &Row) {
        out.extend_from_slice(&self.keys);
        for (index, (planned, value)) in self.columns.iter().zip(row.values()).enumerate() {
            write_code(out, planned, index == 0, planned.form.unusual_code(value).unwrap_or(planned.usual_code));
        }
        out.extend_from_slice(&self.table);
    }
}

/// The type's text, or its name alone: `int` of `int(10) unsigned`.
fn mysql_type(column: &Column, wanted: MysqlType) -> &str {
    match wanted {
        MysqlType::Full => &column.source_type,
        MysqlType::Base => column.source_type.split(['(', ' ']).next().unwrap_or_default(),
    }
}

fn write_code(out: &mut Vec<u8>, planned: &PlannedColumn, first: bool, code: i16) {
    out.extend_from_slice(planned.key(first));
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
}

/// `pkNames` lists the primary key in the order of the columns, not of the key, and is null without one: so does Canal.
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
