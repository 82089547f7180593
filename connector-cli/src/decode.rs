//! The command `decode`: the events of binlog files, for people and for programs. It needs no server and no configuration.

use std::process::ExitCode;

use runtime::{Op, Result, RowChange};
use source_polardbx::inspect::{Content, InspectOptions, InspectedEvent, Inspector};

use crate::args::DecodeArguments;
use crate::cell::cell_json;
use crate::object::{Object, list, text};
use crate::report;

pub(crate) fn decode(args: &DecodeArguments) -> ExitCode {
    match decoded(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::fail(&error),
    }
}

fn decoded(args: &DecodeArguments) -> Result<()> {
    let mut options = InspectOptions::default();
    options.tables.clone_from(&args.tables);
    options.schema.clone_from(&args.schema);
    let mut inspector = Inspector::new(options)?;
    for (number, path) in args.files.iter().enumerate() {
        let shown = path.display().to_string();
        let mut file = inspector.open(path, args.from.filter(|_| number == 0))?;
        while let Some(event) = file.next_event()? {
            if args.json {
                report::say_json(&as_json(&shown, &event));
            } else {
                lines(&shown, &event).iter().for_each(report::say);
            }
            // Whoever reads only the beginning has closed the pipe.
            if report::is_over() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// An event in lines: where it is, what it is, and below it its rows or its text.
fn lines(file: &str, event: &InspectedEvent) -> Vec<String> {
    let compressed = if event.is_compressed { ", compressed" } else { "" };
    let InspectedEvent { offset, kind, server_id, size, .. } = event;
    let mut lines = vec![format!("{file}:{offset} {kind} {} server {server_id}, {size} bytes{compressed}", event.time())];
    let mut below = |line: String| lines.push(format!("  {line}"));
    match &event.content {
        Content::None => {}
        Content::Format(version) => below(format!("written by {version}")),
        Content::Next(next) => below(format!("continues in {next}")),
        Content::Gtid(gtid) => below(gtid.clone()),
        Content::Statement { database, text } if database.is_empty() => below(text.clone()),
        Content::Statement { database, text } => below(format!("in {database}: {text}")),
        Content::Text(text) => below(text.clone()),
        Content::Table { table, id } => below(format!("{table} is table {id}")),
        Content::Rows(rows) => rows.iter().for_each(|row| below(row_line(row))),
        Content::Unread(why) => below(format!("not shown: {why}")),
        _ => below("not shown".to_owned()),
    }
    lines
}

fn row_line(row: &RowChange) -> String {
    let images: Vec<String> = [image(row, false), image(row, true)].into_iter().flatten().collect();
    format!("{} {} {}", op(row.op), row.schema.id, images.join(" -> "))
}

fn op(op: Op) -> &'static str {
    match op {
        Op::Insert | Op::Read => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    }
}

/// The row before or after the change as a JSON object; `None` if there is none.
fn image(row: &RowChange, after: bool) -> Option<String> {
    let image = if after { &row.after } else { &row.before }.as_ref()?;
    let columns = row.schema.columns.iter().zip(image.values());
    Some(columns.fold(Object::new(), |object, (column, value)| object.with(&column.name, cell_json(column, value))).end())
}

/// An event as a JSON object in one line.
fn as_json(file: &str, event: &InspectedEvent) -> String {
    let InspectedEvent { offset, kind, server_id, size, .. } = event;
    let mut json = Object::new()
        .with("file", text(file))
        .with("offset", offset.to_string())
        .with("type", text(kind))
        .with("time", text(&event.time()))
        .with("server_id", server_id.to_string())
        .with("size", size.to_string());
    if event.is_compressed {
        json = json.with("compressed", "true");
    }
    match &event.content {
        Content::None => json,
        Content::Format(version) => json.with("server_version", text(version)),
        Content::Next(next) => json.with("next", text(next)),
        Content::Gtid(gtid) => json.with("gtid", text(gtid)),
        Content::Statement { database, text: statement } => json.with("database", text(database)).with("statement", text(statement)),
        Content::Text(shown) => json.with("text", text(shown)),
        Content::Table { table, id } => json.with("table", text(&table.to_string())).with("table_id", id.to_string()),
        Content::Rows(rows) => json.with("rows", list(rows.iter().map(row_json))),
        Content::Unread(why) => json.with("not_shown", text(why)),
        _ => json,
    }
    .end()
}

fn row_json(row: &RowChange) -> String {
    let or_null = |image: Option<String>| image.unwrap_or_else(|| "null".to_owned());
    Object::new()
        .with("op", text(op(row.op)))
        .with("table", text(&row.schema.id.to_string()))
        .with("before", or_null(image(row, false)))
        .with("after", or_null(image(row, true)))
        .end()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn captured(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captured/polardbx").join(file)
    }

    fn shown(tables: &[&str], schema: Option<&str>, from: Option<u64>) -> Result<Vec<(String, String)>> {
        let folder = tempfile::tempdir().unwrap();
        let mut options = InspectOptions::default();
        options.tables = tables.iter().map(|&table| table.to_owned()).collect();
        options.schema = schema.map(|schema| {
            let path = folder.path().join("schema.sql");
            std::fs::write(&path, schema).unwrap();
            path
        });
        let mut inspector = Inspector::new(options)?;
        let mut found = Vec::new();
        for file in ["small/binlog.000001", "small/binlog.000002"] {
            let mut opened = inspector.open(&captured(file), from.filter(|_| found.is_empty()))?;
            while let Some(event) = opened.next_event()? {
                found.push((lines(file, &event).join("\n"), as_json(file, &event)));
            }
        }
        Ok(found)
    }

    #[test]
    fn every_event_has_its_place_and_its_content() {
        let events = shown(&[], None, None).unwrap();
        assert_eq!(
            events[0].0,
            "small/binlog.000001:4 FORMAT_DESCRIPTION 2026-11-28T22:54:27Z server 1147473645, 119 bytes\n  written by 5.7.25-TDDL-5.4.19-20241126"
        );
        let with = |part: &str| events.iter().filter(|(lines, _)| lines.contains(part)).count();
        assert!(with("CREATE TABLE") > 0 && with(" QUERY ") > 0 && with("CTS::") > 0);
        assert_eq!(with("continues in binlog.000002"), 1);
        assert_eq!(with(r#"insert shop.nopk {"a":2,"b":"even"}"#), 1);
        assert_eq!(with(r#"update shop.nopk {"a":1,"b":"odd"} -> {"a":1,"b":"odd2"}"#), 1);
        for (lines, json) in &events {
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            let place = format!("{}:{} {} ", json["file"].as_str().unwrap(), json["offset"], json["type"].as_str().unwrap());
            assert!(lines.starts_with(&place), "{lines}");
        }
        let rows = events.iter().find(|(lines, _)| lines.contains("\"odd2\"")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&rows.1).unwrap();
        assert_eq!(
            json["rows"][0],
            serde_json::json!({"op": "update", "table": "shop.nopk", "before": {"a": 1, "b": "odd"}, "after": {"a": 1, "b": "odd2"}})
        );
    }

    #[test]
    fn columns_without_a_schema_are_numbered() {
        let has = |events: &[(String, String)], part: &str| events.iter().any(|(lines, _)| lines.contains(part));
        let nameless = shown(&[], None, Some(2_088)).unwrap();
        assert!(has(&nameless, r#"insert shop.nopk {"@1":2,"@2":"even","@3":100001}"#));
        let schema = "CREATE TABLE shop.nopk (a INT, b VARCHAR(20)) DEFAULT CHARSET utf8mb4";
        let named = shown(&["shop.nopk"], Some(schema), Some(2_088)).unwrap();
        assert!(has(&named, r#"insert shop.nopk {"a":2,"b":"even"}"#) && !has(&named, r#"insert shop.nopk {"@1""#));
        let others = shown(&["shop.other"], None, None).unwrap();
        assert!(!has(&others, "WRITE_ROWS") && has(&others, "CREATE TABLE"));
    }

    #[test]
    fn what_is_damaged_is_named_with_its_place() {
        let error = shown(&[], None, Some(2_089)).unwrap_err();
        let text = report::lines(&error).join("\n");
        assert!(
            text.contains("binlog.000001") && text.contains("2089") && error.help().is_some_and(|help| help.contains("an event begins")),
            "{error:?}"
        );
        assert!(shown(&["x"], None, None).unwrap_err().to_string().contains("--tables"));
        let mut bytes = std::fs::read(captured("small/binlog.000001")).unwrap();
        bytes[2_400] ^= 1;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        std::fs::write(&path, bytes).unwrap();
        let mut inspector = Inspector::new(InspectOptions::default()).unwrap();
        let mut file = inspector.open(&path, None).unwrap();
        let error = std::iter::repeat_with(|| file.next_event()).find_map(std::result::Result::err).unwrap();
        assert_eq!(error.code(), Some("E_BINLOG_CORRUPT"));
        assert!(report::lines(&error).join("\n").contains("copy:2375"), "{error:?}");
    }

    #[test]
    fn the_examples_of_the_page_are_true() {
        let page = include_str!("../../docs/sources/binlog-files.md");
        let mut blocks = 0;
        for block in page.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let (command, expected) = block.split_once('\n').unwrap();
            let words = command.trim_start_matches("$ ").split_whitespace().map(|word| word.trim_matches('\'').into());
            let crate::args::Command::Decode(args) = crate::args::parse(words).unwrap().command else { panic!("{command}") };
            let mut options = InspectOptions::default();
            options.tables = args.tables;
            let mut inspector = Inspector::new(options).unwrap();
            let name = args.files[0].display().to_string();
            let mut file = inspector.open(&captured("small").join(&name), args.from).unwrap();
            let mut found = String::new();
            while let Some(event) = file.next_event().unwrap() {
                let lines = if args.json { vec![as_json(&name, &event)] } else { lines(&name, &event) };
                lines.iter().for_each(|line| found += &format!("{}\n", runtime::Escaped(line)));
            }
            assert!(found.starts_with(expected), "{found}");
            blocks += 1;
        }
        assert!(blocks > 1);
    }
}
