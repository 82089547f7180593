//! Maps the names of databases, tables and columns. DTS calls these settings "Map object names" and "Capitalization of object names".

mod merged;
mod rules;
mod template;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::rules::Rules;
use super::by_schema::BySchema;
use crate::{Batch, Body, Error, Finding, Result, SchemaChange, TableId, TableSchema, Transform};

/// Settings of `rename`: `rename = { tables = { "shop.orders" = "sales.orders" } }`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RenameConfig {
    /// Maps source names to target names. Both have the form `database.table`.
    pub tables: BTreeMap<String, String>,
    /// Maps the names of databases, for the tables that are not in `tables`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<String, String>,
    /// Patterns for the tables that are not in `tables`. A pattern must match the whole source name. The first matching pattern is used.
    pub patterns: Vec<Pattern>,
    /// Patterns for columns. The first matching pattern is used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnPattern>,
    /// Texts that are replaced in all names that `tables` and `databases` do not give, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Replacement>,
    /// The capitalization of all names that `tables` and `databases` do not give. It is applied last, to ASCII letters.
    pub case: Case,
    /// Whether several tables may get the same name.
    #[serde(skip_serializing)]
    pub merge: bool,
}

/// A rule that renames all tables whose names match a pattern.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// A regular expression that must match the whole name `database.table`.
    #[serde(rename = "match")]
    pub matches: String,
    /// The target `database.table`, in which `{1}` stands for the first group of the match.
    pub to: String,
}

/// A rule that renames all columns whose names match a pattern.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnPattern {
    /// The tables, as patterns.
    pub tables: Vec<String>,
    /// A regular expression that must match the whole name of the column.
    #[serde(rename = "match")]
    pub matches: String,
    /// The new name, in which `{1}` stands for the first group of the match.
    pub to: String,
}

/// A text that is replaced wherever it is part of a name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The text to look for.
    pub find: String,
    /// The text that takes its place.
    pub with: String,
    /// In which names.
    #[serde(rename = "in")]
    pub within: Vec<NamePart>,
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum NamePart {
    /// A database.
    Database,
    /// A table.
    Table,
    /// A column.
    Column,
}

/// Capitalization of target names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// The names are as in the source.
    #[default]
    Source,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// DTS's default policy. For Kafka it changes nothing.
    Default,
}

impl Case {
    fn is_as_in_source(self) -> bool {
        matches!(self, Self::Source | Self::Default)
    }
}

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

fn collision(target: &TableId, sources: &[&TableId]) -> Error {
    let names: Vec<String> = sources.iter().map(ToString::to_string).collect();
    Error::config(format!("`rename` gives several tables the name {target}: {}", names.join(", ")))
        .with_help("give them different names in `transform.rename`; or set merge = true there, if readers are to see one table")
        .with_code("E_CONFIG")
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

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        merged::findings(&self.rules, self.merges, tables)
    }
}

#[cfg(test)]
mod tests;
