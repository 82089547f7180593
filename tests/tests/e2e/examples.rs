//! The example programs of the command line, run as a user would run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use tests::checker::{Expected, Format, Table, verify};
use tests::harness::{Database, Entry, Proxy, TopicReader, database, poll};
use tests::program::{Program, Settings, Task};
use tests::{Failure, Result};

use super::case::{Servers, alone};

const LIMIT: Duration = Duration::from_secs(60);

/// Builds the examples if necessary, and returns the path of the example `name`.
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
async fn a_pipeline_in_a_custom_program() -> Result<()> {
    let servers = Servers::shared().await?;
    create(&servers.source, "embedded").await?;
    servers.kafka.create_topic("embedded", 3).await?;
    let folder = tempfile::tempdir()?;
    let (port, state) = (servers.source.port().to_string(), folder.path().join("state").display().to_string());
    let [host, tables, topic] = ["127.0.0.1", "embedded.*", "embedded"].map(str::to_owned);
    let arguments = [host, port, database::USER.into(), database::PASSWORD.into(), tables, servers.kafka.broker(), topic, state];
    let output =
        tokio::task::spawn_blocking(move || -> Result<_> { Ok(Command::new(example("embed")?).args(arguments).output()?) }).await??;
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{console}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(console, "5 rows copied\n");
    let expected = Expected { format: Format::CanalJson, cut_chunks: 0, late: 0, in_band: false };
    let tables = ["a", "b"].map(|table| Table::new("embedded", table));
    let report = verify(&servers.source, &tables, &servers.kafka, "embedded", expected).await?;
    assert_eq!((report.records, report.rows), (5, 5));
    Ok(())
}

/// The lines that the example `custom_sink` has written, each as the file's name, the tag and the change.
fn lines(directory: &Path) -> Result<Vec<(String, String, Json)>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let file = file?;
        for line in std::fs::read_to_string(file.path())?.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let (tag, change) = line.split_once(' ').ok_or_else(|| Failure::new(format!("a line without a tag: {line}")))?;
            found.push((file.file_name().to_string_lossy().into_owned(), tag.to_owned(), serde_json::from_str(change)?));
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_sink_loses_and_repeats_nothing_when_it_is_killed() -> Result<()> {
    const ROWS: u64 = 4000;
    const KILLS: u32 = 16;
    let _turn = alone().await;
    let servers = Servers::shared().await?;
    let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, 0, 'row {id}')")).collect();
    servers
        .source
        .execute(&[
            "CREATE DATABASE own_sink",
            "CREATE TABLE own_sink.t (id INT PRIMARY KEY, n INT NOT NULL, text VARCHAR(40))",
            &format!("INSERT INTO own_sink.t VALUES {}", rows.join(", ")),
        ])
        .await?;
    let proxy = Proxy::start(servers.source.address())?;
    let mut settings = Settings::new("own_sink", &servers.source, &["own_sink.*"], &servers.kafka, "none", Format::CanalJson);
    settings.source = "handover = \"sequential\"\nchunk_rows = 200\nparallelism = 2".into();
    settings.read_from(proxy.address());
    let path = tokio::task::spawn_blocking(|| example("custom_sink")).await??;
    let mut task = Task::new(&Program::new(path), &settings)?;
    let folder = task.file().with_file_name("rows");
    std::fs::create_dir(&folder)?;
    task.write(&settings.toml_with_sink(&task.file().with_file_name("state"), &format!("[sink.json_lines]\ndirectory = {folder:?}")))?;

    // The connection is so slow that several kills fall into the full phase.
    proxy.slow(40_000);
    task.start()?;
    // Once the first row is written, the start position of the stream is committed, so the stream has all changes from now on.
    poll("the first row", LIMIT, || async { Ok((!lines(&folder)?.is_empty()).then_some(())) }).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let (mut connection, stopped) = (servers.source.connect().await?, stop.clone());
    let writer = tokio::spawn(async move {
        let (mut rng, mut changes) = (fastrand::Rng::with_seed(7), 0);
        while !stopped.load(Ordering::Relaxed) {
            let id = rng.u64(..50);
            connection.query_drop(format!("UPDATE own_sink.t SET n = n + 1 WHERE id = {id}")).await?;
            changes += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        connection.query_drop("DELETE FROM own_sink.t WHERE id = 0").await?;
        Ok::<_, Failure>(changes)
    });
    let (mut rng, mut in_full) = (fastrand::Rng::with_seed(21), 0);
    for kill in 0..KILLS {
        if kill == KILLS / 2 {
            proxy.pass();
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(20..900))).await;
        task.must_run()?;
        task.kill()?;
        in_full += u64::from((lines(&folder)?.iter().filter(|(_, _, change)| change["op"] == "read").count() as u64) < ROWS);
        task.start()?;
    }
    assert!(in_full >= 3, "only {in_full} kills fell into the full phase");
    stop.store(true, Ordering::Relaxed);
    let changes: usize = writer.await??;
    let deleted = |lines: Vec<(String, String, Json)>| lines.iter().any(|(_, _, change)| change["op"] == "delete").then_some(());
    poll("the deleted row", LIMIT, || async { Ok(deleted(lines(&folder)?)) }).await?;
    task.stop().await?;

    let found = lines(&folder)?;
    let (read, changed): (Vec<_>, Vec<_>) = found.iter().partition(|(_, _, change)| change["op"] == "read");
    let mut ids: Vec<i64> = read.iter().filter_map(|(_, _, change)| change["after"]["id"].as_i64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..ROWS as i64).collect::<Vec<_>>(), "every row of the full phase once");
    println!("{KILLS} kills, {in_full} of them in the full phase; {changes} changes");
    assert_eq!(changed.len(), changes + 1, "every change once");
    assert!(changed.iter().all(|(file, _, _)| *file == changed[0].0), "the stream is in one file");
    // Each change must continue from the value that the previous change of its row left.
    let mut numbers = BTreeMap::new();
    for (_, _, change) in changed {
        let (before, after) = (&change["before"], &change["after"]);
        let last = numbers.insert(before["id"].as_i64(), after["n"].as_i64()).unwrap_or(Some(0));
        assert_eq!(before["n"].as_i64(), last, "{change}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_format_under_the_stock_program() -> Result<()> {
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
    let mut left = 7;
    let full = reader.read_until("the seven rows of the full phase", LIMIT, |_| {
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
    seen(reader.read_until("the deleted row", LIMIT, |entry| contains(&entry.value, br#""op":"d""#)).await?)?;
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
