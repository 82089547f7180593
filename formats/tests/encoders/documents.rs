//! Checks that the encoders write exactly the examples in the documentation.

use std::fs;
use std::path::Path;
use std::slice::from_ref;

use formats::canal_json::CanalJson;
use runtime::{Encoder, Event, Message, Op, Row, SchemaChange, SchemaChangeKind, TableId, Value};

use crate::support::{avro, change, column, insert, schema_change, table};

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats").join(name)).unwrap()
}

/// The lines of all code blocks of a language in a page.
fn lines<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    page.split(start.as_str()).skip(1).flat_map(|rest| rest.split("```").next().unwrap_or_default().lines()).collect()
}

fn row(state: u16) -> Row {
    Row::from_values([Value::UInt(9001), Value::Enum(state)])
}

fn other_row(state: u16) -> Row {
    Row::from_values([Value::UInt(9002), Value::Enum(state)])
}

fn orders() -> std::sync::Arc<runtime::TableSchema> {
    table(vec![column("order_id", "bigint(20) unsigned"), column("state", "enum('new','paid')")])
}

#[test]
fn of_canal_json() {
    let orders = orders();
    let inserted = insert(&orders, row(1).values());
    let update = change(&orders, Op::Update, Some(row(1)), Some(row(2)));
    let delete = change(&orders, Op::Delete, Some(row(2)), None);
    let read = change(&orders, Op::Read, None, Some(row(1)));
    let mut index = SchemaChange::new(SchemaChangeKind::CreateIndex, "shop", "ALTER TABLE orders ADD INDEX by_state (state)");
    index.tables = vec![(TableId::new("shop", "orders"), Some(orders.clone()))];
    let index = schema_change(index);
    let mut second = change(&orders, Op::Update, Some(other_row(1)), Some(other_row(2)));
    second.origin = update.origin.clone();
    let both = [update.clone(), second];
    let events: [(&str, &[Event]); 8] = [
        ("{}", &[inserted]),
        ("{}", from_ref(&update)),
        ("{}", &[delete]),
        ("{}", from_ref(&index)),
        (r#"{"rows":"event"}"#, &both),
        (r#"{"profile":"dts"}"#, &[read]),
        (r#"{"profile":"dts"}"#, from_ref(&update)),
        (r#"{"profile":"dts"}"#, from_ref(&index)),
    ];
    let expected: Vec<String> = events.iter().map(|(settings, events)| together(settings, events)).collect();
    assert_eq!(lines(&page("canal-json.md"), "json"), expected);
}

/// Encodes all events into a single message.
fn together(settings: &str, events: &[Event]) -> String {
    let mut message = Message::default();
    let mut encoder = CanalJson::new(serde_json::from_str(settings).unwrap());
    assert_eq!(encoder.encode_many(events, &mut message).unwrap(), events.len());
    String::from_utf8(message.value).unwrap()
}

#[test]
fn of_dts_avro() {
    let bytes = avro(&insert(&orders(), row(1).values()));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(lines(&page("dts-avro.md"), "text"), [hex]);
}
