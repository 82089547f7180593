//! Tests of the harness: servers start, stop and resume with their data, and topics can be read.

use std::process::Command;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use tests::harness::{Database, Flavor, Kafka, Listener, Process, TopicReader, certificates, poll};
use tests::{Failure, Result};

#[tokio::test]
async fn a_killed_database_comes_back_with_its_rows_and_binlog() -> Result<()> {
    for flavor in Flavor::ALL {
        let mut source = Database::start(flavor, &[]).await?;
        source.execute(&["CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1), (2)"]).await?;
        let before = source.position().await?;
        source.kill()?;
        source.resume().await?;
        let mut connection = source.connect().await?;
        let (version, format, count): (String, String, i64) = connection
            .query_first("SELECT VERSION(), @@binlog_format, (SELECT COUNT(*) FROM d.t)")
            .await?
            .ok_or_else(|| Failure::new("no answer"))?;
        let wanted = match flavor {
            Flavor::MySql57 => "5.7.22",
            Flavor::MySql80 => "8.0.15",
            Flavor::MariaDb => "10.11.",
            Flavor::PolarDbX => "5.7.25-PXC-",
            Flavor::MySqlNewest => "",
        };
        assert!(version.starts_with(wanted), "{version}");
        assert_eq!((format.as_str(), count), ("ROW", 2));
        // PolarDB-X continues the file of its global binlog.
        let begins_file = flavor != Flavor::PolarDbX;
        assert_eq!(source.position().await?.0 > before.0, begins_file, "a restart begins a new binlog file");
        connection.disconnect().await?;
        source.stop().await?;
    }
    Ok(())
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

/// Lists the topics through a listener, with Kafka's own client.
async fn topics_through(kafka: &Kafka, listener: Listener, client: &[(&str, &str)]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("client.properties");
    let lines: Vec<String> = client.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(&file, lines.concat() + "default.api.timeout.ms=20000\nrequest.timeout.ms=10000\n")?;
    let arguments = ["--list", "--command-config", &file.display().to_string()];
    kafka.tool_at(&kafka.address(listener), "org.apache.kafka.tools.TopicCommand", &arguments).await
}

#[tokio::test]
async fn every_listener_accepts_the_right_users() -> Result<()> {
    let kafka = Kafka::start().await?;
    kafka.create_topic("t", 1).await?;
    let certificates = certificates()?;
    let [ca, client] = [&certificates.ca, &certificates.client.store].map(|path| path.display().to_string());
    let login = |class: &str, user: &str, password: &str| {
        format!("org.apache.kafka.common.security.{class}LoginModule required username=\"{user}\" password=\"{password}\";")
    };
    let [alice, mallory, stranger] = [("alice", "alice-secret"), ("mallory", "mallory-secret"), ("alice", "wrong")]
        .map(|(user, password)| login("scram.Scram", user, password));
    let bob = login("plain.Plain", "bob", "bob-secret");
    let sasl =
        |protocol, mechanism, login| [("security.protocol", protocol), ("sasl.mechanism", mechanism), ("sasl.jaas.config", login)].to_vec();
    let tls = [("ssl.truststore.type", "PEM"), ("ssl.truststore.location", ca.as_str())];
    let mutual = [("security.protocol", "SSL"), ("ssl.keystore.type", "PEM"), ("ssl.keystore.location", client.as_str())];
    for (listener, keys, sees) in [
        (Listener::Proxied, vec![], true),
        (Listener::Sasl, sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", alice.as_str()), true),
        (Listener::Sasl, sasl("SASL_PLAINTEXT", "SCRAM-SHA-256", mallory.as_str()), false),
        (Listener::SaslTls, [sasl("SASL_SSL", "SCRAM-SHA-512", alice.as_str()), tls.to_vec()].concat(), true),
        (Listener::SaslTls, [sasl("SASL_SSL", "PLAIN", bob.as_str()), tls.to_vec()].concat(), true),
        (Listener::MutualTls, [mutual.to_vec(), tls.to_vec()].concat(), true),
    ] {
        let topics = topics_through(&kafka, listener, &keys).await.map_err(|error| error.context(format!("{listener:?} {keys:?}")))?;
        assert_eq!(topics.lines().any(|line| line == "t"), sees, "{listener:?} {keys:?}: {topics}");
    }
    let refused = topics_through(&kafka, Listener::Sasl, &sasl("SASL_PLAINTEXT", "SCRAM-SHA-512", stranger.as_str())).await.unwrap_err();
    assert!(refused.to_string().contains("Authentication failed"), "{refused}");
    Ok(())
}

/// A child process must not outlive a test program that is killed. The test starts its own executable as that program.
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
    // A zombie counts as ended, since in a container it may never be reaped.
    let ended = || std::fs::read_to_string(format!("/proc/{child}/stat")).map_or(true, |stat| stat.contains(") Z "));
    poll("the end of the child", limit, || async { Ok(ended().then_some(())) }).await?;
    poll("the removal of the folder", limit, || async { Ok((!folder.exists()).then_some(())) }).await
}
