//! The settings of the sink as the user writes them, in the section `[sink.kafka]` or with the builder.

use std::collections::BTreeMap;

use runtime::Choice;
use serde::Deserialize;

use crate::client::{Sasl, Tls};
use crate::codec::Compression;
use crate::routing::{KeyChange, PartitionPolicy, RecordKey};
use crate::schema_registry::SchemaRegistry;

/// Settings of the sink `kafka`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The brokers that are contacted first, as `host:port`. The other brokers of the cluster are found through them.
    pub brokers: Vec<String>,
    /// One topic for all tables, or a template such as `{database}.{table}`.
    pub topic: String,
    /// The topic for schema changes; `None` means the same topic as the rows of the table.
    pub ddl_topic: Option<String>,
    /// How the partition of a row is chosen.
    #[serde(default)]
    pub partition: PartitionPolicy,
    /// Columns whose values decide the partition, by table (`database.table`). For these tables they replace `partition`.
    #[serde(default)]
    pub partition_columns: BTreeMap<String, Vec<String>>,
    /// Which key each record gets.
    #[serde(default)]
    pub record_key: RecordKey,
    /// Whether each DELETE record is followed by a record with the same key and a null value. Needs `record_key = "primary_key"`.
    #[serde(default)]
    pub tombstones: bool,
    /// What is written for an update that changes the partition or the record key of a row; `None` means the default of [`KeyChange`].
    pub key_change: Option<KeyChange>,
    /// Whether and how missing topics are created.
    pub create_topics: Option<CreateTopics>,
    /// The format, exactly one, such as `format.canal_json = {}`. The builder ignores it, since it gets an encoder instead.
    pub format: Option<Choice>,
    /// How record batches are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// The level of the compression: -7 to 19 for zstd, 1 to 9 for gzip; `None` means 1. The others have no levels.
    pub compression_level: Option<i32>,
    /// The shortest time in milliseconds between two small requests of a busy stream, at most 1000; `None` means 2. Rows that are committed in
    /// this time go into one request. With 0 every row is sent as soon as it is read.
    pub linger_ms: Option<u64>,
    /// The size in bytes, before compression, at which a record batch is closed; `None` means 1,000,000. A single record that is larger
    /// gets a batch of its own.
    pub record_batch_bytes: Option<usize>,
    /// The size in bytes, after compression, of the largest record batch that is written, and that is read when the task looks at what it has
    /// delivered; `None` means 16 MiB. A larger record is refused. It also bounds the memory that a broker can make the task use.
    pub max_batch_bytes: Option<usize>,
    /// What to do if a topic already holds records of another task or program at the start; `None` means the default of [`NotEmpty`].
    pub not_empty: Option<NotEmpty>,
    /// How the sink authenticates to the brokers; `None` means without authentication.
    pub sasl: Option<Sasl>,
    /// How the connections to the brokers use TLS; `None` means without TLS.
    pub tls: Option<Tls>,
    /// The registry in which the format's schema is registered. `None` means no registry: record values then contain only the bytes of the
    /// format, without a schema id.
    pub schema_registry: Option<SchemaRegistry>,
}

impl Config {
    /// Settings with these brokers and this topic; everything else has its default.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>, topic: impl Into<String>) -> Self {
        Self { brokers: brokers.into_iter().map(Into::into).collect(), topic: topic.into(), ..Self::default() }
    }
}

/// How topics are created.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateTopics {
    /// Whether missing topics are created at all.
    pub enabled: bool,
    /// The number of partitions; `None` means the default of the brokers.
    pub partitions: Option<i32>,
    /// The number of replicas; `None` means the default of the brokers.
    pub replication: Option<i16>,
    /// Configs of the topics, such as `"retention.ms" = "-1"`.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}

impl CreateTopics {
    /// Creates missing topics with the defaults of the brokers.
    pub fn enabled() -> Self {
        Self { enabled: true, ..Self::default() }
    }

    /// Sets the number of partitions.
    #[must_use]
    pub fn with_partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Sets the number of replicas.
    #[must_use]
    pub fn with_replication(mut self, replication: i16) -> Self {
        self.replication = Some(replication);
        self
    }

    /// Adds a config of the topics.
    #[must_use]
    pub fn with_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), value.into());
        self
    }
}

/// What to do at the start if a topic already holds records of another task or program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotEmpty {
    /// Refuse to start.
    #[default]
    Fail,
    /// Append new records after the existing ones.
    Append,
}
