//! Shows the effect of every setting of the formats, through the whole program. There is one small table, and one task for each group of
//! settings. The page of a format has a section with the messages of each of its tasks.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tests::checker::{Format, Table};
use tests::harness::Flavor;
use tests::{Failure, Result};

use super::super::case::{Case, Servers};
use super::{avro, canal};

const LIMIT: Duration = Duration::from_secs(90);

/// Settings of a format, and the settings of the source that they need.
type Run = (&'static str, &'static str);

const CANAL: &[Run] = &[
    ("", ""),
    ("profile = \"dts\"", ""),
    ("rows = \"event\"", ""),
    ("rows = \"event\", old = \"all\", profile = \"dts\", snapshot_type = \"INSERT\", mysql_type = \"full\", null_keys = \"write\"", ""),
    ("decimal = \"canal\", binary = \"base64\", labels = \"text\", json = \"canal\", time_zone = \"+08:00\"", ""),
    ("snapshot_type = \"INIT\", binary = \"hex\", mysql_type = \"base\", sql_type = \"static\", old = \"all\", null_keys = \"omit\"", ""),
];

const AVRO: &[Run] = &[
    ("", ""),
    ("snapshot_type = \"INSERT\", transactions = true, charset = \"source\"", ""),
    ("heartbeats = \"heartbeat\"", HEARTBEATS),
    ("heartbeats = \"checkpoint\", transactions = true", HEARTBEATS),
];

const HEARTBEATS: &str = "heartbeat = { enabled = true, interval_ms = 300 }";

const CREATE: &str = "CREATE TABLE options.t (id INT PRIMARY KEY, d DECIMAL(20,10), u INT UNSIGNED, b BINARY(3), e ENUM('new','paid'), \
    s SET('x','y'), j JSON, t TIMESTAMP NULL, l VARCHAR(9) CHARACTER SET latin1, g VARCHAR(9) CHARACTER SET gbk) CHARACTER SET utf8mb4";

/// Inserts two rows whose values are written differently with different settings, and a row of NULLs.
fn rows(first: u32) -> String {
    let values = "1.5, 4294967295, X'FE0A00', 'paid', 'x,y', '{\"b\": 1.5e20, \"a\": \"\\\\u0008\"}', '2024-02-29 12:34:56', 'é', '中'";
    format!(
        "INSERT INTO options.t VALUES ({first}, {values}), ({}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), ({}, {})",
        first + 1,
        first + 2,
        values.replace("4294967295", "7")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_the_formats_write_what_is_in_the_golden_files() -> Result<()> {
    let servers = Servers::shared_of(Flavor::MySql57).await?;
    let source = &servers.source;
    source.execute(&["CREATE DATABASE options CHARACTER SET utf8mb4", CREATE, &rows(1)]).await?;
    let first = Case::new(servers.clone(), "options", Format::CanalJson, 1, vec![Table::new("options", "t")]).await?;
    let (mut canals, mut avros) = (Vec::new(), Vec::new());
    for (format, runs, cases) in [(Format::CanalJson, CANAL, &mut canals), (Format::DtsAvro, AVRO, &mut avros)] {
        for (number, (options, of_source)) in runs.iter().enumerate() {
            let mut case = first.sibling(&format!("options_{}_{number}", format.name()), format, 1).await?;
            (case.settings.options, case.settings.source) = ((*options).to_owned(), (*of_source).to_owned());
            case.task.configure(&case.settings)?;
            case.task.start()?;
            cases.push(case);
        }
    }
    // The full phase may read the first fence, so a second fence shows that the stream has caught up.
    reach(&first, canals.iter_mut().chain(&mut avros)).await?;
    reach(&first, canals.iter_mut().chain(&mut avros)).await?;
    source
        .execute(&[
            &rows(11),
            "UPDATE options.t SET d = IF(id = 11, -7, d), g = IF(id = 13, NULL, g), e = 'new' WHERE id > 10",
            "UPDATE options.t SET id = 14 WHERE id = 13",
            "DELETE FROM options.t WHERE id > 10",
            "CREATE INDEX on_u ON options.t (u)",
        ])
        .await?;
    reach(&first, canals.iter_mut().chain(&mut avros)).await?;
    for case in avros.iter_mut().filter(|case| case.settings.source == HEARTBEATS) {
        let (known, start) = (case.entries.len(), Instant::now());
        while case.read().await? == known {
            assert!(start.elapsed() < LIMIT, "no heartbeat arrived:\n{}", case.task.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for (runs, cases, line) in [(CANAL, canals, canal::line as fn(&[u8]) -> Result<String>), (AVRO, avros, avro::line)] {
        let mut page =
            "Settings of the format and the messages of one small table. `…` stands for what differs from run to run.\n".to_owned();
        let name = cases.first().ok_or_else(|| Failure::new("no task"))?.settings.format.name();
        for ((options, _), mut case) in runs.iter().zip(cases) {
            case.task.stop().await?;
            case.read().await?;
            writeln!(page, "\n== {}", if options.is_empty() { "defaults" } else { options })?;
            for line in messages(&case, line)? {
                writeln!(page, "{line}")?;
            }
        }
        tests::golden::check(&format!("options/{name}.txt"), &page)?;
    }
    Ok(())
}

async fn reach(first: &Case, cases: impl Iterator<Item = &mut Case>) -> Result<()> {
    let fence = first.fence().await?;
    for case in cases {
        case.reach(fence, LIMIT).await?;
    }
    Ok(())
}

/// The messages of a task without those of the fences and of their transactions. Heartbeats may come at any time, so only one heartbeat
/// of each form is kept, at the end.
fn messages(case: &Case, line: impl Fn(&[u8]) -> Result<String>) -> Result<Vec<String>> {
    let lines = case.entries.iter().map(|entry| line(&entry.value)).collect::<Result<Vec<_>>>()?;
    let is_fence = |line: &String| line.contains("options.fence") || line.contains("\"table\":\"fence\"");
    let is_sign = |line: &&String| line.contains("operation: HEARTBEAT") || line.contains("operation: CHECKPOINT");
    let (mut signs, mut others): (Vec<&String>, Vec<&String>) = lines.iter().partition(is_sign);
    signs.dedup();
    let mut kept: Vec<&String> = Vec::new();
    let mut of_fence = false;
    for line in others.drain(..) {
        if is_fence(line) {
            kept.pop_if(|last| last.contains("operation: BEGIN"));
            of_fence = true;
        } else if !(std::mem::take(&mut of_fence) && line.contains("operation: COMMIT")) {
            kept.push(line);
        }
    }
    Ok(kept.into_iter().chain(signs).cloned().collect())
}
