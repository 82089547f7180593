//! A child process that never outlives its owner.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::command::last_lines;
use crate::{Failure, Result};

/// A running child process in its own process group. Its output is written to a file. The child is killed when this value is dropped. If
/// the test program ends without dropping this value, a watchdog kills the child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    watchdog: Watchdog,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`. Its standard output and standard error are appended to the file `log` in the scratch folder `folder`. If the
    /// watchdog has to kill the child, it also removes that folder.
    pub fn spawn(name: &str, command: &mut Command, folder: &Path, log: &str) -> Result<Self> {
        let log = folder.join(log);
        let output = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child = command.spawn().map_err(|error| Failure::from(error).context(format!("start {name}")))?;
        let watchdog = Watchdog::over(child.id(), folder)?;
        Ok(Self { name: name.to_owned(), child, log, watchdog, ended: None })
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's exit status; `None` while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
            if self.ended.is_some() {
                self.watchdog.dismiss();
            }
        }
        Ok(self.ended)
    }

    /// Everything that the child has written so far.
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends a signal to the child's process group; does nothing if the child has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            killpg(self.group(), signal)?;
        }
        Ok(())
    }

    /// Kills the child (SIGKILL) and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        if self.ended.is_none() {
            self.ended = Some(self.child.wait()?);
            self.watchdog.dismiss();
        }
        Ok(())
    }

    /// Waits until the child ends by itself, at most `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                let log = self.tail();
                return Failure::err(format!("{} has not ended after {} s; its log:\n{log}", self.name, limit.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Fails with the end of the log if the child has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Failure::err(format!("{} has ended with {status}; its log:\n{}", self.name, self.tail())),
        }
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        last_lines(&self.output(), 40)
    }

    fn group(&self) -> Pid {
        // Invariant: ids of Linux processes fit in i32.
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `drop` cannot report an error, so a failed kill is ignored.
        let _ = self.kill();
        if std::thread::panicking() {
            eprintln!("--- last lines of {} ---\n{}", self.name, self.tail());
        }
    }
}

/// A shell that waits until the test program ends, which closes the shell's standard input. The shell then kills a process group and
/// removes the scratch folder of that group.
#[derive(Debug)]
struct Watchdog(Child);

impl Watchdog {
    fn over(group: u32, folder: &Path) -> Result<Self> {
        let script = "cat >/dev/null; kill -9 -\"$1\"; sleep 0.2; rm -rf \"$2\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "watchdog", &group.to_string()]).arg(folder).process_group(0);
        Ok(Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    /// Ends the watchdog. Must be called as soon as the process group has ended, since the system may reuse its number.
    fn dismiss(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// Free ports of 127.0.0.1. Within this process, no port is returned twice.
///
/// The ports are below the range of outgoing connections: otherwise a client's connection could occupy the port of a server that is down.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut used = USED.lock().map_err(|_| Failure::new("a thread panicked while it looked for free ports"))?;
    let mut ports = [0; N];
    for port in &mut ports {
        let free = |candidate: &u16| !used.contains(candidate) && TcpListener::bind((Ipv4Addr::LOCALHOST, *candidate)).is_ok();
        let found = (0..1000).map(|_| fastrand::u16(12_000..32_000)).find(free);
        *port = found.ok_or_else(|| Failure::new("a thousand ports of 127.0.0.1 were tried, and none is free"))?;
        used.insert(*port);
    }
    Ok(ports)
}

/// Calls `ask` every 25 ms until it returns a value or an error. Fails if there is no value within `limit`.
pub async fn poll<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            return Failure::err(format!("waited {} s for {what}, which did not happen", limit.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
