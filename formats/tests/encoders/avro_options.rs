//! DTS Avro with each setting at values other than the default.

use std::sync::Arc;

use apache_avro::types::Value as Avro;
use formats::dts_avro::{Config, DtsAvro};
use runtime::{Body, Column, Encoder, Event, Kind, Message, Op, Row, Value};

use crate::avro_model::{character, null, read, schema};
use crate::avro_values::{field, only, tag};
use crate::support::{change, column, encode, event, in_charset, insert, origin, table};

fn with(settings: &str, event: &Event) -> runtime::Result<Vec<u8>> {
    let config: Config = serde_json::from_str(settings).unwrap();
    encode(&mut DtsAvro::new(config), event)
}

fn operation(settings: &str, event: &Event) -> Option<String> {
    let bytes = with(settings, event).unwrap();
    if bytes.is_empty() {
        return None;
    }
    match field(&read(&schema(), &bytes), "operation") {
        Avro::Enum(_, name) => Some(name.clone()),
        other => panic!("{other:?}"),
    }
}

fn text(settings: &str, column: Column, bytes: &[u8]) -> Result<Avro, String> {
    let bytes = with(settings, &insert(&table(vec![column]), [Value::Text(bytes)])).map_err(|error| {
        assert_eq!(error.kind(), Kind::Data);
        error.to_string()
    })?;
    Ok(only(field(&read(&schema(), &bytes), "afterImages")).clone())
}

#[test]
fn transaction_boundaries_and_heartbeats_only_on_request() {
    let [begin, commit, beat] = [Body::Begin, Body::Commit, Body::Heartbeat].map(event);
    for event in [&begin, &commit, &beat] {
        assert_eq!(operation("{}", event), None);
    }
    let transactions = r#"{"transactions":true}"#;
    assert_eq!(operation(transactions, &begin).as_deref(), Some("BEGIN"));
    assert_eq!(operation(transactions, &commit).as_deref(), Some("COMMIT"));
    assert_eq!(operation(transactions, &beat), None);
    assert_eq!(operation(r#"{"heartbeats":"heartbeat"}"#, &beat).as_deref(), Some("HEARTBEAT"));
    assert_eq!(operation(r#"{"heartbeats":"checkpoint"}"#, &beat).as_deref(), Some("CHECKPOINT"));
    assert_eq!(operation(r#"{"heartbeats":"checkpoint"}"#, &begin), None);
}

#[test]
fn a_transaction_boundary_has_the_transactions_facts_and_no_object() {
    let mut facts = (*origin()).clone();
    facts.gtid = Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:23".into());
    facts.facts = vec![("Q_FLAGS2_CODE", "0".to_owned()), ("GTID", "twice".to_owned()), ("server_id", "twice".to_owned())];
    let mut begin = event(Body::Begin);
    begin.origin = facts.into();
    // The record must be longer than 48 bytes: the example consumer of DTS drops shorter values.
    let bytes = with(r#"{"transactions":true}"#, &begin).unwrap();
    assert!(bytes.len() > 48);
    let record = read(&schema(), &bytes);
    for nothing in ["objectName", "processTimestamps", "fields", "beforeImages", "afterImages"] {
        assert_eq!(field(&record, nothing), &null(), "{nothing}");
    }
    assert_eq!(field(&record, "sourceTimestamp"), &Avro::Long(1_748_737_800));
    assert_eq!(field(&record, "sourcePosition"), &Avro::String("72469@78".into()));
    for (name, value) in [
        ("GTID", "3e11fa47-71ca-11e1-9e33-c80aa9429562:23"),
        ("Q_FLAGS2_CODE", "0"),
        ("server_id", "57"),
        ("thread_id", "9"),
        ("readerThroughoutTime", "1748737800412"),
    ] {
        assert_eq!(tag(&record, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn texts_in_the_charset_of_the_source() {
    let source = r#"{"charset":"source"}"#;
    let gbk = || in_charset(column("c", "varchar(9)"), "gbk");
    assert_eq!(text(source, gbk(), b"\xd6\xd0"), Ok(character("gbk", b"\xd6\xd0")));
    assert_eq!(text("{}", gbk(), b"\xd6\xd0"), Ok(character("utf8mb4", "中".as_bytes())));
    assert_eq!(text(source, in_charset(column("c", "text"), "utf8mb3"), b"x"), Ok(character("utf8", b"x")));
    assert_eq!(text(source, column("c", "text"), b"x"), Ok(character("utf8mb4", b"x")));
    assert!(text(source, in_charset(column("c", "text"), "ascii"), b"\xff").unwrap_err().contains("its bytes are not valid ascii"));
}

#[test]
fn invalid_texts_fail_or_are_written_unchanged() {
    let ascii = || in_charset(column("c", "char(1)"), "ascii");
    assert!(text("{}", ascii(), b"\xe9").unwrap_err().contains("its bytes are not valid ascii"));
    let keep = r#"{"invalid_text":"keep"}"#;
    assert_eq!(text(keep, ascii(), b"\xe9"), Ok(character("ascii", b"\xe9")));
    assert_eq!(text(keep, in_charset(column("c", "char(1)"), "utf8mb3"), b"\xff"), Ok(character("utf8", b"\xff")));
    assert_eq!(text(keep, column("c", "varchar(9)"), b"a\xff"), Ok(character("utf8mb4", b"a\xff")));
    assert_eq!(text(keep, in_charset(column("c", "char(1)"), "latin1"), b"\xe9"), Ok(character("utf8mb4", "é".as_bytes())));
    // With both settings, nothing is decoded: an unknown character set is accepted and keeps its own name.
    let both = r#"{"invalid_text":"keep","charset":"source"}"#;
    assert_eq!(text(both, in_charset(column("c", "text"), "klingon"), b"\xff"), Ok(character("klingon", b"\xff")));
}

#[test]
fn snapshot_rows_and_long_sets() {
    let schema = table(vec![column("c", "int(11)")]);
    let read = change(&schema, Op::Read, None, Some(Row::from_values([Value::Int(1)])));
    assert_eq!(operation("{}", &read).as_deref(), Some("INIT"));
    assert_eq!(operation(r#"{"snapshot_type":"INSERT"}"#, &read).as_deref(), Some("INSERT"));
    // No server has a SET of 65 labels, but the encoder must not mistake its mask for one with fewer labels.
    let labels: Vec<String> = (0..65).map(|bit| format!("'l{bit}'")).collect();
    let set = insert(&table(vec![column("c", &format!("set({})", labels.join(",")))]), [Value::Set(1)]);
    let Avro::Union(11, object) =
        only(field(&crate::avro_model::read(&crate::avro_model::schema(), &with("{}", &set).unwrap()), "afterImages")).clone()
    else {
        panic!("no text object")
    };
    assert_eq!(field(&object, "value"), &Avro::String("l0".into()));
}

#[test]
fn one_event_per_call_however_many_there_are() {
    let schema = table(vec![column("c", "int(11)")]);
    let shared = origin();
    let events: Vec<Event> = (0..3).map(|value| Event { origin: Arc::clone(&shared), ..insert(&schema, [Value::Int(value)]) }).collect();
    let mut encoder = DtsAvro::default();
    assert_eq!(encoder.encode_many(&events, &mut Message::default()).unwrap(), 1);
}
