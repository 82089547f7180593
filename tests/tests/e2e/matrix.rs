//! Every server, with both formats and every kind of access to Kafka: the full and the incremental phase with concurrent writers and
//! every type.

use std::sync::Arc;
use std::time::Duration;

use tests::checker::Format;
use tests::harness::{Database, Flavor, Kafka};
use tests::program::{Access, Mechanism};
use tests::workload::{Writers, every_type, writers};
use tests::{Failure, Result};

use super::case::{Case, Servers, alone};

const ROWS: u64 = 150;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_5_7_into_both_formats_openly_and_by_scram_over_tls() -> Result<()> {
    into_both_formats(Servers::shared_of(Flavor::MySql57).await?, "matrix").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_8_0_into_both_formats_openly_and_by_scram_over_tls() -> Result<()> {
    into_both_formats(Servers::shared_of(Flavor::MySql80).await?, "matrix").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_into_both_formats_openly_and_by_scram_over_tls() -> Result<()> {
    into_both_formats(Servers::shared_of(Flavor::MariaDb).await?, "matrix").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn polardbx_into_both_formats_openly_and_by_scram_over_tls() -> Result<()> {
    into_both_formats(Servers::shared_of(Flavor::PolarDbX).await?, "matrix").await
}

async fn into_both_formats(servers: Servers, name: &str) -> Result<()> {
    let accesses = [Access::Open, Access::SaslTls(Mechanism::Scram256)];
    let tasks =
        [Format::CanalJson, Format::DtsAvro].into_iter().flat_map(|format| accesses.map(|access| Setup { format, access, sink: "" }));
    under_writers(servers, name, tasks.collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn every_server_and_setting_with_every_access_to_kafka() -> Result<()> {
    const GTID: [&str; 2] = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"];
    const FULL: &str = "--binlog-row-metadata=FULL";
    let _turn = alone().await;
    let kafka = Arc::new(Kafka::start().await?);
    for (flavor, name, options) in [
        (Flavor::MySql57, "plain", &[] as &[&str]),
        (Flavor::MySql57, "gtid", &GTID),
        (Flavor::MySql80, "plain", &[]),
        (Flavor::MySql80, "gtid_full", &[GTID[0], GTID[1], FULL]),
        (Flavor::MariaDb, "plain", &[]),
        (Flavor::MariaDb, "full", &[FULL]),
    ] {
        let source = Arc::new(Database::start(flavor, options).await?);
        let sinks = [
            "",
            "compression = \"none\"",
            "compression = \"gzip\"",
            "compression = \"snappy\"",
            "compression = \"lz4\"",
            "compression = \"zstd\"",
        ];
        for (turn, formats) in [[Format::CanalJson, Format::DtsAvro], [Format::DtsAvro, Format::CanalJson]].into_iter().enumerate() {
            let accesses = Access::ALL.into_iter().enumerate();
            let setup = |(number, access)| Setup { format: formats[number % 2], access, sink: sinks[(number + 3 * turn) % sinks.len()] };
            let servers = Servers { source: source.clone(), kafka: kafka.clone() };
            under_writers(servers, &format!("all_{name}_{turn}"), accesses.map(setup).collect()).await?;
        }
    }
    Ok(())
}

/// The newest MySQL, first without and then with compressed transactions. It is not available everywhere; where it is missing, the test
/// is skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn the_newest_mysql_with_and_without_compressed_transactions() -> Result<()> {
    if let Err(why) = Flavor::MySqlNewest.available().await {
        println!("skipped: the newest MySQL cannot be had here: {why}");
        return Ok(());
    }
    let kafka = Servers::shared().await?.kafka;
    for (name, options) in [("newest", &[] as &[&str]), ("newest_compressed", &["--binlog-transaction-compression=ON"])] {
        let source = Arc::new(Database::start(Flavor::MySqlNewest, options).await?);
        into_both_formats(Servers { source, kafka: kafka.clone() }, name).await?;
    }
    Ok(())
}

/// The format of one task and its access to Kafka.
struct Setup {
    format: Format,
    access: Access,
    /// Additional keys of `[sink.kafka]`.
    sink: &'static str,
}

/// Runs one task for each setup, all at once on the same tables while writers change rows, and compares each topic with the source.
async fn under_writers(servers: Servers, name: &str, setups: Vec<Setup>) -> Result<()> {
    let (source, kafka) = (servers.source.clone(), servers.kafka.clone());
    let name = format!("{name}_{}", source.flavor().name());
    let tables = writers::create_tables(&source, &name, ROWS.max(every_type::variants())).await?;
    let mut cases: Vec<Case> = Vec::new();
    for (number, Setup { format, access, sink }) in setups.into_iter().enumerate() {
        // Every other task has four partitions, and distributes rows over them by primary key.
        let partitions = 1 + 3 * (number as i32 % 2);
        let topic = format!("{name}_{}_{}_{number}", format.name(), access.name());
        let mut case = match cases.first() {
            Some(first) => first.sibling(&topic, format, partitions).await?,
            None => Case::new(servers.clone(), &name, format, partitions, tables.clone()).await?,
        };
        case.settings.enter(&kafka, access)?;
        case.settings.source = "chunk_rows = 40\nparallelism = 2".into();
        case.settings.sink = format!("{sink}\npartition = {:?}", if partitions == 1 { "zero" } else { "primary_key" });
        case.task.configure(&case.settings)?;
        cases.push(case);
    }
    let writers = Writers::start(&source, &name, 3, Duration::from_millis(5), 1).await?;
    cases.iter_mut().try_for_each(|case| case.task.start())?;
    let first = cases.first().ok_or_else(|| Failure::new("no task"))?;
    let fence = first.fence().await?;
    for case in &mut cases {
        case.reach(fence, LIMIT).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let written = writers.stop().await?;
    assert!(written.committed > 100 && written.rolled_back > 5, "{written:?}");
    let fence = cases[0].fence().await?;
    for case in &mut cases {
        case.reach(fence, LIMIT).await?;
        case.task.stop().await?;
        let report = case.verify(0).await?;
        assert!(report.snapshot_rows as u64 >= 2 * ROWS && report.stream_rows > 100, "{report:?}");
    }
    Ok(())
}
