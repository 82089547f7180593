//! What can go wrong with the source, and what the supervisor does then.

use std::borrow::Cow;

use mysql_async::{DriverError, Error as MysqlError, IoError, ServerError, TlsError};
use runtime::{Error, Kind, Position, TableId};

use crate::binlog::error::StreamError;
use crate::binlog::position::PositionError;
use crate::config::ConfigError;
use crate::schema::history::ChangeError;
use crate::tls::TlsFailure;
use crate::wire::WireError;

/// A failure of the snapshot, of a query, or of what the checkpoint says about the server. The stream has errors of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The server refused a statement, or the connection broke.
    #[error("{}", words(error))]
    Mysql {
        /// What was being done, a lower-case phrase.
        doing: Cow<'static, str>,
        /// The server's or the client library's words.
        error: MysqlError,
    },
    /// The connection could not be encrypted.
    #[error(transparent)]
    Tls(TlsFailure),
    /// The server did not answer in time.
    #[error("no answer within {seconds} s")]
    Timeout {
        /// What was being done, a lower-case phrase.
        doing: Cow<'static, str>,
        /// How long we waited.
        seconds: u64,
    },
    /// The server answered something that we cannot read.
    #[error("{what}")]
    Answer {
        /// What was being done, a lower-case phrase.
        doing: Cow<'static, str>,
        /// What is wrong with the answer.
        what: String,
    },
    /// A key of the configuration has a value that cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The stream cannot be followed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The server or its tables are not what the source needs.
    #[error("{what}")]
    Requirement {
        /// The item of the precheck.
        item: Cow<'static, str>,
        /// What was found.
        what: String,
        /// What to do about it.
        help: String,
    },
    /// Another server answers than the one that the checkpoint was made from.
    #[error("the checkpoint was made from {known}, this server is {found}")]
    IdentityChanged {
        /// Identity in the checkpoint.
        known: String,
        /// Identity of the server that answers.
        found: String,
    },
    /// The configuration selects something else than the task was started with.
    #[error("{what}")]
    TaskChanged {
        /// What differs.
        what: String,
    },
    /// A table's structure is no longer the one that its snapshot began with.
    #[error("{what}")]
    TableChanged {
        /// The table.
        table: TableId,
        /// What differs.
        what: String,
    },
    /// The checkpoint holds something that we did not write.
    #[error("{what}")]
    Checkpoint {
        /// What is wrong with it.
        what: String,
    },
    /// A cell of a row does not fit its column.
    #[error("column `{column}` ({source_type}) holds a value that does not fit its type")]
    Cell {
        /// The table.
        table: TableId,
        /// The column.
        column: String,
        /// The column's type.
        source_type: String,
        /// The row, such as `shop.orders/chunk-3 row 17`.
        position: Position,
    },
}

/// A result of the source's own code.
pub(crate) type Result<T, E = SourceError> = std::result::Result<T, E>;

impl SourceError {
    /// For `map_err` after a call of the client library.
    pub(crate) fn mysql(doing: impl Into<Cow<'static, str>>) -> impl FnOnce(MysqlError) -> Self {
        move |error| Self::Mysql { doing: doing.into(), error }
    }

    /// For what fails on a connection of our own.
    pub(crate) fn wire(doing: impl Into<Cow<'static, str>>, error: WireError) -> Self {
        let doing = doing.into();
        match error {
            WireError::Tls(failure) => Self::Tls(failure),
            WireError::Plugin(name) => Self::Mysql { doing, error: DriverError::UnknownAuthPlugin { name }.into() },
            WireError::Refused(code, message) => {
                Self::Mysql { doing, error: ServerError { code, message, state: "HY000".to_owned() }.into() }
            }
            WireError::Lost(message) => Self::Mysql { doing, error: std::io::Error::other(message).into() },
        }
    }

    pub(crate) fn answer(doing: impl Into<Cow<'static, str>>, what: impl Into<String>) -> Self {
        Self::Answer { doing: doing.into(), what: what.into() }
    }

    /// The server's error number, if it was the server that refused.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Mysql { error: MysqlError::Server(server), .. } => Some(server.code),
            _ => None,
        }
    }
}

const AFRESH: &str = "start the task afresh with a full phase: reset its state and let it read the tables again";

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

impl From<PositionError> for SourceError {
    fn from(error: PositionError) -> Self {
        Self::Checkpoint { what: error.to_string() }
    }
}

// The classification table of this crate.
impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        match &error {
            SourceError::Mysql { error: MysqlError::Io(IoError::Tls(TlsError::Tls(tls))), .. } => {
                return SourceError::Tls(TlsFailure::of(tls)).into();
            }
            SourceError::Tls(failure) => Error::config("encrypt the connection to the source").with_code("E_TLS").with_help(failure.help),
            SourceError::Mysql { doing, error: mysql } => {
                let (kind, help) = classify(mysql);
                let made = Error::new(kind, doing.clone());
                let made = if help.is_empty() { made } else { made.with_help(help) };
                return made.because(error);
            }
            SourceError::Timeout { doing, .. } => {
                Error::retryable(doing.clone()).with_help("look at the load of the server and at the network between")
            }
            SourceError::Answer { doing, .. } => Error::fatal(doing.clone()),
            SourceError::Config(ConfigError { key, help, .. }) => {
                Error::config(format!("read key `source.polardbx.{key}`")).with_code("E_CONFIG").with_help(help.clone())
            }
            SourceError::Stream(stream) => match stream_error(stream) {
                (made, true) => made,
                (made, false) => return made,
            },
            SourceError::Requirement { item, help, .. } => Error::config(format!("check {item} of the source")).with_help(help.clone()),
            SourceError::IdentityChanged { .. } => {
                Error::fatal("the source is another server than before").with_code("E_IDENTITY_CHANGED").with_help(
                    "point `source.polardbx.host` at the server of the checkpoint, or reset the task and start again with a full phase",
                )
            }
            SourceError::TaskChanged { .. } => Error::config("go on from the checkpoint")
                .with_code("E_CONFIG_CONFLICT")
                .with_help("restore the former settings, or give the task another name and start it afresh"),
            SourceError::TableChanged { table, .. } => Error::fatal("the table's structure changed during the full phase")
                .with_code("E_SCHEMA_CHANGED")
                .of_table(table)
                .with_help("start the task afresh and change no selected table before its full phase is over"),
            SourceError::Checkpoint { .. } => {
                Error::fatal("read the source's part of the checkpoint").with_code("E_CKPT_CORRUPT").with_help(AFRESH)
            }
            SourceError::Cell { table, position, .. } => Error::fatal("read a row of the snapshot").of_table(table).at(position),
        }
        .because(error)
    }
}

/// The stream's part of the table; and whether the cause is still to be added.
fn stream_error(error: &StreamError) -> (Error, bool) {
    let made = match error {
        StreamError::Corrupt { .. } => Error::fatal("read the binlog").with_code("E_BINLOG_CORRUPT").with_help(
            "verify the file on the server (mysqlbinlog --verify-binlog-checksum); if it is damaged there, start afresh with a full phase",
        ),
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
        StreamError::Change { change, statement } => return (change_error(change, statement), false),
        StreamError::Unreadable { table, statement, .. } => Error::fatal(format!("read the statement `{statement}`"))
            .with_code("E_DDL_UNREAD")
            .of_table(table)
            .with_help("start afresh with a full phase; report the statement, so that it can be read"),
        StreamError::NotText { table, statement, .. } => {
            Error::fatal(format!("read the statement `{statement}`")).with_code("E_DDL_UNREAD").of_table(table).with_help(
                "write bytes as x'…' and speak utf8mb4 in statements about selected tables; for this task: start afresh with a full phase",
            )
        }
        StreamError::HistoryDiverged { .. } => {
            Error::fatal("find the place in the binlog where this task stopped").with_code("E_HISTORY_DIVERGED").with_help(
                "the server lost or rewrote its binlog, was restored from a backup, or is another one; start afresh with a full phase",
            )
        }
        StreamError::Purged { .. } => {
            Error::fatal("the binlog needed next was purged on the server").with_code("E_BINLOG_PURGED").with_help(AFRESH)
        }
        StreamError::Fenced { .. } => Error::fatal("follow the binlog").with_code("E_FENCED").with_help(
            "another replica or another instance of this task uses the same server id: stop it, or give this task a server id of its own",
        ),
        StreamError::EventTooLarge { .. } => Error::config("follow the binlog")
            .with_code("E_EVENT_TOO_LARGE")
            .with_help("set max_allowed_packet=1073741824 globally on the server"),
        StreamError::Denied { .. } => Error::config("follow the binlog")
            .with_code("E_DENIED")
            .with_help("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* to the account"),
        StreamError::Disconnected { .. } => Error::retryable("follow the binlog"),
    };
    (made, true)
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

/// The server's or the library's words, without the library's wrapping.
fn words(error: &MysqlError) -> String {
    match error {
        MysqlError::Server(server) => format!("{} (error {})", server.message, server.code),
        MysqlError::Io(IoError::Io(io)) => io.to_string(),
        other => other.to_string(),
    }
}

/// What a failure of the client library amounts to, and what to do about it (delivery rules for source errors).
fn classify(error: &MysqlError) -> (Kind, &'static str) {
    match error {
        MysqlError::Server(server) => classify_code(server.code),
        MysqlError::Io(_) => (Kind::Retryable, "see that the server runs, that host and port are right, and that no firewall is between"),
        MysqlError::Driver(driver) => match driver {
            DriverError::UnknownAuthPlugin { .. } | DriverError::MysqlOldPasswordDisabled | DriverError::CleartextPluginDisabled => {
                (Kind::Config, "give the account the authentication plugin caching_sha2_password or mysql_native_password")
            }
            DriverError::NoClientSslFlagFromServer => (Kind::Config, "switch TLS on in the server again, or set tls.mode = \"disabled\""),
            DriverError::PacketTooLarge => (Kind::Fatal, "a packet of more than 1 GiB cannot be read"),
            _ => (Kind::Retryable, ""),
        },
        MysqlError::Other(_) => (Kind::Retryable, ""),
        MysqlError::Url(_) => (Kind::Config, ""),
    }
}

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
        // Our own statement is not understood: no retry can help.
        1064 | 1149 | 1193 | 1210 | 1295 => (Kind::Fatal, ""),
        1054 => (Kind::Fatal, "a selected table was altered meanwhile: start the task afresh"),
        1236 => (Kind::Retryable, ""),
        _ => (Kind::Retryable, ""),
    }
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn refused(code: u16) -> Error {
        let error = MysqlError::Server(ServerError { code, message: "no".into(), state: "HY000".into() });
        SourceError::mysql("list tables")(error).into()
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
        assert_eq!(error.headline(), "list tables");
        assert!(error.reason().is_some_and(|reason| reason.contains("1227")));
        assert!(error.help().is_some_and(|help| help.contains("REPLICATION CLIENT")));
    }

    #[test]
    fn a_purged_binlog_is_told_in_three_lines() {
        let error: Error = StreamError::Purged { needed: "binlog.000412:88213".into(), oldest: "binlog.000417".into() }.into();
        assert_eq!(error.headline(), "the binlog needed next was purged on the server [E_BINLOG_PURGED]");
        assert_eq!(
            error.reason().as_deref(),
            Some("the oldest file it still has is binlog.000417; this task stopped at binlog.000412:88213")
        );
        assert_eq!(error.kind(), Kind::Fatal);
    }
}
