//! A session: connections to the brokers, the map of leaders, one producer id, and a writer's state for every partition.
//!
//! A session is sound until something happened whose outcome is unknown; then it is condemned, every lane on it fails, and the next
//! `open` begins a new session with new connections and a new producer id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rskafka::protocol::messages::MetadataResponse;
use tokio::time::{Instant, sleep};

use crate::client::{self, Connection, InitProducerIdRequest, PartitionRecords, Security, Timeouts, WireError};
use crate::config::Compression;
use crate::delivery::record_batch::Producer;
use crate::error::{Error, code_name};
use crate::task::{Cluster, Memory};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a connection is for: a broker works on one request of a connection at a time, so a look never waits behind data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Data,
    Look,
}

/// A permission that is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Missing<'a> {
    /// To look at a topic and write to it.
    Topic(&'a str),
    /// To make a topic.
    Create(&'a str),
    /// To write with idempotence, before Kafka 2.8.
    Idempotence,
}

/// State of the writer of one partition. Whoever holds the lock is the only one that sends to the partition.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Sequence number of the next record of this session.
    pub(crate) next_sequence: i32,
    /// The offset that the next batch must get if nobody else writes.
    pub(crate) expected: Option<i64>,
    /// Other programs write to the partition.
    pub(crate) shared: bool,
    /// Records of ours that were met twice.
    pub(crate) repeats: u64,
}

/// A partition as all lanes see it.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: Arc<str>,
    pub(crate) number: usize,
    pub(crate) writer: Arc<tokio::sync::Mutex<Writer>>,
}

type Partitions = HashMap<(Arc<str>, usize), Arc<Partition>>;
type Line = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// What is known of the cluster.
#[derive(Default)]
pub(crate) struct Map {
    pub(crate) brokers: HashMap<i32, String>,
    pub(crate) controller: Option<i32>,
    /// Leaders by partition; −1 where there is none.
    topics: HashMap<Arc<str>, Vec<i32>>,
}

/// See the module.
pub(crate) struct Session {
    pub(crate) timeouts: Timeouts,
    pub(crate) memory: Arc<Memory>,
    /// Fingerprint of the settings that decide where a row goes.
    pub(crate) routing: Arc<str>,
    pub(crate) security: Arc<Security>,
    pub(crate) producer: Producer,
    pub(crate) zstd: bool,
    pub(crate) bootstrap: Vec<String>,
    sound: AtomicBool,
    pub(crate) map: RwLock<Map>,
    pub(crate) control: tokio::sync::Mutex<Option<Arc<Connection>>>,
    lines: Mutex<HashMap<(i32, Purpose), Line>>,
    partitions: Mutex<Partitions>,
}

impl Session {
    /// Connects to the first broker that answers and asks for a producer id.
    pub(crate) async fn connect(cluster: &Cluster) -> Result<Self, Error> {
        let config = &cluster.config;
        let mut session = Self {
            timeouts: cluster.timeouts,
            memory: cluster.memory.clone(),
            routing: cluster.routing.clone(),
            security: cluster.renewed_security(),
            producer: Producer::PLAIN,
            zstd: config.compression == Compression::Zstd,
            bootstrap: config.brokers.clone(),
            sound: AtomicBool::new(true),
            map: RwLock::default(),
            control: tokio::sync::Mutex::new(None),
            lines: Mutex::default(),
            partitions: Mutex::default(),
        };
        session.producer = session.init_producer().await?;
        Ok(session)
    }

    /// Whether it can be used.
    pub(crate) fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    /// Gives it up: nothing more is sent on it. Requests of other lanes that are under way may still be answered.
    pub(crate) fn condemn(&self) {
        self.sound.store(false, Ordering::Release);
    }

    /// Gives it up and ends its connections: what is still being sent is cut off.
    pub(crate) fn end(&self) {
        self.condemn();
        let lines: Vec<Line> = self.lines.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for line in lines {
            if let Ok(Some(connection)) = line.try_lock().as_deref() {
                connection.cut();
            }
        }
    }

    /// The partition, with the state of its writer.
    pub(crate) fn partition(&self, topic: &Arc<str>, number: usize) -> Arc<Partition> {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Partition { topic: topic.clone(), number, writer: Arc::default() });
        partitions.entry((topic.clone(), number)).or_insert_with(make).clone()
    }

    /// The broker that leads a partition, as far as is known.
    pub(crate) fn leader(&self, topic: &str, partition: usize) -> Option<i32> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.topics.get(topic)?.get(partition).copied().filter(|leader| *leader >= 0 && map.brokers.contains_key(leader))
    }

    /// The connection to a broker for a purpose; a broken one is replaced.
    pub(crate) async fn line(&self, broker: i32, purpose: Purpose) -> Result<Arc<Connection>, WireError> {
        let address = self.map.read().unwrap_or_else(PoisonError::into_inner).brokers.get(&broker).cloned();
        let address =
            address.ok_or_else(|| WireError::Unreachable { brokers: format!("{broker}"), last: "its address is not known".into() })?;
        let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).entry((broker, purpose)).or_default().clone();
        let mut line = line.lock().await;
        if let Some(connection) = line.as_ref().filter(|connection| connection.is_sound()) {
            return Ok(connection.clone());
        }
        let opened = Connection::open(&address, &self.security, &self.timeouts).await;
        let connection = Arc::new(opened.map_err(|error| self.refused(error))?);
        *line = Some(connection.clone());
        Ok(connection)
    }

    /// Asks for the leaders of these topics and remembers them. The numbers of their partitions, in the same order; a topic that is not
    /// there is an error of its own.
    pub(crate) async fn learn(&self, topics: &[Arc<str>]) -> Result<Vec<usize>, Error> {
        let deadline = Instant::now() + self.timeouts.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.metadata(Some(topics)).await?;
            match self.read_topics(topics, &answer) {
                // A topic that was just created has no leaders for a moment.
                Err(Error::Answer { .. }) if Instant::now() < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// The names of all topics but Kafka's own.
    pub(crate) async fn topic_names(&self) -> Result<Vec<String>, Error> {
        let answer = self.metadata(None).await?;
        let ordinary = |topic: &&rskafka::protocol::messages::MetadataResponseTopic| {
            topic.error.is_none() && !topic.is_internal.is_some_and(|internal| internal.0) && !topic.name.0.starts_with("__")
        };
        Ok(answer.topics.iter().filter(ordinary).map(|topic| topic.name.0.clone()).collect())
    }

    fn read_topics(&self, topics: &[Arc<str>], answer: &MetadataResponse) -> Result<Vec<usize>, Error> {
        let mut counts = Vec::with_capacity(topics.len());
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        for topic in topics {
            let found = answer.topics.iter().find(|found| found.name.0 == **topic);
            let code = found.map_or(3, |found| client::code_of(found.error));
            let doing = || format!("ask for topic {topic}");
            match code {
                0 => {}
                3 => {
                    return Err(Error::NoTopic { topic: topic.to_string(), broker: self.bootstrap.first().cloned().unwrap_or_default() });
                }
                _ if client::is_denial(code) => {
                    return Err(self.denied(doing(), code, Missing::Topic(topic)));
                }
                17 => return Err(Error::Misconfigured { doing: doing(), code, name: code_name(code) }),
                _ => return Err(Error::Answer { doing: doing(), code, name: code_name(code) }),
            }
            let partitions = found.map(|found| found.partitions.as_slice()).unwrap_or_default();
            let mut leaders = vec![-1; partitions.len()];
            for partition in partitions {
                // Invariant: partitions of a topic are numbered without gaps.
                let slot = usize::try_from(partition.partition_index.0).ok().and_then(|index| leaders.get_mut(index));
                *slot.ok_or_else(|| Error::Answer { doing: doing(), code: -1, name: "partitions with gaps in their numbers".into() })? =
                    partition.leader_id.0;
            }
            if leaders.is_empty() {
                return Err(Error::Answer { doing: doing(), code: 5, name: code_name(5) });
            }
            counts.push(leaders.len());
            map.topics.insert(topic.clone(), leaders);
        }
        Ok(counts)
    }

    /// Lets go of the connections to brokers that are gone or elsewhere now. What is under way on them may still be answered.
    pub(crate) fn forget_lines(&self, brokers: &HashMap<i32, String>) {
        let moved = |broker: &i32| {
            let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
            brokers.get(broker) != map.brokers.get(broker)
        };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).retain(|(broker, _), _| !moved(broker));
    }

    /// The broker that makes topics.
    pub(crate) fn controller(&self) -> Option<i32> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).controller
    }

    /// A refusal at a broker's door, judged by how long there has been one.
    pub(crate) fn refused(&self, error: WireError) -> WireError {
        match error {
            WireError::Door { address, problem, .. } => WireError::Door { address, problem, denial: self.memory.note_denial() },
            other => other,
        }
    }

    /// A refusal because of permissions: what is missing is told with the command that adds it.
    pub(crate) fn denied(&self, doing: String, code: i16, missing: Missing<'_>) -> Error {
        let user = self.security.user();
        let broker = self.bootstrap.first().map_or("<broker>", String::as_str);
        let what = match missing {
            Missing::Topic(topic) => format!("--operation Describe --operation Read --operation Write --topic {topic}"),
            Missing::Create(topic) => format!("--operation Create --topic {topic}"),
            Missing::Idempotence => "--operation IdempotentWrite --cluster".into(),
        };
        let acl = format!("kafka-acls.sh --bootstrap-server {broker} --add --allow-principal '{user}' {what}");
        Error::Denied { doing, code, name: code_name(code), denial: self.memory.note_denial(), user, acl }
    }

    /// Returns when one of these partitions has another leader than `broker`; else never.
    pub(crate) async fn moved(&self, broker: i32, places: &[PartitionRecords<'_>]) {
        loop {
            sleep(self.timeouts.suspect).await;
            let mut topics: Vec<Arc<str>> = places.iter().map(|place| Arc::from(place.topic)).collect();
            topics.dedup();
            // What goes wrong here is met again by whoever waits.
            if self.learn(&topics).await.is_ok()
                && places.iter().any(|place| self.leader(place.topic, place.partition as usize).is_some_and(|leader| leader != broker))
            {
                return;
            }
        }
    }

    /// Asks for a producer id. A broker that refuses for good gets plain batches, which is said aloud: it lowers the guarantee.
    async fn init_producer(&self) -> Result<Producer, Error> {
        const LOADING: [i16; 3] = [14, 15, 16];
        let refused = |why: &str| {
            tracing::warn!(
                why,
                "the broker gives no producer id: batches are sent without idempotence, the guarantee is lowered by one level"
            );
            Ok(Producer::PLAIN)
        };
        let deadline = Instant::now() + self.timeouts.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = match self.ask_any(&InitProducerIdRequest).await {
                Ok(answer) => answer,
                Err(error @ WireError::Versions { .. }) => return refused(&error.to_string()),
                Err(error) => return Err(error.into()),
            };
            match answer.code {
                0 if answer.producer_id >= 0 => {
                    self.memory.note_idempotence();
                    return Ok(Producer { id: answer.producer_id, epoch: answer.producer_epoch });
                }
                code if LOADING.contains(&code) && Instant::now() < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                // Still loading after all this time is an outage, not a refusal.
                code if LOADING.contains(&code) || matches!(client::fate(code), client::Fate::Unknown | client::Fate::Again) => {
                    return Err(Error::Answer { doing: "ask for a producer id".into(), code, name: code_name(code) });
                }
                // It gave one before: the permission may come back, and nothing is to be lowered meanwhile.
                code if client::is_denial(code) && self.memory.had_idempotence() => {
                    return Err(self.denied("ask for a producer id".into(), code, Missing::Idempotence));
                }
                code => return refused(&code_name(code)),
            }
        }
    }
}
