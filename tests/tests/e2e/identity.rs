//! Several servers behind one address: only one of them is the source of a task.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::{Database, Flavor, Proxy};

use super::case::{Case, Servers};
use super::refusals::{create_small, ended};
use super::servers::with_source;

const LIMIT: Duration = Duration::from_secs(60);

/// A case on a database behind a proxy, and another database with a table of the same name and other rows. Servers of MariaDB and PolarDB-X
/// are told apart by their ids.
async fn before_two(flavor: Flavor, name: &str) -> Result<(Case, Database, Proxy)> {
    let servers: Servers = with_source(flavor, &[]).await?;
    let by_id = matches!(flavor, Flavor::MariaDb | Flavor::PolarDbX);
    let other = Database::start(flavor, if by_id { &["--server-id=9"] } else { &[] }).await?;
    create_small(&servers.source, name).await?;
    create_small(&other, name).await?;
    other.execute(&[&format!("INSERT INTO {name}.t VALUES (100, 'wrong')"), &format!("UPDATE {name}.t SET a = 'wrong'")]).await?;
    let proxy = Proxy::start(servers.source.address())?;
    let mut case = Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await?;
    other.execute(&[&format!("CREATE TABLE {name}.fence (id BIGINT PRIMARY KEY)")]).await?;
    case.settings.read_from(proxy.address());
    case.settings.source = "chunk_rows = 1\nparallelism = 3".into();
    case.task.configure(&case.settings)?;
    Ok((case, other, proxy))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_takes_turns_between_two_servers() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MariaDb, Flavor::PolarDbX] {
        let name = format!("turns_{}", flavor.name());
        let (mut case, other, proxy) = before_two(flavor, &name).await?;
        proxy.lead_to(&[case.servers.source.address(), other.address()]);
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        for id in 10..16 {
            proxy.cut();
            other.execute(&[&format!("INSERT INTO {name}.t VALUES ({id}, 'wrong')")]).await?;
            case.servers.source.execute(&[&format!("INSERT INTO {name}.t VALUES ({id}, 'right')")]).await?;
            case.catch_up(LIMIT).await?;
        }
        case.task.stop().await?;
        let output = case.task.output();
        assert!(output.contains("a connection is closed: a connection reached the server"), "{output}");
        assert!(output.contains("a connection for the binlog is closed: a connection reached the server"), "{output}");
        case.verify(0).await?;
        let texts = case.rows_of("t", "a")?;
        assert!(!texts.iter().any(|text| text == "wrong"), "{texts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_leads_to_another_server_for_good() -> Result<()> {
    let (mut case, other, proxy) = before_two(Flavor::MySql57, "elsewhere_57").await?;
    case.settings.more = "[retry]\nwindow_seconds = 3".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    proxy.lead_to(&[other.address()]);
    proxy.cut();
    let mut ids = Vec::new();
    for server in [&case.servers.source, &other] {
        let id: Option<String> = server.connect().await?.query_first("SELECT @@server_uuid").await?;
        ids.push(id.unwrap_or_default());
    }
    ended(&mut case, 3, &["E_OTHER_SERVER", &ids[0], &ids[1]]).await?;
    // A process that never reached the server of its checkpoint does not wait for it.
    case.task.start()?;
    ended(&mut case, 1, &["E_IDENTITY_CHANGED", &ids[0], &ids[1]]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_dump_reaches_another_server() -> Result<()> {
    const CLOSED: &str = "a connection for the binlog is closed: a connection reached the server";
    let (mut case, other, proxy) = before_two(Flavor::MySql57, "dump_elsewhere").await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // The plan and the opening of the stream have a connection each, and the third is for the binlog.
    let right = case.servers.source.address();
    proxy.lead_to(&[right, right, other.address()]);
    proxy.cut();
    let start = Instant::now();
    while !case.task.output().contains(CLOSED) {
        assert!(start.elapsed() < LIMIT, "{}", case.task.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    other.execute(&["INSERT INTO dump_elsewhere.t VALUES (10, 'wrong')"]).await?;
    case.servers.source.execute(&["INSERT INTO dump_elsewhere.t VALUES (10, 'right')"]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert!(!case.task.output().contains("a connection is closed: "), "{}", case.task.output());
    case.verify(0).await?;
    Ok(())
}
