//! Kafka 4.1.0 in KRaft mode with one broker or three. Brokers have a listener for every kind of access and do not create topics
//! automatically.

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

/// A listener of a broker. [`crate::program::Access`] has the client's settings for each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listener {
    /// Neither TLS nor a user; clients may do everything.
    Plain,
    /// SASL without TLS: SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN.
    Sasl,
    /// TLS with a client certificate.
    MutualTls,
    /// SASL over TLS.
    SaslTls,
    /// Like [`Listener::Plain`], but through the broker's [`Proxy`]. The advertised address is also that of the proxy.
    Proxied,
}

/// Running brokers. Dropping this value kills the brokers and removes their files.
///
/// Users: `alice` (SCRAM), `bob` (PLAIN) and the certificate `CN=client` may do everything, `mallory` (SCRAM) may do nothing. Each
/// password is the user's name followed by `-secret`.
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<Broker>,
}

impl Kafka {
    /// Starts one broker without topics.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one broker with extra properties (such as `message.max.bytes=1000`), which override the harness's own properties.
    pub async fn start_with(properties: &[&str]) -> Result<Self> {
        Self::start_nodes(1, properties).await
    }

    /// Starts three brokers. Topics have three replicas, two of which must be in sync. The first broker is the only controller and must
    /// stay up.
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

    /// The address `host:port` of the first broker, for clients without TLS and without a user.
    pub fn broker(&self) -> String {
        self.address(Listener::Plain)
    }

    /// The address `host:port` of a listener of the first broker.
    pub fn address(&self, listener: Listener) -> String {
        self.node(1).address(listener)
    }

    /// The addresses `host:port` of a listener, one per broker.
    pub fn addresses(&self, listener: Listener) -> Vec<String> {
        self.brokers.iter().map(|broker| broker.address(listener)).collect()
    }

    /// The number of brokers, whether they are up or down.
    pub fn size(&self) -> usize {
        self.brokers.len()
    }

    /// The broker with this number. Numbers count from 1.
    pub fn node(&self, number: usize) -> &Broker {
        &self.brokers[number - 1]
    }

    /// The broker with this number, mutable so that it can be killed, frozen or started.
    pub fn node_mut(&mut self, number: usize) -> &mut Broker {
        &mut self.brokers[number - 1]
    }

    /// The proxy in front of the listener [`Listener::Proxied`] of the first broker.
    pub fn proxy(&self) -> &Proxy {
        self.node(1).proxy()
    }

    /// Starts all brokers that are down, on their existing data.
    pub async fn resume(&mut self) -> Result<()> {
        // All brokers are started before the first broker is awaited: a broker needs its controller, and a JVM takes seconds to start.
        for broker in self.brokers.iter_mut().filter(|broker| !broker.is_up()) {
            broker.begin()?;
        }
        for broker in &mut self.brokers {
            broker.ready().await?;
        }
        Ok(())
    }

    /// Shuts down all brokers (SIGTERM), the controller last.
    pub async fn stop(&mut self) -> Result<()> {
        for broker in self.brokers.iter_mut().rev() {
            broker.stop().await?;
        }
        Ok(())
    }

    /// Kills all brokers (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(|broker| broker.kill())
    }

    /// Pauses all brokers (SIGSTOP): connections stay open, but nothing responds.
    pub fn freeze(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(|broker| broker.freeze())
    }

    /// Resumes all brokers after [`Kafka::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(|broker| broker.thaw())
    }

    /// A client that connects to the brokers that can respond now. It retries a failed request for 30 seconds. If a broker freezes later, a
    /// request to that broker waits forever.
    pub async fn client(&self) -> Result<Arc<Client>> {
        let backoff = BackoffConfig { deadline: Some(Duration::from_secs(30)), ..BackoffConfig::default() };
        let awake: Vec<String> =
            self.brokers.iter().filter(|broker| broker.is_awake()).map(|broker| broker.address(Listener::Plain)).collect();
        if awake.is_empty() {
            return Failure::err("no broker is up and awake");
        }
        let building = ClientBuilder::new(awake).backoff_config(backoff).build();
        let limit = Duration::from_secs(40);
        let built = tokio::time::timeout(limit, building).await.map_err(|_| Failure::new("the brokers do not respond"))?;
        Ok(Arc::new(built?))
    }

    /// Creates a topic with a replica on every broker and waits until clients can see the topic.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let client = self.client().await?;
        let replicas = i16::try_from(self.size()).map_err(|_| Failure::new("more brokers than a topic can have replicas"))?;
        client.controller_client()?.create_topic(name, partitions, replicas, 10_000).await?;
        self.wait_for_topic(name).await
    }

    async fn wait_for_topic(&self, name: &str) -> Result<()> {
        let client = self.client().await?;
        super::poll(&format!("topic {name}"), Duration::from_secs(30), || async {
            let topics = client.list_topics().await?;
            Ok(topics.iter().any(|topic| topic.name == name).then_some(()))
        })
        .await
    }
}
