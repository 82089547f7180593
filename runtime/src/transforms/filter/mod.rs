//! Keeps the rows that meet a condition, which is written as in MySQL's WHERE.
//!
//! A condition is parsed once, compiled for each version of a table's schema ([`compile`]), and evaluated on the packed rows ([`eval`]). It
//! gives what MySQL 5.7, MySQL 8.0 and MariaDB give. What they do not agree on, or what is not known to be the same, is refused with an error
//! of kind `Config` that names the part of the condition.

mod collation;
mod compile;
mod config;
mod eval;
mod expr;
mod failure;
mod like;
mod number;
mod parse;
mod pushdown;
mod temporal;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use config::FilterConfig;

use super::by_schema::BySchema;
use crate::{Batch, Body, Error, Finding, Op, Result, Row, RowChange, TablePattern, TableSchema, Transform};
use compile::{Compiled, Refusal};
use config::{Rule, shortened};

/// A transform that keeps the rows that meet a condition.
///
/// An UPDATE is kept if the row meets the condition before and after. If it does so only before, the UPDATE becomes a DELETE, and if only
/// after, an INSERT; `source_op` stays `Update`. The columns of the condition are marked in [`TableSchema::filter_columns`].
pub struct Filter {
    rule: Rule,
    tables: BySchema<Option<Table>>,
}

/// What was compiled for one version of a table's schema.
struct Table {
    compiled: Compiled,
    /// The schema with the marks of the columns.
    schema: Arc<TableSchema>,
}

impl Filter {
    /// Reads the settings. Fails with an error of kind `Config` if one is not valid.
    pub fn new(config: FilterConfig) -> Result<Self> {
        Ok(Self { rule: Rule::new(config)?, tables: BySchema::default() })
    }

    /// Whether a row of this table meets the condition; NULL counts as no. Fails with an error of kind `Config` if the condition cannot be
    /// evaluated for the table, and of kind `Data` if it cannot for this row.
    pub fn keeps(&mut self, schema: &Arc<TableSchema>, row: &Row) -> Result<bool> {
        match self.table(schema)? {
            Some(table) => table.keeps(row).map_err(|why| failed(why, schema, &self.rule)),
            None => Ok(true),
        }
    }

    fn table(&mut self, schema: &Arc<TableSchema>) -> Result<Option<&Table>> {
        let Self { rule, tables } = self;
        Ok(tables.get(schema, |schema| rule.table(schema))?.as_ref())
    }

    /// Whether the event is kept, after its change was made what the filter makes of it.
    fn decide(&mut self, change: &mut RowChange) -> Result<bool> {
        let Self { rule, tables } = self;
        let Some(table) = tables.get(&change.schema, |schema| rule.table(schema))? else { return Ok(true) };
        let keeps = |row: Option<&Row>| row.map_or(Ok(false), |row| table.keeps(row).map_err(|why| failed(why, &table.schema, rule)));
        let kept = match change.op {
            Op::Read | Op::Insert => keeps(change.after.as_ref())?,
            Op::Delete => keeps(change.before.as_ref())?,
            Op::Update => match (keeps(change.before.as_ref())?, keeps(change.after.as_ref())?) {
                (true, true) => true,
                (true, false) => {
                    (change.op, change.after) = (Op::Delete, None);
                    true
                }
                (false, true) if rule.emit_moved_in => {
                    (change.op, change.before) = (Op::Insert, None);
                    true
                }
                (false, _) => false,
            },
        };
        change.schema = table.schema.clone();
        Ok(kept)
    }
}

impl Rule {
    fn table(&self, schema: &Arc<TableSchema>) -> Result<Option<Table>> {
        if !self.tables.contain(&schema.id) {
            return Ok(None);
        }
        let compiled = compile::compile(&self.expr, schema, self.zone).map_err(|refusal| self.refused(&refusal).of_table(&schema.id))?;
        let mut marked = TableSchema::clone(schema);
        marked.filter_columns.extend(&compiled.columns);
        marked.filter_columns.sort_unstable();
        marked.filter_columns.dedup();
        Ok(Some(Table { compiled, schema: Arc::new(marked) }))
    }

    fn refused(&self, refusal: &Refusal) -> Error {
        let place = refusal.place.map_or(String::new(), |(line, column)| format!(" at line {line}, column {column}"));
        let part = shortened(&refusal.part);
        Error::config(format!("the condition of a filter cannot be evaluated{place}: `{part}`: {}", refusal.why))
            .with_code("E_FILTER_UNSUPPORTED")
            .with_help("change key `transform.filter.where`; what is supported stands in docs/filters.md")
    }
}

impl Table {
    fn keeps(&self, row: &Row) -> Result<bool, failure::Failure> {
        Ok(self.compiled.cond.eval(row)? == Some(true))
    }
}

fn failed(why: failure::Failure, schema: &TableSchema, rule: &Rule) -> Error {
    Error::data(format!("the condition of a filter has no value for a row: `{}`", shortened(&rule.condition)))
        .because(why)
        .of_table(&schema.id)
}

impl Transform for Filter {
    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        batch.retain(|event| match &mut event.body {
            Body::Row(change) => self.decide(change),
            Body::Schema(change) => {
                // Schemas change rarely, and an old schema is not used again after a change.
                self.tables.clear();
                for (_, schema) in &mut change.tables {
                    if let Some(schema) = schema
                        && let Some(table) = self.table(schema)?
                    {
                        *schema = table.schema.clone();
                    }
                }
                Ok(true)
            }
            Body::Begin | Body::Commit | Body::Heartbeat => Ok(true),
        })
    }

    /// Empty: a filter changes no names and no keys.
    fn fingerprint(&self) -> String {
        String::new()
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for schema in tables {
            if let Err(error) = self.table(schema) {
                let error = error.map_message(|message| format!("table {}: {message}", schema.id));
                findings.push(Finding::from_error("filter", &error));
            }
        }
        findings
    }

    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.rule.tables.patterns()
    }

    fn pushdown(&mut self, schema: &Arc<TableSchema>) -> Result<Option<String>> {
        if self.table(schema)?.is_none() {
            // Every row is kept, so a later filter may be asked, too.
            return Ok(Some("1 = 1".into()));
        }
        Ok(Some(pushdown::condition(&self.rule.expr, schema).unwrap_or_else(|| "1 = 1".into())))
    }
}
