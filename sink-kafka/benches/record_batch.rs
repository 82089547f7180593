//! Measures how fast record batches are framed, compressed and stamped. Each batch holds 1,250 records of about 800 bytes, the size of
//! Canal JSON messages for a table with 10 columns. The records have no transaction id, or an id of each form, and are transactions of one row or
//! of ten.

// A benchmark whose setup fails can only stop, so `expect` is allowed.
#![allow(clippy::expect_used)]

use std::fmt;
use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use sink_kafka::Compression;
use sink_kafka::benchmark::BatchMaker;

fn main() {
    divan::main();
}

fn values() -> Vec<Vec<u8>> {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    (0..1250u64)
        .map(|id| {
            let columns = r#""sqlType":{"id":-5,"name":12,"mail":12,"city":12,"price":3,"amount":4,"state":1,"note":12,"created":93,"changed":93}"#;
            let types = r#""mysqlType":{"id":"bigint(20)","name":"varchar(64)","mail":"varchar(64)","city":"varchar(32)","price":"decimal(10,2)","amount":"int(11)","state":"char(2)","note":"varchar(128)","created":"datetime","changed":"timestamp"}"#;
            format!(
                r#"{{"data":[{{"id":"{id}","name":"name {:x}","mail":"{:x}@example.com","city":"city {}","price":"{}.{:02}","amount":"{}","state":"s{}","note":"{:016x}{:016x}","created":"2024-01-01 00:00:00","changed":"2024-06-01 12:00:00"}}],"database":"shop","es":1700000000000,"id":{id},"isDdl":false,{types},"old":null,"pkNames":["id"],"sql":"",{columns},"table":"orders","ts":1700000000123,"type":"INSERT"}}"#,
                next(), next(), next() % 500, next() % 10_000, next() % 100, next() % 1000, next() % 10, next(), next()
            )
            .into_bytes()
        })
        .collect()
}

/// The form of the transaction ids, and the number of rows of a transaction.
#[derive(Clone, Copy)]
enum Transactions {
    None,
    Gtid(u64),
    MariaDb(u64),
    Tso(u64),
}

impl Transactions {
    const ALL: [Self; 5] = [Self::None, Self::MariaDb(1), Self::Gtid(1), Self::Tso(1), Self::Tso(10)];

    fn ids(self, count: u64) -> Vec<Arc<str>> {
        let mut last: (u64, Arc<str>) = (0, Arc::default());
        let mut id = |number: u64, text: String| {
            if last.0 != number {
                last = (number, text.into());
            }
            last.1.clone()
        };
        match self {
            Self::None => Vec::new(),
            Self::Gtid(rows) => {
                (0..count).map(|row| id(1 + row / rows, format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:{}", 70_000 + row / rows))).collect()
            }
            Self::MariaDb(rows) => (0..count).map(|row| id(1 + row / rows, format!("0-1-{}", 70_000 + row / rows))).collect(),
            // Both the time and the id of the transaction change, as they do on a busy instance.
            Self::Tso(rows) => (0..count)
                .map(|row| {
                    let number = row / rows;
                    let (time, transaction) = (7_532_577_685_151_678_464 + (number << 20), 1_883_144_390_271_041_662 + number * 4_194_304);
                    id(1 + number, format!("{time:019}{transaction:019}{:016}", 0))
                })
                .collect(),
        }
    }
}

impl fmt::Display for Transactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no id"),
            Self::Gtid(rows) => write!(f, "GTID, {rows} rows"),
            Self::MariaDb(rows) => write!(f, "MariaDB GTID, {rows} rows"),
            Self::Tso(rows) => write!(f, "TSO, {rows} rows"),
        }
    }
}

fn build(bencher: divan::Bencher<'_, '_>, compression: Compression, transactions: Transactions) {
    let values = values();
    let ids = transactions.ids(values.len() as u64);
    let mut maker = BatchMaker::new(compression).expect("a codec");
    let bytes = values.iter().map(Vec::len).sum::<usize>();
    let size = maker.make(&values, &ids).expect("a batch");
    println!("{compression:?}, {transactions}: {bytes} bytes of values in a batch of {size}");
    bencher.counter(ItemsCount::new(values.len())).counter(BytesCount::new(bytes)).bench_local(|| maker.make(&values, &ids));
}

#[divan::bench(args = [Compression::None, Compression::Zstd, Compression::Lz4, Compression::Snappy, Compression::Gzip])]
fn compressions(bencher: divan::Bencher<'_, '_>, compression: &Compression) {
    build(bencher, *compression, Transactions::None);
}

#[divan::bench(args = Transactions::ALL)]
fn uncompressed(bencher: divan::Bencher<'_, '_>, transactions: &Transactions) {
    build(bencher, Compression::None, *transactions);
}

#[divan::bench(args = Transactions::ALL)]
fn zstd(bencher: divan::Bencher<'_, '_>, transactions: &Transactions) {
    build(bencher, Compression::Zstd, *transactions);
}

#[divan::bench(args = Transactions::ALL)]
fn lz4(bencher: divan::Bencher<'_, '_>, transactions: &Transactions) {
    build(bencher, Compression::Lz4, *transactions);
}
