//! Reads the keys of a table, and adds its unique keys to the schema.

use runtime::{ColumnKind, TableSchema, UniqueKey};

use super::find_column;
use crate::schema::ReadError;
use crate::schema::cursor::Cursor;

/// A key as it is written, before its columns are looked up.
pub(crate) struct KeyDefinition {
    pub(crate) name: Option<String>,
    pub(crate) parts: Vec<KeyPart>,
}

/// A part of a key.
pub(crate) enum KeyPart {
    /// A column. If the key covers only a prefix of the column, the number is the length of the prefix.
    Column(String, Option<u32>),
    Expression,
}

impl KeyDefinition {
    /// Whether a part of the key is an expression. The server keeps the values of an expression in a hidden column. This column may be
    /// anywhere among the other columns of the row images.
    pub(crate) fn has_expression(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, KeyPart::Expression))
    }
}

/// Whether a part of the next key is an expression. Does not move the cursor.
pub(crate) fn is_over_expression(cursor: &mut Cursor<'_>) -> bool {
    let mark = cursor.mark();
    // Some forms of keys in PolarDB-X cannot be parsed here, but they contain no expressions.
    let found = read_key(cursor).is_ok_and(|key| key.has_expression());
    cursor.reset(mark);
    found
}

/// The error for a key over an expression.
pub(crate) fn over_expression() -> ReadError {
    ReadError::new("a key over an expression is not supported yet")
}

/// Adds a unique key in the server's order: keys without nullable columns come first. A key over a prefix of a column is left out.
pub(crate) fn add_unique_key(schema: &mut TableSchema, key: KeyDefinition) -> Result<(), ReadError> {
    let mut columns = Vec::new();
    for part in &key.parts {
        let KeyPart::Column(name, prefix) = part else { return Err(over_expression()) };
        let index =
            find_column(&schema.columns, name).ok_or_else(|| ReadError::new(format!("a key names `{name}`, which is not a column")))?;
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

/// The name that the server gives to a key without a name: the name of its first column, with a number if that name is taken.
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

pub(super) fn is_placement(cursor: &Cursor<'_>, ahead: usize) -> bool {
    cursor.is_word(ahead, &["LOCAL", "GLOBAL", "CLUSTERED", "COLUMNAR"])
}

/// Takes the words that begin a unique key: UNIQUE, with optional placement words (such as GLOBAL) before or after it, and then optionally
/// KEY or INDEX. A placement word after UNIQUE is taken only if KEY, INDEX or COLUMNAR follows it; otherwise it is the name of the key.
/// Takes nothing, and returns `false`, if UNIQUE is missing.
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

/// Reads the rest of a key, `[name] [USING …] (part, …)`.
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

/// Reads the parts of a key, `(part, …)`.
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
        if cursor.is_word(0, &["WITHOUT"]) && cursor.is_word(1, &["OVERLAPS"]) {
            return Err(ReadError::new("keys WITHOUT OVERLAPS are not supported"));
        }
        if cursor.take_symbol(')') {
            return Ok(parts);
        }
        cursor.expect_symbol(',')?;
    }
}
