//! Reads CREATE TABLE: the server's own text (SHOW CREATE TABLE) and statements that users typed.

use runtime::{Column, ColumnKind, TableId, TableSchema, UniqueKey};

use super::ReadError;
use super::charset::of_collation;
use super::column::{ColumnRules, read_column};
use super::cursor::Cursor;
use super::lexer::Dialect;

/// Gives the default character set of a database, if it is known.
pub type DatabaseCharsets<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// What around a statement decides its meaning.
#[derive(Clone, Copy)]
pub struct StatementContext<'a> {
    /// The session's default database; may be empty.
    pub database: &'a str,
    /// Default character sets of databases.
    pub charsets: DatabaseCharsets<'a>,
    /// How text is read.
    pub dialect: Dialect,
    /// Whether a TIMESTAMP that says neither NULL nor NOT NULL is nullable (`explicit_defaults_for_timestamp`). The server's own text
    /// always says it.
    pub explicit_timestamps: bool,
}

impl<'a> StatementContext<'a> {
    /// The context of the server's own text.
    pub fn new(database: &'a str, charsets: DatabaseCharsets<'a>) -> Self {
        Self { database, charsets, dialect: Dialect::default(), explicit_timestamps: true }
    }

    /// MySQL prints integer widths up to 8.0.18, MariaDB always.
    fn integer_widths(&self) -> bool {
        self.dialect.version < 80_019 || (100_000..u32::MAX).contains(&self.dialect.version)
    }
}

/// A table as a CREATE TABLE statement makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// Its structure, as version 1.
    pub schema: TableSchema,
    /// Whether the statement does nothing if the table exists.
    pub if_not_exists: bool,
}

/// Reads the text of `SHOW CREATE TABLE`. `default_charset` gives the default character set of a database.
pub fn read_create_table(sql: &str, database: &str, default_charset: DatabaseCharsets<'_>) -> Result<CreateTable, ReadError> {
    let context = StatementContext::new(database, default_charset);
    let mut cursor = Cursor::new(sql, context.dialect)?;
    let head = CreateHead::take(&mut cursor).ok_or_else(|| cursor.error("expected CREATE TABLE"))?;
    let id = cursor.table(database)?;
    match read_body(&mut cursor, &context, id, head.if_not_exists)? {
        CreateBody::Columns(create) => Ok(*create),
        CreateBody::Like(_) | CreateBody::Select => Err(ReadError::new("the statement does not list its columns")),
    }
}

/// `CREATE [OR REPLACE] [TEMPORARY] … TABLE [IF NOT EXISTS]`.
pub(crate) struct CreateHead {
    pub(crate) temporary: bool,
    pub(crate) if_not_exists: bool,
}

impl CreateHead {
    /// Takes the words up to the table's name; takes nothing if they are not there.
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

/// What follows the table's name.
pub(crate) enum CreateBody {
    Columns(Box<CreateTable>),
    Like(TableId),
    Select,
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
        return Ok(CreateBody::Select);
    }
    // The table's options follow its columns but decide their character sets.
    let body = cursor.mark();
    cursor.skip_parentheses()?;
    let options = TableOptions::read(cursor)?;
    if options.select {
        return Ok(CreateBody::Select);
    }
    let end = cursor.mark();
    cursor.reset(body);
    let charset = options.charset.or_else(|| (context.charsets)(&id.database));
    let rules = ColumnRules {
        charset: charset.as_deref(),
        explicit_timestamps: context.explicit_timestamps,
        integer_widths: context.integer_widths(),
        real_as_float: context.dialect.real_as_float,
    };
    let mut schema = read_definitions(cursor, &rules, id)?;
    for name in &options.partition_names {
        if let Some(column) = find_column(&schema.columns, name).filter(|column| !schema.partition_columns.contains(column)) {
            schema.partition_columns.push(column);
        }
    }
    cursor.reset(end);
    Ok(CreateBody::Columns(Box::new(CreateTable { schema, if_not_exists })))
}

/// What follows the columns.
#[derive(Default)]
struct TableOptions {
    charset: Option<String>,
    /// Every name in the parentheses of partition clauses; those that are columns are what the table is sharded by.
    partition_names: Vec<String>,
    select: bool,
}

impl TableOptions {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, ReadError> {
        let mut options = Self::default();
        let mut collation = None;
        while !cursor.at_end() {
            if cursor.take_word(&["CHARSET"]) || cursor.take_words(&["CHARACTER", "SET"]) {
                cursor.take_symbol('=');
                options.charset = Some(cursor.name_or_text("a character set")?.to_ascii_lowercase());
            } else if cursor.take_word(&["COLLATE"]) {
                cursor.take_symbol('=');
                collation = Some(of_collation(&cursor.name_or_text("a collation")?));
            } else if cursor.take_word(&["COMMENT", "ENGINE", "CONNECTION", "PASSWORD", "TABLESPACE"]) {
                cursor.take_symbol('=');
                cursor.advance();
            } else if is_partition_clause(cursor) {
                options.partition_names.extend(read_partition_clause(cursor)?);
            } else if cursor.is_word(0, &["SELECT", "AS", "WITH"]) {
                options.select = true;
                break;
            } else if cursor.is_symbol(0, '(') {
                options.select |= cursor.is_word(1, &["SELECT"]);
                cursor.skip_parentheses()?;
            } else {
                cursor.advance();
            }
        }
        options.charset = options.charset.or(collation);
        Ok(options)
    }
}

/// Whether `PARTITION BY`, `SUBPARTITION BY`, `DBPARTITION BY` or `TBPARTITION BY` is next (not `LOCAL PARTITION BY`, which only ages rows).
pub(crate) fn is_partition_clause(cursor: &Cursor<'_>) -> bool {
    cursor.is_word(0, &["PARTITION", "SUBPARTITION", "DBPARTITION", "TBPARTITION"]) && cursor.is_word(1, &["BY"])
}

/// Takes the clause up to the end of its first parenthesis and gives the names in it.
pub(crate) fn read_partition_clause(cursor: &mut Cursor<'_>) -> Result<Vec<String>, ReadError> {
    cursor.advance();
    cursor.advance();
    while cursor.peek().is_some() && !cursor.is_symbol(0, '(') {
        cursor.advance();
    }
    if cursor.is_symbol(0, '(') { cursor.skip_parentheses() } else { Ok(Vec::new()) }
}

/// A key as a definition declares it, before its columns are known.
pub(crate) struct KeyDefinition {
    pub(crate) name: Option<String>,
    pub(crate) parts: Vec<KeyPart>,
}

/// A part of a key.
pub(crate) enum KeyPart {
    /// A column, and how many characters of it.
    Column(String, Option<u32>),
    Expression,
}

fn read_definitions(cursor: &mut Cursor<'_>, rules: &ColumnRules<'_>, id: TableId) -> Result<TableSchema, ReadError> {
    let mut columns = Vec::new();
    let mut primary: Vec<String> = Vec::new();
    let mut keys = Vec::new();
    cursor.expect_symbol('(')?;
    loop {
        match ItemKind::next(cursor) {
            ItemKind::Column => {
                let read = read_column(cursor, rules)?;
                if read.primary {
                    primary = vec![read.column.name.clone()];
                }
                if read.unique {
                    keys.push(KeyDefinition { name: None, parts: vec![KeyPart::Column(read.column.name.clone(), None)] });
                }
                if find_column(&columns, &read.column.name).is_some() {
                    return Err(ReadError::new(format!("two columns called `{}`", read.column.name)));
                }
                columns.push(read.column);
            }
            ItemKind::Primary => {
                let key = read_key(cursor)?;
                primary =
                    key.parts.into_iter().filter_map(|part| if let KeyPart::Column(name, _) = part { Some(name) } else { None }).collect();
            }
            ItemKind::Unique(constraint) => {
                let key = read_key(cursor)?;
                keys.push(KeyDefinition { name: key.name.or(constraint), ..key });
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

    let mut schema = TableSchema::new(id, columns);
    for name in primary {
        let column = find_column(&schema.columns, &name)
            .ok_or_else(|| ReadError::new(format!("the primary key names `{name}`, which is no column")))?;
        schema.columns[column].nullable = false;
        schema.primary_key.push(column);
    }
    for key in keys {
        add_unique_key(&mut schema, key)?;
    }
    Ok(schema)
}

/// Adds a unique key where the server lists it: keys without a nullable column come first. Keys over prefixes or expressions are left out.
pub(crate) fn add_unique_key(schema: &mut TableSchema, key: KeyDefinition) -> Result<(), ReadError> {
    let mut columns = Vec::new();
    for part in &key.parts {
        let KeyPart::Column(name, prefix) = part else { return Ok(()) };
        let index =
            find_column(&schema.columns, name).ok_or_else(|| ReadError::new(format!("a key names `{name}`, which is no column")))?;
        if is_prefix(&schema.columns[index].kind, *prefix) {
            return Ok(());
        }
        columns.push(index);
    }
    let Some(&first) = columns.first() else { return Ok(()) };
    let name = key.name.unwrap_or_else(|| default_name(schema, first));
    let nullable = |columns: &[usize]| columns.iter().any(|&column| schema.columns[column].nullable);
    let at = if nullable(&columns) {
        schema.unique_keys.len()
    } else {
        schema.unique_keys.iter().position(|other| nullable(&other.columns)).unwrap_or(schema.unique_keys.len())
    };
    schema.unique_keys.insert(at, UniqueKey { name, columns });
    Ok(())
}

/// The server names a nameless key after its first column, with a number if that name is taken.
fn default_name(schema: &TableSchema, column: usize) -> String {
    let base = &schema.columns[column].name;
    let taken = |name: &str| schema.unique_keys.iter().any(|key| key.name.eq_ignore_ascii_case(name));
    if !taken(base) && !base.eq_ignore_ascii_case("PRIMARY") {
        return base.clone();
    }
    (2u32..).map(|number| format!("{base}_{number}")).find(|name| !taken(name)).unwrap_or_default()
}

fn is_prefix(kind: &ColumnKind, prefix: Option<u32>) -> bool {
    match (prefix, kind) {
        (None, _) => false,
        (
            Some(prefix),
            ColumnKind::Char { length } | ColumnKind::Varchar { length } | ColumnKind::Binary { length } | ColumnKind::Varbinary { length },
        ) => prefix < *length,
        (Some(_), _) => true,
    }
}

/// The index of a column; names of columns know no case.
pub(crate) fn find_column(columns: &[Column], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.name == name || column.name.to_lowercase() == name.to_lowercase())
}

enum ItemKind {
    Column,
    Primary,
    /// With the constraint's name, which is the key's if it has none of its own.
    Unique(Option<String>),
    Other,
}

impl ItemKind {
    /// What the next definition is. For keys the words before the name are taken.
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
        let other = cursor.is_word(0, &["KEY", "INDEX", "FULLTEXT", "SPATIAL", "FOREIGN"])
            || (cursor.is_word(0, &["CHECK"]) && cursor.is_symbol(1, '('))
            || (cursor.is_word(0, &["PERIOD"]) && cursor.is_word(1, &["FOR"]))
            || (is_placement(cursor, 0) && cursor.is_word(1, &["KEY", "INDEX", "COLUMNAR", "FULLTEXT", "SPATIAL"]));
        if other { Self::Other } else { Self::Column }
    }
}

fn is_placement(cursor: &Cursor<'_>, ahead: usize) -> bool {
    cursor.is_word(ahead, &["LOCAL", "GLOBAL", "CLUSTERED", "COLUMNAR"])
}

/// Takes `UNIQUE [GLOBAL|LOCAL|CLUSTERED] [KEY|INDEX]`, or the same with the words in the other order; nothing if it is not there.
pub(crate) fn take_unique_words(cursor: &mut Cursor<'_>) -> bool {
    let mark = cursor.mark();
    while is_placement(cursor, 0) {
        cursor.advance();
    }
    if !cursor.take_word(&["UNIQUE"]) {
        cursor.reset(mark);
        return false;
    }
    while is_placement(cursor, 0) && cursor.is_word(1, &["KEY", "INDEX", "COLUMNAR"]) {
        cursor.advance();
    }
    cursor.take_word(&["KEY", "INDEX"]);
    true
}

/// Reads `[name] [USING …] (part, …)`.
pub(crate) fn read_key(cursor: &mut Cursor<'_>) -> Result<KeyDefinition, ReadError> {
    cursor.take_if_not_exists();
    let mut name = None;
    if !cursor.is_symbol(0, '(') && !cursor.is_word(0, &["USING"]) {
        name = Some(cursor.name("a key")?);
    }
    if cursor.take_word(&["USING", "TYPE"]) {
        cursor.advance();
    }
    Ok(KeyDefinition { name, parts: read_key_parts(cursor)? })
}

/// Reads `(part, …)`.
pub(crate) fn read_key_parts(cursor: &mut Cursor<'_>) -> Result<Vec<KeyPart>, ReadError> {
    let mut parts = Vec::new();
    cursor.expect_symbol('(')?;
    loop {
        if cursor.is_symbol(0, '(') {
            cursor.skip_parentheses()?;
            parts.push(KeyPart::Expression);
        } else {
            let column = cursor.name("a column")?;
            let mut prefix = None;
            if cursor.take_symbol('(') {
                prefix = Some(cursor.take_number().ok_or_else(|| cursor.error("expected a length"))?);
                cursor.expect_symbol(')')?;
            }
            parts.push(KeyPart::Column(column, prefix));
        }
        cursor.take_word(&["ASC", "DESC"]);
        if cursor.take_symbol(')') {
            return Ok(parts);
        }
        cursor.expect_symbol(',')?;
    }
}
