//! Tests of faults. Something breaks while writers change rows, and later the cause ends. The task must then recover by itself within a
//! minute. Nothing may be lost, and no record of the stream may be repeated.

mod brokers;
mod checkpoint;
mod database;
mod garbage;
mod kills;
mod limits;
mod network;
mod windows;

use std::time::Duration;

use tests::checker::Format;
use tests::harness::{Database, Proxy};
use tests::program::Access;
use tests::workload::{Writers, writers};
use tests::{Failure, Result};

use super::case::{Case, Servers};

/// The time within which a task must have caught up after the end of a fault.
const RECOVERY: Duration = Duration::from_secs(180);

/// A task that connects to the database and to Kafka through proxies, and writers that change its tables.
struct Trial {
    case: Case,
    /// The proxy in front of the database.
    source: Proxy,
    writers: Option<Writers>,
    seed: u64,
}

impl Trial {
    /// A task that is configured but not started. It distributes rows over four partitions by their primary keys.
    async fn new(servers: Servers, name: &str, format: Format) -> Result<Self> {
        let tables = writers::create_tables(&servers.source, name, 100).await?;
        let source = Proxy::start(servers.source.address())?;
        let mut case = Case::new(servers.clone(), name, format, 4, tables).await?;
        case.settings.read_from(source.address());
        case.settings.enter(&servers.kafka, Access::Proxied)?;
        case.settings.sink = "partition = \"primary_key\"".into();
        case.settings.merged = true;
        case.task.configure(&case.settings)?;
        Ok(Self { case, source, writers: None, seed: 1 })
    }

    /// A task that has completed its full phase, with running writers.
    async fn streaming(servers: Servers, name: &str, format: Format) -> Result<Self> {
        let mut trial = Self::new(servers, name, format).await?;
        trial.case.task.start()?;
        trial.case.catch_up(RECOVERY).await?;
        trial.write().await?;
        Ok(trial)
    }

    /// Starts the writers, which connect to the database directly and not through the proxy.
    async fn write(&mut self) -> Result<()> {
        self.seed += 1;
        let writers = Writers::start(&self.case.servers.source, &self.case.database, 2, Duration::from_millis(4), self.seed).await?;
        self.writers = Some(writers);
        Ok(())
    }

    /// Stops the writers. This must be done before the database is stopped.
    async fn pause_writing(&mut self) -> Result<()> {
        match self.writers.take() {
            Some(writers) => writers.stop().await.map(drop),
            None => Ok(()),
        }
    }

    /// The proxy in front of the first broker.
    fn broker(&self) -> &Proxy {
        self.case.servers.kafka.proxy()
    }

    /// Waits for `time`; fails if the task ends meanwhile.
    async fn hold(&mut self, time: Duration) -> Result<()> {
        tokio::time::sleep(time).await;
        self.case.task.must_run()
    }

    /// Must be called when a fault has ended. Everything that was committed in the database until now must arrive within [`RECOVERY`].
    async fn recovers(&mut self, from: &str) -> Result<()> {
        let start = std::time::Instant::now();
        self.case.catch_up(RECOVERY).await.map_err(|error| error.context(format!("after {from}")))?;
        println!("{}: recovered {:.1} s after {from}", self.case.topic, start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Stops the writers and the task and compares the topic with the source; `cut_chunks` as in [`Case::verify`].
    async fn verify(mut self, cut_chunks: usize) -> Result<Case> {
        self.pause_writing().await?;
        self.case.catch_up(RECOVERY).await?;
        self.case.task.stop().await?;
        // If the check fails, the program's log shows which fault was the reason.
        let verified = self.case.verify(cut_chunks).await;
        let report = verified.map_err(|error| error.context(format!("the output of the program:\n{}\n", self.case.task.output())))?;
        if report.stream_rows < 100 {
            return Failure::err(format!("too few changes for a test: {report:?}"));
        }
        Ok(self.case)
    }
}

/// Creates and fills the table `bulk` of a database, so that the full phase takes a while.
async fn create_bulk(source: &Database, database: &str, rows: u64) -> Result<()> {
    use tests::workload::load;
    let table = format!("{database}.bulk");
    source.execute(&[&load::create_ten_columns(&table)]).await?;
    load::insert(source, &table, 0, rows, 1000, load::ten_columns).await
}
