//! The errors of parsing statements, and of applying DDL.

use runtime::TableId;

/// A statement that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", if near.is_empty() { String::new() } else { format!(" near `{near}`") })]
pub struct ReadError {
    /// What the parser expected, or what it did not understand.
    pub what: String,
    /// The text that begins at the place of the error, at most 40 characters; empty if the place is not known.
    pub near: String,
}

impl ReadError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), near: String::new() }
    }

    /// Adds the text that begins at the place of the error.
    #[must_use]
    pub(crate) fn near(mut self, rest: &str) -> Self {
        self.near = rest.chars().take(40).collect();
        self
    }
}

/// Why a DDL statement cannot be applied to the known schemas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The statement changes rows of a selected table without row events.
    #[error("the DDL statement {what} {table}, and the binlog does not hold these rows")]
    WithoutEvents {
        /// The table.
        table: TableId,
        /// What the statement does.
        what: String,
    },
    /// The statement gives the name of a selected table to a table whose schema is not known, and whose rows were never delivered.
    #[error("the DDL statement renames {from}, whose schema is not known, to {to}")]
    Renamed {
        /// The old name.
        from: TableId,
        /// The new name.
        to: TableId,
    },
    /// The statement concerns a selected table and cannot be parsed.
    #[error("{error}")]
    Unread {
        /// The table.
        table: TableId,
        /// Why the statement cannot be parsed.
        error: ReadError,
    },
    /// The statement is a CREATE TABLE … LIKE of a selected table. The schema of the table after LIKE is not known.
    #[error("the schema of {like} is not known")]
    LikeUnknown {
        /// The new table.
        table: TableId,
        /// The table after LIKE.
        like: TableId,
    },
    /// The statement changes a selected table whose schema is not known.
    #[error("the schema of the table is not known at this position")]
    Unknown {
        /// The table.
        table: TableId,
    },
}
