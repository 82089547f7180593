//! Reads the fields of an answer in the two encodings of Kafka's protocol: with lengths of fixed size, and with compact lengths and tagged
//! fields, as in the flexible versions of a request.
//!
//! Lengths come from the network, so no memory is allocated by them: an element is read before the next one is stored.

use std::io::Cursor;

use rskafka::protocol::primitives::{
    Boolean, CompactNullableString, CompactStringRef, Int16, Int32, Int64, NullableString, String_, UnsignedVarint,
};
use rskafka::protocol::traits::{ReadError, ReadType, WriteError, WriteType};

use crate::client::error_code::ErrorCode;

/// Reads fields in one of the two encodings.
pub(super) struct Fields<'r> {
    reader: &'r mut Cursor<Vec<u8>>,
    is_flexible: bool,
}

impl<'r> Fields<'r> {
    pub(super) fn new(reader: &'r mut Cursor<Vec<u8>>, is_flexible: bool) -> Self {
        Self { reader, is_flexible }
    }

    pub(super) fn bool(&mut self) -> Result<bool, ReadError> {
        Ok(Boolean::read(self.reader)?.0)
    }

    pub(super) fn i32(&mut self) -> Result<i32, ReadError> {
        Ok(Int32::read(self.reader)?.0)
    }

    pub(super) fn i64(&mut self) -> Result<i64, ReadError> {
        Ok(Int64::read(self.reader)?.0)
    }

    pub(super) fn code(&mut self) -> Result<ErrorCode, ReadError> {
        Ok(ErrorCode(Int16::read(self.reader)?.0))
    }

    pub(super) fn uuid(&mut self) -> Result<[u8; 16], ReadError> {
        let mut bytes = [0; 16];
        std::io::Read::read_exact(self.reader, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<String>, ReadError> {
        if self.is_flexible { Ok(CompactNullableString::read(self.reader)?.0) } else { Ok(NullableString::read(self.reader)?.0) }
    }

    /// A string; null counts as empty.
    pub(super) fn string(&mut self) -> Result<String, ReadError> {
        Ok(self.nullable_string()?.unwrap_or_default())
    }

    /// Reads the elements of an array with `read`; null counts as empty.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, ReadError>) -> Result<Vec<T>, ReadError> {
        let length = if self.is_flexible {
            UnsignedVarint::read(self.reader)?.0.saturating_sub(1)
        } else {
            match Int32::read(self.reader)?.0 {
                -1 => 0,
                length => u64::try_from(length)?,
            }
        };
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(read(self)?);
        }
        Ok(list)
    }

    /// Skips the tagged fields at the end of an element. Older versions have none.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        if self.is_flexible {
            for _ in 0..UnsignedVarint::read(self.reader)?.0 {
                UnsignedVarint::read(self.reader)?; // tag
                let length = UnsignedVarint::read(self.reader)?.0;
                let end = self.reader.position().checked_add(length).filter(|end| *end <= self.reader.get_ref().len() as u64);
                self.reader.set_position(end.ok_or_else(|| ReadError::Malformed("a tagged field beyond the end of the answer".into()))?);
            }
        }
        Ok(())
    }
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
