//! Text keys in every character set: tables are split into chunks by these keys, and updates change the keys of rows.

use std::time::Duration;

use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::Flavor;

use super::super::case::{Case, Servers};
use super::charsets::words;

const ROWS: u32 = 24;
const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_may_be_in_any_character_set_of_mysql57() -> Result<()> {
    keys_of(Flavor::MySql57).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_may_be_in_any_character_set_of_mysql80() -> Result<()> {
    keys_of(Flavor::MySql80).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_may_be_in_any_character_set_of_mariadb() -> Result<()> {
    keys_of(Flavor::MariaDb).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_may_be_in_any_character_set_of_polardbx() -> Result<()> {
    keys_of(Flavor::PolarDbX).await
}

async fn keys_of(flavor: Flavor) -> Result<()> {
    let servers = Servers::shared_of(flavor).await?;
    let name = format!("charset_keys_{}", flavor.name());
    let mut statements = vec![format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")];
    let mut tables = Vec::new();
    let mut moves = Vec::new();
    for (set, word) in words(flavor) {
        let table = format!("{name}.of_{set}");
        statements.push(format!("CREATE TABLE {table} (k VARCHAR(40) CHARACTER SET {set}, n INT, PRIMARY KEY (k))"));
        // Keys begin with every prefix of the word, so that they differ in their characters as well as in their length.
        let beginnings: Vec<String> = (1..=word.chars().count()).map(|count| word.chars().take(count).collect()).collect();
        let rows = (0..ROWS).map(|n| format!("('{}{n}', {n})", beginnings[n as usize % beginnings.len()]));
        statements.push(format!("INSERT INTO {table} VALUES {}", rows.collect::<Vec<_>>().join(", ")));
        moves.push(format!("UPDATE {table} SET k = CONCAT(k, '{word}') WHERE n % 3 = 0"));
        moves.push(format!("UPDATE {table} SET n = -n WHERE n % 3 = 1"));
        moves.push(format!("DELETE FROM {table} WHERE n % 6 = 0"));
        tables.push(Table::new(&name, format!("of_{set}")));
    }
    let source = &servers.source;
    source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let count = tables.len();
    let mut case = Case::new(servers.clone(), &name, Format::CanalJson, 4, tables).await?;
    case.settings.source = "chunk_rows = 5".into();
    case.settings.sink = "partition = \"primary_key\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    source.execute(&moves.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    // The rows that were not deleted, and those of the table `fence`.
    assert_eq!(report.rows, count * (ROWS - ROWS / 6) as usize + case.fences() as usize, "{report:?}");
    Ok(())
}
