//! Compares DTS Avro with the library apache-avro: both write the same bytes for a record, and apache-avro decodes the bytes to the same
//! record.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use formats::dts_avro::{Config, DtsAvro};
use proptest::prelude::*;
use runtime::{Column, ColumnKind, Encoder, Op, TableSchema};
use serde_json::{Value as Json, json};

use crate::random::{Case, Cell, case};
use crate::support::{encode, origin};

pub(crate) fn schema() -> Schema {
    Schema::parse_str(DtsAvro::default().info().schema.as_deref().unwrap()).unwrap()
}

/// Decodes a record and checks that no bytes are left after it.
pub(crate) fn read(schema: &Schema, mut bytes: &[u8]) -> Avro {
    let value = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "{} bytes left", bytes.len());
    value
}

fn quoted(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap()
}

fn text(text: impl Into<String>) -> Avro {
    Avro::String(text.into())
}

fn record(fields: impl IntoIterator<Item = (&'static str, Avro)>) -> Avro {
    Avro::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn branch(index: u32, value: Avro) -> Avro {
    Avro::Union(index, Box::new(value))
}

pub(crate) fn null() -> Avro {
    branch(0, Avro::Null)
}

pub(crate) fn integer(precision: i32, value: impl ToString) -> Avro {
    branch(1, record([("precision", Avro::Int(precision)), ("value", text(value.to_string()))]))
}

pub(crate) fn character(charset: &str, bytes: &[u8]) -> Avro {
    branch(2, record([("charset", text(charset)), ("value", Avro::Bytes(bytes.to_vec()))]))
}

pub(crate) fn decimal(value: &str, precision: i32, scale: i32) -> Avro {
    branch(3, record([("value", text(value)), ("precision", Avro::Int(precision)), ("scale", Avro::Int(scale))]))
}

pub(crate) fn float(value: f64) -> Avro {
    branch(4, record([("value", Avro::Double(value)), ("precision", Avro::Int(8)), ("scale", Avro::Int(15))]))
}

pub(crate) fn timestamp(seconds: i64, micros: i32) -> Avro {
    branch(5, record([("timestamp", Avro::Long(seconds)), ("millis", Avro::Int(micros))]))
}

pub(crate) fn date_time(parts: [Option<i32>; 7]) -> Avro {
    let names = ["year", "month", "day", "hour", "minute", "second", "millis"];
    branch(6, record(names.into_iter().zip(parts.map(|part| part.map_or_else(null, |part| branch(1, Avro::Int(part)))))))
}

pub(crate) fn geometry(wkb: &[u8]) -> Avro {
    branch(8, record([("type", text("WKB")), ("value", Avro::Bytes(wkb.to_vec()))]))
}

pub(crate) fn binary_object(type_name: &str, bytes: &[u8]) -> Avro {
    branch(10, record([("type", text(type_name)), ("value", Avro::Bytes(bytes.to_vec()))]))
}

pub(crate) fn text_object(type_name: &str, value: &str) -> Avro {
    branch(11, record([("type", text(type_name)), ("value", text(value))]))
}

/// The expected value of a text cell, in the character set that the settings ask for.
fn text_cell(v: &[u8], column: &Column, options: &Json) -> Avro {
    match (column.charset(), options["charset"] == "source") {
        (Some("utf16"), true) => character("utf16", v),
        (Some("utf16"), false) => {
            let units: Vec<u16> = v.chunks(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
            character("utf8mb4", String::from_utf16(&units).unwrap().as_bytes())
        }
        (Some(name), true) => character(name, v),
        _ => character("utf8mb4", v),
    }
}

/// The expected WKB of a point: without the SRID that MySQL stores first, and with a SRID other than 0 inside the WKB.
fn ewkb(v: &[u8]) -> Vec<u8> {
    let srid = u32::from_le_bytes(v[..4].try_into().unwrap());
    if srid == 0 {
        return v[4..].to_vec();
    }
    let head = if v[4] == 1 {
        [&[1, 1, 0, 0, 0x20][..], &srid.to_le_bytes()].concat()
    } else {
        [&[0, 0x20, 0, 0, 1][..], &srid.to_be_bytes()].concat()
    };
    [&head[..], &v[9..]].concat()
}

fn cell(cell: &Cell, column: &Column, options: &Json) -> Avro {
    match (cell, &column.kind) {
        (Cell::Null, _) => null(),
        (Cell::Int(v), ColumnKind::Int { bytes }) => integer((*bytes).into(), v),
        (Cell::UInt(v), ColumnKind::Int { bytes }) => integer((*bytes).into(), v),
        (Cell::Bit(v), ColumnKind::Bit { bits }) => integer((i32::from(*bits) + 7) / 8, v),
        (Cell::Decimal(v), _) => {
            let digits = v.replace(['-', '.'], "");
            let scale = v.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            decimal(v, digits.trim_start_matches('0').len().max(1) as i32, scale as i32)
        }
        (Cell::Float(v), _) => float(v.to_string().parse().unwrap()),
        (Cell::Double(v), _) => float(*v),
        (Cell::Year(v), _) => date_time([Some((*v).into()), None, None, None, None, None, None]),
        (Cell::Date(v), _) => date_time([Some(v.year.into()), Some(v.month.into()), Some(v.day.into()), None, None, None, None]),
        (Cell::Time(v), _) => {
            let sign = v.signum() as i32;
            let all = v.abs();
            let parts = [all / 3_600_000_000, all / 60_000_000 % 60, all / 1_000_000 % 60, all % 1_000_000];
            let [hour, minute, second, micros] = parts.map(|part| Some(sign * part as i32));
            date_time([None, None, None, hour, minute, second, micros])
        }
        (Cell::DateTime(v), _) => {
            let date = [i32::from(v.date.year), v.date.month.into(), v.date.day.into()];
            let [year, month, day] = date.map(Some);
            date_time([year, month, day, Some(v.hour.into()), Some(v.minute.into()), Some(v.second.into()), Some(v.micros as i32)])
        }
        (Cell::Timestamp(v), _) => timestamp(v / 1_000_000, (v % 1_000_000) as i32),
        (Cell::Text(v), _) => text_cell(v, column, options),
        (Cell::Json(v), _) => text_object("json", std::str::from_utf8(v).unwrap()),
        (Cell::Geometry(v), _) => geometry(&ewkb(v)),
        (Cell::Bytes(v), ColumnKind::Blob { .. }) => binary_object("blob", v),
        (Cell::Bytes(v), _) => binary_object("binary", v),
        (Cell::Enum(v), ColumnKind::Enum { labels }) => {
            let label = if *v == 0 { "" } else { labels[usize::from(*v) - 1].as_str() };
            text_object("enum", label)
        }
        (Cell::Set(v), ColumnKind::Set { labels }) => {
            let chosen: Vec<_> = labels.iter().enumerate().filter(|(bit, _)| v >> bit & 1 == 1).map(|(_, label)| label.as_str()).collect();
            text_object("set", &chosen.join(","))
        }
        other => panic!("{other:?}"),
    }
}

fn number(column: &Column) -> i32 {
    match column.kind {
        ColumnKind::Int { bytes } => [0, 1, 2, 9, 3, 0, 0, 0, 8][usize::from(bytes)],
        ColumnKind::Float => 4,
        ColumnKind::Double => 5,
        ColumnKind::Timestamp { .. } => 7,
        ColumnKind::Date => 10,
        ColumnKind::Time { .. } => 11,
        ColumnKind::DateTime { .. } => 12,
        ColumnKind::Year => 13,
        ColumnKind::Text { .. } => 15,
        ColumnKind::Bit { .. } => 16,
        ColumnKind::Json => 245,
        ColumnKind::Geometry => 255,
        ColumnKind::Decimal { .. } => 246,
        ColumnKind::Enum { .. } => 247,
        ColumnKind::Set { .. } => 248,
        ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => 252,
        ColumnKind::Varchar { .. } => 253,
        ColumnKind::Char { .. } => 254,
        _ => panic!("{column:?}"),
    }
}

fn fields(schema: &TableSchema) -> Avro {
    let field = |column: &Column| record([("name", text(&column.name)), ("dataTypeNumber", Avro::Int(number(column)))]);
    branch(2, Avro::Array(schema.columns.iter().map(field).collect()))
}

fn images(schema: &TableSchema, row: &Option<Vec<Cell>>, options: &Json) -> Avro {
    match row {
        Some(row) => branch(2, Avro::Array(row.iter().zip(&schema.columns).map(|(value, column)| cell(value, column, options)).collect())),
        None => null(),
    }
}

/// The expected record of a case, with the given tags.
fn model(case: &Case, tags: HashMap<String, Avro>, options: &Json) -> Avro {
    let (operation, symbol) = match case.op {
        Op::Read if options["snapshot_type"] == "INSERT" => (0, "INSERT"),
        Op::Read => (16, "INIT"),
        Op::Insert => (0, "INSERT"),
        Op::Update => (1, "UPDATE"),
        Op::Delete => (2, "DELETE"),
    };
    let escaped = |name: &str| name.split('.').collect::<Vec<_>>().join("\\u002E");
    let origin = origin();
    record([
        ("version", Avro::Int(0)),
        ("id", Avro::Long(origin.read_ms * 1000)),
        ("sourceTimestamp", Avro::Long(1_748_737_800)),
        ("sourcePosition", text(&*origin.offset)),
        ("safeSourcePosition", text(&*origin.safe_offset)),
        ("sourceTxid", text("0")),
        ("source", record([("sourceType", Avro::Enum(0, "MySQL".into())), ("version", text(&*origin.server_version))])),
        ("operation", Avro::Enum(operation, symbol.into())),
        ("objectName", branch(1, text(format!("{}.{}", escaped(&case.schema.id.database), escaped(&case.schema.id.table))))),
        ("processTimestamps", null()),
        ("tags", Avro::Map(tags)),
        ("fields", fields(&case.schema)),
        ("beforeImages", images(&case.schema, &case.before, options)),
        ("afterImages", images(&case.schema, &case.after, options)),
        ("bornTimestamp", Avro::Long(1_748_737_800)),
    ])
}

/// The expected tags of a case. The value of `metaVersion` cannot be predicted: it is taken from the decoded record, and only its upper
/// half is checked, which is the schema's version.
fn tags(case: &Case, read: &Avro) -> HashMap<String, Avro> {
    let Avro::Record(fields) = read else { panic!("{read:?}") };
    let Some((_, Avro::Map(found))) = fields.iter().find(|(name, _)| name == "tags") else { panic!("no tags") };
    let Some(Avro::String(meta_version)) = found.get("metaVersion") else { panic!("no metaVersion in {found:?}") };
    assert_eq!(meta_version.parse::<u64>().unwrap() >> 32, u64::from(case.schema.version));
    let mut tags = HashMap::from([
        ("metaVersion", meta_version.clone()),
        ("readerThroughoutTime", "1748737800412".to_owned()),
        ("server_id", "57".to_owned()),
        ("thread_id", "9".to_owned()),
    ]);
    let names = |key: &[usize]| key.iter().map(|&index| case.schema.columns[index].name.clone()).collect::<Vec<_>>();
    let mut keys = Vec::new();
    if !case.schema.primary_key.is_empty() {
        keys.push(format!("\"PRIMARY\":{}", quoted(names(&case.schema.primary_key))));
    }
    for key in &case.schema.unique_keys {
        keys.push(format!("{}:{}", quoted(&key.name), quoted(names(&key.columns))));
    }
    if !keys.is_empty() {
        tags.insert("pk_uk_info", format!("{{{}}}", keys.join(",")));
    }
    tags.into_iter().map(|(name, value)| (name.to_owned(), Avro::String(value))).collect()
}

/// Random settings, as a configuration file would have them.
fn options() -> impl Strategy<Value = Json> {
    let of = |values: &'static [&'static str]| proptest::sample::select(values);
    let texts = (of(&["INSERT", "INIT"]), of(&["utf8mb4", "source"]), of(&["fail", "keep"]));
    (texts, any::<bool>()).prop_map(|((snapshot_type, charset, invalid_text), transactions)| {
        json!({ "snapshot_type": snapshot_type, "charset": charset, "invalid_text": invalid_text, "transactions": transactions })
    })
}

proptest! {
    #[test]
    fn records_are_what_apache_avro_writes_and_reads(case in case(), options in options()) {
        let schema = schema();
        let config: Config = serde_json::from_str(&options.to_string()).unwrap();
        let ours = encode(&mut DtsAvro::new(config), &case.event()).unwrap();
        let value = read(&schema, &ours);
        let expected = model(&case, tags(&case, &value), &options);
        prop_assert_eq!(&value, &expected);

        // The order of a map's entries is not defined. The tags were compared above as values; here all bytes before and after the tags
        // are compared.
        let writer = GenericDatumWriter::builder(&schema).build().unwrap();
        let theirs = writer.write_value_to_vec(expected).unwrap();
        let without_tags = writer.write_value_to_vec(model(&case, HashMap::new(), &options)).unwrap();
        prop_assert_eq!(ours.len(), theirs.len());
        let start = theirs.iter().zip(&without_tags).position(|(a, b)| a != b).unwrap();
        prop_assert_eq!(&ours[..start], &theirs[..start]);
        let rest = without_tags.len() - start;
        prop_assert_eq!(&ours[ours.len() - rest..], &theirs[theirs.len() - rest..]);
    }
}
