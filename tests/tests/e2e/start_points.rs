//! Starts of the stream in the past: behind a set of GTIDs, and at a moment.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Format, Table};
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

use super::case::Case;
use super::refusals::refused;
use super::servers::with_source;

const LIMIT: Duration = Duration::from_secs(60);

fn gtid_options(flavor: Flavor) -> &'static [&'static str] {
    match flavor {
        Flavor::MySql57 | Flavor::MySql80 => &["--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-slave-updates=ON"],
        _ => &[],
    }
}

async fn value(database: &Database, query: &str) -> Result<String> {
    let value: Option<String> = database.connect().await?.query_first(query).await?;
    value.map(|text| text.replace('\n', "")).ok_or_else(|| Failure::new(format!("{query}: nothing")))
}

async fn executed(database: &Database) -> Result<String> {
    let ask = if database.flavor() == Flavor::MariaDb { "SELECT @@GLOBAL.gtid_binlog_pos" } else { "SELECT @@GLOBAL.gtid_executed" };
    value(database, ask).await
}

async fn insert(database: &Database, name: &str, id: u32) -> Result<()> {
    database.execute(&[&format!("INSERT INTO {name}.t VALUES ({id}, '{id}')")]).await
}

/// A case with a table `t`, in a binlog of several files.
async fn several_files(flavor: Flavor, name: &str) -> Result<Case> {
    let servers = with_source(flavor, gtid_options(flavor)).await?;
    let source = &servers.source;
    source.execute(&[&format!("CREATE DATABASE {name}"), &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20))")]).await?;
    Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await
}

/// Runs a task from `start`, which must deliver exactly these rows.
async fn delivers(case: &Case, name: &str, start: &str, rows: &[&str]) -> Result<()> {
    let mut case = case.sibling(name, Format::CanalJson, 1).await?;
    case.settings.source = format!("phases = [\"incremental\"]\n{start}");
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.kill()?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert_eq!(case.rows_of("t", "a")?, rows, "{start}");
    Ok(())
}

async fn refuses(case: &mut Case, start: &str, texts: &[&str]) -> Result<()> {
    case.settings.source = format!("phases = [\"incremental\"]\n{start}");
    case.task.configure(&case.settings)?;
    refused(case, 2, &[&["source.polardbx.start"], texts].concat()).await
}

fn by_gtid(set: &str) -> String {
    format!("start.gtid = {{ set = {set:?} }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_behind_a_set_of_gtids() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        let name = format!("by_gtid_{}", flavor.name());
        let mut case = several_files(flavor, &name).await?;
        let servers = case.servers.clone();
        let source = &servers.source;
        let mut sets = Vec::new();
        for id in 1..=6 {
            insert(source, &name, id).await?;
            sets.push(executed(source).await?);
            if id % 2 == 0 {
                source.execute(&["FLUSH LOGS"]).await?;
            }
        }
        delivers(&case, &format!("{name}_3"), &by_gtid(&sets[2]), &["4", "5", "6"]).await?;
        delivers(&case, &format!("{name}_4"), &by_gtid(&sets[3]), &["5", "6"]).await?;
        delivers(&case, &format!("{name}_6"), &by_gtid(&sets[5]), &[]).await?;
        if flavor != Flavor::MariaDb {
            // A transaction that the set leaves out is delivered, wherever it is.
            let hole = value(source, &format!("SELECT GTID_SUBTRACT('{}', '{}')", sets[1], sets[0])).await?;
            let set = value(source, &format!("SELECT GTID_SUBTRACT('{}', '{hole}')", sets[3])).await?;
            delivers(&case, &format!("{name}_hole"), &by_gtid(&set), &["2", "5", "6"]).await?;
        }

        let foreign = if flavor == Flavor::MariaDb { "0-1-1000000" } else { "3e11fa47-71ca-11e1-9e33-c80aa9429562:7" };
        refuses(&mut case, &by_gtid(foreign), &["which this server has not executed", foreign]).await?;
        let other = if flavor == Flavor::MariaDb { "3e11fa47-71ca-11e1-9e33-c80aa9429562:7" } else { "0-1-7" };
        refuses(&mut case, &by_gtid(other), &["is not of the kind of this server", other]).await?;
        let (file, _) = source.position().await?;
        source.execute(&["FLUSH LOGS", &format!("PURGE BINARY LOGS TO '{file}'")]).await?;
        refuses(&mut case, &by_gtid(&sets[2]), &["gtid.set lacks", "has purged its binlog"]).await?;
    }
    let mut case = several_files_without_gtids().await?;
    let set = by_gtid("3e11fa47-71ca-11e1-9e33-c80aa9429562:7");
    refuses(&mut case, &set, &["does not give every transaction a GTID", "gtid_mode=ON"]).await
}

async fn several_files_without_gtids() -> Result<Case> {
    let servers = with_source(Flavor::MySql57, &[]).await?;
    servers.source.execute(&["CREATE DATABASE no_gtid_start", "CREATE TABLE no_gtid_start.t (id INT PRIMARY KEY)"]).await?;
    Case::new(servers, "no_gtid_start", Format::CanalJson, 1, vec![Table::new("no_gtid_start", "t")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_at_a_moment() -> Result<()> {
    for flavor in Flavor::ALL {
        let name = format!("by_time_{}", flavor.name());
        let mut case = several_files(flavor, &name).await?;
        let servers = case.servers.clone();
        let source = &servers.source;
        let now = || value(source, "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ')");
        let at = |moment: &str| format!("start.timestamp = {{ at = {moment:?} }}");
        let mut moments = Vec::new();
        for id in 1..=6 {
            if id % 2 == 1 {
                // Times in the binlog are whole seconds.
                tokio::time::sleep(Duration::from_millis(1100)).await;
                moments.push(now().await?);
            }
            insert(source, &name, id).await?;
            if id == 2 || id == 5 {
                source.execute(&["FLUSH LOGS"]).await?;
            }
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
        moments.push(now().await?);
        delivers(&case, &format!("{name}_3"), &at(&moments[1]), &["3", "4", "5", "6"]).await?;
        delivers(&case, &format!("{name}_5"), &at(&moments[2]), &["5", "6"]).await?;
        delivers(&case, &format!("{name}_7"), &at(&moments[3]), &[]).await?;

        refuses(&mut case, &at("2099-01-01T00:00:00+08:00"), &["is after now", "2098-12-31T16:00:00Z"]).await?;
        refuses(&mut case, &at("2001-01-01T00:00:00+08:00"), &["is not after", "the oldest file that the server still has"]).await?;
        if flavor != Flavor::PolarDbX {
            let (file, _) = source.position().await?;
            source.execute(&["FLUSH LOGS", &format!("PURGE BINARY LOGS TO '{file}'")]).await?;
            refuses(&mut case, &at(&moments[1]), &["is not after", &file]).await?;
        }
    }
    Ok(())
}
