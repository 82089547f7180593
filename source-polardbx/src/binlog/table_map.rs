//! TABLE_MAP: which table the rows that follow belong to, checked against the known structure, and the plan by which they are decoded.

use std::sync::Arc;

use runtime::{Charset, Column, ColumnKind, TableId, TableSchema};

use super::error::StreamError;
use super::event::Reader;
use crate::schema::max_bytes;

/// Type bytes of columns.
mod field {
    pub(super) const TINY: u8 = 1;
    pub(super) const SHORT: u8 = 2;
    pub(super) const LONG: u8 = 3;
    pub(super) const FLOAT: u8 = 4;
    pub(super) const DOUBLE: u8 = 5;
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const LONGLONG: u8 = 8;
    pub(super) const INT24: u8 = 9;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const YEAR: u8 = 13;
    pub(super) const VARCHAR: u8 = 15;
    pub(super) const BIT: u8 = 16;
    pub(super) const TIMESTAMP2: u8 = 17;
    pub(super) const DATETIME2: u8 = 18;
    pub(super) const TIME2: u8 = 19;
    pub(super) const JSON: u8 = 245;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const ENUM: u8 = 247;
    pub(super) const SET: u8 = 248;
    pub(super) const BLOB: u8 = 252;
    pub(super) const VAR_STRING: u8 = 253;
    pub(super) const STRING: u8 = 254;
    pub(super) const GEOMETRY: u8 = 255;
}

/// A TABLE_MAP's own facts.
#[derive(Debug)]
pub(crate) struct TableMap<'a> {
    pub(crate) table_id: u64,
    pub(crate) table: TableId,
    types: &'a [u8],
    metadata: &'a [u8],
    nullable: &'a [u8],
}

/// The id that the rows events use.
pub(crate) fn read_table_id(body: &[u8]) -> Result<u64, StreamError> {
    Reader::new(body).u48()
}

/// Reads the body of a TABLE_MAP. Optional metadata behind the null bits is not needed.
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
    Ok(TableMap { table_id, table, types, metadata, nullable })
}

/// How one column's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Int1,
    Int2,
    Int3,
    Int4,
    Int8,
    UInt1,
    UInt2,
    UInt3,
    UInt4,
    UInt8,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Bit {
        bytes: u8,
    },
    Year,
    Date,
    OldTime,
    OldDateTime,
    OldTimestamp,
    Time {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    /// Characters behind a length of so many bytes.
    Text {
        prefix: u8,
    },
    /// Bytes behind a length.
    Bytes {
        prefix: u8,
    },
    /// Bytes behind a length, padded with zeros to the column's length.
    Padded {
        prefix: u8,
        length: u32,
    },
    Enum {
        bytes: u8,
    },
    Set {
        bytes: u8,
    },
}

/// How the rows of one table are decoded.
#[derive(Debug)]
pub(crate) struct RowPlan {
    pub(crate) schema: Arc<TableSchema>,
    pub(crate) cells: Vec<Cell>,
}

/// What a TABLE_MAP says of one column.
struct Field {
    kind: u8,
    /// The metadata, in the order of its bytes.
    first: u8,
    second: u8,
    nullable: bool,
}

impl Field {
    /// For types whose metadata is one number of two bytes.
    fn length(&self) -> u32 {
        u32::from(u16::from_le_bytes([self.first, self.second]))
    }
}

/// Checks a TABLE_MAP against the structure and makes the plan.
pub(crate) fn plan_rows(map: &TableMap<'_>, schema: &Arc<TableSchema>) -> Result<RowPlan, StreamError> {
    let mismatch = |what: String| StreamError::SchemaMismatch { table: map.table.clone(), what };
    if map.types.len() != schema.columns.len() {
        return Err(mismatch(format!("the binlog shows {} columns, the known structure has {}", map.types.len(), schema.columns.len())));
    }
    let mut metadata = Reader::new(map.metadata);
    let mut cells = Vec::with_capacity(schema.columns.len());
    for (index, (&kind, column)) in map.types.iter().zip(&schema.columns).enumerate() {
        let nullable = map.nullable.get(index / 8).is_some_and(|bits| bits >> (index % 8) & 1 == 1);
        let field = read_field(kind, nullable, &mut metadata)?;
        refuse_unsupported(&map.table, column)?;
        let cell = match_column(&field, column).ok_or_else(|| {
            mismatch(format!(
                "column `{}` is {}{} by the known structure, but the binlog shows type {} with metadata {:02x} {:02x}",
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
                "column `{}` is {} in the binlog, {} by the known structure",
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
    Ok(RowPlan { schema: schema.clone(), cells })
}

fn read_field(kind: u8, nullable: bool, metadata: &mut Reader<'_>) -> Result<Field, StreamError> {
    let bytes = match kind {
        field::FLOAT
        | field::DOUBLE
        | field::TIMESTAMP2
        | field::DATETIME2
        | field::TIME2
        | field::JSON
        | field::BLOB
        | field::GEOMETRY => 1,
        field::VARCHAR | field::BIT | field::NEWDECIMAL | field::ENUM | field::SET | field::VAR_STRING | field::STRING => 2,
        field::TINY | field::SHORT | field::LONG | field::LONGLONG | field::INT24 => 0,
        field::TIMESTAMP | field::DATE | field::TIME | field::DATETIME | field::YEAR => 0,
        other => {
            return Err(StreamError::Unsupported {
                what: format!("column type {other} in a TABLE_MAP"),
                remedy: "leave the table out of the selection",
            });
        }
    };
    let first = if bytes > 0 { metadata.u8()? } else { 0 };
    let second = if bytes > 1 { metadata.u8()? } else { 0 };
    Ok(Field { kind, first, second, nullable })
}

fn refuse_unsupported(table: &TableId, column: &Column) -> Result<(), StreamError> {
    let refuse = |what: String| Err(StreamError::UnsupportedColumn { table: table.clone(), what });
    if matches!(column.kind, ColumnKind::Json | ColumnKind::Geometry) {
        return refuse(format!("column `{}` has the type {}, which is not supported yet", column.name, column.source_type));
    }
    match column.charset.as_deref() {
        // Labels of enums and sets are in the structure, in Unicode; rows hold numbers only.
        Some(_) if matches!(column.kind, ColumnKind::Enum { .. } | ColumnKind::Set { .. }) => Ok(()),
        Some(charset) if Charset::from_name(charset).is_none() => {
            refuse(format!("column `{}` has the character set {charset}, which is not supported yet", column.name))
        }
        _ => Ok(()),
    }
}

/// How the column's bytes are read; `None` if the binlog's type is not the known one.
fn match_column(field: &Field, column: &Column) -> Option<Cell> {
    let unsigned = column.unsigned;
    match (&column.kind, field.kind) {
        (ColumnKind::Int { bytes: 1 }, field::TINY) => Some(if unsigned { Cell::UInt1 } else { Cell::Int1 }),
        (ColumnKind::Int { bytes: 2 }, field::SHORT) => Some(if unsigned { Cell::UInt2 } else { Cell::Int2 }),
        (ColumnKind::Int { bytes: 3 }, field::INT24) => Some(if unsigned { Cell::UInt3 } else { Cell::Int3 }),
        (ColumnKind::Int { bytes: 4 }, field::LONG) => Some(if unsigned { Cell::UInt4 } else { Cell::Int4 }),
        (ColumnKind::Int { bytes: 8 }, field::LONGLONG) => Some(if unsigned { Cell::UInt8 } else { Cell::Int8 }),
        (ColumnKind::Float, field::FLOAT) if field.first == 4 => Some(Cell::Float),
        (ColumnKind::Double, field::DOUBLE) if field.first == 8 => Some(Cell::Double),
        (&ColumnKind::Decimal { precision, scale }, field::NEWDECIMAL) if (field.first, field.second) == (precision, scale) => {
            Some(Cell::Decimal { precision, scale })
        }
        (&ColumnKind::Bit { bits }, field::BIT) if u32::from(field.second) * 8 + u32::from(field.first) == u32::from(bits) => {
            Some(Cell::Bit { bytes: bits.div_ceil(8) })
        }
        (ColumnKind::Year, field::YEAR) => Some(Cell::Year),
        (ColumnKind::Date, field::DATE) => Some(Cell::Date),
        (ColumnKind::Time { fsp: 0 }, field::TIME) => Some(Cell::OldTime),
        (ColumnKind::DateTime { fsp: 0 }, field::DATETIME) => Some(Cell::OldDateTime),
        (ColumnKind::Timestamp { fsp: 0 }, field::TIMESTAMP) => Some(Cell::OldTimestamp),
        (&ColumnKind::Time { fsp }, field::TIME2) if field.first == fsp => Some(Cell::Time { fsp }),
        (&ColumnKind::DateTime { fsp }, field::DATETIME2) if field.first == fsp => Some(Cell::DateTime { fsp }),
        (&ColumnKind::Timestamp { fsp }, field::TIMESTAMP2) if field.first == fsp => Some(Cell::Timestamp { fsp }),
        (ColumnKind::Char { length }, field::STRING) => {
            let stated = string_length(field)?;
            (stated == length.saturating_mul(width(column)?)).then_some(Cell::Text { prefix: prefix_of(stated) })
        }
        (ColumnKind::Varchar { length }, field::VARCHAR | field::VAR_STRING) => {
            (field.length() == length.saturating_mul(width(column)?)).then_some(Cell::Text { prefix: prefix_of(field.length()) })
        }
        (&ColumnKind::Binary { length }, field::STRING) => {
            (string_length(field)? == length).then_some(Cell::Padded { prefix: prefix_of(length), length })
        }
        (&ColumnKind::Varbinary { length }, field::VARCHAR | field::VAR_STRING) => {
            (field.length() == length).then_some(Cell::Bytes { prefix: prefix_of(length) })
        }
        (&ColumnKind::Text { prefix }, field::BLOB) => (field.first == prefix).then_some(Cell::Text { prefix }),
        (&ColumnKind::Blob { prefix }, field::BLOB) => (field.first == prefix).then_some(Cell::Bytes { prefix }),
        (ColumnKind::Enum { labels }, field::STRING | field::ENUM) if is_packed(field, field::ENUM) => {
            let bytes = if labels.len() < 256 { 1 } else { 2 };
            (field.second == bytes).then_some(Cell::Enum { bytes })
        }
        (ColumnKind::Set { labels }, field::STRING | field::SET) if is_packed(field, field::SET) => {
            let bytes = match labels.len().div_ceil(8) {
                bytes @ 1..=4 => bytes as u8,
                _ => 8,
            };
            (field.second == bytes).then_some(Cell::Set { bytes })
        }
        _ => None,
    }
}

/// ENUM and SET come as STRING with their own type in the metadata.
fn is_packed(field: &Field, own: u8) -> bool {
    field.kind == own || field.first == own
}

/// The length in bytes of a CHAR or BINARY: two bits of it are hidden, inverted, in the type byte of the metadata.
fn string_length(field: &Field) -> Option<u32> {
    let high = u32::from(!field.first & 0x30) << 4;
    let kind = field.first | 0x30;
    (kind == field::STRING).then_some(high | u32::from(field.second))
}

fn width(column: &Column) -> Option<u32> {
    column.charset.as_deref().and_then(max_bytes)
}

fn prefix_of(length: u32) -> u8 {
    if length > 255 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(first: u8, second: u8) -> Field {
        Field { kind: field::STRING, first, second, nullable: true }
    }

    #[test]
    fn lengths_above_255_hide_in_the_type_byte() {
        assert_eq!(string_length(&string(0xfe, 255)), Some(255));
        assert_eq!(string_length(&string(0xee, 0)), Some(256));
        assert_eq!(string_length(&string(0xee, 44)), Some(300));
        assert_eq!(string_length(&string(0xce, 252)), Some(1020));
        assert_eq!(string_length(&string(field::ENUM, 1)), None);
    }

    #[test]
    fn another_length_or_sign_of_life_is_a_mismatch() {
        let mut column = Column::new("c", ColumnKind::Char { length: 10 }, "char(10)");
        column.charset = Some("utf8mb4".into());
        assert_eq!(match_column(&string(0xfe, 40), &column), Some(Cell::Text { prefix: 1 }));
        assert_eq!(match_column(&string(0xfe, 44), &column), None);
        let number = Column::new("n", ColumnKind::Decimal { precision: 10, scale: 2 }, "decimal(10,2)");
        assert_eq!(match_column(&Field { kind: field::NEWDECIMAL, first: 10, second: 3, nullable: true }, &number), None);
    }
}
