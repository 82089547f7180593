//! The database is stopped, killed, frozen and restarted.

use std::time::Duration;

use tests::Result;
use tests::checker::Format;
use tests::harness::Flavor;

use super::Trial;
use crate::case::Servers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_5_7_goes_away_and_comes_back() -> Result<()> {
    goes_away(Flavor::MySql57, Format::DtsAvro).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn mysql_8_0_goes_away_and_comes_back() -> Result<()> {
    goes_away(Flavor::MySql80, Format::CanalJson).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn polardbx_goes_away_and_comes_back() -> Result<()> {
    goes_away(Flavor::PolarDbX, Format::CanalJson).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn mariadb_goes_away_and_comes_back() -> Result<()> {
    goes_away(Flavor::MariaDb, Format::CanalJson).await
}

async fn goes_away(flavor: Flavor, format: Format) -> Result<()> {
    let mut trial = Trial::streaming(Servers::own(flavor).await?, &format!("goes_away_{}", flavor.name()), format).await?;
    // Writers pause while the server is down. They continue as soon as the server is up, before the task has reconnected.
    trial.hold(Duration::from_secs(1)).await?;
    trial.pause_writing().await?;
    trial.case.source_mut()?.stop().await?;
    trial.hold(Duration::from_secs(3)).await?;
    trial.case.source_mut()?.resume().await?;
    trial.write().await?;
    trial.recovers("a restart of the database").await?;
    for _ in 0..2 {
        trial.hold(Duration::from_millis(500)).await?;
        trial.pause_writing().await?;
        trial.case.source_mut()?.kill()?;
        trial.case.source_mut()?.resume().await?;
        trial.write().await?;
        trial.recovers("a crash of the database").await?;
    }
    // The freeze lasts longer than the program waits for a heartbeat. The statements of the writers also wait until the freeze ends.
    trial.case.source_mut()?.freeze()?;
    trial.hold(Duration::from_secs(20)).await?;
    trial.case.source_mut()?.thaw()?;
    trial.recovers("a frozen database").await?;
    trial.verify(0).await.map(drop)
}
