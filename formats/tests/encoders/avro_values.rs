//! What consumers decode for values at the limits of every type (type number, union branch and content), and for the fields around the
//! images.

use apache_avro::types::Value as Avro;
use runtime::{Date, DateTime, SchemaChange, SchemaChangeKind, TableId, UniqueKey, Value};

use crate::avro_model::{
    binary_object, character, date_time, decimal, float, geometry, integer, null, read, schema, text_object, timestamp,
};
use crate::support::{avro, column, in_charset, insert, origin, schema_change, table};

pub(crate) fn field<'a>(record: &'a Avro, name: &str) -> &'a Avro {
    let Avro::Record(fields) = record else { panic!("{record:?}") };
    &fields.iter().find(|(field, _)| field == name).unwrap().1
}

/// The only item of a union's array branch; panics if there is not exactly one.
pub(crate) fn only(value: &Avro) -> &Avro {
    match value {
        Avro::Union(2, array) => match &**array {
            Avro::Array(items) if items.len() == 1 => &items[0],
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

pub(crate) fn tag(record: &Avro, name: &str) -> Option<String> {
    let Avro::Map(tags) = field(record, "tags") else { panic!("no map") };
    match tags.get(name) {
        Some(Avro::String(value)) => Some(value.clone()),
        None => None,
        other => panic!("{other:?}"),
    }
}

fn check_column(column: runtime::Column, value: Value<'_>, number: i32, expected: Avro) {
    let source_type = column.source_type.clone();
    let record = read(&schema(), &avro(&insert(&table(vec![column]), [value])));
    assert_eq!(field(only(field(&record, "fields")), "dataTypeNumber"), &Avro::Int(number), "{source_type}");
    assert_eq!(only(field(&record, "afterImages")), &expected, "{source_type}");
    assert_eq!(field(&record, "beforeImages"), &null());
}

fn check(source_type: &str, value: Value<'_>, number: i32, expected: Avro) {
    check_column(column("c", source_type), value, number, expected.clone());
    check_column(column("c", source_type), Value::Null, number, null());
}

#[test]
fn numbers() {
    check("tinyint(4)", Value::Int(-128), 1, integer(1, "-128"));
    check("smallint(5) unsigned", Value::UInt(65_535), 2, integer(2, "65535"));
    check("mediumint(9)", Value::Int(-8_388_608), 9, integer(3, "-8388608"));
    check("int(5) unsigned zerofill", Value::UInt(42), 3, integer(4, "42"));
    check("bigint(20)", Value::Int(i64::MIN), 8, integer(8, "-9223372036854775808"));
    check("bigint(20) unsigned", Value::UInt(u64::MAX), 8, integer(8, "18446744073709551615"));
    check("decimal(10,2)", Value::Decimal("348.00"), 246, decimal("348.00", 5, 2));
    check("decimal(10,2)", Value::Decimal("-1.11"), 246, decimal("-1.11", 3, 2));
    check("decimal(10,0)", Value::Decimal("11"), 246, decimal("11", 2, 0));
    check("decimal(10,2)", Value::Decimal("0.00"), 246, decimal("0.00", 1, 2));
    check("decimal(10,7)", Value::Decimal("0.0000001"), 246, decimal("0.0000001", 1, 7));
    check("float", Value::Float(1.1), 4, float(1.1));
    check("float", Value::Float(f32::MAX), 4, float(3.4028235e38));
    check("double", Value::Double(-0.1), 5, float(-0.1));
    check("bit(1)", Value::Bit(1), 16, integer(1, 1));
    check("bit(9)", Value::Bit(257), 16, integer(2, 257));
    check("bit(64)", Value::Bit(u64::MAX), 16, integer(8, u64::MAX));
}

#[test]
fn dates_and_times() {
    let date = |year, month, day| Date { year, month, day };
    let none = None;
    check("year(4)", Value::Year(2024), 13, date_time([Some(2024), none, none, none, none, none, none]));
    check("year(4)", Value::Year(0), 13, date_time([Some(0), none, none, none, none, none, none]));
    check("date", Value::Date(date(2024, 2, 29)), 10, date_time([Some(2024), Some(2), Some(29), none, none, none, none]));
    check("date", Value::Date(date(0, 0, 0)), 10, date_time([Some(0), Some(0), Some(0), none, none, none, none]));
    check("date", Value::Date(date(2024, 0, 0)), 10, date_time([Some(2024), Some(0), Some(0), none, none, none, none]));
    let time = |h, m, s, us| date_time([none, none, none, Some(h), Some(m), Some(s), Some(us)]);
    check("time(6)", Value::Time(86_399_123_456), 11, time(23, 59, 59, 123_456));
    check("time", Value::Time(3_020_399_000_000), 11, time(838, 59, 59, 0));
    check("time(6)", Value::Time(-3_723_000_004), 11, time(-1, -2, -3, -4));
    check("time", Value::Time(-1_800_000_000), 11, time(0, -30, 0, 0));
    let moment = DateTime { date: date(2024, 1, 2), hour: 3, minute: 4, second: 5, micros: 6 };
    check("datetime(6)", Value::DateTime(moment), 12, date_time([2024, 1, 2, 3, 4, 5, 6].map(Some)));
    check("datetime", Value::DateTime(DateTime::default()), 12, date_time([0; 7].map(Some)));
    check("timestamp(6)", Value::Timestamp(1_700_000_000_123_456), 7, timestamp(1_700_000_000, 123_456));
    check("timestamp", Value::Timestamp(0), 7, timestamp(0, 0));
    check("timestamp", Value::Timestamp(2_147_483_647_000_000), 7, timestamp(2_147_483_647, 0));
}

#[test]
fn texts_are_utf8_under_one_name() {
    let snow = "é中😀".as_bytes();
    check("char(10)", Value::Text(snow), 254, character("utf8mb4", snow));
    check("varchar(10)", Value::Text(b""), 253, character("utf8mb4", b""));
    for kind in ["tinytext", "text", "mediumtext", "longtext"] {
        check(kind, Value::Text(snow), 15, character("utf8mb4", snow));
    }
    let latin1 = || in_charset(column("c", "varchar(10)"), "latin1");
    check_column(latin1(), Value::Text(b"\xe9\x80"), 253, character("utf8mb4", "é€".as_bytes()));
    check_column(in_charset(column("c", "text"), "ascii"), Value::Text(b"a"), 15, character("utf8mb4", b"a"));
}

#[test]
fn bytes_labels_documents_and_geometries() {
    check("binary(4)", Value::Bytes(&[1, 2, 0, 0]), 252, binary_object("binary", &[1, 2, 0, 0]));
    check("varbinary(4)", Value::Bytes(&[0, 255]), 252, binary_object("binary", &[0, 255]));
    for kind in ["tinyblob", "blob", "mediumblob", "longblob"] {
        check(kind, Value::Bytes(&[0xde, 0xad]), 252, binary_object("blob", &[0xde, 0xad]));
    }
    check("enum('a','é')", Value::Enum(2), 247, text_object("enum", "é"));
    check("enum('a','b')", Value::Enum(0), 247, text_object("enum", ""));
    check("set('a','b','c')", Value::Set(5), 248, text_object("set", "a,c"));
    check("set('a','b')", Value::Set(0), 248, text_object("set", ""));
    check("json", Value::Json("{\"é\": 1}".as_bytes()), 245, text_object("json", "{\"é\": 1}"));
    let mut wkb = vec![1, 1, 0, 0, 0];
    wkb.extend_from_slice(&1f64.to_le_bytes());
    wkb.extend_from_slice(&2f64.to_le_bytes());
    let mysql = |srid: u32| [&srid.to_le_bytes()[..], &wkb].concat();
    check("point", Value::Geometry(&mysql(0)), 255, geometry(&wkb));
    let ewkb = [&[1, 1, 0, 0, 0x20][..], &4326u32.to_le_bytes(), &wkb[5..]].concat();
    check("point", Value::Geometry(&mysql(4326)), 255, geometry(&ewkb));
}

#[test]
fn a_set_of_64_labels() {
    let labels: Vec<String> = (0..64).map(|bit| format!("'l{bit}'")).collect();
    let joined = labels.join(",").replace('\'', "");
    check(&format!("set({})", labels.join(",")), Value::Set(u64::MAX), 248, text_object("set", &joined));
}

#[test]
fn fields_around_the_images() {
    let mut orders = (*table(vec![column("id", "bigint(20)"), column("a", "int(11)"), column("b", "int(11)")])).clone();
    orders.id = TableId::new("d.b", "t.1");
    orders.unique_keys = vec![UniqueKey { name: "uk_a".into(), columns: vec![1, 2] }];
    let record = read(&schema(), &avro(&insert(&orders.into(), [Value::Int(1), Value::Int(2), Value::Int(3)])));
    assert_eq!(field(&record, "id"), &Avro::Long(1_748_737_800_412_000));
    assert_eq!(field(&record, "sourceTimestamp"), &Avro::Long(1_748_737_800));
    assert_eq!(field(&record, "bornTimestamp"), &Avro::Long(1_748_737_800));
    assert_eq!(field(&record, "sourcePosition"), &Avro::String("72469@78".into()));
    assert_eq!(field(&record, "safeSourcePosition"), &Avro::String("72347@78".into()));
    assert_eq!(field(&record, "sourceTxid"), &Avro::String("0".into()));
    assert_eq!(field(field(&record, "source"), "version"), &Avro::String("5.7.22-log".into()));
    assert_eq!(field(&record, "objectName"), &Avro::Union(1, Box::new(Avro::String("d\\u002Eb.t\\u002E1".into()))));
    assert_eq!(tag(&record, "pk_uk_info").as_deref(), Some(r#"{"PRIMARY":["id"],"uk_a":["a","b"]}"#));
    assert_eq!(tag(&record, "readerThroughoutTime").as_deref(), Some("1748737800412"));
    assert_eq!(tag(&record, "server_id").as_deref(), Some("57"));
    assert_eq!(tag(&record, "thread_id").as_deref(), Some("9"));
}

#[test]
fn ddl_statements() {
    let mut facts = (*origin()).clone();
    facts.gtid = Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:23".into());
    facts.facts = vec![("Q_SQL_MODE_CODE", "1436549152".to_owned())];
    let mut alter = schema_change(SchemaChange::new(SchemaChangeKind::AlterTable, "my.shop", "alter table t add c text"));
    alter.origin = facts.into();
    let record = read(&schema(), &avro(&alter));
    let string = |text: &str| Avro::Union(1, Box::new(Avro::String(text.into())));
    assert_eq!(field(&record, "operation"), &Avro::Enum(3, "DDL".into()));
    assert_eq!(field(&record, "objectName"), &string("my\\u002Eshop"));
    assert_eq!(field(&record, "fields"), &null());
    assert_eq!(field(&record, "beforeImages"), &null());
    assert_eq!(field(&record, "afterImages"), &string("alter table t add c text"));
    assert_eq!(tag(&record, "GTID").as_deref(), Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:23"));
    assert_eq!(tag(&record, "Q_SQL_MODE_CODE").as_deref(), Some("1436549152"));
    assert_eq!(tag(&record, "server_id").as_deref(), Some("57"));

    let mut nowhere = SchemaChange::new(SchemaChangeKind::DropTable, "", "drop table shop.t");
    assert_eq!(field(&read(&schema(), &avro(&schema_change(nowhere.clone()))), "objectName"), &null());
    nowhere.tables = vec![(TableId::new("shop", "t"), None)];
    assert_eq!(field(&read(&schema(), &avro(&schema_change(nowhere))), "objectName"), &string("shop"));
}
