//! Starts of the stream: the schemas of the tables must belong to them.

use std::time::{Duration, Instant};

use tests::checker::{Format, Table};
use tests::harness::Flavor;
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::refusals::refused;
use super::servers::with_source;

const LIMIT: Duration = Duration::from_secs(60);

async fn two_columns(flavor: Flavor, name: &str) -> Result<Case> {
    two_columns_on(flavor, name, &[]).await
}

async fn two_columns_on(flavor: Flavor, name: &str, options: &[&str]) -> Result<Case> {
    let servers: Servers = with_source(flavor, options).await?;
    servers
        .source
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a INT, b INT)"),
            &format!("INSERT INTO {name}.t VALUES (1, 10, 20)"),
        ])
        .await?;
    Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await
}

/// Exchanges the columns `a` and `b`. Their type is the same, so row events look as before.
fn swap(name: &str) -> String {
    format!("ALTER TABLE {name}.t CHANGE a b INT, CHANGE b a INT")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_yesterday_are_not_read_with_the_schema_of_today() -> Result<()> {
    for flavor in Flavor::ALL {
        let name = format!("yesterday_{}", flavor.name());
        let mut case = two_columns(flavor, &name).await?;
        case.servers.source.execute(&["FLUSH LOGS", &format!("INSERT INTO {name}.t VALUES (2, 10, 20)")]).await?;
        let (file, offset) = case.servers.source.position().await?;
        case.servers.source.execute(&[&swap(&name), &format!("INSERT INTO {name}.t VALUES (3, 10, 20)")]).await?;
        let what = format!("changes columns or the primary key of {name}.t");
        let start = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
        case.settings.source.clone_from(&start);
        case.task.configure(&case.settings)?;
        refused(&mut case, 2, &["source.polardbx.start", &what, &format!("{file}:"), "ALTER TABLE", "start_schema"]).await?;
        assert_eq!(case.read().await?, 0);
        // The user may know the schema of that moment.
        let dump = tempfile::NamedTempFile::new()?;
        std::fs::write(dump.path(), format!("USE {name};\nCREATE TABLE `t` (`id` INT PRIMARY KEY, `a` INT, `b` INT);\n"))?;
        case.settings.source = format!("{start}\nstart_schema = {:?}", dump.path());
        let mut given = case.sibling(&format!("{name}_given"), Format::CanalJson, 1).await?;
        given.settings.source.clone_from(&case.settings.source);
        // From the beginning of the binlog, the CREATE TABLE is known.
        let mut earliest = case.sibling(&format!("{name}_earliest"), Format::CanalJson, 1).await?;
        earliest.settings.source = "phases = [\"incremental\"]\nstart.earliest = {}".to_owned();
        for (case, expected) in
            [(&mut given, [["20", "10"]].concat()), (&mut earliest, [["10", "20"], ["10", "20"], ["20", "10"]].concat())]
        {
            case.task.configure(&case.settings)?;
            case.task.start()?;
            case.catch_up(LIMIT).await?;
            case.task.stop().await?;
            let (a, b) = (case.rows_of("t", "a")?, case.rows_of("t", "b")?);
            let found: Vec<String> = a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect();
            assert_eq!(found, expected, "{}", case.topic);
        }
        // Behind the statement, the schema is known.
        let (file, offset) = case.servers.source.position().await?;
        case.servers.source.execute(&[&format!("INSERT INTO {name}.t VALUES (4, 10, 20)")]).await?;
        let start = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
        // The server knows better than the user.
        case.settings.source = format!("{start}\nstart_schema = {:?}", dump.path());
        case.task.configure(&case.settings)?;
        refused(&mut case, 2, &["source.polardbx.start_schema", "another schema than the server has", &format!("{name}.t")]).await?;
        case.settings.source = start;
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        assert_eq!((case.rows_of("t", "a")?, case.rows_of("t", "b")?), (vec!["20".to_owned()], vec!["10".to_owned()]));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_changes_while_the_task_begins() -> Result<()> {
    let mut case = two_columns(Flavor::MySql57, "begins").await?;
    case.servers.source.execute(&["REVOKE ALL ON dts_health_check.* FROM 'dts'@'%'"]).await?;
    // The barrier is a wait, which begins after the start of the stream is noted.
    case.settings.source = "barrier_delay_ms = 3000".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let start = Instant::now();
    while !case.task.output().contains("waiting until all commits before the start position are visible") {
        if start.elapsed() > LIMIT {
            return Failure::err(format!("no wait begins:\n{}", case.task.output()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let statements =
        ["INSERT INTO begins.t VALUES (2, 10, 20)".to_owned(), swap("begins"), "INSERT INTO begins.t VALUES (3, 10, 20)".to_owned()];
    case.servers.source.execute(&statements.each_ref().map(String::as_str)).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let output = case.task.output();
    assert!(output.contains("changes columns or the primary key of begins.t while the task began"), "{output}");
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_what_the_first_start_refuses() -> Result<()> {
    let mut case = two_columns(Flavor::MySql57, "first_check").await?;
    let check = |case: &Case| -> Result<(Option<i32>, String)> {
        let output = program().command(&["check", &case.task.file().display().to_string()]).output()?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)))
    };
    let starts = [
        ("start.position = { file = \"binlog.999999\", offset = 4 }", "the server has no binlog file \"binlog.999999\""),
        ("start.position = { file = \"binlog.000001\", offset = 5 }", "no event begins there"),
        ("start.position = { file = \"FILE\", offset = OFFSET }", "changes columns or the primary key of first_check.t"),
    ];
    let (file, offset) = case.servers.source.position().await?;
    case.servers.source.execute(&[&swap("first_check")]).await?;
    for (start, said) in starts {
        let start = start.replace("FILE", &file).replace("OFFSET", &offset.to_string());
        case.settings.source = format!("phases = [\"incremental\"]\n{start}");
        case.task.configure(&case.settings)?;
        let (code, console) = check(&case)?;
        assert!(code == Some(2) && console.contains(said), "{console}");
    }
    // A table that is listed by its name must exist at the first start only.
    case.settings.source = String::new();
    case.settings.tables = vec!["first_check.fence".into(), "first_check.t".into(), "first_check.later".into()];
    case.task.configure(&case.settings)?;
    let (code, console) = check(&case)?;
    assert!(code == Some(2) && console.contains("table first_check.later does not exist"), "{console}");
    refused(&mut case, 2, &["E_CONFIG", "source.polardbx.tables", "table first_check.later does not exist"]).await?;
    case.servers.source.execute(&["CREATE TABLE first_check.later (id INT PRIMARY KEY)"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.servers.source.execute(&["DROP TABLE first_check.later"]).await?;
    let (code, console) = check(&case)?;
    assert!(code == Some(0) && console.contains("table first_check.later does not exist"), "{console}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_metadata_shows_the_schemas_of_yesterday() -> Result<()> {
    for flavor in [Flavor::MySql80, Flavor::MariaDb] {
        let name = format!("shown_{}", flavor.name());
        let mut case = two_columns_on(flavor, &name, &["--binlog-row-metadata=FULL"]).await?;
        let source = case.servers.source.clone();
        let run = async |statements: &[String]| source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
        run(&[
            format!("CREATE TABLE {name}.kinds (id INT PRIMARY KEY, u BIGINT UNSIGNED, e ENUM('x','y'), s CHAR(3) CHARACTER SET latin1)"),
            format!("CREATE TABLE {name}.quiet (id INT PRIMARY KEY)"),
            "FLUSH LOGS".to_owned(),
        ])
        .await?;
        let (file, offset) = source.position().await?;
        run(&[
            format!("INSERT INTO {name}.t VALUES (2, 10, 20)"),
            format!("INSERT INTO {name}.kinds VALUES (1, 18446744073709551615, 'y', 'é')"),
            swap(&name),
            format!("INSERT INTO {name}.t VALUES (3, 10, 20)"),
            // The columns have the character set of the table, which no TABLE_MAP shows.
            format!("ALTER TABLE {name}.t ADD v VARCHAR(5)"),
            format!("INSERT INTO {name}.t VALUES (4, 10, 20, 'ü')"),
            format!("ALTER TABLE {name}.kinds MODIFY e ENUM('y','x') CHARACTER SET latin1"),
            format!("ALTER TABLE {name}.kinds CONVERT TO CHARACTER SET utf8mb4"),
            format!("INSERT INTO {name}.kinds VALUES (2, 5, 'y', 'ß')"),
            format!("RENAME TABLE {name}.kinds TO {name}.sorts"),
            format!("ALTER TABLE {name}.quiet ADD a INT"),
            format!("INSERT INTO {name}.quiet VALUES (1, 1)"),
        ])
        .await?;
        // Nothing shows the schema of a table before its change if it has no rows there.
        let start = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
        case.settings.source.clone_from(&start);
        case.task.configure(&case.settings)?;
        refused(&mut case, 2, &["source.polardbx.start", &format!("changes columns or the primary key of {name}.quiet")]).await?;
        case.settings.source = format!("{start}\nexclude = [\"{name}.quiet\"]");
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        let output = case.task.output();
        assert!(output.contains("the schema of a table at the start of the stream was read from the binlog"), "{output}");
        let column = |table: &str, column: &str| case.rows_of(table, column);
        assert_eq!((column("t", "a")?, column("t", "b")?), (texts(&["10", "20", "20"]), texts(&["20", "10", "10"])));
        assert_eq!(column("kinds", "u")?, texts(&["18446744073709551615", "5"]));
        assert_eq!(column("kinds", "s")?, texts(&["é", "ß"]));
        // A later start continues with what is committed.
        run(&[format!("INSERT INTO {name}.t VALUES (5, 10, 20, 'é')")]).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        assert_eq!(case.rows_of("t", "a")?, texts(&["10", "20", "20", "20"]));
    }
    Ok(())
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}
