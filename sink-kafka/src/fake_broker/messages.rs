//! Tests of messages with several rows and of heartbeats: what the encoder gets, and what happens after a restart.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use runtime::{
    Batch, Body, Encoder, EncoderInfo, Event, Kind, Message, Origin, Position, Receipt, Sink as _, SplitKind, TableSchema, Value,
};
use serde_json::json;

use super::FakeCluster;
use super::scenarios::{any_fault, event, open, row, table, task_of, write};
use crate::resume::record_header::{NOT_EXACT, RecordPosition};
use crate::sink::KafkaSink;
use crate::task::Task;

/// An encoder for tests that puts consecutive rows of one binlog event into one message. The value contains the table and the keys.
/// `handed` notes the seqs of the events in each call.
#[derive(Clone, Default)]
struct RunEncoder {
    handed: Arc<Mutex<Vec<Vec<u128>>>>,
}

fn parts(event: &Event) -> Option<(&Arc<TableSchema>, i64)> {
    match &event.body {
        Body::Row(row) => match row.newest()?.get(0) {
            Value::Int(key) => Some((&row.schema, key)),
            _ => None,
        },
        _ => None,
    }
}

impl Encoder for RunEncoder {
    fn info(&self) -> EncoderInfo {
        many_rows()
    }

    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        self.encode_many(std::slice::from_ref(event), out).map(|_| ())
    }

    fn encode_many(&mut self, events: &[Event], out: &mut Message) -> runtime::Result<usize> {
        self.handed.lock().unwrap().push(events.iter().map(|event| event.seq.0).collect());
        let Some((schema, _)) = parts(&events[0]) else {
            if matches!(events[0].body, Body::Heartbeat) {
                out.value.extend(b"heartbeat");
            }
            return Ok(1);
        };
        assert!(events.iter().all(|event| Arc::ptr_eq(parts(event).unwrap().0, schema)), "one table");
        let taken = events.iter().take_while(|event| Arc::ptr_eq(&event.origin, &events[0].origin)).count();
        let keys: Vec<String> = events[..taken].iter().map(|event| parts(event).unwrap().1.to_string()).collect();
        out.value.extend(format!("{}:{}", schema.id.table, keys.join(",")).bytes());
        Ok(taken)
    }
}

fn many_rows() -> EncoderInfo {
    let mut info = EncoderInfo::default();
    info.many_rows = true;
    info
}

/// Rows whose key equals their seq; `together` is the number of rows that come from one binlog event.
fn rows_of_events(schema: &Arc<TableSchema>, seqs: RangeInclusive<u128>, together: u128) -> Batch {
    let mut origins: BTreeMap<u128, Arc<Origin>> = BTreeMap::new();
    let events = seqs.map(|seq| {
        let mut event = row(schema, seq, seq as i64);
        event.origin = origins.entry((seq - 1) / together).or_default().clone();
        event
    });
    Batch::new(events.collect(), Some(Position::from("r")), 0)
}

fn keys(fake: &FakeCluster, partition: usize) -> Vec<Vec<u128>> {
    let read = |value: Vec<u8>| {
        let text = String::from_utf8(value).unwrap();
        text.split_once(':').unwrap().1.split(',').map(|key| key.parse().unwrap()).collect()
    };
    fake.values("t", partition).into_iter().map(read).collect()
}

fn sink(task: &Arc<Task>, encoder: &RunEncoder) -> KafkaSink {
    KafkaSink::new(task.clone(), Box::new(encoder.clone()))
}

#[tokio::test]
async fn rows_of_one_table_and_route_are_handed_over_together() {
    let fake = FakeCluster::start(1, &[("t", 3)]).await;
    let encoder = RunEncoder::default();
    let mut sink = sink(&task_of(&fake, json!({"partition": "table"})), &encoder);
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let (a, b) = (table("a"), table("b"));
    let mut events = vec![event(1, Body::Begin)];
    events.extend((2..=5).map(|seq| row(&a, seq, seq as i64)));
    events.extend((6..=7).map(|seq| row(&b, seq, seq as i64)));
    events.extend((8..=9).map(|seq| row(&a, seq, seq as i64)));
    // The table is the same, but its definition is another object, so the row needs a message of its own.
    events.push(row(&table("a"), 10, 10));
    events.push(event(11, Body::Commit));
    let shared: Arc<Origin> = Arc::default();
    events.iter_mut().for_each(|event| event.origin = shared.clone());
    sink.write(&mut Batch::new(events, None, 0)).await.unwrap();
    assert_eq!(*encoder.handed.lock().unwrap(), [vec![1], vec![2, 3, 4, 5], vec![6, 7], vec![8, 9], vec![10], vec![11]]);
    // The position header of a message contains the seq of its last row.
    let mut log: Vec<(u128, String)> = Vec::new();
    for partition in 0..3 {
        let seqs = fake.log("t", partition).into_iter().map(|(_, position)| position.unwrap().seq.0);
        log.extend(seqs.zip(fake.values("t", partition).into_iter().map(|value| String::from_utf8(value).unwrap())));
    }
    log.sort();
    let expected = [(5, "a:2,3,4,5"), (7, "b:6,7"), (9, "a:8,9"), (10, "a:10")];
    assert_eq!(log, expected.map(|(seq, text)| (seq, text.to_owned())));
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_message_loses_and_repeats_no_row() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let (schema, encoder) = (table("a"), RunEncoder::default());
    let task = || task_of(&fake, json!({}));
    let mut first = sink(&task(), &encoder);
    let baseline = open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    // One binlog event has ten rows. The batch ends after the fourth row, and its receipt is lost when the process ends.
    first.write(&mut rows_of_events(&schema, 1..=4, 10)).await.unwrap();
    assert_eq!(keys(&fake, 0), [[1, 2, 3, 4]]);
    // In the replay the batches end at other rows: one in the middle of the delivered rows, and one after rows that were not delivered.
    let mut second = sink(&task(), &encoder);
    let after = open(&mut second, SplitKind::Stream, 1, &baseline).await.unwrap();
    second.write(&mut rows_of_events(&schema, 1..=3, 10)).await.unwrap();
    second.write(&mut rows_of_events(&schema, 4..=7, 10)).await.unwrap();
    assert_eq!(keys(&fake, 0), [vec![1, 2, 3, 4], vec![5, 6, 7]]);
    // A restart from either of the earlier receipts gives the same result.
    for receipt in [&baseline, &after] {
        let mut third = sink(&task(), &encoder);
        open(&mut third, SplitKind::Stream, 1, receipt).await.unwrap();
        third.write(&mut rows_of_events(&schema, 1..=12, 10)).await.unwrap();
        assert_eq!(keys(&fake, 0), [vec![1, 2, 3, 4], vec![5, 6, 7], vec![8, 9, 10], vec![11, 12]]);
    }
}

#[tokio::test]
async fn the_rows_of_a_message_that_is_refused_are_written_one_by_one() {
    for kind in [SplitKind::Stream, SplitKind::Snapshot] {
        for (huge, rejected, expected) in [
            ("a:103,104,105", vec![], vec![vec![101, 102], vec![103], vec![104], vec![105], vec![106, 107, 108], vec![109]]),
            ("104", vec![104], vec![vec![101, 102], vec![103], vec![105], vec![106, 107, 108], vec![109]]),
        ] {
            let fake = FakeCluster::start(1, &[("t", 1)]).await;
            fake.limit_records(i32::MAX, Some(huge.as_bytes()));
            let encoder = RunEncoder::default();
            let mut sink = sink(&task_of(&fake, json!({"compression": "none"})), &encoder);
            open(&mut sink, kind, 1, &Receipt::default()).await.unwrap();
            let mut batch = rows_of_events(&table("a"), 101..=109, 3);
            let mut found = Vec::new();
            loop {
                sink.write(&mut batch).await.unwrap();
                found.extend(batch.take_rejected().into_iter().map(|(event, _)| event.seq.0));
                batch.events = batch.take_postponed();
                if batch.events.is_empty() {
                    break;
                }
            }
            assert_eq!((found, keys(&fake, 0)), (rejected, expected), "{huge} {kind:?}");
        }
    }
}

#[tokio::test]
async fn heartbeats_are_sent_whenever_they_come_and_hide_nothing() {
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    let (schema, encoder) = (table("a"), RunEncoder::default());
    // Whatever the source writes there: the seq of a heartbeat is not looked at.
    let heartbeat = || Batch::new(vec![event(9, Body::Heartbeat)], None, 0);
    let mut receipt = Receipt::default();
    for _ in 0..2 {
        let mut sink = sink(&task_of(&fake, json!({})), &encoder);
        open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
        sink.write(&mut heartbeat()).await.unwrap();
        sink.write(&mut rows_of_events(&schema, 1..=3, 3)).await.unwrap();
        receipt = write(&mut sink, heartbeat()).await.unwrap();
        assert!(receipt.as_str().contains(&format!("\"{:032x}\"", 3)), "{receipt:?}");
    }
    // A heartbeat beside other events states the last seq before it.
    let mut together = rows_of_events(&schema, 4..=5, 1);
    together.events.insert(1, event(0, Body::Heartbeat));
    let mut sink = sink(&task_of(&fake, json!({})), &encoder);
    open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
    sink.write(&mut rows_of_events(&schema, 3..=3, 1)).await.unwrap();
    sink.write(&mut together).await.unwrap();
    let log: Vec<(u128, u8)> = fake
        .log("t", 0)
        .into_iter()
        .map(|(_, position)| position.unwrap())
        .map(|RecordPosition { seq, flags, .. }| (seq.0, flags))
        .collect();
    let beat = |seq| (seq, NOT_EXACT);
    assert_eq!(log, [beat(0), (3, 0), beat(3), beat(3), beat(3), (4, 0), beat(4), (5, 0)]);
    assert_eq!((fake.values("t", 0)[0].as_slice(), fake.log("t", 1).len()), (&b"heartbeat"[..], 0));

    // If the topic is a template, there is no topic for heartbeats.
    let fake = FakeCluster::start(1, &[("a", 1)]).await;
    let mut sink = self::sink(&task_of(&fake, json!({"topic": "{table}"})), &encoder);
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    assert_eq!(sink.write(&mut heartbeat()).await.unwrap_err().kind(), Kind::Config);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // With any division into batches, also after each restart, every row is in the log exactly once and in order.
    #[test]
    fn any_faults_and_any_cuts_leave_every_row_once(
        faults in prop::collection::vec(any_fault(), 0..12),
        cuts in prop::collection::vec(1u128..9, 60),
        together in 1u128..12,
        partitions in 1usize..4,
    ) {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        threads.block_on(async {
            let fake = FakeCluster::start(2, &[("t", partitions)]).await;
            let policy = if partitions > 1 { "primary_key" } else { "zero" };
            let task = task_of(&fake, json!({"partition": policy, "record_batch_bytes": 1024}));
            fake.faults(faults);
            let (schema, encoder) = (table("a"), RunEncoder::default());
            let (mut receipt, mut acknowledged, mut cuts) = (Receipt::default(), 0u128, cuts.into_iter().cycle());
            for attempt in 0.. {
                assert!(attempt < 50);
                let mut sink = sink(&task, &encoder);
                let run = async {
                    receipt = open(&mut sink, SplitKind::Stream, 1, &receipt).await?;
                    while acknowledged < 60 {
                        let to = (acknowledged + cuts.next().unwrap()).min(60);
                        receipt = write(&mut sink, rows_of_events(&schema, acknowledged + 1..=to, together)).await?;
                        acknowledged = to;
                    }
                    Ok::<_, runtime::Error>(())
                };
                match run.await {
                    Ok(()) => break,
                    Err(error) => assert_eq!(error.kind(), Kind::Retryable, "{error}"),
                }
            }
            let mut together = Vec::new();
            for partition in 0..partitions {
                let rows: Vec<u128> = fake.log("t", partition).into_iter().zip(fake.values("t", partition))
                    .filter(|((_, position), _)| position.is_some())
                    .flat_map(|(_, value)| {
                        let text = String::from_utf8(value).unwrap();
                        text.split_once(':').unwrap().1.split(',').map(|key| key.parse().unwrap()).collect::<Vec<u128>>()
                    })
                    .collect();
                assert!(rows.is_sorted());
                together.extend(rows);
            }
            together.sort_unstable();
            assert_eq!(together, (1..=60).collect::<Vec<u128>>());
        });
    }
}
