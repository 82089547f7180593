//! The sink `kafka` writes the events of a pipeline to Apache Kafka. A reader can get every record exactly once and in order.
//!
//! The sink chooses topics and partitions by rules, sends record batches with idempotence, and sets keys and tombstones. Every record has a
//! position header ([`record_header`]). Receipts note what was delivered. Whenever a lane opens, a recovery reads the log and continues
//! with exactly the first record that is missing.
//!
//! The sink does not depend on any source: positions are plain text for it. It does not encode rows; formats do. It does not retry on its
//! own, except that it sends the same batch again with the same sequence number.
//!
//! A program registers the sink and chooses it by name, or it uses [`KafkaSink::builder`]:
//!
//! ```
//! use runtime::Registry;
//!
//! let mut registry = Registry::new();
//! sink_kafka::register(&mut registry);
//! assert!(registry.names().contains(&("sink", "kafka")));
//! ```
//!
//! The modules: `sink` implements the interface of the runtime. `routing` decides where an event goes, `delivery` fills and sends record
//! batches, `resume` finds out what was delivered, `topics` makes the topics of a lane ready, `schema_registry` gets ids for schemas,
//! `codec` compresses, `preview` shows records without a broker, and `client` is a Kafka client that does not depend on tasks. `config` holds the settings as written, `settings` the
//! checked settings, and `task` the state that all lanes share.

#[doc(hidden)]
pub mod benchmark;
mod builder;
mod check;
mod classification;
mod client;
mod codec;
mod config;
mod delivery;
mod error;
#[cfg(test)]
mod fake_broker;
mod fingerprint;
#[doc(hidden)]
pub mod fuzzing;
mod invalid_setting;
mod letters;
mod preview;
mod resume;
mod routing;
mod schema_registry;
mod settings;
mod sink;
mod task;
mod topics;

pub use builder::KafkaSinkBuilder;
pub use client::{ClientError, ConnectError, Denial, ErrorCode, Mechanism, Sasl, ServerText, Tls, TopicPartition};
pub use codec::Compression;
pub use config::{Config, CreateTopics, NotEmpty};
pub use error::Error;
pub use invalid_setting::InvalidSetting;
pub use resume::record_header;
pub use routing::{KeyChange, PartitionPolicy, RecordKey};
use runtime::Registry;
pub use schema_registry::{RegistryError, RegistryUrl, SchemaRegistry, Subject};
pub use sink::KafkaSink;

/// The full name of the setting that chooses the format.
const FORMAT: &str = "sink.kafka.format";

/// Registers the sink `kafka`.
pub fn register(registry: &mut Registry) {
    registry.sink_factory("kafka", |config: Config, registry: &Registry| {
        let missing = || InvalidSetting::new("format", "is missing: set exactly one format, such as `format.canal_json = {}`");
        let choice = config.format.clone().ok_or_else(|| Error::from(missing()))?;
        let (name, settings) = choice.one(FORMAT)?;
        let encoder = registry.encoder_factory_in(FORMAT, name, settings)?;
        builder::sink_factory(config, name.to_owned(), encoder, client::Timeouts::default())
    });
}
