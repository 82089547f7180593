//! The errors of reading statements, and of applying DDL.

use runtime::TableId;

/// A statement that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", if near.is_empty() { String::new() } else { format!(" near `{near}`") })]
pub struct ReadError {
    /// What was expected or not understood.
    pub what: String,
    /// The text at that place, shortened.
    pub near: String,
}

impl ReadError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), near: String::new() }
    }

    /// Adds the text at that place.
    #[must_use]
    pub(crate) fn near(mut self, rest: &str) -> Self {
        self.near = rest.chars().take(40).collect();
        self
    }
}

/// Why a DDL statement cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It changes the columns of a selected table.
    #[error("the DDL statement changes the columns of a selected table ({item})")]
    Columns {
        /// The table.
        table: TableId,
        /// The clause that does so.
        item: &'static str,
    },
    /// It moves rows of a selected table without row events.
    #[error("the DDL statement moves rows of {table} without writing them to the binlog")]
    Exchanged {
        /// The table.
        table: TableId,
    },
    /// It changes the columns by which rows of a selected table are identified.
    #[error("the DDL statement partitions a selected table by columns outside its key, which changes the identity of its rows")]
    Key {
        /// The table.
        table: TableId,
    },
    /// It renames a selected table, or gives another table the name of a selected one.
    #[error("the DDL statement renames {from} to {to}")]
    Renamed {
        /// The old name.
        from: TableId,
        /// The new name.
        to: TableId,
    },
    /// It is about a selected table and could not be read.
    #[error("{error}")]
    Unread {
        /// The table.
        table: TableId,
        /// What could not be read.
        error: ReadError,
    },
    /// It creates a selected table like one that is not selected, whose schema is not tracked.
    #[error("the schema of {like} is not known, because that table is not selected")]
    LikeUnknown {
        /// The new table.
        table: TableId,
        /// The other one.
        like: TableId,
    },
    /// It changes a selected table whose schema is not known.
    #[error("the schema of the table is not known at this position")]
    Unknown {
        /// The table.
        table: TableId,
    },
}
