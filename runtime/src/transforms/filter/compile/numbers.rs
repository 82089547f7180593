//! Arithmetic.

use sqlparser::ast::{BinaryOperator, Expr};

use super::refusal::{Result, refuse};
use super::typed::{Digits, Typed, common, scale};
use crate::transforms::filter::expr::{Num, Text};
use crate::transforms::filter::number::{Arithmetic, MAX_SCALE, Number, NumberKind};

/// Two operands, each with its expression, and the operator between them.
pub(super) fn arithmetic(expr: &Expr, op: &BinaryOperator, left: (&Expr, Typed), right: (&Expr, Typed)) -> Result<Typed> {
    let operator = match op {
        BinaryOperator::Plus => Arithmetic::Add,
        BinaryOperator::Minus => Arithmetic::Subtract,
        BinaryOperator::Multiply => Arithmetic::Multiply,
        BinaryOperator::Divide => Arithmetic::Divide,
        BinaryOperator::MyIntegerDivide => Arithmetic::IntegerDivide,
        BinaryOperator::Modulo => Arithmetic::Modulo,
        _ => return refuse(expr, format!("the operator {op} is not supported")),
    };
    compute(expr, operator, as_number(left.0, left.1)?, as_number(right.0, right.1)?)
}

/// An operand of arithmetic.
pub(super) fn as_number(expr: &Expr, typed: Typed) -> Result<(Num, NumberKind)> {
    match typed {
        Typed::Num(number, kind, _) => Ok((number, kind)),
        Typed::Cond(cond) => Ok((Num::OfCond(Box::new(cond)), NumberKind::Int { unsigned: false })),
        Typed::Null => Ok((Num::Null, NumberKind::Int { unsigned: false })),
        Typed::Text(Text::Enum(column, _) | Text::Set(column, _), _) => Ok((Num::Index(column), NumberKind::Double)),
        Typed::Text(text, _) => Ok((Num::OfText(Box::new(text)), NumberKind::Double)),
        Typed::Year(column) => Ok((Num::Column(column), NumberKind::Int { unsigned: true })),
        other => refuse(expr, format!("computing with {} is not supported", other.word())),
    }
}

/// The minus of an operand.
pub(super) fn negated(expr: &Expr, inner: &Expr, operand: Typed) -> Result<Typed> {
    match as_number(inner, operand)? {
        (Num::Const(number), kind) => match number.negate() {
            Ok(number) => Ok(Typed::Num(Num::Const(number), number.kind(), Digits::Other)),
            Err(_) if kind != NumberKind::Double => refuse(expr, "the number is out of range"),
            Err(_) => refuse(expr, "the number is out of range"),
        },
        (_, NumberKind::Int { unsigned: true }) => refuse(expr, "servers differ in the minus of an unsigned number"),
        (number, kind) => Ok(Typed::Num(Num::Negate(Box::new(number)), kind, Digits::Other)),
    }
}

/// An operator with its operands.
pub(super) fn compute(expr: &Expr, operator: Arithmetic, a: (Num, NumberKind), b: (Num, NumberKind)) -> Result<Typed> {
    let mut kind = match (a.1, b.1) {
        (NumberKind::Int { unsigned: a }, NumberKind::Int { unsigned: b }) => NumberKind::Int { unsigned: a || b },
        (a, b) => common(a, b),
    };
    match (operator, kind) {
        (Arithmetic::Divide, NumberKind::Double) => {}
        (Arithmetic::Divide, _) => {
            // MySQL keeps four more digits of a quotient, but computes with up to nine. Only if four are enough there is no doubt.
            let fits = match b.0 {
                Num::Const(number) => number.to_whole().is_some_and(|divisor| divisor != 0 && 10_000 % divisor == 0),
                _ => false,
            };
            let scale = scale(a.1) + 4;
            if !fits || scale > MAX_SCALE {
                return refuse(
                    expr,
                    "servers differ in the digits of an exact quotient; divide by a constant such as 2, 10 or 100, or multiply instead",
                );
            }
            kind = NumberKind::Exact { scale };
        }
        (Arithmetic::IntegerDivide, NumberKind::Double) => return refuse(expr, "servers differ in DIV of numbers that are not exact"),
        (Arithmetic::IntegerDivide, NumberKind::Exact { .. }) => {
            return Ok(number(operator, kind, a.0, b.0, NumberKind::Int { unsigned: false }));
        }
        (Arithmetic::Multiply, NumberKind::Exact { .. }) => {
            let scale = scale(a.1) + scale(b.1);
            if scale > MAX_SCALE {
                return refuse(expr, "the product would have more than 30 digits after the point");
            }
            kind = NumberKind::Exact { scale };
        }
        (Arithmetic::Modulo, NumberKind::Int { .. }) => {
            let NumberKind::Int { unsigned } = a.1 else { return refuse(expr, "the operands are no numbers") };
            kind = NumberKind::Int { unsigned };
        }
        _ => {}
    }
    Ok(number(operator, kind, a.0, b.0, kind))
}

fn number(operator: Arithmetic, how: NumberKind, a: Num, b: Num, result: NumberKind) -> Typed {
    Typed::Num(Num::Arithmetic(operator, how, Box::new(a), Box::new(b)), result, Digits::Other)
}

/// A string constant as a number, if it is one without doubt: with at most 15 digits and nothing else.
pub(super) fn plain_number(text: &str) -> Option<Number> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let positive = text.strip_prefix('-').unwrap_or(text);
    let is_plain = positive.bytes().next()?.is_ascii_digit() && positive.bytes().last()?.is_ascii_digit() && digits <= 15;
    let number = Number::literal(positive).filter(|_| is_plain)?;
    if positive.len() == text.len() { Some(number) } else { number.negate().ok() }
}
