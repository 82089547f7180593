//! The built-in transforms.

mod by_schema;
mod columns;
mod etl;
mod filter;
mod known_columns;
mod known_tables;
mod masking;
mod operations;
mod rename;
mod scope;
mod selected_tables;

pub use columns::{Columns, ColumnsConfig};
pub use etl::{AddColumns, AddColumnsConfig, AddedColumn, Etl, EtlConfig, Mask, MaskConfig, MaskRule, OnEtlError};
pub use filter::{Filter, FilterConfig};
pub use operations::{Operation, Operations, OperationsConfig};
pub use rename::{Case, ColumnPattern, NamePart, Pattern, Rename, RenameConfig, Replacement};

use crate::Registry;

/// Registers the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.transform("filter", Filter::new);
    registry.transform("operations", Operations::new);
    registry.transform("add_columns", AddColumns::new);
    registry.transform("etl", Etl::new);
    registry.transform("mask", Mask::new);
    registry.transform("columns", Columns::new);
    registry.transform("rename", Rename::new);
}
