//! Checkpoints that were stored by earlier versions of the program. The program either continues a stored format, or refuses it with an
//! error that names the format and gives a remedy.

use std::fs;
use std::time::Duration;

use tests::Result;

use super::case::program;
use super::refusals::{refused, small};

const LIMIT: Duration = Duration::from_secs(60);
/// The checkpoint of a task on one table, which was stopped in its incremental phase. It was written by the last version that did not store
/// the state of the task separately.
const FORMAT_1: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/checkpoints/format-1.redb"));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn format_1_is_refused_with_a_remedy_that_works() -> Result<()> {
    let mut case = small("checkpoint_1").await?;
    let state = case.task.file().with_file_name("state");
    let database = state.join("checkpoint.redb");
    fs::create_dir(&state)?;
    fs::write(&database, FORMAT_1)?;
    let folder = state.display().to_string();
    let texts = ["E_CKPT_OLDER", folder.as_str(), "older version", "format 1", "from scratch", "empty topic"];
    let check = program().command(&["check", &case.task.file().display().to_string()]).output()?;
    let console = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
    assert!(!check.status.success() && console.contains("older version") && console.contains("from scratch"), "{console}");
    refused(&mut case, 1, &texts).await?;
    assert!(fs::read(&database)? == FORMAT_1 && !state.join("checkpoint.redb.1").exists(), "a refused checkpoint was changed");
    assert_eq!(case.read().await?, 0);

    fs::remove_dir_all(&state)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}
