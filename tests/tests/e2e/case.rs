//! One task under test: a database, a topic, the program between them, and what has come out so far.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::checker::{Decoded, Expected, Format, Report, Table, verify_entries};
use tests::harness::{Entry, Kafka, MySql, TopicReader};
use tests::program::{Program, Settings, Task};
use tests::{Failure, Result};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The program under test.
pub(crate) fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_cli"))
}

/// A MySQL and a Kafka.
pub(crate) struct Servers {
    pub(crate) mysql: MySql,
    pub(crate) kafka: Kafka,
}

impl Servers {
    /// Servers of one's own, for tests that stop them or change their settings.
    pub(crate) async fn own() -> Result<Self> {
        let (mysql, kafka) = tokio::join!(MySql::start(&[]), Kafka::start());
        Ok(Self { mysql: mysql?, kafka: kafka? })
    }

    /// The servers that all other tests share.
    pub(crate) async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Servers> = OnceCell::const_new();
        SHARED.get_or_try_init(Servers::own).await
    }
}

/// Makes tests that compare times or kill at moments wait for one another.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// A task and what it reads and writes.
pub(crate) struct Case<S: Deref<Target = Servers> = &'static Servers> {
    pub(crate) servers: S,
    pub(crate) database: String,
    pub(crate) topic: String,
    pub(crate) settings: Settings,
    pub(crate) task: Task,
    pub(crate) entries: Vec<Entry>,
    tables: Vec<Table>,
    reader: TopicReader,
    fences: u64,
}

impl<S: Deref<Target = Servers>> Case<S> {
    /// A task called `name` on `tables`, which lie in the database of that name, into a new topic. A table `fence` is added.
    pub(crate) async fn new(servers: S, name: &str, format: Format, partitions: i32, tables: Vec<Table>) -> Result<Self> {
        servers.mysql.execute(&[&format!("CREATE TABLE {name}.fence (id BIGINT PRIMARY KEY)")]).await?;
        servers.kafka.create_topic(name, partitions).await?;
        let settings = Settings::new(name, &servers.mysql, &[&format!("{name}.*")], &servers.kafka, name, format);
        let task = Task::new(&program(), &settings)?;
        let reader = TopicReader::open(&servers.kafka, name).await?;
        let (database, topic) = (name.to_owned(), name.to_owned());
        Ok(Self { servers, database, topic, settings, task, entries: Vec::new(), tables, reader, fences: 0 })
    }

    /// Reads on until everything committed in the source before this call is in the topic.
    pub(crate) async fn catch_up(&mut self, limit: Duration) -> Result<()> {
        self.fences += 1;
        let insert = format!("INSERT INTO {}.fence VALUES ({})", self.database, self.fences);
        self.servers.mysql.execute(&[&insert]).await?;
        let start = Instant::now();
        loop {
            let more = self.reader.read().await?;
            let found = more.iter().any(|entry| self.is_fence(entry));
            self.entries.extend(more);
            if found {
                return Ok(());
            }
            self.task.must_run()?;
            if start.elapsed() > limit {
                let (count, log) = (self.entries.len(), self.task.output());
                return Failure::err(format!("not caught up after {} s, {count} records came; the program says:\n{log}", limit.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes in what is in the topic now; gives how many records there are.
    pub(crate) async fn read(&mut self) -> Result<usize> {
        let more = self.reader.read().await?;
        self.entries.extend(more);
        Ok(self.entries.len())
    }

    /// Compares everything in the topic with the source, which must be at rest and caught up with.
    pub(crate) async fn verify(&mut self, cut_chunks: usize) -> Result<Report> {
        self.read().await?;
        let mut tables = self.tables.clone();
        tables.push(Table::new(&self.database, "fence"));
        let expected = Expected { format: self.settings.format, cut_chunks };
        let report = verify_entries(&self.servers.mysql, &tables, self.entries.clone(), expected).await?;
        println!("{}: {report}", self.topic);
        Ok(report)
    }

    /// The values of one column in all inserted or read rows of a table, in the order of the topic.
    pub(crate) fn rows_of(&self, table: &str, column: &str) -> Result<Vec<String>> {
        let mut values = Vec::new();
        for entry in &self.entries {
            let Decoded::Rows(rows) = self.settings.format.decode(&entry.value)? else { continue };
            let images = rows.into_iter().filter(|row| row.table.name == table).filter_map(|row| row.after);
            values.extend(images.filter_map(|image| image.get(column).cloned().flatten()));
        }
        Ok(values)
    }

    fn is_fence(&self, entry: &Entry) -> bool {
        // The name first: decoding every record here would do the checker's work twice.
        let named = entry.value.windows(5).any(|part| part == b"fence");
        let Ok(Decoded::Rows(rows)) = (if named { self.settings.format.decode(&entry.value) } else { return false }) else { return false };
        let number = self.fences.to_string();
        let is_number =
            |value: &Option<String>| value.as_deref().is_some_and(|text| text == number || text.contains(&format!("value:{number}}}")));
        rows.iter().any(|row| row.table.name == "fence" && row.after.as_ref().is_some_and(|after| after.values().any(is_number)))
    }
}

impl Case<Arc<Servers>> {
    /// The servers, to stop and start them. Nobody else may hold them at that moment.
    pub(crate) fn servers_mut(&mut self) -> Result<&mut Servers> {
        Arc::get_mut(&mut self.servers).ok_or_else(|| Failure::new("the servers are in use elsewhere"))
    }
}
