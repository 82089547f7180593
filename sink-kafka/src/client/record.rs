//! Reads the records of a batch for their offsets, position headers and ids of schemas alone. Keys and values are passed over, never kept:
//! whatever another program wrote, and however it unfolds, needs no memory here.

use std::io::{self, BufReader, Read};

use super::log::Seen;
use crate::codec;
use crate::config::Compression;
use crate::resume::record_header::{FRAMED, HEADER, PositionError, RecordPosition};
use crate::schema_registry::{self, Frame};

/// No position header of any version is longer.
const MAX_HEADER: i64 = 1024;

/// Shows each record of a batch with its place in it.
pub(super) fn records(compression: Compression, payload: &[u8], count: i32, mut visit: impl FnMut(i64, Seen)) -> Result<(), String> {
    let text = |error: io::Error| format!("{compression:?} records: {error}");
    let mut reader = BufReader::new(codec::reader(compression, payload).map_err(text)?);
    for _ in 0..count {
        let length = read_varint(&mut reader).map_err(text)?;
        let length = u64::try_from(length).map_err(|_| "a record of negative length".to_owned())?;
        let mut record = (&mut reader).take(length);
        let (place, header, head) = read_record(&mut record).map_err(text)?;
        if record.limit() > 0 {
            return Err("a record that is longer than its parts".into());
        }
        visit(place, seen(header, head)?);
    }
    match reader.read(&mut [0]).map_err(text)? {
        0 => Ok(()),
        _ => Err("bytes behind the last record".into()),
    }
}

fn seen(header: Option<Vec<u8>>, head: Option<Frame>) -> Result<Seen, String> {
    let Some(value) = header else { return Ok(Seen::Foreign) };
    match RecordPosition::decode(&value) {
        Ok(position) => {
            let framed = position.flags & FRAMED != 0;
            Ok(Seen::Positioned(position, head.filter(|_| framed).and_then(schema_registry::id_of)))
        }
        Err(error @ PositionError::Version(_)) => Err(error.to_string()),
        // Some other program has a header of that name.
        Err(PositionError::Malformed) => Ok(Seen::Foreign),
    }
}

/// A record's place in its batch, its position header if it has one, and the first bytes of its value if there are so many.
fn read_record(record: &mut impl Read) -> io::Result<(i64, Option<Vec<u8>>, Option<Frame>)> {
    skip(record, 1)?; // attributes
    read_varint(record)?; // timestamp
    let place = read_varint(record)?;
    let key = read_varint(record)?.max(0);
    skip(record, key)?;
    let (mut value, mut head) = (read_varint(record)?.max(0), None);
    if value >= Frame::default().len() as i64 {
        let mut frame = Frame::default();
        record.read_exact(&mut frame)?;
        value -= frame.len() as i64;
        head = Some(frame);
    }
    skip(record, value)?;
    let mut header = None;
    for _ in 0..read_varint(record)? {
        let name_length = read_varint(record)?;
        let ours = name_length == HEADER.len() as i64 && {
            let mut name = [0; HEADER.len()];
            record.read_exact(&mut name)?;
            name == HEADER.as_bytes()
        };
        if name_length != HEADER.len() as i64 {
            skip(record, name_length)?;
        }
        let length = read_varint(record)?.max(0);
        if ours && header.is_none() && length <= MAX_HEADER {
            let mut value = vec![0; length as usize];
            record.read_exact(&mut value)?;
            header = Some(value);
        } else {
            skip(record, length)?;
        }
    }
    Ok((place, header, head))
}

fn skip(reader: &mut impl Read, count: i64) -> io::Result<()> {
    let count = u64::try_from(count).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a negative length"))?;
    let passed = io::copy(&mut reader.by_ref().take(count), &mut io::sink())?;
    if passed == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_varint(reader: &mut impl Read) -> io::Result<i64> {
    let mut zigzag = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        zigzag |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a number that is too long"))
}
