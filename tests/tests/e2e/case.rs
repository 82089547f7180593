//! A task under test: a database, a topic, the program between them, and the records that were read so far.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tests::checker::{Decoded, Expected, Format, Header, Report, Table, verify_entries};
use tests::harness::{Database, Entry, Flavor, Kafka, TopicReader};
use tests::program::{Program, Settings, Task};
use tests::{Failure, Result};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// What the program says when all rows of the full phase are merged into the stream.
pub(crate) const MERGED: &str = "all rows are read";

/// The program under test.
pub(crate) fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_cli"))
}

/// A database and Kafka brokers.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) source: Arc<Database>,
    pub(crate) kafka: Arc<Kafka>,
}

impl Servers {
    /// Separate servers that no other test uses, for tests that stop servers or change their settings.
    pub(crate) async fn own(flavor: Flavor) -> Result<Self> {
        let (source, kafka) = tokio::join!(Database::start(flavor, &[]), Kafka::start());
        Ok(Self { source: Arc::new(source?), kafka: Arc::new(kafka?) })
    }

    /// A separate database and three separate brokers.
    pub(crate) async fn clustered(flavor: Flavor) -> Result<Self> {
        let (source, kafka) = tokio::join!(Database::start(flavor, &[]), Kafka::cluster());
        Ok(Self { source: Arc::new(source?), kafka: Arc::new(kafka?) })
    }

    /// The MySQL 5.7 and the broker that most tests share.
    pub(crate) async fn shared() -> Result<Self> {
        Self::shared_of(Flavor::MySql57).await
    }

    /// The database of a flavor and the broker that most tests share. Each server is started by the first call that needs it.
    pub(crate) async fn shared_of(flavor: Flavor) -> Result<Self> {
        static SOURCES: [OnceCell<Arc<Database>>; Flavor::ALL.len()] = [const { OnceCell::const_new() }; Flavor::ALL.len()];
        static KAFKA: OnceCell<Arc<Kafka>> = OnceCell::const_new();
        let source = SOURCES[flavor as usize].get_or_try_init(|| async { Database::start(flavor, &[]).await.map(Arc::new) });
        let kafka = KAFKA.get_or_try_init(|| async { Kafka::start().await.map(Arc::new) });
        let (source, kafka) = tokio::try_join!(source, kafka)?;
        Ok(Self { source: source.clone(), kafka: kafka.clone() })
    }
}

/// A lock for tests that measure times or kill at certain moments; only one such test runs at a time.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// A task with its source and its topic.
pub(crate) struct Case {
    pub(crate) servers: Servers,
    pub(crate) database: String,
    pub(crate) topic: String,
    pub(crate) settings: Settings,
    pub(crate) task: Task,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tables: Vec<Table>,
    /// With a schema registry, the schema ids in the records so far; the values in `entries` are then stored without their schema id
    /// prefix. `None` without a schema registry.
    pub(crate) ids: Option<BTreeSet<u32>>,
    reader: TopicReader,
    /// The number of rows in the table `fence`. All cases on this database share the counter.
    fences: Arc<AtomicU64>,
}

impl Case {
    /// A task `name` that copies `tables` of the database `name` into a new topic `name`. A table `fence` is created in the database.
    pub(crate) async fn new(servers: Servers, name: &str, format: Format, partitions: i32, tables: Vec<Table>) -> Result<Self> {
        servers.source.execute(&[&format!("CREATE TABLE {name}.fence (id BIGINT PRIMARY KEY)")]).await?;
        Self::build(servers, name, name, format, partitions, tables, Arc::default()).await
    }

    /// Like [`Case::new`], for a database whose name is not valid as the name of a task or topic.
    pub(crate) async fn in_database(servers: Servers, database: &str, name: &str, format: Format, tables: Vec<Table>) -> Result<Self> {
        let quoted = format!("`{}`", database.replace('`', "``"));
        servers.source.execute(&[&format!("CREATE TABLE {quoted}.fence (id BIGINT PRIMARY KEY)")]).await?;
        Self::build(servers, database, name, format, 1, tables, Arc::default()).await
    }

    /// Another task on the same tables, which writes to another topic.
    pub(crate) async fn sibling(&self, name: &str, format: Format, partitions: i32) -> Result<Self> {
        let (servers, tables, fences) = (self.servers.clone(), self.tables.clone(), self.fences.clone());
        Self::build(servers, &self.database, name, format, partitions, tables, fences).await
    }

    async fn build(
        servers: Servers,
        database: &str,
        name: &str,
        format: Format,
        partitions: i32,
        tables: Vec<Table>,
        fences: Arc<AtomicU64>,
    ) -> Result<Self> {
        servers.kafka.create_topic(name, partitions).await?;
        let settings = Settings::new(name, &servers.source, &[&format!("{database}.*")], &servers.kafka, name, format);
        let task = Task::new(&program(), &settings)?;
        let reader = TopicReader::open(&servers.kafka, name).await?;
        let (database, topic) = (database.to_owned(), name.to_owned());
        Ok(Self { servers, database, topic, settings, task, entries: Vec::new(), tables, ids: None, reader, fences })
    }

    /// Reads the topic until it contains everything that was committed in the source before this call. The full phase is over afterwards:
    /// while it runs, rows of other tables may still be missing, so a row that the full phase has read does not count.
    pub(crate) async fn catch_up(&mut self, limit: Duration) -> Result<()> {
        if self.settings.is_in_band() {
            self.end_of_full_phase(limit).await?;
        }
        loop {
            let fence = self.fence().await?;
            if !self.is_from_full_phase(fence, limit).await? {
                return Ok(());
            }
        }
    }

    /// Waits until all rows of the full phase are merged into the stream.
    pub(crate) async fn end_of_full_phase(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while !self.task.has_said(MERGED)? {
            self.task.must_run()?;
            if start.elapsed() > limit {
                let log = self.task.output();
                return Failure::err(format!("{}: the full phase is not over; the output of the program:\n{log}", self.topic));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The number of rows in the table `fence`.
    pub(crate) fn fences(&self) -> u64 {
        self.fences.load(Ordering::Relaxed)
    }

    /// Inserts a row into the table `fence`, after everything that was committed so far, and returns the row's number.
    pub(crate) async fn fence(&self) -> Result<u64> {
        let number = 1 + self.fences.fetch_add(1, Ordering::Relaxed);
        self.servers.source.execute(&[&format!("INSERT INTO `{}`.fence VALUES ({number})", self.database.replace('`', "``"))]).await?;
        Ok(number)
    }

    /// Reads the topic until it contains the row that [`Case::fence`] inserted with this number.
    pub(crate) async fn reach(&mut self, fence: u64, limit: Duration) -> Result<()> {
        self.is_from_full_phase(fence, limit).await.map(drop)
    }

    /// Like [`Case::reach`]; returns whether the full phase has read the row.
    async fn is_from_full_phase(&mut self, fence: u64, limit: Duration) -> Result<bool> {
        let start = Instant::now();
        loop {
            let more = self.reader.read_through_faults(&self.servers.kafka).await?;
            let before = self.entries.len();
            self.add(more)?;
            if let Some(entry) = self.entries[before..].iter().find(|entry| self.is_fence(entry, fence)) {
                return entry.header.as_deref().map_or(Ok(false), |header| Ok(Header::parse(header)?.snapshot()));
            }
            self.task.must_run()?;
            if start.elapsed() > limit {
                let (count, log) = (self.entries.len(), self.task.output());
                return Failure::err(format!(
                    "{}: not caught up after {} s, {count} records arrived; the output of the program:\n{log}",
                    self.topic,
                    limit.as_secs()
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Adds a table to those that [`Case::verify`] compares.
    pub(crate) fn add_table(&mut self, name: &str) {
        self.tables.push(Table::new(&self.database, name));
    }

    /// Reads the topic until it has at least `count` records.
    pub(crate) async fn wait_for_records(&mut self, count: usize, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while self.read().await? < count {
            self.task.must_run()?;
            if start.elapsed() > limit {
                let (found, log) = (self.entries.len(), self.task.output());
                return Failure::err(format!("{}: {found} records instead of {count}; the output of the program:\n{log}", self.topic));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Reads the topic to its current end; returns the number of records read so far.
    pub(crate) async fn read(&mut self) -> Result<usize> {
        let more = self.reader.read_through_faults(&self.servers.kafka).await?;
        self.add(more)?;
        Ok(self.entries.len())
    }

    fn add(&mut self, mut entries: Vec<Entry>) -> Result<()> {
        if let Some(ids) = &mut self.ids {
            for entry in entries.iter_mut().filter(|entry| !entry.tombstone) {
                let Some((&[0, a, b, c, d], bytes)) = entry.value.split_first_chunk() else {
                    return Failure::err(format!("a value without a schema id prefix: {:?}", &entry.value[..entry.value.len().min(20)]));
                };
                ids.insert(u32::from_be_bytes([a, b, c, d]));
                entry.value = bytes.to_vec();
            }
        }
        self.entries.extend(entries);
        Ok(())
    }

    /// Compares all records of the topic with the source, which must not change any more. The task must have caught up.
    pub(crate) async fn verify(&mut self, cut_chunks: usize) -> Result<Report> {
        self.read().await?;
        let mut tables = self.tables.clone();
        tables.push(Table::new(&self.database, "fence"));
        let expected =
            Expected { format: self.settings.format, cut_chunks, late: self.task.late_records()?, in_band: self.settings.is_in_band() };
        let report = verify_entries(&self.servers.source, &tables, self.entries.clone(), expected).await?;
        println!("{}: {report}", self.topic);
        Ok(report)
    }

    /// The values of one column of a table in all after images, in the order of the topic.
    pub(crate) fn rows_of(&self, table: &str, column: &str) -> Result<Vec<String>> {
        let mut values = Vec::new();
        for entry in &self.entries {
            let Decoded::Rows(rows) = self.settings.format.decode(&entry.value)? else { continue };
            let images = rows.into_iter().filter(|row| row.table.name == table).filter_map(|row| row.after);
            values.extend(images.filter_map(|image| image.get(column).cloned().flatten()));
        }
        Ok(values)
    }

    fn is_fence(&self, entry: &Entry, fence: u64) -> bool {
        // The name is searched first, because decoding every record here would double the work.
        let named = entry.value.windows(5).any(|part| part == b"fence");
        let Ok(Decoded::Rows(rows)) = (if named { self.settings.format.decode(&entry.value) } else { return false }) else { return false };
        let number = fence.to_string();
        let is_number =
            |value: &Option<String>| value.as_deref().is_some_and(|text| text == number || text.contains(&format!("value:{number}}}")));
        rows.iter().any(|row| row.table.name == "fence" && row.after.as_ref().is_some_and(|after| after.values().any(is_number)))
    }

    /// Deletes the topic and creates it again, with one partition. The records that were read before are forgotten.
    pub(crate) async fn recreate_topic(&mut self) -> Result<()> {
        self.servers.kafka.client().await?.controller_client()?.delete_topic(&self.topic, 10_000).await?;
        self.servers.kafka.create_topic(&self.topic, 1).await?;
        self.reader = TopicReader::open(&self.servers.kafka, &self.topic).await?;
        self.entries.clear();
        Ok(())
    }

    /// The database, mutable so that it can be stopped and started. Fails if another test uses it.
    pub(crate) fn source_mut(&mut self) -> Result<&mut Database> {
        Arc::get_mut(&mut self.servers.source).ok_or_else(|| Failure::new("the database is in use elsewhere"))
    }

    /// The brokers, mutable so that they can be stopped and started. Fails if another test uses them.
    pub(crate) fn kafka_mut(&mut self) -> Result<&mut Kafka> {
        Arc::get_mut(&mut self.servers.kafka).ok_or_else(|| Failure::new("the brokers are in use elsewhere"))
    }
}
