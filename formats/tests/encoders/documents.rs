//! The examples of the documents are what the encoders write.

use std::fs;
use std::path::Path;

use runtime::{Event, Op, Row, SchemaChange, SchemaChangeKind, TableId, Value};

use crate::support::{avro, canal_with, change, column, insert, schema_change, table};

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats").join(name)).unwrap()
}

/// The lines of all blocks of a language.
fn lines<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    page.split(start.as_str()).skip(1).flat_map(|rest| rest.split("```").next().unwrap_or_default().lines()).collect()
}

fn row(state: u16) -> Row {
    Row::from_values([Value::UInt(9001), Value::Enum(state)])
}

fn orders() -> std::sync::Arc<runtime::TableSchema> {
    table(vec![column("order_id", "bigint(20) unsigned"), column("state", "enum('new','paid')")])
}

#[test]
fn of_canal_json() {
    let update = change(&orders(), Op::Update, Some(row(1)), Some(row(2)));
    let mut alter = SchemaChange::new(SchemaChangeKind::AlterTable, "shop", "ALTER TABLE orders ADD COLUMN memo text");
    alter.tables = vec![(TableId::new("shop", "orders"), Some(orders()))];
    let alter = schema_change(alter);
    let events: [(&str, &Event); 4] =
        [("{}", &update), ("{}", &alter), (r#"{"profile":"dts"}"#, &update), (r#"{"profile":"dts"}"#, &alter)];
    let expected: Vec<String> = events.iter().map(|(settings, event)| canal_with(settings, event)).collect();
    assert_eq!(lines(&page("canal-json.md"), "json"), expected);
}

#[test]
fn of_dts_avro() {
    let bytes = avro(&insert(&orders(), row(1).values()));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(lines(&page("dts-avro.md"), "text"), [hex]);
}
