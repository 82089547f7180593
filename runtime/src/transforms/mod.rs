//! The built-in transforms.

mod by_schema;
mod etl;
mod known_columns;
mod masking;
mod rename;
mod scope;

pub use etl::{Etl, EtlConfig, OnEtlError};
pub use rename::{Case, Pattern, Rename, RenameConfig};

use crate::Registry;

/// Registers the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.transform("etl", Etl::new);
    registry.transform("rename", Rename::new);
}
