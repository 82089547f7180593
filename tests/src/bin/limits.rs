//! Measures what must stay small even if the source is large: memory, and the time until the first record.
//!
//! `cargo run --release -p tests --bin limits [-- [--program PATH] transaction chunks tables partitions many-tables restarts
//! many-chunks]`
//!
//! - `transaction`: one transaction of 1,000,000 rows;
//! - `chunks`: a table of 1,000,000 rows, read in chunks while its rows change;
//! - `tables`: 1,000 tables: first their full phase, then a restart with changes in all of them;
//! - `partitions`: a topic of 4,096 partitions: first the start of a new task, then a restart;
//! - `many-tables`: the full phase of 1,000 and of 10,000 tables with one row each. The second run must cost about ten times as much as the
//!   first;
//! - `restarts`: the same tables: a first start, restarts with one change each, of which the one with the earliest record is shown, and then
//!   changes in all tables. Once all tables are selected, and once only one is, so that the schemas of the others are followed;
//! - `many-chunks`: the full phase of a table in 10,000 and in 100,000 chunks of ten rows each. Again the second run must cost about ten
//!   times as much.
//!
//! The program is a child process of the same build, or the command line at PATH. The kernel reports its CPU time and its peak memory
//! (VmHWM).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::checker::Format;
use tests::harness::{Database, Flavor, Kafka};
use tests::measure::{Counter, Measured, finish, follow, machine};
use tests::program::{Program, Settings, Task, as_command_line};
use tests::workload::load;
use tests::{Failure, Result};

const LIMIT: Duration = Duration::from_secs(600);
const MILLION: u64 = 1_000_000;
const TABLES: u64 = 1_000;
const ROWS_A_TABLE: u64 = 10;
const PARTITIONS: i32 = 4_096;
const CHANGES: u64 = 20_000;
const RESTARTS: u32 = 7;
const FULL: &str = "phases = [\"full\"]";
/// The server waits for no disk, or else thousands of tables would take half an hour.
const UNSAFE: [&str; 5] = [
    "--innodb-buffer-pool-size=512M",
    "--innodb-flush-method=nosync",
    "--innodb-file-per-table=OFF",
    "--skip-innodb-doublewrite",
    "--sync-frm=OFF",
];
/// A broker sends its heartbeats late while it opens thousands of logs. With a short session timeout it would lose its partitions again and
/// again.
const LONG_SESSION: &str = "broker.session.timeout.ms=30000";

#[tokio::main]
async fn main() -> ExitCode {
    // The bench starts this same executable as the program under test, in a process of its own. This branch is that process.
    if let Some(arguments) = as_command_line() {
        return connector_cli::run(connector_cli::bundled(), arguments).await;
    }
    match limits().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("the bench failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn limits() -> Result<()> {
    const ALL: [&str; 7] = ["transaction", "chunks", "tables", "partitions", "many-tables", "restarts", "many-chunks"];
    let mut chosen: Vec<String> = std::env::args().skip(1).collect();
    let mut program = Program::myself()?;
    if chosen.first().is_some_and(|name| name == "--program") {
        let path = chosen.get(1).ok_or_else(|| Failure::new("--program needs a path"))?;
        program = Program::new(std::path::Path::new(path).canonicalize()?);
        chosen.drain(..2);
    }
    if let Some(unknown) = chosen.iter().find(|name| !ALL.contains(&name.as_str())) {
        return Failure::err(format!("{unknown}: choose among {}", ALL.join(", ")));
    }
    if chosen.is_empty() {
        chosen = ALL.map(str::to_owned).to_vec();
    }
    let (mysql, kafka) = tokio::join!(Database::start(Flavor::MySql57, &UNSAFE), Kafka::start_with(&[LONG_SESSION]));
    let mut bench = Bench { mysql: mysql?, kafka: kafka?, program, lines: Vec::new() };
    bench.mysql.execute(&["CREATE DATABASE bench"]).await?;
    for name in &chosen {
        match name.as_str() {
            "transaction" => bench.transaction().await?,
            "chunks" => bench.chunks().await?,
            "tables" => bench.tables().await?,
            "many-tables" => bench.many_tables().await?,
            "restarts" => bench.restarts().await?,
            "many-chunks" => bench.many_chunks().await?,
            _ => bench.partitions().await?,
        }
    }
    println!("\n{}\n", machine());
    println!("| workload | format | records | seconds | CPU s | peak memory MiB | first record after ms |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    bench.lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

struct Bench {
    mysql: Database,
    kafka: Kafka,
    program: Program,
    lines: Vec<String>,
}

impl Bench {
    async fn transaction(&mut self) -> Result<()> {
        self.mysql.execute(&[&load::create_ten_columns("bench.bulk")]).await?;
        let (file, offset) = self.mysql.position().await?;
        eprintln!("one transaction of {MILLION} rows");
        let mut connection = self.mysql.connect().await?;
        connection.query_drop("BEGIN").await?;
        for first in (0..MILLION).step_by(1_000) {
            let rows: Vec<String> = (first..first + 1_000).map(load::ten_columns).collect();
            connection.query_drop(format!("INSERT INTO bench.bulk VALUES {}", rows.join(", "))).await?;
        }
        connection.query_drop("COMMIT").await?;
        connection.disconnect().await?;
        for format in [Format::CanalJson, Format::DtsAvro] {
            let source = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
            let mut run = self.run("transaction", "bench.bulk", format, 1, &source, "").await?;
            run.start()?;
            run.until(MILLION).await?;
            self.note("one transaction of 1,000,000 rows", format, &run);
            run.task.stop().await?;
        }
        Ok(())
    }

    async fn chunks(&mut self) -> Result<()> {
        self.mysql.execute(&[&load::create_ten_columns("bench.chunks")]).await?;
        eprintln!("a table of {MILLION} rows");
        load::insert(&self.mysql, "bench.chunks", 0, MILLION, 1_000, load::ten_columns).await?;
        for format in [Format::CanalJson, Format::DtsAvro] {
            let mut run = self.run("chunks", "bench.chunks", format, 1, "", "").await?;
            run.start()?;
            // Once the first row is delivered, the start position of the stream is committed, so all changes from now on will be
            // delivered.
            run.until(1).await?;
            let changes = self.change(|number| format!("UPDATE bench.chunks SET state = state + 1 WHERE id = {}", number * 7919 % MILLION));
            let (changed, read) = tokio::join!(changes, run.until(MILLION + CHANGES));
            changed.and(read)?;
            self.note("1,000,000 rows in chunks, 20,000 changes meanwhile", format, &run);
            run.task.stop().await?;
        }
        Ok(())
    }

    async fn tables(&mut self) -> Result<()> {
        eprintln!("{TABLES} tables");
        self.mysql
            .execute(&["CREATE DATABASE many", "SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 0"])
            .await?;
        let mut connection = self.mysql.connect().await?;
        for number in 0..TABLES {
            let table = format!("many.t{number:04}");
            connection.query_drop(load::create_ten_columns(&table)).await?;
            let rows: Vec<String> = (0..ROWS_A_TABLE).map(load::ten_columns).collect();
            connection.query_drop(format!("INSERT INTO {table} VALUES {}", rows.join(", "))).await?;
        }
        let change = |number: u64| {
            format!("UPDATE many.t{:04} SET state = state + 1 WHERE id = {}", number % TABLES, number / TABLES % ROWS_A_TABLE)
        };
        for format in [Format::CanalJson, Format::DtsAvro] {
            let mut run = self.run("tables", "many.*", format, 1, "", "").await?;
            run.start()?;
            run.until(TABLES * ROWS_A_TABLE).await?;
            self.change(change).await?;
            run.until(TABLES * ROWS_A_TABLE + CHANGES).await?;
            self.note("1,000 tables, full phase, then 20,000 changes", format, &run);
            run.task.stop().await?;

            connection.query_drop(change(0)).await?;
            run.start()?;
            run.until(1).await?;
            self.change(change).await?;
            run.until(1 + CHANGES).await?;
            self.note("1,000 tables, restart, then 20,000 changes", format, &run);
            run.task.stop().await?;
        }
        Ok(connection.disconnect().await?)
    }

    async fn partitions(&mut self) -> Result<()> {
        const ROWS: u64 = 100_000;
        self.mysql.execute(&[&load::create_ten_columns("bench.spread")]).await?;
        load::insert(&self.mysql, "bench.spread", 0, ROWS, 1_000, load::ten_columns).await?;
        let change = |number: u64| format!("UPDATE bench.spread SET state = state + 1 WHERE id = {}", number * 7919 % ROWS);
        for format in [Format::CanalJson, Format::DtsAvro] {
            eprintln!("a topic of {PARTITIONS} partitions");
            let mut run = self.run("partitions", "bench.spread", format, PARTITIONS, "", "partition = \"primary_key\"").await?;
            run.start()?;
            run.until(ROWS).await?;
            self.change(change).await?;
            run.until(ROWS + CHANGES).await?;
            self.note("4,096 partitions, 100,000 rows, then 20,000 changes", format, &run);
            run.task.stop().await?;

            self.mysql.execute(&[&change(0)]).await?;
            run.start()?;
            run.until(1).await?;
            self.change(change).await?;
            run.until(1 + CHANGES).await?;
            self.note("4,096 partitions, restart, then 20,000 changes", format, &run);
            run.task.stop().await?;
        }
        Ok(())
    }

    async fn many_tables(&mut self) -> Result<()> {
        for tables in [1_000, 10_000] {
            let database = self.create_many(tables).await?;
            for format in [Format::CanalJson, Format::DtsAvro] {
                let mut run = self.run(&format!("many-tables-{tables}"), &format!("{database}.*"), format, 1, FULL, "").await?;
                run.run_to_end(tables).await?;
                self.note(&format!("{tables} tables with one row each, full phase"), format, &run);
            }
        }
        Ok(())
    }

    async fn restarts(&mut self) -> Result<()> {
        for tables in [1_000, 10_000] {
            let database = self.create_many(tables).await?;
            for (selected, count, what) in [("*", tables, "tables"), ("t00000", 1, "tables, of which one is selected")] {
                let name = format!("restarts-{tables}-{count}");
                let format = Format::DtsAvro;
                let mut run = self.run(&name, &format!("{database}.{selected}"), format, 1, "", "").await?;
                run.start()?;
                run.until(count).await?;
                self.note(&format!("{tables} {what}: first start"), format, &run);
                run.task.stop().await?;

                let table = format!("{database}.t");
                let change = move |number: u64| format!("UPDATE {table}{:05} SET state = (state + 1) % 100", number % count);
                let mut least: Option<Measured> = None;
                for number in 0..RESTARTS {
                    if number > 0 {
                        run.task.stop().await?;
                    }
                    self.mysql.execute(&[&change(0)]).await?;
                    run.start()?;
                    run.until(1).await?;
                    eprintln!("first record after {} ms, CPU {} ms", run.seen.first.as_millis(), run.seen.cpu.as_millis());
                    least = least.filter(|least| least.first <= run.seen.first).or(Some(run.seen));
                }
                let last = std::mem::replace(&mut run.seen, least.unwrap_or_default());
                self.note(&format!("{tables} {what}: first record of a restart, the earliest of {RESTARTS}"), format, &run);
                run.seen = last;
                self.change(change).await?;
                run.until(1 + CHANGES).await?;
                self.note(&format!("{tables} {what}: restart, then 20,000 changes"), format, &run);
                run.task.stop().await?;
            }
        }
        Ok(())
    }

    /// Creates a database with so many tables of one row, unless an earlier workload has. Returns its name.
    async fn create_many(&self, tables: u64) -> Result<String> {
        let database = format!("many_{tables}");
        let mut connection = self.mysql.connect().await?;
        let there: Option<String> = connection.query_first(format!("SHOW DATABASES LIKE '{database}'")).await?;
        connection.disconnect().await?;
        if there.is_none() {
            eprintln!("{tables} tables with one row each");
            self.mysql.execute(&[&format!("CREATE DATABASE {database}")]).await?;
            let table = format!("{database}.t");
            load::run(&self.mysql, tables, move |number| load::create_ten_columns(&format!("{table}{number:05}"))).await?;
            let table = format!("{database}.t");
            load::run(&self.mysql, tables, move |number| format!("INSERT INTO {table}{number:05} VALUES {}", load::ten_columns(number)))
                .await?;
        }
        Ok(database)
    }

    async fn many_chunks(&mut self) -> Result<()> {
        const ROWS_A_CHUNK: u64 = 10;
        for chunks in [10_000, 100_000] {
            eprintln!("a table in {chunks} chunks");
            let (table, rows) = (format!("bench.chunks_{chunks}"), chunks * ROWS_A_CHUNK);
            self.mysql.execute(&[&load::create_ten_columns(&table)]).await?;
            load::insert(&self.mysql, &table, 0, rows, 1_000, load::ten_columns).await?;
            let source = format!("{FULL}\nchunk_rows = {ROWS_A_CHUNK}");
            let mut run = self.run(&format!("many-chunks-{chunks}"), &table, Format::CanalJson, 1, &source, "").await?;
            run.run_to_end(rows).await?;
            self.note(&format!("a table in {chunks} chunks, full phase"), Format::CanalJson, &run);
        }
        Ok(())
    }

    /// Runs [`CHANGES`] statements, each of which changes one row in its own transaction.
    async fn change(&self, statement: impl Fn(u64) -> String + Clone + Send + Sync + 'static) -> Result<()> {
        load::run(&self.mysql, CHANGES, statement).await
    }

    async fn run(&self, name: &str, tables: &str, format: Format, partitions: i32, source: &str, sink: &str) -> Result<Run> {
        let topic = format!("{name}-{}", format.name());
        self.kafka.create_topic(&topic, partitions).await?;
        let mut settings = Settings::new(&topic, &self.mysql, &[tables], &self.kafka, &topic, format);
        (settings.source, settings.sink) = (source.to_owned(), sink.to_owned());
        let task = Task::new(&self.program, &settings)?;
        let counter = Counter::open(&self.kafka.broker(), &topic, partitions).await?;
        Ok(Run { task, counter, start: Instant::now(), before: 0, records: 0, seen: Measured::default() })
    }

    fn note(&mut self, workload: &str, format: Format, run: &Run) {
        let Measured { time, first, cpu, .. } = run.seen;
        let line = format!(
            "| {workload} | `{}` | {} | {:.1} | {:.2} | {:.1} | {} |",
            format.name(),
            run.records,
            time.as_secs_f64(),
            cpu.as_secs_f64(),
            run.seen.peak_mib(),
            first.as_millis(),
        );
        eprintln!("{line}");
        self.lines.push(line);
    }
}

/// A task, and what was measured since the last start of its program.
struct Run {
    task: Task,
    counter: Counter,
    start: Instant,
    /// The number of records in the topic when the program was started.
    before: i64,
    records: u64,
    seen: Measured,
}

impl Run {
    fn start(&mut self) -> Result<()> {
        (self.before, self.records, self.seen) = (self.before + self.records as i64, 0, Measured::default());
        self.start = Instant::now();
        self.task.start()
    }

    /// Waits until `records` records were written since the start.
    async fn until(&mut self, records: u64) -> Result<()> {
        let first = (self.records > 0).then_some(self.seen.first);
        self.seen = follow(&mut self.task, &self.counter, self.before, records as i64, self.start, LIMIT).await?;
        // The time of the first record is known from the first wait; later waits must not replace it.
        self.seen.first = first.unwrap_or(self.seen.first);
        self.records = records;
        Ok(())
    }

    /// Runs a full phase, after which the program ends by itself, and measures the process until its end.
    async fn run_to_end(&mut self, records: u64) -> Result<()> {
        self.start()?;
        self.until(records).await?;
        self.seen = finish(&mut self.task, self.seen, self.start, LIMIT).await?;
        Ok(())
    }
}
