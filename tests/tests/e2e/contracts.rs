//! Runs the contract tests of the framework on our own source and sink with real servers.

use std::time::Duration;

use formats::canal_json::CanalJson;
use runtime::Sink;
use sink_kafka::KafkaSink;
use source_polardbx::PolardbxSource;
use tests::Result;
use tests::checker::Header;
use tests::harness::{TopicReader, database};

use super::case::Servers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_keeps_its_contract() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = &servers.source;
    database.execute(&["CREATE DATABASE contract", "CREATE TABLE contract.t (id INT PRIMARY KEY, a VARCHAR(20), filler TEXT)"]).await?;
    let rows: Vec<String> = (0..1000).map(|id| format!("({id}, 'row {id}', REPEAT('x', 3000))")).collect();
    database.execute(&[&format!("INSERT INTO contract.t VALUES {}", rows.join(", "))]).await?;
    let source = PolardbxSource::builder("127.0.0.1")
        .port(database.port())
        .user(database::USER)
        .password(database::PASSWORD)
        .tables(["contract.*"])
        .chunk_rows(150)
        .build()?;
    let change = || async {
        let mut statements =
            vec!["INSERT INTO contract.t VALUES (2000, 'new', NULL)".to_owned(), "DELETE FROM contract.t WHERE id < 200".to_owned()];
        statements.extend((0..20).map(|id| format!("UPDATE contract.t SET a = 'changed' WHERE id = {}", 300 + id)));
        statements.push("CREATE INDEX i ON contract.t (a)".into());
        // This statement changes more rows than fit into one batch.
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
    let broker = servers.kafka.broker();
    // Each call stands for a new process, which shares nothing with earlier processes.
    let make = || -> runtime::Result<Box<dyn Sink>> {
        let factory = KafkaSink::builder([broker.clone()]).topic(topic).format(|| Ok(CanalJson::default())).build()?;
        Ok(Box::new(factory()?))
    };
    let delivered = || async {
        let mut reader = TopicReader::open(&servers.kafka, topic).await.expect("open the topic");
        let entries = reader.read().await.expect("read the topic");
        let seq = |entry: &tests::harness::Entry| Header::parse(entry.header.as_deref().expect("a header")).expect("a header of ours").seq;
        entries.iter().map(seq).collect()
    };
    runtime::testing::sink_contract(make, delivered, true).await;
    Ok(())
}
