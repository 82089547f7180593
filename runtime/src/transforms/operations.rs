//! Keeps some operations of a table and drops the others. DTS calls this "SQL operations" of an object.

use serde::{Deserialize, Serialize};

use super::by_schema::BySchema;
use super::selected_tables::SelectedTables;
use crate::{Batch, Body, Error, Op, Result, RowChange, SchemaChange, SchemaChangeKind, TablePattern, Transform};

/// Settings of `operations`: `operations = { tables = ["shop.audit"], keep = ["insert", "ddl"] }`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OperationsConfig {
    /// The tables, as patterns.
    pub tables: Vec<String>,
    /// The operations that are kept; all others of these tables are dropped.
    pub keep: Vec<Operation>,
}

/// What the source can do to a table.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// A row was inserted, or was there when the snapshot was read.
    Insert,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
    /// Every kind of DDL.
    Ddl,
    /// CREATE TABLE.
    CreateTable,
    /// ALTER TABLE, other than those that have a name of their own.
    AlterTable,
    /// DROP TABLE.
    DropTable,
    /// RENAME TABLE, and ALTER TABLE … RENAME TO.
    RenameTable,
    /// TRUNCATE TABLE.
    TruncateTable,
    /// CREATE INDEX.
    CreateIndex,
    /// DROP INDEX.
    DropIndex,
    /// CREATE, ALTER and DROP DATABASE.
    Database,
    /// Any other DDL.
    Other,
}

/// A transform that drops operations by what the source did. A schema change that is dropped is still seen by the transforms behind this one.
pub struct Operations {
    tables: SelectedTables,
    keep: Vec<Operation>,
    /// Whether a table is one of `tables`.
    selected: BySchema<bool>,
}

impl Operations {
    /// Checks the settings. Fails with an error of kind `Config` if a pattern is not valid, or if nothing is kept.
    pub fn new(config: OperationsConfig) -> Result<Self> {
        if config.keep.is_empty() {
            return Err(Error::config("key `transform.operations.keep` is not valid")
                .because("it is empty")
                .with_help("leave these tables out with `exclude` of the source")
                .with_code("E_CONFIG"));
        }
        let tables = SelectedTables::new("operations.tables", &config.tables)?;
        Ok(Self { tables, keep: config.keep, selected: BySchema::default() })
    }

    fn keeps_row(&mut self, change: &RowChange) -> Result<bool> {
        let Self { tables, keep, selected } = self;
        let operation = match change.source_op {
            Op::Read | Op::Insert => Operation::Insert,
            Op::Update => Operation::Update,
            Op::Delete => Operation::Delete,
        };
        Ok(!*selected.get(&change.schema, |schema| Ok(tables.contain(&schema.id)))? || keep.contains(&operation))
    }

    /// A statement is dropped only if none of its tables keeps it.
    fn keeps_schema_change(&self, change: &SchemaChange) -> bool {
        let operation = match change.kind {
            SchemaChangeKind::CreateTable => Operation::CreateTable,
            SchemaChangeKind::AlterTable => Operation::AlterTable,
            SchemaChangeKind::DropTable => Operation::DropTable,
            SchemaChangeKind::RenameTable => Operation::RenameTable,
            SchemaChangeKind::TruncateTable => Operation::TruncateTable,
            SchemaChangeKind::CreateIndex => Operation::CreateIndex,
            SchemaChangeKind::DropIndex => Operation::DropIndex,
            SchemaChangeKind::Database => Operation::Database,
            SchemaChangeKind::Other => Operation::Other,
        };
        if self.keep.contains(&Operation::Ddl) || self.keep.contains(&operation) {
            return true;
        }
        match change.tables.is_empty() {
            true => !self.tables.contain_database(&change.database),
            false => change.tables.iter().any(|(table, _)| !self.tables.contain(table)),
        }
    }
}

impl Transform for Operations {
    /// Neither names nor keys change.
    fn fingerprint(&self) -> String {
        String::new()
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        let mut all = true;
        for event in &mut batch.events {
            match &mut event.body {
                Body::Row(change) => all &= self.keeps_row(change)?,
                Body::Schema(change) => {
                    change.delivered &= self.keeps_schema_change(change);
                    self.selected.clear();
                }
                Body::Begin | Body::Commit | Body::Heartbeat => {}
            }
        }
        if all {
            return Ok(());
        }
        batch.retain(|event| if let Body::Row(change) = &event.body { self.keeps_row(change) } else { Ok(true) })
    }

    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.tables.patterns()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::testing::events;
    use crate::{Kind, Settings, TableId, TableSchema};

    fn operations(config: serde_json::Value) -> Result<Operations> {
        Operations::new(Settings::from(config).parse("transform.operations")?)
    }

    #[test]
    fn rows_are_kept_by_what_the_source_did() {
        let mut operations = operations(json!({"tables": ["contract.*"], "keep": ["insert", "update"]})).unwrap();
        let mut list = events(1, 5);
        for (event, (op, source_op)) in list.iter_mut().zip([
            (Op::Read, Op::Read),
            (Op::Insert, Op::Insert),
            (Op::Delete, Op::Update),
            (Op::Insert, Op::Delete),
            (Op::Delete, Op::Delete),
        ]) {
            let Body::Row(change) = &mut event.body else { unreachable!() };
            (change.op, change.source_op) = (op, source_op);
        }
        let Body::Row(change) = &mut list[4].body else { unreachable!() };
        change.schema = Arc::new(TableSchema { id: TableId::new("other", "rows"), ..TableSchema::clone(&change.schema) });
        let mut batch = Batch::new(list, None, 0);
        operations.apply(&mut batch).unwrap();
        assert_eq!(batch.events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [1, 2, 3, 5]);
    }

    #[test]
    fn a_statement_is_dropped_if_none_of_its_tables_keeps_it() {
        let kept = |tables: &[&str], kind, database: &str, keep: &[&str]| {
            let mut change = SchemaChange::new(kind, database, "…");
            change.tables = tables.iter().map(|name| (name.parse().unwrap(), None)).collect();
            let mut batch = Batch::new(vec![crate::Event { body: Body::Schema(change), ..events(1, 1).remove(0) }], None, 0);
            operations(json!({"tables": ["shop.a", "shop.b", "crm.*"], "keep": keep})).unwrap().apply(&mut batch).unwrap();
            matches!(&batch.events[0].body, Body::Schema(change) if change.delivered)
        };
        use SchemaChangeKind as K;
        assert!(!kept(&["shop.a", "shop.b"], K::DropTable, "shop", &["insert"]));
        assert!(kept(&["shop.a", "shop.c"], K::DropTable, "shop", &["insert"]), "shop.c keeps it");
        assert!(kept(&["shop.a"], K::DropTable, "shop", &["ddl"]) && kept(&["shop.a"], K::DropTable, "shop", &["drop_table"]));
        assert!(!kept(&["shop.a"], K::DropTable, "shop", &["create_table", "other"]));
        assert!(!kept(&[], K::Database, "crm", &["insert"]) && kept(&[], K::Database, "crm", &["database"]));
        assert!(kept(&[], K::Database, "shop", &["insert"]), "the settings are for two tables of the database");
    }

    #[test]
    fn a_change_that_was_dropped_before_stays_dropped() {
        let mut change = SchemaChange::new(SchemaChangeKind::DropTable, "shop", "…");
        change.delivered = false;
        let mut batch = Batch::new(vec![crate::Event { body: Body::Schema(change), ..events(1, 1).remove(0) }], None, 0);
        operations(json!({"tables": ["shop.*"], "keep": ["ddl"]})).unwrap().apply(&mut batch).unwrap();
        assert!(matches!(&batch.events[0].body, Body::Schema(change) if !change.delivered));
    }

    #[test]
    fn wrong_settings_are_refused() {
        for config in [
            json!({"tables": ["a.b"], "keep": []}),
            json!({"tables": [], "keep": ["insert"]}),
            json!({"tables": ["a.b"], "keep": ["upsert"]}),
        ] {
            assert_eq!(operations(config).err().unwrap().kind(), Kind::Config);
        }
    }
}
