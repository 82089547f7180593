//! Which topic and partition an event goes to.

pub(crate) mod control_events;
mod partitioner;
pub(crate) mod router;
