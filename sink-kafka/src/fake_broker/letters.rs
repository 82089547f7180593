//! Tests of rows that cannot be delivered: they are rejected, what is behind them in their partition waits for their letters, and no row is
//! lost or repeated by a failure in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use runtime::{Batch, Cause, EncoderInfo, Event, Kind, Letter, Position, Receipt, Sink as _, SplitKind, TableSchema};
use serde_json::json;

use super::scenarios::{any_fault, context, open, row, sink, table, task_of, task_with, timeouts};
use super::{FakeCluster, Fault};
use crate::resume::record_header::NOT_EXACT;
use crate::sink::KafkaSink;

/// Rows whose key is their seq, or minus their seq where the format cannot encode them.
fn rows(schema: &Arc<TableSchema>, seqs: std::ops::RangeInclusive<u128>, wrong: &BTreeSet<u128>) -> Batch {
    let key = |seq: u128| if wrong.contains(&seq) { -(seq as i64) } else { seq as i64 };
    Batch::new(seqs.map(|seq| row(schema, seq, key(seq))).collect(), Some(Position::from("r")), 0)
}

fn seqs(events: &[Event]) -> Vec<u128> {
    events.iter().map(|event| event.seq.0).collect()
}

/// What the log holds: the seqs in each partition. In a full phase the upper half is the number of the attempt.
fn log(fake: &FakeCluster, partitions: usize) -> Vec<Vec<u128>> {
    let row = |(_, position): (i64, Option<crate::record_header::RecordPosition>)| Some(position?.seq.0 & u128::from(u64::MAX));
    (0..partitions).map(|partition| fake.log("t", partition).into_iter().filter_map(row).collect()).collect()
}

fn together(log: &[Vec<u128>]) -> Vec<u128> {
    assert!(log.iter().all(|partition| partition.is_sorted()), "{log:?}");
    let mut all = log.concat();
    all.sort_unstable();
    all
}

/// Writes a batch as a lane does: what is postponed is written again. Returns the rejected events and their errors.
async fn write_all(sink: &mut KafkaSink, mut batch: Batch) -> runtime::Result<Vec<(Event, runtime::Error)>> {
    let mut rejected = Vec::new();
    loop {
        sink.write(&mut batch).await?;
        rejected.extend(batch.take_rejected());
        batch.events = batch.take_postponed();
        if batch.events.is_empty() {
            return Ok(rejected);
        }
    }
}

#[tokio::test]
async fn what_is_behind_a_rejected_row_waits_in_its_partition() {
    for (bytes, partitions) in [(1_000_000, 1), (1024, 1), (1_000_000, 3), (1024, 3)] {
        let fake = FakeCluster::start(2, &[("t", partitions)]).await;
        fake.limit_records(3, Some(b"row 5 row 5"));
        let settings = json!({"compression": "none", "record_batch_bytes": bytes, "partition": "primary_key"});
        let (schema, wrong) = (table("a"), BTreeSet::from([9]));
        let mut receipt = Receipt::default();
        let expected: Vec<u128> = (1..=40).filter(|seq| ![5, 9].contains(seq)).collect();
        for _ in 0..2 {
            // The process ends before the letter is written, so the next one must reject the row again.
            let mut sink = sink(&task_of(&fake, settings.clone()));
            receipt = open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
            let mut batch = rows(&schema, 1..=40, &wrong);
            sink.write(&mut batch).await.unwrap();
            let rejected = batch.take_rejected();
            assert_eq!(rejected[0].0.seq.0, 5, "{rejected:?}");
            let error = &rejected[0].1;
            assert_eq!((error.code(), error.data_cause()), (Some("E_TOO_LARGE"), Some(Cause::TooLarge)), "{error}");
            let Some(("t", Some(partition))) = error.destination() else { panic!("{error:?}") };
            let log = log(&fake, partitions);
            assert!(log[partition as usize].iter().all(|seq| *seq < 5), "{log:?}");
            assert!((1..5).all(|seq| log.iter().flatten().any(|written| *written == seq)), "{log:?}");
            assert_eq!(seqs(&batch.events), [1, 2, 3, 4]);
            assert!(seqs(&batch.take_postponed()).contains(&6));
        }
        let mut sink = sink(&task_of(&fake, settings.clone()));
        open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
        let rejected = write_all(&mut sink, rows(&schema, 1..=40, &wrong)).await.unwrap();
        assert_eq!(
            rejected.iter().map(|(event, error)| (event.seq.0, error.data_cause().is_some())).collect::<Vec<_>>(),
            [(5, true), (9, false)]
        );
        assert_eq!(together(&log(&fake, partitions)), expected);
        // After a restart, rejected rows with records behind them count as dealt with, and nothing is repeated.
        let mut sink = super::scenarios::sink(&task_of(&fake, settings));
        open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
        assert!(write_all(&mut sink, rows(&schema, 1..=40, &wrong)).await.unwrap().is_empty());
        assert_eq!(together(&log(&fake, partitions)), expected);
    }
}

#[tokio::test]
async fn in_a_full_phase_postponed_rows_are_not_repeated() {
    let fake = FakeCluster::start(2, &[("t", 3)]).await;
    fake.limit_records(2, Some(b"row 5 row 5"));
    let settings = json!({"compression": "none", "record_batch_bytes": 1024, "partition": "primary_key", "tombstones": true, "record_key": "primary_key"});
    let mut sink = sink(&task_of(&fake, settings));
    open(&mut sink, SplitKind::Snapshot, 1, &Receipt::default()).await.unwrap();
    let wrong = BTreeSet::from([1, 17, 18, 39]);
    for (from, expected) in [(1, vec![1, 5, 17, 18, 39]), (41, vec![])] {
        let rejected = write_all(&mut sink, rows(&table("a"), from..=from + 39, &wrong)).await.unwrap();
        assert_eq!(rejected.iter().map(|(event, _)| event.seq.0).collect::<Vec<_>>(), expected);
    }
    let expected: Vec<u128> = (1..=80).filter(|seq| *seq != 5 && !wrong.contains(seq)).collect();
    assert_eq!(together(&log(&fake, 3)), expected);
}

#[tokio::test]
async fn letters_hold_the_row_and_say_why() {
    let fake = FakeCluster::start(1, &[("t", 1), ("l", 2)]).await;
    fake.limit_records(2, Some(b"row 5 row 5"));
    let settings = |topic: &str| json!({"topic": topic, "compression": "none", "record_key": "primary_key", "partition": "primary_key"});
    let mut main = sink(&task_of(&fake, settings("t")));
    open(&mut main, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let mut rejected = write_all(&mut main, rows(&table("a"), 1..=9, &BTreeSet::from([3, 7]))).await.unwrap();
    // A row that was refused for its size, and fits into the topic for letters.
    let fits = rejected.iter().find(|(event, _)| event.seq.0 == 5).map(|(event, _)| event.clone()).unwrap();
    rejected.push((Event { body: row(&table("a"), 6, 6).body, ..fits }, runtime::Error::data("too wide").with_data_cause(Cause::TooLarge)));

    let task = task_of(&fake, settings("l"));
    let mut sink = sink(&task);
    assert!(sink.accepts_letters(&main).is_ok());
    let letters: Vec<Letter> = rejected
        .into_iter()
        .map(|(event, error)| {
            let cause = error.data_cause().unwrap_or(Cause::NotEncodable);
            Letter::new(event, error, cause)
        })
        .collect();
    sink.open(&context(SplitKind::Stream, 1, 1).with_letters(), &Receipt::default()).await.unwrap();
    sink.write_letters(&letters).await.unwrap();
    sink.write_letters(&[]).await.unwrap();
    let records: Vec<_> = (0..2).flat_map(|partition| fake.records("l", partition)).collect();
    let mut found = BTreeMap::new();
    for record in &records {
        let header = |name: &str| {
            let found = record.headers.iter().find(|(header, _)| header == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        };
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        let value = String::from_utf8(record.value.clone().unwrap()).unwrap();
        let value = value.chars().take(14).collect::<String>();
        found.insert(key, (header("dts.error.kind"), header("dts.error.value"), header("dts.error.value_bytes"), value));
        assert_eq!(
            (header("dts.error.table"), header("dts.error.topic").is_empty()),
            ("shop.a".into(), header("dts.error.text") == "too wide")
        );
    }
    let entry = |kind: &str, value: &str, bytes: &str, text: &str| (kind.into(), value.into(), bytes.into(), text.to_owned());
    let expected: BTreeMap<String, (String, String, String, String)> = [
        (r#"["shop","a","-3"]"#, entry("not_encodable", "json", "", r#"{"after":{"id""#)),
        (r#"["shop","a","-7"]"#, entry("not_encodable", "json", "", r#"{"after":{"id""#)),
        (r#"["shop","a","5"]"#, entry("too_large", "left_out", "120", "")),
        (r#"["shop","a","6"]"#, entry("too_large", "encoded", "", "row 6 row 6 ro")),
    ]
    .map(|(key, rest)| (key.to_owned(), rest))
    .into();
    assert_eq!((found, records.len()), (expected, 4));
    let flags: Vec<u8> = (0..2).flat_map(|partition| fake.log("l", partition)).map(|(_, position)| position.unwrap().flags).collect();
    assert_eq!(flags, [NOT_EXACT; 4]);
    // A failure of the broker is the failure of the lane, and the letters are written again.
    fake.faults([Fault::RefusedWith(87), Fault::RefusedWith(87), Fault::RefusedWith(87)]);
    assert_eq!(sink.write_letters(&letters).await.unwrap_err().kind(), Kind::Data);
}

#[test]
fn letters_need_a_topic_of_their_own() {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fake = threads.block_on(FakeCluster::start(1, &[]));
    let mut info = EncoderInfo::default();
    info.schema = Some(r#"{"type":"record","name":"R","fields":[{"name":"k","type":"long"}]}"#.into());
    let with_registry = json!({"brokers": fake.addresses(), "topic": "l", "format": {"any": {}}, "schema_registry": {"url": "http://r"}});
    let error = sink(&task_with(with_registry, info, timeouts())).accepts_letters(&sink(&task_of(&fake, json!({})))).unwrap_err();
    assert!(error.to_string().contains("`sink.kafka.schema_registry`"), "{error}");
    let task = |settings| sink(&task_of(&fake, settings));
    for (main, letters, expected) in [
        (json!({}), json!({"topic": "l"}), None),
        (json!({"topic": "{database}.{table}"}), json!({"topic": "letters"}), None),
        (json!({}), json!({}), Some("`sink.kafka.topic` is `t`, to which rows could go as well")),
        (json!({"topic": "x.{table}"}), json!({"topic": "x.letters"}), Some("`sink.kafka.topic` is `x.letters`, to which")),
        (json!({"ddl_topic": "l"}), json!({"topic": "l"}), Some("`sink.kafka.topic`")),
        (json!({}), json!({"topic": "{table}"}), Some("is a template")),
        (json!({}), json!({"topic": "l", "not_empty": "fail"}), Some("`sink.kafka.not_empty` has no effect")),
        (json!({}), json!({"topic": "l", "linger_ms": 0}), Some("`sink.kafka.linger_ms` has no effect")),
        (json!({}), json!({"topic": "l", "key_change": "split"}), Some("`sink.kafka.key_change` has no effect")),
        (json!({}), json!({"topic": "l", "ddl_topic": "d"}), Some("`sink.kafka.ddl_topic`")),
        (json!({}), json!({"topic": "l", "tombstones": true, "record_key": "primary_key"}), Some("`sink.kafka.tombstones`")),
    ] {
        let accepted = task(letters.clone()).accepts_letters(&task(main));
        match expected {
            None => assert!(accepted.is_ok(), "{letters}"),
            Some(text) => {
                let error = accepted.unwrap_err();
                assert!(error.kind() == Kind::Config && error.to_string().contains(text), "{error}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // With any faults, and with kills before and after the letters are written, every row is in the log exactly once, or in a letter.
    #[test]
    fn every_row_is_delivered_once_or_in_a_letter(
        faults in prop::collection::vec(any_fault(), 0..10),
        wrong in prop::collection::btree_set(1u128..60, 0..12),
        huge in prop::option::of(1u128..60),
        kills in prop::collection::vec(prop::option::weighted(0.3, any::<bool>()), 40),
        partitions in 1usize..4,
        size in 1u128..25,
    ) {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        threads.block_on(async {
            let fake = FakeCluster::start(2, &[("t", partitions)]).await;
            let settings = json!({"partition": "primary_key", "record_batch_bytes": 1024, "compression": "none"});
            if let Some(huge) = huge {
                fake.limit_records(i32::MAX, Some(format!("row {huge} row {huge}").as_bytes()));
            }
            let rejected: BTreeSet<u128> = wrong.iter().copied().chain(huge).collect();
            let mut task = task_of(&fake, settings.clone());
            fake.faults(faults);
            let (schema, mut letters, mut kills) = (table("a"), BTreeSet::new(), kills.into_iter().chain(std::iter::repeat(None)));
            let (mut receipt, mut acknowledged) = (Receipt::default(), 0u128);
            for attempt in 0.. {
                assert!(attempt < 80);
                let mut lane = sink(&task);
                let run = async {
                    receipt = open(&mut lane, SplitKind::Stream, 1, &receipt).await?;
                    while acknowledged < 60 {
                        let to = (acknowledged + size).min(60);
                        let mut batch = rows(&schema, acknowledged + 1..=to, &wrong);
                        loop {
                            lane.write(&mut batch).await?;
                            let rejected = batch.take_rejected();
                            let kill = if rejected.is_empty() { None } else { kills.next().unwrap() };
                            if kill == Some(false) {
                                return Ok(false);
                            }
                            letters.extend(rejected.into_iter().map(|(event, _)| event.seq.0));
                            if kill == Some(true) {
                                return Ok(false);
                            }
                            batch.events = batch.take_postponed();
                            if batch.events.is_empty() {
                                break;
                            }
                        }
                        (receipt, acknowledged) = (lane.receipt(), to);
                    }
                    Ok::<_, runtime::Error>(true)
                };
                match run.await {
                    Ok(true) => break,
                    // A new process.
                    Ok(false) => task = task_of(&fake, settings.clone()),
                    Err(error) => assert_eq!(error.kind(), Kind::Retryable, "{error}"),
                }
            }
            let delivered: Vec<u128> = (1..=60).filter(|seq| !rejected.contains(seq)).collect();
            assert_eq!(together(&log(&fake, partitions)), delivered);
            assert_eq!(letters, rejected);
        });
    }
}
