//! Writes Snappy in the framing of the Java library, as Kafka's Java clients do: a header, then chunks, each preceded by its length.

use snap::raw::{Encoder, max_compress_len};

/// The header: magic number, version, and lowest compatible version.
pub(super) const HEAD: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const CHUNK: usize = 64 << 10;

/// Writes Snappy data in the framing of the Java library.
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
                // Invariant: compression enlarges a chunk by less than a fifth, so its length fits into 32 bits.
                field.copy_from_slice(&(packed as u32).to_be_bytes());
            }
        }
        Ok(())
    }
}
