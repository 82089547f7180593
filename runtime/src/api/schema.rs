//! Tables as the pipeline knows them: columns, keys and the source's own type texts.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::collation::Collation;

/// The name of a table. Names are the source's, or the mapped ones after a transform; they may hold any character.
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
            if part.is_empty() || part.contains(|c: char| c == '.' || c == '`' || c.is_whitespace()) {
                write!(f, "`{}`", part.replace('`', "``"))?;
            } else {
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for TableId {
    type Err = String;

    /// Reads `database.table`; parts with dots, backticks or spaces stand in backticks, as [`TableId`]'s `Display` writes them.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = split_name(text)?.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(database), Some(table), None) if !database.is_empty() && !table.is_empty() => Ok(Self::new(database, table)),
            _ => Err(format!("`{text}` is not of the form database.table (parts with dots or spaces stand in backticks)")),
        }
    }
}

/// The parts of a dotted name; a part may stand in backticks, in which two backticks mean one.
pub fn split_name(text: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut chars = text.chars().peekable();
    loop {
        if part.is_empty() && chars.next_if_eq(&'`').is_some() {
            loop {
                match chars.next() {
                    Some('`') if chars.next_if_eq(&'`').is_some() => part.push('`'),
                    Some('`') => break,
                    Some(other) => part.push(other),
                    None => return Err(format!("`{text}` has a backtick that is not closed")),
                }
            }
            if !matches!(chars.peek(), None | Some('.')) {
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
        }
    }

    /// The index of the column called `name` (exact spelling).
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The columns that identify a row: the primary key, else the first unique key without a nullable column, and the partition columns,
    /// because a key may be unique within a partition only. Empty if no row can be told from another.
    pub fn effective_key(&self) -> Vec<usize> {
        let usable = |key: &&UniqueKey| !key.columns.is_empty() && key.columns.iter().all(|&column| !self.columns[column].nullable);
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
    use super::*;

    #[test]
    fn names_with_dots_are_quoted() {
        assert_eq!(TableId::new("a.b", "c`d").to_string(), "`a.b`.`c``d`");
        assert_eq!(TableId::new("shop", "t").to_string(), "shop.t");
    }

    #[test]
    fn names_read_back_as_written() {
        for (database, table) in [("shop", "orders"), ("a.b", "c`d"), ("x y", "☃"), ("d", "`")] {
            let id = TableId::new(database, table);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in ["", "shop", "a.b.c", "`a.b", "`a`b.c", ".t", "d."] {
            assert!(wrong.parse::<TableId>().is_err(), "{wrong}");
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
