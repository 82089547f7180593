//! The layout of the rows of a table of which nothing is known but its TABLE_MAP. For showing files to people: a stream never guesses so.
//!
//! A TABLE_MAP without full metadata has no names, no labels and no character sets. Texts are taken for UTF-8, and ENUM and SET values are
//! numbers. Integers have no sign where the TABLE_MAP does not tell it.

use std::sync::Arc;

use runtime::{Collation, Column, ColumnKind, TableSchema};

use super::cell::{compressed, field, prefix_of, string_length};
use super::description::{Description, ShownColumn};
use super::event::TableMap;
use crate::binlog::error::StreamError;
use crate::binlog::profile::ServerProfile;
use crate::binlog::row::{CellFormat, JsonStyle, RowLayout};

/// The layout of rows whose columns are called by their names, if the TABLE_MAP has them, or else `@1`, `@2` and so on. The columns `absent` are
/// not in the rows.
pub(crate) fn nameless_layout(map: &TableMap<'_>, profile: &ServerProfile, absent: &[usize]) -> Result<RowLayout, StreamError> {
    let description = Description::read(map, profile)?;
    let (mut columns, mut cells) = (Vec::new(), Vec::new());
    for (place, shown) in description.columns.iter().enumerate().filter(|(place, _)| !absent.contains(place)) {
        let (kind, cell) = cell(shown, profile).ok_or_else(|| StreamError::Unsupported {
            what: format!("column {} of {}", place + 1, map.table),
            help: "leave the table out of the selection",
        })?;
        let name = shown.name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| !name.is_empty());
        let mut column = Column::new(name.map_or_else(|| format!("@{}", place + 1), str::to_owned), kind, "");
        column.nullable = shown.field.nullable;
        if matches!(column.kind, ColumnKind::Varchar { .. }) {
            column.collation = Some(Collation::new("utf8mb4_bin"));
        }
        columns.push(column);
        cells.push(cell);
    }
    let schema = Arc::new(TableSchema::new(map.table.clone(), columns));
    Ok(RowLayout { schema, cells, hidden: 0, is_hidden_key: false, absent: absent.to_vec() })
}

/// How a column is shown and how it is decoded; `None` if its metadata is impossible.
fn cell(shown: &ShownColumn<'_>, profile: &ServerProfile) -> Option<(ColumnKind, CellFormat)> {
    let (first, second) = (shown.field.first, shown.field.second);
    let integer = |bytes: u8| {
        let cell = match (bytes, shown.unsigned.unwrap_or(false)) {
            (1, false) => CellFormat::Int1,
            (2, false) => CellFormat::Int2,
            (3, false) => CellFormat::Int3,
            (4, false) => CellFormat::Int4,
            (_, false) => CellFormat::Int8,
            (1, true) => CellFormat::UInt1,
            (2, true) => CellFormat::UInt2,
            (3, true) => CellFormat::UInt3,
            (4, true) => CellFormat::UInt4,
            (_, true) => CellFormat::UInt8,
        };
        (ColumnKind::Int { bytes }, cell)
    };
    let text = |cell: CellFormat| (ColumnKind::Varchar { length: 0 }, cell);
    let bytes = |prefix: u8| (ColumnKind::Blob { prefix }, CellFormat::Bytes { prefix });
    let fsp = Some(first).filter(|fsp| *fsp <= 6);
    let prefix = Some(first).filter(|prefix| (1..=4).contains(prefix));
    Some(match shown.real_kind() {
        field::TINY => integer(1),
        field::SHORT => integer(2),
        field::INT24 => integer(3),
        field::LONG => integer(4),
        field::LONGLONG => integer(8),
        field::FLOAT if first == 4 => (ColumnKind::Float, CellFormat::Float),
        field::DOUBLE if first == 8 => (ColumnKind::Double, CellFormat::Double),
        field::NEWDECIMAL if second <= first && first <= 65 && second <= 30 => {
            (ColumnKind::Decimal { precision: first, scale: second }, CellFormat::Decimal { precision: first, scale: second })
        }
        field::BIT => {
            let bits = u8::try_from(u16::from(second) * 8 + u16::from(first)).ok().filter(|bits| (1..=64).contains(bits))?;
            (ColumnKind::Bit { bits }, CellFormat::Bit { bytes: bits.div_ceil(8) })
        }
        field::YEAR => (ColumnKind::Year, CellFormat::Year),
        field::DATE => (ColumnKind::Date, CellFormat::Date),
        field::TIME => (ColumnKind::Time { fsp: 0 }, CellFormat::OldTime),
        field::DATETIME => (ColumnKind::DateTime { fsp: 0 }, CellFormat::OldDateTime),
        field::TIMESTAMP => (ColumnKind::Timestamp { fsp: 0 }, CellFormat::OldTimestamp),
        field::TIME2 => (ColumnKind::Time { fsp: fsp? }, CellFormat::Time { fsp: fsp? }),
        field::DATETIME2 => (ColumnKind::DateTime { fsp: fsp? }, CellFormat::DateTime { fsp: fsp? }),
        field::TIMESTAMP2 => (ColumnKind::Timestamp { fsp: fsp? }, CellFormat::Timestamp { fsp: fsp? }),
        field::VARCHAR | field::VAR_STRING => text(CellFormat::Text { prefix: prefix_of(shown.field.length()) }),
        field::VARCHAR_COMPRESSED => text(compressed(prefix_of(shown.field.length()), true, shown.field.length())),
        field::STRING => text(CellFormat::Text { prefix: prefix_of(string_length(&shown.field)?) }),
        field::BLOB => text(CellFormat::Text { prefix: prefix? }),
        field::BLOB_COMPRESSED => text(compressed(prefix?, true, u32::MAX)),
        field::JSON => (ColumnKind::Json, CellFormat::Json { prefix: prefix?, style: JsonStyle::of(profile.dialect()) }),
        field::GEOMETRY => (ColumnKind::Geometry, CellFormat::Geometry { prefix: prefix? }),
        field::VECTOR => bytes(prefix?),
        field::ENUM => (ColumnKind::Int { bytes: 2 }, if second == 1 { CellFormat::UInt1 } else { CellFormat::UInt2 }),
        field::SET => (
            ColumnKind::Int { bytes: 8 },
            match second {
                1 => CellFormat::UInt1,
                2 => CellFormat::UInt2,
                3 => CellFormat::UInt3,
                4 => CellFormat::UInt4,
                8 => CellFormat::UInt8,
                _ => return None,
            },
        ),
        _ => return None,
    })
}
