//! Schema changes while the stream is read: every row has the columns of its moment.

use std::time::Duration;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use runtime::TableSchema;
use source_polardbx::schema::read_create_table;
use tests::checker::{Format, Table};
use tests::harness::Flavor;
use tests::{Failure, Result};

use super::case::{Case, Servers};
use super::structures::clause;

const LIMIT: Duration = Duration::from_secs(60);

/// The structure of the table as the server shows it.
async fn structure(connection: &mut Conn, database: &str) -> Result<TableSchema> {
    let shown: Option<(String, String)> = connection.query_first(format!("SHOW CREATE TABLE {database}.t")).await?;
    let text = shown.unwrap_or_default().1;
    let read = read_create_table(&text, database, &|_| Some("utf8mb4".to_owned()));
    Ok(read.map_err(|error| Failure::new(format!("{error}: {text}")))?.schema)
}

/// A row of the table whose values every type takes, in some way.
fn row(id: u32, schema: &TableSchema) -> String {
    let value = |name: &str, kind: &runtime::ColumnKind| match (name, kind) {
        ("id", _) => id.to_string(),
        (_, runtime::ColumnKind::Geometry) => "POINT(1, 2)".to_owned(),
        _ => format!("'{}'", 20_240_100 + id % 28),
    };
    let values: Vec<String> = schema.columns.iter().map(|column| value(&column.name, &column.kind)).collect();
    format!("({})", values.join(", "))
}

/// Executes random statements with changes of rows between them. Returns how many changed the structure.
async fn change(connection: &mut Conn, case: &mut Case, flavor: Flavor, rng: &mut Rng, next_id: &mut u32) -> Result<usize> {
    let database = case.database.clone();
    let mut changed = 0;
    for _ in 0..8 {
        let schema = structure(connection, &database).await?;
        let clauses: Vec<String> = (0..rng.u8(1..3)).map(|_| clause(rng, &schema, flavor)).collect();
        let statement = format!("ALTER TABLE {database}.t {}", clauses.join(", "));
        let keeps = ["`id`", "`ID`", "`touch`", "`TOUCH`", "PRIMARY"].iter().all(|word| !statement.contains(word));
        // MySQL 8.0.15 may crash when a statement converts and adds columns.
        if !keeps || (statement.contains("CONVERT") && clauses.len() > 1) {
            continue;
        }
        match connection.query_drop(&statement).await {
            Ok(()) => changed += 1,
            Err(mysql_async::Error::Server(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let schema = structure(connection, &database).await?;
        for _ in 0..rng.u8(1..4) {
            *next_id += 1;
            connection.query_drop(format!("INSERT IGNORE INTO {database}.t VALUES {}", row(*next_id, &schema))).await?;
        }
        connection.query_drop(format!("UPDATE IGNORE {database}.t SET touch = touch + 1 WHERE id % 3 = {}", rng.u8(..3))).await?;
        connection.query_drop(format!("DELETE FROM {database}.t WHERE id = {}", rng.u32(1..*next_id))).await?;
        if rng.u8(..5) == 0 {
            case.task.kill()?;
            case.task.start()?;
        }
    }
    Ok(changed)
}

/// Random ALTERs with rows between them, and kills. After some of them, all rows are changed, so that the topic holds each of them with all
/// its columns, and is compared with the source.
async fn every_row_has_the_columns_of_its_moment(flavor: Flavor, format: Format, seed: u64, rounds: usize) -> Result<()> {
    let servers = Servers::shared_of(flavor).await?;
    let name = format!("followed_{}_{seed}", format.name());
    servers
        .source
        .execute(&[
            &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            &format!("CREATE TABLE {name}.t (id INT NOT NULL PRIMARY KEY, touch INT NOT NULL, c0 VARCHAR(10), c1 INT UNSIGNED, c2 TEXT)"),
            &format!("INSERT INTO {name}.t VALUES (1, 0, 'a', 1, 'x'), (2, 0, 'b', 2, NULL)"),
        ])
        .await?;
    let mut case = Case::new(servers.clone(), &name, format, 1, vec![Table::new(&name, "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let mut connection = servers.source.connect().await?;
    connection.query_drop("SET sql_mode = ''").await?;
    let (mut rng, mut next_id, mut changed) = (Rng::with_seed(seed), 2, 0);
    for round in 0..rounds {
        // In every third round the task is stopped meanwhile, and then reads over all the statements.
        let is_stopped = round % 3 == 2;
        if is_stopped {
            case.task.stop().await?;
        }
        changed += change(&mut connection, &mut case, flavor, &mut rng, &mut next_id).await?;
        connection.query_drop(format!("UPDATE IGNORE {name}.t SET touch = touch + 1")).await?;
        if case.task.ended()? {
            case.task.start()?;
        }
        case.catch_up(LIMIT).await?;
        case.verify(0).await?;
    }
    case.task.stop().await?;
    connection.disconnect().await?;
    println!("{} {name}: {changed} statements changed the table", flavor.name());
    assert!(changed > rounds, "{changed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_between_random_schema_changes_of_mysql_57() -> Result<()> {
    every_row_has_the_columns_of_its_moment(Flavor::MySql57, Format::CanalJson, 1, 6).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_between_random_schema_changes_of_mysql_80() -> Result<()> {
    every_row_has_the_columns_of_its_moment(Flavor::MySql80, Format::DtsAvro, 2, 6).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_between_random_schema_changes_of_mariadb() -> Result<()> {
    every_row_has_the_columns_of_its_moment(Flavor::MariaDb, Format::CanalJson, 3, 6).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn rows_between_many_random_schema_changes() -> Result<()> {
    for seed in 10..14 {
        for (flavor, format) in [
            (Flavor::MySql57, Format::DtsAvro),
            (Flavor::MySql80, Format::CanalJson),
            (Flavor::MariaDb, Format::DtsAvro),
            (Flavor::MySql57, Format::CanalJson),
        ] {
            every_row_has_the_columns_of_its_moment(flavor, format, seed, 15).await?;
        }
    }
    Ok(())
}
