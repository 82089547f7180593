//! The fingerprint of a transaction, by which a delivered transaction is recognised after a restart.

use sha2::{Digest, Sha256};

use crate::binlog::event::RawEvent;

/// SHA-256 hash over the type, timestamp, server id, size and CRC32 of every event of a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    #[inline]
    pub(super) fn add(&mut self, event: &RawEvent<'_>) {
        let header = &event.header;
        let mut bytes = [0; 17];
        bytes[0] = header.kind;
        bytes[1..5].copy_from_slice(&header.timestamp.to_le_bytes());
        bytes[5..9].copy_from_slice(&header.server_id.to_le_bytes());
        bytes[9..13].copy_from_slice(&header.size.to_le_bytes());
        bytes[13..17].copy_from_slice(&event.crc.to_le_bytes());
        self.0.update(bytes);
    }

    /// The first 8 bytes of the hash.
    pub(super) fn value(&self) -> [u8; 8] {
        let hash = self.0.clone().finalize();
        hash.first_chunk::<8>().copied().unwrap_or_default()
    }
}
