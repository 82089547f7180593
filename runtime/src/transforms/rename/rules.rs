//! The rules by which databases, tables and columns get their target names.
//!
//! A name that `tables` or `databases` gives is final. Any other name comes from the first pattern that matches, or else from the source; then
//! all replacements are made, and then its case is changed.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;

use super::config::{Case, NamePart, RenameConfig, Replacement};
use super::template::Template;
use crate::transforms::selected_tables::SelectedTables;
use crate::{Column, Error, Result, TableId, TablePattern, TableSchema, split_name};

pub(super) struct Rules {
    tables: HashMap<TableId, TableId>,
    databases: HashMap<String, String>,
    patterns: Vec<TableRule>,
    columns: Vec<ColumnRule>,
    replace: Vec<Replacement>,
    case: Case,
}

/// Gives the tables whose whole name `database.table` matches other names.
struct TableRule {
    regex: Regex,
    database: Template,
    table: Template,
}

struct ColumnRule {
    tables: SelectedTables,
    regex: Regex,
    to: Template,
}

fn wrong(key: &str, why: impl Into<String>) -> Error {
    Error::config(format!("key `transform.rename.{key}` is not valid")).because(why.into()).with_code("E_CONFIG")
}

/// An expression that must match a whole name.
fn whole(key: &str, expression: &str) -> Result<Regex> {
    Regex::new(&format!("^(?:{expression})$"))
        .map_err(|why| wrong(key, format!("{expression:?} is not a regular expression: {why}")).with_help("correct the expression"))
}

impl Rules {
    /// Reads the rules. Fails with an error of kind `Config` that names the key that is not valid.
    pub(super) fn new(config: &RenameConfig) -> Result<Self> {
        let mut tables = HashMap::new();
        for (from, to) in &config.tables {
            let id = |text: &String| text.parse::<TableId>().map_err(|why| wrong("tables", why));
            let (from, to) = (id(from)?, id(to)?);
            if tables.insert(from.clone(), to).is_some() {
                return Err(wrong("tables", format!("it names table {from} twice")));
            }
        }
        for (from, to) in &config.databases {
            if from.is_empty() || to.is_empty() {
                return Err(wrong("databases", "the name of a database is empty"));
            }
        }
        let patterns = config.patterns.iter().map(|pattern| {
            let regex = whole("patterns", &pattern.matches)?;
            let template = |text: &String| Template::parse(text, &regex).map_err(|why| wrong("patterns", why));
            match split_name(&pattern.to).map_err(|why| wrong("patterns", why))?.as_slice() {
                [database, table] => Ok(TableRule { database: template(database)?, table: template(table)?, regex }),
                _ => Err(wrong("patterns", format!("{:?} is not of the form database.table", pattern.to))),
            }
        });
        let columns = config.columns.iter().map(|pattern| {
            let regex = whole("columns", &pattern.matches)?;
            let to = Template::parse(&pattern.to, &regex).map_err(|why| wrong("columns", why))?;
            Ok(ColumnRule { tables: SelectedTables::new("rename.columns.tables", &pattern.tables)?, regex, to })
        });
        let (patterns, columns) = (patterns.collect::<Result<_>>()?, columns.collect::<Result<_>>()?);
        for Replacement { find, within, .. } in &config.replace {
            if find.is_empty() || within.is_empty() {
                let why = if find.is_empty() { "`find` is empty" } else { "`in` is empty: it lists any of database, table and column" };
                return Err(wrong("replace", why));
            }
        }
        let databases = owned(&config.databases);
        Ok(Self { tables, databases, patterns, columns, replace: config.replace.clone(), case: config.case })
    }

    /// The target name of a table. Fails with an error of kind `Config` if a part of it is empty.
    pub(super) fn table(&self, id: &TableId) -> Result<TableId> {
        if let Some(target) = self.tables.get(id) {
            return Ok(target.clone());
        }
        let matched = self.by_pattern(id);
        let (database, table) = matched.as_ref().map_or((&*id.database, &*id.table), |(database, table)| (database, table));
        let database = match self.databases.get(&*id.database) {
            Some(target) => target.clone(),
            None => self.finished(NamePart::Database, database),
        };
        let table = self.finished(NamePart::Table, table);
        for (part, name) in [("database", &database), ("table", &table)] {
            if name.is_empty() {
                return Err(empty(format!("`rename` gives table {id} an empty name of its {part}")));
            }
        }
        Ok(if *database == *id.database && *table == *id.table { id.clone() } else { TableId::new(database, table) })
    }

    /// The target name of a database, for a statement that names no table.
    pub(super) fn database(&self, name: &str) -> String {
        self.databases.get(name).cloned().unwrap_or_else(|| self.finished(NamePart::Database, name))
    }

    /// The columns of a table with their target names; `None` if none of them changes. Fails with an error of kind `Config` if a name is empty,
    /// or if two columns get the same name.
    pub(super) fn columns(&self, schema: &TableSchema) -> Result<Option<Vec<Column>>> {
        let rules: Vec<&ColumnRule> = self.columns.iter().filter(|rule| rule.tables.contain(&schema.id)).collect();
        if rules.is_empty() && self.case.is_as_in_source() && !self.replaces(NamePart::Column) {
            return Ok(None);
        }
        let name = |(index, column): (usize, &Column)| {
            let matched = rules.iter().find_map(|rule| Some(rule.to.fill(&rule.regex.captures(&column.name)?)));
            let name = matched.as_ref().unwrap_or(&column.name);
            // The settings have spelled out the names of these columns.
            let keeps_case = schema.added_columns.contains(&index) || schema.renamed_columns.contains(&index);
            if keeps_case { self.replaced(NamePart::Column, name) } else { self.finished(NamePart::Column, name) }
        };
        let names: Vec<String> = schema.columns.iter().enumerate().map(name).collect();
        let mut by_name = HashMap::with_capacity(names.len());
        for (name, column) in names.iter().zip(&schema.columns) {
            if name.is_empty() {
                return Err(empty(format!("`rename` gives column `{}` of table {} an empty name", column.name, schema.id)));
            }
            if let Some(other) = by_name.insert(name, &column.name) {
                let both = format!("`{other}` and `{}`", column.name);
                return Err(Error::config(format!("`rename` gives two columns of table {} the name `{name}`: {both}", schema.id))
                    .with_help("change `transform.rename.columns`, `replace` or `case` so that they get different names")
                    .with_code("E_CONFIG"));
            }
        }
        if names.iter().zip(&schema.columns).all(|(name, column)| *name == column.name) {
            return Ok(None);
        }
        Ok(Some(names.into_iter().zip(&schema.columns).map(|(name, column)| Column { name, ..column.clone() }).collect()))
    }

    /// The patterns of the tables whose columns are renamed, each with its key.
    pub(super) fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.columns.iter().flat_map(|rule| rule.tables.patterns()).collect()
    }

    /// The rules of columns that are for some of these tables and rename no column of them, by their number from 1.
    pub(super) fn idle_columns<'t>(&self, tables: impl Iterator<Item = &'t TableSchema> + Clone) -> Vec<usize> {
        let is_idle = |rule: &ColumnRule| {
            let mut of_rule = tables.clone().filter(|schema| rule.tables.contain(&schema.id)).peekable();
            of_rule.peek().is_some() && !of_rule.any(|schema| schema.columns.iter().any(|column| rule.regex.is_match(&column.name)))
        };
        (1..).zip(&self.columns).filter(|(_, rule)| is_idle(rule)).map(|(number, _)| number).collect()
    }

    /// The patterns that match none of these tables, by their number from 1.
    pub(super) fn idle_patterns<'t>(&self, tables: impl Iterator<Item = &'t TableId> + Clone) -> Vec<usize> {
        let is_used = |rule: &TableRule| tables.clone().any(|table| rule.regex.is_match(&full_name(table)));
        (1..).zip(&self.patterns).filter(|(_, rule)| !is_used(rule)).map(|(number, _)| number).collect()
    }

    /// The tables and databases that are renamed by their names.
    pub(super) fn literals(&self) -> (impl Iterator<Item = &TableId>, impl Iterator<Item = &String>) {
        (self.tables.keys(), self.databases.keys())
    }

    fn by_pattern(&self, id: &TableId) -> Option<(String, String)> {
        if self.patterns.is_empty() {
            return None;
        }
        let name = full_name(id);
        let filled = |rule: &TableRule| {
            let groups = rule.regex.captures(&name)?;
            Some((rule.database.fill(&groups), rule.table.fill(&groups)))
        };
        self.patterns.iter().find_map(filled)
    }

    fn replaces(&self, part: NamePart) -> bool {
        self.replace.iter().any(|replacement| replacement.within.contains(&part))
    }

    /// The name after all replacements.
    fn replaced(&self, part: NamePart, name: &str) -> String {
        let replace = |name: String, replacement: &Replacement| match replacement.within.contains(&part) {
            true => name.replace(&replacement.find, &replacement.with),
            false => name,
        };
        self.replace.iter().fold(name.to_owned(), replace)
    }

    /// The name after all replacements and the change of its case.
    fn finished(&self, part: NamePart, name: &str) -> String {
        let name = self.replaced(part, name);
        match self.case {
            Case::Source | Case::Default => name,
            Case::Lower => name.to_ascii_lowercase(),
            Case::Upper => name.to_ascii_uppercase(),
        }
    }
}

fn full_name(id: &TableId) -> String {
    format!("{}.{}", id.database, id.table)
}

fn owned(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(from, to)| (from.clone(), to.clone())).collect()
}

fn empty(what: String) -> Error {
    Error::config(what).with_help("correct the pattern or the replacement in `transform.rename`").with_code("E_CONFIG")
}
