//! Published test vectors of the format: bytes that the consumers of DTS are known to decode.

use runtime::{Column, ColumnKind, Date, DateTime, Row, TableId, TableSchema, Value};

use super::config::Config;
use super::encoding::Tags;
use super::record::{Head, Operation, write_row, write_without_row};
use super::template::{Template, keys, write_source};
use crate::row::Images;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn source(position: &str, safe_position: &str) -> Vec<u8> {
    let mut source = Vec::new();
    write_source(&mut source, position, safe_position, "0", "8.0.32");
    source
}

fn head(id: i64, source: &[u8], operation: Operation) -> Head<'_> {
    Head { id, timestamp: 1_700_000_000, source, operation }
}

/// The template of `shop.t1`, with the only tag that the vectors contain.
fn template(columns: Vec<Column>) -> Template {
    let mut schema = TableSchema::new(TableId::new("shop", "t1"), columns);
    schema.primary_key = vec![0];
    let mut tags = Tags::default();
    tags.push("pk_uk_info", &keys(&schema).unwrap().unwrap());
    Template { tags, ..Template::of(&schema, &Config::default()).unwrap() }
}

#[test]
fn v1_insert() {
    let id = Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)");
    let name = Column::new("name", ColumnKind::Varchar { length: 9 }, "varchar(9)");
    let row = Row::from_values([Value::Int(1), Value::Text("é".as_bytes())]);
    let mut out = Vec::new();
    let source = source("72469@78", "72347@78");
    write_row(&mut out, &head(1, &source, Operation::Insert), &template(vec![id, name]), &Tags::default(), Images::After(&row)).unwrap();
    assert_eq!(
        hex(&out),
        "000280c49fd50c1037323436394037381037323334374037380230000c382e302e333200020e73686f702e7431000214706b5f756b5f696e666f247b225052494d41\
         5259223a5b226964225d7d00040404696410086e616d65fa030000040402100231040e757466386d623404c3a90080c49fd50c"
    );
}

#[test]
fn v2_update() {
    let columns = vec![
        Column::new("id", ColumnKind::Int { bytes: 4 }, "int(11)"),
        Column::new("d", ColumnKind::Decimal { precision: 10, scale: 2 }, "decimal(10,2)"),
        Column::new("n", ColumnKind::DateTime { fsp: 6 }, "datetime(6)"),
    ];
    let moment = DateTime { date: Date { year: 2024, month: 1, day: 2 }, hour: 3, minute: 4, second: 5, micros: 6 };
    let before = Row::from_values([Value::Int(-7), Value::Decimal("1.50"), Value::Null]);
    let after = before.with(2, Value::DateTime(moment));
    let mut out = Vec::new();
    let source = source("72469@78", "72347@78");
    write_row(&mut out, &head(2, &source, Operation::Update), &template(columns), &Tags::default(), Images::Both(&before, &after)).unwrap();
    assert_eq!(
        hex(&out),
        "000480c49fd50c1037323436394037381037323334374037380230000c382e302e333202020e73686f702e7431000214706b5f756b5f696e666f247b225052494d41\
         5259223a5b226964225d7d000406046964060264ec03026e180004060208042d370608312e35300604000004060208042d370608312e353006040c02d01f02020204\
         02060208020a020c0080c49fd50c"
    );
}

#[test]
fn v3_ddl() {
    let mut tags = Tags::default();
    tags.push_number("thread_id", 9);
    let mut out = Vec::new();
    let source = source("72469@78", "72347@78");
    write_without_row(&mut out, &head(3, &source, Operation::Ddl), Some("shop"), &tags, Some("drop table t1"));
    assert_eq!(
        hex(&out),
        "000680c49fd50c1037323436394037381037323334374037380230000c382e302e333206020873686f700002127468726561645f69640239000000021a64726f7020\
         7461626c6520743180c49fd50c"
    );
}

#[test]
fn v4_heartbeat() {
    let mut tags = Tags::default();
    tags.push_number("readerThroughoutTime", 1_700_000_000_123i64);
    let mut out = Vec::new();
    let source = source("72470@78", "72470@78");
    write_without_row(&mut out, &head(4, &source, Operation::Heartbeat), None, &tags, None);
    assert_eq!(
        hex(&out),
        "000880c49fd50c1037323437304037381037323437304037380230000c382e302e333210000002287265616465725468726f7567686f757454696d651a3137303030\
         30303030303132330000000080c49fd50c"
    );
}
