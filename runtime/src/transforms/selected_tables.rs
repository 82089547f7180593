//! The tables that a transform is for: its key `tables`.

use std::sync::Arc;

use crate::{Error, Finding, NameCase, Result, TableId, TablePattern, TableSchema};

/// Tables by patterns. Names that differ in case are different names.
#[derive(Debug)]
pub(crate) struct SelectedTables {
    /// The key of the configuration, such as `columns.tables`.
    key: &'static str,
    patterns: Vec<TablePattern>,
}

impl SelectedTables {
    /// Reads the patterns of `key`. Fails with an error of kind `Config` if there is none, or if one is not valid.
    pub(crate) fn new(key: &'static str, patterns: &[String]) -> Result<Self> {
        let wrong = |why: String, help: &str| {
            Error::config(format!("key `transform.{key}` is not valid")).because(why).with_help(help.to_owned()).with_code("E_CONFIG")
        };
        if patterns.is_empty() {
            return Err(wrong("it is empty".into(), "list the tables, such as [\"shop.*\"]"));
        }
        let patterns = patterns.iter().map(|text| TablePattern::parse(text).map_err(|error| wrong(error.why, error.help)));
        Ok(Self { key, patterns: patterns.collect::<Result<_>>()? })
    }

    /// Whether the table is one of them.
    pub(crate) fn contain(&self, table: &TableId) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(table, NameCase::Exact))
    }

    /// Whether a pattern `database.*` names the database. Only such a pattern says something of a statement that names no table.
    pub(crate) fn contain_database(&self, database: &str) -> bool {
        let names = |pattern: &TablePattern| pattern.matches_database(database, NameCase::Exact) == Some(true);
        self.patterns.iter().any(|pattern| pattern.is_for_all_of_its_database() && names(pattern))
    }

    /// Those of `tables` that are among them.
    pub(crate) fn of<'t>(&self, tables: &'t [Arc<TableSchema>]) -> Vec<&'t Arc<TableSchema>> {
        tables.iter().filter(|schema| self.contain(&schema.id)).collect()
    }

    /// The patterns, each with the key under which it stands.
    pub(crate) fn patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.patterns.iter().map(|pattern| (self.key, pattern)).collect()
    }

    /// Says where a column is missing. `has` tells whether a table has it. A table that is listed by its full name must have it; of the
    /// tables that a pattern matches, one is enough.
    pub(crate) fn missing(
        &self,
        key: &str,
        column: &str,
        tables: &[Arc<TableSchema>],
        has: impl Fn(&Arc<TableSchema>) -> bool,
    ) -> Vec<Finding> {
        const HELP: &str = "correct the name of the column, or the tables";
        let of = self.of(tables);
        let failed = |what: String| Finding::failed("transform", format!("key `transform.{key}`: {what}"), HELP);
        if !of.is_empty() && !of.iter().any(|schema| has(schema)) {
            let names: Vec<String> = of.iter().take(3).map(|schema| schema.id.to_string()).collect();
            let more = if of.len() > names.len() { ", …" } else { "" };
            return vec![failed(format!("no table has the column `{column}` ({}{more})", names.join(", ")))];
        }
        let is_literal = |table: &TableId| self.patterns.iter().any(|pattern| pattern.literal().as_ref() == Some(table));
        let lacks = of.into_iter().filter(|schema| is_literal(&schema.id) && !has(schema));
        lacks.map(|schema| failed(format!("table {} has no column `{column}`", schema.id))).collect()
    }
}

/// The index of the column that a setting names: the one with exactly this name, else the only one whose name differs in case alone.
pub(crate) fn find_column(schema: &TableSchema, name: &str) -> Option<usize> {
    schema.column(name).or_else(|| {
        let folded = name.to_lowercase();
        let mut fitting = schema.columns.iter().enumerate().filter(|(_, column)| column.name.to_lowercase() == folded);
        match (fitting.next(), fitting.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, ColumnKind, Kind, Level};

    fn table(name: &str, columns: &[&str]) -> Arc<TableSchema> {
        let columns = columns.iter().map(|name| Column::new(*name, ColumnKind::Float, "float")).collect();
        Arc::new(TableSchema::new(TableId::new("shop", name), columns))
    }

    fn selected(patterns: &[&str]) -> Result<SelectedTables> {
        SelectedTables::new("mask.tables", &patterns.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_found_without_case_where_one_fits() {
        let schema = table("t", &["id", "Mail", "a", "A"]);
        for (name, expected) in [("id", Some(0)), ("ID", Some(0)), ("mail", Some(1)), ("a", Some(2)), ("A", Some(3)), ("x", None)] {
            assert_eq!(find_column(&schema, name), expected, "{name}");
        }
        assert_eq!(find_column(&table("t", &["É", "é"]), "É"), Some(0));
    }

    #[test]
    fn what_a_listed_table_lacks_fails_and_what_one_table_of_a_pattern_has_is_fine() {
        let tables = [table("a", &["x"]), table("b", &["y"])];
        let missing = |patterns: &[&str], column: &str| {
            let found = selected(patterns).unwrap().missing("mask.columns", column, &tables, |table| find_column(table, column).is_some());
            assert!(found.iter().all(|finding| finding.level == Level::Failed));
            found.into_iter().map(|finding| finding.what).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(missing(&["shop.*"], "x"), "");
        assert_eq!(missing(&["shop.*"], "z"), "key `transform.mask.columns`: no table has the column `z` (shop.a, shop.b)");
        assert_eq!(missing(&["shop.*", "shop.b"], "x"), "key `transform.mask.columns`: table shop.b has no column `x`");
        assert_eq!(missing(&["crm.*"], "x"), "", "nothing can be said without a table");
    }

    #[test]
    fn wrong_patterns_are_named() {
        for patterns in [&[][..], &["shop"], &["re:("]] {
            let error = selected(patterns).err().unwrap();
            assert!(error.kind() == Kind::Config && error.to_string().contains("`transform.mask.tables`"), "{error}");
        }
    }

    #[test]
    fn a_database_is_named_by_a_pattern_for_all_its_tables() {
        let tables = selected(&["shop.*", "crm.users", "re:log.*"]).unwrap();
        let names = |database: &str| tables.contain_database(database);
        assert!(names("shop") && !names("crm") && !names("log"));
    }
}
