//! Tests with faults, alone and mixed. After each fault no record may be lost or out of order. With idempotence no record may be in the log
//! twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use runtime::{
    Batch, Body, Column, ColumnKind, Context, Encoder, EncoderInfo, Error, Event, Kind, Lane, Level, Message, Op, Position, Receipt, Row,
    RowChange, SchemaChange, SchemaChangeKind, Seq, Sink, SplitKind, TableId, TableSchema, Value,
};
use serde_json::json;

use super::{FakeCluster, Fault};
use crate::client::Timeouts;
use crate::resume::record_header::{NOT_EXACT, RecordPosition, RepeatFilter, SNAPSHOT};
use crate::settings::tests::config;
use crate::settings::{Format, Settings};
use crate::sink::KafkaSink;
use crate::task::Task;

pub(super) const RUN: u64 = 0xfeed;

/// An encoder for tests that writes one message per row, with the key as text. It rejects negative keys.
struct KeyEncoder;

impl Encoder for KeyEncoder {
    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        match &event.body {
            Body::Row(row) => match row.newest().map(|image| image.get(0)) {
                Some(Value::Int(key)) if key >= 0 => out.value.extend(format!("row {key} ").repeat(20).bytes()),
                _ => return Err(Error::data("the key is negative")),
            },
            Body::Schema(change) => out.value.extend(change.statement.bytes()),
            _ => {}
        }
        Ok(())
    }
}

pub(crate) fn timeouts() -> Timeouts {
    let ms = Duration::from_millis;
    Timeouts {
        connect: ms(1000),
        request: ms(300),
        quick_request: ms(300),
        resend: ms(3000),
        patience: ms(3000),
        propagation: ms(600),
        settle: ms(200),
        suspect: ms(100),
    }
}

pub(super) fn task_of(fake: &FakeCluster, settings: serde_json::Value) -> Arc<Task> {
    let mut all = json!({"brokers": fake.addresses(), "topic": "t", "format": {"canal_json": {}}});
    for (key, value) in settings.as_object().unwrap() {
        all[key] = value.clone();
    }
    task_with(all, EncoderInfo::default(), timeouts())
}

pub(super) fn sink(task: &Arc<Task>) -> KafkaSink {
    KafkaSink::new(task.clone(), Box::new(KeyEncoder))
}

/// A task with these settings; `info` describes its format.
pub(crate) fn task_with(settings: serde_json::Value, info: EncoderInfo, timeouts: Timeouts) -> Arc<Task> {
    let config = config(settings);
    let name = config.format.as_ref().unwrap().one("format").unwrap().0.to_owned();
    Arc::new(Task::new(Settings::resolve(config, Format { name, info }).unwrap(), timeouts).unwrap())
}

/// The context with which a lane opens its sink.
pub(crate) fn context(kind: SplitKind, number: u32, epoch: u32) -> Context {
    Context::testing("test").with_lane(Lane { run: RUN, epoch, number, split: "s".into(), kind })
}

pub(crate) async fn open(sink: &mut KafkaSink, kind: SplitKind, number: u32, last: &Receipt) -> runtime::Result<Receipt> {
    open_as(sink, kind, number, 1, last).await
}

pub(super) async fn open_as(sink: &mut KafkaSink, kind: SplitKind, number: u32, epoch: u32, last: &Receipt) -> runtime::Result<Receipt> {
    sink.open(&context(kind, number, epoch), last).await?;
    Ok(sink.receipt())
}

/// Writes a batch. Returns the receipt after the write. A rejected event is an error, as by default in a lane.
pub(crate) async fn write(sink: &mut KafkaSink, mut batch: Batch) -> runtime::Result<Receipt> {
    sink.write(&mut batch).await?;
    match batch.take_rejected().into_iter().next() {
        Some((event, error)) => Err(error.of_event(&event)),
        None => Ok(sink.receipt()),
    }
}

/// Runs the precheck and returns its findings.
pub(crate) async fn check(task: &Arc<Task>) -> Vec<runtime::Finding> {
    sink(task).check(&Context::testing("test")).await
}

pub(crate) fn table(name: &str) -> Arc<TableSchema> {
    let mut schema = TableSchema::new(TableId::new("shop", name), vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint(20)")]);
    schema.primary_key = vec![0];
    Arc::new(schema)
}

pub(super) fn event(seq: u128, body: Body) -> Event {
    Event { seq: Seq(seq), position: Position::from(format!("p:{seq}")), timestamp_ms: 0, txid: None, origin: Arc::default(), body }
}

pub(crate) fn row(schema: &Arc<TableSchema>, seq: u128, key: i64) -> Event {
    let after = Some(Row::from_values([Value::Int(key)]));
    event(seq, Body::Row(RowChange::new(schema.clone(), Op::Insert, None, after)))
}

pub(super) fn rows(schema: &Arc<TableSchema>, seqs: std::ops::RangeInclusive<u128>) -> Batch {
    Batch::new(seqs.map(|seq| row(schema, seq, seq as i64)).collect(), Some(Position::from("r")), 0)
}

/// Acts as a simple supervisor: after every retryable error it opens a new sink and replays from the last acknowledged batch. Returns the
/// last receipt and the number of errors.
pub(super) async fn pump(task: &Arc<Task>, schema: &Arc<TableSchema>, batches: &[std::ops::RangeInclusive<u128>]) -> (Receipt, u32) {
    let (mut receipt, mut next, mut failures) = (Receipt::default(), 0, 0);
    while next < batches.len() {
        let attempt = async {
            let mut sink = sink(task);
            receipt = open(&mut sink, SplitKind::Stream, 1, &receipt).await?;
            while next < batches.len() {
                receipt = write(&mut sink, rows(schema, batches[next].clone())).await?;
                next += 1;
            }
            sink.close().await
        };
        if let Err(error) = attempt.await {
            assert_eq!(error.kind(), Kind::Retryable, "{error}");
            failures += 1;
            assert!(failures < 50, "{error}");
        }
    }
    (receipt, failures)
}

/// Reads a topic with the rule for repeats. Returns the seqs in each partition, and the number of records that were ignored as repeats.
pub(super) fn read(fake: &FakeCluster, topic: &str, partitions: usize) -> (Vec<Vec<u128>>, usize) {
    let (mut filter, mut ignored) = (RepeatFilter::default(), 0);
    let lists = (0..partitions)
        .map(|partition| {
            let mut list = Vec::new();
            for position in fake.log(topic, partition).into_iter().filter_map(|(_, position)| position) {
                if filter.is_new(topic, partition as i32, &position) {
                    list.push(position.seq.0);
                } else {
                    ignored += 1;
                }
            }
            list
        })
        .collect();
    (lists, ignored)
}

pub(super) fn all(to: u128) -> Vec<u128> {
    (1..=to).collect()
}

#[tokio::test]
async fn each_fault_alone_loses_and_repeats_nothing() {
    use Fault::{AppendedWith, Cut, Down, Forgotten, Garbage, Hang, OtherProgram, RefusedWith, Swallowed, Throttled};
    let faults = [
        (Swallowed, 0),
        (Cut, 0),
        (Hang, 0),
        (Garbage, 0),
        (AppendedWith(20), 0),
        (AppendedWith(7), 0),
        (AppendedWith(4711), 0),
        (RefusedWith(2), 0),
        (RefusedWith(6), 0),
        (RefusedWith(3), 0),
        (RefusedWith(5), 0),
        (RefusedWith(19), 0),
        (RefusedWith(89), 0),
        (RefusedWith(45), 1),
        (RefusedWith(47), 1),
        (RefusedWith(59), 1),
        (Throttled(50), 0),
        (OtherProgram, 0),
        (Forgotten, 0),
        (Down(Duration::from_millis(500)), 0),
    ];
    for (fault, failures) in faults {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        let task = task_of(&fake, json!({}));
        fake.faults([Fault::Fine, fault.clone()]);
        let result = pump(&task, &table("a"), &[1..=3, 4..=6, 7..=9]).await;
        assert_eq!(read(&fake, "t", 1), (vec![all(9)], 0), "{fault:?}");
        assert_eq!(result.1, failures, "{fault:?}");
    }
}

#[tokio::test]
async fn a_throttled_batch_is_appended_once_and_the_pause_is_made() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    fake.faults([Fault::Throttled(400)]);
    let begin = Instant::now();
    pump(&task, &table("a"), &[1..=1, 2..=2]).await;
    assert!(begin.elapsed() >= Duration::from_millis(400));
    assert_eq!((fake.log("t", 0).len(), fake.produced()), (2, 2));
}

#[tokio::test]
async fn a_fault_that_lasts_fails_the_lane_and_a_new_one_continues() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    fake.faults([Fault::Fine, Fault::Swallowed, Fault::Cut, Fault::Garbage, Fault::Swallowed]);
    let (_, failures) = pump(&task, &table("a"), &[1..=3, 4..=6, 7..=9]).await;
    assert_eq!((read(&fake, "t", 1), failures), ((vec![all(9)], 0), 1));
}

#[tokio::test]
async fn without_producer_ids_nothing_is_sent_twice_on_a_guess() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    fake.refuse_producer_ids([31; 10]);
    let task = task_of(&fake, json!({}));
    fake.faults([Fault::Fine, Fault::Swallowed, Fault::Hang, Fault::RefusedWith(6)]);
    let (_, failures) = pump(&task, &table("a"), &[1..=3, 4..=6, 7..=9, 10..=12]).await;
    // Recovery finds the batch that was appended without an answer.
    assert_eq!((read(&fake, "t", 1), failures), ((vec![all(12)], 0), 3));
}

#[tokio::test]
async fn a_loading_coordinator_is_waited_for() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    fake.refuse_producer_ids([14, 15, 16]);
    let task = task_of(&fake, json!({}));
    assert!(task.producer(&Context::testing("test")).await.unwrap().is_idempotent());
}

#[tokio::test]
async fn a_batch_too_large_is_halved() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    fake.limit_records(3, None);
    let mut sink = sink(&task_of(&fake, json!({})));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    sink.write(&mut rows(&table("a"), 1..=10)).await.unwrap();
    assert_eq!(read(&fake, "t", 1), (vec![all(10)], 0));
}

#[tokio::test]
async fn nothing_goes_behind_a_record_too_large_however_often_it_is_tried() {
    // With small batches, some batches are in flight and some rows are not encoded yet when the refusal comes.
    for bytes in [1_000_000, 1_024] {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        let settings = json!({"compression": "none", "record_batch_bytes": bytes});
        fake.limit_records(3, Some(b"row 5 row 5"));
        let mut receipt = Receipt::default();
        for _ in 0..3 {
            let mut sink = sink(&task_of(&fake, settings.clone()));
            receipt = open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
            let error = write(&mut sink, rows(&table("a"), 1..=40)).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Data, "{error}");
            assert!(error.to_string().contains("p:5") && error.to_string().contains("shop.a"), "{error}");
            assert!(error.to_string().contains(" bytes is too large for topic t, whose max.message.bytes is 4711"), "{error}");
            assert_eq!(error.code(), Some("E_TOO_LARGE"));
            assert_eq!(read(&fake, "t", 1), (vec![all(4)], 0));
        }
        // When the broker accepts the record, the task continues with it.
        fake.limit_records(i32::MAX, None);
        let mut sink = sink(&task_of(&fake, settings));
        open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
        sink.write(&mut rows(&table("a"), 1..=40)).await.unwrap();
        assert_eq!(read(&fake, "t", 1), (vec![all(40)], 0));
    }
}

#[tokio::test]
async fn nothing_goes_behind_what_cannot_be_encoded() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let schema = table("a");
    let mut receipt = Receipt::default();
    for _ in 0..2 {
        let mut sink = sink(&task_of(&fake, json!({})));
        receipt = open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
        let events = [1, 2, -3, 4, -5].into_iter().map(|key: i64| row(&schema, key.unsigned_abs().into(), key));
        let error = write(&mut sink, Batch::new(events.collect(), None, 0)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{error}");
        assert!(error.to_string().contains("p:3") && error.to_string().contains("shop.a"), "{error}");
        assert_eq!(read(&fake, "t", 1), (vec![all(2)], 0));
    }
}

#[tokio::test]
async fn a_refused_record_and_refused_settings_are_distinguished() {
    // The batch is refused, then its first half is accepted and the second half refused.
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    fake.faults([Fault::RefusedWith(87), Fault::Fine, Fault::RefusedWith(87)]);
    let mut refusing = sink(&task);
    open(&mut refusing, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let error = write(&mut refusing, rows(&table("a"), 1..=2)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_RECORD_REFUSED")), "{error}");
    assert!(error.to_string().contains("shop.a"), "{error}");
    assert_eq!(read(&fake, "t", 1), (vec![all(1)], 0));

    for (code, kind) in [(42, Kind::Fatal), (44, Kind::Config), (29, Kind::Config)] {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        let task = task_of(&fake, json!({}));
        fake.faults([Fault::RefusedWith(code)]);
        let mut sink = sink(&task);
        open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
        let error = sink.write(&mut rows(&table("a"), 1..=2)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&code.to_string()), "{error}");
    }
    // A permission that is lost after a success may come back, so the error is retryable.
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    fake.faults([Fault::Fine, Fault::RefusedWith(29)]);
    assert_eq!(pump(&task, &table("a"), &[1..=1, 2..=2]).await.1, 1);
}

#[tokio::test]
async fn a_record_that_is_called_corrupt_twice_is_refused() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let mut sink = sink(&task_of(&fake, json!({})));
    fake.faults([Fault::RefusedWith(2), Fault::RefusedWith(2)]);
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let error = sink.write(&mut rows(&table("a"), 1..=1)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_RECORD_REFUSED")), "{error}");
    assert_eq!(fake.produced(), 2);
}

#[tokio::test]
async fn a_second_process_with_a_copy_of_the_state_is_recognised() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let (one, other) = (task_of(&fake, json!({})), task_of(&fake, json!({})));
    let (mut first, mut second) = (sink(&one), sink(&other));
    for sink in [&mut first, &mut second] {
        open(sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    }
    first.write(&mut rows(&table("a"), 1..=3)).await.unwrap();
    let error = second.write(&mut rows(&table("a"), 1..=3)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Fatal, Some("E_FENCED")), "{error}");
    assert!(error.to_string().contains("a copy of this task's state"), "{error}");
}

#[tokio::test]
async fn many_partitions_on_many_brokers_keep_their_order() {
    let fake = FakeCluster::start(3, &[("t", 7)]).await;
    let task = task_of(&fake, json!({"partition": "primary_key", "record_batch_bytes": 4096}));
    fake.faults([Fault::Fine, Fault::Swallowed, Fault::RefusedWith(6), Fault::Fine, Fault::Hang, Fault::AppendedWith(7), Fault::Cut]);
    let batches: Vec<_> = (0..12).map(|n| n * 100 + 1..=(n + 1) * 100).collect();
    pump(&task, &table("a"), &batches).await;
    let (lists, ignored) = read(&fake, "t", 7);
    assert_eq!(ignored, 0);
    let mut together: Vec<u128> = lists.iter().flatten().copied().collect();
    assert!(lists.iter().all(|list| list.len() > 50 && list.is_sorted()));
    together.sort_unstable();
    assert_eq!(together, all(1200));
}

#[tokio::test]
async fn parallel_snapshot_lanes_share_a_partition() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({"record_batch_bytes": 2048}));
    let schema = table("a");
    let lanes: Vec<_> = (1..=4)
        .map(|number| {
            let (task, schema) = (task.clone(), schema.clone());
            tokio::spawn(async move {
                let mut sink = sink(&task);
                assert!(open(&mut sink, SplitKind::Snapshot, number, &Receipt::default()).await.unwrap().is_empty());
                for n in 0..10 {
                    assert!(write(&mut sink, rows(&schema, n * 30 + 1..=(n + 1) * 30)).await.unwrap().is_empty());
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    let log: Vec<RecordPosition> = fake.log("t", 0).into_iter().map(|(_, position)| position.unwrap()).collect();
    assert_eq!(log.len(), 1200);
    for number in 1..=4 {
        let seqs: Vec<u128> = log.iter().filter(|position| position.split == number).map(|position| position.seq.0).collect();
        // The upper half is the number of the attempt.
        assert_eq!(seqs.iter().map(|seq| seq & u128::from(u64::MAX)).collect::<Vec<_>>(), all(300));
        assert!(seqs.iter().all(|seq| seq >> 64 == seqs[0] >> 64 && seq >> 64 > 0));
    }
    assert!(log.iter().all(|position| position.flags == SNAPSHOT | NOT_EXACT));
}

#[tokio::test]
async fn a_topic_must_be_empty_or_ours() {
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    fake.append("t", 1, &super::protocol::foreign_batch());
    let task = task_of(&fake, json!({}));
    for kind in [SplitKind::Stream, SplitKind::Snapshot] {
        let error = open(&mut sink(&task), kind, 1, &Receipt::default()).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (Some("E_NOT_EMPTY"), Kind::Config), "{error}");
    }
    let findings = check(&task).await;
    assert!(findings.iter().any(|finding| finding.item == "kafka_topic_empty" && finding.level == Level::Failed), "{findings:?}");
    let appending = task_of(&fake, json!({"not_empty": "append"}));
    pump(&appending, &table("a"), &[1..=3]).await;
    assert!(check(&appending).await.iter().all(|finding| finding.level == Level::Passed));

    // Another process of the same run accepts the topic, because the records are its own.
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    pump(&task_of(&fake, json!({})), &table("a"), &[1..=3]).await;
    let restarted = task_of(&fake, json!({}));
    open(&mut sink(&restarted), SplitKind::Snapshot, 9, &Receipt::default()).await.unwrap();
}

#[tokio::test]
async fn a_missing_topic_and_a_missing_broker_are_reported_with_help() {
    let fake = FakeCluster::start(1, &[("other", 1)]).await;
    let task = task_of(&fake, json!({}));
    let error = open(&mut sink(&task), SplitKind::Stream, 1, &Receipt::default()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some("E_NO_TOPIC"), Kind::Config));
    assert!(error.help().unwrap().contains("kafka-topics.sh") && error.help().unwrap().contains("--topic t "), "{error:?}");
    let findings = check(&task).await;
    assert!(findings.iter().any(|finding| finding.item == "kafka_topic" && finding.level == Level::Failed), "{findings:?}");

    let settings = json!({"brokers": ["127.0.0.1:1"], "topic": "t", "format": {"canal_json": {}}});
    let nowhere = task_with(settings, EncoderInfo::default(), timeouts());
    let error = open(&mut sink(&nowhere), SplitKind::Stream, 1, &Receipt::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Retryable);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert_eq!(check(&nowhere).await[0].level, Level::Failed);
}

#[tokio::test]
async fn a_template_finds_topics_that_exist_and_that_come_later() {
    let fake = FakeCluster::start(1, &[("shop.a", 1), ("shop.b", 1), ("unrelated", 1), ("ddl", 1)]).await;
    fake.append("unrelated", 0, &super::protocol::foreign_batch());
    let task = task_of(&fake, json!({"topic": "{database}.{table}", "ddl_topic": "ddl"}));
    let (a, b, c) = (table("a"), table("b"), table("c"));
    let mixed = || Batch::new(vec![row(&a, 1, 1), row(&b, 2, 2), row(&a, 3, 3), event(4, Body::Begin)], None, 0);
    let mut first = sink(&task);
    let baseline = open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    assert!(!baseline.as_str().contains("unrelated"));
    first.write(&mut mixed()).await.unwrap();
    let error = first.write(&mut Batch::new(vec![row(&c, 5, 5)], None, 0)).await.unwrap_err();
    assert_eq!(error.code(), Some("E_NO_TOPIC"));
    fake.create("shop.c", 1);
    let mut change = SchemaChange::new(SchemaChangeKind::Other, "shop", "CREATE TABLE c");
    change.tables.push((c.id.clone(), None));
    let ddl = || Batch::new(vec![event(6, Body::Schema(change.clone()))], None, 0);
    // Everything is written twice, each time from the receipt before the first write. The second time no record is sent.
    for _ in 0..2 {
        let mut again = sink(&task);
        open(&mut again, SplitKind::Stream, 1, &baseline).await.unwrap();
        again.write(&mut mixed()).await.unwrap();
        again.write(&mut Batch::new(vec![row(&c, 5, 5)], None, 0)).await.unwrap();
        again.write(&mut ddl()).await.unwrap();
    }
    for (topic, seqs) in [("shop.a", vec![1, 3]), ("shop.b", vec![2]), ("shop.c", vec![5]), ("ddl", vec![6])] {
        assert_eq!(fake.log(topic, 0).iter().map(|(_, position)| position.unwrap().seq.0).collect::<Vec<_>>(), seqs, "{topic}");
    }
}

pub(super) fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Fine),
        1 => Just(Fault::Swallowed),
        1 => Just(Fault::Cut),
        1 => Just(Fault::Garbage),
        1 => Just(Fault::OtherProgram),
        1 => Just(Fault::Forgotten),
        1 => prop::sample::select(vec![3i16, 6, 7, 13, 20, 56]).prop_map(Fault::AppendedWith),
        1 => prop::sample::select(vec![3i16, 5, 6, 19, 45, 59, 74]).prop_map(Fault::RefusedWith),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // With any faults of the brokers, the rule for repeats gives exactly the sequence. With idempotence the log itself has each record
    // once.
    #[test]
    fn any_mix_of_faults_leaves_exactly_the_sequence(faults in prop::collection::vec(any_fault(), 0..12), plain: bool, partitions in 1usize..4) {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        threads.block_on(async {
            let fake = FakeCluster::start(2, &[("t", partitions)]).await;
            if plain {
                fake.refuse_producer_ids([31; 64]);
            }
            let task = task_of(&fake, json!({"partition": "primary_key", "record_batch_bytes": 1024}));
            fake.faults(faults);
            let batches: Vec<_> = (0..8).map(|n| n * 5 + 1..=(n + 1) * 5).collect();
            pump(&task, &table("a"), &batches).await;
            let (lists, ignored) = read(&fake, "t", partitions);
            assert!(lists.iter().all(|list| list.is_sorted()));
            let mut together: Vec<u128> = lists.into_iter().flatten().collect();
            together.sort_unstable();
            assert_eq!(together, all(40));
            assert_eq!(ignored, 0);
        });
    }
}

#[tokio::test]
async fn rows_that_would_go_elsewhere_than_before_do_not_count_as_delivered() {
    let fake = FakeCluster::start(1, &[("t", 4)]).await;
    let schema = table("orders");
    let (receipt, _) = pump(&task_of(&fake, json!({"partition": "primary_key"})), &schema, &[1..=40]).await;
    for (changed, conflict) in [
        (json!({"partition": "primary_key"}), false),
        (json!({"partition": "primary_key", "compression": "none", "record_batch_bytes": 5000}), false),
        (json!({"partition": "zero"}), true),
        (json!({"partition": "primary_key", "partition_columns": {"shop.orders": ["id"]}}), true),
        (json!({"partition": "primary_key", "ddl_topic": "t"}), true),
    ] {
        let opened = open(&mut sink(&task_of(&fake, changed.clone())), SplitKind::Stream, 1, &receipt).await;
        assert_eq!(opened.is_err_and(|error| error.code() == Some("E_CONFIG_CONFLICT")), conflict, "{changed}");
    }
    // Whether an update is one record or two depends on the record key. So a half of it could count as the whole.
    let keyed = |key: &str| json!({"partition": "primary_key", "record_key": key});
    let (receipt, _) = pump(&task_of(&fake, keyed("primary_key")), &schema, &[1..=2]).await;
    for (settings, named) in [
        (keyed("none"), "`record_key`"),
        (json!({"partition": "zero", "record_key": "primary_key"}), "settings: `partition`"),
        (json!({"topic": "other", "partition": "primary_key", "record_key": "primary_key"}), "settings: `topic`"),
    ] {
        let error = open(&mut sink(&task_of(&fake, settings)), SplitKind::Stream, 1, &receipt).await.unwrap_err();
        assert!(error.code() == Some("E_CONFIG_CONFLICT") && error.message().ends_with(named), "{error}");
    }
    // Rows of a snapshot are never skipped, so with a snapshot the change of settings loses nothing.
    open(&mut sink(&task_of(&fake, json!({"partition": "zero"}))), SplitKind::Snapshot, 2, &receipt).await.unwrap();
}

#[tokio::test]
async fn a_renamed_partition_column_gets_its_new_name_behind_the_old_one() {
    let fake = FakeCluster::start(1, &[("t", 4)]).await;
    let settings = |column: &str| json!({"partition": "primary_key", "partition_columns": {"shop.orders": [column]}});
    let before = table("orders");
    let mut renamed = TableSchema::clone(&before);
    renamed.columns[0].name = "number".to_owned();
    let renamed = Arc::new(renamed);
    let mut first = sink(&task_of(&fake, settings("id")));
    open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let receipt = write(&mut first, rows(&before, 1..=20)).await.unwrap();
    let error = first.write(&mut rows(&renamed, 21..=40)).await.unwrap_err();
    assert!(error.code() == Some("E_NO_COLUMN") && error.help().unwrap().contains("old|new"), "{error}");
    // Another name in its place would send the rows of a replay elsewhere.
    for other in ["number", "number|id"] {
        let error = open(&mut sink(&task_of(&fake, settings(other))), SplitKind::Stream, 1, &receipt).await.unwrap_err();
        assert_eq!(error.code(), Some("E_CONFIG_CONFLICT"), "{other}");
    }
    let mut second = sink(&task_of(&fake, settings("id|number")));
    let receipt = open(&mut second, SplitKind::Stream, 1, &receipt).await.unwrap();
    second.write(&mut rows(&before, 1..=20)).await.unwrap();
    second.write(&mut rows(&renamed, 21..=40)).await.unwrap();
    let (lists, ignored) = read(&fake, "t", 4);
    assert!(lists.iter().all(|list| list.is_sorted() && !list.is_empty()) && ignored == 0);
    let mut together: Vec<u128> = lists.into_iter().flatten().collect();
    together.sort_unstable();
    assert_eq!(together, all(40));
    drop(receipt);
}

#[tokio::test]
async fn a_ddl_statement_without_a_topic_is_delivered_once_it_has_one() {
    let fake = FakeCluster::start(1, &[("a", 1), ("ddl", 1)]).await;
    let (schema, settings) = (table("a"), json!({"topic": "{table}"}));
    let change = SchemaChange::new(SchemaChangeKind::Other, "later", "CREATE DATABASE later");
    let statement = || Batch::new(vec![event(4, Body::Schema(change.clone()))], None, 0);
    let mut first = sink(&task_of(&fake, settings.clone()));
    open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let receipt = write(&mut first, rows(&schema, 1..=3)).await.unwrap();
    let error = first.write(&mut statement()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_NO_DDL_TOPIC")), "{error}");
    assert!(error.to_string().contains("p:4") && error.help().unwrap().contains("ddl_topic"), "{error}");
    let with = json!({"topic": "{table}", "ddl_topic": "ddl"});
    let mut second = sink(&task_of(&fake, with));
    let after = open(&mut second, SplitKind::Stream, 1, &receipt).await.unwrap();
    second.write(&mut rows(&schema, 1..=3)).await.unwrap();
    second.write(&mut statement()).await.unwrap();
    second.write(&mut rows(&schema, 5..=6)).await.unwrap();
    let seqs = |topic: &str| fake.log(topic, 0).iter().map(|(_, position)| position.unwrap().seq.0).collect::<Vec<_>>();
    assert_eq!((seqs("a"), seqs("ddl")), (vec![1, 2, 3, 5, 6], vec![4]));
    // Removing the setting again is refused: the statements in that topic would be missing elsewhere.
    let error = open(&mut sink(&task_of(&fake, settings)), SplitKind::Stream, 1, &after).await.unwrap_err();
    assert_eq!(error.code(), Some("E_CONFIG_CONFLICT"));
}
