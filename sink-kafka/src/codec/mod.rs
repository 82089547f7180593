//! Compression and decompression of record batches. Compression contexts are reused for every batch.

mod gzip;
mod lz4;
mod read;
mod snappy;
mod zstd_frames;

use std::io::Cursor;
use std::ops::RangeInclusive;

pub(crate) use read::{Limits, reader};
use serde::Deserialize;

/// How record batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compression {
    /// zstd, by default at level 1: the best compression for database rows, and among the fastest.
    #[default]
    Zstd,
    /// LZ4, as a frame of independent blocks.
    Lz4,
    /// Snappy, in the framing of the Java library.
    Snappy,
    /// gzip, by default at level 1.
    Gzip,
    /// No compression.
    None,
}

impl Compression {
    /// The levels that can be chosen; `None` if there are none. Levels of zstd above 19 need more memory than readers have to spend.
    pub(crate) fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::Zstd => Some(-7..=19),
            Self::Gzip => Some(1..=9),
            Self::Lz4 | Self::Snappy | Self::None => None,
        }
    }

    /// The level that is used if none is chosen.
    fn default_level(self) -> i32 {
        match self {
            Self::Zstd => ZSTD_LEVEL,
            Self::Gzip => GZIP_LEVEL,
            Self::Lz4 | Self::Snappy | Self::None => 0,
        }
    }
}

/// The fastest level of zstd whose batches are within 10 % of the size that level 3 gives, which is the default of Kafka.
const ZSTD_LEVEL: i32 = 1;
/// Higher levels of gzip take several times as long and save only a few percent.
const GZIP_LEVEL: i32 = 1;

/// Compresses batches with a context that is reused.
pub(crate) enum Codec {
    /// No compression.
    None,
    /// gzip: each batch is one member.
    Gzip(gzip::Gzip),
    /// Snappy in the framing of the Java library.
    Snappy(Box<snappy::Snappy>),
    /// LZ4: each batch is one frame.
    Lz4(Box<lz4::Lz4>),
    /// zstd: each batch is one frame.
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Codec {
    /// Creates the codec for this kind of compression, at its default level.
    pub(crate) fn new(compression: Compression) -> Result<Self, String> {
        Self::with_level(compression, compression.default_level())
    }

    /// Creates the codec for this kind of compression at one of its levels.
    pub(crate) fn with_level(compression: Compression, level: i32) -> Result<Self, String> {
        Ok(match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip(gzip::Gzip::new(level)),
            Compression::Snappy => Self::Snappy(Box::new(snappy::Snappy::new())),
            Compression::Lz4 => Self::Lz4(Box::new(lz4::Lz4::new())),
            Compression::Zstd => Self::Zstd(zstd::bulk::Compressor::new(level).map_err(|error| format!("set up zstd: {error}"))?),
        })
    }

    /// The number of this compression in the attributes of a record batch.
    pub(crate) fn attributes(&self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip(_) => 1,
            Self::Snappy(_) => 2,
            Self::Lz4(_) => 3,
            Self::Zstd(_) => 4,
        }
    }

    /// Compresses `plain` and appends the result to `out`.
    pub(crate) fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::None => {
                out.extend_from_slice(plain);
                Ok(())
            }
            Self::Gzip(gzip) => gzip.compress(plain, out),
            Self::Snappy(snappy) => snappy.compress(plain, out),
            Self::Lz4(lz4) => lz4.compress(plain, out),
            Self::Zstd(compressor) => {
                let start = out.len();
                out.reserve(zstd::zstd_safe::compress_bound(plain.len()));
                let mut cursor = Cursor::new(std::mem::take(out));
                cursor.set_position(start as u64);
                let result = compressor.compress_to_buffer(plain, &mut cursor);
                *out = cursor.into_inner();
                result.map(|_| ()).map_err(|error| format!("compress with zstd: {error}"))
            }
        }
    }
}

/// The compression whose number is in the attributes of a record batch; `None` if the number is unknown.
pub(crate) fn of_attributes(attributes: u16) -> Option<Compression> {
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        .get(usize::from(attributes & 7))
        .copied()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    pub(super) const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn text(len: usize) -> Vec<u8> {
        (0..).flat_map(|n: u32| format!("row {n} of many, ").into_bytes()).take(len).collect()
    }

    #[test]
    fn every_kind_is_read_back_with_one_context() {
        for compression in ALL {
            let mut codec = Codec::new(compression).unwrap();
            assert_eq!(of_attributes(codec.attributes() as u16), Some(compression));
            for len in [0, 1, 5, 4_000, 65_535, 65_536, 65_537, 300_000, 1_500_000] {
                let plain = text(len);
                let mut out = b"head".to_vec();
                codec.compress(&plain, &mut out).unwrap();
                assert_eq!(&out[..4], b"head");
                let mut back = Vec::new();
                reader(compression, &out[4..]).unwrap().read_to_end(&mut back).unwrap();
                assert!(back == plain, "{compression:?} {len}");
                assert!(
                    compression == Compression::None || len < 4_000 || out.len() < plain.len() / 2,
                    "{compression:?} {len} {}",
                    out.len()
                );
            }
        }
    }

    #[test]
    fn every_level_is_read_back() {
        // Longer than the largest window that readers accept.
        let plain = text(9 << 20);
        for compression in ALL {
            for level in compression.levels().iter().flat_map(|levels| [*levels.start(), *levels.end()]) {
                let mut out = Vec::new();
                Codec::with_level(compression, level).unwrap().compress(&plain, &mut out).unwrap();
                let mut back = Vec::new();
                reader(compression, &out).unwrap().read_to_end(&mut back).unwrap();
                assert!(back == plain && out.len() < plain.len() / 2, "{compression:?} {level}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, kind in 0usize..5) {
            if let Ok(mut reader) = reader(ALL[kind], &bytes) {
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
            }
        }

        #[test]
        fn what_cannot_be_compressed_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..200_000), kind in 0usize..5) {
            let mut out = Vec::new();
            Codec::new(ALL[kind]).unwrap().compress(&bytes, &mut out).unwrap();
            let mut back = Vec::new();
            reader(ALL[kind], &out).unwrap().read_to_end(&mut back).unwrap();
            prop_assert!(back == bytes);
        }
    }
}
