//! The text of one cell in `data` and `old`, and its `sqlType`.

use runtime::{Charset, Column, ColumnKind, Value, text};

use super::config::{Config, DecimalText};
use super::escape::{write_latin1, write_text};
use super::java_float::{write_f32, write_f64};
use crate::charset;
use crate::error::{FormatError, Refusal};
use crate::limits::{MAX_TIME, MAX_TIMESTAMP};

/// How the cells of a column are written, decided once per table version.
#[derive(Debug)]
pub(super) enum Form {
    Int {
        bytes: u8,
        unsigned: bool,
    },
    Decimal,
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
    },
    Text {
        charset: Charset,
    },
    /// `padded`: the zeros that fill a BINARY up are not written, as they are not in the binlog that Canal reads.
    Bytes {
        padded: bool,
    },
    Enum,
    Set,
    Geometry,
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
    pub(super) const BLOB: i16 = 2004;
    pub(super) const CLOB: i16 = 2005;
}

impl Form {
    /// The form of a column and its usual `sqlType`.
    pub(super) fn of(column: &Column) -> Result<(Form, i16), FormatError> {
        let unsupported = |kind| Err(FormatError::UnsupportedKind { column: column.name.clone(), kind });
        let characters = || charset(column).map(|charset| Form::Text { charset });
        Ok(match column.kind {
            ColumnKind::Int { bytes } => {
                let usual = match bytes {
                    1 => code::TINYINT,
                    2 => code::SMALLINT,
                    3 | 4 => code::INTEGER,
                    8 => code::BIGINT,
                    _ => return unsupported("integers of an unknown size"),
                };
                (Form::Int { bytes, unsigned: column.unsigned }, usual)
            }
            ColumnKind::Decimal { .. } => (Form::Decimal, code::DECIMAL),
            ColumnKind::Float => (Form::Float, code::REAL),
            ColumnKind::Double => (Form::Double, code::DOUBLE),
            ColumnKind::Bit { .. } => (Form::Bit, code::BIT),
            ColumnKind::Year => (Form::Year, code::VARCHAR),
            ColumnKind::Date => (Form::Date, code::DATE),
            ColumnKind::Time { fsp } => (Form::Time { fsp }, code::TIME),
            ColumnKind::DateTime { fsp } => (Form::DateTime { fsp }, code::TIMESTAMP),
            ColumnKind::Timestamp { fsp } => (Form::Timestamp { fsp }, code::TIMESTAMP),
            ColumnKind::Char { .. } => (characters()?, code::CHAR),
            ColumnKind::Varchar { .. } => (characters()?, code::VARCHAR),
            ColumnKind::Text { .. } => (characters()?, code::CLOB),
            ColumnKind::Binary { .. } => (Form::Bytes { padded: true }, code::BLOB),
            ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => (Form::Bytes { padded: false }, code::BLOB),
            ColumnKind::Enum { .. } => (Form::Enum, code::INTEGER),
            ColumnKind::Set { .. } => (Form::Set, code::BIT),
            ColumnKind::Geometry => (Form::Geometry, code::BLOB),
            ColumnKind::Json => return unsupported("JSON"),
            _ => return unsupported("such"),
        })
    }

    /// Whether the `sqlType` depends on the value.
    pub(super) fn has_unusual_codes(&self) -> bool {
        matches!(self, Form::Int { unsigned: true, .. } | Form::Set)
    }

    /// The `sqlType` of this value if it is not the usual one: unsigned integers that do not fit the signed type go one type up, and Canal
    /// calls a set without a value a BLOB.
    pub(super) fn unusual_code(&self, value: Value<'_>) -> Option<i16> {
        match (self, value) {
            (Form::Int { bytes, unsigned: true }, Value::UInt(value)) => match bytes {
                1 if value >> 7 != 0 => Some(code::SMALLINT),
                2 if value >> 15 != 0 => Some(code::INTEGER),
                3 if value >> 23 != 0 => Some(code::INTEGER),
                4 if value >> 31 != 0 => Some(code::BIGINT),
                8 if value >> 63 != 0 => Some(code::DECIMAL),
                _ => None,
            },
            (Form::Set, Value::Null) => Some(code::BLOB),
            _ => None,
        }
    }
}

/// Appends a cell as a JSON string, or `null`.
///
/// Takes the value by reference: copying one that was just unpacked costs more than writing most of them.
pub(super) fn write_cell(out: &mut Vec<u8>, value: &Value<'_>, form: &Form, config: &Config) -> Result<(), Refusal> {
    if matches!(value, Value::Null) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    out.push(b'"');
    match (form, value) {
        (Form::Int { unsigned: false, .. }, &Value::Int(value)) => text::write_i64(out, value),
        (Form::Int { unsigned: true, .. }, &Value::UInt(value)) => text::write_u64(out, value),
        (Form::Decimal, &Value::Decimal(value)) => match config.decimal {
            DecimalText::Exact => write_text(out, value),
            DecimalText::Canal => write_text(out, without_last_zeros(value)),
        },
        (Form::Float, &Value::Float(value)) if value.is_finite() => write_f32(out, value),
        (Form::Double, &Value::Double(value)) if value.is_finite() => write_f64(out, value),
        (Form::Bit, &Value::Bit(value)) => text::write_u64(out, value),
        (Form::Year, &Value::Year(value)) => text::write_year(out, value),
        (Form::Date, &Value::Date(value)) => text::write_date(out, value),
        (Form::Time { fsp }, &Value::Time(value)) if value.unsigned_abs() <= MAX_TIME => text::write_time(out, value, *fsp),
        (Form::DateTime { fsp }, &Value::DateTime(value)) => text::write_datetime(out, value, *fsp),
        (Form::Timestamp { fsp }, &Value::Timestamp(value)) if (0..=MAX_TIMESTAMP).contains(&value) => {
            text::write_timestamp(out, value, *fsp, config.time_zone.seconds());
        }
        (Form::Text { charset }, &Value::Text(value)) => write_text(out, &charset.decode(value).ok_or(Refusal::InvalidText)?),
        (Form::Bytes { padded: true }, &Value::Bytes(value)) => write_latin1(out, without_padding(value)),
        (Form::Bytes { padded: false }, &Value::Bytes(value)) | (Form::Geometry, &Value::Geometry(value)) => write_latin1(out, value),
        (Form::Enum, &Value::Enum(value)) => text::write_u64(out, u64::from(value)),
        (Form::Set, &Value::Set(value)) => text::write_u64(out, value),
        (Form::Float, &Value::Float(_))
        | (Form::Double, &Value::Double(_))
        | (Form::Time { .. }, &Value::Time(_))
        | (Form::Timestamp { .. }, &Value::Timestamp(_)) => {
            return Err(Refusal::OutOfRange);
        }
        _ => return Err(Refusal::WrongCell),
    }
    out.push(b'"');
    Ok(())
}

/// Leaves out what Canal leaves out of a decimal's text: the last group of fewer than nine digits after the point if all of them are zero,
/// but never the last digit after the point.
fn without_last_zeros(decimal: &str) -> &str {
    let Some((whole, fraction)) = decimal.split_once('.') else { return decimal };
    let groups = fraction.len() / 9 * 9;
    match fraction.get(groups..) {
        Some(last) if last.bytes().all(|digit| digit == b'0') => decimal.get(..whole.len() + 1 + groups.max(1)).unwrap_or(decimal),
        _ => decimal,
    }
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_as_canal_writes_them() {
        for (exact, canal) in [
            ("5.00", "5.0"),
            ("5.10", "5.10"),
            ("-0.01", "-0.01"),
            ("1.5000000000", "1.500000000"),
            ("0.0000000001", "0.0000000001"),
            ("0.000000000", "0.000000000"),
            ("-0.5000", "-0.5000"),
            ("1.00000000100", "1.000000001"),
            ("-99999", "-99999"),
            ("1.000000000000000000000000000000", "1.000000000000000000000000000"),
        ] {
            assert_eq!(without_last_zeros(exact), canal);
        }
    }
}
