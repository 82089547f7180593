//! The topic as readers of Alibaba see it: the SDK of its Data Transmission Service decodes DTS Avro, and Canal's classes decode Canal JSON.
//! The tests of every type in this folder do so as well; here are the types that the checker has no model of, and the other records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Format, Image, Op, Table, decode_with_alibaba};
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

use crate::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(60);

const DOCUMENTS: [&str; 6] = [
    "NULL",
    "'null'",
    r#"'{"b": 1, "a": [1.0, -2, 1e300, true], "é": "😀\\n\\""}'"#,
    "JSON_ARRAY(CAST('1.50' AS DECIMAL(5,2)), CAST('-12:34:56.789' AS TIME(3)), CAST('2024-02-29' AS DATE), X'00ff')",
    "JSON_OBJECT('a', REPEAT('x', 70000))",
    "'[18446744073709551615, -9223372036854775808]'",
];

const SHAPES: [&str; 6] = [
    "POINT(1.5 -2)",
    "LINESTRING(0 0,1 1,2 3)",
    "POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))",
    "MULTIPOINT((1 1),(2 2))",
    "MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))",
    "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))",
];

/// A document, a geometry and two texts, by the key of their row.
type Rows = BTreeMap<String, [Option<String>; 4]>;

/// The rows of the table, as the classes must show them.
async fn selected(source: &Database, format: Format) -> Result<Rows> {
    let mut connection = source.connect().await?;
    let sql = "SELECT CAST(id AS CHAR), CAST(j AS CHAR), ST_AsText(g), CAST(g AS BINARY), CONVERT(b USING utf8mb4), CONVERT(c USING utf8mb4) \
               FROM px_sdk.more";
    type Row = (String, Option<String>, String, Vec<u8>, String, String);
    let rows: Vec<Row> = connection.query(sql).await?;
    let row = |(id, document, shape, bytes, b, c): Row| match format {
        // Canal writes every byte as the character with that number.
        Format::CanalJson => (id, [document, Some(bytes.into_iter().map(char::from).collect()), Some(b), Some(c)]),
        Format::DtsAvro => {
            let named = |name: &str, text: String| Some(format!("{name} {text}"));
            let document = document.and_then(|document| named("TEXT_ENCODING_OBJECT", document));
            (format!("INTEGER_NUMERIC {id}"), [document, named("WKB_GEOMETRY", shape), named("STRING", b), named("STRING", c)])
        }
    };
    Ok(rows.into_iter().map(row).collect())
}

/// The text of a geometry as MySQL prints it; the SDK puts other spaces into it.
fn as_mysql(shape: &str) -> String {
    let (kind, shape) = shape.split_once(' ').unwrap_or((shape, ""));
    format!("{kind} {}", shape.replace(" (", "(").replace(", ", ","))
}

async fn read_by_alibaba(format: Format) -> Result<()> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, &["--default-time-zone=+08:00"]).await?);
    let servers = Servers { source: source.clone(), kafka: Servers::shared().await?.kafka };
    let columns = "j JSON, g GEOMETRY NOT NULL, b VARCHAR(20) CHARACTER SET gbk, c TEXT CHARACTER SET big5";
    source.execute(&["CREATE DATABASE px_sdk", &format!("CREATE TABLE px_sdk.more (id INT PRIMARY KEY, {columns})")]).await?;
    for (id, (document, shape)) in DOCUMENTS.iter().zip(SHAPES).enumerate() {
        let values = format!("({id}, {document}, ST_GeomFromText('{shape}'), '中文é', '中文')");
        source.execute(&[&format!("INSERT INTO px_sdk.more VALUES {values}")]).await?;
    }
    let topic = format!("px_sdk_{}", format.name());
    let mut case = Case::in_database(servers, "px_sdk", &topic, format, vec![Table::new("px_sdk", "more")]).await?;
    if format == Format::DtsAvro {
        case.settings.options = "transactions = true, heartbeats = \"heartbeat\"".into();
        case.settings.source = "heartbeat = { enabled = true, interval_ms = 500 }".into();
    }
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let full = selected(&source, format).await?;
    source
        .execute(&[
            "CREATE TABLE px_sdk.later (id INT PRIMARY KEY) BROADCAST",
            "UPDATE px_sdk.more SET id = id + 100",
            "DELETE FROM px_sdk.more WHERE id = 101",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    case.read().await?;
    case.task.stop().await?;
    let (mut read, mut inserted, mut deleted, mut statements, mut others) = (Rows::new(), Rows::new(), Rows::new(), Vec::new(), 0);
    for record in decode_with_alibaba(case.entries.clone(), format).await? {
        let changes = match record.decoded {
            Decoded::Rows(changes) => changes,
            Decoded::Schema { sql, .. } => {
                statements.push(sql);
                continue;
            }
            Decoded::Control => {
                others += 1;
                continue;
            }
        };
        for change in changes.into_iter().filter(|change| change.table.name == "more") {
            assert_eq!(change.key, ["id"]);
            let row = |image: Option<Image>| {
                let mut image = image.ok_or_else(|| Failure::new("a row without its image"))?;
                let mut value = |name: &str| image.remove(name).flatten();
                let [id, j, g, b, c] = ["id", "j", "g", "b", "c"].map(&mut value);
                let g = if format == Format::DtsAvro { g.as_deref().map(as_mysql) } else { g };
                Ok::<_, Failure>((id.unwrap_or_default(), [j, g, b, c]))
            };
            match change.op {
                // Canal knows no other operation for rows of the full phase.
                Op::Read | Op::Insert if record.header.snapshot() => read.extend([row(change.after)?]),
                Op::Update => inserted.extend([row(change.after)?]),
                Op::Delete => deleted.extend([row(change.before)?]),
                Op::Read | Op::Insert => return Failure::err("an INSERT that the source has not executed"),
            }
        }
    }
    assert_eq!(read, full);
    assert_eq!(deleted.len(), 1);
    assert!(deleted.keys().all(|id| inserted.remove(id).as_ref() == deleted.get(id)));
    assert_eq!(inserted, selected(&source, format).await?);
    assert_eq!(inserted.len(), DOCUMENTS.len() - 1);
    assert!(statements.iter().any(|sql| sql.contains("later") && !sql.contains("POLARX")), "{statements:?}");
    // BEGIN and COMMIT of the transactions, and heartbeats.
    assert_eq!(others > 4, format == Format::DtsAvro, "{others}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canals_classes_read_canal_json() -> Result<()> {
    read_by_alibaba(Format::CanalJson).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_reads_dts_avro() -> Result<()> {
    read_by_alibaba(Format::DtsAvro).await
}
