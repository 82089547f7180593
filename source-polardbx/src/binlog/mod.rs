//! The incremental phase: the raw events of the binlog are checked, decoded and grouped into batches.
//!
//! Data flow: `transport` (the socket) → `track` and `event` (length, checksum, continuity) → [`decode`] (transaction boundaries,
//! selection, order) → `table_map` and `row` (cells) → a batch. [`decode`] does no I/O, except that the rows of XA transactions wait in files,
//! and `transport` does not interpret events; `reader` connects the two.

mod baseline;
pub mod decode;
mod diagnosis;
pub mod disk;
pub mod error;
mod event;
mod files;
pub mod gtid;
mod ignored;
pub mod inspect;
mod margin;
pub mod position;
mod probe;
pub mod profile;
mod reader;
mod refetched;
mod row;
mod scan;
mod shown;
mod table_map;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod track;
mod transport;
mod walk;

pub(crate) use baseline::{Baseline, ChangedSchema, Look, first_schema_change};
pub use decode::{Decoder, DecoderOptions, PreparedTransactions, RowsWithoutEvents};
pub(crate) use diagnosis::{Refusals, is_lost};
pub(crate) use disk::{FileEvents, FileSet};
pub use error::StreamError;
#[cfg(test)]
pub(crate) use event::Header;
pub(crate) use event::RawEvent;
pub use event::Tso;
pub(crate) use event::{CommitMark, Gtid, kind};
pub(crate) use files::BinlogFiles;
pub(crate) use ignored::IgnoredTables;
pub(crate) use position::{BinlogCoordinates, INSERTION_ROWS, transaction_start};
pub use position::{FileOffset, Insertion, StreamPosition};
pub(crate) use probe::{Probed, probe};
pub use profile::ServerProfile;
pub(crate) use reader::{StreamMark, StreamOptions, StreamReader, Undecodable};
pub(crate) use refetched::RefetchedTables;
pub(crate) use scan::{LastEnd, ScanError};
pub(crate) use shown::{ShownTable, ShownTables};
pub(crate) use transport::Upstream;
pub(crate) use walk::{Beginning, FileGtids, FileHead, Passed, last_early, read_head, walk};
