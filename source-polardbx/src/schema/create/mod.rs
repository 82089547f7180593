//! Reads CREATE TABLE, both the server's own text (SHOW CREATE TABLE) and statements that users typed. `table_options` reads what follows
//! the columns, `keys` reads the keys among the columns, and `foreign_keys` finds and removes foreign keys. `for_mysql`
//! removes what only PolarDB-X has.

mod for_mysql;
mod foreign_keys;
mod keys;
mod rewrite;
mod table_options;

use runtime::{Collation, Column, TableId, TableSchema};

use super::ReadError;
use super::collation::{CollationScope, DatabaseCollations, SessionCollations};
pub use super::column::ColumnSpec;
pub use super::column::ExplicitTimestamps;
use super::column::{ColumnRules, Widths};
pub(crate) use super::column::{Place, convert};
use super::cursor::Cursor;
use super::lexer::Dialect;
pub(crate) use for_mysql::for_mysql;
pub(crate) use foreign_keys::{foreign_key_actions, without_foreign_keys};
pub use keys::{KeyDefinition, PartDefinition};
pub(crate) use keys::{Keys, OF_GEOMETRY, add_keys, read_index, read_key, read_key_parts, take_index_words, take_unique_words};
use table_options::TableOptions;
pub(crate) use table_options::read_partition_clause;

/// The settings on which the meaning of a statement depends, besides its text.
#[derive(Clone, Copy)]
pub struct StatementContext<'a> {
    /// The session's default database; empty if it has none.
    pub database: &'a str,
    /// Looks up the default collation of a database.
    pub collations: DatabaseCollations<'a>,
    /// The collations that the session has set for itself.
    pub session: SessionCollations<'a>,
    /// How the SQL text is read.
    pub dialect: Dialect,
    /// Whether a TIMESTAMP with neither NULL nor NOT NULL is nullable (`explicit_defaults_for_timestamp`). This does not matter for the
    /// server's own text, which always has NULL or NOT NULL.
    pub explicit_timestamps: ExplicitTimestamps,
}

impl<'a> StatementContext<'a> {
    /// The context for text that the server itself has printed, such as SHOW CREATE TABLE.
    pub fn new(database: &'a str, collations: DatabaseCollations<'a>) -> Self {
        let (session, explicit_timestamps) = (SessionCollations::default(), ExplicitTimestamps::Known(true));
        Self { database, collations, session, dialect: Dialect::default(), explicit_timestamps }
    }

    /// What decides which collation the statement means.
    pub(super) fn collation_scope(&self) -> CollationScope<'a> {
        let &Self { database, collations, session, dialect, .. } = self;
        CollationScope { database, collations, session, dialect }
    }

    /// The rules for columns of a table with this default collation.
    pub(crate) fn rules<'r>(&'r self, collation: Option<&'r Collation>) -> ColumnRules<'r> {
        let &Self { session, explicit_timestamps, dialect, .. } = self;
        ColumnRules { collation, session, explicit_timestamps, widths: self.widths(), dialect }
    }

    /// Whether the server prints the display widths of integers: MySQL does up to 8.0.18, and MariaDB always does. In text that the server
    /// itself has printed, the widths stay as written.
    fn widths(&self) -> Widths {
        match self.dialect.version {
            u32::MAX => Widths::AsWritten,
            version if version < 80_019 || self.dialect.is_mariadb() => Widths::Always,
            _ => Widths::Never,
        }
    }
}

/// The table that a CREATE TABLE statement defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// The table's schema, with version 1.
    pub schema: TableSchema,
    /// The columns that are nullable, or not, only by an assumption.
    pub unstated: Vec<usize>,
    /// Whether the statement does nothing if the table exists.
    pub if_not_exists: bool,
}

/// Parses the text of `SHOW CREATE TABLE`. `collations` returns the default collation of a database.
pub fn read_create_table(sql: &str, database: &str, collations: DatabaseCollations<'_>) -> Result<CreateTable, ReadError> {
    let context = StatementContext::new(database, collations);
    let mut cursor = Cursor::new(sql, context.dialect)?;
    let head = CreateHead::take(&mut cursor).ok_or_else(|| cursor.error("expected CREATE TABLE"))?;
    let id = cursor.table(database)?;
    match read_body(&mut cursor, &context, id, head.if_not_exists)? {
        CreateBody::Columns(create) => Ok(*create),
        CreateBody::Like(_) => Err(ReadError::new("the statement does not list its columns")),
        CreateBody::Unlisted(error) => Err(error),
    }
}

/// The names in the partition clauses of a CREATE TABLE, without a look at its columns and keys. Those that are columns are the partition
/// columns. Empty for a statement that does not list its columns.
pub(crate) fn partition_names(sql: &str, dialect: Dialect) -> Result<Vec<String>, ReadError> {
    let mut cursor = Cursor::new(sql, dialect)?;
    CreateHead::take(&mut cursor).ok_or_else(|| cursor.error("expected CREATE TABLE"))?;
    cursor.table("")?;
    if !cursor.is_symbol(0, '(') || cursor.is_word(1, &["LIKE", "SELECT", "WITH"]) {
        return Ok(Vec::new());
    }
    cursor.skip_parentheses()?;
    Ok(TableOptions::read(&mut cursor)?.partition_names)
}

/// The first words of a CREATE TABLE: `CREATE [OR REPLACE] [TEMPORARY] … TABLE [IF NOT EXISTS]`.
pub(crate) struct CreateHead {
    pub(crate) temporary: bool,
    pub(crate) if_not_exists: bool,
}

impl CreateHead {
    /// Takes the words before the table's name. If the statement is not a CREATE TABLE, it takes nothing and returns `None`.
    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mark = cursor.mark();
        let mut temporary = false;
        let created = cursor.take_word(&["CREATE"]);
        cursor.take_words(&["OR", "REPLACE"]);
        while cursor.is_word(0, &["TEMPORARY", "PARTITION", "SHADOW"]) {
            temporary |= cursor.is_word(0, &["TEMPORARY"]);
            cursor.advance();
        }
        if created && cursor.take_word(&["TABLE"]) {
            return Some(Self { temporary, if_not_exists: cursor.take_if_not_exists() });
        }
        cursor.reset(mark);
        None
    }
}

/// The part of a CREATE TABLE after the table's name.
pub(crate) enum CreateBody {
    Columns(Box<CreateTable>),
    Like(TableId),
    /// The columns are not listed: they come from a SELECT, or from the storage engine. The error says what is there instead.
    Unlisted(ReadError),
}

pub(crate) fn read_body(
    cursor: &mut Cursor<'_>,
    context: &StatementContext<'_>,
    id: TableId,
    if_not_exists: bool,
) -> Result<CreateBody, ReadError> {
    if cursor.take_word(&["LIKE"]) {
        return Ok(CreateBody::Like(cursor.table(context.database)?));
    }
    if cursor.is_symbol(0, '(') && cursor.is_word(1, &["LIKE"]) {
        cursor.advance();
        cursor.advance();
        return Ok(CreateBody::Like(cursor.table(context.database)?));
    }
    if !cursor.is_symbol(0, '(') || cursor.is_word(1, &["SELECT", "WITH"]) {
        return Ok(CreateBody::Unlisted(cursor.error("expected the columns of the table")));
    }
    // The table's options are read first: they follow the columns, but decide the collations of the columns.
    let body = cursor.mark();
    cursor.skip_parentheses()?;
    let options = TableOptions::read(cursor)?;
    if options.select {
        return Ok(CreateBody::Unlisted(ReadError::new("the statement takes columns from a SELECT")));
    }
    let end = cursor.mark();
    cursor.reset(body);
    let of_database = (context.collations)(&id.database);
    let collation = match options.collation.resolve(&context.collation_scope(), of_database.as_ref())? {
        Some(named) => Some(named.within(of_database.as_ref())?),
        None => of_database,
    };
    let (mut schema, unstated) = read_definitions(cursor, &context.rules(collation.as_ref()), id)?;
    schema.collation = collation;
    for name in &options.partition_names {
        if let Some(column) = find_column(&schema.columns, name).filter(|column| !schema.partition_columns.contains(column)) {
            schema.partition_columns.push(column);
        }
    }
    cursor.reset(end);
    Ok(CreateBody::Columns(Box::new(CreateTable { schema, unstated, if_not_exists })))
}

/// Reads the columns and keys in the parentheses. Returns the schema, and the columns that are nullable, or not, only by an assumption.
fn read_definitions(cursor: &mut Cursor<'_>, rules: &ColumnRules<'_>, id: TableId) -> Result<(TableSchema, Vec<usize>), ReadError> {
    let (mut columns, mut unstated) = (Vec::new(), Vec::new());
    let mut primary: Vec<String> = Vec::new();
    let mut keys = Vec::new();
    let mut periods = Vec::new();
    cursor.expect_symbol('(')?;
    loop {
        match ItemKind::next(cursor) {
            ItemKind::Column => {
                let read = ColumnSpec::read(cursor, rules)?.resolve(rules.collation, None)?;
                if read.primary {
                    primary = vec![read.column.name.clone()];
                }
                if read.unique {
                    keys.push(KeyDefinition::of_column(&read.column.name));
                }
                if find_column(&columns, &read.column.name).is_some() {
                    return Err(ReadError::new(format!("two columns called `{}`", read.column.name)));
                }
                if read.unstated {
                    unstated.push(columns.len());
                }
                columns.push(read.column);
                refuse_many_columns(columns.len())?;
            }
            ItemKind::Primary => {
                primary = read_key(cursor, true)?.columns();
            }
            ItemKind::Unique(constraint) => {
                let key = read_key(cursor, true)?;
                keys.push(KeyDefinition { name: key.name.or(constraint), ..key });
            }
            ItemKind::Index => keys.extend(read_index(cursor)),
            ItemKind::Period => {
                cursor.name("a period")?;
                periods.extend(cursor.names_in_parentheses()?);
            }
            ItemKind::Other => {}
        }
        cursor.skip_item()?;
        if cursor.take_symbol(')') {
            break;
        }
        cursor.expect_symbol(',')?;
    }
    if columns.is_empty() {
        return Err(ReadError::new("the statement does not list its columns"));
    }

    // The two columns of a PERIOD are never NULL (MariaDB).
    for name in periods {
        if let Some(column) = find_column(&columns, &name) {
            columns[column].nullable = false;
            unstated.retain(|&other| other != column);
        }
    }
    let mut schema = TableSchema::new(id, columns);
    for name in primary {
        let column = find_column(&schema.columns, &name)
            .ok_or_else(|| ReadError::new(format!("the primary key names `{name}`, which is not a column")))?;
        schema.columns[column].nullable = false;
        schema.primary_key.push(column);
        unstated.retain(|&other| other != column);
    }
    add_keys(&mut schema, &keys)?;
    // The text of a server has the keys in their order.
    if rules.widths != Widths::AsWritten {
        Keys::sort(&mut schema);
    }
    Ok((schema, unstated))
}

/// The index of a column; `None` if there is no such column. The case of the name does not matter.
pub(crate) fn find_column(columns: &[Column], name: &str) -> Option<usize> {
    columns.iter().position(|column| is_same_column(&column.name, name))
}

/// Whether two names are names of the same column. Their case does not matter.
pub(crate) fn is_same_column(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => one.to_lowercase() == other.to_lowercase(),
    }
}

/// More columns than this are allowed in a table by no server.
pub(crate) const MOST_COLUMNS: usize = 4_096;

/// Refuses more columns than any server allows in a table. What is done for each column takes time for each other column, too.
pub(crate) fn refuse_many_columns(count: usize) -> Result<(), ReadError> {
    if count > MOST_COLUMNS { Err(ReadError::new(format!("a table with more than {MOST_COLUMNS} columns"))) } else { Ok(()) }
}

enum ItemKind {
    Column,
    Primary,
    /// A unique key. Holds the name of the constraint, which the key takes if it has no name of its own.
    Unique(Option<String>),
    /// A key that is not unique.
    Index,
    /// A `PERIOD FOR` of MariaDB.
    Period,
    Other,
}

impl ItemKind {
    /// Returns the kind of the next definition. If the definition is a key, this also takes the words before the key's name.
    fn next(cursor: &mut Cursor<'_>) -> Self {
        let mut constraint = None;
        if cursor.take_word(&["CONSTRAINT"]) && !cursor.is_word(0, &["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
            constraint = cursor.take_name();
        }
        if cursor.take_words(&["PRIMARY", "KEY"]) {
            return Self::Primary;
        }
        if take_unique_words(cursor) {
            return Self::Unique(constraint);
        }
        if cursor.take_words(&["PERIOD", "FOR"]) {
            return Self::Period;
        }
        if take_index_words(cursor) {
            return Self::Index;
        }
        let other = cursor.is_word(0, &["FOREIGN"]) || (cursor.is_word(0, &["CHECK"]) && cursor.is_symbol(1, '('));
        if other { Self::Other } else { Self::Column }
    }
}
