//! Names that whoever may create tables can choose: with escape sequences, line breaks and marks of the direction of text. The program shows
//! them, and nothing of them acts on a terminal, adds a line or hides one.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use runtime::is_unprintable;
use tests::checker::{Format, Table};
use tests::harness::Process;
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::report::assert_error;

const LIMIT: Duration = Duration::from_secs(60);
/// The name of a partitioned table: it sets the title of a terminal, and adds a line as `check` prints it.
const TITLE: &str = "a\x1b]0;owned\x07\nok       forged";
/// How the program shows it.
const TITLE_SHOWN: &str = r"escapes.`a\u{1b}]0;owned\u{7}\nok       forged`";
/// The name of another table: C1 controls, a line separator, and text from right to left.
const COLOUR: &str = "b\u{9b}31m\u{202e}gpj\u{2028}\u{7f}x";
const COLOUR_SHOWN: &str = r"escapes.`b\u{9b}31m\u{202e}gpj\u{2028}\u{7f}x`";
/// The name of a column.
const COLUMN: &str = "c\x1b[1m\r\nerror: forged";

/// Checks that a text of the program, which is not on a terminal, holds lines of printable characters only, and shows `texts`.
fn assert_clean(output: &str, texts: &[&str]) {
    assert!(!output.chars().any(|c| c != '\n' && is_unprintable(c)), "{output:?}");
    assert!(!output.lines().any(|line| line.starts_with("ok       forged") || line.starts_with("error: forged")), "{output}");
    for text in texts {
        assert!(output.contains(text), "{text} is not shown:\n{output}");
    }
}

fn call(arguments: &[&str], folder: &Path) -> Result<(Option<i32>, String)> {
    let Output { status, stdout, stderr } = program().command(arguments).current_dir(folder).output()?;
    Ok((status.code(), String::from_utf8(stdout)? + &String::from_utf8(stderr)?))
}

async fn wait_for(process: &mut Process, text: &str) -> Result<()> {
    let start = Instant::now();
    while !process.output().contains(text) {
        process.must_run()?;
        if start.elapsed() > LIMIT {
            return Failure::err(format!("{text} is not shown:\n{}", process.output()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The number of lines that are JSON, all of which must be readable.
fn json_lines(output: &str) -> usize {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    let is_json = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    lines.inspect(|line| assert!(is_json(line), "{line}")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_tables_and_columns_forge_nothing() -> Result<()> {
    let servers = Servers::shared().await?;
    let partitions = "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20), \
                      PARTITION p2 VALUES LESS THAN (30))";
    servers
        .source
        .execute(&[
            "CREATE DATABASE escapes",
            "CREATE TABLE escapes.parent (id INT PRIMARY KEY)",
            &format!("CREATE TABLE escapes.`{TITLE}` (id INT PRIMARY KEY, `{COLUMN}` INT) {partitions}"),
            &format!("CREATE TABLE escapes.`{COLOUR}` (id INT, FOREIGN KEY (id) REFERENCES escapes.parent (id) ON DELETE CASCADE)"),
            &format!("INSERT INTO escapes.`{TITLE}` VALUES (1, 1), (11, 1), (21, 1)"),
        ])
        .await?;
    let mut case = Case::new(servers.clone(), "escapes", Format::CanalJson, 1, vec![Table::new("escapes", TITLE)]).await?;
    let (file, folder) = (case.task.file(), tempfile::tempdir()?);
    let file_name = file.display().to_string();

    let (code, console) = call(&["check", &file_name], folder.path())?;
    assert_eq!(code, Some(0), "{console}");
    assert_clean(&console, &[COLOUR_SHOWN]);

    // A table that does not exist, in the words of whoever wrote the file.
    let usual = std::fs::read_to_string(&file)?;
    case.task.write(&usual.replace("\"escapes.*\"", "\"escapes.*\", \"escapes.`no\\u001b[2J\\nok       forged`\""))?;
    for command in ["check", "run"] {
        let (code, console) = call(&[command, &file_name], folder.path())?;
        assert_eq!(code, Some(2), "{console}");
        assert_clean(&console, &[r"no\u{1b}[2J\nok       forged"]);
    }

    // Log lines as text.
    case.settings.source = "on_rows_without_events = \"warn\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    servers.source.execute(&[&format!("ALTER TABLE escapes.`{TITLE}` TRUNCATE PARTITION p0")]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert_clean(
        &case.task.output(),
        &[TITLE_SHOWN, "the binlog does not hold these rows", r#"statement="ALTER TABLE escapes.`a\u{1b}]0;"#],
    );

    // Log lines as JSON.
    let mut command = program().command(&["run", "--json-logs", &file_name]);
    let mut process = Process::spawn("the program under test", command.current_dir(folder.path()), folder.path(), "json-log")?;
    servers.source.execute(&[&format!("ALTER TABLE escapes.`{TITLE}` TRUNCATE PARTITION p1")]).await?;
    wait_for(&mut process, "the binlog does not hold these rows").await?;
    process.signal(Signal::SIGTERM)?;
    assert!(process.wait(LIMIT).await?.success(), "{}", process.output());
    assert_clean(&process.output(), &[r"forged`"]);
    assert!(json_lines(&process.output()) > 1, "{}", process.output());

    // A statement that is refused while the task runs.
    case.settings.source = String::new();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    servers.source.execute(&[&format!("ALTER TABLE escapes.`{TITLE}` TRUNCATE PARTITION p2")]).await?;
    assert_eq!(case.task.wait(LIMIT).await?, 1, "{}", case.task.output());
    let output = case.task.output();
    assert_error(&output, &["E_ROWS_WITHOUT_EVENTS"])?;
    assert_clean(&output, &[TITLE_SHOWN]);

    // The name of a table is taken as the program shows it.
    let (code, console) = call(&["schema", "refetch", &file_name, TITLE_SHOWN], folder.path())?;
    assert_ne!(code, None);
    assert_clean(&console, &[TITLE_SHOWN]);
    assert!(!console.contains("TABLE is not valid"), "{console}");
    Ok(())
}

#[test]
fn arguments_forge_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for arguments in [
        &["run", "no\x1b[2J\nok       forged.toml"] as &[&str],
        &["no\x1b[2J\u{9b}such"],
        &["run", "--\x1b]0;x\x07"],
        &["run", "--log", "\x1b[2J=\u{202e}", "x.toml"],
    ] {
        let (code, console) = call(arguments, folder.path())?;
        assert_eq!(code, Some(2), "{console}");
        assert_clean(&console, &["error: "]);
    }
    Ok(())
}
