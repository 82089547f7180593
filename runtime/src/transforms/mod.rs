//! The built-in transforms.

mod by_schema;
mod filter;
mod rename;

pub use filter::{Filter, FilterConfig};
pub use rename::{Case, Pattern, Rename, RenameConfig};

use crate::Registry;

/// Registers the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.transform("filter", Filter::new);
    registry.transform("rename", Rename::new);
}
