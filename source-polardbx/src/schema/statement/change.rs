//! What a DDL statement does: its effects on tables, keys and databases.

use runtime::{SchemaChangeKind, TableId};

use crate::schema::ReadError;
use crate::schema::create::{CreateTable, KeyDefinition, KeyPart};

/// A DDL statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its kind; `None` if it changes nothing about rows (added foreign keys and checks, options of databases), so that no event is made
    /// of it.
    pub kind: Option<SchemaChangeKind>,
    /// Its effects, in their order.
    pub effects: Vec<Effect>,
}

/// What a DDL statement does to one table or database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The table is created. The definition may be unreadable, which matters only if the table is selected.
    Create {
        /// The table.
        table: TableId,
        /// Its definition.
        definition: Result<Box<CreateTable>, ReadError>,
    },
    /// The table is created like another one.
    CreateLike {
        /// The new table.
        table: TableId,
        /// The other one.
        like: TableId,
        /// Whether the statement does nothing if the table exists.
        if_not_exists: bool,
    },
    /// The table is created from a SELECT, so its columns are not in the statement.
    CreateSelect {
        /// The table.
        table: TableId,
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
    /// Indexes, options or partitions change: nothing that is tracked here.
    Keep {
        /// The table.
        table: TableId,
    },
    /// Keys that may be unique are added, dropped or renamed.
    Keys {
        /// The table.
        table: TableId,
        /// The changes in order.
        changes: Vec<KeyChange>,
    },
    /// The table is partitioned by other columns.
    Repartition {
        /// The table.
        table: TableId,
        /// Every name in the partition clauses.
        names: Vec<String>,
    },
    /// Columns or the primary key change.
    Columns {
        /// The table.
        table: TableId,
        /// The first clause that does so, such as `ADD COLUMN`.
        item: &'static str,
    },
    /// Rows move between the table and a partition of another one, without row events.
    Exchange {
        /// The table.
        table: TableId,
    },
    /// The database is created, or has another default character set from now on.
    DatabaseCharset {
        /// The database.
        database: String,
        /// The character set; `None` for the server's default, which is logged with the statement.
        charset: Option<String>,
        /// Whether the statement does nothing if the database exists.
        if_not_exists: bool,
    },
    /// The database is dropped with all its tables.
    DropDatabase {
        /// The database.
        database: String,
    },
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A unique key is added.
    AddUnique {
        /// The name, if the statement gives one.
        name: Option<String>,
        /// The columns with their prefix lengths; `None` for an expression.
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
