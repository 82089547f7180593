//! What `check` and the first start say about an account, a start or a server that does not fit.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::Row;
use mysql_async::prelude::Queryable;
use tests::Result;
use tests::checker::Format;
use tests::harness::database::{PASSWORD, USER};
use tests::harness::{Database, Flavor};

use super::product::checked;
use crate::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(60);

async fn case(name: &str, options: &[&str]) -> Result<(Arc<Database>, Case)> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, options).await?);
    let servers = Servers { source: source.clone(), kafka: Servers::shared().await?.kafka };
    source
        .execute(&[
            &format!("CREATE DATABASE {name} MODE='auto'"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY) PARTITION BY KEY(id) PARTITIONS 2"),
            &format!("INSERT INTO {name}.t VALUES (1), (2)"),
        ])
        .await?;
    let case = Case::new(servers, name, Format::CanalJson, 1, Vec::new()).await?;
    Ok((source, case))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_grants_end_the_first_start_and_are_all_named_by_check() -> Result<()> {
    let (source, mut case) = case("px_grants", &[]).await?;
    for (number, (grants, failing, passing, said)) in [
        ("SELECT", &["replication_client", "replication_slave"][..], &[][..], "PXC-5110"),
        ("SELECT, REPLICATION CLIENT", &["replication_slave"], &["replication_client"], "PXC-5110"),
        ("SELECT, REPLICATION SLAVE", &["replication_client"], &["replication_slave"], "PXC-5110"),
        ("REPLICATION SLAVE, REPLICATION CLIENT", &["tables"], &["replication_client", "replication_slave"], ""),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("few_{number}");
        source
            .execute(&[&format!("CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'"), &format!("GRANT {grants} ON *.* TO {user}@'%'")])
            .await?;
        case.settings.user = user;
        case.task.configure(&case.settings)?;
        let (output, passes) = checked(&case).await?;
        let lines: Vec<&str> = output.lines().collect();
        let has =
            |level: &str, item: &str| lines.iter().position(|line| line.starts_with(level) && line.split_whitespace().nth(1) == Some(item));
        assert!(!passes && output.contains(said) && !output.contains("error 1227"), "{grants}: {output}");
        for item in failing {
            let line = has("FAILED", item).unwrap_or_else(|| panic!("{grants}: no {item}: {output}"));
            let help = lines.get(line + 1).and_then(|line| line.split_once("help: "));
            assert!(help.is_some_and(|(_, help)| help.contains("GRANT") || help.contains("SELECT")), "{grants}: {item}: {output}");
        }
        for item in passing {
            assert!(has("ok", item).is_some(), "{grants}: {item}: {output}");
        }
        case.task.start()?;
        let code = case.task.wait(LIMIT).await?;
        assert_eq!(code, 2, "{grants}: {}", case.task.output());
        assert!(case.task.output().contains("help:") && !case.task.output().contains("is tried again"), "{}", case.task.output());
    }
    case.settings.user = USER.to_owned();
    case.task.configure(&case.settings)?;
    let (output, passes) = checked(&case).await?;
    assert!(passes, "{output}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_inside_an_event_is_refused_alike_by_check_and_at_the_start() -> Result<()> {
    let (source, mut case) = case("px_inside", &[]).await?;
    let end: Option<Row> = source.connect().await?.query_first("SHOW MASTER STATUS").await?;
    let (file, offset): (String, String) = end.and_then(|row| row.get(0).zip(row.get(1))).unwrap_or_default();
    let offset: u64 = offset.parse().unwrap_or_default();
    case.settings.source = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {} }}", offset - 7);
    case.task.configure(&case.settings)?;
    let (output, passes) = checked(&case).await?;
    assert!(!passes && output.contains("no event begins there"), "{output}");
    case.task.start()?;
    let code = case.task.wait(LIMIT).await?;
    let said = case.task.output();
    assert!(code == 2 && said.contains("no event begins there") && said.contains("SHOW BINLOG EVENTS"), "{code}: {said}");
    Ok(())
}

/// A task that has stopped in the middle of what is one large event in the binlog of another instance with the same id.
async fn on_a_rebuilt_instance(name: &str) -> Result<(Arc<Database>, Case)> {
    let rebuilt = Arc::new(Database::start(Flavor::PolarDbX, &[]).await?);
    rebuilt
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a LONGBLOB)"),
            &format!("INSERT INTO {name}.t VALUES (1, REPEAT('x', 1000000))"),
        ])
        .await?;
    let (source, mut case) = case(name, &[]).await?;
    for id in 3..60 {
        source.execute(&[&format!("INSERT INTO {name}.t VALUES ({id})")]).await?;
    }
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let (output, passes) = checked(&case).await?;
    assert!(passes && output.contains("ok       checkpoint"), "{output}");
    case.settings.source_port = rebuilt.port();
    case.task.configure(&case.settings)?;
    Ok((rebuilt, case))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_sees_that_the_binlog_was_built_again() -> Result<()> {
    let (_rebuilt, case) = on_a_rebuilt_instance("px_rebuilt").await?;
    let (output, passes) = checked(&case).await?;
    assert!(!passes && output.contains("FAILED   checkpoint") && output.contains("E_HISTORY_DIVERGED"), "{output}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn a_binlog_that_was_built_again_ends_the_task() -> Result<()> {
    let (_rebuilt, mut case) = on_a_rebuilt_instance("px_rebuilt_run").await?;
    case.task.start()?;
    let code = case.task.wait(Duration::from_secs(180)).await?;
    let said = case.task.output();
    assert!(code == 1 && said.contains("E_HISTORY_DIVERGED") && said.contains("no event begins there any more"), "{code}: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_cdc_nodes_nothing_is_asked_that_a_data_node_rejects() -> Result<()> {
    let (source, mut case) = case("px_nocdc", &["--standin-set=global_binlog=0"]).await?;
    case.settings.source = "barrier_delay_ms = 5\nxa_wait_seconds = 5".into();
    case.task.configure(&case.settings)?;
    let (output, passes) = checked(&case).await?;
    assert!(!passes && output.contains("the instance has no global binlog") && !output.contains("binlog_retention"), "{output}");
    assert!(output.contains("warning  unused_keys") && output.contains("PolarDB-X: barrier_delay_ms, xa_wait_seconds"), "{output}");
    let log = source.general_log()?;
    let own: Vec<_> = log.iter().filter(|line| line.user == USER).collect();
    assert!(own.iter().all(|line| !line.statement.contains("BINARY LOGS")), "{own:?}");
    assert!(own.iter().any(|line| line.statement.contains("sql_select_limit")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_streams_that_is_left_out_later_is_noticed() -> Result<()> {
    let (_source, mut case) = case("px_ungrouped", &["--standin-set=streams=2"]).await?;
    case.settings.source = "stream_group = \"group1\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.settings.source = String::new();
    case.task.configure(&case.settings)?;
    let (output, passes) = checked(&case).await?;
    assert!(!passes && output.contains("E_CONFIG_CONFLICT") && output.contains("stream_group"), "{output}");
    case.task.start()?;
    let code = case.task.wait(LIMIT).await?;
    let said = case.task.output();
    assert!(code == 2 && said.contains("E_CONFIG_CONFLICT") && said.contains("stream_group"), "{code}: {said}");
    Ok(())
}
