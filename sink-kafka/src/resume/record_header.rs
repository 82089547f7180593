//! The position header of a record: the run, the split, the event and the transaction that the record comes from. With it readers can
//! ignore repeats, and a later process of the task can find out what was delivered.
//!
//! The name of the header is `dts`. Its value has at most 36 bytes without a transaction id:
//!
//! | part | bytes |
//! |---|---|
//! | version | 1, always 1 |
//! | run | 8, big endian: random, drawn at the task's first start |
//! | epoch | 1–5, unsigned LEB128: rises with every start of the process |
//! | split | 1–5, unsigned LEB128: number of the split |
//! | seq | 16, big endian: order in the split; in a heartbeat, the greatest seq of its split in the partition before it, or 0; in a record of the full phase, the first 8 bytes count the attempts of the process to deliver a split |
//! | flags | 1: 1 snapshot row, 2 replay not exact, 4 schema change, 8 values begin with the id of a schema; 2 without 1 is a heartbeat |
//!
//! The id of the transaction follows if the source knows one: a tag (1 byte), and bytes that depend on it. Rows of the full phase and
//! heartbeats have none.
//!
//! | tag | id | bytes |
//! |---|---|---|
//! | 1 | commit timestamp (TSO) of PolarDB-X | 27: its 54 digits, two in a byte |
//! | 2 | GTID of MySQL | 16: the UUID; 1–10, unsigned LEB128: the number |
//! | 3 | GTID of MariaDB | domain, server and number, each unsigned LEB128 |
//! | 4 | any other text of at most 255 bytes | 1: its length; its bytes, UTF-8 |
//!
//! Other tags, and bytes after the id, are reserved for later extensions. Readers must ignore them.
//!
//! # The rule for repeats
//!
//! 1. Never ignore a heartbeat: flag 2 without flag 1.
//! 2. Ignore a record of the full phase, flags 1 and 2, if its partition already holds a record of its run without flag 2.
//! 3. Of other records, keep the greatest seq for each run, split and partition. Ignore a record whose seq is not greater.
//!
//! [`RepeatFilter`] implements this rule:
//!
//! ```
//! use runtime::Seq;
//! use sink_kafka::record_header::{RecordPosition, RepeatFilter};
//!
//! let position = RecordPosition { run: 7, epoch: 1, split: 1, seq: Seq(42), flags: 0 };
//! let mut filter = RepeatFilter::default();
//! assert!(filter.is_new("orders", 0, &RecordPosition::decode(&position.encode()).unwrap()));
//! assert!(!filter.is_new("orders", 0, &position));
//! ```
//!
//! The id of the transaction is read with [`RecordPosition::decode_with_transaction`]:
//!
//! ```
//! use runtime::Seq;
//! use sink_kafka::record_header::{RecordPosition, TransactionId};
//!
//! let position = RecordPosition { run: 7, epoch: 1, split: 1, seq: Seq(42), flags: 0 };
//! let id = "3e11fa47-71ca-11e1-9e33-c80aa9429562:23";
//! let header = position.encode_with_transaction(TransactionId::of(id));
//! let (_, found) = RecordPosition::decode_with_transaction(&header).unwrap();
//! assert_eq!(found.unwrap().to_string(), id);
//! ```

use std::collections::{HashMap, HashSet};

use runtime::Seq;

pub use super::transaction_id::TransactionId;

/// The name of the header.
pub const HEADER: &str = "dts";
/// Flag: the row was read by a snapshot.
pub const SNAPSHOT: u8 = 1;
/// Flag: the replay of the split is not exact, so an equal or smaller seq does not mean that the record is a repeat.
pub const NOT_EXACT: u8 = 2;
/// Flag: the record is a schema change.
pub const SCHEMA_CHANGE: u8 = 4;
/// Flag: the value begins with the id of its schema in a registry: a zero byte, then four bytes, big endian. A tombstone has the flag too,
/// although it has no value.
pub const SCHEMA_ID: u8 = 8;

const VERSION: u8 = 1;

/// The position of a record: the run, the split and the event that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPosition {
    /// The random id of the task. It stays the same until the task's checkpoint is deleted.
    pub run: u64,
    /// A number that increases with every start of the process.
    pub epoch: u32,
    /// The number of the split.
    pub split: u32,
    /// The position of the event in the order of its split. In a heartbeat, the greatest seq of its split in the partition before it; 0 if
    /// there is none.
    pub seq: Seq,
    /// A combination of [`SNAPSHOT`], [`NOT_EXACT`], [`SCHEMA_CHANGE`] and [`SCHEMA_ID`].
    pub flags: u8,
}

/// Why a position header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionError {
    /// The header has an unknown version.
    #[error("the position header has version {0}, this program knows version {VERSION}")]
    Version(u8),
    /// The header ends too early, or contains a number that is too large or an invalid id.
    #[error("the position header is malformed")]
    Malformed,
}

impl RecordPosition {
    /// Encodes the value of the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36);
        write_prefix(&mut out, LaneId { run: self.run, epoch: self.epoch, split: self.split });
        out.extend_from_slice(&self.seq.0.to_be_bytes());
        out.push(self.flags);
        out
    }

    /// Encodes the value of the header of a record whose transaction is known. An id of more than 255 bytes is left out.
    pub fn encode_with_transaction(&self, id: TransactionId<'_>) -> Vec<u8> {
        let mut out = self.encode();
        id.write(&mut out);
        out
    }

    /// Decodes the value of a header.
    pub fn decode(value: &[u8]) -> Result<Self, PositionError> {
        Self::decode_with_transaction(value).map(|(position, _)| position)
    }

    /// Decodes the value of a header, and the id of the transaction if it has one.
    pub fn decode_with_transaction(value: &[u8]) -> Result<(Self, Option<TransactionId<'_>>), PositionError> {
        let (&version, rest) = value.split_first().ok_or(PositionError::Malformed)?;
        if version != VERSION {
            return Err(PositionError::Version(version));
        }
        let (run, rest) = rest.split_first_chunk::<8>().ok_or(PositionError::Malformed)?;
        let (epoch, rest) = read_varint(rest).ok_or(PositionError::Malformed)?;
        let (split, rest) = read_varint(rest).ok_or(PositionError::Malformed)?;
        let (seq, rest) = rest.split_first_chunk::<16>().ok_or(PositionError::Malformed)?;
        let (&flags, rest) = rest.split_first().ok_or(PositionError::Malformed)?;
        let position = Self { run: u64::from_be_bytes(*run), epoch, split, seq: Seq(u128::from_be_bytes(*seq)), flags };
        Ok((position, TransactionId::read(rest)?))
    }

    /// Whether the record is a heartbeat.
    pub fn is_heartbeat(&self) -> bool {
        self.flags & (NOT_EXACT | SNAPSHOT) == NOT_EXACT
    }

    /// Whether the record's seq says whether it is a repeat; false for heartbeats and records of the full phase.
    pub fn is_exact(&self) -> bool {
        self.flags & NOT_EXACT == 0
    }
}

/// The lane and the process that a record is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneId {
    pub(crate) run: u64,
    pub(crate) epoch: u32,
    pub(crate) split: u32,
}

/// The seq of a record of the full phase: the number of the attempt in the upper half, the number of the row in the lower half.
pub(crate) fn seq_of_attempt(attempt: u32, row: Seq) -> Seq {
    Seq(u128::from(attempt) << 64 | row.0 & u128::from(u64::MAX))
}

/// Writes the start of the header, which is the same for all records of a lane.
pub(crate) fn write_prefix(out: &mut Vec<u8>, LaneId { run, epoch, split }: LaneId) {
    out.push(VERSION);
    out.extend_from_slice(&run.to_be_bytes());
    write_varint(out, epoch.into());
    write_varint(out, split.into());
}

pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn read_varint<T: TryFrom<u128>>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let longest = (8 * size_of::<T>()).div_ceil(7);
    let mut value = 0u128;
    for (index, &byte) in bytes.iter().take(longest).enumerate() {
        value |= u128::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((T::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

/// Tells new records from repeats, by the rule in the documentation of this module.
#[derive(Clone, Debug, Default)]
pub struct RepeatFilter {
    topics: HashMap<String, Partitions>,
}

#[derive(Clone, Debug, Default)]
struct Partitions {
    /// The greatest seq of each partition, run and split.
    greatest: HashMap<(i32, u64, u32), Seq>,
    /// The partitions and runs that hold an exact record, so that their full phase is over.
    streamed: HashSet<(i32, u64)>,
}

impl RepeatFilter {
    /// Whether the record is new, that is, not a repeat of an earlier one. Records of a partition must be passed in the order of their
    /// offsets.
    pub fn is_new(&mut self, topic: &str, partition: i32, position: &RecordPosition) -> bool {
        if position.is_heartbeat() {
            return true;
        }
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.to_owned(), Partitions::default());
        }
        let Partitions { greatest, streamed } = self.topics.entry(topic.to_owned()).or_default();
        if !position.is_exact() {
            return !streamed.contains(&(partition, position.run));
        }
        streamed.insert((partition, position.run));
        let greatest = greatest.entry((partition, position.run, position.split)).or_default();
        let new = position.seq > *greatest;
        if new {
            *greatest = position.seq;
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_the_documented_ones() {
        let position = RecordPosition { run: 0x0102_0304_0506_0708, epoch: 300, split: 5, seq: Seq(9), flags: SNAPSHOT | SCHEMA_CHANGE };
        let mut expected = vec![1, 1, 2, 3, 4, 5, 6, 7, 8, 0xac, 0x02, 5];
        expected.extend([0; 15]);
        expected.extend([9, 5]);
        assert_eq!(position.encode(), expected);
    }

    #[test]
    fn the_examples_of_the_documentation_are_read() {
        let examples: Vec<(RecordPosition, Option<String>)> = include_str!("../../../docs/record-header.md")
            .lines()
            .filter(|line| line.starts_with("01 "))
            .map(|line| {
                let digits: String = line.split(' ').collect();
                let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
                let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
                let (position, id) = RecordPosition::decode_with_transaction(&bytes).unwrap();
                (position, id.map(|id| id.to_string()))
            })
            .collect();
        let row = RecordPosition {
            run: 0x0102_0304_0506_0708,
            epoch: 300,
            split: 5,
            seq: seq_of_attempt(1, Seq(3)),
            flags: SNAPSHOT | NOT_EXACT,
        };
        let change = RecordPosition { split: 7, seq: Seq(0x14 << 64 | 0x1002), flags: 0, ..row };
        let heartbeat = RecordPosition { flags: NOT_EXACT, ..change };
        let gtid = Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:23".to_owned());
        let tso = Some("753257768515167846418831443902710416620000000000000000".to_owned());
        assert_eq!(examples, [(row, None), (change, gtid), (change, tso), (change, Some("0-1-300".to_owned())), (heartbeat, None)]);
        assert!(heartbeat.is_heartbeat());
    }

    #[test]
    fn damaged_headers_are_errors() {
        let good = RecordPosition { run: 1, epoch: u32::MAX, split: u32::MAX, seq: Seq(u128::MAX), flags: 2 }.encode();
        assert_eq!(good.len(), 36);
        for end in 0..good.len() {
            assert!(RecordPosition::decode(&good[..end]).is_err(), "{end}");
        }
        let mut newer = good.clone();
        newer[0] = 2;
        assert_eq!(RecordPosition::decode(&newer), Err(PositionError::Version(2)));
        let mut overlong = good.clone();
        overlong[13] = 0x7f;
        assert_eq!(RecordPosition::decode(&overlong), Err(PositionError::Malformed));
        let longer = RecordPosition::decode(&good).unwrap().encode_with_transaction(TransactionId::of("1-2-3"));
        assert_eq!(longer.len(), 40);
        for end in 37..40 {
            assert_eq!(RecordPosition::decode(&longer[..end]), Err(PositionError::Malformed), "{end}");
        }
    }

    #[test]
    fn rows_of_the_full_phase_count_until_the_stream_begins() {
        let mut filter = RepeatFilter::default();
        let row = RecordPosition { run: 1, epoch: 1, split: 1, seq: Seq(5), flags: SNAPSHOT | NOT_EXACT };
        let heartbeat = RecordPosition { flags: NOT_EXACT, ..row };
        assert!(filter.is_new("t", 0, &row) && filter.is_new("t", 0, &row) && filter.is_new("t", 0, &heartbeat));
        assert!(filter.is_new("t", 0, &row), "a heartbeat does not end the full phase");
        assert!(filter.is_new("t", 0, &RecordPosition { split: 2, flags: 0, ..row }));
        assert!(!filter.is_new("t", 0, &row), "a late record");
        assert!(filter.is_new("t", 0, &heartbeat));
        assert!(filter.is_new("t", 1, &row) && filter.is_new("u", 0, &row) && filter.is_new("t", 0, &RecordPosition { run: 2, ..row }));
    }

    #[test]
    fn an_attempt_is_in_the_upper_half() {
        assert_eq!(seq_of_attempt(3, Seq(9)), Seq(3 << 64 | 9));
    }

    proptest! {
        #[test]
        fn there_and_back(run: u64, epoch: u32, split: u32, seq: u128, flags: u8, id in prop::option::of(".{0,60}|[0-9]{54}"), tail: Vec<u8>) {
            let position = RecordPosition { run, epoch, split, seq: Seq(seq), flags };
            prop_assert!(position.encode().len() <= 36);
            let mut bytes = match &id {
                Some(id) => position.encode_with_transaction(TransactionId::of(id)),
                None => position.encode(),
            };
            prop_assert_eq!(RecordPosition::decode(&bytes), Ok(position));
            if id.is_some() {
                bytes.extend(tail);
            }
            let (read, read_id) = RecordPosition::decode_with_transaction(&bytes).unwrap();
            prop_assert_eq!((read, read_id.map(|id| id.to_string())), (position, id));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = RecordPosition::decode(&bytes);
        }

        // The property that makes repeats harmless: each writer writes consecutive members of a sequence, and begins at most one step after
        // the greatest seq in the log. Then, after any number of writers, the rule for repeats leaves exactly the sequence.
        #[test]
        fn repeats_of_any_writers_vanish(writers in prop::collection::vec((0u128..20, 1u128..10), 1..8)) {
            let (mut log, mut greatest) = (Vec::new(), 0);
            for (back, length) in writers {
                let first = (greatest + 1 - back.min(greatest)).max(1);
                log.extend(first..first + length);
                greatest = greatest.max(first + length - 1);
            }
            let mut filter = RepeatFilter::default();
            let read: Vec<u128> = log.into_iter()
                .filter(|&seq| filter.is_new("t", 0, &RecordPosition { run: 1, epoch: 1, split: 1, seq: Seq(seq), flags: 0 }))
                .collect();
            prop_assert_eq!(read, (1..=greatest).collect::<Vec<_>>());
        }
    }
}
