//! An event as it is shown to people.

use std::borrow::Cow;

use jiff::Timestamp;
use runtime::{RowChange, TableId};

use crate::binlog::event::{Header, kind};

/// An event of a binlog file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectedEvent {
    /// Where it begins in the file, in bytes. An event of a compressed transaction has the offset of the transaction.
    pub offset: u64,
    /// Whether it is in a compressed transaction.
    pub is_compressed: bool,
    /// Its type, such as `WRITE_ROWS`.
    pub kind: Cow<'static, str>,
    /// When it was written, in seconds since the epoch.
    pub seconds: u32,
    /// The server that wrote it first.
    pub server_id: u32,
    /// Its length in bytes, with its header and its checksum.
    pub size: u32,
    /// What it holds.
    pub content: Content,
}

/// What an event holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// Nothing that is shown.
    None,
    /// The version of the server that wrote the file.
    Format(String),
    /// The file in which the binlog continues.
    Next(String),
    /// The id of the transaction that begins.
    Gtid(String),
    /// A statement, with its default database.
    Statement {
        /// The default database; it may be empty.
        database: String,
        /// The text.
        text: String,
    },
    /// A text, such as a comment or a commit mark.
    Text(String),
    /// The table of the row events that follow, and the number by which they name it.
    Table {
        /// The table.
        table: TableId,
        /// The number.
        id: u64,
    },
    /// Changed rows of one table. The columns of a table whose schema is not known are called `@1`, `@2` and so on.
    Rows(Vec<RowChange>),
    /// Why the event is not shown in more detail.
    Unread(String),
}

impl InspectedEvent {
    pub(super) fn new(header: &Header, offset: u64, is_compressed: bool, content: Content) -> Self {
        let Header { timestamp, kind, server_id, size, .. } = *header;
        Self { offset, is_compressed, kind: name(kind), seconds: timestamp, server_id, size, content }
    }

    /// When it was written, in UTC, such as `2026-11-30T18:00:00Z`.
    pub fn time(&self) -> String {
        Timestamp::from_second(self.seconds.into()).map(|time| time.to_string()).unwrap_or_default()
    }
}

/// The name of a type of events, as the servers print it in their manuals.
fn name(kind: u8) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        kind::QUERY => "QUERY",
        kind::STOP => "STOP",
        kind::ROTATE => "ROTATE",
        kind::INTVAR => "INTVAR",
        kind::APPEND_BLOCK => "APPEND_BLOCK",
        kind::DELETE_FILE => "DELETE_FILE",
        kind::RAND => "RAND",
        kind::USER_VAR => "USER_VAR",
        kind::FORMAT_DESCRIPTION => "FORMAT_DESCRIPTION",
        kind::XID => "XID",
        kind::BEGIN_LOAD_QUERY => "BEGIN_LOAD_QUERY",
        kind::EXECUTE_LOAD_QUERY => "EXECUTE_LOAD_QUERY",
        kind::TABLE_MAP => "TABLE_MAP",
        kind::WRITE_ROWS | kind::WRITE_ROWS_V1 => "WRITE_ROWS",
        kind::UPDATE_ROWS | kind::UPDATE_ROWS_V1 => "UPDATE_ROWS",
        kind::DELETE_ROWS | kind::DELETE_ROWS_V1 => "DELETE_ROWS",
        kind::INCIDENT => "INCIDENT",
        kind::HEARTBEAT | kind::HEARTBEAT_V2 => "HEARTBEAT",
        kind::IGNORABLE => "IGNORABLE",
        kind::ROWS_QUERY => "ROWS_QUERY",
        kind::GTID => "GTID",
        kind::ANONYMOUS_GTID => "ANONYMOUS_GTID",
        kind::PREVIOUS_GTIDS => "PREVIOUS_GTIDS",
        kind::TRANSACTION_CONTEXT => "TRANSACTION_CONTEXT",
        kind::VIEW_CHANGE => "VIEW_CHANGE",
        kind::XA_PREPARE => "XA_PREPARE",
        kind::PARTIAL_UPDATE_ROWS => "PARTIAL_UPDATE_ROWS",
        kind::TRANSACTION_PAYLOAD => "TRANSACTION_PAYLOAD",
        kind::GTID_TAGGED => "GTID_TAGGED",
        kind::ANNOTATE_ROWS => "ANNOTATE_ROWS",
        kind::CHECKPOINT => "BINLOG_CHECKPOINT",
        kind::MARIADB_GTID => "GTID",
        kind::GTID_LIST => "GTID_LIST",
        kind::START_ENCRYPTION => "START_ENCRYPTION",
        other => return Cow::Owned(format!("TYPE_{other}")),
    })
}
