//! Reads the record header `dts`. Its layout is `version u8 | run u64 | epoch varint | split varint | seq 16 bytes | flags u8 | [txid]`.
//! Integers are big-endian; varints are LEB128.

use crate::{Failure, Result};

/// The task that wrote the record, and the record's position in its split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The random id of the task, chosen at the task's first start and kept over restarts.
    pub run: u64,
    /// The number of the task's start; it increases with every start.
    pub epoch: u64,
    /// The split's number in the checkpoint.
    pub split: u64,
    /// The position in the split; it gives the order of the split's records.
    pub seq: u128,
    /// Flags, combined by OR: 1 for a snapshot row, 2 for a record whose replay may differ, 4 for a schema change, 8 for a value with a
    /// schema id prefix.
    pub flags: u8,
}

impl Header {
    /// Reads a header's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = Rest(bytes);
        match rest.take::<1>("version")? {
            [1] => {}
            [other] => return Failure::err(format!("header `dts` has version {other}, known is 1")),
        }
        let header = Self {
            run: u64::from_be_bytes(rest.take("run")?),
            epoch: rest.varint("epoch")?,
            split: rest.varint("split")?,
            seq: u128::from_be_bytes(rest.take("seq")?),
            flags: u8::from_be_bytes(rest.take("flags")?),
        };
        if header.flags & !15 != 0 {
            return Failure::err(format!("header `dts` has unknown flags {:#x}", header.flags));
        }
        if header.seq == 0 && !header.heartbeat() {
            return Failure::err("header `dts` has seq 0, the first is 1");
        }
        Ok(header)
    }

    /// Whether the record is a row of the full phase.
    pub fn snapshot(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether the record is a heartbeat. Its `seq` is that of the last record of its split in the partition; 0 if there is none.
    pub fn heartbeat(&self) -> bool {
        self.inexact() && !self.snapshot()
    }

    /// For a record of the full phase, which attempt of the process wrote it.
    pub fn attempt(&self) -> u64 {
        (self.seq >> 64) as u64
    }

    /// For a record of the full phase, its number in the split.
    pub fn row(&self) -> u64 {
        self.seq as u64
    }

    /// Whether a replay of the record may differ, so that consumers cannot drop repeated records by their `seq`.
    pub fn inexact(&self) -> bool {
        self.flags & 2 != 0
    }
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk().ok_or_else(|| Failure::new(format!("header `dts` ends before its {what}")))?;
        self.0 = tail;
        Ok(*head)
    }

    fn varint(&mut self, what: &str) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take(what)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Failure::err(format!("header `dts`: its {what} is longer than 64 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read() {
        let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 0, 9, 3, 0x80, 2];
        bytes.extend(77u128.to_be_bytes());
        bytes.push(1);
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header, Header { run: 9, epoch: 3, split: 256, seq: 77, flags: 1 });
        assert!(header.snapshot());
        for length in 0..bytes.len() {
            assert!(Header::parse(&bytes[..length]).is_err(), "cut at {length}");
        }
    }
}
