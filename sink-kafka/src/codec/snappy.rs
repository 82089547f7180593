//! Snappy in the framing of Java's library, which Kafka's Java clients write: a head, then chunks, each with its length.

use snap::raw::{Encoder, max_compress_len};

/// Magic, version and lowest compatible version.
pub(super) const HEAD: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const CHUNK: usize = 64 << 10;

/// Writes Java's framing.
pub(crate) struct Snappy {
    encoder: Encoder,
}

impl Snappy {
    pub(super) fn new() -> Self {
        Self { encoder: Encoder::new() }
    }

    pub(super) fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(&HEAD);
        for chunk in plain.chunks(CHUNK) {
            let at = out.len();
            out.resize(at + 4 + max_compress_len(chunk.len()), 0);
            let (_, room) = out.split_at_mut(at + 4);
            let packed = self.encoder.compress(chunk, room).map_err(|error| format!("compress with snappy: {error}"))?;
            out.truncate(at + 4 + packed);
            if let Some(field) = out.get_mut(at..at + 4) {
                // Invariant: a chunk grows by less than a fifth.
                field.copy_from_slice(&(packed as u32).to_be_bytes());
            }
        }
        Ok(())
    }
}
