//! The connections for questions and for rows. There is no pool, because the session state must be known and PolarDB-X does not reset it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::binlog::profile::is_polardbx;
use crate::config::{Config, ConfigError};
use crate::error::{Result, SourceError};
use crate::server::{Identity, ServerKind, kind_of};
use crate::tls::Encryption;
use crate::wire::{Address, BinaryRows, PlainPassword, ROWS_SILENCE, Row, Wire, WireError, in_time, public_key};

/// The time limit for a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a connection is made anew at once if it reaches another server than it must. Proxies often take turns between servers.
const ATTEMPTS: usize = 5;

/// The time limit for a query of metadata.
const QUERY_TIMEOUT: Duration = Duration::from_secs(60);

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

/// The address of the server, the account, and the encryption.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: Address,
    encryption: Option<Encryption>,
    /// Whether the last connection is not encrypted although encryption is configured, which only the mode `preferred` allows.
    is_plain: Arc<AtomicBool>,
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

impl Endpoint {
    /// Reads the files that `tls` names. This does not connect yet.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let encryption = config.tls.as_ref().map(Encryption::new).transpose()?.flatten();
        let address = Address {
            host: config.host.trim().to_owned(),
            port: config.port,
            user: config.user.clone(),
            password: config.password.clone(),
            plain_password: plain_password(config)?,
        };
        Ok(Self { address, encryption, is_plain: Arc::default(), expected: Arc::default(), version: Arc::default() })
    }

    /// Whether the mode is `preferred` and the server does not support encryption; `false` before the first connection.
    pub(crate) fn is_unencrypted_fallback(&self) -> bool {
        self.is_plain.load(Ordering::Acquire)
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
                let version = rows.first().and_then(|row| row.text(0));
                version.map(Arc::from).ok_or_else(|| WireError::Lost("the server does not report its version".to_owned()))
            });
            let kind = kind_of(version.await?, "");
            let rows = in_time(wire.rows(Identity::question(kind))).await?;
            let found = Identity::of_rows(kind, rows.iter().map(|row| (row.text(0), row.text(1))))
                .map_err(|error| WireError::Lost(error.to_string()))?;
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
        let wire = in_time(Wire::connect(&self.address, self.encryption.as_ref())).await?;
        let is_plain = self.encryption.is_some() && !wire.is_encrypted();
        if is_plain && !self.is_plain.swap(is_plain, Ordering::AcqRel) {
            tracing::warn!("the server cannot encrypt, so its connections are not encrypted (tls.mode = \"preferred\")");
        }
        self.is_plain.store(is_plain, Ordering::Release);
        Ok(wire)
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
        let connecting = timeout(CONNECT_TIMEOUT, self.connect_wire_anywhere()).await;
        let wire = connecting
            .map_err(|_| SourceError::Timeout { doing: doing.clone().into(), seconds: CONNECT_TIMEOUT.as_secs() })?
            .map_err(|error| SourceError::wire(doing, error))?;
        let mut session = Session { wire, is_identified: false, version: "".into() };
        for statement in PREPARE {
            session.execute(PREPARING, statement).await?;
        }
        session.verify().await?;
        let cell = self.version();
        let version = cell.get_or_try_init(async || {
            let version = session.rows(PREPARING, "SELECT VERSION()").await?.first().and_then(|row| row.text(0));
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

/// A connection for questions and for rows, with the session variables set.
pub(crate) struct Session {
    wire: Wire,
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
        let found: Vec<String> = (0..3).filter_map(|index| rows.first().and_then(|row| row.text(index))).collect();
        if found != PREPARED_VALUES {
            let what = format!("the server has not taken the session's time_zone, sql_mode and autocommit: they are {}", found.join(", "));
            return Err(SourceError::answer(PREPARING, what));
        }
        let limit = match self.rows(PREPARING, PREPARED_LIMIT).await {
            Err(error) if error.code() == Some(UNKNOWN_VARIABLE) => None,
            rows => rows?.first().and_then(|row| row.text(0)),
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
        self.rows_of(|| doing.into(), sql).await
    }

    /// Like [`Session::rows`], but formats `doing` only after a failure; for frequent queries.
    pub(crate) async fn rows_of<D: Into<Cow<'static, str>>>(
        &mut self,
        doing: impl FnOnce() -> D,
        sql: impl AsRef<str>,
    ) -> Result<Vec<Row>> {
        match timeout(QUERY_TIMEOUT, self.wire.rows(sql.as_ref())).await {
            Ok(answer) => answer.map_err(|error| SourceError::wire(doing(), error)),
            Err(_) => Err(SourceError::Timeout { doing: doing().into(), seconds: QUERY_TIMEOUT.as_secs() }),
        }
    }

    /// Runs a SELECT of rows of a table. The server may take its time, but not be silent for longer than [`ROWS_SILENCE`].
    pub(crate) async fn select(&mut self, sql: &str) -> Result<BinaryRows<'_>, WireError> {
        timeout(ROWS_SILENCE, BinaryRows::select(&mut self.wire, sql)).await.unwrap_or_else(|_| Err(WireError::silent()))
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
        self.rows(doing, sql).await.map(|_| ())
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
        let _ = timeout(Duration::from_secs(1), self.wire.quit()).await;
    }
}

/// Whether a `sql_select_limit` is so low that it would cut results. What stands for no limit differs between servers; it is at least as high
/// as this, or no number.
fn cuts_results(limit: &str) -> bool {
    limit.trim().parse::<u64>().is_ok_and(|limit| limit < 1 << 31)
}

/// How the password itself may be sent over a connection that is not encrypted. Reads the server's public key, if one is configured.
fn plain_password(config: &Config) -> Result<PlainPassword> {
    const KEY: &str = "server_public_key";
    let Some(file) = &config.server_public_key else {
        return Ok(if config.allow_public_key_retrieval { PlainPassword::ForAnyKey } else { PlainPassword::Never });
    };
    let refuse = |why: String, help: &str| ConfigError::new(KEY, why, help);
    if config.allow_public_key_retrieval {
        let why = "it names the server's key, and allow_public_key_retrieval = true takes any key";
        return Err(refuse(why.to_owned(), "leave allow_public_key_retrieval out").into());
    }
    let text = runtime::read_small_file(file)
        .map_err(|error| refuse(format!("{}: {error}", runtime::shown_path(file)), "name a file that can be read"))?;
    let pem = String::from_utf8_lossy(&text);
    public_key(&pem).map_err(|error| {
        refuse(format!("{}: {error}", file.display()), "copy it from the server: SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'")
    })?;
    Ok(PlainPassword::ForKey(pem.into()))
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
