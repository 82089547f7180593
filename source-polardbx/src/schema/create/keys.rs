//! Reads the keys of a table, and adds its unique keys to the schema.

use std::collections::HashSet;

use runtime::{Column, ColumnKind, KeyPart, OtherKey, TableSchema, UniqueKey};

use super::find_column;
use crate::schema::ReadError;
use crate::schema::cursor::Cursor;

/// A key as it is written, before its columns are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDefinition {
    /// The name of the key; `None` if the statement does not give one.
    pub name: Option<String>,
    /// Whether it is unique.
    pub unique: bool,
    /// What the key covers, in order.
    pub parts: Vec<PartDefinition>,
}

/// A part of a key as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartDefinition {
    /// A column. If the key covers only a prefix of the column, the number is the length of the prefix.
    Column(String, Option<u32>),
    /// An expression.
    Expression,
}

impl KeyDefinition {
    /// The key of a column that is declared UNIQUE.
    pub(crate) fn of_column(name: &str) -> Self {
        Self { name: None, unique: true, parts: vec![PartDefinition::Column(name.to_owned(), None)] }
    }

    /// The names of its columns.
    pub(crate) fn columns(self) -> Vec<String> {
        let column = |part| if let PartDefinition::Column(name, _) = part { Some(name) } else { None };
        self.parts.into_iter().filter_map(column).collect()
    }
}

/// The length of the prefix of a geometry in a unique key, whatever its definition says.
pub(crate) const OF_GEOMETRY: u32 = 25;

/// More keys than this are allowed in a table by no server.
const MOST_KEYS: usize = 1_024;

/// Adds keys to a table, behind its other keys.
pub(crate) fn add_keys<'a>(schema: &mut TableSchema, added: impl IntoIterator<Item = &'a KeyDefinition>) -> Result<(), ReadError> {
    let mut keys = Keys::take(schema);
    let mut names: HashSet<String> = keys.0.iter().map(|key| key.name.to_ascii_lowercase()).collect();
    for key in added {
        if keys.0.len() >= MOST_KEYS {
            return Err(ReadError::new(format!("a table with more than {MOST_KEYS} keys")));
        }
        let mut parts = Vec::with_capacity(key.parts.len());
        for part in &key.parts {
            parts.push(match part {
                PartDefinition::Expression => KeyPart::Expression,
                PartDefinition::Column(name, prefix) => {
                    let missing = || ReadError::new(format!("a key names `{name}`, which is not a column"));
                    let column = find_column(&schema.columns, name).ok_or_else(missing)?;
                    let kind = &schema.columns[column].kind;
                    let implied = (key.unique && *kind == ColumnKind::Geometry).then_some(OF_GEOMETRY);
                    KeyPart::Column { column, prefix: implied.or(*prefix).filter(|&prefix| is_prefix(kind, prefix)) }
                }
            });
        }
        let name = match &key.name {
            Some(name) => name.clone(),
            None => default_name(&schema.columns, &names, parts.first())?,
        };
        names.insert(name.to_ascii_lowercase());
        keys.0.push(OtherKey { name, unique: key.unique, parts });
    }
    keys.put(schema);
    Ok(())
}

/// All keys of a table other than the primary one, while they change.
pub(crate) struct Keys(pub(crate) Vec<OtherKey>);

impl Keys {
    /// Takes the keys of a table.
    pub(crate) fn take(schema: &mut TableSchema) -> Self {
        let part = |column| KeyPart::Column { column, prefix: None };
        let whole = std::mem::take(&mut schema.unique_keys).into_iter();
        let whole = whole.map(|key| OtherKey { name: key.name, unique: true, parts: key.columns.into_iter().map(part).collect() });
        Self(whole.chain(std::mem::take(&mut schema.other_keys)).collect())
    }

    /// Puts the keys back in their order.
    pub(crate) fn put(self, schema: &mut TableSchema) {
        for key in self.0.into_iter().filter(|key| !key.parts.is_empty()) {
            if key.unique && is_whole(&key) {
                let column = |part: KeyPart| if let KeyPart::Column { column, .. } = part { Some(column) } else { None };
                schema.unique_keys.push(UniqueKey { name: key.name, columns: key.parts.into_iter().filter_map(column).collect() });
            } else {
                schema.other_keys.push(key);
            }
        }
    }

    /// Brings the keys of a table into the server's order: unique keys come first, of these the keys without nullable columns, and of these the keys
    /// over whole columns that are not TEXT or BLOB. Other keys keep their order.
    pub(crate) fn sort(schema: &mut TableSchema) {
        let mut keys = Self::take(schema);
        let is_nullable = |key: &OtherKey, columns: &[Column]| {
            key.parts.iter().any(|part| match part {
                KeyPart::Column { column, .. } => columns.get(*column).is_none_or(|column| column.nullable),
                KeyPart::Expression => true,
            })
        };
        // MariaDB indexes a hash of such a key.
        let is_long = |key: &OtherKey, columns: &[Column]| {
            key.parts.iter().any(|part| match part {
                KeyPart::Column { column, prefix: None } => {
                    columns.get(*column).is_some_and(|column| matches!(column.kind, ColumnKind::Text { .. } | ColumnKind::Blob { .. }))
                }
                _ => false,
            })
        };
        let columns = &schema.columns;
        keys.0.sort_by_key(|key| match key.unique {
            true => (false, is_nullable(key, columns), !is_whole(key) || is_long(key, columns)),
            false => (true, false, false),
        });
        keys.put(schema);
    }
}

fn is_whole(key: &OtherKey) -> bool {
    key.parts.iter().all(|part| matches!(part, KeyPart::Column { prefix: None, .. }))
}

/// The name that the server gives to a key without a name: the name of its first column, with a number if that name is taken. `taken` are the
/// names of the other keys in lower case.
fn default_name(columns: &[Column], taken: &HashSet<String>, first: Option<&KeyPart>) -> Result<String, ReadError> {
    // The server counts no further.
    const NUMBERS: std::ops::Range<u32> = 2..100;
    let base = match first {
        Some(KeyPart::Column { column, .. }) => columns.get(*column).map_or("", |column| column.name.as_str()),
        Some(KeyPart::Expression) | None => "functional_index",
    };
    let is_free = |name: &str| !taken.contains(&name.to_ascii_lowercase());
    if is_free(base) && !base.eq_ignore_ascii_case("PRIMARY") {
        return Ok(base.to_owned());
    }
    let mut numbered = NUMBERS.map(|number| format!("{base}_{number}"));
    numbered.find(|name| is_free(name)).ok_or_else(|| ReadError::new(format!("too many keys without a name over `{base}`")))
}

/// Whether a key with this prefix covers only a part of a column.
fn is_prefix(kind: &ColumnKind, prefix: u32) -> bool {
    match kind {
        ColumnKind::Char { length } | ColumnKind::Varchar { length } | ColumnKind::Binary { length } | ColumnKind::Varbinary { length } => {
            prefix < *length
        }
        // For other columns the server allows only the length of the whole column.
        kind => matches!(kind, ColumnKind::Text { .. } | ColumnKind::Blob { .. } | ColumnKind::Geometry),
    }
}

pub(super) fn is_placement(cursor: &Cursor<'_>, ahead: usize) -> bool {
    cursor.is_word(ahead, &["LOCAL", "GLOBAL", "CLUSTERED", "COLUMNAR"])
}

/// Reads a key that is not unique, behind the words before its name. `None` if it has one of the forms of PolarDB-X that cannot be read here:
/// nothing depends on such a key.
pub(crate) fn read_index(cursor: &mut Cursor<'_>) -> Option<KeyDefinition> {
    let mark = cursor.mark();
    let read = read_key(cursor, false);
    if read.is_err() {
        cursor.reset(mark);
    }
    read.ok()
}

/// Takes the words that begin an index that is not unique: KEY or INDEX, maybe behind FULLTEXT or SPATIAL, or behind placement words such as
/// GLOBAL. Takes nothing, and returns `false`, if there is no such index.
pub(crate) fn take_index_words(cursor: &mut Cursor<'_>) -> bool {
    let placed = is_placement(cursor, 0) && cursor.is_word(1, &["INDEX", "KEY", "COLUMNAR", "FULLTEXT", "SPATIAL"]);
    if !placed && !cursor.is_word(0, &["INDEX", "KEY", "FULLTEXT", "SPATIAL"]) {
        return false;
    }
    while is_placement(cursor, 0) && !cursor.is_symbol(1, '(') {
        cursor.advance();
    }
    cursor.take_word(&["FULLTEXT", "SPATIAL"]);
    cursor.take_word(&["KEY", "INDEX"]);
    true
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
pub(crate) fn read_key(cursor: &mut Cursor<'_>, unique: bool) -> Result<KeyDefinition, ReadError> {
    cursor.take_if_not_exists();
    let mut name = None;
    if !cursor.is_symbol(0, '(') && !cursor.is_word(0, &["USING"]) {
        name = Some(cursor.name("a key")?);
    }
    if cursor.take_word(&["USING", "TYPE"]) {
        cursor.advance();
    }
    Ok(KeyDefinition { name, unique, parts: read_key_parts(cursor)? })
}

/// Reads the parts of a key, `(part, …)`.
pub(crate) fn read_key_parts(cursor: &mut Cursor<'_>) -> Result<Vec<PartDefinition>, ReadError> {
    let mut parts = Vec::new();
    cursor.expect_symbol('(')?;
    loop {
        if cursor.is_symbol(0, '(') {
            cursor.keep()?;
            cursor.skip_parentheses()?;
            parts.push(PartDefinition::Expression);
        } else {
            let column = cursor.name("a column")?;
            let mut prefix = None;
            if cursor.take_symbol('(') {
                prefix = Some(cursor.take_number().ok_or_else(|| cursor.error("expected a length"))?);
                cursor.expect_symbol(')')?;
            }
            parts.push(PartDefinition::Column(column, prefix));
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
