//! A primary and a replica with GTIDs, on real servers.

use mysql_async::prelude::Queryable;

use super::{Database, Flavor};
use crate::{Failure, Result};

const LIMIT_SECONDS: u64 = 60;
/// The account with which the replica follows.
const ACCOUNT: (&str, &str) = ("replica", "replica-secret");

/// A primary and a replica that follows it. The options of the servers are added to those that replication needs.
pub async fn primary_and_replica(flavor: Flavor, primary: &[&str], replica: &[&str]) -> Result<(Database, Database)> {
    let of_flavor: &[&str] = match flavor {
        Flavor::MariaDb => &["--log-slave-updates=ON", "--gtid-strict-mode=ON"],
        _ => &["--log-slave-updates=ON", "--gtid-mode=ON", "--enforce-gtid-consistency=ON"],
    };
    let options = |own: &[&'static str], more: &[&str]| -> Vec<String> {
        let all = of_flavor.iter().chain(own).copied().chain(more.iter().copied());
        all.map(str::to_owned).collect()
    };
    let (first, second) = (options(&[], primary), options(&["--server-id=2", "--skip-slave-start"], replica));
    let (first, second): (Vec<&str>, Vec<&str>) = (first.iter().map(String::as_str).collect(), second.iter().map(String::as_str).collect());
    let (primary, replica) = tokio::try_join!(Database::start(flavor, &first), Database::start(flavor, &second))?;
    let (user, password) = ACCOUNT;
    let plugin = if flavor == Flavor::MySql80 { "WITH mysql_native_password " } else { "" };
    primary
        .execute(&[
            // Both servers begin in the same state, so none of the transactions before counts.
            "RESET MASTER",
            &format!("CREATE USER '{user}'@'%' IDENTIFIED {plugin}BY '{password}'"),
            &format!("GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%'"),
        ])
        .await?;
    replica.execute(&["RESET MASTER"]).await?;
    follow(&replica, &primary).await?;
    Ok((primary, replica))
}

/// Lets a server follow another one, behind the transactions that it has.
pub async fn follow(replica: &Database, primary: &Database) -> Result<()> {
    let (user, password) = ACCOUNT;
    let by_gtid = match replica.flavor() {
        Flavor::MariaDb => "MASTER_USE_GTID = slave_pos",
        _ => "MASTER_AUTO_POSITION = 1",
    };
    let change = format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = '{user}', MASTER_PASSWORD = '{password}', \
         MASTER_CONNECT_RETRY = 1, {by_gtid}",
        primary.port()
    );
    replica.execute(&[&change, "START SLAVE"]).await
}

/// Waits until the replica has executed all that the primary has committed.
pub async fn wait_for_replica(primary: &Database, replica: &Database) -> Result<()> {
    let (ask, wait) = match primary.flavor() {
        Flavor::MariaDb => ("SELECT @@GLOBAL.gtid_binlog_pos", "MASTER_GTID_WAIT"),
        _ => ("SELECT @@GLOBAL.gtid_executed", "WAIT_FOR_EXECUTED_GTID_SET"),
    };
    let set: Option<String> = primary.connect().await?.query_first(ask).await?;
    let set = set.unwrap_or_default().replace('\n', "");
    let mut connection = replica.connect().await?;
    let waited: Option<i64> = connection.query_first(format!("SELECT {wait}('{set}', {LIMIT_SECONDS})")).await?;
    if waited != Some(0) {
        let status: Option<mysql_async::Row> = connection.query_first("SHOW SLAVE STATUS").await?;
        return Failure::err(format!("the replica does not reach {set}: {status:?}"));
    }
    Ok(())
}

/// Makes a replica a server of its own, which can be written to.
pub async fn promote(replica: &Database) -> Result<()> {
    replica.execute(&["STOP SLAVE", "RESET SLAVE ALL"]).await
}
