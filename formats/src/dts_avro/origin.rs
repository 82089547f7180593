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
    /// Those of a record without a row, after [`OriginPart::renew_statement`].
    pub(super) statement: Tags,
}

/// The tags that every record has.
const ROW_TAGS: [&str; 3] = ["readerThroughoutTime", "server_id", "thread_id"];

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
        let [read, server, thread] = ROW_TAGS;
        self.tags.push_number(read, origin.read_ms);
        self.tags.push_number(server, origin.server_id);
        self.tags.push_number(thread, origin.thread_id);
    }

    /// Makes [`OriginPart::statement`] the tags of a statement or of a transaction's border: those of a row, its GTID and its facts.
    pub(super) fn renew_statement(&mut self) {
        self.statement.copy(&self.tags);
        if let Some(origin) = &self.origin {
            if let Some(gtid) = &origin.gtid {
                self.statement.push("GTID", gtid);
            }
            // A name stands in a map once.
            let known = |name: &str| ROW_TAGS.contains(&name) || (name == "GTID" && origin.gtid.is_some());
            for (name, value) in origin.facts.iter().filter(|(name, _)| !known(name)) {
                self.statement.push(name, value);
            }
        }
    }
}
