//! Writes tombstones: records with a key and a null value, which make a compacted topic forget the key.

use runtime::{Body, Event, Op, RowChange};

use super::writer::{RecordKind, Scratch, Writer};
use crate::routing::Target;

impl Writer {
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
        let (target, kind) = match self.tombstone_of(row, target).map_err(|error| error.of_event(event))? {
            Some(tombstone) => tombstone,
            None => return Ok(()),
        };
        if self.is_covered(target, kind.seq(event)) {
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
