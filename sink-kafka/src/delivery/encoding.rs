//! Encodes the events of a lane, and notes those that cannot be encoded.

use std::ops::Range;

use runtime::{Body, Event, Kind};

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
}
