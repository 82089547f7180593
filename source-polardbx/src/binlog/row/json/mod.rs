//! JSON: converts MySQL's binary format to the same text that the server itself prints for the document.
//!
//! A document is a type byte and a value. Objects and arrays begin with their count of elements and their size, then one entry for each key
//! (offset, length) and each value (type, offset), then the keys and values; offsets count from the beginning of the object or array. A
//! small scalar is stored in the entry itself, in place of its offset. Numbers are little-endian. The format is described in
//! `sql/json_binary.h` of MySQL; the printed texts were compared with MySQL 5.7, 8.0 and 9.7.

mod number;
mod opaque;
mod style;
#[cfg(test)]
mod tests;
mod text;

use std::str;

use runtime::text::{write_i64, write_u64};

use super::fields::impossible;
use crate::binlog::error::StreamError;
use crate::binlog::event::Reader;
use number::write_double;
use opaque::write_opaque;
pub(crate) use style::JsonStyle;
use text::write_string;

/// The deepest nesting of objects and arrays that MySQL allows.
const MAX_DEPTH: u32 = 100;
/// The longest text in bytes that a server can send for a document.
const MAX_TEXT: usize = 1 << 30;

/// The type bytes of values.
mod kind {
    pub(super) const SMALL_OBJECT: u8 = 0;
    pub(super) const LARGE_OBJECT: u8 = 1;
    pub(super) const SMALL_ARRAY: u8 = 2;
    pub(super) const LARGE_ARRAY: u8 = 3;
    pub(super) const LITERAL: u8 = 4;
    pub(super) const INT16: u8 = 5;
    pub(super) const UINT16: u8 = 6;
    pub(super) const INT32: u8 = 7;
    pub(super) const UINT32: u8 = 8;
    pub(super) const INT64: u8 = 9;
    pub(super) const UINT64: u8 = 10;
    pub(super) const DOUBLE: u8 = 11;
    pub(super) const STRING: u8 = 12;
    pub(super) const OPAQUE: u8 = 15;
}

/// Appends the text of a document.
pub(super) fn write_json(document: &[u8], style: JsonStyle, out: &mut Vec<u8>) -> Result<(), StreamError> {
    // A NOT NULL column into which a NULL was forced holds an empty value. The server reads an empty value as the JSON literal null.
    let Some((&kind, value)) = document.split_first() else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    Printer { style, limit: out.len().saturating_add(MAX_TEXT), unread: value.len(), out }.value(kind, value, 0)
}

struct Printer<'o> {
    style: JsonStyle,
    out: &'o mut Vec<u8>,
    /// The greatest allowed length of `out`, in bytes.
    limit: usize,
    /// Number of bytes of the document that no printed value has used yet. Each byte may belong to only one value. Otherwise a short
    /// document whose entries all point to the same value could print an endless text.
    unread: usize,
}

impl Printer<'_> {
    /// Prints the value of type `kind` at the beginning of `bytes`.
    fn value(&mut self, kind: u8, bytes: &[u8], depth: u32) -> Result<(), StreamError> {
        if let Some(form) = Form::of(kind) {
            return self.container(form, bytes, depth);
        }
        let mut reader = Reader::new(bytes);
        self.scalar(kind, &mut reader)?;
        self.take(bytes.len() - reader.rest().len())
    }

    fn scalar(&mut self, kind: u8, reader: &mut Reader<'_>) -> Result<(), StreamError> {
        match kind {
            kind::LITERAL => self.out.extend_from_slice(match reader.u8()? {
                0 => b"null",
                1 => b"true",
                2 => b"false",
                _ => return Err(impossible("a JSON literal")),
            }),
            kind::INT16 => write_i64(self.out, i64::from(reader.u16()? as i16)),
            kind::UINT16 => write_u64(self.out, reader.u16()?.into()),
            kind::INT32 => write_i64(self.out, i64::from(reader.u32()? as i32)),
            kind::UINT32 => write_u64(self.out, reader.u32()?.into()),
            kind::INT64 => write_i64(self.out, reader.u64()? as i64),
            kind::UINT64 => write_u64(self.out, reader.u64()?),
            kind::DOUBLE => write_double(f64::from_le_bytes(reader.array()?), self.style, self.out)?,
            kind::STRING => write_string(utf8(variable(reader)?)?, self.out),
            kind::OPAQUE => {
                let field = reader.u8()?;
                write_opaque(field, variable(reader)?, self.style, self.out)?;
            }
            _ => return Err(impossible("a type of JSON value")),
        }
        if self.out.len() > self.limit { Err(too_long()) } else { Ok(()) }
    }

    fn container(&mut self, form: Form, bytes: &[u8], depth: u32) -> Result<(), StreamError> {
        let broken = || impossible("a JSON object or array");
        if depth >= MAX_DEPTH {
            return Err(impossible("a JSON document of more than 100 levels"));
        }
        let mut reader = Reader::new(bytes);
        let (count, size) = (form.number(&mut reader)?, form.number(&mut reader)?);
        let bytes = bytes.get(..size).ok_or_else(broken)?;
        reader = Reader::new(bytes.get(2 * form.width()..).ok_or_else(broken)?);
        let key_bytes = if form.object { form.width() + 2 } else { 0 };
        let mut keys = Reader::new(reader.take(count.checked_mul(key_bytes).ok_or_else(broken)?)?);
        let mut values = Reader::new(reader.take(count.checked_mul(form.width() + 1).ok_or_else(broken)?)?);
        let header = bytes.len() - reader.rest().len();
        self.take(header)?;
        let behind_header = |offset: usize| if offset < header { Err(broken()) } else { bytes.get(offset..).ok_or_else(broken) };

        self.out.push(if form.object { b'{' } else { b'[' });
        for index in 0..count {
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            if form.object {
                let (offset, length) = (form.number(&mut keys)?, usize::from(keys.u16()?));
                write_string(utf8(behind_header(offset)?.get(..length).ok_or_else(broken)?)?, self.out);
                self.out.extend_from_slice(b": ");
                self.take(length)?;
            }
            let kind = values.u8()?;
            let slot = values.take(form.width())?;
            if form.is_inlined(kind) {
                self.scalar(kind, &mut Reader::new(slot))?;
            } else {
                self.value(kind, behind_header(form.number(&mut Reader::new(slot))?)?, depth + 1)?;
            }
        }
        self.out.push(if form.object { b'}' } else { b']' });
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), StreamError> {
        self.unread = self.unread.checked_sub(bytes).ok_or_else(|| impossible("a JSON document with values in one another"))?;
        Ok(())
    }
}

/// The layout of an object or array.
#[derive(Clone, Copy)]
struct Form {
    object: bool,
    large: bool,
}

impl Form {
    fn of(kind: u8) -> Option<Self> {
        let form = |object, large| Some(Self { object, large });
        match kind {
            kind::SMALL_OBJECT => form(true, false),
            kind::LARGE_OBJECT => form(true, true),
            kind::SMALL_ARRAY => form(false, false),
            kind::LARGE_ARRAY => form(false, true),
            _ => None,
        }
    }

    /// The number of bytes that hold a count, a size or an offset.
    fn width(self) -> usize {
        if self.large { 4 } else { 2 }
    }

    fn number(self, reader: &mut Reader<'_>) -> Result<usize, StreamError> {
        Ok(if self.large { reader.u32()? as usize } else { reader.u16()?.into() })
    }

    /// Whether the value itself is stored in place of its offset.
    fn is_inlined(self, kind: u8) -> bool {
        matches!(kind, kind::LITERAL | kind::INT16 | kind::UINT16) || (self.large && matches!(kind, kind::INT32 | kind::UINT32))
    }
}

/// Reads a length of up to five bytes, and then as many bytes as the length says. Each byte of the length holds seven bits, lowest first;
/// its highest bit tells whether the length has another byte.
fn variable<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], StreamError> {
    let mut length = 0u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = reader.u8()?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return reader.take(usize::try_from(length).unwrap_or(usize::MAX));
        }
    }
    Err(impossible("a length in a JSON document"))
}

fn utf8(bytes: &[u8]) -> Result<&str, StreamError> {
    str::from_utf8(bytes).map_err(|_| impossible("a JSON string that is not UTF-8"))
}

#[cold]
fn too_long() -> StreamError {
    StreamError::Unsupported {
        what: "a JSON document whose text is longer than 1 GiB".into(),
        help: "leave the table out of the selection, or make the document smaller",
    }
}
