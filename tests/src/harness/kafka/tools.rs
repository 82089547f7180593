//! Kafka's own command-line tools, for tasks that our clients cannot do. Each call starts a JVM and takes about a second.

use std::process::Command;

use super::{Kafka, Listener};
use crate::harness::command::run;
use crate::harness::provision::kafka_tools;
use crate::{Failure, Result};

/// The leader and the in-sync replicas of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The number of the broker that leads the partition; `None` if there is no leader.
    pub leader: Option<usize>,
    /// The numbers of the brokers whose replicas are in sync.
    pub in_sync: Vec<usize>,
}

impl Kafka {
    /// Runs a tool, named by its Java class. The tool gets the address of a broker that is up and not frozen.
    pub async fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let awake = self.brokers.iter().find(|broker| broker.is_awake()).ok_or_else(|| Failure::new("no broker is up and awake"))?;
        self.tool_at(&awake.address(Listener::Plain), class, arguments).await
    }

    /// Runs a tool with a given broker address.
    pub async fn tool_at(&self, address: &str, class: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("java");
        command.args(["-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"]);
        command.arg(tokio::task::spawn_blocking(kafka_tools).await??).arg(class);
        command.args(["--bootstrap-server", address]).args(arguments);
        tokio::task::spawn_blocking(move || run(&mut command)).await?
    }

    /// Creates a topic with configs (such as `max.message.bytes=1000`) or with other options of Kafka's tool.
    pub async fn create_topic_with(&self, name: &str, options: &[&str], configs: &[&str]) -> Result<()> {
        let configs = configs.iter().flat_map(|config| ["--config", config]);
        let arguments: Vec<&str> = ["--create", "--topic", name].into_iter().chain(options.iter().copied()).chain(configs).collect();
        self.tool("org.apache.kafka.tools.TopicCommand", &arguments).await?;
        self.wait_for_topic(name).await
    }

    /// Changes a config of a topic; `config` is `key=value`.
    pub async fn alter_topic(&self, name: &str, config: &str) -> Result<()> {
        self.config(&["--alter", "--add-config", config, "--entity-type", "topics", "--entity-name", name]).await
    }

    /// Limits how many bytes per second a client may send to each broker.
    pub async fn limit_rate(&self, client_id: &str, bytes_per_second: u64) -> Result<()> {
        let config = format!("producer_byte_rate={bytes_per_second}");
        self.config(&["--alter", "--add-config", &config, "--entity-type", "clients", "--entity-name", client_id]).await
    }

    /// Removes the limit of [`Kafka::limit_rate`].
    pub async fn unlimit_rate(&self, client_id: &str) -> Result<()> {
        self.config(&["--alter", "--delete-config", "producer_byte_rate", "--entity-type", "clients", "--entity-name", client_id]).await
    }

    /// Makes the preferred replica of every partition its leader.
    pub async fn elect_preferred(&self) -> Result<()> {
        let arguments = ["--election-type", "preferred", "--all-topic-partitions"];
        self.tool("org.apache.kafka.tools.LeaderElectionCommand", &arguments).await.map(drop)
    }

    /// Allows a user (such as `User:mallory`) some operations (such as `Write`) on a topic.
    pub async fn allow(&self, principal: &str, operations: &[&str], topic: &str) -> Result<()> {
        self.acl("--add", principal, operations, topic).await
    }

    /// Removes the rights given by [`Kafka::allow`].
    pub async fn disallow(&self, principal: &str, operations: &[&str], topic: &str) -> Result<()> {
        self.acl("--remove", principal, operations, topic).await
    }

    /// Adds partitions to a topic until it has `count`.
    pub async fn add_partitions(&self, topic: &str, count: i32) -> Result<()> {
        let arguments = ["--alter", "--topic", topic, "--partitions", &count.to_string()];
        self.tool("org.apache.kafka.tools.TopicCommand", &arguments).await.map(drop)
    }

    /// The leader and in-sync replicas of each partition of a topic, by partition number.
    pub async fn placements(&self, topic: &str) -> Result<Vec<Placement>> {
        let description = self.tool("org.apache.kafka.tools.TopicCommand", &["--describe", "--topic", topic]).await?;
        let field = |line: &str, name: &str| -> String {
            let after = line.split_once(name).map_or("", |(_, rest)| rest);
            after.trim_start().split('\t').next().unwrap_or_default().trim().to_owned()
        };
        let lines = description.lines().filter(|line| line.contains("Partition: "));
        let placement = |line: &str| Placement {
            leader: field(line, "Leader:").parse().ok(),
            in_sync: field(line, "Isr:").split(',').filter_map(|node| node.parse().ok()).collect(),
        };
        Ok(lines.map(placement).collect())
    }

    async fn config(&self, arguments: &[&str]) -> Result<()> {
        self.tool("kafka.admin.ConfigCommand", arguments).await.map(drop)
    }

    async fn acl(&self, change: &str, principal: &str, operations: &[&str], topic: &str) -> Result<()> {
        let operations = operations.iter().flat_map(|operation| ["--operation", operation]);
        let fixed = [change, "--force", "--allow-principal", principal, "--topic", topic];
        let arguments: Vec<&str> = fixed.into_iter().chain(operations).collect();
        self.tool("org.apache.kafka.tools.AclCommand", &arguments).await.map(drop)
    }
}
