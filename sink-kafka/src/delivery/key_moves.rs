//! Writes an update that moves a row to another partition or key as a DELETE and an INSERT.
//!
//! The records of one event are numbered by the low bits of their seq: the DELETE 0, its tombstone 1, the INSERT 2. So after a restart the
//! greatest seq of each partition says which of them were delivered.

use runtime::{Body, Event, Op, RowChange};

use super::writer::{RecordKind, Writer};
use crate::routing::Target;

impl Writer {
    /// Adds the records of an update that moves a row, except those that were delivered before: a DELETE of the old row, its tombstone, and
    /// an INSERT of the new row.
    pub(super) async fn add_move(&mut self, events: &[Event], index: usize, from: Target, to: Target) -> Result<(), runtime::Error> {
        let event = &events[index];
        let Body::Row(row) = &event.body else { return Ok(()) };
        let half = |op, before, after| RowChange { schema: row.schema.clone(), op, before, after };
        let deleted = half(Op::Delete, row.before.clone(), None);
        if !self.is_covered(from, RecordKind::Message.seq(event)) {
            self.add_half(events, index, deleted.clone(), from, RecordKind::Message).await?;
        }
        if self.router.rules().tombstones {
            self.add_tombstone_of(events, index, &deleted, from).await?;
        }
        if !self.is_covered(to, RecordKind::Inserted.seq(event)) {
            self.add_half(events, index, half(Op::Insert, None, row.after.clone()), to, RecordKind::Inserted).await?;
        }
        Ok(())
    }

    /// Encodes one half of an event as if it were an event of its own, and adds its message to the batch of `target`.
    async fn add_half(
        &mut self,
        events: &[Event],
        index: usize,
        half: RowChange,
        target: Target,
        kind: RecordKind,
    ) -> Result<(), runtime::Error> {
        let event = Event { body: Body::Row(half), ..events[index].clone() };
        self.scratch.message.clear();
        let encoded = self.encoder.encode_many(std::slice::from_ref(&event), &mut self.scratch.message);
        encoded.map_err(|error| error.of_event(&event))?;
        if self.scratch.message.value.is_empty() {
            return Ok(());
        }
        self.prepare_key(&event)?;
        self.add(events, index..index + 1, target, kind).await
    }
}
