//! A session with a cluster: its connections, and what is known of brokers and leaders.

use std::io::Cursor;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rskafka::protocol::messages::{ReadVersionedType, RequestBody, WriteVersionedType};
use tokio::time::sleep;

use super::api::metadata::{self, ClusterDescription};
use super::connection::Connection;
use super::connections::{Connections, Purpose};
use super::denial::Denials;
use super::error::ClientError;
use super::error_code::ErrorCode;
use super::metadata::{Metadata, TopicProblem};
use super::options::{ClientOptions, Timeouts};
use super::retry::Retry;
use super::topic_partition::TopicPartition;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A permission that is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Permission<'a> {
    /// To read the metadata of a topic, to read it and to write to it.
    UseTopic(&'a str),
    /// To create a topic.
    CreateTopic(&'a str),
    /// To write with idempotence, before Kafka 2.8.
    WriteIdempotently,
}

/// A session with a cluster.
pub(crate) struct Session {
    options: ClientOptions,
    metadata: RwLock<Metadata>,
    connections: Connections,
}

impl Session {
    /// Connects to the first broker that answers.
    pub(crate) async fn connect(options: &ClientOptions) -> Result<Self, ClientError> {
        let connections = Connections::new(options.security.clone(), options.timeouts);
        let session = Self { options: options.clone(), metadata: RwLock::default(), connections };
        session.refresh_brokers().await?;
        Ok(session)
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.options.timeouts
    }

    pub(crate) fn denials(&self) -> &Denials {
        &self.options.denials
    }

    /// A broker of the settings, for commands in help texts.
    pub(crate) fn first_broker(&self) -> &str {
        self.options.brokers.first().map_or("<broker>", String::as_str)
    }

    /// Ends all connections: what is still being sent is cut off.
    pub(crate) fn close(&self) {
        self.connections.cut();
    }

    /// The broker that leads a partition, as far as is known.
    pub(crate) fn leader(&self, topic: &str, partition: usize) -> Option<i32> {
        self.metadata.read().unwrap_or_else(PoisonError::into_inner).leader(topic, partition)
    }

    /// The connection to a broker; a broken one is replaced.
    pub(crate) async fn connection(&self, broker: i32, purpose: Purpose) -> Result<Arc<Connection>, ClientError> {
        let address = self.metadata.read().unwrap_or_else(PoisonError::into_inner).address(broker);
        let address = address.ok_or_else(|| ClientError::UnknownBroker { broker: format!("broker {broker}") })?;
        self.connections.to(broker, &address, purpose).await.map_err(|error| self.aged(error))
    }

    /// The connection to the broker that creates topics.
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

    /// Makes a request that any broker can answer.
    pub(crate) async fn request_any<R>(&self, request: &R) -> Result<R::ResponseBody, ClientError>
    where
        R: RequestBody + WriteVersionedType<Vec<u8>> + Sync,
        R::ResponseBody: ReadVersionedType<Cursor<Vec<u8>>>,
    {
        // Those that are known to exist are tried first.
        let mut addresses = self.metadata.read().unwrap_or_else(PoisonError::into_inner).addresses();
        for address in &self.options.brokers {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        self.connections.request_any(&addresses, request).await.map_err(|error| self.aged(error))
    }

    /// Fetches where the brokers are.
    pub(crate) async fn refresh_brokers(&self) -> Result<(), ClientError> {
        self.describe(Some(&[])).await.map(|_| ())
    }

    /// Fetches the leaders of these topics. Returns the numbers of their partitions, in the same order.
    pub(crate) async fn refresh_topics(&self, topics: &[Arc<str>]) -> Result<Vec<usize>, ClientError> {
        let mut retry = Retry::new(self.options.timeouts.patience, FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let answer = self.describe(Some(topics)).await?;
            match topics.iter().map(|topic| self.take_over(topic, &answer)).collect() {
                // A topic that was just created has no leaders for a moment.
                Err(error @ ClientError::Answer { .. }) if error.is_transient() => retry.again(error).await?,
                result => return result,
            }
        }
    }

    /// Fetches the leaders anew after a failure. That no broker can be reached is left to the next request, which has a deadline.
    pub(crate) async fn refresh_leaders(&self, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let mut topics: Vec<Arc<str>> = partitions.iter().map(|partition| partition.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        match self.refresh_topics(&topics).await {
            Err(error) if !error.is_transient() => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of all topics but Kafka's own.
    pub(crate) async fn topic_names(&self) -> Result<Vec<String>, ClientError> {
        let answer = self.describe(None).await?;
        let usable = answer.topics.into_iter().filter(|topic| topic.code == ErrorCode::NONE && !topic.is_internal);
        Ok(usable.map(|topic| topic.name).collect())
    }

    /// Returns when one of these partitions has another leader than `broker`; else never.
    pub(crate) async fn leader_changed(&self, broker: i32, partitions: &[TopicPartition]) {
        loop {
            sleep(self.options.timeouts.suspect).await;
            // A failure here is left to whoever waits for the answer: that wait has a limit.
            if self.refresh_leaders(partitions).await.is_ok()
                && partitions.iter().any(|of| self.leader(&of.topic, of.partition).is_some_and(|leader| leader != broker))
            {
                return;
            }
        }
    }

    /// The error for a missing permission; its help is the command that adds it.
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

    /// The error for a code that a request about a topic was answered with.
    pub(crate) fn answer(&self, operation: String, code: ErrorCode, topic: &str) -> ClientError {
        if code.is_denial() {
            return self.denied(operation, code, Permission::UseTopic(topic));
        }
        ClientError::Answer { operation, code }
    }

    async fn describe(&self, topics: Option<&[Arc<str>]>) -> Result<ClusterDescription, ClientError> {
        let mut answer = ClusterDescription::from(self.request_any(&metadata::request(topics)).await?);
        let brokers = std::mem::take(&mut answer.brokers);
        let moved = self.metadata.write().unwrap_or_else(PoisonError::into_inner).set_brokers(brokers, answer.controller);
        self.connections.forget(&moved);
        Ok(answer)
    }

    fn take_over(&self, topic: &Arc<str>, answer: &ClusterDescription) -> Result<usize, ClientError> {
        let operation = || format!("reading the metadata of topic {topic}");
        let result = self.metadata.write().unwrap_or_else(PoisonError::into_inner).set_leaders(topic, answer);
        result.map_err(|problem| match problem {
            TopicProblem::Code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                ClientError::NoTopic { topic: topic.clone(), broker: self.first_broker().to_owned() }
            }
            TopicProblem::Code(code) => self.answer(operation(), code, topic),
            TopicProblem::Gaps => ClientError::BadAnswer { operation: operation(), problem: "the numbers of its partitions have gaps" },
        })
    }

    /// A refused connection, with how long this has been so.
    fn aged(&self, error: ClientError) -> ClientError {
        match error {
            ClientError::Refused { address, reason, .. } => {
                ClientError::Refused { address, reason, denial: self.options.denials.note_denial() }
            }
            other => other,
        }
    }
}
