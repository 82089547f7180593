//! The full phase: every selected table is cut into chunks by its effective key, and each chunk is read as a separate split.

pub(crate) mod barrier;
pub(crate) mod catch_up;
pub(crate) mod cells;
pub(crate) mod chunk;
pub(crate) mod difference;
pub(crate) mod plan;
pub(crate) mod preview;
pub(crate) mod progress;
pub(crate) mod range;
pub(crate) mod restart;
pub(crate) mod sessions;
