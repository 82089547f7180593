//! Measures what the compression of record batches costs in CPU time, and how large the batches become, for messages of both formats.
//!
//! `cargo bench -p tests --bench compression`
//!
//! The rows are those of the table with ten columns on which the project's performance is measured, in transactions of 100 rows. Each line is
//! for one kind of compression, one level and one number of rows in a batch. The time is the CPU time of this thread, and includes the
//! framing of the records; it is the least of several rounds, in which all kinds and levels are measured in turn.

// A benchmark whose setup fails can only stop, so `expect` is allowed.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use formats::canal_json::CanalJson;
use formats::dts_avro::DtsAvro;
use nix::time::{ClockId, clock_gettime};
use runtime::{
    Body, CellBlock, Collation, Column, ColumnKind, Date, DateTime, Encoder, Event, Message, Op, Origin, Position, Row, RowChange, Seq,
    TableId, TableSchema, Value,
};
use sink_kafka::Compression;
use sink_kafka::benchmark::BatchMaker;

const ROWS: u64 = 10_000;
const ROUNDS: usize = 7;
/// Rows in a batch. The last number makes batches of about the default of `record_batch_bytes`.
const BATCHES: [usize; 4] = [1, 10, 100, 1000];
/// Kafka's own default.
const REFERENCE: (Compression, i32) = (Compression::Zstd, 3);

fn main() {
    let mut kinds: Vec<(Compression, i32)> =
        vec![(Compression::None, 0), (Compression::Lz4, 0), (Compression::Snappy, 0), (Compression::Gzip, 1)];
    kinds.extend([-7, -5, -4, -3, -2, -1, 1, 2, 3, 4, 6].map(|level| (Compression::Zstd, level)));
    println!("| format | rows a batch | compression | level | CPU ns a row | bytes a row | size to zstd 3 | CPU to zstd 3 |");
    println!("|---|---:|---|---:|---:|---:|---:|---:|");
    for (format, mut encoder) in
        [("canal_json", Box::new(CanalJson::default()) as Box<dyn Encoder>), ("dts_avro", Box::new(DtsAvro::default()))]
    {
        let values = messages(&mut *encoder);
        for rows in BATCHES {
            let mut least: BTreeMap<usize, (Duration, usize)> = BTreeMap::new();
            for _ in 0..ROUNDS {
                for (number, (compression, level)) in kinds.iter().enumerate() {
                    let measured = measure(*compression, *level, &values, rows);
                    least.entry(number).and_modify(|known| *known = measured.min(*known)).or_insert(measured);
                }
            }
            let reference = kinds.iter().position(|kind| *kind == REFERENCE).and_then(|number| least.get(&number)).copied();
            let (base_time, base_bytes) = reference.expect("the reference is measured");
            for (number, (compression, level)) in kinds.iter().enumerate() {
                let (time, bytes) = least.get(&number).copied().expect("all are measured");
                println!(
                    "| `{format}` | {rows} | {compression:?} | {level} | {:.0} | {:.0} | {:.2} | {:.2} |",
                    time.as_nanos() as f64 / ROWS as f64,
                    bytes as f64 / ROWS as f64,
                    bytes as f64 / base_bytes as f64,
                    time.as_secs_f64() / base_time.as_secs_f64(),
                );
            }
        }
    }
}

/// The CPU time and the bytes of all batches.
fn measure(compression: Compression, level: i32, values: &[Vec<u8>], rows: usize) -> (Duration, usize) {
    let maker = match compression {
        Compression::Zstd | Compression::Gzip => BatchMaker::with_level(compression, level),
        other => BatchMaker::new(other),
    };
    let mut maker = maker.expect("a codec");
    let cpu = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
    let (mut bytes, start) = (0, cpu());
    for batch in values.chunks(rows) {
        bytes += maker.make(batch, &[]).expect("a batch");
    }
    (cpu() - start, bytes)
}

fn messages(encoder: &mut dyn Encoder) -> Vec<Vec<u8>> {
    let mut message = Message::default();
    let mut encode = |event: &Event| {
        message.value.clear();
        encoder.encode(event, &mut message).expect("the row can be encoded");
        message.value.clone()
    };
    events().iter().map(&mut encode).collect()
}

fn schema() -> Arc<TableSchema> {
    let text = |name: &str, kind, source_type: &str| {
        let mut column = Column::new(name, kind, source_type);
        column.collation = Some(Collation::new("utf8mb4_general_ci"));
        column
    };
    let mut customer = Column::new("customer", ColumnKind::Int { bytes: 4 }, "int(10) unsigned");
    customer.unsigned = true;
    let columns = vec![
        Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)"),
        customer,
        text("name", ColumnKind::Varchar { length: 50 }, "varchar(50)"),
        text("address", ColumnKind::Varchar { length: 128 }, "varchar(128)"),
        Column::new("state", ColumnKind::Int { bytes: 1 }, "tinyint(4)"),
        Column::new("amount", ColumnKind::Decimal { precision: 18, scale: 4 }, "decimal(18,4)"),
        Column::new("score", ColumnKind::Double, "double"),
        Column::new("created", ColumnKind::DateTime { fsp: 6 }, "datetime(6)"),
        Column::new("updated", ColumnKind::Timestamp { fsp: 3 }, "timestamp(3)"),
        text("note", ColumnKind::Text { prefix: 2 }, "text"),
    ];
    let mut schema = TableSchema::new(TableId::new("bench", "records"), columns);
    schema.primary_key = vec![0];
    Arc::new(schema)
}

/// The values of `tests::workload::load::ten_columns`.
fn push_row(block: &mut CellBlock, id: u64) -> Row {
    let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    let date = |month: u64| Date { year: 2024, month: month as u8, day: (1 + mixed % 28) as u8 };
    let created = DateTime { date: date(1 + mixed % 12), hour: 10, minute: 20, second: 30, micros: (mixed % 1_000_000) as u32 };
    let mut writer = block.row(10);
    writer.push(Value::Int(id as i64));
    writer.push(Value::UInt(mixed & 0xffff_ffff));
    writer.push(Value::Text(format!("customer {:06x}", mixed >> 40).as_bytes()));
    writer.push(Value::Text(format!("{} Station Road, {:05} Springfield", mixed % 900, mixed % 99_999).as_bytes()));
    writer.push(Value::Int((mixed % 7) as i64));
    writer.push(Value::Decimal(&format!("{}.{:04}", mixed % 10_000_000, mixed % 10_000)));
    writer.push(Value::Double((mixed % 1_000_003) as f64 / 1000.0));
    writer.push(Value::DateTime(created));
    // May 2024, in microseconds.
    writer.push(Value::Timestamp(1_714_525_323_000_000 + (mixed % 28) as i64 * 86_400_000_000 + (mixed % 1000) as i64 * 1000));
    let note = format!("note {:08x}", mixed as u32);
    writer.push(if id.is_multiple_of(2) { Value::Null } else { Value::Text(note.as_bytes()) });
    writer.finish()
}

fn events() -> Vec<Event> {
    let schema = schema();
    let mut block = CellBlock::default();
    let mut origin = Arc::new(Origin::default());
    let mut events = Vec::new();
    for id in 0..ROWS {
        if id.is_multiple_of(100) {
            let mut next = Origin::default();
            next.server_id = 57;
            next.server_version = "5.7.22-log".into();
            next.thread_id = 9;
            next.offset = format!("{}@78", 72_469 + id * 130).into();
            next.safe_offset = format!("{}@78", 72_347 + id * 130).into();
            next.read_ms = 1_748_737_800_412 + (id / 1000) as i64;
            origin = Arc::new(next);
        }
        let after = Some(push_row(&mut block, id));
        events.push(Event {
            seq: Seq(u128::from(id) + 1),
            position: Position::from("binlog.000078:72469"),
            timestamp_ms: 1_748_737_800_000 + (id / 10_000) as i64 * 1000,
            txid: None,
            origin: origin.clone(),
            body: Body::Row(RowChange::new(schema.clone(), Op::Insert, None, after)),
        });
    }
    block.seal();
    events
}
