//! What benches measure: the size of topics by one request, and a process's processor time and memory by the kernel's figures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rskafka::messenger::Messenger;
use rskafka::protocol::messages::{
    IsolationLevel, ListOffsetsRequest, ListOffsetsRequestPartition, ListOffsetsRequestTopic, NORMAL_CONSUMER,
};
use rskafka::protocol::primitives::{Int32, Int64, String_};
use tokio::io::BufStream;
use tokio::net::TcpStream;

use crate::harness::poll;
use crate::program::Task;
use crate::{Failure, Result};

/// The unit of processor times in `/proc`, fixed at 1/100 s for programs.
const TICK: Duration = Duration::from_millis(10);
const LATEST: i64 = -1;
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// A broker opens the logs of a new topic one after the other.
const LEADERS_LIMIT: Duration = Duration::from_secs(120);

/// What was seen of a program that moved rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// From the start of the process to the last record.
    pub time: Duration,
    /// From the start of the process to the first record.
    pub first: Duration,
    /// Processor time of the process, user and system, until the last record.
    pub cpu: Duration,
    /// Its greatest resident size (VmHWM).
    pub peak_kib: u64,
}

impl Measured {
    /// The greatest resident size in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }
}

/// Counts the records of one topic, all partitions in one request.
pub struct Counter {
    messenger: Messenger<BufStream<TcpStream>>,
    topic: String,
    partitions: i32,
}

impl Counter {
    /// Connects to the broker that leads all partitions of the topic, and waits until it does.
    pub async fn open(broker: &str, topic: &str, partitions: i32) -> Result<Self> {
        let stream = TcpStream::connect(broker).await?;
        stream.set_nodelay(true)?;
        let mut messenger = Messenger::new(BufStream::new(stream), MAX_ANSWER_BYTES, Arc::from("counter"));
        messenger.sync_versions().await?;
        let counter = Self { messenger, topic: topic.to_owned(), partitions };
        poll(&format!("{partitions} leaders of {topic}"), LEADERS_LIMIT, || async { Ok(counter.records().await.ok()) }).await?;
        Ok(counter)
    }

    /// The sum of the ends of all partitions.
    pub async fn records(&self) -> Result<i64> {
        let partition =
            |number| ListOffsetsRequestPartition { partition_index: Int32(number), timestamp: Int64(LATEST), max_num_offsets: None };
        let topic =
            ListOffsetsRequestTopic { name: String_(self.topic.clone()), partitions: (0..self.partitions).map(partition).collect() };
        let request =
            ListOffsetsRequest { replica_id: NORMAL_CONSUMER, isolation_level: Some(IsolationLevel::ReadUncommitted), topics: vec![topic] };
        let answer = self.messenger.request(request).await?;
        let mut records = 0;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            match (&partition.error_code, &partition.offset) {
                (None, Some(offset)) => records += offset.0,
                (error, _) => return Failure::err(format!("{}/{}: {error:?}", self.topic, partition.partition_index.0)),
            }
        }
        Ok(records)
    }
}

/// Looks at the topic until it holds `wanted` records more than `before`; `start` is when the program was started.
pub async fn follow(task: &mut Task, counter: &Counter, before: i64, wanted: i64, start: Instant, limit: Duration) -> Result<Measured> {
    let mut first = None;
    // A full phase ends by itself, perhaps before its last record is seen here: then the figures of the last look stand.
    let mut usage = (Duration::ZERO, 0);
    loop {
        if let Some(found) = task.id().and_then(|id| usage_of(id).ok()) {
            usage = found;
        }
        let count = counter.records().await? - before;
        if count > 0 {
            first.get_or_insert(start.elapsed());
        }
        if count >= wanted {
            let (cpu, peak_kib) = task.id().and_then(|id| usage_of(id).ok()).unwrap_or(usage);
            return Ok(Measured { time: start.elapsed(), first: first.unwrap_or_default(), cpu, peak_kib });
        }
        if task.ended()? || start.elapsed() > limit {
            return Failure::err(format!("the program has moved {count} of {wanted} rows and no more:\n{}", task.output()));
        }
        tokio::time::sleep(Duration::from_millis(if first.is_none() { 2 } else { 10 })).await;
    }
}

/// Processor time and peak memory (KiB) of a process.
pub fn usage_of(id: u32) -> Result<(Duration, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The second field is the name in parentheses; user and system time are the 12th and 13th after it.
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u32 = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| rest.trim().strip_suffix(" kB"));
    // A process that has ended but was not waited for has no memory any more.
    let peak = peak.ok_or_else(|| Failure::new("the process has ended"))?.trim().parse()?;
    Ok((TICK * ticks, peak))
}

/// The machine, in words.
pub fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (model, memory) = (field(&read("/proc/cpuinfo"), "model name"), field(&read("/proc/meminfo"), "MemTotal"));
    format!("Machine: {model}, {cores} cores, {memory} memory; database, Kafka 4.1.0 and the program share it, over loopback.")
}
