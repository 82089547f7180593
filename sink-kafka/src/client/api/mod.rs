//! The requests of Kafka's protocol, one per file. A request is written out here if the protocol library lacks it or lacks the version that
//! is needed.

pub(crate) mod answer;
pub(crate) mod create_topics;
pub(crate) mod describe_configs;
pub(crate) mod fetch;
mod fields;
pub(crate) mod init_producer_id;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod produce;
pub(crate) mod sasl;

/// The value for an unknown leader epoch. The broker then only checks whether it leads the partition by its own knowledge.
const NO_LEADER_EPOCH: i32 = -1;
