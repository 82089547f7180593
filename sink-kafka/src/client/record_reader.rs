//! Reads the records of one batch. Only their offsets, one header and the first bytes of their values are kept. Keys and values are
//! skipped, so even large records of other programs take no memory after decompression.

use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;

use crate::codec::{Compression, Limits};

/// The largest value of the wanted header that is kept, in bytes; a longer one counts as absent.
const MAX_HEADER: i64 = 1024;
/// How many bytes at the start of a value are kept.
const VALUE_START: usize = 5;

/// The parts of a record that are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHead<'a> {
    /// The value of the wanted header; `None` if the record has no such header.
    pub(crate) header: Option<&'a [u8]>,
    /// The first bytes of the value; `None` if the value is null or shorter.
    pub(crate) value_start: Option<[u8; VALUE_START]>,
    /// The producer id of the batch; −1 if the batch was written without one. The reader of the batch sets it.
    pub(crate) producer_id: i64,
}

/// Passes each record of a batch to `visit`, with its offset relative to the batch, until it breaks off. `count` is the number of records in
/// the header of the batch.
pub(super) fn read_records(
    compression: Compression,
    payload: &[u8],
    count: i32,
    wanted_header: &str,
    limits: &mut Limits,
    mut visit: impl FnMut(i64, RecordHead<'_>) -> ControlFlow<()>,
) -> Result<(), String> {
    let malformed = |error: io::Error| format!("{compression:?} records: {error}");
    let mut reader = BufReader::new(limits.reader(compression, payload).map_err(malformed)?);
    let mut scratch = Scratch { name: vec![0; wanted_header.len()], value: Vec::new() };
    for _ in 0..count {
        let length = read_varint(&mut reader).map_err(malformed)?;
        let length = u64::try_from(length).map_err(|_| "a record of negative length".to_owned())?;
        let mut record = (&mut reader).take(length);
        let read = read_record(&mut record, wanted_header, &mut scratch).map_err(malformed)?;
        if record.limit() > 0 {
            return Err("a record that is longer than its parts".to_owned());
        }
        let head = RecordHead { header: read.has_header.then_some(&scratch.value), value_start: read.value_start, producer_id: -1 };
        if visit(read.offset_delta, head).is_break() {
            return Ok(());
        }
    }
    match reader.read(&mut [0]).map_err(malformed)? {
        0 => Ok(()),
        _ => Err("bytes behind the last record".to_owned()),
    }
}

/// Buffers that are reused for every record of a batch.
struct Scratch {
    name: Vec<u8>,
    value: Vec<u8>,
}

struct ReadRecord {
    offset_delta: i64,
    has_header: bool,
    value_start: Option<[u8; VALUE_START]>,
}

fn read_record(record: &mut impl Read, wanted_header: &str, scratch: &mut Scratch) -> io::Result<ReadRecord> {
    skip(record, 1)?; // attributes
    read_varint(record)?; // timestamp
    let offset_delta = read_varint(record)?;
    let key = read_varint(record)?.max(0);
    skip(record, key)?;
    let (mut value, mut value_start) = (read_varint(record)?.max(0), None);
    if value >= VALUE_START as i64 {
        let mut start = [0; VALUE_START];
        record.read_exact(&mut start)?;
        value -= VALUE_START as i64;
        value_start = Some(start);
    }
    skip(record, value)?;
    let mut has_header = false;
    for _ in 0..read_varint(record)? {
        let name_length = read_varint(record)?;
        let mut wanted = name_length == wanted_header.len() as i64;
        if wanted {
            record.read_exact(&mut scratch.name)?;
            wanted = scratch.name == wanted_header.as_bytes();
        } else {
            skip(record, name_length)?;
        }
        let length = read_varint(record)?.max(0);
        if wanted && !has_header && length <= MAX_HEADER {
            scratch.value.resize(length as usize, 0);
            record.read_exact(&mut scratch.value)?;
            has_header = true;
        } else {
            skip(record, length)?;
        }
    }
    Ok(ReadRecord { offset_delta, has_header, value_start })
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
