//! The deliveries of a lane that are in flight, in the order in which they were sent.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::outcome::Delivered;
use crate::error::Error;
use crate::routing::Target;

/// The handle of the task that makes one delivery.
pub(super) type Handle = JoinHandle<Result<Vec<Delivered>, Error>>;

struct Entry {
    /// The partition by which the delivery is found. A delivery may contain batches of several partitions; this is one of them.
    target: Target,
    bytes: usize,
    handle: Handle,
}

/// The deliveries that are in flight.
#[derive(Default)]
pub(super) struct InFlight {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl InFlight {
    pub(super) fn push(&mut self, target: Target, bytes: usize, handle: Handle) {
        self.bytes += bytes;
        self.entries.push_back(Entry { target, bytes, handle });
    }

    /// Removes and returns the delivery that is found by this partition.
    pub(super) fn remove(&mut self, target: Target) -> Option<Handle> {
        let index = self.entries.iter().position(|entry| entry.target == target)?;
        let entry = self.entries.remove(index)?;
        self.bytes -= entry.bytes;
        Some(entry.handle)
    }

    /// The partition by which the oldest delivery is found.
    pub(super) fn first(&self) -> Option<Target> {
        self.entries.front().map(|entry| entry.target)
    }

    /// The total size of all deliveries in flight, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
