//! Tests of requests that are larger than a broker accepts. Such a broker ends the connection and says nothing.

use std::sync::Arc;

use runtime::{Batch, Body, Encoder, Event, Kind, Message, Receipt, SplitKind, TableSchema, Value};
use serde_json::json;

use super::scenarios::{open, row, table, task_of, write};
use super::{FakeCluster, Fault};
use crate::sink::KafkaSink;
use crate::task::Task;

/// An encoder for tests: the key is the size of the value in bytes.
struct SizeEncoder;

impl Encoder for SizeEncoder {
    fn encode(&mut self, event: &Event, out: &mut Message) -> runtime::Result<()> {
        if let Body::Row(row) = &event.body
            && let Some(Value::Int(bytes)) = row.newest().map(|image| image.get(0))
        {
            out.value.resize(bytes as usize, b'x');
        }
        Ok(())
    }
}

pub(super) async fn write_sizes(task: &Arc<Task>, sizes: &[usize]) -> runtime::Result<()> {
    let mut sink = KafkaSink::new(task.clone(), Box::new(SizeEncoder));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await?;
    let schema: Arc<TableSchema> = table("a");
    let rows = sizes.iter().zip(1..).map(|(size, seq)| row(&schema, seq, *size as i64));
    write(&mut sink, Batch::new(rows.collect(), None, 0)).await.map(|_| ())
}

fn sizes(fake: &FakeCluster, partition: usize) -> Vec<usize> {
    fake.values("t", partition).iter().map(Vec::len).collect()
}

#[tokio::test]
async fn a_record_above_the_request_limit_is_refused_and_those_before_it_are_delivered() {
    for idempotent in [true, false] {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        if !idempotent {
            fake.refuse_producer_ids([31; 9]);
        }
        fake.limit_requests(200_000, true);
        let task = task_of(&fake, json!({"compression": "none"}));
        let error = write_sizes(&task, &[100, 300_000, 100]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_TOO_LARGE")), "{error}");
        let text = error.to_string();
        assert!(text.contains("socket.request.max.bytes is 200000") && text.contains("shop.a") && text.contains("p:2"), "{text}");
        assert!(error.help().unwrap().contains("socket.request.max.bytes=1048576"), "{error:?}");
        assert_eq!(sizes(&fake, 0), [100]);
    }
}

#[tokio::test]
async fn a_limit_that_may_not_be_read_is_concluded_from_the_ends_of_connections() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    fake.limit_requests(1_500_000, false);
    let error = write_sizes(&task_of(&fake, json!({"compression": "none"})), &[100, 2_000_000, 100]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_TOO_LARGE")), "{error}");
    assert!(error.to_string().contains("ended the connection every time"), "{error}");
    assert_eq!(sizes(&fake, 0), [100]);
    // A smaller request is not the reason, so the error stays retryable.
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    fake.limit_requests(200_000, false);
    let error = write_sizes(&task_of(&fake, json!({"compression": "none"})), &[300_000]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Retryable, "{error}");
}

#[tokio::test]
async fn a_large_record_is_not_refused_because_connections_end() {
    for readable in [true, false] {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        fake.limit_requests(100 << 20, readable);
        fake.faults([Fault::Cut, Fault::Swallowed, Fault::Cut]);
        write_sizes(&task_of(&fake, json!({"compression": "none"})), &[2_000_000]).await.unwrap();
        assert_eq!(sizes(&fake, 0), [2_000_000]);
    }
}

#[tokio::test]
async fn batches_that_are_too_large_together_are_sent_one_by_one() {
    let fake = FakeCluster::start(1, &[("t", 8)]).await;
    fake.limit_requests(200_000, false);
    let task = task_of(&fake, json!({"compression": "none", "partition": "primary_key"}));
    let all: Vec<usize> = (100_000..100_008).collect();
    write_sizes(&task, &all).await.unwrap();
    let mut delivered: Vec<usize> = (0..8).flat_map(|partition| sizes(&fake, partition)).collect();
    delivered.sort_unstable();
    assert_eq!(delivered, all);
}

#[tokio::test]
async fn a_record_that_could_not_be_read_back_is_refused_and_those_before_it_are_delivered() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({"compression": "none", "record_batch_bytes": 1024, "max_batch_bytes": 1_100_000}));
    let error = write_sizes(&task, &[100, 1_200_000, 100]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Data, Some("E_TOO_LARGE")), "{error}");
    assert!(error.to_string().contains("larger than max_batch_bytes, which is 1100000"), "{error}");
    assert!(error.help().unwrap().contains("max_batch_bytes = 2097152"), "{error:?}");
    assert_eq!(sizes(&fake, 0), [100]);
}
