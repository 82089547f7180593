//! What becomes of the columns and keys of one version of a table.

use std::sync::Arc;

use super::config::ColumnsConfig;
use crate::transforms::selected_tables::find_column;
use crate::{Column, Error, KeyPart, OtherKey, Result, TableSchema, UniqueKey};

/// The columns of a table behind the transform.
pub(super) enum Layout {
    /// The same as before.
    Same,
    /// The same cells under other names or keys.
    Renamed(Arc<TableSchema>),
    /// Other cells.
    Moved {
        schema: Arc<TableSchema>,
        /// For each column its index in the table of the source.
        sources: Vec<usize>,
    },
}

impl Layout {
    /// Fails with an error of kind `Config` if no column is left, if two columns get the same name, or if the key is incomplete.
    pub(super) fn of(config: &ColumnsConfig, schema: &Arc<TableSchema>) -> Result<Self> {
        let wrong = |what: String| Error::config(what).with_code("E_CONFIG");
        let listed = |names: &[String]| names.iter().filter_map(|name| find_column(schema, name)).collect::<Vec<_>>();
        let (included, excluded) = (listed(&config.include), listed(&config.exclude));
        let is_kept = |index: &usize| (config.include.is_empty() || included.contains(index)) && !excluded.contains(index);
        let mut columns: Vec<(usize, Column)> = schema.columns.iter().cloned().enumerate().filter(|(index, _)| is_kept(index)).collect();
        if columns.is_empty() {
            return Err(wrong(format!("`columns` leaves no column of table {}", schema.id)));
        }
        for (from, to) in &config.rename {
            let from = find_column(schema, from);
            for (_, column) in columns.iter_mut().filter(|(index, _)| Some(*index) == from) {
                column.name.clone_from(to);
            }
        }
        for (place, (index, column)) in columns.iter().enumerate() {
            if let Some((other, _)) = columns.iter().take(place).find(|(_, other)| other.name == column.name) {
                let names = [other, index].map(|index| schema.columns.get(*index).map_or("", |column| column.name.as_str()));
                return Err(wrong(format!(
                    "`columns` gives two columns of table {} the name `{}`: `{}` and `{}`",
                    schema.id, column.name, names[0], names[1]
                ))
                .with_help("give one of them another name in `transform.columns.rename`, or exclude it"));
            }
        }
        let mut first = Vec::new();
        for name in &config.order {
            if let Some(place) = place_of(&columns, name) {
                first.push(columns.remove(place));
            }
        }
        first.append(&mut columns);
        let (sources, columns): (Vec<usize>, Vec<Column>) = first.into_iter().unzip();
        let laid_out = with_keys(config, schema, &sources, columns)?;
        Ok(if sources.iter().enumerate().any(|(index, source)| index != *source) || sources.len() != schema.columns.len() {
            Self::Moved { schema: Arc::new(laid_out), sources }
        } else if laid_out == **schema {
            Self::Same
        } else {
            Self::Renamed(Arc::new(laid_out))
        })
    }

    /// The schema, if it is another one than before.
    pub(super) fn schema(&self) -> Option<&Arc<TableSchema>> {
        match self {
            Self::Same => None,
            Self::Renamed(schema) | Self::Moved { schema, .. } => Some(schema),
        }
    }
}

/// The place of the column with this new name.
fn place_of(columns: &[(usize, Column)], name: &str) -> Option<usize> {
    let place = |is: &dyn Fn(&str) -> bool| columns.iter().position(|(_, column)| is(&column.name));
    place(&|column| column == name).or_else(|| place(&|column| column.to_lowercase() == name.to_lowercase()))
}

/// The schema with these columns, and with the keys that they leave.
fn with_keys(config: &ColumnsConfig, schema: &TableSchema, sources: &[usize], columns: Vec<Column>) -> Result<TableSchema> {
    let now = |source: &usize| sources.iter().position(|column| column == source);
    let all = |list: &[usize]| list.iter().map(now).collect::<Option<Vec<_>>>();
    let left = |list: &[usize]| list.iter().filter_map(now).collect::<Vec<_>>();
    let mut laid_out = TableSchema { columns, ..schema.clone() };
    laid_out.filter_columns = left(&schema.filter_columns);
    laid_out.added_columns = left(&schema.added_columns);
    let other = |key: &OtherKey| {
        let part = |part: &KeyPart| match part {
            KeyPart::Column { column, prefix } => now(column).map(|column| KeyPart::Column { column, prefix: *prefix }),
            KeyPart::Expression => Some(KeyPart::Expression),
        };
        Some(OtherKey { parts: key.parts.iter().map(part).collect::<Option<_>>()?, ..key.clone() })
    };
    laid_out.other_keys = schema.other_keys.iter().filter_map(other).collect();
    let unique = |key: &UniqueKey| Some(UniqueKey { name: key.name.clone(), columns: all(&key.columns)? });
    laid_out.unique_keys = schema.unique_keys.iter().filter_map(unique).collect();
    laid_out.partition_columns = left(&schema.partition_columns);
    if !config.key.is_empty() {
        (laid_out.unique_keys, laid_out.partition_columns) = (Vec::new(), Vec::new());
        laid_out.primary_key = config
            .key
            .iter()
            .map(|name| {
                find_column(&laid_out, name).ok_or_else(|| {
                    Error::config(format!("table {} has no column `{name}`, which `transform.columns.key` names", schema.id))
                        .with_help("name columns that are left, by their new names")
                        .with_code("E_NO_COLUMN")
                })
            })
            .collect::<Result<_>>()?;
        return Ok(laid_out);
    }
    if let Some(gone) = schema.effective_key().into_iter().find(|column| now(column).is_none()) {
        let name = schema.columns.get(gone).map_or("", |column| column.name.as_str());
        return Err(Error::config(format!("`columns` leaves out the column `{name}` of table {}, which is part of its key", schema.id))
            .with_help("keep the column, or name in `transform.columns.key` the columns that tell rows apart")
            .with_code("E_CONFIG"));
    }
    // Invariant: no column of the effective key is gone, so all of the primary key are there.
    laid_out.primary_key = left(&schema.primary_key);
    Ok(laid_out)
}

/// Whether the source keeps the columns of `key` unique.
pub(super) fn is_unique(config: &ColumnsConfig, schema: &TableSchema) -> bool {
    let source_of = |name: &String| {
        let renamed = config.rename.iter().find(|(_, to)| to.to_lowercase() == name.to_lowercase()).map(|(from, _)| from);
        find_column(schema, renamed.unwrap_or(name))
    };
    let key: Vec<usize> = config.key.iter().filter_map(source_of).collect();
    let is_within = |columns: &[usize]| !columns.is_empty() && columns.iter().all(|column| key.contains(column));
    let is_not_null = |column: &usize| schema.columns.get(*column).is_some_and(|column| !column.nullable);
    let is_global = schema.partition_columns.is_empty();
    is_within(&schema.effective_key())
        || (is_global && schema.unique_keys.iter().any(|unique| is_within(&unique.columns) && unique.columns.iter().all(is_not_null)))
}
