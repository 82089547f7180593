//! Values of MariaDB's COMPRESSED columns, which the binlog stores in the same format as the table.
//!
//! A value is stored as a length, a header byte and data. If the upper half of the header byte is 0, the data is the value itself. If the
//! upper half is 8, the data is the length of the value as a big-endian number, followed by the compressed value. The lower three bits of
//! the header byte tell how many bytes this length has. The value is compressed in zlib format, or as raw deflate if the header byte has
//! the bit 0x08 (`column_compression_zlib_wrap=OFF`). An empty value has no header byte. The format was found in binlogs of MariaDB 10.11.
//! Its documentation is <https://mariadb.com/kb/en/storage-engine-independent-column-compression/>.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, ZlibDecoder};

use super::fields::prefixed;
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

/// The compression methods, as stated in the upper half of the header byte.
mod method {
    pub(super) const NONE: u8 = 0;
    pub(super) const ZLIB: u8 = 8;
}

/// Reads a value of at most `most` bytes, whose length is stored in `prefix` bytes. A compressed value is expanded into `scratch`.
pub(super) fn read<'a: 's, 's>(reader: &mut Reader<'a>, prefix: u8, most: u32, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], StreamError> {
    let stored = prefixed(reader, prefix)?;
    let Some((&head, rest)) = stored.split_first() else { return Ok(&[]) };
    let value = match head >> 4 {
        method::NONE if head == 0 => rest,
        method::ZLIB => {
            let stated = expand(head, rest, most, scratch)?;
            if scratch.len() != stated {
                return Err(wrong(format!("has {} bytes and states {stated}", scratch.len())));
            }
            scratch
        }
        _ => {
            return Err(StreamError::Unsupported {
                what: format!("the compression {head:#04x} of a column"),
                help: "leave the table out of the selection, or change the column so that it is not COMPRESSED",
            });
        }
    };
    if value.len() > most as usize { Err(wrong(format!("has {} bytes, its column holds {most}", value.len()))) } else { Ok(value) }
}

/// Expands the data into `out` and returns the stated length. The expansion stops one byte after the stated length, which is enough to
/// detect that the value is longer.
fn expand(head: u8, rest: &[u8], most: u32, out: &mut Vec<u8>) -> Result<usize, StreamError> {
    let (length, data) = match usize::from(head & 7) {
        bytes @ 1..=4 => rest.split_at_checked(bytes).ok_or_else(|| wrong("ends inside its length"))?,
        bytes => return Err(wrong(format!("has a length of {bytes} bytes"))),
    };
    let stated = length.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    if stated > u64::from(most) {
        return Err(wrong(format!("states {stated} bytes, its column holds {most}")));
    }
    out.clear();
    // The buffer grows with the data. It is not allocated with the stated length, which may be wrong.
    let read = if head & 8 == 0 {
        let mut decoder = ZlibDecoder::new(data).take(stated + 1);
        decoder.read_to_end(out).map(|_| decoder.into_inner().into_inner().len())
    } else {
        let mut decoder = DeflateDecoder::new(data).take(stated + 1);
        decoder.read_to_end(out).map(|_| decoder.into_inner().into_inner().len())
    };
    match read {
        Ok(0) => Ok(stated as usize),
        Ok(left) => Err(wrong(format!("has {left} bytes behind its end"))),
        Err(error) => Err(wrong(format!("cannot be expanded: {error}"))),
    }
}

#[cold]
fn wrong(what: impl std::fmt::Display) -> StreamError {
    StreamError::corrupt(format!("a compressed value {what}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// Reads `stored` as a value that follows a length of two bytes.
    fn value(stored: &[u8], most: u32) -> Result<Vec<u8>, StreamError> {
        let bytes = [&(stored.len() as u16).to_le_bytes(), stored].concat();
        let mut scratch = vec![7; 3];
        let mut reader = Reader::new(&bytes);
        let value = read(&mut reader, 2, most, &mut scratch)?.to_vec();
        assert!(reader.is_empty());
        Ok(value)
    }

    fn said(stored: &[u8], most: u32) -> String {
        value(stored, most).unwrap_err().to_string()
    }

    /// The bytes are from a binlog of MariaDB 10.11.
    #[test]
    fn values_are_the_servers() {
        for (stored, expected) in [
            (&b""[..], Vec::new()),
            (b"\x00short", b"short".to_vec()),
            (b"\x00\x00\xff", vec![0, 0xff]),
            (b"\x89\xc8\x4b\x4c\x1c\x1e\x00\x00", vec![b'a'; 200]),
            (b"\x8a\x01\x2c\x4b\x4a\x1a\x05\xc4\x02\x00", vec![b'b'; 300]),
            (b"\x81\xc8\x78\x9c\x4b\x4c\x1c\x1e\x00\x00\xc2\x7f\x4b\xc9", vec![b'a'; 200]),
        ] {
            assert_eq!(value(stored, 300).unwrap(), expected, "{stored:02x?}");
        }
    }

    #[test]
    fn what_is_damaged_is_named() {
        for (stored, expected) in [
            (&b"\x8a\x01"[..], "ends inside its length"),
            (b"\x88\xc8", "a length of 0 bytes"),
            (b"\x8d\x00\x00\x00\x00\xc8", "a length of 5 bytes"),
            (b"\x8a\x01\x2d\x4b\x4a\x1a\x05\xc4\x02\x00", "states 301 bytes, its column holds 300"),
            (b"\x8c\xff\xff\xff\xff\x4b", "states 4294967295 bytes"),
            (b"\x89\xc9\x4b\x4c\x1c\x1e\x00\x00", "has 200 bytes and states 201"),
            (b"\x89\xc7\x4b\x4c\x1c\x1e\x00\x00", "has 200 bytes and states 199"),
            (b"\x89\xc8\x4b\x4c\x1c\x1e\x00", "cannot be expanded"),
            (b"\x89\xc8\xff\xff\xff", "cannot be expanded"),
            (b"\x89\xc8\x4b\x4c\x1c\x1e\x00\x00?", "1 bytes behind its end"),
            (b"\x81\xc8\x78\x9c\x4b\x4c\x1c\x1e\x00\x00\xc2\x7f\x4b\xc8", "cannot be expanded"),
            (b"\x91\xc8\x4b", "the compression 0x91"),
            (b"\x01short", "the compression 0x01"),
        ] {
            assert!(said(stored, 300).contains(expected), "{stored:02x?}: {}", said(stored, 300));
        }
        assert!(said(b"\x00short", 4).contains("has 5 bytes, its column holds 4"));
    }

    /// A value that expands to more than its stated length is refused before it is expanded as a whole.
    #[test]
    fn nothing_is_expanded_beyond_what_it_states() {
        let mut encoder = flate2::write::DeflateEncoder::new(vec![0x8a, 1, 0], flate2::Compression::best());
        encoder.write_all(&vec![0; 10 << 20]).unwrap();
        let stored = encoder.finish().unwrap();
        let bytes = [&(stored.len() as u16).to_le_bytes(), stored.as_slice()].concat();
        let mut scratch = Vec::new();
        assert!(read(&mut Reader::new(&bytes), 2, 1 << 24, &mut scratch).is_err());
        assert!(scratch.capacity() < 1 << 16, "{}", scratch.capacity());
    }

    fn packed(bytes: &[u8], raw: bool) -> Vec<u8> {
        let length = (bytes.len() as u32).to_be_bytes();
        let mut stored = vec![if raw { 0x8c } else { 0x84 }];
        stored.extend_from_slice(&length);
        if raw {
            let mut encoder = flate2::write::DeflateEncoder::new(stored, flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            return encoder.finish().unwrap();
        }
        let mut encoder = flate2::write::ZlibEncoder::new(stored, flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back_and_what_was_damaged_never_grows(
            bytes in proptest::collection::vec(0u8..4, 0..3000),
            raw: bool,
            place: prop::sample::Index,
            other: u8,
        ) {
            let mut stored = packed(&bytes, raw);
            prop_assert_eq!(value(&stored, 3000).unwrap(), bytes);
            let place = place.index(stored.len());
            stored[place] ^= other;
            if let Ok(found) = value(&stored, 3000) {
                prop_assert!(found.len() <= 3000);
            }
        }
    }
}
