//! XA transactions that are prepared when a task starts. `tests/cases` has those that a running task meets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Format, Table};
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};
use tokio::task::JoinSet;

use super::case::{Case, Servers, program};
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
    prepare_in(case, id, &["t"]).await
}

/// Prepares a transaction that inserts a row into each of `tables`.
async fn prepare_in(case: &Case, id: u32, tables: &[&str]) -> Result<()> {
    let xid = format!("'x{id}','b',7");
    let mut connection = case.servers.source.connect().await?;
    connection.query_drop(format!("XA START {xid}")).await?;
    for table in tables {
        connection.query_drop(format!("INSERT INTO xa.{table} VALUES ({id}, 'xa')")).await?;
    }
    for word in ["END", "PREPARE"] {
        connection.query_drop(format!("XA {word} {xid}")).await?;
    }
    // The transaction stays prepared without its connection.
    Ok(connection.disconnect().await?)
}

/// Runs `check`, which must end with this exit code and say `texts`.
fn checked(case: &Case, code: i32, texts: &[&str]) -> Result<()> {
    let output = program().command(&["check", &case.task.file().display().to_string()]).output()?;
    let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code) && texts.iter().all(|text| console.contains(text)), "{texts:?} and {code}:\n{console}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_prepared_transactions() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80] {
        let mut case = case(flavor, "xa_wait_seconds = 1").await?;
        if flavor == Flavor::MySql80 {
            checked(&case, 0, &["warning  prepared_xa", "may not ask", "GRANT XA_RECOVER_ADMIN ON *.*"])?;
            case.servers.source.execute(&["GRANT XA_RECOVER_ADMIN ON *.* TO 'dts'@'%'"]).await?;
        }
        checked(&case, 0, &["no XA transaction is prepared"])?;
        prepare(&case, 10).await?;
        checked(&case, 0, &["warning  prepared_xa", "\"x10\",\"b\",7; the start waits for the outcome, at most 1 s"])?;
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
        case.catch_up(LIMIT).await?;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_file_of_a_prepared_transaction_is_found_before_the_start() -> Result<()> {
    let mut case = case(Flavor::MySql57, "").await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    prepare(&case, 10).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    checked(&case, 0, &["the binlog still has"])?;
    let folder = case.task.file().with_file_name("state").join("spool/global");
    for file in std::fs::read_dir(&folder)? {
        let file = file?.path();
        let kept = std::fs::read(&file)?;
        std::fs::write(&file, &kept[..kept.len() - 1])?;
        checked(&case, 2, &["[E_SPOOL_LOST]", "X'783130',X'62',7"])?;
        std::fs::remove_file(&file)?;
        let texts = ["[E_SPOOL_LOST]", "X'783130',X'62',7", "the changes of a prepared XA transaction cannot be read back", ".rows"];
        checked(&case, 2, &texts)?;
        refused(&mut case, 1, &["E_SPOOL_LOST", texts[1], texts[2], texts[3]]).await?;
        std::fs::write(&file, kept)?;
    }
    case.servers.source.execute(&["XA COMMIT 'x10','b',7"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert_eq!(case.rows_of("t", "id")?, ["1", "2", "3", "10"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_are_dropped_or_emptied_between_the_halves_of_a_transaction() -> Result<()> {
    let mut case = case(Flavor::MySql57, "").await?;
    case.settings.source.push_str("\non_rows_without_events = \"warn\"");
    case.task.configure(&case.settings)?;
    let source = case.servers.source.clone();
    for table in ["dropped", "emptied", "again"] {
        source.execute(&[&format!("CREATE TABLE xa.{table} (id INT PRIMARY KEY, a VARCHAR(20))")]).await?;
    }
    let partitions = "PARTITION p0 VALUES LESS THAN (50), PARTITION p1 VALUES LESS THAN MAXVALUE";
    source.execute(&[&format!("CREATE TABLE xa.cut (id INT PRIMARY KEY, a VARCHAR(20)) PARTITION BY RANGE (id) ({partitions})")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    prepare_in(&case, 10, &["dropped", "t", "emptied", "again"]).await?;
    source.execute(&["DROP TABLE xa.dropped, xa.again", "TRUNCATE xa.emptied"]).await?;
    // The types are the same, and the names have changed their places.
    source
        .execute(&[
            "CREATE TABLE xa.again (a INT PRIMARY KEY, id VARCHAR(20))",
            "INSERT INTO xa.again VALUES (2, 'later')",
            "INSERT INTO xa.emptied VALUES (3, 'later')",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.kill()?;
    source.execute(&["XA COMMIT 'x10','b',7"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let ids = |table: &str| case.rows_of(table, "id");
    assert_eq!((ids("t")?.pop(), ids("dropped")?.pop()), (Some("10".to_owned()), None));
    assert_eq!((ids("emptied")?, ids("again")?), (vec!["3".to_owned()], vec!["later".to_owned()]));
    ["emptied", "again", "cut"].iter().for_each(|table| case.add_table(table));
    case.verify(0).await?;

    prepare_in(&case, 11, &["cut"]).await?;
    source.execute(&["ALTER TABLE xa.cut TRUNCATE PARTITION p0", "XA COMMIT 'x11','b',7"]).await?;
    ended(&mut case, 1, &["E_XA_CHANGED", "X'783131',X'62',7", "xa.cut", "ALTER TABLE xa.cut TRUNCATE PARTITION p0"]).await
}

/// MySQL 5.7 releases the locks of an XA transaction before it writes the XA COMMIT of another session into the binlog. Nothing makes a
/// server do that at a chosen moment, so many sessions change one row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn changes_that_follow_an_xa_transaction_keep_their_order() -> Result<()> {
    let mut case = hot_case().await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.read().await?;
    let end = Instant::now() + Duration::from_secs(10);
    let mut sessions = JoinSet::new();
    for name in ["a", "b"] {
        sessions.spawn(prepare_and_end(case.servers.source.clone(), name, "UPDATE xa.hot SET v = v + 1", end));
    }
    for _ in 0..2 {
        let source = case.servers.source.clone();
        sessions.spawn(async move {
            let mut connection = source.connect().await?;
            while Instant::now() < end {
                connection.query_drop("UPDATE xa.hot SET v = v + 1 WHERE id = 1").await?;
            }
            Ok(())
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    case.task.kill()?;
    case.task.start()?;
    while let Some(ended) = sessions.join_next().await {
        ended??;
    }
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let mut connection = case.servers.source.connect().await?;
    let now: Vec<usize> = connection.query("SELECT v FROM xa.hot ORDER BY id").await?;
    assert!(now[0] > 100 && hot_values(&case)? == now, "{now:?}");
    Ok(())
}

/// An XA COMMIT may come into the binlog after the server has stopped listing its transaction, and an XA PREPARE before it lists it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn a_start_among_many_xa_transactions_knows_all_that_it_reads() -> Result<()> {
    let case = hot_case().await?;
    let end = Instant::now() + Duration::from_secs(40);
    let mut sessions = JoinSet::new();
    for (name, change) in [("a", "UPDATE xa.hot SET v = v + 1 WHERE id = 1"), ("b", "UPDATE xa.hot SET v = v + 1 WHERE id = 2")] {
        sessions.spawn(prepare_and_end(case.servers.source.clone(), name, change, end));
    }
    let mut number = 0;
    while Instant::now() < end {
        number += 1;
        let mut one = case.sibling(&format!("xa{number}"), Format::CanalJson, 1).await?;
        one.settings.source = "phases = [\"incremental\"]".to_owned();
        one.task.configure(&one.settings)?;
        one.task.start()?;
        // A fence before the start of the stream would not come.
        let start = Instant::now();
        while !one.task.output().contains("incremental") {
            one.task.must_run()?;
            assert!(start.elapsed() < LIMIT, "{}", one.task.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        one.catch_up(LIMIT).await?;
        one.task.stop().await?;
        hot_values(&one)?;
    }
    while let Some(ended) = sessions.join_next().await {
        ended??;
    }
    assert!(number > 3, "{number} starts");
    Ok(())
}

async fn hot_case() -> Result<Case> {
    let case = case(Flavor::MySql57, "").await?;
    let create = "CREATE TABLE xa.hot (id INT PRIMARY KEY, v INT)";
    case.servers.source.execute(&[create, "INSERT INTO xa.hot VALUES (1, 0), (2, 0)"]).await?;
    Ok(case)
}

/// Makes a change in XA transactions that one session prepares and another one ends, again and again.
async fn prepare_and_end(source: Arc<Database>, name: &str, change: &str, end: Instant) -> Result<()> {
    const UNKNOWN_XID: u16 = 1397;
    let mut second = source.connect().await?;
    let mut number = 0;
    while Instant::now() < end {
        number += 1;
        let xid = format!("'{name}','{number}',7");
        let mut first = source.connect().await?;
        for statement in [&format!("XA START {xid}"), change, &format!("XA END {xid}"), &format!("XA PREPARE {xid}")] {
            first.query_drop(statement).await?;
        }
        first.disconnect().await?;
        // A server that gets the outcome too early writes it, and keeps the locks all the same.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let outcome = if number % 5 == 0 { "ROLLBACK" } else { "COMMIT" };
        loop {
            match second.query_drop(format!("XA {outcome} {xid}")).await {
                Err(mysql_async::Error::Server(error)) if error.code == UNKNOWN_XID => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                done => break done?,
            }
        }
    }
    Ok(())
}

/// The last values of both rows. Each value must be the one before it plus one.
fn hot_values(case: &Case) -> Result<Vec<usize>> {
    let mut last = [None; 2];
    for entry in &case.entries {
        let Decoded::Rows(rows) = case.settings.format.decode(&entry.value)? else { continue };
        for after in rows.iter().filter(|row| row.table.name == "hot").filter_map(|row| row.after.as_ref()) {
            let number = |column: &str| after.get(column).cloned().flatten().and_then(|text| text.parse::<usize>().ok());
            let (Some(id), Some(value)) = (number("id"), number("v")) else {
                return Err(Failure::new(format!("a row without numbers: {after:?}")));
            };
            let before = last[id - 1].replace(value);
            assert!(before.is_none_or(|before| value == before + 1), "row {id} has the value {value} after {before:?}");
        }
    }
    Ok(last.into_iter().flatten().collect())
}
