//! Groups decoded events into batches.

use std::collections::VecDeque;

use runtime::{Batch, BatchBuilder, CellBlock, Event, Fact, Facts, Position};

use crate::binlog::error::StreamError;

/// Collects events and cuts them into batches.
///
/// Invariant: facts are committed only together with a resume point, so never with a batch that ends inside a transaction.
pub(super) struct BatchOutput {
    builder: BatchBuilder,
    ready: VecDeque<Batch>,
    max_bytes: usize,
    /// Whether the last batch ended inside a transaction. If so, a batch with a resume point is due at the end of this transaction.
    resume_due: bool,
    /// Facts to commit with the next resume point.
    facts: Facts,
}

impl BatchOutput {
    /// Creates an output that cuts batches at about `max_bytes` bytes.
    pub(super) fn new(max_bytes: usize) -> Self {
        let (builder, ready, facts) = (BatchBuilder::default(), VecDeque::new(), Facts::new());
        Self { builder, ready, max_bytes: max_bytes.max(1), resume_due: false, facts }
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

    /// Removes the fact `key` with the next resume point.
    pub(super) fn remove_fact<F: Fact>(&mut self, key: &str) {
        self.facts.remove_at::<F>(key);
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
        let mut batch = self.builder.finish(resume);
        if batch.resume.is_some() {
            batch.facts = std::mem::take(&mut self.facts);
        }
        self.ready.push_back(batch);
    }

    /// Makes a batch with a resume point. The batch bypasses the queue of finished batches, so this method may be called only while
    /// [`BatchOutput::is_drained`] is true.
    pub(super) fn separate(&mut self, events: Vec<Event>, resume: Position) -> Batch {
        let mut batch = Batch::new(events, Some(resume), 0);
        batch.facts = std::mem::take(&mut self.facts);
        batch
    }

    /// Takes the next finished batch; `None` if there is none.
    pub(super) fn take(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }

    /// Memory in bytes of the events that are not in a batch yet.
    #[inline]
    fn size(&self) -> usize {
        self.builder.block.len() + self.builder.len() * size_of::<Event>()
    }
}
