//! Which columns tables had before a schema change: a column that is gone while another one appeared may have been renamed.

use std::collections::HashMap;

use crate::{Error, Result, TableId, TableSchema};

/// The names of the columns of each table, as the last schema change told them.
#[derive(Default)]
pub(crate) struct KnownColumns(HashMap<TableId, Vec<String>>);

impl KnownColumns {
    /// Learns a new version of a table. Fails with an error of kind `Config` if a column is gone for which `watched` is true, and another one
    /// appeared: then nobody knows whether the values that `setting` is about are in the new column now.
    pub(crate) fn learn(&mut self, schema: &TableSchema, setting: &str, watched: impl Fn(&str) -> bool) -> Result<()> {
        let columns: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
        let Some(known) = self.0.get(&schema.id) else {
            self.0.insert(schema.id.clone(), columns);
            return Ok(());
        };
        let gone = known.iter().find(|name| watched(name) && !columns.contains(name));
        let appeared = columns.iter().find(|name| !known.contains(name));
        if let (Some(gone), Some(appeared)) = (gone, appeared) {
            let what = format!("column {gone} of table {} is gone, and column {appeared} appeared: it may have been renamed", schema.id);
            return Err(Error::config(what)
                .because(format!("`{setting}` names {gone}"))
                .with_help(format!("write the new name into `{setting}`, or take {gone} out of it, and start the task again"))
                .with_code("E_COLUMN_REPLACED")
                .of_table(&schema.id));
        }
        self.0.insert(schema.id.clone(), columns);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, ColumnKind};

    fn table(columns: &[&str]) -> TableSchema {
        let column = |name: &&str| Column::new(*name, ColumnKind::Json, "json");
        TableSchema::new(TableId::new("shop", "users"), columns.iter().map(column).collect())
    }

    #[test]
    fn a_column_that_may_have_been_renamed_stops_the_task() {
        let learn = |known: &mut KnownColumns, columns: &[&str]| known.learn(&table(columns), "mask.columns", |name| name == "phone");
        let mut known = KnownColumns::default();
        learn(&mut known, &["id", "phone"]).unwrap();
        learn(&mut known, &["id", "phone", "note"]).unwrap();
        learn(&mut known, &["key", "phone", "note"]).unwrap();
        let error = learn(&mut known, &["key", "tel", "note"]).unwrap_err();
        assert_eq!((error.kind(), error.code()), (crate::Kind::Config, Some("E_COLUMN_REPLACED")));
        assert!(error.message().contains("phone") && error.message().contains("tel"), "{error}");
        learn(&mut known, &["key", "note"]).unwrap();
        learn(&mut known, &["key", "note", "tel"]).unwrap();
    }
}
