//! A Kafka 4.1.0 of our own: KRaft, one broker or three, every door open, topics made only on demand.

mod broker;
mod properties;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::{Client, ClientBuilder};

pub use broker::Broker;
pub(super) use properties::{SCRAM_MECHANISMS, SCRAM_USERS};

use super::free_ports;
use super::provision::NODES;
use super::proxy::Proxy;
use crate::{Failure, Result};

/// A listener of a broker. What each asks for is in [`crate::program::Access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// No TLS and no user; who comes here may do everything.
    Plain,
    /// SASL without TLS: SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN.
    Sasl,
    /// TLS with a client certificate.
    MutualTls,
    /// SASL over TLS.
    SaslTls,
    /// As [`Door::Plain`], through the broker's [`Proxy`]: its clients are sent to no other.
    Proxied,
}

/// Running brokers. Dropping them kills the brokers and removes their files.
///
/// Users: `alice` (SCRAM), `bob` (PLAIN) and the certificate `CN=client` may do everything, `mallory` (SCRAM) nothing. The password of each
/// is the name with `-secret` behind it.
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<Broker>,
}

impl Kafka {
    /// Starts one fresh broker without topics.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one with more properties (`message.max.bytes=1000`), which win over the harness's own.
    pub async fn start_with(properties: &[&str]) -> Result<Self> {
        Self::start_nodes(1, properties).await
    }

    /// Starts three: topics have three replicas, two of which must be in sync. The first is the controller and must not go away.
    pub async fn cluster() -> Result<Self> {
        Self::start_nodes(NODES, &[]).await
    }

    async fn start_nodes(size: u16, properties: &[&str]) -> Result<Self> {
        let [controller] = free_ports()?;
        let mut kafka = Self { brokers: Vec::new() };
        for node in 1..=size {
            kafka.brokers.push(Broker::new(node, size, controller, properties).await?);
        }
        kafka.resume().await?;
        Ok(kafka)
    }

    /// `host:port` of the first broker for clients without TLS and user.
    pub fn broker(&self) -> String {
        self.address(Door::Plain)
    }

    /// `host:port` of the first broker's door.
    pub fn address(&self, door: Door) -> String {
        self.node(1).address(door)
    }

    /// `host:port` of a door of every broker.
    pub fn addresses(&self, door: Door) -> Vec<String> {
        self.brokers.iter().map(|broker| broker.address(door)).collect()
    }

    /// How many brokers there are, up or down.
    pub fn size(&self) -> usize {
        self.brokers.len()
    }

    /// The broker with this number; the first is 1.
    pub fn node(&self, number: usize) -> &Broker {
        &self.brokers[number - 1]
    }

    /// The broker with this number, to end, freeze or start it.
    pub fn node_mut(&mut self, number: usize) -> &mut Broker {
        &mut self.brokers[number - 1]
    }

    /// The proxy before the first broker's [`Door::Proxied`].
    pub fn proxy(&self) -> &Proxy {
        self.node(1).proxy()
    }

    /// Starts all brokers that are down, on the data they have.
    pub async fn resume(&mut self) -> Result<()> {
        // All begin before the first is waited for: a broker needs its controller, and a JVM takes seconds.
        for broker in self.brokers.iter_mut().filter(|broker| !broker.is_up()) {
            broker.begin()?;
        }
        for broker in &mut self.brokers {
            broker.ready().await?;
        }
        Ok(())
    }

    /// Shuts all brokers down in good order, the controller last.
    pub async fn stop(&mut self) -> Result<()> {
        for broker in self.brokers.iter_mut().rev() {
            broker.stop().await?;
        }
        Ok(())
    }

    /// Ends all brokers as a power failure would.
    pub fn kill(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(|broker| broker.kill())
    }

    /// Stops the work of all brokers: connections stay, nothing answers.
    pub fn freeze(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(|broker| broker.freeze())
    }

    /// Ends [`Kafka::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(|broker| broker.thaw())
    }

    /// A client that asks the brokers that can answer, and gives up after half a minute. It has no limit for a broker that freezes later.
    pub async fn client(&self) -> Result<Arc<Client>> {
        let backoff = BackoffConfig { deadline: Some(Duration::from_secs(30)), ..BackoffConfig::default() };
        let awake: Vec<String> = self.brokers.iter().filter(|broker| broker.is_awake()).map(|broker| broker.address(Door::Plain)).collect();
        if awake.is_empty() {
            return Failure::err("no broker is up and awake");
        }
        let building = ClientBuilder::new(awake).backoff_config(backoff).build();
        let limit = Duration::from_secs(40);
        let built = tokio::time::timeout(limit, building).await.map_err(|_| Failure::new("the brokers do not answer"))?;
        Ok(Arc::new(built?))
    }

    /// Makes a topic with a replica on every broker and waits until clients can see it.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let client = self.client().await?;
        let replicas = i16::try_from(self.size()).map_err(|_| Failure::new("more brokers than a topic can have replicas"))?;
        client.controller_client()?.create_topic(name, partitions, replicas, 10_000).await?;
        self.topic_is_known(name).await
    }

    async fn topic_is_known(&self, name: &str) -> Result<()> {
        let client = self.client().await?;
        super::poll(&format!("topic {name}"), Duration::from_secs(30), || async {
            let topics = client.list_topics().await?;
            Ok(topics.iter().any(|topic| topic.name == name).then_some(()))
        })
        .await
    }
}
