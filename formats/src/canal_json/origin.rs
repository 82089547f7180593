//! The parts of a message that are the same for every row of a binlog event or chunk.

use std::sync::Arc;

use runtime::{Event, Origin, text};

use super::config::NullKeys;
use crate::escape::write_quoted;

/// What is written once per origin and time of a change, in buffers that are used again for the next.
pub(super) struct OriginPart {
    null_keys: NullKeys,
    /// Whose parts these are; the origin is kept so that its address cannot be used again.
    of: Option<(Arc<Origin>, i64)>,
    /// From the value of `es` to the value of `id`.
    before_id: Vec<u8>,
    /// From the value of `ts` to the value of `type`.
    read_time: Vec<u8>,
}

impl OriginPart {
    pub(super) fn new(null_keys: NullKeys) -> Self {
        Self { null_keys, of: None, before_id: Vec::new(), read_time: Vec::new() }
    }

    /// Makes this the part of `event`.
    pub(super) fn renew(&mut self, event: &Event) {
        let is_same = |(origin, time): &(Arc<Origin>, i64)| Arc::ptr_eq(origin, &event.origin) && *time == event.timestamp_ms;
        if self.of.as_ref().is_some_and(is_same) {
            return;
        }
        self.of = Some((event.origin.clone(), event.timestamp_ms));
        self.before_id.clear();
        text::write_i64(&mut self.before_id, event.timestamp_ms);
        let gtid = event.origin.gtid.as_deref();
        if gtid.is_some() || self.null_keys == NullKeys::Write {
            self.before_id.extend_from_slice(b",\"gtid\":");
            write_quoted(&mut self.before_id, gtid.unwrap_or_default());
        }
        self.before_id.extend_from_slice(b",\"id\":");
        self.read_time.clear();
        text::write_i64(&mut self.read_time, event.origin.read_ms);
        self.read_time.extend_from_slice(b",\"type\":");
    }

    /// Appends the value of `es`, `gtid` and `id`.
    pub(super) fn write_before(&self, out: &mut Vec<u8>, id: i64) {
        out.extend_from_slice(&self.before_id);
        text::write_i64(out, id);
    }

    /// Appends the value of `ts` and the name `type`.
    pub(super) fn write_after(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.read_time);
    }
}
