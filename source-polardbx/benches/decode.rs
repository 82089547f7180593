//! Measures the time to decode the events of a table with ten columns, including the verification of checksums and the packing into cells.
//! `bulk_insert` reads transactions of four row events with 75 rows each, and `one_row_update` reads transactions of one updated row. The
//! reported time is the time of one iteration, which decodes [`ROWS`] rows.

use std::sync::Arc;

use divan::{Bencher, black_box, counter::ItemsCount};
use runtime::{TableId, TableSchema};
use source_polardbx::Selection;
use source_polardbx::binlog::{Decoder, DecoderOptions, PreparedTransactions, ServerProfile, StreamPosition};
use source_polardbx::config::PolarDbXOptions;
use source_polardbx::schema::{History, read_create_table};

/// The number of rows that one iteration decodes.
const ROWS: usize = 30_000;

fn main() {
    divan::main();
}

fn schema() -> Arc<TableSchema> {
    let sql = "CREATE TABLE t (id bigint(20) NOT NULL, a int(11) NOT NULL, b int(10) unsigned, c varchar(40), d varchar(60), e decimal(12,2), \
               f datetime, g timestamp(3) NULL, h tinyint(4), i double, PRIMARY KEY (id))";
    let create = read_create_table(sql, "d", &|_| Some("utf8mb4".to_owned()));
    create.map(|create| Arc::new(create.schema)).unwrap_or_else(|_| Arc::new(TableSchema::new(TableId::new("d", "t"), Vec::new())))
}

/// A binlog in memory: the list of the events that a server would send.
struct Log {
    offset: u64,
    events: Vec<Vec<u8>>,
}

impl Log {
    fn new() -> Self {
        let mut log = Self { offset: 4, events: Vec::new() };
        let mut format = vec![4, 0];
        format.extend_from_slice(b"5.7.22-log");
        format.resize(56, 0);
        format.push(19);
        format.extend_from_slice(&[
            0x38, 13, 0, 8, 0, 18, 0, 4, 4, 4, 4, 18, 0, 0, 0x5f, 0, 4, 26, 8, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 10, 10, 10, 42, 42, 0, 18, 52,
            0,
        ]);
        format.push(1);
        log.add(15, &format);
        log
    }

    fn add(&mut self, kind: u8, body: &[u8]) {
        let size = 19 + body.len() + 4;
        self.offset += size as u64;
        let mut event = 1_700_000_000u32.to_le_bytes().to_vec();
        event.push(kind);
        event.extend_from_slice(&1u32.to_le_bytes());
        event.extend_from_slice(&(size as u32).to_le_bytes());
        event.extend_from_slice(&(self.offset as u32).to_le_bytes());
        event.extend_from_slice(&[0, 0]);
        event.extend_from_slice(body);
        event.extend_from_slice(&crc32fast::hash(&event).to_le_bytes());
        self.events.push(event);
    }

    /// Appends one transaction of `events` row events with `rows` rows each.
    fn transaction(&mut self, kind: u8, events: usize, rows: usize) {
        self.add(34, &[0; 42]);
        self.add(2, b"\x07\0\0\0\0\0\0\0\x01\0\0\x05\0\0\0\0\0\0d\0BEGIN");
        for _ in 0..events {
            let mut map = b"\x05\0\0\0\0\0\x01\0\x01d\0\x01t\0\x0a\x08\x03\x03\x0f\x0f\xf6\x12\x11\x01\x05".to_vec();
            map.extend_from_slice(&[9, 160, 0, 240, 0, 12, 2, 0, 3, 8, 0xfc, 0x03]);
            self.add(19, &map);
            let update = kind == 31;
            let mut body = b"\x05\0\0\0\0\0\x01\0\x02\0\x0a".to_vec();
            body.extend_from_slice(if update { &[0xff; 4] } else { &[0xff; 2] });
            for _ in 0..rows * if update { 2 } else { 1 } {
                body.extend_from_slice(&[0, 0]);
                body.extend_from_slice(&123_456_789u64.to_le_bytes());
                body.extend_from_slice(&42u32.to_le_bytes());
                body.extend_from_slice(&4_000_000_000u32.to_le_bytes());
                body.extend_from_slice(b"\x12customer number 12");
                body.extend_from_slice(b"\x1fsome address in a street, 12345");
                body.extend_from_slice(&[0x80, 0, 0x04, 0xd2, 0x38, 0x22]);
                body.extend_from_slice(&[0x99, 0xb1, 0x02, 0x00, 0x00]);
                body.extend_from_slice(&[0x65, 0x53, 0xf1, 0x00, 0x04, 0xd2]);
                body.push(1);
                body.extend_from_slice(&3.25f64.to_le_bytes());
            }
            self.add(kind, &body);
        }
        self.add(16, &[1; 8]);
    }
}

fn run(bencher: Bencher<'_, '_>, log: &Log) {
    let schema = schema();
    let Ok(position) = StreamPosition::start("id", "binlog.000001", 4) else { return };
    let Ok(selection) = Selection::new(&["d.*".to_owned()], &[]) else { return };
    bencher.counter(ItemsCount::new(ROWS)).bench(|| {
        let mut decoder = Decoder::new(DecoderOptions {
            stream: "global".to_owned(),
            position: position.clone(),
            history: History::new([schema.clone()], std::iter::empty::<(String, String)>(), false),
            selection: selection.clone(),
            profile: ServerProfile::new("5.7.22-log"),
            prepared: PreparedTransactions::default(),
            polardbx: PolarDbXOptions::default(),
            batch_max_bytes: 4 << 20,
        });
        let mut rows = 0;
        for event in &log.events {
            if let Err(error) = decoder.event(event, 1) {
                eprintln!("{error}");
                break;
            }
            while let Some(batch) = decoder.take() {
                rows += black_box(batch).row_count();
            }
        }
        rows += decoder.drain().map_or(0, |batch| batch.row_count());
        assert_eq!(rows, ROWS);
    });
}

#[divan::bench]
fn bulk_insert(bencher: Bencher<'_, '_>) {
    let mut log = Log::new();
    (0..ROWS / 300).for_each(|_| log.transaction(30, 4, 75));
    run(bencher, &log);
}

#[divan::bench]
fn one_row_update(bencher: Bencher<'_, '_>) {
    let mut log = Log::new();
    (0..ROWS).for_each(|_| log.transaction(31, 1, 1));
    run(bencher, &log);
}
