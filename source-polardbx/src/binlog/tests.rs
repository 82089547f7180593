//! Tests of the decoder. This file encodes events in the same way as the server does, and shares no code with the decoder.

use std::sync::Arc;

use proptest::prelude::*;
use runtime::{Batch, Body, Collation, Column, ColumnKind, Date, DateTime, Op, Row, TableId, TableSchema, Value};
mod heartbeats;
mod polardbx;
mod rollbacks;
mod servers;
mod statements;
mod table_maps;
mod timestamps;
mod xa;

use super::testing::{EventBytes, format_description};
use super::{Decoder, DecoderOptions, FileOffset, PreparedTransactions, RowsWithoutEvents, ServerProfile, StreamError, StreamPosition};
use crate::Selection;
use crate::config::PolarDbXOptions;
use crate::schema::History;

/// A column with a value, and the bytes that the server writes for the column (in a TABLE_MAP) and for the value.
#[derive(Clone, Debug)]
struct Sample {
    column: Column,
    kind: u8,
    metadata: Vec<u8>,
    bytes: Vec<u8>,
    row: Row,
}

fn sample(kind: ColumnKind, field: u8, metadata: &[u8], bytes: Vec<u8>, value: Value<'_>) -> Sample {
    let mut column = Column::new("c", kind, "");
    column.collation = Some(Collation::new("utf8mb4_general_ci"));
    Sample { column, kind: field, metadata: metadata.to_vec(), bytes, row: Row::from_values([value]) }
}

fn big_endian(value: u64, bytes: usize) -> Vec<u8> {
    value.to_be_bytes()[8 - bytes..].to_vec()
}

fn counted(prefix: usize, bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..prefix], bytes].concat()
}

fn integer(value: i64, bytes: u8, unsigned: bool) -> Sample {
    let shift = 64 - 8 * u32::from(bytes);
    let field = [0, 1, 2, 9, 3, 0, 0, 0, 8][usize::from(bytes)];
    let raw = value.to_le_bytes()[..usize::from(bytes)].to_vec();
    let value = if unsigned { Value::UInt((value as u64) << shift >> shift) } else { Value::Int(value << shift >> shift) };
    let mut made = sample(ColumnKind::Int { bytes }, field, &[], raw, value);
    made.column.unsigned = unsigned;
    made
}

/// A DECIMAL column. `digits` are all digits of the value without the decimal point; their number is the precision.
fn decimal(negative: bool, digits: &str, scale: u8) -> Sample {
    let precision = digits.len() as u8;
    let (whole, part) = digits.split_at(digits.len() - usize::from(scale));
    let bytes_of = [0usize, 1, 1, 2, 2, 3, 3, 4, 4, 4];
    let mut bytes = Vec::new();
    let (head, groups) = whole.split_at(whole.len() % 9);
    for group in [head].into_iter().chain(groups.as_bytes().chunks(9).map(|group| std::str::from_utf8(group).unwrap())) {
        bytes.extend(big_endian(group.parse().unwrap_or(0), bytes_of[group.len()]));
    }
    for group in part.as_bytes().chunks(9).map(|group| std::str::from_utf8(group).unwrap()) {
        bytes.extend(big_endian(group.parse().unwrap(), bytes_of[group.len()]));
    }
    let negative = negative && digits.bytes().any(|digit| digit != b'0');
    if negative {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    bytes[0] ^= 0x80;
    let trimmed = whole.trim_start_matches('0');
    let mut text = format!("{}{}", if negative { "-" } else { "" }, if trimmed.is_empty() { "0" } else { trimmed });
    if scale > 0 {
        text += &format!(".{part}");
    }
    sample(ColumnKind::Decimal { precision, scale }, 246, &[precision, scale], bytes, Value::Decimal(&text))
}

/// How the server stores a fraction with `fsp` digits: the number of bytes, and the microseconds of one unit.
fn fraction(fsp: u8) -> (usize, i64) {
    [(0, 1_000_000), (1, 10_000), (1, 10_000), (2, 100), (2, 100), (3, 1), (3, 1)][usize::from(fsp)]
}

fn time(seconds: i64, micros: i64, negative: bool, fsp: u8) -> Sample {
    let unit = 10i64.pow(6 - u32::from(fsp));
    let micros = micros / unit * unit;
    let clock = ((seconds / 3600) << 12) | ((seconds / 60 % 60) << 6) | (seconds % 60);
    let sign = if negative { -1 } else { 1 };
    let packed = sign * ((clock << 24) + micros);
    let bytes = match fsp {
        0 => big_endian(((packed >> 24) + 0x80_0000) as u64, 3),
        1..=4 => {
            let (length, unit) = fraction(fsp);
            let part = (packed % (1 << 24)) / unit;
            [big_endian(((packed >> 24) + 0x80_0000) as u64, 3), big_endian(part as u64, length)].concat()
        }
        _ => big_endian((packed + 0x8000_0000_0000) as u64, 6),
    };
    sample(ColumnKind::Time { fsp }, 19, &[fsp], bytes, Value::Time(sign * (seconds * 1_000_000 + micros)))
}

fn datetime(value: DateTime, fsp: u8) -> Sample {
    let (length, _) = fraction(fsp);
    let unit = 10u32.pow(6 - u32::from(fsp));
    let value = DateTime { micros: value.micros / unit * unit, ..value };
    let days = (u64::from(value.date.year) * 13 + u64::from(value.date.month)) << 5 | u64::from(value.date.day);
    let clock = u64::from(value.hour) << 12 | u64::from(value.minute) << 6 | u64::from(value.second);
    let part = i64::from(value.micros) / fraction(fsp).1;
    let bytes = [big_endian((days << 17 | clock) + 0x80_0000_0000, 5), big_endian(part as u64, length)].concat();
    sample(ColumnKind::DateTime { fsp }, 18, &[fsp], bytes, Value::DateTime(value))
}

fn timestamp(seconds: u32, micros: i64, fsp: u8) -> Sample {
    let (length, step) = fraction(fsp);
    let unit = 10i64.pow(6 - u32::from(fsp));
    let micros = micros / unit * unit;
    let bytes = [big_endian(seconds.into(), 4), big_endian((micros / step) as u64, length)].concat();
    sample(ColumnKind::Timestamp { fsp }, 17, &[fsp], bytes, Value::Timestamp(i64::from(seconds) * 1_000_000 + micros))
}

fn fixed(length: u32, text: &[u8], binary: bool) -> Sample {
    let bytes = length * if binary { 1 } else { 4 };
    let metadata = [0xfe ^ ((bytes & 0x300) >> 4) as u8, bytes as u8];
    let prefix = if bytes > 255 { 2 } else { 1 };
    if binary {
        let mut padded = text.to_vec();
        padded.resize(length as usize, 0);
        let cut = padded.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        return sample(ColumnKind::Binary { length }, 254, &metadata, counted(prefix, &padded[..cut]), Value::Bytes(&padded));
    }
    sample(ColumnKind::Char { length }, 254, &metadata, counted(prefix, text), Value::Text(text))
}

fn variable(length: u32, text: &[u8], binary: bool) -> Sample {
    let bytes = length * if binary { 1 } else { 4 };
    let raw = counted(if bytes > 255 { 2 } else { 1 }, text);
    let metadata = (bytes as u16).to_le_bytes();
    if binary {
        sample(ColumnKind::Varbinary { length }, 15, &metadata, raw, Value::Bytes(text))
    } else {
        sample(ColumnKind::Varchar { length }, 15, &metadata, raw, Value::Text(text))
    }
}

fn labels(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("l{number}")).collect()
}

fn samples() -> impl Strategy<Value = Sample> {
    let text = || proptest::collection::vec(any::<u8>(), 0..60);
    let date = (0u16..=9999, 0u8..=12, 0u8..=31).prop_map(|(year, month, day)| Date { year, month, day });
    prop_oneof![
        (any::<i64>(), prop::sample::select(vec![1u8, 2, 3, 4, 8]), any::<bool>())
            .prop_map(|(value, bytes, unsigned)| integer(value, bytes, unsigned)),
        (any::<bool>(), "[0-9]{1,65}", 0u8..=30).prop_map(|(negative, digits, scale)| {
            let scale = scale.min(digits.len() as u8);
            decimal(negative, &digits, scale)
        }),
        any::<f32>().prop_filter("NaN is not equal to itself", |v| !v.is_nan()).prop_map(|v| sample(
            ColumnKind::Float,
            4,
            &[4],
            v.to_le_bytes().to_vec(),
            Value::Float(v)
        )),
        any::<f64>().prop_filter("NaN is not equal to itself", |v| !v.is_nan()).prop_map(|v| sample(
            ColumnKind::Double,
            5,
            &[8],
            v.to_le_bytes().to_vec(),
            Value::Double(v)
        )),
        (1u8..=64, any::<u64>()).prop_map(|(bits, value)| {
            let value = value >> (64 - bits);
            sample(ColumnKind::Bit { bits }, 16, &[bits % 8, bits / 8], big_endian(value, bits.div_ceil(8).into()), Value::Bit(value))
        }),
        any::<u8>().prop_map(|year| sample(
            ColumnKind::Year,
            13,
            &[],
            vec![year],
            Value::Year(if year == 0 { 0 } else { 1900 + u16::from(year) })
        )),
        date.clone().prop_map(|date| {
            let packed = u32::from(date.year) << 9 | u32::from(date.month) << 5 | u32::from(date.day);
            sample(ColumnKind::Date, 10, &[], packed.to_le_bytes()[..3].to_vec(), Value::Date(date))
        }),
        (0i64..=3_020_399, 0i64..1_000_000, any::<bool>(), 0u8..=6)
            .prop_map(|(seconds, micros, negative, fsp)| time(seconds, micros, negative, fsp)),
        (date, 0u8..24, 0u8..60, 0u8..60, 0u32..1_000_000, 0u8..=6)
            .prop_map(|(date, hour, minute, second, micros, fsp)| datetime(DateTime { date, hour, minute, second, micros }, fsp)),
        (any::<u32>(), 0i64..1_000_000, 0u8..=6).prop_map(|(seconds, micros, fsp)| timestamp(seconds, micros, fsp)),
        (0u32..=255, text(), any::<bool>()).prop_map(|(length, mut text, binary)| {
            text.truncate(length as usize);
            fixed(length, &text, binary)
        }),
        (0u32..=500, text(), any::<bool>()).prop_map(|(length, mut text, binary)| {
            text.truncate(length as usize);
            variable(length, &text, binary)
        }),
        (1u8..=4, text(), any::<bool>()).prop_map(|(prefix, text, binary)| {
            let raw = counted(prefix.into(), &text);
            if binary {
                sample(ColumnKind::Blob { prefix }, 252, &[prefix], raw, Value::Bytes(&text))
            } else {
                sample(ColumnKind::Text { prefix }, 252, &[prefix], raw, Value::Text(&text))
            }
        }),
        (prop::sample::select(vec![3usize, 255, 256, 300]), any::<u16>()).prop_map(|(count, index)| {
            let bytes = if count < 256 { 1 } else { 2 };
            let index = index % (count as u16 + 1);
            sample(
                ColumnKind::Enum { labels: labels(count) },
                254,
                &[247, bytes],
                index.to_le_bytes()[..bytes.into()].to_vec(),
                Value::Enum(index),
            )
        }),
        (1usize..=64, any::<u64>()).prop_map(|(count, mask)| {
            let bytes = [0, 1, 2, 3, 4, 8, 8, 8, 8][count.div_ceil(8)];
            let mask = mask >> (64 - count);
            sample(
                ColumnKind::Set { labels: labels(count) },
                254,
                &[248, bytes],
                mask.to_le_bytes()[..bytes.into()].to_vec(),
                Value::Set(mask),
            )
        }),
    ]
}

/// A binlog that is being written, as the list of events that a server would send.
struct Log {
    offset: u64,
    events: Vec<Vec<u8>>,
}

impl Log {
    fn new() -> Self {
        let start = [&4u64.to_le_bytes()[..], b"binlog.000001"].concat();
        let format = format_description(4);
        Self { offset: 4 + format.len() as u64, events: vec![EventBytes::new(4).body(&start).artificial().finish(), format] }
    }

    fn add(&mut self, kind: u8, body: &[u8]) -> &mut Self {
        let event = EventBytes::new(kind).body(body);
        self.offset += event.size();
        self.events.push(event.ending_at(self.offset).finish());
        self
    }

    /// Adds a statement. `client` is the collation number of its client's character set.
    fn query_in(&mut self, client: u8, text: &[u8]) -> &mut Self {
        let mut body = 7u32.to_le_bytes().to_vec();
        body.extend_from_slice(&[0, 0, 0, 0, 1, 0, 0, 7, 0, 4, client, 0, 8, 0, 8, 0]);
        body.extend_from_slice(b"d\0");
        body.extend_from_slice(text);
        self.add(2, &body)
    }

    fn query(&mut self, text: &str) -> &mut Self {
        let mut body = 7u32.to_le_bytes().to_vec();
        body.extend_from_slice(&[0; 4]);
        body.push(1);
        body.extend_from_slice(&[0, 0, 5, 0]);
        body.extend_from_slice(&[0, 9, 0, 0, 0]);
        body.extend_from_slice(b"d\0");
        body.extend_from_slice(text.as_bytes());
        self.add(2, &body)
    }

    fn begin(&mut self) -> &mut Self {
        self.add(34, &[0; 42]).query("BEGIN")
    }

    fn table(&mut self, id: u8, table: &str, samples: &[Sample]) -> &mut Self {
        let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, table.len() as u8];
        body.extend_from_slice(table.as_bytes());
        body.extend_from_slice(&[0, samples.len() as u8]);
        body.extend(samples.iter().map(|sample| sample.kind));
        let metadata: Vec<u8> = samples.iter().flat_map(|sample| sample.metadata.clone()).collect();
        body.push(metadata.len() as u8);
        body.extend_from_slice(&metadata);
        body.extend(std::iter::repeat_n(0xff, samples.len().div_ceil(8)));
        self.add(19, &body)
    }

    fn rows(&mut self, kind: u8, id: u8, columns: usize, images: &[Vec<u8>]) -> &mut Self {
        let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0];
        if kind >= 30 {
            body.extend_from_slice(&[2, 0]);
        }
        body.push(columns as u8);
        let bitmaps = if kind % 30 == 1 || kind == 24 { 2 } else { 1 };
        body.extend(std::iter::repeat_n(0xff, columns.div_ceil(8) * bitmaps));
        body.extend(images.concat());
        self.add(kind, &body)
    }

    fn commit(&mut self) -> &mut Self {
        self.add(16, &[9; 8])
    }
}

/// A row image with the values of `samples`. A cell is NULL if its entry in `nulls` is true.
fn image(samples: &[Sample], nulls: &[bool]) -> Vec<u8> {
    let mut bitmap = vec![0u8; samples.len().div_ceil(8)];
    let mut cells = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        if nulls.get(index) == Some(&true) {
            bitmap[index / 8] |= 1 << (index % 8);
        } else {
            cells.extend_from_slice(&sample.bytes);
        }
    }
    [bitmap, cells].concat()
}

fn schema(samples: &[Sample]) -> Arc<TableSchema> {
    let columns = samples.iter().enumerate().map(|(index, sample)| {
        let mut column = sample.column.clone();
        column.name = format!("c{index}");
        column
    });
    Arc::new(TableSchema::new(TableId::new("d", "t"), columns.collect()))
}

fn decoder(position: StreamPosition, schema: Arc<TableSchema>, batch_max_bytes: usize) -> Decoder {
    Decoder::new(options(position, schema, batch_max_bytes))
}

fn options(position: StreamPosition, schema: Arc<TableSchema>, batch_max_bytes: usize) -> DecoderOptions {
    let databases = [("d".to_owned(), Collation::new("utf8mb4_general_ci"))];
    DecoderOptions {
        stream: "global".to_owned(),
        position,
        history: History::new([schema], databases, false),
        selection: Selection::new(&["d.t*".to_owned()], &[]).unwrap(),
        profile: ServerProfile::new("5.7.22-log"),
        prepared: PreparedTransactions::default(),
        polardbx: PolarDbXOptions::default(),
        rows_without_events: RowsWithoutEvents::default(),
        batch_max_bytes,
    }
}

fn start() -> StreamPosition {
    StreamPosition::start("id", "binlog.000001", FileOffset::FIRST).unwrap()
}

/// Decodes the log up to the first error. Returns all batches and the error.
fn read(decoder: &mut Decoder, log: &Log) -> (Vec<Batch>, Option<runtime::Error>) {
    let failed = log.events.iter().find_map(|event| decoder.event(event, 5).err());
    let mut batches: Vec<_> = std::iter::from_fn(|| decoder.drain()).collect();
    batches.extend(decoder.position_update());
    let mut last = runtime::Seq(0);
    for batch in &batches {
        batch.verify(last).unwrap();
        last = batch.last_seq().unwrap_or(last);
    }
    (batches, failed)
}

/// One line for each event, without the fields that may differ when the binlog is read again.
fn lines(batches: &[Batch]) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| &batch.events)
        .map(|event| format!("{} {} {} {:?}", event.seq, event.position, event.timestamp_ms, event.body))
        .collect()
}

fn code(log: &Log) -> &'static str {
    let (_, error) = read(&mut decoder(start(), schema(&[integer(1, 4, false)]), 1 << 20), log);
    error.expect("an error").code().expect("a code")
}

proptest! {
    #[test]
    fn rows_decode_to_what_was_encoded(
        cells in proptest::collection::vec(samples(), 1..20),
        nulls in proptest::collection::vec(any::<bool>(), 20),
        version_one in any::<bool>(),
    ) {
        let (write, update, delete) = if version_one { (23, 24, 25) } else { (30, 31, 32) };
        let (full, holes) = (image(&cells, &[]), image(&cells, &nulls));
        let mut log = Log::new();
        log.begin().table(5, "t", &cells);
        log.rows(write, 5, cells.len(), &[full.clone(), holes.clone()]).rows(update, 5, cells.len(), &[full.clone(), holes.clone()]);
        log.rows(delete, 5, cells.len(), &[holes]).commit();
        let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
        prop_assert!(failed.is_none(), "{:?}", failed);
        let full = Row::from_values(cells.iter().map(|cell| cell.row.get(0)));
        let holes = Row::from_values(cells.iter().zip(&nulls).map(|(cell, &null)| if null { Value::Null } else { cell.row.get(0) }));
        let rows: Vec<_> = batches.iter().flat_map(|batch| &batch.events).filter_map(|event| match &event.body {
            Body::Row(row) => Some((row.op, row.before.clone(), row.after.clone())),
            _ => None,
        }).collect();
        prop_assert_eq!(rows, vec![
            (Op::Insert, None, Some(full.clone())),
            (Op::Insert, None, Some(holes.clone())),
            (Op::Update, Some(full), Some(holes.clone())),
            (Op::Delete, Some(holes), None),
        ]);
        prop_assert!(batches.last().is_some_and(|batch| batch.resume.is_some()));
    }

    #[test]
    fn a_replay_from_any_point_gives_the_same(sizes in proptest::collection::vec(1usize..40, 1..8), limit in 1usize..20_000) {
        let cells = [integer(1, 4, false)];
        let mut log = Log::new();
        for (number, &rows) in sizes.iter().enumerate() {
            let images = vec![image(&cells, &[]); rows];
            log.begin().table(number as u8, if number % 3 == 2 { "other" } else { "t" }, &cells).rows(30, number as u8, 1, &images).commit();
        }
        let (whole, _) = read(&mut decoder(start(), schema(&cells), 1 << 30), &log);
        let (cut, failed) = read(&mut decoder(start(), schema(&cells), limit), &log);
        prop_assert!(failed.is_none());
        let expected = lines(&whole);
        prop_assert_eq!(&lines(&cut), &expected);
        let mut delivered = 0;
        for batch in &cut {
            delivered += batch.events.len();
            let Some(resume) = &batch.resume else { continue };
            let position = StreamPosition::parse(resume.as_str()).unwrap();
            let mut again = decoder(position.clone(), schema(&cells), limit);
            let tail = dump(&log, Decoder::dump_from(&position));
            let (rest, failed) = read(&mut again, &tail);
            prop_assert!(failed.is_none(), "{:?}", failed);
            prop_assert_eq!(lines(&rest), &expected[delivered..]);
        }
    }

    #[test]
    fn no_body_panics(kind in prop::sample::select(vec![2u8, 4, 15, 16, 17, 18, 19, 23, 24, 25, 26, 29, 30, 31, 32, 33, 34, 38, 39, 40, 42, 160, 162, 163, 165]), body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let cells = [integer(1, 4, false)];
        let mut log = Log::new();
        log.begin().table(5, "t", &cells).add(kind, &body);
        let _ = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    }
}

/// The events that a server sends for a dump from `from`: an artificial ROTATE and FORMAT_DESCRIPTION, and then the events of the file.
fn dump(log: &Log, from: FileOffset) -> Log {
    let head = [&from.offset.to_le_bytes()[..], b"binlog.000001"].concat();
    let mut events = vec![EventBytes::new(4).body(&head).artificial().finish()];
    if from.offset > FileOffset::FIRST {
        events.push(format_description(from.offset));
    }
    let mut offset = FileOffset::FIRST;
    for event in &log.events[1..] {
        if offset >= from.offset {
            events.push(event.clone());
        }
        offset += event.len() as u64;
    }
    Log { offset, events }
}

fn one_transaction() -> (Log, Vec<Sample>) {
    let cells = vec![integer(7, 4, false), variable(20, b"hello", false), decimal(true, "12345", 2)];
    let mut log = Log::new();
    log.begin().table(5, "t", &cells).rows(31, 5, 3, &[image(&cells, &[]), image(&cells, &[false, true])]).commit();
    (log, cells)
}

#[test]
fn a_damaged_or_short_event_is_never_used() {
    let (log, cells) = one_transaction();
    for (number, event) in log.events.iter().enumerate() {
        let mut intact = decoder(start(), schema(&cells), 1 << 20);
        log.events[..number].iter().for_each(|event| intact.event(event, 0).unwrap());
        let at = intact.at();
        for length in 0..event.len() {
            assert!(intact.event(&event[..length], 0).is_err(), "event {number} cut to {length}");
        }
        for place in 0..event.len() {
            let mut damaged = event.clone();
            damaged[place] ^= 1 << (place % 8);
            let before_format = number == 0;
            let in_use_flag = number == 1 && place == 17 && place % 8 == 1;
            // The first ROTATE may have no checksum, so its damage is detected only if it makes the content invalid.
            assert!(intact.event(&damaged, 0).is_err() || before_format || in_use_flag, "event {number} damaged at {place}");
            assert_eq!(intact.at(), at);
        }
        assert!(number == 0 || intact.event(event, 0).is_ok() || number == 1);
    }
}

#[test]
fn a_missing_event_is_detected() {
    let (mut log, cells) = one_transaction();
    log.events.remove(4);
    let (_, error) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    assert_eq!(error.unwrap().code(), Some("E_STREAM_GAP"));
}

#[test]
fn another_transaction_in_its_place_is_detected() {
    let (log, cells) = one_transaction();
    let (batches, _) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    let mut position = StreamPosition::parse(batches.last().unwrap().resume.as_ref().unwrap().as_str()).unwrap();
    let (rest, failed) = read(&mut decoder(position.clone(), schema(&cells), 1 << 20), &dump(&log, Decoder::dump_from(&position)));
    assert!(failed.is_none() && lines(&rest).is_empty());
    position.fingerprint = Some([0; 8]);
    let (_, failed) = read(&mut decoder(position.clone(), schema(&cells), 1 << 20), &dump(&log, Decoder::dump_from(&position)));
    assert_eq!(failed.unwrap().code(), Some("E_HISTORY_DIVERGED"));
}

#[test]
fn schema_changes_travel_alone_and_what_came_before_an_error_is_delivered() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    log.add(34, &[0; 42]).query("TRUNCATE t").begin().table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    log.add(34, &[0; 42]).query("ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u");
    let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    assert_eq!(batches.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [3, 1, 3]);
    assert!(batches.iter().all(|batch| batch.resume.is_some()));
    assert!(failed.is_some_and(|error| error.code() == Some("E_ROWS_WITHOUT_EVENTS") && error.to_string().contains("d.t")));
}

#[test]
fn what_cannot_be_delivered_rightly_is_refused_by_name() {
    let cells = [integer(1, 4, false)];
    let row = || vec![image(&cells, &[])];
    let mut log = Log::new();
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &row()).add(34, &[0; 42]);
    assert_eq!(code(&log), "E_ROLLBACK_GROUP");
    log = Log::new();
    log.add(34, &[0; 42]).query("XA START X'31',X'',1").table(5, "t", &cells).rows(30, 5, 1, &row());
    assert_eq!(code(&log), "E_UNSUPPORTED_EVENT");
    for (kind, body, expected) in [
        (26, &b"\x01\0\x04oops"[..], "E_SOURCE_INCIDENT"),
        (40, b"", "E_BINLOG_CORRUPT"),
        (164, b"", "E_UNSUPPORTED_EVENT"),
        (165, b"", "E_UNSUPPORTED_EVENT"),
        (171, b"", "E_UNSUPPORTED_EVENT"),
        (39, b"\x05\0\0\0\0\0\x01\0", "E_PARTIAL_JSON"),
        (30, b"\x05\0\0\0\0\0\x01\0\x02\0\x01\0", "E_PARTIAL_IMAGE"),
        (30, b"\x06\0\0\0\0\0\x01\0\x02\0\x01\0", "E_BINLOG_CORRUPT"),
    ] {
        log = Log::new();
        log.begin().table(5, "t", &cells).add(kind, body);
        assert_eq!(code(&log), expected, "event {kind}");
    }
    for (text, expected) in [
        ("INSERT INTO t VALUES (1)", "E_STATEMENT_DML"),
        ("INSERT INTO other VALUES (1)", "E_STATEMENT_DML"),
        ("UPDATE mysql.x, other SET a = 1", "E_STATEMENT_DML"),
        ("INSERT INTO mysql.x SELECT d.f()", "E_STATEMENT_DML"),
        ("INSERT INTO mysql.x VALUES (`f`(1))", "E_STATEMENT_DML"),
        ("UPDATE mysql.x SET a = d.now()", "E_STATEMENT_DML"),
        ("INSERT INTO dts_health_check.x VALUES (1)", "E_STATEMENT_DML"),
        ("CREATE TABLE other AS SELECT f()", "E_STATEMENT_DML"),
        ("CREATE TEMPORARY TABLE x SELECT d.f()", "E_STATEMENT_DML"),
        ("DELETE FROM other", "E_STATEMENT_DML"),
        ("DELETE FROM `d`.`t`", "E_STATEMENT_DML"),
        ("SELECT `d`.`f`()", "E_STATEMENT_DML"),
        ("DO f()", "E_STATEMENT_DML"),
        ("IMPORT TABLE FROM '/tmp/x.sdi'", "E_DDL_UNREAD"),
        ("ALTER TABLE t DROP a", "E_DDL_UNREAD"),
        ("RENAME TABLE t9 TO t", "E_SCHEMA_MISMATCH"),
        ("ALTER TABLE t GIZMO", "E_DDL_UNREAD"),
        ("CREATE TABLE t2 (a gizmo)", "E_DDL_UNREAD"),
        ("TRUNCATE t5", "E_SCHEMA_MISMATCH"),
    ] {
        log = Log::new();
        log.add(34, &[0; 42]).query(text);
        assert_eq!(code(&log), expected, "{text}");
    }
    log = Log::new();
    log.begin().table(5, "t", &[integer(1, 8, false)]);
    assert_eq!(code(&log), "E_SCHEMA_MISMATCH");
    log = Log::new();
    log.begin().table(5, "t", &[integer(1, 4, false), integer(1, 4, false)]);
    assert_eq!(code(&log), "E_SCHEMA_MISMATCH");
}

#[test]
fn what_is_not_selected_only_moves_the_position() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.begin().table(5, "other", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    log.add(34, &[0; 42])
        .query("ALTER TABLE other ADD COLUMN z int")
        .add(34, &[0; 42])
        .query("INSERT INTO mysql.other (a, b) VALUES (1, now()) ON DUPLICATE KEY UPDATE b = VALUES(b)");
    log.begin().query("DELETE FROM `d`.`other`").query("COMMIT");
    log.begin().query("SAVEPOINT s").query("ROLLBACK TO s").query("ROLLBACK");
    let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    assert!(failed.is_none() && batches.len() == 1 && batches[0].events.is_empty());
    let resume = StreamPosition::parse(batches[0].resume.as_ref().unwrap().as_str()).unwrap();
    assert_eq!(resume.at.offset, log.offset);
}
