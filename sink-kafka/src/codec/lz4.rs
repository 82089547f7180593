//! Writes LZ4 frames that Kafka's readers accept: independent blocks of at most 64 KiB, without checksums. Kafka's readers require
//! independent blocks and ignore a content checksum. A checksum is not needed, since the record batch has one.
//!
//! The frame is written here because the writer of the library allocates a new context for every frame.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// The frame header: magic number, version 1 with independent blocks, block size 64 KiB, and the checksum of the two bytes before it.
const HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const BLOCK: usize = 64 << 10;
/// The bit in the length field of a block that marks the block as uncompressed.
const STORED: u32 = 1 << 31;
const END: [u8; 4] = [0; 4];

/// Writes LZ4 frames.
pub(crate) struct Lz4 {
    table: CompressTable,
}

impl Lz4 {
    pub(super) fn new() -> Self {
        Self { table: CompressTable::large() }
    }

    pub(super) fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(&HEAD);
        for block in plain.chunks(BLOCK) {
            let at = out.len();
            out.resize(at + 4 + get_maximum_output_size(block.len()), 0);
            let (_, room) = out.split_at_mut(at + 4);
            let packed = compress_into_with_table(block, room, &mut self.table).map_err(|error| format!("compress with lz4: {error}"))?;
            // Invariant: the length is at most BLOCK, so it fits into 31 bits.
            let length = if packed < block.len() {
                out.truncate(at + 4 + packed);
                packed as u32
            } else {
                out.truncate(at + 4);
                out.extend_from_slice(block);
                block.len() as u32 | STORED
            };
            if let Some(field) = out.get_mut(at..at + 4) {
                field.copy_from_slice(&length.to_le_bytes());
            }
        }
        out.extend_from_slice(&END);
        Ok(())
    }
}
