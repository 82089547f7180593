//! Builds Kafka's record batches, version 2. The builder of the client library is not used: it does not support producer ids and copies
//! each record several times.
//!
//! Records are encoded into one buffer, compressed once, and stamped with the producer id before they are sent. After a failure the same
//! bytes are sent again. Layout: <https://kafka.apache.org/documentation/#recordbatch>.

use std::io::Read as _;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use runtime::{Message, Seq};

use crate::codec::{self, Codec};
use crate::error::Error;
use crate::resume::record_header::{HEADER, RecordPosition};

/// The size in bytes of the batch header before the records.
const HEAD: usize = 61;

/// The producer id and epoch that are stamped into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerId {
    /// −1 if the producer is not idempotent.
    pub(crate) id: i64,
    /// −1 if the producer is not idempotent.
    pub(crate) epoch: i16,
}

impl ProducerId {
    /// No producer id: the broker does not recognise batches that are sent again.
    pub(crate) const NONE: Self = Self { id: -1, epoch: -1 };

    /// Whether the broker recognises a batch that is sent a second time.
    pub(crate) fn is_idempotent(self) -> bool {
        self.id >= 0
    }
}

/// A record before it is part of a batch.
#[derive(Clone, Copy, Default)]
pub(crate) struct Record<'a> {
    pub(crate) key: Option<&'a [u8]>,
    /// The first bytes of the value: the id of the schema in the registry, or empty without a registry.
    pub(crate) value_prefix: &'a [u8],
    /// The rest of the value. `None` means that the value is null, which makes the record a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    /// The message whose headers the record gets; `None` for a record without headers of the format.
    pub(crate) message: Option<&'a Message>,
    /// The value of the position header.
    pub(crate) position: &'a [u8],
}

impl Record<'_> {
    fn value_len(&self) -> usize {
        self.value_prefix.len() + self.value.map_or(0, <[u8]>::len)
    }

    fn header_count(&self) -> i64 {
        1 + self.message.map_or(0, |message| message.headers().len()) as i64
    }

    /// The encoded size of the key, the value and the headers, in bytes.
    fn len(&self) -> usize {
        let bytes = |len: usize| varint_len(len as i64) + len;
        let key = self.key.map_or(1, |key| bytes(key.len()));
        let value = self.value.map_or(1, |_| bytes(self.value_len()));
        let headers = self.message.map_or(0, |message| message.headers().map(|(name, value)| bytes(name.len()) + bytes(value.len())).sum());
        key + value + varint_len(self.header_count()) + headers + bytes(HEADER.len()) + bytes(self.position.len())
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self.key {
            Some(key) => write_bytes(out, key),
            None => write_varint(out, -1),
        }
        match self.value {
            Some(value) => {
                write_varint(out, self.value_len() as i64);
                out.extend_from_slice(self.value_prefix);
                out.extend_from_slice(value);
            }
            None => write_varint(out, -1),
        }
        write_varint(out, self.header_count());
        if let Some(message) = self.message {
            for (name, value) in message.headers() {
                write_bytes(out, name.as_bytes());
                write_bytes(out, value);
            }
        }
        // Invariant: the position header is the last header, where `read_seq` looks for it.
        write_bytes(out, HEADER.as_bytes());
        write_bytes(out, self.position);
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// Collects records for one partition.
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

    /// Adds a record. `events` are the indexes of the events in the runtime's batch that the record was made from; `seq` is the number in
    /// its position header.
    pub(crate) fn push(&mut self, record: &Record<'_>, events: Range<u32>, seq: Seq) {
        let number = self.events.len() as i64;
        let body = 2 + varint_len(number) + record.len();
        let out = &mut self.records;
        out.reserve(body + 5);
        write_varint(out, body as i64);
        out.extend_from_slice(&[0, 0]); // attributes, timestamp delta
        write_varint(out, number);
        record.write(out);
        self.events.push(events);
        self.last_seq = seq;
    }

    /// The size of the records so far, in bytes before compression.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Compresses the records into a batch that is built in `buffer`. Returns the batch, and the buffer of the records for reuse.
    pub(crate) fn seal(self, codec: &mut Codec, mut buffer: Vec<u8>) -> Result<(SealedBatch, Vec<u8>), Error> {
        let problem = |problem: String| Error::RecordBatch { problem };
        let count = i32::try_from(self.events.len()).map_err(|_| problem("too many records".into()))?;
        buffer.clear();
        buffer.resize(HEAD, 0);
        codec.compress(&self.records, &mut buffer).map_err(problem)?;
        let length = i32::try_from(buffer.len() - 12).map_err(|_| problem(format!("{} bytes are too many for a batch", buffer.len())))?;
        let mut head = Head(&mut buffer);
        head.put(8, &length.to_be_bytes());
        head.put(12, &(-1i32).to_be_bytes()); // leader epoch, which the broker fills in
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

/// A batch that is complete except for the producer id and the sequence number.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    bytes: Vec<u8>,
    events: Vec<Range<u32>>,
    plain_len: usize,
    last_seq: Seq,
}

impl SealedBatch {
    /// The number of records, at least one.
    pub(crate) fn count(&self) -> i32 {
        self.events.len() as i32
    }

    /// The `seq` of the last record.
    pub(crate) fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// The indexes of the events in the runtime's batch that the first record was made from.
    pub(crate) fn first_events(&self) -> Range<u32> {
        self.events.first().cloned().unwrap_or_default()
    }

    /// The encoded batch.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the buffer of the batch for reuse.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes the producer id, the sequence number and the checksum. The same arguments give the same bytes, so the broker recognises a
    /// batch that is sent again.
    pub(crate) fn stamp(&mut self, producer: ProducerId, base_sequence: i32) {
        let mut head = Head(&mut self.bytes);
        head.put(43, &producer.id.to_be_bytes());
        head.put(51, &producer.epoch.to_be_bytes());
        head.put(53, &base_sequence.to_be_bytes());
        let crc = crc32c::crc32c(self.bytes.get(21..).unwrap_or_default());
        Head(&mut self.bytes).put(17, &crc.to_be_bytes());
    }

    /// Splits the batch into two with the first and the second half of its records. Used if a broker finds a batch of at least two records
    /// too large.
    pub(crate) fn split(self) -> Result<(Self, Self), Error> {
        let malformed = || Error::RecordBatch { problem: "a batch that was built here cannot be taken apart".into() };
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
    /// Adds an encoded record of another batch. Only its number in the batch is changed.
    fn push_again(&mut self, body: &[u8], events: Range<u32>) -> Option<()> {
        let (_, tail) = read_varint(body.get(2..)?)?;
        let seq = read_seq(tail)?;
        let number = self.events.len() as i64;
        write_varint(&mut self.records, (2 + varint_len(number) + tail.len()) as i64);
        self.records.extend_from_slice(body.get(..2)?);
        write_varint(&mut self.records, number);
        self.records.extend_from_slice(tail);
        self.events.push(events);
        self.last_seq = seq;
        Some(())
    }
}

/// Reads the seq of a record from its position header, which is the last one. `record` begins with the key.
fn read_seq(record: &[u8]) -> Option<Seq> {
    let (_, rest) = read_bytes(record)?;
    let (_, rest) = read_bytes(rest)?;
    let (headers, mut rest) = read_varint(rest)?;
    let mut last = &[][..];
    for _ in 0..headers {
        let (_, after) = read_bytes(rest)?;
        (last, rest) = read_bytes(after)?;
    }
    RecordPosition::decode(last).ok().map(|position| position.seq)
}

/// Reads a length and that many bytes. A negative length, which stands for null, is followed by none.
fn read_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read_varint(bytes)?;
    rest.split_at_checked(usize::try_from(length.max(0)).ok()?)
}

/// Writes fields of a batch header at their fixed offsets.
struct Head<'a>(&'a mut Vec<u8>);

impl Head<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        // Invariant: `RecordBatchBuilder::seal` reserves HEAD bytes at the start of every batch, and all fields lie within them.
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

    use super::*;
    use crate::client::reference::{ReadBatch, read_batch};
    use crate::codec::Compression;
    use crate::resume::record_header::TransactionId;

    /// A position header. Those of odd seqs have a transaction id.
    fn position(seq: u128) -> Vec<u8> {
        let position = RecordPosition { run: 1, epoch: 2, split: 3, seq: Seq(seq), flags: 0 };
        if seq.is_multiple_of(2) { position.encode() } else { position.encode_with_transaction(TransactionId::of("0-1-77")) }
    }

    fn build(values: &[Vec<u8>], compression: Compression) -> SealedBatch {
        let mut builder = RecordBatchBuilder::new(Vec::new());
        for (index, value) in values.iter().enumerate() {
            let (seq, position) = (Seq(index as u128 + 1), position(index as u128 + 1));
            let record = Record { value: Some(value), position: &position, ..Record::default() };
            builder.push(&record, index as u32..index as u32 + 1, seq);
        }
        builder.seal(&mut Codec::new(compression).unwrap(), Vec::new()).unwrap().0
    }

    fn read(batch: &SealedBatch) -> (ReadBatch, Vec<(i32, Vec<u8>, u128)>) {
        let batch = read_batch(batch.bytes());
        let list = batch
            .records
            .iter()
            .map(|record| {
                assert_eq!((record.key.as_ref(), record.headers.len()), (None, 1));
                assert_eq!(record.headers[0].0, "dts");
                let seq = RecordPosition::decode(&record.headers[0].1).unwrap().seq.0;
                (record.offset_delta, record.value.clone().unwrap(), seq)
            })
            .collect();
        (batch, list)
    }

    #[test]
    fn another_decoder_reads_what_was_stamped() {
        for compression in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let values: Vec<Vec<u8>> = (0..300).map(|index| format!("value {index}").repeat(index).into_bytes()).collect();
            let mut sealed = build(&values, compression);
            sealed.stamp(ProducerId { id: 77, epoch: 5 }, 1234);
            let (batch, records) = read(&sealed);
            assert_eq!((batch.producer, batch.base_sequence), ((77, 5), 1234));
            assert_eq!((batch.compression, batch.last_offset_delta, batch.base_offset), (compression, 299, 0));
            assert!(batch.timestamps.0 > 1_700_000_000_000 && batch.timestamps.0 == batch.timestamps.1);
            assert_eq!(records.len(), 300);
            for (index, (delta, value, seq)) in records.into_iter().enumerate() {
                assert_eq!((delta as usize, &value, seq as usize), (index, &values[index], index + 1));
            }
            let before = sealed.bytes().to_vec();
            sealed.stamp(ProducerId { id: 78, epoch: 5 }, 1234);
            assert_ne!(before, sealed.bytes());
            sealed.stamp(ProducerId { id: 77, epoch: 5 }, 1234);
            assert_eq!(before, sealed.bytes(), "the same stamp makes the same bytes");
        }
    }

    #[test]
    fn another_decoder_reads_keys_headers_and_tombstones() {
        let mut message = Message::default();
        message.add_header("source", "mysql");
        message.add_header("empty", "");
        let position = position(7);
        let mut builder = RecordBatchBuilder::new(Vec::new());
        let full =
            Record { key: Some(b"k"), value_prefix: b"\0\0\0\0\x05", value: Some(b"bytes"), message: Some(&message), position: &position };
        builder.push(&full, 0..1, Seq(7));
        builder.push(&Record { key: Some(b""), position: &position, ..Record::default() }, 0..1, Seq(7));
        let (mut sealed, _) = builder.seal(&mut Codec::new(Compression::None).unwrap(), Vec::new()).unwrap();
        sealed.stamp(ProducerId::NONE, -1);
        let check = |batch: &SealedBatch, index: usize, tombstone: bool| {
            let record = &read_batch(batch.bytes()).records[index];
            let headers: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
            if tombstone {
                assert_eq!((record.key.as_deref(), record.value.as_deref(), &headers[..]), (Some(&b""[..]), None, &["dts"][..]));
            } else {
                let expected = (Some(&b"k"[..]), Some(&b"\0\0\0\0\x05bytes"[..]), &["source", "empty", "dts"][..]);
                assert_eq!((record.key.as_deref(), record.value.as_deref(), &headers[..]), expected);
            }
        };
        check(&sealed, 0, false);
        check(&sealed, 1, true);
        let (mut first, mut second) = sealed.split().unwrap();
        first.stamp(ProducerId::NONE, -1);
        second.stamp(ProducerId::NONE, -1);
        check(&first, 0, false);
        check(&second, 0, true);
        assert_eq!((first.last_seq(), second.last_seq()), (Seq(7), Seq(7)));
    }

    #[test]
    fn buffers_are_reused() {
        let mut codec = Codec::new(Compression::Zstd).unwrap();
        let mut builder = RecordBatchBuilder::new(Vec::with_capacity(100_000));
        builder.push(&Record { value: Some(&[7; 1000]), position: &position(1), ..Record::default() }, 0..1, Seq(1));
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
            sealed.stamp(ProducerId::NONE, -1);
            let (_, whole) = read(&sealed);
            prop_assert_eq!(whole.len(), values.len());
            let (mut first, mut second) = sealed.split().unwrap();
            first.stamp(ProducerId::NONE, -1);
            second.stamp(ProducerId::NONE, -1);
            prop_assert_eq!(first.count() + second.count(), values.len() as i32);
            prop_assert_eq!(second.first_events(), values.len() as u32 / 2..values.len() as u32 / 2 + 1);
            prop_assert_eq!((first.last_seq().0, second.last_seq().0), (values.len() as u128 / 2, values.len() as u128));
            let halves: Vec<_> = read(&first).1.into_iter().chain(read(&second).1).map(|(_, value, seq)| (value, seq)).collect();
            prop_assert_eq!(halves, whole.into_iter().map(|(_, value, seq)| (value, seq)).collect::<Vec<_>>());
        }
    }
}
