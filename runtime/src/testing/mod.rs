//! Contracts that every plugin can run against itself, and a store without a disk.
//!
//! A contract panics with what was broken, so it belongs into a test.
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used)]

mod promises;
mod sink;
mod source;
mod store;

use std::future::Future;
use std::time::Duration;

pub use promises::{evidence_contract, key_move_contract};
pub use sink::{events, sink_contract};
pub use source::source_contract;
pub use store::MemoryStore;

/// How long calls run that a contract drops midway.
const MIDWAY: [Duration; 4] = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(4), Duration::from_millis(16)];

/// Runs `call` for at most `limit`, as a task that is stopped does.
async fn drop_midway<T>(limit: Duration, call: impl Future<Output = T>) {
    let _ = tokio::time::timeout(limit, call).await;
}
