//! Measures the time per row of a filter with `region = 'eu' and amount > 10`. A row has ten columns; half of the rows meet the condition.

#![allow(clippy::panic)]

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use runtime::transforms::Filter;
use runtime::{Collation, Column, ColumnKind, Row, Settings, TableId, TableSchema, Value};

const ROWS: usize = 1_000;

/// Counts allocations; there should be none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = ["utf8mb4_general_ci", "utf8mb4_0900_ai_ci", "latin1_swedish_ci", "utf8mb4_bin"])]
fn rows(bencher: Bencher<'_, '_>, collation: &str) {
    let mut columns: Vec<Column> = (0..8).map(|n| Column::new(format!("c{n}"), ColumnKind::Int { bytes: 4 }, "int")).collect();
    columns.push(Column::new("region", ColumnKind::Varchar { length: 20 }, "varchar(20)"));
    columns.push(Column::new("amount", ColumnKind::Decimal { precision: 10, scale: 2 }, "decimal(10,2)"));
    columns[8].collation = Some(Collation::new(collation));
    let schema = Arc::new(TableSchema::new(TableId::new("shop", "orders"), columns));
    let row = |n: usize| {
        let ints = (0..8).map(|_| Value::Int(n as i64));
        Row::from_values(ints.chain([Value::Text(b"eu"), Value::Decimal(if n.is_multiple_of(2) { "9.50" } else { "1234.75" })]))
    };
    let rows: Vec<Row> = (0..ROWS).map(row).collect();
    let settings = serde_json::json!({"tables": ["shop.orders"], "where": "region = 'eu' and amount > 10"});
    let config = Settings::from(settings).parse("transform.filter").unwrap_or_else(|error| panic!("{error}"));
    let mut filter = Filter::new(config).unwrap_or_else(|error| panic!("{error}"));
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| rows.iter().filter(|row| filter.keeps(&schema, row).unwrap_or(false)).count());
}
