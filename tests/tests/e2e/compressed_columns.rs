//! MariaDB's COMPRESSED columns: the full phase reads plain values, but the binlog contains the values in their stored, compressed form.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Format, Table};
use tests::harness::Flavor;
use tests::{Failure, Result};

use super::case::{Case, Servers};
use super::servers::with_source;

const LIMIT: Duration = Duration::from_secs(90);

/// Column definitions, each with the text that is repeated in its values.
const COLUMNS: &[(&str, &str)] = &[
    ("TINYTEXT COMPRESSED", "'é'"),
    ("TEXT COMPRESSED", "'中文😀'"),
    ("MEDIUMTEXT COMPRESSED CHARACTER SET latin1", "'Größe €'"),
    ("LONGTEXT COMPRESSED CHARACTER SET gbk", "'中文镕'"),
    ("TEXT COMPRESSED CHARACTER SET utf16", "'中文😀'"),
    ("JSON COMPRESSED", "'{\"a\": [1, \"é\"]}'"),
    ("VARCHAR(63) COMPRESSED", "'é'"),
    ("VARCHAR(64) COMPRESSED CHARACTER SET utf8mb4", "'😀'"),
    ("VARCHAR(254) COMPRESSED CHARACTER SET latin1", "'é'"),
    ("VARCHAR(255) COMPRESSED CHARACTER SET latin1", "'é'"),
    ("VARCHAR(300) COMPRESSED CHARACTER SET sjis", "'日本'"),
    ("VARCHAR(90) COMPRESSED CHARACTER SET ucs2", "'中'"),
    ("VARBINARY(254) COMPRESSED", "X'00FF'"),
    ("VARBINARY(255) COMPRESSED", "X'FE'"),
    ("VARBINARY(4000) COMPRESSED", "X'80010203'"),
    ("TINYBLOB COMPRESSED", "X'00'"),
    ("BLOB COMPRESSED", "X'DEADBEEF'"),
    ("MEDIUMBLOB COMPRESSED", "X'8900FF'"),
    ("LONGBLOB COMPRESSED", "X'00'"),
    ("TEXT", "'plain'"),
];

/// Settings of the server variables `column_compression_…`, each with another way of compression. By default the server compresses values
/// of at least 100 bytes.
const WAYS: [&str; 4] = ["zlib_wrap = OFF", "zlib_wrap = ON", "zlib_level = 9", "zlib_level = 0"];

/// The INSERT statements of a row of NULLs, a row of empty values, and rows with longer and longer values, up to the size of the columns.
fn rows(table: &str, first: usize) -> Vec<String> {
    let row = |id: usize, value: &dyn Fn(&str, &str) -> String| {
        let values: Vec<String> = COLUMNS.iter().map(|(definition, piece)| value(definition, piece)).collect();
        format!("INSERT INTO {table} VALUES ({id}, {})", values.join(", "))
    };
    let repeated = |definition: &str, piece: &str, count: usize| {
        // A repeated document would not be valid JSON, so a JSON column gets one long string.
        if definition.starts_with("JSON") {
            return format!("CONCAT('\"', REPEAT('x', {count}), '\"')");
        }
        let most = match definition.split(' ').next().unwrap_or_default() {
            "TINYTEXT" | "TINYBLOB" => 127,
            "TEXT" | "BLOB" => 5_000,
            kind => match kind.split_once('(') {
                Some((_, length)) => length.trim_end_matches(')').parse().unwrap_or(1) / if piece == "'日本'" { 2 } else { 4 },
                None => count,
            },
        };
        format!("REPEAT({piece}, {})", count.min(most))
    };
    let mut rows = vec![row(first, &|_, _| "NULL".to_owned()), row(first + 1, &|definition, _| empty(definition).to_owned())];
    rows.extend([1, 20, 63, 250, 5_000].iter().zip(first + 2..).map(|(&count, id)| row(id, &|a, b| repeated(a, b, count))));
    rows
}

fn empty(definition: &str) -> &'static str {
    if definition.starts_with("JSON") { "'{}'" } else { "''" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_columns_of_mariadb_are_those_of_the_server() -> Result<()> {
    const OPTIONS: [&str; 2] = ["--binlog-row-metadata=FULL", "--max-allowed-packet=64M"];
    let servers = with_source(Flavor::MariaDb, &OPTIONS).await?;
    let source = servers.source.clone();
    let columns: Vec<String> = COLUMNS.iter().enumerate().map(|(number, (definition, _))| format!("c{number} {definition}")).collect();
    let create = format!("CREATE TABLE packed.t (id INT PRIMARY KEY, {})", columns.join(", "));
    source.execute(&["CREATE DATABASE packed CHARACTER SET utf8mb4", &create]).await?;
    write(&servers, 0).await?;
    let mut canal = Case::new(servers.clone(), "packed", Format::CanalJson, 1, vec![Table::new("packed", "t")]).await?;
    let mut avro = canal.sibling("packed_avro", Format::DtsAvro, 1).await?;
    canal.task.start()?;
    avro.task.start()?;
    // The full phase may read the first fence, so a second fence shows that the stream has caught up.
    both(&mut canal, &mut avro).await?;
    both(&mut canal, &mut avro).await?;
    write(&servers, 1_000).await?;
    // Each of the new rows gets the values of the row before it, then some rows are deleted. Further tables are created while the stream
    // runs.
    let sets: Vec<String> = (0..COLUMNS.len()).map(|number| format!("a.c{number} = b.c{number}")).collect();
    source
        .execute(&[
            &format!("UPDATE packed.t a JOIN packed.t b ON b.id = a.id - 1 SET {} WHERE a.id >= 1000", sets.join(", ")),
            "DELETE FROM packed.t WHERE id % 3 = 0",
            &create.replace("packed.t ", "packed.later "),
            "INSERT INTO packed.later SELECT * FROM packed.t",
            "CREATE TABLE packed.made (id INT PRIMARY KEY, a TEXT COMPRESSED NOT NULL, b VARCHAR(90) COMPRESSED AS (UPPER(a)) STORED)",
            "INSERT INTO packed.made (id, a) VALUES (1, 'a'), (2, ''), (3, REPEAT('abc', 30))",
        ])
        .await?;
    both(&mut canal, &mut avro).await?;
    for case in [&mut canal, &mut avro] {
        ["later", "made"].iter().for_each(|table| case.add_table(table));
        case.task.stop().await?;
        let report = case.verify(0).await?;
        assert!(report.snapshot_rows >= 28 && report.stream_rows >= 60, "{report:?}");
    }
    // The type in the message does not mention the compression.
    let mut texts = canal.entries.iter().map(|entry| String::from_utf8_lossy(&entry.value));
    let sent = texts.find(|text| text.contains("\"table\":\"t\"")).ok_or_else(|| Failure::new("no message"))?;
    assert!(sent.contains("\"c0\":\"tinytext\"") && sent.contains("\"c6\":\"varchar(63)\"") && !sent.contains("COMPRESSED"), "{sent}");
    Ok(())
}

/// Inserts the rows once with each setting in [`WAYS`]. With the first two settings it also inserts values of a million bytes.
async fn write(servers: &Servers, first: usize) -> Result<()> {
    let mut connection = servers.source.connect().await?;
    for (number, way) in WAYS.iter().enumerate() {
        connection.query_drop(format!("SET column_compression_{way}")).await?;
        for row in rows("packed.t", first + number * 100) {
            connection.query_drop(&row).await.map_err(|error| Failure::from(error).context(&row[..row.len().min(200)]))?;
        }
        // Values of a million bytes are written only to the LONGTEXT column `c3` and the LONGBLOB column `c18`.
        let id = first + number * 100 + 50;
        for (offset, text) in [(0, "REPEAT('x', 1000000)"), (1, "REPEAT(HEX(RANDOM_BYTES(1000)), 500)")].into_iter().filter(|_| number < 2)
        {
            connection
                .query_drop(format!("INSERT INTO packed.t (id, c3, c18) SELECT {}, v, v FROM (SELECT {text} v) d", id + offset))
                .await?;
        }
    }
    Ok(connection.disconnect().await?)
}

async fn both(canal: &mut Case, avro: &mut Case) -> Result<()> {
    let fence = canal.fence().await?;
    canal.reach(fence, LIMIT).await?;
    avro.reach(fence, LIMIT).await
}
