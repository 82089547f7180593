//! The incremental phase: the binlog's raw events are checked, decoded and cut into batches.
//!
//! A byte's way: `transport` (the socket) → `track` and `event` (length, checksum, continuity) → [`decode`] (borders of transactions,
//! selection, order) → `table_map` and `row` (cells) → a batch. [`decode`] knows no socket, `transport` no event; `reader` joins the two.

pub mod decode;
pub mod error;
mod event;

mod diagnosis;
pub mod position;
mod probe;
mod reader;
mod row;
mod table_map;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod track;
mod transport;

pub(crate) use decode::DATABASES;
pub use decode::{Decoder, DecoderOptions};
pub use error::StreamError;
pub use position::{FileOffset, StreamPosition};
pub(crate) use probe::{Looked, look_at};
pub(crate) use reader::{StreamOptions, StreamReader};
