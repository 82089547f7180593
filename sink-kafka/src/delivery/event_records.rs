//! Makes the records of events: encodes their messages, and notes the events that cannot be encoded.
//!
//! An event may need further records: tombstones, which make a compacted topic forget a key, and the DELETE and the INSERT of an update that
//! moves a row to another partition or key. The records of one event are numbered by the low bits of their seq: the DELETE 0, its tombstone
//! 1, the INSERT 2. So after a restart the greatest seq of each partition says which of them were delivered.

use std::ops::Range;

use runtime::{Body, Event, Kind, Op, RowChange};

use super::writer::{RecordKind, Scratch, Writer};
use crate::error::Error;
use crate::routing::{RecordKey, Target};

impl Writer {
    /// Encodes a run of events and adds the messages to the batch of `target`. Without a target the format must emit no message.
    pub(super) async fn encode(&mut self, events: &[Event], run: Range<usize>, target: Option<Target>) -> Result<(), runtime::Error> {
        let mut from = run.start;
        while from < run.end && self.refusals.is_empty() {
            let mut encoded = self.encode_front(&events[from..run.end]);
            if run.end - from > 1 && encoded.as_ref().is_err_and(|error| error.kind() == Kind::Data) {
                // Which of the rows is the reason is found out by encoding them one by one.
                encoded = self.encode_front(&events[from..=from]);
            }
            let Some(taken) = self.or_refused(events, from..from + 1, target, encoded)? else { return Ok(()) };
            let of = from..from + taken;
            from += taken;
            if !self.scratch.message.value.is_empty() {
                let target = target.ok_or(Error::UnexpectedControlMessage)?;
                let prepared = self.prepare_key(&events[of.end - 1]);
                if self.or_refused(events, of.clone(), Some(target), prepared)?.is_none() {
                    return Ok(());
                }
                self.add(events, of.clone(), target, RecordKind::Message).await?;
                if self.router.rules().tombstones {
                    self.add_tombstone(events, of.end - 1, target).await?;
                }
            }
        }
        Ok(())
    }

    /// Encodes a message from the front of these events. Returns how many of them are in it.
    fn encode_front(&mut self, events: &[Event]) -> Result<usize, runtime::Error> {
        self.scratch.message.clear();
        match self.encoder.encode_many(events, &mut self.scratch.message)? {
            taken if (1..=events.len()).contains(&taken) => Ok(taken),
            taken => Err(runtime::Error::fatal(format!("the format took {taken} events of {}", events.len()))),
        }
    }

    /// A result about these events. `None` if it is an error of kind `Data`, which is noted: the events are refused.
    pub(super) fn or_refused<T>(
        &mut self,
        events: &[Event],
        of: Range<usize>,
        target: Option<Target>,
        result: Result<T, runtime::Error>,
    ) -> Result<Option<T>, runtime::Error> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.kind() == Kind::Data => {
                let bound_for = target.and_then(|target| Some((self.topics.get(target.topic)?.name(), target.partition)));
                let error = match bound_for {
                    Some((topic, partition)) => error.bound_for(&**topic, u32::try_from(partition).ok()),
                    None => error,
                };
                self.refusals.add(of, error);
                Ok(None)
            }
            Err(error) => Err(match events.get(of.start) {
                Some(event) => error.of_event(event),
                None => error,
            }),
        }
    }

    /// Sets the key of the current message to the key that the sink computes. A key from the format remains only if the sink computes none.
    pub(super) fn prepare_key(&mut self, event: &Event) -> Result<(), runtime::Error> {
        if self.router.rules().record_key == RecordKey::None {
            return Ok(());
        }
        let Scratch { message, key, .. } = &mut self.scratch;
        let has_key = match &event.body {
            Body::Row(row) => {
                let image = row.newest().ok_or_else(|| runtime::Error::data("a row change has no image of the row"))?;
                self.router.find_route(&row.schema)?;
                self.router.write_row_key(&row.schema, image, key).map_err(|error| error.of_event(event))?
            }
            body => self.router.write_control_key(body, self.sender.lane.split, key),
        };
        if has_key {
            message.set_key(key);
        }
        Ok(())
    }

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
