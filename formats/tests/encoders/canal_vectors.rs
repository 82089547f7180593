//! Published vectors of Canal JSON: what Canal writes for a value or a DDL statement. The numbers and letters in comments are those of
//! the vectors.

use std::sync::Arc;

use runtime::{Date, DateTime, Op, Row, SchemaChange, SchemaChangeKind, TableId, TableSchema, UniqueKey, Value, text};

use crate::support::{canal, canal_with, change, column, in_charset, insert, schema_change, table};

/// The settings that give the decimals and time zone of a Canal that runs in Shanghai.
const LIKE_CANAL: &str = r#"{"decimal":"canal","time_zone":"+08:00"}"#;

/// The JSON of the value and its `sqlType`, cut out of the message of a row with one column.
fn cell(settings: &str, column: runtime::Column, value: Value<'_>) -> (String, i64) {
    let source_type = column.source_type.clone();
    let message = canal_with(settings, &insert(&table(vec![column]), [value]));
    let (text, rest) = message.strip_prefix(r#"{"data":[{"c":"#).unwrap().split_once("}],\"database\":\"shop\"").unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&message).unwrap();
    assert_eq!(parsed["mysqlType"]["c"], source_type);
    assert!(rest.contains("\"sqlType\":{\"c\":"));
    (text.to_owned(), parsed["sqlType"]["c"].as_i64().unwrap())
}

fn check(source_type: &str, value: Value<'_>, json: &str, sql_type: i64) {
    assert_eq!(cell(LIKE_CANAL, column("c", source_type), value), (json.to_owned(), sql_type), "{source_type}");
}

/// Checks a value whose text needs no escape.
fn plain(source_type: &str, value: Value<'_>, text: &str, sql_type: i64) {
    check(source_type, value, &format!("\"{text}\""), sql_type);
}

fn date(year: u16, month: u8, day: u8) -> Date {
    Date { year, month, day }
}

fn datetime(date: Date, hour: u8, minute: u8, second: u8, micros: u32) -> DateTime {
    DateTime { date, hour, minute, second, micros }
}

fn time(hours: i64, minutes: i64, seconds: i64, micros: i64) -> i64 {
    ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros
}

#[test]
fn integers() {
    plain("tinyint(4)", Value::Int(-128), "-128", -6); // 1
    plain("tinyint(1)", Value::Int(1), "1", -6); // 2
    plain("tinyint(3) unsigned", Value::UInt(127), "127", -6); // 3
    plain("tinyint(3) unsigned", Value::UInt(255), "255", 5); // 4
    plain("smallint(5) unsigned", Value::UInt(65_535), "65535", 4); // 5
    plain("mediumint(9)", Value::Int(-8_388_608), "-8388608", 4); // 6
    plain("mediumint(8) unsigned", Value::UInt(16_777_215), "16777215", 4); // 7
    plain("int(10) unsigned", Value::UInt(2_147_483_647), "2147483647", 4); // 8
    plain("int(10) unsigned", Value::UInt(4_294_967_295), "4294967295", -5); // 9
    plain("int(5) unsigned zerofill", Value::UInt(42), "42", 4); // 10
    plain("bigint(20)", Value::Int(i64::MIN), "-9223372036854775808", -5); // 11
    plain("bigint(20) unsigned", Value::UInt(i64::MAX as u64), "9223372036854775807", -5); // 12
    plain("bigint(20) unsigned", Value::UInt(u64::MAX), "18446744073709551615", 3); // 13
    plain("smallint(6)", Value::Int(-32_768), "-32768", 5);
    check("bigint(20) unsigned", Value::Null, "null", -5);
}

#[test]
fn decimals_as_canal_writes_them() {
    plain("decimal(10,2)", Value::Decimal("5.00"), "5.0", 3); // 14
    plain("decimal(10,2)", Value::Decimal("5.10"), "5.10", 3); // 15
    plain("decimal(10,2)", Value::Decimal("-0.01"), "-0.01", 3); // 16
    plain("decimal(20,10)", Value::Decimal("1.5000000000"), "1.500000000", 3); // 17
    plain("decimal(20,10)", Value::Decimal("0.0000000001"), "0.0000000001", 3); // 18
    plain("decimal(18,9)", Value::Decimal("0.000000000"), "0.000000000", 3); // 19
    plain("decimal(4,4)", Value::Decimal("-0.5000"), "-0.5000", 3); // 20
    plain("decimal(27,11)", Value::Decimal("1.00000000100"), "1.000000001", 3); // 21
    plain("decimal(5,0)", Value::Decimal("-99999"), "-99999", 3); // 22
    plain("decimal(65,30)", Value::Decimal(&format!("1.{}", "0".repeat(30))), &format!("1.{}", "0".repeat(27)), 3); // 23
}

#[test]
fn decimals_are_exact_by_default() {
    for text in ["5.00", "1.5000000000", "-99999", "0.000000000"] {
        assert_eq!(cell("{}", column("c", "decimal(30,10)"), Value::Decimal(text)).0, format!("\"{text}\""));
    }
}

#[test]
fn floats() {
    plain("float", Value::Float(1.1), "1.1", 7); // 24
    plain("float", Value::Float(16_777_216.0), "1.6777216E7", 7); // 25
    plain("float", Value::Float(1e-45), "1.4E-45", 7); // 26
    plain("double", Value::Double(0.0001), "1.0E-4", 8); // 27
    plain("double", Value::Double(12_345_678.9), "1.23456789E7", 8); // 28
    plain("double", Value::Double(9_007_199_254_740_993.0), "9.007199254740992E15", 8); // 29
    plain("double", Value::Double(2e23), "2.0E23", 8); // 30, Java 19 and later
    plain("double", Value::Double(-0.0), "-0.0", 8);
}

#[test]
fn bits_and_years() {
    plain("bit(1)", Value::Bit(1), "1", -7); // 31
    plain("bit(10)", Value::Bit(0b10_0000_0001), "513", -7); // 32
    plain("bit(64)", Value::Bit(u64::MAX), "18446744073709551615", -7); // 33
    plain("year(4)", Value::Year(2155), "2155", 12); // 34
    plain("year(4)", Value::Year(0), "0000", 12); // 34
}

#[test]
fn dates_and_times() {
    plain("date", Value::Date(date(0, 0, 0)), "0000-00-00", 91); // 35
    plain("date", Value::Date(date(2024, 0, 0)), "2024-00-00", 91); // 35
    plain("time", Value::Time(-time(838, 59, 59, 0)), "-838:59:59", 92); // 36
    plain("time(1)", Value::Time(-100_000), "-00:00:00.1", 92); // 37
    plain("time(6)", Value::Time(-time(100, 0, 0, 1)), "-100:00:00.000001", 92); // 38
    plain("time(4)", Value::Time(time(838, 59, 59, 0)), "838:59:59.0000", 92); // 39
    plain("datetime", Value::DateTime(datetime(date(9999, 12, 31), 23, 59, 59, 0)), "9999-12-31 23:59:59", 93); // 40
    plain("datetime(3)", Value::DateTime(DateTime::default()), "0000-00-00 00:00:00.000", 93); // 41
    plain("datetime(6)", Value::DateTime(datetime(date(2024, 2, 29), 12, 34, 56, 1)), "2024-02-29 12:34:56.000001", 93); // 42
    let micros = text::from_civil(datetime(date(2024, 2, 29), 12, 34, 56, 780_000));
    plain("timestamp(3)", Value::Timestamp(micros), "2024-02-29 20:34:56.780", 93); // 43
    plain("timestamp", Value::Timestamp(0), "0000-00-00 00:00:00", 93); // 44
    assert_eq!(cell("{}", column("c", "timestamp(3)"), Value::Timestamp(micros)).0, "\"2024-02-29 12:34:56.780\"");
}

#[test]
fn texts() {
    plain("char(10)", Value::Text(b"ab"), "ab", 1); // 45
    check("varchar(32)", Value::Text(b"a\"b\\c/\n\t<>&'"), r#""a\"b\\c/\n\t<>&'""#, 12); // 46
    check("varchar(20)", Value::Text(b"x\0y"), r#""x\u0000y""#, 12); // 47
    // Vector 48: Canal loses these characters; this format decodes them in the column's character set.
    let (text, code) = cell("{}", in_charset(column("c", "varchar(10)"), "latin1"), Value::Text(b"\xe9 \x80"));
    assert_eq!((text.as_str(), code), ("\"é €\"", 12));
    plain("mediumtext", Value::Text("😀".as_bytes()), "😀", 2005); // 49
    plain("varchar(5)", Value::Text(b"NULL"), "NULL", 12); // 64
    check("varchar(5)", Value::Null, "null", 12); // 64
    for kind in ["tinytext", "text", "mediumtext", "longtext"] {
        check(kind, Value::Null, "null", 2005); // 65
    }
}

#[test]
fn bytes_are_latin1_text() {
    check("binary(4)", Value::Bytes(&[1, 2, 0, 0]), r#""\u0001\u0002""#, 2004); // 50
    check("varbinary(8)", Value::Bytes(&[0, 0xff, 0x80]), "\"\\u0000\u{ff}\u{80}\"", 2004); // 51
    check("blob", Value::Bytes(&[0xde, 0xad, 0xbe, 0xef]), "\"Þ\u{ad}¾ï\"", 2004); // 52
    check("varbinary(8)", Value::Bytes(&[b'a', 0]), r#""a\u0000""#, 2004);
    check("binary(2)", Value::Bytes(&[0, 0]), r#""""#, 2004);
    check("blob", Value::Null, "null", 2004);
}

#[test]
fn enums_sets_and_geometries() {
    plain("enum('a','b')", Value::Enum(2), "2", 4); // 54
    plain("enum('a','b')", Value::Enum(0), "0", 4); // 54
    plain("set('x','y','z')", Value::Set(5), "5", -7); // 55
    plain("set('x','y','z')", Value::Set(0), "0", -7); // 55
    check("set('x','y')", Value::Null, "null", 2004); // 56
    let mut point = vec![0, 0, 0, 0, 1, 1, 0, 0, 0]; // 57
    point.extend_from_slice(&1f64.to_le_bytes());
    point.extend_from_slice(&2f64.to_le_bytes());
    let (text, code) = cell("{}", column("c", "point"), Value::Geometry(&point));
    let text: String = serde_json::from_str(&text).unwrap();
    assert_eq!((text.chars().map(|c| c as u8).collect::<Vec<_>>(), text.chars().count(), code), (point, 25, 2004));
}

#[test]
fn documents() {
    let canal = |document: &str| {
        let (text, code) = cell(r#"{"json":"canal"}"#, column("c", "json"), Value::Json(document.as_bytes()));
        assert_eq!(code, 12);
        serde_json::from_str::<String>(&text).unwrap()
    };
    assert_eq!(canal(r#"{"age": 24, "name": "Joe"}"#), r#"{"age": 24, "name": "Joe"}"#); // 58
    assert_eq!((canal("10000000000.0"), canal("9.0")), ("1.0E10".into(), "9.0".into())); // 59
    assert_eq!(canal("\"\\b\u{7f}\u{85}\""), "\"\\u0008\\u007f\\u0085\""); // 61
    check("json", Value::Json(b"null"), "\"null\"", 12); // 62
    check("json", Value::Null, "null", 1111); // 62
    // Vectors 60 and 66: inside a document, Canal prints a date with a time, and 100 hours as 0; this format keeps the server's text.
    let date = r#"{"b": "2012-03-18"}"#;
    assert_eq!((canal(date), canal("\"100:00:00.000000\"")), (date.into(), "\"100:00:00.000000\"".into()));
    // Vector 63 is left out: it is a partial update of a document, which the source refuses.
    check("json", Value::Json(br#"{"a": "x\ty"}"#), r#""{\"a\": \"x\\ty\"}""#, 12);
    check("json", Value::Json(b""), "\"\"", 12);
    // Vector 53: whether a column holds text is not decided by the text of its type.
    assert_eq!(cell("{}", column("c", "text(100)"), Value::Text("中".as_bytes())), ("\"中\"".to_owned(), 2005));
}

#[test]
fn a_whole_update_message() {
    let mut orders = vec![
        column("order_id", "bigint(20) unsigned"),
        column("state", "enum('new','paid')"),
        column("paid_at", "datetime(3)"),
        column("note", "varchar(64)"),
    ];
    orders[0].nullable = false;
    let before = Row::from_values([Value::UInt(9001), Value::Enum(1), Value::Null, Value::Null]);
    let paid_at = datetime(date(2025, 6, 1), 8, 30, 0, 125_000);
    let after = before.with(1, Value::Enum(2)).with(2, Value::DateTime(paid_at));
    assert_eq!(
        canal(&change(&table(orders), Op::Update, Some(before), Some(after))),
        concat!(
            r#"{"data":[{"order_id":"9001","state":"2","paid_at":"2025-06-01 08:30:00.125","note":null}],"database":"shop","#,
            r#""es":1748737800000,"gtid":"","id":1748737800412000,"isDdl":false,"mysqlType":{"order_id":"bigint(20) unsigned","#,
            r#""state":"enum('new','paid')","paid_at":"datetime(3)","note":"varchar(64)"},"old":[{"state":"1","paid_at":null}],"#,
            r#""pkNames":["order_id"],"sql":"","sqlType":{"order_id":-5,"state":4,"paid_at":93,"note":12},"table":"orders","#,
            r#""ts":1748737800412,"type":"UPDATE"}"#,
        )
    );
}

#[test]
fn old_holds_exactly_the_changes_of_its_row() {
    let schema = table(vec![column("a", "int(11)"), column("b", "int(11)")]);
    let row = |a, b| Some(Row::from_values([Value::Int(a), Value::Int(b)]));
    let old = |before, after| -> serde_json::Value {
        let message: serde_json::Value = serde_json::from_str(&canal(&change(&schema, Op::Update, before, after))).unwrap();
        message["old"].clone()
    };
    // Vector (a), without Canal's defect: in Canal, columns that changed in the first row also appear in the second.
    assert_eq!(old(row(1, 1), row(1, 9)), serde_json::json!([{"b": "1"}]));
    assert_eq!(old(row(1, 1), row(9, 1)), serde_json::json!([{"a": "1"}]));
    assert_eq!(old(row(1, 1), row(1, 1)), serde_json::json!([{}]));
}

#[test]
fn pk_names_follow_the_columns_and_ignore_unique_keys() {
    let keyed = |primary_key: Vec<usize>| {
        let mut schema = TableSchema::new(TableId::new("d", "t"), vec![column("id", "int(11)"), column("k", "int(11)")]);
        schema.primary_key = primary_key;
        schema.unique_keys = vec![UniqueKey { name: "u".into(), columns: vec![1] }];
        canal(&insert(&Arc::new(schema), [Value::Int(1), Value::Int(2)]))
    };
    assert!(keyed(vec![1, 0]).contains(r#""pkNames":["id","k"],"sql""#)); // (b)
    assert!(keyed(vec![]).contains(r#""pkNames":null,"sql""#)); // (c)
}

#[test]
fn the_types_of_rows() {
    let schema = table(vec![column("a", "int(11)")]);
    let row = || Some(Row::from_values([Value::Int(1)]));
    let ends = |settings, op, before, after, end: &str| assert!(canal_with(settings, &change(&schema, op, before, after)).ends_with(end));
    ends("{}", Op::Read, None, row(), r#""type":"INSERT"}"#);
    ends(r#"{"snapshot_type":"INIT"}"#, Op::Read, None, row(), r#""type":"INIT"}"#);
    ends(r#"{"snapshot_type":"INIT"}"#, Op::Insert, None, row(), r#""type":"INSERT"}"#);
    ends("{}", Op::Delete, row(), None, r#""type":"DELETE"}"#);
    assert!(canal(&change(&schema, Op::Delete, row(), None)).contains(r#"{"data":[{"a":"1"}],"#));
}

#[test]
fn ddl_statements() {
    fn tables(names: &[(&str, bool)]) -> Vec<(TableId, Option<Arc<TableSchema>>)> {
        let table = |name: &str| TableId::new("shop", name);
        names.iter().map(|&(name, there)| (table(name), there.then(|| Arc::new(TableSchema::new(table(name), vec![]))))).collect()
    }
    let message = |kind, statement: &str, names: &[(&str, bool)]| -> (String, String, String) {
        let mut change = SchemaChange::new(kind, "session", statement);
        change.tables = tables(names);
        let message = canal(&schema_change(change));
        let parsed: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!((&parsed["isDdl"], &parsed["sql"], &parsed["data"]), (&true.into(), &statement.into(), &serde_json::Value::Null));
        let text = |key: &str| parsed[key].as_str().unwrap().to_owned();
        (text("type"), text("database"), text("table"))
    };
    let expect = |kind: &str, database: &str, table: &str| (kind.to_owned(), database.to_owned(), table.to_owned());
    use SchemaChangeKind as Kind;
    assert_eq!(message(Kind::CreateTable, "create table a(i int)", &[("a", true)]), expect("CREATE", "shop", "a"));
    assert_eq!(message(Kind::AlterTable, "alter table a …", &[("a", true)]), expect("ALTER", "shop", "a"));
    assert_eq!(message(Kind::DropTable, "DROP TABLE a,b", &[("a", false), ("b", false)]), expect("ERASE", "shop", "a")); // (e)
    assert_eq!(message(Kind::CreateIndex, "alter table a add unique …", &[("a", true)]), expect("CINDEX", "shop", "a")); // (f)
    assert_eq!(message(Kind::DropIndex, "drop index i on a", &[("a", true)]), expect("DINDEX", "shop", "a"));
    let renamed = [("u2", false), ("u3", true), ("n", false), ("n2", true)];
    assert_eq!(message(Kind::RenameTable, "rename table u2 to u3, n to n2", &renamed), expect("RENAME", "shop", "u3")); // (g)
    assert_eq!(message(Kind::TruncateTable, "truncate a", &[("a", true)]), expect("TRUNCATE", "shop", "a"));
    assert_eq!(message(Kind::Database, "create database \"x\"", &[]), expect("QUERY", "session", ""));
    assert_eq!(message(Kind::Other, "something new", &[]), expect("QUERY", "", ""));
}

#[test]
fn a_whole_ddl_message() {
    let mut alter = SchemaChange::new(SchemaChangeKind::AlterTable, "shop", "ALTER TABLE orders ADD COLUMN memo text");
    alter.tables = vec![(TableId::new("shop", "orders"), Some(table(vec![column("a", "int(11)")])))];
    assert_eq!(
        canal(&schema_change(alter)),
        concat!(
            r#"{"data":null,"database":"shop","es":1748737800000,"gtid":"","id":1748737800412000,"isDdl":true,"mysqlType":null,"old":null,"#,
            r#""pkNames":null,"sql":"ALTER TABLE orders ADD COLUMN memo text","sqlType":null,"table":"orders","ts":1748737800412,"type":"ALTER"}"#,
        )
    );
}
