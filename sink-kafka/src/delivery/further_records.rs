//! Writes the further records of an event: tombstones, which make a compacted topic forget a key, and the DELETE and the INSERT of an update
//! that moves a row to another partition or key.
//!
//! The records of one event are numbered by the low bits of their seq: the DELETE 0, its tombstone 1, the INSERT 2. So after a restart the
//! greatest seq of each partition says which of them were delivered.

use runtime::{Body, Event, Op, RowChange};

use super::writer::{RecordKind, Scratch, Writer};
use crate::routing::Target;

impl Writer {
    /// Adds the records of an update that moves a row, except those that were delivered before: a DELETE of the old row, its tombstone, and
    /// an INSERT of the new row.
    pub(super) async fn add_move(&mut self, events: &[Event], index: usize, from: Target, to: Target) -> Result<(), runtime::Error> {
        let event = &events[index];
        let Body::Row(row) = &event.body else { return Ok(()) };
        let half = |op, before, after| RowChange::new(row.schema.clone(), op, before, after);
        let deleted = half(Op::Delete, row.before.clone(), None);
        if !self.is_covered(from, event, RecordKind::Message.seq(event)) {
            self.add_half(events, index, deleted.clone(), from, RecordKind::Message).await?;
        }
        if self.router.rules().tombstones {
            self.add_tombstone_of(events, index, &deleted, from).await?;
        }
        if !self.is_covered(to, event, RecordKind::Inserted.seq(event)) {
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
        if self.or_refused(events, index..index + 1, Some(target), encoded)?.is_none() || self.scratch.message.value.is_empty() {
            return Ok(());
        }
        let prepared = self.prepare_key(&event);
        if self.or_refused(events, index..index + 1, Some(target), prepared)?.is_none() {
            return Ok(());
        }
        self.add(events, index..index + 1, target, kind).await
    }

    /// Adds the tombstone that an event needs, unless it was delivered before. A DELETE needs one for the key of the row. An update that
    /// changes the key or the partition needs one for the old key, in the partition of the old records. `target` is the partition of the
    /// event's record.
    pub(super) async fn add_tombstone(&mut self, events: &[Event], index: usize, target: Target) -> Result<(), runtime::Error> {
        match &events[index].body {
            Body::Row(row) => self.add_tombstone_of(events, index, row, target).await,
            _ => Ok(()),
        }
    }

    /// Like [`Writer::add_tombstone`], for an event or half of an event.
    pub(super) async fn add_tombstone_of(
        &mut self,
        events: &[Event],
        index: usize,
        row: &RowChange,
        target: Target,
    ) -> Result<(), runtime::Error> {
        let event = &events[index];
        let tombstone = self.tombstone_of(row, target);
        let tombstone = self.or_refused(events, index..index + 1, Some(target), tombstone)?;
        let Some((target, kind)) = tombstone.flatten() else { return Ok(()) };
        if self.is_covered(target, event, kind.seq(event)) {
            return Ok(());
        }
        self.add(events, index..index + 1, target, kind).await
    }

    /// Returns the partition and the kind of the tombstone that a row change needs; `None` if it needs none. The key of the tombstone is in
    /// the scratch buffers afterwards.
    fn tombstone_of(&mut self, row: &RowChange, target: Target) -> Result<Option<(Target, RecordKind)>, runtime::Error> {
        let Some(before) = &row.before else { return Ok(None) };
        self.router.find_route(&row.schema)?;
        let Scratch { key, old_key, .. } = &mut self.scratch;
        match row.op {
            Op::Delete => Ok(self.router.write_row_key(&row.schema, before, key)?.then_some((target, RecordKind::Tombstone))),
            Op::Update => match self.router.moved_from(row, target)? {
                Some(from) if self.router.write_row_key(&row.schema, before, old_key)? => Ok(Some((from, RecordKind::OldKeyTombstone))),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }
}
