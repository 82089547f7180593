//! Tests of topics: topics that are missing and are created, topic templates, partitions by chosen columns, every compression, and topics
//! with many partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tests::Result;
use tests::checker::{Decoded, Format, Table};
use tests::harness::{Listener, TopicReader};
use tests::measure::usage_of;
use tests::program::{Settings, Task};

use super::case::{Case, Servers, alone, program};
use super::report::{HELP, assert_error};

const LIMIT: Duration = Duration::from_secs(60);
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

async fn create_database(servers: &Servers, name: &str, statements: &[&str]) -> Result<()> {
    let create = format!("CREATE DATABASE {name}");
    let statements: Vec<String> = std::iter::once(create).chain(statements.iter().map(|text| text.replace("{db}", name))).collect();
    servers.source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn refused(case: &mut Case, texts: &[&str]) -> Result<()> {
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let code = case.task.wait(LIMIT).await?;
    let output = case.task.output();
    assert_eq!(code, 2, "{output}");
    assert_error(&output, texts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_compression_is_read_by_javas_consumer_and_by_us() -> Result<()> {
    let servers = Servers::shared().await?;
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let name = format!("compressed_{compression}");
        let rows: Vec<String> = (0..3000).map(|id| format!("({id}, '{}')", format!("text {id} ").repeat(1 + id % 7))).collect();
        create_database(
            &servers,
            &name,
            &["CREATE TABLE {db}.t (id INT PRIMARY KEY, a VARCHAR(200))", &format!("INSERT INTO {{db}}.t VALUES {}", rows.join(","))],
        )
        .await?;
        let mut case = Case::new(servers.clone(), &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        case.settings.sink = format!("compression = \"{compression}\"\nrecord_batch_bytes = 200000");
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        // The task is killed right after a delivery, so the next start reads the records that are newer than the checkpoint.
        for id in 3000..3020 {
            servers.source.execute(&[&format!("INSERT INTO {name}.t VALUES ({id}, 'more of {id}')")]).await?;
        }
        case.catch_up(LIMIT).await?;
        case.task.kill()?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
        let records = case.read().await?;
        let most = records.to_string();
        let read =
            servers.kafka.tool(CONSUMER, &["--topic", &name, "--from-beginning", "--max-messages", &most, "--timeout-ms", "20000"]).await?;
        let read: BTreeSet<&str> = read.lines().filter(|line| line.starts_with('{')).collect();
        let written: Vec<String> = case.entries.iter().map(|entry| String::from_utf8_lossy(&entry.value).into_owned()).collect();
        assert_eq!(read, written.iter().map(String::as_str).collect::<BTreeSet<_>>(), "{compression}");
        assert!(read.len() > 3000, "{compression}: {}", read.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_topics_are_created_as_configured() -> Result<()> {
    let servers = Servers::shared().await?;
    let kafka = servers.kafka.clone();
    create_database(
        &servers,
        "made",
        &[
            "CREATE TABLE {db}.a (id INT PRIMARY KEY)",
            "CREATE TABLE {db}.b (id INT PRIMARY KEY)",
            "INSERT INTO {db}.a VALUES (1), (2), (3)",
            "INSERT INTO {db}.b VALUES (4), (5)",
        ],
    )
    .await?;
    let mut case = Case::new(servers.clone(), "made", Format::CanalJson, 1, vec![]).await?;
    case.settings.topic = "for.{database}.{table}".into();
    let how =
        "enabled = true, partitions = 3, replication = 1, configs = { \"retention.ms\" = \"-1\", \"max.message.bytes\" = \"2000000\" }";
    case.settings.sink = format!("ddl_topic = \"for_ddl\"\ncreate_topics = {{ {how} }}");
    case.task.configure(&case.settings)?;
    // The command `check` must not create topics.
    let file = case.task.file().display().to_string();
    let check = program().command(&["check", &file]).output()?;
    let output = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && output.contains("for_ddl does not exist and will be created"), "{output}");
    let there = kafka.tool(TOPICS, &["--list"]).await?;
    assert!(!there.lines().any(|topic| topic.starts_with("for.") || topic == "for_ddl"), "the precheck creates nothing");

    case.task.start()?;
    let start = Instant::now();
    let (mut counts, mut created_later) = (BTreeMap::new(), false);
    while counts != BTreeMap::from([("for.made.a", 3), ("for.made.b", 2), ("for_ddl", 1)]) {
        assert!(start.elapsed() < LIMIT, "{counts:?}\n{}", case.task.output());
        case.task.must_run()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        // A topic is also created for a table that is created while the task runs.
        if counts.get("for.made.b") == Some(&2) && !created_later && case.task.output().contains("incremental") {
            servers.source.execute(&["CREATE TABLE made.c (id INT PRIMARY KEY)"]).await?;
            created_later = true;
        }
        for topic in ["for.made.a", "for.made.b", "for_ddl"] {
            if let Ok(mut reader) = TopicReader::open(&kafka, topic).await {
                counts.insert(topic, reader.read().await?.len());
            }
        }
    }
    servers.source.execute(&["INSERT INTO made.c VALUES (7)"]).await?;
    let described = loop {
        let described = kafka.tool(TOPICS, &["--describe"]).await?;
        if described.contains("Topic: for.made.c") || start.elapsed() > LIMIT {
            break described;
        }
    };
    for topic in ["for.made.a", "for.made.b", "for.made.c", "for_ddl"] {
        let line = described.lines().find(|line| line.starts_with(&format!("Topic: {topic}\t"))).unwrap_or_default();
        for text in ["PartitionCount: 3", "retention.ms=-1", "max.message.bytes=2000000"] {
            assert!(line.contains(text), "{text} is not in {line:?}\n{described}");
        }
    }
    case.task.stop().await?;
    // The second start must accept the existing topics.
    case.task.start()?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    case.task.must_run()?;
    case.task.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_cannot_be_created_is_reported_with_the_brokers_message() -> Result<()> {
    let servers = Servers::shared().await?;
    let kafka = servers.kafka.clone();
    create_database(&servers, "unmade", &["CREATE TABLE {db}.a (id INT PRIMARY KEY)", "INSERT INTO {db}.a VALUES (1)"]).await?;
    let mut case = Case::new(servers, "unmade", Format::CanalJson, 1, vec![]).await?;
    case.settings.topic = "never_made".into();
    for (how, text) in [
        ("enabled = true, partitions = 1, replication = 3", "replication"),
        ("enabled = true, configs = { \"retention.ms\" = \"soon\" }", "retention.ms"),
        ("enabled = true, configs = { \"no.such.config\" = \"1\" }", "no.such.config"),
    ] {
        case.settings.sink = format!("create_topics = {{ {how} }}");
        refused(&mut case, &["E_NOT_CREATED", "never_made", text]).await?;
        let check = program().command(&["check", &case.task.file().display().to_string()]).output()?;
        let output = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(!check.status.success() && output.contains(text), "{output}");
    }
    case.settings.sink = "create_topics = { enabled = false }".into();
    refused(&mut case, &["E_NO_TOPIC", "never_made"]).await?;
    case.settings.sink = "create_topics = { enabled = true }".into();
    case.settings.brokers = vec![kafka.address(Listener::Sasl)];
    case.settings.access = "sasl = { mechanism = \"scram_sha_256\", user = \"mallory\", password = \"mallory-secret\" }".into();
    kafka.allow("User:mallory", &["Describe", "Read", "Write"], "never_made").await?;
    refused(&mut case, &["E_DENIED", "User:mallory", "--operation Create --topic never_made"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chosen_columns_decide_the_partition() -> Result<()> {
    let servers = Servers::shared().await?;
    let rows: Vec<String> = (0..400).map(|id| format!("({id}, {})", id % 20)).collect();
    create_database(
        &servers,
        "chosen",
        &[
            "CREATE TABLE {db}.orders (id INT PRIMARY KEY, customer INT)",
            "CREATE TABLE {db}.other (id INT PRIMARY KEY)",
            &format!("INSERT INTO {{db}}.orders VALUES {}", rows.join(",")),
            "INSERT INTO {db}.other VALUES (1), (2), (3), (4), (5)",
        ],
    )
    .await?;
    let tables = vec![Table::new("chosen", "orders"), Table::new("chosen", "other")];
    let mut case = Case::new(servers.clone(), "chosen", Format::CanalJson, 12, tables).await?;
    case.settings.sink = "partition_columns = { \"chosen.orders\" = [\"customer_no\"] }".into();
    refused(&mut case, &["E_NO_COLUMN", "chosen.orders", "customer_no", "id, customer"]).await?;
    case.read().await?;
    assert!(case.rows_of("orders", "id")?.is_empty());

    // Rows of the other table may be in the topic already, so the setting is corrected in a task from scratch.
    let mut case = case.sibling("chosen_again", Format::CanalJson, 12).await?;
    case.settings.sink = "partition_columns = { \"chosen.orders\" = [\"customer\"] }".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    servers.source.execute(&["UPDATE chosen.orders SET customer = 7 WHERE id = 3", "DELETE FROM chosen.orders WHERE id = 4"]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let mut partitions: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for entry in &case.entries {
        let Decoded::Rows(rows) = case.settings.format.decode(&entry.value)? else { continue };
        for row in rows {
            let image = row.after.or(row.before).unwrap_or_default();
            match image.get("customer").cloned().flatten() {
                Some(customer) => partitions.entry(customer).or_default().insert(entry.partition),
                None => partitions.entry("others".into()).or_default().insert(entry.partition),
            };
        }
    }
    assert_eq!(partitions.remove("others"), Some(BTreeSet::from([0])), "other tables keep to `partition`");
    assert_eq!(partitions.len(), 20);
    assert!(partitions.values().all(|numbers| numbers.len() == 1), "one customer, one partition: {partitions:?}");
    assert!(partitions.values().flatten().collect::<BTreeSet<_>>().len() > 5, "{partitions:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_share_a_topic_by_accident_are_refused() -> Result<()> {
    let servers = Servers::shared().await?;
    create_database(
        &servers,
        "fall",
        &["CREATE TABLE {db}.`a$` (id INT PRIMARY KEY)", "CREATE TABLE {db}.a_24 (id INT PRIMARY KEY)", "INSERT INTO {db}.`a$` VALUES (1)"],
    )
    .await?;
    servers.source.execute(&["INSERT INTO fall.a_24 VALUES (1)"]).await?;
    let mut case = Case::new(servers, "fall", Format::CanalJson, 1, vec![]).await?;
    case.settings.topic = "on_{table}".into();
    case.settings.sink = "create_topics = { enabled = true }".into();
    refused(&mut case, &["on_a_24", "fall.a$", "fall.a_24"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn four_thousand_partitions_are_opened_in_seconds_and_in_little_memory() -> Result<()> {
    const PARTITIONS: i32 = 4096;
    // A broker creates the files of a partition at its first record. This takes longer than everything else, so there are few rows.
    const ROWS: u64 = 20_000;
    let _alone = alone().await;
    let servers = Servers::own(tests::harness::Flavor::MySql57).await?;
    let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, 'text of {id}')")).collect();
    create_database(
        &servers,
        "wide",
        &["CREATE TABLE {db}.t (id INT PRIMARY KEY, a VARCHAR(200))", &format!("INSERT INTO {{db}}.t VALUES {}", rows.join(","))],
    )
    .await?;
    // Records are counted with Kafka's own tool, because our reader opens one connection per partition.
    servers.kafka.create_topic("wide", PARTITIONS).await?;
    let mut settings = Settings::new("wide", &servers.source, &["wide.t"], &servers.kafka, "wide", Format::CanalJson);
    settings.sink = "partition = \"primary_key\"".into();
    let mut task = Task::new(&program(), &settings)?;
    let mut peak = 0;
    // The first start finds no records; the later starts find a receipt of all partitions and read the last records of each.
    for (start, wanted) in [("first", ROWS), ("second", 2 * ROWS), ("after a kill", 3 * ROWS)] {
        let begin = Instant::now();
        task.start()?;
        while !task.output().contains("incremental") {
            task.must_run()?;
            assert!(begin.elapsed() < 4 * LIMIT, "{}", task.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let opened = begin.elapsed();
        if wanted > ROWS {
            servers.source.execute(&["UPDATE wide.t SET a = concat(a, '!')"]).await?;
        }
        loop {
            let counted: u64 = servers
                .kafka
                .tool("org.apache.kafka.tools.GetOffsetShell", &["--topic", "wide"])
                .await?
                .lines()
                .filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok())
                .sum();
            assert!(counted <= wanted, "{counted} records: some are there twice");
            if counted == wanted {
                break;
            }
            task.must_run()?;
            assert!(begin.elapsed() < 4 * LIMIT, "{counted} records\n{}", task.output());
        }
        let (_, kib) = usage_of(task.id().unwrap_or_default())?;
        peak = peak.max(kib);
        println!(
            "{start}: open after {} ms, all there after {} ms, peak {} MiB",
            opened.as_millis(),
            begin.elapsed().as_millis(),
            kib >> 10
        );
        assert!(start == "first" || opened < Duration::from_secs(5), "{opened:?}");
        if start == "second" { task.kill()? } else { task.stop().await? }
    }
    assert!(peak < 200 << 10, "{peak} KiB");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_without_a_topic_stops_the_task_until_it_has_one() -> Result<()> {
    let (servers, name, later) = (Servers::shared().await?, "no_ddl_topic", "no_ddl_topic_later");
    create_database(&servers, name, &["CREATE TABLE {db}.t (id INT PRIMARY KEY)", "INSERT INTO {db}.t VALUES (1)"]).await?;
    let mut case = Case::new(servers.clone(), name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await?;
    case.settings.topic = "{database}.{table}".into();
    case.settings.tables = vec![format!("{name}.*"), format!("{later}.*")];
    case.settings.sink = "create_topics = { enabled = true, partitions = 1, replication = 1 }".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let rows = format!("{name}.t");
    while !servers.kafka.client().await?.list_topics().await?.iter().any(|topic| topic.name == rows) {
        case.task.must_run()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let has = |text: &'static str| move |entry: &tests::harness::Entry| String::from_utf8_lossy(&entry.value).contains(text);
    let mut reader = TopicReader::open(&servers.kafka, &rows).await?;
    reader.read_until("the row", LIMIT, has("\"1\"")).await?;
    servers.source.execute(&[&format!("INSERT INTO {name}.t VALUES (2)")]).await?;
    reader.read_until("the second row", LIMIT, has("\"2\"")).await?;
    servers.source.execute(&[&format!("CREATE DATABASE {later}"), &format!("INSERT INTO {name}.t VALUES (3)")]).await?;
    let code = case.task.wait(LIMIT).await?;
    let output = case.task.output();
    assert!(code == 2 && output.contains("E_NO_DDL_TOPIC") && output.contains(&format!("{HELP}set ddl_topic")), "{code} {output}");
    // The test follows the advice of the error: it must work, and nothing may be lost or repeated.
    case.settings.sink += "\nddl_topic = \"no_ddl_topic_ddl\"";
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let third = reader.read_until("the third row", LIMIT, has("\"3\"")).await?;
    case.task.stop().await?;
    assert_eq!(third.len(), 1);
    let statements = TopicReader::open(&servers.kafka, "no_ddl_topic_ddl").await?.read().await?;
    assert!(matches!(statements.as_slice(), [statement] if has("CREATE DATABASE no_ddl_topic_later")(statement)), "{statements:?}");
    Ok(())
}
