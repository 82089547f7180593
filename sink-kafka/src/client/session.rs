//! A session with a cluster: its connections, and the metadata of brokers and leaders.

use std::collections::{BTreeMap, HashSet};
use std::io::Cursor;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};
use tokio::time::sleep;

use super::answer_limit::AnswerLimit;
use super::api::metadata::{ClusterDescription, MetadataRequest, MetadataResponse};
use super::connection::Connection;
use super::connections::{Connections, Purpose};
use super::denial::Denials;
use super::error::ClientError;
use super::error_code::ErrorCode;
use super::metadata::{Metadata, TopicProblem};
use super::options::{ClientOptions, Timeouts};
use super::retry::Retry;
use super::topic_id::TopicId;
use super::topic_partition::TopicPartition;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After a failure another broker is asked for the leaders, but not more often than this, so that frequent failures do not open many
/// connections.
const LEAST_AGE: Duration = Duration::from_secs(1);

/// The permission that is missing; decides the command in the help text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Permission<'a> {
    /// Permission to read the metadata of a topic, to read the topic and to write to it.
    UseTopic(&'a str),
    /// Permission to create a topic.
    CreateTopic(&'a str),
    /// Permission to write with idempotence, which brokers before Kafka 2.8 require.
    WriteIdempotently,
}

/// A topic whose metadata are requested, and what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedTopic {
    name: Arc<str>,
    /// The number of partitions that the topic had, or a part of them; 0 if the topic may not exist.
    partitions: usize,
}

impl ExpectedTopic {
    pub(crate) fn new(name: &Arc<str>, partitions: usize) -> Self {
        Self { name: name.clone(), partitions }
    }

    /// Whether the topic is in use, so that it must exist and must still be the same topic.
    fn is_in_use(&self) -> bool {
        self.partitions > 0
    }

    /// Whether by this answer the topic does not exist, is another one of the same name, or has fewer partitions than expected.
    fn is_missing_in(&self, found: &Result<usize, ClientError>) -> bool {
        match found {
            Ok(count) => *count < self.partitions,
            Err(error) => matches!(error, ClientError::NoTopic { .. } | ClientError::TopicReplaced { .. }),
        }
    }
}

/// A session with a cluster.
pub(crate) struct Session {
    options: ClientOptions,
    metadata: RwLock<Metadata>,
    connections: Connections,
    /// Held while an answer with records is awaited and read, so that there is one at a time, however many lanes read.
    reading: tokio::sync::Mutex<()>,
}

impl Session {
    /// Connects to the first broker that answers.
    pub(crate) async fn connect(options: &ClientOptions) -> Result<Self, ClientError> {
        let connections = Connections::new(options.security.clone(), options.timeouts);
        let session = Self { options: options.clone(), metadata: RwLock::default(), connections, reading: tokio::sync::Mutex::default() };
        session.refresh_brokers().await?;
        Ok(session)
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.options.timeouts
    }

    pub(crate) fn denials(&self) -> &Denials {
        &self.options.denials
    }

    /// The size of the largest record batch that is written and read, in bytes.
    pub(crate) fn max_batch_bytes(&self) -> usize {
        self.options.max_batch_bytes
    }

    /// Waits until no other lane reads records.
    pub(super) async fn turn_to_read(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// The first broker of the settings, for commands in help texts.
    pub(crate) fn first_broker(&self) -> &str {
        self.options.brokers.first().map_or("<broker>", String::as_str)
    }

    /// Shuts down all connections, even if a request is still being sent.
    pub(crate) fn close(&self) {
        self.connections.cut();
    }

    /// The broker id of the leader of a partition; `None` if the metadata do not show one.
    pub(crate) fn leader(&self, topic: &str, partition: usize) -> Option<i32> {
        self.metadata.read().unwrap_or_else(PoisonError::into_inner).leader(topic, partition)
    }

    /// The leader epoch of a partition, by which a broker finds out that it or this client has not heard of the last election; `None` if the
    /// brokers do not return epochs that can be relied on.
    pub(crate) fn leader_epoch(&self, partition: &TopicPartition) -> Option<i32> {
        self.metadata.read().unwrap_or_else(PoisonError::into_inner).leader_epoch(&partition.topic, partition.partition)
    }

    /// The id of a topic whose leaders were requested; `None` if the brokers do not return ids, as before Kafka 2.8.
    pub(crate) fn topic_id(&self, topic: &str) -> Option<TopicId> {
        self.metadata.read().unwrap_or_else(PoisonError::into_inner).topic_id(topic)
    }

    /// Returns the connection to a broker for a purpose; opens a new one if it is missing or broken.
    pub(crate) async fn connection(&self, broker: i32, purpose: Purpose) -> Result<Arc<Connection>, ClientError> {
        let address = self.metadata.read().unwrap_or_else(PoisonError::into_inner).address(broker);
        let address = address.ok_or_else(|| ClientError::UnknownBroker { broker: format!("broker {broker}") })?;
        self.connections.to(broker, &address, purpose).await.map_err(|error| self.aged(error))
    }

    /// Makes the next requests to the leader of a partition go over new connections. Requests that are in flight may still be answered.
    pub(crate) fn renew_leader(&self, partition: &TopicPartition) {
        if let Some(leader) = self.leader(&partition.topic, partition.partition) {
            self.connections.forget(&[leader]);
        }
    }

    /// Returns the connection to the controller, which is the broker that creates topics.
    pub(crate) async fn controller(&self) -> Result<Arc<Connection>, ClientError> {
        let known = || self.metadata.read().unwrap_or_else(PoisonError::into_inner).controller();
        let controller = match known() {
            Some(controller) => Some(controller),
            None => {
                self.refresh_brokers().await?;
                known()
            }
        };
        let controller = controller.ok_or_else(|| ClientError::UnknownBroker { broker: "the controller".into() })?;
        self.connection(controller, Purpose::Read).await
    }

    /// Sends a request that any broker can answer.
    pub(crate) async fn request_any<R>(&self, request: &R) -> Result<R::ResponseBody, ClientError>
    where
        R: RequestBody + AnswerLimit + WriteVersionedType<Vec<u8>> + Sync,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        self.connections.request_any(&self.addresses(), request).await.map_err(|error| self.aged(error))
    }

    /// The addresses of all brokers. Those in the metadata come first, because they are known to exist; then those of the settings.
    fn addresses(&self) -> Vec<String> {
        let mut addresses = self.metadata.read().unwrap_or_else(PoisonError::into_inner).addresses();
        for address in &self.options.brokers {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// Refreshes the addresses of the brokers.
    pub(crate) async fn refresh_brokers(&self) -> Result<(), ClientError> {
        self.describe(Some(&[]), |_| false).await.map(|_| ())
    }

    /// Refreshes the leaders of these topics. Returns the number of partitions of each topic, in the same order.
    ///
    /// If a broker does not know a topic, or knows fewer partitions than expected, all brokers are asked. If nobody knows more, and the topic
    /// should exist, they are asked again for some time, because a change of the metadata does not reach all brokers at once.
    pub(crate) async fn refresh_topics(&self, topics: &[ExpectedTopic]) -> Result<Vec<usize>, ClientError> {
        let timeouts = &self.options.timeouts;
        let mut election = Retry::new(timeouts.patience, FIRST_PAUSE, LONGEST_PAUSE);
        let mut propagation = Retry::new(timeouts.propagation, FIRST_PAUSE, LONGEST_PAUSE);
        let names: Vec<Arc<str>> = topics.iter().map(|topic| topic.name.clone()).collect();
        loop {
            let answer = self.describe(Some(&names), once_each(&names)).await?;
            let mut found: Vec<_> = topics.iter().map(|topic| self.take_over(topic, &answer)).collect();
            if topics.iter().zip(&found).any(|(topic, found)| topic.is_missing_in(found)) {
                self.ask_every_broker(topics, &names, &mut found).await;
            }
            let should_exist =
                |(topic, found): (&ExpectedTopic, &Result<usize, ClientError>)| topic.is_in_use() && topic.is_missing_in(found);
            let hidden = topics.iter().zip(&found).any(should_exist);
            match found.into_iter().collect() {
                // A topic that was just created has no leaders for a short time.
                Err(error @ ClientError::Answer { .. }) if error.is_transient() => election.again(error).await?,
                result if hidden && propagation.again(()).await.is_ok() => drop(result),
                result => return result,
            }
        }
    }

    /// Lets another broker name the leaders of these partitions, and closes the connections for reading. Used before a verdict that ends the
    /// task, because a broker that is cut off from the others still believes that it leads.
    pub(crate) async fn look_again(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        self.connections.close_readers();
        self.connections.ask_another(Duration::ZERO).await;
        self.refresh_leaders(partitions).await
    }

    /// Lets a second broker name the leaders of these partitions too; of two leaders the one with the greater epoch counts. Used before the
    /// end of a log decides where a task continues, because the first broker may be cut off from the others. Without epochs the word of a
    /// second broker is no better than that of the first, so it is not asked.
    pub(crate) async fn confirm_leaders(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        if self.addresses().len() > 1 && partitions.iter().any(|partition| self.leader_epoch(partition).is_some()) {
            self.connections.ask_another(Duration::ZERO).await;
            self.refresh_leaders(partitions).await?;
        }
        Ok(())
    }

    /// Asks all brokers about the topics that are missing in `found`, and replaces the results of those that a broker knows.
    async fn ask_every_broker(&self, topics: &[ExpectedTopic], names: &[Arc<str>], found: &mut [Result<usize, ClientError>]) {
        let visit = |answer: MetadataResponse| {
            let answer = answer.describe(once_each(names));
            for (topic, found) in topics.iter().zip(found.iter_mut()).filter(|(topic, found)| topic.is_missing_in(found)) {
                let result = self.take_over(topic, &answer);
                if !topic.is_missing_in(&result) {
                    *found = result;
                }
            }
            topics.iter().zip(found.iter()).all(|(topic, found)| !topic.is_missing_in(found))
        };
        self.connections.request_each(self.addresses(), &MetadataRequest::new(Some(names)), visit).await;
    }

    /// Refreshes the leaders after a failure, from another broker than before, which may be cut off from the others. A transient error is ignored here: if it persists, the next request fails, and that request
    /// has a deadline.
    pub(crate) async fn refresh_leaders(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for partition in partitions {
            let count = topics.entry(&partition.topic).or_default();
            *count = (*count).max(partition.partition + 1);
        }
        let topics: Vec<ExpectedTopic> = topics.into_iter().map(|(name, count)| ExpectedTopic::new(name, count)).collect();
        self.connections.ask_another(LEAST_AGE).await;
        match self.refresh_topics(&topics).await {
            Err(ClientError::NoTopic { topic, .. }) => Err(ClientError::TopicGone { topic }),
            Err(error) if !error.is_transient() => Err(error),
            _ => Ok(()),
        }
    }

    /// Those names of the cluster's topics for which `wanted` returns true, except Kafka's internal topics.
    pub(crate) async fn topic_names(&self, wanted: impl FnMut(&str) -> bool) -> Result<Vec<String>, ClientError> {
        let answer = self.describe(None, wanted).await?;
        let usable = answer.topics.into_iter().filter(|topic| topic.code == ErrorCode::NONE && !topic.is_internal);
        Ok(usable.map(|topic| topic.name).collect())
    }

    /// Returns as soon as any of these partitions has a leader other than `broker`; otherwise never returns.
    pub(crate) async fn leader_changed(&self, broker: i32, partitions: &[TopicPartition]) {
        loop {
            sleep(self.options.timeouts.suspect).await;
            // A failure to refresh is ignored, because the caller also waits for the answer to its request, with a time limit.
            if self.refresh_leaders(partitions).await.is_ok()
                && partitions.iter().any(|of| self.leader(&of.topic, of.partition).is_some_and(|leader| leader != broker))
            {
                return;
            }
        }
    }

    /// The error for a missing permission; its help text is the command that adds the permission.
    pub(crate) fn denied(&self, operation: String, code: ErrorCode, permission: Permission<'_>) -> ClientError {
        let user = self.options.security.user();
        let what = match permission {
            Permission::UseTopic(topic) => format!("--operation Describe --operation Read --operation Write --topic {topic}"),
            Permission::CreateTopic(topic) => format!("--operation Create --topic {topic}"),
            Permission::WriteIdempotently => "--operation IdempotentWrite --cluster".into(),
        };
        let command = format!("kafka-acls.sh --bootstrap-server {} --add --allow-principal '{user}' {what}", self.first_broker());
        ClientError::Denied { operation, code, denial: self.options.denials.note_denial(), user, command }
    }

    /// The error for an error code in the answer to a request about a topic.
    pub(crate) fn answer(&self, operation: String, code: ErrorCode, topic: &str) -> ClientError {
        if code.is_denial() {
            return self.denied(operation, code, Permission::UseTopic(topic));
        }
        ClientError::Answer { operation, code }
    }

    /// Refreshes the addresses of the brokers. Returns what a broker says about those of the requested topics for which `wanted` returns true.
    async fn describe(&self, topics: Option<&[Arc<str>]>, wanted: impl FnMut(&str) -> bool) -> Result<ClusterDescription, ClientError> {
        let mut answer = self.request_any(&MetadataRequest::new(topics)).await?.describe(wanted);
        let brokers = std::mem::take(&mut answer.brokers);
        let moved = self.metadata.write().unwrap_or_else(PoisonError::into_inner).set_brokers(brokers, answer.controller);
        self.connections.forget(&moved);
        Ok(answer)
    }

    fn take_over(&self, expected: &ExpectedTopic, answer: &ClusterDescription) -> Result<usize, ClientError> {
        let topic = &expected.name;
        let operation = || format!("reading the metadata of topic {topic}");
        let result = self.metadata.write().unwrap_or_else(PoisonError::into_inner).set_leaders(topic, answer, expected.is_in_use());
        result.map_err(|problem| match problem {
            TopicProblem::Code(code) if code.is_unknown_topic() => {
                ClientError::NoTopic { topic: topic.clone(), broker: self.first_broker().to_owned() }
            }
            TopicProblem::Code(code) => self.answer(operation(), code, topic),
            TopicProblem::OtherTopic { before, now } => {
                ClientError::TopicReplaced { topic: topic.clone(), before: before.to_string(), now: now.to_string() }
            }
            TopicProblem::Gaps => ClientError::BadAnswer { operation: operation(), problem: "the numbers of its partitions have gaps" },
        })
    }

    /// Adds to the error of a refused connection how long refusals have lasted. Other errors stay unchanged.
    fn aged(&self, error: ClientError) -> ClientError {
        match error {
            ClientError::Refused { address, reason, .. } => {
                ClientError::Refused { address, reason, denial: self.options.denials.note_denial() }
            }
            other => other,
        }
    }
}

/// Whether a topic of an answer is one of `names` and comes for the first time.
fn once_each(names: &[Arc<str>]) -> impl FnMut(&str) -> bool {
    let mut missing: HashSet<&str> = names.iter().map(|name| &**name).collect();
    move |name| missing.remove(name)
}
