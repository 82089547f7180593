//! Tests of leader epochs and topic ids: brokers that have not heard of the last election, and topics that are created again.

use std::sync::Arc;

use runtime::{Kind, Receipt, Sink as _, SplitKind};
use serde_json::json;

use super::scenarios::{all, context, open, pump, read, rows, sink, table, task_of, timeouts, write};
use super::{FakeCluster, Fault};
use crate::client::{ErrorCode, ExpectedTopic, Session, TopicPartition, log_ranges};
use crate::delivery::Producer;

/// A producer of a new process. The first of these brokers is asked first.
async fn producer(fake: &FakeCluster, first: usize) -> Arc<Producer> {
    let mut brokers = fake.addresses();
    brokers.rotate_left(first);
    let task = task_of(fake, json!({"brokers": brokers}));
    task.producer(&context(SplitKind::Stream, 1, 1)).await.unwrap()
}

async fn leader(session: &Session, topic: &Arc<str>) -> Option<i32> {
    session.refresh_topics(&[ExpectedTopic::new(topic, 1)]).await.unwrap();
    session.leader(topic, 0)
}

#[tokio::test]
async fn a_stale_leader_with_an_old_epoch_is_not_believed() {
    for is_old in [false, true] {
        let fake = FakeCluster::start(2, &[("t", 1)]).await;
        if is_old {
            fake.support_old_versions();
        }
        pump(&task_of(&fake, json!({})), &table("a"), &[1..=6]).await;
        fake.cut_off(0, 3);
        let (topic, producer) = (Arc::from("t"), producer(&fake, 1).await);
        let (session, partition) = (producer.session(), TopicPartition::new(&topic, 0));
        assert_eq!(leader(session, &topic).await, Some(1));
        // Now the broker that is cut off is asked. It says that it leads. Without epochs its word counts as much as that of the others.
        session.look_again(std::slice::from_ref(&partition)).await.unwrap();
        let ranges = log_ranges(session, std::slice::from_ref(&partition)).await.unwrap();
        let expected = if is_old { (Some(0), 3) } else { (Some(1), 6) };
        assert_eq!((session.leader("t", 0), ranges[0].end), expected, "{is_old}");
    }
}

#[tokio::test]
async fn brokers_compare_the_epoch_with_theirs() {
    use crate::client::{Boundary, Purpose, list_offsets};
    let fake = FakeCluster::start(2, &[("t", 1)]).await;
    pump(&task_of(&fake, json!({})), &table("a"), &[1..=6]).await;
    fake.cut_off(0, 3);
    let (topic, producer) = (Arc::from("t"), producer(&fake, 1).await);
    leader(producer.session(), &topic).await;
    let partition = TopicPartition::new(&topic, 0);
    for (broker, epoch, expected) in
        [(0, Some(1), Err(ErrorCode(75))), (0, Some(0), Ok(3)), (0, None, Ok(3)), (1, Some(1), Ok(6)), (1, Some(0), Err(ErrorCode(74)))]
    {
        let connection = producer.session().connection(broker, Purpose::Read).await.unwrap();
        let answer = list_offsets(&connection, &[(partition.clone(), epoch)], Boundary::HighWatermark).await.unwrap();
        assert_eq!(answer[&partition], expected, "broker {broker}, epoch {epoch:?}");
    }
}

#[tokio::test]
async fn what_a_stale_leader_does_not_have_is_not_written_again() {
    let fake = FakeCluster::start(2, &[("t", 1)]).await;
    let schema = table("a");
    let mut first = sink(&task_of(&fake, json!({})));
    open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let receipt = write(&mut first, rows(&schema, 1..=3)).await.unwrap();
    // The receipt of these records is lost, and the broker that is asked first does not have them.
    first.write(&mut rows(&schema, 4..=6)).await.unwrap();
    fake.cut_off(0, 3);
    let mut second = sink(&task_of(&fake, json!({})));
    open(&mut second, SplitKind::Stream, 1, &receipt).await.unwrap();
    second.write(&mut rows(&schema, 4..=9)).await.unwrap();
    assert_eq!(read(&fake, "t", 1), (vec![all(9)], 0));
}

#[tokio::test]
async fn brokers_without_epochs_and_ids_are_used_as_before() {
    let fake = FakeCluster::start(2, &[("t", 2)]).await;
    fake.support_old_versions();
    let task = task_of(&fake, json!({"partition": "primary_key"}));
    fake.faults([Fault::Fine, Fault::RefusedWith(6), Fault::Swallowed]);
    let (receipt, failures) = pump(&task, &table("a"), &[1..=10, 11..=20]).await;
    open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await.unwrap();
    let (lists, ignored) = read(&fake, "t", 2);
    let mut together: Vec<u128> = lists.into_iter().flatten().collect();
    together.sort_unstable();
    assert_eq!((together, ignored, failures), (all(20), 0, 0));
    let (topic, producer) = (Arc::from("t"), producer(&fake, 0).await);
    leader(producer.session(), &topic).await;
    assert_eq!(producer.session().topic_id("t"), None);
}

#[tokio::test]
async fn a_topic_that_is_created_again_while_the_task_runs_ends_it() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    let mut sink = sink(&task);
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    fake.create("t", 1);
    fake.faults([Fault::RefusedWith(6)]);
    let begin = std::time::Instant::now();
    let error = sink.write(&mut rows(&table("a"), 1..=3)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some("E_TOPIC_CHANGED"), Kind::Fatal), "{error}");
    assert!(error.to_string().contains("deleted and created again"), "{error}");
    assert!(begin.elapsed() > timeouts().propagation / 2, "a broker that has not heard of the old topic: {:?}", begin.elapsed());
    assert_eq!(fake.log("t", 0), []);
}
