//! Kafka's requests, one a file. Those that the protocol library lacks, or has in a version that does not do, are written out here.

pub(crate) mod create_topics;
pub(crate) mod describe_configs;
pub(crate) mod fetch;
pub(crate) mod init_producer_id;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod produce;
pub(crate) mod sasl;
pub(crate) mod topic_rights;
