//! For which tables a transform is.

use std::sync::Arc;

use crate::{Error, Finding, NameCase, Result, TableId, TablePattern, TableSchema};

/// The patterns of a key `tables`.
#[derive(Debug)]
pub(crate) struct Scope(Vec<TablePattern>);

impl Scope {
    /// Reads the patterns; `key` is named in errors, which are of kind `Config`.
    pub(crate) fn new(patterns: &[String], key: &str) -> Result<Self> {
        if patterns.is_empty() {
            return Err(Error::config(format!("key `{key}` names no table")).with_help("write, for example, tables = [\"shop.*\"]"));
        }
        let parse = |text: &String| {
            TablePattern::parse(text).map_err(|wrong| {
                let help = wrong.help;
                Error::config(format!("key `{key}` is not valid")).because(wrong).with_help(help)
            })
        };
        patterns.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Whether a table is meant.
    pub(crate) fn contains(&self, table: &TableId) -> bool {
        self.0.iter().any(|pattern| pattern.matches(table, NameCase::Exact))
    }

    /// Warnings for patterns that match none of the tables.
    pub(crate) fn unused(&self, item: &'static str, key: &str, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let unused = self.0.iter().filter(|pattern| !tables.iter().any(|table| pattern.matches(&table.id, NameCase::Exact)));
        let warning = |pattern: &TablePattern| {
            Finding::warning(item, format!("`{}` of `{key}` matches no selected table", pattern.as_str()), "correct it, or take it out")
        };
        unused.map(warning).collect()
    }
}
