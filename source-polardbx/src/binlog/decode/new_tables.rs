//! Tables that are ignored because they are new.

use std::collections::BTreeSet;

use runtime::TableId;

use crate::selection::Selection;

/// The new tables that were met.
#[derive(Default)]
pub(crate) struct NewTables(BTreeSet<TableId>);

impl NewTables {
    /// Notes a table if it is ignored because it is new.
    pub(super) fn note(&mut self, table: &TableId, selection: &Selection) {
        if selection.leaves_out_as_new(table) {
            self.0.insert(table.clone());
        }
    }

    /// The tables that were met since the last call.
    pub(crate) fn take(&mut self) -> BTreeSet<TableId> {
        std::mem::take(&mut self.0)
    }
}
