//! The columns of a table in DTS's list of objects.

use runtime::Result;
use serde_json::{Map, Value};

use super::super::draft::{Draft, Plugin};
use super::super::toml::Item;
use super::values::{object, text, unexpected};

/// Which columns of a table are carried, and how they are named.
#[derive(Debug, Default)]
pub(super) struct Columns {
    include: Option<Vec<String>>,
    exclude: Vec<String>,
    rename: Vec<(String, String)>,
    added: Additions,
    /// The columns that decide the partition, by their names at the source.
    partition: Vec<String>,
    /// Columns that the list marks as the key.
    keys: Vec<String>,
}

impl Columns {
    /// `all` says that the columns that are not listed are carried as well.
    pub(super) fn read(place: &str, all: bool, columns: Option<&Value>, partition: Option<&Value>) -> Result<Self> {
        let mut read = Self { partition: partition.map(names).unwrap_or_default(), ..Self::default() };
        let columns = match columns {
            None | Some(Value::Null) => return Ok(read),
            Some(columns) => object(columns, &format!("{place}.column"))?,
        };
        let mut include = Vec::new();
        for (name, entry) in columns {
            // A column may be its target name alone.
            let alone = entry.as_str().map(|target| Map::from_iter([("name".to_owned(), Value::from(target))]));
            let entry = match &alone {
                Some(entry) => entry,
                None => object(entry, &format!("{place}.column.{name}"))?,
            };
            let flag = |key: &str| entry.get(key).and_then(text).is_some_and(|value| value == "true" || value == "PRI");
            let target = entry.get("name").and_then(text).unwrap_or_else(|| name.clone());
            if let Some(value) = entry.get("value").and_then(text) {
                let kind = entry.get("type").and_then(text);
                read.added.0.push(Addition { name: target.clone(), kind, value });
            } else {
                include.push(name.clone());
                if target != *name {
                    read.rename.push((name.clone(), target));
                }
            }
            if flag("sharedKey") || flag("shardKey") {
                read.partition.push(name.clone());
            }
            if flag("primaryKey") {
                read.keys.push(name.clone());
            }
        }
        if !all && !include.is_empty() {
            read.include = Some(include);
        }
        Ok(read)
    }

    /// The columns of the old form.
    pub(super) fn read_old(place: &str, entry: &Map<String, Value>) -> Result<Self> {
        let list = |key: &str| match entry.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list.clone()),
            Some(_) => Err(unexpected(&format!("{place}.{key}"), "a list")),
        };
        let name = |key: &str, index: usize, entry: &Value| {
            let name = entry.as_str().map(str::to_owned).or_else(|| entry.get("ColumnName").and_then(text));
            name.ok_or_else(|| unexpected(&format!("{place}.{key}[{index}]"), "the name of a column"))
        };
        let (mut include, mut rename) = (Vec::new(), Vec::new());
        for (index, column) in list("ColumnIncludes")?.iter().enumerate() {
            let name = name("ColumnIncludes", index, column)?;
            if let Some(target) = column.get("NewColumnName").and_then(text).filter(|target| *target != name) {
                rename.push((name.clone(), target));
            }
            include.push(name);
        }
        let excludes = list("ColumnExcludes")?;
        let exclude =
            excludes.iter().enumerate().map(|(index, column)| name("ColumnExcludes", index, column)).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            include: (!include.is_empty()).then_some(include),
            exclude,
            rename,
            added: Additions::default(),
            partition: entry.get("PartKey").map(names).unwrap_or_default(),
            keys: entry.get("PrimaryKey").map(names).unwrap_or_default(),
        })
    }

    /// The columns that decide the partition, by their names at the target.
    pub(super) fn partition(&self) -> Vec<String> {
        let target = |name: &String| self.rename.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to).clone();
        self.partition.iter().map(target).collect()
    }

    pub(super) fn write(&self, draft: &mut Draft, pattern: &str) {
        self.added.write(draft, pattern);
        if self.include.is_none() && self.exclude.is_empty() && self.rename.is_empty() {
            if !self.keys.is_empty() {
                draft.leave(format!("{pattern}.primaryKey"), KEYS);
            }
            return;
        }
        let columns = draft.transform(Plugin::Columns, [("tables", Item::texts([pattern]))]);
        if let Some(include) = &self.include {
            columns.set("include", Item::texts(include.iter().cloned()));
            if !self.exclude.is_empty() {
                columns.note("ColumnExcludes says nothing beside ColumnIncludes, which names all columns");
            }
        } else if !self.exclude.is_empty() {
            columns.set("exclude", Item::texts(self.exclude.iter().cloned()));
        }
        if !self.rename.is_empty() {
            columns.set("rename", Item::map(self.rename.iter().map(|(from, to)| (from.clone(), Item::text(to.as_str())))));
        }
        if !self.keys.is_empty() {
            draft.leave(format!("{pattern}.primaryKey"), KEYS);
        }
    }
}

const KEYS: &str = "the key of a row is that of the source's table; `key` of a `columns` transform names another one";

/// Columns that are added to a table, each with a type and an expression.
#[derive(Debug, Default)]
pub(super) struct Additions(Vec<Addition>);

#[derive(Debug)]
struct Addition {
    name: String,
    kind: Option<String>,
    value: String,
}

impl Additions {
    /// One column, a list of columns, or columns by name.
    pub(super) fn read(place: &str, columns: Option<&Value>) -> Result<Self> {
        let place = format!("{place}.attach_column");
        let one = |name: Option<&str>, entry: &Value| {
            let get = |key: &str| entry.get(key).and_then(text);
            let name = get("name").or_else(|| name.map(str::to_owned));
            match (name, get("value")) {
                (Some(name), Some(value)) => Ok(Addition { name, kind: get("type"), value }),
                _ => Err(unexpected(&place, "a column with a name and a value")),
            }
        };
        match columns {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Array(list)) => list.iter().map(|entry| one(None, entry)).collect::<Result<_>>().map(Self),
            Some(entry @ Value::Object(fields)) if fields.get("value").is_some_and(|value| !value.is_object()) => {
                Ok(Self(vec![one(None, entry)?]))
            }
            Some(Value::Object(columns)) => columns.iter().map(|(name, entry)| one(Some(name), entry)).collect::<Result<_>>().map(Self),
            Some(_) => Err(unexpected(&place, "a column or a list of columns")),
        }
    }

    pub(super) fn write(&self, draft: &mut Draft, pattern: &str) {
        if self.0.is_empty() {
            return;
        }
        let untyped = self.0.iter().any(|column| column.kind.is_none());
        let column = |column: &Addition| {
            let kind = column.kind.as_deref().unwrap_or("varchar(255)");
            Item::map([
                ("name", Item::text(column.name.as_str())),
                ("type", Item::text(kind)),
                ("value", Item::text(column.value.as_str())),
            ])
        };
        let columns = self.0.iter().map(column).collect();
        let section = draft.transform(Plugin::AddColumns, [("tables", Item::texts([pattern])), ("columns", Item::List(columns))]);
        if untyped {
            section.missing("the file gives no type for a column: varchar(255) was assumed");
        }
    }
}

/// Names in a list, or in a text with commas.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        value => text(value).map(|names| names.split(',').map(|name| name.trim().to_owned()).collect()).unwrap_or_default(),
    }
}
