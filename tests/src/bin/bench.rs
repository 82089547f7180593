//! Measures the whole program: how fast it moves rows from a real MySQL into a real Kafka, and how much CPU time and memory it takes.
//!
//! `cargo run --release -p tests --bin bench [-- --rows 2000000 --single 300000 --rounds 1 --workload TEXT]`
//!
//! Each line of the result is for one workload and one format. The rows of a workload are already in MySQL when a run starts: they are the
//! changes after a saved binlog position, or a snapshot of the table. A run copies them into an empty topic with one partition, compressed
//! with zstd. The program is a child process; the kernel reports its CPU time and peak memory.
//!
//! `--against PATH` compares two builds of the command line, such as `target/release/cli` of two checkouts. Each line then takes nine
//! rounds, unless `--rounds` is given. Both builds run in each round. The line shows the medians of each build, and the median of the
//! rounds' ratios. `--program PATH` names the first build; the default is the program `cli` in the folder of this executable. The bench
//! depends only on the command line and the configuration file of a build.
//!
//! `--shaped` compares the program with itself: the first runs have a filter, a script of five functions and ten renames, the others have no
//! transforms. The condition keeps all rows, so both write as many.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::checker::Format;
use tests::harness::{Database, Flavor, Kafka};
use tests::measure::{Counter, Measured, follow, machine, median};
use tests::program::{Program, Settings, Task, as_command_line};
use tests::workload::load;
use tests::{Failure, Result};

const TABLE: &str = "bench.records";
/// A filter that keeps all rows, five functions, and ten renames.
const TRANSFORMS: &str = r#"
[[transform]]
filter = { tables = ["bench.records"], where = "id >= 0 and amount >= 0" }
[[transform]]
etl = { tables = ["bench.records"], script = '''
e_compose(
    e_set(`name`, mask_partial(`name`, 3, 6, "*")),
    e_set(`state`, op_sum(`state`, 1)),
    e_set(`score`, op_mul(`score`, 2.0)),
    e_set(`note`, str_upper(`note`)),
    e_set(`address`, str_replace(`address`, "Station", "Central", -1)))
''' }
[[transform]]
rename = { tables = { "bench.records" = "shaped.entries" }, columns = [
    { tables = ["bench.*"], match = "(customer)", to = "{1}_no" },
    { tables = ["bench.*"], match = "(name|address|state|amount|score|created|updated|note)", to = "c_{1}" },
] }
"#;
/// Rows per transaction of the bulk load.
const BATCH: u64 = 100;
const DRAIN_LIMIT: Duration = Duration::from_secs(600);
/// The default number of rounds of a comparison. Many rounds are needed, because two runs of one build may differ more than the two builds.
const ROUNDS: u64 = 9;

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
    /// The number of rows that are inserted in transactions of [`BATCH`] rows. The snapshot reads the same rows.
    rows: u64,
    /// The number of one-row inserts, and the number of one-row updates.
    single: u64,
    rounds: u64,
    /// Only workloads whose name contains this text are run.
    workload: String,
    program: Option<PathBuf>,
    against: Option<PathBuf>,
    shaped: bool,
}

/// A program with transforms.
struct Variant {
    program: Program,
    transforms: &'static str,
}

impl Options {
    fn read() -> Result<Self> {
        let mut options =
            Self { rows: 2_000_000, single: 300_000, rounds: 0, workload: String::new(), program: None, against: None, shaped: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--shaped" {
                options.shaped = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| Failure::new(format!("{name} needs a value")))?;
            let number = value.parse().ok().filter(|&value: &u64| value > 0);
            match (name.as_str(), number) {
                ("--rows", Some(number)) => options.rows = number,
                ("--single", Some(number)) => options.single = number,
                ("--rounds", Some(number)) => options.rounds = number,
                ("--workload", _) => options.workload = value,
                ("--program", _) => options.program = Some(value.into()),
                ("--against", _) => options.against = Some(value.into()),
                _ => {
                    return Failure::err(format!(
                        "{name} {value}: the options are --rows N, --single N, --rounds N, --workload TEXT, --program PATH, --against PATH and --shaped"
                    ));
                }
            }
        }
        if options.rounds == 0 {
            options.rounds = if options.against.is_some() || options.shaped { ROUNDS } else { 1 };
        }
        if options.shaped && options.against.is_some() {
            return Failure::err("--shaped compares a program with itself, and not --against another one");
        }
        if options.single > options.rows {
            return Failure::err("--single must not be greater than --rows: every update needs a row");
        }
        Ok(options)
    }

    /// The program to measure and, if asked for, the program to compare it with.
    fn variants(&self) -> Result<Vec<Variant>> {
        let executable = |path: &PathBuf| -> Result<Program> {
            // The path must be absolute, because the program is started in a different folder.
            let path = path.canonicalize().map_err(|error| Failure::from(error).context(path.display()))?;
            Ok(Program::new(path))
        };
        let first = match (&self.program, &self.against) {
            (Some(path), _) => executable(path)?,
            (None, None) => Program::myself()?,
            // For a fair comparison the first program is also `cli`, and not this executable, which contains the bench as well.
            (None, Some(_)) => executable(&std::env::current_exe()?.with_file_name("cli"))?,
        };
        let plain = |program| Variant { program, transforms: "" };
        Ok(match &self.against {
            None if self.shaped => vec![Variant { program: first.clone(), transforms: TRANSFORMS }, plain(first)],
            None => vec![plain(first)],
            Some(path) => vec![plain(first), plain(executable(path)?)],
        })
    }
}

async fn bench() -> Result<()> {
    let options = Options::read()?;
    let variants = options.variants()?;
    let (rows, single) = (options.rows, options.single);
    let (mysql, kafka) = tokio::join!(Database::start(Flavor::MySql57, &["--innodb-buffer-pool-size=512M"]), Kafka::start());
    let mut bench = Bench { mysql: mysql?, kafka: kafka?, variants, options, lines: Vec::new() };
    bench.mysql.execute(&["CREATE DATABASE bench", &load::create_ten_columns(TABLE)]).await?;

    let from = bench.mysql.position().await?;
    eprintln!("loading {rows} rows");
    load::insert(&bench.mysql, TABLE, 0, rows, BATCH, load::ten_columns).await?;
    bench.drain(&format!("changes, {BATCH} rows a transaction"), rows, Some(from)).await?;
    bench.drain("snapshot", rows, None).await?;

    let from = bench.mysql.position().await?;
    eprintln!("inserting {single} rows one by one");
    load::insert(&bench.mysql, TABLE, rows, rows + single, 1, load::ten_columns).await?;
    bench.drain("changes, one-row inserts", single, Some(from)).await?;

    let from = bench.mysql.position().await?;
    eprintln!("updating {single} rows one by one");
    let update =
        |id| format!("UPDATE {TABLE} SET state = state + 1, amount = amount + 1, updated = '2024-06-01 00:00:00.5' WHERE id = {id}");
    load::run(&bench.mysql, single, update).await?;
    bench.drain("changes, one-row updates", single, Some(from)).await?;

    // MySQL 5.7 may write a transaction that was rolled back, so the end of a large one is looked for before its rows are delivered.
    let (large, from) = (rows / 4, bench.mysql.position().await?);
    eprintln!("inserting {large} rows in one transaction");
    let columns = "customer, name, address, state, amount, score, created, updated, note";
    let copy = format!("INSERT INTO {TABLE} SELECT id + {}, {columns} FROM {TABLE} WHERE id < {large}", rows + single);
    bench.mysql.execute(&[&copy]).await?;
    bench.drain("changes, one transaction", large, Some(from)).await?;

    println!("\n{}\n", machine());
    if bench.variants.len() == 1 {
        println!("| workload | rows | format | rows/s | CPU µs a row | peak memory MiB | first record after ms |");
        println!("|---|---:|---|---:|---:|---:|---:|");
    } else {
        println!(
            "Medians of {} rounds, this build (or with the transforms) and the other in turn. The ratio is the median of the rounds' ratios, and is below 1 where this build needs less CPU time.\n",
            bench.options.rounds
        );
        println!(
            "| workload | rows | format | CPU µs a row | other | ratio | least–most | peak memory MiB | other | first record after ms | other |"
        );
        println!("|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    }
    bench.lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

struct Bench {
    mysql: Database,
    kafka: Kafka,
    variants: Vec<Variant>,
    options: Options,
    lines: Vec<String>,
}

impl Bench {
    /// Moves `rows` rows with each program in each format, once per round. The rows are the changes after the binlog position `from`;
    /// without `from` they are a snapshot of the table.
    async fn drain(&mut self, workload: &str, rows: u64, from: Option<(String, u64)>) -> Result<()> {
        if !workload.contains(&self.options.workload) {
            return Ok(());
        }
        for format in [Format::CanalJson, Format::DtsAvro] {
            let mut runs: Vec<Vec<Measured>> = vec![Vec::new(); self.variants.len()];
            for round in 0..self.options.rounds {
                for turn in 0..self.variants.len() {
                    // Rounds alternately begin with the first and the second program, so that neither always runs first.
                    let number = (turn + round as usize) % self.variants.len();
                    let topic = format!("{workload} {} {round} {number}", format.name());
                    let topic = topic.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
                    let measured = self.measure(number, &topic, rows, from.as_ref(), format).await?;
                    eprintln!("{topic}: {:.3} µs a row, {:.1} MiB", cost(&measured, rows), measured.peak_mib());
                    runs[number].push(measured);
                }
            }
            let line = format!("| {workload} | {rows} | `{}` | {} |", format.name(), figures(&runs, rows));
            eprintln!("{line}");
            self.lines.push(line);
        }
        Ok(())
    }

    async fn measure(&self, variant: usize, topic: &str, rows: u64, from: Option<&(String, u64)>, format: Format) -> Result<Measured> {
        self.kafka.create_topic(topic, 1).await?;
        let mut settings = Settings::new(topic, &self.mysql, &[TABLE], &self.kafka, topic, format);
        settings.sink = "compression = \"zstd\"".into();
        settings.source = match from {
            Some((file, offset)) => format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}"),
            None => "phases = [\"full\"]".into(),
        };
        let Variant { program, transforms } = &self.variants[variant];
        settings.more = (*transforms).into();
        let mut task = Task::new(program, &settings)?;
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
        // The topic is deleted at once, because the topics of many rounds would fill the disk.
        self.kafka.client().await?.controller_client()?.delete_topic(topic, 10_000).await?;
        Ok(measured)
    }
}

/// CPU time of one row in microseconds.
fn cost(measured: &Measured, rows: u64) -> f64 {
    measured.cpu.as_secs_f64() * 1e6 / rows as f64
}

/// The text of a result line: the figures of one program, or of two programs and their ratio.
fn figures(runs: &[Vec<Measured>], rows: u64) -> String {
    let of = |runs: &[Measured], figure: &dyn Fn(&Measured) -> f64| median(runs.iter().map(figure).collect());
    let cpu = |run: &Measured| cost(run, rows);
    let first = |run: &Measured| run.first.as_secs_f64() * 1e3;
    match runs {
        [this, other] => {
            let mut ratios: Vec<f64> = this.iter().zip(other).map(|(this, other)| cpu(this) / cpu(other)).collect();
            ratios.sort_by(f64::total_cmp);
            let (least, most) = (ratios.first().copied().unwrap_or(1.0), ratios.last().copied().unwrap_or(1.0));
            let [this_cpu, other_cpu] = [this, other].map(|runs| of(runs, &cpu));
            let [this_peak, other_peak] = [this, other].map(|runs| of(runs, &Measured::peak_mib));
            let [this_first, other_first] = [this, other].map(|runs| of(runs, &first));
            format!(
                "{this_cpu:.3} | {other_cpu:.3} | {:.3} | {least:.2}–{most:.2} | {this_peak:.1} | {other_peak:.1} | {this_first:.0} | {other_first:.0}",
                median(ratios)
            )
        }
        _ => {
            let runs: Vec<Measured> = runs.concat();
            let rate = of(&runs, &|run| rows as f64 / run.time.as_secs_f64());
            format!("{rate:.0} | {:.2} | {:.1} | {:.0}", of(&runs, &cpu), of(&runs, &Measured::peak_mib), of(&runs, &first))
        }
    }
}
