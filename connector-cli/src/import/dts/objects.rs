//! DTS's list of objects: which databases, tables and columns a task carries, and how they are named at the target.
//!
//! There are two forms. The new one maps names of databases to objects with `all` and `Table`; the old one is a list of objects with `DBName`
//! and `TableIncludes`. Both become the same [`Objects`].

use runtime::{Result, TableId};
use serde_json::{Map, Value};

use super::super::draft::{Draft, Plugin};
use super::super::patterns;
use super::super::toml::Item;
use super::columns::{Additions, Columns};
use super::operations::{Kept, kept};
use super::values::{object, text, unexpected};

/// How the name of an object is to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Match {
    Literal,
    Regex,
    Glob,
}

/// The name of an object at the source and at the target.
#[derive(Clone, Debug)]
struct Name {
    source: String,
    target: String,
    matches: Match,
}

/// Databases in the order in which the list names them.
pub(super) struct Objects(Vec<Database>);

struct Database {
    name: Name,
    /// Every table, not only those that are listed.
    all: bool,
    excluded: bool,
    tables: Vec<Table>,
    operations: (Option<Value>, Option<Value>),
    additions: Additions,
    left: Vec<(String, &'static str)>,
}

struct Table {
    name: Name,
    excluded: bool,
    filter: Option<String>,
    columns: Columns,
    operations: (Option<Value>, Option<Value>),
    additions: Additions,
    left: Vec<(String, &'static str)>,
}

/// Attributes that mean nothing for a topic, and why.
const LEFT: [(&str, &str); 9] = [
    ("conflict", "a topic has no rows that an insert could conflict with"),
    ("case_sen", "names are compared as the source's server compares them"),
    ("shard", "the number of partitions is that of the topic"),
    ("message_key", "the record's key is set with `record_key` under [sink.kafka]; `key` of a `columns` transform names other key columns"),
    ("schema", "a MySQL database has no schemas"),
    ("state", ""),
    ("selected", ""),
    ("type", ""),
    ("structuretype", ""),
];

fn left(place: &str, entry: &Map<String, Value>, known: &[&str]) -> Vec<(String, &'static str)> {
    let unknown = entry.iter().filter(|(key, value)| !known.contains(&key.as_str()) && !value.is_null());
    let why = |key: &str| match LEFT.iter().find(|(name, _)| key.eq_ignore_ascii_case(name)) {
        Some((_, why)) => why,
        None => "only databases, tables and columns are carried, with the attributes that docs/importing.md lists",
    };
    unknown.map(|(key, _)| (format!("{place}.{key}"), why(key))).filter(|(_, why)| !why.is_empty()).collect()
}

impl Name {
    fn read(source: &str, entry: &Map<String, Value>) -> Self {
        let matches = match entry.get("patternType").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
            Some("regex") => Match::Regex,
            Some("fnmatch" | "glob") => Match::Glob,
            _ => Match::Literal,
        };
        let target = entry.get("name").and_then(text).unwrap_or_else(|| source.to_owned());
        Self { source: source.to_owned(), target, matches }
    }

    /// A name in the old form, in which wildcards and sets of characters are allowed everywhere.
    fn read_old(source: &str, target: Option<String>) -> Self {
        let matches = if source.contains(['*', '?', '[']) { Match::Regex } else { Match::Literal };
        Self { source: source.to_owned(), target: target.unwrap_or_else(|| source.to_owned()), matches }
    }

    fn is_renamed(&self) -> bool {
        self.source != self.target && !(self.matches != Match::Literal && self.target == "{0}")
    }

    /// A regular expression for the name, without anchors.
    fn expression(&self) -> String {
        match self.matches {
            Match::Regex => self.source.clone(),
            Match::Literal => self.source.chars().map(escaped).collect(),
            Match::Glob => {
                let mut in_set = false;
                let translate = |c: char| match c {
                    '[' if !in_set => {
                        in_set = true;
                        "[".to_owned()
                    }
                    ']' if in_set => {
                        in_set = false;
                        "]".to_owned()
                    }
                    '!' if in_set => "^".to_owned(),
                    c if in_set && c != '\\' => c.to_string(),
                    '*' => ".*".to_owned(),
                    '?' => ".".to_owned(),
                    c => escaped(c),
                };
                self.source.chars().map(translate).collect()
            }
        }
    }
}

fn escaped(c: char) -> String {
    if c.is_alphanumeric() || c == '_' || !c.is_ascii() || c.is_whitespace() { c.to_string() } else { format!("\\{c}") }
}

/// The number of groups in a regular expression.
fn groups(expression: &str) -> usize {
    let mut count = 0;
    let mut chars = expression.chars().peekable();
    let mut in_set = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '[' => in_set = true,
            ']' => in_set = false,
            '(' if !in_set && chars.peek() != Some(&'?') => count += 1,
            _ => {}
        }
    }
    count
}

/// A target name in which `{n}` stands for group n of its own expression, for a match in which that expression is group `first`.
fn shifted(target: &str, first: usize) -> String {
    let mut out = String::new();
    let mut rest = target;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((number, more)) if number.parse::<usize>().is_ok_and(|number| number < 1000) => {
                let number = number.parse::<usize>().unwrap_or_default();
                out.push_str(&format!("{{{}}}", number + first));
                rest = more;
            }
            _ => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

impl Objects {
    pub(super) fn read(place: &str, list: &Value) -> Result<Self> {
        match list {
            Value::Object(databases) => databases
                .iter()
                .map(|(name, entry)| Database::read(&format!("{place}: {name}"), name, entry))
                .collect::<Result<_>>()
                .map(Self),
            Value::Array(databases) => {
                let numbered = databases.iter().enumerate();
                numbered.map(|(index, entry)| Database::read_old(&format!("{place}: [{index}]"), entry)).collect::<Result<_>>().map(Self)
            }
            _ => Err(unexpected(place, "an object or a list of objects")),
        }
    }

    /// Writes the selection, and the transforms for what is done with the objects.
    pub(super) fn write(&self, draft: &mut Draft) {
        let (mut tables, mut excluded) = (Vec::new(), Vec::new());
        for database in &self.0 {
            if database.all {
                let list = if database.excluded { &mut excluded } else { &mut tables };
                list.push(database.pattern(None));
            }
            for table in &database.tables {
                let list = if table.excluded || (database.excluded && !database.all) { &mut excluded } else { &mut tables };
                let pattern = database.pattern(Some(&table.name));
                // A table that is named only for its settings is in the database already.
                if !(database.all && !table.excluded && !database.excluded) {
                    list.push(pattern);
                }
            }
        }
        for pattern in tables.iter().chain(&excluded) {
            if let Err(error) = runtime::TablePattern::parse(pattern) {
                draft.source.missing(format!("an entry cannot be used as it is, so rewrite it: {error}"));
            }
        }
        if tables.is_empty() {
            draft.source.missing("the object list selects no table: write those that you want");
        }
        draft.source.set("tables", Item::texts(tables));
        if !excluded.is_empty() {
            draft.source.set("exclude", Item::texts(excluded));
        }
        for database in &self.0 {
            database.write(draft);
        }
        self.write_names(draft);
    }

    fn write_names(&self, draft: &mut Draft) {
        let (mut databases, mut tables, mut rules) = (Vec::new(), Vec::new(), Vec::new());
        let mut partitions = Vec::new();
        for database in &self.0 {
            if database.name.is_renamed() && database.name.matches == Match::Literal {
                databases.push((database.name.source.clone(), Item::text(database.name.target.as_str())));
            } else if database.name.is_renamed() && database.tables.is_empty() {
                let rule = format!("({})\\.(.*)", database.name.expression());
                let table = 2 + groups(&database.name.expression());
                rules.push((rule, format!("{}.{{{table}}}", shifted(&database.name.target, 1))));
            }
            for table in database.tables.iter().filter(|table| !table.excluded) {
                let is_literal = [&database.name, &table.name].into_iter().all(|name| name.matches == Match::Literal);
                let source = TableId::new(database.name.source.as_str(), table.name.source.as_str()).to_string();
                let target = TableId::new(database.name.target.as_str(), table.name.target.as_str()).to_string();
                if is_literal {
                    if table.name.is_renamed() {
                        tables.push((source, Item::text(target.as_str())));
                    }
                    let columns = table.columns.partition();
                    if !columns.is_empty() {
                        partitions.push((target, Item::texts(columns)));
                    }
                    continue;
                }
                if database.name.is_renamed() || table.name.is_renamed() {
                    let (database_expression, table_expression) = (database.name.expression(), table.name.expression());
                    let to = |name: &Name, first: usize| match name.is_renamed() {
                        true => shifted(&name.target, first),
                        false => format!("{{{first}}}"),
                    };
                    let second = 2 + groups(&database_expression);
                    let to = format!("{}.{}", to(&database.name, 1), to(&table.name, second));
                    rules.push((format!("({database_expression})\\.({table_expression})"), to));
                }
                if !table.columns.partition().is_empty() {
                    draft.sink.missing(format!("the partition key of the tables {source}: `partition_columns` takes names of tables only"));
                }
            }
        }
        let mut settings = Vec::new();
        if !tables.is_empty() {
            settings.push(("tables", Item::Map(tables)));
        }
        if !databases.is_empty() {
            settings.push(("databases", Item::Map(databases)));
        }
        if !rules.is_empty() {
            let rule = |(from, to): (String, String)| Item::map([("match", Item::text(from)), ("to", Item::text(to))]);
            settings.push(("patterns", Item::List(rules.into_iter().map(rule).collect())));
        }
        if !settings.is_empty() {
            let rename = draft.only(Plugin::Rename);
            for (key, item) in settings {
                rename.set(key, item);
            }
        }
        if !partitions.is_empty() {
            draft.sink.set("partition_columns", Item::Map(partitions));
        }
    }
}

impl Database {
    fn read(place: &str, name: &str, entry: &Value) -> Result<Self> {
        let entry = object(entry, place)?;
        let tables = entry.get("Table").or_else(|| entry.get("table")).or_else(|| entry.get("tables"));
        let tables = match tables {
            None | Some(Value::Null) => Vec::new(),
            Some(tables) => {
                let place = format!("{place}.Table");
                let tables = object(tables, &place)?.iter();
                tables.map(|(name, entry)| Table::read(&format!("{place}.{name}"), name, entry)).collect::<Result<_>>()?
            }
        };
        let known = ["name", "all", "Table", "table", "tables", "patternType", "filterType", "dml_op", "ddl_op", "attach_column"];
        Ok(Self {
            name: Name::read(name, entry),
            all: entry.get("all").and_then(text).map_or(tables.is_empty(), |all| all == "true"),
            excluded: is_black(entry),
            operations: (entry.get("dml_op").cloned(), entry.get("ddl_op").cloned()),
            additions: Additions::read(place, entry.get("attach_column"))?,
            left: left(name, entry, &known),
            tables,
        })
    }

    fn read_old(place: &str, entry: &Value) -> Result<Self> {
        let entry = object(entry, place)?;
        let get = |key: &str| entry.get(key).and_then(text);
        let name = get("DBName").ok_or_else(|| unexpected(&format!("{place}.DBName"), "the name of a database"))?;
        let list = |key: &str| match entry.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list.iter().collect()),
            Some(_) => Err(unexpected(&format!("{place}.{key}"), "a list")),
        };
        let mut tables = Vec::new();
        for (key, excluded) in [("TableIncludes", false), ("TableExcludes", true)] {
            for (index, table) in list(key)?.into_iter().enumerate() {
                tables.push(Table::read_old(&format!("{place}.{key}[{index}]"), table, excluded)?);
            }
        }
        let known = ["DBName", "NewDBName", "SchemaName", "NewSchemaName", "AllTable", "TableIncludes", "TableExcludes"];
        let all = get("AllTable").map_or(tables.iter().all(|table| table.excluded), |all| all == "true");
        Ok(Self {
            left: left(&name, entry, &known),
            name: Name::read_old(&name, get("NewDBName")),
            all,
            excluded: false,
            tables,
            operations: (None, None),
            additions: Additions::default(),
        })
    }

    /// The entry of `tables` for one of its tables, or for all of them.
    fn pattern(&self, table: Option<&Name>) -> String {
        match (self.name.matches, table.map(|table| (table, table.matches))) {
            (Match::Literal, None) => patterns::literal(&self.name.source, None),
            (Match::Literal, Some((table, Match::Literal))) => patterns::literal(&self.name.source, Some(&table.source)),
            (_, table) => {
                let table = table.map_or(".*".to_owned(), |(table, _)| table.expression());
                patterns::table(&format!("{}\\.{table}", grouped(&self.name.expression()))).pattern
            }
        }
    }

    fn write(&self, draft: &mut Draft) {
        for (option, why) in &self.left {
            draft.leave(option.as_str(), *why);
        }
        if self.excluded {
            return;
        }
        let all = self.pattern(None);
        // Tables with operations of their own must not be named by the block of the database, which would drop more.
        let own = |table: &&Table| table.operations.0.is_some() || table.operations.1.is_some();
        if !self.tables.iter().any(|table| own(&table)) {
            write_operations(draft, &all, &self.operations);
        } else if self.operations.0.is_some() || self.operations.1.is_some() {
            let text = format!("the operations of {all}: tables of it have other ones, so write an `operations` transform for the rest");
            draft.source.missing(text);
        }
        self.additions.write(draft, &all);
        for table in self.tables.iter().filter(|table| !table.excluded) {
            let pattern = self.pattern(Some(&table.name));
            for (option, why) in &table.left {
                draft.leave(format!("{}.{option}", self.name.source), *why);
            }
            if let Some(filter) = &table.filter {
                let filter = filter.trim_end_matches([';', ' ']);
                let settings =
                    [("tables", Item::texts([pattern.as_str()])), ("where", Item::text(filter)), ("emit_moved_in", Item::Bool(false))];
                draft.transform(Plugin::Filter, settings).note(
                    "as DTS does, an update that makes a row satisfy the condition is not delivered; with emit_moved_in = true it becomes an \
                     INSERT, and no row is lost",
                );
            }
            let inherited = |own: &Option<Value>, database: &Option<Value>| own.clone().or_else(|| database.clone());
            if own(&table) {
                let operations = (inherited(&table.operations.0, &self.operations.0), inherited(&table.operations.1, &self.operations.1));
                write_operations(draft, &pattern, &operations);
            }
            table.additions.write(draft, &pattern);
            table.columns.write(draft, &pattern);
        }
    }
}

fn grouped(expression: &str) -> String {
    if expression.contains('|') { format!("(?:{expression})") } else { expression.to_owned() }
}

fn write_operations(draft: &mut Draft, pattern: &str, (dml, ddl): &(Option<Value>, Option<Value>)) {
    match kept(dml.as_ref(), ddl.as_ref()) {
        Kept::All => {}
        Kept::Only(kept) => {
            draft.transform(Plugin::Operations, [("tables", Item::texts([pattern])), ("keep", Item::texts(kept))]);
        }
        Kept::Unknown(option) => draft.source.missing(format!(
            "the operations of {pattern}: `{option}` has a word that is not known, so all are delivered until an `operations` transform names \
             those to keep"
        )),
    }
}

fn is_black(entry: &Map<String, Value>) -> bool {
    entry.get("filterType").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("black"))
}

impl Table {
    fn read(place: &str, name: &str, entry: &Value) -> Result<Self> {
        let entry = object(entry, place)?;
        let known =
            ["name", "all", "filter", "column", "columns", "patternType", "filterType", "dml_op", "ddl_op", "attach_column", "part_key"];
        let all = entry.get("all").and_then(text).is_none_or(|all| all == "true");
        let columns = entry.get("column").or_else(|| entry.get("columns"));
        Ok(Self {
            name: Name::read(name, entry),
            excluded: is_black(entry),
            filter: entry.get("filter").and_then(text),
            columns: Columns::read(place, all, columns, entry.get("part_key"))?,
            operations: (entry.get("dml_op").cloned(), entry.get("ddl_op").cloned()),
            additions: Additions::read(place, entry.get("attach_column"))?,
            left: left(name, entry, &known),
        })
    }

    fn read_old(place: &str, entry: &Value, excluded: bool) -> Result<Self> {
        // An excluded table may be its name alone.
        let alone = entry.as_str().map(|name| Map::from_iter([("TableName".to_owned(), Value::from(name))]));
        let entry = match &alone {
            Some(entry) => entry,
            None => object(entry, place)?,
        };
        let get = |key: &str| entry.get(key).and_then(text);
        let name = get("TableName").ok_or_else(|| unexpected(&format!("{place}.TableName"), "the name of a table"))?;
        let known = ["TableName", "NewTableName", "FilterCondition", "PrimaryKey", "PartKey", "ColumnIncludes", "ColumnExcludes"];
        Ok(Self {
            left: left(&name, entry, &known),
            columns: Columns::read_old(place, entry)?,
            filter: get("FilterCondition"),
            name: Name::read_old(&name, get("NewTableName")),
            excluded,
            operations: (None, None),
            additions: Additions::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_counted_and_shifted() {
        assert_eq!(groups(r"a(b)\((?:c)[(](d)"), 2);
        assert_eq!(shifted("x_{0}_{2}{y}{", 3), "x_{3}_{5}{y}{");
    }

    #[test]
    fn globs_become_expressions() {
        let name = Name { source: "a-[!b*]?.*".into(), target: "x".into(), matches: Match::Glob };
        assert_eq!(name.expression(), r"a\-[^b*].\..*");
    }
}
