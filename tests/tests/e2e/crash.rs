//! `kill -9` at random moments in both phases. No record may be lost, and no record of the stream may be repeated or reordered.

use std::time::{Duration, Instant};

use tests::Result;
use tests::checker::{Format, Table};
use tests::workload::{Writers, load, writers};

use super::case::{Case, Servers, alone};

const BULK_ROWS: u64 = 60_000;
const KILLS: u32 = 20;
const PARALLELISM: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_and_repeat_nothing_of_the_stream() -> Result<()> {
    let _turn = alone().await;
    let servers = Servers::shared().await?;
    let name = "crash";
    let mut tables = writers::create_tables(&servers.source, name, 100).await?;
    servers.source.execute(&[&load::create_ten_columns("crash.bulk")]).await?;
    load::insert(&servers.source, "crash.bulk", 0, BULK_ROWS, 1000, load::ten_columns).await?;
    tables.push(Table::new(name, "bulk"));
    let mut case = Case::new(servers.clone(), name, Format::CanalJson, 1, tables).await?;
    case.settings.source = format!("chunk_rows = 2000\nparallelism = {PARALLELISM}");
    case.settings.merged = true;
    case.task.configure(&case.settings)?;
    let mut rng = fastrand::Rng::with_seed(20);
    let writers = Writers::start(&servers.source, name, 3, Duration::from_millis(3), 2).await?;

    // The first half of the kills is meant for the full phase. Each kill comes at a later point of it.
    let mut in_snapshot = 0;
    for kill in 1..=KILLS / 2 {
        case.task.start()?;
        let target = BULK_ROWS as usize * kill as usize / (KILLS as usize / 2 + 1);
        let start = Instant::now();
        while case.read().await? < target && start.elapsed() < Duration::from_secs(20) {
            case.task.must_run()?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(..30))).await;
        case.task.kill()?;
        in_snapshot += usize::from((case.read().await? as u64) < BULK_ROWS);
    }
    assert!(in_snapshot >= 5, "only {in_snapshot} kills fell into the full phase");
    // The second half of the kills is meant for the incremental phase. Each kill comes at a random moment after the start.
    case.task.start()?;
    case.catch_up(Duration::from_secs(60)).await?;
    case.task.kill()?;
    for _ in 0..KILLS / 2 - 1 {
        case.task.start()?;
        tokio::time::sleep(Duration::from_millis(rng.u64(20..1500))).await;
        case.task.must_run()?;
        case.task.kill()?;
    }
    case.task.start()?;
    let written = writers.stop().await?;
    case.catch_up(Duration::from_secs(60)).await?;
    case.task.stop().await?;
    let report = case.verify(in_snapshot * PARALLELISM).await?;
    println!("{KILLS} kills, {in_snapshot} of them in the full phase; {written:?}");
    assert!(report.stream_rows > 500, "{report:?}");
    Ok(())
}
