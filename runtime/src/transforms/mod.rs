//! The built-in transforms.

mod by_schema;
mod rename;

pub use rename::{Case, Pattern, Rename, RenameConfig};

use crate::Registry;

/// Registers the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.transform("rename", Rename::new);
}
