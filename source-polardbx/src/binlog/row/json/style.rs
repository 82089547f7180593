//! The differences between servers in how they print JSON.

use crate::schema::Dialect;

/// How a server prints JSON documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonStyle {
    /// MySQL 5.7: a double without a fraction is printed like an integer, and line breaks in long Base64 are not escaped.
    MySql57,
    /// MySQL 8.0 and later: a double without a fraction is printed with `.0`, and line breaks in long Base64 are escaped.
    MySql80,
}

impl JsonStyle {
    /// The style of a server.
    pub(crate) fn of(dialect: Dialect) -> Self {
        if dialect.version < 80_000 { Self::MySql57 } else { Self::MySql80 }
    }
}
