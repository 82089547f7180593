//! Tests of keys, headers and tombstones: what the log contains, and what happens after a restart. Also tests of compacted topics.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;
use runtime::{
    Batch, Body, Encoder, EncoderInfo, Event, Kind, Level, Message, Op, Position, Receipt, Row, RowChange, SchemaChange, SchemaChangeKind,
    Sink as _, SplitKind, TableSchema, Value,
};
use serde_json::json;

use super::FakeCluster;
use super::scenarios::{any_fault, check, event, open, row, table, task_of, write};
use crate::resume::record_header::{NOT_EXACT, RecordPosition};
use crate::sink::KafkaSink;
use crate::task::Task;

/// An encoder for tests. The value contains the operation and the key. Heartbeats and DDL statements get a message too.
pub(super) struct OpEncoder;

impl Encoder for OpEncoder {
    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        match &event.body {
            Body::Row(row) => {
                let op = match row.op {
                    Op::Delete => 'd',
                    Op::Update => 'u',
                    _ => 'i',
                };
                out.value.extend(format!("{op}{}", key_of(row.newest().unwrap())).bytes());
            }
            Body::Schema(change) => out.value.extend(change.statement.bytes()),
            Body::Heartbeat => out.value.extend(b"heartbeat"),
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn key_of(row: &Row) -> i64 {
    match row.get(0) {
        Value::Int(key) => key,
        _ => panic!("a key that is not a number"),
    }
}

pub(super) fn sink(task: &Arc<Task>) -> KafkaSink {
    KafkaSink::new(task.clone(), Box::new(OpEncoder))
}

/// A row change from one key to another. `None` means that the row does not exist before or after the change. `number` is the number of the
/// event in its split.
pub(super) fn change(schema: &Arc<TableSchema>, number: u128, before: Option<i64>, after: Option<i64>) -> Event {
    let image = |key: i64| Row::from_values([Value::Int(key)]);
    let op = match (before, after) {
        (None, _) => Op::Insert,
        (_, None) => Op::Delete,
        _ => Op::Update,
    };
    event(number << 7, Body::Row(RowChange::new(schema.clone(), op, before.map(image), after.map(image))))
}

pub(super) fn batch(events: Vec<Event>) -> Batch {
    Batch::new(events, Some(Position::from("r")), 0)
}

/// A record as the tests compare it: key, value and seq.
pub(super) type Short = (Option<String>, Option<String>, u128);

/// The records of this program in a partition. Records of other programs are left out; they have no headers.
pub(super) fn records(fake: &FakeCluster, topic: &str, partition: usize) -> Vec<Short> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ours = fake.records(topic, partition).into_iter().filter(|record| !record.headers.is_empty());
    ours.map(|record| {
        let position = RecordPosition::decode(&record.headers.last().unwrap().1).unwrap();
        (record.key.map(text), record.value.map(text), position.seq.0)
    })
    .collect()
}

fn short(key: &str, value: Option<&str>, seq: u128) -> Short {
    (Some(key.into()), value.map(str::to_owned), seq)
}

#[tokio::test]
async fn all_records_of_an_event_have_the_id_of_its_transaction() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let schema = table("a");
    let mut sink = sink(&task_of(&fake, json!({"record_key": "primary_key", "tombstones": true})));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let ids: [Option<Arc<str>>; 3] = [Some("0-1-7".into()), None, Some("other".into())];
    let of = |id: &Option<Arc<str>>, event: Event| Event { txid: id.clone(), ..event };
    let events = vec![
        of(&ids[0], change(&schema, 1, None, Some(1))),
        of(&ids[0], change(&schema, 2, Some(1), Some(2))),
        of(&ids[1], change(&schema, 3, None, Some(3))),
        of(&ids[2], change(&schema, 4, Some(3), None)),
    ];
    write(&mut sink, batch(events)).await.unwrap();
    let found: Vec<_> = fake
        .records("t", 0)
        .iter()
        .map(|record| {
            let (position, id) = RecordPosition::decode_with_transaction(&record.headers.last().unwrap().1).unwrap();
            (position.seq.0, id.map(|id| id.to_string()))
        })
        .collect();
    let [first, none, last] = ids.map(|id| id.map(|id| id.to_string()));
    let expected = [(128, &first), (256, &first), (257, &first), (258, &first), (384, &none), (512, &last), (513, &last)];
    assert_eq!(found, expected.map(|(seq, id)| (seq, id.clone())));
}

#[tokio::test]
async fn rows_have_the_key_of_their_table_and_deletes_a_tombstone() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let schema = table("a");
    let task = || task_of(&fake, json!({"record_key": "primary_key", "tombstones": true}));
    let events = || {
        batch(vec![
            change(&schema, 1, None, Some(1)),
            change(&schema, 2, Some(1), Some(1)),
            change(&schema, 3, Some(1), Some(2)),
            change(&schema, 4, Some(2), None),
        ])
    };
    let mut first = sink(&task());
    let baseline = open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let after = write(&mut first, events()).await.unwrap();
    let expected = [
        short(r#"["shop","a","1"]"#, Some("i1"), 128),
        short(r#"["shop","a","1"]"#, Some("u1"), 256),
        short(r#"["shop","a","1"]"#, Some("d1"), 384),
        short(r#"["shop","a","1"]"#, None, 385),
        short(r#"["shop","a","2"]"#, Some("i2"), 386),
        short(r#"["shop","a","2"]"#, Some("d2"), 512),
        short(r#"["shop","a","2"]"#, None, 513),
    ];
    assert_eq!(records(&fake, "t", 0), expected);
    // No record is written again, from whichever receipt the task continues.
    for receipt in [&baseline, &after] {
        let mut again = sink(&task());
        open(&mut again, SplitKind::Stream, 1, receipt).await.unwrap();
        again.write(&mut events()).await.unwrap();
        assert_eq!(records(&fake, "t", 0), expected);
    }
}

#[tokio::test]
async fn a_tombstone_of_an_old_key_goes_where_the_records_of_that_key_are() {
    let fake = FakeCluster::start(1, &[("shop.a", 5)]).await;
    let schema = table("a");
    let settings = json!({
        "topic": "{database}.{table}", "partition": "primary_key", "record_key": "primary_key", "tombstones": true, "key_change": "keep"
    });
    let mut sink = sink(&task_of(&fake, settings));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    sink.write(&mut batch(vec![change(&schema, 1, None, Some(1)), change(&schema, 2, Some(1), Some(2))])).await.unwrap();
    let by_key: BTreeMap<String, (usize, Option<String>)> = (0..5)
        .flat_map(|partition| {
            records(&fake, "shop.a", partition).into_iter().map(move |(key, value, _)| (key.unwrap(), (partition, value)))
        })
        .collect();
    // The last record of each key is checked. The keys do not contain database and table, because the name of the topic does.
    let (one, two) = (&by_key[r#"["1"]"#], &by_key[r#"["2"]"#]);
    assert_eq!((one.1.as_deref(), two.1.as_deref()), (None, Some("u2")));
    assert_ne!(one.0, two.0);
    assert_eq!(records(&fake, "shop.a", one.0), [short(r#"["1"]"#, Some("i1"), 128), short(r#"["1"]"#, None, 257)]);
}

#[tokio::test]
async fn without_tombstones_or_keys_there_are_none() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let schema = table("a");
    for (settings, key) in [
        (json!({}), None),
        (json!({"record_key": "table"}), Some(r#"["shop","a"]"#)),
        (json!({"record_key": "primary_key"}), Some(r#"["shop","a","7"]"#)),
    ] {
        fake.create("t", 1);
        let mut sink = sink(&task_of(&fake, settings));
        open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
        sink.write(&mut batch(vec![change(&schema, 1, Some(7), None)])).await.unwrap();
        assert_eq!(records(&fake, "t", 0), [(key.map(str::to_owned), Some("d7".to_owned()), 128)]);
    }
    // A table without a key has no record keys and no tombstones.
    fake.create("t", 1);
    let mut keyless = (*schema).clone();
    keyless.primary_key.clear();
    let mut sink = sink(&task_of(&fake, json!({"record_key": "primary_key", "tombstones": true})));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    sink.write(&mut batch(vec![change(&Arc::new(keyless), 1, Some(7), None)])).await.unwrap();
    assert_eq!(records(&fake, "t", 0), [(None, Some("d7".to_owned()), 128)]);
}

#[tokio::test]
async fn a_source_that_leaves_no_room_for_tombstones_is_refused() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let mut sink = sink(&task_of(&fake, json!({"record_key": "primary_key", "tombstones": true})));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let error = sink.write(&mut batch(vec![row(&table("a"), 5, 1)])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Fatal, "{error}");
    assert!(error.help().unwrap().contains("tombstones = false") && fake.produced() == 0, "{error}");
}

/// An encoder that sets a key and a header itself.
struct OwnKey;

impl Encoder for OwnKey {
    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        OpEncoder.encode(event, out)?;
        out.set_key(b"own");
        out.add_header("kind", "row");
        Ok(())
    }
}

#[tokio::test]
async fn keys_and_headers_of_the_format_are_sent() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    for (settings, expected) in [(json!({}), "own"), (json!({"record_key": "primary_key"}), r#"["shop","a","1"]"#)] {
        fake.create("t", 1);
        let mut sink = KafkaSink::new(task_of(&fake, settings), Box::new(OwnKey));
        open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
        sink.write(&mut batch(vec![change(&table("a"), 1, None, Some(1))])).await.unwrap();
        let record = fake.records("t", 0).remove(0);
        assert_eq!(record.key.as_deref(), Some(expected.as_bytes()), "the setting wins");
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names.as_slice(), record.headers[0].1.as_slice()), (&["kind", "dts"][..], &b"row"[..]));
    }
}

#[tokio::test]
async fn a_compacted_topic_needs_a_key_on_every_record() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    fake.compact();
    let schema = table("a");
    let compaction = async |settings: serde_json::Value| {
        let findings = check(&task_of(&fake, settings)).await;
        findings.into_iter().find(|finding| finding.item == "kafka_compaction").unwrap()
    };
    let found = compaction(json!({})).await;
    assert!(found.level == Level::Failed && found.help.contains("record_key = \"primary_key\""), "{found:?}");
    assert!(found.help.contains("--add-config cleanup.policy=delete"), "{found:?}");
    assert_eq!(compaction(json!({"record_key": "table"})).await.level, Level::Warning);
    let found = compaction(json!({"record_key": "primary_key"})).await;
    assert!(found.level == Level::Warning && found.help.contains("tombstones = true"), "{found:?}");
    let keyed = json!({"record_key": "primary_key", "tombstones": true});
    assert_eq!(compaction(keyed.clone()).await.level, Level::Passed);

    let mut plain = sink(&task_of(&fake, json!({})));
    open(&mut plain, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let error = write(&mut plain, batch(vec![change(&schema, 1, None, Some(1))])).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_RECORD_REFUSED")), "{error}");
    assert!(error.help().unwrap().contains("record_key"), "{error}");

    // DDL statements and heartbeats get keys that differ from all row keys.
    let mut sink = sink(&task_of(&fake, keyed));
    open(&mut sink, SplitKind::Stream, 3, &Receipt::default()).await.unwrap();
    sink.write(&mut batch(vec![change(&schema, 1, None, Some(1))])).await.unwrap();
    let mut ddl = SchemaChange::new(SchemaChangeKind::Other, "shop", "ALTER");
    ddl.tables.push((schema.id.clone(), None));
    sink.write(&mut batch(vec![event(2 << 7, Body::Schema(ddl))])).await.unwrap();
    sink.write(&mut batch(vec![event(0, Body::Heartbeat)])).await.unwrap();
    let expected = [
        short(r#"["shop","a","1"]"#, Some("i1"), 128),
        short(r#"{"ddl":["shop","a"]}"#, Some("ALTER"), 256),
        short(r#"{"heartbeat":3}"#, Some("heartbeat"), 256),
    ];
    assert_eq!(records(&fake, "t", 0), expected);
    assert_eq!(fake.log("t", 0)[2].1.unwrap().flags, NOT_EXACT);
}

#[tokio::test]
async fn holes_that_compaction_leaves_are_no_obstacle() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let schema = table("a");
    let settings = json!({"record_key": "primary_key", "tombstones": true});
    let mut first = sink(&task_of(&fake, settings.clone()));
    let baseline = open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let mut receipts = vec![baseline];
    for number in 1..=4 {
        receipts.push(write(&mut first, batch(vec![change(&schema, number, None, Some(number as i64))])).await.unwrap());
    }
    // The first record, a record in the middle and the last record are removed one after another. The log still begins at offset 0 and ends
    // at offset 4.
    for gone in [0, 2, 3] {
        fake.remove_batch("t", 0, gone);
        for receipt in &receipts[1..] {
            let mut next = sink(&task_of(&fake, settings.clone()));
            open(&mut next, SplitKind::Stream, 1, receipt).await.unwrap();
        }
        // A lane without a receipt checks that the topic belongs to this task.
        open(&mut sink(&task_of(&fake, settings.clone())), SplitKind::Snapshot, 9, &Receipt::default()).await.unwrap();
    }
    // Records that are still in the log count as delivered; records that are gone are sent again.
    let mut next = sink(&task_of(&fake, settings));
    open(&mut next, SplitKind::Stream, 1, &receipts[1]).await.unwrap();
    next.write(&mut batch((1..=5).map(|number| change(&schema, number, None, Some(number as i64))).collect())).await.unwrap();
    let seqs: Vec<u128> = records(&fake, "t", 0).into_iter().map(|(_, _, seq)| seq >> 7).collect();
    assert_eq!(seqs, [2, 3, 4, 5]);
}

/// The expected records of each partition, in order.
fn model(changes: &[(Option<i64>, Option<i64>)], split: bool, partition: impl Fn(i64) -> usize) -> BTreeMap<usize, Vec<Short>> {
    let key = |key: i64| format!(r#"["shop","a","{key}"]"#);
    let mut logs: BTreeMap<usize, Vec<Short>> = BTreeMap::new();
    for (index, (before, after)) in changes.iter().enumerate() {
        let seq = (index as u128 + 1) << 7;
        let (op, newest) = match (before, after) {
            (None, Some(after)) => ('i', after),
            (Some(_), Some(after)) => ('u', after),
            (Some(before), None) => ('d', before),
            (None, None) => continue,
        };
        if let (true, Some(before), Some(after)) = (split && before != after, before, after) {
            logs.entry(partition(*before)).or_default().push(short(&key(*before), Some(&format!("d{before}")), seq));
            logs.entry(partition(*before)).or_default().push(short(&key(*before), None, seq + 1));
            logs.entry(partition(*after)).or_default().push(short(&key(*after), Some(&format!("i{after}")), seq + 2));
            continue;
        }
        logs.entry(partition(*newest)).or_default().push(short(&key(*newest), Some(&format!("{op}{newest}")), seq));
        if let Some(before) = before.filter(|before| *after != Some(*before)) {
            logs.entry(partition(before)).or_default().push(short(&key(before), None, seq + 1));
        }
    }
    logs
}

fn any_change() -> impl Strategy<Value = (Option<i64>, Option<i64>)> {
    (0i64..12, 0i64..12, 0u8..4).prop_map(|(one, two, kind)| match kind {
        0 => (None, Some(one)),
        1 => (Some(one), None),
        2 => (Some(one), Some(one)),
        _ => (Some(one), Some(two)),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // With any faults of the brokers and any division into batches, each record and each tombstone is in its partition exactly once and in
    // order.
    #[test]
    fn any_faults_leave_every_record_and_tombstone_once(
        faults in prop::collection::vec(any_fault(), 0..12),
        changes in prop::collection::vec(any_change(), 40..80),
        cuts in prop::collection::vec(1usize..9, 60),
        partitions in 1usize..4,
        split: bool,
    ) {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        threads.block_on(async {
            let fake = FakeCluster::start(2, &[("t", partitions)]).await;
            fake.faults(faults);
            let settings = json!({
                "partition": "primary_key", "record_key": "primary_key", "tombstones": true, "record_batch_bytes": 1024,
                "key_change": if split { "split" } else { "keep" },
            });
            let (task, schema) = (task_of(&fake, settings), table("a"));
            let part = |of: Range<usize>| {
                batch(of.map(|index| change(&schema, index as u128 + 1, changes[index].0, changes[index].1)).collect())
            };
            let (mut receipt, mut acknowledged, mut cuts) = (Receipt::default(), 0, cuts.into_iter().cycle());
            for attempt in 0.. {
                assert!(attempt < 50);
                let mut sink = sink(&task);
                let run = async {
                    receipt = open(&mut sink, SplitKind::Stream, 1, &receipt).await?;
                    while acknowledged < changes.len() {
                        let to = (acknowledged + cuts.next().unwrap()).min(changes.len());
                        receipt = write(&mut sink, part(acknowledged..to)).await?;
                        acknowledged = to;
                    }
                    Ok::<_, runtime::Error>(())
                };
                match run.await {
                    Ok(()) => break,
                    Err(error) => assert_eq!(error.kind(), Kind::Retryable, "{error}"),
                }
            }
            // All records of a key must be in the same partition. Which partition it is does not matter here.
            let mut of_key = BTreeMap::new();
            for partition in 0..partitions {
                for (key, _, _) in records(&fake, "t", partition) {
                    let known = *of_key.entry(key.unwrap()).or_insert(partition);
                    assert_eq!(known, partition);
                }
            }
            let expected = model(&changes, split, |key| of_key[&format!(r#"["shop","a","{key}"]"#)]);
            for partition in 0..partitions {
                assert_eq!(records(&fake, "t", partition), expected.get(&partition).cloned().unwrap_or_default());
            }
        });
    }
}

#[test]
fn a_format_of_several_rows_is_refused_with_keys() {
    let built = KafkaSink::builder(["127.0.0.1:1"]).topic("t").record_key(crate::RecordKey::Table).format(|| Ok(ManyRows)).build();
    let error = built.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().contains("one row per message"), "{error}");
    assert!(KafkaSink::builder(["127.0.0.1:1"]).topic("t").format(|| Ok(ManyRows)).build().is_ok());
    assert!(KafkaSink::builder(["127.0.0.1:1"]).topic("t").build().err().unwrap().message().contains("no format"));
}

struct ManyRows;

impl Encoder for ManyRows {
    fn info(&self) -> EncoderInfo {
        let mut info = EncoderInfo::default();
        info.many_rows = true;
        info
    }

    fn encode(&mut self, _: &Event, _: &mut Message) -> runtime::Result<()> {
        Ok(())
    }
}
