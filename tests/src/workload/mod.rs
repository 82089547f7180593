//! Data and changes for the source: tables with values at the limits of every type, concurrent writers, and a shop.
//!
//! Each workload is determined by a seed and ends after a count or a time.

pub mod every_type;
pub mod load;
pub mod shop;
pub mod writers;

pub use writers::{Writers, Written};
