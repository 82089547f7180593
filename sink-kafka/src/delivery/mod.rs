//! Encodes events, fills record batches and delivers them.

mod buffer_pool;
mod in_flight;
mod key_moves;
mod open_batches;
mod outcome;
mod producer;
mod record_batch;
mod send;
mod tombstones;
mod writer;
mod writer_topics;

pub(crate) use producer::{IdempotenceHistory, Producer};
pub(crate) use record_batch::{ProducerId, Record, RecordBatchBuilder};

pub(crate) use outcome::Sender;
pub(crate) use writer::{Writer, WriterOptions};
pub(crate) use writer_topics::TopicState;
