//! Contracts that every plugin can run against itself, and a store without a disk.
//!
//! A contract panics with what was broken, so it belongs into a test.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used)]

mod sink;
mod source;
mod store;

pub use sink::{events, sink_contract};
pub use source::source_contract;
pub use store::MemoryStore;
