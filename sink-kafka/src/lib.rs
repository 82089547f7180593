//! The sink `kafka`: writes the events of a pipeline to Apache Kafka so that a reader can have every record exactly once, in order.
//!
//! It does: topics and partitions by rule, record batches with idempotence, keys and tombstones, a position header on every record
//! ([`record_header`]), receipts, and a recovery that reads the log whenever a lane opens and continues with exactly the record that is
//! missing.
//!
//! It does not: know any source (positions are text to it), encode rows (formats do), or retry on its own except by sending the same batch
//! again with the same sequence number.
//!
//! A program wires it by name, or with [`KafkaSink::builder`]:
//!
//! ```
//! use runtime::Registry;
//!
//! let mut registry = Registry::new();
//! sink_kafka::register(&mut registry);
//! assert!(registry.names().contains(&("sink", "kafka")));
//! ```
//!
//! Where to read: `sink` is the runtime's view. `routing` decides where an event goes, `delivery` fills and sends record batches, `resume`
//! finds out what was delivered, `topics` makes the topics of a lane ready, `schema_registry` gives ids to schemas, `codec` compresses, and
//! `client` is a Kafka client that knows nothing of tasks. `config` is what is written, `settings` what it means; `task` is what lanes share.

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
mod invalid_setting;
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
pub use routing::{PartitionPolicy, RecordKey};
use runtime::Registry;
pub use schema_registry::{RegistryError, RegistryUrl, SchemaRegistry, Subject};
pub use sink::KafkaSink;

/// The key that the format is chosen by.
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
