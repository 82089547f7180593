//! A small Kafka cluster for tests. It has real sockets, one log per partition, Kafka's rules for sequence numbers, and faults on request.

mod full_phase;
mod key_moves;
mod keys;
mod large_requests;
mod leader_epochs;
mod letters;
mod messages;
mod networks;
mod protocol;
mod reads;
mod recoveries;
pub(crate) mod scenarios;
mod slow_networks;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::read_batches;
use crate::client::reference::{ReadRecord, read_batch};
use crate::codec::Limits;
use crate::resume::record_header::{HEADER, RecordPosition};
use protocol::{Reader, Writer, read_frame, write_frame};

/// A fault that is applied to the next Produce request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// No fault: the request succeeds.
    Fine,
    /// The batch is appended, but the connection is cut before the answer.
    Swallowed,
    /// The connection is cut before the batch is appended.
    Cut,
    /// The batch is appended, but the answer never comes.
    Hang,
    /// The request is held back on its way: it reaches the broker when [`FakeCluster::release`] is called. The answer never comes.
    Held,
    /// The batch is appended, but the answer is garbage.
    Garbage,
    /// The batch is appended, and the answer contains this error code.
    AppendedWith(i16),
    /// The batch is not appended, and the answer contains this error code.
    RefusedWith(i16),
    /// The batch is appended, and the answer asks for a pause of this many milliseconds.
    Throttled(i32),
    /// Another program writes a record first.
    OtherProgram,
    /// The broker process dies: the request is cut off, and every connection is refused for this time.
    Down(Duration),
    /// The batch is appended, the connection is cut, and the broker forgets the offset. It answers a repeat with code 46,
    /// DUPLICATE_SEQUENCE_NUMBER.
    Forgotten,
    /// The batch is appended, and then the partition gets a new leader. The old leader never answers again.
    Moved,
    /// The batch is appended, but the answer begins with an absurdly large length.
    Endless,
}

/// One batch in a log.
struct Stored {
    base: i64,
    count: i32,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Log {
    batches: Vec<Stored>,
    start: i64,
    end: i64,
    /// The last batches of each producer id: base sequence number, record count, and base offset.
    known: HashMap<i64, VecDeque<(i32, i32, i64)>>,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, Vec<Log>>,
    faults: VecDeque<Fault>,
    /// The error codes of the next answers to InitProducerId; after them the code is 0.
    init_codes: VecDeque<i16>,
    next_producer: i64,
    /// The largest number of records in a batch; a larger batch is refused as too large.
    max_records: Option<i32>,
    /// A batch that contains this text is always refused as too large.
    huge: Option<Vec<u8>>,
    /// Whether ListOffsets requests with replica id −2, which ask for the end of the leader's log, are refused.
    hides_end: bool,
    /// How many more answers report a high watermark below the end of the log.
    lag: u32,
    /// How many more answers to Metadata say that the topics do not exist.
    forgotten: u32,
    /// How many more answers to Metadata leave out the last partition of each topic.
    shortened: u32,
    produced: u32,
    /// The requests that are held back, each with the broker that it goes to.
    held: Vec<(usize, Vec<u8>)>,
    down_until: Option<tokio::time::Instant>,
    /// How many times the leaders have moved to the next broker.
    moved: usize,
    /// The indexes of brokers that accept connections but never answer.
    frozen: Vec<usize>,
    /// A broker that is cut off from the others. It believes that it leads all partitions.
    cut_off: Option<CutOff>,
    /// The ids of the topics; a topic that is created again gets another one.
    ids: BTreeMap<String, u8>,
    next_id: u8,
    /// Whether the brokers support only the versions of requests before leader epochs and topic ids.
    is_old: bool,
    /// How long a connection may be used before the broker cuts it, as brokers do when authentication expires. `None` means no limit.
    lifetime: Option<Duration>,
    /// Whether answers are sent one byte at a time.
    slow: bool,
    /// Whether requests are read slowly.
    reads_slowly: bool,
    /// Whether topics are compacted, so that records without a key are refused.
    compacted: bool,
    /// The topics that clients created, with the requested number of partitions. `create_code` is the error code for further requests to
    /// create a topic; 0 allows them.
    created: Vec<(String, i32)>,
    create_code: i16,
    /// The largest request in bytes, and whether clients may read this limit. On a larger request the connection is cut.
    request_limit: Option<(usize, bool)>,
}

/// A broker that is cut off from the others: the length of its logs, and the leader epoch that it knows.
#[derive(Clone, Copy)]
struct CutOff {
    node: usize,
    end: i64,
    epoch: i32,
}

impl State {
    /// The leader epoch of all partitions by the knowledge of one broker. It rises whenever the leaders move.
    fn epoch(&self, node: usize) -> i32 {
        self.cut_off_as(node).map_or(self.moved as i32, |cut_off| cut_off.epoch)
    }

    fn cut_off_as(&self, node: usize) -> Option<CutOff> {
        self.cut_off.filter(|cut_off| cut_off.node == node)
    }

    /// The error code for a request to a leader with this leader epoch; a negative epoch is not compared.
    fn check_epoch(&self, node: usize, asked: i32) -> i16 {
        match self.epoch(node) {
            known if asked < 0 || asked == known => 0,
            known if asked < known => 74,
            _ => 75,
        }
    }
}

/// The cluster. At the start, the leader of partition n is broker n modulo the number of brokers.
pub(crate) struct FakeCluster {
    state: Arc<Mutex<State>>,
    ports: Vec<u16>,
    servers: Vec<JoinHandle<()>>,
}

impl FakeCluster {
    pub(crate) async fn start(brokers: usize, topics: &[(&str, usize)]) -> Self {
        let topics = topics.iter().map(|(name, count)| ((*name).to_owned(), (0..*count).map(|_| Log::default()).collect())).collect();
        let state = Arc::new(Mutex::new(State { topics, ..State::default() }));
        let mut listeners = Vec::new();
        for _ in 0..brokers {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let servers = listeners
            .into_iter()
            .enumerate()
            .map(|(node, listener)| tokio::spawn(serve(listener, node, ports.clone(), state.clone())))
            .collect();
        Self { state, ports, servers }
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect()
    }

    pub(crate) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    pub(crate) fn refuse_producer_ids(&self, codes: impl IntoIterator<Item = i16>) {
        self.state.lock().unwrap().init_codes.extend(codes);
    }

    pub(crate) fn limit_records(&self, max: i32, huge: Option<&[u8]>) {
        let mut state = self.state.lock().unwrap();
        (state.max_records, state.huge) = (Some(max), huge.map(<[u8]>::to_vec));
    }

    pub(crate) fn hide_end(&self) {
        self.state.lock().unwrap().hides_end = true;
    }

    pub(crate) fn lag(&self, questions: u32) {
        self.state.lock().unwrap().lag = questions;
    }

    /// Makes this many answers to Metadata say that the topics do not exist.
    pub(crate) fn forget_topics(&self, answers: u32) {
        self.state.lock().unwrap().forgotten = answers;
    }

    /// Makes this many answers to Metadata leave out the last partition of each topic.
    pub(crate) fn shorten_topics(&self, answers: u32) {
        self.state.lock().unwrap().shortened = answers;
    }

    /// Cuts a broker off from the others: it believes that it leads all partitions, and that their logs end at `end`. The others have
    /// another leader.
    pub(crate) fn cut_off(&self, node: usize, end: i64) {
        let mut state = self.state.lock().unwrap();
        let epoch = state.epoch(node);
        (state.cut_off, state.moved) = (Some(CutOff { node, end, epoch }), state.moved + 1);
    }

    /// Makes the brokers support only the versions of requests before leader epochs and topic ids.
    pub(crate) fn support_old_versions(&self) {
        self.state.lock().unwrap().is_old = true;
    }

    pub(crate) fn lifetime(&self, lifetime: Duration) {
        self.state.lock().unwrap().lifetime = Some(lifetime);
    }

    pub(crate) fn compact(&self) {
        self.state.lock().unwrap().compacted = true;
    }

    /// Makes the brokers read requests at about 3 MB/s, with small buffers.
    pub(crate) fn read_slowly(&self) {
        self.state.lock().unwrap().reads_slowly = true;
    }

    pub(crate) fn slow(&self) {
        self.state.lock().unwrap().slow = true;
    }

    /// Cuts the connection of a client that sends a larger request. `readable` says whether clients may read the limit.
    pub(crate) fn limit_requests(&self, bytes: usize, readable: bool) {
        self.state.lock().unwrap().request_limit = Some((bytes, readable));
    }

    pub(crate) fn refuse_to_create(&self, code: i16) {
        self.state.lock().unwrap().create_code = code;
    }

    /// The topics that clients created, with the requested number of partitions.
    pub(crate) fn created(&self) -> Vec<(String, i32)> {
        self.state.lock().unwrap().created.clone()
    }

    /// The number of Produce requests so far.
    pub(crate) fn produced(&self) -> u32 {
        self.state.lock().unwrap().produced
    }

    /// Deletes the batches before an offset, as retention does.
    pub(crate) fn delete_before(&self, topic: &str, partition: usize, offset: i64) {
        let mut state = self.state.lock().unwrap();
        let log = &mut state.topics.get_mut(topic).unwrap()[partition];
        log.batches.retain(|batch| batch.base + i64::from(batch.count) > offset);
        log.start = offset;
    }

    /// Removes the batch that begins at an offset, as compaction does. The start and the end of the log stay the same.
    pub(crate) fn remove_batch(&self, topic: &str, partition: usize, base: i64) {
        let mut state = self.state.lock().unwrap();
        state.topics.get_mut(topic).unwrap()[partition].batches.retain(|batch| batch.base != base);
    }

    /// Removes the end of the log from an offset, as an unclean leader election does.
    pub(crate) fn truncate(&self, topic: &str, partition: usize, offset: i64) {
        let mut state = self.state.lock().unwrap();
        let log = &mut state.topics.get_mut(topic).unwrap()[partition];
        log.batches.retain(|batch| batch.base < offset);
        log.end = offset;
        log.known.clear();
    }

    pub(crate) fn set_partitions(&self, topic: &str, count: usize) {
        self.state.lock().unwrap().topics.get_mut(topic).unwrap().resize_with(count, Log::default);
    }

    pub(crate) fn create(&self, topic: &str, count: usize) {
        let mut state = self.state.lock().unwrap();
        state.ids.remove(topic);
        state.topics.insert(topic.into(), (0..count).map(|_| Log::default()).collect());
    }

    /// Appends an encoded record batch directly, as if another process had written it.
    pub(crate) fn append(&self, topic: &str, partition: usize, bytes: &[u8]) {
        append(&mut self.state.lock().unwrap().topics.get_mut(topic).unwrap()[partition], bytes);
    }

    /// The values of the records in a partition, decoded by the protocol library.
    pub(crate) fn values(&self, topic: &str, partition: usize) -> Vec<Vec<u8>> {
        self.records(topic, partition).into_iter().map(|record| record.value.unwrap_or_default()).collect()
    }

    /// The records in a partition, decoded by the protocol library.
    pub(crate) fn records(&self, topic: &str, partition: usize) -> Vec<ReadRecord> {
        let state = self.state.lock().unwrap();
        state.topics[topic][partition].batches.iter().flat_map(|batch| read_batch(&batch.bytes).records).collect()
    }

    /// The offset and the position header of each record in a partition; `None` for a record of another program.
    pub(crate) fn log(&self, topic: &str, partition: usize) -> Vec<(i64, Option<RecordPosition>)> {
        let state = self.state.lock().unwrap();
        let mut list = Vec::new();
        for batch in &state.topics[topic][partition].batches {
            read_batches(&batch.bytes, HEADER, &mut Limits::new(Arc::default()), |offset, head| {
                list.push((offset, head.header.map(|value| RecordPosition::decode(value).unwrap())));
                ControlFlow::Continue(())
            })
            .unwrap();
        }
        list
    }
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

fn append(log: &mut Log, bytes: &[u8]) -> i64 {
    let count = i32::from_be_bytes(bytes[57..61].try_into().unwrap());
    let base = log.end;
    let mut bytes = bytes.to_vec();
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    log.batches.push(Stored { base, count, bytes });
    log.end += i64::from(count);
    base
}

/// Appends a batch by Kafka's rules for producer ids and sequence numbers. Returns the error code and the base offset.
fn accept(log: &mut Log, bytes: &[u8], forget: bool) -> (i16, i64) {
    // Like a broker, first checks that the batch can be read.
    if read_batches(bytes, HEADER, &mut Limits::new(Arc::default()), |_, _| ControlFlow::Continue(())).is_err() {
        return (2, -1);
    }
    let producer = i64::from_be_bytes(bytes[43..51].try_into().unwrap());
    let sequence = i32::from_be_bytes(bytes[53..57].try_into().unwrap());
    let count = i32::from_be_bytes(bytes[57..61].try_into().unwrap());
    if producer < 0 {
        return (0, append(log, bytes));
    }
    let known = log.known.entry(producer).or_default();
    if let Some((_, _, base)) = known.iter().find(|(first, records, _)| (*first, *records) == (sequence, count)) {
        return if *base < 0 { (46, -1) } else { (0, *base) };
    }
    let expected = known.back().map_or(0, |(first, records, _)| first + records);
    if sequence != expected {
        return (45, -1);
    }
    let base = append(log, bytes);
    let known = log.known.entry(producer).or_default();
    known.push_back((sequence, count, if forget { -1 } else { base }));
    if known.len() > 5 {
        known.pop_front();
    }
    (0, base)
}

async fn serve(listener: TcpListener, node: usize, ports: Vec<u16>, state: Arc<Mutex<State>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let down = state.lock().unwrap().down_until.is_some_and(|until| until > tokio::time::Instant::now());
        if !down {
            tokio::spawn(serve_connection(stream, node, ports.clone(), state.clone()));
        }
    }
}

async fn serve_connection(mut stream: TcpStream, node: usize, ports: Vec<u16>, state: Arc<Mutex<State>>) {
    let begin = tokio::time::Instant::now();
    stream.set_nodelay(true).unwrap();
    let reads_slowly = state.lock().unwrap().reads_slowly;
    if reads_slowly {
        socket2::SockRef::from(&stream).set_recv_buffer_size(protocol::SLOW_BYTES).unwrap();
    }
    loop {
        let limit = state.lock().unwrap().request_limit.map_or(usize::MAX, |(limit, _)| limit);
        let Some(frame) = read_frame(&mut stream, limit, reads_slowly).await else { return };
        if state.lock().unwrap().frozen.contains(&node) {
            std::future::pending::<()>().await;
        }
        if state.lock().unwrap().lifetime.is_some_and(|lifetime| begin.elapsed() > lifetime) {
            return;
        }
        let mut request = Reader::new(&frame);
        let (key, version, correlation) = (request.i16(), request.i16(), request.i32());
        request.string();
        let mut out = Writer::default();
        out.i32(correlation);
        match (key, version) {
            (18, 3) => protocol::api_versions(&mut out, state.lock().unwrap().is_old),
            (3, 4 | 12) => reads::metadata(&mut request, &mut out, version, node, &ports, &mut state.lock().unwrap()),
            (19, 4) => create_topics(&mut request, &mut out, &mut state.lock().unwrap()),
            (32, 1) => {
                let state = state.lock().unwrap();
                let limit = state.request_limit.map_or(Some(100 << 20), |(limit, readable)| readable.then_some(limit));
                protocol::describe_config(&mut request, &mut out, state.compacted, limit);
            }
            (22, 1) => init_producer_id(&mut out, &mut state.lock().unwrap()),
            (2, 3 | 5) => reads::list_offsets(&mut request, &mut out, version, node, &mut state.lock().unwrap()),
            (1, 4 | 10) => reads::fetch(&mut request, &mut out, version, node, &state.lock().unwrap()),
            (0, 7) => {
                let fault = {
                    let mut state = state.lock().unwrap();
                    state.produced += 1;
                    state.faults.pop_front().unwrap_or(Fault::Fine)
                };
                if let Fault::Down(time) = fault {
                    state.lock().unwrap().down_until = Some(tokio::time::Instant::now() + time);
                    return;
                }
                if matches!(fault, Fault::Cut) {
                    return;
                }
                if matches!(fault, Fault::Held) {
                    state.lock().unwrap().held.push((node, frame));
                    std::future::pending::<()>().await;
                    return;
                }
                produce(&mut request, &mut out, &fault, (node, ports.len()), &mut state.lock().unwrap());
                match fault {
                    Fault::Swallowed | Fault::Forgotten => return,
                    Fault::Moved => {
                        {
                            let mut state = state.lock().unwrap();
                            state.moved += 1;
                            state.frozen.push(node);
                        }
                        std::future::pending::<()>().await;
                    }
                    Fault::Endless => {
                        use tokio::io::AsyncWriteExt as _;
                        stream.write_all(&[0x7f, 0xff, 0xff, 0xff, 1, 2, 3]).await.unwrap();
                        std::future::pending::<()>().await;
                    }
                    Fault::Hang => std::future::pending::<()>().await,
                    Fault::Garbage => {
                        out = Writer::default();
                        out.i32(correlation);
                        out.i32(i32::MAX);
                        out.i32(-7);
                    }
                    _ => {}
                }
            }
            other => panic!("unexpected request {other:?}"),
        }
        let slow = state.lock().unwrap().slow;
        if !write_frame(&mut stream, &out.0, slow).await {
            return;
        }
        if state.lock().unwrap().down_until.is_some_and(|until| until > tokio::time::Instant::now()) {
            return;
        }
    }
}

fn create_topics(request: &mut Reader<'_>, out: &mut Writer, state: &mut State) {
    out.i32(0);
    let count = request.i32();
    out.i32(count);
    let mut topics = Vec::new();
    for _ in 0..count {
        let (name, partitions, _) = (request.string().unwrap(), request.i32(), request.i16());
        assert_eq!(request.i32(), 0, "no assignments");
        for _ in 0..request.i32() {
            request.string();
            request.string();
        }
        topics.push((name, partitions));
    }
    request.i32();
    let validate_only = request.bool();
    for (name, partitions) in topics {
        let code = if state.topics.contains_key(&name) { 36 } else { state.create_code };
        out.string(Some(&name));
        out.i16(code);
        out.string(Some("the broker's own text").filter(|_| code != 0));
        if code == 0 && !validate_only {
            state.created.push((name.clone(), partitions));
            state.topics.insert(name, (0..partitions.max(1)).map(|_| Log::default()).collect());
        }
    }
}

fn init_producer_id(out: &mut Writer, state: &mut State) {
    let code = state.init_codes.pop_front().unwrap_or(0);
    out.i32(0);
    out.i16(code);
    state.next_producer += 1;
    out.i64(if code == 0 { state.next_producer } else { -1 });
    out.i16(0);
}

fn produce(request: &mut Reader<'_>, out: &mut Writer, fault: &Fault, (node, nodes): (usize, usize), state: &mut State) {
    request.string();
    assert_eq!(request.i16(), -1, "all replicas must be asked for");
    request.i32();
    let topics = request.i32();
    out.i32(topics);
    for _ in 0..topics {
        let name = request.string().unwrap();
        out.string(Some(&name));
        let partitions = request.i32();
        out.i32(partitions);
        for _ in 0..partitions {
            let partition = request.i32() as usize;
            let bytes = request.bytes();
            let count = i32::from_be_bytes(bytes[57..61].try_into().unwrap());
            let is_huge = state.huge.as_ref().is_some_and(|huge| bytes.windows(huge.len()).any(|window| window == huge));
            let too_large = state.max_records.is_some_and(|max| count > max) || is_huge;
            let leads = (partition + state.moved) % nodes == node;
            let log = &mut state.topics.get_mut(&name).unwrap()[partition];
            let (code, base) = match fault {
                _ if !leads => (6, -1),
                _ if too_large => (10, -1),
                _ if state.compacted && read_batch(bytes).records.iter().any(|record| record.key.is_none()) => (87, -1),
                Fault::RefusedWith(code) => (*code, -1),
                Fault::AppendedWith(code) => {
                    accept(log, bytes, false);
                    (*code, -1)
                }
                Fault::OtherProgram => {
                    append(log, &protocol::foreign_batch());
                    accept(log, bytes, false)
                }
                Fault::Forgotten => accept(log, bytes, true),
                _ => accept(log, bytes, false),
            };
            out.i32(partition as i32);
            out.i16(code);
            out.i64(base);
            out.i64(-1);
            out.i64(0);
        }
    }
    out.i32(if let Fault::Throttled(ms) = fault { *ms } else { 0 });
}
