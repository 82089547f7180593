//! Canal JSON against a model that is written another way: a tree of values, with std's number texts and a calendar that counts.

use proptest::prelude::*;
use runtime::{Column, ColumnKind, Op};
use serde_json::{Map, Value as Json, json};

use crate::random::{Case, Cell, case};
use crate::support::{canal_with, origin};

/// Shortest digits by std, in Java's layout.
fn java(plain: String, scientific: String, two_digits: String, magnitude: f64, subnormal: bool) -> String {
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let single_digit = !scientific.contains('.');
    let text = if subnormal && single_digit { two_digits } else { scientific };
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}E{exponent}")
}

/// The date of a day since 1970-01-01, by counting years and months.
fn counted_date(mut days: i64) -> String {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, days + 1)
}

fn fraction(micros: u64, fsp: u8) -> String {
    if fsp == 0 { String::new() } else { format!(".{}", &format!("{micros:06}")[..usize::from(fsp)]) }
}

fn fsp(column: &Column) -> u8 {
    match column.kind {
        ColumnKind::Time { fsp } | ColumnKind::DateTime { fsp } | ColumnKind::Timestamp { fsp } => fsp,
        _ => 0,
    }
}

fn text(cell: &Cell, column: &Column, offset_seconds: i64) -> Json {
    let fsp = fsp(column);
    Json::String(match cell {
        Cell::Null => return Json::Null,
        Cell::Int(v) => v.to_string(),
        Cell::UInt(v) | Cell::Bit(v) | Cell::Set(v) => v.to_string(),
        Cell::Enum(v) => v.to_string(),
        Cell::Float(v) => java(v.to_string(), format!("{v:e}"), format!("{v:.1e}"), f64::from(v.abs()), v.is_subnormal()),
        Cell::Double(v) => java(v.to_string(), format!("{v:e}"), format!("{v:.1e}"), v.abs(), v.is_subnormal()),
        Cell::Decimal(v) => v.clone(),
        Cell::Text(v) => String::from_utf8(v.clone()).unwrap(),
        Cell::Bytes(v) => {
            let text: String = v.iter().map(|&byte| char::from(byte)).collect();
            if matches!(column.kind, ColumnKind::Binary { .. }) { text.trim_end_matches('\0').to_owned() } else { text }
        }
        Cell::Year(v) => format!("{v:04}"),
        Cell::Date(v) => format!("{:04}-{:02}-{:02}", v.year, v.month, v.day),
        Cell::Time(v) => {
            let (sign, all) = (if *v < 0 { "-" } else { "" }, v.unsigned_abs());
            let seconds = all / 1_000_000;
            format!("{sign}{:02}:{:02}:{:02}{}", seconds / 3600, seconds / 60 % 60, seconds % 60, fraction(all % 1_000_000, fsp))
        }
        Cell::DateTime(v) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}{}",
            v.date.year,
            v.date.month,
            v.date.day,
            v.hour,
            v.minute,
            v.second,
            fraction(v.micros.into(), fsp)
        ),
        Cell::Timestamp(0) => format!("0000-00-00 00:00:00{}", fraction(0, fsp)),
        Cell::Timestamp(v) => {
            let (seconds, micros) = (v / 1_000_000 + offset_seconds, (v % 1_000_000) as u64);
            let of_day = seconds % 86_400;
            let date = counted_date(seconds / 86_400);
            format!("{date} {:02}:{:02}:{:02}{}", of_day / 3600, of_day / 60 % 60, of_day % 60, fraction(micros, fsp))
        }
    })
}

fn sql_type(cell: &Cell, column: &Column) -> i64 {
    let big = |bits: u32| matches!(cell, Cell::UInt(v) if *v >= 1 << (bits - 1));
    match column.kind {
        ColumnKind::Int { bytes: 1 } => {
            if big(8) {
                5
            } else {
                -6
            }
        }
        ColumnKind::Int { bytes: 2 } => {
            if big(16) {
                4
            } else {
                5
            }
        }
        ColumnKind::Int { bytes: 3 } => 4,
        ColumnKind::Int { bytes: 4 } => {
            if big(32) {
                -5
            } else {
                4
            }
        }
        ColumnKind::Int { .. } => {
            if big(64) {
                3
            } else {
                -5
            }
        }
        ColumnKind::Decimal { .. } => 3,
        ColumnKind::Float => 7,
        ColumnKind::Double => 8,
        ColumnKind::Bit { .. } => -7,
        ColumnKind::Set { .. } => {
            if *cell == Cell::Null {
                2004
            } else {
                -7
            }
        }
        ColumnKind::Year | ColumnKind::Varchar { .. } => 12,
        ColumnKind::Date => 91,
        ColumnKind::Time { .. } => 92,
        ColumnKind::DateTime { .. } | ColumnKind::Timestamp { .. } => 93,
        ColumnKind::Char { .. } => 1,
        ColumnKind::Text { .. } => 2005,
        ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => 2004,
        ColumnKind::Enum { .. } => 4,
        _ => panic!("{column:?}"),
    }
}

fn differ(before: &Cell, after: &Cell) -> bool {
    match (before, after) {
        (Cell::Float(a), Cell::Float(b)) => a.to_string() != b.to_string(),
        (Cell::Double(a), Cell::Double(b)) => a.to_string() != b.to_string(),
        _ => before != after,
    }
}

fn model(case: &Case, offset_seconds: i64) -> Json {
    let columns = &case.schema.columns;
    let row = case.after.as_ref().or(case.before.as_ref()).unwrap();
    let object = |value: &dyn Fn(usize) -> Option<Json>| -> Json {
        let members = columns.iter().enumerate().filter_map(|(index, column)| Some((column.name.clone(), value(index)?)));
        Json::Object(members.collect::<Map<_, _>>())
    };
    let old = match (case.op, &case.before) {
        (Op::Update, Some(before)) => {
            json!([object(&|index| { differ(&before[index], &row[index]).then(|| text(&before[index], &columns[index], offset_seconds)) })])
        }
        _ => Json::Null,
    };
    let mut key = case.schema.primary_key.clone();
    key.sort_unstable();
    let names: Vec<_> = key.iter().map(|&index| &columns[index].name).collect();
    json!({
        "data": [object(&|index| Some(text(&row[index], &columns[index], offset_seconds)))],
        "database": &*case.schema.id.database,
        "es": 1_748_737_800_000i64,
        "gtid": "",
        "id": origin().read_ms * 1000,
        "isDdl": false,
        "mysqlType": object(&|index| Some(columns[index].source_type.as_str().into())),
        "old": old,
        "pkNames": if names.is_empty() { Json::Null } else { json!(names) },
        "sql": "",
        "sqlType": object(&|index| Some(sql_type(&row[index], &columns[index]).into())),
        "table": &*case.schema.id.table,
        "ts": origin().read_ms,
        "type": match case.op { Op::Read => "INIT", Op::Insert => "INSERT", Op::Update => "UPDATE", Op::Delete => "DELETE" },
    })
}

proptest! {
    #[test]
    fn messages_are_what_the_model_says(case in case()) {
        let message = canal_with(r#"{"snapshot_type":"INIT","time_zone":"+08:00"}"#, &case.event());
        let parsed: Json = serde_json::from_str(&message).unwrap();
        prop_assert_eq!(parsed, model(&case, 8 * 3600));
    }
}
