//! A Kafka 4.1.0 broker of our own: KRaft, one node, topics made only on demand.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use rskafka::BackoffConfig;
use rskafka::client::{Client, ClientBuilder};
use tempfile::TempDir;

use super::process::{Process, copy_folder, free_ports};
use super::provision::Servers;
use crate::{Failure, Result};

/// A JVM under load is slow; the file of the log says when it is up.
const START_LIMIT: Duration = Duration::from_secs(90);
const STARTED: &str = "Kafka Server started";

/// A running broker. Dropping it kills the broker and removes its files.
#[derive(Debug)]
pub struct Kafka {
    servers: Servers,
    folder: TempDir,
    port: u16,
    process: Option<Process>,
    starts: u32,
}

impl Kafka {
    /// Starts a fresh broker without topics.
    pub async fn start() -> Result<Self> {
        let servers = tokio::task::spawn_blocking(super::servers).await??;
        let folder = tempfile::Builder::new().prefix("kafka").tempdir()?;
        copy_folder(&servers.kafka_template(), &folder.path().join("logs"))?;
        let [port, controller] = free_ports()?;
        std::fs::write(folder.path().join("server.properties"), properties(&folder.path().join("logs"), port, controller))?;
        let mut broker = Self { servers, folder, port, process: None, starts: 0 };
        broker.resume().await?;
        Ok(broker)
    }

    /// `host:port` for clients.
    pub fn broker(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts the broker again on the data it has.
    pub async fn resume(&mut self) -> Result<()> {
        self.starts += 1;
        let mut command = Command::new("java");
        command
            .args([
                "-Xms64m",
                "-Xmx256m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
                "-cp",
            ])
            .arg(self.servers.kafka_class_path())
            .arg("kafka.Kafka")
            .arg(self.folder.path().join("server.properties"));
        // One log a start, or the line of the last start would count for this one.
        let mut process = Process::spawn("kafka", &mut command, self.folder.path(), &format!("log-{}", self.starts))?;
        let start = std::time::Instant::now();
        while !process.output().contains(STARTED) {
            process.must_run()?;
            if start.elapsed() > START_LIMIT {
                return Failure::err(format!("kafka does not start; its log:\n{}", process.tail()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Shuts the broker down in good order.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM)?;
            process.wait(Duration::from_secs(60)).await?;
        }
        Ok(())
    }

    /// Ends the broker as a power failure would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Stops the broker's work: connections stay, nothing answers.
    pub fn freeze(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), |process| process.signal(Signal::SIGSTOP))
    }

    /// Ends [`Kafka::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), |process| process.signal(Signal::SIGCONT))
    }

    /// A client that gives up after half a minute.
    pub async fn client(&self) -> Result<Arc<Client>> {
        let backoff = BackoffConfig { deadline: Some(Duration::from_secs(30)), ..BackoffConfig::default() };
        Ok(Arc::new(ClientBuilder::new(vec![self.broker()]).backoff_config(backoff).build().await?))
    }

    /// Makes a topic and waits until clients can see it.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let client = self.client().await?;
        client.controller_client()?.create_topic(name, partitions, 1, 10_000).await?;
        super::poll(&format!("topic {name}"), Duration::from_secs(30), || async {
            let topics = client.list_topics().await?;
            Ok(topics.iter().any(|topic| topic.name == name).then_some(()))
        })
        .await
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Before the folder goes.
        drop(self.process.take());
    }
}

/// Settings of a single broker and controller. The short broker session lets a broker that was killed register again within seconds.
pub(super) fn properties(logs: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
",
        logs.display()
    )
}
