//! What a record says, whatever its format.

use std::collections::BTreeMap;
use std::fmt;

/// A table's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// Database.
    pub database: String,
    /// Table.
    pub name: String,
}

impl Table {
    /// The table `name` of `database`.
    pub fn new(database: impl Into<String>, name: impl Into<String>) -> Self {
        Self { database: database.into(), name: name.into() }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`.`{}`", self.database.replace('`', "``"), self.name.replace('`', "``"))
    }
}

/// A row by column, each value in the text of its format; `None` is NULL.
pub type Image = BTreeMap<String, Option<String>>;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The full phase read it.
    Read,
    /// It was inserted.
    Insert,
    /// It was updated, possibly including its key.
    Update,
    /// It was deleted.
    Delete,
}

/// What happened to one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The kind of change.
    pub op: Op,
    /// Columns of the primary key; their order does not matter here.
    pub key: Vec<String>,
    /// The whole row before an update or delete.
    pub before: Option<Image>,
    /// The whole row after a read, insert or update.
    pub after: Option<Image>,
}

impl Change {
    /// The key's values in one image, by column name.
    pub fn key_of(&self, image: &Image) -> Vec<Option<String>> {
        key_of(&self.key, image)
    }
}

/// The values of `columns` in an image, in the order of the columns' names.
pub(super) fn key_of(columns: &[String], image: &Image) -> Vec<Option<String>> {
    let mut columns: Vec<&String> = columns.iter().collect();
    columns.sort();
    columns.into_iter().map(|column| image.get(column).cloned().flatten()).collect()
}

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Changes of rows.
    Rows(Vec<Change>),
    /// A DDL statement.
    Schema {
        /// The database it was run in.
        database: String,
        /// Its text.
        sql: String,
    },
    /// A transaction boundary or a heartbeat.
    Control,
}
