//! What a statement changes: effects on tables, keys and databases.

use runtime::{SchemaChangeKind, TableId};

use crate::schema::ReadError;
use crate::schema::create::{CreateTable, KeyDefinition, KeyPart};

/// A change of structures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind of statement it is; `None` if it changes nothing that a reader of rows could follow, so that no record is made of it:
    /// foreign keys and checks that are added, options of databases.
    pub kind: Option<SchemaChangeKind>,
    /// What it does, in its order.
    pub effects: Vec<Effect>,
}

/// What a statement does to one table or database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The table is made; the definition may be unreadable, which matters only if the table is selected.
    Create {
        /// The table.
        table: TableId,
        /// Its structure.
        definition: Result<Box<CreateTable>, ReadError>,
    },
    /// The table is made like another one.
    CreateLike {
        /// The new table.
        table: TableId,
        /// The other one.
        like: TableId,
        /// Whether the statement does nothing if the table exists.
        if_not_exists: bool,
    },
    /// The table is made from a SELECT, so its columns are not in the statement.
    CreateSelect {
        /// The table.
        table: TableId,
    },
    /// The table is gone.
    Drop {
        /// The table.
        table: TableId,
    },
    /// The table is emptied.
    Truncate {
        /// The table.
        table: TableId,
    },
    /// The table has another name.
    Rename {
        /// The old name.
        from: TableId,
        /// The new name.
        to: TableId,
    },
    /// Indexes, options or partitions changed: nothing that this program keeps about the table.
    Keep {
        /// The table.
        table: TableId,
    },
    /// Keys that may be unique ones were added, dropped or renamed.
    Keys {
        /// The table.
        table: TableId,
        /// The changes in order.
        changes: Vec<KeyChange>,
    },
    /// The table is sharded by other columns.
    Repartition {
        /// The table.
        table: TableId,
        /// Every name in the partition clauses.
        names: Vec<String>,
    },
    /// Columns, or the primary key, changed.
    Columns {
        /// The table.
        table: TableId,
        /// The first item that does so, such as `ADD COLUMN`.
        item: &'static str,
    },
    /// Rows moved between the table and a partition of another one, without any row event.
    Exchange {
        /// The table.
        table: TableId,
    },
    /// The database has this default character set from now on.
    DatabaseCharset {
        /// The database.
        database: String,
        /// The character set; `None` for the server's, which the session knows.
        charset: Option<String>,
        /// Whether the statement does nothing if the database exists.
        if_not_exists: bool,
    },
    /// The database is gone with all its tables.
    DropDatabase {
        /// The database.
        database: String,
    },
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A unique key is added: its name if the statement says it, and its columns with prefix lengths; `None` for an expression.
    AddUnique {
        /// The name.
        name: Option<String>,
        /// The parts.
        parts: Vec<Option<(String, Option<u32>)>>,
    },
    /// A key is dropped.
    Drop(String),
    /// A key is renamed.
    Rename(String, String),
}

impl KeyChange {
    pub(crate) fn add(key: KeyDefinition) -> Self {
        let part = |part| match part {
            KeyPart::Column(name, prefix) => Some((name, prefix)),
            KeyPart::Expression => None,
        };
        Self::AddUnique { name: key.name, parts: key.parts.into_iter().map(part).collect() }
    }
}
