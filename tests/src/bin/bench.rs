//! Measures the whole program: how fast and at what price it moves rows from a real MySQL into a real Kafka.
//!
//! `cargo run --release -p tests --bin bench [-- --rows 2000000 --single 300000]`
//!
//! Each line drains what was written before into one partition of an empty topic, with zstd: changes from a saved binlog position, or a
//! snapshot of the table. The program is a child process; its processor time and peak memory are the kernel's figures.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::checker::Format;
use tests::harness::{Database, Flavor, Kafka};
use tests::measure::{Counter, Measured, follow, machine};
use tests::program::{Program, Settings, Task, as_command_line};
use tests::workload::load;
use tests::{Failure, Result};

const TABLE: &str = "bench.records";
/// Rows of one transaction of the bulk load.
const BATCH: u64 = 100;
const DRAIN_LIMIT: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> ExitCode {
    // The program runs as a process of its own: this file calls itself for it.
    if let Some(arguments) = as_command_line() {
        return connector_cli::run(connector_cli::bundled(), arguments).await;
    }
    match bench().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("the bench failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    /// Rows in transactions of [`BATCH`], and of the snapshot.
    rows: u64,
    /// One-row inserts, and one-row updates.
    single: u64,
}

fn options() -> Result<Options> {
    let mut options = Options { rows: 2_000_000, single: 300_000 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok()).filter(|&value| value > 0);
        match (name.as_str(), value) {
            ("--rows", Some(value)) => options.rows = value,
            ("--single", Some(value)) => options.single = value,
            _ => return Failure::err(format!("{name}: the options are --rows N and --single N")),
        }
    }
    if options.single > options.rows {
        return Failure::err("--single must not be greater than --rows: every update needs a row");
    }
    Ok(options)
}

async fn bench() -> Result<()> {
    let Options { rows, single } = options()?;
    let (mysql, kafka) = tokio::join!(Database::start(Flavor::MySql57, &["--innodb-buffer-pool-size=512M"]), Kafka::start());
    let bench = Bench { mysql: mysql?, kafka: kafka?, program: Program::myself()? };
    bench.mysql.execute(&["CREATE DATABASE bench", &load::create_ten_columns(TABLE)]).await?;
    let mut lines = Vec::new();

    let from = bench.mysql.position().await?;
    eprintln!("loading {rows} rows");
    load::insert(&bench.mysql, TABLE, 0, rows, BATCH, load::ten_columns).await?;
    lines.extend(bench.drain(&format!("changes, {BATCH} rows a transaction"), rows, Some(from)).await?);
    lines.extend(bench.drain("snapshot", rows, None).await?);

    let from = bench.mysql.position().await?;
    eprintln!("inserting {single} rows one by one");
    load::insert(&bench.mysql, TABLE, rows, rows + single, 1, load::ten_columns).await?;
    lines.extend(bench.drain("changes, one-row inserts", single, Some(from)).await?);

    let from = bench.mysql.position().await?;
    eprintln!("updating {single} rows one by one");
    let update =
        |id| format!("UPDATE {TABLE} SET state = state + 1, amount = amount + 1, updated = '2024-06-01 00:00:00.5' WHERE id = {id}");
    load::run(&bench.mysql, single, update).await?;
    lines.extend(bench.drain("changes, one-row updates", single, Some(from)).await?);

    println!("\n{}\n", machine());
    println!("| workload | rows | format | rows/s | CPU µs a row | peak memory MiB | first record after ms |");
    println!("|---|---:|---|---:|---:|---:|---:|");
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

struct Bench {
    mysql: Database,
    kafka: Kafka,
    program: Program,
}

impl Bench {
    /// Moves `rows` rows in each format: those after a binlog position, or the table as it is.
    async fn drain(&self, workload: &str, rows: u64, from: Option<(String, u64)>) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for format in [Format::CanalJson, Format::DtsAvro] {
            let topic: String = format!("{workload} {}", format.name()).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            let measured = self.measure(&topic, rows, from.as_ref(), format).await?;
            let Measured { time, first, cpu, .. } = measured;
            let rate = rows as f64 / time.as_secs_f64();
            let cost = cpu.as_secs_f64() * 1e6 / rows as f64;
            let line = format!(
                "| {workload} | {rows} | `{}` | {rate:.0} | {cost:.2} | {:.1} | {} |",
                format.name(),
                measured.peak_mib(),
                first.as_millis()
            );
            eprintln!("{line}");
            lines.push(line);
        }
        Ok(lines)
    }

    async fn measure(&self, topic: &str, rows: u64, from: Option<&(String, u64)>, format: Format) -> Result<Measured> {
        self.kafka.create_topic(topic, 1).await?;
        let mut settings = Settings::new(topic, &self.mysql, &[TABLE], &self.kafka, topic, format);
        settings.sink = "compression = \"zstd\"".into();
        settings.source = match from {
            Some((file, offset)) => format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}"),
            None => "phases = [\"full\"]".into(),
        };
        let mut task = Task::new(&self.program, &settings)?;
        let counter = Counter::open(&self.kafka.broker(), topic, 1).await?;
        let start = Instant::now();
        task.start()?;
        let measured = follow(&mut task, &counter, 0, rows as i64, start, DRAIN_LIMIT).await?;
        if from.is_some() {
            task.signal(Signal::SIGTERM)?;
        }
        let code = task.wait(Duration::from_secs(60)).await?;
        let end = counter.records().await?;
        if code != 0 || end != rows as i64 {
            return Failure::err(format!("{topic}: exit code {code}, {end} records for {rows} rows:\n{}", task.output()));
        }
        Ok(measured)
    }
}
