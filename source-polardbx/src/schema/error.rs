//! The errors of the statement reader, and of following what it read.

use runtime::TableId;

/// A statement that could not be read: what was expected or not understood, and the text at that place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}{}", if near.is_empty() { String::new() } else { format!(" near `{near}`") })]
pub struct ReadError {
    /// What was not understood.
    pub what: String,
    /// The beginning of the text that was not understood.
    pub near: String,
}

impl ReadError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), near: String::new() }
    }

    /// Adds the place.
    #[must_use]
    pub(crate) fn near(mut self, rest: &str) -> Self {
        self.near = rest.chars().take(40).collect();
        self
    }
}

/// Why a change of structures cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The columns of a selected table change.
    #[error("the statement changes the columns of a selected table ({item})")]
    Columns {
        /// The table.
        table: TableId,
        /// The item that does so.
        item: &'static str,
    },
    /// Rows of a selected table move without any event.
    #[error("the statement moves rows of {table} without writing them to the binlog")]
    Exchanged {
        /// The table.
        table: TableId,
    },
    /// The rows of a selected table are told apart by other columns.
    #[error("the statement partitions a selected table by columns that are not in its key, which gives its rows another identity")]
    Key {
        /// The table.
        table: TableId,
    },
    /// A selected table gets another name, or another table the name of a selected one.
    #[error("the statement renames {from} to {to}")]
    Renamed {
        /// The old name.
        from: TableId,
        /// The new name.
        to: TableId,
    },
    /// A statement about a selected table could not be read.
    #[error("{error}")]
    Unread {
        /// The table.
        table: TableId,
        /// What could not be read.
        error: ReadError,
    },
    /// A selected table is made like one that is not selected, whose structure nobody followed.
    #[error("the structure of {like} is not known, because it is not selected")]
    LikeUnknown {
        /// The new table.
        table: TableId,
        /// The other one.
        like: TableId,
    },
    /// A selected table is changed whose structure is not known.
    #[error("the structure of the table is not known at this position")]
    Unknown {
        /// The table.
        table: TableId,
    },
}
