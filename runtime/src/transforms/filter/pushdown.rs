//! The part of a condition that a source may evaluate as well while it reads a snapshot.
//!
//! Only what every server evaluates in the same way, whatever its session: comparisons of columns with constants of the same type. The part is
//! true for every row for which the whole condition is: of the operands of AND, some may be left out; of those of OR, none.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::temporal;
use crate::{Column, ColumnKind, TableSchema};

/// The condition in SQL; `None` if nothing can be said.
pub(super) fn condition(expr: &Expr, schema: &TableSchema) -> Option<String> {
    match expr {
        Expr::Nested(inner) => condition(inner, schema),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => match (condition(left, schema), condition(right, schema)) {
            (Some(left), Some(right)) => Some(format!("({left} AND {right})")),
            (left, right) => left.or(right),
        },
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            Some(format!("({} OR {})", condition(left, schema)?, condition(right, schema)?))
        }
        Expr::BinaryOp { left, op, right } => {
            let (op, turned) = match op {
                BinaryOperator::Eq => ("=", "="),
                BinaryOperator::NotEq => ("<>", "<>"),
                BinaryOperator::Lt => ("<", ">"),
                BinaryOperator::LtEq => ("<=", ">="),
                BinaryOperator::Gt => (">", "<"),
                BinaryOperator::GtEq => (">=", "<="),
                _ => return None,
            };
            match (column(left, schema), column(right, schema)) {
                (Some(column), None) => Some(format!("{} {op} {}", quoted(column), constant(right, column)?)),
                (None, Some(column)) => Some(format!("{} {turned} {}", quoted(column), constant(left, column)?)),
                _ => None,
            }
        }
        Expr::Between { expr, negated: false, low, high } => {
            let column = column(expr, schema)?;
            Some(format!("{} BETWEEN {} AND {}", quoted(column), constant(low, column)?, constant(high, column)?))
        }
        Expr::InList { expr, list, negated: false } => {
            let column = column(expr, schema)?;
            let list = list.iter().map(|item| constant(item, column)).collect::<Option<Vec<_>>>()?;
            Some(format!("{} IN ({})", quoted(column), list.join(", ")))
        }
        Expr::IsNull(inner) => column(inner, schema).map(|column| format!("{} IS NULL", quoted(column))),
        Expr::IsNotNull(inner) => column(inner, schema).map(|column| format!("{} IS NOT NULL", quoted(column))),
        _ => None,
    }
}

/// A column whose values every server compares in the same way with constants of its type.
fn column<'s>(expr: &Expr, schema: &'s TableSchema) -> Option<&'s Column> {
    let name = match expr {
        Expr::Nested(inner) => return column(inner, schema),
        Expr::Identifier(name) => &name.value,
        Expr::CompoundIdentifier(parts) => &parts.last()?.value,
        _ => return None,
    };
    // Another spelling is left to the evaluator.
    let column = schema.columns.get(schema.column(name)?)?;
    let is_date = matches!(column.kind, ColumnKind::Date | ColumnKind::DateTime { .. });
    let is_known = is_date || matches!(column.kind, ColumnKind::Int { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. });
    is_known.then_some(column)
}

fn quoted(column: &Column) -> String {
    format!("`{}`", column.name.replace('`', "``"))
}

fn constant(expr: &Expr, column: &Column) -> Option<String> {
    match expr {
        Expr::Nested(inner) => constant(inner, column),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } if !matches!(**expr, Expr::UnaryOp { .. } | Expr::Nested(_)) => {
            matches!(column.kind, ColumnKind::Int { .. }).then(|| constant(expr, column).map(|number| format!("-{number}")))?
        }
        Expr::Value(value) => match (&column.kind, &value.value) {
            (ColumnKind::Int { .. }, Value::Number(text, _)) => text.parse::<i64>().ok().map(|number| number.to_string()),
            (ColumnKind::Date, Value::SingleQuotedString(text)) => {
                temporal::parse(text).filter(|(_, has_time)| !has_time).map(|_| format!("'{text}'"))
            }
            (ColumnKind::DateTime { .. }, Value::SingleQuotedString(text)) => {
                temporal::parse(text).filter(|(_, has_time)| *has_time && !text.contains('.')).map(|_| format!("'{text}'"))
            }
            (ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. }, Value::HexStringLiteral(digits)) => {
                // Digits only: the tokenizer takes anything between quotes.
                let is_whole = !digits.is_empty() && digits.len() % 2 == 0 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_whole.then(|| format!("x'{digits}'"))
            }
            _ => None,
        },
        _ => None,
    }
}
