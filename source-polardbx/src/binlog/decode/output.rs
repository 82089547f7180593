//! Groups decoded events into batches.

use std::collections::VecDeque;

use runtime::{Batch, BatchBuilder, CellBlock, Event, Fact, Facts, Position, SchemaChanges};

use crate::binlog::error::StreamError;

/// Collects events and cuts them into batches.
///
/// Invariant: facts and schemas are committed only together with a resume point, so never with a batch that ends inside a transaction.
pub(super) struct BatchOutput {
    builder: BatchBuilder,
    ready: VecDeque<Batch>,
    max_bytes: usize,
    /// Whether the last batch ended inside a transaction. If so, a batch with a resume point is due at the end of this transaction.
    resume_due: bool,
    /// Facts to commit with the next resume point.
    facts: Facts,
    /// Schemas to commit with the next resume point, which no event tells.
    schemas: SchemaChanges,
    /// The number of batches that were taken.
    taken: u64,
    /// The events that must not be taken yet, because the end of their group is not known.
    held: Option<Held>,
}

/// A place between two events of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// The number of the batch, over all batches that were ever cut.
    batch: u64,
    /// The number of events before it in that batch.
    events: usize,
}

/// Where held events begin.
#[derive(Clone, Copy, Debug)]
struct Held {
    from: Mark,
    /// Memory in bytes of the events before `from` in its batch.
    before: usize,
    /// Memory in bytes of the batches that were cut since.
    cut: usize,
}

impl BatchOutput {
    /// Creates an output that cuts batches at about `max_bytes` bytes.
    pub(super) fn new(max_bytes: usize) -> Self {
        let (builder, ready, facts, schemas) = (BatchBuilder::default(), VecDeque::new(), Facts::new(), SchemaChanges::new());
        Self { builder, ready, max_bytes: max_bytes.max(1), resume_due: false, facts, schemas, taken: 0, held: None }
    }

    /// The place behind the last event.
    pub(super) fn mark(&self) -> Mark {
        Mark { batch: self.taken + self.ready.len() as u64, events: self.builder.len() }
    }

    /// Holds all events from now on back, until [`BatchOutput::release`] is called.
    pub(super) fn hold(&mut self) {
        self.held = Some(Held { from: self.mark(), before: self.size(), cut: 0 });
    }

    /// Lets the held events go.
    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Memory in bytes of the held events; 0 if none are held.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.map_or(0, |held| (held.cut + self.size()).saturating_sub(held.before))
    }

    /// Changes all held events.
    pub(super) fn change_held(&mut self, mut change: impl FnMut(&mut Event)) {
        let Some(Held { from, .. }) = self.held else { return };
        let first = usize::try_from(from.batch.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        for (index, batch) in self.ready.iter_mut().enumerate().skip(first) {
            let skipped = if index == first { from.events } else { 0 };
            batch.events.iter_mut().skip(skipped).for_each(&mut change);
        }
        let skipped = if first >= self.ready.len() { from.events } else { 0 };
        self.builder.events_mut().iter_mut().skip(skipped).for_each(change);
    }

    /// Drops all held events, and holds no more. Returns whether events were held.
    pub(super) fn drop_held(&mut self) -> bool {
        let held = self.held.take();
        if let Some(held) = held {
            self.drop_behind(held.from);
        }
        held.is_some()
    }

    /// Drops the events behind `mark`, which must be in the held part.
    pub(super) fn drop_behind(&mut self, mark: Mark) {
        let index = usize::try_from(mark.batch.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        if index > self.ready.len() {
            return;
        }
        if index == self.ready.len() {
            self.builder.truncate(mark.events.min(self.builder.len()));
            return;
        }
        self.builder.truncate(0);
        self.ready.truncate(index + 1);
        let Some(last) = self.ready.back_mut() else { return };
        last.events.truncate(mark.events);
        if last.events.is_empty() {
            self.ready.pop_back();
        }
    }

    /// The block into which the cells of the next row events are written.
    #[inline]
    pub(super) fn block(&mut self) -> &mut CellBlock {
        &mut self.builder.block
    }

    #[inline]
    pub(super) fn push(&mut self, event: Event) {
        self.builder.push(event);
    }

    /// Sets the fact `key`, which is committed with the next resume point. This resume point may lie before the event that changed the
    /// fact. That does no harm: after a restart, the event is read again and sets the fact to the same value.
    pub(super) fn set_fact<F: Fact>(&mut self, key: &str, fact: &F) -> Result<(), StreamError> {
        self.facts.set_at(key, fact).map_err(|error| StreamError::corrupt(error.to_string()))
    }

    /// Removes the fact `key`, like [`BatchOutput::set_fact`] sets it.
    pub(super) fn remove_fact<F: Fact>(&mut self, key: &str) {
        self.facts.remove_at::<F>(key);
    }

    /// Sets schemas that are committed with the next resume point. They must hold for all rows behind that point: a statement that changes
    /// them must be a group of its own, which ends before another batch is made.
    pub(super) fn set_schemas(&mut self, schemas: SchemaChanges) {
        self.schemas.extend(schemas);
    }

    /// Whether all collected events were put into batches.
    pub(super) fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Whether all collected events were put into batches, and all batches were taken.
    pub(super) fn is_drained(&self) -> bool {
        self.ready.is_empty() && self.builder.is_empty()
    }

    /// Whether a batch must be cut now, even inside a transaction.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.size() >= self.max_bytes
    }

    /// Whether a batch should be cut at the end of a transaction.
    pub(super) fn is_cut_due(&self) -> bool {
        self.resume_due || self.size() >= self.max_bytes / 2
    }

    /// Makes a batch of the events collected so far. `resume` is `None` inside a transaction.
    pub(super) fn cut(&mut self, resume: Option<Position>) {
        self.resume_due = resume.is_none();
        let size = self.size();
        if let Some(held) = &mut self.held {
            held.cut += size;
        }
        let mut batch = self.builder.finish(resume);
        if batch.resume.is_some() {
            self.add_changes(&mut batch);
        }
        self.ready.push_back(batch);
    }

    /// Makes a batch with a resume point. The batch bypasses the queue of finished batches, so this method may be called only while
    /// [`BatchOutput::is_drained`] is true.
    pub(super) fn separate(&mut self, events: Vec<Event>, resume: Position) -> Batch {
        let mut batch = Batch::new(events, Some(resume), 0);
        self.add_changes(&mut batch);
        batch
    }

    fn add_changes(&mut self, batch: &mut Batch) {
        batch.facts = std::mem::take(&mut self.facts);
        batch.schemas = std::mem::take(&mut self.schemas);
    }

    /// Takes the next finished batch; `None` if there is none, or if it is held.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.held.is_some_and(|held| held.from.batch <= self.taken) {
            return None;
        }
        let batch = self.ready.pop_front()?;
        self.taken += 1;
        Some(batch)
    }

    /// Memory in bytes of the events that are not in a batch yet.
    #[inline]
    fn size(&self) -> usize {
        self.builder.block.len() + self.builder.len() * size_of::<Event>()
    }
}
