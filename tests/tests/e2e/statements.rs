//! DDL statements that do not change columns are delivered in order, and the rows after them are read correctly.

use std::time::Duration;

use tests::Result;
use tests::checker::{Format, Header, Table};
use tests::harness::{Entry, TopicReader};

use super::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_that_does_not_change_columns_is_delivered() -> Result<()> {
    let servers = Servers::shared().await?;
    let (name, topic) = ("statements", "statements_ddl");
    let mysql = &servers.source;
    mysql
        .execute(&[
            "CREATE DATABASE statements DEFAULT CHARACTER SET latin1",
            "CREATE TABLE statements.t (id INT PRIMARY KEY, a VARCHAR(20))",
            "INSERT INTO statements.t VALUES (1, 'one'), (2, 'caf\u{e9}')",
        ])
        .await?;
    servers.kafka.create_topic(topic, 1).await?;
    let mut case = Case::new(servers.clone(), name, Format::CanalJson, 1, vec![Table::new(name, "t"), Table::new(name, "made")]).await?;
    case.settings.sink = format!("ddl_topic = {topic:?}");
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // This table is created while the task runs; its text columns have the default character set of the database.
    mysql
        .execute(&[
            "CREATE TABLE statements.made (id BIGINT UNSIGNED PRIMARY KEY, b VARCHAR(9) NOT NULL, c DECIMAL(6,3), d ENUM('x','\u{e9}'))",
            "INSERT INTO statements.made VALUES (18446744073709551615, 'na\u{ef}ve', -1.5, '\u{e9}'), (1, '', NULL, 'x')",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    // The table's schema is now in the checkpoint, so a restart does not need the statement again.
    case.task.stop().await?;
    mysql.execute(&["INSERT INTO statements.made VALUES (7, 'seven', 7, NULL)"]).await?;
    case.task.start()?;
    mysql
        .execute(&[
            "CREATE INDEX i ON statements.t (a)",
            "ALTER TABLE statements.t ADD INDEX j (a, id), COMMENT 'a comment'",
            "DROP INDEX i ON statements.t",
            "INSERT INTO statements.t VALUES (3, 'three')",
            "TRUNCATE TABLE statements.t",
            "INSERT INTO statements.t VALUES (4, 'four')",
            "CREATE TABLE statements.gone (id INT PRIMARY KEY)",
            "INSERT INTO statements.gone VALUES (1)",
            "DROP TABLE statements.gone",
            // None of the following statements changes the schema of a selected table.
            "CREATE VIEW statements.v AS SELECT * FROM statements.t",
            "DROP VIEW statements.v",
            "ANALYZE TABLE statements.t",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;

    let mut reader = TopicReader::open(&servers.kafka, topic).await?;
    let mut found = Vec::new();
    for entry in reader.read().await? {
        let message: serde_json::Value = serde_json::from_slice(&entry.value)?;
        assert_eq!((&message["isDdl"], &message["database"]), (&true.into(), &name.into()), "{message}");
        found.push(format!("{} {}", message["type"].as_str().unwrap_or_default(), message["table"].as_str().unwrap_or_default()));
    }
    let expected = ["CREATE made", "CINDEX t", "CINDEX t", "DINDEX t", "TRUNCATE t", "CREATE gone", "ERASE gone"];
    assert_eq!(found, expected);
    assert_eq!(case.rows_of("t", "id")?, ["1", "2", "3", "4"], "rows before and after the TRUNCATE");
    assert_eq!(case.rows_of("made", "b")?, ["na\u{ef}ve", "", "seven"]);
    Ok(())
}

fn has_id(entry: &Entry, id: u32) -> bool {
    String::from_utf8_lossy(&entry.value).contains(&format!("\"{id}\""))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_for_each_table_and_other_names() -> Result<()> {
    let servers = Servers::shared().await?;
    let mysql = &servers.source;
    mysql
        .execute(&[
            "CREATE DATABASE routed",
            "CREATE TABLE routed.orders (id INT PRIMARY KEY)",
            "CREATE TABLE routed.`odd name` (id INT PRIMARY KEY)",
            "INSERT INTO routed.orders VALUES (1), (2)",
            "INSERT INTO routed.`odd name` VALUES (1)",
        ])
        .await?;
    let topics = ["sales.orders", "routed.odd_20name", "routed.fence"];
    for topic in topics {
        servers.kafka.create_topic(topic, 2).await?;
    }
    let mut case = Case::new(servers.clone(), "routed", Format::CanalJson, 1, Vec::new()).await?;
    case.settings.topic = "{database}.{table}".into();
    case.settings.sink = "partition = \"table\"".into();
    case.settings.more = "[[transform]]\nrename = { tables = { \"routed.orders\" = \"sales.orders\" } }".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    // A row that is inserted during the full phase may arrive twice: the row that counts must come after it.
    let mut fences = TopicReader::open(&servers.kafka, "routed.fence").await?;
    for number in 100.. {
        mysql.execute(&[&format!("INSERT INTO routed.fence VALUES ({number})")]).await?;
        let entries = fences.read_until("a fence", LIMIT, |entry| has_id(entry, number)).await?;
        let mut headers = entries.iter().map(|entry| Header::parse(entry.header.as_deref().unwrap_or_default()));
        if headers.any(|header| header.is_ok_and(|header| !header.snapshot())) {
            break;
        }
    }
    mysql.execute(&["INSERT INTO routed.orders VALUES (3)", "INSERT INTO routed.fence VALUES (99)"]).await?;
    fences.read_until("the last fence", LIMIT, |entry| has_id(entry, 99)).await?;
    case.task.stop().await?;
    let mut counts = Vec::new();
    for topic in topics {
        let entries = TopicReader::open(&servers.kafka, topic).await?.read().await?;
        let used: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.partition).collect();
        assert_eq!(used.len(), 1, "all rows of a table are in one partition");
        counts.push((topic, entries.len()));
        if topic == "sales.orders" {
            let message: serde_json::Value = serde_json::from_slice(&entries[0].value)?;
            assert_eq!((&message["database"], &message["table"]), (&"sales".into(), &"orders".into()));
        }
    }
    assert_eq!(counts[..2], [("sales.orders", 3), ("routed.odd_20name", 1)]);
    Ok(())
}
