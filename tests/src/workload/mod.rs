//! Data and changes in the source: tables with the limits of every type, concurrent writers, a shop.
//!
//! All of it is determined by a seed, and ends by count or time.

pub mod every_type;
pub mod load;
pub mod shop;
pub mod writers;

pub use writers::{Writers, Written};
