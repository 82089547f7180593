//! The parts of a message that are the same for every row of a table version.

use runtime::{Column, Row, TableSchema};

use super::cell::Form;
use super::escape::write_quoted;
use crate::error::FormatError;

/// What is prepared per table version. The byte strings are pieces of the message, in the order of writing.
pub(super) struct Plan {
    pub(super) columns: Vec<PlannedColumn>,
    /// `,"database":"shop","es":`
    pub(super) database: Vec<u8>,
    /// `,"isDdl":false,"mysqlType":{…},"old":`
    pub(super) mysql_types: Vec<u8>,
    /// `,"pkNames":["id"],"sql":"","sqlType":{`
    pub(super) keys: Vec<u8>,
    /// `},"table":"orders","ts":`
    pub(super) table: Vec<u8>,
    /// The inside of `sqlType` if no column has an unusual code: `"id":-5,"note":12`
    sql_types: Vec<u8>,
    /// Columns whose code depends on the value.
    with_unusual_codes: Vec<usize>,
}

/// What is prepared per column.
pub(super) struct PlannedColumn {
    pub(super) column: Column,
    pub(super) form: Form,
    /// `,"name":`; the first member of an object leaves the comma out.
    key: Vec<u8>,
    usual_code: i16,
}

impl PlannedColumn {
    fn of(column: &Column) -> Result<Self, FormatError> {
        let (form, usual_code) = Form::of(column)?;
        let mut key = vec![b','];
        write_quoted(&mut key, &column.name);
        key.push(b':');
        Ok(Self { column: column.clone(), form, key, usual_code })
    }

    /// The column's key as the first member of an object, or as a later one.
    pub(super) fn key(&self, first: bool) -> &[u8] {
        if first { self.key.get(1..).unwrap_or_default() } else { &self.key }
    }
}

impl Plan {
    pub(super) fn of(schema: &TableSchema) -> Result<Self, FormatError> {
        let columns = schema.columns.iter().map(PlannedColumn::of).collect::<Result<Vec<_>, _>>()?;
        let mut mysql_types = b",\"isDdl\":false,\"mysqlType\":{".to_vec();
        let mut sql_types = Vec::new();
        for (index, planned) in columns.iter().enumerate() {
            mysql_types.extend_from_slice(planned.key(index == 0));
            write_quoted(&mut mysql_types, &planned.column.source_type);
            write_code(&mut sql_types, planned, index == 0, planned.usual_code);
        }
        mysql_types.extend_from_slice(b"},\"old\":");
        let mut database = b",\"database\":".to_vec();
        write_quoted(&mut database, &schema.id.database);
        database.extend_from_slice(b",\"es\":");
        let mut table = b"},\"table\":".to_vec();
        write_quoted(&mut table, &schema.id.table);
        table.extend_from_slice(b",\"ts\":");
        let with_unusual_codes =
            columns.iter().enumerate().filter(|(_, planned)| planned.form.has_unusual_codes()).map(|(index, _)| index).collect();
        Ok(Self { keys: keys(schema)?, columns, database, mysql_types, table, sql_types, with_unusual_codes })
    }

    /// Appends the inside of `sqlType` for this row.
    pub(super) fn write_sql_types(&self, out: &mut Vec<u8>, row: &Row) {
        let unusual = |index: &usize| self.columns.get(*index).is_some_and(|planned| planned.form.unusual_code(row.get(*index)).is_some());
        if !self.with_unusual_codes.iter().any(unusual) {
            return out.extend_from_slice(&self.sql_types);
        }
        for (index, (planned, value)) in self.columns.iter().zip(row.values()).enumerate() {
            write_code(out, planned, index == 0, planned.form.unusual_code(value).unwrap_or(planned.usual_code));
        }
    }
}

fn write_code(out: &mut Vec<u8>, planned: &PlannedColumn, first: bool, code: i16) {
    out.extend_from_slice(planned.key(first));
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
}

/// `pkNames` lists the primary key in the order of the columns, not of the key, and is null without one: so does Canal.
fn keys(schema: &TableSchema) -> Result<Vec<u8>, FormatError> {
    let mut out = b",\"pkNames\":".to_vec();
    let mut indexes = schema.primary_key.clone();
    indexes.sort_unstable();
    for (position, &index) in indexes.iter().enumerate() {
        out.push(if position == 0 { b'[' } else { b',' });
        let column = schema.columns.get(index).ok_or_else(|| FormatError::UnknownKeyColumn { key: "PRIMARY".to_owned() })?;
        write_quoted(&mut out, &column.name);
    }
    out.extend_from_slice(if indexes.is_empty() { b"null" } else { b"]" });
    out.extend_from_slice(b",\"sql\":\"\",\"sqlType\":{");
    Ok(out)
}
