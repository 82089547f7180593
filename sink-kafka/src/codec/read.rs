//! Decompresses batches of any client, piece by piece. A batch that decompresses to gigabytes needs memory for only one piece, and has limits
//! of size and time.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Compression;
use super::snappy;
use super::zstd_frames::ZstdFrames;

/// The largest piece of Snappy data that is decompressed, in bytes. The Java library writes pieces of 32 KiB; other libraries write one
/// piece per batch.
const MAX_PIECE: usize = 8 << 20;

/// How much a batch may decompress to, in bytes.
const MAX_BATCH: u64 = 1 << 30;
/// How long a batch may take.
const MAX_TIME: Duration = Duration::from_secs(60);
/// How much all batches of a range of the log may decompress to: this, and so many times the size of the batches.
const MAX_TOTAL: u64 = 16 << 30;
const MAX_RATIO: u64 = 100;

/// The limits of decompression over a range of the log. Who may write to the topic decides what is decompressed.
#[derive(Debug)]
pub(crate) struct Limits {
    /// How many bytes all batches may still decompress to.
    left: u64,
    is_cancelled: Arc<AtomicBool>,
}

impl Limits {
    /// Full limits. When `is_cancelled` is set, reading ends with an error.
    pub(crate) fn new(is_cancelled: Arc<AtomicBool>) -> Self {
        Self { left: MAX_TOTAL, is_cancelled }
    }

    /// Limits of a range whose batches may decompress to no more than `left` bytes, beside what their own size allows.
    #[cfg(test)]
    pub(crate) fn of_total(left: u64) -> Self {
        Self { left, is_cancelled: Arc::default() }
    }

    /// Returns a reader of the decompressed `payload` of a batch.
    pub(crate) fn reader<'p>(&'p mut self, compression: Compression, payload: &'p [u8]) -> io::Result<impl Read + 'p> {
        self.left = self.left.saturating_add(MAX_RATIO.saturating_mul(payload.len() as u64));
        Ok(LimitedReader {
            reader: reader(compression, payload)?,
            limits: self,
            batch_left: MAX_BATCH,
            deadline: Instant::now() + MAX_TIME,
        })
    }
}

struct LimitedReader<'p> {
    reader: Box<dyn Read + 'p>,
    limits: &'p mut Limits,
    batch_left: u64,
    deadline: Instant,
}

impl Read for LimitedReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.limits.is_cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("reading was cancelled"));
        }
        if Instant::now() > self.deadline {
            return Err(io::Error::other(format!("reading a batch takes more than {} s", MAX_TIME.as_secs())));
        }
        let count = self.reader.read(out)?;
        let bytes = count as u64;
        self.batch_left = self.batch_left.checked_sub(bytes).ok_or_else(|| too_much("a batch expands to more than 1 GiB"))?;
        self.limits.left = self.limits.left.checked_sub(bytes).ok_or_else(|| too_much("batches expand to more than 16 GiB"))?;
        Ok(count)
    }
}

fn too_much(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Returns a reader of the decompressed `payload`, without limits of size and time: for batches of this process.
pub(crate) fn reader<'p>(compression: Compression, payload: &'p [u8]) -> io::Result<Box<dyn Read + 'p>> {
    Ok(match compression {
        Compression::None => Box::new(payload),
        Compression::Gzip => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(payload))),
        Compression::Snappy => Box::new(Pieces::new(payload)?),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(payload)),
        Compression::Zstd => Box::new(BufReader::new(ZstdFrames::new(payload))),
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
