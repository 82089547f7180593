//! The command `preview`: what becomes of real rows of the source, on the terminal.

mod json_lines;
mod layout;

use std::process::ExitCode;

use runtime::{Body, Error, Finding, PreviewOutcome, PreviewRecord, Previewed, Registry, Result, TableId};
use serde_json::{Value, json};

use crate::args::PreviewArguments;
use crate::config::Task;
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

/// One row for programs: where it is, its columns, and `records`, `dropped_by` or `error`.
fn as_json(row: &Previewed) -> Value {
    let Previewed { row: event, outcome } = row;
    let mut json = json!({ "position": event.location().to_string() });
    if let Body::Row(change) = &event.body {
        json["table"] = change.schema.id.to_string().into();
        json["row"] = change.newest().and_then(|row| row.to_json(&change.schema).ok()).unwrap_or_default();
    }
    let record = |PreviewRecord { destination, key, value }: &PreviewRecord| {
        // A value that is JSON is not wrapped into a text.
        let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into());
        json!({ "topic": destination, "key": key, "value": value })
    };
    match outcome {
        PreviewOutcome::Records(records) => json["records"] = records.iter().map(record).collect(),
        PreviewOutcome::Dropped(by) => json["dropped_by"] = by.as_str().into(),
        PreviewOutcome::Failed(error) => json["error"] = json!({ "code": error.code(), "what": error.to_string() }),
    }
    json
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
        let row = json!({"id": 7, "note": "tea", "none": null});
        let record = |value: &str| PreviewRecord { destination: "shop".into(), key: None, value: value.into() };
        let found = json(PreviewOutcome::Records(vec![record("{\"a\":1}"), record("x")]));
        let records = json!([{"topic": "shop", "key": null, "value": {"a": 1}}, {"topic": "shop", "key": null, "value": "x"}]);
        assert_eq!(found, json!({"position": "shop.orders row 3", "table": "shop.orders", "row": row, "records": records}));
        assert_eq!(json(PreviewOutcome::Dropped("filter".into()))["dropped_by"], "filter");
        assert_eq!(json(PreviewOutcome::Failed(Error::data("no").with_code("E_X")))["error"]["code"], "E_X");
    }
}
