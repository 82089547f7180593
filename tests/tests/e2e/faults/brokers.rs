//! Brokers stop, crash, freeze and come back: the only broker, one of three, or two of three.

use std::time::Duration;

use tests::checker::Format;
use tests::harness::{Flavor, poll};
use tests::{Failure, Result};

use super::Trial;
use crate::case::{Servers, alone};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_crash_freeze_and_come_back() -> Result<()> {
    let _turn = alone().await;
    let mut trial = Trial::streaming(Servers::clustered(Flavor::MySql57).await?, "three_brokers", Format::DtsAvro).await?;

    // While the leader is down, another broker leads its partitions. Then the killed broker comes back.
    let down = a_leader(&trial, &[2, 3]).await?;
    trial.case.kafka_mut()?.node_mut(down).kill()?;
    trial.recovers("the crash of a leader").await?;
    trial.case.kafka_mut()?.node_mut(down).resume().await?;
    all_in_sync(&trial).await?;
    // The leadership moves back while changes are being written.
    trial.case.servers.kafka.elect_preferred().await?;
    trial.recovers("a preferred election").await?;
    if a_leader(&trial, &[down]).await.is_err() {
        return Failure::err("the election has moved no leadership");
    }

    // A frozen leader loses its partitions, but does not close its connections.
    trial.case.kafka_mut()?.node_mut(down).freeze()?;
    trial.recovers("the freeze of a leader").await?;
    trial.case.kafka_mut()?.node_mut(down).thaw()?;
    all_in_sync(&trial).await?;
    trial.recovers("the end of the freeze").await?;

    // Only one of three brokers is left, so no record may be acknowledged.
    trial.case.kafka_mut()?.node_mut(2).kill()?;
    trial.case.kafka_mut()?.node_mut(3).kill()?;
    trial.hold(Duration::from_secs(6)).await?;
    let fence = trial.case.fence().await?;
    match trial.case.reach(fence, Duration::from_secs(5)).await {
        Ok(()) => return Failure::err("a record was acknowledged by one broker of three"),
        Err(error) => assert!(error.to_string().contains("not caught up"), "{error}"),
    }
    trial.case.task.must_run()?;
    trial.case.kafka_mut()?.resume().await?;
    trial.recovers("the return of two brokers").await?;
    trial.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_broker_stops_crashes_and_freezes() -> Result<()> {
    let mut trial = Trial::streaming(Servers::own(Flavor::MySql57).await?, "one_broker", Format::CanalJson).await?;
    trial.case.kafka_mut()?.stop().await?;
    trial.hold(Duration::from_secs(10)).await?;
    trial.case.kafka_mut()?.resume().await?;
    trial.recovers("a stop of the broker").await?;
    for _ in 0..2 {
        trial.hold(Duration::from_millis(700)).await?;
        trial.case.kafka_mut()?.kill()?;
        trial.case.kafka_mut()?.resume().await?;
        trial.recovers("a crash of the broker").await?;
    }
    // The freeze lasts longer than the program waits for a response. After that timeout the program fetches metadata again.
    trial.case.kafka_mut()?.freeze()?;
    trial.hold(Duration::from_secs(8)).await?;
    trial.case.kafka_mut()?.thaw()?;
    trial.recovers("a frozen broker").await?;
    trial.verify(0).await.map(drop)
}

/// A broker that leads a partition of the topic and is one of `wanted`.
async fn a_leader(trial: &Trial, wanted: &[usize]) -> Result<usize> {
    let placements = trial.case.servers.kafka.placements(&trial.case.topic).await?;
    let mut leaders = placements.iter().filter_map(|placement| placement.leader);
    leaders.find(|leader| wanted.contains(leader)).ok_or_else(|| Failure::new(format!("none of {wanted:?} leads: {placements:?}")))
}

async fn all_in_sync(trial: &Trial) -> Result<()> {
    let kafka = &trial.case.servers.kafka;
    poll("all replicas to be in sync", LIMIT, || async {
        let placements = kafka.placements(&trial.case.topic).await?;
        Ok(placements.iter().all(|placement| placement.in_sync.len() == kafka.size()).then_some(()))
    })
    .await
}
