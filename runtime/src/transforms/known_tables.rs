//! The tables of the source as a transform has seen them last, so that it can tell what a schema change has done to a table.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{SchemaChange, TableId, TableSchema};

/// The last known schemas, under the names of the source.
#[derive(Default)]
pub(super) struct KnownTables(HashMap<TableId, Arc<TableSchema>>);

/// A table with another schema than before.
pub(super) struct Altered {
    pub(super) before: Arc<TableSchema>,
    pub(super) after: Arc<TableSchema>,
}

impl KnownTables {
    /// Notes the schema of a table. Returns what has become of the table if its schema was another one.
    pub(super) fn note(&mut self, schema: &Arc<TableSchema>) -> Option<Altered> {
        let before = self.0.insert(schema.id.clone(), schema.clone())?;
        (!Arc::ptr_eq(&before, schema)).then(|| Altered { before, after: schema.clone() })
    }

    /// Notes what a statement has done. Returns the tables that it has altered, also those to which it gave another name.
    pub(super) fn apply(&mut self, change: &SchemaChange) -> Vec<Altered> {
        let mut altered = Vec::new();
        // A table that is renamed is listed under its old name, and then under its new one.
        let mut renamed = None;
        for (table, schema) in &change.tables {
            let Some(schema) = schema else {
                renamed = self.0.remove(table);
                continue;
            };
            let before = renamed.take();
            altered.extend(match self.note(schema) {
                None => before.map(|before| Altered { before, after: schema.clone() }),
                known => known,
            });
        }
        altered
    }
}

impl Altered {
    /// The columns that are new. If a column is gone as well, one of them may be that column under another name.
    pub(super) fn appeared(&self) -> impl Iterator<Item = &str> {
        let is_new = |name: &&str| self.before.columns.iter().all(|column| column.name.to_lowercase() != name.to_lowercase());
        self.after.columns.iter().map(|column| column.name.as_str()).filter(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, ColumnKind, SchemaChangeKind};

    fn table(name: &str, columns: &[&str]) -> (TableId, Option<Arc<TableSchema>>) {
        let columns = columns.iter().map(|name| Column::new(*name, ColumnKind::Float, "float")).collect();
        let id = TableId::new("shop", name);
        (id.clone(), Some(Arc::new(TableSchema::new(id, columns))))
    }

    fn gone(name: &str) -> (TableId, Option<Arc<TableSchema>>) {
        (TableId::new("shop", name), None)
    }

    fn apply(known: &mut KnownTables, tables: Vec<(TableId, Option<Arc<TableSchema>>)>) -> Vec<(String, String, Option<String>)> {
        let mut change = SchemaChange::new(SchemaChangeKind::AlterTable, "", "");
        change.tables = tables;
        let text = |altered: Altered| {
            (altered.before.id.table.to_string(), altered.after.id.table.to_string(), altered.appeared().next().map(str::to_owned))
        };
        known.apply(&change).into_iter().map(text).collect()
    }

    #[test]
    fn tables_are_followed_through_changes_and_renames() {
        let mut known = KnownTables::default();
        let entry = |before: &str, after: &str, appeared: Option<&str>| (before.to_owned(), after.to_owned(), appeared.map(str::to_owned));
        let first = table("a", &["x"]);
        assert_eq!(apply(&mut known, vec![first.clone(), table("b", &["y"])]), []);
        assert_eq!(apply(&mut known, vec![first]), [], "it is the same schema");
        assert_eq!(apply(&mut known, vec![table("a", &["X"])]), [entry("a", "a", None)], "names of columns have no case");
        assert_eq!(apply(&mut known, vec![gone("a"), table("c", &["z"])]), [entry("a", "c", Some("z"))]);
        // A tool has put a copy of the table in its place.
        assert_eq!(apply(&mut known, vec![table("b", &["y", "w"]), table("b_old", &["y"])]), [entry("b", "b", Some("w"))]);
        assert_eq!(apply(&mut known, vec![gone("c")]), []);
        assert_eq!(apply(&mut known, vec![table("c", &["q"])]), [], "a new table has replaced nothing");
    }
}
