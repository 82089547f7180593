//! Parses a statement of the binlog: what it does, and to which tables. `change` holds the effects of DDL, `create_drop` reads CREATE, DROP
//! and RENAME, and `table_names` finds the tables of DML and of statements that cannot be parsed.

mod change;
mod create_drop;
mod table_names;
mod xa;

use runtime::{SchemaChangeKind, TableId};

use super::ReadError;
use super::alter::read_alter_table;
use super::create::StatementContext;
use super::cursor::Cursor;
pub use change::{Alter, Change, ColumnChange, Effect, KeyChange};
use create_drop::{read_alter_database, read_create, read_drop, read_rename, take_alter_table};
use table_names::{calls_only_builtins, tables_named, tables_written};
use xa::read_xa;
pub use xa::{XaStatement, Xid};

/// A parsed statement of the binlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The text consists only of comments. PolarDB-X writes such statements for changes that do not concern a MySQL table.
    Nothing,
    /// DDL, which changes tables or databases.
    Change(Change),
    /// A statement, logged as text, that may change rows: DML, or a statement that calls functions or procedures. Holds the tables that it
    /// names as its targets; triggers, functions and procedures may change other tables as well.
    Rows(Vec<TableId>),
    /// The statement sets the savepoint of this name.
    Savepoint(String),
    /// ROLLBACK TO the savepoint of this name, which undoes the changes of the transaction since then.
    RollbackTo(String),
    /// A statement of an XA transaction.
    Xa(XaStatement),
    /// The statement creates or drops views or sequences, which have names like tables.
    Others {
        /// Their names.
        names: Vec<TableId>,
        /// Whether they exist behind the statement.
        exist: bool,
    },
    /// The statement changes no table, for example GRANT or CREATE PROCEDURE.
    Unrelated,
    /// The statement cannot be parsed and may concern tables. Holds the reason, and every table that the statement may name; without any
    /// name, the statement may concern every table.
    Unreadable(ReadError, Vec<TableId>),
}

/// Parses one statement. Never fails: a statement that cannot be parsed becomes [`Statement::Unreadable`].
pub fn read_statement(sql: &str, context: &StatementContext<'_>) -> Statement {
    let mut cursor = match Cursor::new(sql, context.dialect) {
        Ok(cursor) => cursor,
        Err(error) => return Statement::Unreadable(error, Vec::new()),
    };
    while cursor.take_symbol(';') || cursor.take_symbol('(') {}
    if cursor.at_end() {
        return Statement::Nothing;
    }
    let read = take_set_statement(&mut cursor, context).and_then(|()| {
        let mark = cursor.mark();
        read(&mut cursor, context).or_else(|error| {
            cursor.reset(mark);
            // Nobody knows what a statement with an unknown first word names, or what it changes. A statement with too many names may concern
            // every table, too.
            let named = if cursor.is_word(0, PARSED) { tables_named(&mut cursor, context.database) } else { Ok(Vec::new()) };
            Ok(Statement::Unreadable(error, named.unwrap_or_default()))
        })
    });
    read.unwrap_or_else(|error| Statement::Unreadable(error, Vec::new()))
}

/// Whether the statement is INSERT, REPLACE, UPDATE or DELETE, and changes nothing but the rows of the tables that it names, unless they have
/// triggers.
pub(crate) fn changes_only_named_tables(sql: &str, context: &StatementContext<'_>) -> bool {
    Cursor::new(sql, context.dialect)
        .is_ok_and(|mut cursor| cursor.is_word(0, &["INSERT", "REPLACE", "UPDATE", "DELETE"]) && calls_only_builtins(&mut cursor, context))
}

/// Takes MariaDB's `SET STATEMENT variable = value, … FOR`, which may come before any statement, also more than once.
fn take_set_statement(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<(), ReadError> {
    while context.dialect.is_mariadb() && cursor.take_words(&["SET", "STATEMENT"]) {
        while !cursor.take_word(&["FOR"]) {
            // The server parses the statement in the mode of the session, but logs the mode that is set here.
            if cursor.at_end() || cursor.is_word(0, &["SQL_MODE"]) {
                return Err(cursor.error("a SET STATEMENT that cannot be parsed"));
            }
            if cursor.is_symbol(0, '(') {
                cursor.skip_parentheses()?;
            } else {
                cursor.advance();
            }
        }
    }
    Ok(())
}

/// First words of the statements that are parsed further.
const PARSED: &[&str] = &["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE"];

/// Kinds of objects that are neither tables nor databases.
const OTHER_OBJECTS: &[&str] = &[
    "VIEW",
    "PROCEDURE",
    "FUNCTION",
    "TRIGGER",
    "EVENT",
    "USER",
    "ROLE",
    "SERVER",
    "SEQUENCE",
    "TABLESPACE",
    "LOGFILE",
    "TABLEGROUP",
    "JOINGROUP",
    "FILESTORAGE",
    "STORAGE",
    "MATERIALIZED",
    "RESOURCE",
    "PACKAGE",
    "INSTANCE",
    "DEFAULT",
    "AGGREGATE",
    "UNDO",
    "SYSTEM",
    "CCL_RULE",
    "OUTLINE",
    "LIBRARY",
];

/// First words of statements that change neither schemas nor rows. The list is closed: a word that is not known may change everything.
const UNRELATED: &[&str] = &[
    "GRANT",
    "REVOKE",
    "SET",
    "FLUSH",
    "OPTIMIZE",
    "REPAIR",
    "CHECK",
    "CHECKSUM",
    "INSTALL",
    "UNINSTALL",
    "RESET",
    "PURGE",
    "KILL",
    "USE",
    "SHOW",
    "LOCK",
    "UNLOCK",
    "HANDLER",
    "EXPLAIN",
    "DESCRIBE",
    "DESC",
    "CACHE",
    "CHANGE",
    "STOP",
    "SHUTDOWN",
];

/// More such words, of PolarDB-X.
const UNRELATED_POLARDBX: &[&str] = &["REBALANCE", "REFRESH", "CLEAR"];

/// First words of statements that change rows of the tables that they name.
const ROWS: &[&str] = &["INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "MERGE"];

/// First words of statements that are logged only if a function or a procedure that they call changes rows.
const CALLS: &[&str] = &["SELECT", "DO", "CALL"];

fn read(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    if cursor.is_word(0, &["CREATE"]) {
        return read_create(cursor, context);
    }
    if cursor.is_word(0, ROWS) {
        return tables_written(cursor, context).map(Statement::Rows);
    }
    if cursor.is_word(0, CALLS) {
        return Ok(Statement::Rows(Vec::new()));
    }
    if cursor.take_words(&["ROLLBACK", "TO"]) || cursor.take_words(&["ROLLBACK", "WORK", "TO"]) {
        // Servers write the name in backticks, so the word SAVEPOINT is no name.
        cursor.take_word(&["SAVEPOINT"]);
        return cursor.name("the savepoint").map(Statement::RollbackTo);
    }
    if cursor.take_word(&["SAVEPOINT"]) {
        return cursor.name("the savepoint").map(Statement::Savepoint);
    }
    if cursor.take_words(&["RELEASE", "SAVEPOINT"]) {
        return Ok(Statement::Unrelated);
    }
    if cursor.take_word(&["XA"]) {
        return read_xa(cursor).map(Statement::Xa);
    }
    if cursor.is_word(0, UNRELATED) || (!context.dialect.is_mariadb() && cursor.is_word(0, UNRELATED_POLARDBX)) {
        return Ok(Statement::Unrelated);
    }
    if cursor.take_word(&["ANALYZE"]) {
        cursor.take_word(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        // In MariaDB, ANALYZE before a statement executes the statement.
        return if cursor.is_word(0, &["TABLE", "TABLES"]) { Ok(Statement::Unrelated) } else { Ok(Statement::Rows(Vec::new())) };
    }
    if cursor.take_word(&["ALTER"]) {
        if take_alter_table(cursor) {
            return read_alter_table(cursor, context).map(Statement::Change);
        }
        if cursor.take_word(&["DATABASE", "SCHEMA"]) {
            return read_alter_database(cursor, context).map(Statement::Change);
        }
        return other_object(cursor);
    }
    if cursor.take_word(&["DROP"]) {
        return read_drop(cursor, context);
    }
    if cursor.take_word(&["RENAME"]) {
        return if cursor.take_word(&["TABLE", "TABLES"]) { read_rename(cursor, context) } else { other_object(cursor) };
    }
    if cursor.take_word(&["TRUNCATE"]) {
        cursor.take_word(&["TABLE"]);
        let table = cursor.table(context.database)?;
        return Ok(change(SchemaChangeKind::TruncateTable, vec![Effect::Truncate { table }]));
    }
    Err(cursor.error("an unknown statement"))
}

fn change(kind: SchemaChangeKind, effects: Vec<Effect>) -> Statement {
    Statement::Change(Change { kind: Some(kind), effects })
}

/// Reads the kind of an object that is neither a table nor a database, behind CREATE, ALTER or DROP.
fn other_object(cursor: &mut Cursor<'_>) -> Result<Statement, ReadError> {
    let mark = cursor.mark();
    take_definition_options(cursor);
    let spatial = cursor.take_words(&["SPATIAL", "REFERENCE", "SYSTEM"]);
    let duality = cursor.take_words(&["JSON", "DUALITY", "VIEW"]) || cursor.take_words(&["JSON", "RELATIONAL", "DUALITY", "VIEW"]);
    if spatial || duality || cursor.is_word(0, OTHER_OBJECTS) {
        return Ok(Statement::Unrelated);
    }
    cursor.reset(mark);
    Err(cursor.error("an unknown kind of object"))
}

/// Reads the kind of such an object behind CREATE or DROP, and its names if it is a view or a sequence.
fn created_or_dropped(cursor: &mut Cursor<'_>, context: &StatementContext<'_>, exist: bool) -> Result<Statement, ReadError> {
    let mark = cursor.mark();
    let statement = other_object(cursor)?;
    cursor.reset(mark);
    take_definition_options(cursor);
    let _ = cursor.take_words(&["JSON", "DUALITY"]) || cursor.take_words(&["JSON", "RELATIONAL", "DUALITY"]);
    if !cursor.take_word(&["VIEW", "SEQUENCE"]) {
        return Ok(statement);
    }
    let _ = cursor.take_if_not_exists() || cursor.take_if_exists();
    let mut names = vec![cursor.table(context.database)?];
    while !exist && cursor.take_symbol(',') {
        names.push(cursor.table(context.database)?);
    }
    Ok(Statement::Others { names, exist })
}

/// Takes `ALGORITHM = …`, `DEFINER = …` and `SQL SECURITY …`, which come before the kind of a view, a routine, a trigger or an event.
fn take_definition_options(cursor: &mut Cursor<'_>) {
    loop {
        if cursor.take_words(&["SQL", "SECURITY"]) || cursor.take_word(&["ALGORITHM"]) {
            cursor.take_symbol('=');
            cursor.advance();
        } else if cursor.take_word(&["DEFINER"]) {
            cursor.take_symbol('=');
            take_user(cursor);
        } else {
            return;
        }
    }
}

/// Takes `CURRENT_USER()`, or a user with or without `@host`. A host without quotes may hold dots and dashes.
fn take_user(cursor: &mut Cursor<'_>) {
    cursor.advance();
    if cursor.take_symbol('(') {
        cursor.take_symbol(')');
    }
    if cursor.take_symbol('@') {
        cursor.advance();
        while cursor.take_symbol('.') || cursor.take_symbol('-') {
            cursor.advance();
        }
    }
}
