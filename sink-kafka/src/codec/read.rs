//! Decompresses batches of any client, piece by piece. A batch that decompresses to gigabytes needs memory for only one piece.

use std::io::{self, BufReader, Read};

use super::Compression;
use super::snappy;

/// The largest piece of Snappy data that is decompressed, in bytes. The Java library writes pieces of 32 KiB; other libraries write one
/// piece per batch.
const MAX_PIECE: usize = 256 << 20;

/// Returns a reader of the decompressed `payload`.
pub(crate) fn reader<'p>(compression: Compression, payload: &'p [u8]) -> io::Result<Box<dyn Read + 'p>> {
    Ok(match compression {
        Compression::None => Box::new(payload),
        Compression::Gzip => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(payload))),
        Compression::Snappy => Box::new(Pieces::new(payload)?),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(payload)),
        Compression::Zstd => Box::new(BufReader::new(zstd::stream::read::Decoder::with_buffer(payload)?)),
    })
}

/// Reads pieces of Snappy data, with or without the framing of the Java library.
struct Pieces<'p> {
    rest: &'p [u8],
    piece: Vec<u8>,
    at: usize,
}

impl<'p> Pieces<'p> {
    fn new(payload: &'p [u8]) -> io::Result<Self> {
        // Only the magic number is compared. The version numbers after it have never changed.
        if payload.starts_with(&snappy::HEAD[..8]) {
            let rest = payload.get(snappy::HEAD.len()..).ok_or_else(|| malformed("the head is cut off"))?;
            Ok(Self { rest, piece: Vec::new(), at: 0 })
        } else {
            Ok(Self { rest: &[], piece: decompress(payload)?, at: 0 })
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !self.rest.is_empty() {
            let (length, after) = self.rest.split_first_chunk::<4>().ok_or_else(|| malformed("a length is cut off"))?;
            let length = u32::from_be_bytes(*length) as usize;
            let (piece, after) = after.split_at_checked(length).ok_or_else(|| malformed("a piece is cut off"))?;
            (self.piece, self.at, self.rest) = (decompress(piece)?, 0, after);
        }
        let mut left = self.piece.get(self.at..).unwrap_or_default();
        let count = left.read(out)?;
        self.at += count;
        Ok(count)
    }
}

fn decompress(piece: &[u8]) -> io::Result<Vec<u8>> {
    if snap::raw::decompress_len(piece).map_err(io::Error::other)? > MAX_PIECE {
        return Err(malformed("a piece is too long"));
    }
    snap::raw::Decoder::new().decompress_vec(piece).map_err(io::Error::other)
}

fn malformed(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snappy: {problem}"))
}
