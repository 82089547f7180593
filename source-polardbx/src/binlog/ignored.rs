//! The tables that are ignored because they are new.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::{Notices, TableId};

/// The new tables that were named in a notice. The readers of a task share it, so that each is named once.
#[derive(Clone, Debug, Default)]
pub(crate) struct IgnoredTables(Arc<Mutex<BTreeSet<TableId>>>);

impl IgnoredTables {
    /// Names the tables that were not named before.
    pub(super) fn name(&self, tables: BTreeSet<TableId>, notices: &Notices) {
        for table in tables {
            let is_first = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone());
            if is_first {
                notices.warn(&table, "the table is ignored, because it did not exist when the task began (new_tables = \"ignore\")");
            }
        }
    }
}
