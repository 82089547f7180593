//! The errors of a binlog stream.

use runtime::TableId;

use crate::schema::history::ChangeError;
use crate::schema::{ReadError, first_word};

/// An error of a binlog stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// An event is damaged.
    #[error("{what}")]
    Corrupt {
        /// What is wrong, without any value of a cell.
        what: String,
    },
    /// The content of an event cannot be decoded, although its length and its checksum are right.
    #[error("{what}")]
    Content {
        /// What is wrong, without any value of a cell.
        what: String,
    },
    /// The offsets of two consecutive events do not fit together: an event is missing, or several events were joined into one.
    #[error("{what}")]
    Gap {
        /// What was expected and what was found.
        what: String,
    },
    /// The server reports that it lost events.
    #[error("the server wrote an incident into its binlog: {message}")]
    Incident {
        /// The server's message.
        message: String,
    },
    /// A statement that may change rows of a selected table was logged as text, instead of the changed rows.
    #[error("a statement, not its rows, was written to the binlog (binlog_format is not ROW for that session)")]
    StatementDml {
        /// A selected table that the statement names. `None` if it names none: its triggers, functions or procedures may still change one.
        table: Option<TableId>,
        /// The beginning of the statement.
        statement: String,
    },
    /// The row images of a selected table do not hold all columns.
    #[error("a row event does not hold all columns (binlog_row_image is not FULL for that session)")]
    PartialImage {
        /// The table.
        table: TableId,
    },
    /// JSON columns were logged as differences from the old document.
    #[error("a row event holds differences of JSON documents (binlog_row_value_options=PARTIAL_JSON)")]
    PartialJson,
    /// A TABLE_MAP does not match the known schema.
    #[error("{what}")]
    SchemaMismatch {
        /// The table.
        table: TableId,
        /// What differs.
        what: String,
    },
    /// A column has a type or a character set that cannot be read yet.
    #[error("{what}")]
    UnsupportedColumn {
        /// The table.
        table: TableId,
        /// The column and its type.
        what: String,
    },
    /// A table got no primary key, and the stream has only rows of tables with one.
    #[error(
        "the statement leaves the table without a primary key, and streams that are split by the record do not have its rows: {statement}"
    )]
    NoRows {
        /// The table.
        table: TableId,
        /// The beginning of the statement.
        statement: String,
    },
    /// Rows were rolled back after they were logged.
    #[error("{what}")]
    RollbackGroup {
        /// How the rows were rolled back.
        what: &'static str,
    },
    /// An XA COMMIT was read, but not the changes of its transaction.
    #[error("the binlog commits the XA transaction {xid}, and its changes come before the start of this task")]
    UnknownXa {
        /// The id of the transaction.
        xid: String,
    },
    /// It is not known which rows of an XA transaction still exist when it is committed.
    #[error("the XA transaction {xid} is committed here, and table {table} was changed since it was prepared: {statement}")]
    PreparedInDoubt {
        /// The id of the transaction.
        xid: String,
        /// Where its changes begin in the binlog.
        prepared: String,
        /// The table.
        table: TableId,
        /// The beginning of the statement that changed the table.
        statement: String,
    },
    /// A row was changed after a prepared XA transaction had changed it, and the outcome of that transaction is not in the binlog.
    #[error("the binlog does not tell the outcome of the XA transaction {xid}, and table {table} was changed after it at {event}")]
    XaOrder {
        /// The id of the transaction.
        xid: String,
        /// Where its changes begin in the binlog.
        prepared: String,
        /// The table.
        table: TableId,
        /// Where the later change ends in the binlog.
        event: String,
    },
    /// The changes of a prepared XA transaction cannot be read back.
    #[error("{what}")]
    SpoolLost {
        /// The id of the transaction.
        xid: String,
        /// Where its changes begin in the binlog.
        prepared: String,
        /// What is wrong with the file.
        what: String,
    },
    /// The changes of an XA transaction cannot be read back from their file.
    #[error("{message}")]
    SpoolUnread {
        /// What is wrong with the file, or the message of the operating system.
        message: String,
    },
    /// The changes of an XA transaction cannot be written to their file.
    #[error("{message}")]
    SpoolUnwritten {
        /// The message of the operating system.
        message: String,
    },
    /// The server uses something that is not supported yet.
    #[error("{what} is not supported yet")]
    Unsupported {
        /// The unsupported feature.
        what: String,
        /// What to do instead.
        help: &'static str,
    },
    /// The known schemas cannot be updated after a DDL statement.
    #[error("{change}")]
    Change {
        /// Why the schemas cannot be updated.
        change: ChangeError,
        /// The beginning of the statement.
        statement: String,
    },
    /// A statement that may concern a selected table could not be read.
    #[error("{error}")]
    Unreadable {
        /// A selected table that the statement may concern.
        table: TableId,
        /// What could not be read.
        error: ReadError,
        /// The beginning of the statement.
        statement: String,
    },
    /// A statement could not be read, and the schemas behind it cannot be read from the server, as the task should do then.
    #[error("{error}, and the schema of its table cannot be read from the server instead: {why}")]
    NotRefetched {
        /// What could not be read.
        error: Box<StreamError>,
        /// Why the schemas cannot be read.
        why: String,
    },
    /// A DDL statement about a selected table has bytes that are not valid in its client's character set.
    #[error("the statement has bytes that are not valid in {charset}, its client's character set")]
    NotText {
        /// The table. Its name is empty if the table is not known, for example because the invalid bytes are in a name.
        table: TableId,
        /// The character set.
        charset: String,
        /// The beginning of the statement.
        statement: String,
    },
    /// The server's binlog differs from the binlog that this task read before, so the stream cannot be resumed.
    #[error("{what}")]
    HistoryDiverged {
        /// What was expected and what was found.
        what: String,
    },
    /// The position from which a task without a full phase starts is inside a transaction.
    #[error("the stream would begin inside a transaction, without its first rows")]
    StartInTransaction,
    /// The server has purged the binlog file that this task needs next.
    #[error("the oldest file it still has is {oldest}; this task stopped at {needed}")]
    Purged {
        /// The oldest file that the server still has.
        oldest: String,
        /// The file and offset that this task needs.
        needed: String,
    },
    /// Another replica with the same id or UUID connected, so the server ended this stream.
    #[error("{message}")]
    Fenced {
        /// The server's message.
        message: String,
    },
    /// The server cannot send an event that is larger than its `max_allowed_packet`.
    #[error("{message}")]
    EventTooLarge {
        /// The server's message.
        message: String,
    },
    /// The account may not read the binlog.
    #[error("{message}")]
    Denied {
        /// The server's message.
        message: String,
    },
    /// The connection failed, or the server ended the stream.
    #[error("{message}")]
    Disconnected {
        /// The message of the client library or of the server.
        message: String,
    },
}

impl StreamError {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// The error for an event whose length and checksum are right: then it is its content that is damaged.
    pub(crate) fn of_content(self) -> Self {
        match self {
            Self::Corrupt { what } => Self::Content { what },
            other => other,
        }
    }

    /// Whether the error may disappear when the event is read a second time, because the network may have caused it.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Gap { .. })
    }
}

fn may_hold_password(statement: &str) -> bool {
    let holds = |word: &str| statement.as_bytes().windows(word.len()).any(|found| found.eq_ignore_ascii_case(word.as_bytes()));
    ["IDENTIFIED", "PASSWORD", "AUTHENTICATION"].into_iter().any(holds)
}

/// The error for a statement that cannot be read and may concern `table`.
pub(crate) fn unreadable(table: TableId, mut error: ReadError, statement: &str) -> StreamError {
    if may_hold_password(statement) || !is_ddl(statement) {
        error.near.clear();
    }
    StreamError::Unreadable { table, error, statement: shorten(statement) }
}

/// The beginning of a statement for an error message: at most 120 characters, with white space collapsed. Nothing of a statement that may
/// hold a password, and of a statement other than DDL nothing from the first number or string on, which may be a value of a row.
pub(crate) fn shorten(statement: &str) -> String {
    if is_ddl(statement) && !may_hold_password(statement) { beginning(statement) } else { shorten_without_values(statement) }
}

/// Like [`shorten`], for a statement that may hold values of rows although its first word is that of DDL, such as CREATE TABLE … SELECT.
pub(crate) fn shorten_without_values(statement: &str) -> String {
    if may_hold_password(statement) {
        return "(not shown, because it may hold a password)".to_owned();
    }
    let mut before = ' ';
    let begins_value = |c: char| {
        let is_number = c.is_ascii_digit() && !(before.is_alphanumeric() || matches!(before, '_' | '$'));
        before = c;
        is_number || matches!(c, '\'' | '"')
    };
    let Some(shown) = statement.find(begins_value).and_then(|value| statement.get(..value)) else { return beginning(statement) };
    let text = beginning(shown);
    if text.ends_with('…') { text } else { text + "…" }
}

/// Whether the first word is that of a statement that defines tables or databases.
fn is_ddl(statement: &str) -> bool {
    let verbs = ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"];
    first_word(statement).is_some_and(|first| verbs.iter().any(|verb| first.eq_ignore_ascii_case(verb)))
}

fn beginning(statement: &str) -> String {
    const LONGEST: usize = 120;
    let mut text = String::new();
    for word in statement.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(word.chars().take(LONGEST + 1));
        if text.chars().count() > LONGEST {
            return text.chars().take(LONGEST - 1).collect::<String>() + "…";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_row_is_shown() {
        for (statement, shown) in [
            ("INSERT INTO t1 (a, b) VALUES (4711, 'secret')", "INSERT INTO t1 (a, b) VALUES (…"),
            ("/* 12 */ UPDATE `d`.`t`\n SET a = \"secret\"", "/*…"),
            ("DELETE FROM t WHERE x = -17.5e3", "DELETE FROM t WHERE x = -…"),
            ("REPLACE INTO t SELECT * FROM u", "REPLACE INTO t SELECT * FROM u"),
            ("ALTER TABLE t ADD c VARCHAR(20)\tDEFAULT 'x'", "ALTER TABLE t ADD c VARCHAR(20) DEFAULT 'x'"),
            ("/*+TDDL:x()*/ CREATE TABLE t (a INT(11))", "/*+TDDL:x()*/ CREATE TABLE t (a INT(11))"),
            ("DO secret('x'", "DO secret(…"),
            ("CREATE USER a IDENTIFIED BY 'x'", "(not shown, because it may hold a password)"),
            ("UPDATE t SET password = 'x'", "(not shown, because it may hold a password)"),
        ] {
            assert_eq!(shorten(statement), shown);
        }
        assert_eq!(shorten_without_values("CREATE TABLE t1 AS SELECT 'secret' AS a"), "CREATE TABLE t1 AS SELECT…");
        for long in ["é ".repeat(1_000), "é".repeat(1_000), format!("{} '", "é".repeat(1_000))] {
            assert_eq!(shorten(&long).chars().count(), 120, "{long}");
            assert!(shorten(&long).ends_with('…'));
        }
        let error = ReadError::new("a quote without end").near("'secret");
        let StreamError::Unreadable { error, .. } = unreadable(TableId::new("d", ""), error, "INSERT INTO t VALUES ('secret") else {
            panic!()
        };
        assert_eq!(error.near, "");
    }
}
