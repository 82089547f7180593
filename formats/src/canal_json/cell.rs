//! How the cells of a column are written in `data` and `old`, and which `sqlType` they have.

use runtime::{Charset, Column, ColumnKind, Value, text};

use super::config::{BinaryText, Config, DecimalText, JsonText, LabelText, SqlType};
use super::json_text::canal_document;
use super::number::{without_trailing_zero_group, write_f32, write_f64};
use crate::error::FormatError;
use crate::escape::{write_latin1, write_text, write_utf8};
use crate::row::{CellError, MAX_TIME, MAX_TIMESTAMP, charset, enum_label, set_labels};

/// How the cells of a column are written.
#[derive(Debug)]
pub(super) enum Encoding {
    Int {
        bytes: u8,
        unsigned: bool,
    },
    Decimal(DecimalText),
    Float,
    Double,
    Bit,
    Year,
    Date,
    Time {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
        offset_seconds: i32,
    },
    Text {
        charset: Charset,
    },
    /// BINARY without its trailing zeros: the binlog omits them, so Canal never sees them.
    UnpaddedBytes,
    Bytes(BinaryText),
    Geometry(BinaryText),
    Enum,
    Set,
    EnumLabel(Vec<String>),
    SetLabels(Vec<String>),
    Json(JsonText),
}

/// Codes of `java.sql.Types`.
mod code {
    pub(super) const BIT: i16 = -7;
    pub(super) const TINYINT: i16 = -6;
    pub(super) const BIGINT: i16 = -5;
    pub(super) const CHAR: i16 = 1;
    pub(super) const DECIMAL: i16 = 3;
    pub(super) const INTEGER: i16 = 4;
    pub(super) const SMALLINT: i16 = 5;
    pub(super) const REAL: i16 = 7;
    pub(super) const DOUBLE: i16 = 8;
    pub(super) const VARCHAR: i16 = 12;
    pub(super) const DATE: i16 = 91;
    pub(super) const TIME: i16 = 92;
    pub(super) const TIMESTAMP: i16 = 93;
    pub(super) const OTHER: i16 = 1111;
    pub(super) const BLOB: i16 = 2004;
    pub(super) const CLOB: i16 = 2005;
}

impl Encoding {
    /// Returns the encoding of a column's cells and the column's `sqlType`. Some values have another type; see `varying_sql_type`.
    pub(super) fn of(column: &Column, config: &Config) -> Result<(Encoding, i16), FormatError> {
        let unsupported = |kind| Err(FormatError::UnsupportedKind { column: column.name.clone(), kind });
        let characters = || charset(column).map(|charset| Encoding::Text { charset });
        let by_text = config.labels == LabelText::Text;
        Ok(match &column.kind {
            &ColumnKind::Int { bytes } => {
                let signed = match bytes {
                    1 => code::TINYINT,
                    2 => code::SMALLINT,
                    3 | 4 => code::INTEGER,
                    8 => code::BIGINT,
                    _ => return unsupported("integers of an unknown size"),
                };
                let is_static = config.sql_type == SqlType::Static && column.unsigned;
                (Encoding::Int { bytes, unsigned: column.unsigned }, if is_static { wider_type(bytes) } else { signed })
            }
            ColumnKind::Decimal { .. } => (Encoding::Decimal(config.decimal), code::DECIMAL),
            ColumnKind::Float => (Encoding::Float, code::REAL),
            ColumnKind::Double => (Encoding::Double, code::DOUBLE),
            ColumnKind::Bit { .. } => (Encoding::Bit, code::BIT),
            ColumnKind::Year => (Encoding::Year, code::VARCHAR),
            ColumnKind::Date => (Encoding::Date, code::DATE),
            &ColumnKind::Time { fsp } => (Encoding::Time { fsp }, code::TIME),
            &ColumnKind::DateTime { fsp } => (Encoding::DateTime { fsp }, code::TIMESTAMP),
            &ColumnKind::Timestamp { fsp } => (Encoding::Timestamp { fsp, offset_seconds: config.time_zone.seconds() }, code::TIMESTAMP),
            ColumnKind::Char { .. } => (characters()?, code::CHAR),
            ColumnKind::Varchar { .. } => (characters()?, code::VARCHAR),
            ColumnKind::Text { .. } => (characters()?, code::CLOB),
            ColumnKind::Binary { .. } if config.binary == BinaryText::Latin1 => (Encoding::UnpaddedBytes, code::BLOB),
            ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => {
                (Encoding::Bytes(config.binary), code::BLOB)
            }
            ColumnKind::Enum { labels } => (if by_text { Encoding::EnumLabel(labels.clone()) } else { Encoding::Enum }, code::INTEGER),
            ColumnKind::Set { labels } => (if by_text { Encoding::SetLabels(labels.clone()) } else { Encoding::Set }, code::BIT),
            ColumnKind::Json => (Encoding::Json(config.json), code::VARCHAR),
            ColumnKind::Geometry => (Encoding::Geometry(config.binary), code::BLOB),
            _ => return unsupported("columns of this type"),
        })
    }

    /// Whether Canal's `sqlType` of the column depends on the value.
    pub(super) fn sql_type_varies(&self) -> bool {
        matches!(self, Encoding::Int { unsigned: true, .. } | Encoding::Set | Encoding::SetLabels(_) | Encoding::Json(_))
    }

    /// Canal's `sqlType` of this value; `None` if it is the column's. An unsigned integer above the range of the signed type has the next
    /// larger type, a NULL in a SET column is a BLOB, and a NULL in a JSON column is OTHER.
    pub(super) fn varying_sql_type(&self, value: Value<'_>) -> Option<i16> {
        match (self, value) {
            (&Encoding::Int { bytes, unsigned: true }, Value::UInt(value)) => {
                let top_bit = (u32::from(bytes) * 8).checked_sub(1)?;
                (value.checked_shr(top_bit)? != 0).then(|| wider_type(bytes))
            }
            (Encoding::Set | Encoding::SetLabels(_), Value::Null) => Some(code::BLOB),
            (Encoding::Json(_), Value::Null) => Some(code::OTHER),
            _ => None,
        }
    }
}

/// The code of the smallest type that holds every unsigned integer of `bytes` bytes.
fn wider_type(bytes: u8) -> i16 {
    match bytes {
        1 => code::SMALLINT,
        2 | 3 => code::INTEGER,
        4 => code::BIGINT,
        _ => code::DECIMAL,
    }
}

/// Appends the text of a cell that is not NULL, escaped, without quotes around it.
///
/// `value` is passed by reference: copying a `Value` costs more than writing most values.
pub(super) fn write_cell(out: &mut Vec<u8>, value: &Value<'_>, encoding: &Encoding) -> Result<(), CellError> {
    match (encoding, value) {
        (Encoding::Int { unsigned: false, .. }, &Value::Int(value)) => text::write_i64(out, value),
        (Encoding::Int { unsigned: true, .. }, &Value::UInt(value)) => text::write_u64(out, value),
        (Encoding::Decimal(DecimalText::Exact), &Value::Decimal(value)) => write_text(out, value),
        (Encoding::Decimal(DecimalText::Canal), &Value::Decimal(value)) => write_text(out, without_trailing_zero_group(value)),
        (Encoding::Float, &Value::Float(value)) if value.is_finite() => write_f32(out, value),
        (Encoding::Double, &Value::Double(value)) if value.is_finite() => write_f64(out, value),
        (Encoding::Bit, &Value::Bit(value)) => text::write_u64(out, value),
        (Encoding::Year, &Value::Year(value)) => text::write_year(out, value),
        (Encoding::Date, &Value::Date(value)) => text::write_date(out, value),
        (Encoding::Time { fsp }, &Value::Time(value)) if value.unsigned_abs() <= MAX_TIME => text::write_time(out, value, *fsp),
        (Encoding::DateTime { fsp }, &Value::DateTime(value)) => text::write_datetime(out, value, *fsp),
        (Encoding::Timestamp { fsp, offset_seconds }, &Value::Timestamp(value)) if (0..=MAX_TIMESTAMP).contains(&value) => {
            text::write_timestamp(out, value, *fsp, *offset_seconds);
        }
        (Encoding::Text { charset: Charset::UTF8 }, &Value::Text(value)) => write_utf8(out, value).ok_or(CellError::InvalidText)?,
        (Encoding::Text { charset }, &Value::Text(value)) => write_text(out, &charset.decode(value).ok_or(CellError::InvalidText)?),
        (Encoding::UnpaddedBytes, &Value::Bytes(value)) => write_latin1(out, without_padding(value)),
        (Encoding::Bytes(binary_text), &Value::Bytes(value)) | (Encoding::Geometry(binary_text), &Value::Geometry(value)) => {
            match binary_text {
                BinaryText::Latin1 => write_latin1(out, value),
                BinaryText::Base64 => write_base64(out, value),
                BinaryText::Hex => write_hex(out, value),
            }
        }
        (Encoding::Enum, &Value::Enum(value)) => text::write_u64(out, u64::from(value)),
        (Encoding::Set, &Value::Set(value)) => text::write_u64(out, value),
        (Encoding::EnumLabel(labels), &Value::Enum(index)) => write_text(out, enum_label(index, labels)?),
        (Encoding::SetLabels(labels), &Value::Set(mask)) => {
            for (position, label) in set_labels(mask, labels)?.enumerate() {
                write_text(out, if position > 0 { "," } else { "" });
                write_text(out, label);
            }
        }
        (Encoding::Json(json_text), &Value::Json(value)) => {
            let document = std::str::from_utf8(value).map_err(|_| CellError::InvalidJson)?;
            match json_text {
                JsonText::Server => write_text(out, document),
                JsonText::Canal => write_text(out, &canal_document(document).ok_or(CellError::InvalidJson)?),
            }
        }
        (Encoding::Float, &Value::Float(_))
        | (Encoding::Double, &Value::Double(_))
        | (Encoding::Time { .. }, &Value::Time(_))
        | (Encoding::Timestamp { .. }, &Value::Timestamp(_)) => return Err(CellError::OutOfRange),
        _ => return Err(CellError::WrongCell),
    }
    Ok(())
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}

/// Appends Base64 with the standard alphabet and padding.
fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |group: u32, shift: u32| ALPHABET[(group >> shift & 63) as usize];
    out.reserve(bytes.len().div_ceil(3) * 4);
    let (groups, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in groups {
        let group = u32::from_be_bytes([0, a, b, c]);
        out.extend_from_slice(&[letter(group, 18), letter(group, 12), letter(group, 6), letter(group, 0)]);
    }
    match *rest {
        [a] => {
            let group = u32::from_be_bytes([0, a, 0, 0]);
            out.extend_from_slice(&[letter(group, 18), letter(group, 12), b'=', b'=']);
        }
        [a, b] => {
            let group = u32::from_be_bytes([0, a, b, 0]);
            out.extend_from_slice(&[letter(group, 18), letter(group, 12), letter(group, 6), b'=']);
        }
        _ => {}
    }
}

/// Appends two lower-case hexadecimal digits per byte.
fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: fn(&mut Vec<u8>, &[u8]), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, base64) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(text(write_base64, bytes.as_bytes()), base64);
        }
        assert_eq!(text(write_base64, &[0xfb, 0xff, 0xfe]), "+//+");
        assert_eq!(text(write_hex, &[0, 0xff, 0x80]), "00ff80");
    }
}
