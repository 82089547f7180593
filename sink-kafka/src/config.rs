//! The settings of the sink: what stands under `[sink.kafka]`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use runtime::TableId;
use runtime::settings::Choice;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::error::Error;
use crate::routing::router::TopicTemplate;
use crate::schema_registry::SchemaRegistry;

/// The largest record batch that may be asked for; a broker's own limit is about 1 MB unless it was raised.
const MAX_RECORD_BATCH_BYTES: usize = 64 << 20;

/// Settings of the sink `kafka`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Brokers to ask first, as `host:port`; the others are learnt from them.
    pub brokers: Vec<String>,
    /// One topic for all tables, or a template such as `{database}.{table}`.
    pub topic: String,
    /// Where schema changes go; absent, they go where the table's rows go.
    pub ddl_topic: Option<String>,
    /// Which partition a row goes to.
    #[serde(default)]
    pub partition: PartitionPolicy,
    /// For some tables, the columns whose values decide the partition, whatever `partition` says.
    #[serde(default)]
    pub partition_columns: BTreeMap<String, Vec<String>>,
    /// Whether and how topics that are missing are made.
    pub create_topics: Option<CreateTopics>,
    /// The format, exactly one: `format.canal_json = {}`.
    pub format: Choice,
    /// How record batches are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Size at which a record batch is closed, in bytes before compression; a single larger record travels alone.
    #[serde(default = "default_record_batch_bytes")]
    pub record_batch_bytes: usize,
    /// What to do if a topic holds records that are not this task's when it starts.
    #[serde(default)]
    pub not_empty: NotEmpty,
    /// Who we are to the brokers; absent, nobody asks.
    pub sasl: Option<Sasl>,
    /// TLS to the brokers; absent, there is none.
    pub tls: Option<Tls>,
    /// Where the format's schema is registered; absent, records hold the format's bytes alone.
    pub schema_registry: Option<SchemaRegistry>,
}

/// How rows are spread over the partitions of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartitionPolicy {
    /// Everything to partition 0: one order for all rows.
    #[default]
    Zero,
    /// By the hash of the table's name: order per table.
    Table,
    /// By the hash of the row's key: order per row.
    PrimaryKey,
}

/// How record batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compression {
    /// zstd, level 1: the smallest and, on rows of a database, among the fastest.
    #[default]
    Zstd,
    /// lz4, as a frame of independent blocks.
    Lz4,
    /// Snappy, in the framing of Java's library.
    Snappy,
    /// gzip, level 1.
    Gzip,
    /// Not at all.
    None,
}

/// How topics are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CreateTopics {
    /// Whether they are made at all.
    pub enabled: bool,
    /// How many partitions they get; absent, as many as the brokers are set to.
    pub partitions: Option<i32>,
    /// How many replicas; absent, as many as the brokers are set to.
    pub replication: Option<i16>,
    /// Configs of the topics, such as `"retention.ms" = "-1"`.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}

/// Who we are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Sasl {
    /// How it is proved.
    pub mechanism: Mechanism,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: SecretString,
}

/// A mechanism of SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum Mechanism {
    /// SCRAM-SHA-256: the password is never sent.
    ScramSha256,
    /// SCRAM-SHA-512: the password is never sent.
    ScramSha512,
    /// PLAIN: the password is sent as it is; for connections with TLS.
    Plain,
}

impl TryFrom<String> for Mechanism {
    type Error = &'static str;

    // An unknown name is not repeated: it may be a password in the wrong place.
    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "scram_sha_256" => Ok(Self::ScramSha256),
            "scram_sha_512" => Ok(Self::ScramSha512),
            "plain" => Ok(Self::Plain),
            _ => Err("expected one of `scram_sha_256`, `scram_sha_512`, `plain`"),
        }
    }
}

impl Mechanism {
    /// The name that brokers know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Plain => "PLAIN",
        }
    }
}

/// TLS to the brokers. Their certificates are always checked, with the host's name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Tls {
    /// PEM file of the authorities that are trusted, and no others; absent, those of this system's store.
    pub ca: Option<PathBuf>,
    /// PEM file of a client certificate, with its chain.
    pub cert: Option<PathBuf>,
    /// PEM file of its private key, without a passphrase.
    pub key: Option<PathBuf>,
}

/// What to do with a topic that holds foreign records at the start.
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

fn default_record_batch_bytes() -> usize {
    1_000_000
}

impl Config {
    /// Fingerprints of all that decides where a row goes, with the text of the task's transforms: the one of these settings, and another one
    /// that a task may come from as well. Under a template, rows do not go elsewhere because `ddl_topic` is set, and a task that met a
    /// statement without a topic can only go on so.
    pub(crate) fn routing(&self, transforms: &str) -> (String, Option<String>) {
        let template = TopicTemplate::parse(&self.topic).is_ok_and(|topic| topic.fixed().is_none());
        let before = (template && self.ddl_topic.is_some()).then(|| self.routing_with(None, transforms));
        (self.routing_with(self.ddl_topic.as_ref(), transforms), before)
    }

    fn routing_with(&self, ddl_topic: Option<&String>, transforms: &str) -> String {
        let format = self.format.one("sink.kafka.format").map_or("", |(name, _)| name);
        let Self { topic, partition, partition_columns, .. } = self;
        // Records with and without an id of their schema have no reader in common.
        let framed = if self.schema_registry.is_some() { " framed" } else { "" };
        let text = format!("{topic:?} {ddl_topic:?} {partition:?} {partition_columns:?} {format}{framed} {transforms}");
        format!("{:08x}", crc32c::crc32c(text.as_bytes()))
    }

    /// Checks what the types cannot say. An error names the key.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |key: &'static str, problem: String| Err(Error::Setting { key, problem });
        if self.brokers.is_empty() {
            return refuse("brokers", "at least one `host:port` is needed".into());
        }
        // The entry is told by its number: who writes a user into an address writes a password as well.
        if let Some(at) = self.brokers.iter().position(|broker| !is_address(broker)) {
            return refuse("brokers", format!("entry {} is not of the form `host:port`", at + 1));
        }
        if !(1024..=MAX_RECORD_BATCH_BYTES).contains(&self.record_batch_bytes) {
            return refuse("record_batch_bytes", format!("{} is not between 1024 and {MAX_RECORD_BATCH_BYTES}", self.record_batch_bytes));
        }
        for (table, columns) in self.partition_columns()? {
            if columns.is_empty() {
                return refuse("partition_columns", format!("table {table} has no column"));
            }
        }
        if let Some(how) = &self.create_topics {
            if how.partitions.is_some_and(|count| count < 1) {
                return refuse("create_topics.partitions", "must be 1 or more".into());
            }
            if how.replication.is_some_and(|count| count < 1) {
                return refuse("create_topics.replication", "must be 1 or more".into());
            }
        }
        if let Some(sasl) = &self.sasl {
            for (key, text) in [("sasl.user", sasl.user.as_str()), ("sasl.password", sasl.password.expose_secret())] {
                if text.is_empty() || text.contains('\0') {
                    return refuse(key, "is empty, or holds a NUL".into());
                }
            }
        }
        TopicTemplate::parse(&self.topic).map_err(|problem| Error::Setting { key: "topic", problem })?;
        if let Some(ddl_topic) = &self.ddl_topic {
            let template = TopicTemplate::parse(ddl_topic).map_err(|problem| Error::Setting { key: "ddl_topic", problem })?;
            if template.fixed().is_none() {
                return refuse("ddl_topic", "must be one topic's name without placeholders".into());
            }
        }
        Ok(())
    }
}

impl Config {
    /// The partition columns by table.
    pub(crate) fn partition_columns(&self) -> Result<HashMap<TableId, Vec<String>>, Error> {
        let table = |name: &String| name.parse::<TableId>().map_err(|problem| Error::Setting { key: "partition_columns", problem });
        self.partition_columns.iter().map(|(name, columns)| Ok((table(name)?, columns.clone()))).collect()
    }

    /// How topics are made, if they are.
    pub(crate) fn creation(&self) -> Option<&CreateTopics> {
        self.create_topics.as_ref().filter(|how| how.enabled)
    }
}

/// `host:port`, `1.2.3.4:9092`, `[::1]:9092`.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']') && !host.contains('@');
    let plain = !host.is_empty() && !host.contains([':', '[', ']', '/', '@', ' ']);
    (bracketed || plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use runtime::Settings;
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn config(settings: Value) -> Config {
        Settings::from(settings).parse("sink.kafka").unwrap()
    }

    fn minimal() -> Value {
        json!({"brokers": ["127.0.0.1:9092"], "topic": "shop", "format": {"canal_json": {}}})
    }

    #[test]
    fn the_smallest_configuration_has_the_documented_defaults() {
        let config = config(minimal());
        config.validate().unwrap();
        assert_eq!((config.partition, config.compression, config.not_empty), (PartitionPolicy::Zero, Compression::Zstd, NotEmpty::Fail));
        assert_eq!(config.record_batch_bytes, 1_000_000);
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let mut settings = minimal();
        settings["sasl"] = json!({"mechanism": "scram_sha_512", "user": "alice", "password": "planted-secret"});
        settings["tls"] = json!({});
        let config = config(settings);
        config.validate().unwrap();
        let text = format!("{config:?}");
        assert!(text.contains("alice") && !text.contains("planted-secret"), "{text}");
    }

    #[test]
    fn wrong_values_are_refused_by_key() {
        for (key, value) in [
            ("brokers", json!([])),
            ("brokers", json!(["kafka"])),
            ("brokers", json!(["kafka:0"])),
            ("topic", json!("{schema}")),
            ("topic", json!("a b")),
            ("topic", json!("")),
            ("ddl_topic", json!("{table}")),
            ("record_batch_bytes", json!(1)),
            ("partition_columns", json!({"orders": ["id"]})),
            ("partition_columns", json!({"shop.orders": []})),
            ("create_topics", json!({"enabled": true, "partitions": 0})),
            ("create_topics", json!({"enabled": true, "replication": -1})),
            ("sasl", json!({"mechanism": "plain", "user": "", "password": "x"})),
            ("tls", json!({"ca": "/no/such/file"})),
        ] {
            let mut settings = minimal();
            settings[key] = value.clone();
            let config = config(settings);
            let checked = config.validate().and_then(|()| crate::client::Security::load(config.tls.as_ref(), None).map(|_| ()));
            let error = runtime::Error::from(checked.unwrap_err()).to_string();
            assert!(error.contains(key), "{value}: {error}");
        }
        for (key, value) in [("compression", "brotli"), ("partition", "columns"), ("not_empty", "truncate")] {
            let mut settings = minimal();
            settings[key] = json!(value);
            let error = Settings::from(settings).parse::<Config>("sink.kafka").unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(value), "{error}");
        }
        // What may be a secret in the wrong place is not repeated.
        for (key, value, told) in [
            ("brokers", json!(["kafka:9092", "alice:planted-secret@kafka:9092"]), "entry 2"),
            ("sasl", json!({"mechanism": "planted-secret", "user": "alice", "password": "x"}), "scram_sha_256"),
        ] {
            let mut settings = minimal();
            settings[key] = value;
            let read = Settings::from(settings).parse::<Config>("sink.kafka");
            let error = read.and_then(|config| config.validate().map_err(Into::into)).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(told) && !error.contains("planted-secret"), "{error}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["kafka:9092", "127.0.0.1:1", "[::1]:9092"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "kafka",
            ":9092",
            "kafka:",
            "kafka:x",
            "::1:9092",
            "http://kafka:9092",
            "kafka:70000",
            "user:secret@kafka:1",
            "[user:secret@kafka]:1",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
