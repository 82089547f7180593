//! Golden files: every type of every server, with values at its limits, goes through the whole program in both formats.
//!
//! Each value is read by the snapshot, inserted, updated to the next value and deleted. The results are in `tests/golden/values`.
//! `UPDATE_GOLDEN=1` rewrites the files; review the difference before committing it.

mod avro;
mod canal;
mod charsets;
mod keys;
mod options;
mod page;
mod piece;
mod types;
mod undecodable;

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::Format;
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

use self::piece::{Op, Piece};
use self::types::TypeCase;
use super::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(90);

/// The number of rows in the table `fence`.
const FENCES: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_mysql57_is_written_as_in_the_golden_files() -> Result<()> {
    every_type_of(Flavor::MySql57).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_mysql80_is_written_as_in_the_golden_files() -> Result<()> {
    every_type_of(Flavor::MySql80).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_mariadb_is_written_as_in_the_golden_files() -> Result<()> {
    every_type_of(Flavor::MariaDb).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_polardbx_is_written_as_in_the_golden_files() -> Result<()> {
    every_type_of(Flavor::PolarDbX).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn every_type_of_the_newest_mysql_is_written_as_in_the_golden_files() -> Result<()> {
    let flavor = Flavor::MySqlNewest;
    if let Err(why) = flavor.available().await {
        println!("skipped: the newest MySQL cannot be had here: {why}");
        return Ok(());
    }
    let (kafka, source) = (Servers::shared().await?.kafka, Arc::new(Database::start(flavor, &[]).await?));
    every_type_on(Servers { source, kafka }).await
}

async fn every_type_of(flavor: Flavor) -> Result<()> {
    every_type_on(Servers::shared_of(flavor).await?).await
}

async fn every_type_on(servers: Servers) -> Result<()> {
    let flavor = servers.source.flavor();
    let database = format!("golden_{}", flavor.name());
    let cases = types::all(flavor);
    before(&servers.source, &database, &cases).await?;
    let mut canal = Case::new(servers.clone(), &database, Format::CanalJson, 1, Vec::new()).await?;
    let mut avro = canal.sibling(&format!("{database}_avro"), Format::DtsAvro, 1).await?;
    canal.task.start()?;
    avro.task.start()?;
    both(&mut canal, &mut avro).await?;
    changes(&servers.source, &database, &cases).await?;
    both(&mut canal, &mut avro).await?;
    // The stream may deliver the fence before the snapshot has delivered all rows.
    let messages = Op::ALL.len() * cases.iter().map(|case| case.literals.len()).sum::<usize>();
    canal.wait_for_records(messages + FENCES, LIMIT).await?;
    avro.wait_for_records(messages + FENCES, LIMIT).await?;
    canal.task.stop().await?;
    avro.task.stop().await?;
    let canal = page::render(&cases, &pieces(&canal, canal::take_apart)?)?;
    let avro = page::render(&cases, &pieces(&avro, avro::take_apart)?)?;
    if flavor == Flavor::PolarDbX {
        // Nothing but the names and the server's id differs from what is behind the stand-in.
        let as_mysql = |page: &str| page.replace(flavor.name(), Flavor::MySql57.name()).replace("\"1147473645\"", "\"1\"");
        page::compare(Flavor::MySql57.name(), "canal_json", &as_mysql(&canal))?;
        return page::compare(Flavor::MySql57.name(), "dts_avro", &as_mysql(&avro));
    }
    page::compare(flavor.name(), "canal_json", &canal)?;
    page::compare(flavor.name(), "dts_avro", &avro)
}

/// Waits until both tasks have delivered everything that was committed so far.
async fn both(canal: &mut Case, avro: &mut Case) -> Result<()> {
    let fence = canal.fence().await?;
    canal.reach(fence, LIMIT).await?;
    avro.reach(fence, LIMIT).await
}

/// The parsed messages of the tables under test, without those of the table `fence`.
fn pieces(case: &Case, take_apart: impl Fn(&[u8]) -> Result<Piece>) -> Result<Vec<Piece>> {
    let of_fence = |value: &[u8]| value.windows(6).any(|part| part == b".fence" || part == b"\"fence");
    let values = case.entries.iter().map(|entry| entry.value.as_slice()).filter(|value| !of_fence(value));
    values.map(take_apart).collect()
}

/// Runs statements on one connection.
async fn run(source: &Database, statements: &[String]) -> Result<()> {
    let mut connection = source.connect().await?;
    for statement in statements {
        connection.query_drop(statement).await.map_err(|error| Failure::from(error).context(statement))?;
    }
    Ok(connection.disconnect().await?)
}

/// The statement that inserts every literal of a type; the first row has the key `first`.
fn insert(database: &str, case: &TypeCase, first: u32) -> String {
    let rows: Vec<String> = case.literals.iter().zip(first..).map(|(literal, id)| format!("({id}, {literal})")).collect();
    format!("INSERT INTO {database}.{} VALUES {}", case.name, rows.join(", "))
}

/// Creates the tables and inserts every value, before the tasks start.
async fn before(source: &Database, database: &str, cases: &[TypeCase]) -> Result<()> {
    let mut statements = vec![format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")];
    for case in cases {
        let (name, definition) = (&case.name, &case.definition);
        statements.push(format!("CREATE TABLE {database}.{name} (id INT PRIMARY KEY, v {definition}) CHARACTER SET utf8mb4"));
        statements.push(insert(database, case, 1));
    }
    run(source, &statements).await
}

/// Writes every value to the binlog: rows are inserted, updated to the next value, and deleted.
async fn changes(source: &Database, database: &str, cases: &[TypeCase]) -> Result<()> {
    let first = Op::LAST_OF_SNAPSHOT + 1;
    let mut statements = vec!["BEGIN".to_owned()];
    for case in cases {
        let name = &case.name;
        statements.push(insert(database, case, first));
        let next = case.literals.iter().cycle().skip(1);
        statements.extend(
            (first..)
                .zip(next)
                .take(case.literals.len())
                .map(|(id, next)| format!("UPDATE {database}.{name} SET v = {next} WHERE id = {id}")),
        );
        statements.push(format!("DELETE FROM {database}.{name} WHERE id >= {first}"));
    }
    statements.push("COMMIT".to_owned());
    run(source, &statements).await
}
