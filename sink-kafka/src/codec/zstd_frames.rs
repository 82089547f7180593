//! Decompresses zstd data of any client. The decoder is written in Rust: a mistake in it cannot reveal memory of this process.

use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The largest window, in bytes, which every reader should accept (RFC 8878). Only the levels from 20 on use larger ones.
const MAX_WINDOW_BYTES: u64 = 8 << 20;
/// The length of the head of a frame that is to be skipped: its magic number, and the length of the rest.
const SKIPPED_HEAD: usize = 8;

/// The content of all frames, one after the other.
pub(super) struct ZstdFrames<'p> {
    /// The frame that is being read, together with all that is behind it.
    frame: Option<StreamingDecoder<&'p [u8], FrameDecoder>>,
    /// What is behind the frames that were read.
    rest: &'p [u8],
}

impl<'p> ZstdFrames<'p> {
    pub(super) fn new(payload: &'p [u8]) -> Self {
        Self { frame: None, rest: payload }
    }

    /// Begins the next frame.
    fn begin(&mut self) -> io::Result<()> {
        match StreamingDecoder::new_with_max_window_size(self.rest, MAX_WINDOW_BYTES) {
            Ok(frame) => self.frame = Some(frame),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let rest = usize::try_from(length).ok().and_then(|length| self.rest.get(SKIPPED_HEAD..)?.get(length..));
                self.rest = rest.ok_or_else(|| malformed("a frame is cut off"))?;
            }
            Err(error) => return Err(malformed(&error.to_string())),
        }
        Ok(())
    }
}

impl Read for ZstdFrames<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(out)?;
                if count > 0 || out.is_empty() {
                    return Ok(count);
                }
                let stated = frame.decoder.get_checksum_from_data();
                if stated.is_some() && stated != frame.decoder.get_calculated_checksum() {
                    return Err(malformed("a checksum is wrong"));
                }
                self.rest = frame.get_ref();
                self.frame = None;
            }
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.begin()?;
        }
    }
}

fn malformed(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(payload: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        ZstdFrames::new(payload).read_to_end(&mut out)?;
        Ok(out)
    }

    fn frame(content: &[u8], checksum: bool) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(checksum).unwrap();
        io::Write::write_all(&mut encoder, content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn frames_are_read_one_after_the_other() {
        let long: Vec<u8> = (0..400_000u32).flat_map(|number| (number % 1000).to_le_bytes()).collect();
        let skipped = [&0x184d_2a53u32.to_le_bytes()[..], &3u32.to_le_bytes(), b"xyz"].concat();
        let payload = [frame(b"one", true), skipped.clone(), frame(b"", false), frame(&long, false), skipped.clone()].concat();
        assert_eq!(all(&payload).unwrap(), [b"one", &long[..]].concat());
        assert_eq!(all(b"").unwrap(), b"");
        let whole = frame(&long, true);
        for length in 1..whole.len() {
            assert!(all(&whole[..length]).is_err(), "{length}");
        }
        for broken in [&skipped[..9], b"\x28\xb5\x2f", b"what is this"] {
            assert!(all(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_and_a_large_window_are_refused() {
        let mut wrong = frame(b"what is checked", true);
        *wrong.last_mut().unwrap() ^= 1;
        assert!(all(&wrong).unwrap_err().to_string().contains("checksum"));
        let large = all(&[0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3]).unwrap_err().to_string();
        assert!(large.contains("window"), "{large}");
    }
}
