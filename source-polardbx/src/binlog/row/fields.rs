//! Encodings that several column types share.

use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;

#[cold]
pub(super) fn impossible(what: &str) -> StreamError {
    StreamError::corrupt(format!("a row holds {what} that cannot be"))
}

pub(super) fn signed24(value: u32) -> i32 {
    (value << 8) as i32 >> 8
}

pub(super) fn little_endian(reader: &mut Reader<'_>, bytes: u8) -> Result<u64, StreamError> {
    Ok(reader.take(bytes.into())?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

pub(super) fn big_endian(reader: &mut Reader<'_>, bytes: u8) -> Result<u64, StreamError> {
    Ok(reader.take(bytes.into())?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Reads a length of `prefix` bytes, and then as many bytes as the length says.
#[inline]
pub(super) fn prefixed<'a>(reader: &mut Reader<'a>, prefix: u8) -> Result<&'a [u8], StreamError> {
    let length = match prefix {
        1 => reader.u8()?.into(),
        2 => reader.u16()?.into(),
        3 => reader.u24()?,
        _ => reader.u32()?,
    };
    reader.take(length as usize)
}
