//! The checkpoint store `local`.

mod directory;
mod failure;
mod local;

pub use local::{LocalStore, LocalStoreConfig};
