//! The built-in transforms.

mod by_schema;
mod etl;
mod known_columns;
mod masking;
mod rename;
mod scope;

pub use etl::{AddColumns, AddColumnsConfig, AddedColumn, Etl, EtlConfig, Mask, MaskConfig, MaskRule, OnEtlError};
pub use rename::{Case, Pattern, Rename, RenameConfig};

use crate::Registry;

/// Registers the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.transform("add_columns", AddColumns::new);
    registry.transform("etl", Etl::new);
    registry.transform("mask", Mask::new);
    registry.transform("rename", Rename::new);
}
