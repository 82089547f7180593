//! The transform `mask`: hides the values of columns. A rule is a short form of a script, so it does what the script does.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::place::{Failure, Fault, Place};
use super::program::{Program, Rules};
use super::read::Reader;
use super::runner::{Runner, Script};
use super::syntax::{Argument, Node, NodeKind};
use super::value::Type;
use super::zone::Zone;
use crate::transforms::selected_tables::SelectedTables;
use crate::{Batch, Column, ColumnKind, Error, Finding, Result, TablePattern, TableSchema, Transform};

const KEY: &str = "transform.mask.columns";

/// Settings of `mask`: `mask = { tables = ["shop.users"], columns = { note = { truncate = 10 }, ssn = "null" } }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MaskConfig {
    /// The tables whose columns are masked.
    pub tables: Vec<String>,
    /// Columns of keys that may be masked, by `hash` or `digits`.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The rules by the names of columns.
    pub columns: BTreeMap<String, MaskRule>,
}

/// How a column is masked. NULL stays NULL, except with `constant`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum MaskRule {
    /// HMAC-SHA-256 of the value's text as 64 hexadecimal digits. The column becomes a `varchar(64)`.
    Hash {
        /// The key of the hash.
        salt: SecretString,
    },
    /// The characters from `start` to `end` are replaced. A text that ends before `start` is replaced as a whole. A column of numbers or
    /// times becomes a `varchar`.
    Partial {
        /// The first position, from 0.
        start: u32,
        /// The last position, which is replaced, too.
        end: u32,
        /// What stands in the place of each character.
        with: char,
    },
    /// So many characters are kept.
    Truncate(u32),
    /// Every value becomes this one, which is cast to the column's type.
    Constant(String),
    /// Every value becomes NULL.
    Null,
    /// The digits of a text or an integer are replaced by others, so that the length and all other characters stay.
    Digits {
        /// The key of the replacement.
        salt: SecretString,
    },
}

/// A transform that hides values of columns.
pub struct Mask {
    runner: Runner<MaskScript>,
}

struct MaskScript {
    rules: BTreeMap<String, MaskRule>,
    keys: Vec<String>,
    zone: Zone,
}

impl Mask {
    /// Reads the settings. Fails with an error of kind `Config` if they are not valid.
    pub fn new(config: MaskConfig) -> Result<Self> {
        let tables = SelectedTables::new("mask.tables", &config.tables)?;
        if config.columns.is_empty() {
            return Err(Error::config(format!("key `{KEY}` names no column")));
        }
        for (column, rule) in &config.columns {
            let why = match rule {
                MaskRule::Hash { salt } | MaskRule::Digits { salt } if salt.expose_secret().is_empty() => "the salt is empty",
                MaskRule::Partial { start, end, .. } if start > end => "`start` is greater than `end`",
                _ => continue,
            };
            return Err(Error::config(format!("key `{KEY}.{column}` is not valid")).because(why));
        }
        let script = MaskScript { rules: config.columns, keys: config.keys, zone: Zone::Fixed(0) };
        Ok(Self { runner: Runner::new(script, tables) })
    }
}

impl Script for MaskScript {
    const NAME: &'static str = "mask";
    const KEY: &'static str = KEY;

    /// The rules as a script for a table. Columns that it does not have are passed over.
    fn compile(&self, schema: &Arc<TableSchema>) -> Result<Program> {
        let mut sets = Vec::new();
        let mut key_columns = Vec::new();
        for key in &self.keys {
            key_columns.extend(find(schema, key)?.and_then(|column| schema.columns.get(column)).map(|column| column.name.clone()));
        }
        let settings = Rules { keys: &key_columns, keeps_filter_columns: false, ..Rules::new(&self.zone) };
        for (name, rule) in &self.rules {
            let Some(column) = find(schema, name)?.and_then(|column| schema.columns.get(column)) else { continue };
            let fail = |why: String| {
                Error::config(format!("key `{KEY}.{name}.{}` does not fit column {}", rule.word(), column.name))
                    .because(why)
                    .of_table(&schema.id)
            };
            let set = set(column, rule).map_err(|why| fail(why.into()))?;
            // Alone first, so that an error can name the rule.
            Program::compile(&set, schema, &settings).map_err(|fault| {
                let Fault { what, help, .. } = fault.of_value();
                fail(what).with_help(help)
            })?;
            sets.push(Argument { name: None, value: set });
        }
        let script = node(NodeKind::Call("e_compose".into(), sets));
        Program::compile(&script, schema, &settings).map_err(|fault| fault.into_error(KEY).of_table(&schema.id))
    }

    fn columns(&self) -> impl Iterator<Item = &str> + Clone {
        self.rules.keys().map(String::as_str)
    }

    fn zone(&self) -> &Zone {
        &self.zone
    }

    fn failed(&self, failure: Failure, column: Option<&str>) -> Error {
        let rule = column.and_then(|column| self.rules.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)));
        match rule {
            Some((name, rule)) => failure.into_error_of_value(&format!("{KEY}.{name}.{}", rule.word())),
            None => failure.into_error(KEY, column),
        }
    }
}

impl MaskRule {
    /// The word for it in the settings.
    fn word(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "hash",
            Self::Partial { .. } => "partial",
            Self::Truncate(_) => "truncate",
            Self::Constant(_) => "constant",
            Self::Null => "null",
            Self::Digits { .. } => "digits",
        }
    }
}

/// The column that a setting names: in this spelling, or the only one in another case.
fn find(schema: &TableSchema, name: &str) -> Result<Option<usize>> {
    if let Some(column) = schema.column(name) {
        return Ok(Some(column));
    }
    let mut similar = schema.columns.iter().enumerate().filter(|(_, column)| column.name.eq_ignore_ascii_case(name));
    match (similar.next(), similar.next()) {
        (Some(_), Some(_)) => Err(Error::config(format!("key `{KEY}.{name}` may be one of several columns of table {}", schema.id))
            .with_help("write the name in the case of the column")),
        (first, _) => Ok(first.map(|(column, _)| column)),
    }
}

fn node(kind: NodeKind) -> Node {
    Node::new(Place::default(), kind)
}

fn call(name: &str, arguments: Vec<NodeKind>) -> NodeKind {
    let argument = |kind| Argument { name: None, value: node(kind) };
    NodeKind::Call(name.into(), arguments.into_iter().map(argument).collect())
}

/// The action that a rule stands for.
fn set(column: &Column, rule: &MaskRule) -> Result<Node, &'static str> {
    let this = || NodeKind::Column(column.name.clone());
    let int = |number: u32| NodeKind::Int(number.into());
    let is_text = matches!(column.kind, ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. });
    let (value, is_new) = match rule {
        MaskRule::Hash { salt } => (call("mask_hash", vec![this(), NodeKind::Text(salt.expose_secret().into())]), true),
        MaskRule::Partial { start, end, with } => {
            if Reader::new(column).ty() == Type::Bytes || column.kind == ColumnKind::Json {
                return Err("`partial` is for texts, numbers and times");
            }
            let text = if is_text { this() } else { call("op_add", vec![NodeKind::Text(String::new()), this()]) };
            (call("mask_partial", vec![text, int(*start), int(*end), NodeKind::Text(with.to_string())]), !is_text)
        }
        MaskRule::Truncate(count) if is_text => (call("mask_truncate", vec![this(), int(*count)]), false),
        MaskRule::Truncate(_) => return Err("`truncate` is for texts"),
        MaskRule::Constant(text) => (NodeKind::Text(text.clone()), false),
        MaskRule::Null => (NodeKind::Word("null".into()), false),
        MaskRule::Digits { salt } => {
            if !is_text && !matches!(column.kind, ColumnKind::Int { .. }) {
                return Err("`digits` is for texts and integers");
            }
            (call("mask_digits", vec![this(), NodeKind::Text(salt.expose_secret().into())]), false)
        }
    };
    let mut arguments = vec![this(), value];
    if is_new {
        arguments.push(NodeKind::Word("NEW".into()));
    }
    Ok(node(call("e_set", arguments)))
}

impl Transform for Mask {
    /// What decides the keys of rows: nothing, unless `keys` names columns.
    fn fingerprint(&self) -> String {
        let MaskScript { rules, keys, .. } = self.runner.script();
        if keys.is_empty() {
            return String::new();
        }
        let rules = rules.iter().filter(|(name, _)| keys.iter().any(|key| key.eq_ignore_ascii_case(name)));
        let rules: Vec<String> = rules
            .map(|(name, rule)| match rule {
                MaskRule::Hash { salt } => format!("{name} hash {:?}", salt.expose_secret()),
                MaskRule::Digits { salt } => format!("{name} digits {:?}", salt.expose_secret()),
                other => format!("{name} {other:?}"),
            })
            .collect();
        // The texts hold salts.
        let hash = Sha256::digest(format!("{:?} {rules:?}", self.runner.tables()));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("mask keys {keys:?} {hex}")
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        self.runner.apply(batch)
    }

    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.runner.tables().patterns()
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let mut found = self.runner.check(tables);
        for name in self.runner.script().rules.keys() {
            // What may be one of several columns is said already.
            let has = |table: &Arc<TableSchema>| find(table, name).map_or(true, |column| column.is_some());
            found.extend(self.runner.tables().missing("mask.columns", name, tables, has));
        }
        found
    }
}
