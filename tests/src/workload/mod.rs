//! What goes on in the source: tables with every type at its edges, writers that work at the same time, a shop.
//!
//! All of it follows from a seed and ends by count or time.

pub mod every_type;
pub mod load;
pub mod shop;
pub mod writers;

pub use writers::{Writers, Written};
