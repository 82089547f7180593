//! Texts of values: calendar and number forms that all formats share, and the canonical text of a value.
//!
//! The canonical text is independent of any format's options. It decides partition keys and record keys, so it may never change:
//! exact decimals with the column's scale, enum indexes, set masks, UTC, as many fraction digits as the column has, bytes as lower-case
//! hexadecimal, floats as the shortest decimal that reads back the same, text in Unicode.

use std::borrow::Cow;

use super::row::{Date, DateTime};
use crate::{Charset, Column, ColumnKind, Error, Result, Value};

/// Microseconds of a second.
const SECOND: u64 = 1_000_000;

/// Appends an unsigned number.
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a signed number.
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The last two decimal digits of every byte.
const LAST_TWO: [[u8; 2]; 256] = {
    let mut digits = [[0; 2]; 256];
    let mut value = 0;
    while value < digits.len() {
        digits[value] = [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    digits
};

/// Two decimal digits; values over 99 do not occur in valid dates and times and are cut to their last two digits.
#[inline]
fn two(value: u8) -> [u8; 2] {
    LAST_TWO[usize::from(value)]
}

/// Four decimal digits of a year up to 9999.
fn four(value: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (two((value / 100 % 100) as u8), two((value % 100) as u8));
    [a, b, c, d]
}

/// Appends `HH:MM:SS` and, if `fsp` is not 0, `.` and the first `fsp` of six fraction digits.
fn write_clock(out: &mut Vec<u8>, clock: [u8; 8], micros: u32, fsp: u8) {
    let ([a, b], [c, d], [e, f]) = (two((micros / 10_000) as u8), two((micros / 100 % 100) as u8), two((micros % 100) as u8));
    let mut text = [b'.'; 15];
    text[..8].copy_from_slice(&clock);
    text[9..].copy_from_slice(&[a, b, c, d, e, f]);
    // A copy of a size that the compiler knows and a shorter length beat a copy of any size.
    let end = out.len() + if fsp == 0 { 8 } else { 9 + usize::from(fsp.min(6)) };
    out.extend_from_slice(&text);
    out.truncate(end);
}

/// Appends `YYYY`.
pub fn write_year(out: &mut Vec<u8>, year: u16) {
    out.extend_from_slice(&four(year));
}

fn date_text(date: Date) -> [u8; 10] {
    let ([a, b, c, d], [e, f], [g, h]) = (four(date.year), two(date.month), two(date.day));
    [a, b, c, d, b'-', e, f, b'-', g, h]
}

fn clock_text(hour: u8, minute: u8, second: u8) -> [u8; 8] {
    let ([a, b], [c, d], [e, f]) = (two(hour), two(minute), two(second));
    [a, b, b':', c, d, b':', e, f]
}

/// Appends `YYYY-MM-DD`.
pub fn write_date(out: &mut Vec<u8>, date: Date) {
    out.extend_from_slice(&date_text(date));
}

/// Appends `[-]HH:MM:SS[.f]`, hours in two digits or three, of a duration in microseconds.
pub fn write_time(out: &mut Vec<u8>, micros: i64, fsp: u8) {
    if micros < 0 {
        out.push(b'-');
    }
    let total = micros.unsigned_abs();
    let seconds = total / SECOND;
    let hours = seconds / 3600;
    if hours >= 100 {
        write_u64(out, hours / 100);
    }
    let clock = clock_text((hours % 100) as u8, (seconds / 60 % 60) as u8, (seconds % 60) as u8);
    write_clock(out, clock, (total % SECOND) as u32, fsp);
}

/// Appends `YYYY-MM-DD HH:MM:SS[.f]`.
pub fn write_datetime(out: &mut Vec<u8>, value: DateTime, fsp: u8) {
    let mut date = [b' '; 11];
    date[..10].copy_from_slice(&date_text(value.date));
    out.extend_from_slice(&date);
    write_clock(out, clock_text(value.hour, value.minute, value.second), value.micros, fsp);
}

/// The calendar form of microseconds since the epoch, shifted by `offset_seconds` east of UTC. Years outside 0 to 9999 do not occur in
/// MySQL's timestamps.
pub fn civil(micros: i64, offset_seconds: i32) -> DateTime {
    let micros = micros + i64::from(offset_seconds) * SECOND as i64;
    let (days, of_day) = (micros.div_euclid(86_400 * SECOND as i64), micros.rem_euclid(86_400 * SECOND as i64) as u64);
    let seconds = of_day / SECOND;
    // Proleptic Gregorian calendar counted in 400-year eras that begin on 1 March, so that a leap day is the last day of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    DateTime {
        date: Date {
            year: (year_of_era + era * 400 + i64::from(month <= 2)) as u16,
            month: month as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
        },
        hour: (seconds / 3600) as u8,
        minute: (seconds / 60 % 60) as u8,
        second: (seconds % 60) as u8,
        micros: (of_day % SECOND) as u32,
    }
}

/// Microseconds since the epoch of a UTC date and time; the opposite of [`civil`]. The date must be a real one.
pub fn from_civil(value: DateTime) -> i64 {
    let (year, month, day) = (i64::from(value.date.year), i64::from(value.date.month), i64::from(value.date.day));
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let seconds = days * 86_400 + i64::from(value.hour) * 3600 + i64::from(value.minute) * 60 + i64::from(value.second);
    seconds * SECOND as i64 + i64::from(value.micros)
}

/// Appends a timestamp as `YYYY-MM-DD HH:MM:SS[.f]` in the zone `offset_seconds` east of UTC; 0 is MySQL's zero timestamp.
pub fn write_timestamp(out: &mut Vec<u8>, micros: i64, fsp: u8, offset_seconds: i32) {
    let value = if micros == 0 { DateTime::default() } else { civil(micros, offset_seconds) };
    write_datetime(out, value, fsp);
}

/// The Unicode text of a character cell. An error of kind `Data` if the bytes are not valid in the column's character set.
pub fn unicode<'a>(bytes: &'a [u8], column: &Column) -> Result<Cow<'a, str>> {
    let name = column.charset().unwrap_or("utf8mb4");
    let charset = Charset::from_name(name)
        .ok_or_else(|| Error::data(format!("column {} has the character set {name}, which is not supported", column.name)))?;
    charset.decode(bytes).ok_or_else(|| {
        Error::data(format!("column {} holds bytes that are not valid {name}", column.name)).with_help(
            "repair the value in the source, or give the column its true character set there; if the binlog holds it already, start the task \
             from scratch with a full phase",
        )
    })
}

/// Appends the canonical text of a value; nothing for NULL.
pub fn write_canonical(out: &mut Vec<u8>, value: Value<'_>, column: &Column) -> Result<()> {
    let fsp = match column.kind {
        ColumnKind::Time { fsp } | ColumnKind::DateTime { fsp } | ColumnKind::Timestamp { fsp } => fsp,
        _ => 0,
    };
    match value {
        Value::Null => {}
        Value::Int(v) => write_i64(out, v),
        Value::UInt(v) | Value::Bit(v) | Value::Set(v) => write_u64(out, v),
        Value::Enum(v) => write_u64(out, u64::from(v)),
        Value::Float(v) => out.extend_from_slice(v.to_string().as_bytes()),
        Value::Double(v) => out.extend_from_slice(v.to_string().as_bytes()),
        Value::Decimal(v) => out.extend_from_slice(v.as_bytes()),
        Value::Text(v) => out.extend_from_slice(unicode(v, column)?.as_bytes()),
        Value::Json(v) => out.extend_from_slice(v),
        Value::Bytes(v) | Value::Geometry(v) => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend(v.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
        }
        Value::Year(v) => write_year(out, v),
        Value::Date(v) => write_date(out, v),
        Value::Time(v) => write_time(out, v, fsp),
        Value::DateTime(v) => write_datetime(out, v, fsp),
        Value::Timestamp(v) => write_timestamp(out, v, fsp, 0),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn durations_keep_sign_hours_and_digits() {
        for (micros, fsp, expected) in [
            (-100_000, 1, "-00:00:00.1"),
            (-(100 * 3_600_000_000 + 1), 6, "-100:00:00.000001"),
            (838 * 3_600_000_000 + 59 * 60_000_000 + 59_000_000, 4, "838:59:59.0000"),
            (0, 0, "00:00:00"),
        ] {
            assert_eq!(text(|out| write_time(out, micros, fsp)), expected);
        }
    }

    #[test]
    fn timestamps_in_a_zone() {
        let micros =
            from_civil(DateTime { date: Date { year: 2024, month: 2, day: 29 }, hour: 12, minute: 34, second: 56, micros: 780_000 });
        assert_eq!(text(|out| write_timestamp(out, micros, 3, 8 * 3600)), "2024-02-29 20:34:56.780");
        assert_eq!(text(|out| write_timestamp(out, 0, 3, 8 * 3600)), "0000-00-00 00:00:00.000");
        assert_eq!(text(|out| write_timestamp(out, 1_700_000_000_000_000, 0, 0)), "2023-11-14 22:13:20");
    }

    #[test]
    fn canonical_texts() {
        let column = |kind| Column::new("c", kind, "");
        let canonical = |value, kind| text(|out| write_canonical(out, value, &column(kind)).unwrap());
        assert_eq!(canonical(Value::Bytes(&[0, 0xab]), ColumnKind::Binary { length: 2 }), "00ab");
        assert_eq!(canonical(Value::Enum(2), ColumnKind::Enum { labels: vec![] }), "2");
        assert_eq!(canonical(Value::Float(1.1), ColumnKind::Float), "1.1");
        assert_eq!(canonical(Value::Null, ColumnKind::Float), "");
    }

    proptest! {
        #[test]
        fn civil_and_back(micros in 0i64..253_402_300_799_999_999) {
            prop_assert_eq!(from_civil(civil(micros, 0)), micros);
        }
    }
}
