//! The columns that MariaDB adds behind those of a table: a hash for each unique key that is too long for an index.

use runtime::{ColumnKind, TableSchema};

use super::cell::field;
use super::description::{Description, ShownColumn};
use crate::schema::max_bytes;

/// How many of the last columns look like such hashes, and are not known as columns of the table.
pub(super) fn hashes(description: &Description<'_>, known: Option<&TableSchema>) -> usize {
    let is_hash = |shown: &&ShownColumn<'_>| {
        let name = shown.name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| name.starts_with("DB_ROW_HASH_"));
        let is_unknown = name.is_some_and(|name| known.is_none_or(|known| known.column(name).is_none()));
        is_unknown && shown.field.kind == field::LONGLONG && shown.unsigned == Some(true)
    };
    description.columns.iter().rev().take_while(is_hash).count()
}

/// How many unique keys of a table may be too long for an index of MariaDB: those over a whole TEXT or BLOB, or over more than 767 bytes.
pub(super) fn long_keys(schema: &TableSchema) -> usize {
    let bytes = |column: &usize| {
        let Some(column) = schema.columns.get(*column) else { return 0 };
        let width = column.charset().and_then(max_bytes).unwrap_or(1);
        match column.kind {
            ColumnKind::Text { .. } | ColumnKind::Blob { .. } => u32::MAX,
            ColumnKind::Char { length } | ColumnKind::Varchar { length } => length.saturating_mul(width),
            ColumnKind::Binary { length } | ColumnKind::Varbinary { length } => length,
            _ => 8,
        }
    };
    let is_long = |columns: &[usize]| columns.iter().map(bytes).fold(0, u32::saturating_add) > 767;
    schema.unique_keys.iter().filter(|key| is_long(&key.columns)).count()
}
