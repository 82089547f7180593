//! The servers themselves: they start, stop, come back with their data, and topics can be read back.

use std::process::Command;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use tests::Result;
use tests::harness::{Kafka, MySql, Process, TopicReader, poll};

#[tokio::test]
async fn a_killed_mysql_comes_back_with_its_rows_and_binlog() -> Result<()> {
    let mut mysql = MySql::start(&[]).await?;
    mysql.execute(&["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1), (2)"]).await?;
    let before = mysql.position().await?;
    mysql.kill()?;
    mysql.resume().await?;
    let mut connection = mysql.connect().await?;
    let count: Option<i64> = connection.query_first("SELECT COUNT(*) FROM d.t").await?;
    assert_eq!(count, Some(2));
    assert!(mysql.position().await?.0 > before.0, "a restart begins a new binlog file");
    connection.disconnect().await?;
    mysql.stop().await
}

#[tokio::test]
async fn a_killed_kafka_comes_back_with_its_records() -> Result<()> {
    let mut kafka = Kafka::start().await?;
    kafka.create_topic("t", 2).await?;
    let client = kafka.client().await?;
    let record = |value: &str| Record {
        key: None,
        value: Some(value.into()),
        headers: [("dts".to_owned(), vec![1, 2])].into(),
        timestamp: rskafka::chrono::DateTime::UNIX_EPOCH,
    };
    for partition in 0..2 {
        let writer = client.partition_client("t", partition, UnknownTopicHandling::Retry).await?;
        writer.produce(vec![record("a"), record("b")], Compression::Zstd).await?;
    }
    drop(client);
    kafka.kill()?;
    kafka.resume().await?;
    let mut reader = TopicReader::open(&kafka, "t").await?;
    let entries =
        reader.read_until("the last record", Duration::from_secs(30), |entry| entry.partition == 1 && entry.value == b"b").await?;
    let found: Vec<_> =
        entries.iter().map(|entry| (entry.partition, entry.offset, entry.value.as_slice(), entry.header.as_deref())).collect();
    let header = Some([1, 2].as_slice());
    assert_eq!(found, [(0, 0, b"a".as_slice(), header), (0, 1, b"b", header), (1, 0, b"a", header), (1, 1, b"b", header)]);
    assert_eq!(reader.remaining().await?, 0);
    kafka.stop().await
}

/// The watchdog: a child must not outlive a test program that is killed. This test calls itself as that program.
#[tokio::test]
async fn a_child_ends_with_its_owner_and_its_folder_goes() -> Result<()> {
    const OWNER: &str = "E2E_OWNER_OF_A_CHILD";
    if let Some(folder) = std::env::var_os(OWNER) {
        let folder = std::path::PathBuf::from(folder);
        let process = Process::spawn("sleep", Command::new("sleep").arg("300"), &folder, "log")?;
        std::fs::write(folder.join("id"), process.id().to_string())?;
        std::fs::rename(folder.join("id"), folder.join("child"))?;
        std::thread::sleep(Duration::from_secs(300));
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("owned");
    std::fs::create_dir(&folder)?;
    let mut owner = Command::new(std::env::current_exe()?);
    owner.args(["--exact", "harness::a_child_ends_with_its_owner_and_its_folder_goes", "--nocapture"]).env(OWNER, &folder);
    let mut owner = Process::spawn("the owner", &mut owner, scratch.path(), "log")?;
    let limit = Duration::from_secs(30);
    let child = poll("the child", limit, || async { Ok(std::fs::read_to_string(folder.join("child")).ok()) }).await?;
    owner.kill()?;
    // A zombie has ended; not every first process of a container takes it away.
    let ended = || std::fs::read_to_string(format!("/proc/{child}/stat")).map_or(true, |stat| stat.contains(") Z "));
    poll("the end of the child", limit, || async { Ok(ended().then_some(())) }).await?;
    poll("the removal of the folder", limit, || async { Ok((!folder.exists()).then_some(())) }).await
}
