//! XA transactions that are prepared when a task starts. `tests/cases` has those that a running task meets.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::Flavor;

use super::case::{Case, Servers};
use super::refusals::{create_small, ended, refused};

const LIMIT: Duration = Duration::from_secs(60);

/// A case on a server of its own, because a prepared transaction delays every task that starts on its server.
async fn case(flavor: Flavor, source: &str) -> Result<Case> {
    let servers = Servers::own(flavor).await?;
    create_small(&servers.source, "xa").await?;
    let mut case = Case::new(servers, "xa", Format::CanalJson, 1, vec![Table::new("xa", "t")]).await?;
    case.settings.source = source.to_owned();
    case.task.configure(&case.settings)?;
    Ok(case)
}

async fn prepare(case: &Case, id: u32) -> Result<()> {
    let insert = format!("INSERT INTO xa.t VALUES ({id}, 'xa')");
    let xid = format!("'x{id}','b',7");
    let mut connection = case.servers.source.connect().await?;
    for statement in [&format!("XA START {xid}"), &insert, &format!("XA END {xid}"), &format!("XA PREPARE {xid}")] {
        connection.query_drop(statement).await?;
    }
    // The transaction stays prepared without its connection.
    Ok(connection.disconnect().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_prepared_transactions() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80] {
        let mut case = case(flavor, "xa_wait_seconds = 1").await?;
        if flavor == Flavor::MySql80 {
            case.servers.source.execute(&["GRANT XA_RECOVER_ADMIN ON *.* TO 'dts'@'%'"]).await?;
        }
        prepare(&case, 10).await?;
        refused(&mut case, 2, &["E_XA_PREPARED", "\"x10\",\"b\",7", "xa_wait_seconds"]).await?;
        assert_eq!(case.read().await?, 0);
        case.settings.source = "xa_wait_seconds = 60".to_owned();
        case.task.configure(&case.settings)?;
        case.task.start()?;
        let start = Instant::now();
        while !case.task.output().contains("waiting for the outcome of prepared XA transactions") {
            case.task.must_run()?;
            assert!(start.elapsed() < LIMIT, "{}", case.task.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        case.servers.source.execute(&["XA COMMIT 'x10','b',7", "INSERT INTO xa.t VALUES (11, 'after')"]).await?;
        case.catch_up_in_stream(LIMIT).await?;
        case.task.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_between_the_halves_stops_at_the_outcome() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MariaDb] {
        let mut case = case(flavor, "").await?;
        prepare(&case, 10).await?;
        let (file, offset) = case.servers.source.position().await?;
        case.settings.source = format!("phases = [\"incremental\"]\nstart.position = {{ file = \"{file}\", offset = {offset} }}");
        case.task.configure(&case.settings)?;
        case.servers.source.execute(&["XA COMMIT 'x10','b',7"]).await?;
        case.task.start()?;
        ended(&mut case, 1, &["E_XA_UNKNOWN", "X'783130',X'62',7"]).await?;
    }
    Ok(())
}
