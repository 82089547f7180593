//! The command line as people and scripts use it: help, exit codes, signals.

use std::process::Output;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::checker::Format;
use tests::workload::{Writers, load, writers};
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::report::{HELP, error_in};

const LIMIT: Duration = Duration::from_secs(60);

fn call(arguments: &[&str]) -> Result<Output> {
    Ok(program().command(arguments).output()?)
}

#[test]
fn exit_codes_of_calls_without_a_task() -> Result<()> {
    for (arguments, code, text) in [
        (&["version"] as &[&str], 0, env!("CARGO_PKG_VERSION")),
        (&["plugins"], 0, "polardbx"),
        (&["plugins"], 0, "kafka"),
        (&["--help"], 0, "Example"),
        (&[], 2, "Usage"),
        (&["no-such-command"], 2, "no-such-command"),
        (&["run"], 2, "FILE"),
        (&["run", "/no/such/file.toml"], 2, "/no/such/file.toml"),
        (&["check", "/no/such/file.toml"], 2, "/no/such/file.toml"),
    ] {
        let output = call(arguments)?;
        let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {console}");
        assert!(console.contains(text), "{arguments:?} does not contain {text:?}: {console}");
    }
    Ok(())
}

#[test]
fn a_command_whose_output_is_lost_fails() -> Result<()> {
    for arguments in [&["plugins"] as &[&str], &["version"]] {
        let output = program().command(arguments).stdout(std::fs::File::create("/dev/full")?).output()?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        super::report::assert_error(&errors, &["the output could not be written", "No space left"])?;
        // Who reads no further has seen enough.
        let mut child = program().command(arguments).stdout(std::process::Stdio::piped()).spawn()?;
        drop(child.stdout.take());
        assert_eq!(child.wait()?.code(), Some(0), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn contradictory_settings_are_refused_when_the_file_is_read() -> Result<()> {
    const FILE: &str = "name = \"x\"
[source.polardbx]
host = \"127.0.0.1\"
user = \"u\"
password = \"p\"
tables = [\"d.t\"]
[sink.kafka]
brokers = [\"127.0.0.1:1\"]
topic = \"tt_{database}.{table}\"
ddl_topic = \"ddl\"
";
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("x.toml").display().to_string();
    for (lines, texts) in [
        ("format.dts_avro = { transactions = true }", ["`topic`", "transactions = true", "template"]),
        ("format.dts_avro = { heartbeats = \"heartbeat\" }", ["`topic`", "heartbeats = \"heartbeat\"", "template"]),
        ("format.dts_avr = {}", ["`dts_avr`", "dts_avro", "`format.<name> = {}` in [sink.kafka]"]),
        ("format.dts_avro = { charset = \"x\" }", ["sink.kafka.format.dts_avro.charset", "utf8mb4", "reference.md"]),
        ("format.dts_avro = {}\ncompression = \"${env:NO_SUCH_VARIABLE}\"", ["sink.kafka.compression", "NO_SUCH_VARIABLE", "set NO_SUCH"]),
    ] {
        std::fs::write(&file, format!("{FILE}{lines}\n"))?;
        for command in ["check", "run"] {
            let mut call = program().command(&[command, &file]);
            let output = call.current_dir(folder.path()).output()?;
            let console = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command}: {console}");
            let error = error_in(&console)?;
            for text in texts.iter().chain([&file.as_str(), &HELP]) {
                assert!(error.contains(text), "{command} {lines}: {text:?} is not reported: {console}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_every_help_works_as_it_stands() -> Result<()> {
    let servers = Servers::shared().await?;
    let tables = writers::create_tables(&servers.source, "help", 20).await?;
    let mut case = Case::new(servers.clone(), "help", Format::CanalJson, 1, tables).await?;
    let folder = tempfile::tempdir()?;
    std::fs::copy(case.task.file(), folder.path().join("shop.toml"))?;
    let mut examples = Vec::new();
    for command in [None, Some("run"), Some("check"), Some("plugins"), Some("version")] {
        let output = call(&command.into_iter().chain(["--help"]).collect::<Vec<_>>())?;
        let help = String::from_utf8(output.stdout)?;
        let example = help.trim_end().lines().last().unwrap_or_default().trim().to_owned();
        assert!(example.starts_with("connector-cli "), "{help}");
        examples.extend(example.split("&&").map(|call| call.trim().to_owned()));
    }
    for example in examples {
        let arguments: Vec<&str> = example.split_whitespace().skip(1).collect();
        let mut command = program().command(&arguments);
        command.current_dir(folder.path());
        let mut process = tests::harness::Process::spawn(&example, &mut command, folder.path(), "log")?;
        if arguments.first() == Some(&"run") {
            tokio::time::sleep(Duration::from_secs(2)).await;
            process.must_run()?;
            process.signal(Signal::SIGTERM)?;
        }
        let status = process.wait(LIMIT).await?;
        assert!(status.success(), "{example}: {status}\n{}", process.output());
    }
    assert!(case.read().await? > 0, "the task was run by the examples");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_reports_problems_and_changes_nothing() -> Result<()> {
    let servers = Servers::shared().await?;
    let tables = writers::create_tables(&servers.source, "checked", 10).await?;
    let mut case = Case::new(servers.clone(), "checked", Format::CanalJson, 1, tables).await?;
    let file = case.task.file().display().to_string();
    let check = || -> Result<(Option<i32>, String)> {
        let output = call(&["check", &file])?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)))
    };
    let (code, console) = check()?;
    assert_eq!(code, Some(0), "{console}");
    for (spoil, text) in [
        ((|settings| settings.topic = "no_such_topic".into()) as fn(&mut tests::program::Settings), "no_such_topic"),
        (|settings| settings.password = "wrong".into(), "Access denied"),
        (|settings| settings.tables = vec!["no_such_database.*".into()], "no_such_database"),
        (|settings| settings.source = "handover = \"in_band\"\nphases = [\"full\"]".into(), "in_band"),
    ] {
        let mut settings = case.settings.clone();
        spoil(&mut settings);
        case.task.configure(&settings)?;
        let (code, console) = check()?;
        assert_eq!(code, Some(2), "{console}");
        assert!(console.contains(text) && console.contains("help: "), "{text:?} is not reported:\n{console}");
    }
    assert_eq!(case.read().await?, 0);
    // If the reader of the output closes the pipe, as in `check … | head -1`, the program must still succeed.
    case.task.configure(&case.settings)?;
    let mut command = program().command(&["check", &file]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    assert_eq!(child.wait()?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_stop_after_a_commit_and_the_next_start_repeats_nothing() -> Result<()> {
    let servers = Servers::shared().await?;
    let tables = writers::create_tables(&servers.source, "stopped", 50).await?;
    let mut case = Case::new(servers.clone(), "stopped", Format::DtsAvro, 1, tables).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let writers = Writers::start(&servers.source, "stopped", 3, Duration::from_millis(2), 6).await?;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM] {
        tokio::time::sleep(Duration::from_millis(800)).await;
        case.task.must_run()?;
        case.task.signal(signal)?;
        let code = case.task.wait(LIMIT).await?;
        assert_eq!(code, 0, "{signal}: {}", case.task.output());
        case.task.start()?;
    }
    writers.stop().await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_stopped_in_the_full_phase_continues_from_there() -> Result<()> {
    const ROWS: u64 = 50_000;
    let servers = Servers::shared().await?;
    let mut tables = writers::create_tables(&servers.source, "halfway", 10).await?;
    servers.source.execute(&[&load::create_ten_columns("halfway.bulk")]).await?;
    load::insert(&servers.source, "halfway.bulk", 0, ROWS, 1000, load::ten_columns).await?;
    tables.push(tests::checker::Table::new("halfway", "bulk"));
    let mut case = Case::new(servers.clone(), "halfway", Format::CanalJson, 1, tables).await?;
    case.settings.source = "chunk_rows = 1000\nparallelism = 2".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let start = std::time::Instant::now();
    while case.read().await? < 5000 {
        case.task.must_run()?;
        if start.elapsed() > LIMIT {
            return Failure::err(format!("no rows arrive:\n{}", case.task.output()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    case.task.stop().await?;
    let before = case.read().await?;
    assert!((before as u64) < ROWS, "the stop came after the full phase");
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    // Only the chunks that were being read when the program stopped may be read again.
    case.verify(2).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_task_is_refused() -> Result<()> {
    let servers = Servers::shared().await?;
    let tables = writers::create_tables(&servers.source, "twice", 10).await?;
    let mut case = Case::new(servers.clone(), "twice", Format::CanalJson, 1, tables).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let file = case.task.file().display().to_string();
    let output = tokio::task::spawn_blocking(move || call(&["run", &file])).await??;
    let console = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error_in(&console).is_ok(), "{console}");
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}
