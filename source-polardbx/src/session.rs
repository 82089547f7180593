//! Connections through the client library. The library's connection pool is not used, because the session state must be known and PolarDB-X
//! does not reset it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Query;
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts, Value};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::binlog::profile::is_polardbx;
use crate::config::{Config, TlsMode};
use crate::error::{Result, SourceError};
use crate::server::{Identity, ServerKind, kind_of};
use crate::tls::Encryption;
use crate::wire::{Address, LoggedIn, Wire, WireError, in_time};

/// The time limit for a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a connection is made anew at once if it reaches another server than it must. Proxies often take turns between servers.
const ATTEMPTS: usize = 5;

/// The time limit for a query of metadata.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The client library's limit for one packet, in bytes. By default the library uses the server's limit, which a row event may exceed.
const MAX_PACKET_BYTES: usize = 1 << 30;

/// The statements that set the session variables of every connection, so that they do not depend on the defaults of the server or the
/// account. A lower `sql_select_limit` would truncate results without an error. Without `sql_big_selects`, `max_join_size` could make the
/// server refuse large results. PolarDB-X drops what stands beside NAMES in the same statement, and a limit above the greatest signed number.
const PREPARE: [&str; 2] = [
    "SET NAMES utf8mb4",
    "SET sql_mode = '', time_zone = '+00:00', autocommit = 1, sql_big_selects = 1, sql_select_limit = 9223372036854775807",
];
/// Since MySQL 8.0.30, a server may hide generated primary keys, although they are in its binlog.
const SHOW_HIDDEN_KEYS: &str = "SET show_gipk_in_create_table_and_information_schema = ON";
/// Reads back what [`PREPARE`] has set, because a server that ignores it would give other values without an error.
const PREPARED: &str = "SELECT @@time_zone, @@sql_mode, @@autocommit";
const PREPARED_VALUES: [&str; 3] = ["+00:00", "", "1"];
/// Asked for alone, because it is not certain that every version of PolarDB-X knows it.
const PREPARED_LIMIT: &str = "SELECT @@sql_select_limit";
const PREPARING: &str = "prepare the session";
/// The number of the error for a variable that the server does not have.
const UNKNOWN_VARIABLE: u16 = 1193;

const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// The address of the server, the account, and the encryption.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: Address,
    encryption: Option<Encryption>,
    /// How to connect, with or without encryption. The first connection finds this out.
    route: Arc<OnceCell<Route>>,
    expected: Arc<Mutex<Expected>>,
    /// The answer to `SELECT VERSION()`, from the first connection to the server.
    version: Arc<Mutex<Version>>,
}

/// A version that is asked for once.
type Version = Arc<OnceCell<Arc<str>>>;

/// The server that every connection must reach.
#[derive(Default)]
struct Expected {
    /// `None` until it is known.
    history: Option<String>,
    /// The servers that connections of this process have reached when they had to. If none has reached the expected one, the address probably
    /// leads to another server now.
    reached: HashSet<String>,
}

/// How to connect to the server. A route is made once it is known whether encryption works.
struct Route {
    /// The options for connections of the client library.
    opts: Opts,
    /// The encryption of the connections of the module `wire`. `None` if no encryption is configured, or if the server does not support it
    /// and the mode is `preferred`.
    encryption: Option<Encryption>,
}

impl Endpoint {
    /// Reads the files that `tls` names. This does not connect yet.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let encryption = config.tls.as_ref().map(Encryption::new).transpose()?.flatten();
        let address = Address {
            host: config.host.trim().to_owned(),
            port: config.port,
            user: config.user.clone(),
            password: config.password.clone(),
        };
        Ok(Self { address, encryption, route: Arc::default(), expected: Arc::default(), version: Arc::default() })
    }

    /// Whether the mode is `preferred` and the server does not support encryption; `false` before the first connection.
    pub(crate) fn is_unencrypted_fallback(&self) -> bool {
        self.encryption.is_some() && self.route.get().is_some_and(|route| route.encryption.is_none())
    }

    /// Whether the server is PolarDB-X; `false` before the first connection.
    pub(crate) fn is_polardbx(&self) -> bool {
        self.version().get().is_some_and(|version| is_polardbx(version))
    }

    fn version(&self) -> Version {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says which server every later connection must reach, by the identity of its binlog history; `None` allows any.
    pub(crate) fn expect(&self, history: Option<String>) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        if expected.history.is_some() && expected.history != history {
            // Another server may have another version.
            *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Version::default();
        }
        expected.history = history;
    }

    /// Checks which server a connection has reached. Fails if it must be another.
    fn admit(&self, found: &Identity) -> Result<()> {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = expected.history.clone() else { return Ok(()) };
        let found = found.history.clone();
        if known == found {
            expected.reached.insert(found);
            return Ok(());
        }
        Err(match expected.reached.contains(&known) {
            true => SourceError::OtherServer { known, found },
            false => SourceError::IdentityChanged { known, found },
        })
    }

    /// Asks once more which server a connection has reached. A proxy may have moved it meanwhile.
    pub(crate) async fn confirm(&self, session: &mut Session) -> Result<()> {
        self.admit(&Identity::ask(session).await?)
    }

    async fn route(&self) -> Result<&Route> {
        self.route.get_or_try_init(|| self.find_route()).await
    }

    /// Finds the route. If encryption is configured, it is tested with a connection of the module `wire`, because the errors of the client
    /// library do not say enough.
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
            // By default, the library would switch from a local address to a Unix socket, which may belong to another server on this host.
            .prefer_socket(false)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .max_allowed_packet(Some(MAX_PACKET_BYTES))
            // The library asks the server for `max_allowed_packet` and `wait_timeout` unless both are set here.
            .wait_timeout(Some(28_800))
            .stmt_cache_size(1)
            .ssl_opts(tls)
            .into()
    }

    /// The action "connect", for error messages. It holds the address, because a wrong address is the most common cause.
    fn connecting(&self) -> String {
        format!("connect to the source at {}:{}", self.address.host, self.address.port)
    }

    /// Opens a connection of the module `wire`, for dumping the binlog. Returns the identity of the server as well.
    pub(crate) async fn connect_wire(&self) -> Result<(Wire, Identity), WireError> {
        let mut attempts = 1..=ATTEMPTS;
        loop {
            let mut wire = self.connect_wire_anywhere().await?;
            // The account's own limits would cut the answer. They do not count for a dump, and an answer that is cut is an error below.
            in_time(wire.execute("SET sql_select_limit = 9223372036854775807, sql_big_selects = 1")).await?;
            let cell = self.version();
            let version = cell.get_or_try_init(async || {
                let rows = in_time(wire.rows("SELECT VERSION()")).await?;
                let version = rows.into_iter().flatten().next().flatten();
                version.map(Arc::from).ok_or_else(|| WireError::Lost("the server does not report its version".to_owned()))
            });
            let kind = kind_of(version.await?, "");
            let rows = in_time(wire.rows(Identity::question(kind))).await?;
            let rows = rows.into_iter().map(|row| <[_; 2]>::try_from(row).map_or((None, None), |[name, value]| (name, value)));
            let found = Identity::of_rows(kind, rows).map_err(|error| WireError::Lost(error.to_string()))?;
            match self.admit(&found) {
                Ok(()) => return Ok((wire, found)),
                Err(error) => {
                    tracing::warn!("a connection for the binlog is closed: {error}");
                    attempts.next();
                    if attempts.is_empty() {
                        return Err(WireError::Lost(error.to_string()));
                    }
                }
            }
        }
    }

    async fn connect_wire_anywhere(&self) -> Result<Wire, WireError> {
        let route = match self.route().await {
            Ok(route) => route,
            Err(SourceError::Tls(failure)) => return Err(WireError::Tls(failure)),
            Err(error) => return Err(WireError::Lost(error.to_string())),
        };
        for _ in 0..2 {
            match in_time(Wire::connect(&self.address, route.encryption.as_ref())).await? {
                LoggedIn::Yes(wire) => return Ok(wire),
                // The client library can send the password encrypted with the server's public key. The server then caches the password's
                // hash for a while, so the next login in this loop succeeds.
                LoggedIn::NeedsPassword => match self.connect().await {
                    Ok(session) => session.close().await,
                    Err(error) => return Err(WireError::Lost(error.to_string())),
                },
            }
        }
        Err(WireError::Lost("the server forgets the account's password at once".to_owned()))
    }

    /// Opens a connection for metadata. Names and definitions arrive in UTF-8. A connection that reaches another server than it must is
    /// closed, and another one is opened.
    pub(crate) async fn connect(&self) -> Result<Session> {
        let is_any_right = self.expected.lock().unwrap_or_else(PoisonError::into_inner).history.is_none();
        if is_any_right {
            return self.connect_anywhere().await;
        }
        let mut attempts = 1..=ATTEMPTS;
        loop {
            let mut session = self.connect_anywhere().await?;
            match self.confirm(&mut session).await {
                Ok(()) => return Ok(session),
                Err(error @ (SourceError::OtherServer { .. } | SourceError::IdentityChanged { .. })) => {
                    session.close().await;
                    tracing::warn!("a connection is closed: {error}");
                    attempts.next();
                    if attempts.is_empty() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect_anywhere(&self) -> Result<Session> {
        let doing = self.connecting();
        let connecting = timeout(CONNECT_TIMEOUT, Conn::new(self.route().await?.opts.clone())).await;
        let conn = connecting
            .map_err(|_| SourceError::Timeout { doing: doing.clone().into(), seconds: CONNECT_TIMEOUT.as_secs() })?
            .map_err(SourceError::mysql(doing))?;
        let mut session = Session { conn, is_identified: false, version: "".into() };
        for statement in PREPARE {
            session.execute(PREPARING, statement).await?;
        }
        session.verify().await?;
        let cell = self.version();
        let version = cell.get_or_try_init(async || {
            let version = session.rows(PREPARING, "SELECT VERSION()").await?.first().and_then(|row| nth(row, 0));
            version.map(Arc::from).ok_or_else(|| SourceError::answer(PREPARING, "the server does not report its version"))
        });
        session.version = version.await?.clone();
        if matches!(kind_of(&session.version, ""), ServerKind::MySql { major: 8.., .. }) {
            session.attempt(PREPARING, SHOW_HIDDEN_KEYS).await?;
        }
        Ok(session)
    }

    /// Opens a connection for reading rows. Text arrives in the character set of its column, of PolarDB-X in UTF-8, and timestamps arrive in
    /// UTC. The server's timeouts are raised or switched off. Otherwise they could end a long SELECT, or a reader that waits for the sink.
    pub(crate) async fn connect_reader(&self) -> Result<Session> {
        const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
        let mut session = self.connect().await?;
        let (required, wanted): (&[&str], &[&str]) = if is_polardbx(&session.version) {
            (&[ISOLATION], &["SET SESSION net_read_timeout = 600", "SET SESSION max_execution_time = 0"])
        } else {
            // `max_execution_time` exists only in MySQL, and `max_statement_time` only in MariaDB.
            let wanted = &[
                "SET SESSION net_write_timeout = 600",
                "SET SESSION net_read_timeout = 600",
                "SET SESSION max_execution_time = 0",
                "SET SESSION max_statement_time = 0",
            ];
            (&["SET character_set_results = NULL", ISOLATION], wanted)
        };
        for statement in required {
            session.execute(PREPARING, statement).await?;
        }
        for statement in wanted {
            session.attempt(PREPARING, statement).await?;
        }
        Ok(session)
    }
}

/// A connection of the client library.
pub(crate) struct Session {
    /// The client library's connection, which is used directly to stream results.
    pub(crate) conn: Conn,
    /// Whether this connection was verified to reach the server of the task.
    pub(crate) is_identified: bool,
    version: Arc<str>,
}

impl Session {
    /// The server's answer to `SELECT VERSION()`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Checks that the server has taken the session variables.
    async fn verify(&mut self) -> Result<()> {
        let rows = self.rows(PREPARING, PREPARED).await?;
        let found: Vec<String> = (0..3).filter_map(|index| rows.first().and_then(|row| nth(row, index))).collect();
        if found != PREPARED_VALUES {
            let what = format!("the server has not taken the session's time_zone, sql_mode and autocommit: they are {}", found.join(", "));
            return Err(SourceError::answer(PREPARING, what));
        }
        let limit = match self.rows(PREPARING, PREPARED_LIMIT).await {
            Err(error) if error.code() == Some(UNKNOWN_VARIABLE) => None,
            rows => rows?.first().and_then(|row| nth(row, 0)),
        };
        match limit.filter(|limit| cuts_results(limit)) {
            None => Ok(()),
            Some(limit) => {
                let what = format!("the server has not taken the session's sql_select_limit, which is {limit}: it would leave out rows");
                Err(SourceError::answer(PREPARING, what))
            }
        }
    }

    /// Runs a query for metadata and collects its rows.
    pub(crate) async fn rows(&mut self, doing: impl Into<Cow<'static, str>>, sql: impl AsRef<str>) -> Result<Vec<Row>> {
        let doing = doing.into();
        match timeout(QUERY_TIMEOUT, sql.as_ref().fetch::<Row, _>(&mut self.conn)).await {
            Ok(answer) => answer.map_err(SourceError::mysql(doing)),
            Err(_) => Err(SourceError::Timeout { doing, seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Like [`Session::rows`], but formats `doing` only after a failure; for frequent queries.
    pub(crate) async fn rows_of(&mut self, doing: impl FnOnce() -> String, sql: impl AsRef<str>) -> Result<Vec<Row>> {
        match timeout(QUERY_TIMEOUT, sql.as_ref().fetch::<Row, _>(&mut self.conn)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(SourceError::mysql(doing())(error)),
            Err(_) => Err(SourceError::Timeout { doing: doing().into(), seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Runs the first of two statements. If the server reports a syntax error, runs the second.
    pub(crate) async fn rows_either(&mut self, statements: [&'static str; 2], doing: impl Fn(&'static str) -> String) -> Result<Vec<Row>> {
        const SYNTAX_ERROR: u16 = 1064;
        let [first, second] = statements;
        match self.rows(doing(first), first).await {
            Err(error) if error.code() == Some(SYNTAX_ERROR) => self.rows(doing(second), second).await,
            answer => answer,
        }
    }

    /// Runs a statement that returns no rows.
    pub(crate) async fn execute(&mut self, doing: impl Into<Cow<'static, str>>, sql: impl AsRef<str>) -> Result<()> {
        let doing = doing.into();
        match timeout(QUERY_TIMEOUT, sql.as_ref().ignore(&mut self.conn)).await {
            Ok(answer) => answer.map_err(SourceError::mysql(doing)),
            Err(_) => Err(SourceError::Timeout { doing, seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Sets a session variable that not every server has. Returns whether this server has it.
    async fn attempt(&mut self, doing: &'static str, sql: &str) -> Result<bool> {
        match self.execute(doing, sql).await {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(UNKNOWN_VARIABLE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Closes the connection, and ignores errors.
    pub(crate) async fn close(self) {
        let _ = timeout(Duration::from_secs(1), self.conn.disconnect()).await;
    }
}

/// Whether a `sql_select_limit` is so low that it would cut results. What stands for no limit differs between servers; it is at least as high
/// as this, or no number.
fn cuts_results(limit: &str) -> bool {
    limit.trim().parse::<u64>().is_ok_and(|limit| limit < 1 << 31)
}

/// The value of a column in a row of a SHOW statement; `None` if the column is missing or NULL. The column is found by its name without
/// regard to case, because the case differs between servers.
pub(crate) fn named(row: &Row, name: &str) -> Option<String> {
    let index = row.columns_ref().iter().position(|column| column.name_str().eq_ignore_ascii_case(name))?;
    nth(row, index)
}

/// The value of a column by its index, as text. `None` if the column is missing, is NULL, or holds a floating-point number, a date or a
/// time.
pub(crate) fn nth(row: &Row, index: usize) -> Option<String> {
    match row.as_ref(index)? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::NULL | Value::Float(_) | Value::Double(_) | Value::Date(..) | Value::Time(..) => None,
    }
}

/// The name as an SQL identifier in backticks.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The text as an SQL string literal, for a session whose `sql_mode` has neither ANSI_QUOTES nor NO_BACKSLASH_ESCAPES.
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

    #[test]
    fn a_low_limit_of_rows_is_noticed() {
        for (limit, cuts) in [
            ("0", true),
            ("700", true),
            ("2147483647", true),
            ("2147483648", false),
            ("9223372036854775807", false),
            ("-1", false),
            ("", false),
        ] {
            assert_eq!(cuts_results(limit), cuts, "{limit}");
        }
    }
}
