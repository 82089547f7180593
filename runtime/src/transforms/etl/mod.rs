//! The transform `etl`, which changes rows by a script in the expression language of DTS, and two others that are short forms of such scripts:
//! `mask` and `add_columns`. `docs/etl.md` describes the language.
//!
//! A script is read once into [`syntax`], and compiled for each version of a table into a [`program`]: functions, types and columns are known
//! then, and conditions on the table's name are decided. [`run`] runs it on a row, and [`evaluate`] gives the values of expressions.

mod add_columns;
mod compile;
mod decimal;
mod evaluate;
mod expression;
mod functions;
mod keys;
mod lexer;
mod mask;
mod moment;
mod parser;
mod place;
mod program;
mod read;
mod rows;
mod run;
mod runner;
mod store;
mod syntax;
mod texts;
mod times;
mod types;
mod validate;
mod value;
mod zone;

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use self::add_columns::{AddColumns, AddColumnsConfig, AddedColumn};
pub use self::mask::{Mask, MaskConfig, MaskRule};
use self::program::{Program, Rules};
use self::runner::{Runner, Script};
use self::syntax::{Node, NodeKind};
use self::validate::{Expected, validate};
use self::zone::Zone;
use super::selected_tables::SelectedTables;
use crate::{Batch, Error, Finding, Result, TablePattern, TableSchema, Transform};

const SCRIPT: &str = "transform.etl.script";

/// Settings of `etl`: ``etl = { script = "e_set(`phone`, str_mask(`phone`, 3, 6, '*'))" }``.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EtlConfig {
    /// The tables whose rows the script changes; all by default.
    #[serde(default = "all_tables")]
    pub tables: Vec<String>,
    /// The script. It may hold salts, so it is never shown.
    pub script: SecretString,
    /// What happens to a row for which the script fails.
    #[serde(default)]
    pub on_etl_error: OnEtlError,
    /// Columns of keys that the script may set.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The zone of dates and times, such as `+08:00` or `Asia/Shanghai`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn all_tables() -> Vec<String> {
    vec!["*.*".into()]
}

pub(super) fn utc() -> String {
    "+00:00".into()
}

/// What happens to a row for which a script fails.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnEtlError {
    /// The row is rejected.
    #[default]
    Error,
    /// The column that was to be set is NULL, and a condition that fails is false.
    Null,
}

/// A transform that changes rows by a script.
pub struct Etl {
    runner: Runner<EtlScript>,
}

struct EtlScript {
    script: Node,
    /// The columns that the script names.
    columns: BTreeSet<String>,
    on_error: OnEtlError,
    keys: Vec<String>,
    zone: Zone,
}

impl Etl {
    /// Reads the settings. Fails with an error of kind `Config` if they are not valid, which names line and column of the script.
    pub fn new(config: EtlConfig) -> Result<Self> {
        let tables = SelectedTables::new("etl.tables", &config.tables)?;
        let script = parser::parse(config.script.expose_secret()).map_err(|fault| fault.into_error(SCRIPT))?;
        validate(&script, Expected::Action).map_err(|fault| fault.into_error(SCRIPT))?;
        let zone = parse_zone(&config.time_zone, "transform.etl.time_zone")?;
        let mut columns = BTreeSet::new();
        collect_columns(&script, &mut columns);
        let script = EtlScript { script, columns, on_error: config.on_etl_error, keys: config.keys, zone };
        Ok(Self { runner: Runner::new(script, tables) })
    }
}

impl Script for EtlScript {
    const NAME: &'static str = "etl";
    const KEY: &'static str = SCRIPT;

    fn compile(&self, schema: &Arc<TableSchema>) -> Result<Program> {
        let rules = Rules { null_on_error: self.null_on_error(), keys: &self.keys, ..Rules::new(&self.zone) };
        Program::compile(&self.script, schema, &rules).map_err(|fault| fault.into_error(SCRIPT).of_table(&schema.id))
    }

    fn columns(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(String::as_str)
    }

    fn zone(&self) -> &Zone {
        &self.zone
    }

    fn null_on_error(&self) -> bool {
        self.on_error == OnEtlError::Null
    }
}

/// The zone of a key `time_zone`.
pub(super) fn parse_zone(text: &str, key: &str) -> Result<Zone> {
    Zone::parse(text).ok_or_else(|| {
        Error::config(format!("key `{key}` is no time zone"))
            .with_help("write an offset such as \"+08:00\", or a name such as \"Asia/Shanghai\"")
    })
}

fn collect_columns(node: &Node, columns: &mut BTreeSet<String>) {
    match &node.kind {
        NodeKind::Column(name) => {
            columns.insert(name.clone());
        }
        NodeKind::Call(_, arguments) => arguments.iter().for_each(|argument| collect_columns(&argument.value, columns)),
        NodeKind::Infix(_, operands) => operands.iter().for_each(|operand| collect_columns(operand, columns)),
        NodeKind::Choice(parts) => parts.iter().for_each(|part| collect_columns(part, columns)),
        NodeKind::Minus(operand) => collect_columns(operand, columns),
        NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Text(_) | NodeKind::Word(_) => {}
    }
}

/// The texts of the actions that set one of the columns.
fn collect_sets(node: &Node, keys: &[String], sets: &mut Vec<String>) {
    let NodeKind::Call(name, arguments) = &node.kind else { return };
    if let ("e_set", Some(NodeKind::Column(column))) = (name.as_str(), arguments.first().map(|argument| &argument.value.kind))
        && keys.contains(column)
    {
        sets.push(node.to_string());
    }
    arguments.iter().for_each(|argument| collect_sets(&argument.value, keys, sets));
}

impl Transform for Etl {
    /// What decides the keys of rows: nothing, unless `keys` names columns.
    fn fingerprint(&self) -> String {
        let EtlScript { script, keys, .. } = self.runner.script();
        if keys.is_empty() {
            return String::new();
        }
        let mut sets = Vec::new();
        collect_sets(script, keys, &mut sets);
        // The texts may hold a salt.
        let hash = Sha256::digest(format!("{:?} {sets:?}", self.runner.tables()));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("etl keys {keys:?} {hex}")
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        self.runner.apply(batch)
    }

    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.runner.tables().patterns()
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let mut found = self.runner.check(tables);
        let meant = self.runner.tables().of(tables);
        for key in &self.runner.script().keys {
            let is_key = |table: &&Arc<TableSchema>| table.column(key).is_some_and(|column| table.effective_key().contains(&column));
            if !meant.iter().any(is_key) {
                let what = format!("column {key} of `transform.etl.keys` belongs to the key of no selected table");
                found.push(Finding::warning("etl", what, "take it out"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
