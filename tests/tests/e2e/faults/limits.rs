//! Limits of a topic and of a quota: the size of a batch, the size of a record, and the rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::checker::Format;
use tests::harness::{Flavor, Kafka};
use tests::workload::load;
use tests::{Failure, Result};

use super::{RECOVERY, Trial};
use crate::case::Servers;
use crate::report::assert_error;

/// The client id that the program uses.
const CLIENT_ID: &str = "sink-kafka";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_split_for_a_topic_and_a_row_above_its_limit_stops_the_task() -> Result<()> {
    let name = "too_large";
    let mut trial = Trial::streaming(Servers::shared().await?, name, Format::CanalJson).await?;
    let servers = trial.case.servers.clone();
    servers.source.execute(&["CREATE TABLE too_large.wide (id INT PRIMARY KEY, text MEDIUMTEXT)"]).await?;
    trial.case.add_table("wide");
    // The rows cannot be compressed: each row is below the limit, but a transaction of them makes a batch above it.
    let row = |id: u64, bytes: usize| {
        let mut rng = fastrand::Rng::with_seed(id);
        let text: String = (0..bytes).map(|_| rng.alphanumeric()).collect();
        format!("({id}, '{text}')")
    };
    servers.kafka.alter_topic(name, "max.message.bytes=60000").await?;
    let rows: Vec<String> = (0..40).map(|id| row(id, 20_000)).collect();
    servers.source.execute(&[&format!("INSERT INTO too_large.wide VALUES {}", rows.join(", "))]).await?;
    trial.recovers("batches that had to be split").await?;

    // A row above the limit cannot be delivered. No later row may be delivered either, however often the task is started.
    let too_large = format!("INSERT INTO too_large.wide VALUES {}", row(1000, 90_000));
    let behind = format!("INSERT INTO too_large.wide VALUES {}", row(1001, 100));
    servers.source.execute(&[&too_large, &behind]).await?;
    for start in 0..3 {
        if start > 0 {
            trial.case.task.start()?;
        }
        let code = trial.case.task.wait(RECOVERY).await?;
        let output = trial.case.task.output();
        assert_eq!(code, 4, "start {start}: {output}");
        let limit = "max.message.bytes is 60000";
        assert_error(&output, &["too_large.wide", "E_TOO_LARGE", limit, "--add-config max.message.bytes=1048576"])?;
    }
    // With a higher limit the task continues where it stopped.
    servers.kafka.alter_topic(name, "max.message.bytes=1000000").await?;
    trial.case.task.start()?;
    trial.recovers("the end of the limit").await?;
    trial.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_slows_the_task_and_repeats_nothing() -> Result<()> {
    const ROWS: u64 = 20_000;
    let name = "quota";
    let mut trial = Trial::streaming(Servers::own(Flavor::MySql57).await?, name, Format::DtsAvro).await?;
    let servers = trial.case.servers.clone();
    super::create_bulk(&servers.source, name, 0).await?;
    trial.case.add_table("bulk");
    servers.kafka.limit_rate(CLIENT_ID, 40_000).await?;
    load::insert(&servers.source, "quota.bulk", 0, ROWS, 100, load::ten_columns).await?;
    let fence = trial.case.fence().await?;
    let start = Instant::now();
    match trial.case.reach(fence, Duration::from_secs(12)).await {
        Ok(()) => return Failure::err(format!("the quota did not hold the task back: {:?}", start.elapsed())),
        Err(error) => assert!(error.to_string().contains("not caught up"), "{error}"),
    }
    trial.case.task.must_run()?;
    servers.kafka.unlimit_rate(CLIENT_ID).await?;
    trial.recovers("the end of a quota").await?;
    drop(servers);
    trial.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_above_the_request_limit_of_a_broker_stops_the_task() -> Result<()> {
    const LIMIT: &str = "socket.request.max.bytes=2000000";
    let name = "request_limit";
    let kafka = Arc::new(Kafka::start_with(&[LIMIT, "message.max.bytes=10000000"]).await?);
    let servers = Servers { kafka, ..Servers::shared().await? };
    let mut trial = Trial::streaming(servers, name, Format::CanalJson).await?;
    let source = trial.case.servers.source.clone();
    source.execute(&["CREATE TABLE request_limit.wide (id INT PRIMARY KEY, text LONGTEXT)"]).await?;
    trial.case.add_table("wide");
    let mut rng = fastrand::Rng::with_seed(1);
    let text: String = (0..3_000_000).map(|_| rng.alphanumeric()).collect();
    source.execute(&["INSERT INTO request_limit.wide VALUES (1, 'before')"]).await?;
    trial.recovers("a row before the large one").await?;
    source.execute(&[&format!("INSERT INTO request_limit.wide VALUES (2, '{text}')")]).await?;
    let code = trial.case.task.wait(RECOVERY).await?;
    let output = trial.case.task.output();
    assert_eq!(code, 4, "{output}");
    assert_error(&output, &["request_limit.wide", "E_TOO_LARGE", "socket.request.max.bytes is 2000000", "socket.request.max.bytes=3145728"])
}
