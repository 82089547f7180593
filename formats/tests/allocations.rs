//! An encoder makes no allocation per row, once it has seen the table and its buffers are large enough.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use formats::canal_json::{self, CanalJson};
use formats::dts_avro::{self, DtsAvro};
use runtime::{
    Body, CellBlock, Column, ColumnKind, Date, DateTime, Encoder, Event, Message, Op, Origin, Position, RowChange, Seq, TableId,
    TableSchema, Value,
};

const ROWS: usize = 1_000;

fn schema() -> Arc<TableSchema> {
    let unsigned = |mut column: Column| {
        column.unsigned = true;
        column
    };
    let columns = vec![
        Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)"),
        unsigned(Column::new("customer", ColumnKind::Int { bytes: 4 }, "int(10) unsigned")),
        Column::new("name", ColumnKind::Varchar { length: 50 }, "varchar(50)"),
        Column::new("amount", ColumnKind::Decimal { precision: 18, scale: 4 }, "decimal(18,4)"),
        Column::new("score", ColumnKind::Double, "double"),
        Column::new("small", ColumnKind::Float, "float"),
        Column::new("created", ColumnKind::DateTime { fsp: 6 }, "datetime(6)"),
        Column::new("changed", ColumnKind::Timestamp { fsp: 3 }, "timestamp(3)"),
        Column::new("took", ColumnKind::Time { fsp: 0 }, "time"),
        Column::new("picture", ColumnKind::Blob { prefix: 2 }, "blob"),
        Column::new("document", ColumnKind::Json, "json"),
        Column::new("state", ColumnKind::Enum { labels: vec!["new".into(), "paid".into()] }, "enum('new','paid')"),
        Column::new("tags", ColumnKind::Set { labels: vec!["a".into(), "b".into()] }, "set('a','b')"),
    ];
    let mut schema = TableSchema::new(TableId::new("shop", "orders"), columns);
    schema.primary_key = vec![0];
    Arc::new(schema)
}

/// Updates of rows; every ten rows share an origin.
fn events() -> Vec<Event> {
    let schema = schema();
    let mut block = CellBlock::default();
    let mut origin = Arc::new(Origin::default());
    let mut events = Vec::new();
    for number in 0..ROWS {
        if number % 10 == 0 {
            let mut next = Origin::default();
            next.offset = format!("{}@78", 100_000 + number).into();
            next.read_ms = 1_748_737_800_412;
            origin = Arc::new(next);
        }
        let mut row = |state| {
            let created = DateTime { date: Date { year: 2024, month: 2, day: 29 }, hour: 12, minute: 34, second: 56, micros: 123_456 };
            let mut writer = block.row(13);
            writer.push(Value::Int(1_000_000 + number as i64));
            writer.push(Value::UInt(3_000_000_000));
            writer.push(Value::Text("ein längerer Name".as_bytes()));
            writer.push(Value::Decimal("12345.2500"));
            writer.push(Value::Double(number as f64 * 1.37e9));
            writer.push(Value::Float(1.1));
            writer.push(Value::DateTime(created));
            writer.push(Value::Timestamp(1_709_210_096_780_000));
            writer.push(Value::Time(-3_723_000_000));
            writer.push(Value::Bytes(&[0, 0xff, 0x80, b'"']));
            writer.push(Value::Json(br#"{"a": [1, 2.5, "x\ty"]}"#));
            writer.push(Value::Enum(state));
            writer.push(Value::Set(3));
            Some(writer.finish())
        };
        events.push(Event {
            seq: Seq(number as u128 + 1),
            position: Position::from("binlog.000078:72469"),
            timestamp_ms: 1_748_737_800_000,
            txid: None,
            origin: origin.clone(),
            body: Body::Row(RowChange::new(schema.clone(), Op::Update, row(1), row(2))),
        });
    }
    block.seal();
    events
}

fn encode(encoder: &mut dyn Encoder, events: &[Event], message: &mut Message) -> usize {
    let (mut rest, mut bytes) = (events, 0);
    while !rest.is_empty() {
        message.value.clear();
        let taken = encoder.encode_many(rest, message).unwrap();
        bytes += message.value.len();
        rest = &rest[taken..];
    }
    bytes
}

#[test]
fn no_row_allocates() {
    let canal = |settings: &str| Box::new(CanalJson::new(serde_json::from_str::<canal_json::Config>(settings).unwrap()));
    let avro = |settings: &str| Box::new(DtsAvro::new(serde_json::from_str::<dts_avro::Config>(settings).unwrap()));
    let encoders: [(&str, Box<dyn Encoder>); 6] = [
        ("canal_json", canal("{}")),
        ("canal_json of dts", canal(r#"{"profile":"dts","labels":"text","binary":"base64","decimal":"canal","old":"all"}"#)),
        ("canal_json by event", canal(r#"{"rows":"event","binary":"hex","sql_type":"static"}"#)),
        ("dts_avro", avro("{}")),
        ("dts_avro with transaction boundaries", avro(r#"{"transactions":true,"heartbeats":"heartbeat"}"#)),
        ("dts_avro of the source's texts", avro(r#"{"charset":"source","invalid_text":"keep"}"#)),
    ];
    let events = events();
    let mut message = Message::default();
    for (name, mut encoder) in encoders {
        let first = encode(&mut *encoder, &events, &mut message);
        let mut second = 0;
        let allocations = allocation_counter::measure(|| second = encode(&mut *encoder, &events, &mut message));
        assert!(second >= first && second > 100 * ROWS, "{name}: {first} bytes, then {second}");
        assert_eq!(allocations.count_total, 0, "{name}");
    }
}

/// Checks the allocation counter itself: one vector is one allocation.
#[test]
fn allocations_are_counted() {
    let allocations = allocation_counter::measure(|| drop(std::hint::black_box(vec![0u8; 100])));
    assert_eq!(allocations.count_total, 1);
}
