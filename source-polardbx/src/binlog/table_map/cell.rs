//! Compares a column's type in the binlog with its type in the known schema, and chooses how the column is decoded.

use runtime::{Column, ColumnKind};

use crate::binlog::row::{CellFormat, JsonStyle, UuidInet};
use crate::schema::{Dialect, max_bytes};

/// The type bytes of columns in a TABLE_MAP.
pub(super) mod field {
    pub(crate) const TINY: u8 = 1;
    pub(crate) const SHORT: u8 = 2;
    pub(crate) const LONG: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const DOUBLE: u8 = 5;
    pub(crate) const TIMESTAMP: u8 = 7;
    pub(crate) const LONGLONG: u8 = 8;
    pub(crate) const INT24: u8 = 9;
    pub(crate) const DATE: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const DATETIME: u8 = 12;
    pub(crate) const YEAR: u8 = 13;
    pub(crate) const VARCHAR: u8 = 15;
    pub(crate) const BIT: u8 = 16;
    pub(crate) const TIMESTAMP2: u8 = 17;
    pub(crate) const DATETIME2: u8 = 18;
    pub(crate) const TIME2: u8 = 19;
    /// `BLOB_COMPRESSED` and `VARCHAR_COMPRESSED` exist only in MariaDB.
    pub(crate) const BLOB_COMPRESSED: u8 = 140;
    pub(crate) const VARCHAR_COMPRESSED: u8 = 141;
    pub(crate) const VECTOR: u8 = 242;
    pub(crate) const JSON: u8 = 245;
    pub(crate) const NEWDECIMAL: u8 = 246;
    pub(crate) const ENUM: u8 = 247;
    pub(crate) const SET: u8 = 248;
    pub(crate) const BLOB: u8 = 252;
    pub(crate) const VAR_STRING: u8 = 253;
    pub(crate) const STRING: u8 = 254;
    pub(crate) const GEOMETRY: u8 = 255;
}

/// The description of one column in a TABLE_MAP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) kind: u8,
    /// The first byte of the column's metadata. The field `second` is the second byte. A byte that the type does not have is 0.
    pub(super) first: u8,
    pub(super) second: u8,
    pub(super) nullable: bool,
}

impl Field {
    /// The metadata as one number of two bytes, for types such as VARCHAR that store a length in it.
    pub(super) fn length(&self) -> u32 {
        u32::from(u16::from_le_bytes([self.first, self.second]))
    }
}

/// How the column is decoded; `None` if its type in the binlog is not the type in the known schema.
pub(super) fn match_column(field: &Field, column: &Column, dialect: Dialect) -> Option<CellFormat> {
    let unsigned = column.unsigned;
    match (&column.kind, field.kind) {
        (ColumnKind::Int { bytes: 1 }, field::TINY) => Some(if unsigned { CellFormat::UInt1 } else { CellFormat::Int1 }),
        (ColumnKind::Int { bytes: 2 }, field::SHORT) => Some(if unsigned { CellFormat::UInt2 } else { CellFormat::Int2 }),
        (ColumnKind::Int { bytes: 3 }, field::INT24) => Some(if unsigned { CellFormat::UInt3 } else { CellFormat::Int3 }),
        (ColumnKind::Int { bytes: 4 }, field::LONG) => Some(if unsigned { CellFormat::UInt4 } else { CellFormat::Int4 }),
        (ColumnKind::Int { bytes: 8 }, field::LONGLONG) => Some(if unsigned { CellFormat::UInt8 } else { CellFormat::Int8 }),
        (ColumnKind::Float, field::FLOAT) if field.first == 4 => Some(CellFormat::Float),
        (ColumnKind::Double, field::DOUBLE) if field.first == 8 => Some(CellFormat::Double),
        (&ColumnKind::Decimal { precision, scale }, field::NEWDECIMAL) if (field.first, field.second) == (precision, scale) => {
            Some(CellFormat::Decimal { precision, scale })
        }
        (&ColumnKind::Bit { bits }, field::BIT) if u32::from(field.second) * 8 + u32::from(field.first) == u32::from(bits) => {
            Some(CellFormat::Bit { bytes: bits.div_ceil(8) })
        }
        (ColumnKind::Year, field::YEAR) => Some(CellFormat::Year),
        (ColumnKind::Date, field::DATE) => Some(CellFormat::Date),
        (ColumnKind::Time { fsp: 0 }, field::TIME) => Some(CellFormat::OldTime),
        (ColumnKind::DateTime { fsp: 0 }, field::DATETIME) => Some(CellFormat::OldDateTime),
        (ColumnKind::Timestamp { fsp: 0 }, field::TIMESTAMP) => Some(CellFormat::OldTimestamp),
        (&ColumnKind::Time { fsp }, field::TIME2) if field.first == fsp => Some(CellFormat::Time { fsp }),
        (&ColumnKind::DateTime { fsp }, field::DATETIME2) if field.first == fsp => Some(CellFormat::DateTime { fsp }),
        (&ColumnKind::Timestamp { fsp }, field::TIMESTAMP2) if field.first == fsp => Some(CellFormat::Timestamp { fsp }),
        (ColumnKind::Char { .. }, field::STRING) if UuidInet::of(column).is_some() => {
            UuidInet::of(column).filter(|kind| string_length(field) == Some(kind.bytes())).map(CellFormat::UuidInet)
        }
        (ColumnKind::Char { length }, field::STRING) => {
            let stated = string_length(field)?;
            (stated == length.saturating_mul(width(column)?)).then_some(CellFormat::Text { prefix: prefix_of(stated) })
        }
        (ColumnKind::Varchar { length }, field::VARCHAR | field::VAR_STRING) => {
            (field.length() == length.saturating_mul(width(column)?)).then_some(CellFormat::Text { prefix: prefix_of(field.length()) })
        }
        (&ColumnKind::Binary { length }, field::STRING) => {
            (string_length(field)? == length).then_some(CellFormat::Padded { prefix: prefix_of(length), length })
        }
        (&ColumnKind::Varbinary { length }, field::VARCHAR | field::VAR_STRING) => {
            (field.length() == length).then_some(CellFormat::Bytes { prefix: prefix_of(length) })
        }
        (&ColumnKind::Text { prefix }, field::BLOB) => (field.first == prefix).then_some(CellFormat::Text { prefix }),
        (ColumnKind::Json, field::JSON) => {
            is_prefix(field.first).then(|| CellFormat::Json { prefix: field.first, style: JsonStyle::of(dialect) })
        }
        (ColumnKind::Geometry, field::GEOMETRY) => is_prefix(field.first).then_some(CellFormat::Geometry { prefix: field.first }),
        (&ColumnKind::Blob { prefix }, field::BLOB | field::VECTOR) => (field.first == prefix).then_some(CellFormat::Bytes { prefix }),
        (&ColumnKind::Text { prefix }, field::BLOB_COMPRESSED) => (field.first == prefix).then(|| compressed(prefix, true, u32::MAX)),
        (&ColumnKind::Blob { prefix }, field::BLOB_COMPRESSED) => (field.first == prefix).then(|| compressed(prefix, false, u32::MAX)),
        // The length in the metadata is the length of a stored value, which includes its header byte.
        (ColumnKind::Varchar { length }, field::VARCHAR_COMPRESSED) => {
            let most = length.saturating_mul(width(column)?);
            (field.length() == most.saturating_add(1)).then(|| compressed(prefix_of(field.length()), true, most))
        }
        (&ColumnKind::Varbinary { length }, field::VARCHAR_COMPRESSED) => {
            (field.length() == length.saturating_add(1)).then(|| compressed(prefix_of(field.length()), false, length))
        }
        // MariaDB stores a VECTOR like a VARBINARY.
        (ColumnKind::Blob { .. }, field::VARCHAR) if column.source_type.starts_with("vector(") => {
            Some(CellFormat::Bytes { prefix: prefix_of(field.length()) })
        }
        (ColumnKind::Enum { labels }, field::STRING | field::ENUM) if is_packed(field, field::ENUM) => {
            let bytes = if labels.len() < 256 { 1 } else { 2 };
            (field.second == bytes).then_some(CellFormat::Enum { bytes })
        }
        (ColumnKind::Set { labels }, field::STRING | field::SET) if is_packed(field, field::SET) => {
            let bytes = match labels.len().div_ceil(8) {
                bytes @ 1..=4 => bytes as u8,
                _ => 8,
            };
            (field.second == bytes).then_some(CellFormat::Set { bytes })
        }
        _ => None,
    }
}

/// Whether a column has the type `own`, which is ENUM or SET. ENUM and SET columns are usually logged as STRING, with the type `own` in the
/// metadata.
fn is_packed(field: &Field, own: u8) -> bool {
    field.kind == own || field.first == own
}

/// The length in bytes of a CHAR or BINARY column; `None` for another type. The two highest bits of the length are stored inverted in the
/// first metadata byte.
pub(super) fn string_length(field: &Field) -> Option<u32> {
    let high = u32::from(!field.first & 0x30) << 4;
    let kind = field.first | 0x30;
    (kind == field::STRING).then_some(high | u32::from(field.second))
}

fn width(column: &Column) -> Option<u32> {
    column.charset().and_then(max_bytes)
}

/// Whether `bytes` is a valid size of a length prefix.
fn is_prefix(bytes: u8) -> bool {
    (1..=4).contains(&bytes)
}

/// The format of a compressed column. The length of a value is limited by `most`, by the largest packet and by the length prefix.
pub(super) fn compressed(prefix: u8, text: bool, most: u32) -> CellFormat {
    const PACKET: u32 = 1 << 30;
    let countable = 1u64 << (8 * u32::from(prefix).min(4));
    CellFormat::Compressed { prefix, text, most: most.min(PACKET).min(u32::try_from(countable - 1).unwrap_or(u32::MAX)) }
}

pub(super) fn prefix_of(length: u32) -> u8 {
    if length > 255 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use runtime::Collation;

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
    fn compressed_columns_have_room_for_a_byte_more() {
        let field = |kind, length: u16| {
            let [first, second] = length.to_le_bytes();
            Field { kind, first, second, nullable: true }
        };
        let mut text = Column::new("t", ColumnKind::Varchar { length: 85 }, "varchar(85)");
        text.collation = Some(Collation::new("utf8_bin"));
        let matched = |column: &Column, field: Field| match_column(&field, column, Dialect::default());
        assert_eq!(
            matched(&text, field(field::VARCHAR_COMPRESSED, 256)),
            Some(CellFormat::Compressed { prefix: 2, text: true, most: 255 })
        );
        assert_eq!(matched(&text, field(field::VARCHAR_COMPRESSED, 255)), None);
        let bytes = Column::new("b", ColumnKind::Varbinary { length: 50 }, "varbinary(50)");
        assert_eq!(
            matched(&bytes, field(field::VARCHAR_COMPRESSED, 51)),
            Some(CellFormat::Compressed { prefix: 1, text: false, most: 50 })
        );
        for (prefix, most) in [(1, 0xff), (2, 0xffff), (3, 0xff_ffff), (4, 1 << 30)] {
            let blob = Column::new("b", ColumnKind::Blob { prefix }, "blob");
            let field = field(field::BLOB_COMPRESSED, prefix.into());
            assert_eq!(matched(&blob, field), Some(CellFormat::Compressed { prefix, text: false, most }));
        }
    }

    #[test]
    fn another_length_or_sign_is_a_mismatch() {
        let mut column = Column::new("c", ColumnKind::Char { length: 10 }, "char(10)");
        column.collation = Some(Collation::new("utf8mb4_bin"));
        assert_eq!(match_column(&string(0xfe, 40), &column, Dialect::default()), Some(CellFormat::Text { prefix: 1 }));
        assert_eq!(match_column(&string(0xfe, 44), &column, Dialect::default()), None);
        let number = Column::new("n", ColumnKind::Decimal { precision: 10, scale: 2 }, "decimal(10,2)");
        assert_eq!(
            match_column(&Field { kind: field::NEWDECIMAL, first: 10, second: 3, nullable: true }, &number, Dialect::default()),
            None
        );
    }
}
