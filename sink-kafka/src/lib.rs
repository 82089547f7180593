//! The sink `kafka`: writes the events of a pipeline to Apache Kafka so that a reader can have every record exactly once, in order.
//!
//! It does: topics and partitions by rule, record batches with idempotence, a position header on every record ([`position`]), receipts, and
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

mod asking;
mod check;
mod cluster;
mod codec;
mod config;
mod control;
mod creation;
mod delivery;
mod error;
#[cfg(test)]
mod fake_broker;
mod lane;
mod look;
#[doc(hidden)]
pub mod measured;
mod opening;
mod partition;
pub mod position;
mod receipt;
mod record_batch;
mod router;
mod schema_registry;
mod session;
mod sink;
mod spares;
mod wire;

use std::sync::Arc;

pub use config::{Compression, Config, CreateTopics, Mechanism, NotEmpty, PartitionPolicy, Sasl, Tls};
pub use error::{Denial, Error};
use runtime::Registry;
pub use schema_registry::{RegistryError, RegistryUrl, SchemaRegistry, Subject};
pub use sink::KafkaSink;
pub use wire::{DoorError, WireError};

/// The key that the format is chosen by.
const FORMAT: &str = "sink.kafka.format";

/// Registers the sink `kafka`.
pub fn register(registry: &mut Registry) {
    registry.sink_factory("kafka", |config: Config, registry: &Registry| {
        let (name, settings) = config.format.one(FORMAT)?;
        let encoder = registry.encoder_factory_in(FORMAT, name, settings)?;
        let first = encoder()?;
        control::check_topic(&config, name, &*first)?;
        let idle = control::idle(registry.task().signs_of_life, name, &*first);
        let schema = first.schema().map(str::to_owned);
        let transforms = &registry.task().transforms;
        let mut cluster = cluster::Cluster::new(config, transforms, schema.as_deref(), wire::Timeouts::default())?;
        cluster.idle = idle;
        let cluster = Arc::new(cluster);
        Ok(move || Ok(KafkaSink::new(cluster.clone(), encoder()?)))
    });
}
