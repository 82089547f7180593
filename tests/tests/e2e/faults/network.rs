//! The way to the database and to the broker: cut, refused, silent, half open, slow.

use std::time::Duration;

use tests::Result;
use tests::checker::Format;
use tests::harness::{Flavor, Proxy};

use super::Trial;
use crate::case::Servers;

/// Longer than the program waits for a sign of life from either side.
const SILENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_the_database_breaks() -> Result<()> {
    let mut trial = Trial::streaming(Servers::shared().await?, "way_to_source", Format::CanalJson).await?;
    every_break(&mut trial, |trial| &trial.source).await?;
    trial.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_the_broker_breaks() -> Result<()> {
    let mut trial = Trial::streaming(Servers::own(Flavor::MySql57).await?, "way_to_broker", Format::DtsAvro).await?;
    every_break(&mut trial, Trial::broker).await?;
    trial.verify(0).await.map(drop)
}

async fn every_break(trial: &mut Trial, way: impl Fn(&Trial) -> &Proxy) -> Result<()> {
    for _ in 0..5 {
        trial.hold(Duration::from_millis(300)).await?;
        way(trial).cut();
    }
    trial.recovers("five cuts").await?;
    way(trial).refuse();
    trial.hold(Duration::from_secs(6)).await?;
    way(trial).pass();
    trial.recovers("six seconds of refusal").await?;
    way(trial).blackhole();
    trial.hold(Duration::from_secs(3)).await?;
    way(trial).pass();
    trial.recovers("three silent seconds").await?;
    way(trial).blackhole();
    trial.hold(SILENCE).await?;
    way(trial).pass();
    trial.recovers("a long silence").await?;
    way(trial).half_open();
    trial.recovers("connections that the other side has forgotten").await?;
    way(trial).slow(30_000);
    trial.hold(Duration::from_secs(3)).await?;
    way(trial).pass();
    trial.recovers("a slow network").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_cut_in_the_full_phase() -> Result<()> {
    const CUTS: usize = 6;
    let servers = Servers::own(Flavor::MySql57).await?;
    let mut trial = Trial::new(servers.clone(), "cut_full", Format::CanalJson).await?;
    super::create_bulk(&servers.source, "cut_full", 30_000).await?;
    trial.case.settings.source = "chunk_rows = 1000\nparallelism = 2".into();
    trial.case.task.configure(&trial.case.settings)?;
    trial.case.add_table("bulk");
    trial.write().await?;
    trial.case.task.start()?;
    let mut in_full = 0;
    for cut in 0..CUTS {
        trial.case.wait_for_records(1 + 30_000 * cut / CUTS, super::RECOVERY).await?;
        in_full += usize::from(trial.case.entries.len() < 30_000);
        if cut % 2 == 0 { trial.source.cut() } else { trial.broker().cut() }
    }
    assert!(in_full >= 4, "only {in_full} cuts fell into the full phase");
    trial.recovers("cuts in the full phase").await?;
    trial.verify(CUTS * 2).await.map(drop)
}
