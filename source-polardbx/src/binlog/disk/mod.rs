//! Binlog files on disk, which stand in for a server that sends them.
//!
//! `FileSet` lists the files of one binlog in their order. `FileEvents` reads the events of the files one after another, as the server would
//! send them from the same position. It only finds where an event begins and ends; what an event holds is checked and decoded as for a stream.

mod error;
mod events;
mod set;

pub use error::FileError;
pub(crate) use events::FileEvents;
pub(crate) use set::FileSet;
