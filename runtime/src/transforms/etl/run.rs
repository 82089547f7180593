//! Runs a compiled script on a row.

use super::evaluate::{Scene, evaluate, is_true};
use super::place::Failure;
use super::program::{Action, Cell, Program};
use super::value::{Scratch, Stored};
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
    pub(super) scratch: &'r mut Scratch,
    pub(super) decisions: &'r mut Decisions,
}

impl<'a> Run<'a, '_> {
    /// Runs the script. What it sets is in the scratch.
    pub(super) fn run(&mut self) -> Result<Fate, Failed> {
        self.scratch.clear(self.program.slots.len());
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
                let value = evaluate(&set.value, &self.scene, self.scratch)
                    .and_then(|value| set.store.convert(value, self.scene.zone, self.scratch, set.value.place));
                let stored = match value {
                    Ok(stored) => stored,
                    Err(_) if self.null_on_error && !set.is_key => Stored::Plain(Value::Null),
                    Err(failure) => return Err((failure, Some(set.slot))),
                };
                self.scratch.set(set.slot, stored);
                Ok(Fate::Kept)
            }
        }
    }

    fn decide(&mut self, condition: &'a super::expression::Expression) -> Result<bool, Failed> {
        if let Some(next) = &mut self.decisions.next {
            *next += 1;
            return Ok(self.decisions.made.get(*next - 1).copied().unwrap_or(false));
        }
        let decision = match is_true(condition, &self.scene, self.scratch) {
            Ok(decision) => decision,
            Err(_) if self.null_on_error => false,
            Err(failure) => return Err((failure, None)),
        };
        self.decisions.made.push(decision);
        Ok(decision)
    }

    /// Writes the row with what the script has set.
    pub(super) fn write(&mut self, row: &Row, block: &mut CellBlock) -> Result<Row, Failed> {
        let mut writer = block.row(self.program.cells.len() + self.program.added.len());
        for (old, cell) in row.packed().zip(&self.program.cells) {
            match cell {
                Cell::Copy => writer.push_cell(old),
                Cell::Slot(slot) => match self.scratch.value(self.scratch.stored(*slot)) {
                    Some(value) => writer.push(value),
                    None => writer.push_cell(old),
                },
                Cell::Cast(slot, value, store) => {
                    let mut stored = self.scratch.stored(*slot);
                    if let Stored::Unset = stored {
                        let cast = evaluate(value, &self.scene, self.scratch)
                            .and_then(|converted| store.convert(converted, self.scene.zone, self.scratch, value.place));
                        stored = match cast {
                            Ok(stored) => stored,
                            Err(_) if self.null_on_error => Stored::Plain(Value::Null),
                            Err(failure) => return Err((failure, Some(*slot))),
                        };
                    }
                    writer.push(self.scratch.value(stored).unwrap_or(Value::Null));
                }
            }
        }
        for slot in &self.program.added {
            writer.push(self.scratch.value(self.scratch.stored(*slot)).unwrap_or(Value::Null));
        }
        Ok(writer.finish())
    }
}
