//! The settings of the sink as they are written: under `[sink.kafka]`, or in the builder.

use std::collections::BTreeMap;

use runtime::Choice;
use serde::Deserialize;

use crate::client::{Sasl, Tls};
use crate::codec::Compression;
use crate::routing::{PartitionPolicy, RecordKey};
use crate::schema_registry::SchemaRegistry;

/// Settings of the sink `kafka`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Brokers to ask first, as `host:port`; the others are found through them.
    pub brokers: Vec<String>,
    /// One topic for all tables, or a template such as `{database}.{table}`.
    pub topic: String,
    /// Where schema changes go; absent, they go where the table's rows go.
    pub ddl_topic: Option<String>,
    /// Which partition a row goes to.
    #[serde(default)]
    pub partition: PartitionPolicy,
    /// For some tables, the columns whose values decide the partition instead of `partition`.
    #[serde(default)]
    pub partition_columns: BTreeMap<String, Vec<String>>,
    /// Which key records get.
    #[serde(default)]
    pub record_key: RecordKey,
    /// Whether each DELETE record is followed by a record with the same key and a null value. Needs `record_key = "primary_key"`.
    #[serde(default)]
    pub tombstones: bool,
    /// Whether and how missing topics are created.
    pub create_topics: Option<CreateTopics>,
    /// The format, exactly one: `format.canal_json = {}`. Not used by the builder, which takes an encoder.
    pub format: Option<Choice>,
    /// How record batches are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Size at which a record batch is closed, in bytes before compression; a single larger record travels alone. Absent: 1,000,000.
    pub record_batch_bytes: Option<usize>,
    /// What to do if a topic holds records that are not this task's when it starts.
    #[serde(default)]
    pub not_empty: NotEmpty,
    /// How the sink authenticates to the brokers; absent, it does not.
    pub sasl: Option<Sasl>,
    /// TLS to the brokers; absent, there is none.
    pub tls: Option<Tls>,
    /// Where the format's schema is registered; absent, records hold the format's bytes alone.
    pub schema_registry: Option<SchemaRegistry>,
}

impl Config {
    /// Settings with defaults for everything else.
    pub fn new(brokers: impl IntoIterator<Item = impl Into<String>>, topic: impl Into<String>) -> Self {
        Self { brokers: brokers.into_iter().map(Into::into).collect(), topic: topic.into(), ..Self::default() }
    }
}

/// How topics are created.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateTopics {
    /// Whether they are created at all.
    pub enabled: bool,
    /// The number of partitions; absent, as the brokers are set.
    pub partitions: Option<i32>,
    /// The number of replicas; absent, as the brokers are set.
    pub replication: Option<i16>,
    /// Configs of the topics, such as `"retention.ms" = "-1"`.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}

impl CreateTopics {
    /// Missing topics are created as the brokers are set.
    pub fn enabled() -> Self {
        Self { enabled: true, ..Self::default() }
    }

    /// With so many partitions.
    #[must_use]
    pub fn with_partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// With so many replicas.
    #[must_use]
    pub fn with_replication(mut self, replication: i16) -> Self {
        self.replication = Some(replication);
        self
    }

    /// With this config of the topics.
    #[must_use]
    pub fn with_config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), value.into());
        self
    }
}

/// What to do with a topic that holds records of other programs at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotEmpty {
    /// Refuse to start.
    #[default]
    Fail,
    /// Write behind them.
    Append,
}
