//! Encodes events, fills record batches and delivers them.

mod buffer_pool;
mod event_records;
mod in_flight;
mod letter_writer;
mod open_batches;
mod outcome;
mod producer;
mod record_batch;
mod refusals;
mod send;
mod writer;
mod writer_topics;

pub(crate) use letter_writer::LetterWriter;
pub(crate) use producer::{IdempotenceHistory, Producer};
pub(crate) use record_batch::{ProducerId, Record, RecordBatchBuilder};

pub(crate) use outcome::Sender;
pub(crate) use writer::{Writer, WriterOptions};
pub(crate) use writer_topics::TopicState;
