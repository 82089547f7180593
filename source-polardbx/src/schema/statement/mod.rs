//! Parses a statement of the binlog: what it does, and to which tables. `change` holds the effects of DDL, `create_drop` reads CREATE, DROP
//! and RENAME, and `table_names` finds the tables of DML and of statements that cannot be parsed.

mod change;
mod create_drop;
mod table_names;

use runtime::{SchemaChangeKind, TableId};

use super::ReadError;
use super::alter::read_alter_table;
use super::create::StatementContext;
use super::cursor::Cursor;
pub use change::{Change, Effect, KeyChange};
use create_drop::{read_alter_database, read_create, read_drop, read_rename, take_alter_table};
use table_names::{tables_named, tables_written};

/// A parsed statement of the binlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The text consists only of comments. PolarDB-X writes such statements for changes that do not concern a MySQL table.
    Nothing,
    /// DDL, which changes tables or databases.
    Change(Change),
    /// DML that is logged as text. Holds the tables that it may write to.
    Rows(Vec<TableId>),
    /// The statement sets or releases a savepoint.
    Savepoint,
    /// ROLLBACK TO a savepoint, which undoes some of the transaction's changes.
    RollbackTo,
    /// A statement of an XA transaction. Holds the word after XA, in upper case.
    Xa(String),
    /// The statement changes no table, for example GRANT, CREATE VIEW or CREATE PROCEDURE.
    Unrelated,
    /// The statement cannot be parsed and may concern tables. Holds the reason, and every table that the statement may name.
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
    read(&mut cursor, context).unwrap_or_else(|error| {
        cursor.reset(0);
        Statement::Unreadable(error, tables_named(&mut cursor, context.database))
    })
}

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
];

/// First words of statements that change neither schemas nor rows.
const UNRELATED: &[&str] = &[
    "GRANT",
    "REVOKE",
    "SET",
    "FLUSH",
    "ANALYZE",
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
    "CALL",
    "DO",
    "HANDLER",
    "EXPLAIN",
    "DESCRIBE",
    "DESC",
    "CACHE",
    "CHANGE",
    "STOP",
    "SHUTDOWN",
    "REBALANCE",
    "REFRESH",
    "CLEAR",
    "SELECT",
];

/// First words of statements that change rows.
const ROWS: &[&str] = &["INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "MERGE"];

fn read(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    if cursor.is_word(0, &["CREATE"]) {
        return read_create(cursor, context);
    }
    if cursor.is_word(0, ROWS) {
        return tables_written(cursor, context).map(Statement::Rows);
    }
    if cursor.take_words(&["ROLLBACK", "TO"]) || cursor.take_words(&["ROLLBACK", "WORK", "TO"]) {
        return Ok(Statement::RollbackTo);
    }
    if cursor.is_word(0, &["SAVEPOINT", "RELEASE"]) {
        return Ok(Statement::Savepoint);
    }
    if cursor.take_word(&["XA"]) {
        return Ok(Statement::Xa(cursor.word_at(0).unwrap_or("").to_ascii_uppercase()));
    }
    if cursor.is_word(0, UNRELATED) {
        return Ok(Statement::Unrelated);
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

fn other_object(cursor: &Cursor<'_>) -> Result<Statement, ReadError> {
    if cursor.is_word(0, OTHER_OBJECTS) { Ok(Statement::Unrelated) } else { Err(cursor.error("an unknown kind of object")) }
}
