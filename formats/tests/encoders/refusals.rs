//! If a format cannot encode an event, the error names the column, and the buffer holds no partial message.

use std::sync::Arc;

use formats::canal_json::CanalJson;
use formats::dts_avro::DtsAvro;
use runtime::{Body, Column, Encoder, Event, Kind, Message, Op, Registry, Row, Settings, Value};

use crate::support::{canal, change, column, event, in_charset, insert, table};

/// Encodes an event with both formats. Returns the kind and text of each error; `None` if there is no error.
fn refusals(event: &Event) -> [Option<(Kind, String)>; 2] {
    let encoders: [Box<dyn Encoder>; 2] = [Box::new(CanalJson::default()), Box::new(DtsAvro::default())];
    encoders.map(|mut encoder| {
        let mut message = Message::default();
        let error = encoder.encode(event, &mut message).err()?;
        assert!(message.value.is_empty(), "half a message");
        assert!(error.help().is_some_and(|help| !help.is_empty()));
        assert_eq!(error.context(), None, "the sink adds the context");
        Some((error.kind(), error.to_string()))
    })
}

fn cell(column: Column, value: Value<'_>) -> [Option<(Kind, String)>; 2] {
    refusals(&insert(&table(vec![column]), [value]))
}

fn both(found: [Option<(Kind, String)>; 2], reason: &str) {
    for refusal in found {
        assert_eq!(refusal, Some((Kind::Data, reason.to_owned())));
    }
}

#[test]
fn cells_that_are_not_what_the_column_holds() {
    let not = |source_type: &str| format!("column c: the cell does not hold a value of type {source_type}");
    both(cell(column("c", "int(11)"), Value::UInt(1)), &not("int(11)"));
    both(cell(column("c", "int(10) unsigned"), Value::Int(-1)), &not("int(10) unsigned"));
    both(cell(column("c", "varchar(9)"), Value::Bytes(b"x")), &not("varchar(9)"));
    both(cell(column("c", "date"), Value::Text(b"2024-01-01")), &not("date"));
}

#[test]
fn values_that_no_server_has() {
    let outside = |source_type: &str| format!("column c: the value is outside the range of {source_type}");
    both(cell(column("c", "double"), Value::Double(f64::NAN)), &outside("double"));
    both(cell(column("c", "float"), Value::Float(f32::INFINITY)), &outside("float"));
    for micros in [i64::MIN, i64::MAX, 838 * 3_600_000_000 + 3_600_000_000] {
        both(cell(column("c", "time(6)"), Value::Time(micros)), &outside("time(6)"));
    }
    for micros in [i64::MIN, -1, i64::MAX] {
        both(cell(column("c", "timestamp(6)"), Value::Timestamp(micros)), &outside("timestamp(6)"));
    }
}

#[test]
fn texts_and_labels() {
    both(cell(in_charset(column("c", "varchar(9)"), "utf8"), Value::Text(b"\xff")), "column c: its bytes are not valid utf8");
    both(cell(in_charset(column("c", "text"), "klingon"), Value::Text(b"x")), "column c: character set klingon is not supported");
    both(cell(column("c", "json"), Value::Json(b"\xff")), "column c: the text is not a JSON document");
    let [canal, avro] = cell(column("c", "enum('a','b')"), Value::Enum(3));
    assert_eq!(canal, None);
    assert!(avro.is_some_and(|(kind, text)| kind == Kind::Data && text.ends_with("the value has no label in enum('a','b')")));
    let [canal, avro] = cell(column("c", "set('a','b')"), Value::Set(4));
    assert_eq!(canal, None);
    assert!(avro.is_some_and(|(_, text)| text.ends_with("the value has no label in set('a','b')")));
}

#[test]
fn images() {
    let schema = table(vec![column("c", "int(11)")]);
    let row = |width| Some(Row::from_values(vec![Value::Int(1); width]));
    both(refusals(&change(&schema, Op::Update, None, row(1))), "the before image is missing");
    both(refusals(&change(&schema, Op::Insert, None, row(2))), "the image has 2 cells, the table has 1 columns");
    let mut broken = (*schema).clone();
    broken.primary_key = vec![1];
    both(refusals(&change(&Arc::new(broken), Op::Insert, None, row(1))), "key PRIMARY names a column that the table does not have");
}

#[test]
fn an_encoder_can_be_used_after_an_error() {
    let schema = table(vec![column("c", "double")]);
    let mut encoder = CanalJson::default();
    let mut message = Message::default();
    assert!(encoder.encode(&insert(&schema, [Value::Double(f64::NAN)]), &mut message).is_err());
    encoder.encode(&insert(&schema, [Value::Double(1.0)]), &mut message).unwrap();
    assert!(message.value.starts_with(br#"{"data":[{"c":"1.0"}]"#));
}

#[test]
fn a_call_without_events_is_a_fatal_error() {
    let error = CanalJson::default().encode_many(&[], &mut Message::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Fatal);
}

#[test]
fn transaction_boundaries_have_no_message() {
    assert!(canal(&event(Body::Begin)).is_empty() && canal(&event(Body::Commit)).is_empty());
}

#[test]
fn ids_rise_over_rows_and_statements() {
    let schema = table(vec![column("c", "int(11)")]);
    let mut encoder = CanalJson::default();
    let mut ids = Vec::new();
    for value in [1, 2, 3] {
        let mut message = Message::default();
        encoder.encode(&insert(&schema, [Value::Int(value)]), &mut message).unwrap();
        let parsed: serde_json::Value = serde_json::from_slice(&message.value).unwrap();
        ids.push(parsed["id"].as_i64().unwrap());
    }
    assert_eq!(ids, [1_748_737_800_412_000, 1_748_737_800_412_001, 1_748_737_800_412_002]);
}

#[test]
fn both_are_found_by_name() {
    let mut registry = Registry::new();
    formats::register(&mut registry);
    let settings = |text: &str| serde_json::from_str::<Settings>(text).unwrap();
    let canal = registry.encoder_factory("canal_json", &settings(r#"{"decimal":"canal"}"#)).unwrap();
    assert_eq!(canal().unwrap().info().schema, None);
    let avro = registry.encoder_factory("dts_avro", &settings("{}")).unwrap();
    assert!(avro().unwrap().info().schema.is_some_and(|schema| schema.contains("com.alibaba.dts.formats.avro")));
    let error = registry.encoder_factory("dts_avro", &settings(r#"{"decimal":"canal"}"#)).err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
}
