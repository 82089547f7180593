//! The contracts of the framework, run on our own source and sink with real servers.

use std::time::Duration;

use runtime::{Registry, Settings, TaskContext};
use serde_json::json;
use source_polardbx::PolardbxSource;
use tests::Result;
use tests::checker::Header;
use tests::harness::{TopicReader, database};

use super::case::Servers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_keeps_its_contract() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = &servers.source;
    database.execute(&["CREATE DATABASE contract", "CREATE TABLE contract.t (id INT PRIMARY KEY, a VARCHAR(20))"]).await?;
    let rows: Vec<String> = (0..1000).map(|id| format!("({id}, 'row {id}')")).collect();
    database.execute(&[&format!("INSERT INTO contract.t VALUES {}", rows.join(", "))]).await?;
    let settings = json!({
        "host": "127.0.0.1", "port": database.port(), "user": database::USER, "password": database::PASSWORD,
        "tables": ["contract.*"], "chunk_rows": 150,
    });
    // Small batches, so that transactions and chunks are spread over several.
    let source = PolardbxSource::new(Settings::from(settings).parse("source")?, "contract", 4096)?;
    let change = || async {
        let mut statements =
            vec!["INSERT INTO contract.t VALUES (2000, 'new')".to_owned(), "DELETE FROM contract.t WHERE id < 200".to_owned()];
        statements.extend((0..20).map(|id| format!("UPDATE contract.t SET a = 'changed' WHERE id = {}", 300 + id)));
        statements.push("CREATE INDEX i ON contract.t (a)".into());
        statements.push("UPDATE contract.t SET id = id + 10000".into());
        database.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("change the rows");
    };
    runtime::testing::source_contract(&source, change, Duration::from_secs(2)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sink_keeps_its_contract_and_repeats_nothing() -> Result<()> {
    let servers = Servers::shared().await?;
    let topic = "sink_contract";
    servers.kafka.create_topic(topic, 1).await?;
    let mut registry = Registry::new();
    formats::register(&mut registry);
    sink_kafka::register(&mut registry);
    let registry = registry.for_task(TaskContext::default());
    let settings = json!({"brokers": [servers.kafka.broker()], "topic": topic, "format": {"canal_json": {}}});
    // One factory a task: what the sinks of one process share is a part of the contract.
    let make = || registry.build_sink("kafka", &settings.clone().into())?();
    let delivered = || async {
        let mut reader = TopicReader::open(&servers.kafka, topic).await.expect("open the topic");
        let entries = reader.read().await.expect("read the topic");
        let seq = |entry: &tests::harness::Entry| Header::parse(entry.header.as_deref().expect("a header")).expect("a header of ours").seq;
        entries.iter().map(seq).collect()
    };
    runtime::testing::sink_contract(make, delivered, true).await;
    Ok(())
}
