//! TABLE_MAP events. A TABLE_MAP describes the table of the row events that follow. This description is compared with the known schema, and
//! yields the layout by which the rows are decoded.
//!
//! `description` reads what a TABLE_MAP says of its columns. `compare` compares it with the known schema, and `cell` chooses how each column is
//! decoded. `rebuild` makes a schema of it, and `text` writes both for people.

mod cell;
mod compare;
mod description;
mod event;
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
use compare::compare;
use description::{Description, ShownColumn};
pub(crate) use event::{TableMap, read_table_id, read_table_map};
use rebuild::rebuild;
use text::{known_text, shown_text};

/// Compares a TABLE_MAP with the known schema and returns the layout of its rows. The columns `absent` are not in the rows: servers add a
/// column for each expression of a key, and leave its values out.
///
/// PolarDB-X may add one column behind the others, its hidden key of a table without a primary key. The row events then say so.
pub(crate) fn row_layout(
    map: &TableMap<'_>,
    schema: &Arc<TableSchema>,
    profile: &ServerProfile,
    absent: &[usize],
) -> Result<RowLayout, StreamError> {
    let dialect = profile.dialect();
    let hidden_key = profile.is_polardbx()
        && map.types.len() == schema.columns.len() + 1
        && map.types.last() == Some(&field::LONGLONG)
        && !map.is_nullable(schema.columns.len());
    let description = Description::read(map, dialect)?;
    let mismatch = |what: String| StreamError::SchemaMismatch {
        table: map.table.clone(),
        what: format!("{what}; the known schema is ({}), and the binlog shows ({})", known_text(schema), shown_text(&description)),
    };
    if map.types.len() != schema.columns.len() + absent.len() + usize::from(hidden_key) {
        let (shown, known) = (map.types.len().saturating_sub(absent.len()), schema.columns.len());
        return Err(mismatch(format!("the binlog shows {shown} columns, the known schema has {known}")));
    }
    schema.columns.iter().try_for_each(|column| refuse_unsupported(&map.table, column))?;
    let places: Vec<usize> = (0..map.types.len()).filter(|place| !absent.contains(place)).take(schema.columns.len()).collect();
    let cells = compare(&description, schema, &places, dialect).map_err(mismatch)?;
    Ok(RowLayout { schema: schema.clone(), cells, hidden_key, absent: absent.to_vec() })
}

/// How many expressions the keys of a table have. MySQL adds a column for each, and some versions write it into TABLE_MAPs.
pub(crate) fn expression_count(schema: &TableSchema) -> usize {
    schema.other_keys.iter().flat_map(|key| &key.parts).filter(|part| matches!(part, KeyPart::Expression)).count()
}

/// Whether the table can be rebuilt from this TABLE_MAP: it has the full optional metadata.
pub(crate) fn has_full_metadata(map: &TableMap<'_>, profile: &ServerProfile) -> Result<bool, StreamError> {
    Description::read(map, profile.dialect()).map(|description| description.has_names())
}

/// Whether all of these columns have the names of columns that MySQL adds for the expressions of keys. Without names it is not known.
pub(crate) fn are_expressions(map: &TableMap<'_>, columns: &[usize], profile: &ServerProfile) -> Result<bool, StreamError> {
    let description = Description::read(map, profile.dialect())?;
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
    let description = Description::read(map, profile.dialect())?;
    rebuild(&map.table, &description, known, absent, profile.dialect()).map_err(|what| {
        let known = known.map_or_else(|| "not known".to_owned(), |known| format!("({})", known_text(known)));
        let what = format!(
            "the table cannot be rebuilt from the binlog: {what}; the known schema is {known}, and the binlog shows ({})",
            shown_text(&description)
        );
        StreamError::SchemaMismatch { table: map.table.clone(), what }
    })
}

/// The error for rows of a selected table whose schema is not known.
pub(crate) fn unknown_schema(map: &TableMap<'_>, profile: &ServerProfile) -> Result<StreamError, StreamError> {
    let shown = shown_text(&Description::read(map, profile.dialect())?);
    let what = format!("rows of a selected table whose schema is not known; the binlog shows ({shown})");
    Ok(StreamError::SchemaMismatch { table: map.table.clone(), what })
}

fn refuse_unsupported(table: &TableId, column: &Column) -> Result<(), StreamError> {
    let refuse = |what: String| Err(StreamError::UnsupportedColumn { table: table.clone(), what });
    match column.charset.as_deref() {
        // Row events hold only the numbers of ENUM and SET values. The labels are in the schema, in Unicode, so their character set does
        // not matter.
        Some(_) if matches!(column.kind, ColumnKind::Enum { .. } | ColumnKind::Set { .. }) => Ok(()),
        Some(charset) if Charset::from_name(charset).is_none() => {
            refuse(format!("column `{}` has the character set {charset}, which is not supported yet", column.name))
        }
        _ => Ok(()),
    }
}
