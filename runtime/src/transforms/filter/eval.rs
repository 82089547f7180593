//! Evaluates a condition on a row.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::collation::Collator;
use super::expr::{Caseless, Cond, Moment, Num, Op, Operand, Part, Rounding, Sides, Text};
use super::failure::Failure;
use super::number::{Decimal, Number, leading_number};
use super::temporal;
use crate::{Row, Value};

type Result<T> = std::result::Result<T, Failure>;

impl Cond {
    /// True, false, or `None` for NULL.
    pub(super) fn eval(&self, row: &Row) -> Result<Option<bool>> {
        Ok(match self {
            Cond::Const(value) => *value,
            Cond::And(parts) => return all(parts, row, false),
            Cond::Or(parts) => return all(parts, row, true),
            Cond::Xor(left, right) => match (left.eval(row)?, right.eval(row)?) {
                (Some(left), Some(right)) => Some(left != right),
                _ => None,
            },
            Cond::Not(inner) => inner.eval(row)?.map(|value| !value),
            Cond::Is(inner, wanted) => Some(inner.eval(row)? == Some(*wanted)),
            Cond::IsNull(operand) => Some(operand.is_null(row)?),
            Cond::NonZero(number) => number.eval(row)?.map(|number| !number.is_zero()),
            Cond::Numbers(op, left, right) => match (&**left, &**right) {
                // Most conditions are of this kind.
                (Num::Column(column), Num::Const(constant)) => return op.test_cell(row.get(*column), constant),
                _ => op.test(left.eval(row)?, right.eval(row)?, |a, b| Ok(a.compare(b)))?,
            },
            Cond::OneOf(number, list) => match number.eval(row)? {
                Some(number) => Some(list.binary_search(&number.to_whole().ok_or(Failure::Cell)?).is_ok()),
                None => None,
            },
            Cond::Texts(op, collator, left, right) => op.test(left.eval(row)?, right.eval(row)?, |a, b| collator.compare(&a, &b))?,
            Cond::Moments(op, left, right) => op.test(left.eval(row)?, right.eval(row)?, |a, b| Ok(a.cmp(&b)))?,
            Cond::Like(text, pattern) => match text.eval(row)? {
                Some(text) => Some(pattern.matches(&text)?),
                None => None,
            },
            Cond::Matches(text, regex, caseless) => match text.eval(row)? {
                Some(text) => Some(matches(&text, regex, *caseless)?),
                None => None,
            },
        })
    }
}

/// AND (`decisive` is false) or OR (`decisive` is true) of conditions. As in MySQL, what follows a decisive one is not evaluated.
fn all(parts: &[Cond], row: &Row, decisive: bool) -> Result<Option<bool>> {
    let mut result = Some(!decisive);
    for part in parts {
        match part.eval(row)? {
            Some(value) if value == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn matches(text: &[u8], regex: &regex::bytes::Regex, caseless: Caseless) -> Result<bool> {
    // `$` may match before a final line break; the Kelvin sign and the long s match k and s in some engines.
    let differs = |window: &[u8]| window.starts_with("\u{212A}".as_bytes()) || window.starts_with("ſ".as_bytes());
    let breaks = text.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0x0B | 0x0C | 0))
        || ["\u{85}", "\u{2028}", "\u{2029}"].iter().any(|line| text.windows(line.len()).any(|window| window == line.as_bytes()));
    if breaks || caseless == Caseless::Yes && (0..text.len()).any(|from| text.get(from..).is_some_and(differs)) {
        return Err(Failure::Expression);
    }
    Ok(regex.is_match(text))
}

impl Op {
    #[inline]
    fn test<T>(self, left: Option<T>, right: Option<T>, compare: impl FnOnce(T, T) -> Result<Ordering>) -> Result<Option<bool>> {
        let (left, right) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) if self == Op::NullSafe => return Ok(Some(left.is_none() && right.is_none())),
            _ => return Ok(None),
        };
        Ok(Some(self.holds(compare(left, right)?)))
    }

    #[inline]
    fn test_cell(self, value: Value<'_>, constant: &Number) -> Result<Option<bool>> {
        let order = match (value, constant) {
            (Value::Int(value), Number::Int(constant)) => value.cmp(constant),
            (value, constant) => match cell(value)? {
                Some(value) => value.compare(*constant),
                None if self == Op::NullSafe => return Ok(Some(false)),
                None => return Ok(None),
            },
        };
        Ok(Some(self.holds(order)))
    }

    #[inline]
    fn holds(self, order: Ordering) -> bool {
        match self {
            Op::Eq | Op::NullSafe => order.is_eq(),
            Op::Ne => order.is_ne(),
            Op::Lt => order.is_lt(),
            Op::Le => order.is_le(),
            Op::Gt => order.is_gt(),
            Op::Ge => order.is_ge(),
        }
    }
}

impl Operand {
    fn is_null(&self, row: &Row) -> Result<bool> {
        Ok(match self {
            Operand::Column(column) => row.get(*column) == Value::Null,
            Operand::Num(number) => number.eval(row)?.is_none(),
            Operand::Text(text) => text.eval(row)?.is_none(),
            Operand::Moment(moment) => moment.eval(row)?.is_none(),
            Operand::Cond(cond) => cond.eval(row)?.is_none(),
        })
    }
}

/// The branch of a CASE whose condition is true.
fn branch<'a, T>(branches: &'a [(Cond, T)], otherwise: &'a T, row: &Row) -> Result<&'a T> {
    for (condition, value) in branches {
        if condition.eval(row)? == Some(true) {
            return Ok(value);
        }
    }
    Ok(otherwise)
}

impl Num {
    pub(super) fn eval(&self, row: &Row) -> Result<Option<Number>> {
        let of = |number: &Num| number.eval(row);
        Ok(match self {
            Num::Null => None,
            Num::Const(number) => Some(*number),
            Num::Column(column) => return cell(row.get(*column)),
            Num::Index(column) => match row.get(*column) {
                Value::Enum(index) => Some(Number::Double(index.into())),
                Value::Set(mask) => Some(Number::Double(Number::UInt(mask).to_double())),
                Value::Null => None,
                _ => return Err(Failure::Cell),
            },
            Num::Arithmetic(operator, kind, left, right) => match (of(left)?, of(right)?) {
                (Some(left), Some(right)) => operator.apply(*kind, left, right)?,
                _ => None,
            },
            Num::Negate(number) => of(number)?.map(Number::negate).transpose()?,
            Num::Absolute(number) => of(number)?.map(absolute).transpose()?,
            Num::Round(rounding, number) => of(number)?.map(|number| rounding.apply(number)),
            Num::ToDouble(number) => of(number)?.map(|number| Number::Double(number.to_double())),
            Num::OfText(text) => text.eval(row)?.map(|text| Number::Double(leading_number(&text))),
            Num::OfCond(cond) => cond.eval(row)?.map(|value| Number::Int(value.into())),
            Num::Bytes(text) => text.eval(row)?.map(|text| count(text.len())),
            Num::Chars(collator, text) => match text.eval(row)? {
                Some(text) => Some(count(collator.length(&text)?)),
                None => None,
            },
            Num::Part(part, moment) => moment.eval(row)?.map(|value| Number::Int(part.of(value))),
            Num::Case(branches, otherwise) => return branch(branches, otherwise, row)?.eval(row),
        })
    }
}

fn count(length: usize) -> Number {
    Number::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

#[inline]
fn cell(value: Value<'_>) -> Result<Option<Number>> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Int(number) => Number::Int(number),
        Value::UInt(number) | Value::Bit(number) => Number::UInt(number),
        Value::Year(year) => Number::Int(year.into()),
        Value::Float(number) => Number::Double(number.into()),
        Value::Double(number) => Number::Double(number),
        Value::Decimal(text) => Number::Decimal(Decimal::parse(text).ok_or(Failure::TooManyDigits)?),
        _ => return Err(Failure::Cell),
    }))
}

fn absolute(number: Number) -> Result<Number> {
    Ok(match number {
        Number::Int(number) => Number::Int(number.checked_abs().ok_or(Failure::Overflow)?),
        Number::Decimal(number) if number.is_negative() => Number::Decimal(number.negate()),
        Number::Double(number) => Number::Double(number.abs()),
        other => other,
    })
}

impl Rounding {
    fn apply(self, number: Number) -> Number {
        match (self, number) {
            (Rounding::Floor, Number::Decimal(number)) => Number::Decimal(number.floor()),
            (Rounding::Ceiling, Number::Decimal(number)) => Number::Decimal(number.ceiling()),
            (Rounding::Nearest(digits), Number::Decimal(number)) => Number::Decimal(number.round(digits)),
            (Rounding::Floor, Number::Double(number)) => Number::Double(number.floor()),
            (Rounding::Ceiling, Number::Double(number)) => Number::Double(number.ceil()),
            (_, number) => number,
        }
    }
}

impl Part {
    fn of(self, value: i64) -> i64 {
        if matches!(self, Part::Hours | Part::Minute | Part::Second) && value < 0 {
            // A negative duration has the parts of its length.
            return self.of(-value);
        }
        let parts = temporal::unpack(value);
        match self {
            Part::Year => parts.year,
            Part::Month => parts.month,
            Part::Day => parts.day,
            Part::Hour => parts.hour,
            Part::Hours => value / 3_600_000_000,
            Part::Minute => parts.minute,
            Part::Second => parts.second,
        }
    }
}

impl Text {
    pub(super) fn eval<'a>(&'a self, row: &'a Row) -> Result<Option<Cow<'a, [u8]>>> {
        Ok(Some(match self {
            Text::Null => return Ok(None),
            Text::Const(text) => Cow::Borrowed(text),
            Text::Column(column) => match row.get(*column) {
                Value::Text(text) | Value::Bytes(text) => Cow::Borrowed(text),
                Value::Null => return Ok(None),
                _ => return Err(Failure::Cell),
            },
            Text::Enum(column, labels) => match row.get(*column) {
                Value::Enum(index) => Cow::Borrowed(labels.get(usize::from(index)).ok_or(Failure::Cell)?),
                Value::Null => return Ok(None),
                _ => return Err(Failure::Cell),
            },
            Text::Set(column, labels) => match row.get(*column) {
                Value::Set(mask) => Cow::Owned(members(mask, labels)),
                Value::Null => return Ok(None),
                _ => return Err(Failure::Cell),
            },
            Text::Concat(parts) => {
                let mut whole = Vec::new();
                for part in parts {
                    let Some(part) = part.eval(row)? else { return Ok(None) };
                    whole.extend_from_slice(&part);
                }
                Cow::Owned(whole)
            }
            Text::Substring(collator, text, from, length) => {
                let Some(text) = text.eval(row)? else { return Ok(None) };
                substring(collator, text, *from, *length)?
            }
            Text::Right(collator, text, length) => {
                let Some(text) = text.eval(row)? else { return Ok(None) };
                if *length <= 0 {
                    return Ok(Some(Cow::Borrowed(&[])));
                }
                let characters = i64::try_from(collator.length(&text)?).unwrap_or(i64::MAX);
                substring(collator, text, (characters - length).max(0) + 1, None)?
            }
            Text::Trim(sides, text) => {
                let Some(text) = text.eval(row)? else { return Ok(None) };
                sides.trim(text)
            }
            Text::Case(branches, otherwise) => return branch(branches, &**otherwise, row)?.eval(row),
        }))
    }
}

fn members(mask: u64, labels: &[Vec<u8>]) -> Vec<u8> {
    let chosen = labels.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, label)| label.as_slice());
    chosen.collect::<Vec<_>>().join(&b',')
}

/// A part of a text, copied only where the text was made for this.
fn part(text: Cow<'_, [u8]>, from: usize, until: usize) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(from..until).unwrap_or(&[])),
        Cow::Owned(text) => Cow::Owned(text.get(from..until).unwrap_or(&[]).to_vec()),
    }
}

fn substring<'a>(collator: &Collator, text: Cow<'a, [u8]>, from: i64, length: Option<i64>) -> Result<Cow<'a, [u8]>> {
    let characters = i64::try_from(collator.length(&text)?).unwrap_or(i64::MAX);
    let first = if from < 0 { characters + from } else { from - 1 };
    if from == 0 || first < 0 || first >= characters || length.is_some_and(|length| length <= 0) {
        return Ok(Cow::Borrowed(&[]));
    }
    let last = length.map_or(characters, |length| first.saturating_add(length).min(characters));
    let (mut start, mut place, mut rest) = (0, 0, &*text);
    for index in 0..last {
        if index == first {
            start = place;
        }
        let Some((character, after)) = collator.split_char(rest)? else { break };
        place += character.len();
        rest = after;
    }
    Ok(part(text, start, place))
}

impl Sides {
    fn trim(self, text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
        let spaces = |mut bytes: Box<dyn Iterator<Item = &u8> + '_>| bytes.position(|byte| *byte != b' ').unwrap_or(text.len());
        let start = if self.left { spaces(Box::new(text.iter())) } else { 0 };
        let end = text.len() - if self.right { spaces(Box::new(text.iter().rev())) } else { 0 };
        part(text, start, end)
    }
}

impl Moment {
    pub(super) fn eval(&self, row: &Row) -> Result<Option<i64>> {
        Ok(Some(match self {
            Moment::Null => return Ok(None),
            Moment::Const(value) => *value,
            Moment::Column(column) => match row.get(*column) {
                Value::Date(date) => temporal::pack_date(date),
                Value::DateTime(value) => temporal::pack(value),
                Value::Time(micros) => micros,
                Value::Null => return Ok(None),
                _ => return Err(Failure::Cell),
            },
            Moment::Timestamp(column, offset) => match row.get(*column) {
                Value::Timestamp(micros) => temporal::pack_timestamp(micros, *offset),
                Value::Null => return Ok(None),
                _ => return Err(Failure::Cell),
            },
            Moment::Day(moment) => return Ok(moment.eval(row)?.map(temporal::day_of)),
            Moment::Case(branches, otherwise) => return branch(branches, &**otherwise, row)?.eval(row),
        }))
    }
}
