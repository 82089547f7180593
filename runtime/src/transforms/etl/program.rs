//! A script for one version of a table: what is done, and what the table looks like afterwards.

use std::sync::Arc;

use super::compile::{Compiler, Slot};
use super::expression::{Expression, Image, Term};
use super::functions::{ActionName, Callee, Entry, Function};
use super::keys::{ALLOWED, cast_keeps_apart, keeps_apart};
use super::place::{Fault, Place};
use super::read::Reader;
use super::store::{Store, new_column};
use super::syntax::{Argument, Node, NodeKind};
use super::types::text_length;
use super::value::{Constant, Type};
use super::zone::Zone;
use crate::{Collation, Column, ColumnKind, TableSchema};

/// What is done to a row.
#[derive(Debug)]
pub(super) enum Action {
    Nothing,
    /// Each action whose condition is true.
    Each(Vec<(Expression, Action)>),
    /// The first action whose condition is true, or the last one.
    First(Vec<(Expression, Action)>, Box<Action>),
    All(Vec<Action>),
    Drop,
    /// Drops the row if the condition is true, or with `unless` if it is not.
    DropIf {
        condition: Expression,
        unless: bool,
    },
    /// Sets the column of [`Program::sets`].
    Set(usize),
}

/// Sets a column.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) slot: usize,
    pub(super) value: Expression,
    pub(super) store: Store,
    /// A failure rejects the row even if others only give NULL.
    pub(super) is_key: bool,
}

/// Where a cell of the new row comes from.
#[derive(Debug)]
pub(super) enum Cell {
    /// So many cells are the same as in the old row.
    Copy(usize),
    /// It is that of a slot; if nothing was set, the old one.
    Slot(usize),
    /// The same, but the old one must be cast.
    Cast(usize, Expression, Store),
}

/// A compiled script.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) action: Action,
    pub(super) sets: Vec<Set>,
    /// How the values of slots are read.
    pub(super) slots: Vec<Reader>,
    /// The names of slots, for errors.
    pub(super) names: Vec<String>,
    /// For all columns of the old row, in their order.
    pub(super) cells: Vec<Cell>,
    /// The slots of the columns that are added.
    pub(super) added: Vec<usize>,
    pub(super) schema: Arc<TableSchema>,
    /// Whether rows may be dropped.
    pub(super) can_drop: bool,
}

/// What a script is compiled with.
pub(super) struct Rules<'a> {
    pub(super) zone: &'a Zone,
    /// Whether what fails gives NULL.
    pub(super) null_on_error: bool,
    /// Columns of keys that may be changed.
    pub(super) keys: &'a [String],
    /// Columns that are added with a type of their own, rather than that of their values.
    pub(super) declared: &'a [Column],
    /// Whether columns that decide in a filter must stay as they are.
    pub(super) keeps_filter_columns: bool,
}

impl<'a> Rules<'a> {
    /// Rules without exceptions.
    pub(super) fn new(zone: &'a Zone) -> Self {
        Self { zone, null_on_error: false, keys: &[], declared: &[], keeps_filter_columns: true }
    }
}

impl Program {
    /// Compiles a script for a table.
    pub(super) fn compile(node: &Node, schema: &Arc<TableSchema>, rules: &Rules<'_>) -> Result<Self, Fault> {
        let mut builder = Builder {
            compiler: Compiler { schema, zone: rules.zone, slots: Vec::new() },
            key: schema.effective_key(),
            rules,
            sets: Vec::new(),
            can_drop: false,
            conditional: false,
        };
        let action = builder.action(node)?;
        builder.finish(action, schema)
    }
}

/// A set whose column is not known yet.
struct Unstored {
    slot: usize,
    value: Expression,
    place: Place,
    is_key: bool,
}

struct Builder<'a> {
    compiler: Compiler<'a>,
    key: Vec<usize>,
    rules: &'a Rules<'a>,
    sets: Vec<Unstored>,
    can_drop: bool,
    /// Whether what is compiled now runs under a condition.
    conditional: bool,
}

impl Builder<'_> {
    fn action(&mut self, node: &Node) -> Result<Action, Fault> {
        let (name, arguments) = match &node.kind {
            NodeKind::Call(name, arguments) => (name, arguments),
            _ => return Err(Fault::new(node.place, "an action is expected here")),
        };
        let Some(Callee::Action(action)) = Entry::find(name).map(|entry| entry.callee) else {
            return Err(Fault::new(node.place, format!("{name} is no action")));
        };
        let at = |index: usize| match arguments.get(index) {
            Some(argument) => Ok(&argument.value),
            None => Err(Fault::new(node.place, format!("{name}: an argument is missing"))),
        };
        match action {
            ActionName::Compose => {
                let actions = arguments.iter().map(|argument| self.action(&argument.value));
                Ok(Action::All(actions.collect::<Result<_, _>>()?))
            }
            ActionName::If => {
                let mut pairs = Vec::new();
                for pair in arguments.chunks(2) {
                    let [condition, action] = pair else {
                        return Err(Fault::new(node.place, "e_if takes pairs of a condition and an action"));
                    };
                    let condition = self.compiler.condition(&condition.value)?;
                    match condition.as_constant() {
                        Some(Constant::Bool(true)) => {
                            let action = self.action(&action.value)?;
                            pairs.push((condition, action));
                        }
                        Some(_) => {}
                        None => {
                            let action = self.under_condition(&action.value)?;
                            pairs.push((condition, action));
                        }
                    }
                }
                Ok(Action::Each(pairs))
            }
            ActionName::IfElse => {
                let pair = [at(0)?, at(1)?];
                self.first(&[pair], Some(at(2)?))
            }
            ActionName::Switch => {
                let default = arguments.iter().find(|argument| argument.name.is_some()).map(|argument| &argument.value);
                let pairs: Vec<&Argument> = arguments.iter().filter(|argument| argument.name.is_none()).collect();
                let mut arms = Vec::new();
                for pair in pairs.chunks(2) {
                    let [condition, action] = pair else {
                        return Err(Fault::new(node.place, "e_switch takes pairs of a condition and an action, and default=action"));
                    };
                    arms.push([&condition.value, &action.value]);
                }
                self.first(&arms, default)
            }
            ActionName::Drop if arguments.is_empty() => {
                self.can_drop = true;
                Ok(Action::Drop)
            }
            ActionName::Drop | ActionName::Keep => {
                let unless = action == ActionName::Keep;
                let condition = self.compiler.condition(at(0)?)?;
                match condition.as_constant() {
                    Some(constant) if (*constant == Constant::Bool(true)) == unless => Ok(Action::Nothing),
                    Some(_) => {
                        self.can_drop = true;
                        Ok(Action::Drop)
                    }
                    None => {
                        self.can_drop = true;
                        Ok(Action::DropIf { condition, unless })
                    }
                }
            }
            ActionName::Set => {
                let NodeKind::Column(column) = &at(0)?.kind else {
                    return Err(Fault::new(at(0)?.place, "e_set: the first argument is a column in backticks"));
                };
                let takes_type = match arguments.get(2).map(|argument| &argument.value) {
                    None => false,
                    Some(Node { kind: NodeKind::Word(word), .. }) if word == "NEW" => true,
                    Some(other) => return Err(Fault::new(other.place, "e_set: the third argument can only be NEW")),
                };
                let value = self.compiler.expression(at(1)?)?;
                self.set(column, value, takes_type, node.place)
            }
            ActionName::ReplaceInTexts => self.replace_in_texts(at(0)?, at(1)?, at(2)?, node.place),
        }
    }

    fn under_condition(&mut self, node: &Node) -> Result<Action, Fault> {
        let outer = std::mem::replace(&mut self.conditional, true);
        let action = self.action(node);
        self.conditional = outer;
        action
    }

    /// The first of these actions whose condition is true. Actions that are not reached for this table are not compiled.
    fn first(&mut self, arms: &[[&Node; 2]], default: Option<&Node>) -> Result<Action, Fault> {
        let mut compiled = Vec::new();
        for [condition, action] in arms {
            let condition = self.compiler.condition(condition)?;
            match condition.as_constant() {
                Some(Constant::Bool(true)) => {
                    let last = if compiled.is_empty() { self.action(action)? } else { self.under_condition(action)? };
                    return Ok(Action::First(compiled, Box::new(last)));
                }
                Some(_) => {}
                None => {
                    let action = self.under_condition(action)?;
                    compiled.push((condition, action));
                }
            }
        }
        let last = match default {
            Some(default) if compiled.is_empty() => self.action(default)?,
            Some(default) => self.under_condition(default)?,
            None => Action::Nothing,
        };
        Ok(Action::First(compiled, Box::new(last)))
    }

    fn set(&mut self, name: &str, value: Expression, takes_type: bool, place: Place) -> Result<Action, Fault> {
        let schema = self.compiler.schema;
        let original = schema.column(name);
        if original.is_none()
            && let Some(similar) = schema.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
        {
            let what = format!("e_set: column {name} would differ from column {} by case only", similar.name);
            return Err(Fault::new(place, what).with_help("names of columns are case-sensitive in scripts"));
        }
        if self.rules.keeps_filter_columns && original.is_some_and(|column| schema.filter_columns.contains(&column)) {
            return Err(Fault::new(place, format!("e_set: column {name} of table {} decides in a filter and must not be set", schema.id)));
        }
        let is_key = original.is_some_and(|column| self.key.contains(&column));
        if let (true, Some(column)) = (is_key, original) {
            self.check_key(name, column, &value, takes_type, place)?;
        }
        let slot = self.slot(name, original, &value, takes_type, place)?;
        self.sets.push(Unstored { slot, value, place, is_key });
        Ok(Action::Set(self.sets.len() - 1))
    }

    /// A column of a key may only be changed so that different keys stay different.
    fn check_key(&self, name: &str, column: usize, value: &Expression, takes_type: bool, place: Place) -> Result<(), Fault> {
        let schema = self.compiler.schema;
        if !self.rules.keys.iter().any(|key| key == name) {
            let what = format!("e_set: column {name} belongs to the key of table {}", schema.id);
            return Err(Fault::new(place, what).with_help(format!("name it in `keys` if that is intended; {ALLOWED}")));
        }
        let cast = schema.columns.get(column).is_some_and(|of| takes_type || cast_keeps_apart(value.ty, Reader::new(of).ty()));
        if self.conditional || value.nullable || !keeps_apart(value, column) || !cast {
            let what = format!("e_set: different keys of table {} may become the same by this value of column {name}", schema.id);
            return Err(Fault::new(place, what).with_help(ALLOWED));
        }
        Ok(())
    }

    fn slot(&mut self, name: &str, original: Option<usize>, value: &Expression, takes_type: bool, place: Place) -> Result<usize, Fault> {
        let of = self.known_column(name, original);
        let is_new = takes_type || of.is_none();
        let definite = !self.conditional;
        let old_type = of.map_or(Type::Null, |column| Reader::new(column).ty());
        let nullable = value.nullable || self.rules.null_on_error;
        let Some(index) = self.compiler.slots.iter().position(|slot| slot.name == name) else {
            let ty = if is_new { value.ty } else { old_type };
            self.compiler.slots.push(Slot { name: name.to_owned(), original, ty, is_new, nullable, definite });
            return Ok(self.compiler.slots.len() - 1);
        };
        let Some(slot) = self.compiler.slots.get_mut(index) else { return Ok(index) };
        if is_new {
            let known = if slot.is_new { slot.ty } else { Type::Null };
            let Some(ty) = known.with(value.ty) else {
                let what = format!("column {name} is set to {} here, and to {} before", value.ty.name(), known.name());
                return Err(Fault::new(place, what).with_help("a column has one type for all rows"));
            };
            slot.ty = ty;
            slot.is_new = true;
        }
        slot.nullable |= nullable;
        slot.definite |= definite;
        Ok(index)
    }

    /// The column of the table, or one that is added with a type of its own.
    fn known_column(&self, name: &str, original: Option<usize>) -> Option<&Column> {
        match original {
            Some(column) => self.compiler.schema.columns.get(column),
            None => self.rules.declared.iter().find(|column| column.name == name),
        }
    }

    /// Replaces a text in every column of texts, as if each were set.
    fn replace_in_texts(&mut self, search: &Node, replace: &Node, all: &Node, place: Place) -> Result<Action, Fault> {
        const NAME: &str = "tail_replace_string_field";
        let (search, replace, all) =
            (self.compiler.expression(search)?, self.compiler.expression(replace)?, self.compiler.expression(all)?);
        for argument in [&search, &replace] {
            if !matches!(argument.ty, Type::Text(_)) {
                return Err(Fault::new(argument.place, format!("{NAME}: a text is expected here, found {}", argument.ty.name())));
            }
        }
        if search.as_text() == Some("") {
            return Err(Fault::new(search.place, format!("{NAME}: the text to be replaced is empty")));
        }
        if all.as_constant() != Some(&Constant::Bool(true)) {
            return Err(Fault::new(all.place, format!("{NAME}: only true is supported: all hits are replaced")));
        }
        let is_text = |kind: &ColumnKind| matches!(kind, ColumnKind::Char { .. } | ColumnKind::Varchar { .. } | ColumnKind::Text { .. });
        let texts = self.compiler.schema.columns.iter().filter(|column| is_text(&column.kind));
        let names: Vec<String> = texts.map(|column| column.name.clone()).collect();
        let mut actions = Vec::new();
        for name in names {
            let column = self.compiler.column(&name, place)?;
            let count = Expression::constant(Constant::Int(-1), Type::Int, place);
            let value = self.compiler.call(Function::Replace, vec![column, search.clone(), replace.clone(), count], place)?;
            actions.push(self.set(&name, value, false, place)?);
        }
        Ok(Action::All(actions))
    }

    fn finish(self, action: Action, old: &Arc<TableSchema>) -> Result<Program, Fault> {
        let mut schema = TableSchema::clone(old);
        let (mut readers, mut added) = (Vec::new(), Vec::new());
        let mut cells: Vec<Cell> = old.columns.iter().map(|_| Cell::Copy(1)).collect();
        let mut columns = Vec::new();
        for (index, slot) in self.compiler.slots.iter().enumerate() {
            let place = self.sets.iter().find(|set| set.slot == index).map(|set| set.place).unwrap_or_default();
            let of = self.known_column(&slot.name, slot.original);
            let is_key = slot.original.is_some_and(|column| self.key.contains(&column));
            // What keeps its old value must fit as well.
            let old_text = match (slot.original, of) {
                (Some(_), Some(of)) if !slot.definite => Type::Text(text_length(Reader::new(of).ty())),
                _ => Type::Text(Some(0)),
            };
            let ty = if let Type::Text(_) = slot.ty { slot.ty.with(old_text).unwrap_or(slot.ty) } else { slot.ty };
            let mut column = match of {
                Some(of) if !slot.is_new => of.clone(),
                _ => new_column(&slot.name, ty).ok_or_else(|| {
                    Fault::new(place, format!("e_set: the type of column {} is not known, because it is only set to null", slot.name))
                })?,
            };
            let is_foreign = slot.original.is_some() && of.is_some_and(|of| Reader::new(of).is_foreign_text()) && !slot.is_new;
            if is_foreign {
                column.collation = Some(Collation::new("utf8mb4"));
            }
            // A column stays nullable even if it is set for every row: otherwise a unique key might become the key of the rows.
            column.nullable = !is_key && (slot.nullable || of.map_or(!slot.definite, |of| of.nullable));
            match slot.original {
                Some(position) => {
                    if let Some(of) = schema.columns.get_mut(position) {
                        *of = column.clone();
                    }
                    let cell = if slot.definite || !(slot.is_new || is_foreign) {
                        Cell::Slot(index)
                    } else {
                        self.cast(position, &slot.name, &column, index, place)?
                    };
                    if let Some(old_cell) = cells.get_mut(position) {
                        *old_cell = cell;
                    }
                }
                None => {
                    schema.added_columns.push(schema.columns.len());
                    schema.columns.push(column.clone());
                    added.push(index);
                }
            }
            readers.push(Reader::new(&column));
            columns.push(column);
        }
        let mut sets = Vec::new();
        for set in self.sets {
            let Some(column) = columns.get(set.slot) else { continue };
            let store = Store::new(set.value.ty, column).map_err(|target| {
                let what = format!("e_set: {} cannot be cast to column {}, which is {target}", set.value.ty.name(), column.name);
                Fault::new(set.value.place, what).with_help("with NEW as third argument the column takes the type of the value")
            })?;
            // A constant that does not fit is a mistake of the script, and not of a row.
            if let Some(constant) = set.value.as_constant()
                && (set.is_key || !self.rules.null_on_error)
            {
                store.accepts(&constant.value(), self.rules.zone, set.value.place).map_err(|failure| {
                    let Fault { what, .. } = failure.into_fault();
                    Fault::new(set.value.place, format!("{what}: column {} is {}", column.name, column.source_type))
                })?;
            }
            sets.push(Set { slot: set.slot, value: set.value, store, is_key: set.is_key });
        }
        let names = self.compiler.slots.into_iter().map(|slot| slot.name).collect();
        let schema = if sets.is_empty() { old.clone() } else { Arc::new(schema) };
        // Neighbours are copied together.
        cells.dedup_by(|next, kept| match (next, kept) {
            (Cell::Copy(more), Cell::Copy(count)) => {
                *count += *more;
                true
            }
            _ => false,
        });
        Ok(Program { action, sets, slots: readers, names, cells, added, schema, can_drop: self.can_drop })
    }

    /// The cell of a row for which the script has not set the column.
    fn cast(&self, position: usize, name: &str, column: &Column, slot: usize, place: Place) -> Result<Cell, Fault> {
        let reader = self.compiler.schema.columns.get(position).map(Reader::new);
        let Some(reader) = reader else { return Ok(Cell::Slot(slot)) };
        let store = Store::new(reader.ty(), column).map_err(|_| {
            let what = format!("e_set: column {name} keeps values of its old type for some rows, which cannot be cast to the new one");
            Fault::new(place, what).with_help("set it for all rows")
        })?;
        let value = Expression {
            ty: reader.ty(),
            nullable: column.nullable,
            term: Term::Cell { column: position, reader, image: Image::Own },
            place,
        };
        Ok(Cell::Cast(slot, value, store))
    }
}
