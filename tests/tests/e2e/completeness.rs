//! Servers whose binlog does not hold every change: they are refused before anything is read.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::checker::{Format, Table};
use tests::harness::{Database, Flavor, database};
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::refusals::{create_small, refused};
use super::servers::{own, with_source};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_logged() -> Result<()> {
    for (flavor, options, said) in [
        (Flavor::MySql57, ["--binlog-do-db=other", "--binlog-do-db=second"], "binlog_do_db=other,second"),
        (Flavor::MySql80, ["--binlog-ignore-db=other", "--binlog-ignore-db=unlogged_mysql80"], "unlogged_mysql80)"),
        (Flavor::MariaDb, ["--binlog-do-db=other", "--binlog-do-db=second"], "binlog_do_db=other,second"),
    ] {
        let name = format!("unlogged_{}", flavor.name());
        let mut case = own(flavor, &options, &name).await?;
        let what = format!("the server does not write changes of {name} into its binlog");
        let output = program().command(&["check", &case.task.file().display().to_string()]).output()?;
        let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && console.contains(&what) && console.contains(said), "{console}");
        refused(&mut case, 2, &[&what, said]).await?;
        assert_eq!(case.read().await?, 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_does_not_log_what_it_replicates() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MariaDb] {
        let name = format!("replica_{}", flavor.name());
        let upstream = Database::start(flavor, &[]).await?;
        let mut case = own(flavor, &["--server-id=2", "--log-slave-updates=OFF"], &name).await?;
        let (file, offset) = upstream.position().await?;
        let change = format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = '{}', MASTER_PASSWORD = '{}', \
             MASTER_LOG_FILE = '{file}', MASTER_LOG_POS = {offset}",
            upstream.port(),
            database::USER,
            database::PASSWORD
        );
        case.servers.source.execute(&[&change, "START SLAVE"]).await?;
        create_on_source(&upstream, &case, &name).await?;
        refused(&mut case, 2, &["the server is a replica and does not write replicated changes into its binlog", "log-slave-updates"])
            .await?;
        assert_eq!(case.read().await?, 0);
        case.servers.source.execute(&["STOP SLAVE", "RESET SLAVE ALL"]).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
    }
    Ok(())
}

/// Writes a row on the server `upstream`, and waits until its replica has the row without having logged it.
async fn create_on_source(upstream: &Database, case: &Case, name: &str) -> Result<()> {
    let before = case.servers.source.position().await?;
    let statements = ["CREATE TABLE seen (id INT PRIMARY KEY)", "INSERT INTO seen VALUES (7)"];
    upstream.execute(&[&format!("CREATE DATABASE {name}_upstream"), &format!("USE {name}_upstream"), statements[0], statements[1]]).await?;
    let mut connection = case.servers.source.connect().await?;
    let start = Instant::now();
    loop {
        let query = format!("SELECT COUNT(*) FROM {name}_upstream.seen");
        match connection.query_first::<u64, _>(query).await {
            Ok(Some(1)) => break,
            _ if start.elapsed() > LIMIT => return Failure::err("the row does not reach the replica"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    connection.disconnect().await?;
    assert_eq!(case.servers.source.position().await?, before, "the replica does not log the row");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marker_row_that_is_not_logged_proves_nothing() -> Result<()> {
    // For PolarDB-X no marker row is written at all, and its global binlog has every database.
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        let name = format!("unmarked_{}", flavor.name());
        let servers: Servers = with_source(flavor, &[&format!("--binlog-do-db={name}")]).await?;
        create_small(&servers.source, &name).await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        case.settings.source = "barrier_delay_ms = 700".into();
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.servers.source.execute(&[&format!("INSERT INTO {name}.t VALUES (4, 'four')")]).await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
        let output = case.task.output();
        assert!(output.contains("delay of 700 ms (the marker row is not in the binlog)"), "{output}");
    }
    Ok(())
}
