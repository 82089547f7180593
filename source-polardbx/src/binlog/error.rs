//! What can go wrong with a stream, and what the supervisor does then.

use runtime::{Error, Kind, TableId};

use super::FileOffset;
use crate::error::SourceError;
use crate::schema::ReadError;
use crate::schema::history::ChangeError;

/// A failure of a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The bytes of an event are not what they must be.
    #[error("{what}")]
    Corrupt {
        /// What is wrong, without any value of a cell.
        what: String,
    },
    /// An event is missing, or two were glued together.
    #[error("{what}")]
    Gap {
        /// What was expected and found.
        what: String,
    },
    /// The server says that it lost events.
    #[error("the server wrote an incident into its binlog: {message}")]
    Incident {
        /// The server's words.
        message: String,
    },
    /// Rows of a selected table were changed by a statement.
    #[error("a statement, not its rows, was written to the binlog (binlog_format is not ROW for that session)")]
    StatementDml {
        /// A selected table that the statement names.
        table: TableId,
    },
    /// Row images are not full.
    #[error("a row event does not hold all columns (binlog_row_image is not FULL for that session)")]
    PartialImage {
        /// The table.
        table: TableId,
    },
    /// JSON columns were written as differences.
    #[error("a row event holds differences of JSON documents (binlog_row_value_options=PARTIAL_JSON)")]
    PartialJson,
    /// A TABLE_MAP does not fit the known structure.
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
    /// Rows were taken back after they were written.
    #[error("{what}")]
    RollbackGroup {
        /// How.
        what: &'static str,
    },
    /// The server uses something that is not supported yet.
    #[error("{what} is not supported yet")]
    Unsupported {
        /// What it uses.
        what: String,
        /// What to do instead.
        help: &'static str,
    },
    /// A change of structures cannot be followed.
    #[error("{change}")]
    Change {
        /// Why.
        change: ChangeError,
        /// The beginning of the statement.
        statement: String,
    },
    /// A statement that may touch a selected table could not be read.
    #[error("{error}")]
    Unreadable {
        /// A selected table that it may touch.
        table: TableId,
        /// What could not be read.
        error: ReadError,
        /// The beginning of the statement.
        statement: String,
    },
    /// A statement about a selected table holds bytes that cannot be handed on as text.
    #[error("the statement has bytes that are no text of the character set {charset}, which its client spoke")]
    NotText {
        /// The table; without a name if the bytes are in a name.
        table: TableId,
        /// The character set.
        charset: String,
        /// The beginning of the statement.
        statement: String,
    },
    /// The transaction at the position is not the one that was delivered.
    #[error("{what}")]
    HistoryDiverged {
        /// What was expected and found.
        what: String,
    },
    /// The file needed next is gone.
    #[error("the oldest file it still has is {oldest}; this task stopped at {needed}")]
    Purged {
        /// The oldest file.
        oldest: String,
        /// The file and offset needed.
        needed: String,
    },
    /// Another client took our place on the server.
    #[error("{message}")]
    Fenced {
        /// The server's words.
        message: String,
    },
    /// The server cannot send an event to us.
    #[error("{message}")]
    EventTooLarge {
        /// The server's words.
        message: String,
    },
    /// The account may not read the binlog.
    #[error("{message}")]
    Denied {
        /// The server's words.
        message: String,
    },
    /// The server is another one than the position's.
    #[error("the position was made on {known}, this server is {found}")]
    IdentityChanged {
        /// Identity in the position.
        known: String,
        /// Identity of the server.
        found: String,
    },
    /// The connection failed, or the server ended the stream.
    #[error("{message}")]
    Disconnected {
        /// The library's or the server's words.
        message: String,
    },
    /// The connection cannot be made as it is configured.
    #[error(transparent)]
    Connection {
        /// Why.
        error: Box<SourceError>,
    },
    /// A position's text was not written by us.
    #[error("{what}")]
    Position {
        /// What is wrong with it.
        what: String,
    },
}

impl StreamError {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// Whether the same bytes may be right when they are read again.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Gap { .. })
    }
}

const AFRESH: &str = "start the task afresh with a full phase: reset its state and let it read the tables again";

// The classification table of the stream.
impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        let error = match error {
            StreamError::Connection { error } => return (*error).into(),
            other => other,
        };
        let made = match &error {
            StreamError::Corrupt { .. } => Error::fatal("read the binlog")
                .with_code("E_BINLOG_CORRUPT")
                .with_help("verify the file on the server (mysqlbinlog --verify-binlog-checksum); if it is damaged there, start afresh with a full phase"),
            StreamError::Gap { .. } => Error::fatal("follow the binlog").with_code("E_STREAM_GAP").with_help(
                "an event was lost between the server and this program: look for proxies on the way and at the server's log, then start again",
            ),
            StreamError::Incident { .. } => Error::fatal("follow the binlog").with_code("E_SOURCE_INCIDENT").with_help(AFRESH),
            StreamError::StatementDml { table } => Error::fatal("follow the binlog")
                .with_code("E_STATEMENT_DML")
                .of_table(table)
                .with_help("set binlog_format=ROW globally and reconnect all sessions, then start afresh with a full phase"),
            StreamError::PartialImage { table } => Error::fatal("decode a row event")
                .with_code("E_PARTIAL_IMAGE")
                .of_table(table)
                .with_help("set binlog_row_image=FULL globally and reconnect all sessions, then start afresh with a full phase"),
            StreamError::PartialJson => Error::fatal("decode a row event")
                .with_code("E_PARTIAL_JSON")
                .with_help("set binlog_row_value_options='' globally and reconnect all sessions, then start afresh with a full phase"),
            StreamError::SchemaMismatch { table, .. } => Error::fatal("match a row event with the known structure")
                .with_code("E_SCHEMA_MISMATCH")
                .of_table(table)
                .with_help("the table was changed in a way that the binlog does not show; start afresh with a full phase"),
            StreamError::UnsupportedColumn { table, .. } => Error::fatal("read the structure of the table")
                .with_code("E_UNSUPPORTED_COLUMN")
                .of_table(table)
                .with_help("leave the table out of the selection, or change the column's type"),
            StreamError::RollbackGroup { .. } => Error::fatal("follow the binlog")
                .with_code("E_ROLLBACK_GROUP")
                .with_help("do not mix transactional and other tables in one transaction; then start afresh with a full phase"),
            StreamError::Unsupported { help, .. } => Error::fatal("follow the binlog").with_code("E_UNSUPPORTED_EVENT").with_help(*help),
            StreamError::Change { change, statement } => return change_error(change, statement),
            StreamError::Unreadable { table, statement, .. } => Error::fatal(format!("read the statement `{statement}`"))
                .with_code("E_DDL_UNREAD")
                .of_table(table)
                .with_help("start afresh with a full phase; report the statement, so that it can be read"),
            StreamError::NotText { table, statement, .. } => Error::fatal(format!("read the statement `{statement}`"))
                .with_code("E_DDL_UNREAD")
                .of_table(table)
                .with_help(
                    "write bytes as x'…' and speak utf8mb4 in statements about selected tables; for this task: start afresh with a full phase",
                ),
            StreamError::HistoryDiverged { .. } => Error::fatal("find the place in the binlog where this task stopped")
                .with_code("E_HISTORY_DIVERGED")
                .with_help("the server lost or rewrote its binlog, was restored from a backup, or is another one; start afresh with a full phase"),
            StreamError::Purged { .. } => Error::fatal("the binlog needed next was purged on the server")
                .with_code("E_BINLOG_PURGED")
                .with_help(AFRESH),
            StreamError::Fenced { .. } => Error::fatal("follow the binlog").with_code("E_FENCED").with_help(
                "another replica or another instance of this task uses the same server id: stop it, or give this task a server id of its own",
            ),
            StreamError::EventTooLarge { .. } => Error::config("follow the binlog")
                .with_code("E_EVENT_TOO_LARGE")
                .with_help("set max_allowed_packet=1073741824 globally on the server"),
            StreamError::Denied { .. } => {
                Error::config("follow the binlog").with_code("E_DENIED").with_help("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* to the account")
            }
            StreamError::IdentityChanged { .. } => Error::fatal("another server answers").with_code("E_IDENTITY_CHANGED").with_help(AFRESH),
            StreamError::Connection { .. } | StreamError::Disconnected { .. } => Error::retryable("follow the binlog"),
            StreamError::Position { .. } => Error::new(Kind::Fatal, "read the position of the stream").with_code("E_CKPT_CORRUPT").with_help(AFRESH),
        };
        made.because(error)
    }
}

fn change_error(change: &ChangeError, statement: &str) -> Error {
    let doing = format!("apply the statement `{statement}`");
    let (code, table, help) = match change {
        ChangeError::Columns { table, .. } => (
            "E_DDL_COLUMNS",
            table,
            "changing columns is not supported yet; everything before the statement was delivered: start afresh with a full phase",
        ),
        ChangeError::Exchanged { table } => (
            "E_DDL_COLUMNS",
            table,
            "everything before the statement was delivered: start afresh with a full phase, which reads the rows where they are now",
        ),
        ChangeError::Key { table } => {
            ("E_DDL_COLUMNS", table, "everything before the statement was delivered: start afresh with a full phase")
        }
        ChangeError::Renamed { from, .. } => (
            "E_DDL_COLUMNS",
            from,
            "renaming selected tables is not supported yet; everything before the statement was delivered: start afresh with a full phase",
        ),
        ChangeError::LikeUnknown { table, .. } => (
            "E_DDL_UNREAD",
            table,
            "select the other table too, or write such statements with their columns; everything before the statement was delivered: start afresh \
             with a full phase, which reads the new table",
        ),
        ChangeError::Unread { table, .. } => {
            ("E_DDL_UNREAD", table, "start afresh with a full phase; report the statement, so that it can be read")
        }
        ChangeError::Unknown { table } => ("E_SCHEMA_MISMATCH", table, AFRESH),
    };
    Error::fatal(doing).with_code(code).of_table(table).with_help(help).because(change.clone())
}

/// The beginning of a statement, for an error message.
pub(crate) fn shorten(statement: &str) -> String {
    let mut text: String = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() > 120 {
        text = text.chars().take(119).collect::<String>() + "…";
    }
    text
}

/// A file name and an offset as people read it.
pub(crate) fn place(base: &str, at: FileOffset) -> String {
    format!("{}:{}", super::position::file_name(base, at.file), at.offset)
}
