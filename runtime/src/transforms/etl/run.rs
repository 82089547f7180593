//! Runs a compiled script on a row.

use super::evaluate::{Scene, evaluate, is_true};
use super::expression::Expression;
use super::place::{Evaluated, Failure};
use super::program::{Action, Cell, Program};
use super::store::Store;
use super::value::{Slot, Val};
use crate::{CellBlock, Row, Value};

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Dropped,
}

/// A failure, and the slot of the column that was to be set.
pub(super) type Failed = (Box<Failure>, Option<usize>);

/// The decisions that conditions have made, in order.
#[derive(Default)]
pub(super) struct Decisions {
    made: Vec<bool>,
    /// The next one that is to be repeated; `None` while decisions are made.
    next: Option<usize>,
}

impl Decisions {
    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.made.clear();
        self.next = None;
    }

    /// Repeats them from the first one on.
    pub(super) fn repeat(&mut self) {
        self.next = Some(0);
    }

    pub(super) fn are_those_of(&self, other: &Self) -> bool {
        self.made == other.made
    }
}

/// A row on which a script runs.
pub(super) struct Run<'a, 'r> {
    pub(super) program: &'a Program,
    pub(super) null_on_error: bool,
    pub(super) scene: Scene<'a>,
    pub(super) decisions: &'r mut Decisions,
}

impl<'a> Run<'a, '_> {
    /// Runs the script. What it sets is in the slots of the scene.
    pub(super) fn run(&mut self) -> Result<Fate, Failed> {
        self.action(&self.program.action)
    }

    fn action(&mut self, action: &'a Action) -> Result<Fate, Failed> {
        match action {
            Action::Nothing => Ok(Fate::Kept),
            Action::Drop => Ok(Fate::Dropped),
            Action::DropIf { condition, unless } => {
                let holds = self.decide(condition)?;
                Ok(if holds == *unless { Fate::Kept } else { Fate::Dropped })
            }
            Action::Each(pairs) => {
                for (condition, action) in pairs {
                    if self.decide(condition)? && self.action(action)? == Fate::Dropped {
                        return Ok(Fate::Dropped);
                    }
                }
                Ok(Fate::Kept)
            }
            Action::First(pairs, last) => {
                for (condition, action) in pairs {
                    if self.decide(condition)? {
                        return self.action(action);
                    }
                }
                self.action(last)
            }
            Action::All(actions) => {
                for action in actions {
                    if self.action(action)? == Fate::Dropped {
                        return Ok(Fate::Dropped);
                    }
                }
                Ok(Fate::Kept)
            }
            Action::Set(index) => {
                let Some(set) = self.program.sets.get(*index) else { return Ok(Fate::Kept) };
                let Some(slot) = self.scene.stored.get(set.slot) else { return Ok(Fate::Kept) };
                match self.store(&set.value, &set.store, slot) {
                    Ok(()) => {}
                    Err(_) if self.null_on_error && !set.is_key => slot.set(Some(Value::Null)),
                    Err(failure) => return Err((failure, Some(set.slot))),
                }
                Ok(Fate::Kept)
            }
        }
    }

    /// Puts the value of an expression, cast to the type of a column, into a slot.
    fn store(&self, expression: &'a Expression, store: &Store, slot: &Slot<'a>) -> Evaluated<()> {
        let mut value = Val::Null;
        evaluate(expression, &self.scene, &mut value)?;
        store.convert(&value, self.scene.zone, self.scene.scratch, expression.place, slot)
    }

    fn decide(&mut self, condition: &'a Expression) -> Result<bool, Failed> {
        if let Some(next) = &mut self.decisions.next {
            *next += 1;
            return Ok(self.decisions.made.get(*next - 1).copied().unwrap_or(false));
        }
        let decision = match is_true(condition, &self.scene) {
            Ok(decision) => decision,
            Err(_) if self.null_on_error => false,
            Err(failure) => return Err((failure, None)),
        };
        self.decisions.made.push(decision);
        Ok(decision)
    }

    /// Writes the row with what the script has set.
    pub(super) fn write(&mut self, row: &Row, block: &mut CellBlock) -> Result<Row, Failed> {
        let mut writer = block.row(self.program.schema.columns.len());
        let mut column = 0;
        for cell in &self.program.cells {
            let count = if let Cell::Copy(count) = cell { *count } else { 1 };
            match cell {
                Cell::Copy(_) => writer.push_cells(row, column..column + count),
                Cell::Slot(slot) => match self.stored(*slot) {
                    Some(value) => writer.push(value),
                    None => writer.push_cells(row, column..column + 1),
                },
                Cell::Cast(slot, value, store) => {
                    if self.stored(*slot).is_none() {
                        let Some(into) = self.scene.stored.get(*slot) else { continue };
                        match self.store(value, store, into) {
                            Ok(()) => {}
                            Err(_) if self.null_on_error => into.set(Some(Value::Null)),
                            Err(failure) => return Err((failure, Some(*slot))),
                        }
                    }
                    writer.push(self.stored(*slot).unwrap_or(Value::Null));
                }
            }
            column += count;
        }
        for slot in &self.program.added {
            writer.push(self.stored(*slot).unwrap_or(Value::Null));
        }
        Ok(writer.finish())
    }

    /// What the script has set.
    fn stored(&self, slot: usize) -> Option<Value<'a>> {
        self.scene.stored.get(slot).and_then(std::cell::Cell::get)
    }
}
