//! The full phase inside the stream, under writers and kills: no key goes back in time, and no row comes twice.

use std::time::{Duration, Instant};

use tests::checker::{Format, Report};
use tests::harness::Flavor;
use tests::workload::{Writers, writers};
use tests::{Failure, Result};

use super::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(180);
/// What the program says when the rows of all tables are read.
const OVER: &str = "all rows are read";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_merged_into_the_stream_under_writers() -> Result<()> {
    under_writers("band_json", Flavor::MySql57, Format::CanalJson, 1, 0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_in_the_full_phase_repeat_and_lose_nothing() -> Result<()> {
    under_writers("band_kills", Flavor::MySql57, Format::DtsAvro, 4, 10).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn kills_in_the_full_phase_on_every_server_repeat_and_lose_nothing() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb, Flavor::PolarDbX] {
        for format in [Format::CanalJson, Format::DtsAvro] {
            for partitions in [1, 4] {
                let name = format!("band_{flavor:?}_{}_{partitions}", format.name()).to_lowercase();
                under_writers(&name, flavor, format, partitions, 13).await?;
            }
        }
    }
    Ok(())
}

/// Runs a task whose chunks are small while writers change the same rows, and kills it `kills` times while its full phase runs.
async fn under_writers(name: &str, flavor: Flavor, format: Format, partitions: i32, kills: usize) -> Result<Report> {
    const ROWS: u64 = 2_000;
    let servers = Servers::shared_of(flavor).await?;
    let tables = writers::create_tables(&servers.source, name, ROWS).await?;
    let mut case = Case::new(servers.clone(), name, format, partitions, tables).await?;
    case.settings.source = "handover = \"in_band\"\nchunk_rows = 25\nparallelism = 3".into();
    if partitions > 1 {
        case.settings.sink = "partition = \"primary_key\"\nkey_change = \"split\"".into();
    }
    case.task.configure(&case.settings)?;
    let writers = Writers::start(&servers.source, name, 4, Duration::from_millis(2), 7).await?;
    let (mut rng, mut in_full) = (fastrand::Rng::with_seed(16), 0);
    for _ in 0..kills {
        case.task.start()?;
        tokio::time::sleep(Duration::from_millis(rng.u64(900..2200))).await;
        case.task.must_run()?;
        case.task.kill()?;
        in_full += usize::from(!case.task.has_said(OVER)?);
    }
    case.task.start()?;
    let start = Instant::now();
    while !case.task.has_said(OVER)? {
        case.task.must_run()?;
        if start.elapsed() > LIMIT {
            return Failure::err(format!("{name}: the full phase is not over; the output of the program:\n{}", case.task.output()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let written = writers.stop().await?;
    assert!(written.committed > 100, "{written:?}");
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    println!("{name}: {in_full} of {kills} kills in the full phase; {written:?}");
    assert!(report.snapshot_rows > 500 && report.stream_rows > 100, "{report:?}");
    assert!(in_full >= kills / 2, "only {in_full} of {kills} kills fell into the full phase");
    Ok(report)
}
