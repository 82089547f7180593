//! Broken connections to the database and to the broker: cut, refused, silent, half open or slow.

use std::time::Duration;

use tests::Result;
use tests::checker::Format;
use tests::harness::{Flavor, Proxy};

use super::Trial;
use crate::case::Servers;

/// How long a long silence lasts. The program waits for a response or a heartbeat for a shorter time, both with the database and with a
/// broker.
const SILENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_to_the_database_breaks() -> Result<()> {
    let mut trial = Trial::streaming(Servers::shared().await?, "network_source", Format::CanalJson).await?;
    every_break(&mut trial, |trial| &trial.source).await?;
    trial.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_to_the_broker_breaks() -> Result<()> {
    let mut trial = Trial::streaming(Servers::own(Flavor::MySql57).await?, "network_broker", Format::DtsAvro).await?;
    every_break(&mut trial, Trial::broker).await?;
    trial.verify(0).await.map(drop)
}

async fn every_break(trial: &mut Trial, proxy: impl Fn(&Trial) -> &Proxy) -> Result<()> {
    for _ in 0..5 {
        trial.hold(Duration::from_millis(300)).await?;
        proxy(trial).cut();
    }
    trial.recovers("five cuts").await?;
    proxy(trial).refuse();
    trial.hold(Duration::from_secs(6)).await?;
    proxy(trial).pass();
    trial.recovers("six seconds of refusal").await?;
    proxy(trial).blackhole();
    trial.hold(Duration::from_secs(3)).await?;
    proxy(trial).pass();
    trial.recovers("three silent seconds").await?;
    proxy(trial).blackhole();
    trial.hold(SILENCE).await?;
    proxy(trial).pass();
    trial.recovers("a long silence").await?;
    proxy(trial).half_open();
    trial.recovers("connections that only the other side has closed").await?;
    proxy(trial).slow(30_000);
    trial.hold(Duration::from_secs(3)).await?;
    proxy(trial).pass();
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
