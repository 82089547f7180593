//! Reads statements that were changed at random, in all dialects and modes, and decodes them as events of a binlog.
//!
//! A statement may be read, refused or ignored. It may not panic, take more time than its length explains, leave a schema that is no
//! schema, or change a table that it does not name. Blanks and comments between its tokens may not change what is read.

mod tokens;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use runtime::{Collation, TableId, TableSchema};
use source_polardbx::Selection;
use source_polardbx::binlog::{Decoder, DecoderOptions, PreparedTransactions, RowsWithoutEvents, ServerProfile, StreamPosition};
use source_polardbx::config::{OnRowsWithoutEvents, PolarDbXOptions};
use source_polardbx::schema::{
    Dialect, ExplicitTimestamps, History, Interest, Statement, StatementContext, read_create_table, read_statement,
};

use crate::event_log::EventLog;
use crate::{Failure, Result};

const ALL: &str = include_str!("../../corpus/all.sql");
const MYSQL: &str = include_str!("../../corpus/mysql.sql");
const MARIADB: &str = include_str!("../../corpus/mariadb.sql");
const POLARDBX: &str = include_str!("../../corpus/polardbx.sql");

const SERVERS: [&str; 7] =
    ["5.7.22-log", "8.0.15", "8.4.3", "9.1.0", "10.11.6-MariaDB-log", "11.4.2-MariaDB-log", "5.7.25-PXC-5.4.20-20251031"];

/// The modes that change how a text is read: REAL_AS_FLOAT, ANSI_QUOTES, ORACLE, MAXDB and NO_BACKSLASH_ESCAPES.
const MODES: [u64; 5] = [1, 4, 1 << 9, 1 << 12, 1 << 20];

/// The longest time for a text of [`LONG`] bytes. It is generous, because tests are not optimised; a reader whose time grows with the square
/// of the length takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(2);
const LONG: usize = 128 << 10;

/// The server whose statements are read, and the session's mode.
struct Session {
    version: &'static str,
    mode: u64,
    explicit: bool,
    lower_case: bool,
}

impl Session {
    fn random(random: &mut Rng) -> Self {
        let mode = MODES.iter().filter(|_| random.u8(..4) == 0).sum();
        Self { version: SERVERS[random.usize(..SERVERS.len())], mode, explicit: random.bool(), lower_case: random.bool() }
    }

    fn is_polardbx(&self) -> bool {
        self.version.contains("PXC")
    }

    fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// A statement of the corpus: the text of the user, and the text for MySQL.
    fn statement(&self, random: &mut Rng) -> (&'static str, &'static str) {
        // One of a hundred is a statement of another server.
        let own = match random.u8(..100) {
            0 => [MYSQL, MARIADB, POLARDBX][random.usize(..3)],
            _ if self.is_polardbx() => POLARDBX,
            _ if self.is_mariadb() => MARIADB,
            _ => MYSQL,
        };
        let corpus = if random.bool() { ALL } else { own };
        let line = random.choice(corpus.lines().collect::<Vec<_>>()).unwrap_or_default();
        match line.split_once(" =>") {
            Some((user, mysql)) => (user, mysql.trim_start()),
            None => (line, line),
        }
    }

    fn read(&self, text: &str) -> Statement {
        let charsets = |name: &str| (name == "d").then(|| Collation::new("utf8mb4_general_ci"));
        read_statement(
            text,
            &StatementContext {
                dialect: Dialect::of_version(self.version).with_sql_mode(self.mode),
                explicit_timestamps: ExplicitTimestamps::Known(self.explicit),
                ..StatementContext::new("d", &charsets)
            },
        )
    }

    fn history(&self) -> Result<History> {
        const T: &str = "CREATE TABLE t (a INT NOT NULL, b VARCHAR(20), c DECIMAL(12,2), PRIMARY KEY (a), UNIQUE KEY w (c), KEY k (b(5)))";
        const U: &str = "CREATE TABLE u (a INT NOT NULL, x INT, PRIMARY KEY (a))";
        let mut schemas = Vec::new();
        for (database, sql) in [("d", T), ("d", U), ("e", T)] {
            let create = read_create_table(sql, database, &|_| Some(Collation::new("utf8mb4_general_ci")));
            schemas.push(Arc::new(create.map_err(|error| Failure::new(error.to_string()))?.schema));
        }
        Ok(History::new(
            schemas,
            [("d".to_owned(), Collation::new("utf8mb4_general_ci")), ("e".to_owned(), Collation::new("latin1_swedish_ci"))],
            self.lower_case,
        ))
    }
}

pub(super) fn round(random: &mut Rng) -> Result<()> {
    let session = Session::random(random);
    let context = |text: &str, failure: Failure| {
        failure.context(format!("{} mode {:#x} lower case {}: {text}", session.version, session.mode, session.lower_case))
    };
    let mut history = session.history()?;
    let mut log = Vec::new();
    for _ in 0..random.usize(1..5) {
        let (user, mysql) = session.statement(random);
        let other = session.statement(random).0;
        let mut found = tokens::of(mysql);
        tokens::mutate(random, &mut found, &tokens::of(other));
        let mut text = found.join(" ");
        is_read_with_other_blanks(&session, random, &found, &text).map_err(|failure| context(&text, failure))?;
        if random.u8(..4) == 0 {
            tokens::damage(random, &mut text);
        }
        is_applied(&session, &mut history, &text).map_err(|failure| context(&text, failure))?;
        log.push(if session.is_polardbx() { with_comments(random, user, &text) } else { text });
    }
    if random.u8(..200) == 0 {
        let (_, mysql) = session.statement(random);
        let mut found = tokens::of(mysql);
        tokens::mutate(random, &mut found, &[]);
        let text = tokens::grown(random, &found, LONG);
        is_quick(&session, &text).map_err(|failure| context(text.get(..2_000).unwrap_or_default(), failure))?;
    }
    is_decoded(&session, random, &log).map_err(|failure| context(&log.join("\n;; "), failure))
}

/// Checks that blanks and comments between tokens have no meaning.
fn is_read_with_other_blanks(session: &Session, random: &mut Rng, found: &[String], text: &str) -> Result<()> {
    // A comment in a comment that the server does not execute ends it.
    let comments: &[&str] =
        if text.contains("/*") || text.contains("/!") { &[] } else { &[" /* x */ ", " -- x\n", " # x\n", " /*+TDDL:x()*/ "] };
    let mut other = String::new();
    for token in found {
        other.push_str(token);
        let blank = match random.u8(..6) {
            0 => "\n",
            1 => "\t ",
            2 => random.choice(comments).copied().unwrap_or(" "),
            _ => " ",
        };
        other.push_str(blank);
    }
    // A comment to the end of the line, or a quote without end, ends elsewhere.
    if found.iter().any(|token| token.starts_with('#') || token.starts_with("--") || !tokens::is_closed(token)) {
        return Ok(());
    }
    let (one, two) = (shown(session.read(text)), shown(session.read(&other)));
    if one == two { Ok(()) } else { Failure::err(format!("with other blanks it is {two}, not {one}: {other:?}")) }
}

/// What was read, without the quotations of errors.
fn shown(statement: Statement) -> String {
    match statement {
        Statement::Unreadable(error, tables) => format!("unreadable {} {tables:?}", error.what),
        Statement::Change(mut change) => {
            for effect in &mut change.effects {
                use source_polardbx::schema::Effect;
                if let Effect::Create { definition: Err(error), .. } | Effect::CreateUnlisted { error, .. } = effect {
                    error.near.clear();
                }
            }
            format!("{change:?}")
        }
        other => format!("{other:?}"),
    }
}

/// Applies the statement, if it is DDL, and checks what has become of the tables.
fn is_applied(session: &Session, history: &mut History, text: &str) -> Result<()> {
    let Statement::Change(change) = session.read(text) else { return Ok(()) };
    let before = history.clone();
    let interest = |table: &TableId| match &*table.database {
        "d" => Interest::Selected,
        "e" => Interest::Followed,
        _ => Interest::None,
    };
    if history.apply(&change, 10, &interest).is_err() {
        // The task ends here.
        *history = before;
        return Ok(());
    }
    let folded = text.to_lowercase();
    for (database, name) in [("d", "t"), ("d", "u"), ("e", "t"), ("e", "u"), ("d", "w")] {
        let table = TableId::new(database, name);
        let now = history.table(&table);
        if now.map(Arc::as_ptr) == before.table(&table).map(Arc::as_ptr) {
            continue;
        }
        // A name of one letter occurs in other words, too. But what names no table changes none.
        if !folded.contains(name) && !folded.contains("database") && !folded.contains("schema") {
            return Failure::err(format!("{table} has changed, which is not named"));
        }
        if let Some(schema) = now {
            is_schema(schema)?;
        }
    }
    Ok(())
}

fn is_schema(schema: &TableSchema) -> Result<()> {
    let count = schema.columns.len();
    let mut names: Vec<String> = schema.columns.iter().map(|column| column.name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    let keys = schema.unique_keys.iter().flat_map(|key| &key.columns).chain(&schema.primary_key).chain(&schema.partition_columns);
    let nullable = schema.primary_key.iter().any(|&column| schema.columns.get(column).is_some_and(|column| column.nullable));
    if count == 0 || names.len() != count || keys.max().is_some_and(|&column| column >= count) || nullable {
        return Failure::err(format!("this is no schema: {schema:?}"));
    }
    Ok(())
}

/// Checks that a long text is read in a time that its length explains. The machine may be busy, so only the third time counts.
fn is_quick(session: &Session, text: &str) -> Result<()> {
    let mut took = Duration::ZERO;
    for _ in 0..3 {
        let start = Instant::now();
        is_applied(session, &mut session.history()?, text)?;
        took = start.elapsed();
        if took < TIME_LIMIT {
            return Ok(());
        }
    }
    Failure::err(format!("{} bytes take {took:?}", text.len()))
}

/// The text of PolarDB-X with its comment lines.
fn with_comments(random: &mut Rng, user: &str, mysql: &str) -> String {
    let user = if random.u8(..4) == 0 { mysql } else { user };
    let mut lines = format!("# POLARX_ORIGIN_SQL={}\n# POLARX_TSO={}\n# POLARX_DDL_ID=0\n", user.replace('\n', " "), EventLog::tso(1));
    if random.u8(..20) == 0 {
        tokens::damage(random, &mut lines);
    }
    lines + if random.u8(..8) == 0 { "" } else { mysql }
}

/// Decodes the statements as the events of a binlog. They may fail, with an error that has a code.
fn is_decoded(session: &Session, random: &mut Rng, statements: &[String]) -> Result<()> {
    let mut log = EventLog::new(session.version);
    for (number, text) in (1u64..).zip(statements) {
        if !session.is_polardbx() {
            match session.is_mariadb() {
                true => log.add(162, &[&number.to_le_bytes()[..], &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat()),
                false => log.add(34, &[0; 42]),
            }
        }
        let client = [45u16, 33, 63, 28, 8][random.usize(..5)];
        log.statement("d", session.mode, client, text.as_bytes());
        if session.is_polardbx() {
            log.commit_mark(number);
        }
    }
    let selection = if random.bool() { "d.*" } else { "d.t" };
    let of = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let mut decoder = Decoder::new(DecoderOptions {
        stream: "global".to_owned(),
        position: StreamPosition::start("id", "binlog.000001", 4).map_err(|error| of(&error))?,
        history: session.history()?,
        selection: Selection::new(&[selection.to_owned()], &[]).map_err(|error| of(&error))?,
        profile: ServerProfile::new(session.version),
        prepared: PreparedTransactions::default(),
        polardbx: PolarDbXOptions { lacks_keyless: random.bool(), ..PolarDbXOptions::default() },
        rows_without_events: RowsWithoutEvents {
            then: if random.bool() { OnRowsWithoutEvents::Warn } else { OnRowsWithoutEvents::Fail },
            new_are_read: random.bool(),
        },
        batch_max_bytes: 1 << 20,
    });
    for event in log.events() {
        if let Err(error) = decoder.event(event, 1) {
            return match error.code() {
                Some("E_CORRUPT_EVENT") | None => Failure::err(format!("the decoder says {error}")),
                Some(_) => Ok(()),
            };
        }
        while decoder.take().is_some() {}
    }
    while decoder.drain().is_some() {}
    Ok(())
}
