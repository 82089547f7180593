//! How the cells of a column are written, and its `sqlType`: decided once per table version.

use runtime::{Charset, Column, ColumnKind, Value};

use super::config::{BinaryText, Config, DecimalText, JsonText, LabelText, SqlType};
use crate::charset;
use crate::error::FormatError;

/// How the cells of a column are written.
#[derive(Debug)]
pub(super) enum Form {
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
    /// A BINARY as Canal reads it: the binlog does not have the zeros that fill it up.
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

impl Form {
    /// The form of a column and its usual `sqlType`.
    pub(super) fn of(column: &Column, config: &Config) -> Result<(Form, i16), FormatError> {
        let unsupported = |kind| Err(FormatError::UnsupportedKind { column: column.name.clone(), kind });
        let characters = || charset(column).map(|charset| Form::Text { charset });
        let by_text = config.labels == LabelText::Text;
        Ok(match &column.kind {
            &ColumnKind::Int { bytes } => {
                let usual = match bytes {
                    1 => code::TINYINT,
                    2 => code::SMALLINT,
                    3 | 4 => code::INTEGER,
                    8 => code::BIGINT,
                    _ => return unsupported("integers of an unknown size"),
                };
                let is_static = config.sql_type == SqlType::Static && column.unsigned;
                (Form::Int { bytes, unsigned: column.unsigned }, if is_static { wider(bytes) } else { usual })
            }
            ColumnKind::Decimal { .. } => (Form::Decimal(config.decimal), code::DECIMAL),
            ColumnKind::Float => (Form::Float, code::REAL),
            ColumnKind::Double => (Form::Double, code::DOUBLE),
            ColumnKind::Bit { .. } => (Form::Bit, code::BIT),
            ColumnKind::Year => (Form::Year, code::VARCHAR),
            ColumnKind::Date => (Form::Date, code::DATE),
            &ColumnKind::Time { fsp } => (Form::Time { fsp }, code::TIME),
            &ColumnKind::DateTime { fsp } => (Form::DateTime { fsp }, code::TIMESTAMP),
            &ColumnKind::Timestamp { fsp } => (Form::Timestamp { fsp, offset_seconds: config.time_zone.seconds() }, code::TIMESTAMP),
            ColumnKind::Char { .. } => (characters()?, code::CHAR),
            ColumnKind::Varchar { .. } => (characters()?, code::VARCHAR),
            ColumnKind::Text { .. } => (characters()?, code::CLOB),
            ColumnKind::Binary { .. } if config.binary == BinaryText::Latin1 => (Form::UnpaddedBytes, code::BLOB),
            ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => (Form::Bytes(config.binary), code::BLOB),
            ColumnKind::Enum { labels } => (if by_text { Form::EnumLabel(labels.clone()) } else { Form::Enum }, code::INTEGER),
            ColumnKind::Set { labels } => (if by_text { Form::SetLabels(labels.clone()) } else { Form::Set }, code::BIT),
            ColumnKind::Json => (Form::Json(config.json), code::VARCHAR),
            ColumnKind::Geometry => (Form::Geometry(config.binary), code::BLOB),
            _ => return unsupported("such"),
        })
    }

    /// Whether Canal's `sqlType` depends on the value.
    pub(super) fn has_unusual_codes(&self) -> bool {
        matches!(self, Form::Int { unsigned: true, .. } | Form::Set | Form::SetLabels(_) | Form::Json(_))
    }

    /// Canal's `sqlType` of this value if it is not the usual one: unsigned integers that do not fit the signed type go one type up, a set
    /// without a value is called a BLOB, and a document without one OTHER.
    pub(super) fn unusual_code(&self, value: Value<'_>) -> Option<i16> {
        match (self, value) {
            (&Form::Int { bytes, unsigned: true }, Value::UInt(value)) => {
                let top_bit = (u32::from(bytes) * 8).checked_sub(1)?;
                (value.checked_shr(top_bit)? != 0).then(|| wider(bytes))
            }
            (Form::Set | Form::SetLabels(_), Value::Null) => Some(code::BLOB),
            (Form::Json(_), Value::Null) => Some(code::OTHER),
            _ => None,
        }
    }
}

/// The code of an unsigned integer that does not fit the signed type of its size.
fn wider(bytes: u8) -> i16 {
    match bytes {
        1 => code::SMALLINT,
        2 | 3 => code::INTEGER,
        4 => code::BIGINT,
        _ => code::DECIMAL,
    }
}
