//! Measures for the benches: the number of records in a topic, counted with one request, and the CPU time and memory of a process, as the
//! kernel reports them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
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

const LATEST: i64 = -1;
const MAX_RESPONSE_BYTES: usize = 16 << 20;
/// The limit is long because a broker opens the logs of a new topic one after the other.
const LEADERS_LIMIT: Duration = Duration::from_secs(120);

/// Time and memory of one run of the program under test.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// The time from the start of the process to the last record, or to the end of the process if [`finish`] returned this value.
    pub time: Duration,
    /// The time from the start of the process to the first record.
    pub first: Duration,
    /// The CPU time of the process during `time`, user and system.
    pub cpu: Duration,
    /// The peak resident size of the process (VmHWM) in KiB.
    pub peak_kib: u64,
}

impl Measured {
    /// Peak resident size in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }

    fn update(&mut self, task: &Task, start: Instant) {
        // A process that has ended has no figures any more, so the figures that were read last are kept.
        if let Some((cpu, peak_kib)) = task.id().and_then(|id| usage_of(id).ok()) {
            (self.cpu, self.peak_kib) = (cpu, peak_kib);
        }
        self.time = start.elapsed();
    }
}

/// Counts the records of a topic with a single request for all partitions.
pub struct Counter {
    messenger: Messenger<BufStream<TcpStream>>,
    topic: String,
    partitions: i32,
}

impl Counter {
    /// Connects to the broker and waits until it leads all partitions of the topic.
    pub async fn open(broker: &str, topic: &str, partitions: i32) -> Result<Self> {
        let stream = TcpStream::connect(broker).await?;
        stream.set_nodelay(true)?;
        let mut messenger = Messenger::new(BufStream::new(stream), MAX_RESPONSE_BYTES, Arc::from("counter"));
        messenger.sync_versions().await?;
        let counter = Self { messenger, topic: topic.to_owned(), partitions };
        poll(&format!("{partitions} leaders of {topic}"), LEADERS_LIMIT, || async { Ok(counter.records().await.ok()) }).await?;
        Ok(counter)
    }

    /// The sum of the end offsets of all partitions.
    pub async fn records(&self) -> Result<i64> {
        let partition =
            |number| ListOffsetsRequestPartition { partition_index: Int32(number), timestamp: Int64(LATEST), max_num_offsets: None };
        let topic =
            ListOffsetsRequestTopic { name: String_(self.topic.clone()), partitions: (0..self.partitions).map(partition).collect() };
        let request =
            ListOffsetsRequest { replica_id: NORMAL_CONSUMER, isolation_level: Some(IsolationLevel::ReadUncommitted), topics: vec![topic] };
        let response = self.messenger.request(request).await?;
        let mut records = 0;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            match (&partition.error_code, &partition.offset) {
                (None, Some(offset)) => records += offset.0,
                (error, _) => return Failure::err(format!("{}/{}: {error:?}", self.topic, partition.partition_index.0)),
            }
        }
        Ok(records)
    }
}

/// Watches a running task until its topic holds `wanted` more records than `before`. `start` is the time at which the process was
/// started.
pub async fn follow(task: &mut Task, counter: &Counter, before: i64, wanted: i64, start: Instant, limit: Duration) -> Result<Measured> {
    let (mut measured, mut first) = (Measured::default(), None);
    loop {
        // The usage is read before the records are counted, because the program may end by itself before this loop sees its last record.
        measured.update(task, start);
        let count = counter.records().await? - before;
        if count > 0 {
            measured.first = *first.get_or_insert_with(|| start.elapsed());
        }
        if count >= wanted {
            measured.update(task, start);
            return Ok(measured);
        }
        if task.ended()? || start.elapsed() > limit {
            return Failure::err(format!("the program has moved {count} of {wanted} rows and no more:\n{}", task.output()));
        }
        tokio::time::sleep(Duration::from_millis(if first.is_none() { 2 } else { 10 })).await;
    }
}

/// Watches a task until its process ends by itself; fails unless it ends with success.
pub async fn finish(task: &mut Task, mut measured: Measured, start: Instant, limit: Duration) -> Result<Measured> {
    while !task.ended()? {
        measured.update(task, start);
        if start.elapsed() > limit {
            return Failure::err(format!("the program has not ended:\n{}", task.output()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    match task.wait(limit).await? {
        0 => Ok(measured),
        code => Failure::err(format!("the program has ended with exit code {code}:\n{}", task.output())),
    }
}

/// The CPU time (user and system) and the peak memory (in KiB) of a process.
pub fn usage_of(id: u32) -> Result<(Duration, u64)> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(id)?))?;
    let cpu = Duration::from(clock_gettime(clock)?);
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| rest.trim().strip_suffix(" kB"));
    // A process that has ended but was not waited for reports no memory.
    let peak = peak.ok_or_else(|| Failure::new("the process has ended"))?.trim().parse()?;
    Ok((cpu, peak))
}

/// The median of the figures; 0 if there are none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match (figures.get(middle), figures.get(middle.wrapping_sub(1))) {
        (Some(upper), Some(lower)) if figures.len().is_multiple_of(2) => (lower + upper) / 2.0,
        (Some(upper), _) => *upper,
        _ => 0.0,
    }
}

/// A description of the machine.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((median(vec![7.0]), median(Vec::new())), (7.0, 0.0));
    }

    #[test]
    fn this_process_uses_the_cpu_and_memory() {
        let before = usage_of(std::process::id()).unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let after = usage_of(std::process::id()).unwrap();
        assert!(after.0 > before.0 && after.1 > 0, "{before:?} {after:?}");
    }
}
