//! The common part of all servers: a process that tests can end, freeze and thaw.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::process::Process;
use crate::Result;

const STOP_LIMIT: Duration = Duration::from_secs(90);

/// The process of a server; `None` while the server is down. Databases and brokers dereference to this type and know how to start the
/// process.
#[derive(Debug, Default)]
pub struct Server {
    process: Option<Process>,
    frozen: bool,
}

impl Server {
    /// Takes over a process that already accepts connections.
    pub(super) fn up(&mut self, process: Process) {
        (self.process, self.frozen) = (Some(process), false);
    }

    /// Whether the process runs, frozen or not.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether the process runs and is not frozen.
    pub fn is_awake(&self) -> bool {
        self.is_up() && !self.frozen
    }

    /// Shuts the server down (SIGTERM).
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM)?;
            process.wait(STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// Kills the server (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Pauses the process (SIGSTOP): connections stay open, but nothing responds.
    pub fn freeze(&mut self) -> Result<()> {
        self.frozen = true;
        self.process.as_mut().map_or(Ok(()), |process| process.signal(Signal::SIGSTOP))
    }

    /// Resumes the process after [`Server::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.frozen = false;
        self.process.as_mut().map_or(Ok(()), |process| process.signal(Signal::SIGCONT))
    }
}
