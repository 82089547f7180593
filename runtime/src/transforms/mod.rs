//! The built-in transforms.

mod by_schema;
mod columns;
mod known_tables;
mod operations;
mod rename;
mod selected_tables;

pub use columns::{Columns, ColumnsConfig};
pub use operations::{Operation, Operations, OperationsConfig};
pub use rename::{Case, ColumnPattern, NamePart, Pattern, Rename, RenameConfig, Replacement};

use crate::Registry;

/// Registers the built-in transforms.
pub fn register(registry: &mut Registry) {
    registry.transform("operations", Operations::new);
    registry.transform("columns", Columns::new);
    registry.transform("rename", Rename::new);
}
