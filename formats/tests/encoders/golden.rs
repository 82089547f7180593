//! Golden files: `golden/<case>.events` holds a table and its changes; the other files of the case hold the messages of both formats.
//!
//! `UPDATE_GOLDEN=1 cargo test -p formats` rewrites the messages; review the difference before committing it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use formats::canal_json::{self, CanalJson};
use formats::dts_avro::{self, DtsAvro};
use runtime::{
    Column, ColumnKind, Date, DateTime, Encoder, Event, Op, Position, Row, SchemaChange, SchemaChangeKind, Seq, TableId, TableSchema,
    UniqueKey,
};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::random::Cell;
use crate::support::{change, column, encode, in_charset, origin, schema_change};

/// A test case, in the form of its file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    canal_json: canal_json::Config,
    #[serde(default)]
    dts_avro: dts_avro::Config,
    database: String,
    table: String,
    columns: Vec<CaseColumn>,
    #[serde(default)]
    primary_key: Vec<String>,
    #[serde(default)]
    unique_keys: Vec<(String, Vec<String>)>,
    events: Vec<CaseEvent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseColumn {
    name: String,
    #[serde(rename = "type")]
    source_type: String,
    charset: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum CaseEvent {
    Read(Vec<Json>),
    Insert(Vec<Json>),
    Update(Vec<Json>, Vec<Json>),
    Delete(Vec<Json>),
    DropTable(String),
    AlterTable(String),
    Database(String),
}

impl Case {
    fn schema(&self) -> Arc<TableSchema> {
        let columns = self.columns.iter().map(|given| {
            let column = column(&given.name, &given.source_type);
            given.charset.as_ref().map_or(column.clone(), |charset| in_charset(column, charset))
        });
        let mut schema = TableSchema::new(TableId::new(&*self.database, &*self.table), columns.collect());
        let indexes = |names: &[String]| names.iter().map(|name| schema.column(name).unwrap()).collect();
        let unique_keys =
            self.unique_keys.iter().map(|(name, columns)| UniqueKey { name: name.clone(), columns: indexes(columns) }).collect();
        schema.primary_key = indexes(&self.primary_key);
        schema.unique_keys = unique_keys;
        Arc::new(schema)
    }

    fn events(&self) -> Vec<Event> {
        let schema = self.schema();
        let row = |cells: &[Json]| -> Option<Row> {
            let cells: Vec<_> = cells.iter().zip(&schema.columns).map(|(json, column)| cell(json, column)).collect();
            Some(Row::from_values(cells.iter().map(Cell::value)))
        };
        let statement = |kind, statement: &str, table| {
            let mut change = SchemaChange::new(kind, self.database.as_str(), statement);
            change.tables.extend(table);
            schema_change(change)
        };
        let mut events: Vec<Event> = self
            .events
            .iter()
            .map(|event| match event {
                CaseEvent::Read(after) => change(&schema, Op::Read, None, row(after)),
                CaseEvent::Insert(after) => change(&schema, Op::Insert, None, row(after)),
                CaseEvent::Update(before, after) => change(&schema, Op::Update, row(before), row(after)),
                CaseEvent::Delete(before) => change(&schema, Op::Delete, row(before), None),
                CaseEvent::DropTable(text) => statement(SchemaChangeKind::DropTable, text, Some((schema.id.clone(), None))),
                CaseEvent::AlterTable(text) => {
                    statement(SchemaChangeKind::AlterTable, text, Some((schema.id.clone(), Some(schema.clone()))))
                }
                CaseEvent::Database(text) => statement(SchemaChangeKind::Database, text, None),
            })
            .collect();
        // Every event gets its own position, as in a binlog.
        for (number, event) in events.iter_mut().enumerate() {
            let end = 1_000 * (number + 1);
            let mut own = (*origin()).clone();
            own.offset = format!("{end}@78").into();
            own.gtid = Some(format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:{}", number + 1).into());
            event.seq = Seq(number as u128 + 1);
            event.position = Position::from(format!("binlog.000078:{end}"));
            event.origin = Arc::new(own);
        }
        events
    }
}

/// Parses a cell of a file. Numbers, ENUM, SET, BIT and YEAR are numbers; TIME and TIMESTAMP are numbers of microseconds; bytes are
/// `0x…`; everything else is text.
fn cell(json: &Json, column: &Column) -> Cell {
    let text = || json.as_str().unwrap_or_else(|| panic!("{}: {json}", column.name));
    let number = |at: usize, length: usize| text()[at..at + length].parse::<u32>().unwrap();
    let date = || Date { year: number(0, 4) as u16, month: number(5, 2) as u8, day: number(8, 2) as u8 };
    let bytes = || text().strip_prefix("0x").map(unhex);
    if json.is_null() {
        return Cell::Null;
    }
    match &column.kind {
        ColumnKind::Int { .. } if column.unsigned => Cell::UInt(json.as_u64().unwrap()),
        ColumnKind::Int { .. } => Cell::Int(json.as_i64().unwrap()),
        ColumnKind::Decimal { .. } => Cell::Decimal(text().to_owned()),
        ColumnKind::Float => Cell::Float(text().parse().unwrap()),
        ColumnKind::Double => Cell::Double(text().parse().unwrap()),
        ColumnKind::Bit { .. } => Cell::Bit(json.as_u64().unwrap()),
        ColumnKind::Year => Cell::Year(json.as_u64().unwrap() as u16),
        ColumnKind::Date => Cell::Date(date()),
        ColumnKind::Time { .. } => Cell::Time(json.as_i64().unwrap()),
        ColumnKind::DateTime { .. } => Cell::DateTime(DateTime {
            date: date(),
            hour: number(11, 2) as u8,
            minute: number(14, 2) as u8,
            second: number(17, 2) as u8,
            micros: if text().len() > 20 { number(20, 6) } else { 0 },
        }),
        ColumnKind::Timestamp { .. } => Cell::Timestamp(json.as_i64().unwrap()),
        ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. } => {
            Cell::Text(bytes().unwrap_or_else(|| text().as_bytes().to_vec()))
        }
        ColumnKind::Binary { .. } | ColumnKind::Varbinary { .. } | ColumnKind::Blob { .. } => Cell::Bytes(bytes().unwrap()),
        ColumnKind::Enum { .. } => Cell::Enum(json.as_u64().unwrap() as u16),
        ColumnKind::Set { .. } => Cell::Set(json.as_u64().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap()).collect()
}

/// Compares the messages of a case with its files; with `UPDATE_GOLDEN=1`, rewrites the files.
fn check(name: &str) {
    let path = |extension: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.{extension}"));
    let case: Case = serde_json::from_str(&fs::read_to_string(path("events")).unwrap()).unwrap();
    let lines = |encoder: &mut dyn Encoder, line: fn(Vec<u8>) -> String| -> String {
        case.events().iter().map(|event| line(encode(encoder, event).unwrap()) + "\n").collect()
    };
    let json = lines(&mut CanalJson::new(case.canal_json.clone()), |bytes| String::from_utf8(bytes).unwrap());
    let hex = lines(&mut DtsAvro::new(case.dts_avro.clone()), |bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    for (extension, found) in [("json", json), ("avro.hex", hex)] {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(path(extension), found).unwrap();
        } else {
            let expected = fs::read_to_string(path(extension)).unwrap_or_else(|error| panic!("golden/{name}.{extension}: {error}"));
            for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
                assert_eq!(found, expected, "golden/{name}.{extension}, line {}", number + 1);
            }
            assert_eq!(found.len(), expected.len(), "golden/{name}.{extension}");
        }
    }
}

#[test]
fn numbers() {
    check("numbers");
}

#[test]
fn moments() {
    check("moments");
}

#[test]
fn texts() {
    check("texts");
}

#[test]
fn bytes_and_labels() {
    check("bytes_and_labels");
}

#[test]
fn operations() {
    check("operations");
}

#[test]
fn names_and_keys() {
    check("names_and_keys");
}

#[test]
fn like_canal() {
    check("like_canal");
}
