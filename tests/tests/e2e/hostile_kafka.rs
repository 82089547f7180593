//! False brokers and false registries, and records that somebody else has written. Whatever they send, the program ends with an error, in
//! time, and with little memory.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::Result;
use tests::measure::usage_of;

use super::hostile::{MOST_KIB, run};
use super::refusals::small;

/// The longest that the program may take: 60 s for which it looks again, and the time-outs of the requests.
const LIMIT: Duration = Duration::from_secs(110);

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;
const INIT_PRODUCER_ID: i16 = 22;
const DESCRIBE_CONFIGS: i16 = 32;
const SASL_AUTHENTICATE: i16 = 36;

/// A request to a broker.
struct Request {
    key: i16,
    /// The port of the broker.
    port: u16,
    /// What follows the header.
    body: Vec<u8>,
}

/// What a false broker sends.
enum Reply {
    /// An answer with this body.
    Body(Vec<u8>),
    /// These bytes, which need not be an answer.
    Bytes(Vec<u8>),
    /// These bytes again and again, for as long as the client takes them.
    Endless(Vec<u8>),
    Nothing,
}

/// A broker with the topic `t` of one partition with one record, whose answers can be replaced.
struct FalseBroker {
    port: u16,
}

impl FalseBroker {
    /// `versions` are the greatest supported versions that differ from the usual ones. `replace` returns `None` for the regular answer.
    fn start(versions: &[(i16, i16)], replace: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (versions, replace) = (versions.to_vec(), Arc::new(replace));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (versions, replace) = (versions.clone(), replace.clone());
                // An error is the end of the connection.
                std::thread::spawn(move || serve(stream, port, &versions, &*replace));
            }
        });
        Ok(Self { port })
    }
}

fn serve(mut stream: TcpStream, port: u16, versions: &[(i16, i16)], replace: &dyn Fn(&Request) -> Option<Reply>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame)?;
        let (key, id) = (i16::from_be_bytes([frame[0], frame[1]]), i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]));
        let client = i16::from_be_bytes([frame[8], frame[9]]).max(0) as usize;
        let request = Request { key, port, body: frame.split_off(10 + client) };
        match replace(&request).unwrap_or_else(|| Reply::Body(regular(&request, versions))) {
            Reply::Body(body) => stream.write_all(&framed(id, &body))?,
            Reply::Bytes(bytes) => stream.write_all(&bytes)?,
            Reply::Endless(bytes) => {
                let end = Instant::now() + LIMIT;
                while Instant::now() < end {
                    stream.write_all(&bytes)?;
                }
            }
            Reply::Nothing => {}
        }
    }
}

fn framed(id: i32, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 4).to_be_bytes()[..], &id.to_be_bytes(), body].concat()
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes(), text].concat()
}

/// The answers of a broker that does what it should.
fn regular(request: &Request, versions: &[(i16, i16)]) -> Vec<u8> {
    match request.key {
        API_VERSIONS => {
            let usual = [
                (PRODUCE, 3, 7),
                (FETCH, 4, 4),
                (LIST_OFFSETS, 1, 1),
                (METADATA, 4, 4),
                (SASL_HANDSHAKE, 1, 1),
                (API_VERSIONS, 0, 3),
                (CREATE_TOPICS, 2, 4),
                (INIT_PRODUCER_ID, 0, 1),
                (DESCRIBE_CONFIGS, 1, 1),
                (SASL_AUTHENTICATE, 0, 1),
            ];
            let mut body = vec![0, 0, usual.len() as u8 + 1];
            for (key, least, most) in usual {
                let most = versions.iter().find(|(of, _)| *of == key).map_or(most, |(_, most)| *most);
                for number in [key, least, most] {
                    body.extend(number.to_be_bytes());
                }
                body.push(0);
            }
            [body, vec![0; 5]].concat()
        }
        METADATA => metadata(&broker(0, b"127.0.0.1", request.port), 1, &topic_metadata(b"t"), 1),
        INIT_PRODUCER_ID => [&[0; 6][..], &7i64.to_be_bytes(), &[0, 0]].concat(),
        // The request ends with the timestamp: −2 asks for the first offset.
        LIST_OFFSETS => {
            let offset = if request.body.ends_with(&(-2i64).to_be_bytes()) { 0i64 } else { 1 };
            partition(&[&[0; 6][..], &[0xff; 8], &offset.to_be_bytes()].concat())
        }
        FETCH => fetched(&[]),
        PRODUCE => [partition(&[&[0; 6][..], &[0; 24]].concat()), vec![0; 4]].concat(),
        SASL_HANDSHAKE => [&[0, 0, 0, 0, 0, 1][..], &text(b"SCRAM-SHA-256")].concat(),
        CREATE_TOPICS | DESCRIBE_CONFIGS => vec![0; 8],
        _ => Vec::new(),
    }
}

/// A list of the topic `t` with one partition, of which these are the fields.
fn partition(fields: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 1][..], &text(b"t"), &[0, 0, 0, 1], fields].concat()
}

fn broker(id: i32, host: &[u8], port: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &text(host), &i32::from(port).to_be_bytes(), &[0xff, 0xff]].concat()
}

fn topic_metadata(name: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &text(name), &[0, 0, 0, 0, 1], &[0; 18]].concat()
}

/// An answer to Metadata, version 4.
fn metadata(brokers: &[u8], broker_count: u32, topics: &[u8], topic_count: u32) -> Vec<u8> {
    [&[0; 4][..], &broker_count.to_be_bytes(), brokers, &[0xff, 0xff, 0, 0, 0, 0], &topic_count.to_be_bytes(), topics].concat()
}

/// An answer to Fetch, version 4, with these records of the partition.
fn fetched(records: &[u8]) -> Vec<u8> {
    let (watermark, length) = (1i64.to_be_bytes(), (records.len() as u32).to_be_bytes());
    let fields = [&[0; 6][..], &watermark, &watermark, &[0xff; 4], &length, records].concat();
    [&[0; 4][..], &partition(&fields)].concat()
}

/// A record batch with this payload. Its checksum is right.
fn batch(compression: u8, payload: &[u8]) -> Vec<u8> {
    let mut batch = vec![0; 61];
    batch[16] = 2;
    batch[22] = compression;
    batch[43..57].fill(0xff);
    batch[60] = 1;
    batch.extend_from_slice(payload);
    sink_kafka::fuzzing::fix_batch(&mut batch);
    batch
}

/// zstd blocks that repeat a zero 128 KiB times, in 4 bytes each. The last one is marked.
fn zeros(blocks: usize) -> Vec<u8> {
    let block = |number| [&((128u32 << 13) | 2 | u32::from(number == blocks)).to_le_bytes()[..3], &[0]].concat();
    (1..=blocks).flat_map(block).collect()
}

/// A zstd frame of the start of a record that says that it is far longer than all that follows.
fn bomb(blocks: usize) -> Vec<u8> {
    let start = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3][..], &[(start.len() as u8) << 3, 0, 0], &start, &zeros(blocks)].concat()
}

/// A zstd frame of one record with a key of almost 1 GiB.
fn large_record() -> Vec<u8> {
    const BLOCKS: usize = 8_000;
    // Behind the key come a value and headers of no length, two bytes of zeros.
    let key = BLOCKS * (128 << 10) - 2;
    let start = [varint(key + 10), vec![0; 3], varint(key)].concat();
    assert_eq!(start.len(), 13);
    let mut frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3][..], &[(start.len() as u8) << 3, 0, 0], &start].concat();
    frame.extend(zeros(BLOCKS));
    frame
}

fn varint(number: usize) -> Vec<u8> {
    let (mut left, mut bytes) = (number * 2, Vec::new());
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

/// Runs a command of the program with this section of the sink. Returns what it says.
async fn ends(command: &str, port: u16, sink: &str, source: &str) -> Result<String> {
    let configuration = format!(
        "[source.polardbx]\n{source}\n[sink.kafka]\nbrokers = [\"127.0.0.1:{port}\"]\ntopic = \"t\"\n{sink}\n[retry]\nwindow_seconds = 1"
    );
    let (status, said) = run(command, &configuration, LIMIT).await?;
    assert!(matches!(status.code(), Some(1..=4)), "{status}:\n{said}");
    assert!(said.lines().count() < 60, "{said}");
    Ok(said)
}

const CANAL: &str = "format.canal_json = {}";
/// A source that cannot be reached. A check looks at the sink nevertheless.
const NO_SOURCE: &str = "host = \"127.0.0.1\"\nport = 1\nuser = \"dts\"\npassword = \"planted-secret\"\ntables = [\"d.*\"]";

async fn check(broker: &FalseBroker, sink: &str) -> Result<String> {
    ends("check", broker.port, sink, NO_SOURCE).await
}

/// The bytes of the answer to one kind of request.
fn instead(key: i16, reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> impl Fn(&Request) -> Option<Reply> + Send + Sync {
    move |request: &Request| (request.key == key).then(|| reply(request))
}

#[tokio::test]
async fn a_false_broker_that_does_what_it_should_is_believed() -> Result<()> {
    let broker = FalseBroker::start(&[], |_| None)?;
    let said = check(&broker, CANAL).await?;
    assert!(said.contains("kafka_idempotence"), "{said}");
    Ok(())
}

#[tokio::test]
async fn nothing_is_allocated_for_what_was_not_asked_for() -> Result<()> {
    // Answers of absurd length, at the first request and after the login.
    for key in [API_VERSIONS, METADATA, INIT_PRODUCER_ID, LIST_OFFSETS, FETCH, DESCRIBE_CONFIGS] {
        let broker = FalseBroker::start(&[], instead(key, |_| Reply::Bytes([0x7f, 0xff, 0xff, 0xff].to_vec())))?;
        let said = check(&broker, CANAL).await?;
        assert!(key == DESCRIBE_CONFIGS || said.contains("2147483647"), "{key}: {said}");
    }
    // Answers to requests that were not made, at once and instead of an answer.
    for (key, id) in [(API_VERSIONS, 4711), (METADATA, 4711), (FETCH, -1)] {
        let unasked: Vec<u8> = framed(id, &[]).repeat(10_000);
        let broker = FalseBroker::start(&[], instead(key, move |_| Reply::Endless(unasked.clone())))?;
        let said = check(&broker, CANAL).await?;
        assert!(said.contains("requests that were not made"), "{said}");
    }
    // Topics and partitions that nobody has asked for, as many as an answer may have.
    let topics = [&[0; 9].repeat(400_000)[..], &topic_metadata(b"t")].concat();
    let broker = FalseBroker::start(&[], move |request| {
        let about_a_topic = request.key == METADATA && request.body.windows(3).any(|part| part == b"\0\x01t");
        about_a_topic.then(|| Reply::Body(metadata(&broker(0, b"127.0.0.1", request.port), 1, &topics, 400_001)))
    })?;
    let said = check(&broker, CANAL).await?;
    assert!(said.contains("kafka_idempotence"), "{said}");
    let name = text(&vec![b'n'; 32_000]);
    let count = 400_000u32;
    let one = [&[0; 22][..], &[0xff; 8]].concat();
    let head = [&[0; 4][..], &[0, 0, 0, 1], &name, &count.to_be_bytes()].concat();
    let answer = [head, one.repeat(count as usize)].concat();
    let broker = FalseBroker::start(&[], instead(FETCH, move |_| Reply::Body(answer.clone())))?;
    check(&broker, CANAL).await?;
    Ok(())
}

#[tokio::test]
async fn a_cluster_of_absurd_size_is_refused() -> Result<()> {
    let brokers: Vec<u8> = (0..20_000).flat_map(|id| broker(id, b"127.0.0.1", 1)).collect();
    let answer = metadata(&brokers, 20_000, &[], 0);
    let broker = FalseBroker::start(&[], instead(METADATA, move |_| Reply::Body(answer.clone())))?;
    let said = check(&broker, CANAL).await?;
    assert!(said.contains("FAILED   kafka_brokers"), "{said}");
    // Tagged fields of no length.
    let tags = [&[0xff, 0xff, 0xff, 0x7f][..], &vec![0; 500_000]].concat();
    let broker = FalseBroker::start(&[(METADATA, 12)], instead(METADATA, move |_| Reply::Body(tags.clone())))?;
    check(&broker, CANAL).await?;
    Ok(())
}

#[tokio::test]
async fn records_that_expand_without_end_are_refused() -> Result<()> {
    for (compression, payload, what) in [
        (4, bomb(250_000), "more than 1 GiB"),
        // A zstd window of 64 MiB; a piece of Snappy of 128 MiB.
        (4, vec![0x28, 0xb5, 0x2f, 0xfd, 0, 16 << 3, 1, 0, 0], "at offset 0"),
        (2, vec![0x80, 0x80, 0x80, 0x40], "a piece is too long"),
        (3, vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0xff, 0x7f], "at offset 0"),
        (1, vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1], "at offset 0"),
        (0, vec![0xff; 100_000], "at offset 0"),
    ] {
        let answer = fetched(&batch(compression, &payload));
        let broker = FalseBroker::start(&[], instead(FETCH, move |_| Reply::Body(answer.clone())))?;
        let said = check(&broker, CANAL).await?;
        assert!(said.contains("t/0") && said.contains(what), "{what}: {said}");
    }
    // A batch that is as long as one may be, and one that is longer.
    for (megabytes, what) in [(15, "at offset 0"), (17, "max_batch_bytes")] {
        let answer = fetched(&batch(0, &vec![0xff; megabytes << 20]));
        let broker = FalseBroker::start(&[], instead(FETCH, move |_| Reply::Body(answer.clone())))?;
        let said = check(&broker, CANAL).await?;
        assert!(said.contains(what), "{what}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_proof_is_not_given_for_the_asking() -> Result<()> {
    let sasl = "sasl = { mechanism = \"scram_sha_256\", user = \"alice\", password = \"planted-secret\" }";
    for (salt, rounds, what) in
        [("c2FsdA==", 1, "asks for 1 hash rounds"), ("", 4096, "without a salt"), ("c2FsdA==", 4_000_000_000u32, "absurd")]
    {
        let broker = FalseBroker::start(
            &[],
            instead(SASL_AUTHENTICATE, move |request| {
                let sent = String::from_utf8_lossy(&request.body).into_owned();
                let nonce = sent.split("r=").nth(1).unwrap_or_default();
                let message = format!("r={nonce}x,s={salt},i={rounds}");
                Reply::Body([&[0, 0, 0xff, 0xff][..], &(message.len() as u32).to_be_bytes(), message.as_bytes(), &[0; 8]].concat())
            }),
        )?;
        let said = check(&broker, &format!("{CANAL}\n{sasl}")).await?;
        assert!(said.contains(what) && !said.contains("planted-secret"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_password_that_anybody_can_read_is_a_warning() -> Result<()> {
    let broker = FalseBroker::start(&[], |request| match request.key {
        SASL_HANDSHAKE => Some(Reply::Body([&[0, 0, 0, 0, 0, 1][..], &text(b"PLAIN")].concat())),
        SASL_AUTHENTICATE => Some(Reply::Body([&[0, 0, 0xff, 0xff][..], &[0; 12]].concat())),
        _ => None,
    })?;
    let said =
        check(&broker, &format!("{CANAL}\nsasl = {{ mechanism = \"plain\", user = \"bob\", password = \"planted-secret\" }}")).await?;
    assert!(said.contains("kafka_password") && said.contains("can be read by anybody"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_waited_for_as_long_as_documented() -> Result<()> {
    for key in [API_VERSIONS, METADATA, FETCH] {
        let broker = FalseBroker::start(&[], instead(key, |_| Reply::Nothing))?;
        check(&broker, CANAL).await?;
    }
    Ok(())
}

/// A registry that answers every request with these bytes.
fn false_registry(answer: Vec<u8>, endless: bool) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let end = Instant::now() + LIMIT;
                while stream.write_all(&answer).is_ok() && endless && Instant::now() < end {}
            });
        }
    });
    Ok(url)
}

fn http(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_false_registry_gets_little_memory() -> Result<()> {
    let fields = vec![r#"{"name":"f","type":"X"}"#; 4_000].join(",");
    let record = |space: usize| format!(r#"{{"type":"record","name":"R","namespace":"{}","fields":[{fields}]}}"#, "n".repeat(space));
    let of = |schema: &str| http(&serde_json::json!({"id": 1, "schema": schema}).to_string());
    let objects = format!("[{}0]", r#"{"a":0},"#.repeat(120_000));
    let nested = r#"{"type":"array","items":"#.repeat(10_000);
    let chunk = [&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat();
    let chunked = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunk.repeat(64)].concat();
    for (answer, endless) in [
        (of(&record(700_000)), false),
        (of(&objects), false),
        (of(&nested), false),
        (http(&objects), false),
        (http(&"[".repeat(900_000)), false),
        (http(&" ".repeat(5 << 20)), false),
        (chunked, true),
        (b"HTTP/1.1 200 OK\r\nX: ".to_vec(), true),
        (b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), true),
    ] {
        let (broker, url) = (FalseBroker::start(&[], |_| None)?, false_registry(answer, endless)?);
        let said = check(&broker, &format!("format.dts_avro = {{}}\nschema_registry = {{ url = {url:?} }}")).await?;
        assert!(said.contains("schema_registry"), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_stops_at_once_while_records_expand() -> Result<()> {
    let mut case = small("hostile_records").await?;
    // Batches of one record behind the range that is read, so that reading does not end with the first one.
    let mut large = batch(4, &large_record());
    large[7] = 9;
    let (answer, asked) = (fetched(&large.repeat(60)), Arc::new(AtomicBool::new(false)));
    let is_asked = asked.clone();
    let broker = FalseBroker::start(
        &[],
        instead(FETCH, move |_| {
            asked.store(true, Ordering::Relaxed);
            Reply::Body(answer.clone())
        }),
    )?;
    case.settings.brokers = vec![format!("127.0.0.1:{}", broker.port)];
    case.settings.topic = "t".to_owned();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let started = Instant::now();
    while !is_asked.load(Ordering::Relaxed) {
        case.task.must_run()?;
        assert!(started.elapsed() < LIMIT, "{}", case.task.output());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    case.task.must_run()?;
    let (_, kib) = usage_of(case.task.id().unwrap_or_default())?;
    assert!(kib <= MOST_KIB, "{kib} KiB");
    let stopped = Instant::now();
    case.task.stop().await?;
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
    Ok(())
}
