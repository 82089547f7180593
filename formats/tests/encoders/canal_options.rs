//! Canal JSON with each setting at values other than the default: profiles, several rows per message, texts.

use std::sync::Arc;

use formats::canal_json::{CanalJson, Config};
use runtime::{Body, Encoder, Event, Message, Op, Row, SchemaChange, SchemaChangeKind, TableSchema, Value};
use serde_json::{Value as Json, json};

use crate::support::{canal_with, change, column, event, insert, origin, schema_change, table};

/// Encodes events with settings (given as JSON). Returns the messages, each with the number of events that it holds.
fn messages(settings: &str, events: &[Event]) -> Vec<(usize, Json)> {
    let mut encoder = CanalJson::new(serde_json::from_str::<Config>(settings).unwrap());
    let (mut found, mut rest) = (Vec::new(), events);
    while !rest.is_empty() {
        let mut message = Message::default();
        let taken = encoder.encode_many(rest, &mut message).unwrap();
        let text = if message.value.is_empty() { Json::Null } else { serde_json::from_slice(&message.value).unwrap() };
        found.push((taken, text));
        rest = &rest[taken..];
    }
    found
}

/// Makes the events rows of one binlog event: they share one origin.
fn together(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let shared = origin();
    events.into_iter().map(|event| Event { origin: Arc::clone(&shared), ..event }).collect()
}

fn two_columns() -> Arc<TableSchema> {
    table(vec![column("a", "int(11)"), column("b", "int(11)")])
}

fn update(schema: &Arc<TableSchema>, before: (i64, i64), after: (i64, i64)) -> Event {
    let row = |(a, b)| Some(Row::from_values([Value::Int(a), Value::Int(b)]));
    change(schema, Op::Update, row(before), row(after))
}

fn cell(settings: &str, source_type: &str, value: Value<'_>) -> (Json, i64) {
    let message: Json = serde_json::from_str(&canal_with(settings, &insert(&table(vec![column("c", source_type)]), [value]))).unwrap();
    (message["data"][0]["c"].clone(), message["sqlType"]["c"].as_i64().unwrap())
}

#[test]
fn the_profile_of_dts() {
    let dts = r#"{"profile":"dts"}"#;
    let orders = table(vec![column("order_id", "bigint(20) unsigned"), column("state", "enum('new','paid')")]);
    let row = || Some(Row::from_values([Value::UInt(9001), Value::Enum(1)]));
    let start = r#"{"data":[{"order_id":"9001","state":"1"}],"database":"shop","es":1748737800000,"id":1748737800412000,"isDdl":false,"mysqlType":{"order_id":"bigint","state":"enum"}"#;
    let end = r#","pkNames":["order_id"],"sql":"","sqlType":{"order_id":-5,"state":4},"table":"orders","ts":1748737800412,"type":"#;
    for (op, before, after, name) in
        [(Op::Read, None, row(), "INIT"), (Op::Insert, None, row(), "INSERT"), (Op::Delete, row(), None, "DELETE")]
    {
        assert_eq!(canal_with(dts, &change(&orders, op, before, after)), format!("{start}{end}\"{name}\"}}"));
    }
    let paid = row().map(|row| row.with(1, Value::Enum(2)));
    assert!(canal_with(dts, &change(&orders, Op::Update, row(), paid)).contains(r#""old":[{"state":"1"}],"pkNames""#));
    let mut keyless = (*orders).clone();
    keyless.primary_key.clear();
    assert!(!canal_with(dts, &change(&keyless.into(), Op::Insert, None, row())).contains("pkNames"));
    let mut alter = schema_change(SchemaChange::new(SchemaChangeKind::Database, "shop", "create database shop"));
    let expected = r#"{"database":"shop","es":1748737800000,"id":1748737800412000,"isDdl":true,"sql":"create database shop","table":"","ts":1748737800412,"type":"DDL"}"#;
    assert_eq!(canal_with(dts, &alter), expected);
    let mut facts = (*origin()).clone();
    facts.gtid = Some("u:23".into());
    alter.origin = facts.into();
    assert_eq!(canal_with(dts, &alter), expected.replace(r#","id""#, r#","gtid":"u:23","id""#));
}

#[test]
fn the_rows_of_a_binlog_event_share_a_message() {
    let schema = two_columns();
    // Published vector (a), where `old` has the same columns in every row of the message.
    let events = together([update(&schema, (1, 1), (1, 9)), update(&schema, (1, 1), (9, 1))]);
    let found = messages(r#"{"rows":"event"}"#, &events);
    assert_eq!(found.len(), 1);
    let (taken, message) = &found[0];
    assert_eq!(*taken, 2);
    assert_eq!(message["data"], json!([{"a":"1","b":"9"},{"a":"9","b":"1"}]));
    assert_eq!(message["old"], json!([{"a":"1","b":"1"},{"a":"1","b":"1"}]));
    let one_column = messages(r#"{"rows":"event"}"#, &together([update(&schema, (1, 1), (1, 9)), update(&schema, (2, 2), (2, 3))]));
    assert_eq!(one_column[0].1["old"], json!([{"b":"1"},{"b":"2"}]));
    assert_eq!(messages("{}", &events).iter().map(|(taken, _)| *taken).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn rows_of_other_events_tables_or_operations_do_not() {
    let (schema, other) = (two_columns(), two_columns());
    let insert = |schema: &Arc<TableSchema>| insert(schema, [Value::Int(1), Value::Int(2)]);
    let counts = |events: &[Event]| messages(r#"{"rows":"event"}"#, events).iter().map(|(taken, _)| *taken).collect::<Vec<_>>();
    assert_eq!(counts(&together([insert(&schema), insert(&schema), insert(&schema)])), [3]);
    assert_eq!(counts(&[insert(&schema), insert(&schema)]), [1, 1]);
    assert_eq!(counts(&together([insert(&schema), insert(&other)])), [1, 1]);
    assert_eq!(counts(&together([insert(&schema), update(&schema, (1, 2), (3, 4)), update(&schema, (1, 2), (3, 4))])), [1, 2]);
    assert_eq!(counts(&together([insert(&schema), event(Body::Commit), insert(&schema)])), [1, 1, 1]);
}

#[test]
fn a_long_event_becomes_several_messages() {
    let schema = table(vec![column("c", "longtext")]);
    let text = "x".repeat(100 * 1024);
    let events = together((0..7).map(|_| insert(&schema, [Value::Text(text.as_bytes())])));
    let counts: Vec<usize> = messages(r#"{"rows":"event"}"#, &events).iter().map(|(taken, _)| *taken).collect();
    assert_eq!(counts, [3, 3, 1]);
}

#[test]
fn rows_before_one_that_cannot_be_encoded_are_encoded() {
    let schema = table(vec![column("a", "int(11)"), column("d", "double")]);
    let row = |a, d| Some(Row::from_values([Value::Int(a), Value::Double(d)]));
    let good = |a| change(&schema, Op::Update, row(a, 1.0), row(a, 2.0));
    for bad in [change(&schema, Op::Update, row(3, 1.0), row(3, f64::NAN)), change(&schema, Op::Update, row(3, f64::NAN), row(3, 1.0))] {
        let events = together([good(1), good(2), bad, good(4)]);
        let mut encoder = CanalJson::new(serde_json::from_str::<Config>(r#"{"rows":"event"}"#).unwrap());
        let mut message = Message::default();
        assert_eq!(encoder.encode_many(&events, &mut message).unwrap(), 2);
        let parsed: Json = serde_json::from_slice(&message.value).unwrap();
        assert_eq!((&parsed["data"][1]["a"], parsed["old"].as_array().unwrap().len()), (&json!("2"), 2));
        message.value.clear();
        assert!(encoder.encode_many(&events[2..], &mut message).is_err());
        assert!(message.value.is_empty());
        assert_eq!(encoder.encode_many(&events[3..], &mut message).unwrap(), 1);
    }
}

#[test]
fn old_with_all_columns() {
    let schema = two_columns();
    let message: Json = serde_json::from_str(&canal_with(r#"{"old":"all"}"#, &update(&schema, (1, 2), (1, 9)))).unwrap();
    assert_eq!(message["old"], json!([{"a":"1","b":"2"}]));
}

#[test]
fn bytes_as_base64_and_hexadecimal() {
    for (settings, padded, blob) in [(r#"{"binary":"base64"}"#, "AQIAAA==", "3q2+7w=="), (r#"{"binary":"hex"}"#, "01020000", "deadbeef")] {
        assert_eq!(cell(settings, "binary(4)", Value::Bytes(&[1, 2, 0, 0])), (json!(padded), 2004));
        assert_eq!(cell(settings, "blob", Value::Bytes(&[0xde, 0xad, 0xbe, 0xef])), (json!(blob), 2004));
        assert_eq!(cell(settings, "point", Value::Geometry(&[0xde, 0xad, 0xbe, 0xef])), (json!(blob), 2004));
    }
}

#[test]
fn labels_as_text() {
    let text = r#"{"labels":"text"}"#;
    assert_eq!(cell(text, "enum('a','b\"')", Value::Enum(2)), (json!("b\""), 4));
    assert_eq!(cell(text, "enum('a','b')", Value::Enum(0)), (json!(""), 4));
    assert_eq!(cell(text, "set('x','y','z')", Value::Set(5)), (json!("x,z"), -7));
    assert_eq!(cell(text, "set('x','y','z')", Value::Set(0)), (json!(""), -7));
    assert_eq!(cell(text, "set('x','y','z')", Value::Null), (Json::Null, 2004));
}

#[test]
fn one_sql_type_per_column() {
    let fixed = r#"{"sql_type":"static"}"#;
    for (source_type, code) in [
        ("tinyint(3) unsigned", 5),
        ("smallint(5) unsigned", 4),
        ("mediumint(8) unsigned", 4),
        ("int(10) unsigned", -5),
        ("bigint(20) unsigned", 3),
    ] {
        for value in [Value::UInt(1), Value::Null] {
            assert_eq!(cell(fixed, source_type, value).1, code, "{source_type}");
        }
    }
    assert_eq!(cell(fixed, "bigint(20)", Value::Int(1)).1, -5);
    assert_eq!(cell(fixed, "set('x','y')", Value::Null).1, -7);
    assert_eq!(cell(fixed, "json", Value::Null).1, 12);
}
