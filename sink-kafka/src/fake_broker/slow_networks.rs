//! Tests of patience: a broker that takes a large request slowly is waited for, and what a silent broker has not taken is discarded.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::FakeCluster;
use super::large_requests::write_sizes;
use super::protocol::{Reader, Writer, api_versions, read_frame, write_frame};
use super::scenarios::{task_of, timeouts};
use crate::client::{ClientError, Connection, PartitionRecords, Security, produce};

#[tokio::test]
async fn a_request_that_is_taken_slowly_is_no_failure() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    fake.read_slowly();
    let begin = Instant::now();
    write_sizes(&task_of(&fake, json!({"compression": "none"})), &[6_000_000]).await.unwrap();
    assert_eq!((fake.values("t", 0)[0].len(), fake.produced()), (6_000_000, 1));
    assert!(begin.elapsed() > timeouts().request * 3, "the test needs a slower network: {:?}", begin.elapsed());
}

#[tokio::test]
async fn what_a_silent_broker_has_not_taken_is_discarded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let frame = read_frame(&mut stream, usize::MAX, false).await.unwrap();
        let mut request = Reader::new(&frame);
        let (_, _, correlation) = (request.i16(), request.i16(), request.i32());
        let mut out = Writer::default();
        out.i32(correlation);
        api_versions(&mut out, false);
        assert!(write_frame(&mut stream, &out.0, false).await);
        gone.await.unwrap();
        let (mut taken, mut buffer) = (0, vec![0; 1 << 16]);
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return (taken, None),
                Ok(count) => taken += count,
                Err(error) => return (taken, Some(error.kind())),
            }
        }
    });
    let records = vec![0; 32 << 20];
    let connection = Connection::open(&address, &Arc::new(Security::load(None, None).unwrap()), &timeouts()).await.unwrap();
    let error = produce(&connection, &[PartitionRecords { topic: "t", partition: 0, records: &records }], false).await.unwrap_err();
    assert!(matches!(error, ClientError::RequestTimeout { .. }), "{error}");
    drop(connection);
    tokio::time::sleep(Duration::from_millis(50)).await;
    go.send(()).unwrap();
    let (taken, end) = server.await.unwrap();
    assert!(taken < records.len() && end == Some(ErrorKind::ConnectionReset), "{taken} {end:?}");
}
