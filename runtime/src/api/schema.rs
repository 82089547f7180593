//! Tables as the pipeline knows them: columns, keys and the source's own type texts.

use std::fmt::{self, Write};
use std::str::Chars;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::collation::Collation;
use super::escape::is_unprintable;

/// The name of a table. Names are the source's, or the mapped ones after a transform; they may hold any character.
///
/// Shown as `database.table`. A part with a dot, a backtick, a backslash, blanks or unprintable characters stands in backticks. There a
/// backtick is doubled, and a backslash and an unprintable character ([`is_unprintable`]) are written as in Rust: `\\`, `\n`, `\u{1b}`. So
/// every name can be printed, and is read back as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId {
    /// Database (schema) name.
    pub database: Arc<str>,
    /// Table name.
    pub table: Arc<str>,
}

impl TableId {
    /// The table `table` of `database`.
    pub fn new(database: impl Into<Arc<str>>, table: impl Into<Arc<str>>) -> Self {
        Self { database: database.into(), table: table.into() }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in [&self.database, &self.table].into_iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            let is_special = |c: char| matches!(c, '.' | '`' | '\\') || c.is_whitespace() || is_unprintable(c);
            if !part.is_empty() && !part.contains(is_special) {
                f.write_str(part)?;
                continue;
            }
            f.write_char('`')?;
            for c in part.chars() {
                match c {
                    '`' => f.write_str("``")?,
                    c if c == '\\' || is_unprintable(c) => write!(f, "{}", c.escape_default())?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('`')?;
        }
        Ok(())
    }
}

impl std::str::FromStr for TableId {
    type Err = String;

    /// Reads `database.table` as `Display` writes it.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = split_name(text)?.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(database), Some(table), None) if !database.is_empty() && !table.is_empty() => Ok(Self::new(database, table)),
            _ => Err(format!("`{text}` is not of the form database.table (parts with dots or spaces stand in backticks)")),
        }
    }
}

/// The parts of a dotted name; a part may stand in backticks, in which two backticks mean one, and a backslash begins an escape
/// ([`TableId`]).
pub fn split_name(text: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut chars = text.chars();
    loop {
        if part.is_empty() && skip(&mut chars, '`') {
            loop {
                match chars.next() {
                    Some('`') if skip(&mut chars, '`') => part.push('`'),
                    Some('`') => break,
                    Some('\\') => part.push(unescaped(&mut chars).ok_or_else(|| {
                        format!("`{text}` has a backslash in backticks that is not one of \\\\, \\n, \\r, \\t and \\u{{1b}}")
                    })?),
                    Some(other) => part.push(other),
                    None => return Err(format!("`{text}` has a backtick that is not closed")),
                }
            }
            if !matches!(chars.clone().next(), None | Some('.')) {
                return Err(format!("`{text}` continues after a closing backtick without a dot"));
            }
        }
        match chars.next() {
            Some('.') => parts.push(std::mem::take(&mut part)),
            Some(other) => part.push(other),
            None => {
                parts.push(part);
                return Ok(parts);
            }
        }
    }
}

/// Passes over the next character if it is `expected`; returns whether it was.
fn skip(chars: &mut Chars<'_>, expected: char) -> bool {
    let is_next = chars.as_str().starts_with(expected);
    if is_next {
        chars.next();
    }
    is_next
}

/// The character that a backslash and what follows it stand for.
fn unescaped(chars: &mut Chars<'_>) -> Option<char> {
    match chars.next()? {
        '\\' => Some('\\'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'u' => {
            let (digits, rest) = chars.as_str().strip_prefix('{')?.split_once('}')?;
            *chars = rest.chars();
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        }
        _ => None,
    }
}

/// One version of a table's schema. Shared by all events that were written under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableSchema {
    /// The table's name.
    pub id: TableId,
    /// Columns in the order of the row images.
    pub columns: Vec<Column>,
    /// Indexes into `columns`, in key order; empty without a primary key.
    pub primary_key: Vec<usize>,
    /// Unique keys over whole columns, other than the primary key, in the table's order.
    pub unique_keys: Vec<UniqueKey>,
    /// All other keys, in the table's order. They do not identify rows, but later statements may rename, drop or change them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_keys: Vec<OtherKey>,
    /// Columns that the source shards by, if it does; part of the effective key.
    pub partition_columns: Vec<usize>,
    /// Collation of a text column that is added without one; `None` if it is not known.
    #[serde(default)]
    pub collation: Option<Collation>,
    /// Rises with every change of the table, from 1.
    pub version: u32,
    /// Columns by whose values a transform has chosen rows, so that the transforms behind it must not change them. Indexes into `columns`.
    #[serde(skip)]
    pub filter_columns: Vec<usize>,
    /// Columns that a transform has added: the table of the source does not have them. Indexes into `columns`.
    #[serde(skip)]
    pub added_columns: Vec<usize>,
}

impl TableSchema {
    /// A table with these columns and no keys.
    pub fn new(id: TableId, columns: Vec<Column>) -> Self {
        Self {
            id,
            columns,
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            other_keys: Vec::new(),
            partition_columns: Vec::new(),
            collation: None,
            version: 1,
            filter_columns: Vec::new(),
            added_columns: Vec::new(),
        }
    }

    /// The index of the column called `name` (exact spelling).
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The columns that identify a row: the primary key, else the first unique key without a nullable column, and the partition columns,
    /// because a key may be unique within a partition only. Empty if no row can be told from another.
    pub fn effective_key(&self) -> Vec<usize> {
        let usable = |key: &&UniqueKey| {
            !key.columns.is_empty() && key.columns.iter().all(|&column| self.columns.get(column).is_some_and(|column| !column.nullable))
        };
        let unique = || self.unique_keys.iter().find(usable).map(|key| key.columns.clone()).unwrap_or_default();
        let mut key = if self.primary_key.is_empty() { unique() } else { self.primary_key.clone() };
        if !key.is_empty() {
            let others: Vec<usize> = self.partition_columns.iter().copied().filter(|column| !key.contains(column)).collect();
            key.extend(others);
        }
        key
    }
}

/// A unique key of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    /// The key's name.
    pub name: String,
    /// Indexes into the table's columns, in key order.
    pub columns: Vec<usize>,
}

/// A key that is not unique, or is unique over a prefix of a column or over an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherKey {
    /// The key's name.
    pub name: String,
    /// Whether the key is unique.
    pub unique: bool,
    /// What the key covers, in key order.
    pub parts: Vec<KeyPart>,
}

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyPart {
    /// A column, by its index.
    Column {
        /// Index into the table's columns.
        column: usize,
        /// The number of characters at its beginning that the key covers; `None` for the whole column.
        prefix: Option<u32>,
    },
    /// The value of an expression.
    Expression,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// Integers and decimals only.
    pub unsigned: bool,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// Collation of `Char`, `Varchar`, `Text`, `Enum` and `Set` columns.
    pub collation: Option<Collation>,
    /// The source's own text of the type, such as `int(10) unsigned`.
    pub source_type: String,
}

impl Column {
    /// A nullable, signed column without a collation.
    pub fn new(name: impl Into<String>, kind: ColumnKind, source_type: impl Into<String>) -> Self {
        Self { name: name.into(), kind, unsigned: false, nullable: true, collation: None, source_type: source_type.into() }
    }

    /// Character set of `Char`, `Varchar`, `Text`, `Enum` and `Set` columns, such as `utf8mb4`.
    pub fn charset(&self) -> Option<&str> {
        self.collation.as_ref().map(Collation::charset)
    }
}

/// The kinds of values a column can hold, with what is needed to read and write them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ColumnKind {
    /// An integer of 1, 2, 3, 4 or 8 bytes.
    Int {
        /// Storage bytes.
        bytes: u8,
    },
    /// An exact number.
    Decimal {
        /// Digits in all, 1 to 65.
        precision: u8,
        /// Digits after the point, 0 to 30.
        scale: u8,
    },
    /// A 4-byte float.
    Float,
    /// An 8-byte float.
    Double,
    /// A bit field of 1 to 64 bits.
    Bit {
        /// Its width.
        bits: u8,
    },
    /// A year, 1901 to 2155 or 0.
    Year,
    /// A calendar date; zero parts are possible.
    Date,
    /// A signed duration up to ±838:59:59.
    Time {
        /// Digits of the fraction, 0 to 6.
        fsp: u8,
    },
    /// A date and time without zone; zero parts are possible.
    DateTime {
        /// Digits of the fraction, 0 to 6.
        fsp: u8,
    },
    /// A moment, stored in UTC.
    Timestamp {
        /// Digits of the fraction, 0 to 6.
        fsp: u8,
    },
    /// Characters of fixed length.
    Char {
        /// Characters.
        length: u32,
    },
    /// Characters of variable length.
    Varchar {
        /// Characters.
        length: u32,
    },
    /// TINYTEXT to LONGTEXT.
    Text {
        /// Bytes of the length prefix, 1 to 4.
        prefix: u8,
    },
    /// Bytes of fixed length, padded with zeros.
    Binary {
        /// Bytes.
        length: u32,
    },
    /// Bytes of variable length.
    Varbinary {
        /// Bytes.
        length: u32,
    },
    /// TINYBLOB to LONGBLOB.
    Blob {
        /// Bytes of the length prefix, 1 to 4.
        prefix: u8,
    },
    /// One of a list of labels; values are indexes from 1, 0 is the empty error value.
    Enum {
        /// The labels, in UTF-8.
        labels: Vec<String>,
    },
    /// Any of a list of labels; values are bit masks, the first label is bit 0.
    Set {
        /// The labels, in UTF-8.
        labels: Vec<String>,
    },
    /// A JSON document.
    Json,
    /// A geometry: 4 bytes of SRID (little endian) and WKB.
    Geometry,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_with_dots_are_quoted() {
        assert_eq!(TableId::new("a.b", "c`d").to_string(), "`a.b`.`c``d`");
        assert_eq!(TableId::new("shop", "t").to_string(), "shop.t");
    }

    #[test]
    fn names_with_unprintable_characters_are_escaped() {
        assert_eq!(TableId::new("shop", "a\x1b]0;x\x07\nok").to_string(), r"shop.`a\u{1b}]0;x\u{7}\nok`");
        assert_eq!(TableId::new("s\u{202e}", r"a\u{1b}").to_string(), r"`s\u{202e}`.`a\\u{1b}`", "no other name looks like it");
    }

    #[test]
    fn names_read_back_as_written() {
        for (database, table) in [("shop", "orders"), ("a.b", "c`d"), ("x y", "☃"), ("d", "`"), ("\n", "\r\t"), ("\\", r"\u{1b}")] {
            let id = TableId::new(database, table);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let wrong = ["", "shop", "a.b.c", "`a.b", "`a`b.c", ".t", "d.", r"a.`\`", r"a.`\x`", r"a.`\u{`", r"a.`\u{d800}`", r"a.`\u{}`"];
        for wrong in wrong {
            assert!(wrong.parse::<TableId>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_printable_and_read_back(database in ".{1,8}|[\\PC\\pC`.\\\\]{1,8}", table in "[\\pC`.\\\\nu{}]{1,8}") {
            let id = TableId::new(database, table);
            let text = id.to_string();
            prop_assert!(!text.contains(is_unprintable), "{text:?}");
            prop_assert_eq!(text.parse(), Ok(id));
        }
    }

    #[test]
    fn the_effective_key_falls_back_to_a_unique_key_without_nulls() {
        let column = |name: &str, nullable| Column { nullable, ..Column::new(name, ColumnKind::Int { bytes: 4 }, "int(11)") };
        let mut schema = TableSchema::new(TableId::new("d", "t"), vec![column("a", true), column("b", false), column("c", false)]);
        assert!(schema.effective_key().is_empty());
        schema.unique_keys = vec![UniqueKey { name: "u".into(), columns: vec![0] }, UniqueKey { name: "v".into(), columns: vec![1] }];
        assert_eq!(schema.effective_key(), [1]);
        schema.partition_columns = vec![2, 1];
        assert_eq!(schema.effective_key(), [1, 2], "it may be unique within a partition only");
        schema.partition_columns.clear();
        schema.primary_key = vec![2];
        schema.partition_columns = vec![0, 2];
        assert_eq!(schema.effective_key(), [2, 0]);
    }
}
