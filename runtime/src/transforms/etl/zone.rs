//! Time zones.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use crate::{Date, DateTime, text};

/// The first and the last microsecond of the years 0 to 9999, in UTC.
const FIRST: i64 = -62_167_219_200_000_000;
const LAST: i64 = 253_402_300_799_999_999;
const SECOND: i64 = 1_000_000;

/// A time zone.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::transforms) enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    /// A zone with rules of its own, such as `Europe/Berlin`.
    Named(Box<TimeZone>),
}

impl Zone {
    /// Reads `UTC`, `Z`, `+08:00`, `GMT+08`, `GMT+8`, `UTC+08:00` or the name of a zone.
    pub(in crate::transforms) fn parse(text: &str) -> Option<Self> {
        if matches!(text, "UTC" | "GMT" | "Z") {
            return Some(Self::Fixed(0));
        }
        let offset = text.strip_prefix("GMT").or_else(|| text.strip_prefix("UTC")).unwrap_or(text);
        let (sign, clock) = match offset.split_at_checked(1) {
            Some(("+", clock)) => (1, clock),
            Some(("-", clock)) => (-1, clock),
            _ => return TimeZone::get(text).ok().map(|zone| Self::Named(Box::new(zone))),
        };
        let (hours, minutes) = match clock.split_once(':') {
            Some((hours, minutes)) => (hours, minutes),
            None if clock.len() == 4 => clock.split_at_checked(2)?,
            None => (clock, "00"),
        };
        let number = |text: &str, lengths: std::ops::RangeInclusive<usize>, most: i32| {
            let is_number = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i32>().ok().filter(|number| is_number && *number <= most)
        };
        Some(Self::Fixed(sign * (number(hours, 1..=2, 14)? * 3600 + number(minutes, 2..=2, 59)? * 60)))
    }

    /// The time that clocks show; `None` outside the years 0 to 9999.
    pub(in crate::transforms) fn local(&self, micros: i64) -> Option<DateTime> {
        let offset = match self {
            Self::Fixed(offset) => *offset,
            Self::Named(zone) => zone.to_offset(Timestamp::from_microsecond(micros).ok()?).seconds(),
        };
        let local = micros.checked_add(i64::from(offset) * SECOND)?;
        (FIRST..=LAST).contains(&local).then(|| text::civil(local, 0))
    }

    /// Microseconds since the epoch of what clocks show; `None` if that is no date. Of two moments with the same clock the earlier one; a
    /// clock that was skipped is read with the offset before it.
    pub(in crate::transforms) fn moment(&self, local: DateTime) -> Option<i64> {
        if !is_real(local) {
            return None;
        }
        match self {
            Self::Fixed(offset) => Some(text::from_civil(local) - i64::from(*offset) * SECOND),
            Self::Named(zone) => {
                let Date { year, month, day } = local.date;
                let (year, nanos) = (i16::try_from(year).ok()?, i32::try_from(local.micros).ok()?.checked_mul(1000)?);
                let part = |part: u8| i8::try_from(part).ok();
                let (hour, minute, second) = (part(local.hour)?, part(local.minute)?, part(local.second)?);
                let local = civil::DateTime::new(year, part(month)?, part(day)?, hour, minute, second, nanos).ok()?;
                Some(zone.to_ambiguous_timestamp(local).compatible().ok()?.as_microsecond())
            }
        }
    }
}

/// How many days a month has.
pub(super) fn days_in_month(year: u16, month: u8) -> u8 {
    let is_leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether the calendar has this date, and the clock this time.
pub(super) fn is_real(time: DateTime) -> bool {
    let Date { year, month, day } = time.date;
    let is_date = year <= 9999 && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    is_date && time.hour < 24 && time.minute < 60 && time.second < 60 && time.micros < 1_000_000
}

/// Microseconds since 1970-01-01 00:00:00 of what clocks show, without a zone; `None` outside the years 0 to 9999.
pub(super) fn from_count(micros: i64) -> Option<DateTime> {
    (FIRST..=LAST).contains(&micros).then(|| text::civil(micros, 0))
}
