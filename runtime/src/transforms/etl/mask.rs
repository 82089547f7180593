//! The transform `mask`: hides the values of columns. A rule is a short form of a script, so it does what the script does.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::place::Place;
use super::program::{Program, Rules};
use super::read::Reader;
use super::rows::{Memory, OneRow};
use super::syntax::{Argument, Node, NodeKind};
use super::value::Type;
use super::zone::Zone;
use crate::transforms::by_schema::BySchema;
use crate::transforms::known_columns::KnownColumns;
use crate::transforms::scope::Scope;
use crate::{Batch, Body, Column, ColumnKind, Error, Finding, Result, TableId, TableSchema, Transform};

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
    scope: Scope,
    rules: BTreeMap<String, MaskRule>,
    keys: Vec<String>,
    zone: Zone,
    programs: BySchema<Option<Arc<Program>>>,
    known: KnownColumns,
    memory: Memory,
}

impl Mask {
    /// Reads the settings. Fails with an error of kind `Config` if they are not valid.
    pub fn new(config: MaskConfig) -> Result<Self> {
        let scope = Scope::new(&config.tables, "transform.mask.tables")?;
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
        Ok(Self {
            scope,
            rules: config.columns,
            keys: config.keys,
            zone: Zone::Fixed(0),
            programs: BySchema::default(),
            known: KnownColumns::default(),
            memory: Memory::default(),
        })
    }

    fn schema_changed(&mut self, tables: &mut [(TableId, Option<Arc<TableSchema>>)]) -> Result<()> {
        // Old schemas are not used again.
        self.programs.clear();
        for (id, schema) in tables {
            let Some(schema) = schema else { continue };
            if !self.scope.contains(id) {
                continue;
            }
            let rules = &self.rules;
            self.known.learn(schema, KEY, |name| rules.keys().any(|rule| rule.eq_ignore_ascii_case(name)))?;
            *schema = compile(rules, &self.keys, &self.zone, schema)?.schema.clone();
        }
        Ok(())
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

/// The rules as a script for a table. Columns that it does not have are passed over.
fn compile(rules: &BTreeMap<String, MaskRule>, keys: &[String], zone: &Zone, schema: &Arc<TableSchema>) -> Result<Program> {
    let mut sets = Vec::new();
    let mut key_columns = Vec::new();
    for key in keys {
        key_columns.extend(find(schema, key)?.and_then(|column| schema.columns.get(column)).map(|column| column.name.clone()));
    }
    let settings = Rules { keys: &key_columns, keeps_filter_columns: false, ..Rules::new(zone) };
    for (name, rule) in rules {
        let Some(column) = find(schema, name)?.and_then(|column| schema.columns.get(column)) else { continue };
        let fail = |why: String| {
            Error::config(format!("key `{KEY}.{name}` does not fit column {}", column.name)).because(why).of_table(&schema.id)
        };
        let set = set(column, rule).map_err(|why| fail(why.into()))?;
        // Alone first, so that an error can name the rule.
        Program::compile(&set, schema, &settings).map_err(|fault| match fault.help.as_str() {
            "" => fail(fault.what),
            help => fail(fault.what).with_help(help.to_owned()),
        })?;
        sets.push(Argument { name: None, value: set });
    }
    let script = node(NodeKind::Call("e_compose".into(), sets));
    Program::compile(&script, schema, &settings).map_err(|fault| fault.into_error(KEY).of_table(&schema.id))
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
        if self.keys.is_empty() {
            return String::new();
        }
        let rules = self.rules.iter().filter(|(name, _)| self.keys.iter().any(|key| key.eq_ignore_ascii_case(name)));
        let rules: Vec<String> = rules
            .map(|(name, rule)| match rule {
                MaskRule::Hash { salt } => format!("{name} hash {:?}", salt.expose_secret()),
                MaskRule::Digits { salt } => format!("{name} digits {:?}", salt.expose_secret()),
                other => format!("{name} {other:?}"),
            })
            .collect();
        // The texts hold salts.
        let hash = Sha256::digest(format!("{:?} {rules:?}", self.scope));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("mask keys {:?} {hex}", self.keys)
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        batch.rewrite(|event, block| {
            let change = match &mut event.body {
                Body::Row(change) => change,
                Body::Schema(change) => return self.schema_changed(&mut change.tables).map(|()| true),
                Body::Begin | Body::Commit | Body::Heartbeat => return Ok(true),
            };
            let Self { scope, rules, keys, zone, programs, memory, .. } = self;
            let program = programs.get(&change.schema, |schema| {
                Ok(if scope.contains(&schema.id) { Some(Arc::new(compile(rules, keys, zone, schema)?)) } else { None })
            })?;
            let Some(program) = program else { return Ok(true) };
            OneRow { program, key: KEY, null_on_error: false, zone, now: 0 }.apply(event, block, memory)
        })
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        let mut found = self.scope.unused("mask", "transform.mask.tables", tables);
        let meant: Vec<_> = tables.iter().filter(|table| self.scope.contains(&table.id)).collect();
        for name in self.rules.keys() {
            let has = |table: &&Arc<TableSchema>| find(table, name).is_ok_and(|column| column.is_some());
            if !meant.is_empty() && !meant.iter().any(has) {
                found.push(Finding::failed(
                    "mask",
                    format!("no table of `transform.mask.tables` has the column {name}"),
                    "correct its name",
                ));
            }
        }
        for table in meant {
            if let Err(error) = compile(&self.rules, &self.keys, &self.zone, table) {
                found.push(Finding::from_error("mask", &error.map_message(|message| format!("table {}: {message}", table.id))));
            }
        }
        found
    }
}
