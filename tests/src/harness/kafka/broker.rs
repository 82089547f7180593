//! A single broker: its ports, files and process.

use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Listener;
use super::properties::{self, Ports};
use crate::harness::certificates;
use crate::harness::command::copy_folder;
use crate::harness::process::{Process, free_ports};
use crate::harness::provision::{self, BrokerFiles};
use crate::harness::proxy::Proxy;
use crate::harness::server::Server;
use crate::{Failure, Result};

/// The limit is long because a JVM starts slowly on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
const STARTED: &str = "Kafka Server started";

/// A broker of a [`super::Kafka`]; the methods of [`Server`] control its process.
#[derive(Debug)]
pub struct Broker {
    // This field must be before `folder`: fields are dropped in the order of their declaration, and the broker uses the folder.
    server: Server,
    starting: Option<Process>,
    files: BrokerFiles,
    folder: TempDir,
    number: u16,
    ports: Ports,
    proxy: Proxy,
    starts: u32,
}

impl Broker {
    pub(super) async fn new(number: u16, size: u16, controller: u16, more: &[&str]) -> Result<Self> {
        let (files, certificates) =
            tokio::task::spawn_blocking(move || -> Result<_> { Ok((provision::broker(number)?, certificates()?)) }).await??;
        let folder = tempfile::Builder::new().prefix("kafka").tempdir()?;
        let logs = folder.path().join("logs");
        copy_folder(&files.template, &logs)?;
        let [plain, sasl, mutual_tls, sasl_tls, behind_proxy] = free_ports()?;
        let proxy = Proxy::start((Ipv4Addr::LOCALHOST, behind_proxy).into())?;
        let ports = Ports { controller, plain, sasl, mutual_tls, sasl_tls, behind_proxy, proxy: proxy.address().port() };
        let text = properties::write(number, size, &ports, &logs, certificates, more);
        std::fs::write(folder.path().join("server.properties"), text)?;
        Ok(Self { server: Server::default(), starting: None, files, folder, number, ports, proxy, starts: 0 })
    }

    /// The address `host:port` of a listener.
    pub fn address(&self, listener: Listener) -> String {
        let port = match listener {
            Listener::Plain => self.ports.plain,
            Listener::Sasl => self.ports.sasl,
            Listener::MutualTls => self.ports.mutual_tls,
            Listener::SaslTls => self.ports.sasl_tls,
            Listener::Proxied => self.ports.proxy,
        };
        format!("127.0.0.1:{port}")
    }

    /// The proxy in front of the listener [`Listener::Proxied`].
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Starts the broker again on its existing data and waits until its log says that it is up.
    pub async fn resume(&mut self) -> Result<()> {
        self.begin()?;
        self.ready().await
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        self.starts += 1;
        let mut command = Command::new("java");
        let options =
            ["-Xms64m", "-Xmx768m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info"];
        command.args(options).args(["-cp", &self.files.class_path, "kafka.Kafka"]).arg(self.folder.path().join("server.properties"));
        // Each start has its own log file. Otherwise `ready` would find the message of an earlier start.
        let (name, log) = (format!("broker {}", self.number), format!("log-{}", self.starts));
        self.starting = Some(Process::spawn(&name, &mut command, self.folder.path(), &log)?);
        Ok(())
    }

    pub(super) async fn ready(&mut self) -> Result<()> {
        let Some(mut process) = self.starting.take() else { return Ok(()) };
        let start = Instant::now();
        while !process.output().contains(STARTED) {
            process.must_run()?;
            if start.elapsed() > START_LIMIT {
                return Failure::err(format!("broker {} does not start; its log:\n{}", self.number, process.tail()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.server.up(process);
        Ok(())
    }
}

impl Deref for Broker {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Broker {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}
