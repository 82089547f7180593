//! Encodes events, fills record batches and delivers them.

pub(crate) mod buffer_pool;
pub(crate) mod record_batch;
pub(crate) mod send;
pub(crate) mod writer;
