//! JSON, geometries and the types that only one server has. The full phase, both images of an update, and a SELECT on the server must
//! give the same bytes. The pipeline runs in this process, with a sink that stores all events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use runtime::{Batch, Body, LocalStore, Op, Pipeline, Row, Sink, Value, async_trait};
use source_polardbx::config::Phase;
use source_polardbx::{PolardbxSource, PolardbxSourceBuilder};
use tests::harness::{Database, Flavor, database, poll};
use tests::{Failure, Result};

use super::case::Servers;

const LIMIT: Duration = Duration::from_secs(60);

/// For each row, its images in the order of the events, each with the operation of its event. The key of the map is the table and the key
/// of the row.
type Seen = BTreeMap<(String, i64), Vec<(Op, Vec<Option<Vec<u8>>>)>>;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Seen>>);

#[async_trait]
impl Sink for Kept {
    async fn write(&mut self, batch: &mut Batch) -> runtime::Result<()> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &batch.events {
            let Body::Row(change) = &event.body else { continue };
            for row in [&change.before, &change.after].into_iter().flatten() {
                let Value::Int(id) = row.get(0) else { continue };
                seen.entry((change.schema.id.table.to_string(), id)).or_default().push((change.op, cells(row)));
            }
        }
        Ok(())
    }
}

/// The bytes of all cells except the first two, which are the key and a counter.
fn cells(row: &Row) -> Vec<Option<Vec<u8>>> {
    let bytes = |value: Value<'_>| match value {
        Value::Null => None,
        Value::Json(bytes) | Value::Geometry(bytes) | Value::Text(bytes) | Value::Bytes(bytes) => Some(bytes.to_vec()),
        // These tables have no cell of another kind. If there is one, this text will differ from the server's result.
        other => Some(format!("{other:?}").into_bytes()),
    };
    row.values().skip(2).map(bytes).collect()
}

/// The configuration of a source that reads these tables in small chunks.
fn reader(source: &Database, tables: &str) -> PolardbxSourceBuilder {
    PolardbxSource::builder("127.0.0.1")
        .port(source.port())
        .user(database::USER)
        .password(database::PASSWORD)
        .allow_public_key_retrieval(true)
        .tables([tables])
        .chunk_rows(7)
}

/// Reads the tables of a database in both phases and compares all images with the results of SELECT. Each row is updated after the full
/// phase.
async fn compare(source: &Database, name: &str, tables: &[&str]) -> Result<usize> {
    // The binlog of PolarDB-X lags behind. This waits until it has all rows, which the stream would else repeat as INSERTs.
    source.position().await?;
    let folder = tempfile::tempdir()?;
    let polardbx = reader(source, &format!("{name}.*")).build()?;
    let kept = Kept::default();
    let sink = kept.clone();
    let running =
        Pipeline::builder(name).source(polardbx).sink(move || Ok(sink.clone())).store(LocalStore::new(folder.path())).build()?.start();
    let mut expected = BTreeMap::new();
    let mut connection = source.connect().await?;
    for &table in tables {
        let rows: Vec<mysql_async::Row> = connection.query(format!("SELECT * FROM {name}.{table}")).await?;
        for row in rows {
            let mut values = row.unwrap().into_iter();
            let id = values.next().ok_or_else(|| Failure::new("a table without columns"))?;
            let cells = values.skip(1).map(|value| if let mysql_async::Value::Bytes(bytes) = value { Some(bytes) } else { None });
            expected.insert((table.to_owned(), mysql_async::from_value::<i64>(id)), cells.collect::<Vec<_>>());
        }
    }
    let count =
        |wanted: Op| kept.0.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().filter(|(op, _)| *op == wanted).count();
    let reached = |what: &'static str, op: Op, number: usize| {
        let (running, count) = (&running, &count);
        poll(what, LIMIT, move || async move {
            match running.status().error {
                Some(error) => Failure::err(format!("{error:?}")),
                None => Ok((count(op) >= number).then_some(())),
            }
        })
    };
    reached("the rows of the full phase", Op::Read, expected.len()).await?;
    for &table in tables {
        connection.query_drop(format!("UPDATE {name}.{table} SET n = n + 1")).await?;
    }
    reached("the updates", Op::Update, 2 * expected.len()).await?;
    running.stop().await?;
    let seen = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
    let show = |cells: &[Option<Vec<u8>>]| {
        let text = |cell: &Option<Vec<u8>>| cell.as_deref().map_or("NULL".into(), |cell| String::from_utf8_lossy(cell).into_owned());
        cells.iter().map(text).collect::<Vec<_>>()
    };
    for (key, cells) in &expected {
        let found = seen.get(key).map(Vec::as_slice).unwrap_or_default();
        let ops: Vec<Op> = found.iter().map(|(op, _)| *op).collect();
        assert_eq!(ops, [Op::Read, Op::Update, Op::Update], "{key:?}");
        for (op, got) in found {
            assert!(got == cells, "{key:?} by {op:?}:\n{:?}\nthe server returned:\n{:?}", show(got), show(cells));
        }
    }
    assert_eq!(seen.len(), expected.len());
    Ok(expected.len())
}

async fn create(source: &Database, database: &str, table: &str, columns: &str, rows: &[String]) -> Result<()> {
    let mut connection = source.connect().await?;
    connection.query_drop(format!("CREATE DATABASE IF NOT EXISTS {database}")).await?;
    connection.query_drop(format!("CREATE TABLE {database}.{table} (id BIGINT PRIMARY KEY, n INT NOT NULL, {columns})")).await?;
    for (id, row) in rows.iter().enumerate() {
        let sql = format!("INSERT INTO {database}.{table} VALUES ({id}, 0, {row})");
        connection.query_drop(&sql).await.map_err(|error| Failure::from(error).context(sql.chars().take(300).collect::<String>()))?;
    }
    Ok(connection.disconnect().await?)
}

/// JSON documents with every scalar, every kind of SQL value, and the limits of the binary form.
fn documents() -> Vec<String> {
    let mut rows: Vec<String> = [
        "NULL",
        "'null'",
        "'true'",
        "'[]'",
        "'{}'",
        r#"'{"a": {}, "b": [], "": [[], {}, null]}'"#,
        "JSON_ARRAY(true, false, NULL)",
        "'[32767, 32768, -32768, -32769, 65535, 65536, 2147483647, 2147483648, -2147483648, -2147483649, 4294967295, 4294967296]'",
        "'[9223372036854775807, -9223372036854775808, 9223372036854775808, 18446744073709551615, 18446744073709551616]'",
        "'[1.0, -0.0, 1e2, 0, -1]'",
        "JSON_ARRAY(1e15, 1e14, 1e16, 1e17, 999999999999999e0, 1234567890123456e0, 12345678901234567e0, 1e21, 1e22, 2e23, -12e0, 123456.789e0)",
        "JSON_ARRAY(0.1e0, 1e-4, 1e-5, 1e-14, 1e-15, -1e-15, 1e-16, 1.234567890123456e-14, 1.2345678901234567e-3, -1.2345678901234567e-4)",
        "JSON_ARRAY(1.7976931348623157e308, 2.2250738585072014e-308, 4.9e-324, 1e100, -1e-100, -0e0, 9007199254740993e0)",
        "JSON_ARRAY(CAST('2015-01-15' AS DATE), CAST('0000-00-00' AS DATE), CAST('9999-12-31' AS DATE))",
        "JSON_ARRAY(CAST('12:34:56' AS TIME), CAST('-01:02:03.000004' AS TIME(6)), CAST('838:59:59' AS TIME), CAST('-100:00:00.1' AS TIME(1)))",
        "JSON_ARRAY(CAST('2015-01-15 23:24:25' AS DATETIME), CAST('9999-12-31 23:59:59.999999' AS DATETIME(6)), FROM_UNIXTIME(1))",
        "JSON_ARRAY(1.5, -0.01, 0.00, CAST(0 AS DECIMAL(65,30)), CAST(-1 AS DECIMAL(65,0)), 99999999999999999999999999999999999.999999999999999999999999999999)",
        "JSON_ARRAY(X'', X'00ff', b'101', CAST('a' AS BINARY(3)), REPEAT(X'00', 56), REPEAT(X'01', 57), REPEAT(X'02', 58), REPEAT(X'FF', 171))",
        "CAST(REPEAT(X'AB', 300) AS JSON)",
        r#"JSON_ARRAY('a/b"\\\b\f\n\r\t\0', CONVERT(X'01020304050607080B0E1F7F' USING utf8mb4), 'é😀<>&', '')"#,
        r#"'{"b": 1, "a": 2, "ab": 3, "": 4, "aa": 5, "b": 6, "é": 7, "\\u0001\\"": 8}'"#,
        "JSON_OBJECT(REPEAT('k', 300), REPEAT('v', 128), 'x', REPEAT('é', 9000))",
        // These documents have the large form of arrays and objects. Some of their values are stored inline only in this form.
        "JSON_ARRAY(REPEAT('x', 70000), 100000, -100000, 4294967295, 5000000000, 1.5e0, true, 7)",
        "JSON_OBJECT('a', REPEAT('y', 70000), 'b', 100000, 'c', JSON_OBJECT('d', JSON_ARRAY(1, NULL)), 'e', CAST('1.50' AS DECIMAL(5,2)))",
        "JSON_OBJECT('a', JSON_ARRAY(REPEAT('z', 40000)), 'b', JSON_ARRAY(REPEAT('z', 40000)))",
    ]
    .map(str::to_owned)
    .into();
    rows.push(format!("'{}{}'", "[".repeat(100), "]".repeat(100)));
    rows.push(format!("'{}1{}'", "{\"a\": ".repeat(99), "}".repeat(99)));
    rows.push(format!("'[{}]'", (0..5_000).map(|number| number.to_string()).collect::<Vec<_>>().join(",")));
    rows
}

/// A random document as an SQL expression.
fn random(rng: &mut Rng, depth: usize) -> String {
    match rng.u32(..if depth == 0 { 12 } else { 16 }) {
        0 => "NULL".into(),
        1 => ["true", "false"][rng.usize(..2)].into(),
        2 => (rng.i64(..) >> rng.u32(..64)).to_string(),
        3 => (rng.u64(..) >> rng.u32(..64)).to_string(),
        4 => {
            let number = f64::from_bits(rng.u64(..));
            if number.is_finite() { format!("{number:e}") } else { "1e0".into() }
        }
        5 => format!("{:e}", (rng.f64() - 0.5) * 10f64.powi(rng.i32(-25..25))),
        6 => format!("CAST({}.{:06} AS DECIMAL({},{}))", rng.i32(..), rng.u32(..1_000_000), 30 + rng.u8(..30), rng.u8(..20)),
        7 => format!("CAST('{:04}-{:02}-{:02}' AS DATE)", rng.u32(..10_000), 1 + rng.u8(..12), 1 + rng.u8(..28)),
        8 => format!(
            "CAST('{}{}:{:02}:{:02}.{:06}' AS TIME(6))",
            ["", "-"][rng.usize(..2)],
            rng.u32(..31),
            rng.u8(..60),
            rng.u8(..60),
            rng.u32(..1_000_000)
        ),
        9 => format!(
            "CAST('{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}' AS DATETIME(6))",
            rng.u32(1..10_000),
            1 + rng.u8(..12),
            1 + rng.u8(..28),
            rng.u8(..24),
            rng.u8(..60),
            rng.u8(..60),
            rng.u32(..1_000_000)
        ),
        10 => format!("X'{}'", (0..rng.usize(..200)).map(|_| format!("{:02x}", rng.u8(..))).collect::<String>()),
        11 => text(rng),
        12 | 13 => {
            let values: Vec<String> = (0..rng.usize(..6)).map(|_| random(rng, depth - 1)).collect();
            format!("JSON_ARRAY({})", values.join(", "))
        }
        _ => {
            let members: Vec<String> = (0..rng.usize(..6)).map(|_| format!("{}, {}", text(rng), random(rng, depth - 1))).collect();
            format!("JSON_OBJECT({})", members.join(", "))
        }
    }
}

fn text(rng: &mut Rng) -> String {
    let text: String = (0..rng.usize(..12)).map(|_| if rng.bool() { rng.char('\0'..='\u{ff}') } else { rng.char(..) }).collect();
    format!("CONVERT(X'{}' USING utf8mb4)", text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
}

const SHAPES: &[(&str, &str)] = &[
    ("GEOMETRY", "POINT(1.5 -2)"),
    ("POINT", "POINT(0 0)"),
    ("LINESTRING", "LINESTRING(0 0, 1 1, 2 3)"),
    ("POLYGON", "POLYGON((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))"),
    ("MULTIPOINT", "MULTIPOINT(1 1, 2 2)"),
    ("MULTILINESTRING", "MULTILINESTRING((0 0, 1 1), (2 2, 3 3))"),
    ("MULTIPOLYGON", "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))"),
    ("GEOMETRYCOLLECTION", "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))"),
];

/// Creates a table with a column for each kind of geometry, and rows with each SRID and with NULL.
async fn create_shapes(source: &Database, database: &str) -> Result<()> {
    let columns: Vec<String> = SHAPES.iter().enumerate().map(|(index, (kind, _))| format!("g{index} {kind}")).collect();
    let row = |srid: u32| SHAPES.iter().map(|(_, text)| format!("ST_GeomFromText('{text}', {srid})")).collect::<Vec<_>>().join(", ");
    let rows = [row(0), row(4326), ["NULL"; SHAPES.len()].join(", ")];
    create(
        source,
        database,
        "shapes",
        &format!("{}, a VARCHAR(9) CHARACTER SET latin1", columns.join(", ")),
        &rows.map(|row| row + ", 'a'"),
    )
    .await
}

async fn documents_and_shapes(source: &Database, name: &str) -> Result<()> {
    create(source, name, "documents", "j JSON", &documents()).await?;
    create_shapes(source, name).await?;
    let mut rng = Rng::with_seed(57);
    let rows: Vec<String> = (0..400).map(|_| format!("JSON_ARRAY({}), {}", random(&mut rng, 4), text(&mut rng))).collect();
    create(source, name, "random", "j JSON NOT NULL, t TEXT CHARACTER SET utf8mb4", &rows).await?;
    let compared = compare(source, name, &["documents", "shapes", "random"]).await?;
    assert!(compared > 400, "{compared}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_and_shapes_of_mysql_5_7() -> Result<()> {
    documents_and_shapes(&Servers::shared_of(Flavor::MySql57).await?.source, "json_documents").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_and_shapes_of_mysql_8_0() -> Result<()> {
    documents_and_shapes(&Servers::shared_of(Flavor::MySql80).await?.source, "json_documents").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_and_shapes_of_polardbx() -> Result<()> {
    documents_and_shapes(&Servers::shared_of(Flavor::PolarDbX).await?.source, "json_documents").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shapes_with_full_metadata_in_the_binlog() -> Result<()> {
    for flavor in [Flavor::MySql80, Flavor::MariaDb] {
        let source = Database::start(flavor, &["--binlog-row-metadata=FULL"]).await?;
        create_shapes(&source, "more").await?;
        create(&source, "more", "documents", "j JSON, t VARCHAR(9) CHARACTER SET latin1", &[r#"'[1 ]', 'a'"#.to_owned()]).await?;
        if flavor == Flavor::MariaDb {
            create_texts(&source, "more").await?;
            compare(&source, "more", &["shapes", "documents", "texts"]).await?;
        } else {
            compare(&source, "more", &["shapes", "documents"]).await?;
        }
    }
    Ok(())
}

/// Creates a table with UUID, INET4 and INET6 columns of MariaDB. These types are text everywhere except in the binlog.
async fn create_texts(source: &Database, database: &str) -> Result<()> {
    let mut rows: Vec<String> = [
        "'6ccd780c-baba-1026-9564-5b8c656024db', '10.0.0.1', '2001:db8::1'",
        "'f47ac10b-58cc-4372-a567-0e02b2c3d479', '255.255.255.255', '::ffff:1.2.3.4'",
        "'00000000-0000-0000-0000-000000000000', '0.0.0.0', '::'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff', '32.32.32.32', '2020:2020:2020:2020:2020:2020:2020:2020'",
        "'00112233-4455-8677-8899-aabbccddee00', '1.2.3.0', '1:0:0:2:0:0:0:3'",
        "'017f22e2-79b0-7cc3-98c4-dc0c0c07398f', NULL, NULL",
    ]
    .map(str::to_owned)
    .into();
    let mut rng = Rng::with_seed(16);
    for _ in 0..300 {
        let group = |rng: &mut Rng| if rng.u8(..3) > 0 { 0 } else { rng.u16(..) >> rng.u32(..16) };
        let groups: Vec<String> = (0..8).map(|_| format!("{:x}", group(&mut rng))).collect();
        let uuid = format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            rng.u32(..),
            rng.u16(..),
            rng.u16(..4096),
            rng.u16(..4096),
            rng.u64(..1 << 48)
        );
        rows.push(format!("'{uuid}', '{}.{}.0.{}', '{}'", rng.u8(..), rng.u8(..), rng.u8(..), groups.join(":")));
    }
    create(source, database, "texts", "u UUID, i4 INET4, i6 INET6", &rows).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_documents_and_shapes_of_mariadb() -> Result<()> {
    let (source, name) = (&Servers::shared_of(Flavor::MariaDb).await?.source, "json_texts");
    create_texts(source, name).await?;
    create_shapes(source, name).await?;
    let documents = [r#"'{"b":  1, "a": [1.0,2 ]}'"#, "NULL", "'null'", r#"'"\\u00e9é😀"'"#].map(str::to_owned);
    create(source, name, "documents", "j JSON", &documents).await?;
    compare(source, name, &["texts", "shapes", "documents"]).await?;
    // A UUID as the primary key: the table is split into chunks by it.
    source.execute(&["CREATE DATABASE json_uuids", "CREATE TABLE json_uuids.t (u UUID PRIMARY KEY, a INT)"]).await?;
    let rows: Vec<String> =
        (0..100u32).map(|number| format!("('{:08x}-0000-1000-8000-{number:012x}', {number})", number.wrapping_mul(0x9e37_79b9))).collect();
    source.execute(&[&format!("INSERT INTO json_uuids.t VALUES {}", rows.join(", "))]).await?;
    let folder = tempfile::tempdir()?;
    let polardbx = reader(source, "json_uuids.t").phases([Phase::Full]).build()?;
    let found = Arc::new(Mutex::new(Vec::new()));
    let sink = Uuids(found.clone());
    Pipeline::builder("uuids")
        .source(polardbx)
        .sink(move || Ok(sink.clone()))
        .store(LocalStore::new(folder.path()))
        .build()?
        .start()
        .wait()
        .await?;
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
    found.sort_unstable();
    assert_eq!(found, (0..100).collect::<Vec<i64>>());
    Ok(())
}

/// A sink that collects the column `a` of each row. Each UUID has its own number in this column.
#[derive(Clone)]
struct Uuids(Arc<Mutex<Vec<i64>>>);

#[async_trait]
impl Sink for Uuids {
    async fn write(&mut self, batch: &mut Batch) -> runtime::Result<()> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in &batch.events {
            if let Body::Row(change) = &event.body
                && let Some(Value::Int(number)) = change.after.as_ref().map(|row| row.get(1))
            {
                found.push(number);
            }
        }
        Ok(())
    }
}

/// The newest MySQL is not available everywhere, so the test skips itself where it is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn vectors_documents_and_shapes_of_the_newest_mysql() -> Result<()> {
    if let Err(why) = Flavor::MySqlNewest.available().await {
        println!("skipped: the newest MySQL cannot be had here: {why}");
        return Ok(());
    }
    for options in [&[] as &[&str], &["--binlog-row-metadata=FULL"]] {
        let source = Database::start(Flavor::MySqlNewest, options).await?;
        let vectors = ["STRING_TO_VECTOR('[1, 2]'), STRING_TO_VECTOR('[1, 2, 3]'), 'a'", "NULL, STRING_TO_VECTOR('[0, -1, 1e-3]'), ''"];
        create(
            &source,
            "newest",
            "vectors",
            "a VECTOR, b VECTOR(3) NOT NULL, c VARCHAR(9) CHARACTER SET latin1",
            &vectors.map(str::to_owned),
        )
        .await?;
        create(&source, "newest", "documents", "j JSON", &documents()).await?;
        create_shapes(&source, "newest").await?;
        compare(&source, "newest", &["vectors", "documents", "shapes"]).await?;
    }
    Ok(())
}
