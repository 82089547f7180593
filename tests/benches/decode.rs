//! Measures the time to decode the events of a table with ten columns, including the verification of checksums and the packing into cells.
//! `bulk_insert` reads transactions of four row events with 75 rows each, and `one_row_update` reads transactions of one updated row. The
//! reported time is the time of one iteration, which decodes [`ROWS`] rows. `rows_after_alter` reads the same rows as `bulk_insert` behind an
//! ALTER TABLE that has added two of the columns. `other_statements` reads DDL statements of tables that are not selected, half of them in a
//! database whose tables are followed.
//!
//! With the argument `compare`, the same inserts are read from the binlogs of MySQL and PolarDB-X in turn, and the least times are printed
//! with their ratios.

use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box, counter::ItemsCount};
use runtime::{Collation, TableId, TableSchema};
use source_polardbx::Selection;
use source_polardbx::binlog::{Decoder, DecoderOptions, PreparedTransactions, RowsWithoutEvents, ServerProfile, StreamPosition};
use source_polardbx::config::PolarDbXOptions;
use source_polardbx::schema::{History, read_create_table};
use tests::event_log::EventLog;

/// The number of rows that one iteration decodes.
const ROWS: usize = 30_000;

fn main() {
    if std::env::args().any(|argument| argument == "compare") { compare() } else { divan::main() }
}

/// The server that has written a binlog.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    MySql,
    MySqlWithGtids,
    PolarDbX,
}

impl Server {
    fn version(self) -> &'static str {
        match self {
            Self::MySql | Self::MySqlWithGtids => "5.7.22-log",
            Self::PolarDbX => "5.7.25-PXC-5.4.20-20251031",
        }
    }
}

fn schema() -> Arc<TableSchema> {
    let sql = "CREATE TABLE t (id bigint(20) NOT NULL, a int(11) NOT NULL, b int(10) unsigned, c varchar(40), d varchar(60), e decimal(12,2), \
               f datetime, g timestamp(3) NULL, h tinyint(4), i double, PRIMARY KEY (id))";
    let create = read_create_table(sql, "d", &|_| Some(Collation::new("utf8mb4_general_ci")));
    create.map(|create| Arc::new(create.schema)).unwrap_or_else(|_| Arc::new(TableSchema::new(TableId::new("d", "t"), Vec::new())))
}

/// The binlog of a server, in memory.
struct Log {
    server: Server,
    transactions: u64,
    events: EventLog,
}

impl Log {
    fn new(server: Server) -> Self {
        Self { server, transactions: 0, events: EventLog::new(server.version()) }
    }

    /// Appends a DDL statement of a session that uses utf8mb4.
    fn statement(&mut self, database: &str, text: &str) {
        self.events.add(34, &[1; 42]);
        self.events.statement(database, 0, 45, text.as_bytes());
    }

    /// Appends one transaction of `events` row events with `rows` rows each.
    fn transaction(&mut self, kind: u8, events: usize, rows: usize) {
        self.transactions += 1;
        if self.server == Server::PolarDbX {
            self.events.add(2, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0BEGIN");
            let trace = format!("\u{1}/*DRDS /10.0.0.7/1a2b3c4d5e6f7000-1/0// */\n# CTS::{}", EventLog::tso(self.transactions));
            self.events.add(29, trace.as_bytes());
        } else {
            let mut gtid = [1; 42];
            gtid[17..25].copy_from_slice(&self.transactions.to_le_bytes());
            self.events.add(if self.server == Server::MySql { 34 } else { 33 }, &gtid);
            self.events.add(2, b"\x07\0\0\0\0\0\0\0\x01\0\0\x05\0\0\0\0\0\0d\0BEGIN");
        }
        for _ in 0..events {
            let mut map = b"\x05\0\0\0\0\0\x01\0\x01d\0\x01t\0\x0a\x08\x03\x03\x0f\x0f\xf6\x12\x11\x01\x05".to_vec();
            map.extend_from_slice(&[9, 160, 0, 240, 0, 12, 2, 0, 3, 8, 0xfc, 0x03]);
            self.events.add(19, &map);
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
            self.events.add(kind, &body);
        }
        self.events.add(16, &[1; 8]);
        if self.server == Server::PolarDbX {
            self.events.commit_mark(self.transactions);
        }
    }

    /// A new decoder that begins where this binlog begins.
    fn decoder(&self) -> Option<Decoder> {
        Some(Decoder::new(DecoderOptions {
            stream: "global".to_owned(),
            position: StreamPosition::start("id", "binlog.000001", 4).ok()?,
            history: History::new([schema()], [("d".to_owned(), Collation::new("utf8mb4_general_ci"))], false),
            selection: Selection::new(&["d.*".to_owned()], &["d.no_*".to_owned()]).ok()?,
            profile: ServerProfile::new(self.server.version()),
            prepared: PreparedTransactions::default(),
            polardbx: PolarDbXOptions::default(),
            rows_without_events: RowsWithoutEvents::default(),
            batch_max_bytes: 1 << 20,
        }))
    }

    /// Decodes all events, and returns the number of rows.
    fn decode(&self, mut decoder: Decoder) -> usize {
        let mut rows = 0;
        for event in self.events.events() {
            if let Err(error) = decoder.event(event, 1) {
                eprintln!("{error}");
                break;
            }
            while let Some(batch) = decoder.take() {
                rows += black_box(batch).row_count();
            }
        }
        rows + decoder.drain().map_or(0, |batch| batch.row_count())
    }
}

fn run(bencher: Bencher<'_, '_>, log: &Log) {
    let decode = |decoder: Option<Decoder>| assert_eq!(decoder.map(|decoder| log.decode(decoder)), Some(ROWS));
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(|| log.decoder()).bench_values(decode);
}

/// Prints, for two sizes of transactions, the least time per row that either server's binlog took.
fn compare() {
    // So few rows stay in the cache of the processor, as bytes do that were just received.
    const ROWS: usize = 1_000;
    const ROUNDS: usize = 5_000;
    for size in [1, 100] {
        let logs = [Server::MySql, Server::MySqlWithGtids, Server::PolarDbX].map(|server| {
            let mut log = Log::new(server);
            (0..ROWS / size).for_each(|_| log.transaction(30, 1, size));
            log
        });
        let mut least = [Duration::MAX; 3];
        for _ in 0..ROUNDS {
            for (log, least) in logs.iter().zip(&mut least) {
                let Some(decoder) = log.decoder() else { return };
                let start = Instant::now();
                assert_eq!(log.decode(decoder), ROWS);
                *least = start.elapsed().min(*least);
            }
        }
        let [mysql, gtids, polardbx] = least.map(|time| time.as_secs_f64() * 1e9 / ROWS as f64);
        println!(
            "{size} rows a transaction, ns per row: MySQL {mysql:.1}, with GTIDs {gtids:.1}, PolarDB-X {polardbx:.1}; ratios {:.3} and {:.3}",
            polardbx / mysql,
            polardbx / gtids
        );
    }
}

#[divan::bench]
fn bulk_insert(bencher: Bencher<'_, '_>) {
    let mut log = Log::new(Server::MySql);
    (0..ROWS / 300).for_each(|_| log.transaction(30, 4, 75));
    run(bencher, &log);
}

#[divan::bench]
fn rows_after_alter(bencher: Bencher<'_, '_>) {
    let mut log = Log::new(Server::MySql);
    log.statement("d", "ALTER TABLE t DROP h, DROP i");
    log.statement("d", "ALTER TABLE t ADD h TINYINT, ADD i DOUBLE");
    (0..ROWS / 300).for_each(|_| log.transaction(30, 4, 75));
    run(bencher, &log);
}

#[divan::bench]
fn other_statements(bencher: Bencher<'_, '_>) {
    const STATEMENTS: usize = 10_000;
    let mut log = Log::new(Server::MySql);
    for number in 0..STATEMENTS / 4 {
        for database in ["other", "d"] {
            log.statement(
                database,
                &format!("CREATE TABLE no_{number} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, a VARCHAR(20), b INT, KEY (b))"),
            );
            log.statement(database, &format!("ALTER TABLE no_{number} ADD COLUMN c DATETIME(3) NOT NULL AFTER a, DROP b"));
        }
    }
    let decode = |decoder: Option<Decoder>| assert_eq!(decoder.map(|decoder| log.decode(decoder)), Some(0));
    bencher.counter(ItemsCount::new(STATEMENTS)).with_inputs(|| log.decoder()).bench_values(decode);
}

#[divan::bench]
fn one_row_update(bencher: Bencher<'_, '_>) {
    let mut log = Log::new(Server::MySql);
    (0..ROWS).for_each(|_| log.transaction(31, 1, 1));
    run(bencher, &log);
}
