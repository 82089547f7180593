//! Measures the time per row of transforms. A row has ten columns: bigint, int unsigned, varchar(50), varchar(128), tinyint, decimal(18,4),
//! double, datetime(6), timestamp(3), and a text that is NULL in every second row.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use runtime::transforms::{Etl, Mask, Rename};
use runtime::{
    Batch, BatchBuilder, Body, Collation, Column, ColumnKind, Date, DateTime, Event, Op, Origin, Position, RowChange, Seq, Settings,
    TableId, TableSchema, Transform, Value,
};
use serde_json::json;

const ROWS: usize = 1_000;

/// Counts allocations; transforms should make none per row.
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
    schema.columns[0].nullable = false;
    schema.primary_key = vec![0];
    Arc::new(schema)
}

fn batch(schema: &Arc<TableSchema>) -> Batch {
    let mut builder = BatchBuilder::default();
    let origin = Arc::new(Origin::default());
    let position = Position::from("binlog.000078:72469");
    for number in 0..ROWS {
        let mut writer = builder.block.row(10);
        writer.push(Value::Int(1_000_000 + number as i64));
        writer.push(Value::UInt(number as u64 * 7));
        writer.push(Value::Text(format!("customer number {number}").as_bytes()));
        writer.push(Value::Text(format!("{number} Some Long Street Name, 12345 A Town With A Name").as_bytes()));
        writer.push(Value::Int((number % 5) as i64));
        writer.push(Value::Decimal(&format!("{}.2500", number * 3)));
        writer.push(Value::Double(number as f64 * 1.37 + 0.1));
        let date = Date { year: 2024, month: 2, day: (number % 28) as u8 + 1 };
        writer.push(Value::DateTime(DateTime { date, hour: 12, minute: 34, second: (number % 60) as u8, micros: 123_456 }));
        writer.push(Value::Timestamp(1_709_210_096_780_000 + number as i64 * 1_000_000));
        writer.push(if number.is_multiple_of(2) { Value::Null } else { Value::Text(b"please leave it with the neighbour") });
        let row = writer.finish();
        builder.push(Event {
            seq: Seq(number as u128 + 1),
            position: position.clone(),
            timestamp_ms: 1_748_737_800_000,
            txid: None,
            origin: origin.clone(),
            body: Body::Row(RowChange::new(schema.clone(), Op::Insert, None, Some(row))),
        });
    }
    builder.finish(None)
}

fn run(bencher: Bencher<'_, '_>, mut transform: impl Transform) {
    let schema = schema();
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(|| batch(&schema)).bench_local_values(|mut batch| {
        if transform.apply(&mut batch).is_err() || batch.events.is_empty() {
            unreachable!("the rows can be changed");
        }
        batch
    });
}

fn etl(script: &str) -> Etl {
    match Settings::from(json!({"script": script})).parse("transform.etl").and_then(Etl::new) {
        Ok(etl) => etl,
        Err(error) => unreachable!("{error}"),
    }
}

/// What rewriting alone costs.
#[divan::bench]
fn etl_one_constant(bencher: Bencher<'_, '_>) {
    run(bencher, etl("e_set(`state`, 1)"));
}

#[divan::bench]
fn etl_five_functions(bencher: Bencher<'_, '_>) {
    run(
        bencher,
        etl(
            "e_compose(e_set(`name`, str_mask(`name`, 3, 6, '*')), e_set(`state`, op_sum(`state`, 1)), e_set(`origin`, op_add(__DB__, '.', __TB__)), \
             e_set(`is_large`, op_gt(`score`, 500)), e_set(`first`, substring_before(`address`, ' ')))",
        ),
    );
}

#[divan::bench]
fn etl_condition_on_the_table(bencher: Bencher<'_, '_>) {
    run(bencher, etl("e_if(op_eq(__TB__, 'users'), e_set(`state`, 1))"));
}

#[divan::bench]
fn etl_keep(bencher: Bencher<'_, '_>) {
    run(bencher, etl("e_keep(op_in(`state`, json_array('[\"1\", \"2\", \"3\"]')))"));
}

#[divan::bench]
fn mask_three_columns(bencher: Bencher<'_, '_>) {
    let settings = json!({"tables": ["*.*"], "columns": {
        "name": {"partial": {"start": 3, "end": 6, "with": "*"}}, "address": {"truncate": 10}, "note": "null",
    }});
    match Settings::from(settings).parse("transform.mask").and_then(Mask::new) {
        Ok(mask) => run(bencher, mask),
        Err(error) => unreachable!("{error}"),
    }
}

#[divan::bench]
fn mask_one_hash(bencher: Bencher<'_, '_>) {
    let settings = json!({"tables": ["*.*"], "columns": {"name": {"hash": {"salt": "salt"}}}});
    match Settings::from(settings).parse("transform.mask").and_then(Mask::new) {
        Ok(mask) => run(bencher, mask),
        Err(error) => unreachable!("{error}"),
    }
}

/// What 10,000 tables of 20 columns cost at a start, with ten patterns for tables and one for columns.
#[divan::bench(sample_count = 10)]
fn rename_checks_ten_thousand_tables(bencher: Bencher<'_, '_>) {
    let patterns: Vec<_> = (0..10).map(|number| json!({"match": format!("shop_(\\d*{number})\\.(.*)"), "to": "shop{1}.{2}"})).collect();
    let settings = json!({"patterns": patterns, "columns": [{"tables": ["shop_*.*"], "match": "c_(.*)", "to": "{1}"}], "case": "lower"});
    let table = |number: usize| {
        let columns = (0..20).map(|column| Column::new(format!("c_{column}"), ColumnKind::Int { bytes: 4 }, "int")).collect();
        Arc::new(TableSchema::new(TableId::new(format!("shop_{number}"), "t"), columns))
    };
    let tables: Vec<_> = (0..10_000).map(table).collect();
    let rename = || match Settings::from(settings.clone()).parse("transform.rename").and_then(Rename::new) {
        Ok(rename) => rename,
        Err(error) => unreachable!("{error}"),
    };
    bencher.with_inputs(rename).bench_local_values(|mut rename| {
        if !rename.check(&tables).is_empty() {
            unreachable!("no two tables get the same name");
        }
        rename
    });
}
