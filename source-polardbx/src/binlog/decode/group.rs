//! One group of events that the server commits as a whole, while it is being read.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::binlog::FileOffset;
use crate::binlog::event::{Gtid, RawEvent};

/// An open group: a transaction, or a statement that changes structures.
#[derive(Debug)]
pub(crate) struct Group {
    /// Where its first event begins.
    pub(crate) start: FileOffset,
    /// A BEGIN was seen, so it ends at its XID or COMMIT; else it ends with its only statement.
    pub(crate) begun: bool,
    /// It is a branch of an XA transaction.
    pub(crate) xa: bool,
    /// Something of it was put into a batch.
    pub(crate) emitted: bool,
    /// Number of the next event in it: BEGIN 0, rows from 1.
    pub(crate) ord: u64,
    /// Connection that made it.
    pub(crate) thread_id: u32,
    /// Its id, if its server gives it one.
    pub(crate) gtid: Option<Gtid>,
    /// What its events carry, made when the first of them is put into a batch.
    pub(crate) facts: Option<GroupFacts>,
    /// Where its BEGIN ends, and that event's server and time.
    pub(crate) begin: Option<(u64, u32, u32)>,
    fingerprint: Fingerprint,
}

/// What all events of a group carry.
#[derive(Clone, Debug)]
pub(crate) struct GroupFacts {
    pub(crate) gtid: Option<Arc<str>>,
    pub(crate) safe_offset: Arc<str>,
}

impl Group {
    pub(crate) fn new(start: FileOffset) -> Self {
        Self {
            start,
            begun: false,
            xa: false,
            emitted: false,
            ord: 0,
            thread_id: 0,
            gtid: None,
            facts: None,
            begin: None,
            fingerprint: Fingerprint::default(),
        }
    }

    /// Counts a real event of the group.
    pub(crate) fn add(&mut self, event: &RawEvent<'_>) {
        self.fingerprint.add(event);
    }

    pub(crate) fn into_fingerprint(self) -> Fingerprint {
        self.fingerprint
    }
}

/// What tells one group from another: SHA-256 over type, time, server, size and CRC32 of its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    fn add(&mut self, event: &RawEvent<'_>) {
        let header = &event.header;
        let mut bytes = [0; 17];
        bytes[0] = header.kind;
        bytes[1..5].copy_from_slice(&header.timestamp.to_le_bytes());
        bytes[5..9].copy_from_slice(&header.server_id.to_le_bytes());
        bytes[9..13].copy_from_slice(&header.size.to_le_bytes());
        bytes[13..17].copy_from_slice(&event.crc.to_le_bytes());
        self.0.update(bytes);
    }

    /// The first bytes of the hash.
    pub(crate) fn value(&self) -> [u8; 8] {
        let hash = self.0.clone().finalize();
        hash.first_chunk::<8>().copied().unwrap_or_default()
    }
}
