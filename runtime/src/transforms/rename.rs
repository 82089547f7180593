//! Maps the names of databases and tables. DTS calls these settings "Map object names" and "Capitalization of object names".

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::by_schema::BySchema;
use crate::{Batch, Body, Error, Result, TableId, TableSchema, Transform};

/// Settings of `rename`: `rename = { tables = { "shop.orders" = "sales.orders" } }`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct RenameConfig {
    /// Maps source names to target names. Both have the form `database.table`.
    pub tables: BTreeMap<String, String>,
    /// Patterns for the tables that are not in `tables`. A pattern must match the whole source name. The first matching pattern is used.
    pub patterns: Vec<Pattern>,
    /// The capitalization of the database and table name, which is applied last.
    pub case: Case,
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

/// Capitalization of target names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// The case is not changed.
    #[default]
    Keep,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
}

/// A transform that renames tables. Rows and schema changes carry the new names. The text of a DDL statement is not changed.
pub struct Rename {
    rules: Rules,
    fingerprint: String,
    renamed: BySchema<Arc<TableSchema>>,
}

struct Rules {
    tables: HashMap<TableId, TableId>,
    patterns: Vec<(Regex, String)>,
    case: Case,
}

impl Rename {
    /// Reads the rules. Fails with an error of kind `Config` if a rule is not valid.
    pub fn new(config: RenameConfig) -> Result<Self> {
        let fingerprint =
            serde_json::to_string(&config).map_err(|error| Error::fatal("the settings of `rename` cannot be printed").because(error))?;
        let id =
            |text: &str| text.parse::<TableId>().map_err(|why| Error::config("key `transform.rename.tables` is not valid").because(why));
        let tables: HashMap<_, _> = config.tables.iter().map(|(from, to)| Ok((id(from)?, id(to)?))).collect::<Result<_>>()?;
        let patterns = config.patterns.into_iter().map(|pattern| {
            // The expression is anchored, because a rule must match the whole name.
            let regex = Regex::new(&format!("^(?:{})$", pattern.matches))
                .map_err(|why| Error::config("key `transform.rename.patterns` is not valid").because(why))?;
            Ok((regex, pattern.to))
        });
        let rules = Rules { tables, patterns: patterns.collect::<Result<_>>()?, case: config.case };
        Ok(Self { rules, fingerprint: format!("rename {fingerprint}"), renamed: BySchema::default() })
    }

    /// The target name of a table.
    pub fn target(&self, id: &TableId) -> Result<TableId> {
        self.rules.target(id)
    }

    fn schema(&mut self, schema: &Arc<TableSchema>) -> Result<Arc<TableSchema>> {
        let Self { renamed, rules, .. } = self;
        let renamed = renamed.get(schema, |schema| {
            let id = rules.target(&schema.id)?;
            Ok(if id == schema.id { schema.clone() } else { Arc::new(TableSchema { id, ..TableSchema::clone(schema) }) })
        });
        renamed.cloned()
    }
}

impl Rules {
    fn target(&self, id: &TableId) -> Result<TableId> {
        let target = match self.tables.get(id) {
            Some(target) => target.clone(),
            None => self.by_pattern(id)?.unwrap_or_else(|| id.clone()),
        };
        Ok(match self.case {
            Case::Keep => target,
            Case::Lower => TableId::new(target.database.to_lowercase(), target.table.to_lowercase()),
            Case::Upper => TableId::new(target.database.to_uppercase(), target.table.to_uppercase()),
        })
    }

    fn by_pattern(&self, id: &TableId) -> Result<Option<TableId>> {
        let name = format!("{}.{}", id.database, id.table);
        for (regex, to) in &self.patterns {
            if let Some(groups) = regex.captures(&name) {
                let fill = |text: String, (index, group): (usize, Option<regex::Match<'_>>)| {
                    text.replace(&format!("{{{index}}}"), group.map_or("", |group| group.as_str()))
                };
                let target = groups.iter().enumerate().fold(to.clone(), fill);
                let target = target.parse().map_err(|why: String| {
                    Error::config(format!("the pattern `{}` gives table {id} an invalid name", regex.as_str()))
                        .because(why)
                        .with_help("fix `to` of that pattern: it must give database.table")
                });
                return target.map(Some);
            }
        }
        Ok(None)
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
                Body::Schema(change) => {
                    for (id, schema) in &mut change.tables {
                        *id = self.target(id)?;
                        *schema = schema.as_ref().map(|schema| self.schema(schema)).transpose()?;
                    }
                    if let Some((id, _)) = change.tables.first() {
                        change.database = id.database.to_string();
                    }
                    // Schemas change rarely, and an old schema is not used again after a change.
                    self.renamed.clear();
                }
                Body::Begin | Body::Commit | Body::Heartbeat => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Settings};

    fn rename(config: serde_json::Value) -> Result<Rename> {
        Rename::new(Settings::from(config).parse("transform.rename")?)
    }

    fn target(rename: &Rename, id: &str) -> String {
        rename.target(&id.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn exact_names_go_before_patterns_and_case_comes_last() {
        let rename = rename(serde_json::json!({
            "tables": {"shop.orders": "Sales.Orders"},
            "patterns": [{"match": "shop_(\\d+)\\.(.*)", "to": "shop.{2}_{1}"}, {"match": "shop.*", "to": "never.reached"}],
            "case": "lower",
        }))
        .unwrap();
        assert_eq!(target(&rename, "shop.orders"), "sales.orders");
        assert_eq!(target(&rename, "shop_07.items"), "shop.items_07");
        assert_eq!(target(&rename, "CRM.Users"), "crm.users");
    }

    #[test]
    fn wrong_rules_are_refused() {
        for config in [
            serde_json::json!({"tables": {"orders": "x.y"}}),
            serde_json::json!({"patterns": [{"match": "(", "to": "a.b"}]}),
            serde_json::json!({"case": "camel"}),
        ] {
            assert_eq!(rename(config).err().unwrap().kind(), Kind::Config);
        }
    }
}
