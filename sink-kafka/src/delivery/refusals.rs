//! What a write could not deliver: the events whose record a broker or the format refuses.
//!
//! The greatest seq in a partition says what was delivered to it. So nothing that follows a refused record may reach its partition before
//! the runtime has dealt with the refused event.

use std::collections::BTreeMap;
use std::ops::Range;

use runtime::{Batch, Error, Fate};

use crate::routing::Target;

/// The refusals of one write. Once there is one, no further record is added in this write.
#[derive(Default)]
pub(super) struct Refusals {
    /// By the index of the first event. A message of several rows is refused as a whole.
    refused: BTreeMap<usize, Refusal>,
    blocked: Vec<Target>,
}

struct Refusal {
    /// The index behind the last event.
    end: usize,
    error: Error,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }

    /// Adds events that cannot be written, by their indexes in the batch. Of several errors of an event the first one is kept.
    pub(super) fn add(&mut self, events: Range<usize>, error: Error) {
        self.refused.entry(events.start).or_insert(Refusal { end: events.end, error });
    }

    /// Notes that a broker refused a record for this partition, which therefore gets no later record.
    pub(super) fn block(&mut self, target: Target) {
        self.blocked.push(target);
    }

    pub(super) fn is_blocked(&self, target: Target) -> bool {
        self.blocked.contains(&target)
    }

    /// The index of the last event of the first refusal, if this is a message of several rows. Which of the rows is the reason is found out by
    /// writing them one by one.
    pub(super) fn first_of_several(&self) -> Option<usize> {
        let (first, Refusal { end, .. }) = self.refused.first_key_value()?;
        (end - first > 1).then(|| end - 1)
    }

    /// Takes a batch apart: what comes before the first refusal is delivered, and what comes behind it is postponed, as far as it is not
    /// refused as well. Events that are delivered already are passed over when they are written again.
    pub(super) fn sort_out(mut self, batch: &mut Batch) {
        let Some(first) = self.refused.first_key_value().map(|(first, _)| *first) else { return };
        batch.sort_out(|index| match self.refused.remove(&index) {
            Some(Refusal { end, error }) if end == index + 1 => Fate::Rejected(error),
            _ if index < first => Fate::Delivered,
            _ => Fate::Postponed,
        });
    }
}
