//! Runs a script on the rows of the tables that a transform is for. It is compiled for each version of a table's schema.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::place::Failure;
use super::program::Program;
use super::rows::{Memory, OneRow};
use super::zone::Zone;
use crate::transforms::by_schema::BySchema;
use crate::transforms::known_tables::{Altered, KnownTables};
use crate::transforms::selected_tables::SelectedTables;
use crate::{Batch, Body, Error, Finding, Result, SchemaChange, TableSchema};

/// A script, or settings that stand for one.
pub(super) trait Script {
    /// The name of the transform.
    const NAME: &'static str;
    /// The key of the settings that errors name.
    const KEY: &'static str;

    /// The program for a table. Fails with an error of kind `Config` if the script does not fit the table.
    fn compile(&self, schema: &Arc<TableSchema>) -> Result<Program>;

    /// The columns that it names and that may be missing in a table.
    fn columns(&self) -> impl Iterator<Item = &str> + Clone;

    /// The zone of dates and times.
    fn zone(&self) -> &Zone;

    /// The error of kind `Data` of a row for which it fails. `column` is the column that was to be set, if any.
    fn failed(&self, failure: Failure, column: Option<&str>) -> Error {
        failure.into_error(Self::KEY, column)
    }

    /// Whether a column that cannot be set becomes NULL, instead of an error of kind `Data`.
    fn null_on_error(&self) -> bool {
        false
    }
}

/// A script with the tables that it is for.
pub(super) struct Runner<S> {
    script: S,
    tables: SelectedTables,
    known: KnownTables,
    /// `None` for tables that are not among `tables`.
    programs: BySchema<Option<Program>>,
    memory: Memory,
}

impl<S: Script> Runner<S> {
    pub(super) fn new(script: S, tables: SelectedTables) -> Self {
        Self { script, tables, known: KnownTables::default(), programs: BySchema::default(), memory: Memory::default() }
    }

    pub(super) fn script(&self) -> &S {
        &self.script
    }

    pub(super) fn tables(&self) -> &SelectedTables {
        &self.tables
    }

    /// Runs the script on each row, and gives schema changes the columns that the rows get.
    pub(super) fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        let now = now();
        batch.rewrite(|event, block| {
            let change = match &mut event.body {
                Body::Row(change) => change,
                Body::Schema(change) => return self.apply_schema_change(change).map(|()| true),
                Body::Begin | Body::Commit | Body::Heartbeat => return Ok(true),
            };
            let Self { script, tables, known, programs, memory } = self;
            let Some(program) = program(script, tables, known, programs, &change.schema)? else { return Ok(true) };
            let row = OneRow { program, null_on_error: script.null_on_error(), zone: script.zone(), now };
            row.apply(event, block, memory).map_err(|(failure, slot)| {
                let column = slot.and_then(|slot| program.names.get(slot)).map(String::as_str);
                script.failed(*failure, column).of_table(&program.schema.id)
            })
        })
    }

    fn apply_schema_change(&mut self, change: &mut SchemaChange) -> Result<()> {
        let Self { script, tables, known, programs, .. } = self;
        // Schemas change rarely, and an old schema is not used again after a change.
        programs.clear();
        for altered in known.apply(change) {
            refuse_replaced(script, tables, &altered)?;
        }
        for schema in change.tables.iter_mut().filter_map(|(_, schema)| schema.as_mut()) {
            if let Some(program) = program(script, tables, known, programs, schema)? {
                *schema = program.schema.clone();
            }
        }
        Ok(())
    }

    /// Compiles the script for these tables, as far as it is for them.
    pub(super) fn check(&self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let mut found = Vec::new();
        for table in self.tables.of(tables) {
            if let Err(error) = self.script.compile(table) {
                found.push(Finding::from_error(S::NAME, &error.map_message(|message| format!("table {}: {message}", table.id))));
            }
        }
        found
    }
}

fn program<'p, S: Script>(
    script: &S,
    tables: &SelectedTables,
    known: &mut KnownTables,
    programs: &'p mut BySchema<Option<Program>>,
    schema: &Arc<TableSchema>,
) -> Result<Option<&'p Program>> {
    let program = programs.get(schema, |schema| {
        if !tables.contain(&schema.id) {
            return Ok(None);
        }
        // Not every change of a schema is told by an event.
        if let Some(altered) = known.note(schema) {
            refuse_replaced(script, tables, &altered)?;
        }
        script.compile(schema).map(Some)
    })?;
    Ok(program.as_ref())
}

fn refuse_replaced<S: Script>(script: &S, tables: &SelectedTables, altered: &Altered) -> Result<()> {
    if tables.contain(altered.table()) { altered.refuse_replaced(S::KEY, script.columns()) } else { Ok(()) }
}

/// The present in microseconds since the epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|passed| i64::try_from(passed.as_micros()).ok()).unwrap_or(0)
}
