//! Reads the record header `dts`. Its layout is `version u8 | run u64 | epoch varint | split varint | seq 16 bytes | flags u8 | [txid]`.
//! Integers are big-endian; varints are LEB128. A txid begins with a tag: 1 and 27 bytes with two digits each; 2, 16 bytes and a varint;
//! 3 and three varints; 4, a length of one byte and a text.

use crate::{Failure, Result};

/// The task that wrote the record, and the record's position in its split.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The id of the transaction, as the database writes it; `None` if the record has none.
    pub txid: Option<String>,
}

impl Header {
    /// Reads a header's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = Rest(bytes);
        match rest.take::<1>("version")? {
            [1] => {}
            [other] => return Failure::err(format!("header `dts` has version {other}, known is 1")),
        }
        let mut header = Self {
            run: u64::from_be_bytes(rest.take("run")?),
            epoch: rest.varint("epoch")?,
            split: rest.varint("split")?,
            seq: u128::from_be_bytes(rest.take("seq")?),
            flags: u8::from_be_bytes(rest.take("flags")?),
            txid: None,
        };
        if !rest.0.is_empty() {
            header.txid = Some(rest.txid()?);
        }
        if header.flags & !15 != 0 {
            return Failure::err(format!("header `dts` has unknown flags {:#x}", header.flags));
        }
        if header.seq == 0 && !header.heartbeat() {
            return Failure::err("header `dts` has seq 0, the first is 1");
        }
        if header.inexact() && header.txid.is_some() {
            return Failure::err("header `dts` of a row of the full phase or a heartbeat has the id of a transaction");
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

    fn txid(&mut self) -> Result<String> {
        const WHAT: &str = "transaction id";
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let [tag] = self.take(WHAT)?;
        let id = match tag {
            1 => hex(&self.take::<27>(WHAT)?),
            2 => {
                let uuid = hex(&self.take::<16>(WHAT)?);
                let parts = [&uuid[..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..]];
                format!("{}:{}", parts.join("-"), self.varint(WHAT)?)
            }
            3 => format!("{}-{}-{}", self.varint(WHAT)?, self.varint(WHAT)?, self.varint(WHAT)?),
            4 => {
                let [length] = self.take(WHAT)?;
                let (text, rest) =
                    self.0.split_at_checked(length.into()).ok_or_else(|| Failure::new(format!("header `dts` ends before its {WHAT}")))?;
                self.0 = rest;
                String::from_utf8(text.to_vec())?
            }
            other => return Failure::err(format!("header `dts` has a transaction id of the unknown form {other}")),
        };
        if self.0.is_empty() { Ok(id) } else { Failure::err(format!("header `dts` has {} bytes behind its {WHAT}", self.0.len())) }
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
        assert_eq!(header, Header { run: 9, epoch: 3, split: 256, seq: 77, flags: 1, txid: None });
        assert!(header.snapshot());
        for length in 0..bytes.len() {
            assert!(Header::parse(&bytes[..length]).is_err(), "cut at {length}");
        }
        if let Some(flags) = bytes.last_mut() {
            *flags = 0;
        }
        let tso = [&[1][..], &[0x75; 27]].concat();
        let gtid = [&[2][..], &[0xab; 16], &[0x80, 1]].concat();
        for (id, text) in [
            (tso, "75".repeat(27)),
            (gtid, "abababab-abab-abab-abab-abababababab:128".to_owned()),
            (vec![3, 0, 1, 2], "0-1-2".to_owned()),
            (b"\x04\x02ab".to_vec(), "ab".to_owned()),
        ] {
            let whole = [&bytes[..], &id].concat();
            assert_eq!(Header::parse(&whole).unwrap().txid.as_ref(), Some(&text));
            for length in bytes.len() + 1..whole.len() {
                assert!(Header::parse(&whole[..length]).is_err(), "{text} cut at {length}");
            }
            assert!(Header::parse(&[&whole[..], &[0]].concat()).is_err(), "{text} with a byte behind");
        }
    }

    #[test]
    fn rows_of_the_full_phase_and_heartbeats_have_no_transaction() {
        for flags in [2, 3] {
            let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 0, 9, 3, 1];
            bytes.extend(77u128.to_be_bytes());
            bytes.push(flags);
            assert!(Header::parse(&bytes).is_ok());
            bytes.extend([3, 0, 1, 2]);
            assert!(Header::parse(&bytes).is_err(), "flags {flags}");
        }
    }
}
