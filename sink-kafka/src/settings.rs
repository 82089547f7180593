//! The settings of the sink, after they were checked and resolved once per task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::EncoderInfo;
use secrecy::ExposeSecret as _;

use crate::client::topics::TopicCreation;
use crate::client::{Sasl, Tls};
use crate::codec::{Codec, Compression};
use crate::config::{Config, CreateTopics, NotEmpty};
use crate::error::Error;
use crate::fingerprint::{Fingerprint, LATER_NAME};
use crate::invalid_setting::InvalidSetting;
use crate::routing::{
    KeyChange, Partitioning, RecordKey, RoutingRules, TopicTemplate, names_of_column, refuse_control_events_without_topic,
};
use crate::schema_registry::SchemaRegistry;

const DEFAULT_LINGER_MS: u64 = 2;
/// The largest value of `linger_ms`. A longer time would look like a fault.
const MAX_LINGER_MS: u64 = 1000;
const DEFAULT_RECORD_BATCH_BYTES: usize = 1_000_000;
/// The largest value of `record_batch_bytes`. The default limit of a broker is about 1 MB.
const MAX_RECORD_BATCH_BYTES: usize = 64 << 20;
/// The default of `max_batch_bytes`, and its largest value. A batch that cannot be compressed is a little larger than its
/// records.
const DEFAULT_MAX_BATCH_BYTES: usize = 16 << 20;
const LARGEST_MAX_BATCH_BYTES: usize = 128 << 20;
const BATCH_MARGIN_BYTES: usize = 1 << 20;

/// The format of the task's messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Format {
    pub(crate) name: String,
    pub(crate) info: EncoderInfo,
}

/// The checked settings of a task.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) brokers: Vec<String>,
    pub(crate) rules: Arc<RoutingRules>,
    /// How missing topics are created; `None` means that they are not created.
    pub(crate) creation: Option<TopicCreation>,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    compression_level: Option<i32>,
    /// As it is written, because a sink for dead letters refuses it.
    pub(crate) linger_ms: Option<u64>,
    pub(crate) record_batch_bytes: usize,
    /// The size of the largest record batch that is written and read, in bytes.
    pub(crate) max_batch_bytes: usize,
    /// As it is written, for the same reason.
    pub(crate) not_empty: Option<NotEmpty>,
    /// As it is written, for the same reason.
    pub(crate) key_change: Option<KeyChange>,
    pub(crate) sasl: Option<Sasl>,
    /// The names of the TLS files. The files are read again for every session, because certificates are renewed while a task runs.
    pub(crate) tls: Option<Tls>,
    pub(crate) schema_registry: Option<SchemaRegistry>,
    /// Without the transforms.
    fingerprint: Fingerprint,
}

impl Settings {
    /// Checks and resolves the settings. An error names the setting.
    pub(crate) fn resolve(config: Config, format: Format) -> Result<Self, Error> {
        let refuse = |key: &str, problem: String| Err(Error::from(InvalidSetting::new(key, problem)));
        if config.brokers.is_empty() {
            return refuse("brokers", "needs at least one `host:port`".into());
        }
        // The error shows only the number of the entry: an address with a user may contain a password as well.
        if let Some(at) = config.brokers.iter().position(|broker| !is_address(broker)) {
            return refuse("brokers", format!("has an entry, number {}, that is not of the form `host:port`", at + 1));
        }
        if let Some(level) = config.compression_level {
            match config.compression.levels() {
                None => return refuse("compression_level", "has no effect: only zstd and gzip have levels".into()),
                Some(levels) if !levels.contains(&level) => {
                    return refuse("compression_level", format!("is {level}, not between {} and {}", levels.start(), levels.end()));
                }
                Some(_) => {}
            }
        }
        if let Some(ms) = config.linger_ms.filter(|ms| *ms > MAX_LINGER_MS) {
            return refuse("linger_ms", format!("is {ms}, not between 0 and {MAX_LINGER_MS}"));
        }
        let record_batch_bytes = config.record_batch_bytes.unwrap_or(DEFAULT_RECORD_BATCH_BYTES);
        if !(1024..=MAX_RECORD_BATCH_BYTES).contains(&record_batch_bytes) {
            return refuse("record_batch_bytes", format!("is {record_batch_bytes}, not between 1024 and {MAX_RECORD_BATCH_BYTES}"));
        }
        let least_max = record_batch_bytes + BATCH_MARGIN_BYTES;
        let max_batch_bytes = config.max_batch_bytes.unwrap_or(DEFAULT_MAX_BATCH_BYTES.max(least_max));
        if !(least_max..=LARGEST_MAX_BATCH_BYTES).contains(&max_batch_bytes) {
            let why = "the least is record_batch_bytes and a megabyte";
            return refuse(
                "max_batch_bytes",
                format!("is {max_batch_bytes}, not between {least_max} and {LARGEST_MAX_BATCH_BYTES} ({why})"),
            );
        }
        if let Some(sasl) = &config.sasl {
            for (key, text) in [("sasl.user", sasl.user.as_str()), ("sasl.password", sasl.password.expose_secret())] {
                if text.is_empty() || text.contains('\0') {
                    return refuse(key, "is empty, or holds a NUL".into());
                }
            }
        }
        if let Some(registry) = &config.schema_registry {
            registry.validate()?;
        }
        let rules = rules(&config, &format)?;
        let fingerprint = fingerprint(&config, &rules, &format.name);
        Ok(Self {
            brokers: config.brokers,
            rules: Arc::new(rules),
            creation: config.create_topics.map(creation).transpose()?.flatten(),
            format,
            compression: config.compression,
            compression_level: config.compression_level,
            linger_ms: config.linger_ms,
            record_batch_bytes,
            max_batch_bytes,
            not_empty: config.not_empty,
            key_change: config.key_change,
            sasl: config.sasl,
            tls: config.tls,
            schema_registry: config.schema_registry,
            fingerprint,
        })
    }

    /// Whether a topic may hold records of others at the start.
    pub(crate) fn appends(&self) -> bool {
        self.not_empty.unwrap_or_default() == NotEmpty::Append
    }

    /// A codec for the record batches of one lane.
    pub(crate) fn codec(&self) -> Result<Codec, Error> {
        let codec = match self.compression_level {
            Some(level) => Codec::with_level(self.compression, level),
            None => Codec::new(self.compression),
        };
        codec.map_err(|problem| Error::RecordBatch { problem })
    }

    /// The shortest time between two small requests of a busy stream.
    pub(crate) fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms.unwrap_or(DEFAULT_LINGER_MS))
    }

    /// The fingerprint of all settings that decide what a record is and where it goes. `transforms` is the fingerprint of the transforms.
    pub(crate) fn fingerprint(&self, transforms: &str) -> Fingerprint {
        self.fingerprint.clone().with("transforms", transforms)
    }
}

fn fingerprint(config: &Config, rules: &RoutingRules, format: &str) -> Fingerprint {
    let options = config.format.as_ref().and_then(|format| serde_json::to_string(format.one("format").ok()?.1).ok());
    let splits = rules.key_change == KeyChange::Split;
    let mut fingerprint = Fingerprint::new(rules.template().is_some())
        .with("topic", &config.topic)
        .with("partition", &format!("{:?}", config.partition))
        .with("partition_columns", &format!("{:?}", first_names(&config.partition_columns)))
        .with("record_key", &format!("{:?}", config.record_key))
        .with("tombstones", &config.tombstones.to_string())
        .with("format", format)
        .with("format_options", &options.unwrap_or_default());
    for (table, columns) in &config.partition_columns {
        for (place, column) in columns.iter().enumerate() {
            for (rank, name) in names_of_column(column).enumerate().skip(1) {
                fingerprint = fingerprint.with(&format!("{LATER_NAME}{table}.{place}.{rank}"), name);
            }
        }
    }
    if let Some(topic) = &config.ddl_topic {
        fingerprint = fingerprint.with("ddl_topic", topic);
    }
    // No reader can read both records with a schema id and records without one.
    if config.schema_registry.is_some() {
        fingerprint = fingerprint.with("schema_registry", "set");
    }
    if splits {
        fingerprint = fingerprint.with("key_change", "split");
    }
    fingerprint
}

/// The columns by their first names. Names that are added behind them decide nothing as long as a table has these.
fn first_names(columns: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, Vec<&str>> {
    let mut first = BTreeMap::new();
    for (table, columns) in columns {
        first.insert(table.as_str(), columns.iter().filter_map(|column| names_of_column(column).next()).collect());
    }
    first
}

fn rules(config: &Config, format: &Format) -> Result<RoutingRules, Error> {
    let invalid = |key: &'static str| move |problem: String| InvalidSetting::new(key, format!("is invalid: {problem}"));
    let topic = TopicTemplate::parse(&config.topic).map_err(invalid("topic"))?;
    let ddl_topic = match &config.ddl_topic {
        None => None,
        Some(text) => {
            let template = TopicTemplate::parse(text).map_err(invalid("ddl_topic"))?;
            let name = template.fixed().ok_or_else(|| InvalidSetting::new("ddl_topic", "must be one topic's name without placeholders"))?;
            Some(Arc::from(name))
        }
    };
    let partitioning = Partitioning::new(config.partition, &config.partition_columns).map_err(invalid("partition_columns"))?;
    if config.tombstones && config.record_key != RecordKey::PrimaryKey {
        return Err(InvalidSetting::new("tombstones", "needs record_key = \"primary_key\"").into());
    }
    if config.record_key != RecordKey::None && format.info.many_rows {
        return Err(Error::SeveralRowsPerKey { format: format.name.clone() });
    }
    refuse_control_events_without_topic(&topic, &format.name, &format.info)?;
    let Config { record_key, tombstones, key_change, .. } = *config;
    Ok(RoutingRules { topic, ddl_topic, partitioning, record_key, tombstones, key_change: key_change.unwrap_or_default() })
}

fn creation(how: CreateTopics) -> Result<Option<TopicCreation>, InvalidSetting> {
    let CreateTopics { enabled, partitions, replication, configs } = how;
    if partitions.is_some_and(|count| count < 1) {
        return Err(InvalidSetting::new("create_topics.partitions", "must be 1 or more"));
    }
    if replication.is_some_and(|count| count < 1) {
        return Err(InvalidSetting::new("create_topics.replication", "must be 1 or more"));
    }
    Ok(enabled.then_some(TopicCreation { partitions, replication, configs }))
}

/// Whether the text is an address such as `host:port`, `1.2.3.4:9092` or `[::1]:9092`.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.len() > 2 && host.starts_with('[') && host.ends_with(']') && !host.contains('@');
    let plain = !host.is_empty() && !host.contains([':', '[', ']', '/', '@', ' ']);
    (bracketed || plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::client::Security;
    use crate::routing::PartitionPolicy;

    pub(crate) fn config(settings: Value) -> Config {
        runtime::Settings::from(settings).parse("sink.kafka").unwrap()
    }

    pub(crate) fn settings(json: Value) -> Result<Settings, Error> {
        let config = config(json);
        let name = config.format.as_ref().and_then(|format| Some(format.one("format").ok()?.0.to_owned())).unwrap_or_default();
        Settings::resolve(config, Format { name, info: EncoderInfo::default() })
    }

    fn minimal() -> Value {
        json!({"brokers": ["127.0.0.1:9092"], "topic": "shop", "format": {"canal_json": {}}})
    }

    #[test]
    fn the_smallest_configuration_has_the_documented_defaults() {
        let settings = settings(minimal()).unwrap();
        assert_eq!(settings.rules.partitioning, Partitioning::default());
        assert_eq!((settings.compression, settings.appends()), (Compression::Zstd, false));
        assert_eq!((settings.rules.record_key, settings.rules.tombstones), (RecordKey::None, false));
        assert_eq!((settings.record_batch_bytes, settings.linger()), (1_000_000, Duration::from_millis(2)));
        let typed = Config::new(["127.0.0.1:9092"], "shop");
        assert_eq!((typed.partition, typed.compression), (PartitionPolicy::Zero, Compression::Zstd));
    }

    #[test]
    fn a_level_fits_its_compression() {
        for (compression, level, fits) in [
            ("zstd", -7, true),
            ("zstd", 19, true),
            ("gzip", 0, false),
            ("gzip", 1, true),
            ("gzip", 9, true),
            ("gzip", 10, false),
            ("lz4", 1, false),
            ("snappy", 0, false),
            ("none", 0, false),
        ] {
            let mut json = minimal();
            (json["compression"], json["compression_level"]) = (json!(compression), json!(level));
            match settings(json).map_err(runtime::Error::from) {
                Ok(settings) => assert!(fits && settings.codec().is_ok(), "{compression} {level}"),
                Err(error) => {
                    assert!(!fits && error.message().contains("`sink.kafka.compression_level`"), "{compression} {level}: {error}")
                }
            }
        }
    }

    #[test]
    fn linger_may_be_switched_off() {
        for ms in [0, 1, 1000] {
            let mut json = minimal();
            json["linger_ms"] = json!(ms);
            assert_eq!(settings(json).unwrap().linger(), Duration::from_millis(ms));
        }
    }

    #[test]
    fn fingerprints_stay_the_same_over_versions() {
        let of = |json: Value| serde_json::to_string(&settings(json).unwrap().fingerprint("")).unwrap();
        let text = r#"{"format":"312e752f","format_options":"297bd0aa","key_change":"03fbde73","partition":"f9f1e3fc","partition_columns":"297bd0aa","record_key":"9b307427","tombstones":"070d3382","topic":"b7af0651","transforms":"00000000"}"#;
        assert_eq!(of(minimal()), text);
        let mut all = minimal();
        all["topic"] = json!("{table}");
        all["ddl_topic"] = json!("ddl");
        all["partition_columns"] = json!({"shop.orders": ["id"]});
        all["schema_registry"] = json!({"url": "http://r"});
        all["record_key"] = json!("primary_key");
        all["tombstones"] = json!(true);
        let text = r#"{"ddl_topic":"3a0864c5","format":"312e752f","format_options":"297bd0aa","key_change":"03fbde73","partition":"f9f1e3fc","partition_columns":"63a9bf47","record_key":"e056dab2","schema_registry":"b77f7af1","tombstones":"09087e7d","topic":"2b0e2bf1","transforms":"00000000"}"#;
        assert_eq!(of(all), text);
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let mut json = minimal();
        json["sasl"] = json!({"mechanism": "scram_sha_512", "user": "alice", "password": "planted-secret"});
        json["tls"] = json!({});
        let text = format!("{:?} {:?}", config(json.clone()), settings(json).unwrap());
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
            ("linger_ms", json!(1001)),
            ("compression_level", json!(20)),
            ("compression_level", json!(-8)),
            ("partition_columns", json!({"orders": ["id"]})),
            ("partition_columns", json!({"shop.orders": []})),
            ("partition_columns", json!({"shop.orders": ["id|"]})),
            ("create_topics", json!({"enabled": true, "partitions": 0})),
            ("create_topics", json!({"enabled": true, "replication": -1})),
            ("sasl", json!({"mechanism": "plain", "user": "", "password": "x"})),
            ("tls", json!({"ca": "/no/such/file"})),
            ("tombstones", json!(true)),
        ] {
            let mut json = minimal();
            json[key] = value.clone();
            let checked = settings(json).and_then(|settings| {
                Security::load(settings.tls.as_ref(), None).map_err(|error| InvalidSetting::of_tls("tls", error).into()).map(|_| ())
            });
            let error = runtime::Error::from(checked.unwrap_err()).to_string();
            assert!(error.contains(key), "{value}: {error}");
        }
        for (key, value) in [("compression", "brotli"), ("partition", "columns"), ("not_empty", "truncate"), ("record_key", "row")] {
            let mut settings = minimal();
            settings[key] = json!(value);
            let error = runtime::Settings::from(settings).parse::<Config>("sink.kafka").unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("expected one of") && !error.contains(value), "{error}");
        }
        // An error does not repeat a value that may be a secret in the wrong setting.
        for (key, value, expected) in [
            ("brokers", json!(["kafka:9092", "alice:planted-secret@kafka:9092"]), "number 2"),
            ("sasl", json!({"mechanism": "planted-secret", "user": "alice", "password": "x"}), "scram_sha_256"),
        ] {
            let mut json = minimal();
            json[key] = value;
            let read = runtime::Settings::from(json).parse::<Config>("sink.kafka");
            let read = read.and_then(|config| Settings::resolve(config, Format::default()).map_err(Into::into));
            let error = read.unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(expected) && !error.contains("planted-secret"), "{error}");
        }
    }

    #[test]
    fn keys_of_rows_need_one_row_per_message() {
        let info = {
            let mut info = EncoderInfo::default();
            info.many_rows = true;
            info
        };
        for (key, refused) in [("none", false), ("primary_key", true), ("table", true)] {
            let mut json = minimal();
            json["record_key"] = json!(key);
            let resolved = Settings::resolve(config(json), Format { name: "canal_json".into(), info: info.clone() });
            match resolved.map_err(runtime::Error::from) {
                Ok(_) => assert!(!refused, "{key}"),
                Err(error) => {
                    assert!(refused && error.kind() == runtime::Kind::Config, "{error}");
                    assert!(error.message().contains("record_key") && error.help().unwrap().contains("rows = \"one\""), "{error}");
                }
            }
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
            "[]:9092",
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
