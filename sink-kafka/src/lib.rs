//! The sink `kafka`: writes the events of a pipeline to Apache Kafka so that a reader can have every record exactly once, in order.
//!
//! It does: topics and partitions by rule, record batches with idempotence, a position header on every record ([`record_header`]), receipts, and
//! a look at the log whenever a lane opens, after which it goes on with exactly the record that is missing.
//!
//! It does not: know any source (positions are text to it), encode rows (formats do), or retry on its own beyond sending the same batch again
//! under the same sequence number.
//!
//! A pipeline wires it by name:
//!
//! ```
//! use runtime::Registry;
//!
//! let mut registry = Registry::new();
//! sink_kafka::register(&mut registry);
//! assert!(registry.names().contains(&("sink", "kafka")));
//! ```
//!
//! Where to read: [`KafkaSink`] is the runtime's view; `opening` looks at what was delivered, `lane` fills record batches, `delivery` sends
//! them and judges answers, `session` holds connections and leaders, `creation` makes topics, `schema_registry` gives ids to schemas,
//! `codec` compresses, `wire` is the protocol.

#[doc(hidden)]
pub mod benchmark;
mod check;
mod client;
mod codec;
mod config;
mod delivery;
mod error;
#[cfg(test)]
mod fake_broker;
mod resume;
mod routing;
mod schema_registry;
mod sink;
mod task;

use std::sync::Arc;

pub use client::{DoorError, WireError};
pub use config::{Compression, Config, CreateTopics, Mechanism, NotEmpty, PartitionPolicy, Sasl, Tls};
pub use error::{Denial, Error};
pub use resume::record_header;
use runtime::Registry;
pub use schema_registry::{RegistryError, RegistryUrl, SchemaRegistry, Subject};
pub use sink::KafkaSink;

/// The key that the format is chosen by.
const FORMAT: &str = "sink.kafka.format";

/// Registers the sink `kafka`.
pub fn register(registry: &mut Registry) {
    registry.sink_factory("kafka", |config: Config, registry: &Registry| {
        let (name, settings) = config.format.one(FORMAT)?;
        let encoder = registry.encoder_factory_in(FORMAT, name, settings)?;
        let first = encoder()?;
        routing::control_events::check_topic(&config, name, &*first)?;
        let idle = routing::control_events::idle(registry.task().signs_of_life, name, &*first);
        let schema = first.schema().map(str::to_owned);
        let transforms = &registry.task().transforms;
        let mut cluster = task::Cluster::new(config, transforms, schema.as_deref(), client::Timeouts::default())?;
        cluster.idle = idle;
        let cluster = Arc::new(cluster);
        Ok(move || Ok(KafkaSink::new(cluster.clone(), encoder()?)))
    });
}
