//! Tests of schema ids with a small fake registry and fake brokers. Authentication, TLS and refusals of real servers are covered by the
//! end-to-end tests.

use runtime::{Batch, Context, Encoder, EncoderInfo, Event, Kind, Message, Receipt, Sink as _, SplitKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::error::Error;
use crate::fake_broker::FakeCluster;
use crate::fake_broker::scenarios::{open, row, table, task_with, timeouts, write};
use crate::settings::tests::config;
use crate::settings::{Format, Settings};
use crate::sink::KafkaSink;
use crate::task::Task;

const SCHEMA: &str = r#"{"type":"record","name":"R","namespace":"x","fields":[{"name":"k","type":"long"}]}"#;

/// A fake registry. It gives the answers in order and repeats the last one. It notes the first line of every request.
struct Registry {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Registry {
    async fn start(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut answers: Vec<(u16, String)> = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut request, mut block) = (Vec::new(), [0; 4096]);
                // A request with a body ends with a brace; a request without a body ends with its header.
                let whole = |request: &[u8]| request.ends_with(if request.starts_with(b"GET") { b"\r\n\r\n" } else { b"}" as &[u8] });
                while !whole(&request) {
                    let count = stream.read(&mut block).await.unwrap();
                    request.extend_from_slice(&block[..count]);
                }
                let line = String::from_utf8_lossy(&request).lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
                noted.lock().unwrap().push(line);
                let (status, body) = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
                let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        Self { url, asked, server }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn cluster(&self, fake: &FakeCluster, topic: &str) -> Arc<Task> {
        let settings =
            json!({"brokers": fake.addresses(), "topic": topic, "format": {"any": {}}, "schema_registry": {"url": self.url.as_str()}});
        task_with(settings, with_schema(SCHEMA), timeouts())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn with_schema(schema: &str) -> EncoderInfo {
    let mut info = EncoderInfo::default();
    info.schema = Some(schema.to_owned());
    info
}

struct Fixed;

impl Encoder for Fixed {
    fn info(&self) -> EncoderInfo {
        with_schema(SCHEMA)
    }

    fn encode(&mut self, _: &Event, out: &mut Message) -> runtime::Result<()> {
        out.value.extend(b"bytes");
        Ok(())
    }
}

fn sink(task: &Arc<Task>) -> KafkaSink {
    KafkaSink::new(task.clone(), Box::new(Fixed))
}

fn one(key: u128, of: &str) -> Batch {
    Batch::new(vec![row(&table(of), key, key as i64)], None, 0)
}

#[test]
fn a_prefix_is_a_zero_byte_and_the_id() {
    assert_eq!(prefix_of(0x0102_0304), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn every_value_begins_with_the_id_and_the_id_is_kept() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let registry = Registry::start(&[(200, r#"{"id":258}"#)]).await;
    let cluster = registry.cluster(&fake, "t");
    let mut first = sink(&cluster);
    let receipt = open(&mut first, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    assert_eq!(registry.asked(), ["POST /subjects/t-value/versions"], "before the first record");
    first.write(&mut one(1, "a")).await.unwrap();
    let after = write(&mut first, one(2, "a")).await.unwrap();
    assert_eq!(fake.values("t", 0), [b"\0\0\0\x01\x02bytes", b"\0\0\0\x01\x02bytes"]);
    for receipt in [&receipt, &after] {
        let hash = identity::identify(SCHEMA).unwrap().hash;
        assert!(receipt.as_str().ends_with(&format!(r#","schemas":{{"258":["{hash}",["t"]]}}}}"#)), "{receipt:?}");
    }
    // The same process knows the id already, so it sends no request.
    open(&mut sink(&cluster), SplitKind::Stream, 1, &after).await.unwrap();
    assert!(registry.asked().is_empty());
}

#[tokio::test]
async fn a_new_process_looks_for_the_id_and_asks_for_no_other() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let registry = Registry::start(&[(200, r#"{"id":5}"#)]).await;
    let receipt = open(&mut sink(&registry.cluster(&fake, "t")), SplitKind::Snapshot, 1, &Receipt::default()).await.unwrap();
    assert!(receipt.as_str().starts_with(r#"{"v":2,"settings":{""#) && receipt.as_str().contains(r#""topics":{}"#), "{receipt:?}");
    let known = json!({"schema": SCHEMA.replace(r#""type":"record","#, "").replace("]}", r#"],"type":"record"}"#)}).to_string();
    let other = json!({"schema": SCHEMA.replace("long", "int")}).to_string();
    let gone = (404, r#"{"error_code":40403,"message":"Schema not found"}"#);
    for (answer, code) in [((200, known.as_str()), None), ((200, other.as_str()), Some("E_SCHEMA_GONE")), (gone, Some("E_SCHEMA_GONE"))] {
        let registry = Registry::start(&[answer]).await;
        let opened = open(&mut sink(&registry.cluster(&fake, "t")), SplitKind::Snapshot, 1, &receipt).await;
        assert_eq!(opened.as_ref().err().and_then(runtime::Error::code), code);
        assert_eq!(opened.err().map(|error| error.kind()), code.map(|_| Kind::Fatal));
        assert_eq!(registry.asked(), ["GET /schemas/ids/5"]);
    }
    // Any other 404 says nothing about the schema. The address is wrong, perhaps only for now, so the task need not start from scratch.
    for answer in [(404, "<html>"), (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#)] {
        let registry = Registry::start(&[answer]).await;
        let error = open(&mut sink(&registry.cluster(&fake, "t")), SplitKind::Snapshot, 1, &receipt).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Retryable, Some("E_REGISTRY")), "{error}");
        assert!(error.help().is_some_and(|help| help.contains("schema_registry.url, its path")), "{error}");
    }
    // The schema of a topic that the task no longer writes to is not checked.
    let fake = FakeCluster::start(1, &[("u", 1)]).await;
    let registry = Registry::start(&[(200, r#"{"id":6}"#)]).await;
    open(&mut sink(&registry.cluster(&fake, "u")), SplitKind::Snapshot, 1, &receipt).await.unwrap();
    assert_eq!(registry.asked(), ["POST /subjects/u-value/versions"]);
}

#[tokio::test]
async fn without_a_receipt_the_id_is_found_in_the_topic() {
    let fake = FakeCluster::start(1, &[("t", 2)]).await;
    let registry = Registry::start(&[(200, r#"{"id":5}"#)]).await;
    let mut first = sink(&registry.cluster(&fake, "t"));
    open(&mut first, SplitKind::Snapshot, 1, &Receipt::default()).await.unwrap();
    first.write(&mut one(1, "a")).await.unwrap();
    // The task is stopped between two splits, so the next split has an empty receipt.
    let known = json!({ "schema": SCHEMA }).to_string();
    let registry = Registry::start(&[(200, &known)]).await;
    let mut second = sink(&registry.cluster(&fake, "t"));
    let receipt = open(&mut second, SplitKind::Stream, 2, &Receipt::default()).await.unwrap();
    assert_eq!(registry.asked(), ["GET /schemas/ids/5"]);
    assert!(receipt.as_str().contains(r#""schemas":{"5":"#), "{receipt:?}");
    second.write(&mut one(2, "a")).await.unwrap();
    assert_eq!(fake.values("t", 0)[1], b"\0\0\0\0\x05bytes");
    let registry = Registry::start(&[(404, r#"{"error_code":40403,"message":"Schema not found"}"#)]).await;
    let error = open(&mut sink(&registry.cluster(&fake, "t")), SplitKind::Snapshot, 3, &Receipt::default()).await.unwrap_err();
    assert_eq!(error.code(), Some("E_SCHEMA_GONE"), "{error}");

    // Without the registry setting the topic would contain records with and without a schema id.
    let settings = json!({"brokers": fake.addresses(), "topic": "t", "format": {"any": {}}});
    let plain = task_with(settings, with_schema(SCHEMA), timeouts());
    let error = open(&mut sink(&plain), SplitKind::Snapshot, 3, &Receipt::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_CONFIG_CONFLICT")), "{error}");
}

#[tokio::test]
async fn parallel_lanes_ask_once_and_topics_of_a_template_when_they_are_used() {
    let fake = FakeCluster::start(1, &[("a", 1), ("b", 1)]).await;
    let registry = Registry::start(&[(200, r#"{"id":5}"#)]).await;
    let cluster = registry.cluster(&fake, "{table}");
    let lanes: Vec<_> = (1..=4)
        .map(|number| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                let mut sink = sink(&cluster);
                assert!(open(&mut sink, SplitKind::Snapshot, number, &Receipt::default()).await.unwrap().is_empty());
                for table in ["a", "b"] {
                    let receipt = write(&mut sink, one(1, table)).await.unwrap();
                    assert!(receipt.as_str().contains(&format!("\"{table}\"]]}}")), "{receipt:?}");
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    let mut asked = registry.asked();
    asked.sort();
    assert_eq!(asked, ["POST /subjects/a-value/versions", "POST /subjects/b-value/versions"]);
}

#[tokio::test]
async fn answers_have_their_classes() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    for (status, body, kind, code) in [
        (401, r#"{"error_code":401,"message":"no"}"#, Kind::Config, "E_REGISTRY_DENIED"),
        (403, "", Kind::Config, "E_REGISTRY_DENIED"),
        (409, r#"{"error_code":409,"message":"no"}"#, Kind::Data, "E_SCHEMA_REFUSED"),
        (422, r#"{"error_code":42201,"message":"no"}"#, Kind::Data, "E_SCHEMA_REFUSED"),
        (429, "", Kind::Retryable, "E_REGISTRY"),
        (503, "<html>", Kind::Retryable, "E_REGISTRY"),
        (404, "<html>", Kind::Config, "E_REGISTRY"),
        (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#, Kind::Config, "E_REGISTRY"),
        (400, r#"{"error_code":400,"message":"no"}"#, Kind::Config, "E_REGISTRY"),
        (200, "<html>", Kind::Config, "E_REGISTRY"),
        (200, "{}", Kind::Config, "E_REGISTRY"),
        (200, r#"{"id":-1}"#, Kind::Config, "E_REGISTRY"),
        (200, r#"{"id":2147483648}"#, Kind::Config, "E_REGISTRY"),
        (200, r#"{"id":1099511627776}"#, Kind::Config, "E_REGISTRY"),
        (200, r#"{"id":"7"}"#, Kind::Config, "E_REGISTRY"),
        (301, "", Kind::Config, "E_REGISTRY"),
    ] {
        let registry = Registry::start(&[(status, body)]).await;
        let error = open(&mut sink(&registry.cluster(&fake, "t")), SplitKind::Stream, 1, &Receipt::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, Some(code)), "{status} {body}: {error}");
        assert!(error.help().is_some());
        assert_eq!(error.to_string().contains("no usable `id`"), body.contains(r#""id":"#), "{body}: {error}");
    }
    assert_eq!(fake.produced(), 0);
}

#[tokio::test]
async fn rows_of_a_table_whose_schema_is_refused_are_rejected() {
    let fake = FakeCluster::start(1, &[("a", 1), ("b", 1)]).await;
    let refusal = (409, r#"{"error_code":409,"message":"no"}"#);
    let registry = Registry::start(&[(200, r#"{"id":5}"#), refusal, refusal, refusal, (200, r#"{"id":6}"#)]).await;
    let mut sink = sink(&registry.cluster(&fake, "{table}"));
    open(&mut sink, SplitKind::Stream, 1, &Receipt::default()).await.unwrap();
    let (a, b) = (table("a"), table("b"));
    // The registry is asked again for each batch.
    for first in [1, 4] {
        let events = vec![row(&a, first, 1), row(&b, first + 1, 2), row(&a, first + 2, 3)];
        let mut batch = Batch::new(events, None, 0);
        sink.write(&mut batch).await.unwrap();
        let rejected = batch.take_rejected();
        let error = &rejected[0].1;
        assert_eq!((rejected.len(), rejected[0].0.seq.0), (1, first + 1));
        assert_eq!((error.code(), error.data_cause()), (Some("E_SCHEMA_REFUSED"), Some(runtime::Cause::SchemaMismatch)), "{error}");
        assert_eq!(error.destination(), Some(("b", None)));
        batch.events = batch.take_postponed();
        assert_eq!(batch.events.len(), 1);
        sink.write(&mut batch).await.unwrap();
        assert!(!batch.has_postponed() && batch.take_rejected().is_empty());
    }
    assert_eq!((fake.log("a", 0).len(), fake.log("b", 0).len()), (4, 0));
}

#[test]
fn a_redirection_is_reported_without_secrets() {
    let settings = json!({"url": "http://registry:8081/api", "user": "alice", "password": "planted-secret"});
    let settings: SchemaRegistry = runtime::Settings::from(settings).parse("schema_registry").unwrap();
    let client = Client::new(&settings, &timeouts()).unwrap();
    for (location, expected) in [
        ("https://alice:planted-secret@other:8443/api/subjects/t-value/versions?token=x#y", Some("https://other:8443/api")),
        ("/v2/subjects/t-value/versions", Some("http://registry:8081/v2")),
        ("https://sign-in/planted-secret", Some("https://sign-in/…")),
        ("ftp://other/", None),
    ] {
        assert_eq!(client.redirected(location, "/api/subjects/t-value/versions").as_deref(), expected, "{location}");
    }
}

/// A server that accepts connections but never answers. Returns its address and the number of connections so far.
async fn mute() -> (String, Arc<std::sync::atomic::AtomicUsize>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
            counted.fetch_add(1, Ordering::AcqRel);
        }
    });
    (url, count, server)
}

#[tokio::test]
async fn an_answer_that_never_ends_is_awaited_once_and_not_for_long() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut request, mut block) = (Vec::new(), [0; 4096]);
        while !request.ends_with(b"}") {
            let count = stream.read(&mut block).await.unwrap();
            request.extend_from_slice(&block[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
        listener.accept().await.unwrap();
    });
    let settings = json!({"brokers": fake.addresses(), "topic": "t", "format": {"any": {}}, "schema_registry": {"url": url}});
    let patient = Timeouts { request: Duration::from_secs(40), patience: Duration::from_secs(1), ..timeouts() };
    let cluster = task_with(settings, with_schema(SCHEMA), patient);
    let asked = Instant::now();
    let error = open(&mut sink(&cluster), SplitKind::Stream, 1, &Receipt::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, Some("E_REGISTRY")), "{error}");
    assert!(error.to_string().contains("within 1 s") && asked.elapsed() < Duration::from_secs(3), "{error}");
    assert!(!server.is_finished(), "asked again");
    server.abort();
}

/// A source that delivers one row and then waits forever.
struct Once;

#[runtime::async_trait]
impl runtime::Source for Once {
    async fn plan(&self, _: &Context, _: &runtime::Committed) -> runtime::Result<runtime::Plan> {
        let mut plan = runtime::Plan::new(runtime::Phase::Stream);
        plan.splits.push(runtime::Split { id: "s".into(), kind: SplitKind::Stream, start: runtime::Position::from("0") });
        Ok(plan)
    }

    async fn open(&self, _: &Context, _: &runtime::Split, _: &runtime::Committed) -> runtime::Result<Box<dyn runtime::SplitReader>> {
        Ok(Box::new(Reader(false)))
    }
}

struct Reader(bool);

#[runtime::async_trait]
impl runtime::SplitReader for Reader {
    async fn next(&mut self) -> runtime::Result<Option<Batch>> {
        if std::mem::replace(&mut self.0, true) {
            std::future::pending::<()>().await;
        }
        Ok(Some(one(1, "t")))
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_registry_that_hangs() {
    // For a fixed topic the request is sent when the lane is opened; for a template, when the first row is written.
    for topic in ["t", "{table}"] {
        let fake = FakeCluster::start(1, &[("t", 1)]).await;
        let (url, count, server) = mute().await;
        let settings = json!({"brokers": fake.addresses(), "topic": topic, "format": {"any": {}}, "schema_registry": {"url": url}});
        let patient = Timeouts { request: Duration::from_secs(40), patience: Duration::from_secs(60), ..timeouts() };
        let cluster = task_with(settings, with_schema(SCHEMA), patient);
        let folder = tempfile::tempdir().unwrap();
        let running = runtime::Pipeline::builder("stop")
            .source(Once)
            .sink(move || Ok(sink(&cluster)))
            .store(runtime::LocalStore::new(folder.path()))
            .build()
            .unwrap()
            .start();
        while count.load(Ordering::Acquire) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        let asked = Instant::now();
        running.stop().await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2), "{topic}: {:?}", asked.elapsed());
        server.abort();
    }
}

#[tokio::test]
async fn a_check_registers_nothing_and_reports_what_would_be() {
    let fake = FakeCluster::start(1, &[("t", 1)]).await;
    let other = json!({"schema": SCHEMA.replace("long", "string"), "id": 3}).to_string();
    let same = json!({"schema": SCHEMA, "id": 3}).to_string();
    let missing = (404, r#"{"error_code":40401,"message":"Subject not found"}"#);
    let (other, same) = ((200, other.as_str()), (200, same.as_str()));
    for (answers, expected) in [
        (vec![missing], Ok("does not exist yet")),
        (vec![same], Ok("has the schema already")),
        (vec![other, (200, r#"{"is_compatible":true}"#)], Ok("accepts the schema")),
        (vec![other, (200, r#"{"is_compatible":false}"#)], Err("E_SCHEMA_REFUSED")),
        (vec![(401, "")], Err("E_REGISTRY_DENIED")),
    ] {
        let registry = Registry::start(&answers).await;
        let cluster = registry.cluster(&fake, "t");
        let found = cluster.schemas.as_ref().unwrap().could_register("t").await;
        match (found, expected) {
            (Ok(found), Ok(part)) => assert!(found.contains(part), "{found}"),
            (Err(error), Err(code)) => assert_eq!(runtime::Error::from(Error::from(error)).code(), Some(code)),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
        let asked = registry.asked();
        assert!(asked.iter().all(|line| line.starts_with("GET ") || line.starts_with("POST /compatibility/")), "{asked:?}");
    }
}

#[test]
fn formats_without_a_schema_are_refused_by_name() {
    for (schema, part) in [(None, "canal_json has no schema"), (Some("{"), "canal_json"), (Some(r#""string""#), "not a record")] {
        let settings = json!({
            "brokers": ["k:1"], "topic": "t", "format": {"canal_json": {}}, "schema_registry": {"url": "http://registry:8081"}
        });
        let mut info = EncoderInfo::default();
        info.schema = schema.map(str::to_owned);
        let settings = Settings::resolve(config(settings), Format { name: "canal_json".into(), info }).unwrap();
        let error = runtime::Error::from(Task::new(settings, timeouts()).err().unwrap());
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains("schema_registry") && error.to_string().contains(part), "{error}");
    }
}
