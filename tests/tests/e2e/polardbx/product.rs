//! The program on the stand-in: both phases, both formats, and every property that a real server may show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tests::checker::avro::{fields, inner};
use tests::checker::{Expected, Format, Header, Table, verify_with_alibaba};
use tests::harness::database::USER;
use tests::harness::standin::Outcome;
use tests::harness::{Database, Entry, Flavor};
use tests::workload::{Writers, every_type, writers};
use tests::{Failure, Result};

use crate::both_phases::every_limit_of_every_type;
use crate::case::{Case, Servers, program};

const LIMIT: Duration = Duration::from_secs(120);
const ROWS: u64 = 150;

/// Runs one task for each format on the same tables while writers change rows, and compares each topic with the source.
async fn under_writers(name: &str, options: &[&str]) -> Result<Arc<Database>> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, options).await?);
    let servers = Servers { source: source.clone(), kafka: Servers::shared().await?.kafka };
    let tables = writers::create_tables(&source, name, ROWS.max(every_type::variants())).await?;
    let mut cases: Vec<Case> = Vec::new();
    for format in [Format::CanalJson, Format::DtsAvro] {
        let topic = format!("{name}_{}", format.name());
        let mut case = match cases.first() {
            Some(first) => first.sibling(&topic, format, 4).await?,
            None => Case::new(servers.clone(), name, format, 1, tables.clone()).await?,
        };
        case.settings.source = "chunk_rows = 40\nparallelism = 2".into();
        case.task.configure(&case.settings)?;
        cases.push(case);
    }
    let writers = Writers::start(&source, name, 3, Duration::from_millis(5), 1).await?;
    cases.iter_mut().try_for_each(|case| case.task.start())?;
    for case in &mut cases {
        case.catch_up(LIMIT).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let written = writers.stop().await?;
    assert!(written.committed > 100 && written.rolled_back > 5, "{written:?}");
    for case in &mut cases {
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        let report = case.verify(0).await?;
        assert!(report.snapshot_rows as u64 >= 2 * ROWS && report.stream_rows > 100, "{report:?}");
    }
    let ids = cases.iter().map(transaction_ids).collect::<Result<Vec<_>>>()?;
    // The tasks have begun at different positions.
    let both: Vec<_> = ids[0].iter().filter_map(|(seq, id)| Some((id, ids[1].get(seq)?))).collect();
    assert!(both.len() > 100 && both.iter().all(|(one, other)| one == other), "both tasks read the same transactions");
    Ok(source)
}

/// The transaction id in the header of each record of the stream, by seq. Checks that it is a commit timestamp and that of the value, and
/// that the timestamps increase from transaction to transaction.
fn transaction_ids(case: &Case) -> Result<BTreeMap<u128, String>> {
    let mut ids = BTreeMap::new();
    for entry in &case.entries {
        let Header { seq, flags, txid, .. } = Header::parse(entry.header.as_deref().unwrap_or_default())?;
        if flags & 2 != 0 {
            continue;
        }
        let id = txid.ok_or_else(|| Failure::new(format!("{}: seq {seq:#x} has no transaction id", case.topic)))?;
        assert!(id.len() == 54 && id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
        if case.settings.format == Format::DtsAvro {
            let fields = fields(&entry.value)?;
            let found = fields.iter().find(|(name, _)| name == "sourceTxid").map(|(_, value)| inner(value));
            assert_eq!(found, Some(&apache_avro::types::Value::String(id.clone())), "{}", case.topic);
        }
        ids.insert(seq, id);
    }
    assert!(ids.len() > 100 && ids.values().is_sorted(), "{}: {ids:?}", case.topic);
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_formats_equal_the_source_under_concurrent_writers() -> Result<()> {
    let source = under_writers("px_plain", &["--default-time-zone=+08:00"]).await?;
    // The program sends nothing that a compute node rejects, or accepts and does not execute.
    let log = source.general_log()?;
    let own: Vec<_> = log.iter().filter(|line| line.user == USER).collect();
    assert!(own.len() > 50, "{}", own.len());
    let odd: Vec<_> = own.iter().filter(|line| line.outcome != Outcome::Done).collect();
    assert!(odd.is_empty(), "{odd:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_property_of_a_real_server_at_once() -> Result<()> {
    under_writers(
        "px_all",
        &[
            "--default-time-zone=-03:30",
            "--standin-first-file=999999",
            "--standin-set=rotate_every=40",
            "--standin-set=early_cts=0",
            "--standin-set=heartbeat_as_transaction=0",
            "--standin-set=hidden_key=1",
            "--standin-set=late_error=2000",
            "--standin-set=server_uuid_changes=1",
            "--standin-set=master_status_lag_ms=300",
            "--standin-set=lag_ms=200",
        ],
    )
    .await
    .map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn each_property_of_a_real_server_alone() -> Result<()> {
    for (number, set) in [
        "rotate_every=7",
        "early_cts=0",
        "heartbeat_as_transaction=0",
        "rows_query=0",
        "hidden_key=1",
        "late_error=5000",
        "server_uuid_changes=1",
        "master_status_lag_ms=1000",
        "lag_ms=1000",
        "file_bytes=16384",
    ]
    .into_iter()
    .enumerate()
    {
        under_writers(&format!("px_alone_{number}"), &[&format!("--standin-set={set}")]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_is_the_same_in_both_phases_whatever_the_zone_of_the_server() -> Result<()> {
    types_in("-03:30").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn every_type_is_the_same_in_both_phases_in_other_zones() -> Result<()> {
    for zone in ["+00:00", "+08:00"] {
        types_in(zone).await?;
    }
    Ok(())
}

async fn types_in(zone: &str) -> Result<()> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, &[&format!("--default-time-zone={zone}")]).await?);
    let name: String = zone.chars().filter(char::is_ascii_digit).collect();
    let servers = Servers { source, kafka: Servers::shared().await?.kafka };
    for case in every_limit_of_every_type(&servers, &format!("px_types_{name}")).await? {
        let tables = [Table::new(&case.database, "every"), Table::new(&case.database, "fence")];
        let expected = Expected { format: case.settings.format, cut_chunks: 0, late: 0, in_band: case.settings.is_in_band() };
        verify_with_alibaba(&servers.source, &tables, case.entries.clone(), expected).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_without_the_packet_that_ends_them_arrive() -> Result<()> {
    let options = ["--innodb-log-file-size=512M", "--max-allowed-packet=1G"];
    let source = Arc::new(Database::start(Flavor::PolarDbX, &options).await?);
    let servers = Servers { source: source.clone(), kafka: Servers::shared().await?.kafka };
    source.execute(&["CREATE DATABASE px_glued", "CREATE TABLE px_glued.t (id INT PRIMARY KEY, a LONGBLOB)"]).await?;
    let mut case = Case::new(servers, "px_glued", Format::CanalJson, 1, vec![Table::new("px_glued", "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // Besides the value the row event of an INSERT has 44 bytes here. One of these events has 0xFFFFFE bytes.
    for (id, length) in (0xff_ffff - 1 - 44 - 2..=0xff_ffff - 1 - 44 + 2).enumerate() {
        source.execute(&[&format!("INSERT INTO px_glued.t VALUES ({id}, REPEAT('x', {length}))")]).await?;
    }
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await.map(drop)
}

/// The output of `check`, and whether it found nothing that fails.
pub(super) async fn checked(case: &Case) -> Result<(String, bool)> {
    let file = case.task.file().display().to_string();
    let output = tokio::task::spawn_blocking(move || program().command(&["check", &file]).output()).await??;
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_knows_the_server_and_what_the_account_may() -> Result<()> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, &[]).await?);
    let servers = Servers { source: source.clone(), kafka: Servers::shared().await?.kafka };
    source
        .execute(&[
            "CREATE DATABASE px_check MODE='auto'",
            "CREATE TABLE px_check.t (id INT, region INT, PRIMARY KEY (id)) PARTITION BY KEY(region) PARTITIONS 4",
            "CREATE TABLE px_check.nopk (a INT) BROADCAST",
        ])
        .await?;
    let case = Case::new(servers, "px_check", Format::CanalJson, 1, Vec::new()).await?;
    let (output, passes) = checked(&case).await?;
    for expected in [
        "ok       server",
        "PolarDB-X 5.7.25-PXC",
        "reported by one data node",
        "PolarDB-X reports only what its data nodes have committed",
        "warning  binlog_retention",
        "table px_check.nopk has no primary key",
        "the key (id) of table px_check.t is unique within a partition only; rows are told apart by (id, region)",
        "3 selected",
    ] {
        assert!(output.contains(expected), "{expected}: {output}");
    }
    assert!(passes && !output.contains("FAILED"), "{output}");
    let odd: Vec<_> = source.general_log()?.into_iter().filter(|line| line.user == USER && line.outcome != Outcome::Done).collect();
    assert!(odd.is_empty(), "{odd:?}");
    source.execute(&[&format!("REVOKE REPLICATION SLAVE ON *.* FROM '{USER}'@'%'")]).await?;
    let (output, passes) = checked(&case).await?;
    assert!(!passes && output.contains("FAILED   replication_slave") && output.contains("PXC-5110"), "{output}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_and_archived_rows_are_delivered_as_the_settings_say() -> Result<()> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, &["--standin-set=archive_tables=px_ddl.old"]).await?);
    let servers = Servers { source: source.clone(), kafka: Servers::shared().await?.kafka };
    source.execute(&["CREATE DATABASE px_ddl MODE='auto'", "CREATE TABLE px_ddl.old (id INT PRIMARY KEY)"]).await?;
    let mut case = Case::new(servers, "px_ddl", Format::CanalJson, 1, vec![Table::new("px_ddl", "t")]).await?;
    case.settings.source = "archived_deletes = \"skip\"\nddl_text = \"original\"".into();
    case.settings.sink = "record_key = \"primary_key\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    source
        .execute(&[
            "INSERT INTO px_ddl.old VALUES (1), (2)",
            "CREATE TABLE px_ddl.t (id INT, region INT, PRIMARY KEY (id)) PARTITION BY KEY(region) PARTITIONS 4",
            "INSERT INTO px_ddl.t VALUES (1, 1), (2, 2)",
            "UPDATE px_ddl.t SET region = 3 WHERE id = 1",
            "DELETE FROM px_ddl.old WHERE id = 1",
            "CREATE USER px_someone IDENTIFIED BY 'planted-secret'",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let texts: Vec<String> = case.entries.iter().map(|entry| String::from_utf8_lossy(&entry.value).into_owned()).collect();
    let of = |table: &str| texts.iter().filter(|text| text.contains(&format!("\"table\":\"{table}\""))).collect::<Vec<_>>();
    let is_row_of_t = |entry: &Entry| {
        let text = String::from_utf8_lossy(&entry.value);
        text.contains("\"table\":\"t\"") && text.contains("\"isDdl\":false")
    };
    // The text of the user has the partitions, and they are a part of the key.
    assert!(texts.iter().any(|text| text.contains("\"isDdl\":true") && text.contains("PARTITION BY KEY(region)")), "{texts:#?}");
    let keys: std::collections::BTreeSet<_> = case.entries.iter().filter(|entry| is_row_of_t(entry)).map(|entry| &entry.key).collect();
    assert_eq!(keys.len(), 3, "{texts:#?}");
    assert_eq!(of("old").iter().filter(|text| text.contains("\"DELETE\"")).count(), 0, "{texts:#?}");
    assert!(!case.task.output().contains("planted-secret") && texts.iter().all(|text| !text.contains("planted-secret")));
    case.verify(0).await.map(drop)
}
