//! Compiles conditions of filters that were changed at random, and evaluates them on a row.
//!
//! A condition may be accepted or refused. It may not panic, and what it hands to the source may not be longer than its text explains.

use std::sync::Arc;

use fastrand::Rng;
use runtime::transforms::Filter;
use runtime::{Collation, Column, ColumnKind, Row, Settings, TableId, TableSchema, Transform, Value};

use crate::{Failure, Result};

const PIECES: [&str; 64] = [
    "a",
    "b",
    "c",
    "d",
    "`a`",
    "t.a",
    "1",
    "2.5",
    "1e3",
    "-",
    "+",
    "*",
    "/",
    "%",
    "DIV",
    "MOD",
    "=",
    "<>",
    "<",
    ">=",
    "<=>",
    "(",
    ")",
    "(",
    ")",
    ",",
    "AND",
    "OR",
    "XOR",
    "NOT",
    "!",
    "&&",
    "||",
    "IS",
    "NULL",
    "TRUE",
    "UNKNOWN",
    "IN",
    "BETWEEN",
    "LIKE",
    "REGEXP",
    "ESCAPE",
    "'x'",
    "'%_'",
    "'[a-z]+$'",
    "\"y\"",
    "x'41'",
    "0x41",
    "b'1'",
    "'2024-01-01'",
    "DATE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "IF",
    "COALESCE",
    "LENGTH",
    "SUBSTRING",
    "COLLATE",
    "utf8mb4_bin",
    "'é\u{10ffff}'",
    "9223372036854775807",
];

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let count = if random.u8(..50) == 0 { 3_000 } else { random.usize(..30) };
    let text = match random.u8(..8) {
        0 => ["(", "NOT ", "-", "a AND ", "a + ", "CASE WHEN ", "IF(", "a = ("][random.usize(..8)].repeat(count),
        _ => (0..count).map(|_| PIECES[random.usize(..PIECES.len())]).collect::<Vec<_>>().join(" "),
    };
    let mut columns = vec![
        Column::new("a", ColumnKind::Int { bytes: 8 }, "bigint"),
        Column::new("b", ColumnKind::Varchar { length: 9 }, "varchar(9)"),
        Column::new("c", ColumnKind::Decimal { precision: 38, scale: 30 }, "decimal(38,30)"),
        Column::new("d", ColumnKind::Date, "date"),
    ];
    columns[1].collation = Some(Collation::new("utf8mb4_unicode_ci"));
    let schema = Arc::new(TableSchema::new(TableId::new("d", "t"), columns));
    let settings = serde_json::json!({"tables": ["d.t"], "where": text});
    let config = Settings::from(settings).parse("transform.filter")?;
    let Ok(mut filter) = Filter::new(config) else { return Ok(()) };
    let bytes: Vec<u8> = (0..random.usize(..9)).map(|_| random.u8(..)).collect();
    let row = Row::from_values([
        if random.bool() { Value::Int(random.i64(..)) } else { Value::Null },
        Value::Text(&bytes),
        Value::Decimal("12345678.123456789012345678901234567890"),
        Value::Null,
    ]);
    let _ = filter.keeps(&schema, &row);
    match filter.pushdown(&schema) {
        Ok(Some(sql)) if sql.len() > 16 * (text.len() + 1) => {
            Failure::err(format!("{} bytes for the source of {} bytes", sql.len(), text.len()))
        }
        _ => Ok(()),
    }
}
