//! The disk that holds the checkpoint becomes full.
//!
//! The checkpoint is in a small tmpfs that only the program sees, because it is mounted in a separate mount namespace. The namespace ends
//! with the program. This needs root or user namespaces. The test reaches the tmpfs through `/proc/PID/root` to fill and empty it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tests::checker::Format;
use tests::program::Task;
use tests::{Failure, Result};

use super::windows::{WINDOW, gives_up};
use super::{RECOVERY, Trial};
use crate::case::{Case, Servers, program};

/// Shell commands that mount the tmpfs at the folder `state` and then execute the program.
const MOUNT: &str = "mkdir -p state && mount -t tmpfs -o size=6m,mode=700 tmpfs state && exec \"$@\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_of_the_checkpoint_is_full_and_then_is_not() -> Result<()> {
    let mut trial = Trial::new(Servers::shared().await?, "full_disk", Format::CanalJson).await?;
    trial.case.task = in_tmpfs(&trial.case)?;
    trial.case.task.start()?;
    trial.case.catch_up(RECOVERY).await?;
    trial.write().await?;
    trial.hold(Duration::from_secs(2)).await?;
    for round in 1..=2 {
        let ballast = state(&trial.case.task)?.join("ballast");
        fill(&ballast)?;
        // Most commits fit into the space that the checkpoint already has, so they succeed even on a full disk. The schemas of new tables
        // do not fit: the checkpoint must grow, which fails.
        create_tables(&trial, round).await?;
        trial.hold(Duration::from_secs(6)).await?;
        let output = trial.case.task.output();
        assert!(output.contains("No space left on device"), "round {round}: nothing is output about the disk:\n{output}");
        fs::remove_file(ballast)?;
        trial.recovers("a full disk").await?;
    }
    trial.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_ends_while_the_disk_is_full() -> Result<()> {
    let mut trial = Trial::new(Servers::shared().await?, "disk_window", Format::CanalJson).await?;
    trial.case.settings.more = format!("[retry]\nwindow_seconds = {}", WINDOW.as_secs());
    trial.case.task = in_tmpfs(&trial.case)?;
    trial.case.task.start()?;
    trial.case.catch_up(RECOVERY).await?;
    fill(&state(&trial.case.task)?.join("ballast"))?;
    create_tables(&trial, 1).await?;
    gives_up(&mut trial, &["checkpoint", "No space left on device"]).await
}

fn in_tmpfs(case: &Case) -> Result<Task> {
    Task::new(&program().within(&["unshare", "--map-root-user", "--mount", "sh", "-ec", MOUNT, "sh"]), &case.settings)
}

async fn create_tables(trial: &Trial, round: u32) -> Result<()> {
    let columns: Vec<String> = (0..100).map(|number| format!("a_column_with_a_long_name_and_the_number_{number} INT")).collect();
    let create =
        |number| format!("CREATE TABLE {}.made_{round}_{number} (id INT PRIMARY KEY, {})", trial.case.database, columns.join(", "));
    let statements: Vec<String> = (0..100).map(create).collect();
    trial.case.servers.source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The path by which the test reaches the folder of the checkpoint in the mount namespace of the running program.
fn state(task: &Task) -> Result<PathBuf> {
    let id = task.id().ok_or_else(|| Failure::new("the task does not run"))?;
    let folder = task.file().parent().map(|folder| folder.join("state")).ok_or_else(|| Failure::new("a file without folder"))?;
    let inside = folder.strip_prefix("/")?.to_owned();
    Ok(PathBuf::from(format!("/proc/{id}/root")).join(inside))
}

/// Writes the file `ballast` until the disk is full.
fn fill(ballast: &PathBuf) -> Result<()> {
    use std::io::{ErrorKind, Write};
    let mut file = fs::File::create(ballast)?;
    loop {
        match file.write(&[0; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
