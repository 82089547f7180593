//! Reads the fields of an event one after another.

use crate::binlog::error::StreamError;

/// Reads numbers and slices from the front of a slice. Every read fails if the slice is too short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! read_number {
    ($name:ident, $type:ty, $bytes:literal) => {
        #[inline]
        pub(crate) fn $name(&mut self) -> Result<$type, StreamError> {
            let (head, rest) = self.rest.split_first_chunk::<$bytes>().ok_or_else(short)?;
            self.rest = rest;
            let mut full = [0; size_of::<$type>()];
            full[..$bytes].copy_from_slice(head);
            Ok(<$type>::from_le_bytes(full))
        }
    };
}

#[cold]
pub(super) fn short() -> StreamError {
    StreamError::corrupt("an event ends in the middle of a field")
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    read_number!(u8, u8, 1);
    read_number!(u16, u16, 2);
    read_number!(u24, u32, 3);
    read_number!(u32, u32, 4);
    read_number!(u48, u64, 6);
    read_number!(u64, u64, 8);

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], StreamError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StreamError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Reads a number in MySQL's length-encoded form.
    pub(crate) fn length_encoded(&mut self) -> Result<usize, StreamError> {
        let number = match self.u8()? {
            0xfc => u64::from(self.u16()?),
            0xfd => u64::from(self.u24()?),
            0xfe => self.u64()?,
            0xfb | 0xff => return Err(StreamError::corrupt("an invalid length")),
            small => u64::from(small),
        };
        usize::try_from(number).map_err(|_| short())
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
