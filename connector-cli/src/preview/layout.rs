//! The lines for one row: on the left its columns, on the right what becomes of it; on a narrow terminal one under the other.

use runtime::{Body, Column, Escaped, Event, PreviewOutcome, PreviewRecord, Previewed, Value};
use serde_json::Value as Json;

use super::json_lines;
use crate::cell::hex;
use crate::report::{self, Look, Span};

/// Below this width, the record stands under the columns.
const SIDE_BY_SIDE: usize = 90;
const BORDER: &str = " │ ";
const NULL: &str = "NULL";
/// The largest number of characters that are shown of a cell.
const CELL: usize = 500;
/// The largest number of lines that are shown of a record's value, as they stand on the terminal.
const VALUE_LINES: usize = 200;

type Line = Vec<Span>;

fn span(look: Look, text: impl Into<String>) -> Span {
    Span { look, text: text.into() }
}

/// The lines for a row on a terminal of this width, with texts of others escaped.
pub(super) fn lines(row: &Previewed, width: usize) -> Vec<Line> {
    let mut lines = vec![vec![span(Look::Title, Escaped(row.row.location()).to_string())]];
    if width < SIDE_BY_SIDE {
        lines.extend(columns(row, width));
        lines.extend(outcome(&row.outcome, width));
        return lines;
    }
    let left_width = (width - BORDER.chars().count()) * 2 / 5;
    let left = columns(row, left_width);
    let right = outcome(&row.outcome, width - BORDER.chars().count() - left_width);
    for index in 0..left.len().max(right.len()) {
        let mut line = left.get(index).cloned().unwrap_or_default();
        let used: usize = line.iter().map(|span| console::measure_text_width(&span.text)).sum();
        line.push(span(Look::Plain, " ".repeat(left_width.saturating_sub(used))));
        line.push(span(Look::Faint, BORDER));
        line.extend(right.get(index).cloned().unwrap_or_default());
        lines.push(line);
    }
    lines
}

/// The columns of the row as the source has it.
fn columns(row: &Previewed, width: usize) -> Vec<Line> {
    let cells = cells(&row.row);
    let longest = cells.iter().map(|(name, _)| console::measure_text_width(name)).max().unwrap_or(0).min(width / 2);
    cells.into_iter().flat_map(|(name, cell)| named(&name, longest, vec![cell], width, usize::MAX)).collect()
}

/// The names of the columns of a row with their values, for people.
fn cells(event: &Event) -> Vec<(String, (Look, String))> {
    let Body::Row(change) = &event.body else { return Vec::new() };
    change.cells().map(|(column, value)| (Escaped(&column.name).to_string(), cell(column, value))).collect()
}

/// A value for people. A text that could be taken for something else stands in quotes.
fn cell(column: &Column, value: Value<'_>) -> (Look, String) {
    let text = match (value, column.to_json(value)) {
        (Value::Null, _) => return (Look::Faint, NULL.to_owned()),
        (Value::Bytes(bytes) | Value::Geometry(bytes), _) => return (Look::Plain, hex_behind_0x(bytes)),
        (Value::Json(bytes), Ok(_)) => String::from_utf8_lossy(bytes).into_owned(),
        (_, Ok(Json::String(text))) if is_mistakable(&text) => Json::String(text).to_string(),
        (_, Ok(Json::String(text))) => text,
        (_, Ok(json)) => json.to_string(),
        (Value::Text(bytes) | Value::Json(bytes), Err(_)) => return (Look::Warning, format!("not valid text: {}", hex_behind_0x(bytes))),
        (_, Err(_)) => return (Look::Warning, "not valid".to_owned()),
    };
    (Look::Plain, shortened(&text))
}

/// Whether a text, as it is, could be taken for no text, for another one, or for bytes.
fn is_mistakable(text: &str) -> bool {
    text == NULL || text.trim() != text || text.is_empty() || ["\"", "0x", "not valid"].iter().any(|start| text.starts_with(start))
}

/// The bytes as hexadecimal digits behind `0x`, up to a limit.
fn hex_behind_0x(bytes: &[u8]) -> String {
    match bytes.get(..CELL / 2) {
        Some(first) if first.len() < bytes.len() => format!("0x{}… ({} bytes)", hex(first), bytes.len()),
        _ => format!("0x{}", hex(bytes)),
    }
}

fn outcome(outcome: &PreviewOutcome, width: usize) -> Vec<Line> {
    match outcome {
        PreviewOutcome::Records(records) if records.is_empty() => {
            wrapped(Look::Warning, "no record: the format has none for this row", width)
        }
        PreviewOutcome::Records(records) => records.iter().flat_map(|record| of_record(record, width)).collect(),
        PreviewOutcome::Dropped(by) => wrapped(Look::Warning, &format!("dropped by {}", Escaped(by)), width),
        PreviewOutcome::Failed(error) => {
            report::lines(error).iter().flat_map(|line| wrapped(Look::Failure, &Escaped(line).to_string(), width)).collect()
        }
    }
}

fn of_record(record: &PreviewRecord, width: usize) -> Vec<Line> {
    const LONGEST: usize = "value".len();
    let PreviewRecord { destination, key, value } = record;
    let plain = |text: &str| (Look::Plain, Escaped(text).to_string());
    let mut lines = named("topic", LONGEST, vec![plain(destination)], width, usize::MAX);
    let key = key.as_deref().map_or((Look::Faint, "none".to_owned()), |key| (Look::Plain, shortened(key)));
    lines.extend(named("key", LONGEST, vec![key], width, usize::MAX));
    let value = report::printable_json(value);
    let value = json_lines::lines(&value, width.saturating_sub(LONGEST + 2)).iter().map(|line| plain(line)).collect();
    lines.extend(named("value", LONGEST, value, width, VALUE_LINES));
    lines
}

/// A name, and behind it its lines, which begin at the same place. Of more lines than `most`, only the first are shown, and their number.
fn named(name: &str, longest: usize, texts: Vec<(Look, String)>, width: usize, most: usize) -> Vec<Line> {
    let room = width.saturating_sub(longest + 2).max(1);
    let mut lines: Vec<Line> = texts.iter().flat_map(|(look, text)| wrapped(*look, text, room)).collect();
    if lines.is_empty() {
        lines.push(Vec::new());
    }
    if lines.len() > most {
        let more = lines.len() - most;
        lines.truncate(most);
        lines.push(vec![span(Look::Faint, format!("… {more} more lines"))]);
    }
    for (index, line) in lines.iter_mut().enumerate() {
        let name = if index == 0 { clipped(name, longest) } else { String::new() };
        let padding = (longest + 2).saturating_sub(console::measure_text_width(&name));
        line.insert(0, span(Look::Plain, " ".repeat(padding)));
        line.insert(0, span(Look::Name, name));
    }
    lines
}

/// A text in pieces of this width on the terminal. A single character may be wider.
fn wrapped(look: Look, text: &str, width: usize) -> Vec<Line> {
    let (mut lines, mut piece, mut used) = (Vec::new(), String::new(), 0);
    for c in text.chars() {
        let wide = console::measure_text_width(c.encode_utf8(&mut [0; 4]));
        if used + wide > width && !piece.is_empty() {
            lines.push(vec![span(look, std::mem::take(&mut piece))]);
            used = 0;
        }
        piece.push(c);
        used += wide;
    }
    lines.push(vec![span(look, piece)]);
    lines
}

/// The name, which ends with a mark where it is too long.
fn clipped(name: &str, width: usize) -> String {
    if console::measure_text_width(name) <= width {
        return name.to_owned();
    }
    let first = wrapped(Look::Name, name, width.saturating_sub(1)).into_iter().flatten().next();
    first.map_or(String::new(), |span| span.text) + "…"
}

/// The text, escaped, up to a limit.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(CELL) {
        Some((end, _)) => format!("{}… ({} bytes)", Escaped(text.get(..end).unwrap_or_default()), text.len()),
        None => Escaped(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use runtime::{ColumnKind, Error};

    use super::super::tests::row;
    use super::*;

    fn shown(note: &str, outcome: PreviewOutcome, width: usize) -> Vec<String> {
        let previewed = Previewed { row: row(note), outcome };
        let text = |line: Line| line.into_iter().map(|span| span.text).collect::<String>().trim_end().to_owned();
        lines(&previewed, width).into_iter().map(text).collect()
    }

    fn records(value: &str) -> PreviewOutcome {
        PreviewOutcome::Records(vec![PreviewRecord {
            destination: "shop".into(),
            key: Some("[\"shop\",\"orders\",\"7\"]".into()),
            value: value.into(),
        }])
    }

    #[test]
    fn cells_are_texts() {
        let cell = |name: &str, look, text: &str| (name.to_owned(), (look, text.to_owned()));
        let expected = [cell("id", Look::Plain, "7"), cell("note", Look::Plain, "a \"b\""), cell("none", Look::Faint, "NULL")];
        assert_eq!(cells(&row("a \"b\"")), expected);
    }

    #[test]
    fn values_of_different_kinds_do_not_look_the_same() {
        let column = |kind| Column::new("c", kind, "c");
        let (text, bytes) = (column(ColumnKind::Varchar { length: 9 }), column(ColumnKind::Varbinary { length: 9 }));
        for (column, value, expected) in [
            (&text, Value::Null, "NULL"),
            (&text, Value::Text(b"NULL"), "\"NULL\""),
            (&text, Value::Text(b"\"NULL\""), "\"\\\"NULL\\\"\""),
            (&text, Value::Text(b"null"), "null"),
            (&text, Value::Text(b""), "\"\""),
            (&text, Value::Text(b" a "), "\" a \""),
            (&text, Value::Text(b"0x00"), "\"0x00\""),
            (&text, Value::Text(b"\xff"), "not valid text: 0xff"),
            (&bytes, Value::Bytes(b"00"), "0x3030"),
            (&column(ColumnKind::Json), Value::Json(b"null"), "null"),
            (&column(ColumnKind::Json), Value::Json(b"{\"b\": 1, \"a\": 2}"), "{\"b\": 1, \"a\": 2}"),
        ] {
            assert_eq!(cell(column, value).1, expected);
        }
        let long = cell(&bytes, Value::Bytes(&[0xab; 5000])).1;
        assert!(long.ends_with("ab… (5000 bytes)") && long.len() < 2 * CELL, "{long}");
    }

    #[test]
    fn what_is_cut_says_so() {
        let name = "a_name_that_is_much_longer_than_its_place";
        assert_eq!((clipped(name, 10), clipped("漢漢漢", 4), clipped("short", 5)), ("a_name_th…".into(), "漢…".into(), "short".into()));
        let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        let lines = shown("tea", records(&huge), 100);
        assert!(lines.len() < VALUE_LINES + 10 && lines.last().unwrap().contains("more lines"), "{:?}", lines.last());
        let PreviewOutcome::Records(mut long_key) = records("{}") else { unreachable!() };
        long_key[0].key = Some("k".repeat(1 << 20));
        let lines = shown("tea", PreviewOutcome::Records(long_key), 100);
        assert!(lines.len() < 40 && lines.iter().any(|line| line.contains("(1048576 bytes)")), "{}", lines.len());
    }

    #[test]
    fn before_and_after_stand_side_by_side() {
        let value = r#"{"data":[{"id":"7","note":"tea","none":null}],"table":"orders"}"#;
        let expected = [
            "shop.orders row 3",
            "id    7                              │ topic  shop",
            "note  tea                            │ key    [\"shop\",\"orders\",\"7\"]",
            "none  NULL                           │ value  {",
            "                                     │          \"data\":[{\"id\":\"7\",\"note\":\"tea\",\"none\":null}],",
            "                                     │          \"table\":\"orders\"",
            "                                     │        }",
        ];
        assert_eq!(shown("tea", records(value), 95), expected);
        let page = include_str!("../../../docs/shaping.md");
        assert!(page.contains(&expected.join("\n")), "the page shows what the command prints");
    }

    #[test]
    fn one_under_the_other_on_a_narrow_terminal() {
        let found = shown("tea", records("{}"), 40);
        assert_eq!(
            found,
            ["shop.orders row 3", "id    7", "note  tea", "none  NULL", "topic  shop", "key    [\"shop\",\"orders\",\"7\"]", "value  {}"]
        );
        let long = "x".repeat(100);
        assert!(shown(&long, records("{}"), 40).iter().all(|line| line.chars().count() <= 40));
        assert!(shown(&"漢".repeat(100), records("{}"), 40).iter().all(|line| console::measure_text_width(line) <= 40));
        for width in 0..8 {
            assert!(!shown(&long, records("[1,2,3]"), width).is_empty());
        }
    }

    #[test]
    fn what_is_not_written_says_why() {
        let dropped = shown("tea", PreviewOutcome::Dropped("filter".into()), 120);
        assert!(dropped[1].ends_with("dropped by filter"), "{dropped:?}");
        let failed = shown("tea", PreviewOutcome::Failed(Error::data("too long").with_code("E_X").because("it is")), 120);
        assert!(failed[1].ends_with("error[E_X]: too long") && failed[2].ends_with("cause: it is"), "{failed:?}");
        let none = shown("tea", PreviewOutcome::Records(Vec::new()), 120);
        assert!(none[1].contains("no record"), "{none:?}");
    }

    #[test]
    fn nothing_in_a_row_reaches_the_terminal_raw() {
        let hostile = "\x1b[2J\n\u{9b}31m\u{202e}\r";
        let outcomes = || {
            [records(hostile), records(&format!("{{\"a\":\"{}\"}}", "\u{9b}\u{202e}".repeat(90))), PreviewOutcome::Dropped(hostile.into())]
                .into_iter()
                .chain([PreviewOutcome::Failed(Error::data(hostile))])
        };
        for width in [20, 120] {
            for outcome in outcomes() {
                let lines = shown(&hostile.repeat(60), outcome, width);
                assert!(lines.iter().all(|line| !line.contains(runtime::is_unprintable)), "{lines:?}");
            }
        }
    }
}
