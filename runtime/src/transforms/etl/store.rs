//! Casts values of scripts to the types of columns.

use super::decimal::Decimal;
use super::moment::Moment;
use super::place::{Evaluated, Failure, Place, SET};
use super::value::{Scratch, Slot, Type, Val, write_text};
use super::zone::Zone;
use crate::{Collation, Column, ColumnKind, DateTime, Value};

/// The most characters of a VARCHAR in utf8mb4 whose row may have nothing else.
const MAX_VARCHAR: u32 = 16_383;

/// How values of a type become cells of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Store {
    target: Target,
    nullable: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Int { least: i128, most: i128, unsigned: bool },
    Decimal { precision: u8, scale: u8, unsigned: bool },
    Float,
    Double,
    Bit(u64),
    Year,
    Date,
    Time(u8),
    DateTime(u8),
    Timestamp(u8),
    Text { characters: Option<u32>, bytes: u64 },
    Bytes { most: u64, padded: usize },
    Enum(Vec<String>),
    Set(Vec<String>),
    Json,
}

impl Store {
    /// Fails with the name of the column's type if values of the type cannot be cast to it.
    pub(super) fn new(from: Type, column: &Column) -> Result<Self, &'static str> {
        let prefix_bytes = |prefix: u8| (1u64 << (8 * u32::from(prefix.clamp(1, 4)))) - 1;
        let (target, name) = match &column.kind {
            ColumnKind::Int { .. } => {
                let (least, most) = integer_range(column).unwrap_or((0, 0));
                (Target::Int { least, most, unsigned: column.unsigned }, "an integer")
            }
            ColumnKind::Decimal { precision, scale } => {
                (Target::Decimal { precision: *precision, scale: *scale, unsigned: column.unsigned }, "a decimal")
            }
            ColumnKind::Float => (Target::Float, "a float"),
            ColumnKind::Double => (Target::Double, "a double"),
            ColumnKind::Bit { bits } => (Target::Bit(u64::MAX >> (64 - u32::from((*bits).clamp(1, 64)))), "a bit field"),
            ColumnKind::Year => (Target::Year, "a year"),
            ColumnKind::Date => (Target::Date, "a date"),
            ColumnKind::Time { fsp } => (Target::Time(*fsp), "a time"),
            ColumnKind::DateTime { fsp } => (Target::DateTime(*fsp), "a datetime"),
            ColumnKind::Timestamp { fsp } => (Target::Timestamp(*fsp), "a timestamp"),
            ColumnKind::Char { length } | ColumnKind::Varchar { length } => {
                (Target::Text { characters: Some(*length), bytes: u64::MAX }, "a text")
            }
            ColumnKind::Text { prefix } => (Target::Text { characters: None, bytes: prefix_bytes(*prefix) }, "a text"),
            ColumnKind::Binary { length } => (Target::Bytes { most: u64::from(*length), padded: *length as usize }, "bytes"),
            ColumnKind::Varbinary { length } => (Target::Bytes { most: u64::from(*length), padded: 0 }, "bytes"),
            ColumnKind::Blob { prefix } => (Target::Bytes { most: prefix_bytes(*prefix), padded: 0 }, "bytes"),
            ColumnKind::Enum { labels } => (Target::Enum(labels.clone()), "an enum"),
            ColumnKind::Set { labels } => (Target::Set(labels.clone()), "a set"),
            ColumnKind::Json => (Target::Json, "JSON"),
            ColumnKind::Geometry => return Err("a geometry"),
        };
        use Target as T;
        let fits = match from {
            Type::Null => true,
            Type::Bool => matches!(target, T::Int { .. } | T::Decimal { .. } | T::Float | T::Double | T::Bit(_) | T::Text { .. }),
            Type::Int => matches!(target, T::Int { .. } | T::Decimal { .. } | T::Float | T::Double | T::Bit(_) | T::Year | T::Text { .. }),
            Type::Float | Type::Decimal { .. } => {
                matches!(target, T::Int { .. } | T::Decimal { .. } | T::Float | T::Double | T::Text { .. })
            }
            Type::Text(_) => true,
            Type::Bytes => matches!(target, T::Bytes { .. }),
            Type::Date | Type::DateTime(_) => matches!(target, T::Date | T::DateTime(_) | T::Timestamp(_) | T::Text { .. }),
        };
        if fits { Ok(Self { target, nullable: column.nullable }) } else { Err(name) }
    }

    /// Fails as [`Store::convert`] does.
    pub(super) fn accepts(&self, value: &Val<'_>, zone: &Zone, place: Place) -> Evaluated<()> {
        self.convert(value, zone, &Scratch::default(), place, &Slot::default())
    }

    /// Casts a value and puts it into a slot. Numbers are rounded half away from zero, as MySQL does; texts must be as the column's values are written. A value that
    /// does not fit is a failure.
    pub(super) fn convert<'a>(&self, value: &Val<'a>, zone: &Zone, scratch: &'a Scratch, place: Place, slot: &Slot<'a>) -> Evaluated<()> {
        let fail = |why| Failure::err(place, SET, why);
        if let Val::Null = value {
            if !self.nullable {
                return fail("the column cannot be NULL, and the value is");
            }
            slot.set(Some(Value::Null));
            return Ok(());
        }
        slot.set(Some(match &self.target {
            Target::Int { least, most, unsigned } => {
                let number = match value {
                    Val::Int(number) => Some(*number),
                    Val::Float(number) if number.abs() >= 1e30 => return fail("the number does not fit into the column (overflow)"),
                    value => decimal(value).and_then(|decimal| decimal.rescale(0)).map(|decimal| decimal.units),
                };
                match number {
                    None => return fail("the text is not a number"),
                    Some(number) if number < *least || number > *most => return fail("the number does not fit into the column (overflow)"),
                    Some(number) if *unsigned => Value::UInt(number as u64),
                    Some(number) => Value::Int(number as i64),
                }
            }
            Target::Decimal { precision, scale, unsigned } => {
                let Some(exact) = decimal(value) else { return fail("the value is not a number of at most 38 digits") };
                let digits = |units: i128| units.unsigned_abs().checked_ilog10().map_or(0, |log| log + 1);
                match exact.rescale(*scale) {
                    Some(exact) if digits(exact.units) <= u32::from(*precision) && (exact.units >= 0 || !unsigned) => {
                        let text = scratch.make(place, SET, |out| {
                            exact.write(out.out());
                            Ok(())
                        })?;
                        Value::Decimal(text)
                    }
                    _ => return fail("the number does not fit into the column (overflow)"),
                }
            }
            Target::Float | Target::Double => {
                let number = match value {
                    Val::Float(number) => Some(*number),
                    Val::Text(text) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
                    value => decimal(value).map(Decimal::to_float),
                };
                match number {
                    None => return fail("the text is not a number"),
                    Some(number) if self.target == Target::Double => Value::Double(number),
                    Some(number) if (number as f32).is_finite() => Value::Float(number as f32),
                    Some(_) => return fail("the number does not fit into the column (overflow)"),
                }
            }
            Target::Bit(most) => match whole(value).map(u64::try_from) {
                Some(Ok(bits)) if bits <= *most => Value::Bit(bits),
                _ => return fail("the value is not a number that fits into the column"),
            },
            Target::Year => match whole(value) {
                Some(year) if year == 0 || (1901..=2155).contains(&year) => Value::Year(year as u16),
                _ => return fail("the value is not a year from 1901 to 2155"),
            },
            Target::Date => match moment(value) {
                Some(moment) => Value::Date(moment.at.date),
                None => return fail("the text is not a date"),
            },
            Target::DateTime(fsp) => match moment(value) {
                Some(moment) => Value::DateTime(cut(moment.at, *fsp)),
                None => return fail("the text is not a date and time"),
            },
            Target::Timestamp(fsp) => match moment(value) {
                Some(moment) if moment.at == DateTime::default() => Value::Timestamp(0),
                Some(moment) => match zone.moment(cut(moment.at, *fsp)) {
                    // MySQL's timestamps begin one second after the epoch.
                    Some(micros) if micros >= 1_000_000 => Value::Timestamp(micros),
                    _ => return fail("the time is no timestamp: it is before 1970-01-01 00:00:01 UTC or no date of the calendar"),
                },
                None => return fail("the text is not a date and time"),
            },
            Target::Time(fsp) => match clock(value) {
                Some(micros) => Value::Time(micros - micros % 10i64.pow(6 - u32::from((*fsp).min(6)))),
                None => return fail("the text is not a time"),
            },
            Target::Text { characters, bytes } => {
                let text = match value {
                    Val::Text(text) => text,
                    value => scratch.make(place, SET, |out| write_text(value, out))?,
                };
                // A character has at least one byte, so most texts need not be counted.
                let is_long = |most: &u32| text.len() > *most as usize && text.chars().count() > *most as usize;
                if characters.as_ref().is_some_and(is_long) || text.len() as u64 > *bytes {
                    return fail("the text is too long for the column");
                }
                Value::Text(text.as_bytes())
            }
            Target::Bytes { most, padded } => {
                let bytes = match value {
                    Val::Bytes(bytes) => bytes,
                    Val::Text(text) => text.as_bytes(),
                    _ => return fail("the value is not bytes"),
                };
                if bytes.len() as u64 > *most {
                    return fail("the value is too long for the column");
                }
                Value::Bytes(scratch.pad(bytes, *padded))
            }
            Target::Enum(labels) => {
                let Val::Text(text) = value else { return fail("the value is not a text") };
                match labels.iter().position(|label| label == text).map(|index| u16::try_from(index + 1)) {
                    Some(Ok(index)) => Value::Enum(index),
                    _ => return fail("the text is not a label of the column"),
                }
            }
            Target::Set(labels) => {
                let Val::Text(text) = value else { return fail("the value is not a text") };
                let mut mask = 0u64;
                for label in text.split(',').filter(|label| !label.is_empty()) {
                    match labels.iter().position(|known| known == label) {
                        Some(bit) if bit < 64 => mask |= 1 << bit,
                        _ => return fail("the text names a label that the column does not have"),
                    }
                }
                Value::Set(mask)
            }
            Target::Json => {
                let Val::Text(text) = value else { return fail("the value is not a text") };
                if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
                    return fail("the text is not JSON");
                }
                Value::Json(text.as_bytes())
            }
        }));
        Ok(())
    }
}

fn decimal(value: &Val<'_>) -> Option<Decimal> {
    match *value {
        Val::Bool(value) => Some(Decimal { units: value.into(), scale: 0 }),
        Val::Int(value) => Some(Decimal { units: value, scale: 0 }),
        Val::Decimal(value) => Some(value),
        Val::Float(value) => Decimal::from_float(value),
        Val::Text(text) => Decimal::parse(text.trim()),
        Val::Null | Val::Bytes(_) | Val::Moment(_) => None,
    }
}

fn whole(value: &Val<'_>) -> Option<i128> {
    decimal(value).filter(|decimal| decimal.scale == 0).map(|decimal| decimal.units)
}

fn moment(value: &Val<'_>) -> Option<Moment> {
    match *value {
        Val::Moment(moment) => Some(moment),
        Val::Text(text) => Moment::parse(text),
        _ => None,
    }
}

/// The same time without the digits of the fraction that the column does not have.
fn cut(at: DateTime, fsp: u8) -> DateTime {
    DateTime { micros: at.micros - at.micros % 10u32.pow(6 - u32::from(fsp.min(6))), ..at }
}

/// Reads `[-]HH:MM:SS[.f]`, up to 838:59:59, in microseconds.
fn clock(value: &Val<'_>) -> Option<i64> {
    let Val::Text(text) = value else { return None };
    let (sign, clock) = text.strip_prefix('-').map_or((1, *text), |rest| (-1, rest));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let number = |text: &str, most: i64| {
        let is_number = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| is_number && *number <= most)
    };
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (number(parts.next()?, 838)?, number(parts.next()?, 59)?, number(parts.next()?, 59)?);
    let micros = number(fraction, 999_999)? * 10i64.pow(6u32.saturating_sub(fraction.len() as u32));
    parts.next().is_none().then_some(sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros))
}

/// The least and the most value of an integer column.
pub(super) fn integer_range(column: &Column) -> Option<(i128, i128)> {
    let ColumnKind::Int { bytes } = column.kind else { return None };
    let bits = 8 * u32::from(bytes.clamp(1, 8));
    Some(if column.unsigned { (0, (1 << bits) - 1) } else { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) })
}

/// A new column for values of this type; `None` if the type is not known.
pub(super) fn new_column(name: &str, ty: Type) -> Option<Column> {
    let text = |kind, source_type: String| {
        let mut column = Column::new(name, kind, source_type);
        column.collation = Some(Collation::new("utf8mb4_bin"));
        column
    };
    Some(match ty {
        Type::Null => return None,
        Type::Bool => Column::new(name, ColumnKind::Int { bytes: 1 }, "tinyint(1)"),
        Type::Int => Column::new(name, ColumnKind::Int { bytes: 8 }, "bigint"),
        Type::Float => Column::new(name, ColumnKind::Double, "double"),
        Type::Decimal { precision, scale } => {
            Column::new(name, ColumnKind::Decimal { precision, scale }, format!("decimal({precision},{scale})"))
        }
        Type::Text(Some(length)) if length <= MAX_VARCHAR => {
            let length = length.max(1);
            text(ColumnKind::Varchar { length }, format!("varchar({length})"))
        }
        Type::Text(_) => text(ColumnKind::Text { prefix: 4 }, "longtext".into()),
        Type::Bytes => Column::new(name, ColumnKind::Blob { prefix: 4 }, "longblob"),
        Type::Date => Column::new(name, ColumnKind::Date, "date"),
        Type::DateTime(0) => Column::new(name, ColumnKind::DateTime { fsp: 0 }, "datetime"),
        Type::DateTime(fsp) => Column::new(name, ColumnKind::DateTime { fsp }, format!("datetime({fsp})")),
    })
}
