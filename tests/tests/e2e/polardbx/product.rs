//! The program on the stand-in: both phases, both formats, and every property that a real server may show.

use std::sync::Arc;
use std::time::Duration;

use tests::Result;
use tests::checker::Format;
use tests::harness::database::USER;
use tests::harness::standin::Outcome;
use tests::harness::{Database, Flavor};
use tests::workload::{Writers, every_type, writers};

use crate::case::{Case, Servers};

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
    Ok(source)
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
