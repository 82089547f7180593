//! Data and changes for the source: tables with values at the limits of every type, bulk loads, concurrent writers, and a shop. Random
//! values come from seeded generators.

pub mod every_type;
pub mod load;
pub mod shop;
pub mod writers;

pub use writers::{Writers, Written};
