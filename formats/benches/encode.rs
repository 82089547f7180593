//! Measures the time per row of both formats. A row has ten columns: bigint, int unsigned, varchar(50), varchar(128), tinyint,
//! decimal(18,4), double, datetime(6), timestamp(3), and a text that is NULL in every second row. Every 100 rows share an origin, like
//! the rows of a binlog event.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use formats::canal_json::CanalJson;
use formats::dts_avro::DtsAvro;
use runtime::{
    Body, CellBlock, Collation, Column, ColumnKind, Date, DateTime, Encoder, Event, Message, Op, Origin, Position, Row, RowChange, Seq,
    TableId, TableSchema, Value,
};

const ROWS: usize = 1_000;

/// Counts allocations; the encoders should make none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn schema() -> Arc<TableSchema> {
    let text = |name: &str, kind, source_type: &str| {
        let mut column = Column::new(name, kind, source_type);
        column.collation = Some(Collation::new("utf8mb4_bin"));
        column
    };
    let mut customer = Column::new("customer", ColumnKind::Int { bytes: 4 }, "int(10) unsigned");
    customer.unsigned = true;
    let mut schema = TableSchema::new(
        TableId::new("shop", "orders"),
        vec![
            Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)"),
            customer,
            text("name", ColumnKind::Varchar { length: 50 }, "varchar(50)"),
            text("address", ColumnKind::Varchar { length: 128 }, "varchar(128)"),
            Column::new("state", ColumnKind::Int { bytes: 1 }, "tinyint(4)"),
            Column::new("amount", ColumnKind::Decimal { precision: 18, scale: 4 }, "decimal(18,4)"),
            Column::new("score", ColumnKind::Double, "double"),
            Column::new("created", ColumnKind::DateTime { fsp: 6 }, "datetime(6)"),
            Column::new("changed", ColumnKind::Timestamp { fsp: 3 }, "timestamp(3)"),
            text("note", ColumnKind::Text { prefix: 2 }, "text"),
        ],
    );
    schema.primary_key = vec![0];
    Arc::new(schema)
}

fn push_row(block: &mut CellBlock, number: usize, state: i64) -> Row {
    let mut writer = block.row(10);
    let created = DateTime {
        date: Date { year: 2024, month: 2, day: (number % 28) as u8 + 1 },
        hour: 12,
        minute: 34,
        second: (number % 60) as u8,
        micros: 123_456,
    };
    writer.push(Value::Int(1_000_000 + number as i64));
    writer.push(Value::UInt(number as u64 * 7));
    writer.push(Value::Text(format!("customer number {number}").as_bytes()));
    writer.push(Value::Text(format!("{number} Some Long Street Name, 12345 A Town With A Name").as_bytes()));
    writer.push(Value::Int(state));
    writer.push(Value::Decimal(&format!("{}.2500", number * 3)));
    writer.push(Value::Double(number as f64 * 1.37 + 0.1));
    writer.push(Value::DateTime(created));
    writer.push(Value::Timestamp(1_709_210_096_780_000 + number as i64 * 1_000_000));
    writer.push(if number.is_multiple_of(2) { Value::Null } else { Value::Text(b"please leave it with the neighbour") });
    writer.finish()
}

fn events(op: Op, rows_per_origin: usize) -> Vec<Event> {
    let schema = schema();
    let mut block = CellBlock::default();
    let mut origin = Arc::new(Origin::default());
    let mut events = Vec::with_capacity(ROWS);
    for number in 0..ROWS {
        if number.is_multiple_of(rows_per_origin) {
            let mut next = Origin::default();
            next.server_id = 57;
            next.server_version = "5.7.22-log".into();
            next.thread_id = 9;
            next.offset = format!("{}@78", 72_469 + number * 300).into();
            next.safe_offset = "72347@78".into();
            next.read_ms = 1_748_737_800_412;
            origin = Arc::new(next);
        }
        let before = (op == Op::Update).then(|| push_row(&mut block, number, 1));
        let after = Some(push_row(&mut block, number, 2));
        events.push(Event {
            seq: Seq(number as u128 + 1),
            position: Position::from("binlog.000078:72469"),
            timestamp_ms: 1_748_737_800_000,
            txid: None,
            origin: origin.clone(),
            body: Body::Row(RowChange::new(schema.clone(), op, before, after)),
        });
    }
    block.seal();
    events
}

fn run(bencher: Bencher<'_, '_>, mut encoder: impl Encoder, events: &[Event]) {
    let mut message = Message::default();
    bencher.counter(ItemsCount::new(events.len())).bench_local(move || {
        let mut bytes = 0;
        for event in events {
            message.value.clear();
            if encoder.encode(event, &mut message).is_err() {
                unreachable!("the row can be encoded");
            }
            bytes += message.value.len();
        }
        bytes
    });
}

#[divan::bench]
fn canal_json_insert(bencher: Bencher<'_, '_>) {
    run(bencher, CanalJson::default(), &events(Op::Insert, 100));
}

#[divan::bench]
fn canal_json_update(bencher: Bencher<'_, '_>) {
    run(bencher, CanalJson::default(), &events(Op::Update, 100));
}

#[divan::bench]
fn dts_avro_insert(bencher: Bencher<'_, '_>) {
    run(bencher, DtsAvro::default(), &events(Op::Insert, 100));
}

#[divan::bench]
fn dts_avro_update(bencher: Bencher<'_, '_>) {
    run(bencher, DtsAvro::default(), &events(Op::Update, 100));
}

/// Each row has its own origin, as in transactions of one row.
#[divan::bench]
fn dts_avro_insert_one_by_one(bencher: Bencher<'_, '_>) {
    run(bencher, DtsAvro::default(), &events(Op::Insert, 1));
}
