//! Values of SQL types inside a JSON document. Decimals, dates and times are printed in their usual text form, all other types as Base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runtime::text::{write_date, write_datetime, write_time, write_u64};
use runtime::{Date, DateTime};

use super::style::JsonStyle;
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;
use crate::binlog::row::decimal::DecimalBytes;
use crate::binlog::row::fields::impossible;

/// The type bytes of the SQL types that are not printed as Base64.
mod field {
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const DECIMAL: u8 = 246;
}

/// The number of Base64 characters between two line breaks.
const LINE: usize = 76;

/// Appends a value of the SQL type `kind`.
pub(super) fn write_opaque(kind: u8, bytes: &[u8], style: JsonStyle, out: &mut Vec<u8>) -> Result<(), StreamError> {
    match kind {
        field::DECIMAL => return write_decimal(bytes, out),
        field::DATE | field::DATETIME | field::TIMESTAMP | field::TIME => {
            let packed = bytes.try_into().map_err(|_| impossible("a date or time in a JSON document"))?;
            return write_temporal(kind, i64::from_le_bytes(packed), out);
        }
        _ => {}
    }
    // MySQL 5.7 does not escape the line breaks, so its text is not valid JSON. It is reproduced, because a SELECT returns the same text.
    let line_break: &[u8] = if style == JsonStyle::MySql57 { b"\n" } else { b"\\n" };
    out.extend_from_slice(b"\"base64:type");
    write_u64(out, kind.into());
    out.push(b':');
    for (index, line) in STANDARD.encode(bytes).as_bytes().chunks(LINE).enumerate() {
        if index > 0 {
            out.extend_from_slice(line_break);
        }
        out.extend_from_slice(line);
    }
    out.push(b'"');
    Ok(())
}

/// Appends a decimal. The value is stored as its precision and its scale, followed by the digits in the format of a row.
fn write_decimal(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), StreamError> {
    let mut reader = Reader::new(bytes);
    let (precision, scale) = (reader.u8()?, reader.u8()?);
    let number = DecimalBytes::read(&mut reader, precision, scale)?;
    if !reader.is_empty() {
        return Err(impossible("a decimal in a JSON document"));
    }
    number.write(out);
    Ok(())
}

/// Appends a date or time. The lowest 24 bits of `packed` are the microseconds. The 17 bits above them are hour, minute and second. For
/// types with a date, the next 5 bits are the day, and the remaining bits are the number of months since the year 0, with 13 months in each
/// year.
fn write_temporal(kind: u8, packed: i64, out: &mut Vec<u8>) -> Result<(), StreamError> {
    let broken = || impossible("a date or time in a JSON document");
    let magnitude = packed.unsigned_abs();
    let (whole, micros) = (magnitude >> 24, magnitude & 0xff_ffff);
    let (hour, minute, second) = (whole >> 12, whole >> 6 & 63, whole & 63);
    if minute > 59 || second > 59 || micros > 999_999 {
        return Err(broken());
    }
    out.push(b'"');
    if kind == field::TIME {
        if hour > 838 {
            return Err(broken());
        }
        let total = (((hour * 60 + minute) * 60 + second) * 1_000_000 + micros) as i64;
        write_time(out, if packed < 0 { -total } else { total }, 6);
    } else {
        let (hour, days) = (hour & 31, whole >> 17);
        let months = days >> 5;
        if packed < 0 || months / 13 > 9_999 || hour > 23 {
            return Err(broken());
        }
        let date = Date { year: (months / 13) as u16, month: (months % 13) as u8, day: (days & 31) as u8 };
        let (hour, minute, second, micros) = (hour as u8, minute as u8, second as u8, micros as u32);
        match kind {
            field::DATE => write_date(out, date),
            _ => write_datetime(out, DateTime { date, hour, minute, second, micros }, 6),
        }
    }
    out.push(b'"');
    Ok(())
}
