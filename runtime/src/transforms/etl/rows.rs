//! What a compiled script does to an event: to both images of an UPDATE, and to the one image of other changes.

use super::evaluate::Scene;
use super::program::Program;
use super::run::{Decisions, Failed, Fate, Run};
use super::value::Scratch;
use super::zone::Zone;
use crate::{Body, CellBlock, Event, Op, Result, Row};

/// What is used again for every row.
#[derive(Default)]
pub(super) struct Memory {
    scratch: Scratch,
    decisions: Decisions,
    other_decisions: Decisions,
}

/// A row and what is done to it.
pub(super) struct OneRow<'a> {
    pub(super) program: &'a Program,
    pub(super) null_on_error: bool,
    pub(super) zone: &'a Zone,
    /// The present, in microseconds since the epoch.
    pub(super) now: i64,
}

impl OneRow<'_> {
    /// Runs the script; false drops the event.
    pub(super) fn apply(&self, event: &mut Event, block: &mut CellBlock, memory: &mut Memory) -> Result<bool, Failed> {
        let program = self.program;
        if program.sets.is_empty() && !program.can_drop {
            return Ok(true);
        }
        let Event { position, timestamp_ms, body: Body::Row(change), .. } = event else { return Ok(true) };
        memory.scratch.clear();
        let Memory { scratch, decisions, other_decisions } = memory;
        let scene = Scene {
            row: None,
            before: change.before.as_ref(),
            after: change.after.as_ref(),
            op: change.op,
            commit_ms: *timestamp_ms,
            position: position.as_str(),
            now: self.now,
            zone: self.zone,
            slots: &program.slots,
            stored: &[],
            scratch,
        };
        let images = match (&change.before, &change.after) {
            (Some(before), Some(after)) => self.both(scene, before, after, block, decisions, other_decisions),
            (Some(before), None) => self.alone(scene, before, block, decisions).map(|row| (row, None)),
            (None, Some(after)) => self.alone(scene, after, block, decisions).map(|row| (None, row)),
            (None, None) => return Ok(true),
        };
        let (before, after) = images?;
        change.op = match (&before, &after) {
            (None, None) => return Ok(false),
            (Some(_), None) => Op::Delete,
            (None, Some(_)) if change.op == Op::Update => Op::Insert,
            _ => change.op,
        };
        (change.before, change.after) = (before, after);
        change.schema = program.schema.clone();
        Ok(true)
    }

    /// One image whose conditions are its own; `None` if it is dropped.
    fn alone<'a>(
        &'a self,
        scene: Scene<'a>,
        row: &'a Row,
        block: &mut CellBlock,
        decisions: &mut Decisions,
    ) -> Result<Option<Row>, Failed> {
        decisions.clear();
        let mut run = self.start(scene, row, decisions);
        match run.run()? {
            Fate::Kept => run.write(row, block).map(Some),
            Fate::Dropped => Ok(None),
        }
    }

    /// Both images of an UPDATE. Each is kept or dropped by its own conditions; if both are kept, those of the image after decide what is set
    /// in the image before.
    fn both<'a>(
        &'a self,
        scene: Scene<'a>,
        before: &'a Row,
        after: &'a Row,
        block: &mut CellBlock,
        decisions: &mut Decisions,
        other_decisions: &mut Decisions,
    ) -> Result<(Option<Row>, Option<Row>), Failed> {
        let new_after = self.alone(scene, after, block, decisions)?;
        if self.program.can_drop {
            other_decisions.clear();
            let mut run = self.start(scene, before, other_decisions);
            let is_dropped = run.run()? == Fate::Dropped;
            let same = run.decisions.are_those_of(decisions);
            if is_dropped {
                return Ok((None, new_after));
            }
            if same || new_after.is_none() {
                return Ok((Some(run.write(before, block)?), new_after));
            }
        }
        decisions.repeat();
        let mut run = self.start(scene, before, decisions);
        run.run()?;
        Ok((Some(run.write(before, block)?), new_after))
    }

    fn start<'a, 'r>(&'a self, scene: Scene<'a>, row: &'a Row, decisions: &'r mut Decisions) -> Run<'a, 'r> {
        let scene = Scene { row: Some(row), stored: scene.scratch.slots(self.program.slots.len()), ..scene };
        Run { program: self.program, null_on_error: self.null_on_error, scene, decisions }
    }
}
