//! Tests of failures of whole brokers and networks: new leaders, expired authentication, answers of one byte at a time, other servers on
//! the port, and missing topics.

use std::time::{Duration, Instant};

use runtime::{EncoderInfo, Kind, Receipt, Sink as _, SplitKind};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::scenarios::{all, open, pump, read, rows, sink, table, task_of, task_with, timeouts};
use super::{FakeCluster, Fault};
use crate::client::Timeouts;
use crate::task::Task;

#[tokio::test]
async fn a_leader_that_hangs_is_left_when_another_one_is_elected() {
    let fake = FakeCluster::start(3, &[("t", 1)]).await;
    // As with the default time-outs, a request may take far longer than it takes to ask the other brokers for the leader.
    let timeouts = Timeouts { request: Duration::from_secs(60), ..timeouts() };
    let settings = json!({"brokers": fake.addresses(), "topic": "t", "format": {"canal_json": {}}});
    let task = task_with(settings, EncoderInfo::default(), timeouts);
    fake.faults([Fault::Fine, Fault::Moved]);
    let begin = Instant::now();
    let (_, failures) = pump(&task, &table("a"), &[1..=3, 4..=6, 7..=9]).await;
    assert_eq!((read(&fake, "t", 1), failures), ((vec![all(9)], 0), 0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn the_length_of_an_answer_is_checked_before_memory_is_allocated() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    fake.faults([Fault::Fine, Fault::Endless]);
    let begin = Instant::now();
    let (_, failures) = pump(&task, &table("a"), &[1..=3, 4..=6]).await;
    assert_eq!((read(&fake, "t", 1), failures), ((vec![all(6)], 0), 0));
    assert!(begin.elapsed() < timeouts().request * 5, "it was not waited for: {:?}", begin.elapsed());
}

#[tokio::test]
async fn connections_that_are_cut_while_nothing_happens_are_no_failure() {
    let fake = FakeCluster::start(2, &[("t", 3)]).await;
    let task = task_of(&fake, json!({"partition": "primary_key"}));
    fake.lifetime(Duration::from_millis(40));
    let schema = table("a");
    let mut sink = sink(&task);
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    for n in 0..10 {
        // The pauses get longer, so some writes find an expired connection and others do not.
        tokio::time::sleep(Duration::from_millis(n * 15)).await;
        sink.write(&mut rows(&schema, u128::from(n) * 10 + 1..=u128::from(n + 1) * 10)).await.unwrap();
    }
    let (lists, ignored) = read(&fake, "t", 3);
    let mut together: Vec<u128> = lists.into_iter().flatten().collect();
    together.sort_unstable();
    assert_eq!((together, ignored), (all(100), 0), "nothing is lost or in the log twice");
}

#[tokio::test]
async fn answers_of_one_byte_at_a_time_are_answers() {
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    fake.slow();
    let task = task_of(&fake, json!({"compression": "lz4"}));
    let (receipt, failures) = pump(&task, &table("a"), &[1..=20, 21..=40]).await;
    assert_eq!((read(&fake, "t", 2).0[0].clone(), failures), (all(40), 0));
    open(&mut sink(&task), SplitKind::Stream, 1, &receipt).await.unwrap();
}

/// Starts a server that sends `bytes` to every client; if `polite`, only after the client has sent something. Returns its address.
async fn other_server(bytes: &'static [u8], polite: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if polite {
                    let _ = stream.read(&mut [0; 64]).await;
                }
                let _ = stream.write_all(bytes).await;
                let _ = stream.read(&mut [0; 4096]).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_is_not_a_broker_is_named_at_once() {
    for (bytes, polite, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..], true, "HTTP"),
        (b"\x4a\0\0\0\x0a5.7.22-log\0", false, "MySQL"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", false, "SSH-"),
        (b"\x15\x03\x01\0\x02\x02\x46", true, "TLS"),
        (b"\x7f\xff\xff\xffgarbage", true, "2147483647"),
        (b"\0\0\0\x04\0\0\0\x63", true, "requests that were not made"),
        (b"\0\0\0\x02\0\0", true, "an answer of 2 bytes"),
    ] {
        let address = other_server(bytes, polite).await;
        let settings = json!({"brokers": [address], "topic": "t", "format": {"canal_json": {}}});
        let task = task_with(settings, EncoderInfo::default(), timeouts());
        let begin = Instant::now();
        let error = open(&mut sink(&task), SplitKind::Stream, 1, &Receipt::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_PORT")), "{error}");
        assert!(error.to_string().contains(expected) && error.to_string().contains(&address), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }
    // No answer does not show what the server is. It may be a broker that is starting, so the error is retryable.
    let address = other_server(b"", true).await;
    let settings = json!({"brokers": [address], "topic": "t", "format": {"canal_json": {}}});
    let task = task_with(settings, EncoderInfo::default(), timeouts());
    let begin = Instant::now();
    let error = open(&mut sink(&task), SplitKind::Stream, 1, &Receipt::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Retryable, "{error}");
    assert!(error.to_string().contains(&address), "{error}");
    assert!(begin.elapsed() < timeouts().connect * 4, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn brokers_that_are_gone_or_silent_keep_nobody_waiting() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut brokers = vec!["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()];
    brokers.extend(fake.addresses());
    let settings = json!({"brokers": brokers, "topic": "t", "format": {"canal_json": {}}});
    let task = task_with(settings, EncoderInfo::default(), Timeouts { connect: Duration::from_secs(60), ..timeouts() });
    let begin = Instant::now();
    pump(&task, &table("a"), &[1..=3]).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_broker_at_an_address_of_six_is_found() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let (here, there) = (listener.local_addr().unwrap(), fake.addresses()[0].clone());
    tokio::spawn(async move {
        while let Ok((mut one, _)) = listener.accept().await {
            let mut other = tokio::net::TcpStream::connect(&there).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut one, &mut other).await });
        }
    });
    let task = task_of(&fake, json!({"brokers": [here.to_string()]}));
    pump(&task, &table("a"), &[1..=3]).await;
    assert_eq!(read(&fake, "t", 1).0, [all(3)]);
}

#[tokio::test]
async fn missing_topics_are_created_once_by_any_number_of_lanes() {
    let fake = FakeCluster::start(2, &[]).await;
    let task = task_of(&fake, json!({"topic": "{table}", "create_topics": {"enabled": true, "partitions": 4}}));
    let lanes: Vec<_> = (1..=4)
        .map(|number| {
            let task = task.clone();
            tokio::spawn(async move {
                let mut sink = sink(&task);
                open(&mut sink, SplitKind::Snapshot, number, &Receipt::default()).await.unwrap();
                sink.write(&mut rows(&table("a"), 1..=10)).await.unwrap();
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    assert_eq!(fake.created(), [("a".to_owned(), 4)]);

    fake.refuse_to_create(44);
    let error = sink_error(&task).await;
    assert_eq!((error.kind(), error.code()), (Kind::Retryable, Some("E_NOT_CREATED")), "it worked before: {error}");
    assert_eq!(error.cause().as_deref(), Some("the broker's own text"));
    let fresh = task_of(&fake, json!({"topic": "{table}", "create_topics": {"enabled": true}}));
    let error = sink_error(&fresh).await;
    assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_NOT_CREATED")), "{error}");
}

async fn sink_error(task: &std::sync::Arc<Task>) -> runtime::Error {
    let mut sink = sink(task);
    open(&mut sink, SplitKind::Snapshot, 9, &Receipt::default()).await.unwrap();
    sink.write(&mut rows(&table("b"), 1..=10)).await.unwrap_err()
}

#[tokio::test]
async fn many_open_batches_are_sent_before_they_fill_the_memory() {
    let fake = FakeCluster::start(2, &[("t", 200)]).await;
    let task = task_of(&fake, json!({"partition": "primary_key", "compression": "none"}));
    let mut sink = sink(&task);
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    // The rows take about 150 bytes each. Together they are three times as large as the limit for open batches, but the batch of each
    // partition stays below its own limit.
    sink.write(&mut rows(&table("a"), 1..=150_000)).await.unwrap();
    assert!(fake.produced() >= 6, "{}", fake.produced());
    let (lists, ignored) = read(&fake, "t", 200);
    assert!(lists.iter().all(|list| list.is_sorted()));
    assert_eq!((lists.iter().map(Vec::len).sum::<usize>(), ignored), (150_000, 0));
}

#[tokio::test]
async fn a_broker_that_does_not_know_a_topic_is_asked_again() {
    let schema = table("a");
    for (settings, topic) in [(json!({}), "t"), (json!({"topic": "{table}"}), "a")] {
        let fake = FakeCluster::start(2, &[(topic, 2)]).await;
        let task = task_of(&fake, settings.clone());
        let (mut receipt, failures) = pump(&task, &schema, &[1..=3]).await;
        assert_eq!(failures, 0);
        // While a batch is sent again.
        let mut sink = sink(&task);
        open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
        for (next, forgotten, shortened) in [(4, 1, 0), (7, 4, 0), (10, 0, 1)] {
            fake.faults([Fault::RefusedWith(6)]);
            fake.forget_topics(forgotten);
            fake.shorten_topics(shortened);
            sink.write(&mut rows(&schema, next..=next + 2)).await.unwrap();
            receipt = sink.receipt();
        }
        // When a lane opens, also in a new process.
        for (forgotten, shortened) in [(1, 0), (4, 0), (0, 1), (0, 4)] {
            for task in [&task, &task_of(&fake, settings.clone())] {
                fake.forget_topics(forgotten);
                fake.shorten_topics(shortened);
                open(&mut self::sink(task), SplitKind::Stream, 1, &receipt).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_topic_that_is_gone_ends_the_task_and_one_that_never_was_is_reported_at_once() {
    let fake = FakeCluster::start(3, &[("t", 1)]).await;
    let task = task_of(&fake, json!({}));
    let (receipt, _) = pump(&task, &table("a"), &[1..=3]).await;
    fake.forget_topics(u32::MAX);
    for task in [&task, &task_of(&fake, json!({}))] {
        let begin = Instant::now();
        let error = open(&mut sink(task), SplitKind::Stream, 1, &receipt).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (Some("E_TOPIC_CHANGED"), Kind::Fatal), "{error}");
        assert!(begin.elapsed() > timeouts().propagation / 2, "{:?}", begin.elapsed());
    }
    let begin = Instant::now();
    let error = open(&mut sink(&task_of(&fake, json!({}))), SplitKind::Stream, 1, &Receipt::default()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some("E_NO_TOPIC"), Kind::Config), "{error}");
    assert!(begin.elapsed() < timeouts().propagation / 2, "{:?}", begin.elapsed());
    // One broker that knows the topic is enough.
    fake.forget_topics(3);
    open(&mut sink(&task_of(&fake, json!({}))), SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_is_cut_off_from_the_others_is_not_believed() {
    let fake = FakeCluster::start(2, &[("t", 1)]).await;
    let (receipt, _) = pump(&task_of(&fake, json!({})), &table("a"), &[1..=3, 4..=6]).await;
    fake.cut_off(0, 3);
    // The cut off broker is asked first.
    let task = task_of(&fake, json!({}));
    let mut sink = sink(&task);
    open(&mut sink, SplitKind::Stream, 1, &receipt).await.unwrap();
    sink.write(&mut rows(&table("a"), 4..=9)).await.unwrap();
    assert_eq!(read(&fake, "t", 1), (vec![all(9)], 0));
}
