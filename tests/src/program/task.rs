//! A task that can be run, stopped, killed and run again.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Program, Settings};
use crate::harness::Process;
use crate::{Failure, Result};

/// The time within which the program must stop after a signal. It stops only at a commit.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A configured task that can be run, stopped, killed and run again.
#[derive(Debug)]
pub struct Task {
    program: Program,
    folder: TempDir,
    runs: u32,
    running: Option<Process>,
}

impl Task {
    /// Writes the configuration; the program is not started.
    pub fn new(program: &Program, settings: &Settings) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("task").tempdir()?;
        let task = Self { program: program.clone(), folder, runs: 0, running: None };
        task.configure(settings)?;
        Ok(task)
    }

    /// Replaces the configuration; the next start uses it.
    pub fn configure(&self, settings: &Settings) -> Result<()> {
        self.write(&settings.toml(&self.folder.path().join("state")))
    }

    /// Writes a text as the configuration, valid or not.
    pub fn write(&self, toml: &str) -> Result<()> {
        Ok(std::fs::write(self.file(), toml)?)
    }

    /// The path of the configuration file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("task.toml")
    }

    /// Starts the program with the command `run`.
    pub fn start(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running
            && running.ended()?.is_none()
        {
            return Failure::err("the task is already running");
        }
        self.runs += 1;
        let file = self.file().display().to_string();
        let mut command = self.program.command(&["run", &file]);
        command.current_dir(self.folder.path());
        self.running = Some(Process::spawn("the program under test", &mut command, self.folder.path(), &format!("log-{}", self.runs))?);
        Ok(())
    }

    /// The process id of the program; `None` if it was never started.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Process::id)
    }

    /// Everything that the program has written since its last start.
    pub fn output(&self) -> String {
        self.running.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Whether a run of the program has written this text.
    pub fn has_said(&self, text: &str) -> Result<bool> {
        for run in 1..=self.runs {
            if std::fs::read_to_string(self.folder.path().join(format!("log-{run}")))?.contains(text) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The number of records that reached the log late, by requests of killed processes, as all runs of the program have stated it.
    pub fn late_records(&self) -> Result<usize> {
        let mut records = 0;
        for run in 1..=self.runs {
            let log = std::fs::read_to_string(self.folder.path().join(format!("log-{run}")))?;
            for line in log.lines().filter(|line| line.contains("readers see its records as repeats")) {
                let number = line.split("records=").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
                records +=
                    number.unwrap_or_default().parse::<usize>().map_err(|_| Failure::new(format!("no number of records: {line}")))?;
            }
        }
        Ok(records)
    }

    /// Fails with the log if the program has ended.
    pub fn must_run(&mut self) -> Result<()> {
        self.running.as_mut().map_or_else(|| Failure::err("the task was not started"), Process::must_run)
    }

    /// Whether the program has ended.
    pub fn ended(&mut self) -> Result<bool> {
        Ok(self.running.as_mut().map_or(Ok(None), Process::ended)?.is_some())
    }

    /// Sends a signal to the program.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.running.as_mut().map_or(Ok(()), |running| running.signal(signal))
    }

    /// Kills the program (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.running.as_mut().map_or(Ok(()), Process::kill)
    }

    /// Asks the program to stop (SIGTERM); fails unless it stops with success.
    pub async fn stop(&mut self) -> Result<()> {
        self.must_run()?;
        self.signal(Signal::SIGTERM)?;
        let code = self.wait(STOP_LIMIT).await?;
        if code == 0 {
            return Ok(());
        }
        Failure::err(format!("the program stopped with exit code {code}:\n{}", self.output()))
    }

    /// Waits until the program ends by itself, and returns its exit code.
    pub async fn wait(&mut self, limit: Duration) -> Result<i32> {
        let running = self.running.as_mut().ok_or_else(|| Failure::new("the task was not started"))?;
        let status = running.wait(limit).await?;
        status.code().ok_or_else(|| Failure::new(format!("the program ended with {status}:\n{}", running.tail())))
    }
}
