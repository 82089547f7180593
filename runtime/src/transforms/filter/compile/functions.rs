//! Functions and CASE.

use sqlparser::ast::{CaseWhen, CeilFloorKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, TrimWhereField};

use super::Compiler;
use super::comparison::{compare, text_constant};
use super::numbers::{as_number, compute};
use super::refusal::{Result, refuse};
use super::typed::{Digits, MomentType, TextType, Typed, common};
use crate::transforms::filter::expr::{Cond, Moment, Num, Op, Part, Rounding, Sides, Text};
use crate::transforms::filter::number::{Arithmetic, NumberKind};

/// A function of the text that is its first argument.
type OfText = fn(TextType, Box<Text>) -> Typed;

impl Compiler<'_> {
    pub(super) fn function(&mut self, expr: &Expr) -> Result<Typed> {
        match expr {
            Expr::Ceil { expr: inner, field: CeilFloorKind::DateTimeField(sqlparser::ast::DateTimeField::NoDateTime) } => {
                self.round(inner, Rounding::Ceiling)
            }
            Expr::Floor { expr: inner, field: CeilFloorKind::DateTimeField(sqlparser::ast::DateTimeField::NoDateTime) } => {
                self.round(inner, Rounding::Floor)
            }
            Expr::Substring { expr: inner, substring_from: Some(from), substring_for, .. } => {
                self.substring(inner, from, substring_for.as_deref())
            }
            Expr::Trim { trim_where, trim_what: None, expr: inner, trim_characters: None } => {
                let left = !matches!(trim_where, Some(TrimWhereField::Trailing));
                let right = !matches!(trim_where, Some(TrimWhereField::Leading));
                let (text, kind) = self.text(inner)?;
                Ok(Typed::Text(Text::Trim(Sides { left, right }, Box::new(text)), kind))
            }
            Expr::Function(function) => {
                let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
                    return refuse(expr, "functions of a database are not supported");
                };
                let plain = function.over.is_none()
                    && function.filter.is_none()
                    && function.null_treatment.is_none()
                    && function.within_group.is_empty();
                let FunctionArguments::List(list) = &function.args else { return refuse(expr, "it is no function that is supported") };
                let arguments = list.args.iter().map(|argument| match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument),
                    _ => None,
                });
                match arguments.collect::<Option<Vec<&Expr>>>() {
                    Some(arguments) if plain && list.duplicate_treatment.is_none() && list.clauses.is_empty() => {
                        self.call(expr, &name.value.to_ascii_uppercase(), &arguments)
                    }
                    _ => refuse(expr, "arguments of this form are not supported"),
                }
            }
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                refuse(expr, "a condition looks at one row, so it has no subqueries")
            }
            Expr::Cast { .. } | Expr::Convert { .. } => refuse(expr, "servers differ in conversions"),
            _ => refuse(expr, "expressions of this form are not supported"),
        }
    }

    fn call(&mut self, expr: &Expr, name: &str, arguments: &[&Expr]) -> Result<Typed> {
        match (name, arguments) {
            ("LENGTH" | "OCTET_LENGTH", [text]) => self.of_text(text, |_, text| int(Num::Bytes(text))),
            ("CHAR_LENGTH" | "CHARACTER_LENGTH", [text]) => self.of_text(text, |kind, text| int(Num::Chars(kind.collator, text))),
            ("LTRIM", [text]) => self.of_text(text, |kind, text| Typed::Text(Text::Trim(Sides { left: true, right: false }, text), kind)),
            ("RTRIM", [text]) => self.of_text(text, |kind, text| Typed::Text(Text::Trim(Sides { left: false, right: true }, text), kind)),
            ("LEFT", [text, length]) => {
                let length = whole(length)?;
                let (text, kind) = self.text(text)?;
                Ok(Typed::Text(Text::Substring(kind.collator, Box::new(text), 1, Some(length)), kind))
            }
            ("RIGHT", [text, length]) => {
                let length = whole(length)?;
                let (text, kind) = self.text(text)?;
                Ok(Typed::Text(Text::Right(kind.collator, Box::new(text), length), kind))
            }
            ("SUBSTR" | "SUBSTRING" | "MID", [text, from]) => self.substring(text, from, None),
            ("SUBSTR" | "SUBSTRING" | "MID", [text, from, length]) => self.substring(text, from, Some(length)),
            ("CONCAT", [_, ..]) => self.concat(expr, arguments),
            ("ABS", [number]) => match self.number(number)? {
                (inner, NumberKind::Int { unsigned: true }) => Ok(Typed::Num(inner, NumberKind::Int { unsigned: true }, Digits::Other)),
                (inner, kind) => Ok(Typed::Num(Num::Absolute(Box::new(inner)), kind, Digits::Other)),
            },
            ("MOD", [a, b]) => {
                let (a, b) = (self.number(a)?, self.number(b)?);
                compute(expr, Arithmetic::Modulo, a, b)
            }
            ("FLOOR", [number]) => self.round(number, Rounding::Floor),
            ("CEIL" | "CEILING", [number]) => self.round(number, Rounding::Ceiling),
            ("ROUND", [number]) => self.round(number, Rounding::Nearest(0)),
            ("ROUND", [number, digits]) => match u8::try_from(whole(digits)?) {
                Ok(digits) if digits <= 30 => self.round(number, Rounding::Nearest(digits)),
                _ => refuse(expr, "the number of digits must be from 0 to 30"),
            },
            ("YEAR", [date]) => self.part(date, Part::Year),
            ("MONTH", [date]) => self.part(date, Part::Month),
            ("DAY" | "DAYOFMONTH", [date]) => self.part(date, Part::Day),
            ("HOUR", [time]) => self.part(time, Part::Hour),
            ("MINUTE", [time]) => self.part(time, Part::Minute),
            ("SECOND", [time]) => self.part(time, Part::Second),
            ("DATE", [date]) => match self.operand(date)? {
                Typed::Moment(moment, kind) if !kind.is_time() => Ok(Typed::Moment(Moment::Day(Box::new(moment)), MomentType::Date)),
                other => refuse(date, format!("servers differ in the date of {}", other.word())),
            },
            ("IF", [condition, then, otherwise]) => {
                let condition = self.cond(condition)?;
                let (then, otherwise) = (self.typed(then)?, self.typed(otherwise)?);
                choice(expr, vec![condition], vec![then], otherwise)
            }
            ("IFNULL", [_, _]) | ("COALESCE", [_, ..]) => {
                let values = arguments.iter().map(|argument| self.typed(argument)).collect::<Result<Vec<_>>>()?;
                let mut conditions = Vec::new();
                for value in &values {
                    let is_null = compare(expr, Op::NullSafe, value.clone(), Typed::Null)?;
                    conditions.push(Cond::Not(Box::new(is_null)));
                }
                choice(expr, conditions, values, Typed::Null)
            }
            ("NULLIF", [a, b]) => {
                let (value, other) = (self.typed(a)?, self.typed(b)?);
                let same = compare(expr, Op::Eq, value.clone(), other)?;
                choice(expr, vec![same], vec![Typed::Null], value)
            }
            ("ISNULL", [value]) => {
                let value = self.typed(value)?;
                compare(expr, Op::NullSafe, value, Typed::Null).map(Typed::Cond)
            }
            (
                "NOW" | "CURRENT_TIMESTAMP" | "SYSDATE" | "RAND" | "UUID" | "CURDATE" | "CURTIME" | "UTC_TIMESTAMP" | "CONNECTION_ID"
                | "USER",
                _,
            ) => refuse(expr, "its value is another one each time, so the same row would be kept once and dropped once"),
            _ => refuse(expr, format!("the function {name} with {} arguments is not supported", arguments.len())),
        }
    }

    fn text(&mut self, expr: &Expr) -> Result<(Text, TextType)> {
        match self.operand(expr)? {
            Typed::Text(text, kind) => Ok((text, kind)),
            other => refuse(expr, format!("a text of a column is expected, not {}", other.word())),
        }
    }

    fn of_text(&mut self, expr: &Expr, make: OfText) -> Result<Typed> {
        self.text(expr).map(|(text, kind)| make(kind, Box::new(text)))
    }

    fn number(&mut self, expr: &Expr) -> Result<(Num, NumberKind)> {
        match self.operand(expr)? {
            typed @ (Typed::Num(..) | Typed::Cond(_) | Typed::Null) => as_number(expr, typed),
            other => refuse(expr, format!("a number is expected, not {}", other.word())),
        }
    }

    fn round(&mut self, expr: &Expr, rounding: Rounding) -> Result<Typed> {
        let (number, kind) = self.number(expr)?;
        let kind = match (kind, rounding) {
            (NumberKind::Int { .. }, _) => return Ok(Typed::Num(number, kind, Digits::Other)),
            (NumberKind::Double, Rounding::Nearest(_)) => return refuse(expr, "servers differ in ROUND of numbers that are not exact"),
            (NumberKind::Double, _) => kind,
            (NumberKind::Exact { scale }, Rounding::Nearest(digits)) => NumberKind::Exact { scale: digits.min(scale) },
            (NumberKind::Exact { .. }, _) => NumberKind::Exact { scale: 0 },
        };
        Ok(Typed::Num(Num::Round(rounding, Box::new(number)), kind, Digits::Other))
    }

    fn part(&mut self, expr: &Expr, part: Part) -> Result<Typed> {
        let of_time = matches!(part, Part::Hour | Part::Minute | Part::Second);
        match self.operand(expr)? {
            Typed::Moment(moment, MomentType::DateTime { .. }) => Ok(int(Num::Part(part, Box::new(moment)))),
            Typed::Moment(moment, MomentType::Date) if !of_time => Ok(int(Num::Part(part, Box::new(moment)))),
            Typed::Moment(moment, MomentType::Time { .. }) if part == Part::Hour => Ok(int(Num::Part(Part::Hours, Box::new(moment)))),
            Typed::Moment(moment, MomentType::Time { .. }) if of_time => Ok(int(Num::Part(part, Box::new(moment)))),
            other => refuse(expr, format!("{} does not have this part on every server", other.word())),
        }
    }

    fn substring(&mut self, expr: &Expr, from: &Expr, length: Option<&Expr>) -> Result<Typed> {
        let (from, length) = (whole(from)?, length.map(whole).transpose()?);
        let (text, kind) = self.text(expr)?;
        Ok(Typed::Text(Text::Substring(kind.collator, Box::new(text), from, length), kind))
    }

    fn concat(&mut self, expr: &Expr, arguments: &[&Expr]) -> Result<Typed> {
        let parts = arguments.iter().map(|argument| self.operand(argument)).collect::<Result<Vec<_>>>()?;
        let (texts, kind) = as_texts(expr, parts)?;
        Ok(Typed::Text(Text::Concat(texts), kind))
    }

    pub(super) fn case(&mut self, expr: &Expr, operand: Option<&Expr>, branches: &[CaseWhen], otherwise: Option<&Expr>) -> Result<Typed> {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        for branch in branches {
            conditions.push(match operand {
                Some(operand) => {
                    let (value, other) = (self.operand(operand)?, self.operand(&branch.condition)?);
                    compare(expr, Op::Eq, value, other)?
                }
                None => self.cond(&branch.condition)?,
            });
            values.push(self.typed(&branch.result)?);
        }
        let otherwise = otherwise.map_or(Ok(Typed::Null), |otherwise| self.typed(otherwise))?;
        choice(expr, conditions, values, otherwise)
    }
}

fn int(number: Num) -> Typed {
    Typed::Num(number, NumberKind::Int { unsigned: false }, Digits::Other)
}

/// A constant whole number.
fn whole(expr: &Expr) -> Result<i64> {
    let (sign, inner) = match expr {
        Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Minus, expr } => (-1, &**expr),
        other => (1, other),
    };
    let number = match inner {
        Expr::Value(value) => match &value.value {
            sqlparser::ast::Value::Number(text, _) => text.parse::<i32>().ok(),
            _ => None,
        },
        _ => None,
    };
    match number {
        Some(number) => Ok(sign * i64::from(number)),
        None => refuse(expr, "a constant whole number is expected"),
    }
}

/// Texts of one collation, of which at least one is no constant.
fn as_texts(expr: &Expr, parts: Vec<Typed>) -> Result<(Vec<Text>, TextType)> {
    let mut kind: Option<TextType> = None;
    for part in &parts {
        if let Typed::Text(_, other) = part {
            match &kind {
                Some(kind) if kind.name != other.name => {
                    return refuse(expr, format!("texts of the collations {} and {} stand together", kind.name, other.name));
                }
                Some(kind) if kind.explicit => {}
                _ => kind = Some(other.clone()),
            }
        }
    }
    let Some(kind) = kind else { return refuse(expr, "the collation of constants depends on the session of the server") };
    let text = |part: Typed| match part {
        Typed::Text(text, _) => Ok(text),
        Typed::Null => Ok(Text::Null),
        part => text_constant(expr, &part, &kind),
    };
    let texts = parts.into_iter().map(text).collect::<Result<_>>()?;
    Ok((texts, kind))
}

/// The value of the first true condition, else `otherwise`; all of one type.
fn choice(expr: &Expr, conditions: Vec<Cond>, mut values: Vec<Typed>, otherwise: Typed) -> Result<Typed> {
    values.push(otherwise);
    let is_number = |typed: &Typed| matches!(typed, Typed::Num(..) | Typed::Cond(_) | Typed::Null);
    let moment = values.iter().find_map(|typed| if let Typed::Moment(_, kind) = typed { Some(*kind) } else { None });
    if values.iter().all(|typed| matches!(typed, Typed::Null)) {
        return Ok(Typed::Null);
    }
    if values.iter().all(is_number) {
        let numbers: Vec<(Num, Option<NumberKind>)> = values
            .into_iter()
            .map(|typed| match typed {
                Typed::Num(number, kind, _) => (number, Some(kind)),
                Typed::Cond(cond) => (Num::OfCond(Box::new(cond)), Some(NumberKind::Int { unsigned: false })),
                _ => (Num::Null, None),
            })
            .collect();
        let kind = numbers.iter().filter_map(|(_, kind)| *kind).reduce(common).unwrap_or(NumberKind::Double);
        let numbers =
            numbers.into_iter().map(|(number, _)| if kind == NumberKind::Double { Num::ToDouble(Box::new(number)) } else { number });
        let (branches, otherwise) = branches(conditions, numbers.collect(), Num::Null);
        return Ok(Typed::Num(Num::Case(branches, Box::new(otherwise)), kind, Digits::Other));
    }
    if let Some(kind) = moment {
        let moments = values.into_iter().map(|typed| match typed {
            Typed::Moment(moment, other) if other == kind => Ok(moment),
            Typed::Null => Ok(Moment::Null),
            other => refuse(expr, format!("{} stands together with {}", other.word(), if kind.is_time() { "a time" } else { "a date" })),
        });
        let (branches, otherwise) = branches(conditions, moments.collect::<Result<_>>()?, Moment::Null);
        return Ok(Typed::Moment(Moment::Case(branches, Box::new(otherwise)), kind));
    }
    let (texts, kind) = as_texts(expr, values)?;
    let (branches, otherwise) = branches(conditions, texts, Text::Null);
    Ok(Typed::Text(Text::Case(branches, Box::new(otherwise)), kind))
}

fn branches<T>(conditions: Vec<Cond>, mut values: Vec<T>, null: T) -> (Vec<(Cond, T)>, T) {
    let otherwise = values.pop().unwrap_or(null);
    (conditions.into_iter().zip(values).collect(), otherwise)
}
