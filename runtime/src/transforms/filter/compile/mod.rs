//! Compiles the syntax of a condition for one version of a table's schema. What is not known to mean the same on every server is refused.

mod columns;
mod comparison;
mod functions;
mod numbers;
mod refusal;
mod texts;
mod typed;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::expr::{Cond, Num, Op, Operand};
use super::number::Number;
use crate::TableSchema;
use columns::Columns;
pub(super) use refusal::Refusal;
use refusal::{Result, refuse};
use typed::{Digits, Typed};

/// A compiled condition.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) cond: Cond,
    /// The columns that it reads, in order.
    pub(super) columns: Vec<usize>,
}

/// Compiles a condition. `zone` is that of TIMESTAMP columns, in seconds ahead of UTC.
pub(super) fn compile(expr: &Expr, schema: &TableSchema, zone: i32) -> Result<Compiled> {
    let mut compiler = Compiler { columns: Columns::new(schema, zone), is_inside: false };
    let cond = compiler.cond(expr)?;
    Ok(Compiled { cond, columns: compiler.columns.into_used() })
}

struct Compiler<'s> {
    columns: Columns<'s>,
    /// Whether the part that is being compiled is an operand of something other than AND and OR.
    is_inside: bool,
}

impl Compiler<'_> {
    /// A condition: what is true, false or NULL.
    fn cond(&mut self, expr: &Expr) -> Result<Cond> {
        let typed = self.typed(expr)?;
        self.as_cond(expr, typed)
    }

    #[allow(clippy::unused_self)]
    fn as_cond(&self, expr: &Expr, typed: Typed) -> Result<Cond> {
        match typed {
            Typed::Cond(cond) => Ok(cond),
            Typed::Null => Ok(Cond::Const(None)),
            Typed::Num(number, ..) => Ok(Cond::NonZero(Box::new(number))),
            Typed::Year(column) => Ok(Cond::NonZero(Box::new(Num::Column(column)))),
            other => refuse(expr, format!("{} is not true or false; compare it with something", other.word())),
        }
    }

    /// An operand of a comparison or of arithmetic. Predicates in one another are grouped differently by servers and by the parser, unless
    /// they stand in parentheses.
    fn operand(&mut self, expr: &Expr) -> Result<Typed> {
        let is_predicate = match expr {
            Expr::BinaryOp { op, .. } => logical(op) || comparison_of(op).is_some(),
            Expr::UnaryOp { op, expr } => *op == UnaryOperator::Not && !matches!(**expr, Expr::Nested(_)),
            Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsTrue(_) | Expr::IsNotTrue(_) | Expr::IsFalse(_) => true,
            Expr::IsNotFalse(_) | Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => true,
            Expr::InList { .. } | Expr::Between { .. } | Expr::Like { .. } | Expr::RLike { .. } => true,
            _ => false,
        };
        if is_predicate {
            return refuse(expr, "it needs parentheses around it to be read in one way only");
        }
        self.typed(expr)
    }

    fn typed(&mut self, expr: &Expr) -> Result<Typed> {
        let was_inside = self.is_inside;
        match expr {
            Expr::Nested(_) | Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => {}
            // MySQL may take its result for NULL, which it never is.
            Expr::BinaryOp { op: BinaryOperator::Spaceship, .. } if was_inside => {
                return refuse(expr, "servers agree on `<=>` only where it stands alone, or is joined by AND and OR");
            }
            _ => self.is_inside = true,
        }
        let typed = self.typed_by_kind(expr);
        self.is_inside = was_inside;
        typed
    }

    fn typed_by_kind(&mut self, expr: &Expr) -> Result<Typed> {
        match expr {
            Expr::Nested(inner) => self.typed(inner),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.columns.typed(expr),
            Expr::Value(value) => literal(expr, &value.value),
            Expr::TypedString(typed) => texts::typed_string(expr, typed),
            Expr::BinaryOp { left, op, right } => self.binary(expr, left, op, right),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Typed::Cond(Cond::Not(Box::new(self.cond(expr)?)))),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
                let operand = self.operand(inner)?;
                numbers::negated(expr, inner, operand)
            }
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => self.typed(expr),
            Expr::IsNull(inner) => self.is_null(expr, inner, false),
            Expr::IsNotNull(inner) => self.is_null(expr, inner, true),
            Expr::IsTrue(inner) => self.is(inner, true, false),
            Expr::IsNotTrue(inner) => self.is(inner, true, true),
            Expr::IsFalse(inner) => self.is(inner, false, false),
            Expr::IsNotFalse(inner) => self.is(inner, false, true),
            Expr::IsUnknown(inner) => self.is_null(expr, inner, false),
            Expr::IsNotUnknown(inner) => self.is_null(expr, inner, true),
            Expr::Between { expr: inner, negated, low, high } => {
                let value = self.operand(inner)?;
                let limits = [(&**low, self.operand(low)?), (&**high, self.operand(high)?)];
                comparison::between(value, limits).map(|cond| Typed::Cond(not_if(*negated, cond)))
            }
            Expr::InList { expr: inner, list, negated } => {
                let value = self.operand(inner)?;
                let items = list.iter().map(|item| Ok((item, self.operand(item)?))).collect::<Result<Vec<_>>>()?;
                comparison::in_list(expr, value, items).map(|cond| Typed::Cond(not_if(*negated, cond)))
            }
            Expr::Like { negated, any: false, expr: inner, pattern, escape_char } => {
                texts::like(expr, self.operand(inner)?, pattern, escape_char.as_deref()).map(|cond| Typed::Cond(not_if(*negated, cond)))
            }
            Expr::RLike { negated, expr: inner, pattern, .. } => {
                texts::regexp(expr, self.operand(inner)?, pattern).map(|cond| Typed::Cond(not_if(*negated, cond)))
            }
            Expr::Collate { expr: inner, collation } => texts::collate(expr, self.operand(inner)?, &collation.to_string()),
            Expr::Case { operand, conditions, else_result, .. } => self.case(expr, operand.as_deref(), conditions, else_result.as_deref()),
            _ => self.function(expr),
        }
    }

    fn binary(&mut self, expr: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Typed> {
        if let BinaryOperator::And | BinaryOperator::Or = op {
            return Ok(Typed::Cond(self.chain(op, left, right)?));
        }
        if *op == BinaryOperator::Xor {
            return Ok(Typed::Cond(Cond::Xor(Box::new(self.cond(left)?), Box::new(self.cond(right)?))));
        }
        if let Some(op) = comparison_of(op) {
            let (a, b) = (self.operand(left)?, self.operand(right)?);
            return comparison::compare(expr, op, a, b).map(Typed::Cond);
        }
        let (a, b) = (self.operand(left)?, self.operand(right)?);
        numbers::arithmetic(expr, op, (left, a), (right, b))
    }

    /// A chain of AND or OR as one list, in order.
    fn chain(&mut self, op: &BinaryOperator, left: &Expr, right: &Expr) -> Result<Cond> {
        let (mut parts, mut rest) = (vec![right], left);
        while let Expr::BinaryOp { left, op: next, right } = rest
            && next == op
        {
            parts.push(right);
            rest = left;
        }
        parts.push(rest);
        let parts = parts.into_iter().rev().map(|part| self.cond(part)).collect::<Result<_>>()?;
        Ok(if *op == BinaryOperator::And { Cond::And(parts) } else { Cond::Or(parts) })
    }

    fn is(&mut self, inner: &Expr, wanted: bool, negated: bool) -> Result<Typed> {
        let typed = self.operand(inner)?;
        let cond = Cond::Is(Box::new(self.as_cond(inner, typed)?), wanted);
        Ok(Typed::Cond(not_if(negated, cond)))
    }

    fn is_null(&mut self, expr: &Expr, inner: &Expr, negated: bool) -> Result<Typed> {
        let operand = match self.columns.named(inner)? {
            Some((index, column)) => {
                let is_date = matches!(column.kind, crate::ColumnKind::Date | crate::ColumnKind::DateTime { .. });
                if is_date && !column.nullable && !negated {
                    return refuse(expr, "for a date that is NOT NULL, MySQL takes 0000-00-00 as NULL here");
                }
                Operand::Column(index)
            }
            None => match self.operand(inner)? {
                Typed::Num(number, ..) => Operand::Num(Box::new(number)),
                Typed::Text(text, _) => Operand::Text(Box::new(text)),
                Typed::Moment(moment, _) => Operand::Moment(Box::new(moment)),
                Typed::Cond(cond) => Operand::Cond(Box::new(cond)),
                Typed::Null => Operand::Num(Box::new(Num::Null)),
                other => return refuse(inner, format!("whether {} is NULL is not asked for", other.word())),
            },
        };
        Ok(Typed::Cond(not_if(negated, Cond::IsNull(operand))))
    }
}

fn not_if(negated: bool, cond: Cond) -> Cond {
    if negated { Cond::Not(Box::new(cond)) } else { cond }
}

fn logical(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or | BinaryOperator::Xor)
}

fn comparison_of(op: &BinaryOperator) -> Option<Op> {
    Some(match op {
        BinaryOperator::Eq => Op::Eq,
        BinaryOperator::NotEq => Op::Ne,
        BinaryOperator::Lt => Op::Lt,
        BinaryOperator::LtEq => Op::Le,
        BinaryOperator::Gt => Op::Gt,
        BinaryOperator::GtEq => Op::Ge,
        BinaryOperator::Spaceship => Op::NullSafe,
        _ => return None,
    })
}

fn literal(expr: &Expr, value: &Value) -> Result<Typed> {
    let number = |number: Number| Typed::Num(Num::Const(number), number.kind(), Digits::Other);
    match value {
        Value::Null => Ok(Typed::Null),
        Value::Boolean(value) => Ok(number(Number::Int((*value).into()))),
        Value::Number(text, _) if text.contains(['e', 'E']) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(number(Number::Double(value))),
            _ => refuse(expr, "the number is out of range"),
        },
        Value::Number(text, _) => match Number::literal(text) {
            Some(value) => Ok(number(value)),
            None => refuse(expr, "the number has more digits than can be computed with"),
        },
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Ok(Typed::Literal(text.clone())),
        Value::HexStringLiteral(digits) => match bytes_of(digits) {
            Some(bytes) => Ok(Typed::Hex(bytes)),
            None => refuse(expr, "it has an odd number of digits, or none"),
        },
        Value::SingleQuotedByteStringLiteral(digits) => match u64::from_str_radix(digits, 2) {
            Ok(bits) => Ok(Typed::Bits(bits)),
            Err(_) => refuse(expr, "it is not a constant of at most 64 bits"),
        },
        _ => refuse(expr, "constants of this form are not supported"),
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()).collect();
    bytes.filter(|bytes| !bytes.is_empty())
}
