//! Writes gzip members with a single compression context that is reset for each member.

use flate2::{Compress, Compression, FlushCompress, Status};

/// The gzip header: magic number, method deflate, no flags, no time, no compression hints, unknown operating system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const STEP: usize = 64 << 10;

/// Writes gzip members.
pub(crate) struct Gzip {
    deflate: Compress,
}

impl Gzip {
    pub(super) fn new(level: i32) -> Self {
        Self { deflate: Compress::new(Compression::new(level.unsigned_abs()), false) }
    }

    pub(super) fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(&HEAD);
        self.deflate.reset();
        let mut rest = plain;
        loop {
            if out.capacity() == out.len() {
                out.reserve(STEP);
            }
            let before = self.deflate.total_in();
            let status =
                self.deflate.compress_vec(rest, out, FlushCompress::Finish).map_err(|error| format!("compress with gzip: {error}"))?;
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            if status == Status::StreamEnd {
                break;
            }
        }
        out.extend_from_slice(&crc32fast::hash(plain).to_le_bytes());
        // The gzip format stores the length modulo 2^32.
        out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        Ok(())
    }
}
