//! String constants, COLLATE, LIKE and REGEXP.

use sqlparser::ast::{DataType, Expr, TypedString, Value};

use super::columns::text_type;
use super::comparison::constant_moment;
use super::refusal::{Result, refuse};
use super::typed::{MomentType, TextType, Typed};
use crate::Collation;
use crate::transforms::filter::expr::{Caseless, Cond, Moment, Text};
use crate::transforms::filter::like::{self, Pattern};

/// A string constant in the character set of what it is compared with.
pub(super) fn constant(expr: &Expr, text: &str, kind: &TextType) -> Result<Vec<u8>> {
    encode(expr, text, kind)
}

fn encode(expr: &Expr, text: &str, kind: &TextType) -> Result<Vec<u8>> {
    let charset = kind.name.charset();
    if charset == "utf8" && text.chars().any(|c| c > '\u{FFFF}') || kind.collator.is_binary() && !text.is_ascii() {
        return refuse(expr, format!("the string cannot be written in the character set {charset} without doubt"));
    }
    let Some(bytes) = kind.collator.encode(text) else {
        return refuse(expr, format!("the string cannot be written in the character set {charset}"));
    };
    if !text.is_ascii() {
        let mut rest = bytes.as_slice();
        while let Ok(Some((character, after))) = kind.collator.split_char(rest) {
            if kind.collator.same_char(character, b"a").is_err() {
                return refuse(expr, "the string has a character that cannot be compared as the server does");
            }
            rest = after;
        }
    }
    Ok(bytes)
}

/// `DATE '…'`, `TIME '…'` and `TIMESTAMP '…'`.
pub(super) fn typed_string(expr: &Expr, typed: &TypedString) -> Result<Typed> {
    let kind = match typed.data_type {
        DataType::Date => MomentType::Date,
        DataType::Time(..) => MomentType::Time { fsp: 6 },
        DataType::Timestamp(..) => MomentType::DateTime { fsp: 6 },
        _ => return refuse(expr, "constants of this type are not supported"),
    };
    match &typed.value.value {
        Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
            Ok(Typed::Moment(Moment::Const(constant_moment(expr, text, kind)?), kind))
        }
        _ => refuse(expr, "a string is expected"),
    }
}

/// COLLATE behind a text.
pub(super) fn collate(expr: &Expr, operand: Typed, collation: &str) -> Result<Typed> {
    let name = Collation::new(collation.trim_matches('`'));
    match operand {
        Typed::Text(text, kind) if kind.name.charset() == name.charset() => {
            Ok(Typed::Text(text, TextType { explicit: true, ..text_type(expr, Some(&name))? }))
        }
        Typed::Text(_, kind) => refuse(expr, format!("the collation {name} is not one of the character set {}", kind.name.charset())),
        Typed::Literal(constant) => {
            let kind = TextType { explicit: true, ..text_type(expr, Some(&name))? };
            Ok(Typed::Text(Text::Const(encode(expr, &constant, &kind)?), kind))
        }
        _ => refuse(expr, "COLLATE is supported behind a text only"),
    }
}

/// LIKE.
pub(super) fn like(expr: &Expr, operand: Typed, pattern: &Expr, escape: Option<&Expr>) -> Result<Cond> {
    let escape = match escape.map(as_literal) {
        None => b'\\',
        Some(Some(text)) if text.len() == 1 && text.is_ascii() && !matches!(text, "%" | "_") => {
            text.as_bytes().first().copied().unwrap_or(b'\\')
        }
        Some(_) => return refuse(expr, "the escape character must be one ASCII character other than % and _"),
    };
    let (Typed::Text(text, kind), Some(pattern)) = (operand, as_literal(pattern)) else {
        return refuse(expr, "LIKE is supported for texts, with a string constant as pattern");
    };
    if kind.name.name().ends_with("unicode_ci") && pattern.chars().any(|c| c > '\u{ffff}') {
        return refuse(expr, format!("servers differ in how LIKE compares characters above U+FFFF in the collation {}", kind.name));
    }
    // The bytes of the pattern, in which the escape characters still are.
    let bytes = encode(expr, pattern, &kind)?;
    match Pattern::new(kind.collator, &bytes, escape) {
        Ok(pattern) => Ok(Cond::Like(Box::new(text), Box::new(pattern))),
        Err(why) => refuse(expr, why),
    }
}

/// REGEXP.
pub(super) fn regexp(expr: &Expr, operand: Typed, pattern: &Expr) -> Result<Cond> {
    let (Typed::Text(text, kind), Some(pattern)) = (operand, as_literal(pattern)) else {
        return refuse(expr, "REGEXP is supported for texts, with a string constant as pattern");
    };
    if kind.collator.is_binary() {
        return refuse(expr, "some servers have no REGEXP for binary strings");
    }
    if !matches!(kind.name.charset(), "utf8" | "utf8mb4" | "ascii" | "latin1") {
        return refuse(expr, format!("servers differ in REGEXP for the character set {}", kind.name.charset()));
    }
    let caseless = kind.name.name().ends_with("_ci");
    if !caseless && kind.collator.ignores_case() {
        return refuse(expr, format!("servers differ in REGEXP for the collation {}", kind.name));
    }
    match like::regex(pattern, caseless) {
        Ok(regex) => Ok(Cond::Matches(Box::new(text), Box::new(regex), if caseless { Caseless::Yes } else { Caseless::No })),
        Err(why) => refuse(expr, why),
    }
}

fn as_literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Nested(inner) => as_literal(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
