//! Dates and times, in the current packed formats and in the formats before MySQL 5.6.4.

use runtime::{Date, DateTime};

use super::fields::{big_endian, impossible};
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

pub(super) fn date(packed: u32) -> Result<Date, StreamError> {
    let date = Date { year: (packed >> 9) as u16, month: (packed >> 5 & 15) as u8, day: (packed & 31) as u8 };
    if date.month > 12 || date.year > 9999 { Err(impossible("a date")) } else { Ok(date) }
}

/// Reads the fraction of a second that follows a DATETIME or TIMESTAMP, in microseconds.
#[inline]
pub(super) fn fraction(reader: &mut Reader<'_>, fsp: u8) -> Result<u32, StreamError> {
    let (bytes, unit) = fraction_form(fsp);
    if bytes == 0 {
        return Ok(0);
    }
    let micros = big_endian(reader, bytes)? * unit;
    if micros >= 1_000_000 { Err(impossible("a fraction of a second")) } else { Ok(micros as u32) }
}

/// The number of bytes of a fraction with `fsp` digits, and the microseconds of one unit in it.
fn fraction_form(fsp: u8) -> (u8, u64) {
    match fsp {
        0 => (0, 1),
        1 | 2 => (1, 10_000),
        3 | 4 => (2, 100),
        _ => (3, 1),
    }
}

/// Reads a TIME, in microseconds. The whole seconds and the fraction together are one big-endian number. The server adds an offset to this
/// number so that negative times sort before positive times.
pub(super) fn time(reader: &mut Reader<'_>, fsp: u8) -> Result<i64, StreamError> {
    let (bytes, unit) = fraction_form(fsp);
    let bits = u32::from(bytes) * 8;
    let raw = big_endian(reader, 3 + bytes)? as i64 - (0x80_0000i64 << bits);
    let magnitude = raw.unsigned_abs();
    let (whole, part) = (magnitude >> bits, magnitude & ((1 << bits) - 1));
    let (hours, minutes, seconds) = (whole >> 12, whole >> 6 & 63, whole & 63);
    let micros = part * unit;
    if hours > 838 || minutes > 59 || seconds > 59 || micros >= 1_000_000 {
        return Err(impossible("a time"));
    }
    let total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    Ok(if raw < 0 { -(total as i64) } else { total as i64 })
}

pub(super) fn datetime(reader: &mut Reader<'_>, fsp: u8) -> Result<DateTime, StreamError> {
    let raw = big_endian(reader, 5)?.checked_sub(0x80_0000_0000).ok_or_else(|| impossible("a negative date"))?;
    let micros = fraction(reader, fsp)?;
    let (days, clock) = (raw >> 17, raw & 0x1_ffff);
    let (months, day) = (days >> 5, days & 31);
    let value = DateTime {
        date: Date { year: (months / 13) as u16, month: (months % 13) as u8, day: day as u8 },
        hour: (clock >> 12) as u8,
        minute: (clock >> 6 & 63) as u8,
        second: (clock & 63) as u8,
        micros,
    };
    check_datetime(value)
}

pub(super) fn old_datetime(packed: u64) -> Result<DateTime, StreamError> {
    let (days, clock) = (packed / 1_000_000, packed % 1_000_000);
    if days / 10_000 > 9999 {
        return Err(impossible("a date"));
    }
    let date = Date { year: (days / 10_000) as u16, month: (days / 100 % 100) as u8, day: (days % 100) as u8 };
    check_datetime(DateTime {
        date,
        hour: (clock / 10_000) as u8,
        minute: (clock / 100 % 100) as u8,
        second: (clock % 100) as u8,
        micros: 0,
    })
}

fn check_datetime(value: DateTime) -> Result<DateTime, StreamError> {
    let right = value.date.year <= 9999
        && value.date.month <= 12
        && value.date.day <= 31
        && value.hour <= 23
        && value.minute <= 59
        && value.second <= 59;
    if right { Ok(value) } else { Err(impossible("a date and time")) }
}

pub(super) fn old_time(packed: i32) -> Result<i64, StreamError> {
    let magnitude = packed.unsigned_abs();
    let (hours, minutes, seconds) = (magnitude / 10_000, magnitude / 100 % 100, magnitude % 100);
    if hours > 838 || minutes > 59 || seconds > 59 {
        return Err(impossible("a time"));
    }
    let total = i64::from((hours * 60 + minutes) * 60 + seconds) * 1_000_000;
    Ok(if packed < 0 { -total } else { total })
}
