//! Connections to the server: dedicated ones, never from a pool, because session state must be known (PolarDB-X does not reset it).

use std::borrow::Cow;
use std::time::Duration;

use mysql_async::prelude::Query;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::config::Config;
use crate::error::{Result, SourceError};

/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a query of metadata may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The client library's limit for one packet. Its default is the server's own limit, which a row event may exceed.
const MAX_PACKET_BYTES: usize = 1 << 30;

const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Where the server is and how to log in.
#[derive(Clone)]
pub(crate) struct Endpoint {
    opts: Opts,
}

impl Endpoint {
    pub(crate) fn new(config: &Config) -> Self {
        let opts = OptsBuilder::default()
            .ip_or_hostname(config.host.trim())
            .tcp_port(config.port)
            .user(Some(config.user.as_str()))
            .pass(Some(config.password.expose_secret()))
            // Its default would leave TCP for the local socket of whatever server runs on this host.
            .prefer_socket(false)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .max_allowed_packet(Some(MAX_PACKET_BYTES))
            // Both limits given: the library need not ask the server for them.
            .wait_timeout(Some(28_800))
            .stmt_cache_size(1);
        Self { opts: opts.into() }
    }

    /// For the stream, which makes connections of its own.
    pub(crate) fn opts(&self) -> Opts {
        self.opts.clone()
    }

    /// A connection for metadata: names and structures come in UTF-8.
    pub(crate) async fn connect(&self) -> Result<Session> {
        let doing = "connect to the source";
        let connecting = timeout(CONNECT_TIMEOUT, Conn::new(self.opts.clone())).await;
        let conn = connecting
            .map_err(|_| SourceError::Timeout { doing: doing.into(), seconds: CONNECT_TIMEOUT.as_secs() })?
            .map_err(SourceError::mysql(doing))?;
        let mut session = Session { conn };
        for statement in ["SET NAMES utf8mb4", "SET sql_mode = ''", "SET time_zone = '+00:00'", "SET autocommit = 1"] {
            session.execute("prepare the session", statement).await?;
        }
        Ok(session)
    }

    /// A connection for reading rows: text comes in the character set of its column, timestamps in UTC, and no server limit cuts a long
    /// SELECT or a reader that waits for the sink.
    pub(crate) async fn connect_reader(&self) -> Result<Session> {
        let mut session = self.connect().await?;
        for statement in ["SET character_set_results = NULL", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"] {
            session.execute("prepare the session", statement).await?;
        }
        for statement in ["SET SESSION net_write_timeout = 600", "SET SESSION max_execution_time = 0"] {
            session.attempt("prepare the session", statement).await?;
        }
        Ok(session)
    }
}

/// One connection.
pub(crate) struct Session {
    /// The library's connection, for streaming results.
    pub(crate) conn: Conn,
}

impl Session {
    /// Runs a query of metadata and collects its rows.
    pub(crate) async fn rows(&mut self, doing: impl Into<Cow<'static, str>>, sql: impl AsRef<str>) -> Result<Vec<Row>> {
        let doing = doing.into();
        match timeout(QUERY_TIMEOUT, sql.as_ref().fetch::<Row, _>(&mut self.conn)).await {
            Ok(answer) => answer.map_err(SourceError::mysql(doing)),
            Err(_) => Err(SourceError::Timeout { doing, seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Runs a statement that has no rows.
    pub(crate) async fn execute(&mut self, doing: impl Into<Cow<'static, str>>, sql: impl AsRef<str>) -> Result<()> {
        let doing = doing.into();
        match timeout(QUERY_TIMEOUT, sql.as_ref().ignore(&mut self.conn)).await {
            Ok(answer) => answer.map_err(SourceError::mysql(doing)),
            Err(_) => Err(SourceError::Timeout { doing, seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Runs a statement that not every server knows: whether it did.
    async fn attempt(&mut self, doing: &'static str, sql: &str) -> Result<bool> {
        const UNKNOWN_VARIABLE: u16 = 1193;
        match self.execute(doing, sql).await {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(UNKNOWN_VARIABLE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Says goodbye; the result does not matter any more.
    pub(crate) async fn close(self) {
        let _ = timeout(Duration::from_secs(1), self.conn.disconnect()).await;
    }
}

/// A column of a SHOW statement's row by its name, whose case differs between servers; `None` if it is missing or NULL.
pub(crate) fn named(row: &Row, name: &str) -> Option<String> {
    let index = row.columns_ref().iter().position(|column| column.name_str().eq_ignore_ascii_case(name))?;
    nth(row, index)
}

/// A column of a row by its place; `None` if it is missing or NULL.
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
