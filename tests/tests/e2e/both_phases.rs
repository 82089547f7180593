//! The full and the incremental phase with concurrent writers, every type, and both formats.

use std::time::Duration;

use tests::Result;
use tests::checker::{Decoded, Expected, Format, Record, Table, decode, verify_entries};
use tests::workload::{Writers, every_type, writers};

use super::case::{Case, Servers};

const ROWS: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canal_json_equals_the_source_under_concurrent_writers() -> Result<()> {
    under_writers("both_json", Format::CanalJson, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dts_avro_equals_the_source_under_concurrent_writers() -> Result<()> {
    under_writers("both_avro", Format::DtsAvro, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_by_primary_key_equal_the_source_under_concurrent_writers() -> Result<()> {
    under_writers("both_keys", Format::CanalJson, 4).await
}

async fn under_writers(name: &str, format: Format, partitions: i32) -> Result<()> {
    let servers = Servers::shared().await?;
    let tables = writers::create_tables(&servers.source, name, ROWS).await?;
    let mut case = Case::new(servers.clone(), name, format, partitions, tables).await?;
    // Chunks are small, so that the full phase consists of many chunks.
    case.settings.source = "chunk_rows = 50\nparallelism = 2".into();
    case.settings.merged = true;
    if partitions > 1 {
        case.settings.sink = "partition = \"primary_key\"".into();
    }
    case.task.configure(&case.settings)?;
    let writers = Writers::start(&servers.source, name, 4, Duration::from_millis(2), 1).await?;
    case.task.start()?;
    case.catch_up(Duration::from_secs(90)).await?;
    // The incremental phase continues a while, so that the writers make more changes in it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let written = writers.stop().await?;
    assert!(written.committed > 200 && written.rolled_back > 10, "{written:?}");
    case.catch_up(Duration::from_secs(60)).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    assert!(report.snapshot_rows as u64 >= 2 * ROWS && report.stream_rows > 200, "{report:?}");
    if partitions > 1 {
        let used: std::collections::BTreeSet<_> = case.entries.iter().map(|entry| entry.partition).collect();
        assert_eq!(used.len(), partitions as usize, "keys are spread over all partitions");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_limit_of_every_type_is_the_same_in_snapshot_and_stream() -> Result<()> {
    every_limit_of_every_type(&Servers::shared().await?, "edges").await.map(drop)
}

/// Compares every type in both phases and both formats, in databases and topics whose names begin with `prefix`. Returns the tasks, which
/// have been stopped.
pub(crate) async fn every_limit_of_every_type(servers: &Servers, prefix: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for format in [Format::CanalJson, Format::DtsAvro] {
        let name = format!("{prefix}_{}", format.name());
        let table = format!("{name}.every");
        let mysql = &servers.source;
        mysql.execute(&[&format!("CREATE DATABASE {name}"), &every_type::create(&table)]).await?;
        let rows: Vec<String> = (0..every_type::variants()).map(|id| every_type::insert_variant(&table, id)).collect();
        mysql.execute(&rows.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let mut case = Case::new(servers.clone(), &name, format, 1, vec![Table::new(&name, "every")]).await?;
        case.task.start()?;
        case.catch_up(Duration::from_secs(60)).await?;
        // The full phase may read the row of `fence` before the rows of `every`. So the fence alone does not show that all rows have
        // arrived.
        case.wait_for_records(every_type::variants() as usize + 1, Duration::from_secs(60)).await?;
        // Every row gets a new key and keeps its values, so the binlog must contain the values that the full phase has read.
        mysql.execute(&[&format!("UPDATE {table} SET id = id + 1000"), &format!("DELETE FROM {table} WHERE id % 7 = 0")]).await?;
        case.catch_up(Duration::from_secs(60)).await?;
        case.task.stop().await?;
        let report = case.verify(0).await?;
        // The full phase may also have read the first row of the table `fence`.
        let snapshot_rows = report.snapshot_rows as u64;
        assert!((every_type::variants()..=every_type::variants() + 1).contains(&snapshot_rows), "{report:?}");
        the_checker_finds_mistakes(&case).await?;
        cases.push(case);
    }
    Ok(cases)
}

/// The checker must report an error if a change is lost, repeated or moved, or if a value is altered.
async fn the_checker_finds_mistakes(case: &Case) -> Result<()> {
    let mysql = &case.servers.source;
    let tables = [Table::new(&case.database, "every"), Table::new(&case.database, "fence")];
    let expected = Expected { format: case.settings.format, cut_chunks: 0, late: 0, in_band: case.settings.is_in_band() };
    let records = decode(case.entries.clone(), expected.format)?;
    // The topic may contain a row of `fence` from both phases. If one of the two records is lost, the result is still right, so only
    // `every` is used here.
    let of_every = |record: &Record| matches!(&record.decoded, Decoded::Rows(rows) if rows.iter().all(|row| row.table.name == "every"));
    let stream: Vec<usize> = (0..records.len()).filter(|&index| !records[index].header.snapshot() && of_every(&records[index])).collect();
    let mut wrong = Vec::new();
    for &index in &stream {
        let (mut lost, mut repeated) = (case.entries.clone(), case.entries.clone());
        lost.remove(index);
        repeated.insert(index, case.entries[index].clone());
        wrong.extend([("lost", index, lost), ("repeated", index, repeated)]);
    }
    for pair in stream.windows(2) {
        let mut moved = case.entries.clone();
        moved.swap(pair[0], pair[1]);
        wrong.push(("moved", pair[0], moved));
    }
    let mut altered = case.entries.iter().enumerate().filter_map(|(index, entry)| {
        let at = entry.value.windows(7).position(|part| part == b"2024-02")?;
        let mut entries = case.entries.clone();
        entries[index].value[at + 3] = b'5';
        Some(("altered", index, entries))
    });
    if expected.format == Format::CanalJson {
        // Only the last altered record is used. Its row does not change later, so the wrong value shows in the final state.
        wrong.extend(altered.next_back());
    }
    for (what, index, entries) in wrong {
        let found = verify_entries(mysql, &tables, entries, expected).await;
        assert!(found.is_err(), "record {index} is {what}, and the checker does not find it");
    }
    Ok(())
}
