//! The table of the tests of filters, and its rows as the source would hand them over.

use std::sync::Arc;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use runtime::{Column, ColumnKind, Date, DateTime, Row, TableSchema, Value};
use tests::harness::Flavor;
use tests::{Failure, Result};

/// The text columns: name, type with collation, and the alphabet of its values.
pub(super) const TEXTS: [(&str, &str, &[&str]); 11] = [
    ("s_general", "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", WIDE),
    ("s_unicode", "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", WIDE),
    ("s_bin", "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", WIDE),
    ("s_utf8", "VARCHAR(8) CHARACTER SET utf8 COLLATE utf8_general_ci", LATIN),
    ("s_char", "CHAR(6) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", WIDE),
    ("l_swedish", "VARCHAR(8) CHARACTER SET latin1 COLLATE latin1_swedish_ci", LATIN),
    ("l_general", "VARCHAR(8) CHARACTER SET latin1 COLLATE latin1_general_ci", LATIN),
    ("l_bin", "VARCHAR(8) CHARACTER SET latin1 COLLATE latin1_bin", LATIN),
    ("k_chinese", "VARCHAR(8) CHARACTER SET gbk COLLATE gbk_chinese_ci", CHINESE),
    ("a_general", "VARCHAR(8) CHARACTER SET ascii COLLATE ascii_general_ci", ASCII),
    ("t_text", "TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", ASCII),
];

/// The column that only MySQL 8.0 has.
pub(super) const NEWEST: (&str, &str, &[&str]) = ("s_0900", "VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci", WIDE);

const ASCII: &[&str] = &["a", "A", "b", "B", "z", " ", "1", "2", "0", "-", "_", "%"];
const LATIN: &[&str] = &["a", "A", "b", "B", "ä", "Ä", "é", "e", "ß", "s", " ", "1", "ø", "ü", "y"];
const CHINESE: &[&str] = &["a", "A", "b", "中", "国", "啊", "阿", " ", "1", "Б", "б"];
const WIDE: &[&str] = &[
    "a", "A", "b", "ä", "é", "e", "ß", "s", " ", "1", "中", "国", "😀", "🚀", "\u{301}", "ﬁ", "Σ", "ς", "한", "ไ", "ก", "İ", "i",
    "\u{200d}",
];

/// A word over an alphabet.
pub(super) fn word(random: &mut Rng, alphabet: &[&str]) -> String {
    let length = [0, 1, 1, 1, 2, 2, 3, 5][random.usize(..8)];
    (0..length).map(|_| alphabet[random.usize(..alphabet.len())]).collect()
}

pub(super) fn texts(flavor: Flavor) -> Vec<(&'static str, &'static str, &'static [&'static str])> {
    TEXTS.into_iter().chain((flavor == Flavor::MySql80).then_some(NEWEST)).collect()
}

pub(super) fn definition(flavor: Flavor) -> String {
    let texts: Vec<String> = texts(flavor).into_iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
    format!(
        "CREATE TABLE filters.t (id INT PRIMARY KEY, ti TINYINT, i INT, ui INT UNSIGNED, bi BIGINT, ub BIGINT UNSIGNED, d DECIMAL(10,2), \
         w DECIMAL(24,6), f FLOAT, g DOUBLE, b BIT(8), y YEAR, dt DATE, dm DATETIME(3), ts TIMESTAMP NULL, tm TIME(2), \
         en ENUM('red','Green','blau','') CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, \
         st SET('x','Y','z') CHARACTER SET latin1 COLLATE latin1_swedish_ci, vb VARBINARY(8), bn BINARY(4), {})",
        texts.join(", ")
    )
}

pub(super) fn insert(random: &mut Rng, flavor: Flavor, id: usize) -> String {
    let mut one_of =
        |values: &[&str]| if random.u8(..8) == 0 { "NULL".to_owned() } else { values[random.usize(..values.len())].to_owned() };
    let mut values = vec![
        id.to_string(),
        one_of(&["0", "1", "-1", "7", "127", "-128", "3"]),
        one_of(&["0", "1", "-1", "7", "100", "2147483647", "-2147483648", "20"]),
        one_of(&["0", "1", "7", "100", "4294967295", "20"]),
        one_of(&["0", "1", "-1", "9223372036854775807", "-9223372036854775808", "9007199254740993", "100"]),
        one_of(&["0", "1", "18446744073709551615", "9223372036854775808", "100"]),
        one_of(&["0", "1", "-1.50", "99999999.99", "2.50", "2.49", "10", "0.01"]),
        one_of(&["0", "1.000001", "-1.5", "999999999999999999.999999", "2.5", "100"]),
        one_of(&["0", "1", "-1.5", "0.1", "3.25", "1e10"]),
        one_of(&["0", "1", "-1.5", "0.1", "3.25", "1e100"]),
        one_of(&["0", "1", "5", "255"]),
        one_of(&["0", "1901", "2024", "2155", "1999"]),
        one_of(&["'0000-00-00'", "'2024-02-29'", "'1999-12-31'", "'2024-01-00'", "'2024-03-01'"]),
        one_of(&["'0000-00-00'", "'2024-02-29 23:59:59.999'", "'1999-12-31 00:00:00'", "'2024-03-01 12:30:15.5'"]),
        one_of(&["'0000-00-00'", "'2024-02-29 23:59:59'", "'1999-12-31 00:00:00'", "'2024-03-01 12:30:15'"]),
        one_of(&["'00:00:00'", "'-12:30:15.25'", "'838:59:59'", "'12:30:15'"]),
        one_of(&["1", "2", "3", "4", "'nothing'"]),
        one_of(&["0", "1", "2", "3", "7"]),
        one_of(&["x''", "x'61'", "x'6162'", "x'00'", "x'6120'", "x'FF'"]),
        one_of(&["x''", "x'61'", "x'6162'", "x'00'", "x'61626364'"]),
    ];
    for (_, _, alphabet) in texts(flavor) {
        values.push(if random.u8(..8) == 0 { "NULL".to_owned() } else { format!("'{}'", word(random, alphabet)) });
    }
    format!("INSERT INTO filters.t VALUES ({})", values.join(", "))
}

/// All rows, read as texts from which the values follow without loss.
pub(super) async fn read(conn: &mut Conn, schema: &Arc<TableSchema>) -> Result<Vec<(u64, Row)>> {
    let items = schema.columns.iter().map(|column| {
        let name = &column.name;
        match column.kind {
            ColumnKind::Float | ColumnKind::Double => format!("{name} * 1e0"),
            ColumnKind::Bit { .. } | ColumnKind::Year | ColumnKind::Enum { .. } | ColumnKind::Set { .. } => format!("{name} + 0"),
            ColumnKind::Timestamp { .. } => format!("UNIX_TIMESTAMP({name})"),
            ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } => format!("HEX({name})"),
            ColumnKind::Varbinary { .. } | ColumnKind::Binary { .. } => format!("HEX({name})"),
            _ => name.clone(),
        }
    });
    let items: Vec<String> = items.collect();
    conn.query_drop("SET time_zone = '+00:00'").await?;
    let found: Vec<mysql_async::Row> = conn.query(format!("SELECT {} FROM filters.t", items.join(", "))).await?;
    let mut rows = Vec::new();
    for row in found {
        let cells: Vec<Option<String>> = (0..schema.columns.len()).map(|column| row.get::<Option<String>, _>(column).flatten()).collect();
        let bytes: Vec<Vec<u8>> = cells.iter().map(|cell| cell.as_deref().and_then(unhex).unwrap_or_default()).collect();
        let mut values = Vec::new();
        for ((column, cell), bytes) in schema.columns.iter().zip(&cells).zip(&bytes) {
            values.push(match cell {
                None => Value::Null,
                Some(text) => value(column, text, bytes).ok_or_else(|| Failure::new(format!("{}: {text}", column.name)))?,
            });
        }
        let id = cells[0].as_deref().and_then(|id| id.parse().ok()).ok_or_else(|| Failure::new("a row without id"))?;
        rows.push((id, Row::from_values(values)));
    }
    Ok(rows)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

fn value<'a>(column: &Column, text: &'a str, bytes: &'a [u8]) -> Option<Value<'a>> {
    Some(match column.kind {
        ColumnKind::Int { .. } if column.unsigned => Value::UInt(text.parse().ok()?),
        ColumnKind::Int { .. } => Value::Int(text.parse().ok()?),
        ColumnKind::Decimal { .. } => Value::Decimal(text),
        ColumnKind::Float => Value::Float(text.parse::<f64>().ok()? as f32),
        ColumnKind::Double => Value::Double(text.parse().ok()?),
        ColumnKind::Bit { .. } => Value::Bit(text.parse().ok()?),
        ColumnKind::Year => Value::Year(text.parse().ok()?),
        ColumnKind::Date => Value::Date(date(text)?),
        ColumnKind::DateTime { .. } => {
            let (day, time) = text.split_once(' ')?;
            let micros = clock(time)?;
            let seconds = micros / 1_000_000;
            Value::DateTime(DateTime {
                date: date(day)?,
                hour: (seconds / 3600) as u8,
                minute: (seconds / 60 % 60) as u8,
                second: (seconds % 60) as u8,
                micros: (micros % 1_000_000) as u32,
            })
        }
        ColumnKind::Timestamp { .. } => Value::Timestamp((text.parse::<f64>().ok()? * 1e6) as i64),
        ColumnKind::Time { .. } => match text.strip_prefix('-') {
            Some(rest) => Value::Time(-clock(rest)?),
            None => Value::Time(clock(text)?),
        },
        ColumnKind::Enum { .. } => Value::Enum(text.parse().ok()?),
        ColumnKind::Set { .. } => Value::Set(text.parse().ok()?),
        ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } => Value::Text(bytes),
        ColumnKind::Varbinary { .. } | ColumnKind::Binary { .. } => Value::Bytes(bytes),
        _ => return None,
    })
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    Some(Date { year: parts.next()?.parse().ok()?, month: parts.next()?.parse().ok()?, day: parts.next()?.parse().ok()? })
}

fn clock(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut seconds = 0;
    for part in whole.split(':') {
        seconds = seconds * 60 + part.parse::<i64>().ok()?;
    }
    Some(seconds * 1_000_000 + format!("{fraction:0<6}").parse::<i64>().ok()?)
}
