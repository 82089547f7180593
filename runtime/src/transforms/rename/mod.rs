//! Maps the names of databases, tables and columns. DTS calls these settings "Map object names" and "Capitalization of object names".

mod config;
mod merged;
mod rules;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::config::{Case, ColumnPattern, NamePart, Pattern, RenameConfig, Replacement};
use self::merged::collision;
use self::rules::Rules;
use super::by_schema::BySchema;
use crate::{Batch, Body, Error, Finding, Result, SchemaChange, TableId, TablePattern, TableSchema, Transform};

/// A transform that renames tables and columns. Rows and schema changes carry the new names. The text of a DDL statement is not changed.
pub struct Rename {
    rules: Rules,
    merges: bool,
    fingerprint: String,
    renamed: BySchema<Arc<TableSchema>>,
    owners: Owners,
}

/// Which table of the source has each target name. Invariant: without `merge` there is one for each name.
#[derive(Default)]
struct Owners(HashMap<TableId, TableId>);

impl Owners {
    fn claim(&mut self, target: &TableId, source: &TableId) -> Result<()> {
        match self.0.get(target) {
            Some(owner) if owner == source => Ok(()),
            Some(owner) => Err(collision(target, &[owner, source])),
            None => {
                self.0.insert(target.clone(), source.clone());
                Ok(())
            }
        }
    }

    fn release(&mut self, target: &TableId, source: &TableId) {
        if self.0.get(target) == Some(source) {
            self.0.remove(target);
        }
    }
}

impl Rename {
    /// Compiles the rules. Fails with an error of kind `Config` if a name or a regular expression is not valid.
    pub fn new(config: RenameConfig) -> Result<Self> {
        let fingerprint =
            serde_json::to_string(&config).map_err(|error| Error::fatal("the settings of `rename` cannot be printed").because(error))?;
        let (rules, merges) = (Rules::new(&config)?, config.merge);
        let (fingerprint, renamed) = (format!("rename {fingerprint}"), BySchema::default());
        Ok(Self { rules, merges, fingerprint, renamed, owners: Owners::default() })
    }

    /// The target name of a table.
    pub fn target(&self, id: &TableId) -> Result<TableId> {
        self.rules.table(id)
    }

    fn schema(&mut self, schema: &Arc<TableSchema>) -> Result<Arc<TableSchema>> {
        let Self { renamed, rules, owners, merges, .. } = self;
        let renamed = renamed.get(schema, |schema| {
            let (id, columns) = (rules.table(&schema.id)?, rules.columns(schema)?);
            if !*merges {
                owners.claim(&id, &schema.id)?;
            }
            Ok(match columns {
                None if id == schema.id => schema.clone(),
                None => Arc::new(TableSchema { id, ..TableSchema::clone(schema) }),
                Some(columns) => Arc::new(TableSchema { id, columns, ..TableSchema::clone(schema) }),
            })
        });
        renamed.cloned()
    }

    fn apply_schema_change(&mut self, change: &mut SchemaChange) -> Result<()> {
        // Schemas change rarely, and an old schema is not used again after a change.
        self.renamed.clear();
        // A table may take the place of another one, so those that are gone come first.
        for (id, _) in change.tables.iter_mut().filter(|(_, schema)| schema.is_none()) {
            let target = self.rules.table(id)?;
            self.owners.release(&target, id);
            *id = target;
        }
        for (id, schema) in &mut change.tables {
            if let Some(schema) = schema {
                *schema = self.schema(schema)?;
                *id = schema.id.clone();
            }
        }
        change.database = match change.tables.first() {
            Some((id, _)) => id.database.to_string(),
            None => self.rules.database(&change.database),
        };
        Ok(())
    }
}

impl Transform for Rename {
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        for event in &mut batch.events {
            match &mut event.body {
                Body::Row(change) => change.schema = self.schema(&change.schema)?,
                Body::Schema(change) => self.apply_schema_change(change)?,
                Body::Begin | Body::Commit | Body::Heartbeat => {}
            }
        }
        Ok(())
    }

    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.rules.table_patterns()
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        merged::findings(&self.rules, self.merges, tables)
    }
}

#[cfg(test)]
mod tests;
