//! Compares Canal JSON with a model that works differently from the encoder: it builds a tree of values, prints numbers with std, and
//! counts days.

use proptest::prelude::*;
use runtime::{Column, ColumnKind, Op};
use serde_json::{Map, Value as Json, json};

use crate::random::{Case, Cell, case};
use crate::support::{canal_with, origin};

/// A number as Java prints it; its shortest digits are found by std.
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

/// The date that is `days` days after 1970-01-01, found by counting years and months.
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

/// Random settings, as a configuration file would have them.
fn options() -> impl Strategy<Value = Json> {
    let of = |key: &'static str, values: &'static [&'static str]| {
        proptest::option::of(proptest::sample::select(values)).prop_map(move |value| value.map(|value| (key.to_owned(), Json::from(value))))
    };
    let first = (of("profile", &["canal", "dts"]), of("rows", &["one", "event"]), of("snapshot_type", &["INSERT", "INIT"]));
    let texts = (of("decimal", &["exact", "canal"]), of("binary", &["latin1", "base64", "hex"]), of("labels", &["index", "text"]));
    let zone = of("time_zone", &["UTC", "+08:00", "+05:30"]);
    let others = (of("mysql_type", &["full", "base"]), of("sql_type", &["canal", "static"]), of("old", &["changed", "all"]));
    (first, texts, zone, others, of("null_keys", &["write", "omit"])).prop_map(|((a, b, c), (d, e, f), g, (h, i, j), k)| {
        Json::Object([a, b, c, d, e, f, g, h, i, j, k].into_iter().flatten().collect::<Map<_, _>>())
    })
}

/// The value of a setting, or its default if it is not in `options`.
fn option<'a>(options: &'a Json, key: &str) -> &'a str {
    let dts = options.get("profile").is_some_and(|profile| profile == "dts");
    let default = match (key, dts) {
        ("snapshot_type", false) => "INSERT",
        ("snapshot_type", true) => "INIT",
        ("mysql_type", false) => "full",
        ("mysql_type", true) => "base",
        ("null_keys", false) => "write",
        ("null_keys", true) => "omit",
        ("decimal", _) => "exact",
        ("binary", _) => "latin1",
        ("labels", _) => "index",
        ("time_zone", _) => "UTC",
        ("sql_type", _) => "canal",
        ("old", _) => "changed",
        other => panic!("{other:?}"),
    };
    options.get(key).map_or(default, |value| value.as_str().unwrap())
}

/// A decimal as Canal prints it: the fraction in groups of nine digits, and the last, shorter group only if it is not zero.
fn canal_decimal(exact: &str) -> String {
    let Some((whole, fraction)) = exact.split_once('.') else { return exact.to_owned() };
    let mut printed = String::new();
    for group in fraction.as_bytes().chunks(9) {
        let group = std::str::from_utf8(group).unwrap();
        if group.len() == 9 || group.parse::<u64>().unwrap() > 0 {
            printed += group;
        }
    }
    format!("{whole}.{}", if printed.is_empty() { "0" } else { &printed })
}

fn bytes(v: &[u8], column: &Column, options: &Json) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    match option(options, "binary") {
        "base64" => BASE64_STANDARD.encode(v),
        "hex" => v.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => {
            let text: String = v.iter().map(|&byte| char::from(byte)).collect();
            if matches!(column.kind, ColumnKind::Binary { .. }) { text.trim_end_matches('\0').to_owned() } else { text }
        }
    }
}

fn text(cell: &Cell, column: &Column, options: &Json) -> Json {
    let fsp = fsp(column);
    let offset_seconds = match option(options, "time_zone") {
        "+08:00" => 8 * 3600,
        "+05:30" => 5 * 3600 + 1800,
        _ => 0,
    };
    let by_text = option(options, "labels") == "text";
    Json::String(match cell {
        Cell::Null => return Json::Null,
        Cell::Int(v) => v.to_string(),
        Cell::Enum(v) if by_text => match (&column.kind, v) {
            (ColumnKind::Enum { labels }, 1..) => labels[usize::from(*v) - 1].clone(),
            _ => String::new(),
        },
        Cell::Set(v) if by_text => match &column.kind {
            ColumnKind::Set { labels } => {
                let chosen = labels.iter().enumerate().filter(|(bit, _)| v >> bit & 1 == 1);
                chosen.map(|(_, label)| label.as_str()).collect::<Vec<_>>().join(",")
            }
            other => panic!("{other:?}"),
        },
        Cell::UInt(v) | Cell::Bit(v) | Cell::Set(v) => v.to_string(),
        Cell::Enum(v) => v.to_string(),
        Cell::Float(v) => java(v.to_string(), format!("{v:e}"), format!("{v:.1e}"), f64::from(v.abs()), v.is_subnormal()),
        Cell::Double(v) => java(v.to_string(), format!("{v:e}"), format!("{v:.1e}"), v.abs(), v.is_subnormal()),
        Cell::Decimal(v) if option(options, "decimal") == "canal" => canal_decimal(v),
        Cell::Decimal(v) => v.clone(),
        Cell::Text(v) if column.charset() == Some("utf16") => {
            let units: Vec<u16> = v.chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
            String::from_utf16(&units).unwrap()
        }
        Cell::Text(v) | Cell::Json(v) => String::from_utf8(v.clone()).unwrap(),
        Cell::Bytes(v) | Cell::Geometry(v) => bytes(v, column, options),
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

fn sql_type(cell: &Cell, column: &Column, options: &Json) -> i64 {
    let by_value = option(options, "sql_type") == "canal";
    let big = |bits: u32| if by_value { matches!(cell, Cell::UInt(v) if *v >= 1 << (bits - 1)) } else { column.unsigned };
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
            if by_value && *cell == Cell::Null {
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
        ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } | ColumnKind::Geometry => 2004,
        ColumnKind::Json => {
            if by_value && *cell == Cell::Null {
                1111
            } else {
                12
            }
        }
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

fn model(case: &Case, options: &Json) -> Json {
    let columns = &case.schema.columns;
    let row = case.after.as_ref().or(case.before.as_ref()).unwrap();
    let object = |value: &dyn Fn(usize) -> Option<Json>| -> Json {
        let members = columns.iter().enumerate().filter_map(|(index, column)| Some((column.name.clone(), value(index)?)));
        Json::Object(members.collect::<Map<_, _>>())
    };
    let all = option(options, "old") == "all";
    let old = match (case.op, &case.before) {
        (Op::Update, Some(before)) => {
            let shown = |index: usize| all || differ(&before[index], &row[index]);
            json!([object(&|index| shown(index).then(|| text(&before[index], &columns[index], options)))])
        }
        _ => Json::Null,
    };
    let mysql_type = |column: &Column| {
        let end = column.source_type.find(|c: char| !c.is_ascii_alphanumeric()).filter(|_| option(options, "mysql_type") == "base");
        column.source_type[..end.unwrap_or(column.source_type.len())].to_owned()
    };
    let mut key = case.schema.primary_key.clone();
    key.sort_unstable();
    let names: Vec<_> = key.iter().map(|&index| &columns[index].name).collect();
    let mut message = json!({
        "data": [object(&|index| Some(text(&row[index], &columns[index], options)))],
        "database": &*case.schema.id.database,
        "es": 1_748_737_800_000i64,
        "gtid": "",
        "id": origin().read_ms * 1000,
        "isDdl": false,
        "mysqlType": object(&|index| Some(mysql_type(&columns[index]).into())),
        "old": old,
        "pkNames": if names.is_empty() { Json::Null } else { json!(names) },
        "sql": "",
        "sqlType": object(&|index| Some(sql_type(&row[index], &columns[index], options).into())),
        "table": &*case.schema.id.table,
        "ts": origin().read_ms,
        "type": match case.op {
            Op::Read => option(options, "snapshot_type"),
            Op::Insert => "INSERT",
            Op::Update => "UPDATE",
            Op::Delete => "DELETE",
        },
    });
    if let (Some(members), "omit") = (message.as_object_mut(), option(options, "null_keys")) {
        members.retain(|key, value| !value.is_null() && key != "gtid");
    }
    message
}

proptest! {
    #[test]
    fn messages_are_what_the_model_says(case in case(), options in options()) {
        let message = canal_with(&options.to_string(), &case.event());
        let parsed: Json = serde_json::from_str(&message).unwrap();
        prop_assert_eq!(parsed, model(&case, &options));
    }
}
