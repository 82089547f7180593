//! The tables of the source as a transform has seen them last, so that it can tell what a schema change has done to a table.

use std::collections::HashMap;
use std::sync::Arc;

use super::selected_tables::find_column;
use crate::{Error, Result, SchemaChange, TableId, TableSchema};

/// The last known schemas, under the names of the source.
#[derive(Default)]
pub(crate) struct KnownTables(HashMap<TableId, Arc<TableSchema>>);

/// A table with another schema than before.
pub(crate) struct Altered {
    before: Arc<TableSchema>,
    after: Arc<TableSchema>,
}

impl KnownTables {
    /// Notes the schema of a table. Returns what has become of the table if its schema was another one.
    pub(crate) fn note(&mut self, schema: &Arc<TableSchema>) -> Option<Altered> {
        let before = self.0.insert(schema.id.clone(), schema.clone())?;
        (!Arc::ptr_eq(&before, schema)).then(|| Altered { before, after: schema.clone() })
    }

    /// Notes what a statement has done. Returns the tables that it has altered, also those to which it gave another name.
    pub(crate) fn apply(&mut self, change: &SchemaChange) -> Vec<Altered> {
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
    /// The table under its present name.
    pub(crate) fn table(&self) -> &TableId {
        &self.after.id
    }

    /// The columns that are new. If a column is gone as well, one of them may be that column under another name.
    fn appeared(&self) -> impl Iterator<Item = &str> {
        let is_new = |name: &&str| self.before.columns.iter().all(|column| column.name.to_lowercase() != name.to_lowercase());
        self.after.columns.iter().map(|column| column.name.as_str()).filter(is_new)
    }

    /// Fails with an error of kind `Config` if one of the columns that `key` names is gone, and another one has appeared that it does not
    /// name: this may be the same column under another name, to which the setting would then no longer apply.
    pub(crate) fn refuse_replaced<'n>(&self, key: &str, named: impl Iterator<Item = &'n str> + Clone) -> Result<()> {
        let is_named = |column: &&str| named.clone().any(|name| name.to_lowercase() == column.to_lowercase());
        let is_gone = |name: &&str| find_column(&self.before, name).is_some() && find_column(&self.after, name).is_none();
        let gone: Vec<&str> = named.clone().filter(is_gone).collect();
        // The settings may already name what has become of the columns.
        let is_explained = self.appeared().filter(is_named).count() >= gone.len();
        let unknown = self.appeared().find(|column| !is_named(column));
        match (gone.first(), unknown) {
            (Some(gone), Some(appeared)) if !is_explained => Err(Error::config(format!(
                "table {} has lost the column `{gone}`, which key `{key}` names, and has got the column `{appeared}`",
                self.after.id
            ))
            .because("the column may have been renamed")
            .with_help(format!("if it has, write the new name into `{key}`; else remove `{gone}` there. Then start again"))
            .with_code("E_COLUMN_REPLACED")
            .of_table(&self.after.id)),
            _ => Ok(()),
        }
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

    #[test]
    fn a_column_that_may_have_been_renamed_is_refused() {
        let refused = |before: &[&str], after: &[&str], named: &[&str]| {
            let (before, after) = (table("a", before).1.unwrap(), table("a", after).1.unwrap());
            let error = Altered { before, after }.refuse_replaced("transform.mask.columns", named.iter().copied()).err()?;
            assert_eq!((error.kind(), error.code()), (crate::Kind::Config, Some("E_COLUMN_REPLACED")));
            Some(error.message().to_owned())
        };
        let message = "table shop.a has lost the column `phone`, which key `transform.mask.columns` names, and has got the column `tel`";
        assert_eq!(refused(&["id", "phone"], &["id", "tel"], &["Phone"]).unwrap(), message.replace("phone", "Phone"));
        assert_eq!(refused(&["id", "phone"], &["id", "phone", "tel"], &["phone"]), None, "nothing is gone");
        assert_eq!(refused(&["id", "phone"], &["no", "phone"], &["phone"]), None, "the settings do not name what is gone");
        assert_eq!(refused(&["id", "phone"], &["id"], &["phone"]), None, "nothing has appeared");
        assert_eq!(refused(&["id", "phone"], &["id", "tel"], &["phone", "tel"]), None, "the settings name both");
        assert!(refused(&["a", "b"], &["x", "c"], &["a", "b", "c"]).is_some(), "two are gone, and one of them is named again");
    }
}
