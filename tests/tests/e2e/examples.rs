//! The example programs of the command line, run as a user would run them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tests::checker::Format;
use tests::harness::{Database, Entry, TopicReader, database};
use tests::program::{Program, Settings, Task};
use tests::{Failure, Result};

use super::case::Servers;

/// Builds the examples, if necessary, and returns the path of one.
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
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{console}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(console.lines().filter(|line| line.starts_with("row ") && line.contains("Row")).count(), 5, "{console}");
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
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{console}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(console, "embedded.a 3\nembedded.b 2\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_format_of_ones_own_under_the_stock_program() -> Result<()> {
    let servers = Servers::shared().await?;
    create(&servers.source, "own_format").await?;
    servers
        .source
        .execute(&[
            "CREATE TABLE own_format.c (id INT PRIMARY KEY, price DECIMAL(6,2), at DATETIME(3), state ENUM('new','paid'), flags SET('x','y','z'), \
             name VARCHAR(20) CHARACTER SET latin1, raw VARBINARY(4))",
            "INSERT INTO own_format.c VALUES (1, 5.50, '2024-02-29 01:02:03.004', 'paid', 'x,z', 'é', x'00ff'), (2, NULL, NULL, NULL, NULL, NULL, NULL)",
        ])
        .await?;
    servers.kafka.create_topic("own_format", 1).await?;
    let settings = Settings::new("own_format", &servers.source, &["own_format.*"], &servers.kafka, "own_format", Format::CanalJson);
    let path = tokio::task::spawn_blocking(|| example("custom_format")).await??;
    let mut task = Task::new(&Program::new(path), &settings)?;
    let toml = settings.toml(&task.file().with_file_name("state"));
    let own = toml.replace("format.canal_json = {}", "format.envelope = { server = \"shop\" }");
    assert_ne!(own, toml);
    task.write(&own)?;
    task.start()?;
    let mut reader = TopicReader::open(&servers.kafka, "own_format").await?;
    let mut messages = Vec::new();
    let mut seen = |entries: Vec<Entry>| -> Result<()> {
        messages.extend(entries.iter().map(|entry| serde_json::from_slice(&entry.value)).collect::<Result<Vec<serde_json::Value>, _>>()?);
        Ok(())
    };
    let limit = Duration::from_secs(60);
    let mut left = 7;
    let full = reader.read_until("the seven rows of the full phase", limit, |_| {
        left -= 1;
        left == 0
    });
    seen(full.await?)?;
    servers
        .source
        .execute(&[
            "UPDATE own_format.a SET id = 10 WHERE id = 1",
            "CREATE TABLE own_format.d (id INT PRIMARY KEY)",
            "DELETE FROM own_format.b WHERE id = 2",
        ])
        .await?;
    seen(reader.read_until("the deleted row", limit, |entry| contains(&entry.value, br#""op":"d""#)).await?)?;
    task.stop().await?;
    let of = |op: &str| messages.iter().filter(|message| message["op"] == op).collect::<Vec<_>>();
    assert_eq!((of("r").len(), of("u").len(), of("d").len()), (7, 1, 1), "{messages:?}");
    let wide = messages.iter().find(|message| message["source"]["table"] == "c" && message["after"]["id"] == 1);
    let after = serde_json::json!({"id": 1, "price": "5.50", "at": "2024-02-29 01:02:03.004", "state": "paid", "flags": "x,z", "name": "é", "raw": "00ff"});
    assert_eq!(wide.map(|message| &message["after"]), Some(&after));
    assert_eq!((&of("u")[0]["before"]["id"], &of("u")[0]["after"]["id"]), (&1.into(), &10.into()));
    assert_eq!((&of("d")[0]["after"], &of("d")[0]["source"]["name"]), (&serde_json::Value::Null, &"shop".into()));
    assert!(messages.iter().any(|message| message["ddl"] == "CREATE TABLE own_format.d (id INT PRIMARY KEY)"), "{messages:?}");
    Ok(())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
