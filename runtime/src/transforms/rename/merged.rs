//! What the names of the selected tables show about the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rules::Rules;
use crate::{Error, Finding, TableId, TableSchema};

const ITEM: &str = "transform";

/// Rules that rename nothing, names that are not valid, and tables that get the same name.
pub(super) fn findings(rules: &Rules, merges: bool, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
    let mut found = idle(rules, tables);
    let mut targets: BTreeMap<TableId, Vec<&Arc<TableSchema>>> = BTreeMap::new();
    for schema in tables {
        match rules.table(&schema.id).and_then(|target| rules.columns(schema).map(|_| target)) {
            Ok(target) => targets.entry(target).or_default().push(schema),
            Err(error) => found.push(Finding::from_error(ITEM, &error)),
        }
    }
    for (target, sources) in targets.iter().filter(|(_, sources)| sources.len() > 1) {
        if merges {
            found.extend(merged(rules, target, sources));
        } else {
            let ids: Vec<&TableId> = sources.iter().map(|schema| &schema.id).collect();
            found.push(Finding::from_error(ITEM, &collision(target, &ids)));
        }
    }
    found
}

/// A warning for each rule that renames nothing.
fn idle(rules: &Rules, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
    if tables.is_empty() {
        return Vec::new();
    }
    let warn = |key: &str, what: String| {
        Finding::warning(ITEM, format!("rename.{key}: {what}"), "correct the rule, unless these tables are created later")
    };
    let ids = tables.iter().map(|schema| &schema.id);
    let (literals, databases) = rules.literals();
    let mut literals: Vec<_> = literals.filter(|table| ids.clone().all(|id| id != *table)).collect();
    literals.sort();
    let mut databases: Vec<_> = databases.filter(|database| ids.clone().all(|id| *id.database != ***database)).collect();
    databases.sort();
    let mut found: Vec<Finding> = literals.iter().map(|table| warn("tables", format!("table {table} is not selected"))).collect();
    found.extend(databases.iter().map(|database| warn("databases", format!("no selected table is in database `{database}`"))));
    found.extend(rules.idle_patterns(ids).iter().map(|number| warn("patterns", format!("pattern {number} matches no selected table"))));
    let idle_columns = rules.idle_columns(tables.iter().map(|schema| &**schema));
    found.extend(idle_columns.iter().map(|number| warn("columns", format!("pattern {number} matches no column of a selected table"))));
    found
}

/// Warnings for tables that are merged into one: about keys that may be the same in several of them, and about columns that are not.
fn merged(rules: &Rules, target: &TableId, sources: &[&Arc<TableSchema>]) -> Vec<Finding> {
    let shown = |tables: &[&Arc<TableSchema>]| {
        let names: Vec<String> = tables.iter().take(3).map(|schema| schema.id.to_string()).collect();
        if tables.len() > names.len() { format!("{} and {} more", names.join(", "), tables.len() - names.len()) } else { names.join(", ") }
    };
    let mut found = Vec::new();
    let is_ambiguous = |schema: &&&Arc<TableSchema>| {
        let key = schema.effective_key();
        !key.is_empty() && !key.iter().any(|column| schema.added_columns.contains(column))
    };
    let ambiguous: Vec<&Arc<TableSchema>> = sources.iter().filter(is_ambiguous).copied().collect();
    if ambiguous.len() > 1 {
        let what = format!("{} become one table {target}: rows of theirs with the same key are one row for readers", shown(&ambiguous));
        let help = "if their keys are not different, add a column that tells the tables apart: add_columns = { tables = […], columns = [{ name = \
                    \"origin\", type = \"varchar(129)\", value = \"op_add(__DB__, \\\".\\\", __TB__)\", key = true }] }";
        found.push(Finding::warning(ITEM, what, help));
    }
    let columns = |schema: &Arc<TableSchema>| {
        let renamed = rules.columns(schema).ok().flatten();
        let columns = renamed.as_ref().unwrap_or(&schema.columns);
        columns.iter().map(|column| (column.name.clone(), column.kind.clone(), column.unsigned)).collect::<Vec<_>>()
    };
    let mut others = sources.iter();
    if let Some(first) = others.next() {
        let expected = columns(first);
        let different: Vec<&Arc<TableSchema>> = others.filter(|schema| columns(schema) != expected).copied().collect();
        if !different.is_empty() {
            let what = format!("{} and {} become one table {target}, and do not have the same columns", first.id, shown(&different));
            found.push(Finding::warning(ITEM, what, "readers of the topic must take records with different columns for this table"));
        }
    }
    found
}

/// The error for tables that get the same name.
pub(super) fn collision(target: &TableId, sources: &[&TableId]) -> Error {
    let names: Vec<String> = sources.iter().map(ToString::to_string).collect();
    Error::config(format!("`rename` gives several tables the name {target}: {}", names.join(", ")))
        .with_help("give them different names in `transform.rename`; or set merge = true there, if readers are to see one table")
        .with_code("E_CONFIG")
}
