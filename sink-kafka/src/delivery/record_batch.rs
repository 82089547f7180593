//! Kafka's record batch, version 2, built by us: rskafka's own builder knows no producer id and copies each record several times.
//!
//! Records are framed into one buffer as they come, compressed once, and stamped with the producer's identity when they are sent: the
//! same bytes are sent again after a failure. Layout: <https://kafka.apache.org/documentation/#recordbatch>.

use std::io::Read as _;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use runtime::Seq;

use crate::codec::{self, Codec};
use crate::error::Error;
use crate::resume::record_header::HEADER;

/// Bytes before the records.
pub(crate) const HEAD: usize = 61;
/// `seq` and `flags` are the last bytes of a record.
const SEQ_FROM_END: usize = 17;

/// Who sends: stamped into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    /// −1 without idempotence.
    pub(crate) id: i64,
    /// −1 without idempotence.
    pub(crate) epoch: i16,
}

impl Producer {
    /// No idempotence: the broker appends whatever comes.
    pub(crate) const PLAIN: Self = Self { id: -1, epoch: -1 };

    /// Whether the broker recognises a batch that is sent again.
    pub(crate) fn is_idempotent(self) -> bool {
        self.id >= 0
    }
}

/// Collects the records of one partition.
pub(crate) struct RecordBatchBuilder {
    records: Vec<u8>,
    events: Vec<Range<u32>>,
    timestamp_ms: i64,
    last_seq: Seq,
}

impl RecordBatchBuilder {
    /// An empty builder that reuses `buffer`.
    pub(crate) fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { records: buffer, events: Vec::new(), timestamp_ms: now_ms(), last_seq: Seq(0) }
    }

    /// Adds a record without key: its value, in two parts, the value of its position header (which ends with seq and flags), and the events
    /// of the runtime's batch that it was made from.
    pub(crate) fn push(&mut self, frame: &[u8], value: &[u8], position: &[u8], events: Range<u32>, seq: Seq) {
        debug_assert!(position.len() >= SEQ_FROM_END);
        let length = frame.len() + value.len();
        let body = 1 + 1 // attributes, timestamp delta 0
            + varint_len(self.events.len() as i64)
            + 1 // no key
            + varint_len(length as i64) + length
            + 1 // one header
            + 1 + HEADER.len() + varint_len(position.len() as i64) + position.len();
        let out = &mut self.records;
        out.reserve(body + 5);
        write_varint(out, body as i64);
        out.extend_from_slice(&[0, 0]);
        write_varint(out, self.events.len() as i64);
        write_varint(out, -1);
        write_varint(out, length as i64);
        out.extend_from_slice(frame);
        out.extend_from_slice(value);
        write_varint(out, 1);
        write_varint(out, HEADER.len() as i64);
        out.extend_from_slice(HEADER.as_bytes());
        write_varint(out, position.len() as i64);
        out.extend_from_slice(position);
        self.events.push(events);
        self.last_seq = seq;
    }

    /// Bytes of records so far.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Compresses what was collected into a batch that is built in `buffer`. Returns the records' own buffer for the next builder.
    pub(crate) fn seal(self, codec: &mut Codec, mut buffer: Vec<u8>) -> Result<(SealedBatch, Vec<u8>), Error> {
        let problem = |problem: String| Error::RecordBatch { problem };
        let count = i32::try_from(self.events.len()).map_err(|_| problem("too many records".into()))?;
        buffer.clear();
        buffer.resize(HEAD, 0);
        codec.compress(&self.records, &mut buffer).map_err(problem)?;
        let length = i32::try_from(buffer.len() - 12).map_err(|_| problem(format!("{} bytes are too many for a batch", buffer.len())))?;
        let mut head = Head(&mut buffer);
        head.put(8, &length.to_be_bytes());
        head.put(12, &(-1i32).to_be_bytes()); // the leader's epoch is the leader's to fill in
        head.put(16, &[2]);
        head.put(21, &codec.attributes().to_be_bytes());
        head.put(23, &(count - 1).to_be_bytes());
        head.put(27, &self.timestamp_ms.to_be_bytes());
        head.put(35, &self.timestamp_ms.to_be_bytes());
        head.put(57, &count.to_be_bytes());
        let sealed = SealedBatch { bytes: buffer, events: self.events, plain_len: self.records.len(), last_seq: self.last_seq };
        Ok((sealed, self.records))
    }
}

/// A batch that is ready but for its sender.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    bytes: Vec<u8>,
    events: Vec<Range<u32>>,
    plain_len: usize,
    last_seq: Seq,
}

impl SealedBatch {
    /// How many records it has; at least one.
    pub(crate) fn count(&self) -> i32 {
        self.events.len() as i32
    }

    /// Seq of the last record.
    pub(crate) fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// The events of the runtime's batch that the first record was made from.
    pub(crate) fn first_events(&self) -> Range<u32> {
        self.events.first().cloned().unwrap_or_default()
    }

    /// The bytes to send.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer, for another batch.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes the sender in. Until it is called again, the bytes stay the same: what is sent again is recognised by the broker.
    pub(crate) fn stamp(&mut self, producer: Producer, base_sequence: i32) {
        let mut head = Head(&mut self.bytes);
        head.put(43, &producer.id.to_be_bytes());
        head.put(51, &producer.epoch.to_be_bytes());
        head.put(53, &base_sequence.to_be_bytes());
        let crc = crc32c::crc32c(self.bytes.get(21..).unwrap_or_default());
        Head(&mut self.bytes).put(17, &crc.to_be_bytes());
    }

    /// Two batches with the first and the second half of the records; for a batch of at least two that a broker found too large.
    pub(crate) fn split(self) -> Result<(Self, Self), Error> {
        let malformed = || Error::RecordBatch { problem: "a batch of our own cannot be taken apart".into() };
        let payload = self.bytes.get(HEAD..).ok_or_else(malformed)?;
        let compression = self.bytes.get(22).and_then(|&low| codec::of_attributes(u16::from(low))).ok_or_else(malformed)?;
        let mut plain = Vec::with_capacity(self.plain_len);
        let problem = |problem: String| Error::RecordBatch { problem };
        codec::reader(compression, payload)
            .and_then(|mut reader| reader.read_to_end(&mut plain))
            .map_err(|error| problem(format!("decompress: {error}")))?;
        let mut codec = Codec::new(compression).map_err(problem)?;
        let middle = self.events.len() / 2;
        let mut halves = [RecordBatchBuilder::new(Vec::new()), RecordBatchBuilder::new(Vec::new())];
        let mut rest = plain.as_slice();
        for (index, events) in self.events.into_iter().enumerate() {
            let (length, after) = read_varint(rest).ok_or_else(malformed)?;
            let (record, after) = usize::try_from(length).ok().and_then(|length| after.split_at_checked(length)).ok_or_else(malformed)?;
            rest = after;
            halves[usize::from(index >= middle)].push_again(record, events).ok_or_else(malformed)?;
        }
        let [first, second] = halves;
        Ok((first.seal(&mut codec, Vec::new())?.0, second.seal(&mut codec, Vec::new())?.0))
    }
}

impl RecordBatchBuilder {
    /// Adds the body of a record of another batch: all but its place in the batch stays.
    fn push_again(&mut self, body: &[u8], events: Range<u32>) -> Option<()> {
        let seq = body.len().checked_sub(SEQ_FROM_END).and_then(|at| body.get(at..)?.first_chunk::<16>())?;
        let (_, tail) = read_varint(body.get(2..)?)?;
        let place = self.events.len() as i64;
        write_varint(&mut self.records, (2 + varint_len(place) + tail.len()) as i64);
        self.records.extend_from_slice(body.get(..2)?);
        write_varint(&mut self.records, place);
        self.records.extend_from_slice(tail);
        self.events.push(events);
        self.last_seq = Seq(u128::from_be_bytes(*seq));
        Some(())
    }
}

/// Writes fields of a batch's head at their fixed places.
struct Head<'a>(&'a mut Vec<u8>);

impl Head<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        // Invariant: every batch begins with HEAD bytes (RecordBatchBuilder::seal), and all places lie in them.
        if let Some(field) = self.0.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_millis() as i64)
}

fn varint_len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

fn write_varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn read_varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut zigzag = 0u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        zigzag |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64), bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rskafka::protocol::record::{ControlBatchOrRecords, RecordBatch, RecordBatchCompression};
    use rskafka::protocol::traits::ReadType;

    use std::io::Cursor;

    use super::*;
    use crate::config::Compression;
    use crate::resume::record_header::RecordPosition;

    fn position(seq: u128) -> Vec<u8> {
        RecordPosition { run: 1, epoch: 2, split: 3, seq: Seq(seq), flags: 0 }.encode()
    }

    fn build(values: &[Vec<u8>], compression: Compression) -> SealedBatch {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        for (index, value) in values.iter().enumerate() {
            builder.push(&[], value, &position(index as u128 + 1), index as u32..index as u32 + 1, Seq(index as u128 + 1));
        }
        builder.seal(&mut Codec::new(compression).unwrap(), Vec::new()).unwrap().0
    }

    fn read(batch: &SealedBatch) -> (RecordBatch, Vec<(i32, Vec<u8>, u128)>) {
        let batch = RecordBatch::read(&mut Cursor::new(batch.bytes())).unwrap();
        let ControlBatchOrRecords::Records(records) = &batch.records else { panic!("control batch") };
        let list = records
            .iter()
            .map(|record| {
                assert_eq!((record.key.as_ref(), record.timestamp_delta, record.headers.len()), (None, 0, 1));
                assert_eq!(record.headers[0].key, "dts");
                let seq = RecordPosition::decode(&record.headers[0].value).unwrap().seq.0;
                (record.offset_delta, record.value.clone().unwrap(), seq)
            })
            .collect();
        (batch, list)
    }

    #[test]
    fn another_decoder_reads_what_was_stamped() {
        for (compression, expected) in [
            (Compression::None, RecordBatchCompression::NoCompression),
            (Compression::Gzip, RecordBatchCompression::Gzip),
            (Compression::Snappy, RecordBatchCompression::Snappy),
            (Compression::Lz4, RecordBatchCompression::Lz4),
            (Compression::Zstd, RecordBatchCompression::Zstd),
        ] {
            let values: Vec<Vec<u8>> = (0..300).map(|index| format!("value {index}").repeat(index).into_bytes()).collect();
            let mut sealed = build(&values, compression);
            sealed.stamp(Producer { id: 77, epoch: 5 }, 1234);
            let (batch, records) = read(&sealed);
            assert_eq!((batch.producer_id, batch.producer_epoch, batch.base_sequence), (77, 5, 1234));
            assert_eq!((batch.compression, batch.last_offset_delta, batch.base_offset), (expected, 299, 0));
            assert!(batch.first_timestamp > 1_700_000_000_000 && batch.first_timestamp == batch.max_timestamp);
            assert_eq!(records.len(), 300);
            for (index, (delta, value, seq)) in records.into_iter().enumerate() {
                assert_eq!((delta as usize, &value, seq as usize), (index, &values[index], index + 1));
            }
            let before = sealed.bytes().to_vec();
            sealed.stamp(Producer { id: 78, epoch: 5 }, 1234);
            assert_ne!(before, sealed.bytes());
            sealed.stamp(Producer { id: 77, epoch: 5 }, 1234);
            assert_eq!(before, sealed.bytes(), "the same stamp makes the same bytes");
        }
    }

    #[test]
    fn buffers_are_reused() {
        let mut codec = Codec::new(Compression::Zstd).unwrap();
        let mut builder = RecordBatchBuilder::new(Vec::with_capacity(100_000));
        builder.push(&[], &[7; 1000], &position(1), 0..1, Seq(1));
        let (batch, records) = builder.seal(&mut codec, vec![9; 500_000]).unwrap();
        assert!(records.capacity() >= 100_000);
        assert!(batch.bytes().len() < 500, "nothing of the old contents is left");
        assert!(batch.into_buffer().capacity() >= 500_000);
    }

    proptest! {
        #[test]
        fn varints_are_read_back(value: i64) {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_len(value));
            prop_assert_eq!(read_varint(&bytes), Some((value, &[][..])));
        }

        #[test]
        fn any_records_are_read_back_and_halved(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 2..200), kind in 0u16..5) {
            let mut sealed = build(&values, codec::of_attributes(kind).unwrap());
            sealed.stamp(Producer::PLAIN, -1);
            let (_, whole) = read(&sealed);
            prop_assert_eq!(whole.len(), values.len());
            let (mut first, mut second) = sealed.split().unwrap();
            first.stamp(Producer::PLAIN, -1);
            second.stamp(Producer::PLAIN, -1);
            prop_assert_eq!(first.count() + second.count(), values.len() as i32);
            prop_assert_eq!(second.first_events(), values.len() as u32 / 2..values.len() as u32 / 2 + 1);
            prop_assert_eq!((first.last_seq().0, second.last_seq().0), (values.len() as u128 / 2, values.len() as u128));
            let halves: Vec<_> = read(&first).1.into_iter().chain(read(&second).1).map(|(_, value, seq)| (value, seq)).collect();
            prop_assert_eq!(halves, whole.into_iter().map(|(_, value, seq)| (value, seq)).collect::<Vec<_>>());
        }
    }
}
