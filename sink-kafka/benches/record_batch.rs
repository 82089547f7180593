//! Measures how fast record batches are framed, compressed and stamped. Each batch holds 1,250 records of about 800 bytes, the size of
//! Canal JSON messages for a table with 10 columns.

// A benchmark whose setup fails can only stop, so `expect` is allowed.
#![allow(clippy::expect_used)]

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

#[divan::bench(args = [Compression::None, Compression::Zstd, Compression::Lz4, Compression::Snappy, Compression::Gzip])]
fn build(bencher: divan::Bencher<'_, '_>, compression: &Compression) {
    let values = values();
    let mut maker = BatchMaker::new(*compression).expect("a codec");
    let bytes = values.iter().map(Vec::len).sum::<usize>();
    let size = maker.make(&values).expect("a batch");
    println!("{compression:?}: {bytes} bytes of values in a batch of {size}");
    bencher.counter(ItemsCount::new(values.len())).counter(BytesCount::new(bytes)).bench_local(|| maker.make(&values));
}
