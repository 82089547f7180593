//! Parses Canal JSON as text, so that every byte is compared.

use tests::{Failure, Result};

use super::piece::{Cell, Op, Piece};

/// Splits a text into three parts: the text up to and including `start`, the text before the next `end`, and the rest from `end` on.
fn cut<'a>(text: &'a str, start: &str, end: &str) -> Result<(&'a str, &'a str, &'a str)> {
    let missing = || Failure::new(format!("no {start} … {end} in {text}"));
    let from = text.find(start).ok_or_else(missing)? + start.len();
    let length = text[from..].find(end).ok_or_else(missing)?;
    Ok((&text[..from], &text[from..from + length], &text[from + length..]))
}

fn hide(text: &str, start: &str, end: &str) -> Result<String> {
    let (before, _, after) = cut(text, start, end)?;
    Ok(format!("{before}…{after}"))
}

pub(super) fn take_apart(value: &[u8]) -> Result<Piece> {
    let text = std::str::from_utf8(value)?;
    // Quotes in values are escaped, so this search cannot stop too early inside a value.
    let (head, id, rest) = cut(text, "{\"data\":[{\"id\":\"", "\",\"v\":")?;
    let (middle, cell, rest) = cut(rest, "\",\"v\":", "}],\"database\":\"")?;
    let row: u32 = id.parse()?;
    let (_, code, _) = cut(rest, "\"sqlType\":{\"id\":4,\"v\":", "}")?;
    let (_, table, _) = cut(rest, "\"table\":\"", "\"")?;
    let (_, kind, _) = cut(rest, ",\"type\":\"", "\"}")?;
    let op = Op::of(kind, row)?;
    let (mut shape, mut old) = (hide(rest, "\"sqlType\":{\"id\":4,\"v\":", "}")?, None);
    if op == Op::Update {
        let (head, cell, tail) = cut(&shape, "\"old\":[{\"v\":", "}],\"pkNames\"")?;
        old = Some(Cell { text: cell.to_owned(), note: String::new() });
        shape = format!("{head}…{tail}");
    }
    for number in ["\"es\":", ",\"id\":", "\"ts\":"] {
        shape = hide(&shape, number, ",")?;
    }
    shape = hide(&shape, "\"gtid\":\"", "\"")?;
    let cell = Cell { text: cell.to_owned(), note: format!("sqlType {code}") };
    let (before, after) = if op == Op::Delete { (Some(cell), None) } else { (old, Some(cell)) };
    Ok(Piece { table: table.to_owned(), op, id: row, shape: format!("{head}…{middle}…{shape}"), before, after })
}

/// A whole message of any type, written with any settings. `…` replaces everything that differs from run to run.
pub(super) fn line(value: &[u8]) -> Result<String> {
    let mut text = std::str::from_utf8(value)?.to_owned();
    for number in ["\"es\":", ",\"id\":", "\"ts\":"] {
        text = hide(&text, number, ",")?;
    }
    if text.contains("\"gtid\":") { hide(&text, "\"gtid\":\"", "\"") } else { Ok(text) }
}
