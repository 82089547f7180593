//! Measures how long a row takes from the end of its commit in a real MySQL to a consumer of a real Kafka, and how much CPU time the program
//! spends on it.
//!
//! `cargo run --release -p tests --bin latency [-- --rates 100,1000,3000,10000 --seconds 10 --linger-ms default,0 --rounds 1 --program PATH]`
//!
//! Each row is a transaction of its own, in the table with ten columns, and a message of Canal JSON, compressed with zstd, in one partition.
//! The rows come at random moments, at a fixed mean rate, over 16 connections to a server with `sync_binlog = 0`. The time begins when the
//! server has answered the INSERT, and ends when the consumer has the record. Both are in this process, so one clock measures both. The
//! program is a child process; the kernel reports its CPU time.
//!
//! `--linger-ms` is a list of values of `sink.kafka.linger_ms`, which are measured in turn; `default` leaves the key out. `--program PATH`
//! measures another build of the command line, such as `target/release/cli` of another checkout.
//!
//! The database, the broker and this process compete with the program for the machine, so high rates on a small machine show the machine.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use nix::sys::signal::Signal;
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use tests::checker::Format;
use tests::harness::{Database, Flavor, Kafka};
use tests::measure::{machine, median, usage_of};
use tests::program::{Program, Settings, Task, as_command_line};
use tests::workload::load;
use tests::{Failure, Result};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

const TABLE: &str = "bench.records";
const CONNECTIONS: usize = 16;
/// The time before a measurement begins, at each rate.
const WARM_UP: Duration = Duration::from_secs(1);
/// The rate and the seconds of the rows that are moved before anything is measured: a broker's JVM is slow until it has compiled its code.
const FIRST_ROWS: (u64, u64) = (2000, 20);
/// How long the last records of a rate may take.
const LAST_LIMIT: Duration = Duration::from_secs(30);
/// How long the broker may wait for records before it answers a fetch.
const FETCH_WAIT_MS: i32 = 20;
const FETCH_BYTES: i32 = 4 << 20;

#[tokio::main]
async fn main() -> ExitCode {
    // The bench starts this same executable as the program under test, in a process of its own. This branch is that process.
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
    /// Transactions a second.
    rates: Vec<u64>,
    /// How long each rate is measured.
    seconds: u64,
    /// Values of `linger_ms`; `None` leaves the key out.
    lingers: Vec<Option<u64>>,
    rounds: u64,
    program: Program,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options = Self {
            rates: vec![100, 1000, 3000, 10_000],
            seconds: 10,
            lingers: vec![None, Some(0)],
            rounds: 1,
            program: Program::myself()?,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| Failure::new(format!("{name} needs a value")))?;
            let number = || value.parse().ok().filter(|&number: &u64| number > 0);
            let understood = match name.as_str() {
                "--rates" => list(&value, |text| text.parse().ok().filter(|&rate| rate > 0)).map(|rates| options.rates = rates),
                "--seconds" => number().map(|seconds| options.seconds = seconds),
                "--rounds" => number().map(|rounds| options.rounds = rounds),
                "--linger-ms" => list(&value, |text| if text == "default" { Some(None) } else { text.parse().ok().map(Some) })
                    .map(|lingers| options.lingers = lingers),
                // The path must be absolute, because the program is started in a different folder.
                "--program" => std::fs::canonicalize(&value).ok().map(|path| options.program = Program::new(path)),
                _ => None,
            };
            if understood.is_none() {
                return Failure::err(format!(
                    "{name} {value}: the options are --rates N,N…, --seconds N, --linger-ms N,default…, --rounds N and --program PATH"
                ));
            }
        }
        Ok(options)
    }
}

fn list<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(parse).collect()
}

/// A value of `linger_ms`, and a rate.
type Setting = (Option<u64>, u64);

/// What one rate has shown in one round.
struct Measured {
    /// Transactions a second that were reached.
    reached: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    /// CPU time of the program for one row, in microseconds.
    cpu: f64,
}

async fn bench() -> Result<()> {
    let options = Options::read()?;
    let (mysql, kafka) = tokio::join!(Database::start(Flavor::MySql57, &["--innodb-buffer-pool-size=512M"]), Kafka::start());
    let bench = Bench { mysql: Arc::new(mysql?), kafka: kafka?, clock: Instant::now() };
    bench.mysql.execute(&["CREATE DATABASE bench", &load::create_ten_columns(TABLE)]).await?;
    bench.mysql.execute(&["SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 0"]).await?;
    let mut runs: Vec<(Setting, Vec<Measured>)> = Vec::new();
    let mut next_id = 0;
    eprintln!("warming up");
    let (mut task, mut consumer) = bench.start(&options.program, "warm-up", None).await?;
    bench.measure(&mut task, &mut consumer, FIRST_ROWS.0, FIRST_ROWS.1, &mut next_id).await?;
    finish(task).await?;
    for round in 0..options.rounds {
        for turn in 0..options.lingers.len() {
            // Rounds begin with another value in turn, so that none always runs first.
            let linger = options.lingers[(turn + round as usize) % options.lingers.len()];
            let topic = format!("latency-{round}-{turn}-{}", linger.map_or("default".into(), |ms| ms.to_string()));
            let (mut task, mut consumer) = bench.start(&options.program, &topic, linger).await?;
            for &rate in &options.rates {
                let measured = bench.measure(&mut task, &mut consumer, rate, options.seconds, &mut next_id).await?;
                eprintln!("{topic}, {rate}/s: {}", measured.line());
                match runs.iter_mut().find(|(of, _)| *of == (linger, rate)) {
                    Some((_, known)) => known.push(measured),
                    None => runs.push(((linger, rate), vec![measured])),
                }
            }
            finish(task).await?;
        }
    }
    println!("\n{}\n\nMedians of {} rounds of {} s.\n", machine(), options.rounds, options.seconds);
    println!("| `linger_ms` | transactions/s | reached | p50 ms | p99 ms | p99.9 ms | CPU µs a row |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for ((linger, rate), rounds) in &runs {
        let of = |figure: fn(&Measured) -> f64| median(rounds.iter().map(figure).collect());
        let medians = Measured {
            reached: of(|run| run.reached),
            p50: of(|run| run.p50),
            p99: of(|run| run.p99),
            p999: of(|run| run.p999),
            cpu: of(|run| run.cpu),
        };
        println!("| {} | {rate} | {} |", linger.map_or("default".into(), |ms| ms.to_string()), medians.line());
    }
    Ok(())
}

/// Stops the program.
async fn finish(mut task: Task) -> Result<()> {
    task.signal(Signal::SIGTERM)?;
    match task.wait(Duration::from_secs(60)).await? {
        0 => Ok(()),
        code => Failure::err(format!("the program has ended with exit code {code}:\n{}", task.output())),
    }
}

impl Measured {
    /// The figures as cells of a table.
    fn line(&self) -> String {
        let Self { reached, p50, p99, p999, cpu } = self;
        format!("{reached:.0} | {p50:.2} | {p99:.2} | {p999:.2} | {cpu:.1}")
    }
}

struct Bench {
    mysql: Arc<Database>,
    kafka: Kafka,
    /// The moment from which times are counted.
    clock: Instant,
}

impl Bench {
    /// Starts the program and a consumer on a new topic.
    async fn start(&self, program: &Program, topic: &str, linger: Option<u64>) -> Result<(Task, Consumer)> {
        self.kafka.create_topic(topic, 1).await?;
        let (file, offset) = self.mysql.position().await?;
        let mut settings = Settings::new(topic, &self.mysql, &[TABLE], &self.kafka, topic, Format::CanalJson);
        settings.sink = linger.map_or_else(String::new, |ms| format!("linger_ms = {ms}"));
        settings.source = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
        let mut task = Task::new(program, &settings)?;
        task.start()?;
        Ok((task, Consumer::open(&self.kafka, topic).await?))
    }

    /// Inserts rows at a rate, and reads them from the topic.
    async fn measure(&self, task: &mut Task, consumer: &mut Consumer, rate: u64, seconds: u64, next_id: &mut u64) -> Result<Measured> {
        let warm_up = rate * WARM_UP.as_secs();
        let (first, count) = (*next_id, warm_up + rate * seconds);
        *next_id += count;
        let committed: Arc<Vec<AtomicU64>> = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
        let mut writers = self.write(rate, first, committed.clone()).await?;
        let usage = |task: &Task| Ok::<_, Failure>(usage_of(task.id().ok_or_else(|| Failure::new("the program has ended"))?)?.0);
        let mut received = vec![0; usize::try_from(count)?];
        let (mut left, mut before, mut deadline) = (count, None, None);
        while left > 0 {
            for id in consumer.read().await? {
                let now = self.now();
                let number = id.checked_sub(first).and_then(|number| received.get_mut(usize::try_from(number).ok()?));
                // Anything else would be a row of an earlier rate, all of which were read.
                *number.ok_or_else(|| Failure::new(format!("row {id} was not expected")))? = now;
                left -= 1;
                if left == count - warm_up {
                    before = Some((Instant::now(), usage(task)?));
                }
            }
            while let Some(ended) = writers.try_join_next() {
                ended??;
            }
            if writers.is_empty() && Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + LAST_LIMIT) {
                return Failure::err(format!("{left} of {count} rows are not in the topic:\n{}", task.output()));
            }
            task.must_run()?;
        }
        let (since, cpu) = before.ok_or_else(|| Failure::new("nothing was measured"))?;
        let (time, cpu) = (since.elapsed(), usage(task)? - cpu);
        while let Some(ended) = writers.join_next().await {
            ended??;
        }
        // A record may be here before the answer to its INSERT is.
        let times =
            received.iter().zip(&*committed).map(|(received, committed)| received.saturating_sub(committed.load(Ordering::Acquire)));
        let mut times: Vec<u64> = times.skip(usize::try_from(warm_up)?).collect();
        times.sort_unstable();
        let quantile = |part: f64| times.get((times.len() as f64 * part) as usize).map_or(0.0, |nanos| *nanos as f64 / 1e6);
        let rows = times.len() as f64;
        Ok(Measured {
            reached: rows / time.as_secs_f64(),
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            cpu: cpu.as_secs_f64() * 1e6 / rows,
        })
    }

    /// Begins to insert rows with the ids from `first`, one for each entry of `committed`, which receives the times of the commits.
    async fn write(&self, rate: u64, first: u64, committed: Arc<Vec<AtomicU64>>) -> Result<JoinSet<Result<()>>> {
        let (numbers, queue) = mpsc::unbounded_channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut writers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (mut connection, queue, committed, clock) = (self.mysql.connect().await?, queue.clone(), committed.clone(), self.clock);
            writers.spawn(async move {
                loop {
                    let Some(number) = queue.lock().await.recv().await else { return Ok(connection.disconnect().await?) };
                    let statement = format!("INSERT INTO {TABLE} VALUES {}", load::ten_columns(first + number));
                    connection.query_drop(statement).await?;
                    if let Some(time) = committed.get(usize::try_from(number)?) {
                        time.store(nanos(clock), Ordering::Release);
                    }
                }
            });
        }
        let count = committed.len() as u64;
        // The timers of the async runtime tick once a millisecond. This thread's sleep is finer.
        std::thread::spawn(move || {
            let mut at = Instant::now();
            for number in 0..count {
                // The gaps between independent transactions are distributed exponentially.
                at += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / rate as f64);
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if numbers.send(number).is_err() {
                    return;
                }
            }
        });
        Ok(writers)
    }

    fn now(&self) -> u64 {
        nanos(self.clock)
    }
}

fn nanos(clock: Instant) -> u64 {
    clock.elapsed().as_nanos() as u64
}

/// Reads the ids of the rows in a topic.
struct Consumer {
    partition: PartitionClient,
    next: i64,
}

impl Consumer {
    async fn open(kafka: &Kafka, topic: &str) -> Result<Self> {
        let partition = kafka.client().await?.partition_client(topic, 0, UnknownTopicHandling::Retry).await?;
        Ok(Self { partition, next: 0 })
    }

    /// The ids of the next rows, or none if nothing comes for a short time.
    async fn read(&mut self) -> Result<Vec<u64>> {
        let (records, _) = self.partition.fetch_records(self.next, 1..FETCH_BYTES, FETCH_WAIT_MS).await?;
        if let Some(last) = records.last() {
            self.next = last.offset + 1;
        }
        records.iter().map(|record| id(record.record.value.as_deref().unwrap_or_default())).collect()
    }
}

/// The id in a message of Canal JSON, which is the first column of the row.
fn id(message: &[u8]) -> Result<u64> {
    const BEFORE: &str = r#""data":[{"id":""#;
    let text = std::str::from_utf8(message)?;
    let found = text.split_once(BEFORE).and_then(|(_, rest)| rest.split_once('"')?.0.parse().ok());
    found.ok_or_else(|| Failure::new("a message holds no id"))
}
