//! The common part of all servers: processes that tests can end, freeze and thaw.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::process::Process;
use crate::Result;

const STOP_LIMIT: Duration = Duration::from_secs(90);

/// The processes of a server; each is `None` while it is down. Most servers have one. Databases and brokers dereference to this type and
/// know how to start the processes.
#[derive(Debug, Default)]
pub struct Server {
    processes: Vec<Option<Process>>,
    frozen: bool,
}

impl Server {
    /// Takes over a process that already accepts connections.
    pub(super) fn up(&mut self, process: Process) {
        self.up_at(0, process);
    }

    /// The same for one of several processes.
    pub(super) fn up_at(&mut self, index: usize, process: Process) {
        if self.processes.len() <= index {
            self.processes.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.processes.get_mut(index) {
            *slot = Some(process);
        }
        self.frozen = false;
    }

    /// Whether the process with this index runs.
    pub(super) fn is_up_at(&self, index: usize) -> bool {
        self.processes.get(index).is_some_and(Option::is_some)
    }

    /// Whether all processes run, frozen or not.
    pub fn is_up(&self) -> bool {
        !self.processes.is_empty() && self.processes.iter().all(Option::is_some)
    }

    /// Whether all processes run and are not frozen.
    pub fn is_awake(&self) -> bool {
        self.is_up() && !self.frozen
    }

    /// Shuts the server down (SIGTERM).
    pub async fn stop(&mut self) -> Result<()> {
        // The last one was started last, and uses the others.
        for mut process in self.processes.iter_mut().rev().filter_map(Option::take) {
            process.signal(Signal::SIGTERM)?;
            process.wait(STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// Kills the server (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.processes.iter_mut().rev().filter_map(Option::take).try_for_each(|mut process| process.kill())
    }

    /// Kills only the process with this index.
    pub fn kill_at(&mut self, index: usize) -> Result<()> {
        self.processes.get_mut(index).and_then(Option::take).map_or(Ok(()), |mut process| process.kill())
    }

    /// Pauses the processes (SIGSTOP): connections stay open, but nothing responds.
    pub fn freeze(&mut self) -> Result<()> {
        self.frozen = true;
        self.processes.iter_mut().flatten().try_for_each(|process| process.signal(Signal::SIGSTOP))
    }

    /// Pauses only the process with this index.
    pub fn freeze_at(&mut self, index: usize) -> Result<()> {
        self.frozen = true;
        self.processes.get_mut(index).and_then(Option::as_mut).map_or(Ok(()), |process| process.signal(Signal::SIGSTOP))
    }

    /// Resumes the processes after [`Server::freeze`].
    pub fn thaw(&mut self) -> Result<()> {
        self.frozen = false;
        self.processes.iter_mut().flatten().try_for_each(|process| process.signal(Signal::SIGCONT))
    }
}
