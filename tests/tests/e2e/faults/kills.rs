//! `kill -9` of the program in both phases, while brokers of a cluster crash and come back.

use std::time::{Duration, Instant};

use tests::Result;
use tests::checker::Format;
use tests::harness::Flavor;

use super::Trial;
use crate::case::{Servers, alone};

const PARALLELISM: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_kills_while_brokers_crash_lose_and_repeat_nothing() -> Result<()> {
    kills("eight_kills", Flavor::MySql57, 8, 30_000).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn fifty_kills_while_brokers_crash_lose_and_repeat_nothing() -> Result<()> {
    kills("fifty_kills", Flavor::MySql57, 50, 150_000).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn fifty_kills_on_the_stand_in_for_polardbx_lose_and_repeat_nothing() -> Result<()> {
    kills("fifty_kills_px", Flavor::PolarDbX, 50, 150_000).await
}

/// How long the rest of the full phase may take without the speed limit.
const FULL_PHASE_LIMIT: Duration = Duration::from_secs(120);

/// The speed limit of the full phase, in bytes per second. It makes the phase long enough for all its kills.
const BYTES_PER_SECOND: u64 = 300_000;

/// Starts and kills the program `count` times, then compares the topic with the source. The first half of the kills is meant for the full
/// phase of `rows` rows, the second half for the incremental phase. In every fourth run a broker is killed before the program is killed;
/// the broker comes back two runs later.
async fn kills(name: &str, flavor: Flavor, count: usize, rows: u64) -> Result<()> {
    let _turn = alone().await;
    let mut trial = Trial::new(Servers::clustered(flavor).await?, name, Format::CanalJson).await?;
    super::create_bulk(&trial.case.servers.source, name, rows).await?;
    trial.case.settings.source = format!("chunk_rows = 1000\nparallelism = {PARALLELISM}");
    trial.case.task.configure(&trial.case.settings)?;
    trial.case.add_table("bulk");
    trial.source.slow(BYTES_PER_SECOND);
    trial.write().await?;
    let (mut rng, mut in_full, mut broker_kills) = (fastrand::Rng::with_seed(50), 0, 0);
    for kill in 1..=count {
        if kill % 4 == 3 {
            trial.case.kafka_mut()?.resume().await?;
        }
        if kill == count / 2 + 1 {
            trial.source.pass();
        }
        trial.case.task.start()?;
        if kill == count / 2 + 1 {
            // Waits for the end of the full phase, so that the second half of the kills is in the incremental phase even on a slow
            // machine.
            let start = Instant::now();
            while (trial.case.read().await? as u64) < rows && start.elapsed() < FULL_PHASE_LIMIT {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        let mut pause = || Duration::from_millis(rng.u64(20..1000));
        tokio::time::sleep(pause()).await;
        if kill % 4 == 1 {
            trial.case.kafka_mut()?.node_mut(2 + broker_kills % 2).kill()?;
            broker_kills += 1;
        }
        tokio::time::sleep(pause()).await;
        trial.case.task.must_run()?;
        trial.case.task.kill()?;
        in_full += usize::from((trial.case.read().await? as u64) < rows);
    }
    println!("{count} kills, {in_full} of them in the full phase, and {broker_kills} of brokers");
    assert!(in_full >= count / 3, "only {in_full} of {count} kills fell into the full phase");
    assert!(in_full < count, "no kill fell into the incremental phase");
    trial.case.kafka_mut()?.resume().await?;
    trial.case.task.start()?;
    trial.recovers("the last kill").await?;
    trial.verify(in_full * PARALLELISM).await.map(drop)
}
