//! The parts of a record that are the same for every row of a binlog event or chunk.

use std::sync::Arc;

use runtime::Origin;

use super::record::{Tags, write_place};

/// What is encoded once per [`Origin`], in buffers that are used again for the next.
#[derive(Default)]
pub(super) struct OriginPart {
    /// Kept so that its address cannot be used again.
    origin: Option<Arc<Origin>>,
    pub(super) place: Vec<u8>,
    pub(super) tags: Tags,
}

impl OriginPart {
    /// Makes this the part of `origin`.
    pub(super) fn renew(&mut self, origin: &Arc<Origin>) {
        if self.origin.as_ref().is_some_and(|last| Arc::ptr_eq(last, origin)) {
            return;
        }
        self.origin = Some(origin.clone());
        self.place.clear();
        write_place(&mut self.place, &origin.offset, &origin.safe_offset, &origin.server_version);
        self.tags.clear();
        self.tags.push_number("readerThroughoutTime", origin.read_ms);
        self.tags.push_number("server_id", origin.server_id);
        self.tags.push_number("thread_id", origin.thread_id);
    }

    /// The tags of a statement: those of a row, its GTID and its facts.
    pub(super) fn statement_tags(&self) -> Tags {
        let mut tags = self.tags.clone();
        if let Some(origin) = &self.origin {
            if let Some(gtid) = &origin.gtid {
                tags.push("GTID", gtid);
            }
            for (name, value) in &origin.facts {
                tags.push(name, value);
            }
        }
        tags
    }
}
