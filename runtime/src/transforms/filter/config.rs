//! Settings of `filter`.

use serde::Deserialize;
use sqlparser::ast::Expr;

use super::{parse, temporal};
use crate::{Error, NameCase, Result, TableId, TablePattern};

/// Settings of `filter`: `filter = { tables = ["shop.orders"], where = "region = 'eu' and amount > 10" }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FilterConfig {
    /// Patterns for the tables whose rows are filtered ([`TablePattern`]).
    pub tables: Vec<String>,
    /// The condition of the rows that are kept, as in MySQL's WHERE.
    #[serde(rename = "where")]
    pub condition: String,
    /// Whether a row is inserted that an UPDATE changes so that it now meets the condition. Otherwise such an UPDATE is dropped.
    #[serde(default = "yes")]
    pub emit_moved_in: bool,
    /// The time zone in which the condition sees TIMESTAMP columns, such as `+08:00`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn yes() -> bool {
    true
}

fn utc() -> String {
    "+00:00".into()
}

/// Settings that were read.
pub(super) struct Rule {
    pub(super) patterns: Vec<TablePattern>,
    pub(super) condition: String,
    pub(super) expr: Expr,
    pub(super) emit_moved_in: bool,
    pub(super) zone: i32,
}

impl Rule {
    pub(super) fn new(config: FilterConfig) -> Result<Self> {
        let patterns = config.tables.iter().map(|pattern| {
            TablePattern::parse(pattern).map_err(|why| Error::config("key `transform.filter.tables` is not valid").because(why))
        });
        let patterns = patterns.collect::<Result<Vec<_>>>()?;
        if patterns.is_empty() {
            return Err(Error::config("key `transform.filter.tables` is empty").with_help("name the tables whose rows are filtered"));
        }
        let expr = parse::parse(&config.condition).map_err(|why| {
            Error::config(format!("key `transform.filter.where` is not valid: `{}`", shortened(&config.condition)))
                .because(why)
                .with_help("write a condition as in MySQL's WHERE, such as \"region = 'eu' and amount > 10\"")
        })?;
        let zone = temporal::parse_zone(&config.time_zone).ok_or_else(|| {
            Error::config(format!("key `transform.filter.time_zone` is not valid: `{}`", config.time_zone))
                .with_help("write the zone as the difference from UTC, such as +08:00")
        })?;
        Ok(Self { patterns, condition: config.condition, expr, emit_moved_in: config.emit_moved_in, zone })
    }

    pub(super) fn is_for(&self, table: &TableId) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(table, NameCase::Exact))
    }
}

/// A text for an error message.
pub(super) fn shortened(text: &str) -> String {
    const LONG: usize = 200;
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
