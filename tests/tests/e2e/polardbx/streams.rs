//! The program on several binlog streams: each has an order of its own, and the statements of all come once.

use std::sync::Arc;
use std::time::Duration;

use tests::Result;
use tests::checker::{Decoded, Format, Header, Table};
use tests::harness::database::USER;
use tests::harness::standin::Outcome;
use tests::harness::{Database, Flavor};
use tests::workload::{Writers, every_type, writers};

use super::product::checked;
use crate::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(120);
/// The chance that one of three streams has none of so many rows is less than 1 in 10,000.
const FENCES: usize = 26;

async fn started(options: &[&str]) -> Result<Servers> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, options).await?);
    Ok(Servers { source, kafka: Servers::shared().await?.kafka })
}

/// Waits until everything that was committed before has arrived, from all streams.
async fn catch_up(case: &mut Case) -> Result<()> {
    // The full phase is over behind this row.
    case.catch_up(LIMIT).await?;
    let mut fences = Vec::new();
    for _ in 0..FENCES {
        fences.push(case.fence().await?);
    }
    // Each of these waits looks only at new records, so they are counted in all.
    let numbers: Vec<String> = fences.iter().map(u64::to_string).collect();
    let start = std::time::Instant::now();
    loop {
        case.read().await?;
        let found = case.rows_of("fence", "id")?;
        if numbers.iter().all(|number| found.contains(number)) {
            return Ok(());
        }
        case.task.must_run()?;
        assert!(start.elapsed() < LIMIT, "{}", case.task.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The statements in the topic.
fn statements(case: &Case) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in &case.entries {
        if let Decoded::Schema { sql, .. } = case.settings.format.decode(&entry.value)? {
            found.push(sql);
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_streams_under_writers_and_kills_lose_and_repeat_nothing() -> Result<()> {
    let options = ["--standin-set=streams=3", "--standin-set=more_streams=2", "--standin-set=rotate_every=40"];
    let servers = started(&options).await?;
    let source = servers.source.clone();
    let mut tables = writers::create_tables(&source, "px_streams", 150.max(every_type::variants())).await?;
    source.execute(&["CREATE TABLE px_streams.gone (id INT PRIMARY KEY)", "INSERT INTO px_streams.gone VALUES (1), (2), (3)"]).await?;
    tables.push(Table::new("px_streams", "late"));
    let mut case = Case::new(servers, "px_streams", Format::CanalJson, 4, tables).await?;
    case.settings.source = "stream_group = \"group1\"\nchunk_rows = 40\nparallelism = 2".into();
    case.task.configure(&case.settings)?;
    let (report, passes) = checked(&case).await?;
    assert!(passes && report.contains("warning  streams") && report.contains("the streams of the group group1 (3) are read"), "{report}");
    let writers = Writers::start(&source, "px_streams", 3, Duration::from_millis(5), 1).await?;
    case.task.start()?;
    catch_up(&mut case).await?;
    source
        .execute(&[
            "CREATE TABLE px_streams.late (id INT PRIMARY KEY, a INT) PARTITION BY KEY(id) PARTITIONS 4",
            "INSERT INTO px_streams.late VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8)",
            "DROP TABLE px_streams.gone",
        ])
        .await?;
    let mut rng = fastrand::Rng::with_seed(3);
    for kill in 1..=6 {
        tokio::time::sleep(Duration::from_millis(rng.u64(300..1500))).await;
        case.task.must_run()?;
        case.task.kill()?;
        source.execute(&[&format!("UPDATE px_streams.late SET id = id + 100, a = a + {kill}")]).await?;
        case.task.start()?;
    }
    let written = writers.stop().await?;
    assert!(written.committed > 100, "{written:?}");
    catch_up(&mut case).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    assert!(report.stream_rows > 100, "{report:?}");
    let statements = statements(&case)?;
    let count = |text: &str| statements.iter().filter(|statement| statement.contains(text)).count();
    assert_eq!((count("CREATE TABLE"), count("DROP TABLE")), (1, 1), "{statements:#?}");
    // Each stream is a split with records of its own.
    let mut splits: Vec<u64> = Vec::new();
    for header in case.entries.iter().filter_map(|entry| entry.header.as_deref()) {
        let header = Header::parse(header)?;
        if !header.snapshot() {
            splits.push(header.split);
        }
    }
    splits.sort_unstable();
    splits.dedup();
    assert_eq!(splits.len(), 3);
    // The program sends nothing that a compute node rejects, or accepts and does not execute.
    let log = source.general_log()?;
    let odd: Vec<_> = log.iter().filter(|line| line.user == USER && line.outcome != Outcome::Done).collect();
    assert!(odd.is_empty(), "{odd:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_one_stream_is_delivered_by_it() -> Result<()> {
    let options = ["--standin-set=streams=3", "--standin-set=split=database", "--standin-set=global_binlog=0"];
    let servers = started(&options).await?;
    let source = servers.source.clone();
    source.execute(&["CREATE DATABASE px_one", "CREATE TABLE px_one.nopk (a INT)"]).await?;
    let mut case = Case::new(servers, "px_one", Format::DtsAvro, 1, vec![Table::new("px_one", "t")]).await?;
    // There is no global binlog, so the only group is read. It is taken for split by the record, which would lose rows without a key.
    let (report, passes) = checked(&case).await?;
    assert!(!passes && report.contains("FAILED   stream_keys") && report.contains("px_one.nopk has no primary key"), "{report}");
    case.settings.source = "stream_split = \"database\"\nphases = [\"schema\", \"full\", \"incremental\"]".into();
    case.task.configure(&case.settings)?;
    let (report, passes) = checked(&case).await?;
    assert!(passes && report.contains("of the group group1"), "{report}");
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    for other in 0..6 {
        source.execute(&[&format!("CREATE DATABASE px_other_{other}")]).await?;
    }
    source
        .execute(&[
            "CREATE TABLE px_one.t (id INT PRIMARY KEY, a INT)",
            "INSERT INTO px_one.t VALUES (1, 1), (2, 2)",
            "INSERT INTO px_one.nopk VALUES (5)",
            "TRUNCATE TABLE px_one.t",
            "INSERT INTO px_one.t VALUES (3, 3)",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    assert_eq!(case.rows_of("nopk", "a")?.len(), 1);
    let statements = statements(&case)?;
    let count = |text: &str| statements.iter().filter(|statement| statement.contains(text)).count();
    assert_eq!(count("TRUNCATE"), 1, "{statements:#?}");
    let created = statements.iter().filter(|sql| sql.starts_with("CREATE TABLE") && (sql.contains("px_one.t") || sql.contains("`t`")));
    assert_eq!(created.count(), 1, "{statements:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_which_streams_there_are() -> Result<()> {
    let options = ["--standin-set=streams=2", "--standin-set=more_streams=1", "--standin-set=global_binlog=0"];
    let servers = started(&options).await?;
    servers.source.execute(&["CREATE DATABASE px_which", "CREATE TABLE px_which.t (id INT PRIMARY KEY)"]).await?;
    let mut case = Case::new(servers, "px_which", Format::CanalJson, 1, vec![Table::new("px_which", "t")]).await?;
    for (source, is_ok, said) in [
        ("", false, "no global binlog, and several groups of streams (group1, group2)"),
        ("stream_group = \"group3\"", false, "there is no group \"group3\""),
        ("stream_group = \"group2\"", true, "the streams of the group group2 (1)"),
        (
            "stream_group = \"group1\"\nphases = [\"incremental\"]\nstart = { position = { file = \"group1_stream_0_binlog.000001\", offset = 4 } }",
            false,
            "position names one file",
        ),
        ("stream_group = \"group1\"\nphases = [\"incremental\"]\nstart = { earliest = {} }", true, "group1_stream_1_binlog.000001:4"),
    ] {
        case.settings.source = source.into();
        case.task.configure(&case.settings)?;
        let (report, passes) = checked(&case).await?;
        assert!(passes == is_ok && report.contains(said), "{source}: {report}");
    }
    // A task whose configuration names another group later is refused.
    case.settings.source = "stream_group = \"group1\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.settings.source = "stream_group = \"group2\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    assert_eq!(case.task.wait(LIMIT).await?, 2);
    assert!(case.task.output().contains("stream_group"), "{}", case.task.output());
    Ok(())
}
