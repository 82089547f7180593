//! TABLE_MAP events. A TABLE_MAP describes the table of the row events that follow. This description is compared with the known schema, and
//! yields the layout by which the rows are decoded.
//!
//! `description` reads what a TABLE_MAP says of its columns. `compare` compares it with the known schema, and `cell` chooses how each column is
//! decoded. `rebuild` makes a schema of it, and `text` writes both for people. `hashes` knows the columns that MariaDB adds. `nameless`
//! makes a layout of it for tables of which nothing else is known.

mod cell;
mod compare;
mod description;
mod event;
mod hashes;
mod nameless;
mod rebuild;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use runtime::{Charset, Column, ColumnKind, KeyPart, TableId, TableSchema};

use super::error::StreamError;
use super::profile::ServerProfile;
use super::row::RowLayout;
use cell::field;
use compare::{compare, with_collation};
use description::{Description, ShownColumn};
pub(crate) use event::{TableMap, read_table_id, read_table_map};
use hashes::long_keys;
pub(crate) use nameless::nameless_layout;
use rebuild::rebuild;
use text::{known_text, shown_text};

/// Compares a TABLE_MAP with the known schema and returns the layout of its rows. The columns `absent` are not in the rows: servers add a
/// column for each expression of a key, and leave its values out.
///
/// Some servers add columns behind the others, see [`hidden_columns`].
pub(crate) fn row_layout(
    map: &TableMap<'_>,
    schema: &Arc<TableSchema>,
    profile: &ServerProfile,
    absent: &[usize],
) -> Result<RowLayout, StreamError> {
    let dialect = profile.dialect();
    let description = Description::read(map, profile)?;
    let hidden = hidden_columns(map, &description, schema, profile);
    let mismatch = |what: String| StreamError::SchemaMismatch {
        table: map.table.clone(),
        what: format!("{what}; the known schema is ({}), and the binlog shows ({})", known_text(schema), shown_text(&description)),
    };
    if map.types.len() != schema.columns.len() + absent.len() + hidden {
        let (shown, known) = (map.types.len().saturating_sub(absent.len()), schema.columns.len());
        return Err(mismatch(format!("the binlog shows {shown} columns, the known schema has {known}")));
    }
    schema.columns.iter().try_for_each(|column| refuse_unsupported(&map.table, column))?;
    let places: Vec<usize> = (0..map.types.len()).filter(|place| !absent.contains(place)).take(schema.columns.len()).collect();
    let cells = compare(&description, schema, &places, dialect).map_err(mismatch)?;
    Ok(RowLayout { schema: schema.clone(), cells, hidden, is_hidden_key: hidden > 0 && profile.is_polardbx(), absent: absent.to_vec() })
}

/// How many columns the server has added behind those of the table, each an integer of 8 bytes.
///
/// PolarDB-X adds its hidden key to a table without a primary key; the row events then say so. MariaDB adds a hash for each unique key that is
/// too long for an index.
fn hidden_columns(map: &TableMap<'_>, description: &Description<'_>, schema: &TableSchema, profile: &ServerProfile) -> usize {
    let known = schema.columns.len();
    let Some(more @ 1..) = map.types.len().checked_sub(known) else { return 0 };
    let (kinds, shown) = (map.types.get(known..).unwrap_or_default(), description.columns.get(known..).unwrap_or_default());
    let are_integers = kinds.iter().all(|kind| *kind == field::LONGLONG);
    let are_hashes = || shown.iter().all(|column| column.name.is_none_or(|name| name.starts_with(b"DB_ROW_HASH_")));
    let is_one = profile.is_polardbx() && more == 1 && !map.is_nullable(known);
    let may_be_hashes = profile.dialect().is_mariadb() && more <= long_keys(schema);
    if are_integers && (is_one || (may_be_hashes && are_hashes())) { more } else { 0 }
}

/// How many expressions the keys of a table have. MySQL adds a column for each, and some versions write it into TABLE_MAPs.
pub(crate) fn expression_count(schema: &TableSchema) -> usize {
    schema.other_keys.iter().flat_map(|key| &key.parts).filter(|part| matches!(part, KeyPart::Expression)).count()
}

/// Whether the table can be rebuilt from this TABLE_MAP: it has the full optional metadata.
pub(crate) fn has_full_metadata(map: &TableMap<'_>, profile: &ServerProfile) -> Result<bool, StreamError> {
    Description::read(map, profile).map(|description| description.has_names())
}

/// Whether all of these columns have the names of columns that MySQL adds for the expressions of keys. Without names it is not known.
pub(crate) fn are_expressions(map: &TableMap<'_>, columns: &[usize], profile: &ServerProfile) -> Result<bool, StreamError> {
    let description = Description::read(map, profile)?;
    Ok(columns.iter().all(|&column| description.columns.get(column).is_some_and(ShownColumn::is_named_like_an_expression)))
}

/// The schema that a TABLE_MAP with full metadata shows. `known` is the schema that it does not match. The columns `absent` are not in the
/// rows. Fails if the TABLE_MAP leaves something open.
pub(crate) fn rebuilt_schema(
    map: &TableMap<'_>,
    known: Option<&TableSchema>,
    profile: &ServerProfile,
    absent: &[usize],
) -> Result<TableSchema, StreamError> {
    let description = Description::read(map, profile)?;
    rebuild(&map.table, &description, known, absent, profile.dialect()).map_err(|what| {
        let known = known.map_or_else(|| "not known".to_owned(), |known| format!("({})", known_text(known)));
        let what = format!(
            "the table cannot be rebuilt from the binlog: {what}; the known schema is {known}, and the binlog shows ({})",
            shown_text(&description)
        );
        StreamError::SchemaMismatch { table: map.table.clone(), what }
    })
}

/// The known schema with the collations that a TABLE_MAP shows; `None` if they are those of the known schema, or if it shows none. The TABLE_MAP
/// must match the schema otherwise. The columns `absent` are not in the rows.
pub(crate) fn with_shown_collations(
    map: &TableMap<'_>,
    schema: &TableSchema,
    profile: &ServerProfile,
    absent: &[usize],
) -> Result<Option<TableSchema>, StreamError> {
    let description = Description::read(map, profile)?;
    let shown = description.columns.iter().enumerate().filter(|(place, _)| !absent.contains(place)).map(|(_, shown)| shown);
    let other = |(column, shown): (&Column, &ShownColumn<'_>)| with_collation(column, shown, profile.dialect());
    let columns: Vec<Option<Column>> = schema.columns.iter().zip(shown).map(other).collect();
    if columns.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut schema = schema.clone();
    schema.version = schema.version.saturating_add(1);
    for (column, other) in schema.columns.iter_mut().zip(columns) {
        if let Some(other) = other {
            *column = other;
        }
    }
    Ok(Some(schema))
}

/// The error for rows of a selected table whose schema is not known.
pub(crate) fn unknown_schema(map: &TableMap<'_>, profile: &ServerProfile) -> Result<StreamError, StreamError> {
    let shown = shown_text(&Description::read(map, profile)?);
    let what = format!("rows of a selected table whose schema is not known; the binlog shows ({shown})");
    Ok(StreamError::SchemaMismatch { table: map.table.clone(), what })
}

fn refuse_unsupported(table: &TableId, column: &Column) -> Result<(), StreamError> {
    let refuse = |what: String| Err(StreamError::UnsupportedColumn { table: table.clone(), what });
    match column.charset() {
        // Row events hold only the numbers of ENUM and SET values. The labels are in the schema, in Unicode, so their character set does
        // not matter.
        Some(_) if matches!(column.kind, ColumnKind::Enum { .. } | ColumnKind::Set { .. }) => Ok(()),
        Some(charset) if Charset::from_name(charset).is_none() => {
            refuse(format!("column `{}` has the character set {charset}, which is not supported yet", column.name))
        }
        _ => Ok(()),
    }
}
