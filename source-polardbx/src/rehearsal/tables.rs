//! The tables of a test with their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runtime::{CellBlock, Row, TableId, TableSchema, Value};

use super::effects::Computed;
use super::literal::Literal;
use crate::schema::{Effect, History};

/// The tables by their names.
#[derive(Default)]
pub(super) struct Tables(BTreeMap<TableId, Table>);

struct Table {
    schema: Arc<TableSchema>,
    rows: Vec<Row>,
    computed: Computed,
}

/// The tables that a statement has touched, with their new schemas.
type Touched = [(TableId, Option<Arc<TableSchema>>)];

impl Tables {
    /// Takes over the schemas behind a DDL statement, which has these effects. Fails where it cannot tell the rows of a table behind it.
    pub(super) fn follow(&mut self, history: &History, effects: &[Effect], touched: &Touched, adds: Computed) -> Result<(), String> {
        let mut before = std::mem::take(&mut self.0);
        let mut renamed = BTreeSet::new();
        let mut copied = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Rename { from, to } => {
                    if let Some(table) = before.remove(from) {
                        before.insert(to.clone(), table);
                        renamed.insert(to);
                    }
                }
                Effect::CreateLike { table, like, .. } => {
                    copied.insert(table, before.get(like).map(|like| like.computed).unwrap_or_default());
                }
                _ => {}
            }
        }
        let named: BTreeSet<&TableId> = effects.iter().flat_map(super::effects::tables).collect();
        for schema in history.tables() {
            // A statement that touches a table and leaves its schema has emptied it.
            let was_touched = touched.iter().any(|(table, _)| *table == schema.id);
            let mut computed = before.get(&schema.id).map(|table| table.computed).or(copied.get(&schema.id).copied()).unwrap_or_default();
            if named.contains(&schema.id) {
                computed = computed.and(adds);
            }
            let rows = match before.remove(&schema.id) {
                Some(table) if renamed.contains(&schema.id) => table.altered(schema)?,
                Some(table) if !was_touched => table.rows,
                Some(table) if Arc::ptr_eq(&table.schema, schema) || table.schema == *schema => Vec::new(),
                Some(table) => table.altered(schema)?,
                None => Vec::new(),
            };
            self.0.insert(schema.id.clone(), Table { schema: schema.clone(), rows, computed });
        }
        Ok(())
    }

    pub(super) fn schema(&self, table: &TableId) -> Result<&Arc<TableSchema>, String> {
        self.0.get(table).map(|table| &table.schema).ok_or_else(|| missing(table))
    }

    fn table(&mut self, table: &TableId) -> Result<&mut Table, String> {
        self.0.get_mut(table).ok_or_else(|| missing(table))
    }

    /// Adds a row. `columns` may be empty for all columns in their order. Those that are not named are NULL, unless a server might compute them.
    pub(super) fn insert(&mut self, table: &TableId, columns: &[String], values: &[Literal]) -> Result<Row, String> {
        let table = self.table(table)?;
        let count = if columns.is_empty() { table.schema.columns.len() } else { columns.len() };
        if values.len() != count {
            return Err(format!("a row has {} values for {count} column{}", values.len(), if count == 1 { "" } else { "s" }));
        }
        let mut cells = vec![None; table.schema.columns.len()];
        for (index, value) in values.iter().enumerate() {
            let column = columns.get(index).map_or(Ok(index), |name| column(&table.schema, name))?;
            if let Some(cell) = cells.get_mut(column) {
                *cell = Some(value);
            }
        }
        if let (true, Some(missing)) = (table.computed.on_insert, cells.iter().position(Option::is_none)) {
            let name = table.schema.columns.get(missing).map_or("", |column| column.name.as_str());
            return Err(format!(
                "the INSERT does not name column {name}, and a test computes no DEFAULT, no AUTO_INCREMENT and no generated column: write the \
                 value, or NULL"
            ));
        }
        let row = packed(&table.schema, cells.into_iter().map(|cell| cell.unwrap_or(&Literal::Null)))?;
        let key = table.schema.effective_key();
        let same = |other: &Row| key.iter().all(|column| other.get(*column) == row.get(*column));
        if !key.is_empty() && table.rows.iter().any(same) {
            return Err("there is a row with the key already".to_owned());
        }
        table.rows.push(row.clone());
        Ok(row)
    }

    /// Changes the rows that have these values; returns each with what it was before.
    pub(super) fn update(
        &mut self,
        table: &TableId,
        set: &[(String, Literal)],
        with: &[(String, Literal)],
    ) -> Result<Vec<(Row, Row)>, String> {
        let table = self.table(table)?;
        if table.computed.on_update {
            return Err(
                "a test computes no column with ON UPDATE and no generated column: give the change as a row with `before` and `after`, \
                        or create the table without them"
                    .to_owned(),
            );
        }
        let (chosen, set) = (table.chosen(with)?, table.cells(set)?);
        let mut changes = Vec::new();
        for index in chosen {
            let Some(row) = table.rows.get_mut(index) else { continue };
            let mut after = row.clone();
            for (column, value) in &set {
                after = after.with(*column, value.get(0));
            }
            // A server logs no change that changes nothing.
            if after != *row {
                changes.push((std::mem::replace(row, after.clone()), after));
            }
        }
        Ok(changes)
    }

    /// Removes the rows that have these values, and returns them.
    pub(super) fn delete(&mut self, table: &TableId, with: &[(String, Literal)]) -> Result<Vec<Row>, String> {
        let table = self.table(table)?;
        let chosen = table.chosen(with)?;
        let (mut index, mut deleted) = (0, Vec::new());
        table.rows.retain(|row| {
            let is_chosen = chosen.binary_search(&index).is_ok();
            index += 1;
            if is_chosen {
                deleted.push(row.clone());
            }
            !is_chosen
        });
        Ok(deleted)
    }

    /// A row of a table from its columns by name, without adding it. Columns that are not named are NULL.
    pub(super) fn row_of(&self, table: &TableId, row: &serde_json::Map<String, serde_json::Value>) -> Result<Row, String> {
        let schema = self.schema(table)?;
        let mut cells = vec![Literal::Null; schema.columns.len()];
        for (name, value) in row {
            if let Some(cell) = cells.get_mut(column(schema, name)?) {
                *cell = Literal::from_json(value);
            }
        }
        packed(schema, cells.iter())
    }
}

fn missing(table: &TableId) -> String {
    format!("there is no table {table}: create it first")
}

impl Table {
    /// The rows behind a statement that gave the table another schema. Fails if a row does not simply keep its values.
    fn altered(&self, schema: &Arc<TableSchema>) -> Result<Vec<Row>, String> {
        let mut sources = Vec::new();
        for column in &schema.columns {
            let source = self.schema.columns.iter().position(|old| old.name == column.name);
            let is_kept = match source.and_then(|index| self.schema.columns.get(index)) {
                Some(old) => old.kind == column.kind && old.unsigned == column.unsigned && old.collation == column.collation,
                None => column.nullable,
            };
            if !is_kept && !self.rows.is_empty() {
                return Err(format!(
                    "a test cannot tell the values of column {} in the rows that are there: delete them first",
                    column.name
                ));
            }
            sources.push(source);
        }
        let row = |row: &Row| Row::from_values(sources.iter().map(|source| source.map_or(Value::Null, |column| row.get(column))));
        Ok(self.rows.iter().map(row).collect())
    }

    /// The indexes of the rows that have these values, in their order.
    fn chosen(&self, with: &[(String, Literal)]) -> Result<Vec<usize>, String> {
        let with = self.cells(with)?;
        let has = |row: &Row| with.iter().all(|(column, value)| row.get(*column) == value.get(0));
        Ok(self.rows.iter().enumerate().filter(|(_, row)| has(row)).map(|(index, _)| index).collect())
    }

    /// Columns with values, each as a row of one cell.
    fn cells(&self, values: &[(String, Literal)]) -> Result<Vec<(usize, Row)>, String> {
        let cell = |(name, value): &(String, Literal)| {
            let index = column(&self.schema, name)?;
            let mut block = CellBlock::default();
            let mut writer = block.row(1);
            if let Some(column) = self.schema.columns.get(index) {
                value.push(&mut writer, column)?;
            }
            let row = writer.finish();
            block.seal();
            Ok((index, row))
        };
        values.iter().map(cell).collect()
    }
}

fn column(schema: &TableSchema, name: &str) -> Result<usize, String> {
    let index = schema.columns.iter().position(|column| column.name.to_lowercase() == name.to_lowercase());
    index.ok_or_else(|| format!("table {} has no column {name}", schema.id))
}

fn packed<'a>(schema: &TableSchema, cells: impl Iterator<Item = &'a Literal>) -> Result<Row, String> {
    let mut block = CellBlock::default();
    let mut writer = block.row(schema.columns.len());
    for (cell, column) in cells.zip(&schema.columns) {
        cell.push(&mut writer, column)?;
    }
    let row = writer.finish();
    block.seal();
    Ok(row)
}
