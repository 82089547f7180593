//! Another server of the replication takes over: the task continues there by its GTIDs, without loss and repeats, or says why it cannot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::checker::{Format, Header};
use tests::harness::replication::{follow, primary_and_replica, promote, wait_for_replica};
use tests::harness::{Database, Flavor, Proxy};
use tests::workload::{Writers, writers};
use tests::{Failure, Result};

use super::case::{Case, Servers};
use super::refusals::ended;

const LIMIT: Duration = Duration::from_secs(60);

/// Lets the replica apply transactions in parallel, and commit them in another order than the primary.
fn out_of_order(flavor: Flavor) -> &'static [&'static str] {
    match flavor {
        Flavor::MariaDb => &["--slave-parallel-threads=4", "--slave-parallel-mode=optimistic"],
        _ => &["--slave-parallel-workers=4", "--slave-parallel-type=LOGICAL_CLOCK", "--slave-preserve-commit-order=OFF"],
    }
}

/// A task that reads from a primary through a proxy, and a replica of the primary.
struct Replicated {
    case: Case,
    replica: Database,
    proxy: Proxy,
}

impl Replicated {
    async fn start(flavor: Flavor, name: &str) -> Result<Self> {
        let grouped: &[&str] = if flavor == Flavor::MariaDb { &[] } else { &["--binlog-group-commit-sync-delay=2000"] };
        let pair = primary_and_replica(flavor, grouped, out_of_order(flavor));
        let (shared, (primary, replica)) = tokio::try_join!(Servers::shared(), pair)?;
        let tables = writers::create_tables(&primary, name, 50).await?;
        let proxy = Proxy::start(primary.address())?;
        let servers = Servers { source: Arc::new(primary), kafka: shared.kafka };
        let mut case = Case::new(servers, name, Format::CanalJson, 3, tables).await?;
        case.settings.read_from(proxy.address());
        case.settings.sink = "partition = \"primary_key\"".into();
        case.task.configure(&case.settings)?;
        Ok(Self { case, replica, proxy })
    }

    /// Runs writers on the primary for a while.
    async fn write(&self, seconds: f32) -> Result<()> {
        write(&self.case, seconds, 1).await
    }

    async fn replicated(&self) -> Result<()> {
        wait_for_replica(&self.case.servers.source, &self.replica).await
    }

    /// Kills the primary and promotes the replica. Returns the case, whose source is the promoted server now, the server that was killed,
    /// and the proxy.
    async fn take_over(mut self) -> Result<(Case, Database, Proxy)> {
        self.case.source_mut()?.kill()?;
        promote(&self.replica).await?;
        let killed = std::mem::replace(&mut self.case.servers.source, Arc::new(self.replica));
        let killed = Arc::into_inner(killed).ok_or_else(|| Failure::new("the primary is in use"))?;
        self.proxy.lead_to(&[self.case.servers.source.address()]);
        self.proxy.cut();
        Ok((self.case, killed, self.proxy))
    }
}

async fn write(case: &Case, seconds: f32, seed: u64) -> Result<()> {
    let writers = Writers::start(&case.servers.source, &case.database, 4, Duration::from_millis(2), seed).await?;
    tokio::time::sleep(Duration::from_secs_f32(seconds)).await;
    let written = writers.stop().await?;
    assert!(written.committed > 0, "{written:?}");
    Ok(())
}

/// Commits positions so seldom that a process which is killed leaves records behind its receipt.
fn commit_seldom(case: &mut Case) -> Result<()> {
    case.settings.more = "[delivery]\nflush_interval_ms = 60000".into();
    case.task.configure(&case.settings)
}

/// The greatest timeline of the records, which says how often another server took over.
fn timeline(case: &Case) -> Result<u128> {
    let headers = case.entries.iter().filter_map(|entry| entry.header.as_deref());
    let mut timeline = 0;
    for header in headers {
        let header = Header::parse(header)?;
        if !header.inexact() {
            timeline = timeline.max(header.seq >> 116);
        }
    }
    Ok(timeline)
}

async fn executed(database: &Database) -> Result<String> {
    let ask = if database.flavor() == Flavor::MariaDb { "SELECT @@GLOBAL.gtid_binlog_pos" } else { "SELECT @@GLOBAL.gtid_executed" };
    let set: Option<String> = database.connect().await?.query_first(ask).await?;
    Ok(set.unwrap_or_default().replace('\n', ""))
}

/// What a server has executed behind a set of GTIDs. Of MariaDB, the last transaction.
async fn behind(database: &Database, set: &str) -> Result<String> {
    let now = executed(database).await?;
    assert_ne!(set, now);
    if database.flavor() == Flavor::MariaDb {
        return Ok(now);
    }
    let left: Option<String> = database.connect().await?.query_first(format!("SELECT GTID_SUBTRACT('{now}', '{set}')")).await?;
    Ok(left.unwrap_or_default())
}

/// Changes the columns of a table, and then all its rows, so that the topic holds each of them with all its columns.
async fn alter(case: &Case, number: u32) -> Result<()> {
    let table = format!("{}.altered", case.database);
    let statements = [
        format!("INSERT INTO {table} (id, touch) VALUES ({}, 0)", 2 * number),
        format!("ALTER TABLE {table} ADD COLUMN c{number} BIGINT DEFAULT {number} FIRST"),
        format!("INSERT INTO {table} (id, touch) VALUES ({}, 0)", 2 * number + 1),
        format!("UPDATE {table} SET touch = touch + 1"),
    ];
    case.servers.source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Fails unless the topic has each of the statements of [`alter`] with the numbers 1 to `last` once.
fn altered_once(case: &Case, last: u32) {
    for number in 1..=last {
        let of = |value: &[u8]| String::from_utf8_lossy(value).contains(&format!("ADD COLUMN c{number} BIGINT"));
        assert_eq!(case.entries.iter().filter(|entry| of(&entry.value)).count(), 1, "statement {number}");
    }
}

/// A server takes over while the task runs, later the killed server takes over again after it has followed, and then a restart follows.
async fn continues_while_it_runs(flavor: Flavor) -> Result<()> {
    let name = format!("continues_{}", flavor.name());
    let mut of = Replicated::start(flavor, &name).await?;
    of.case.servers.source.execute(&[&format!("CREATE TABLE {name}.altered (id INT PRIMARY KEY, touch INT NOT NULL)")]).await?;
    of.case.add_table("altered");
    of.case.task.start()?;
    of.case.catch_up(LIMIT).await?;
    // The other server has these statements in the file in which the task continues, among the transactions that are passed over.
    alter(&of.case, 1).await?;
    of.write(1.0).await?;
    alter(&of.case, 2).await?;
    of.replicated().await?;
    let (mut case, mut killed, proxy) = of.take_over().await?;
    write(&case, 0.5, 2).await?;
    alter(&case, 3).await?;
    case.catch_up(LIMIT).await?;
    assert!(case.task.output().contains("another server took over"), "{}", case.task.output());
    case.verify(0).await?;
    altered_once(&case, 3);
    assert_eq!(timeline(&case)?, 1);

    // The server that was killed follows the one that took over, and becomes the primary once more.
    killed.resume().await?;
    if flavor == Flavor::MariaDb {
        // What it has written itself is not in its position as a replica.
        killed.execute(&["SET GLOBAL gtid_slave_pos = @@gtid_current_pos"]).await?;
    }
    follow(&killed, &case.servers.source).await?;
    write(&case, 0.3, 3).await?;
    wait_for_replica(&case.servers.source, &killed).await?;
    let (mut case, _killed, _proxy) = Replicated { case, replica: killed, proxy }.take_over().await?;
    write(&case, 0.3, 4).await?;
    alter(&case, 4).await?;
    case.catch_up(LIMIT).await?;
    assert_eq!(timeline(&case)?, 2);
    case.task.kill()?;
    alter(&case, 5).await?;
    write(&case, 0.3, 5).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    altered_once(&case, 5);
    assert_eq!(timeline(&case)?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_of_mysql57_continues_while_the_task_runs() -> Result<()> {
    continues_while_it_runs(Flavor::MySql57).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_of_mysql80_continues_while_the_task_runs() -> Result<()> {
    continues_while_it_runs(Flavor::MySql80).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_of_mariadb_continues_while_the_task_runs() -> Result<()> {
    continues_while_it_runs(Flavor::MariaDb).await
}

/// The task is killed with records behind its receipt, then the primary is killed. The task recognises the records on the promoted server,
/// also when it is killed again before it has read all of their transactions once more.
async fn recognises_what_was_delivered(flavor: Flavor, kills: u32) -> Result<()> {
    let mut of = Replicated::start(flavor, &format!("recognises_{}_{kills}", flavor.name())).await?;
    of.case.task.start()?;
    of.case.catch_up(LIMIT).await?;
    of.case.task.stop().await?;
    commit_seldom(&mut of.case)?;
    of.case.task.start()?;
    let before = of.case.read().await?;
    of.write(1.0).await?;
    // Some of the records were delivered, perhaps not all.
    of.case.wait_for_records(before + 100, LIMIT).await?;
    of.case.task.kill()?;
    of.replicated().await?;
    let (mut case, _killed, _proxy) = of.take_over().await?;
    write(&case, 0.3, 2).await?;
    let mut rng = fastrand::Rng::with_seed(7);
    for kill in 0..kills {
        case.task.start()?;
        tokio::time::sleep(Duration::from_millis(rng.u64(100..900))).await;
        case.task.must_run()?;
        if kill == 0 {
            let start = Instant::now();
            while !case.task.output().contains("the log holds transactions that are read once more") {
                assert!(start.elapsed() < LIMIT, "{}", case.task.output());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        case.task.kill()?;
        write(&case, 0.2, rng.u64(..)).await?;
    }
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    assert_eq!(timeline(&case)?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_behind_the_receipt_are_recognised_on_mysql57() -> Result<()> {
    recognises_what_was_delivered(Flavor::MySql57, 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_behind_the_receipt_are_recognised_on_mysql80() -> Result<()> {
    recognises_what_was_delivered(Flavor::MySql80, 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_behind_the_receipt_are_recognised_on_mariadb() -> Result<()> {
    recognises_what_was_delivered(Flavor::MariaDb, 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn records_behind_the_receipt_are_recognised_through_many_kills() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        recognises_what_was_delivered(flavor, 25).await?;
    }
    Ok(())
}

/// A replica that lacks transactions is refused, whether they come before the receipt or behind it. With them it is accepted.
async fn refuses_what_lacks_transactions(flavor: Flavor) -> Result<()> {
    let mut of = Replicated::start(flavor, &format!("lacks_{}", flavor.name())).await?;
    of.case.settings.more = "[retry]\nwindow_seconds = 3".into();
    of.case.task.configure(&of.case.settings)?;
    of.case.task.start()?;
    of.case.catch_up(LIMIT).await?;
    of.replicated().await?;
    of.replica.execute(&["STOP SLAVE"]).await?;
    let replicated = executed(&of.replica).await?;
    of.case.catch_up(LIMIT).await?;
    let last = behind(&of.case.servers.source, &replicated).await?;
    // The position must be committed.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (mut case, mut killed, proxy) = of.take_over().await?;
    // A process that has read from the primary waits for it until its time is over.
    ended(&mut case, 3, &["E_GTID_MISSING", "lacks", &last]).await?;
    let count = case.read().await?;
    case.task.start()?;
    ended(&mut case, 1, &["E_GTID_MISSING", "lacks", &last, "full phase"]).await?;
    assert_eq!(case.read().await?, count);
    let output = super::case::program().command(&["check", &case.task.file().display().to_string()]).output()?;
    let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code != 0), "{console}");
    assert!(console.contains("lacks transactions") && console.contains(&last), "{console}");

    // Once it has caught up, it is taken.
    killed.resume().await?;
    follow(&case.servers.source, &killed).await?;
    wait_for_replica(&killed, &case.servers.source).await?;
    promote(&case.servers.source).await?;

    // Now the same with records behind the receipt: the position is there, and the last records are not.
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    commit_seldom(&mut case)?;
    killed.execute(&["FLUSH LOGS"]).await?;
    follow_again(&killed, &case.servers.source).await?;
    wait_for_replica(&case.servers.source, &killed).await?;
    killed.execute(&["STOP SLAVE"]).await?;
    let replicated = executed(&killed).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.kill()?;
    let last = behind(&case.servers.source, &replicated).await?;
    let (mut case, mut killed, _proxy) = Replicated { case, replica: killed, proxy }.take_over().await?;
    case.task.start()?;
    ended(&mut case, 1, &["E_GTID_MISSING", "lacks", &last]).await?;
    killed.resume().await?;
    follow(&case.servers.source, &killed).await?;
    wait_for_replica(&killed, &case.servers.source).await?;
    promote(&case.servers.source).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

/// Lets a former primary follow its successor.
async fn follow_again(killed: &Database, successor: &Database) -> Result<()> {
    if killed.flavor() == Flavor::MariaDb {
        killed.execute(&["SET GLOBAL gtid_slave_pos = @@gtid_current_pos"]).await?;
    }
    follow(killed, successor).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_mysql57_that_lacks_transactions_is_refused() -> Result<()> {
    refuses_what_lacks_transactions(Flavor::MySql57).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_mysql80_that_lacks_transactions_is_refused() -> Result<()> {
    refuses_what_lacks_transactions(Flavor::MySql80).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_mariadb_that_lacks_transactions_is_refused() -> Result<()> {
    refuses_what_lacks_transactions(Flavor::MariaDb).await
}

/// A promoted server that has purged transactions which were not delivered is refused.
async fn refuses_a_purged_gap(flavor: Flavor) -> Result<()> {
    let mut of = Replicated::start(flavor, &format!("purged_gap_{}", flavor.name())).await?;
    of.case.task.start()?;
    of.case.catch_up(LIMIT).await?;
    of.case.task.stop().await?;
    let delivered = executed(&of.case.servers.source).await?;
    of.write(0.3).await?;
    of.replicated().await?;
    of.replica.execute(&["FLUSH LOGS"]).await?;
    let (file, _) = of.replica.position().await?;
    of.replica.execute(&["FLUSH LOGS", &format!("PURGE BINARY LOGS TO '{file}'")]).await?;
    let (mut case, _killed, _proxy) = of.take_over().await?;
    case.task.start()?;
    ended(&mut case, 1, &["E_GTID_GAP", "has purged", &delivered, "full phase"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_gap_is_refused() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        refuses_a_purged_gap(flavor).await?;
    }
    Ok(())
}

/// Servers without GTIDs have nothing by which the task could go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_gtids_another_server_is_refused() -> Result<()> {
    let start = Instant::now();
    let mut of = Replicated::start(Flavor::MySql57, "no_gtids").await?;
    of.case.task.start()?;
    of.case.catch_up(LIMIT).await?;
    of.case.task.stop().await?;
    of.replicated().await?;
    for mode in ["ON_PERMISSIVE", "OFF_PERMISSIVE"] {
        of.replica.execute(&["STOP SLAVE", &format!("SET GLOBAL gtid_mode = {mode}")]).await.or_else(|error| match mode {
            "ON_PERMISSIVE" => Err(error),
            // Replication by GTIDs forbids it until the replica is a server of its own.
            _ => Ok(()),
        })?;
    }
    let (mut case, _killed, _proxy) = of.take_over().await?;
    case.task.start()?;
    ended(&mut case, 1, &["E_IDENTITY_CHANGED"]).await?;
    assert!(start.elapsed() < LIMIT * 2);
    Ok(())
}
