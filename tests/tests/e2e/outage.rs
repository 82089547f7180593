//! Servers that go away and come back: the task goes on by itself.

use std::time::Duration;

use tests::Result;
use tests::checker::Format;
use tests::harness::Flavor;
use tests::workload::{Writers, writers};

use super::case::{Case, Servers};

/// How soon a task must have caught up after a server is back.
const RECOVERY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_and_a_database_may_go_away_and_come_back() -> Result<()> {
    let servers = Servers::own(Flavor::MySql57).await?;
    let name = "outage";
    let tables = writers::create_tables(&servers.source, name, 100).await?;
    let mut case = Case::new(servers, name, Format::DtsAvro, 2, tables).await?;
    case.settings.sink = "partition = \"primary_key\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(Duration::from_secs(60)).await?;

    // The broker stops for half a minute while rows change.
    let writers = Writers::start(&case.servers.source, name, 2, Duration::from_millis(5), 3).await?;
    case.kafka_mut()?.stop().await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    case.task.must_run()?;
    case.kafka_mut()?.resume().await?;
    case.catch_up(RECOVERY).await?;
    writers.stop().await?;

    // The broker dies in the middle of writing.
    let writers = Writers::start(&case.servers.source, name, 2, Duration::from_millis(1), 4).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    case.kafka_mut()?.kill()?;
    case.kafka_mut()?.resume().await?;
    case.catch_up(RECOVERY).await?;
    writers.stop().await?;

    // The database is shut down and started; then it dies.
    case.source_mut()?.stop().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    case.task.must_run()?;
    case.source_mut()?.resume().await?;
    case.catch_up(RECOVERY).await?;
    case.source_mut()?.kill()?;
    case.source_mut()?.resume().await?;
    let writers = Writers::start(&case.servers.source, name, 2, Duration::from_millis(5), 5).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    writers.stop().await?;
    case.catch_up(RECOVERY).await?;

    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}
