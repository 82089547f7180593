//! Values of tests: how they are written, and as which cells of a column they are packed.

use std::collections::HashMap;

use runtime::{Charset, Column, ColumnKind, Date, DateTime, RowWriter, Value};

/// A value as it stands in a statement or a row of a test.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    /// Digits, with a sign and a point if they have one.
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
}

/// The most bytes of a `BINARY` column's padding.
const MOST_PADDED: usize = 255;

impl Literal {
    /// The value in a row of a test. A list and an object become their JSON text.
    pub(super) fn from_json(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Number(u8::from(*value).to_string()),
            Json::Number(number) => Self::Number(number.to_string()),
            Json::String(text) => Self::Text(text.clone()),
            Json::Object(_) | Json::Array(_) => Self::Text(value.to_string()),
        }
    }

    /// Packs the value as a cell of the column. Fails with the reason if it does not fit exactly: a test gets the row that it says, or none.
    pub(super) fn push(&self, writer: &mut RowWriter<'_>, column: &Column) -> Result<(), String> {
        let wrong = |what: &str| format!("column {} of type {} needs {what}", column.name, column.source_type);
        let text = match self {
            Self::Null if column.nullable => {
                writer.push(Value::Null);
                return Ok(());
            }
            Self::Null => {
                return Err(format!(
                    "column {} is NOT NULL, and has no value: a test computes no DEFAULT and no AUTO_INCREMENT",
                    column.name
                ));
            }
            Self::Number(text) | Self::Text(text) => text.as_str(),
            Self::Bytes(bytes) => return push_bytes(bytes, writer, column).ok_or_else(|| wrong("another kind of value")),
        };
        match &column.kind {
            ColumnKind::Int { bytes } => {
                writer.push(integer(text, *bytes, column.unsigned).ok_or_else(|| wrong("an integer in its range"))?)
            }
            ColumnKind::Decimal { precision, scale } => {
                let digits = decimal(text, *precision, *scale).ok_or_else(|| wrong("a number that has no more digits"))?;
                writer.push(Value::Decimal(&digits));
            }
            ColumnKind::Float => {
                writer.push(Value::Float(text.parse().ok().filter(|v: &f32| v.is_finite()).ok_or_else(|| wrong("a number"))?))
            }
            ColumnKind::Double => {
                writer.push(Value::Double(text.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(|| wrong("a number"))?));
            }
            ColumnKind::Bit { bits } => {
                let number = text.parse().ok().filter(|number: &u64| *bits >= 64 || number >> bits == 0);
                writer.push(Value::Bit(number.ok_or_else(|| wrong("a number of so many bits"))?));
            }
            ColumnKind::Year => {
                let year = text.parse().ok().filter(|year| matches!(year, 0 | 1901..=2155));
                writer.push(Value::Year(year.ok_or_else(|| wrong("a year from 1901 to 2155"))?));
            }
            ColumnKind::Date => writer.push(Value::Date(date(text).ok_or_else(|| wrong("a date such as '2026-01-31'"))?)),
            ColumnKind::Time { fsp } => {
                writer.push(Value::Time(time(text, *fsp).ok_or_else(|| wrong("a time such as '23:59:59'"))?));
            }
            ColumnKind::DateTime { fsp } => {
                writer.push(Value::DateTime(date_time(text, *fsp).ok_or_else(|| wrong("a time such as '2026-01-31 23:59:59'"))?));
            }
            ColumnKind::Timestamp { fsp } => {
                let micros = date_time(text, *fsp).and_then(since_epoch);
                writer.push(Value::Timestamp(micros.ok_or_else(|| wrong("a time in UTC such as '2026-01-31 23:59:59'"))?));
            }
            ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } => {
                let charset = column.charset().unwrap_or_default();
                let bytes = encode(charset, text).ok_or_else(|| wrong(&format!("characters of {charset}")))?;
                writer.push(Value::Text(&bytes));
            }
            ColumnKind::Enum { labels } => {
                let index = labels.iter().position(|label| label == text).and_then(|index| u16::try_from(index + 1).ok());
                writer.push(Value::Enum(index.ok_or_else(|| wrong("one of its labels"))?));
            }
            ColumnKind::Set { labels } => {
                let bit = |part: &str| labels.iter().position(|label| label == part).filter(|bit| *bit < 64).map(|bit| 1u64 << bit);
                let mask = text.split(',').filter(|part| !part.is_empty()).try_fold(0, |mask, part| Some(mask | bit(part)?));
                writer.push(Value::Set(mask.ok_or_else(|| wrong("some of its labels, separated by commas"))?));
            }
            ColumnKind::Json => {
                serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| wrong("a JSON document"))?;
                writer.push(Value::Json(text.as_bytes()));
            }
            _ => push_bytes(text.as_bytes(), writer, column).ok_or_else(|| wrong("bytes such as X'00ff'"))?,
        }
        Ok(())
    }
}

fn push_bytes(bytes: &[u8], writer: &mut RowWriter<'_>, column: &Column) -> Option<()> {
    match &column.kind {
        ColumnKind::Binary { length } => {
            let mut padded = bytes.to_vec();
            padded.resize(usize::try_from(*length).ok().filter(|length| *length <= MOST_PADDED && bytes.len() <= *length)?, 0);
            writer.push(Value::Bytes(&padded));
        }
        ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => writer.push(Value::Bytes(bytes)),
        ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } => writer.push(Value::Text(bytes)),
        ColumnKind::Geometry if bytes.len() > 4 => writer.push(Value::Geometry(bytes)),
        ColumnKind::Bit { bits } => {
            let number = bytes.iter().try_fold(0u64, |number, byte| Some(number.checked_mul(256)? | u64::from(*byte)))?;
            if *bits < 64 && number >> bits != 0 {
                return None;
            }
            writer.push(Value::Bit(number));
        }
        _ => return None,
    }
    Some(())
}

fn integer(text: &str, bytes: u8, unsigned: bool) -> Option<Value<'static>> {
    let (number, bits) = (text.parse::<i128>().ok()?, u32::from(bytes) * 8);
    if unsigned {
        return (0..1i128 << bits).contains(&number).then_some(Value::UInt(number as u64));
    }
    let half = 1i128 << bits.checked_sub(1)?;
    (-half..half).contains(&number).then_some(Value::Int(number as i64))
}

/// The canonical text of a decimal: as many digits behind the point as the column has, and no zeros in front.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<String> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if fraction.len() > usize::from(scale) || whole.len() > usize::from(precision.saturating_sub(scale)) {
        return None;
    }
    let sign = if whole.is_empty() && fraction.is_empty() { "" } else { sign };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match scale {
        0 => format!("{sign}{whole}"),
        scale => format!("{sign}{whole}.{fraction:0<width$}", width = usize::from(scale)),
    })
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let mut next = |length| parts.next().filter(|part| part.len() == length);
    let (year, month, day) = (number::<u16>(next(4)?)?, number::<u8>(next(2)?)?, number::<u8>(next(2)?)?);
    (month <= 12 && day <= 31).then_some(Date { year, month, day })
}

/// Hours, minutes, seconds and microseconds of `HH:MM:SS` with an optional fraction.
fn clock(text: &str, fsp: u8) -> Option<(u32, u8, u8, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.splitn(3, ':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    let micros = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<6}"))? };
    (fraction.len() <= usize::from(fsp) && minute < 60 && second < 60).then_some((hour, minute, second, micros))
}

fn time(text: &str, fsp: u8) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (hour, minute, second, micros) = clock(text, fsp)?;
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    (hour <= 838).then_some(sign * (seconds * 1_000_000 + i64::from(micros)))
}

fn date_time(text: &str, fsp: u8) -> Option<DateTime> {
    let (day, clock_text) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let (hour, minute, second, micros) = clock(clock_text, fsp)?;
    let hour = u8::try_from(hour).ok().filter(|hour| *hour < 24)?;
    Some(DateTime { date: date(day)?, hour, minute, second, micros })
}

/// Microseconds since 1970 of a time in UTC.
fn since_epoch(at: DateTime) -> Option<i64> {
    if at.date.month == 0 || at.date.day == 0 {
        return None;
    }
    // Days in the proleptic Gregorian calendar, in years that begin in March.
    let (year, month) =
        if at.date.month > 2 { (i64::from(at.date.year), at.date.month - 3) } else { (i64::from(at.date.year) - 1, at.date.month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * i64::from(month) + 2) / 5 + i64::from(at.date.day) - 1 - 719_468;
    let seconds = days * 86_400 + i64::from(at.hour) * 3600 + i64::from(at.minute) * 60 + i64::from(at.second);
    (seconds >= 0).then_some(seconds * 1_000_000 + i64::from(at.micros))
}

/// The bytes of a text in a character set; `None` if it does not have all the characters, or is not known.
fn encode(charset: &str, text: &str) -> Option<Vec<u8>> {
    let set = Charset::from_name(charset)?;
    if set == Charset::UTF8 {
        let fits = charset.eq_ignore_ascii_case("utf8mb4") || text.chars().all(|c| c.len_utf8() < 4);
        return fits.then(|| text.as_bytes().to_vec());
    }
    match charset.to_ascii_lowercase().as_str() {
        "utf16" | "ucs2" => return Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        "utf16le" => return Some(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf32" => return Some(text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()),
        _ => {}
    }
    let mut known = HashMap::new();
    let mut bytes = Vec::new();
    for c in text.chars() {
        if known.is_empty() {
            known = characters(set);
        }
        bytes.extend_from_slice(known.get(&c)?);
    }
    Some(bytes)
}

/// The characters of a set of one or two bytes each. Few tests need them, so they are found by trying.
fn characters(set: Charset) -> HashMap<char, Vec<u8>> {
    let mut found = HashMap::new();
    let mut note = |bytes: &[u8]| {
        let text = set.decode(bytes);
        let mut chars = text.iter().flat_map(|text| text.chars());
        if let (Some(c), None) = (chars.next(), chars.next()) {
            found.entry(c).or_insert_with(|| bytes.to_vec());
        }
    };
    (0..=u8::MAX).for_each(|byte| note(&[byte]));
    (0x8000..=u16::MAX).for_each(|pair| note(&pair.to_be_bytes()));
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::{CellBlock, Collation, Row};

    use super::*;

    fn packed(literal: &Literal, column: &Column) -> Result<Row, String> {
        let mut block = CellBlock::default();
        let mut writer = block.row(1);
        literal.push(&mut writer, column)?;
        let row = writer.finish();
        block.seal();
        Ok(row)
    }

    fn column(kind: ColumnKind) -> Column {
        let mut column = Column::new("c", kind, "type");
        column.collation = Some(Collation::new("gbk_chinese_ci"));
        column
    }

    #[test]
    fn texts_become_cells() {
        let text = |text: &str| Literal::Text(text.to_owned());
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let date = Date { year: 2026, month: 1, day: 31 };
        let cases = [
            (text("-128"), ColumnKind::Int { bytes: 1 }, Value::Int(-128)),
            (text("-007.5"), ColumnKind::Decimal { precision: 5, scale: 2 }, Value::Decimal("-7.50")),
            (text("-0"), ColumnKind::Decimal { precision: 5, scale: 0 }, Value::Decimal("0")),
            (text("2026-01-31"), ColumnKind::Date, Value::Date(date)),
            (text("-838:00:00.5"), ColumnKind::Time { fsp: 1 }, Value::Time(-3_016_800_500_000)),
            (
                text("2026-01-31 23:59:59"),
                ColumnKind::DateTime { fsp: 0 },
                Value::DateTime(DateTime { date, hour: 23, minute: 59, second: 59, micros: 0 }),
            ),
            (text("2026-01-31 00:00:01"), ColumnKind::Timestamp { fsp: 0 }, Value::Timestamp(1_769_817_601_000_000)),
            (text("1970-01-01 00:00:00"), ColumnKind::Timestamp { fsp: 0 }, Value::Timestamp(0)),
            (text("a中"), ColumnKind::Varchar { length: 9 }, Value::Text(b"a\xd6\xd0")),
            (text("b"), ColumnKind::Enum { labels: labels.clone() }, Value::Enum(2)),
            (text("b,a"), ColumnKind::Set { labels }, Value::Set(3)),
            (text("{\"a\": 1}"), ColumnKind::Json, Value::Json(b"{\"a\": 1}")),
            (Literal::Bytes(vec![1, 2]), ColumnKind::Binary { length: 3 }, Value::Bytes(&[1, 2, 0])),
            (Literal::Bytes(vec![1, 2]), ColumnKind::Bit { bits: 9 }, Value::Bit(258)),
            (Literal::Null, ColumnKind::Json, Value::Null),
        ];
        for (literal, kind, expected) in cases {
            assert_eq!(packed(&literal, &column(kind.clone())).unwrap().get(0), expected, "{literal:?} {kind:?}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        for (text, kind) in [
            ("128", ColumnKind::Int { bytes: 1 }),
            ("1.5", ColumnKind::Int { bytes: 8 }),
            ("1.234", ColumnKind::Decimal { precision: 5, scale: 2 }),
            ("1234", ColumnKind::Decimal { precision: 5, scale: 2 }),
            (".", ColumnKind::Decimal { precision: 5, scale: 2 }),
            ("2026-13-01", ColumnKind::Date),
            ("1:2:3.55", ColumnKind::Time { fsp: 1 }),
            ("1969-01-01", ColumnKind::Timestamp { fsp: 0 }),
            ("\u{1f600}", ColumnKind::Varchar { length: 9 }),
            ("c", ColumnKind::Enum { labels: vec!["a".to_owned()] }),
            ("{", ColumnKind::Json),
            ("1900", ColumnKind::Year),
        ] {
            let error = packed(&Literal::Text(text.to_owned()), &column(kind)).unwrap_err();
            assert!(error.starts_with("column c of type type needs "), "{error}");
        }
        let mut column = column(ColumnKind::Year);
        column.nullable = false;
        assert!(packed(&Literal::Null, &column).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-0-9:. T]{0,20}", kind in 0usize..8) {
            let kinds = [
                ColumnKind::Int { bytes: 3 },
                ColumnKind::Decimal { precision: 65, scale: 30 },
                ColumnKind::Double,
                ColumnKind::Year,
                ColumnKind::Date,
                ColumnKind::Time { fsp: 6 },
                ColumnKind::DateTime { fsp: 6 },
                ColumnKind::Timestamp { fsp: 6 },
            ];
            let _ = packed(&Literal::Text(text), &column(kinds[kind].clone()));
        }
    }
}
