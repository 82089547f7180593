//! Faults whose cause does not end. After the retry window the task fails with exit code 3 and an error that names the cause. Once the
//! cause has ended, the next start continues.

use std::time::{Duration, Instant};

use tests::Result;
use tests::checker::Format;
use tests::harness::Flavor;

use super::{RECOVERY, Trial};
use crate::case::Servers;
use crate::report::assert_error;

pub(super) const WINDOW: Duration = Duration::from_secs(6);

/// The time that the program may need after the retry window. It is long because a batch without a response is sent again for two minutes
/// before its lane fails.
const SLACK: Duration = Duration::from_secs(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_ends_while_the_database_is_down() -> Result<()> {
    let mut trial = with_window(Servers::shared().await?, "window_source").await?;
    let address = trial.source.address().to_string();
    trial.source.refuse();
    gives_up(&mut trial, &[&address, "refused"]).await?;
    // A new start fails in the same way.
    trial.case.task.start()?;
    gives_up(&mut trial, &[&address, "refused"]).await?;
    trial.source.pass();
    continues(trial).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_ends_while_the_database_is_silent() -> Result<()> {
    // The window begins when the silence has lasted for 15 s; after that no new connection is answered.
    let mut trial = with_window(Servers::shared().await?, "window_silence").await?;
    trial.source.blackhole();
    gives_up(&mut trial, &["could not connect to the source", "no answer within"]).await?;
    trial.source.pass();
    continues(trial).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_ends_while_no_broker_is_up() -> Result<()> {
    let mut trial = with_window(Servers::own(Flavor::MySql57).await?, "window_broker").await?;
    let address = trial.broker().address().to_string();
    trial.case.task.stop().await?;
    trial.broker().refuse();
    trial.case.task.start()?;
    gives_up(&mut trial, &[&address, "refused"]).await?;
    trial.broker().blackhole();
    trial.case.task.start()?;
    gives_up(&mut trial, &[&address]).await?;
    trial.broker().pass();
    continues(trial).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn the_window_ends_while_batches_have_no_response() -> Result<()> {
    let mut trial = with_window(Servers::own(Flavor::MySql57).await?, "window_in_flight").await?;
    let address = trial.broker().address().to_string();
    trial.broker().refuse();
    gives_up(&mut trial, &[&address]).await?;
    trial.broker().pass();
    trial.case.task.start()?;
    trial.recovers("a broker that was down").await?;
    trial.broker().blackhole();
    gives_up(&mut trial, &[&address]).await?;
    trial.broker().pass();
    continues(trial).await
}

async fn with_window(servers: Servers, name: &str) -> Result<Trial> {
    let mut trial = Trial::new(servers, name, Format::CanalJson).await?;
    trial.case.settings.more = format!("[retry]\nwindow_seconds = {}", WINDOW.as_secs());
    trial.case.task.configure(&trial.case.settings)?;
    trial.case.task.start()?;
    trial.case.catch_up(RECOVERY).await?;
    trial.write().await?;
    trial.hold(Duration::from_secs(1)).await?;
    Ok(trial)
}

/// Waits for the task to end by itself. It must not end immediately, and must have exit code 3 and an error that contains `texts`.
pub(super) async fn gives_up(trial: &mut Trial, texts: &[&str]) -> Result<()> {
    let start = Instant::now();
    let code = trial.case.task.wait(WINDOW + SLACK).await?;
    let output = trial.case.task.output();
    println!("after {:.1} s:", start.elapsed().as_secs_f64());
    assert_eq!(code, 3, "{output}");
    let tried_again = output.matches("is tried again in").count() > 2;
    assert!(tried_again || start.elapsed() > WINDOW, "it gave up at once:\n{output}");
    assert_error(&output, texts)
}

async fn continues(mut trial: Trial) -> Result<()> {
    trial.case.task.start()?;
    trial.recovers("a window that had ended").await?;
    trial.verify(0).await.map(drop)
}
