//! The example programs of the command-line crate, run as a user would run them.

use std::path::PathBuf;
use std::process::Command;

use tests::harness::{Database, database};
use tests::{Failure, Result};

use super::case::Servers;

/// Builds the examples (nothing to do if they are fresh) and gives the path of one.
fn example(name: &str) -> Result<PathBuf> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_cli"));
    let folder = program.parent().ok_or_else(|| Failure::new("the program under test lies in no folder"))?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "-p", "connector-cli", "--examples"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if folder.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    let output = cargo.output()?;
    let path = folder.join("examples").join(name);
    if output.status.success() && path.is_file() {
        return Ok(path);
    }
    Failure::err(format!("the example {name} could not be built:\n{}", String::from_utf8_lossy(&output.stderr)))
}

async fn create(mysql: &Database, database: &str) -> Result<()> {
    mysql
        .execute(&[
            &format!("CREATE DATABASE {database}"),
            &format!("CREATE TABLE {database}.a (id INT PRIMARY KEY)"),
            &format!("CREATE TABLE {database}.b (id INT PRIMARY KEY, text VARCHAR(20))"),
            &format!("INSERT INTO {database}.a VALUES (1), (2), (3)"),
            &format!("INSERT INTO {database}.b VALUES (1, 'one'), (2, 'two')"),
        ])
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_of_ones_own_under_the_stock_program() -> Result<()> {
    let servers = Servers::shared().await?;
    create(&servers.source, "own_sink").await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("task.toml");
    let state = folder.path().join("state");
    let (port, user, password) = (servers.source.port(), database::USER, database::PASSWORD);
    let toml = format!(
        "name = \"own_sink\"\n[source.polardbx]\nhost = \"127.0.0.1\"\nport = {port}\nuser = {user:?}\npassword = {password:?}\n\
         tables = [\"own_sink.*\"]\nphases = [\"full\"]\n[sink.stdout]\nprefix = \"row\"\n[store.local]\npath = {:?}\n",
        state.display().to_string()
    );
    std::fs::write(&file, toml)?;
    let output =
        tokio::task::spawn_blocking(move || -> Result<_> { Ok(Command::new(example("custom_sink")?).arg("run").arg(&file).output()?) })
            .await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("row ") && line.contains("Row")).count(), 5, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_in_a_program_of_ones_own() -> Result<()> {
    let servers = Servers::shared().await?;
    create(&servers.source, "embedded").await?;
    let folder = tempfile::tempdir()?;
    let (port, state) = (servers.source.port().to_string(), folder.path().join("state").display().to_string());
    let arguments = ["127.0.0.1".into(), port, database::USER.into(), database::PASSWORD.into(), "embedded.*".into(), state];
    let output =
        tokio::task::spawn_blocking(move || -> Result<_> { Ok(Command::new(example("embed")?).args(arguments).output()?) }).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, "embedded.a 3\nembedded.b 2\n");
    Ok(())
}
