//! `kill -9` of the program over both phases while brokers of a cluster die and come back.

use std::time::Duration;

use tests::Result;
use tests::checker::Format;
use tests::harness::Flavor;

use super::{RECOVERY, Trial};
use crate::case::{Servers, alone};

const PARALLELISM: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_kills_with_brokers_dying_lose_and_repeat_nothing() -> Result<()> {
    kills("eight_kills", 8, 20_000).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn fifty_kills_with_brokers_dying_lose_and_repeat_nothing() -> Result<()> {
    kills("fifty_kills", 50, 150_000).await
}

/// Half of the kills fall into the full phase of `rows` rows, half into the incremental one; before every fourth a broker is killed, which
/// comes back two kills later.
async fn kills(name: &str, count: usize, rows: u64) -> Result<()> {
    let _turn = alone().await;
    let mut trial = Trial::new(Servers::clustered(Flavor::MySql57).await?, name, Format::CanalJson).await?;
    super::create_bulk(&trial.case.servers.source.clone(), name, rows).await?;
    trial.case.settings.source = format!("chunk_rows = 1000\nparallelism = {PARALLELISM}");
    trial.case.task.configure(&trial.case.settings)?;
    trial.case.add_table("bulk");
    trial.write().await?;
    let (mut rng, mut in_full, mut dead) = (fastrand::Rng::with_seed(50), 0, None);
    for kill in 1..=count {
        match (kill % 4, dead) {
            (1, None) => {
                let node = 2 + kill / 4 % 2;
                trial.case.kafka_mut()?.node_mut(node).kill()?;
                dead = Some(node);
            }
            (3, Some(node)) => {
                trial.case.kafka_mut()?.node_mut(node).resume().await?;
                dead = None;
            }
            _ => {}
        }
        trial.case.task.start()?;
        let half = count / 2;
        if kill <= half {
            trial.case.wait_for_records(rows as usize * kill / (half + 1), RECOVERY).await?;
            tokio::time::sleep(Duration::from_millis(rng.u64(..30))).await;
        } else if kill == half + 1 {
            trial.recovers("the kills of the full phase").await?;
        } else {
            tokio::time::sleep(Duration::from_millis(rng.u64(20..2500))).await;
        }
        trial.case.task.must_run()?;
        trial.case.task.kill()?;
        in_full += usize::from((trial.case.read().await? as u64) < rows);
    }
    assert!(in_full >= count / 3, "only {in_full} of {count} kills fell into the full phase");
    trial.case.kafka_mut()?.resume().await?;
    trial.case.task.start()?;
    trial.recovers("the last kill").await?;
    println!("{count} kills, {in_full} of them in the full phase");
    trial.verify(in_full * PARALLELISM).await.map(drop)
}
