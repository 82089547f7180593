//! The content of a record, in a form that does not depend on its format.

use std::collections::BTreeMap;
use std::fmt;

/// The full name of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table {
    /// The database's name.
    pub database: String,
    /// The table's name without the database.
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

/// A row: for each column name, the text of the column's value. The text depends on the format; `None` is NULL.
pub type Image = BTreeMap<String, Option<String>>;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The row was read by the full phase.
    Read,
    /// The row was inserted.
    Insert,
    /// The row was updated, possibly including its key.
    Update,
    /// The row was deleted.
    Delete,
}

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The kind of change.
    pub op: Op,
    /// The columns of the primary key, in any order.
    pub key: Vec<String>,
    /// The whole row before the change; `None` for a read or insert.
    pub before: Option<Image>,
    /// The whole row after the change; `None` for a delete.
    pub after: Option<Image>,
}

impl Change {
    /// The values of the key columns in an image of the row, sorted by column name.
    pub fn key_of(&self, image: &Image) -> Vec<Option<String>> {
        key_of(&self.key, image)
    }
}

/// The values of `columns` in an image of a row, sorted by column name.
pub(super) fn key_of(columns: &[String], image: &Image) -> Vec<Option<String>> {
    let mut columns: Vec<&String> = columns.iter().collect();
    columns.sort();
    columns.into_iter().map(|column| image.get(column).cloned().flatten()).collect()
}

/// The content of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Changes of rows.
    Rows(Vec<Change>),
    /// A DDL statement.
    Schema {
        /// The database in which the statement was executed.
        database: String,
        /// The text of the statement.
        sql: String,
    },
    /// A transaction boundary, a heartbeat or a tombstone.
    Control,
}
