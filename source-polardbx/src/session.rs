//! Connections through the client library. Never from its pool, because the session state must be known (PolarDB-X does not reset it).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Query;
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts, Value};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::config::{Config, TlsMode};
use crate::error::{Result, SourceError};
use crate::tls::Encryption;
use crate::wire::{Address, LoggedIn, Wire, WireError, in_time};

/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a query of metadata may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The client library's limit for one packet. Its default is the server's own limit, which a row event may exceed.
const MAX_PACKET_BYTES: usize = 1 << 30;

/// Session variables of every connection, whatever the defaults of the server or the account are; one statement, because every round trip
/// delays the start. `sql_select_limit` would truncate results without an error, and `max_join_size` (by `sql_big_selects`) refuse large
/// ones. From MySQL 8.0.30 on, a server may hide generated keys, which are in its binlog all the same. MariaDB skips executable comments
/// for MySQL 5.7 and later.
const PREPARE: &str = "SET NAMES utf8mb4, sql_mode = '', time_zone = '+00:00', autocommit = 1, sql_big_selects = 1, \
     sql_select_limit = 18446744073709551615 /*!80030 , show_gipk_in_create_table_and_information_schema = ON */";

const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Address, account and encryption.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: Address,
    encryption: Option<Encryption>,
    /// Whether encryption works; found out by the first connection.
    route: Arc<OnceCell<Route>>,
}

/// How to connect to this server.
struct Route {
    /// For the client library.
    opts: Opts,
    /// For our own connections; `None` also if the server does not support it and it is not required.
    encryption: Option<Encryption>,
}

impl Endpoint {
    /// Reads the files that `tls` names; nothing is connected yet.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let encryption = config.tls.as_ref().map(Encryption::new).transpose()?.flatten();
        let address = Address {
            host: config.host.trim().to_owned(),
            port: config.port,
            user: config.user.clone(),
            password: config.password.clone(),
        };
        Ok(Self { address, encryption, route: Arc::default() })
    }

    /// Whether encryption was preferred and is not available.
    pub(crate) fn is_unencrypted_fallback(&self) -> bool {
        self.encryption.is_some() && self.route.get().is_some_and(|route| route.encryption.is_none())
    }

    async fn route(&self) -> Result<&Route> {
        self.route.get_or_try_init(|| self.find_route()).await
    }

    /// Tests encryption, if it is configured, with a connection of our own: the errors of the client library tell too little.
    async fn find_route(&self) -> Result<Route> {
        let Some(encryption) = &self.encryption else { return Ok(Route { opts: self.library_options(None), encryption: None }) };
        let doing = self.connecting();
        let late = |_| SourceError::Timeout { doing: doing.clone().into(), seconds: CONNECT_TIMEOUT.as_secs() };
        match timeout(CONNECT_TIMEOUT, Wire::probe(&self.address, encryption)).await.map_err(late)? {
            Ok(certificates) => {
                let host = self.address.server_name().map_err(SourceError::Tls)?;
                let name = encryption.library_name(&certificates, &host)?;
                let options = encryption.library_options(name.as_deref());
                Ok(Route { opts: self.library_options(Some(options)), encryption: Some(encryption.clone()) })
            }
            Err(WireError::Tls(failure)) if failure.incapable && encryption.mode == TlsMode::Preferred => {
                tracing::warn!(%failure, "the connections to the source are not encrypted (tls.mode = \"preferred\")");
                Ok(Route { opts: self.library_options(None), encryption: None })
            }
            Err(error) => Err(SourceError::wire(doing, error)),
        }
    }

    fn library_options(&self, tls: Option<SslOpts>) -> Opts {
        OptsBuilder::default()
            .ip_or_hostname(self.address.host.as_str())
            .tcp_port(self.address.port)
            .user(Some(self.address.user.as_str()))
            .pass(Some(self.address.password.expose_secret()))
            // By default the library would switch to the local socket of any server on this host.
            .prefer_socket(false)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .max_allowed_packet(Some(MAX_PACKET_BYTES))
            // With both limits set, the library does not ask the server for them.
            .wait_timeout(Some(28_800))
            .stmt_cache_size(1)
            .ssl_opts(tls)
            .into()
    }

    /// For errors: with the address, because a wrong one is the most common cause.
    fn connecting(&self) -> String {
        format!("connect to the source at {}:{}", self.address.host, self.address.port)
    }

    /// A connection of our own, for a dump.
    pub(crate) async fn connect_wire(&self) -> Result<Wire, WireError> {
        let route = match self.route().await {
            Ok(route) => route,
            Err(SourceError::Tls(failure)) => return Err(WireError::Tls(failure)),
            Err(error) => return Err(WireError::Lost(error.to_string())),
        };
        for _ in 0..2 {
            match in_time(Wire::connect(&self.address, route.encryption.as_ref())).await? {
                LoggedIn::Yes(wire) => return Ok(wire),
                // The client library can send the encrypted password, which the server then caches for a while.
                LoggedIn::NeedsPassword => match self.connect().await {
                    Ok(session) => session.close().await,
                    Err(error) => return Err(WireError::Lost(error.to_string())),
                },
            }
        }
        Err(WireError::Lost("the server forgets the account's password at once".to_owned()))
    }

    /// A connection for metadata: names and definitions come in UTF-8.
    pub(crate) async fn connect(&self) -> Result<Session> {
        let doing = self.connecting();
        let connecting = timeout(CONNECT_TIMEOUT, Conn::new(self.route().await?.opts.clone())).await;
        let conn = connecting
            .map_err(|_| SourceError::Timeout { doing: doing.clone().into(), seconds: CONNECT_TIMEOUT.as_secs() })?
            .map_err(SourceError::mysql(doing))?;
        let mut session = Session { conn, is_identified: false };
        session.execute("prepare the session", PREPARE).await?;
        Ok(session)
    }

    /// A connection for reading rows: text comes in the character set of its column, timestamps in UTC, and no time limit of the server
    /// ends a long SELECT or a reader that waits for the sink.
    pub(crate) async fn connect_reader(&self) -> Result<Session> {
        let mut session = self.connect().await?;
        for statement in ["SET character_set_results = NULL", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"] {
            session.execute("prepare the session", statement).await?;
        }
        // Of the last two, one is MySQL's and the other MariaDB's.
        for statement in [
            "SET SESSION net_write_timeout = 600",
            "SET SESSION net_read_timeout = 600",
            "SET SESSION max_execution_time = 0",
            "SET SESSION max_statement_time = 0",
        ] {
            session.attempt("prepare the session", statement).await?;
        }
        Ok(session)
    }
}

/// One connection.
pub(crate) struct Session {
    /// The library's connection, for streaming results.
    pub(crate) conn: Conn,
    /// Whether the server was verified to be the one of the task.
    pub(crate) is_identified: bool,
}

impl Session {
    /// Runs a query for metadata and collects its rows.
    pub(crate) async fn rows(&mut self, doing: impl Into<Cow<'static, str>>, sql: impl AsRef<str>) -> Result<Vec<Row>> {
        let doing = doing.into();
        match timeout(QUERY_TIMEOUT, sql.as_ref().fetch::<Row, _>(&mut self.conn)).await {
            Ok(answer) => answer.map_err(SourceError::mysql(doing)),
            Err(_) => Err(SourceError::Timeout { doing, seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// As [`Session::rows`], for frequent queries: `doing` is only formatted after a failure.
    pub(crate) async fn rows_of(&mut self, doing: impl FnOnce() -> String, sql: impl AsRef<str>) -> Result<Vec<Row>> {
        match timeout(QUERY_TIMEOUT, sql.as_ref().fetch::<Row, _>(&mut self.conn)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(SourceError::mysql(doing())(error)),
            Err(_) => Err(SourceError::Timeout { doing: doing().into(), seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Runs the first of two queries, or the second if the server does not know the first.
    pub(crate) async fn rows_either(&mut self, statements: [&'static str; 2], doing: impl Fn(&'static str) -> String) -> Result<Vec<Row>> {
        const SYNTAX_ERROR: u16 = 1064;
        let [first, second] = statements;
        match self.rows(doing(first), first).await {
            Err(error) if error.code() == Some(SYNTAX_ERROR) => self.rows(doing(second), second).await,
            answer => answer,
        }
    }

    /// Runs a statement without a result.
    pub(crate) async fn execute(&mut self, doing: impl Into<Cow<'static, str>>, sql: impl AsRef<str>) -> Result<()> {
        let doing = doing.into();
        match timeout(QUERY_TIMEOUT, sql.as_ref().ignore(&mut self.conn)).await {
            Ok(answer) => answer.map_err(SourceError::mysql(doing)),
            Err(_) => Err(SourceError::Timeout { doing, seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Runs a statement that not every server knows; returns whether this one does.
    async fn attempt(&mut self, doing: &'static str, sql: &str) -> Result<bool> {
        const UNKNOWN_VARIABLE: u16 = 1193;
        match self.execute(doing, sql).await {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(UNKNOWN_VARIABLE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Closes the connection; errors no longer matter.
    pub(crate) async fn close(self) {
        let _ = timeout(Duration::from_secs(1), self.conn.disconnect()).await;
    }
}

/// A column of a SHOW statement's row by its name, whose case differs between servers; `None` if it is missing or NULL.
pub(crate) fn named(row: &Row, name: &str) -> Option<String> {
    let index = row.columns_ref().iter().position(|column| column.name_str().eq_ignore_ascii_case(name))?;
    nth(row, index)
}

/// A column of a row by its index; `None` if it is missing or NULL.
pub(crate) fn nth(row: &Row, index: usize) -> Option<String> {
    match row.as_ref(index)? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::NULL | Value::Float(_) | Value::Double(_) | Value::Date(..) | Value::Time(..) => None,
    }
}

/// A name in backticks.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as an SQL literal, in a session without ANSI_QUOTES and NO_BACKSLASH_ESCAPES.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(quoted("a`b"), "`a``b`");
        assert_eq!(literal("it's a \\"), "'it''s a \\\\'");
    }
}
