//! Chooses, renames and orders the columns of tables. In DTS columns are chosen and renamed in the dialog of a table.

mod config;
mod layout;

use std::sync::Arc;

pub use self::config::ColumnsConfig;
use self::layout::Layout;
use super::by_schema::BySchema;
use super::known_tables::{Altered, KnownTables};
use super::selected_tables::{SelectedTables, find_column};
use crate::{Batch, Body, CellBlock, Error, Finding, Result, Row, RowChange, SchemaChange, TablePattern, TableSchema, Transform};

/// A transform that chooses, renames and orders columns. The text of a DDL statement is not changed.
pub struct Columns {
    config: ColumnsConfig,
    tables: SelectedTables,
    fingerprint: String,
    known: KnownTables,
    layouts: BySchema<Layout>,
}

impl Columns {
    /// Checks the settings. Fails with an error of kind `Config` that names the key that is not valid.
    pub fn new(config: ColumnsConfig) -> Result<Self> {
        let wrong = |key: &str, why: &str| {
            let error = Error::config(format!("key `transform.columns{key}` is not valid")).because(why.to_owned());
            Err(error.with_code("E_CONFIG"))
        };
        let tables = SelectedTables::new("columns.tables", &config.tables)?;
        let ColumnsConfig { include, exclude, rename, order, key, .. } = &config;
        if !include.is_empty() && !exclude.is_empty() {
            return wrong("", "it has both `include` and `exclude`");
        }
        let lists = [("include", include), ("exclude", exclude), ("order", order), ("key", key)];
        if lists.iter().all(|(_, list)| list.is_empty()) && rename.is_empty() {
            return wrong("", "it says nothing of columns: there is no `include`, `exclude`, `rename`, `order` or `key`");
        }
        for (name, list) in lists {
            for (index, column) in list.iter().enumerate() {
                if column.is_empty() {
                    return wrong(&format!(".{name}"), "the name of a column is empty");
                }
                if list.iter().take(index).any(|other| other == column) {
                    return wrong(&format!(".{name}"), &format!("column `{column}` is there twice"));
                }
            }
        }
        if rename.iter().any(|(from, to)| from.is_empty() || to.is_empty()) {
            return wrong(".rename", "the name of a column is empty");
        }
        let named = serde_json::json!({"tables": &config.tables, "rename": rename, "key": key});
        let fingerprint = if rename.is_empty() && key.is_empty() { String::new() } else { format!("columns {named}") };
        Ok(Self { config, tables, fingerprint, known: KnownTables::default(), layouts: BySchema::default() })
    }

    fn layout(&mut self, schema: &Arc<TableSchema>) -> Result<&Layout> {
        let Self { config, tables, known, layouts, .. } = self;
        let layout = layouts.get(schema, |schema| {
            if !tables.contain(&schema.id) {
                return Ok(Layout::Same);
            }
            // Not every change of a schema is told by an event.
            if let Some(altered) = known.note(schema) {
                refuse_replaced(config, &altered)?;
            }
            Layout::of(config, schema)
        });
        layout.map(|layout| &*layout)
    }

    fn apply_schema_change(&mut self, change: &mut SchemaChange) -> Result<()> {
        // Schemas change rarely, and an old schema is not used again after a change.
        self.layouts.clear();
        for altered in self.known.apply(change) {
            if self.tables.contain(altered.table()) {
                refuse_replaced(&self.config, &altered)?;
            }
        }
        for (_, schema) in &mut change.tables {
            if let Some(schema) = schema
                && let Some(laid_out) = self.layout(schema)?.schema()
            {
                *schema = laid_out.clone();
            }
        }
        Ok(())
    }

    /// Gives a row its columns. Cells are moved in `block`.
    fn apply_row(&mut self, change: &mut RowChange, block: &mut CellBlock) -> Result<()> {
        match self.layout(&change.schema)? {
            Layout::Same => {}
            Layout::Renamed(schema) => change.schema = schema.clone(),
            Layout::Moved { schema, sources } => {
                for image in [&mut change.before, &mut change.after].into_iter().flatten() {
                    *image = moved(image, sources, block)
                        .ok_or_else(|| Error::data("a row does not have the columns of its table").of_table(&schema.id))?;
                }
                change.schema = schema.clone();
            }
        }
        Ok(())
    }
}

/// The row with the cells of these columns; `None` if it lacks one of them.
fn moved(row: &Row, sources: &[usize], block: &mut CellBlock) -> Option<Row> {
    let mut writer = block.row(sources.len());
    for &source in sources {
        writer.push_cell(row.packed().nth(source)?);
    }
    Some(writer.finish())
}

/// Fails if a column that the settings name may have got another name: its values would then be delivered although they are excluded, or left out
/// although they are included.
fn refuse_replaced(config: &ColumnsConfig, altered: &Altered) -> Result<()> {
    let ColumnsConfig { include, exclude, rename, .. } = config;
    altered.refuse_replaced("transform.columns", include.iter().chain(exclude).chain(rename.keys()).map(String::as_str))
}

impl Transform for Columns {
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        let mut moves = false;
        for event in &mut batch.events {
            match &mut event.body {
                Body::Row(change) => moves |= matches!(self.layout(&change.schema)?, Layout::Moved { .. }),
                Body::Schema(change) => self.apply_schema_change(change)?,
                Body::Begin | Body::Commit | Body::Heartbeat => {}
            }
        }
        if moves {
            return batch.rewrite(|event, block| {
                if let Body::Row(change) = &mut event.body {
                    self.apply_row(change, block)?;
                }
                Ok(true)
            });
        }
        for event in &mut batch.events {
            if let Body::Row(change) = &mut event.body
                && let Layout::Renamed(schema) = self.layout(&change.schema)?
            {
                change.schema = schema.clone();
            }
        }
        Ok(())
    }

    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.tables.patterns()
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let Self { config, tables: selected, .. } = &*self;
        let mut found = Vec::new();
        let has = |column: &str| {
            let column = column.to_owned();
            move |schema: &Arc<TableSchema>| find_column(schema, &column).is_some()
        };
        let named = [("columns.include", &config.include), ("columns.exclude", &config.exclude)];
        for (key, column) in named.into_iter().flat_map(|(key, list)| list.iter().map(move |column| (key, column))) {
            found.extend(selected.missing(key, column, tables, has(column)));
        }
        for column in config.rename.keys() {
            found.extend(selected.missing("columns.rename", column, tables, has(column)));
        }
        let laid_out: Vec<_> = selected.of(tables).into_iter().map(|schema| (schema, Layout::of(config, schema))).collect();
        for column in &config.order {
            let of = |schema: &Arc<TableSchema>| {
                let layout = laid_out.iter().find(|(source, _)| Arc::ptr_eq(source, schema)).map(|(_, layout)| layout);
                // What is wrong with the table otherwise is said below.
                layout.is_none_or(|layout| {
                    layout.as_ref().map_or(true, |layout| find_column(layout.schema().unwrap_or(schema), column).is_some())
                })
            };
            found.extend(selected.missing("columns.order", column, tables, of));
        }
        for (schema, layout) in &laid_out {
            match layout {
                Err(error) => found.push(Finding::from_error("transform", error)),
                Ok(_) if config.key.is_empty() || layout::is_unique(config, schema) => {}
                Ok(_) => {
                    let what = format!(
                        "nothing keeps the columns {} of table {} unique, which `transform.columns.key` names",
                        config.key.join(", "),
                        schema.id
                    );
                    found.push(Finding::warning(
                        "transform",
                        what,
                        "name the columns of a key of the table: rows with the same values are one row for readers",
                    ));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
