//! The wire: connections to brokers and the requests that are made on them.
//!
//! This is the only module that knows rskafka. Its messenger and protocol types are used directly, because its public client cannot carry
//! what this sink promises: it repeats requests on its own, has no time-outs, no idempotent batches and no `TCP_NODELAY`.

mod api;
mod connect_error;
mod connection;
mod diagnosis;
mod error;
mod error_code;
mod log;
mod metadata;
mod record;
mod sasl;
mod scram;
mod security;
pub(crate) mod session;
mod stream;
mod topics;

pub(crate) use api::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
pub(crate) use api::describe_configs::TopicLimitRequest;
pub(crate) use api::fetch::{FetchPartition, FetchRequest};
pub(crate) use api::init_producer_id::InitProducerIdRequest;
pub(crate) use api::produce::{PartitionRecords, ProduceRequest};
pub(crate) use api::topic_rights::{RightsRequest, missing};
pub use connect_error::DoorError;
pub(crate) use connection::{Connection, Timeouts};
pub use error::WireError;
pub(crate) use error_code::{Fate, fate, is_about_leadership, is_denial};
pub(crate) use log::{Seen, walk};
pub(crate) use security::{Keys, Security, client_side};

/// The protocol's number of an optional error.
pub(crate) fn code_of(error: Option<rskafka::protocol::error::Error>) -> i16 {
    rskafka::protocol::primitives::Int16::from(error).0
}
