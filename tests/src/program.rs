//! The program under test as a child process, with its configuration file, its checkpoint and its log in a scratch folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::checker::Format;
use crate::harness::{Kafka, MySql, Process, mysql};
use crate::{Failure, Result};

/// How long the program may take to stop at a commit.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How to call the command line: a file and the arguments that go before the user's.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    first: Vec<String>,
}

impl Program {
    /// The program at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), first: Vec::new() }
    }

    /// This very program, called with one more argument under which it is the command line (see [`as_command_line`]).
    pub fn myself() -> Result<Self> {
        Ok(Self { path: std::env::current_exe()?, first: vec![AS_COMMAND_LINE.to_owned()] })
    }

    /// A call with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.first).args(arguments);
        command
    }
}

const AS_COMMAND_LINE: &str = "as-command-line";

/// For programs that start themselves as the command line: the command line's arguments, if this is such a call.
pub fn as_command_line() -> Option<Vec<std::ffi::OsString>> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    let found = arguments.get(1).is_some_and(|argument| argument == AS_COMMAND_LINE);
    found.then(|| {
        arguments.remove(1);
        arguments
    })
}

/// What a task does; rendered as the TOML file that a user would write.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The task's name.
    pub name: String,
    /// Port of the MySQL on 127.0.0.1.
    pub mysql_port: u16,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Selected tables.
    pub tables: Vec<String>,
    /// More lines of `[source.polardbx]`.
    pub source: String,
    /// The broker.
    pub broker: String,
    /// The topic.
    pub topic: String,
    /// More lines of `[sink.kafka]`.
    pub sink: String,
    /// Format of the values.
    pub format: Format,
    /// More sections.
    pub more: String,
}

impl Settings {
    /// Full and incremental phase of `tables` into `topic`, everything else by default.
    pub fn new(name: &str, mysql: &MySql, tables: &[&str], kafka: &Kafka, topic: &str, format: Format) -> Self {
        Self {
            name: name.to_owned(),
            mysql_port: mysql.port(),
            user: mysql::USER.to_owned(),
            password: mysql::PASSWORD.to_owned(),
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            source: String::new(),
            broker: kafka.broker(),
            topic: topic.to_owned(),
            sink: String::new(),
            format,
            more: String::new(),
        }
    }

    fn toml(&self, state: &Path) -> String {
        let Self { name, mysql_port, user, password, tables, source, broker, topic, sink, format, more } = self;
        format!(
            "name = {name:?}\n\n[source.polardbx]\nhost = \"127.0.0.1\"\nport = {mysql_port}\nuser = {user:?}\npassword = {password:?}\n\
             tables = {tables:?}\n{source}\n\n[sink.kafka]\nbrokers = [{broker:?}]\ntopic = {topic:?}\nformat.{} = {{}}\n{sink}\n\n\
             [store.local]\npath = {:?}\n\n{more}\n",
            format.name(),
            state.display().to_string(),
        )
    }
}

/// A configured task that can be run, stopped, killed and run again.
#[derive(Debug)]
pub struct Task {
    program: Program,
    folder: TempDir,
    runs: u32,
    running: Option<Process>,
}

impl Task {
    /// Writes the configuration; nothing is started.
    pub fn new(program: &Program, settings: &Settings) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("task").tempdir()?;
        let task = Self { program: program.clone(), folder, runs: 0, running: None };
        task.configure(settings)?;
        Ok(task)
    }

    /// Writes the configuration again, for the next start.
    pub fn configure(&self, settings: &Settings) -> Result<()> {
        self.write(&settings.toml(&self.folder.path().join("state")))
    }

    /// Writes any text as the configuration.
    pub fn write(&self, toml: &str) -> Result<()> {
        Ok(std::fs::write(self.file(), toml)?)
    }

    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("task.toml")
    }

    /// Starts `run`.
    pub fn start(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running
            && running.ended()?.is_none()
        {
            return Failure::err("the task runs already");
        }
        self.runs += 1;
        let file = self.file().display().to_string();
        let mut command = self.program.command(&["run", &file]);
        command.current_dir(self.folder.path());
        self.running = Some(Process::spawn("the program under test", &mut command, self.folder.path(), &format!("log-{}", self.runs))?);
        Ok(())
    }

    /// Process id of the running program.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Process::id)
    }

    /// All that the last run has written.
    pub fn output(&self) -> String {
        self.running.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Fails with the log if the program has ended.
    pub fn must_run(&mut self) -> Result<()> {
        self.running.as_mut().map_or_else(|| Failure::err("the task was not started"), Process::must_run)
    }

    /// Whether the program has ended.
    pub fn ended(&mut self) -> Result<bool> {
        Ok(self.running.as_mut().map_or(Ok(None), Process::ended)?.is_some())
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.running.as_mut().map_or(Ok(()), |running| running.signal(signal))
    }

    /// Ends the program as a power failure would.
    pub fn kill(&mut self) -> Result<()> {
        self.running.as_mut().map_or(Ok(()), Process::kill)
    }

    /// Asks the program to stop and fails unless it does so with success.
    pub async fn stop(&mut self) -> Result<()> {
        self.must_run()?;
        self.signal(Signal::SIGTERM)?;
        let code = self.wait(STOP_LIMIT).await?;
        if code == 0 {
            return Ok(());
        }
        Failure::err(format!("the program stopped with exit code {code}:\n{}", self.output()))
    }

    /// Waits until the program ends by itself; gives its exit code.
    pub async fn wait(&mut self, limit: Duration) -> Result<i32> {
        let running = self.running.as_mut().ok_or_else(|| Failure::new("the task was not started"))?;
        let status = running.wait(limit).await?;
        status.code().ok_or_else(|| Failure::new(format!("the program ended with {status}:\n{}", running.tail())))
    }
}
