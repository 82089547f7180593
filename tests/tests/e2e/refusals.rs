//! Configurations and sources that cannot work are refused: there is one clear error with advice and the right exit code, and nothing is
//! written after the error.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::{Database, Flavor};

use super::case::{Case, Servers};
use super::report::assert_error;

const LIMIT: Duration = Duration::from_secs(60);

/// A case with one table `t` of three rows, on the shared servers.
pub(super) async fn small(name: &str) -> Result<Case> {
    let servers = Servers::shared().await?;
    create_small(&servers.source, name).await?;
    Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await
}

pub(super) async fn create_small(mysql: &Database, name: &str) -> Result<()> {
    mysql
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20))"),
            &format!("INSERT INTO {name}.t VALUES (1, 'one'), (2, 'two'), (3, 'three')"),
        ])
        .await
}

/// Runs the task. The task must end by itself with this exit code and an error that contains `texts`.
pub(super) async fn refused(case: &mut Case, code: i32, texts: &[&str]) -> Result<()> {
    case.task.start()?;
    ended(case, code, texts).await
}

pub(super) async fn ended(case: &mut Case, code: i32, texts: &[&str]) -> Result<()> {
    let found = case.task.wait(LIMIT).await?;
    let output = case.task.output();
    assert_eq!(found, code, "{output}");
    assert_error(&output, texts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password() -> Result<()> {
    let mut case = small("wrong_password").await?;
    case.settings.password = "no-such-secret".into();
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["Access denied", "password"]).await?;
    assert!(!case.task.output().contains("no-such-secret"));
    assert_eq!(case.read().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_changed_in_two_steps() -> Result<()> {
    let servers = Servers::own(Flavor::MySql57).await?;
    create_small(&servers.source, "rotated").await?;
    let mut case = Case::new(servers, "rotated", Format::CanalJson, 1, vec![Table::new("rotated", "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let mut connection = case.servers.source.connect().await?;
    connection.query_drop("ALTER USER 'dts'@'%' IDENTIFIED BY 'alice-secret'").await?;
    let dumps = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'dts'";
    for dump in connection.query::<u64, _>(dumps).await? {
        connection.query_drop(format!("KILL {dump}")).await?;
    }
    let start = std::time::Instant::now();
    while !case.task.output().contains("Access denied") {
        assert!(start.elapsed() < LIMIT, "{}", case.task.output());
        case.task.must_run()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    connection.query_drop("ALTER USER 'dts'@'%' IDENTIFIED BY 'dts-secret'").await?;
    case.servers.source.execute(&["INSERT INTO rotated.t VALUES (4, 'four')"]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_grant() -> Result<()> {
    let mut case = small("missing_grant").await?;
    let mysql = case.servers.source.clone();
    mysql.execute(&["CREATE USER 'reader'@'%' IDENTIFIED BY 'x'", "GRANT SELECT ON missing_grant.* TO 'reader'@'%'"]).await?;
    (case.settings.user, case.settings.password) = ("reader".into(), "x".into());
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["REPLICATION"]).await?;
    assert_eq!(case.read().await?, 0);
    // The grant to read the binlog is needed only after the full phase, but it must be checked before that phase.
    mysql.execute(&["GRANT REPLICATION CLIENT ON *.* TO 'reader'@'%'"]).await?;
    refused(&mut case, 2, &["GRANT REPLICATION SLAVE"]).await?;
    assert_eq!(case.read().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binlog_that_is_reset_under_a_running_task() -> Result<()> {
    let servers = Servers::own(Flavor::MySql57).await?;
    create_small(&servers.source, "reset").await?;
    let mut case = Case::new(servers, "reset", Format::CanalJson, 1, vec![Table::new("reset", "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.servers.source.execute(&["RESET MASTER", "INSERT INTO reset.t VALUES (4, 'unseen')"]).await?;
    ended(&mut case, 1, &["E_HISTORY_DIVERGED"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic() -> Result<()> {
    let mut case = small("missing_topic").await?;
    case.settings.topic = "there_is_no_such_topic".into();
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["there_is_no_such_topic"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_records_of_another_task() -> Result<()> {
    let mut case = small("taken_topic").await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let records = case.read().await?;
    let mut other = small("taken_topic_2").await?;
    other.settings.topic = "taken_topic".into();
    other.task.configure(&other.settings)?;
    refused(&mut other, 2, &["taken_topic", "append"]).await?;
    assert_eq!(case.read().await?, records, "nothing was added");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_in_the_file() -> Result<()> {
    let mut case = small("unknown_key").await?;
    case.settings.sink = "compresion = \"zstd\"".into();
    case.task.configure(&case.settings)?;
    let file = case.task.file().display().to_string();
    refused(&mut case, 2, &["compresion", "sink.kafka", &file]).await?;
    assert_eq!(case.read().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_that_changes_rows_without_events() -> Result<()> {
    let mut case = small("rows_removed").await?;
    case.servers
        .source
        .execute(&[
            "ALTER TABLE rows_removed.t PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (3), PARTITION q VALUES LESS THAN (99))",
        ])
        .await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // The transaction before the statement must arrive; the transaction after it must not.
    case.servers
        .source
        .execute(&[
            "INSERT INTO rows_removed.t VALUES (10, 'before')",
            "ALTER TABLE rows_removed.t DROP PARTITION p",
            "INSERT INTO rows_removed.t VALUES (11, 'after')",
        ])
        .await?;
    ended(&mut case, 1, &["E_ROWS_WITHOUT_EVENTS", "removes rows of rows_removed.t", "on_rows_without_events"]).await?;
    let ids = |case: &Case| -> Result<Vec<String>> { case.rows_of("t", "id") };
    case.read().await?;
    assert_eq!(ids(&case)?, ["1", "2", "3", "10"]);
    let records = case.entries.len();
    // After a restart the task stops at the same statement.
    refused(&mut case, 1, &["rows_removed.t"]).await?;
    assert_eq!(case.read().await?, records, "nothing was written after the statement");

    case.settings.source = "on_rows_without_events = \"warn\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    assert!(case.task.output().contains("a statement removes rows of rows_removed.t"), "{}", case.task.output());
    case.task.stop().await?;
    assert_eq!(ids(&case)?, ["1", "2", "3", "10", "11"]);
    Ok(())
}

/// MariaDB makes tables of partitions, and partitions of tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_become_tables_without_row_events() -> Result<()> {
    let servers = Servers::shared_of(Flavor::MariaDb).await?;
    let source = servers.source.clone();
    create_small(&source, "converted").await?;
    source
        .execute(&["ALTER TABLE converted.t PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (3), PARTITION q VALUES LESS THAN (99))"])
        .await?;
    let mut case = Case::new(servers, "converted", Format::CanalJson, 1, vec![Table::new("converted", "t")]).await?;
    case.settings.source = "on_rows_without_events = \"warn\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    source
        .execute(&[
            "ALTER TABLE converted.t CONVERT PARTITION q TO TABLE converted.c",
            "INSERT INTO converted.c VALUES (20, 'in c')",
            "ALTER TABLE converted.t CONVERT TABLE converted.c TO PARTITION q VALUES LESS THAN (99)",
            "INSERT INTO converted.t VALUES (21, 'in t')",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    for table in ["t", "c"] {
        let warning = format!("a statement moves rows into or out of converted.{table}");
        assert_eq!(case.task.output().matches(&warning).count(), 2, "{}", case.task.output());
    }
    case.task.stop().await?;
    case.read().await?;
    assert_eq!(
        (case.rows_of("t", "id")?, case.rows_of("c", "id")?),
        (["1", "2", "3", "21"].map(str::to_owned).to_vec(), vec!["20".to_owned()])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_and_sequences_that_are_renamed_are_passed_over() -> Result<()> {
    for flavor in [Flavor::MySql80, Flavor::MariaDb] {
        let name = format!("viewed_{}", flavor.name());
        let servers = Servers::shared_of(flavor).await?;
        let source = servers.source.clone();
        create_small(&source, &name).await?;
        source.execute(&[&format!("CREATE VIEW {name}.early AS SELECT * FROM {name}.t")]).await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        let mut rounds = [
            vec![format!("RENAME TABLE {name}.early TO {name}.one"), format!("CREATE VIEW {name}.late AS SELECT * FROM {name}.t")],
            vec![format!("RENAME TABLE {name}.one TO {name}.two, {name}.late TO {name}.one"), format!("DROP VIEW {name}.two")],
            vec![format!("RENAME TABLE {name}.one TO {name}.two")],
        ];
        if flavor == Flavor::MariaDb {
            rounds[0].push(format!("CREATE SEQUENCE {name}.s"));
            rounds[0].push(format!("RENAME TABLE {name}.s TO {name}.r"));
            rounds[1].push(format!("ALTER TABLE {name}.r RENAME {name}.s"));
            rounds[1].push(format!("DO NEXTVAL({name}.s)"));
            rounds[2].push(format!("DROP TABLE {name}.s"));
        }
        for (round, statements) in rounds.iter().enumerate() {
            let insert = format!("INSERT INTO {name}.t VALUES ({}, 'x')", 10 + round);
            source.execute(&statements.iter().map(String::as_str).chain([insert.as_str()]).collect::<Vec<_>>()).await?;
            case.catch_up(LIMIT).await.map_err(|error| error.context(flavor.name()))?;
            case.task.kill()?;
            case.task.start()?;
        }
        // A table of another database is still refused, although a view had its new name.
        source
            .execute(&[
                &format!("CREATE DATABASE {name}_other"),
                &format!("CREATE TABLE {name}_other.u (id INT PRIMARY KEY)"),
                &format!("DROP VIEW {name}.two"),
                &format!("RENAME TABLE {name}_other.u TO {name}.two"),
            ])
            .await?;
        ended(&mut case, 1, &["E_SCHEMA_MISMATCH", "the task does not know that table"]).await?;
        case.read().await?;
        assert_eq!(case.rows_of("t", "id")?, ["1", "2", "3", "10", "11", "12"], "{}", flavor.name());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_based_and_purged_binlogs() -> Result<()> {
    let servers = Servers::own(Flavor::MySql57).await?;
    create_small(&servers.source, "binlogs").await?;
    let mut case = Case::new(servers, "binlogs", Format::CanalJson, 1, vec![Table::new("binlogs", "t")]).await?;
    case.servers.source.execute(&["SET GLOBAL binlog_format = 'STATEMENT'"]).await?;
    refused(&mut case, 2, &["binlog_format", "ROW"]).await?;
    assert_eq!(case.read().await?, 0);

    case.servers.source.execute(&["SET GLOBAL binlog_format = 'ROW'"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let (needed, _) = case.servers.source.position().await?;
    let records = case.read().await?;
    case.servers
        .source
        .execute(&["INSERT INTO binlogs.t VALUES (4, 'lost')", "FLUSH LOGS", "INSERT INTO binlogs.t VALUES (5, 'later')", "FLUSH LOGS"])
        .await?;
    let (kept, _) = case.servers.source.position().await?;
    case.servers.source.execute(&[&format!("PURGE BINARY LOGS TO '{kept}'")]).await?;
    refused(&mut case, 1, &["E_BINLOG_PURGED", &needed, &kept]).await?;
    assert_eq!(case.read().await?, records, "nothing was written after the gap");
    Ok(())
}
