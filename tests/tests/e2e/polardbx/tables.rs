//! The program on every kind of table that PolarDB-X has, in both phases, and on large transactions.

use std::sync::Arc;
use std::time::Duration;

use apache_avro::types::Value;
use tests::Result;
use tests::checker::{Format, Table, avro};
use tests::harness::{Database, Flavor};

use crate::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(120);

/// The columns of the tables, and what stands behind them.
const KINDS: &[(&str, &str, &str)] = &[
    ("auto", "id BIGINT NOT NULL AUTO_INCREMENT BY GROUP, a INT, d DATETIME, PRIMARY KEY (id), KEY k (a)", ""),
    ("single", "id INT PRIMARY KEY, a INT, d DATETIME", "SINGLE"),
    ("broadcast", "id INT PRIMARY KEY, a INT, d DATETIME", "BROADCAST"),
    ("drds", "id INT, a INT, d DATETIME, PRIMARY KEY (id)", "dbpartition by hash(`id`) tbpartition by hash(`a`) tbpartitions 4"),
    (
        "indexed",
        "id INT, a INT, d DATETIME, n DECIMAL(12,2), PRIMARY KEY (id), UNIQUE LOCAL KEY u USING BTREE (a, id), LOCAL KEY k (d), \
         GLOBAL INDEX g (a) COVERING (d) PARTITION BY KEY(a) PARTITIONS 3",
        "PARTITION BY KEY(id) PARTITIONS 16",
    ),
    (
        "sub",
        "id INT, a INT, d DATETIME, PRIMARY KEY (id)",
        "PARTITION BY LIST(a) SUBPARTITION BY KEY(id) SUBPARTITIONS 4 (PARTITION p1 VALUES IN(1, 2), PARTITION pd VALUES IN(DEFAULT))",
    ),
    (
        "ranges",
        "id INT, a INT, d DATETIME, PRIMARY KEY (id, d)",
        "PARTITION BY RANGE COLUMNS(d) (PARTITION p0 VALUES LESS THAN('2025-01-01'), PARTITION pm VALUES LESS THAN(MAXVALUE))",
    ),
    (
        "ttl",
        "id INT, a INT, d DATETIME, PRIMARY KEY (id)",
        "TTL = TTL_DEFINITION ( TTL_ENABLE = 'OFF', TTL_EXPR = `d` EXPIRE AFTER 2 MONTH TIMEZONE '+08:00' ) PARTITION BY KEY(id) PARTITIONS 4",
    ),
    (
        "local_range",
        "id INT, a INT, d DATETIME, PRIMARY KEY (id, d)",
        "LOCAL PARTITION BY RANGE(d) INTERVAL 1 MONTH EXPIRE AFTER 12 PRE ALLOCATE 3 PIVOTDATE NOW()",
    ),
];

async fn started(options: &[&str]) -> Result<Servers> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, options).await?);
    Ok(Servers { source, kafka: Servers::shared().await?.kafka })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_table_is_read_in_both_phases() -> Result<()> {
    let servers = started(&[]).await?;
    let source = servers.source.clone();
    source.execute(&["CREATE DATABASE px_kinds MODE='auto'"]).await?;
    let create = async |prefix: &str| -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for (name, columns, tail) in KINDS {
            let table = format!("px_kinds.{prefix}_{name}");
            let statements = [
                format!("CREATE TABLE {table} ({columns}) {tail}"),
                format!(
                    "INSERT INTO {table} (id, a, d) VALUES (1, 1, '2026-01-02 03:04:05'), (2, 5, '2024-01-02 03:04:05'), (3, 7, '2026-01-01')"
                ),
            ];
            source.execute(&statements.each_ref().map(String::as_str)).await?;
            tables.push(Table::new("px_kinds", format!("{prefix}_{name}")));
        }
        Ok(tables)
    };
    let mut tables = create("old").await?;
    let mut case = Case::new(servers, "px_kinds", Format::DtsAvro, 2, tables.clone()).await?;
    case.settings.source = "phases = [\"schema\", \"full\", \"incremental\"]".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    tables.extend(create("new").await?);
    case.tables.clone_from(&tables);
    for table in &tables {
        let name = format!("px_kinds.{}", table.name);
        source
            .execute(&[
                &format!("UPDATE {name} SET a = a + 1"),
                &format!("DELETE FROM {name} WHERE id = 2"),
                &format!("INSERT INTO {name} (id, a, d) VALUES (9, 9, '2025-06-07')"),
            ])
            .await?;
    }
    case.catch_up(LIMIT).await?;
    // What a restart finds in the checkpoint is as good as what it was told by the statements.
    case.task.stop().await?;
    case.task.start()?;
    for table in &tables {
        source.execute(&[&format!("UPDATE px_kinds.{} SET a = a + 1", table.name)]).await?;
    }
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    assert!(report.snapshot_rows >= 3 * KINDS.len(), "{report:?}");
    Ok(())
}

/// The binlog is behind the commits, and so behind the definitions that the task reads at its start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_was_made_anew_just_before_the_start_keeps_its_columns_apart() -> Result<()> {
    let servers = started(&["--standin-set=lag_ms=3000"]).await?;
    let source = servers.source.clone();
    source.execute(&["CREATE DATABASE px_lag", "CREATE TABLE px_lag.t (id INT PRIMARY KEY, a VARCHAR(9), b VARCHAR(9))"]).await?;
    let mut case = Case::new(servers, "px_lag", Format::CanalJson, 1, vec![Table::new("px_lag", "t")]).await?;
    // The binlog has the table as it was first, and not yet what follows.
    tokio::time::sleep(Duration::from_secs(4)).await;
    source
        .execute(&[
            "INSERT INTO px_lag.t VALUES (1, 'AAA', 'BBB')",
            "DROP TABLE px_lag.t",
            "CREATE TABLE px_lag.t (id INT PRIMARY KEY, b VARCHAR(9), a VARCHAR(9))",
            "INSERT INTO px_lag.t (id, a, b) VALUES (2, 'AAA', 'BBB')",
        ])
        .await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    let found = (case.rows_of("t", "a")?, case.rows_of("t", "b")?);
    assert!(found.0.iter().all(|value| value == "AAA") && found.1.iter().all(|value| value == "BBB"), "{found:?}");
    assert!(case.task.output().contains("while the task began"), "{}", case.task.output());
    Ok(())
}

/// Without an announced timestamp the events of a transaction wait for its end, and only some of them fit into memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_without_an_announced_timestamp_arrives() -> Result<()> {
    let servers = started(&["--standin-set=early_cts=0", "--max-allowed-packet=64M", "--innodb-log-file-size=64M"]).await?;
    let source = servers.source.clone();
    source.execute(&["CREATE DATABASE px_large", "CREATE TABLE px_large.t (id INT PRIMARY KEY, a MEDIUMTEXT)"]).await?;
    let mut case = Case::new(servers, "px_large", Format::DtsAvro, 1, vec![Table::new("px_large", "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let mut statements = vec!["BEGIN".to_owned()];
    statements.extend((0..40).map(|id| format!("INSERT INTO px_large.t VALUES ({id}, REPEAT('x', 400000))")));
    statements.push("COMMIT".to_owned());
    source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    assert!(report.stream_rows >= 40, "{report:?}");
    // All of its records name the transaction.
    let ids: std::collections::BTreeSet<String> = case
        .entries
        .iter()
        .filter(|entry| entry.value.len() > 300_000)
        .map(|entry| {
            let fields = avro::fields(&entry.value)?;
            let id = fields.iter().find(|(name, _)| name == "sourceTxid").map(|(_, value)| avro::inner(value));
            Ok(if let Some(Value::String(id)) = id { id.clone() } else { format!("{id:?}") })
        })
        .collect::<Result<_>>()?;
    assert!(ids.len() == 1 && ids.iter().all(|id| id.len() == 54), "{ids:?}");
    Ok(())
}
