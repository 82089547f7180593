//! Comparisons, BETWEEN and IN.

use sqlparser::ast::Expr;

use super::numbers::{as_number, plain_number};
use super::refusal::{Result, refuse};
use super::texts::constant;
use super::typed::{Digits, MomentType, TextType, Typed};
use crate::transforms::filter::collation::Collator;
use crate::transforms::filter::expr::{Cond, Moment, Num, Op, Operand, Text};
use crate::transforms::filter::number::{Number, NumberKind};
use crate::transforms::filter::temporal;

/// A comparison of two operands, as MySQL compares values of their types.
pub(super) fn compare(expr: &Expr, op: Op, a: Typed, b: Typed) -> Result<Cond> {
    match (a, b) {
        (Typed::Null, other) | (other, Typed::Null) => with_null(expr, op, other),
        (Typed::Moment(a, kind), b) => Ok(moments(op, a, moment(expr, b, kind)?)),
        (a, Typed::Moment(b, kind)) => Ok(moments(op, moment(expr, a, kind)?, b)),
        (Typed::Year(column), b) => Ok(numbers(op, Num::Column(column), year(expr, b)?)),
        (a, Typed::Year(column)) => Ok(numbers(op, year(expr, a)?, Num::Column(column))),
        (Typed::Text(a, kind), Typed::Text(b, other)) => {
            let collator = common_collation(expr, &kind, &other)?;
            Ok(Cond::Texts(op, collator, Box::new(a), Box::new(b)))
        }
        (Typed::Text(a, kind), b @ (Typed::Literal(_) | Typed::Hex(_))) => {
            let b = text_constant(expr, &b, &kind)?;
            Ok(Cond::Texts(op, kind.collator, Box::new(a), Box::new(b)))
        }
        (a @ (Typed::Literal(_) | Typed::Hex(_)), Typed::Text(b, kind)) => {
            let a = text_constant(expr, &a, &kind)?;
            Ok(Cond::Texts(op, kind.collator, Box::new(a), Box::new(b)))
        }
        (Typed::Num(a, _, digits), Typed::Literal(text)) => Ok(numbers(op, a, quoted_number(expr, digits, &text)?)),
        (Typed::Literal(text), Typed::Num(b, _, digits)) => Ok(numbers(op, quoted_number(expr, digits, &text)?, b)),
        (Typed::Num(a, _, Digits::Bits(bits)), Typed::Bits(value)) if bits <= 53 => Ok(numbers(op, a, Num::Const(Number::UInt(value)))),
        (Typed::Bits(value), Typed::Num(b, _, Digits::Bits(bits))) if bits <= 53 => Ok(numbers(op, Num::Const(Number::UInt(value)), b)),
        (
            a @ (Typed::Literal(_) | Typed::Hex(_) | Typed::Bits(_)),
            b @ (Typed::Literal(_) | Typed::Hex(_) | Typed::Bits(_) | Typed::Num(..) | Typed::Cond(_)),
        )
        | (a @ (Typed::Num(..) | Typed::Cond(_)), b @ (Typed::Literal(_) | Typed::Hex(_) | Typed::Bits(_))) => {
            refuse(expr, format!("servers differ in how {} is compared with {}", a.word(), b.word()))
        }
        (Typed::Text(..), _) | (_, Typed::Text(..)) if op == Op::NullSafe => {
            refuse(expr, "servers differ in how `<=>` compares a text with a number")
        }
        (a, b) => {
            let (a, b) = (as_number(expr, a)?, as_number(expr, b)?);
            Ok(numbers(op, a.0, b.0))
        }
    }
}

fn with_null(expr: &Expr, op: Op, other: Typed) -> Result<Cond> {
    if op != Op::NullSafe {
        return Ok(Cond::Const(None));
    }
    Ok(Cond::IsNull(match other {
        Typed::Null => return Ok(Cond::Const(Some(true))),
        Typed::Literal(_) | Typed::Hex(_) | Typed::Bits(_) => return Ok(Cond::Const(Some(false))),
        Typed::Num(number, ..) => Operand::Num(Box::new(number)),
        Typed::Year(column) => Operand::Column(column),
        Typed::Text(text, _) => Operand::Text(Box::new(text)),
        Typed::Moment(moment, _) => Operand::Moment(Box::new(moment)),
        Typed::Cond(cond) => Operand::Cond(Box::new(cond)),
        Typed::Opaque(what) => return refuse(expr, format!("{what} is not compared")),
    }))
}

/// BETWEEN of a value and its two limits.
pub(super) fn between(mut value: Typed, limits: [(&Expr, Typed); 2]) -> Result<Cond> {
    let [(low, mut low_value), (high, mut high_value)] = limits;
    same_class(low, &value, &low_value)?;
    same_class(high, &value, &high_value)?;
    if let (Typed::Text(_, TextType { explicit: false, name, .. }), Typed::Text(_, other), _)
    | (Typed::Text(_, TextType { explicit: false, name, .. }), _, Typed::Text(_, other)) = (&value, &low_value, &high_value)
        && other.name != *name
    {
        return refuse(high, "the collations of the limits differ from that of the value");
    }
    if let Typed::Num(_, NumberKind::Int { unsigned }, _) = &value {
        for (limit, typed) in [(low, &low_value), (high, &high_value)] {
            if !has_range_of(typed, *unsigned) {
                return refuse(limit, "it is out of the range of the value's type, and servers differ in how they compare it");
            }
        }
    }
    // If one of the three is a double, all are compared as doubles.
    let is_double = |typed: &Typed| matches!(typed, Typed::Num(_, NumberKind::Double, _) | Typed::Text(Text::Enum(..) | Text::Set(..), _));
    let is_number = |typed: &Typed| matches!(typed, Typed::Num(..));
    if [&value, &low_value, &high_value].into_iter().any(is_double) && is_number(&value) {
        for typed in [&mut value, &mut low_value, &mut high_value] {
            if let Typed::Num(number, kind, _) = typed {
                *number = Num::ToDouble(Box::new(number.clone()));
                *kind = NumberKind::Double;
            }
        }
    }
    let from = compare(low, Op::Ge, value.clone(), low_value)?;
    let until = compare(high, Op::Le, value, high_value)?;
    Ok(Cond::And(vec![from, until]))
}

/// IN of a value and the items of a list.
pub(super) fn in_list(expr: &Expr, value: Typed, items: Vec<(&Expr, Typed)>) -> Result<Cond> {
    for (item, typed) in &items {
        same_class(item, &value, typed)?;
        if let (Typed::Text(_, kind), Typed::Text(_, other)) = (&value, typed)
            && kind.name != other.name
        {
            return refuse(item, "its collation differs from that of the value");
        }
    }
    // What servers make of a list of several types, or of one with NULL, differs even between the versions of one server.
    let is_whole = |typed: &Typed| matches!(typed, Typed::Null) || whole(typed).is_some();
    if matches!(value, Typed::Num(_, NumberKind::Int { .. }, _)) {
        if let Some((item, _)) = items.iter().find(|(_, typed)| !is_whole(typed)) {
            return refuse(item, "servers differ in how a list of whole numbers and others is compared; write whole numbers");
        }
    } else if !matches!(value, Typed::Text(..))
        && let Some((item, _)) = items.iter().find(|(_, typed)| matches!(typed, Typed::Null))
    {
        return refuse(item, "servers differ in what a list with NULL means; leave it out");
    }
    let is_literal = |typed: &Typed| matches!(typed, Typed::Literal(_));
    let mixed = items.iter().any(|(_, typed)| is_literal(typed)) && items.iter().any(|(_, typed)| matches!(typed, Typed::Num(..)));
    if mixed {
        return refuse(expr, "numbers and quoted numbers stand in one list");
    }
    if let Typed::Num(number, NumberKind::Int { .. }, _) = &value
        && let Some(list) = items.iter().map(|(_, typed)| whole(typed)).collect::<Option<Vec<_>>>()
    {
        let mut list = list;
        list.sort_unstable();
        list.dedup();
        return Ok(Cond::OneOf(Box::new(number.clone()), list));
    }
    let parts = items.into_iter().map(|(item, typed)| compare(item, Op::Eq, value.clone(), typed));
    Ok(Cond::Or(parts.collect::<Result<_>>()?))
}

fn numbers(op: Op, a: Num, b: Num) -> Cond {
    Cond::Numbers(op, Box::new(a), Box::new(b))
}

fn moments(op: Op, a: Moment, b: Moment) -> Cond {
    Cond::Moments(op, Box::new(a), Box::new(b))
}

/// A constant whole number.
fn whole(typed: &Typed) -> Option<i128> {
    match typed {
        Typed::Num(Num::Const(number), ..) => number.to_whole(),
        _ => None,
    }
}

/// Whether an integer limit of BETWEEN has the range of 64-bit integers of this sign. Servers compare others without their sign.
fn has_range_of(limit: &Typed, unsigned: bool) -> bool {
    match limit {
        Typed::Num(Num::Const(number), ..) => number.to_whole().is_none_or(|number| match unsigned {
            true => number >= 0,
            false => number <= i64::MAX.into(),
        }),
        Typed::Num(_, NumberKind::Int { unsigned: other }, _) => *other == unsigned,
        _ => true,
    }
}

/// BETWEEN and IN compare all their operands as one type, which servers find in different ways if there are several.
fn same_class(expr: &Expr, value: &Typed, other: &Typed) -> Result<()> {
    let is_text = |typed: &Typed| matches!(typed, Typed::Text(..) | Typed::Literal(_) | Typed::Hex(_));
    let same = match (value, other) {
        (_, Typed::Null) => true,
        (Typed::Num(..) | Typed::Cond(_), Typed::Num(..) | Typed::Cond(_)) => true,
        (Typed::Num(_, _, digits), Typed::Literal(_)) => *digits != Digits::Other,
        (Typed::Num(_, _, Digits::Bits(_)), Typed::Bits(_)) => true,
        (Typed::Text(..), other) => is_text(other),
        (Typed::Moment(..) | Typed::Year(_), Typed::Literal(_)) => true,
        (Typed::Moment(Moment::Column(_), MomentType::Date), Typed::Moment(_, MomentType::Date)) => true,
        (Typed::Year(_), Typed::Num(Num::Const(_), ..)) => true,
        _ => false,
    };
    if same {
        Ok(())
    } else {
        refuse(expr, format!("{} stands beside {}, and servers differ in how they are compared", other.word(), value.word()))
    }
}

/// A string constant beside a number.
fn quoted_number(expr: &Expr, digits: Digits, text: &str) -> Result<Num> {
    let whole = |number: Number| number.to_whole().is_some();
    // Some servers compare such pairs as doubles and some exactly. These are the pairs for which both come to the same.
    let number = plain_number(text).filter(|number| match digits {
        Digits::Int => whole(*number),
        Digits::Decimal(precision) => precision <= 15,
        Digits::Double => true,
        Digits::Bits(_) | Digits::Other => false,
    });
    match number {
        Some(number) => Ok(Num::Const(number)),
        None => refuse(expr, "servers differ in how a number is compared with this string; write the number without quotes"),
    }
}

/// What a moment is compared with.
fn moment(expr: &Expr, typed: Typed, kind: MomentType) -> Result<Moment> {
    match typed {
        Typed::Literal(text) => constant_moment(expr, &text, kind).map(Moment::Const),
        Typed::Moment(moment, other) if other.is_time() == kind.is_time() => Ok(moment),
        other => refuse(expr, format!("servers differ in how a date or time is compared with {}", other.word())),
    }
}

/// A string constant as a date or time that is not finer than what it is compared with.
pub(super) fn constant_moment(expr: &Expr, text: &str, kind: MomentType) -> Result<i64> {
    let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let found = match kind {
        MomentType::Date => temporal::parse(text).filter(|(_, has_time)| !has_time).map(|(value, _)| value),
        MomentType::DateTime { fsp } => temporal::parse(text).filter(|_| fraction <= fsp.into()).map(|(value, _)| value),
        MomentType::Time { fsp } => temporal::parse_time(text).filter(|_| fraction <= fsp.into()),
    };
    let form = match kind {
        MomentType::Date => "'YYYY-MM-DD'",
        MomentType::DateTime { .. } => "'YYYY-MM-DD' or 'YYYY-MM-DD hh:mm:ss', with no more digits behind the second than the column has",
        MomentType::Time { .. } => "'hh:mm:ss', with no more digits behind the second than the column has",
    };
    match found {
        Some(value) => Ok(value),
        None => refuse(expr, format!("the string must have the form {form}, because servers differ in what else they take")),
    }
}

/// What a YEAR column is compared with.
fn year(expr: &Expr, typed: Typed) -> Result<Num> {
    let number = match &typed {
        Typed::Year(column) => return Ok(Num::Column(*column)),
        Typed::Literal(text) => plain_number(text).filter(|_| text.len() == 4),
        Typed::Num(Num::Const(number), ..) => Some(*number),
        _ => None,
    };
    match number.filter(|number| number.to_whole().is_some_and(|year| (1901..=2155).contains(&year))) {
        Some(number) => Ok(Num::Const(number)),
        None => refuse(expr, "a year is compared with years from 1901 to 2155 only"),
    }
}

/// The collation in which two texts are compared.
fn common_collation(expr: &Expr, a: &TextType, b: &TextType) -> Result<Collator> {
    match (a.explicit, b.explicit) {
        _ if a.name == b.name => Ok(a.collator),
        (true, false) if a.name.charset() == b.name.charset() => Ok(a.collator),
        (false, true) if a.name.charset() == b.name.charset() => Ok(b.collator),
        _ => refuse(expr, format!("texts of the collations {} and {} are not compared; add COLLATE to one of them", a.name, b.name)),
    }
}

/// A constant beside a text.
pub(super) fn text_constant(expr: &Expr, typed: &Typed, kind: &TextType) -> Result<Text> {
    match typed {
        Typed::Literal(text) => constant(expr, text, kind).map(Text::Const),
        Typed::Hex(bytes) if kind.collator.is_binary() => Ok(Text::Const(bytes.clone())),
        other => refuse(expr, format!("servers differ in how {} is compared with a text that is not binary", other.word())),
    }
}
