//! The files of a task: who can read them, and which are not read.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::Flavor;

use super::case::{Case, Servers, program};
use super::refusals::{create_small, refused, small};
use super::report::assert_error;

const LIMIT: Duration = Duration::from_secs(60);

/// Calls `check` for a file, which must end soon with an error that contains `texts`.
fn check_refuses(file: &Path, texts: &[&str]) -> Result<()> {
    let start = Instant::now();
    let output = program().command(&["check", &file.display().to_string()]).output()?;
    let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{console}");
    assert!(start.elapsed() < LIMIT);
    for text in texts {
        assert!(console.contains(text), "{text} is not reported:\n{console}");
    }
    Ok(())
}

/// The modes of a directory and of everything in it, with their paths.
fn modes(path: &Path) -> Result<Vec<(String, u32)>> {
    let found = fs::symlink_metadata(path)?;
    let mut modes = vec![(path.display().to_string(), found.permissions().mode())];
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            modes.extend(self::modes(&entry?.path())?);
        }
    }
    Ok(modes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_account_of_the_program_can_read_its_state() -> Result<()> {
    // A prepared transaction would delay every task that starts on a shared server.
    let servers = Servers::own(Flavor::MySql57).await?;
    create_small(&servers.source, "modes").await?;
    let mut case = Case::new(servers, "modes", Format::CanalJson, 1, vec![Table::new("modes", "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let mut connection = case.servers.source.connect().await?;
    for statement in ["XA START 'x'", "INSERT INTO modes.t VALUES (4, 'in a spool file')", "XA END 'x'", "XA PREPARE 'x'"] {
        connection.query_drop(statement).await?;
    }
    connection.disconnect().await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let state = case.task.file().with_file_name("state");
    const FILE: u32 = 0o100_600;
    const DIRECTORY: u32 = 0o40_700;
    let modes = modes(&state)?;
    for (path, mode) in &modes {
        assert!([FILE, DIRECTORY].contains(mode), "{path}: {mode:o}");
    }
    for name in ["/lock", "/checkpoint.redb", "/checkpoint.redb.1", "/spool/global/"] {
        assert!(modes.iter().any(|(path, mode)| path.contains(name) && *mode == FILE), "{name}: {modes:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_that_others_can_change_is_refused() -> Result<()> {
    let mut case = small("open_state").await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let (file, state) = (case.task.file(), case.task.file().with_file_name("state"));
    fs::set_permissions(&state, Permissions::from_mode(0o777))?;
    check_refuses(&file, &["E_STORE_DIRECTORY", "every user of this machine may write", "chmod o-w"])?;
    refused(&mut case, 2, &["E_STORE_DIRECTORY", "every user of this machine may write", "chmod o-w"]).await?;
    fs::set_permissions(&state, Permissions::from_mode(0o700))?;
    // A link in place of the checkpoint.
    let (checkpoint, elsewhere) = (state.join("checkpoint.redb"), file.with_file_name("elsewhere"));
    fs::rename(&checkpoint, &elsewhere)?;
    symlink(&elsewhere, &checkpoint)?;
    let before = fs::read(&elsewhere)?;
    check_refuses(&file, &["E_STORE_DIRECTORY", "checkpoint.redb is a symbolic link"])?;
    refused(&mut case, 2, &["E_STORE_DIRECTORY", "checkpoint.redb is a symbolic link"]).await?;
    assert!(fs::read(&elsewhere)? == before, "the file behind the link was changed");
    // The directory itself may be a link, and may be writable for a group.
    fs::rename(&elsewhere, &checkpoint)?;
    fs::set_permissions(&state, Permissions::from_mode(0o2770))?;
    fs::rename(&state, file.with_file_name("volume"))?;
    symlink(file.with_file_name("volume"), &state)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

#[test]
fn files_without_an_end_are_not_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    for path in [Path::new("/dev/zero"), &pipe] {
        check_refuses(path, &["cannot be read", "it is not an ordinary file"])?;
        let file = folder.path().join("task.toml");
        let password = format!("${{file:{}}}", path.display());
        fs::write(&file, format!("name = \"x\"\n[source.polardbx]\npassword = {password:?}\n[sink.kafka]\n"))?;
        let output = program().command(&["run", &file.display().to_string()]).output()?;
        assert_eq!(output.status.code(), Some(2));
        assert_error(&String::from_utf8_lossy(&output.stderr), &["source.polardbx.password", "it is not an ordinary file"])?;
    }
    Ok(())
}
