//! The builder of the Kafka sink for programs that set the sink up in code, without a settings file and without a registry of sinks.

use std::sync::Arc;

use runtime::{Encoder, Error, Result};

use crate::client::{Sasl, Timeouts, Tls};
use crate::codec::Compression;
use crate::config::{Config, CreateTopics, NotEmpty};
use crate::routing::{KeyChange, PartitionPolicy, RecordKey};
use crate::schema_registry::SchemaRegistry;
use crate::settings::{Format, Settings};
use crate::sink::KafkaSink;
use crate::task::Task;

type BoxedEncoderFactory = Arc<dyn Fn() -> Result<Box<dyn Encoder>> + Send + Sync>;

/// Collects the settings of a task's Kafka sink and its format; see [`KafkaSink::builder`].
///
/// ```no_run
/// # fn example(format: impl Fn() -> runtime::Result<MyFormat> + Send + Sync + 'static) -> runtime::Result<()> {
/// use sink_kafka::{KafkaSink, PartitionPolicy, RecordKey};
///
/// let sink = KafkaSink::builder(["127.0.0.1:9092"])
///     .topic("shop")
///     .partition(PartitionPolicy::PrimaryKey)
///     .record_key(RecordKey::PrimaryKey)
///     .format(format)
///     .build()?;
/// let pipeline = runtime::Pipeline::builder("orders").sink(sink);
/// # Ok(())
/// # }
/// # struct MyFormat;
/// # impl runtime::Encoder for MyFormat {
/// #     fn encode(&mut self, _: &runtime::Event, _: &mut runtime::Message) -> runtime::Result<()> { Ok(()) }
/// # }
/// ```
#[must_use]
pub struct KafkaSinkBuilder {
    config: Config,
    format_name: String,
    encoder: Option<BoxedEncoderFactory>,
}

impl KafkaSinkBuilder {
    pub(crate) fn new(brokers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { config: Config::new(brokers, ""), format_name: "custom".into(), encoder: None }
    }

    /// One topic for all tables, or a template such as `{database}.{table}`.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.config.topic = topic.into();
        self
    }

    /// The topic for schema changes. By default they go to the same topic as the rows of the table.
    pub fn ddl_topic(mut self, topic: impl Into<String>) -> Self {
        self.config.ddl_topic = Some(topic.into());
        self
    }

    /// The format: a function that creates one encoder for each lane.
    pub fn format<E: Encoder + 'static>(mut self, encoder: impl Fn() -> Result<E> + Send + Sync + 'static) -> Self {
        self.encoder = Some(Arc::new(move || Ok(Box::new(encoder()?))));
        self
    }

    /// The name of the format, `custom` by default. A task that was started with one format name refuses to continue with another.
    pub fn format_name(mut self, name: impl Into<String>) -> Self {
        self.format_name = name.into();
        self
    }

    /// How the partition of a row is chosen.
    pub fn partition(mut self, policy: PartitionPolicy) -> Self {
        self.config.partition = policy;
        self
    }

    /// The columns of one table (`database.table`) whose values decide the partition of a row.
    pub fn partition_columns(mut self, table: impl Into<String>, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.partition_columns.insert(table.into(), columns.into_iter().map(Into::into).collect());
        self
    }

    /// Which key each record gets.
    pub fn record_key(mut self, key: RecordKey) -> Self {
        self.config.record_key = key;
        self
    }

    /// Whether each DELETE record is followed by a record with the same key and a null value.
    pub fn tombstones(mut self, tombstones: bool) -> Self {
        self.config.tombstones = tombstones;
        self
    }

    /// What is written for an update that changes the partition or the record key of a row.
    pub fn key_change(mut self, how: KeyChange) -> Self {
        self.config.key_change = Some(how);
        self
    }

    /// How missing topics are created.
    pub fn create_topics(mut self, how: CreateTopics) -> Self {
        self.config.create_topics = Some(how);
        self
    }

    /// How record batches are compressed.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.config.compression = compression;
        self
    }

    /// The level of the compression: -7 to 19 for zstd, 1 to 9 for gzip.
    pub fn compression_level(mut self, level: i32) -> Self {
        self.config.compression_level = Some(level);
        self
    }

    /// The shortest time between two small requests of a busy stream, in milliseconds.
    pub fn linger_ms(mut self, ms: u64) -> Self {
        self.config.linger_ms = Some(ms);
        self
    }

    /// The size in bytes, before compression, at which a record batch is closed.
    pub fn record_batch_bytes(mut self, bytes: usize) -> Self {
        self.config.record_batch_bytes = Some(bytes);
        self
    }

    /// What to do if a topic already holds records of another task or program at the start.
    pub fn not_empty(mut self, what: NotEmpty) -> Self {
        self.config.not_empty = Some(what);
        self
    }

    /// How the sink authenticates to the brokers.
    pub fn sasl(mut self, sasl: Sasl) -> Self {
        self.config.sasl = Some(sasl);
        self
    }

    /// How the connections to the brokers use TLS.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// The schema registry in which the format's schema is registered.
    pub fn schema_registry(mut self, registry: SchemaRegistry) -> Self {
        self.config.schema_registry = Some(registry);
        self
    }

    /// Replaces all settings. The `format` in `config` is ignored, since the builder gets an encoder.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Checks the settings and returns a function that creates the sink of each lane. No connection is opened.
    pub fn build(self) -> Result<impl Fn() -> Result<KafkaSink> + Clone + Send + Sync + 'static> {
        let Self { config, format_name, encoder } = self;
        let encoder = encoder.ok_or_else(|| Error::config("the Kafka sink has no format").with_help("call `.format(…)` on its builder"))?;
        sink_factory(config, format_name, encoder, Timeouts::default())
    }
}

/// Returns a function that creates the sink of each lane of a task.
pub(crate) fn sink_factory(
    config: Config,
    format_name: String,
    encoder: BoxedEncoderFactory,
    timeouts: Timeouts,
) -> Result<impl Fn() -> Result<KafkaSink> + Clone + Send + Sync + 'static> {
    let format = Format { name: format_name, info: encoder()?.info() };
    let task = Arc::new(Task::new(Settings::resolve(config, format)?, timeouts)?);
    Ok(move || Ok(KafkaSink::new(task.clone(), encoder()?)))
}
