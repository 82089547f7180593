//! Some defaults of a server or an account would truncate or change what a session reads; the program must override them.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::checker::{Format, Table};
use tests::harness::Flavor;
use tests::{Failure, Result};

use super::case::{Case, Servers};
use super::servers::with_source;

const LIMIT: Duration = Duration::from_secs(60);
const SMALL_TABLES: usize = 6;

/// The value of `init_connect`: settings that the server applies to every new session of an ordinary account.
const INIT: &str = "SET sql_select_limit = 3, max_join_size = 5, sql_big_selects = 0, autocommit = 0, time_zone = '+05:00', \
     sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH', character_set_results = latin1";

/// Creates a table that is read in several chunks, a table without a key, and more small tables than `sql_select_limit` lets a query
/// return.
async fn tables(servers: &Servers, name: &str) -> Result<Vec<Table>> {
    let source = &servers.source;
    source
        .execute(&[
            &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, c CHAR(9), w TIMESTAMP NULL)"),
            &format!("CREATE TABLE {name}.keyless (a INT, b VARCHAR(20))"),
        ])
        .await?;
    let mut tables = vec![Table::new(name, "t")];
    for id in 0..40 {
        source
            .execute(&[
                &format!("INSERT INTO {name}.t VALUES ({id}, 'é\\\\{id}', '2024-02-29 12:34:56')"),
                &format!("INSERT INTO {name}.keyless VALUES ({id}, 'row {id}')"),
            ])
            .await?;
    }
    for number in 0..SMALL_TABLES {
        let table = format!("s{number}");
        source.execute(&[&format!("CREATE TABLE {name}.{table} (id INT PRIMARY KEY)")]).await?;
        source.execute(&[&format!("INSERT INTO {name}.{table} VALUES (1), (2)")]).await?;
        tables.push(Table::new(name, &table));
    }
    Ok(tables)
}

async fn nothing_is_truncated(flavor: Flavor) -> Result<()> {
    let servers = with_source(flavor, &[]).await?;
    let name = format!("defaults_{}", flavor.name());
    let tables = tables(&servers, &name).await?;
    servers.source.execute(&[&format!("SET GLOBAL init_connect = \"{INIT}\"")]).await?;
    let mut case = Case::new(servers, &name, Format::CanalJson, 1, tables).await?;
    case.settings.tables.push(format!("{name}.keyless"));
    case.settings.source = "chunk_rows = 7".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.servers.source.execute(&[&format!("UPDATE {name}.t SET c = 'ü' WHERE id < 10"), &format!("DELETE FROM {name}.s0")]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    // The checker identifies rows by their keys, so rows without a key are counted here.
    let (mut rows, mut others) = (BTreeSet::new(), Vec::new());
    for entry in case.entries.drain(..) {
        let message: serde_json::Value = serde_json::from_slice(&entry.value)?;
        if message["table"] == "keyless" {
            rows.insert(message["data"][0]["b"].to_string());
        } else {
            others.push(entry);
        }
    }
    case.entries = others;
    assert_eq!(rows.len(), 40);
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_account_truncate_nothing_on_mysql_57() -> Result<()> {
    nothing_is_truncated(Flavor::MySql57).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_account_truncate_nothing_on_mysql_80() -> Result<()> {
    nothing_is_truncated(Flavor::MySql80).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_account_truncate_nothing_on_mariadb() -> Result<()> {
    nothing_is_truncated(Flavor::MariaDb).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_an_account_truncate_nothing_on_polardbx() -> Result<()> {
    nothing_is_truncated(Flavor::PolarDbX).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn keys_that_the_newest_mysql_generates_and_hides() -> Result<()> {
    if let Err(why) = Flavor::MySqlNewest.available().await {
        println!("skipped: the newest MySQL cannot be had here: {why}");
        return Ok(());
    }
    let servers = with_source(Flavor::MySqlNewest, &["--sql-generate-invisible-primary-key=ON"]).await?;
    servers
        .source
        .execute(&[
            "SET GLOBAL show_gipk_in_create_table_and_information_schema = OFF",
            "CREATE DATABASE hidden",
            "CREATE TABLE hidden.t (a INT)",
            "INSERT INTO hidden.t VALUES (5), (5), (6)",
        ])
        .await?;
    let mut case = Case::new(servers, "hidden", Format::CanalJson, 1, Vec::new()).await?;
    case.settings.tables.push("hidden.t".into());
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.servers.source.execute(&["INSERT INTO hidden.t VALUES (7)"]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let mut keys = Vec::new();
    for entry in &case.entries {
        let message: serde_json::Value = serde_json::from_slice(&entry.value)?;
        if message["table"] == "t" {
            assert_eq!(message["pkNames"], serde_json::json!(["my_row_id"]));
            keys.push(message["data"][0]["my_row_id"].as_str().ok_or_else(|| Failure::new("a row without its key"))?.to_owned());
        }
    }
    keys.sort_unstable();
    assert_eq!(keys, ["1", "2", "3", "4"]);
    Ok(())
}
