//! Dates and times of scripts, and the patterns by which they are read and written.

use super::zone::{days_in_month, from_count, is_real};
use crate::{Date, DateTime, text};

/// A date and time without zone, or a date alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: DateTime,
    /// How it is written.
    pub(super) form: Form,
}

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `2024-01-31`
    Date,
    /// `2024-01-31 12:30:00`, with so many digits of a fraction.
    Time(u8),
}

/// What may be added to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Years,
    Months,
    Days,
    Hours,
    Minutes,
    Seconds,
}

impl Unit {
    pub(super) const NAMES: [(&'static str, Unit); 6] = [
        ("years", Unit::Years),
        ("months", Unit::Months),
        ("days", Unit::Days),
        ("hours", Unit::Hours),
        ("minutes", Unit::Minutes),
        ("seconds", Unit::Seconds),
    ];
}

impl Moment {
    /// Reads `2024-01-31`, `2024-01-31 12:30:00` or the latter with a fraction of up to six digits; `None` if it is no such date.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| {
            let digits = bytes.get(from..to)?;
            digits.iter().try_fold(0u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
        };
        let is = |at: usize, expected: u8| bytes.get(at).filter(|byte| **byte == expected).map(|_| ());
        is(4, b'-').and_then(|()| is(7, b'-'))?;
        let date = Date { year: number(0, 4)? as u16, month: number(5, 7)? as u8, day: number(8, 10)? as u8 };
        let mut at = DateTime { date, ..DateTime::default() };
        let mut form = Form::Date;
        if bytes.len() > 10 {
            is(10, b' ').or_else(|| is(10, b'T'))?;
            is(13, b':').and_then(|()| is(16, b':'))?;
            (at.hour, at.minute, at.second) = (number(11, 13)? as u8, number(14, 16)? as u8, number(17, 19)? as u8);
            let digits = bytes.len().saturating_sub(20);
            if bytes.len() > 19 {
                is(19, b'.')?;
                if !(1..=6).contains(&digits) {
                    return None;
                }
                at.micros = number(20, bytes.len())? * 10u32.pow(6 - digits as u32);
            }
            form = Form::Time(digits as u8);
        }
        is_real(at).then_some(Self { at, form })
    }

    /// Appends its text.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self.form {
            Form::Date => text::write_date(out, self.at.date),
            Form::Time(fsp) => text::write_datetime(out, self.at, fsp),
        }
    }

    /// Adds years and months, whose days are cut to the end of the month, and then seconds; `None` if it is no date of the calendar, or the
    /// result is outside the years 0 to 9999.
    pub(super) fn add(self, unit: Unit, count: i64) -> Option<Self> {
        if !is_real(self.at) {
            return None;
        }
        let months = match unit {
            Unit::Years => count.checked_mul(12)?,
            Unit::Months => count,
            Unit::Days | Unit::Hours | Unit::Minutes | Unit::Seconds => 0,
        };
        let seconds = match unit {
            Unit::Days => count.checked_mul(86_400)?,
            Unit::Hours => count.checked_mul(3600)?,
            Unit::Minutes => count.checked_mul(60)?,
            Unit::Seconds => count,
            Unit::Years | Unit::Months => 0,
        };
        let Date { year, month, day } = self.at.date;
        let months = (i64::from(year) * 12 + i64::from(month) - 1).checked_add(months)?;
        let (year, month) = (u16::try_from(months.div_euclid(12)).ok()?, months.rem_euclid(12) as u8 + 1);
        if year > 9999 {
            return None;
        }
        let date = Date { year, month, day: day.min(days_in_month(year, month)) };
        let count = text::from_civil(DateTime { date, ..self.at }).checked_add(seconds.checked_mul(1_000_000)?)?;
        let form = match (self.form, unit) {
            (Form::Date, Unit::Hours | Unit::Minutes | Unit::Seconds) => Form::Time(0),
            (form, _) => form,
        };
        Some(Self { at: from_count(count)?, form })
    }
}

/// A pattern with Java's letters: `yyyy MM dd HH mm ss SSS`. `hh` is the same as `HH`. A text in single quotes stands for itself, and so does
/// every character that is no letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// So many digits of a fraction.
    Fraction(u8),
    Literal(String),
}

impl Pattern {
    /// Reads a pattern, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts: Vec<Part> = Vec::new();
        let literal = |parts: &mut Vec<Part>, c: char| match parts.last_mut() {
            Some(Part::Literal(text)) => text.push(c),
            _ => parts.push(Part::Literal(c.into())),
        };
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                if chars.next_if_eq(&'\'').is_some() {
                    literal(&mut parts, '\'');
                    continue;
                }
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => literal(&mut parts, c),
                        None => return Err("a quote in the pattern is not closed"),
                    }
                }
                continue;
            }
            if !c.is_ascii_alphabetic() {
                literal(&mut parts, c);
                continue;
            }
            let mut count = 1u8;
            while chars.next_if_eq(&c).is_some() {
                count = count.saturating_add(1);
            }
            parts.push(match (c, count) {
                ('y', 4) => Part::Year,
                ('M', 2) => Part::Month,
                ('d', 2) => Part::Day,
                ('H' | 'h', 2) => Part::Hour,
                ('m', 2) => Part::Minute,
                ('s', 2) => Part::Second,
                ('S', 1..=6) => Part::Fraction(count),
                _ => return Err("the pattern has letters other than yyyy, MM, dd, HH, hh, mm, ss and S to SSSSSS"),
            });
        }
        Ok(Self(parts))
    }

    /// How many digits of a fraction it has.
    pub(super) fn fsp(&self) -> u8 {
        self.0.iter().map(|part| if let Part::Fraction(digits) = part { *digits } else { 0 }).max().unwrap_or(0)
    }

    /// The most characters that it writes.
    pub(super) fn length(&self) -> u32 {
        let length = |part: &Part| match part {
            Part::Year => 4,
            Part::Fraction(digits) => u32::from(*digits),
            Part::Literal(text) => text.chars().count() as u32,
            Part::Month | Part::Day | Part::Hour | Part::Minute | Part::Second => 2,
        };
        self.0.iter().map(length).sum()
    }

    /// Appends a moment.
    pub(super) fn write(&self, at: DateTime, out: &mut String) {
        for part in &self.0 {
            let (value, digits) = match part {
                Part::Year => (u32::from(at.date.year), 4),
                Part::Month => (u32::from(at.date.month), 2),
                Part::Day => (u32::from(at.date.day), 2),
                Part::Hour => (u32::from(at.hour), 2),
                Part::Minute => (u32::from(at.minute), 2),
                Part::Second => (u32::from(at.second), 2),
                Part::Fraction(digits) => (at.micros / 10u32.pow(6 - u32::from(*digits)), u32::from(*digits)),
                Part::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
            };
            for position in (0..digits).rev() {
                out.push(char::from(b'0' + (value / 10u32.pow(position) % 10) as u8));
            }
        }
    }

    /// Reads a moment; `None` if the text does not have the pattern or names no date. What the pattern lacks is that of 1970-01-01 00:00:00.
    pub(super) fn read(&self, text: &str) -> Option<Moment> {
        let mut rest = text;
        let mut at = DateTime { date: Date { year: 1970, month: 1, day: 1 }, ..DateTime::default() };
        for part in &self.0 {
            let mut number = |digits: usize| {
                let (head, tail) = rest.split_at_checked(digits)?;
                rest = tail;
                head.bytes().all(|byte| byte.is_ascii_digit()).then(|| head.parse::<u32>().ok())?
            };
            match part {
                Part::Year => at.date.year = number(4)? as u16,
                Part::Month => at.date.month = number(2)? as u8,
                Part::Day => at.date.day = number(2)? as u8,
                Part::Hour => at.hour = number(2)? as u8,
                Part::Minute => at.minute = number(2)? as u8,
                Part::Second => at.second = number(2)? as u8,
                Part::Fraction(digits) => at.micros = number(usize::from(*digits))? * 10u32.pow(6 - u32::from(*digits)),
                Part::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
            }
        }
        (rest.is_empty() && is_real(at)).then_some(Moment { at, form: Form::Time(self.fsp()) })
    }
}
