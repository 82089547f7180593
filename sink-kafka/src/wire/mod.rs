//! The wire: connections to brokers and the requests that are made on them.
//!
//! This is the only module that knows rskafka. Its messenger and protocol types are used directly, because its public client cannot carry
//! what this sink promises: it repeats requests on its own, has no time-outs, no idempotent batches and no `TCP_NODELAY`.

mod answer;
mod connection;
mod create_topics;
mod diagnosis;
mod door;
mod error;
mod fetch;
mod init_producer_id;
mod log;
mod produce;
mod record;
mod rights;
mod sasl;
mod scram;
mod security;
mod stream;
mod topic_limit;

pub(crate) use answer::{Fate, fate, is_about_leadership, is_denial};
pub(crate) use connection::{Connection, Timeouts};
pub(crate) use create_topics::{CreateTopicsRequest, CreateTopicsResponse};
pub use door::DoorError;
pub use error::WireError;
pub(crate) use fetch::{FetchPartition, FetchRequest};
pub(crate) use init_producer_id::InitProducerIdRequest;
pub(crate) use log::{Seen, walk};
pub(crate) use produce::{PartitionRecords, ProduceRequest};
pub(crate) use rights::{RightsRequest, missing};
pub(crate) use security::{Keys, Security, client_side};
pub(crate) use topic_limit::TopicLimitRequest;

/// The protocol's number of an optional error.
pub(crate) fn code_of(error: Option<rskafka::protocol::error::Error>) -> i16 {
    rskafka::protocol::primitives::Int16::from(error).0
}
