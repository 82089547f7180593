//! Servers that go away and come back: the task goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use tests::Result;
use tests::checker::Format;
use tests::workload::{Writers, writers};

use super::case::{Case, Servers};

/// How soon a task must have caught up after a server is back.
const RECOVERY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_and_a_database_may_go_away_and_come_back() -> Result<()> {
    let servers = Arc::new(Servers::own().await?);
    let name = "outage";
    let tables = writers::create_tables(&servers.mysql, name, 100).await?;
    let mut case = Case::new(servers, name, Format::DtsAvro, 2, tables).await?;
    case.settings.sink = "partition = \"primary_key\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(Duration::from_secs(60)).await?;

    // The broker stops for half a minute while rows change.
    let writers = Writers::start(&case.servers.mysql, name, 2, Duration::from_millis(5), 3).await?;
    case.servers_mut()?.kafka.stop().await?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    case.task.must_run()?;
    case.servers_mut()?.kafka.resume().await?;
    case.catch_up(RECOVERY).await?;
    writers.stop().await?;

    // The broker dies in the middle of writing.
    let writers = Writers::start(&case.servers.mysql, name, 2, Duration::from_millis(1), 4).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    case.servers_mut()?.kafka.kill()?;
    case.servers_mut()?.kafka.resume().await?;
    case.catch_up(RECOVERY).await?;
    writers.stop().await?;

    // The database is shut down and started; then it dies.
    case.servers_mut()?.mysql.stop().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    case.task.must_run()?;
    case.servers_mut()?.mysql.resume().await?;
    case.catch_up(RECOVERY).await?;
    case.servers_mut()?.mysql.kill()?;
    case.servers_mut()?.mysql.resume().await?;
    let writers = Writers::start(&case.servers.mysql, name, 2, Duration::from_millis(5), 5).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    writers.stop().await?;
    case.catch_up(RECOVERY).await?;

    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}
