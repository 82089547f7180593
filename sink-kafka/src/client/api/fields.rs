//! The fields of requests and answers in the two encodings of Kafka's protocol: the plain one, and the one with compact lengths and tagged
//! fields, as in the flexible versions of a request.
//!
//! Lengths come from the network, so no memory is allocated by them: texts and lists are read where they are, and an element is read before
//! the next one is stored.

use std::io::Cursor;
use std::ops::Range;

use rskafka::protocol::primitives::{Boolean, CompactStringRef, Int32, String_, UnsignedVarint};
use rskafka::protocol::traits::{ReadError, WriteError, WriteType};

use crate::client::error_code::ErrorCode;

/// The bytes of an answer behind its header, taken from the messenger without a copy.
pub(super) struct Body {
    bytes: Vec<u8>,
    start: usize,
}

impl Body {
    pub(super) fn take(reader: &mut Cursor<Vec<u8>>) -> Self {
        let start = usize::try_from(reader.position()).unwrap_or(usize::MAX);
        // The messenger compares the position with the length of what is left, and both are 0 now. Whether bytes are left over is known when
        // the fields are finished.
        reader.set_position(0);
        Self { bytes: std::mem::take(reader.get_mut()), start }
    }

    pub(super) fn fields(&self, is_flexible: bool) -> Fields<'_> {
        Fields { bytes: &self.bytes, at: self.start.min(self.bytes.len()), is_flexible }
    }

    /// The bytes at a place that a reader of fields has returned.
    pub(super) fn bytes(&self, place: Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }
}

/// Reads fields in one of the two encodings.
#[derive(Clone)]
pub(super) struct Fields<'r> {
    bytes: &'r [u8],
    at: usize,
    is_flexible: bool,
}

impl<'r> Fields<'r> {
    fn place(&mut self, length: usize) -> Result<Range<usize>, ReadError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| malformed("a field beyond the end of the answer"))?;
        Ok(std::mem::replace(&mut self.at, end)..end)
    }

    fn take(&mut self, length: usize) -> Result<&'r [u8], ReadError> {
        let place = self.place(length)?;
        Ok(self.bytes.get(place).unwrap_or_default())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        self.take(N)?.try_into().map_err(|_| malformed("a field of another length"))
    }

    pub(super) fn bool(&mut self) -> Result<bool, ReadError> {
        Ok(self.array::<1>()? != [0])
    }

    fn i16(&mut self) -> Result<i16, ReadError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, ReadError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, ReadError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn code(&mut self) -> Result<ErrorCode, ReadError> {
        Ok(ErrorCode(self.i16()?))
    }

    pub(super) fn uuid(&mut self) -> Result<[u8; 16], ReadError> {
        self.array()
    }

    fn varint(&mut self) -> Result<usize, ReadError> {
        let mut number = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(malformed("a length of more than 35 bits"))
    }

    /// The length of a text or a list; `None` is null. `plain` reads the length in the plain encoding.
    fn length(&mut self, plain: impl FnOnce(&mut Self) -> Result<i32, ReadError>) -> Result<Option<usize>, ReadError> {
        if self.is_flexible {
            return Ok(self.varint()?.checked_sub(1));
        }
        match plain(self)? {
            -1 => Ok(None),
            length => Ok(Some(usize::try_from(length)?)),
        }
    }

    pub(super) fn nullable_str(&mut self) -> Result<Option<&'r str>, ReadError> {
        let Some(length) = self.length(|fields| Ok(fields.i16()?.into()))? else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|error| ReadError::Malformed(Box::new(error)))?;
        Ok(Some(text))
    }

    /// A text; null counts as empty.
    pub(super) fn str(&mut self) -> Result<&'r str, ReadError> {
        Ok(self.nullable_str()?.unwrap_or_default())
    }

    /// The place of bytes with a length of four bytes; null counts as empty.
    pub(super) fn plain_bytes(&mut self) -> Result<Range<usize>, ReadError> {
        match self.i32()? {
            -1 => self.place(0),
            length => self.place(usize::try_from(length)?),
        }
    }

    /// Reads the elements of a list with `read`; null counts as empty.
    pub(super) fn each(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let length = self.length(Self::i32)?.unwrap_or(0);
        for _ in 0..length {
            read(self)?;
        }
        Ok(())
    }

    /// Skips the tagged fields at the end of an element. Older versions have none.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        if self.is_flexible {
            for _ in 0..self.varint()? {
                self.varint()?; // tag
                let length = self.varint()?;
                self.place(length)?;
            }
        }
        Ok(())
    }

    /// Checks that the answer ends here.
    pub(super) fn finish(self) -> Result<(), ReadError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(malformed("bytes behind the last field")) }
    }
}

/// The error of an answer that breaks the protocol.
pub(super) fn malformed(problem: &'static str) -> ReadError {
    ReadError::Malformed(problem.into())
}

/// Writes the fields of a request in one of the two encodings.
pub(super) struct FieldWriter<'w> {
    out: &'w mut Vec<u8>,
    is_flexible: bool,
}

impl<'w> FieldWriter<'w> {
    pub(super) fn new(out: &'w mut Vec<u8>, is_flexible: bool) -> Self {
        Self { out, is_flexible }
    }

    pub(super) fn bool(&mut self, value: bool) -> Result<(), WriteError> {
        Boolean(value).write(self.out)
    }

    pub(super) fn uuid(&mut self, value: [u8; 16]) {
        self.out.extend_from_slice(&value);
    }

    pub(super) fn string(&mut self, value: &str) -> Result<(), WriteError> {
        if self.is_flexible { CompactStringRef(value).write(self.out) } else { String_(value.to_owned()).write(self.out) }
    }

    /// The length of an array; `None` is a null array.
    pub(super) fn length(&mut self, length: Option<usize>) -> Result<(), WriteError> {
        match length {
            None if self.is_flexible => UnsignedVarint(0).write(self.out),
            None => Int32(-1).write(self.out),
            Some(length) if self.is_flexible => UnsignedVarint(length as u64 + 1).write(self.out),
            Some(length) => Int32(i32::try_from(length)?).write(self.out),
        }
    }

    /// Writes that an element has no tagged fields.
    pub(super) fn end(&mut self) -> Result<(), WriteError> {
        if self.is_flexible { UnsignedVarint(0).write(self.out) } else { Ok(()) }
    }
}
