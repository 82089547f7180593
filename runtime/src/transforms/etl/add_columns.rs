//! The transform `add_columns`: adds columns with a type and an expression of the language of scripts.

use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::expression::{Expression, Image, Term};
use super::parser::parse;
use super::place::{Failure, Place};
use super::program::{Program, Rules};
use super::runner::{Runner, Script};
use super::syntax::{Argument, Node, NodeKind};
use super::validate::{Expected, validate};
use super::zone::Zone;
use super::{parse_zone, utc};
use crate::transforms::selected_tables::SelectedTables;
use crate::{Batch, Collation, Column, ColumnKind, Error, Finding, Result, TablePattern, TableSchema, Transform};

const KEY: &str = "transform.add_columns.columns";

/// Settings of `add_columns`: `add_columns = { tables = ["shop.*"], columns = [{ name = "origin", type = "varchar(64)", value = "__DB__" }] }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AddColumnsConfig {
    /// The tables that get the columns.
    pub tables: Vec<String>,
    /// The columns, in the order in which they are added behind those of the table.
    pub columns: Vec<AddedColumn>,
    /// The zone of dates and times, such as `+08:00` or `Asia/Shanghai`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// A column that is added.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedColumn {
    /// Its name, which no column of the table has.
    pub name: String,
    /// Its type: `tinyint`, `smallint`, `int` or `bigint`, each also `unsigned`, `double`, `decimal(p,s)`, `varchar(n)`, `text`, `longtext`, `date`,
    /// `datetime`, `datetime(n)` or `json`.
    #[serde(rename = "type")]
    pub kind: String,
    /// An expression such as `__DB__`.
    pub value: String,
    /// Whether it becomes the last column of the key.
    #[serde(default)]
    pub key: bool,
}

/// A transform that adds columns.
pub struct AddColumns {
    runner: Runner<Additions>,
    fingerprint: String,
}

struct Additions {
    columns: Vec<New>,
    zone: Zone,
}

struct New {
    column: Column,
    set: Node,
    is_key: bool,
}

impl AddColumns {
    /// Reads the settings. Fails with an error of kind `Config` if they are not valid, which names line and column of the expression.
    pub fn new(config: AddColumnsConfig) -> Result<Self> {
        let tables = SelectedTables::new("add_columns.tables", &config.tables)?;
        let zone = parse_zone(&config.time_zone, "transform.add_columns.time_zone")?;
        if config.columns.is_empty() {
            return Err(Error::config(format!("key `{KEY}` names no column")));
        }
        let mut columns: Vec<New> = Vec::new();
        for AddedColumn { name, kind, value, key } in &config.columns {
            if name.is_empty() || columns.iter().any(|other| other.column.name.eq_ignore_ascii_case(name)) {
                return Err(Error::config(format!("key `{KEY}`: the name `{name}` is empty or there twice")));
            }
            let Some(column) = column(name, kind) else {
                return Err(Error::config(format!("key `{KEY}`: column {name} has a type that is not supported")).with_help(
                    "write tinyint, smallint, int or bigint (also unsigned), double, decimal(p,s), varchar(n), text, longtext, date, \
                     datetime, datetime(n) or json",
                ));
            };
            let expression = parse(value).and_then(|node| validate(&node, Expected::Value).map(|()| node));
            let expression = expression.map_err(|fault| fault.into_error(&value_key(name)))?;
            let arguments = [Node::new(expression.place, NodeKind::Column(name.clone())), expression];
            let arguments = arguments.map(|value| Argument { name: None, value }).into();
            let set = Node::new(Place::default(), NodeKind::Call("e_set".into(), arguments));
            columns.push(New { column, set, is_key: *key });
        }
        let keys: Vec<_> = config.columns.iter().filter(|column| column.key).collect();
        let hash = Sha256::digest(format!("{tables:?} {keys:?}"));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let names: Vec<_> = keys.iter().map(|column| &column.name).collect();
        let fingerprint = if keys.is_empty() { String::new() } else { format!("add_columns keys {names:?} {hex}") };
        Ok(Self { runner: Runner::new(Additions { columns, zone }, tables), fingerprint })
    }
}

fn value_key(name: &str) -> String {
    format!("{KEY}, value of {name}")
}

/// The column that a name and a type text stand for; `None` if the type is not supported.
fn column(name: &str, text: &str) -> Option<Column> {
    let text = text.trim().to_ascii_lowercase();
    let (base, unsigned) = text.strip_suffix(" unsigned").map_or((text.as_str(), false), |base| (base.trim_end(), true));
    let (word, numbers) = match base.strip_suffix(')') {
        Some(inner) => base.split_once('(').map(|(word, _)| word).zip(inner.split_once('(').map(|(_, numbers)| numbers))?,
        None => (base, ""),
    };
    let numbers: Vec<u32> =
        numbers.split(',').map(str::trim).filter(|number| !number.is_empty()).map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let has_numbers = base.ends_with(')');
    let (kind, is_number, is_text) = match (word.trim_end(), numbers.as_slice()) {
        ("tinyint", []) => (ColumnKind::Int { bytes: 1 }, true, false),
        ("smallint", []) => (ColumnKind::Int { bytes: 2 }, true, false),
        ("int" | "integer", []) => (ColumnKind::Int { bytes: 4 }, true, false),
        ("bigint", []) => (ColumnKind::Int { bytes: 8 }, true, false),
        ("decimal", [precision @ 1..=65, scale @ 0..=30]) if scale <= precision => {
            (ColumnKind::Decimal { precision: *precision as u8, scale: *scale as u8 }, true, false)
        }
        ("double", []) => (ColumnKind::Double, false, false),
        ("varchar", [length @ 1..=16_383]) => (ColumnKind::Varchar { length: *length }, false, true),
        ("text", []) => (ColumnKind::Text { prefix: 2 }, false, true),
        ("longtext", []) => (ColumnKind::Text { prefix: 4 }, false, true),
        ("date", []) => (ColumnKind::Date, false, false),
        ("datetime", []) => (ColumnKind::DateTime { fsp: 0 }, false, false),
        ("datetime", [fsp @ 0..=6]) => (ColumnKind::DateTime { fsp: *fsp as u8 }, false, false),
        ("json", []) => (ColumnKind::Json, false, false),
        _ => return None,
    };
    if (unsigned && !is_number) || (has_numbers && numbers.is_empty()) {
        return None;
    }
    let mut column = Column::new(name, kind, text);
    column.unsigned = unsigned;
    column.collation = is_text.then(|| Collation::new("utf8mb4_bin"));
    column.nullable = false;
    Some(column)
}

impl Script for Additions {
    const NAME: &'static str = "add_columns";
    const KEY: &'static str = KEY;

    fn compile(&self, schema: &Arc<TableSchema>) -> Result<Program> {
        let fail = |name: &str, why: &str| Error::config(format!("key `{KEY}`: column {name} {why}")).of_table(&schema.id);
        let declared: Vec<Column> = self.columns.iter().map(|new| new.column.clone()).collect();
        let rules = Rules { declared: &declared, ..Rules::new(&self.zone) };
        let mut sets = Vec::new();
        for new in &self.columns {
            let name = &new.column.name;
            if schema.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)) {
                return Err(fail(name, "cannot be added, because the table has a column of that name").with_help("give it another name"));
            }
            // With those before it, so that an error can name the column.
            sets.push(Argument { name: None, value: new.set.clone() });
            let script = Node::new(Place::default(), NodeKind::Call("e_compose".into(), sets.clone()));
            let program = Program::compile(&script, schema, &rules)
                .map_err(|fault| fault.of_value().into_error(&value_key(name)).of_table(&schema.id))?;
            let key = schema.effective_key();
            if let (true, Some(set)) = (new.is_key, program.sets.last())
                && (set.value.nullable || !depends_on(&set.value, &key, &program))
            {
                return Err(fail(name, "cannot belong to the key, because its value may change or be NULL while the key stays the same")
                    .with_help(
                        "a column with `key = true` may depend on constants, __DB__, __TB__ and columns of the key that cannot be NULL",
                    ));
            }
        }
        let script = Node::new(Place::default(), NodeKind::Call("e_compose".into(), sets));
        let mut program = Program::compile(&script, schema, &rules).map_err(|fault| fault.into_error(KEY).of_table(&schema.id))?;
        let mut extended = TableSchema::clone(&program.schema);
        for new in self.columns.iter().filter(|new| new.is_key) {
            let Some(column) = extended.column(&new.column.name) else { continue };
            if !extended.primary_key.is_empty() {
                extended.primary_key.push(column);
            }
            for key in &mut extended.unique_keys {
                key.columns.push(column);
            }
        }
        program.schema = Arc::new(extended);
        Ok(program)
    }

    /// None: a table without a column that an expression names is refused.
    fn columns(&self) -> impl Iterator<Item = &str> + Clone {
        std::iter::empty()
    }

    fn zone(&self) -> &Zone {
        &self.zone
    }

    fn failed(&self, failure: Failure, column: Option<&str>) -> Error {
        match column {
            Some(column) => failure.into_error_of_value(&value_key(column)),
            None => failure.into_error(KEY, None),
        }
    }
}

/// Whether an expression has the same value whenever these columns have.
fn depends_on(expression: &Expression, key: &[usize], program: &Program) -> bool {
    match &expression.term {
        Term::Constant(_) => true,
        Term::Cell { column, image: Image::Own, .. } => key.contains(column),
        // A column that was added before.
        Term::Slot { slot, .. } => {
            let mut sets = program.sets.iter().filter(|set| set.slot == *slot);
            sets.all(|set| depends_on(&set.value, key, program))
        }
        Term::Call { function, arguments, .. } => function.is_pure() && arguments.iter().all(|argument| depends_on(argument, key, program)),
        Term::Choice(parts) => parts.iter().all(|part| depends_on(part, key, program)),
        Term::Cell { .. } | Term::Operation | Term::CommitTime | Term::Position => false,
    }
}

impl Transform for AddColumns {
    /// The columns that become columns of keys.
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<()> {
        self.runner.apply(batch)
    }

    fn table_patterns(&self) -> Vec<(&str, &TablePattern)> {
        self.runner.tables().patterns()
    }

    fn check(&mut self, tables: &[Arc<TableSchema>]) -> Vec<Finding> {
        self.runner.check(tables)
    }
}
