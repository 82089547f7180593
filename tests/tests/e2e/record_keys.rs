//! Record keys and tombstones: a compacted topic needs them, and after compaction the last record of each key must be left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value as Json, json};
use tests::checker::{Decoded, Format, Table};
use tests::harness::{Entry, Kafka, TopicReader, poll};
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::refusals::refused;

const LIMIT: Duration = Duration::from_secs(60);
const KEYED: &str = "record_key = \"primary_key\"\ntombstones = true";

/// A broker that compacts without delay, and a table `t` of sixty rows whose topic is compacted.
async fn compacted(name: &str, format: Format) -> Result<Case> {
    let kafka = Arc::new(Kafka::start_with(&["log.cleaner.backoff.ms=100"]).await?);
    let servers = Servers { source: Servers::shared().await?.source, kafka };
    let rows: Vec<String> = (1..=60).map(|id| format!("({id}, 'row {id}')")).collect();
    servers
        .source
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20))"),
            &format!("INSERT INTO {name}.t VALUES {}", rows.join(", ")),
        ])
        .await?;
    let case = Case::new(servers, name, format, 1, vec![Table::new(name, "t")]).await?;
    // The active segment is never compacted, so nothing is compacted until segments end.
    case.servers.kafka.alter_topic(name, "cleanup.policy=compact").await?;
    Ok(case)
}

/// The last record of each key; `None` if it is a tombstone.
fn last_of_each_key(entries: &[Entry]) -> Result<BTreeMap<Vec<u8>, Option<&Entry>>> {
    let mut last = BTreeMap::new();
    for entry in entries {
        let key = entry.key.clone().ok_or_else(|| Failure::new(format!("the record at offset {} has no key", entry.offset)))?;
        last.insert(key, (!entry.tombstone).then_some(entry));
    }
    Ok(last)
}

/// The rows of `t` in the topic, each from the last record of its key.
fn rows(entries: &[Entry], format: Format, name: &str) -> Result<BTreeMap<i64, Entry>> {
    let mut found = BTreeMap::new();
    for (key, entry) in last_of_each_key(entries)? {
        let key: Json = serde_json::from_slice(&key)?;
        let Some(id) = key.get(2).and_then(Json::as_str).filter(|_| key[1] == "t") else { continue };
        assert_eq!(key, json!([name, "t", id]));
        let Some(entry) = entry else { continue };
        match format.decode(&entry.value)? {
            Decoded::Rows(changes) if changes.iter().all(|change| change.after.is_some()) => {}
            other => return Failure::err(format!("the last record of {key} is {other:?}")),
        }
        found.insert(id.parse()?, entry.clone());
    }
    Ok(found)
}

async fn assert_equal_to_the_source(case: &Case, entries: &[Entry]) -> Result<()> {
    let mut connection = case.servers.source.connect().await?;
    let expected: BTreeMap<i64, String> =
        connection.query(format!("SELECT id, a FROM {}.t", case.database)).await?.into_iter().collect::<BTreeMap<_, _>>();
    connection.disconnect().await?;
    let found = rows(entries, case.settings.format, &case.database)?;
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (id, text) in expected {
        assert!(String::from_utf8_lossy(&found[&id].value).contains(&text), "row {id} is not {text:?}");
    }
    Ok(())
}

async fn change(case: &Case, round: u32) -> Result<()> {
    let name = &case.database;
    let statements = [
        format!("UPDATE {name}.t SET a = 'first of {round}' WHERE id > 20"),
        format!("UPDATE {name}.t SET a = 'second of {round}' WHERE id > 30"),
        format!("DELETE FROM {name}.t WHERE id BETWEEN {} AND {}", round * 4 + 1, round * 4 + 3),
        format!("UPDATE {name}.t SET id = id + 1000 WHERE id = {}", round * 4 + 4),
    ];
    case.servers.source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_refuses_records_without_a_key() -> Result<()> {
    let mut case = compacted("unkeyed", Format::CanalJson).await?;
    let file = case.task.file().display().to_string();
    let check = || -> Result<String> { Ok(String::from_utf8(program().command(&["check", &file]).output()?.stdout)?) };
    let console = check()?;
    assert!(console.contains("FAILED   kafka_compaction") && console.contains("record_key = \"primary_key\""), "{console}");
    refused(&mut case, 4, &["E_RECORD_REFUSED", "unkeyed", "record_key = \"primary_key\""]).await?;
    assert_eq!(case.read().await?, 0);

    case.settings.sink = "tombstones = true".into();
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["tombstones", "record_key = \"primary_key\""]).await?;
    case.settings.sink = KEYED.into();
    case.task.configure(&case.settings)?;
    let console = check()?;
    assert!(console.contains("ok       kafka_compaction"), "{console}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_of_canal_json_leaves_the_rows_of_the_source() -> Result<()> {
    compaction_leaves_the_rows_of_the_source("keyed_json", Format::CanalJson).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_of_dts_avro_leaves_the_rows_of_the_source() -> Result<()> {
    compaction_leaves_the_rows_of_the_source("keyed_avro", Format::DtsAvro).await
}

/// Rows whose keys change, and with them their partitions: readers of single partitions get the table of the source, whatever their speeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_move_between_partitions_are_not_lost() -> Result<()> {
    let servers = Servers::shared().await?;
    for (format, sink) in
        [(Format::CanalJson, "partition = \"primary_key\"".to_owned()), (Format::DtsAvro, format!("partition = \"primary_key\"\n{KEYED}"))]
    {
        let name = format!("moved_{}", format.name());
        let rows: Vec<String> = (1..=400).map(|id| format!("({id}, 'row {id}')")).collect();
        let table = format!("{name}.t");
        let source = servers.source.clone();
        source
            .execute(&[
                &format!("CREATE DATABASE {name}"),
                &format!("CREATE TABLE {table} (id INT PRIMARY KEY, a VARCHAR(20))"),
                &format!("INSERT INTO {table} VALUES {}", rows.join(", ")),
            ])
            .await?;
        let mut case = Case::new(servers.clone(), &name, format, 5, vec![Table::new(&name, "t")]).await?;
        case.settings.sink = sink;
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        for round in 0..6 {
            source
                .execute(&[
                    &format!("UPDATE {table} SET id = id + 1000 WHERE id % 3 = {} AND id < 1000", round % 3),
                    &format!("UPDATE {table} SET id = id - 1000 WHERE id % 2 = {} AND id > 1000", round % 2),
                    &format!("UPDATE {table} SET a = 'round {round}' WHERE id % 5 = {}", round % 5),
                    &format!("DELETE FROM {table} WHERE id % 97 = {round}"),
                ])
                .await?;
            if round == 2 {
                case.task.kill()?;
                case.task.start()?;
            }
        }
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        let report = case.verify(0).await?;
        assert!(report.rows > 350, "{report:?}");
    }
    Ok(())
}

/// After a statement that changes the key of a table, its rows go by the new one, and the log and the status line name the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_go_by_the_key_of_their_moment() -> Result<()> {
    let (name, servers) = ("rekeyed", Servers::shared().await?);
    let source = servers.source.clone();
    let insert = |ids: std::ops::Range<u32>| {
        let rows: Vec<String> = ids.map(|id| format!("({id}, {})", id + 1000)).collect();
        format!("INSERT INTO {name}.t VALUES {}", rows.join(", "))
    };
    let key_by = |column: &str| format!("ALTER TABLE {name}.t DROP PRIMARY KEY, ADD PRIMARY KEY ({column})");
    source
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &format!("CREATE TABLE {name}.t (id INT NOT NULL PRIMARY KEY, a INT NOT NULL)"),
            &insert(0..20),
        ])
        .await?;
    let mut case = Case::new(servers, name, Format::CanalJson, 5, vec![Table::new(name, "t")]).await?;
    case.settings.sink = "partition = \"primary_key\"\nrecord_key = \"primary_key\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    source.execute(&[&insert(20..40), &key_by("a"), &insert(40..60)]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let says = |case: &Case, what: &str| {
        let output = case.task.output();
        let warning = format!("after a schema change {what}: the order of the records with one key starts anew there");
        assert!(output.contains(&warning) && output.contains("see the warning about rekeyed.t"), "{warning}:\n{output}");
    };
    says(&case, "(a) decide the partition, instead of (id); (a) are the record key, instead of (id)");

    // The same if this process has delivered no row of the table before the statement.
    source.execute(&[&key_by("id"), &insert(60..80)]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    says(&case, "(id) decide the partition, instead of (a); (id) are the record key, instead of (a)");
    case.read().await?;
    let mut keys = BTreeMap::new();
    for entry in &case.entries {
        let key: Json = serde_json::from_slice(entry.key.as_deref().unwrap_or_default())?;
        if let Some(value) = key.get(2).and_then(Json::as_str).filter(|_| key[1] == "t") {
            keys.insert(value.parse::<u32>()?, entry.partition);
        }
    }
    let expected: Vec<u32> = (0..40).chain(60..80).chain(1040..1060).collect();
    assert_eq!(keys.keys().copied().collect::<Vec<_>>(), expected);
    let partitions: std::collections::BTreeSet<i32> = keys.range(1040..).map(|(_, partition)| *partition).collect();
    assert!(partitions.len() > 1, "{partitions:?}");

    // Nothing else has changed, so nothing more is said.
    case.task.start()?;
    source.execute(&[&format!("UPDATE {name}.t SET a = a + 1")]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert!(!case.task.output().contains("starts anew"), "{}", case.task.output());
    // The rows cannot be compared by their keys of today, which are not those of all records. Each has changed once more.
    case.read().await?;
    let values = case.rows_of("t", "a")?;
    assert!((1001..=1080).all(|value| values.contains(&value.to_string())), "{values:?}");
    Ok(())
}

async fn compaction_leaves_the_rows_of_the_source(name: &str, format: Format) -> Result<()> {
    let mut case = compacted(name, format).await?;
    case.settings.sink = KEYED.into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    change(&case, 0).await?;
    case.servers.source.execute(&[&format!("CREATE INDEX by_a ON {name}.t (a)")]).await?;
    // After a restart the task scans the records that are newer than its receipt; tombstones are among them.
    case.catch_up(LIMIT).await?;
    case.task.kill()?;
    change(&case, 1).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    assert_equal_to_the_source(&case, &case.entries).await?;
    let tombstones = case.entries.iter().filter(|entry| entry.tombstone).count();
    assert_eq!(tombstones, 8, "three deleted rows and one changed key, twice");
    let ddl = json!({"ddl": [name, "t"]}).to_string().into_bytes();
    assert_eq!(case.entries.iter().filter(|entry| entry.key.as_deref() == Some(ddl.as_slice())).count(), 1);
    let before = case.entries.len() as i64;
    assert!(before > 150, "{before} records");

    // From now on segments end after a short time, so their records are compacted.
    case.servers.kafka.alter_topic(name, "segment.ms=200,min.cleanable.dirty.ratio=0.001").await?;
    case.task.start()?;
    change(&case, 2).await?;
    let (kafka, source) = (case.servers.kafka.clone(), case.servers.source.clone());
    let table = format!("{name}.t");
    poll("the compaction of the topic", LIMIT, || async {
        source.execute(&[&format!("UPDATE {table} SET a = CONCAT(id, ' ', FLOOR(RAND() * 1000000000))")]).await?;
        let left = TopicReader::open(&kafka, name).await?.read().await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The old records that stay are the rows of `fence`, the DDL statement and perhaps tombstones.
        Ok((left.iter().filter(|entry| entry.offset < before).count() < 40).then_some(()))
    })
    .await?;
    // Compaction has left gaps in the log. The task must be able to resume from such a log.
    case.task.must_run()?;
    case.task.kill()?;
    change(&case, 3).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let left = TopicReader::open(&case.servers.kafka, name).await?.read().await?;
    assert!(left.windows(2).any(|pair| pair[1].offset > pair[0].offset + 1), "the log has no gap");
    assert_equal_to_the_source(&case, &left).await
}
