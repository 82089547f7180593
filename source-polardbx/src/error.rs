//! The errors of the source, and how each is reported to the supervisor: its kind, its code and the help for the user.

use std::borrow::Cow;
use std::path::PathBuf;

use runtime::{Error, Kind, Position, TableId};

use crate::binlog::disk::FileError;
use crate::binlog::error::StreamError;
use crate::binlog::position::PositionError;
use crate::config::ConfigError;
use crate::failover_error::FailoverError;
use crate::schema::history::ChangeError;
use crate::tls::TlsFailure;
use crate::wire::{WireError, mysql_number};

/// A failure of the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The server refused a statement, or the connection broke.
    #[error("{error}")]
    Connection {
        /// The action that failed, such as "list the tables".
        doing: Cow<'static, str>,
        /// The error of the connection or of the server.
        error: WireError,
    },
    /// The connection could not be encrypted.
    #[error(transparent)]
    Tls(TlsFailure),
    /// The server did not answer in time.
    #[error("no answer within {seconds} s")]
    Timeout {
        /// The action that failed, such as "list the tables".
        doing: Cow<'static, str>,
        /// How long the source waited, in seconds.
        seconds: u64,
    },
    /// The server's answer is not as expected.
    #[error("{what}")]
    Answer {
        /// The action that failed, such as "list the tables".
        doing: Cow<'static, str>,
        /// What is wrong with the answer.
        what: String,
    },
    /// A key of the configuration has a value that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server, its settings or its tables do not meet a requirement of the source.
    #[error("{what}")]
    Requirement {
        /// What does not meet the requirement.
        what: String,
        /// What the user can do about it.
        help: String,
    },
    /// XA transactions that were prepared before the start of the task have no outcome.
    #[error("{} still prepared after {seconds} s: {}", if transactions.len() == 1 { "an XA transaction is" } else { "XA transactions are" }, transactions.join("; "))]
    PreparedXa {
        /// The ids of the transactions.
        transactions: Vec<String>,
        /// How long the source waited, in seconds.
        seconds: u64,
    },
    /// Reading the binlog failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Binlog files on disk cannot be read.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The checkpoint was made from another server.
    #[error("the checkpoint was made from {known}, this server is {found}")]
    IdentityChanged {
        /// The server's identity in the checkpoint.
        known: String,
        /// The identity of the server to which the source is connected.
        found: String,
    },
    /// The task cannot continue at a server that took over.
    #[error(transparent)]
    Failover(#[from] FailoverError),
    /// A connection reached another server than the connections before it.
    #[error("a connection reached the server {found}, and this task reads from {known}")]
    OtherServer {
        /// The identity of the task's server.
        known: String,
        /// The identity of the server that the connection reached.
        found: String,
    },
    /// The configuration has other tables or phases than when the task was started.
    #[error("{what}")]
    TaskChanged {
        /// The message, which says what differs.
        what: String,
    },
    /// The streams that the task reads are not there any more, or others have come.
    #[error("{what}")]
    StreamsChanged {
        /// What differs.
        what: String,
    },
    /// The schema of a table changed before all its rows were read.
    #[error("{what}")]
    TableChanged {
        /// The table.
        table: TableId,
        /// What has changed.
        what: String,
    },
    /// A table was dropped or renamed before all its rows were read.
    #[error("the table does not exist any more")]
    TableGone {
        /// The table.
        table: TableId,
    },
    /// The source's part of the checkpoint is incomplete or invalid.
    #[error("{what}")]
    Checkpoint {
        /// What is wrong with the checkpoint.
        what: String,
    },
    /// The rows of a chunk cannot be written to the state directory.
    #[error("{message}")]
    ChunkUnwritten {
        /// The message of the operating system.
        message: String,
    },
    /// The rows of a chunk that were handed over cannot be read back.
    #[error("{}: {message}", path.display())]
    ChunkLost {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file, or the message of the operating system.
        message: String,
    },
    /// So many chunks are at one place of the binlog that the next one cannot be numbered.
    #[error("too many chunks at one place of the binlog")]
    TooManyChunks,
    /// A value in a row does not fit the type of its column.
    #[error("column `{column}` ({source_type}) holds a value that does not fit its type")]
    Cell {
        /// The table.
        table: TableId,
        /// The name of the column.
        column: String,
        /// The column's type, as the server prints it.
        source_type: String,
        /// The position of the row, such as `shop.orders/chunk-3 row 17`.
        position: Position,
    },
    /// An error of the runtime, for example because the runtime could not read a fact in the checkpoint.
    #[error(transparent)]
    Framework(#[from] Error),
}

/// The result type of this crate.
pub(crate) type Result<T, E = SourceError> = std::result::Result<T, E>;

impl SourceError {
    /// Wraps an error of a connection. `doing` is the action that failed.
    pub(crate) fn wire(doing: impl Into<Cow<'static, str>>, error: WireError) -> Self {
        match error {
            WireError::Tls(failure) => Self::Tls(failure),
            WireError::Files(error) => Self::Files(error),
            error => Self::Connection { doing: doing.into(), error },
        }
    }

    pub(crate) fn answer(doing: impl Into<Cow<'static, str>>, what: impl Into<String>) -> Self {
        Self::Answer { doing: doing.into(), what: what.into() }
    }

    /// The error for a checkpoint that lists a table without its schema.
    pub(crate) fn unknown_schema(table: &TableId) -> Self {
        Self::Checkpoint { what: format!("it does not hold the schema of table {table}") }
    }

    /// Returns [`SourceError::TableGone`] if `error` says that a table of the snapshot does not exist. The table was dropped or renamed
    /// during the snapshot, so a retry cannot help. Returns any other error unchanged.
    pub(crate) fn or_table_is_gone(error: Self, table: &TableId) -> Self {
        const UNKNOWN_DATABASE_OR_TABLE: [u16; 2] = [1049, 1146];
        match error.code() {
            Some(code) if UNKNOWN_DATABASE_OR_TABLE.contains(&code) => Self::TableGone { table: table.clone() },
            _ => error,
        }
    }

    /// The server's error number, in MySQL's numbers; `None` if the error does not come from the server.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Connection { error: WireError::Refused(code, message), .. } => Some(mysql_number(*code, message)),
            _ => None,
        }
    }
}

impl From<PositionError> for SourceError {
    fn from(error: PositionError) -> Self {
        Self::Checkpoint { what: error.to_string() }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        SourceError::from(error).into()
    }
}

impl From<StreamError> for Error {
    fn from(error: StreamError) -> Self {
        SourceError::from(error).into()
    }
}

/// The code of an error by which the server refuses the account.
pub(crate) const DENIED: &str = "E_DENIED";

/// Whether the server refuses the account by an error with this number, which is one of MySQL's.
pub(crate) fn is_denial(code: u16) -> bool {
    matches!(code, 1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1370)
}

const UNREAD: &str = "on_unparsed_ddl = \"refetch\" reads the schema of the table from the server, if no later statement has changed it; else start \
                      from scratch with a full phase; report the statement, so that it can be supported";

const NOT_REFETCHED: &str = "start from scratch with a full phase; report the statement, so that it can be supported";

const FROM_SCRATCH: &str = "start the task from scratch with a full phase, in an empty state directory";

// Classifies every error of this crate: its kind, its code and the help for the user.
impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        let could_not = |doing: &str| format!("could not {doing}");
        match &error {
            SourceError::Framework(_) => {
                let SourceError::Framework(error) = error else { return Error::fatal(error.to_string()) };
                return error;
            }
            SourceError::Stream(stream) => return stream_error(stream),
            SourceError::Failover(failover) => return failover.clone().into(),
            SourceError::Files(files) => return files.clone().into(),
            SourceError::Tls(failure) => return Error::config(failure.what.clone()).with_code("E_TLS").with_help(failure.help),
            SourceError::Config(ConfigError { section, key, why, help }) => {
                let message = format!("key `source.{section}.{key}` is not valid: {why}");
                return Error::config(message).with_code("E_CONFIG").with_help(help.clone());
            }
            SourceError::Requirement { what, help } => {
                let made = Error::config(what.clone()).with_code("E_REQUIREMENT");
                return if help.is_empty() { made } else { made.with_help(help.clone()) };
            }
            SourceError::PreparedXa { .. } => {
                return Error::config(error.to_string()).with_code("E_XA_PREPARED").with_help(
                    "commit them or roll them back (XA RECOVER lists them), or raise `source.polardbx.xa_wait_seconds`; then start again",
                );
            }
            SourceError::TaskChanged { what } => {
                return Error::config(what.clone())
                    .with_code("E_CONFIG_CONFLICT")
                    .with_help("restore the former settings, or give the task another name, so that it starts from scratch");
            }
            SourceError::Cell { table, position, .. } => return Error::fatal(error.to_string()).of_table(table).at(position),
            SourceError::Connection { doing, error: connection } => {
                let (kind, help) = classify(connection);
                let mut made = Error::new(kind, could_not(doing));
                if error.code().is_some_and(is_denial) {
                    made = made.with_code(DENIED);
                }
                if help.is_empty() { made } else { made.with_help(help) }
            }
            SourceError::Timeout { doing, .. } => {
                Error::retryable(could_not(doing)).with_help("check the load of the server and the network between")
            }
            SourceError::Answer { doing, .. } => Error::fatal(could_not(doing)),
            SourceError::IdentityChanged { .. } => {
                Error::fatal("the source is another server than before").with_code("E_IDENTITY_CHANGED").with_help(
                    "point `source.polardbx.host` at the server of the checkpoint, or start the task from scratch with a full phase",
                )
            }
            SourceError::OtherServer { .. } => Error::retryable("connections to the source reach different servers")
                .with_code("E_OTHER_SERVER")
                .with_help("let `source.polardbx.host` name one server, without load balancing over several"),
            SourceError::StreamsChanged { .. } => {
                Error::fatal("the binlog has other streams than before").with_code("E_STREAMS_CHANGED").with_help(FROM_SCRATCH)
            }
            SourceError::TableChanged { table, .. } => Error::fatal("the schema of the table changed before all its rows were read")
                .with_code("E_SCHEMA_CHANGED")
                .of_table(table)
                .with_help(
                    "set `source.polardbx.on_ddl_in_full = \"restart_table\"` and start the task again, or start it from scratch and change no \
                     selected table before its full phase is over",
                ),
            SourceError::TableGone { table } => Error::fatal("the table was dropped or renamed before all its rows were read")
                .with_code("E_SCHEMA_CHANGED")
                .of_table(table)
                .with_help("start the task from scratch, so that it reads the tables that exist now"),
            SourceError::ChunkUnwritten { .. } => Error::retryable("the rows of a chunk cannot be written to the state directory")
                .with_help("make room in the state directory, and let this program write to it"),
            SourceError::ChunkLost { .. } => Error::fatal("rows of a chunk that were handed over cannot be read back")
                .with_code("E_SPOOL_LOST")
                .with_help("put the file back into the state directory, or start from scratch with a full phase"),
            SourceError::TooManyChunks => Error::retryable("the next chunk cannot be numbered")
                .with_help("the source has written nothing to its binlog for very many chunks: write something, or raise chunk_rows"),
            SourceError::Checkpoint { .. } => Error::damaged_checkpoint("the source's part of the checkpoint is unreadable"),
        }
        .because(error)
    }
}

/// Classifies the errors of the stream.
fn stream_error(error: &StreamError) -> Error {
    let fatal = |code, message: &'static str| Error::fatal(message).with_code(code);
    match error {
        StreamError::Corrupt { what } => fatal("E_BINLOG_CORRUPT", "the binlog holds a damaged event").because(what.clone()).with_help(
            "verify the file on the server (mysqlbinlog --verify-binlog-checksum); if it is damaged there, start from scratch with a full phase",
        ),
        StreamError::Content { what } => fatal("E_BINLOG_CORRUPT", "an event of the binlog cannot be decoded, although its checksum is right")
            .because(what.clone())
            .with_help("look at the event on the server with mysqlbinlog; report it, and start from scratch with a full phase"),
        StreamError::Gap { what } => fatal("E_STREAM_GAP", "an event of the binlog is missing").because(what.clone()).with_help(
            "an event was lost between the server and this program: check proxies between the two and the server's log, then start again",
        ),
        StreamError::Incident { message } => {
            fatal("E_SOURCE_INCIDENT", "the server wrote an incident into its binlog").because(message.clone()).with_help(FROM_SCRATCH)
        }
        StreamError::StatementDml { table, statement } => {
            let (message, why) = match table {
                Some(_) => ("rows of a selected table were changed by a statement, and the binlog holds only its text", ""),
                None => (
                    "the binlog holds only the text of a statement that may have changed rows of a selected table",
                    ", and its triggers, functions and procedures may change any table",
                ),
            };
            let error = fatal("E_STATEMENT_DML", message)
                .because(format!("binlog_format is not ROW for that session{why}; the statement is `{statement}`"))
                .with_help("set binlog_format=ROW globally and reconnect all sessions, then start from scratch with a full phase");
            table.iter().fold(error, Error::of_table)
        }
        StreamError::PartialImage { table } => fatal("E_PARTIAL_IMAGE", "a row event does not hold all columns")
            .because("binlog_row_image is not FULL for that session")
            .of_table(table)
            .with_help("set binlog_row_image=FULL globally and reconnect all sessions, then start from scratch with a full phase"),
        StreamError::PartialJson => fatal("E_PARTIAL_JSON", "a row event holds differences of JSON documents")
            .because("binlog_row_value_options is PARTIAL_JSON for that session")
            .with_help("set binlog_row_value_options='' globally and reconnect all sessions, then start from scratch with a full phase"),
        StreamError::SchemaMismatch { table, what } => fatal("E_SCHEMA_MISMATCH", "the binlog does not match the known schema of a table")
            .because(what.clone())
            .of_table(table)
            .with_help(
                "the table was changed in a way that the binlog does not show: `connector-cli schema refetch FILE TABLE` reads its schema again, \
                 if it still holds at this position; else start from scratch with a full phase",
            ),
        StreamError::UnsupportedColumn { table, what } => Error::fatal(what.clone())
            .with_code("E_UNSUPPORTED_COLUMN")
            .of_table(table)
            .with_help("leave the table out of the selection, or change the column's type"),
        StreamError::NoRows { table, .. } => fatal("E_STREAM_KEYS", "the rows of a table are not in the streams")
            .because(error.to_string())
            .of_table(table)
            .with_help("if the group is split by table or database, set `source.polardbx.stream_split`; else start from scratch without the table"),
        StreamError::RollbackGroup { what } => fatal("E_ROLLBACK_GROUP", what)
            .with_help("start from scratch with a full phase; name the savepoints of transactions that drop temporary tables in ASCII"),
        StreamError::UnknownXa { xid } => fatal("E_XA_UNKNOWN", "the changes of an XA transaction were not read")
            .because(format!("the transaction {xid} is committed here, and was prepared before the start of this task"))
            .with_help(
                "start from scratch: a full phase, or start.latest, waits for transactions that are prepared, if the account may list them (on \
                 MySQL 8: GRANT XA_RECOVER_ADMIN ON *.*); a start.position must lie before the XA START, or behind this XA COMMIT",
            ),
        StreamError::PreparedInDoubt { xid, prepared, table, statement } => {
            fatal("E_XA_CHANGED", "a table was changed between the prepare and the commit of an XA transaction that has rows of it")
                .because(format!(
                    "the transaction {xid}, prepared at {prepared}, is committed here, and it is not known which of its rows the statement has \
                     removed; the statement is `{statement}`"
                ))
                .of_table(table)
                .with_help("start from scratch with a full phase, and change no table while XA RECOVER lists a transaction with rows of it")
        }
        StreamError::XaOrder { xid, prepared, table, event } => {
            fatal("E_XA_ORDER", "a row of an XA transaction was changed again, and the outcome of the transaction is missing")
                .because(format!(
                    "the transaction {xid}, prepared at {prepared}, and the row event that ends at {event} change the same row, so the                      transaction had ended; the binlog does not say how"
                ))
                .of_table(table)
                .with_help(
                    "if XA RECOVER lists the transaction, commit it or roll it back and start this task again; if not, the server has lost                      its outcome, so start from scratch with a full phase",
                )
        }
        StreamError::SpoolLost { xid, prepared, what } => fatal("E_SPOOL_LOST", "the changes of a prepared XA transaction cannot be read back")
            .because(format!("the transaction {xid}, prepared at {prepared}: {what}"))
            .with_help("put the file back into the state directory, or start from scratch with a full phase"),
        StreamError::SpoolUnread { message } => fatal("E_SPOOL_LOST", "the changes of a prepared XA transaction cannot be read back")
            .because(message.clone())
            .with_help("put its file back into the state directory, or start from scratch with a full phase"),
        StreamError::SpoolUnwritten { message } => {
            Error::retryable("the changes of an XA transaction cannot be written to the state directory")
                .because(message.clone())
                .with_help("make room in the state directory, and let this program write to it")
        }
        StreamError::Unsupported { help, .. } => Error::fatal(error.to_string()).with_code("E_UNSUPPORTED_EVENT").with_help(*help),
        StreamError::Change { change, statement } => change_error(change, statement),
        StreamError::Unreadable { table, error, statement } => fatal("E_DDL_UNREAD", "a statement that may change a selected table cannot be read")
            .because(format!("{error}; the statement is `{statement}`"))
            .of_table(table)
            .with_help(UNREAD),
        StreamError::NotRefetched { error, why } => {
            let unread = stream_error(error);
            let cause = unread.cause().unwrap_or_default();
            unread
                .because(format!("{cause}; the schema of its table cannot be read from the server instead: {why}"))
                .with_help(NOT_REFETCHED)
        }
        StreamError::NotText { table, charset, statement } => {
            fatal("E_DDL_UNREAD", "a DDL statement about a selected table holds bytes that are not valid in its character set")
                .because(format!("its client spoke {charset}; the statement is `{statement}`"))
                .of_table(table)
                .with_help(
                    "write bytes as x'…' and speak utf8mb4 in statements about selected tables; for this task: start from scratch with a full phase",
                )
        }
        StreamError::HistoryDiverged { what } => {
            fatal("E_HISTORY_DIVERGED", "the server's binlog is not the one that this task read").because(what.clone()).with_help(
                "the server lost or rewrote its binlog, was restored from a backup, or is another one; start from scratch with a full phase",
            )
        }
        StreamError::StartInTransaction => fatal("E_START_IN_TRANSACTION", "the stream would begin inside a transaction")
            .because("the node of PolarDB-X that named the end of the binlog had copied only a part of it, and no full phase reads the rest")
            .with_help("start from scratch, in an empty state directory: nothing was delivered yet, and the start is noted again"),
        StreamError::Purged { oldest, needed } => {
            let file = needed.rsplit_once(':').map_or(needed.as_str(), |(file, _)| file);
            Error::fatal(format!("the binlog needed next, {file}, was purged"))
                .with_code("E_BINLOG_PURGED")
                .because(format!("the oldest file of the server is {oldest}; this task stopped at {needed}"))
                .with_help("start from scratch with a full phase, and keep binlogs for at least 7 days")
        }
        StreamError::Fenced { message } => {
            fatal("E_FENCED", "another replica took over the dump connection").because(message.clone()).with_help(
                "another replica or another instance of this task uses the same server id: stop it, or give this task a server id of its own",
            )
        }
        StreamError::EventTooLarge { message } => Error::config("the server cannot send an event of its binlog, which is too large")
            .with_code("E_EVENT_TOO_LARGE")
            .because(message.clone())
            .with_help("set max_allowed_packet=1073741824 globally on the server"),
        StreamError::Denied { message } => Error::config("the account may not read the binlog")
            .with_code(DENIED)
            .because(message.clone())
            .with_help("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* to the account"),
        StreamError::Disconnected { message } => Error::retryable("the stream was interrupted").because(message.clone()),
    }
}

fn change_error(change: &ChangeError, statement: &str) -> Error {
    let (code, table, help) = match change {
        ChangeError::WithoutEvents { table, .. } => (
            "E_ROWS_WITHOUT_EVENTS",
            table,
            "what comes before the statement in its stream was delivered: start from scratch with a full phase, which reads the rows as they are now, or \
             set on_rows_without_events = \"warn\" to continue without these changes",
        ),
        ChangeError::Renamed { to, .. } => (
            "E_SCHEMA_MISMATCH",
            to,
            "the task does not know that table, for example because `tables` does not name its database, so its rows were not delivered: start from scratch with a full phase",
        ),
        ChangeError::LikeUnknown { table, .. } => (
            "E_DDL_UNREAD",
            table,
            "select the database of the other table too, or write such statements with their columns; what comes before the statement in its stream was delivered: start \
             from scratch with a full phase, which reads the new table",
        ),
        ChangeError::Unread { table, .. } => ("E_DDL_UNREAD", table, UNREAD),
        ChangeError::Unknown { table } => ("E_SCHEMA_MISMATCH", table, FROM_SCRATCH),
    };
    Error::fatal(change.to_string()).with_code(code).of_table(table).with_help(help).because(format!("the statement is `{statement}`"))
}

/// The kind of an error of a connection, and the help for the user; the help is empty if there is nothing to advise.
fn classify(error: &WireError) -> (Kind, &'static str) {
    match error {
        WireError::Refused(code, message) => classify_code(mysql_number(*code, message)),
        WireError::Lost(_) | WireError::Ended | WireError::Tls(_) => {
            (Kind::Retryable, "check that the server runs, that host and port are right, and that no firewall is between")
        }
        // Errors of files are never wrapped as such of a connection.
        WireError::Files(_) => (Kind::Fatal, ""),
        WireError::TooLong(_) => (Kind::Fatal, "check that host and port are right, and that nothing between changes the server's answers"),
        WireError::Plugin(_) => (
            Kind::Config,
            "give the account the authentication plugin mysql_native_password or caching_sha2_password, or on MariaDB ed25519 or parsec",
        ),
        WireError::Unencrypted(_) => (
            Kind::Config,
            "encrypt the connection: tls = { mode = \"verify_identity\" }; or name the server's key in server_public_key; or, on a network where \
             nobody can answer for the server, set allow_public_key_retrieval = true",
        ),
    }
}

/// Classifies an error of the server by its number, which is one of MySQL's.
fn classify_code(code: u16) -> (Kind, &'static str) {
    match code {
        1045 => (Kind::Config, "check `user` and `password`, and that the account may connect from this host"),
        1130 => (Kind::Config, "allow the account to connect from this host"),
        1044 | 1142 | 1143 | 1370 => (Kind::Config, "GRANT SELECT ON the selected tables TO the account"),
        1227 => (Kind::Config, "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the account"),
        1251 | 1820 | 1862 | 2026 | 3118 => {
            (Kind::Config, "make the account able to log in: its password, its lock, its authentication plugin")
        }
        1040 | 1203 | 1226 => (Kind::Retryable, "raise the server's or the account's connection limit, or lower `parallelism`"),
        1129 => (Kind::Retryable, "the server blocked this host after too many errors: FLUSH HOSTS there"),
        // The server does not understand a statement of this crate, so a retry cannot help.
        1064 | 1149 | 1193 | 1210 | 1295 => (Kind::Fatal, ""),
        1054 => (Kind::Fatal, "a selected table was altered meanwhile: start the task from scratch"),
        1236 => (
            Kind::Retryable,
            "if this does not pass, look whether SHOW BINARY LOGS still lists the file, and on PolarDB-X whether the CDC nodes run",
        ),
        _ => (Kind::Retryable, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(code: u16, message: &str) -> Error {
        SourceError::wire("list the tables", WireError::Refused(code, message.into())).into()
    }

    fn refused(code: u16) -> Error {
        refused_with(code, "no")
    }

    #[test]
    fn errors_of_polardbx_are_taken_for_those_of_mysql() {
        for (code, name, kind, help) in [
            (5110, "ERR_CHECK_PRIVILEGE_FAILED", Kind::Config, "GRANT REPLICATION SLAVE, REPLICATION CLIENT"),
            (5108, "ERR_CHECK_PRIVILEGE_FAILED_ON_TABLE", Kind::Config, "GRANT SELECT"),
            (5118, "ERR_CHECK_PRIVILEGE_FAILED_ON_DB", Kind::Config, "GRANT SELECT"),
            (4500, "ERR_PARSER", Kind::Fatal, ""),
            (4006, "ERR_TABLE_NOT_EXIST", Kind::Retryable, ""),
        ] {
            let error = refused_with(code, &format!("ERR-CODE: [PXC-{code}][{name}] no"));
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.help().unwrap_or_default().starts_with(help), "{code}: {:?}", error.help());
            assert_eq!(error.code(), (kind == Kind::Config).then_some(DENIED), "{code}");
            assert!(error.cause().is_some_and(|cause| cause.ends_with(&format!("(error {code})"))), "the number is the server's");
        }
        let denied = WireError::Refused(5110, "ERR-CODE: [PXC-5110][ERR_CHECK_PRIVILEGE_FAILED] no".into());
        let denied = Error::from(SourceError::wire("ask for the binlog as a replica", denied));
        assert!(denied.kind() == Kind::Config && denied.cause().is_some_and(|cause| cause.ends_with("(error 5110)")), "{denied}");
    }

    #[test]
    fn server_errors_by_what_helps() {
        for (code, kind) in
            [(1045, Kind::Config), (1142, Kind::Config), (1227, Kind::Config), (1205, Kind::Retryable), (2013, Kind::Retryable)]
        {
            assert_eq!(refused(code).kind(), kind, "{code}");
        }
        assert_eq!(refused(1064).kind(), Kind::Fatal);
        let error = refused(1227);
        assert_eq!(error.message(), "could not list the tables");
        assert_eq!(error.cause().as_deref(), Some("no (error 1227)"));
        assert!(error.help().is_some_and(|help| help.contains("REPLICATION CLIENT")));
    }

    #[test]
    fn a_purged_binlog_says_which_file_is_needed() {
        let error: Error = StreamError::Purged { needed: "binlog.000412:88213".into(), oldest: "binlog.000417".into() }.into();
        assert_eq!((error.kind(), error.code()), (Kind::Fatal, Some("E_BINLOG_PURGED")));
        assert_eq!(error.message(), "the binlog needed next, binlog.000412, was purged");
        assert_eq!(
            error.cause().as_deref(),
            Some("the oldest file of the server is binlog.000417; this task stopped at binlog.000412:88213")
        );
    }

    #[test]
    fn errors_of_the_framework_stay_as_they_are() {
        let error: Error = SourceError::from(Error::fatal("unreadable").with_code("E_CKPT_VERSION")).into();
        assert_eq!((error.message(), error.code(), error.cause()), ("unreadable", Some("E_CKPT_VERSION"), None));
    }
}
