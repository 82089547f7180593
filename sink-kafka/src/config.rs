//! The settings of the sink: what stands under `[sink.kafka]`.

use runtime::settings::Choice;
use serde::Deserialize;

use crate::error::Error;
use crate::router::TopicTemplate;

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

    // Keys of the documented configuration that are not built yet. They are read so that they can be refused by name: a key that is
    // accepted and ignored would be a promise that is not kept.
    sasl: Option<Present>,
    tls: Option<Present>,
    schema_registry: Option<Present>,
    create_topics: Option<Present>,
    partition_columns: Option<Present>,
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
    /// zstd, level 1.
    #[default]
    Zstd,
    /// Not at all.
    None,
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

/// Something is there, whatever it is.
#[derive(Clone, Copy, Debug)]
struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

fn default_record_batch_bytes() -> usize {
    1_000_000
}

impl Config {
    /// Checks what the types cannot say. An error names the key.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |key: &'static str, problem: String| Err(Error::Setting { key, problem });
        for (key, present) in [
            ("sasl", self.sasl),
            ("tls", self.tls),
            ("schema_registry", self.schema_registry),
            ("create_topics", self.create_topics),
            ("partition_columns", self.partition_columns),
        ] {
            if present.is_some() {
                return Err(Error::NotBuilt { key });
            }
        }
        if self.brokers.is_empty() {
            return refuse("brokers", "at least one `host:port` is needed".into());
        }
        if let Some(broker) = self.brokers.iter().find(|broker| !is_address(broker)) {
            return refuse("brokers", format!("`{broker}` is not of the form `host:port`"));
        }
        if !(1024..=MAX_RECORD_BATCH_BYTES).contains(&self.record_batch_bytes) {
            return refuse("record_batch_bytes", format!("{} is not between 1024 and {MAX_RECORD_BATCH_BYTES}", self.record_batch_bytes));
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

/// `host:port`, `1.2.3.4:9092`, `[::1]:9092`.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.is_empty() && !host.contains([':', '[', ']', '/', ' ']);
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
    fn keys_that_are_not_built_are_refused_by_name() {
        for key in ["sasl", "tls", "schema_registry", "create_topics", "partition_columns"] {
            let mut settings = minimal();
            settings[key] = json!({"any": ["thing", 1]});
            let error = runtime::Error::from(config(settings).validate().unwrap_err());
            assert_eq!(error.kind(), runtime::Kind::Config);
            assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        }
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
        ] {
            let mut settings = minimal();
            settings[key] = value.clone();
            let error = runtime::Error::from(config(settings).validate().unwrap_err()).to_string();
            assert!(error.contains(key), "{value}: {error}");
        }
        for (key, value) in [("compression", "lz4"), ("partition", "columns"), ("not_empty", "truncate")] {
            let mut settings = minimal();
            settings[key] = json!(value);
            let error = Settings::from(settings).parse::<Config>("sink.kafka").unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["kafka:9092", "127.0.0.1:1", "[::1]:9092"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["kafka", ":9092", "kafka:", "kafka:x", "::1:9092", "http://kafka:9092", "kafka:70000"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
