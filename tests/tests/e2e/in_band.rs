//! The full phase inside the stream, under writers and kills: no key goes back in time, and no row comes twice.

use std::time::{Duration, Instant};

use tests::checker::{Format, Report, Table};
use tests::harness::{Database, Flavor};
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
    const ROWS: u64 = 4_000;
    let servers = Servers::shared_of(flavor).await?;
    let tables = writers::create_tables(&servers.source, name, ROWS).await?;
    let mut case = Case::new(servers.clone(), name, format, partitions, tables).await?;
    case.settings.source = "handover = \"in_band\"\nchunk_rows = 8\nparallelism = 3".into();
    if partitions > 1 {
        case.settings.sink = "partition = \"primary_key\"\nkey_change = \"split\"".into();
    }
    case.task.configure(&case.settings)?;
    let writers = Writers::start(&servers.source, name, 4, Duration::from_millis(2), 7).await?;
    let (mut rng, mut in_full) = (fastrand::Rng::with_seed(16), 0);
    for _ in 0..kills {
        case.task.start()?;
        tokio::time::sleep(Duration::from_millis(rng.u64(600..1600))).await;
        case.task.must_run()?;
        case.task.kill()?;
        in_full += usize::from(!case.task.has_said(OVER)?);
    }
    case.task.start()?;
    end_of_full_phase(&mut case).await?;
    let written = writers.stop().await?;
    assert!(written.committed > 100, "{written:?}");
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    println!("{name}: {in_full} of {kills} kills in the full phase; {written:?}");
    assert!(report.snapshot_rows > 500 && report.stream_rows > 100, "{report:?}");
    assert!(in_full >= kills * 2 / 3, "only {in_full} of {kills} kills fell into the full phase");
    Ok(report)
}

async fn end_of_full_phase(case: &mut Case) -> Result<()> {
    let start = Instant::now();
    while !case.task.has_said(OVER)? {
        case.task.must_run()?;
        if start.elapsed() > LIMIT {
            return Failure::err(format!("{}: the full phase is not over; the output of the program:\n{}", case.topic, case.task.output()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Creates a database with tables of `rows` rows, whose texts begin with the name of their table.
async fn create_numbered(mysql: &Database, database: &str, tables: &[&str], rows: u64) -> Result<()> {
    mysql.execute(&[&format!("CREATE DATABASE {database}")]).await?;
    for table in tables {
        let digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL \
                      SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
        let number = "a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n";
        mysql
            .execute(&[
                &format!("CREATE TABLE {database}.{table} (id INT NOT NULL PRIMARY KEY, v VARCHAR(40) NOT NULL)"),
                &format!(
                    "INSERT INTO {database}.{table} SELECT {number}, CONCAT('{table} ', a.n) \
                     FROM {digits} a, {digits} b, {digits} c, {digits} d, {digits} e WHERE {number} < {rows}"
                ),
            ])
            .await?;
    }
    Ok(())
}

/// Starts a task with small chunks, and waits until some rows of its first table are read.
async fn begin(servers: &Servers, name: &str, tables: &[&str]) -> Result<Case> {
    let tables = tables.iter().map(|table| Table::new(name, *table)).collect();
    let mut case = Case::new(servers.clone(), name, Format::DtsAvro, 1, tables).await?;
    case.settings.source = "handover = \"in_band\"\nchunk_rows = 20\nparallelism = 4".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.wait_for_records(2_000, LIMIT).await?;
    Ok(case)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_in_the_full_phase_begin_only_their_table_again() -> Result<()> {
    const NAME: &str = "band_ddl";
    const ROWS: u64 = 16_000;
    let servers = Servers::shared().await?;
    create_numbered(&servers.source, NAME, &["altered", "emptied", "later", "moved", "quiet"], ROWS).await?;
    let mut case = begin(&servers, NAME, &["altered", "emptied", "later", "arrived", "quiet"]).await?;
    servers
        .source
        .execute(&[
            &format!("UPDATE {NAME}.altered SET v = 'before' WHERE id < 5 OR id > {}", ROWS - 5),
            &format!("ALTER TABLE {NAME}.altered ADD COLUMN extra INT NULL FIRST"),
            &format!("UPDATE {NAME}.altered SET extra = id WHERE id % 1000 = 0"),
            // Nothing of this table is read yet.
            &format!("UPDATE {NAME}.later SET v = 'before' WHERE id < 5"),
            &format!("ALTER TABLE {NAME}.later ADD COLUMN extra INT NULL"),
            &format!("TRUNCATE TABLE {NAME}.emptied"),
            &format!("INSERT INTO {NAME}.emptied VALUES (1, 'one'), (2, 'two')"),
            &format!("RENAME TABLE {NAME}.moved TO {NAME}.arrived"),
            &format!("DELETE FROM {NAME}.arrived WHERE id % 100 = 0"),
        ])
        .await?;
    end_of_full_phase(&mut case).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let quiet = case.rows_of("quiet", "id")?.len() as u64;
    assert_eq!(quiet, ROWS, "the rows of the other table are read once");
    case.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_exchange_their_names_in_the_full_phase_lose_no_row() -> Result<()> {
    const NAME: &str = "band_swap";
    let tables = ["one", "two"];
    let servers = Servers::shared().await?;
    create_numbered(&servers.source, NAME, &tables, 16_000).await?;
    let mut case = begin(&servers, NAME, &tables).await?;
    servers.source.execute(&[&format!("RENAME TABLE {NAME}.one TO {NAME}.x, {NAME}.two TO {NAME}.one, {NAME}.x TO {NAME}.two")]).await?;
    end_of_full_phase(&mut case).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await.map(drop)
}
