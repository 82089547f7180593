//! The command `preview`: what becomes of real rows of the source, on the terminal.

mod json_lines;
mod layout;

use std::process::ExitCode;

use runtime::{Body, Error, Finding, PreviewOutcome, PreviewRecord, Previewed, Registry, Result, TableId};

use crate::args::PreviewArguments;
use crate::cell::cell_json;
use crate::config::Task;
use crate::object::{Object, json_or_text, list, text};
use crate::report;

/// The width of lines that do not go to a terminal.
const PLAIN_WIDTH: usize = 120;

pub(crate) async fn preview(registry: &Registry, args: &PreviewArguments) -> ExitCode {
    let (table, rows) = match previewed(registry, args).await {
        Ok(previewed) => previewed,
        Err(error) => return report::fail(&error),
    };
    let count = |is: fn(&PreviewOutcome) -> bool| rows.iter().filter(|row| is(&row.outcome)).count();
    let failed = count(|outcome| matches!(outcome, PreviewOutcome::Failed(_)));
    if args.json {
        rows.iter().for_each(|row| report::say_json(&as_json(row)));
    } else {
        let width = console::Term::stdout().size_checked().map_or(PLAIN_WIDTH, |(_, columns)| usize::from(columns));
        for row in &rows {
            layout::lines(row, width).iter().for_each(|line| report::say_in_colour(line));
            report::say("");
        }
        let dropped = count(|outcome| matches!(outcome, PreviewOutcome::Dropped(_)));
        let written = rows.len() - dropped - failed;
        report::say(format_args!(
            "{} rows of {table}: {written} would be written, {dropped} dropped, {failed} failed; nothing was written",
            rows.len()
        ));
    }
    if failed > 0 { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

async fn previewed(registry: &Registry, args: &PreviewArguments) -> Result<(TableId, Vec<Previewed>)> {
    let table: TableId = args.table.parse().map_err(|why: String| {
        Error::config(format!("the argument --table is not valid: {why}"))
            .with_help("give the table as database.table, such as shop.orders")
    })?;
    let pipeline = Task::load_preview(&args.file)?.pipeline(registry)?;
    let rows = pipeline.preview(&table, usize::from(args.limit)).await?;
    // A row may look right although the task could not start: another table may get the same name.
    match pipeline.check_transforms().await {
        Ok(warnings) => warnings.iter().for_each(report::warn),
        Err(error) if error.code() == Some("E_TRANSFORM") => return Err(error),
        // The row is there, and what the source says of other tables is for `check`.
        Err(error) => {
            let what = format!("the transforms were not checked against the tables of the source: {error}");
            report::warn(&Finding::warning("transform", what, "run `connector-cli check`"));
        }
    }
    Ok((table, rows))
}

/// One row for programs, as JSON in one line: where it is, its columns in their order, and `records`, `dropped_by` or `error`. A value that has
/// no JSON, such as text that is not valid in its character set, is `{"hex": "<its bytes>"}`.
fn as_json(row: &Previewed) -> String {
    let Previewed { row: event, outcome } = row;
    let mut json = Object::new().with("position", text(&event.location().to_string()));
    if let Body::Row(change) = &event.body {
        let cells = change.cells().fold(Object::new(), |row, (column, value)| row.with(&column.name, cell_json(column, value)));
        json = json.with("table", text(&change.schema.id.to_string())).with("row", cells.end());
    }
    let record = |PreviewRecord { destination, key, value }: &PreviewRecord| {
        let key = key.as_deref().map_or("null".to_owned(), text);
        // A value that is JSON is not wrapped into a text.
        Object::new().with("topic", text(destination)).with("key", key).with("value", json_or_text(value)).end()
    };
    match outcome {
        PreviewOutcome::Records(records) => json.with("records", list(records.iter().map(record))),
        PreviewOutcome::Dropped(by) => json.with("dropped_by", text(by)),
        PreviewOutcome::Failed(error) => {
            let code = error.code().map_or("null".to_owned(), text);
            json.with("error", Object::new().with("code", code).with("what", text(&error.to_string())).end())
        }
    }
    .end()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{Column, ColumnKind, Event, Op, Origin, Row, RowChange, Seq, TableSchema};

    use super::*;

    pub(super) fn row(note: &str) -> Event {
        let columns = vec![
            Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)"),
            Column::new("note", ColumnKind::Varchar { length: 200 }, "varchar(200)"),
            Column::new("none", ColumnKind::Float, "float"),
        ];
        let schema = Arc::new(TableSchema::new(TableId::new("shop", "orders"), columns));
        let row = Row::from_values([runtime::Value::Int(7), runtime::Value::Text(note.as_bytes()), runtime::Value::Null]);
        let body = Body::Row(RowChange::new(schema, Op::Read, None, Some(row)));
        Event { seq: Seq(3), position: "shop.orders".into(), timestamp_ms: 0, txid: None, origin: Arc::<Origin>::default(), body }
    }

    #[test]
    fn a_row_is_an_object_for_programs() {
        let json = |outcome| as_json(&Previewed { row: row("tea"), outcome });
        let record = |value: &str| PreviewRecord { destination: "shop".into(), key: None, value: value.into() };
        let head = r#"{"position":"shop.orders row 3","table":"shop.orders","row":{"id":7,"note":"tea","none":null},"#;
        let records = r#""records":[{"topic":"shop","key":null,"value":{"b":1,"a":2}},{"topic":"shop","key":null,"value":"x"}]}"#;
        assert_eq!(json(PreviewOutcome::Records(vec![record("{\"b\":1,\"a\":2}"), record("x")])), format!("{head}{records}"));
        assert_eq!(json(PreviewOutcome::Dropped("filter".into())), format!("{head}\"dropped_by\":\"filter\"}}"));
        let failed = json(PreviewOutcome::Failed(Error::data("no").with_code("E_X")));
        assert_eq!(failed, format!(r#"{head}"error":{{"code":"E_X","what":"no [E_X]"}}}}"#));
    }
}
