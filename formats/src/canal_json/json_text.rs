//! JSON documents as Canal prints them, converted from the text that the database server prints.

use std::fmt::Write;
use std::str::Chars;

use serde::de::IgnoredAny;

use super::number::{without_trailing_zero_group, write_f64};

/// Returns the document with Canal's spaces, escapes and numbers; `None` if it is not valid JSON. An empty text stays empty.
///
/// Types that the server's text does not distinguish are lost: a date is printed as a string, MySQL 5.7 prints the double 1.0 as the
/// integer 1, and a decimal of at most 17 digits that does not end in a zero looks like a double.
pub(super) fn canal_document(document: &str) -> Option<String> {
    let mut out = String::with_capacity(document.len() + document.len() / 8);
    if document.is_empty() {
        return Some(out);
    }
    // The loop below relies on the document being valid.
    serde_json::from_str::<IgnoredAny>(document).ok()?;
    let mut rest = document.chars();
    loop {
        let here = rest.as_str();
        match rest.next() {
            None => return Some(out),
            Some(' ' | '\t' | '\n' | '\r') => {}
            Some('"') => write_string(&mut out, &mut rest)?,
            Some('-' | '0'..='9') => {
                let end = here.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(here.len());
                let (number, after) = here.split_at_checked(end)?;
                write_number(&mut out, number);
                rest = after.chars();
            }
            Some(mark @ (',' | ':')) => out.extend([mark, ' ']),
            Some(other) => out.push(other),
        }
    }
}

/// Appends a number: an integer unchanged, a double as Java prints it, a decimal as Canal prints a DECIMAL column.
fn write_number(out: &mut String, number: &str) {
    let value = number.parse::<f64>().unwrap_or(f64::INFINITY);
    let whole = !number.contains(['.', 'e', 'E']);
    // A number outside the range of a double cannot be a double that the server printed, so it is copied.
    if whole || !value.is_finite() {
        out.push_str(number);
    } else if number.contains(['e', 'E']) || number.strip_suffix(".0").unwrap_or(number) == value.to_string() {
        let mut text = Vec::new();
        write_f64(&mut text, value);
        out.extend(text.into_iter().map(char::from));
    } else {
        out.push_str(without_trailing_zero_group(number));
    }
}

/// Appends a string whose opening quote was already read from `rest`.
fn write_string(out: &mut String, rest: &mut Chars<'_>) -> Option<()> {
    out.push('"');
    loop {
        match rest.next()? {
            '"' => {
                out.push('"');
                return Some(());
            }
            '\\' => match rest.next()? {
                'b' => write_char(out, '\u{8}'),
                'f' => write_char(out, '\u{c}'),
                'n' => write_char(out, '\n'),
                'r' => write_char(out, '\r'),
                't' => write_char(out, '\t'),
                'u' => write_unit(out, rest)?,
                other => write_char(out, other),
            },
            other => write_char(out, other),
        }
    }
}

/// Appends the character of a `\u` escape, or of two escapes that form a surrogate pair. A lone surrogate stays escaped.
fn write_unit(out: &mut String, rest: &mut Chars<'_>) -> Option<()> {
    let first = hex(rest)?;
    if let Some(c) = char::from_u32(first) {
        write_char(out, c);
        return Some(());
    }
    let mut ahead = rest.clone();
    let second = (ahead.next() == Some('\\') && ahead.next() == Some('u')).then(|| hex(&mut ahead)).flatten();
    let pair = second.filter(|second| first < 0xdc00 && (0xdc00..0xe000).contains(second));
    match pair.and_then(|second| char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))) {
        Some(c) => {
            write_char(out, c);
            *rest = ahead;
        }
        None => write_escaped(out, first),
    }
    Some(())
}

fn hex(rest: &mut Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | rest.next()?.to_digit(16)?))
}

fn write_char(out: &mut String, c: char) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' => write_escaped(out, u32::from(c)),
        _ => out.push(c),
    }
}

fn write_escaped(out: &mut String, unit: u32) {
    // Writing into a String cannot fail.
    let _ = write!(out, "\\u{unit:04x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_as_canal_prints_them() {
        for (server, canal) in [
            (r#"{"name":"Joe","age" : 24}"#, r#"{"name": "Joe", "age": 24}"#),
            ("10000000000.0", "1.0E10"),
            ("1e10", "1.0E10"),
            ("9.0", "9.0"),
            ("-0.0", "-0.0"),
            ("[1.5, 0.0001, 1.50, 5.00, 12345678901234567890123]", "[1.5, 1.0E-4, 1.50, 5.0, 12345678901234567890123]"),
            ("0.12345678901234567890", "0.12345678901234567890"),
            ("1e999", "1e999"),
            ("\"\\b\u{7f}\u{85}\"", "\"\\u0008\\u007f\\u0085\""),
            (r#""\/\"\\\n\u0041\u00e9\ud83d\ude00\ud800 \f""#, r#""/\"\\\nAé😀\ud800 \u000c""#),
            ("null", "null"),
            ("", ""),
            (" [ ] ", "[]"),
        ] {
            assert_eq!(canal_document(server).as_deref(), Some(canal), "{server}");
        }
        for broken in ["{", "nul", "\"", "1 2", "{]", "[\"a\\\"]", "tru€"] {
            assert_eq!(canal_document(broken), None, "{broken}");
        }
    }
}
