//! Tests of the evidence of the full phase: topics that are not what they were when another lane wrote to them, settings that were changed,
//! and records that come late.

use std::sync::Arc;

use runtime::{Batch, Context, Kind, Level, Position, Receipt, Sink as _, SplitKind};
use serde_json::json;

use super::protocol::{Reader, Writer};
use super::scenarios::{RUN, context, open, row, sink, table, task_of, write};
use super::{FakeCluster, Fault, produce};
use crate::resume::record_header::{RepeatFilter, SNAPSHOT};
use crate::sink::KafkaSink;
use crate::task::Task;

impl FakeCluster {
    /// Lets the requests through that were held back.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock().unwrap();
        for (node, frame) in std::mem::take(&mut state.held) {
            let mut request = Reader::new(&frame);
            let _ = (request.i16(), request.i16(), request.i32());
            request.string();
            produce(&mut request, &mut Writer::default(), &Fault::Fine, (node, self.ports.len()), &mut state);
        }
    }
}

/// Rows of the full phase; the key of each equals its number.
fn rows(keys: std::ops::RangeInclusive<i64>) -> Batch {
    let schema = table("a");
    Batch::new(keys.map(|key| row(&schema, key as u128, key)).collect(), Some(Position::from("r")), 0)
}

/// Delivers one chunk of the full phase, and returns the evidence.
async fn chunk(task: &Arc<Task>, number: u32, keys: std::ops::RangeInclusive<i64>) -> Receipt {
    let mut lane = sink(task);
    open(&mut lane, SplitKind::Snapshot, number, &Receipt::default()).await.unwrap();
    assert_eq!(write(&mut lane, rows(keys)).await.unwrap(), Receipt::default());
    lane.evidence().unwrap()
}

/// Opens a lane in a process that was started later.
async fn open_later(task: &Arc<Task>, kind: SplitKind, evidence: &Receipt) -> runtime::Result<KafkaSink> {
    let mut lane = sink(task);
    lane.open(&context(kind, 9, 2).with_evidence(evidence.clone()), &Receipt::default()).await?;
    Ok(lane)
}

#[tokio::test]
async fn a_later_process_proves_what_finished_chunks_have_written() {
    for kind in [SplitKind::Snapshot, SplitKind::Stream] {
        for (what, code) in [
            ("nothing", None),
            ("truncated", Some("E_SINK_REGRESSED")),
            ("remade", Some("E_TOPIC_CHANGED")),
            ("foreign", Some("E_TOPIC_CHANGED")),
            ("fewer", Some("E_TOPIC_CHANGED")),
            ("retention", None),
        ] {
            let fake = FakeCluster::start(1, &[("t", 2)]).await;
            let first = task_of(&fake, json!({}));
            chunk(&first, 1, 1..=5).await;
            let evidence = chunk(&first, 2, 6..=9).await;
            match what {
                "truncated" => fake.truncate("t", 0, 5),
                "remade" => fake.create("t", 2),
                "fewer" => fake.set_partitions("t", 1),
                "retention" => fake.delete_before("t", 0, 9),
                "foreign" => {
                    fake.create("t", 2);
                    (0..12).for_each(|_| fake.append("t", 0, &super::protocol::foreign_batch()));
                }
                _ => {}
            }
            let settings = if what == "foreign" { json!({"not_empty": "append"}) } else { json!({}) };
            let opened = open_later(&task_of(&fake, settings), kind, &evidence).await;
            let found = opened.err().map(|error| (error.kind(), error.code()));
            assert_eq!(found, code.map(|code| (Kind::Fatal, Some(code))), "{what} {kind:?}");
        }
    }
}

#[tokio::test]
async fn the_contract_of_evidence_is_kept() {
    for remade in [false, true] {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        let make = || -> runtime::Result<Box<dyn runtime::Sink>> { Ok(Box::new(sink(&task_of(&fake, json!({}))))) };
        let lose = || async { if remade { fake.create("t", 1) } else { fake.truncate("t", 0, 0) } };
        runtime::testing::evidence_contract(make, lose).await;
    }
}

#[tokio::test]
async fn a_check_knows_whose_records_a_topic_holds() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let evidence = chunk(&task_of(&fake, json!({})), 1, 1..=5).await;
    let level = async |context: &Context, item: &str| {
        let findings = sink(&task_of(&fake, json!({}))).check(context).await;
        findings.into_iter().find(|finding| finding.item == item).map(|finding| finding.level)
    };
    let unknown = Context::testing("test");
    let (new, continued) = (unknown.with_run(0), unknown.with_run(RUN).with_evidence(evidence));
    for (context, expected) in [(&unknown, Level::Warning), (&new, Level::Failed), (&continued, Level::Passed)] {
        assert_eq!(level(context, "kafka_topic_empty").await, Some(expected), "{:?}", context.run());
    }
    assert_eq!((level(&new, "kafka_delivered").await, level(&continued, "kafka_delivered").await), (None, Some(Level::Passed)));
    fake.truncate("t", 0, 2);
    assert_eq!(level(&continued, "kafka_delivered").await, Some(Level::Failed));
}

#[tokio::test]
async fn a_check_names_what_a_task_cannot_continue_with() {
    for streams in [false, true] {
        let fake = FakeCluster::start(1, &[("t", 2)]).await;
        let task = task_of(&fake, json!({}));
        let evidence = chunk(&task, 1, 1..=5).await;
        let mut context = Context::testing("test").with_run(RUN).with_evidence(evidence.clone());
        if streams {
            let mut stream = sink(&task);
            stream.open(&super::scenarios::context(SplitKind::Stream, 2, 1).with_evidence(evidence), &Receipt::default()).await.unwrap();
            let receipt = write(&mut stream, Batch::new(vec![row(&table("a"), 1 << 7, 2)], Some(Position::from("r")), 0)).await.unwrap();
            context = context.with_receipts(vec![receipt]);
        }
        let check = async |settings: serde_json::Value, context: &Context, item: &str| {
            let findings = sink(&task_of(&fake, settings)).check(context).await;
            findings.into_iter().filter(|finding| finding.item == item).max_by_key(|finding| finding.level).unwrap()
        };
        for (settings, named) in [
            (json!({"partition": "primary_key"}), "`partition`"),
            (json!({"format": {"dts_avro": {}}}), "the format"),
            (json!({"key_change": "keep", "topic": "{table}", "ddl_topic": "t"}), "`topic`"),
        ] {
            let found = check(settings, &context, "kafka_settings").await;
            assert!(found.level == Level::Failed && found.what.contains(named), "{found:?}");
        }
        let found = check(json!({}), &context.with_transforms("x"), "kafka_settings").await;
        assert!(found.level == Level::Failed && found.what.contains(": the transforms ["), "{found:?}");
        // What a record is may change once the stream has written.
        let found = check(json!({"format": {"canal_json": {"rows": "event"}}}), &context, "kafka_settings").await;
        assert_eq!(found.level, if streams { Level::Passed } else { Level::Failed });
        assert_eq!(check(json!({}), &context, "kafka_topic").await.level, Level::Passed);
        fake.set_partitions("t", 3);
        assert_eq!(check(json!({}), &context, "kafka_topic").await.level, Level::Warning);
        fake.delete_before("t", 0, 2);
        // Retention may remove rows of the full phase once it is over.
        let expected = if streams { Level::Passed } else { Level::Warning };
        assert_eq!(check(json!({}), &context, "kafka_delivered").await.level, expected);
        fake.truncate("t", 0, if streams { 5 } else { 4 });
        assert_eq!(check(json!({}), &context, "kafka_delivered").await.level, Level::Failed);
        fake.create("t", 1);
        let found = check(json!({}), &context, "kafka_delivered").await;
        assert!(found.level == Level::Failed && found.what.contains("it has 1 partitions, and had 2"), "{found:?}");
    }
}

#[tokio::test]
async fn a_compacted_topic_is_named_once() {
    let fake = FakeCluster::start(1, &[("shop.ddl", 1), ("shop.a", 1)]).await;
    fake.compact();
    let task = task_of(&fake, json!({"topic": "{database}.{table}", "ddl_topic": "shop.ddl"}));
    let findings = sink(&task).check(&Context::testing("test")).await;
    let named: Vec<_> = findings.iter().filter(|finding| finding.item == "kafka_compaction").map(|finding| &finding.what).collect();
    assert_eq!(named.iter().filter(|what| what.contains("topic shop.ddl ")).count(), 1, "{named:?}");
    assert_eq!(named.len(), 2, "{named:?}");
}

#[tokio::test]
async fn the_stream_proves_the_full_phase_of_the_same_process() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    chunk(&task, 1, 1..=5).await;
    fake.create("t", 1);
    let error = open(&mut sink(&task), SplitKind::Stream, 2, &Receipt::default()).await.unwrap_err();
    assert_eq!(error.code(), Some("E_TOPIC_CHANGED"), "{error}");
}

#[tokio::test]
async fn settings_that_decide_records_cannot_change_within_a_full_phase() {
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    let evidence = chunk(&task_of(&fake, json!({})), 1, 1..=5).await;
    for (settings, refused) in [
        (json!({}), false),
        (json!({"compression": "none"}), false),
        (json!({"partition": "primary_key"}), true),
        (json!({"topic": "{table}"}), true),
        (json!({"record_key": "table"}), true),
        (json!({"format": {"canal_json": {"rows": "event"}}}), true),
        (json!({"format": {"dts_avro": {}}}), true),
    ] {
        for kind in [SplitKind::Snapshot, SplitKind::Stream] {
            let opened = open_later(&task_of(&fake, settings.clone()), kind, &evidence).await;
            let found = opened.err().map(|error| (error.kind(), error.code()));
            assert_eq!(found, refused.then_some((Kind::Config, Some("E_CONFIG_CONFLICT"))), "{settings}");
        }
    }
    let changed = context(SplitKind::Snapshot, 9, 2).with_evidence(evidence).with_transforms("rename");
    let error = sink(&task_of(&fake, json!({}))).open(&changed, &Receipt::default()).await.unwrap_err();
    assert!(error.message().contains("the transforms"), "{error}");
}

#[tokio::test]
async fn partitions_that_are_added_within_a_full_phase_are_not_used() {
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    let settings = json!({"partition": "primary_key"});
    let evidence = chunk(&task_of(&fake, settings.clone()), 1, 1..=30).await;
    fake.set_partitions("t", 5);
    let mut lane = open_later(&task_of(&fake, settings), SplitKind::Snapshot, &evidence).await.unwrap();
    lane.write(&mut rows(31..=60)).await.unwrap();
    assert!((2..5).all(|partition| fake.log("t", partition).is_empty()));
}

#[tokio::test]
async fn a_row_of_the_full_phase_that_comes_late_is_ignored() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    // Without a producer id the brokers cannot recognise the late request.
    fake.refuse_producer_ids(std::iter::repeat_n(31, 20));
    let task = task_of(&fake, json!({}));
    let mut lane = sink(&task);
    open(&mut lane, SplitKind::Snapshot, 1, &Receipt::default()).await.unwrap();
    fake.faults([Fault::Held]);
    assert_eq!(lane.write(&mut rows(1..=3)).await.unwrap_err().kind(), Kind::Retryable);
    drop(lane);
    let evidence = chunk(&task, 1, 1..=3).await;
    let mut stream = sink(&task);
    stream.open(&context(SplitKind::Stream, 2, 1).with_evidence(evidence), &Receipt::default()).await.unwrap();
    stream.write(&mut Batch::new(vec![row(&table("a"), 1 << 7, 2)], Some(Position::from("r")), 0)).await.unwrap();
    fake.release();
    let log = fake.log("t", 0);
    assert_eq!(log.len(), 7, "three rows, the change, and three late rows");
    let mut filter = RepeatFilter::default();
    let read: Vec<_> = log.iter().filter(|(_, position)| filter.is_new("t", 0, &position.unwrap())).map(|(offset, _)| *offset).collect();
    assert_eq!(read, [0, 1, 2, 3]);
    // The header tells which attempt a row of the full phase is from.
    let attempts: Vec<_> = log.iter().map(|(_, position)| position.unwrap()).filter(|position| position.flags & SNAPSHOT != 0).collect();
    assert_eq!(attempts.iter().map(|position| position.seq.0 >> 64).collect::<Vec<_>>(), [2, 2, 2, 1, 1, 1]);
}
