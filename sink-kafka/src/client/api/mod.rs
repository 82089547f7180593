//! Kafka's requests, one a file.

pub(crate) mod create_topics;
pub(crate) mod describe_configs;
pub(crate) mod fetch;
pub(crate) mod init_producer_id;
pub(crate) mod produce;
pub(crate) mod topic_rights;
