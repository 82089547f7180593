//! The demo starts a real MySQL with the data of a small shop, and a real Kafka. The stock program copies the shop into Kafka, with the
//! configuration `docs/config/shop.toml`.
//!
//! Run it with `cargo demo`, an alias of `cargo run --profile demo -p tests --no-default-features --bin demo`.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::checker::{Expected, Format, verify_entries};
use tests::harness::{Database, Entry, Flavor, Kafka, Process, TopicReader, database};
use tests::program::{Program, as_command_line};
use tests::workload::shop;
use tests::{Failure, Result};

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config/shop.toml");
const TOPIC: &str = "shop";
/// How long the shop does business while the program streams the changes.
const BUSINESS: Duration = Duration::from_secs(15);
/// The name in the row that is written last. Once this row is in the topic, all earlier changes are there too.
const LAST_CUSTOMER: &str = "The last customer of the day";

#[tokio::main]
async fn main() -> ExitCode {
    // The demo starts this same executable as the program, in a process of its own as in production. This branch is that process.
    if let Some(arguments) = as_command_line() {
        return connector_cli::run(connector_cli::bundled(), arguments).await;
    }
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nthe demo failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let mut step = Step(Instant::now());
    println!("A shop in MySQL, copied into Kafka and kept up to date.\n");
    let (mysql, kafka) = tokio::join!(Database::start(Flavor::MySql57, &[]), Kafka::start());
    let (mysql, kafka) = (mysql?, kafka?);
    step.done("servers", &format!("MySQL 5.7.22 on 127.0.0.1:{}, Kafka 4.1.0 on {}", mysql.port(), kafka.broker()));
    let tables = shop::load(&mysql).await?;
    kafka.create_topic(TOPIC, 1).await?;
    step.done("shop", &format!("{} tables, {} rows; topic {TOPIC} with one partition", tables.len(), shop::ROWS));

    let folder = tempfile::Builder::new().prefix("demo").tempdir()?;
    let environment: [(&str, OsString); 4] = [
        ("SHOP_DB_PASSWORD", database::PASSWORD.into()),
        ("CONNECT_SOURCE__POLARDBX__PORT", mysql.port().to_string().into()),
        ("CONNECT_SINK__KAFKA__BROKERS", kafka.broker().into()),
        ("CONNECT_STORE__LOCAL__PATH", folder.path().join("state").into()),
    ];
    println!("\n           connector-cli run docs/config/shop.toml, with from the environment");
    for (name, value) in &environment {
        println!("             {name}={}", value.display());
    }
    let mut command = Program::myself()?.command(&["run", CONFIGURATION]);
    command.envs(environment);
    let mut program = RunningProgram { process: Process::spawn("connector-cli", &mut command, folder.path(), "log")?, printed: 0 };
    let mut topic = Topic { reader: TopicReader::open(&kafka, TOPIC).await?, entries: Vec::new() };
    println!();

    let start = Instant::now();
    topic.wait(&mut program, |entries| !entries.is_empty()).await?;
    step.done("first", "the first record is in the topic");
    topic.wait(&mut program, |entries| entries.len() as u64 >= shop::ROWS).await?;
    let rate = shop::ROWS as f64 / start.elapsed().as_secs_f64();
    step.done("full", &format!("{} rows are in the topic, {rate:.0} rows/s with start and end", topic.entries.len()));

    let business = tokio::spawn(async move { shop::do_business(&mysql, BUSINESS, 1).await.map(|done| (mysql, done)) });
    while !business.is_finished() {
        program.show()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (mysql, done) = business.await??;
    let last =
        format!("INSERT INTO shop.customers VALUES (4294967295, '{LAST_CUSTOMER}', 'last@example.com', 'DE', 0, '2024-12-31', NULL)");
    mysql.execute(&[&last]).await?;
    let written = Instant::now();
    topic.wait(&mut program, |entries| entries.last().is_some_and(|entry| contains(&entry.value, LAST_CUSTOMER))).await?;
    let lag = written.elapsed();
    step.done(
        "incremental",
        &format!(
            "{} orders placed, {} advanced, {} deleted, {} customers and products edited, {} carts abandoned; the last change took {} ms",
            done.placed,
            done.advanced,
            done.deleted,
            done.edited,
            done.abandoned,
            lag.as_millis()
        ),
    );
    program.stop().await?;

    println!("\nThe last messages of the topic:\n");
    for entry in topic.entries.iter().rev().take(3).rev() {
        println!("  {}\n", String::from_utf8_lossy(&entry.value));
    }
    let expected = Expected { format: Format::CanalJson, cut_chunks: 0, late: 0, in_band: true };
    let report = verify_entries(&mysql, &tables, topic.entries, expected).await?;
    step.done("verified", &report.to_string());
    println!("\n{NEXT}");
    Ok(())
}

const NEXT: &str = "With servers of your own:
  1. copy docs/config/shop.toml and set your host, account, tables, broker and topic
  2. create the topic: kafka-topics.sh --bootstrap-server HOST:9092 --create --topic shop
  3. check it:         cargo run --release -p connector-cli -- check your.toml
  4. start it:         cargo run --release -p connector-cli -- run your.toml
Ctrl-C stops it at a commit; the next start continues from there.";

/// Prints each step of the demo with its duration. The field is the time at which the current step began.
struct Step(Instant);

impl Step {
    fn done(&mut self, name: &str, text: &str) {
        println!("{name:<12} {:>5.1} s  {text}", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// The running program, and how many bytes of its output were printed so far.
struct RunningProgram {
    process: Process,
    printed: usize,
}

impl RunningProgram {
    /// Prints the lines that the program has written since the last call; fails if the program has ended.
    fn show(&mut self) -> Result<()> {
        let output = self.process.output();
        let new = output.get(self.printed..).unwrap_or_default();
        // Only whole lines are printed; a later call prints the incomplete line.
        let end = new.rfind('\n').map_or(0, |last| last + 1);
        for line in new.get(..end).unwrap_or_default().lines() {
            println!("             | {line}");
        }
        self.printed += end;
        self.process.must_run()
    }

    async fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(Duration::from_secs(30)).await?;
        if status.success() {
            return Ok(());
        }
        Failure::err(format!("the program ended with {status}:\n{}", self.process.tail()))
    }
}

/// The topic's reader and the records that were read so far.
struct Topic {
    reader: TopicReader,
    entries: Vec<Entry>,
}

impl Topic {
    async fn wait(&mut self, program: &mut RunningProgram, wanted: impl Fn(&[Entry]) -> bool) -> Result<()> {
        let start = Instant::now();
        while !wanted(&self.entries) {
            if start.elapsed() > Duration::from_secs(120) {
                return Failure::err(format!("after two minutes the topic has only {} records", self.entries.len()));
            }
            self.entries.extend(self.reader.read().await?);
            program.show()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

fn contains(value: &[u8], text: &str) -> bool {
    value.windows(text.len()).any(|part| part == text.as_bytes())
}
