//! Tables that are ignored because they are new.

use std::collections::BTreeSet;

use runtime::TableId;

use super::Decoder;
use crate::selection::Selection;

/// The new tables that were met.
#[derive(Default)]
pub(super) struct NewTables(BTreeSet<TableId>);

impl NewTables {
    /// Notes a table if it is ignored because it is new.
    pub(super) fn note(&mut self, table: &TableId, selection: &Selection) {
        if selection.leaves_out_as_new(table) {
            self.0.insert(table.clone());
        }
    }
}

impl Decoder {
    /// The tables that were met since the last call and are ignored because they are new.
    pub(crate) fn take_ignored(&mut self) -> BTreeSet<TableId> {
        std::mem::take(&mut self.ignored.0)
    }
}
