//! TRANSACTION_PAYLOAD: the events of a transaction, compressed as a whole (MySQL 8.0.20 and later).
//!
//! The events are decompressed one by one, so memory holds only the compressed transaction and one decompressed event.

use std::fmt;
use std::io::{self, Cursor, Read};

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::{HEADER, Header, RawEvent, Reader, read_header};
use crate::binlog::error::StreamError;

/// The largest event that MySQL writes, in bytes.
const MAX_EVENT_BYTES: usize = 1 << 30;

/// The largest window with which a transaction may be compressed, in bytes; so much of what was decompressed is kept. MySQL needs more only for
/// transactions of more than this size that are compressed with a level above 19.
const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// The numbers of the fields before the payload, and the numbers of the compression methods.
mod field {
    pub(super) const END: usize = 0;
    pub(super) const PAYLOAD_BYTES: usize = 1;
    pub(super) const COMPRESSION: usize = 2;
    pub(super) const EXPANDED_BYTES: usize = 3;
    pub(super) const ZSTD: usize = 0;
    pub(super) const NONE: usize = 255;
}

/// The bytes of the events, decompressed if they need that.
enum Bytes {
    Plain(Cursor<Vec<u8>>),
    // The decoder is written in Rust: a mistake in it cannot send memory of this process into a topic.
    Zstd(Box<StreamingDecoder<Cursor<Vec<u8>>, FrameDecoder>>),
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(bytes) => bytes.read(buffer),
            Self::Zstd(bytes) => bytes.read(buffer),
        }
    }
}

impl Bytes {
    /// Checks that all was read, and that it is what was compressed.
    fn end(&mut self) -> io::Result<()> {
        if self.read(&mut [0])? > 0 {
            return Err(io::Error::other("it is longer than it states"));
        }
        let Self::Zstd(bytes) = self else { return Ok(()) };
        let source = bytes.get_ref();
        if source.position() < source.get_ref().len() as u64 {
            return Err(io::Error::other("there is something behind its end"));
        }
        match bytes.decoder.get_checksum_from_data() {
            Some(stated) if bytes.decoder.get_calculated_checksum() != Some(stated) => Err(io::Error::other("its checksum is wrong")),
            _ => Ok(()),
        }
    }
}

/// A compressed transaction that is being decompressed.
pub(crate) struct Payload {
    bytes: Bytes,
    /// How many decompressed bytes are still to come according to the stated size.
    left: u64,
    event: Vec<u8>,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Payload {
    /// Reads the fields before the payload and prepares to decompress it.
    pub(crate) fn open(body: &[u8]) -> Result<Self, StreamError> {
        let mut reader = Reader::new(body);
        let (mut stated, mut compression, mut expanded) = (None, None, None);
        loop {
            let number = reader.length_encoded()?;
            if number == field::END {
                break;
            }
            let length = reader.length_encoded()?;
            let mut value = Reader::new(reader.take(length)?);
            match number {
                field::PAYLOAD_BYTES => stated = Some(value.length_encoded()?),
                field::COMPRESSION => compression = Some(value.length_encoded()?),
                field::EXPANDED_BYTES => expanded = Some(value.length_encoded()?),
                // Unknown fields are ignored: they do not affect the events.
                _ => {}
            }
        }
        let payload = reader.rest();
        let wrong = |what: String| StreamError::corrupt(format!("a compressed transaction {what}"));
        if stated != Some(payload.len()) {
            return Err(wrong(format!(
                "has {} bytes and states {}",
                payload.len(),
                stated.map_or("nothing".to_owned(), |stated| stated.to_string())
            )));
        }
        let copy = Cursor::new(payload.to_vec());
        let (bytes, left) = match (compression, expanded) {
            (Some(field::NONE), _) => (Bytes::Plain(copy), payload.len()),
            (Some(field::ZSTD), Some(expanded)) => {
                let decoder = StreamingDecoder::new_with_max_window_size(copy, MAX_WINDOW_BYTES)
                    .map_err(|error| match error {
                        FrameDecoderError::WindowSizeTooBig { requested, .. } => StreamError::Unsupported {
                            what: format!("a compressed transaction that takes {requested} bytes to decompress"),
                            help: "set binlog_transaction_compression_level_zstd to 19 or less globally and reconnect all sessions, then start from scratch with a full phase",
                        },
                        other => wrong(format!("cannot be expanded: {other}")),
                    })?;
                (Bytes::Zstd(Box::new(decoder)), expanded)
            }
            (Some(field::ZSTD), None) => return Err(wrong("does not state its size".to_owned())),
            (other, _) => {
                return Err(StreamError::Unsupported {
                    what: format!(
                        "the compression {} of a transaction",
                        other.map_or("without a name".to_owned(), |other| other.to_string())
                    ),
                    help: "set binlog_transaction_compression=OFF globally and reconnect all sessions, then start from scratch with a full phase",
                });
            }
        };
        Ok(Self { bytes, left: left as u64, event: Vec::new() })
    }

    /// Extracts the next event; `None` after the last one. An extracted event has no position of its own in the file. Its position is the
    /// position of the whole transaction.
    pub(crate) fn next(&mut self) -> Result<Option<RawEvent<'_>>, StreamError> {
        if self.left == 0 {
            return self.bytes.end().map(|()| None).map_err(|error| broken(&error));
        }
        let mut head = [0; HEADER];
        self.fill(&mut head)?;
        let header: Header = read_header(&mut Reader::new(&head))?;
        let size = (header.size as usize).checked_sub(HEADER).filter(|&size| size <= MAX_EVENT_BYTES);
        let size = size.ok_or_else(|| {
            StreamError::corrupt(format!("an event of type {} of {} bytes in a compressed transaction", header.kind, header.size))
        })?;
        if size as u64 > self.left {
            return Err(StreamError::corrupt("a compressed transaction ends inside an event"));
        }
        let mut event = std::mem::take(&mut self.event);
        event.clear();
        // The buffer grows with the data. It is not allocated with the stated size, which may be wrong.
        let read = self.bytes.by_ref().take(size as u64).read_to_end(&mut event).map_err(|error| broken(&error))?;
        if read < size {
            return Err(StreamError::corrupt("a compressed transaction ends inside an event"));
        }
        self.left -= size as u64;
        self.event = event;
        Ok(Some(RawEvent { header, body: &self.event, crc: 0 }))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StreamError> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| StreamError::corrupt("a compressed transaction ends inside an event"))?;
        self.bytes.read_exact(bytes).map_err(|error| broken(&error))
    }
}

fn broken(error: &std::io::Error) -> StreamError {
    StreamError::corrupt(format!("a compressed transaction cannot be expanded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::testing::{compressed, inner_event, payload};

    fn all(body: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, StreamError> {
        let mut payload = Payload::open(body)?;
        let mut events = Vec::new();
        while let Some(event) = payload.next()? {
            events.push((event.header.kind, event.body.to_vec()));
        }
        Ok(events)
    }

    #[test]
    fn events_come_out_as_they_went_in() {
        let inner = [inner_event(2, b"BEGIN"), inner_event(30, &[7; 5000]), inner_event(16, &[0; 8])].concat();
        let expected = [(2, b"BEGIN".to_vec()), (30, vec![7; 5000]), (16, vec![0; 8])];
        assert_eq!(all(&compressed(&inner, inner.len())).unwrap(), expected);
        let plain = [&[2, 1, 255][..], &[1, 3, 0xfc], &(inner.len() as u16).to_le_bytes(), &[0], &inner].concat();
        // The compression number is length-encoded, so 255 takes three bytes.
        let plain = [&[2, 3, 0xfc, 255, 0][..], &plain[3..]].concat();
        assert_eq!(all(&plain).unwrap(), expected);
    }

    #[test]
    fn a_frame_is_read_to_its_end_and_no_further() {
        let inner = inner_event(30, &[7; 5000]);
        let frame = |checksum: bool| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(checksum).unwrap();
            io::Write::write_all(&mut encoder, &inner).unwrap();
            encoder.finish().unwrap()
        };
        for (checksum, changed, behind, expected) in [
            (false, None, &b""[..], None),
            (true, None, b"", None),
            (true, Some(1), b"", Some("checksum is wrong")),
            (true, None, b"x", Some("something behind its end")),
            (false, None, b"\x28\xb5\x2f\xfd", Some("something behind its end")),
        ] {
            let mut frame = frame(checksum);
            if let Some(place) = changed {
                let place = frame.len() - place;
                frame[place] ^= 1;
            }
            frame.extend_from_slice(behind);
            let found = all(&payload(&frame, inner.len())).err().map(|error| error.to_string());
            assert!(found.is_some() == expected.is_some(), "{found:?} {expected:?}");
            assert!(expected.is_none_or(|expected| found.unwrap().contains(expected)), "{expected:?}");
        }
    }

    #[test]
    fn a_window_is_not_as_large_as_a_server_likes() {
        // The head of a frame with a window of 8 MiB, and of one with the next size.
        for (window, fits) in [(13 << 3, true), (13 << 3 | 1, false), (17 << 3, false), (0xff, false)] {
            let opened = Payload::open(&payload(&[0x28, 0xb5, 0x2f, 0xfd, 0, window], 100)).err().map(|error| error.to_string());
            assert_eq!(opened.is_none(), fits, "{window}: {opened:?}");
        }
    }

    #[test]
    fn what_is_damaged_is_an_error_and_never_an_empty_transaction() {
        let inner = [inner_event(2, b"BEGIN"), inner_event(30, &[7; 500]), inner_event(16, &[0; 8])].concat();
        let whole = compressed(&inner, inner.len());
        for length in 0..whole.len() {
            assert!(all(&whole[..length]).is_err(), "cut to {length}");
        }
        assert!(all(&compressed(&inner, inner.len() - 1)).is_err(), "states too few");
        assert!(all(&compressed(&inner, inner.len() + 1)).is_err(), "states too many");
        let mut lying = inner_event(30, b"x");
        lying[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(all(&compressed(&lying, lying.len())).is_err());
    }
}
