//! Reads a statement of the binlog: what it does to which tables.

use runtime::{SchemaChangeKind, TableId};

use super::ReadError;
use super::alter::read_alter_table;
use super::charset::of_collation;
use super::create::{
    CreateBody, CreateHead, CreateTable, KeyDefinition, KeyPart, StatementContext, read_body, read_key_parts, take_unique_words,
};
use super::cursor::Cursor;
use super::lexer::Token;

/// What a statement of the binlog is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Comments only: PolarDB-X writes statements that change no table of the MySQL side so.
    Nothing,
    /// It changes the structure of tables or databases.
    Change(Change),
    /// It changes rows, as text; with the tables that it may write to.
    Rows(Vec<TableId>),
    /// A savepoint or its release: nothing changes.
    Savepoint,
    /// ROLLBACK TO a savepoint: some rows before it did not happen.
    RollbackTo,
    /// A statement of an XA transaction: the first word after XA.
    Xa(String),
    /// It touches no table: grants, views, procedures.
    Unrelated,
    /// It may touch tables, but could not be read; with every table that it may name.
    Unreadable(ReadError, Vec<TableId>),
}

/// A change of structures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What kind of statement it is.
    pub kind: SchemaChangeKind,
    /// What it does, in its order.
    pub effects: Vec<Effect>,
}

/// What a statement does to one table or database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The table is made; the definition may be unreadable, which matters only if the table is selected.
    Create {
        /// The table.
        table: TableId,
        /// Its structure.
        definition: Result<Box<CreateTable>, ReadError>,
    },
    /// The table is made like another one.
    CreateLike {
        /// The new table.
        table: TableId,
        /// The other one.
        like: TableId,
        /// Whether the statement does nothing if the table exists.
        if_not_exists: bool,
    },
    /// The table is made from a SELECT, so its columns are not in the statement.
    CreateSelect {
        /// The table.
        table: TableId,
    },
    /// The table is gone.
    Drop {
        /// The table.
        table: TableId,
    },
    /// The table is emptied.
    Truncate {
        /// The table.
        table: TableId,
    },
    /// The table has another name.
    Rename {
        /// The old name.
        from: TableId,
        /// The new name.
        to: TableId,
    },
    /// Indexes, options or partitions changed: nothing that this program keeps about the table.
    Keep {
        /// The table.
        table: TableId,
    },
    /// Keys that may be unique ones were added, dropped or renamed.
    Keys {
        /// The table.
        table: TableId,
        /// The changes in order.
        changes: Vec<KeyChange>,
    },
    /// The table is sharded by other columns.
    Repartition {
        /// The table.
        table: TableId,
        /// Every name in the partition clauses.
        names: Vec<String>,
    },
    /// Columns, or the primary key, changed.
    Columns {
        /// The table.
        table: TableId,
        /// The first item that does so, such as `ADD COLUMN`.
        item: &'static str,
    },
    /// The database has this default character set from now on; `None` if the statement does not say.
    DatabaseCharset {
        /// The database.
        database: String,
        /// The character set.
        charset: Option<String>,
        /// Whether the statement makes the database: without a character set it then has the server's.
        created: bool,
    },
    /// The database is gone with all its tables.
    DropDatabase {
        /// The database.
        database: String,
    },
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A unique key is added: its name if the statement says it, and its columns with prefix lengths; `None` for an expression.
    AddUnique {
        /// The name.
        name: Option<String>,
        /// The parts.
        parts: Vec<Option<(String, Option<u32>)>>,
    },
    /// A key is dropped.
    Drop(String),
    /// A key is renamed.
    Rename(String, String),
}

impl KeyChange {
    pub(crate) fn add(key: KeyDefinition) -> Self {
        let part = |part| match part {
            KeyPart::Column(name, prefix) => Some((name, prefix)),
            KeyPart::Expression => None,
        };
        Self::AddUnique { name: key.name, parts: key.parts.into_iter().map(part).collect() }
    }
}

/// Reads one statement. Never fails: what cannot be read is [`Statement::Unreadable`].
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
        Statement::Unreadable(error, cursor.names_in_rest(context.database))
    })
}

/// Objects other than tables and databases.
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

/// Statements that touch the structure and the rows of no table.
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

/// Statements that change rows.
const ROWS: &[&str] = &["INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "MERGE"];

fn read(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    if cursor.is_word(0, &["CREATE"]) {
        return read_create(cursor, context);
    }
    if cursor.is_word(0, ROWS) {
        return read_written_tables(cursor, context).map(Statement::Rows);
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
        while cursor.take_word(&["IGNORE", "ONLINE", "OFFLINE"]) {}
        if cursor.take_word(&["TABLE"]) {
            return read_alter_table(cursor, context).map(Statement::Change);
        }
        if cursor.take_word(&["DATABASE", "SCHEMA"]) {
            return read_database_options(cursor, context, false).map(Statement::Change);
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

/// The tables that INSERT, REPLACE, LOAD, UPDATE and DELETE name where tables are written; every name for other statements.
fn read_written_tables(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Vec<TableId>, ReadError> {
    const BEFORE_TABLE: &[&str] =
        &["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "QUICK", "IGNORE", "INTO", "FROM", "JOIN", "STRAIGHT_JOIN", "USING", "TABLE"];
    const BEHIND_TABLES: &[&str] = &["SET", "WHERE", "VALUES", "VALUE", "SELECT", "ORDER", "LIMIT"];
    if cursor.is_word(0, &["WITH", "MERGE"]) {
        return Ok(cursor.names_in_rest(context.database));
    }
    let one = cursor.is_word(0, &["INSERT", "REPLACE", "LOAD"]);
    let load = cursor.is_word(0, &["LOAD"]);
    cursor.advance();
    while load && !cursor.at_end() && !cursor.take_word(&["TABLE"]) {
        cursor.advance();
    }
    let mut tables = Vec::new();
    let mut expected = true;
    while !cursor.at_end() && !cursor.is_word(0, BEHIND_TABLES) {
        if cursor.take_word(BEFORE_TABLE) || cursor.take_symbol(',') || cursor.take_symbol('(') {
            expected = true;
        } else if expected && matches!(cursor.peek(), Some(Token::Word(_) | Token::Name(_))) {
            tables.push(cursor.table(context.database)?);
            if one {
                break;
            }
            expected = false;
        } else {
            cursor.advance();
        }
    }
    Ok(tables)
}

fn change(kind: SchemaChangeKind, effects: Vec<Effect>) -> Statement {
    Statement::Change(Change { kind, effects })
}

fn other_object(cursor: &Cursor<'_>) -> Result<Statement, ReadError> {
    if cursor.is_word(0, OTHER_OBJECTS) { Ok(Statement::Unrelated) } else { Err(cursor.error("an unknown kind of object")) }
}

fn read_create(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    if let Some(head) = CreateHead::take(cursor) {
        let table = cursor.table(context.database)?;
        if head.temporary {
            return Ok(Statement::Unrelated);
        }
        let effect = match read_body(cursor, context, table.clone(), head.if_not_exists) {
            Ok(CreateBody::Columns(create)) => Effect::Create { table, definition: Ok(create) },
            Ok(CreateBody::Like(like)) => Effect::CreateLike { table, like, if_not_exists: head.if_not_exists },
            Ok(CreateBody::Select) => Effect::CreateSelect { table },
            Err(error) => Effect::Create { table, definition: Err(error) },
        };
        return Ok(change(SchemaChangeKind::CreateTable, vec![effect]));
    }
    cursor.advance();
    cursor.take_words(&["OR", "REPLACE"]);
    if cursor.take_word(&["DATABASE", "SCHEMA"]) {
        cursor.take_if_not_exists();
        return read_database_options(cursor, context, true).map(Statement::Change);
    }
    // ALGORITHM = …, DEFINER = … and SQL SECURITY stand before views and routines only.
    if cursor.is_word(0, &["ALGORITHM", "DEFINER", "SQL"]) {
        return Ok(Statement::Unrelated);
    }
    let mark = cursor.mark();
    let unique = take_unique_words(cursor);
    let named = unique || {
        while cursor.take_word(&["ONLINE", "OFFLINE", "FULLTEXT", "SPATIAL", "GLOBAL", "LOCAL", "CLUSTERED", "COLUMNAR"]) {}
        cursor.take_word(&["INDEX"])
    };
    if !named {
        cursor.reset(mark);
        return other_object(cursor);
    }
    cursor.take_if_not_exists();
    let name = cursor.name("an index")?;
    if cursor.take_word(&["USING", "TYPE"]) {
        cursor.advance();
    }
    if !cursor.take_word(&["ON"]) {
        return Err(cursor.error("expected ON"));
    }
    let table = cursor.table(context.database)?;
    let effect = if unique {
        let key = KeyDefinition { name: Some(name), parts: read_key_parts(cursor)? };
        Effect::Keys { table, changes: vec![KeyChange::add(key)] }
    } else {
        Effect::Keep { table }
    };
    Ok(change(SchemaChangeKind::CreateIndex, vec![effect]))
}

/// `[name] [DEFAULT] CHARACTER SET …` of CREATE and ALTER DATABASE.
fn read_database_options(cursor: &mut Cursor<'_>, context: &StatementContext<'_>, created: bool) -> Result<Change, ReadError> {
    let optional = cursor.is_word(0, &["DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "UPGRADE"]) && !cursor.at_end();
    let database = if optional || cursor.at_end() { context.database.to_owned() } else { cursor.name("a database")? };
    let (mut charset, mut collation) = (None, None);
    while !cursor.at_end() {
        if cursor.take_word(&["CHARSET"]) || cursor.take_words(&["CHARACTER", "SET"]) {
            cursor.take_symbol('=');
            charset = Some(cursor.name_or_text("a character set")?.to_ascii_lowercase());
        } else if cursor.take_word(&["COLLATE"]) {
            cursor.take_symbol('=');
            collation = Some(of_collation(&cursor.name_or_text("a collation")?));
        } else {
            cursor.advance();
        }
    }
    let effect = Effect::DatabaseCharset { database, charset: charset.or(collation), created };
    Ok(Change { kind: SchemaChangeKind::Database, effects: vec![effect] })
}

fn read_drop(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    if cursor.is_word(0, &["TEMPORARY"]) {
        return Ok(Statement::Unrelated);
    }
    if cursor.take_word(&["TABLE", "TABLES"]) {
        cursor.take_if_exists();
        let mut effects = Vec::new();
        loop {
            effects.push(Effect::Drop { table: cursor.table(context.database)? });
            if !cursor.take_symbol(',') {
                break;
            }
        }
        return Ok(change(SchemaChangeKind::DropTable, effects));
    }
    if cursor.take_word(&["DATABASE", "SCHEMA"]) {
        cursor.take_if_exists();
        let database = cursor.name("a database")?;
        return Ok(change(SchemaChangeKind::Database, vec![Effect::DropDatabase { database }]));
    }
    let mark = cursor.mark();
    while cursor.take_word(&["ONLINE", "OFFLINE"]) {}
    if cursor.take_word(&["INDEX"]) {
        cursor.take_if_exists();
        let name = cursor.name("an index")?;
        if !cursor.take_word(&["ON"]) {
            return Err(cursor.error("expected ON"));
        }
        let table = cursor.table(context.database)?;
        let effect = if name.eq_ignore_ascii_case("PRIMARY") {
            Effect::Columns { table, item: "DROP PRIMARY KEY" }
        } else {
            Effect::Keys { table, changes: vec![KeyChange::Drop(name)] }
        };
        return Ok(change(SchemaChangeKind::DropIndex, vec![effect]));
    }
    cursor.reset(mark);
    other_object(cursor)
}

fn read_rename(cursor: &mut Cursor<'_>, context: &StatementContext<'_>) -> Result<Statement, ReadError> {
    let mut effects = Vec::new();
    loop {
        let from = cursor.table(context.database)?;
        if !cursor.take_word(&["TO"]) {
            return Err(cursor.error("expected TO"));
        }
        effects.push(Effect::Rename { from, to: cursor.table(context.database)? });
        if !cursor.take_symbol(',') {
            return Ok(change(SchemaChangeKind::RenameTable, effects));
        }
    }
}
