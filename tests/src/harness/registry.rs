//! A schema registry as a process. It keeps schemas in memory and loses them when it ends.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Process, free_ports, http, poll, provision};
use crate::Result;

/// The time within which the registry must start.
const START: Duration = Duration::from_secs(30);

/// A running schema registry.
pub struct Registry {
    process: Process,
    port: u16,
    folder: TempDir,
    starts: u32,
}

impl Registry {
    /// Starts a registry; the first call on a machine builds the program.
    pub async fn start() -> Result<Self> {
        let program = tokio::task::spawn_blocking(provision::registry).await??;
        let folder = tempfile::Builder::new().prefix("registry").tempdir()?;
        let [port] = free_ports()?;
        let process = spawn(&program, port, &folder, 1)?;
        let mut registry = Self { process, port, folder, starts: 1 };
        registry.ready().await?;
        Ok(registry)
    }

    /// Kills the registry and starts an empty one at the same address.
    pub async fn forget(&mut self) -> Result<()> {
        self.process.kill()?;
        self.starts += 1;
        self.process = spawn(&provision::registry()?, self.port, &self.folder, self.starts)?;
        self.ready().await
    }

    /// The registry's URL, as written in a configuration.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a request to the registry; returns the status and body of the response.
    pub async fn request(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        http::request(self.port, method, path, body).await
    }

    async fn ready(&mut self) -> Result<()> {
        let (port, process) = (self.port, &mut self.process);
        poll("the schema registry", START, || {
            let runs = process.must_run();
            async move {
                runs?;
                Ok(http::request(port, "GET", "/subjects", "").await.ok().filter(|(status, _)| *status == 200).map(drop))
            }
        })
        .await
    }
}

fn spawn(program: &std::path::Path, port: u16, folder: &TempDir, start: u32) -> Result<Process> {
    let mut command = Command::new(program);
    command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]).current_dir(folder.path());
    Process::spawn("schema registry", &mut command, folder.path(), &format!("log-{start}"))
}
