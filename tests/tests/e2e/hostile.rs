//! Runs the program against a server that is not what it says.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tests::measure::usage_of;
use tests::{Failure, Result};

use super::case::program;

/// The most memory that the program may take, in KiB.
pub(super) const MOST_KIB: u64 = 64 << 10;

/// Runs a command of the program with this configuration. The name of the task and its store are added. Returns how the program has ended,
/// and what it has said. Fails if it has not ended after `limit`, or has taken too much memory, or has panicked.
pub(super) async fn run(command: &str, configuration: &str, limit: Duration) -> Result<(ExitStatus, String)> {
    let folder = tempfile::tempdir()?;
    let (file, state) = (folder.path().join("task.toml"), folder.path().join("state").display().to_string());
    std::fs::write(&file, format!("name = \"hostile\"\n{configuration}\n[store.local]\npath = {state:?}\n"))?;
    let output = folder.path().join("output");
    let log = std::fs::File::create(&output)?;
    let arguments = [command, &file.display().to_string()];
    let mut child = program().command(&arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let (started, mut most) = (Instant::now(), 0);
    let status = loop {
        if let Ok((_, kib)) = usage_of(child.id()) {
            most = most.max(kib);
        }
        match child.try_wait()? {
            Some(status) => break status,
            None if started.elapsed() > limit => {
                child.kill()?;
                child.wait()?;
                return Failure::err(format!("the program has not ended in time:\n{}", std::fs::read_to_string(&output)?));
            }
            None => tokio::time::sleep(Duration::from_millis(3)).await,
        }
    };
    let said = std::fs::read_to_string(&output)?;
    println!("{most} KiB, {:?}, {status}\n{said}", started.elapsed());
    assert!(most <= MOST_KIB, "{most} KiB:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    Ok((status, said))
}
