//! Dates, times and moments of conditions. Each is one number whose order is that of the values.

use crate::{Date, DateTime};

const DAY_MICROS: i64 = 86_400_000_000;

/// A date and time as a number; any part may be zero.
pub(super) fn pack(value: DateTime) -> i64 {
    let DateTime { date, hour, minute, second, micros } = value;
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    pack_date(date) + seconds * 1_000_000 + i64::from(micros)
}

/// The beginning of a day.
pub(super) fn pack_date(date: Date) -> i64 {
    ((i64::from(date.year) * 13 + i64::from(date.month)) * 32 + i64::from(date.day)) * DAY_MICROS
}

/// What [`pack`] made a number of, without the microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
}

pub(super) fn unpack(value: i64) -> Unpacked {
    let (days, micros) = (value / DAY_MICROS, value % DAY_MICROS);
    let seconds = micros / 1_000_000;
    let months = days / 32;
    Unpacked {
        year: months / 13,
        month: months % 13,
        day: days % 32,
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
    }
}

/// The beginning of the day of a packed date and time.
pub(super) fn day_of(value: i64) -> i64 {
    value - value % DAY_MICROS
}

/// A moment in microseconds since the epoch, as a date and time in a zone that is `offset_seconds` ahead of UTC. 0 is the zero timestamp.
pub(super) fn pack_timestamp(micros: i64, offset_seconds: i32) -> i64 {
    if micros == 0 {
        return 0;
    }
    let local = micros + i64::from(offset_seconds) * 1_000_000;
    let (days, rest) = (local.div_euclid(DAY_MICROS), local.rem_euclid(DAY_MICROS));
    // Days since 0000-03-01 in eras of 400 years, which have 146,097 days each; years begin in March, so that the leap day is the last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    ((year * 13 + month) * 32 + day) * DAY_MICROS + rest
}

/// Reads `YYYY-MM-DD` or `YYYY-MM-DD hh:mm:ss[.ffffff]`, a day that exists; nothing else, because servers differ in what else they take.
pub(super) fn parse(text: &str) -> Option<(i64, bool)> {
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let last = *days.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if parts.next().is_some() || year == 0 || !(1..=last).contains(&day) {
        return None;
    }
    let micros = match time {
        Some(time) => clock(time, 2).filter(|micros| *micros < DAY_MICROS)?,
        None => 0,
    };
    Some((((year * 13 + month) * 32 + day) * DAY_MICROS + micros, time.is_some()))
}

/// Reads `[-]hh:mm:ss[.ffffff]` up to 838 hours.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let hours = text.find(':').filter(|hours| (2..=3).contains(hours))?;
    clock(text, hours).filter(|micros| *micros <= 838 * 3_600_000_000 + 3_599_000_000).map(|micros| sign * micros)
}

fn clock(text: &str, hour_digits: usize) -> Option<i64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let mut parts = whole.split(':');
    let (hour, minute, second) = (number(parts.next()?, hour_digits)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() || minute > 59 || second > 59 {
        return None;
    }
    let micros = match fraction {
        Some(fraction) if (1..=6).contains(&fraction.len()) => {
            number(fraction, fraction.len())? * 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?)
        }
        Some(_) => return None,
        None => 0,
    };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Reads a zone of the form `+hh:mm`; seconds ahead of UTC.
pub(super) fn parse_zone(text: &str) -> Option<i32> {
    let (sign, rest) = text.strip_prefix('+').map(|rest| (1, rest)).or_else(|| text.strip_prefix('-').map(|rest| (-1, rest)))?;
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    (minutes < 60 && seconds <= 14 * 3600).then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_strictly() {
        let at = |text| parse(text).map(|(value, _)| unpack(value));
        let expected = Unpacked { year: 2024, month: 2, day: 29, hour: 23, minute: 59, second: 58 };
        assert_eq!(at("2024-02-29 23:59:58.5"), Some(expected));
        for wrong in ["2023-02-29", "2024-1-01", "2024-01-01T00:00:00", "0000-00-00", "2024-01-01 24:00:00", "20240101", "2024-01-01 00:00"]
        {
            assert_eq!(at(wrong), None, "{wrong}");
        }
        assert_eq!(parse_time("-838:59:59"), Some(-(838 * 3600 + 3599) * 1_000_000));
        assert_eq!((parse_time("839:00:00"), parse_time("1:00:00")), (None, None));
        assert_eq!((parse_zone("+08:00"), parse_zone("-05:30"), parse_zone("UTC")), (Some(28_800), Some(-19_800), None));
    }

    #[test]
    fn a_timestamp_is_a_date_in_its_zone() {
        for (micros, offset, text) in [
            (1_709_251_199_000_000, 0, "2024-02-29 23:59:59"),
            (1_709_251_199_000_000, 3600, "2024-03-01 00:59:59"),
            (1, 0, "1970-01-01 00:00:00.000001"),
            (951_782_400_000_000, 0, "2000-02-29 00:00:00"),
        ] {
            assert_eq!(Some(pack_timestamp(micros, offset)), parse(text).map(|(value, _)| value), "{text}");
        }
        assert_eq!(pack_timestamp(0, 3600), 0);
    }
}
