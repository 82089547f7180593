//! The batch: the unit that crosses tasks, channels and `await`s. Single rows never do.

use std::cell::Cell;

use crate::{Body, CellBlock, Error, Event, Facts, Kind, Position, Result, SchemaChanges, Seq, TableProgress};

/// How many bytes a block holds before [`Batch::rewrite`] begins another one.
const BLOCK_BYTES: usize = 1 << 30;

/// What became of an event that was written as a part of a batch ([`Batch::sort_out`]).
#[derive(Debug)]
pub enum Fate {
    /// It is durable.
    Delivered,
    /// It cannot be carried.
    Rejected(Error),
    /// It must be written again once an event before it, which was rejected, is dealt with. A sink may say so of an event that it has delivered,
    /// if it passes over it then.
    Postponed,
}

/// Consecutive events of one split.
///
/// Invariants, checked by [`Batch::verify`] (in debug builds for every batch of every lane): `seq` rises strictly, heartbeats apart; a schema
/// change travels alone; `resume` is set only at a transaction boundary or the end of a chunk, so a large transaction is many batches with `None`. An empty
/// batch only moves the resume position, or tells the source's time.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events in order.
    pub events: Vec<Event>,
    /// Where the source resumes once all events up to here are durable.
    pub resume: Option<Position>,
    /// Changes of the task's facts, committed together with `resume`.
    pub facts: Facts,
    /// Changes of the split's schemas that no event of the batch tells, under the tables' names in the source. They are committed together
    /// with `resume`, which must lie behind the statements that made them.
    pub schemas: SchemaChanges,
    /// The time of the source up to which it was read, in milliseconds since the epoch: that of the last event read, also of one that is not
    /// in a batch, or the present if the source has nothing more. `None` means the time of the batch's last event. The lag is counted from it.
    pub source_ms: Option<i64>,
    /// Whether `resume` is committed before anything later is delivered, like that of a schema change. A commit takes some milliseconds.
    pub commits_at_once: bool,
    /// How far tables of the full phase are, for people.
    pub tables: Vec<TableProgress>,
    rejected: Vec<(Event, Error)>,
    postponed: Vec<Event>,
    bytes: usize,
}

impl Batch {
    /// A batch of these events; `bytes` is their size in memory as the source counts it.
    pub fn new(events: Vec<Event>, resume: Option<Position>, bytes: usize) -> Self {
        Self { events, resume, bytes, ..Self::default() }
    }

    /// Size of the events' cells in bytes.
    pub fn size(&self) -> usize {
        self.bytes
    }

    /// How many events are rows.
    pub fn row_count(&self) -> usize {
        self.events.iter().filter(|event| matches!(event.body, Body::Row(_))).count()
    }

    /// The `seq` of the last event that is no heartbeat.
    pub fn last_seq(&self) -> Option<Seq> {
        self.events.iter().rev().find(|event| !matches!(event.body, Body::Heartbeat)).map(|event| event.seq)
    }

    /// Keeps events for which `f` returns true and drops those for which it returns false. An error of kind [`Kind::Data`] moves the event
    /// to the rejected ones; any other error is returned at once.
    pub fn retain(&mut self, f: impl FnMut(&mut Event) -> Result<bool>) -> Result<()> {
        self.sift(f)
    }

    /// Like [`Batch::retain`], for transforms that change cells: `f` writes new rows into the block that it is given, and puts them in the place
    /// of the event's rows. So nothing is allocated per row. A new row can be read only after `rewrite` has returned.
    pub fn rewrite(&mut self, mut f: impl FnMut(&mut Event, &mut CellBlock) -> Result<bool>) -> Result<()> {
        let mut block = CellBlock::with_capacity(self.bytes);
        let result = self.sift(|event| {
            // Rows are found by offsets of 4 bytes.
            if block.len() > BLOCK_BYTES {
                std::mem::take(&mut block).seal();
            }
            f(event, &mut block)
        });
        block.seal();
        result
    }

    fn sift(&mut self, mut f: impl FnMut(&mut Event) -> Result<bool>) -> Result<()> {
        let mut failed = None;
        // Why the event that is taken out next is rejected; `None` if it is dropped.
        let refusal = Cell::new(None);
        let is_taken_out = |event: &mut Event| match if failed.is_some() { Ok(true) } else { f(event) } {
            Ok(is_kept) => !is_kept,
            Err(error) if error.kind() == Kind::Data => {
                refusal.set(Some(error));
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        };
        for event in self.events.extract_if(.., is_taken_out) {
            self.rejected.extend(refusal.take().map(|error| (event, error)));
        }
        failed.map_or(Ok(()), Err)
    }

    /// Moves one event out as rejected, keeping the order of the rest.
    pub fn reject(&mut self, index: usize, error: Error) {
        let event = self.events.remove(index);
        self.rejected.push((event, error));
    }

    /// Takes apart what a sink could not deliver as a whole: `fate` says of each event, by its index, what became of it. Keeps the order.
    ///
    /// A sink that skips after a restart what it finds delivered needs this: by a later event it would count a rejected event as delivered,
    /// and would never see it again. So it writes no such event, and postpones it. The runtime deals with the rejected events, which may mean
    /// that it writes dead letters, and then calls `write` again with the postponed events.
    pub fn sort_out(&mut self, mut fate: impl FnMut(usize) -> Fate) {
        for (index, event) in std::mem::take(&mut self.events).into_iter().enumerate() {
            match fate(index) {
                Fate::Delivered => self.events.push(event),
                Fate::Rejected(error) => self.rejected.push((event, error)),
                Fate::Postponed => self.postponed.push(event),
            }
        }
    }

    /// Whether a sink has postponed events.
    pub fn has_postponed(&self) -> bool {
        !self.postponed.is_empty()
    }

    /// The postponed events, which are no longer in the batch.
    pub fn take_postponed(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.postponed)
    }

    /// The rejected events with their errors, which are no longer in the batch.
    pub fn take_rejected(&mut self) -> Vec<(Event, Error)> {
        std::mem::take(&mut self.rejected)
    }

    /// Checks the invariants; `last` is the last seq of the batch before.
    pub fn verify(&self, last: Seq) -> Result<(), String> {
        let mut previous = last;
        for event in &self.events {
            if matches!(event.body, Body::Heartbeat) {
                continue;
            }
            if event.seq <= previous {
                return Err(format!("seq {} after {previous}", event.seq));
            }
            previous = event.seq;
            match &event.body {
                Body::Schema(_) if self.events.len() > 1 => return Err("a schema change beside other events".into()),
                Body::Row(row) => {
                    let columns = row.schema.columns.len();
                    if row.before.iter().chain(&row.after).any(|image| image.columns() != columns) {
                        return Err(format!("an image of {} that does not have its {columns} columns", row.schema.id));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Collects events whose rows share one block.
#[derive(Default)]
pub struct BatchBuilder {
    /// Where rows are packed.
    pub block: CellBlock,
    events: Vec<Event>,
}

impl BatchBuilder {
    /// A builder with room for so many events and bytes of cells.
    pub fn with_capacity(events: usize, bytes: usize) -> Self {
        Self { block: CellBlock::with_capacity(bytes), events: Vec::with_capacity(events) }
    }

    /// Adds an event whose rows are in `block`.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The events so far.
    pub fn events_mut(&mut self) -> &mut [Event] {
        &mut self.events
    }

    /// Keeps the first `events` events and drops the later ones. The block keeps the bytes of the dropped rows until the batch is made.
    pub fn truncate(&mut self, events: usize) {
        if events == 0 {
            *self = Self::default();
        }
        self.events.truncate(events);
    }

    /// Events so far.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event yet.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Seals the block and makes the batch; the builder is empty again, with room for as much.
    pub fn finish(&mut self, resume: Option<Position>) -> Batch {
        // The next batch is likely to be like this one; growing into its size step by step would copy everything several times.
        let next = Self::with_capacity(self.events.len(), self.block.len());
        let Self { block, events } = std::mem::replace(self, next);
        let bytes = block.len();
        block.seal();
        Batch::new(events, resume, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::events;

    fn seqs(events: &[Event]) -> Vec<u128> {
        events.iter().map(|event| event.seq.0).collect()
    }

    #[test]
    fn events_are_kept_dropped_or_rejected_in_order() {
        let mut batch = Batch::new(events(1, 6), None, 0);
        let retained = batch.retain(|event| match event.seq.0 {
            2 | 5 => Ok(false),
            3 => Err(Error::data("too long")),
            _ => Ok(true),
        });
        assert!(retained.is_ok());
        assert_eq!(seqs(&batch.events), [1, 4, 6]);
        batch.reject(1, Error::data("not a number"));
        assert_eq!(seqs(&batch.events), [1, 6]);
        let rejected: Vec<_> = batch.take_rejected().into_iter().map(|(event, error)| (event.seq.0, error.to_string())).collect();
        assert_eq!(rejected, [(3, "too long".to_owned()), (4, "not a number".to_owned())]);
        assert!(batch.take_rejected().is_empty());
    }

    #[test]
    fn what_a_sink_did_not_deliver_is_sorted_out_in_order() {
        let mut batch = Batch::new(events(1, 5), None, 0);
        batch.sort_out(|index| match index {
            0 | 3 => Fate::Delivered,
            1 => Fate::Rejected(Error::data("too long")),
            _ => Fate::Postponed,
        });
        assert_eq!((seqs(&batch.events), batch.has_postponed()), (vec![1, 4], true));
        assert_eq!(batch.take_rejected().iter().map(|(event, _)| event.seq.0).collect::<Vec<_>>(), [2]);
        assert_eq!((seqs(&batch.take_postponed()), batch.has_postponed()), (vec![3, 5], false));
    }

    #[test]
    fn heartbeats_have_no_place_in_the_order() {
        let mut list = events(5, 3);
        for (index, seq) in [(1, 0), (3, 9)] {
            list.insert(index, Event { seq: Seq(seq), body: Body::Heartbeat, ..list[0].clone() });
        }
        let batch = Batch::new(list, None, 0);
        assert_eq!((batch.verify(Seq(4)), batch.last_seq()), (Ok(()), Some(Seq(7))));
        assert!(batch.verify(Seq(5)).is_err());
        let heartbeat = Event { body: Body::Heartbeat, ..events(1, 1).remove(0) };
        assert_eq!(Batch::new(vec![heartbeat], None, 0).last_seq(), None);
    }

    #[test]
    fn another_error_keeps_what_was_not_examined() {
        let mut batch = Batch::new(events(1, 4), None, 0);
        let error = batch.retain(|event| if event.seq.0 == 2 { Err(Error::fatal("broken")) } else { Ok(event.seq.0 != 1) }).unwrap_err();
        assert_eq!((error.kind(), seqs(&batch.events)), (Kind::Fatal, vec![2, 3, 4]));
    }
}
