//! TABLE_MAP events. A TABLE_MAP describes the table of the row events that follow. This description is compared with the known schema, and
//! yields the layout by which the rows are decoded.

mod cell;
mod optional;

use std::sync::Arc;

use runtime::{Charset, Column, ColumnKind, TableId, TableSchema};

use super::error::StreamError;
use super::event::Reader;
use super::profile::ServerProfile;
use super::row::RowLayout;
use cell::{Field, field, match_column};
use optional::{Mismatch, check_metadata};

/// The contents of a TABLE_MAP.
#[derive(Debug)]
pub(crate) struct TableMap<'a> {
    pub(crate) table_id: u64,
    pub(crate) table: TableId,
    types: &'a [u8],
    metadata: &'a [u8],
    nullable: &'a [u8],
    /// The optional metadata; empty if the server does not write it.
    optional: &'a [u8],
}

impl TableMap<'_> {
    /// Whether the column with this index is nullable.
    pub(crate) fn is_nullable(&self, index: usize) -> bool {
        self.nullable.get(index / 8).is_some_and(|bits| bits >> (index % 8) & 1 == 1)
    }

    /// Whether the table has the columns of a MariaDB sequence, which is stored like a table with one row.
    pub(crate) fn is_sequence(&self) -> bool {
        let mut types = [field::LONGLONG; 8];
        types[6] = field::TINY;
        self.types == types && self.metadata.is_empty() && self.nullable == [0]
    }
}

/// Reads the table id, by which row events refer to a TABLE_MAP.
pub(crate) fn read_table_id(body: &[u8]) -> Result<u64, StreamError> {
    Reader::new(body).u48()
}

/// Reads the body of a TABLE_MAP.
pub(crate) fn read_table_map(body: &[u8]) -> Result<TableMap<'_>, StreamError> {
    let mut reader = Reader::new(body);
    let table_id = reader.u48()?;
    reader.u16()?;
    let mut name = || -> Result<&str, StreamError> {
        let length = reader.u8()?;
        let name = reader.take(length.into())?;
        reader.u8()?;
        std::str::from_utf8(name).map_err(|_| StreamError::corrupt("the name of a table is not UTF-8"))
    };
    let table = TableId::new(name()?, name()?);
    let columns = reader.length_encoded()?;
    let types = reader.take(columns)?;
    let metadata_length = reader.length_encoded()?;
    let metadata = reader.take(metadata_length)?;
    let nullable = reader.take(columns.div_ceil(8))?;
    Ok(TableMap { table_id, table, types, metadata, nullable, optional: reader.rest() })
}

/// Compares a TABLE_MAP with the known schema and returns the layout of its rows.
///
/// PolarDB-X may add one column behind the others, its hidden key of a table without a primary key. The row events then say so.
pub(crate) fn row_layout(map: &TableMap<'_>, schema: &Arc<TableSchema>, profile: &ServerProfile) -> Result<RowLayout, StreamError> {
    let dialect = profile.dialect();
    let hidden_key = profile.is_polardbx()
        && map.types.len() == schema.columns.len() + 1
        && map.types.last() == Some(&field::LONGLONG)
        && !map.is_nullable(schema.columns.len());
    let mismatch = |what: String| StreamError::SchemaMismatch { table: map.table.clone(), what };
    if map.types.len() != schema.columns.len() + usize::from(hidden_key) {
        return Err(mismatch(format!("the binlog shows {} columns, the known schema has {}", map.types.len(), schema.columns.len())));
    }
    let mut metadata = Reader::new(map.metadata);
    let mut cells = Vec::with_capacity(schema.columns.len());
    for (index, (&kind, column)) in map.types.iter().zip(&schema.columns).enumerate() {
        let field = read_field(kind, map.is_nullable(index), &mut metadata)?;
        refuse_unsupported(&map.table, column)?;
        let cell = match_column(&field, column, dialect).ok_or_else(|| {
            mismatch(format!(
                "column `{}` is {}{} by the known schema, but the binlog shows type {} with metadata {:02x} {:02x}",
                column.name,
                column.source_type,
                if column.nullable { "" } else { " not null" },
                field.kind,
                field.first,
                field.second
            ))
        })?;
        if field.nullable != column.nullable {
            let says = |nullable| if nullable { "nullable" } else { "not null" };
            return Err(mismatch(format!(
                "column `{}` is {} in the binlog, {} by the known schema",
                column.name,
                says(field.nullable),
                says(column.nullable)
            )));
        }
        cells.push(cell);
    }
    if !metadata.is_empty() {
        return Err(StreamError::corrupt(format!("the TABLE_MAP of {} has too much metadata", map.table)));
    }
    match check_metadata(map.optional, schema, dialect) {
        Ok(()) => Ok(RowLayout { schema: schema.clone(), cells, hidden_key }),
        Err(Mismatch::Differs(what)) => Err(mismatch(what)),
        Err(Mismatch::Broken(error)) => Err(error),
    }
}

fn read_field(kind: u8, nullable: bool, metadata: &mut Reader<'_>) -> Result<Field, StreamError> {
    let bytes = match kind {
        field::FLOAT
        | field::DOUBLE
        | field::TIMESTAMP2
        | field::DATETIME2
        | field::TIME2
        | field::JSON
        | field::VECTOR
        | field::BLOB
        | field::BLOB_COMPRESSED
        | field::GEOMETRY => 1,
        field::VARCHAR
        | field::VARCHAR_COMPRESSED
        | field::BIT
        | field::NEWDECIMAL
        | field::ENUM
        | field::SET
        | field::VAR_STRING
        | field::STRING => 2,
        field::TINY | field::SHORT | field::LONG | field::LONGLONG | field::INT24 => 0,
        field::TIMESTAMP | field::DATE | field::TIME | field::DATETIME | field::YEAR => 0,
        other => {
            return Err(StreamError::Unsupported {
                what: format!("column type {other} in a TABLE_MAP"),
                help: "leave the table out of the selection",
            });
        }
    };
    let first = if bytes > 0 { metadata.u8()? } else { 0 };
    let second = if bytes > 1 { metadata.u8()? } else { 0 };
    Ok(Field { kind, first, second, nullable })
}

fn refuse_unsupported(table: &TableId, column: &Column) -> Result<(), StreamError> {
    let refuse = |what: String| Err(StreamError::UnsupportedColumn { table: table.clone(), what });
    match column.charset.as_deref() {
        // Row events hold only the numbers of ENUM and SET values. The labels are in the schema, in Unicode, so their character set does
        // not matter.
        Some(_) if matches!(column.kind, ColumnKind::Enum { .. } | ColumnKind::Set { .. }) => Ok(()),
        Some(charset) if Charset::from_name(charset).is_none() => {
            refuse(format!("column `{}` has the character set {charset}, which is not supported yet", column.name))
        }
        _ => Ok(()),
    }
}
