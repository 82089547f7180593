//! Views and sequences. They have names like tables, and RENAME TABLE and DROP TABLE may name them, but nothing of them is delivered.

use std::collections::BTreeSet;

use runtime::TableId;
use serde::{Deserialize, Serialize};

/// The views and sequences in the databases that may hold selected tables, at one position of a stream, as they are stored in the checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OtherObjects(BTreeSet<TableId>);

impl OtherObjects {
    pub(crate) fn new(names: impl IntoIterator<Item = TableId>) -> Self {
        Self(names.into_iter().collect())
    }
}

/// The views and sequences, whose names are folded, and whether they have changed since they were last taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Others {
    names: OtherObjects,
    changed: bool,
}

impl Others {
    /// Restores what was taken before.
    pub(super) fn restore(&mut self, names: OtherObjects, fold: impl Fn(&TableId) -> TableId) {
        self.names = OtherObjects::new(names.0.iter().map(fold));
    }

    /// Returns them if they have changed.
    pub(super) fn take(&mut self) -> Option<OtherObjects> {
        std::mem::take(&mut self.changed).then(|| self.names.clone())
    }

    pub(super) fn contains(&self, name: &TableId) -> bool {
        self.names.0.contains(name)
    }

    pub(super) fn insert(&mut self, name: TableId) {
        self.changed |= self.names.0.insert(name);
    }

    pub(super) fn remove(&mut self, name: &TableId) {
        self.changed |= self.names.0.remove(name);
    }

    /// Removes those of a database.
    pub(super) fn remove_of(&mut self, database: &str) {
        let count = self.names.0.len();
        self.names.0.retain(|name| *name.database != *database);
        self.changed |= self.names.0.len() != count;
    }
}
