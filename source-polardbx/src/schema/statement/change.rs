//! The effects of a DDL statement on tables, keys and databases.

use runtime::{Collation, SchemaChangeKind, TableId};

use crate::schema::ReadError;
use crate::schema::collation::NamedCollation;
use crate::schema::create::{ColumnSpec, CreateTable, KeyDefinition, MOST_COLUMNS};

/// A parsed DDL statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind of the change. `None` if the statement has no effect on rows and so makes no event: it adds foreign keys or checks, or
    /// changes options of databases.
    pub kind: Option<SchemaChangeKind>,
    /// The effects of the statement, in their order.
    pub effects: Vec<Effect>,
}

/// What a DDL statement does to one table or database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The table is created. A definition that cannot be parsed matters only if the table is selected.
    Create {
        /// The table.
        table: TableId,
        /// The table's definition, or why it cannot be parsed.
        definition: Result<Box<CreateTable>, ReadError>,
    },
    /// The table is created with CREATE TABLE … LIKE, so it has the columns and keys of another table.
    CreateLike {
        /// The new table.
        table: TableId,
        /// The table after LIKE.
        like: TableId,
        /// Whether the statement does nothing if the table exists.
        if_not_exists: bool,
    },
    /// The table is created without its columns, which its storage engine knows.
    CreateUnlisted {
        /// The table.
        table: TableId,
        /// What the statement has instead of the columns.
        error: ReadError,
    },
    /// The table is dropped.
    Drop {
        /// The table.
        table: TableId,
    },
    /// The table is emptied.
    Truncate {
        /// The table.
        table: TableId,
    },
    /// The table is renamed.
    Rename {
        /// The old name.
        from: TableId,
        /// The new name.
        to: TableId,
    },
    /// Only options or partitions of the table change, which are not tracked here.
    Keep {
        /// The table.
        table: TableId,
    },
    /// Keys are added, dropped or renamed.
    Keys {
        /// The table.
        table: TableId,
        /// The changes, in the order of the clauses.
        changes: Vec<KeyChange>,
    },
    /// The table is partitioned by other columns.
    Repartition {
        /// The table.
        table: TableId,
        /// Every name in the partition clauses. The names that are columns are the new partition columns.
        names: Vec<String>,
    },
    /// Columns, the primary key or the default collation change.
    Alter {
        /// The table.
        table: TableId,
        /// What changes.
        alter: Box<Alter>,
    },
    /// Rows move into or out of the table without row events.
    Exchange {
        /// The table.
        table: TableId,
    },
    /// Partitions are dropped or emptied with their rows.
    RemoveRows {
        /// The table.
        table: TableId,
    },
    /// The database is created, or its default collation changes.
    DatabaseCollation {
        /// The database.
        database: String,
        /// The collation; `None` if it is the server's, which the binlog does not show.
        collation: Option<Collation>,
        /// Whether the statement does nothing if the database exists.
        if_not_exists: bool,
    },
    /// The database is dropped with all its tables.
    DropDatabase {
        /// The database.
        database: String,
    },
}

/// What an ALTER TABLE does to columns and keys. The server applies its clauses together, not one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alter {
    /// The changes of columns, in the order of the clauses.
    pub columns: Vec<ColumnChange>,
    /// The changes of keys other than the primary key, in the order of the clauses.
    pub keys: Vec<KeyChange>,
    /// Whether the primary key is dropped.
    pub drops_primary_key: bool,
    /// The columns of the primary key that is added.
    pub primary_key: Option<Vec<String>>,
    /// The columns that become NOT NULL because they are those of a period (MariaDB).
    pub not_null: Vec<String>,
    /// The new default collation of the table.
    pub collation: Option<NamedCollation>,
    /// The collation that all columns with text get. It is the new default, too, unless the statement sets another one.
    pub converts_to: Option<Collation>,
}

impl Alter {
    /// Adds a change of a column. Fails if there are more than a table can have: what is done for each change takes time for each column.
    pub(crate) fn change_column(&mut self, change: ColumnChange) -> Result<(), ReadError> {
        const MOST: usize = 3 * MOST_COLUMNS;
        if self.columns.len() >= MOST {
            return Err(ReadError::new(format!("an ALTER TABLE with more than {MOST} changes of columns")));
        }
        self.columns.push(change);
        Ok(())
    }
}

/// A change of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnChange {
    /// A column is added.
    Add {
        /// Its definition.
        column: ColumnSpec,
        /// Whether nothing happens if the column exists.
        if_not_exists: bool,
    },
    /// A column is dropped.
    Drop {
        /// Its name.
        name: String,
        /// Whether nothing happens if the column does not exist.
        if_exists: bool,
    },
    /// A column gets another definition, and maybe another name and another place.
    Change {
        /// Its name before.
        name: String,
        /// Its new definition.
        column: ColumnSpec,
        /// Whether nothing happens if the column does not exist.
        if_exists: bool,
    },
    /// A column gets another name.
    Rename {
        /// Its name before.
        from: String,
        /// Its new name.
        to: String,
        /// Whether nothing happens if the column does not exist.
        if_exists: bool,
    },
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A key is added.
    Add(KeyDefinition),
    /// The unique key is added that the definition of the column with this name declares.
    AddOfColumn(String),
    /// The key with this name is dropped.
    Drop(String),
    /// A key is renamed, from the first name to the second.
    Rename(String, String),
}
