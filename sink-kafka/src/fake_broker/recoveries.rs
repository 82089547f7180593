//! Tests of what a lane finds in the log when it opens: busy partitions, deleted evidence, and topics that are not what they were.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::{Kind, Receipt, Sink as _, SplitKind};
use serde_json::json;

use super::FakeCluster;
use super::scenarios::{context, open, open_as, pump, read, rows, sink, table, task_of, timeouts};
use crate::sink::KafkaSink;
use crate::task::Task;

#[tokio::test]
async fn recovery_waits_for_the_watermark_and_works_without_the_true_end() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    let (receipt, _) = pump(&task, &table("a"), &[1..=5]).await;
    fake.lag(3);
    open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await.unwrap();
    fake.hide_end();
    let begin = Instant::now();
    open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await.unwrap();
    assert!(begin.elapsed() >= timeouts().settle);
}

#[tokio::test]
async fn recovery_does_not_wait_for_the_end_of_a_busy_partition() {
    for hides_end in [false, true] {
        let fake = Arc::new(FakeCluster::start(1, &[("t", 1)]).await);
        let task = task_of(&fake, json!({}));
        let (receipt, _) = pump(&task, &table("a"), &[1..=5]).await;
        let writer = tokio::spawn({
            let fake = fake.clone();
            async move {
                loop {
                    fake.append("t", 0, &super::protocol::foreign_batch());
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            }
        });
        if hides_end {
            fake.hide_end();
        } else {
            // The watermark is always one record behind.
            fake.lag(u32::MAX);
        }
        let begin = Instant::now();
        open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await.unwrap();
        assert!(begin.elapsed() < timeouts().settle * 4, "{:?}", begin.elapsed());
        writer.abort();
    }
}

#[tokio::test]
async fn a_topic_that_is_not_what_it_was_is_refused() {
    let schema = table("a");
    let expect = |result: runtime::Result<Receipt>, code: &str| {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.kind()), (Some(code), Kind::Fatal), "{error}");
    };
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    let task = task_of(&fake, json!({}));
    let (receipt, _) = pump(&task, &schema, &[1..=3, 4..=6]).await;

    fake.set_partitions("t", 3);
    assert_eq!(open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await.unwrap(), receipt, "added partitions are not used");
    fake.set_partitions("t", 1);
    expect(open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await, "E_TOPIC_CHANGED");
    fake.set_partitions("t", 2);
    // A process that was started later writes to the topic.
    let mut later = sink(&task);
    let after = open_as(&mut later, SplitKind::Stream, 1, 2, &receipt).await.unwrap();
    later.write(&mut rows(&schema, 7..=7)).await.unwrap();
    expect(open(&mut sink(&task), SplitKind::Stream, 1, &after).await, "E_FENCED");
    fake.truncate("t", 0, 3);
    expect(open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await, "E_SINK_REGRESSED");
    // The topic is created again and is as long as before, but its records are from another program.
    fake.create("t", 2);
    for _ in 0..6 {
        fake.append("t", 0, &super::protocol::foreign_batch());
    }
    expect(open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await, "E_TOPIC_CHANGED");
}

/// Opens a stream of these tables.
async fn open_with(task: &Arc<Task>, tables: &[&str], receipt: &Receipt) -> runtime::Result<KafkaSink> {
    let tables = tables.iter().map(|name| table(name)).collect();
    let mut lane = sink(task);
    lane.open(&context(SplitKind::Stream, 1, 1).with_tables(tables), receipt).await?;
    Ok(lane)
}

#[tokio::test]
async fn topics_of_others_that_match_the_template_are_left_alone() {
    let fake = FakeCluster::start(1, &[("a", 1), ("other", 3)]).await;
    fake.append("other", 2, &super::protocol::foreign_batch());
    let task = || task_of(&fake, json!({"topic": "{table}"}));
    let first = open_with(&task(), &["a", "not_there"], &Receipt::default()).await.unwrap();
    let receipt = first.receipt();
    assert!(receipt.as_str().contains("\"a\":") && !receipt.as_str().contains("other"), "{receipt:?}");
    assert!(fake.created().is_empty());
    // Whatever becomes of the foreign topic, the task continues.
    fake.create("other", 1);
    let mut next = open_with(&task(), &["a"], &receipt).await.unwrap();
    next.write(&mut rows(&table("a"), 1..=3)).await.unwrap();
    // A topic with records is the task's, also if its table is gone.
    let receipt = next.receipt();
    assert_eq!(open_with(&task(), &[], &receipt).await.unwrap().receipt(), receipt);
    fake.create("a", 1);
    let error = open_with(&task(), &[], &receipt).await.err().unwrap();
    assert_eq!(error.code(), Some("E_SINK_REGRESSED"), "{error}");
}

#[tokio::test]
async fn a_topic_that_the_receipt_does_not_name_may_hold_records_of_the_split() {
    let fake = FakeCluster::start(1, &[("a", 1)]).await;
    let task = task_of(&fake, json!({"topic": "{table}"}));
    // The table was created after the checkpoint, so the lane gets to know its topic by the first event.
    let mut first = open_with(&task, &[], &Receipt::default()).await.unwrap();
    let baseline = first.receipt();
    first.write(&mut rows(&table("a"), 1..=3)).await.unwrap();
    for tables in [&[][..], &["a"]] {
        let mut next = open_with(&task, tables, &baseline).await.unwrap();
        next.write(&mut rows(&table("a"), 1..=3)).await.unwrap();
        assert_eq!(fake.log("a", 0).len(), 3, "{tables:?}");
    }
}

#[tokio::test]
async fn records_of_other_programs_are_read_once() {
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    let task = task_of(&fake, json!({"not_empty": "append"}));
    let (receipt, _) = pump(&task, &table("a"), &[1..=3]).await;
    for _ in 0..5 {
        fake.append("t", 1, &super::protocol::foreign_batch());
    }
    let end = fake.log("t", 1).len();
    let after = open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await.unwrap();
    assert!(after.as_str().contains(&format!(",[{end}]]")), "{} {}", receipt.as_str(), after.as_str());
}

#[tokio::test]
async fn deleted_evidence_is_no_obstacle() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    let schema = table("a");
    let (receipt, _) = pump(&task, &schema, &[1..=3]).await;
    let mut lost = sink(&task);
    open(&mut lost, SplitKind::Stream, 1, &receipt).await.unwrap();
    lost.write(&mut rows(&schema, 4..=6)).await.unwrap();
    fake.delete_before("t", 0, 6);
    let mut next = sink(&task);
    open(&mut next, SplitKind::Stream, 1, &receipt).await.unwrap();
    next.write(&mut rows(&schema, 4..=8)).await.unwrap();
    assert_eq!(read(&fake, "t", 1).0, [[4, 5, 6, 7, 8]], "what cannot be proved is sent again");
}
