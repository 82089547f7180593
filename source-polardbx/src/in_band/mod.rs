//! The full phase inside the stream: rows of tables are read in chunks while the binlog is read, and merged into its events.
//!
//! One reader reads the binlog from a position that was noted before the first SELECT. Beside it, chunks of tables are read without locks.
//! A chunk is inserted between two transactions, once the stream has passed everything that its SELECT can have seen. Rows whose key the
//! stream has changed in the meantime are left out, because the stream has a newer image of them. So no key goes back in time, and the
//! rows of a chunk are as new as the events before them.
//!
//! - `phases` knows which ranges of keys of which tables are still to be read.
//! - `barriers` tells which events every new SELECT sees.
//! - `read` reads one chunk, and `key` finds where the next one begins.
//! - `keyless` finds a moment at which a table without a key can be read, and `held` holds its later changes back until it is.
//! - `touched` remembers the keys that the stream has changed.
//! - `spooled` makes the rows of a chunk durable with their place in the stream before they are delivered, so that a replay is exact.
//! - `reader` merges the chunks into the stream.

mod barriers;
mod held;
mod key;
mod keyless;
mod options;
mod phases;
mod read;
mod reader;
mod spooled;
mod touched;

pub(crate) use options::InBandOptions;
pub(crate) use reader::InBandReader;
pub(crate) use spooled::remove_chunk_files;
