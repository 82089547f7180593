//! The schema phase in combination with the other phases, DDL statements in order with the rows of their tables, and heartbeats of an
//! idle stream.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use runtime::{Body, Checkpoint, Commit, Committed, Context, Event, Lane, Op, Phase, Progress, Receipt, Settings, Source, SplitReader};
use serde_json::{Value as Json, json};
use source_polardbx::PolardbxSource;
use tests::checker::{Decoded, Format, Header, Table};
use tests::harness::{Database, Entry, Flavor, TopicReader, database};
use tests::{Failure, Result};

use super::case::{Case, Servers};
use super::refusals::refused;

const LIMIT: Duration = Duration::from_secs(60);

/// Creates two tables with keys of every kind, with rows, and with a foreign key between them.
async fn create_shop(mysql: &Database, name: &str) -> Result<()> {
    mysql
        .execute(&[
            &format!("CREATE DATABASE {name} DEFAULT CHARACTER SET latin1"),
            &format!("CREATE TABLE {name}.users (id INT AUTO_INCREMENT PRIMARY KEY, mail VARCHAR(50) COMMENT 'it''s, (\u{f1})', UNIQUE KEY m (mail))"),
            &format!(
                "CREATE TABLE {name}.orders (id BIGINT UNSIGNED, line INT, user INT, state ENUM('\u{e9}','b,c') DEFAULT 'b,c', \
                 PRIMARY KEY (id, line), KEY s (state), CONSTRAINT of_user FOREIGN KEY (user) REFERENCES users (id) ON DELETE CASCADE) \
                 COMMENT 'FOREIGN KEY (x)'"
            ),
            &format!("INSERT INTO {name}.users (mail) VALUES ('a@b'), ('c@d'), (NULL)"),
            &format!("INSERT INTO {name}.orders VALUES (1, 1, 1, '\u{e9}'), (1, 2, 1, 'b,c'), (2, 1, NULL, NULL)"),
        ])
        .await
}

/// A task on the tables of the shop and the table `fence`.
async fn shop(servers: &Servers, name: &str, format: Format, phases: &str) -> Result<Case> {
    create_shop(&servers.source, name).await?;
    let tables = vec![Table::new(name, "users"), Table::new(name, "orders")];
    let mut case = Case::new(servers.clone(), name, format, 1, tables).await?;
    case.settings.source = format!("phases = {phases}");
    case.task.configure(&case.settings)?;
    Ok(case)
}

/// The text that SHOW CREATE TABLE returns.
async fn show_create_table(mysql: &Database, table: &str) -> Result<String> {
    let mut connection = mysql.connect().await?;
    let row: Option<(String, String)> = connection.query_first(format!("SHOW CREATE TABLE {table}")).await?;
    connection.disconnect().await?;
    row.map(|(_, text)| text).ok_or_else(|| Failure::new(format!("no table {table}")))
}

/// The statements of the schema phase for the shop: the texts of SHOW CREATE TABLE, without the line of the foreign key.
async fn texts(mysql: &Database, name: &str) -> Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    for table in ["fence", "orders", "users"] {
        let text = show_create_table(mysql, &format!("{name}.{table}")).await?;
        let line = text.lines().find(|line| line.trim_start().starts_with("CONSTRAINT `of_user`"));
        // The foreign key is the last line of the definition, so the comma before it is removed, too.
        texts.insert(match line {
            Some(line) => text.replace(&format!(",\n{line}"), ""),
            None => text,
        });
    }
    assert!(texts.iter().all(|text| !text.contains("REFERENCES")), "{texts:?}");
    Ok(texts)
}

/// The DDL statements among records, in their order, each with its database.
fn statements(format: Format, entries: &[Entry]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in entries {
        if let Decoded::Schema { database, sql } = format.decode(&entry.value)? {
            found.push((database, sql));
        }
    }
    Ok(found)
}

/// The content of records in their order: a text such as `Insert users` for each row, and the text of each statement.
fn order(format: Format, entries: &[Entry]) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for entry in entries {
        match format.decode(&entry.value)? {
            Decoded::Rows(rows) => {
                // Canal JSON uses INSERT for rows of the full phase, so these rows are recognised by a flag in the header.
                let read = Header::parse(entry.header.as_deref().unwrap_or_default())?.snapshot();
                let op = |op: String| if read { "Read".to_owned() } else { op };
                words.extend(rows.iter().map(|row| format!("{} {}", op(format!("{:?}", row.op)), row.table.name)));
            }
            Decoded::Schema { sql, .. } => words.push(sql),
            Decoded::Control => {}
        }
    }
    Ok(words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_phase_alone_ends_after_the_statements() -> Result<()> {
    for flavor in Flavor::ALL {
        let servers = Servers::shared_of(flavor).await?;
        let name = format!("schema_{}", flavor.name());
        let mut case = shop(&servers, &name, Format::CanalJson, "[\"schema\"]").await?;
        case.task.start()?;
        assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
        case.read().await?;
        let found = statements(Format::CanalJson, &case.entries)?;
        assert!(found.iter().all(|(database, _)| *database == name), "{found:?}");
        let found: Vec<_> = found.into_iter().map(|(_, sql)| sql).collect();
        assert_eq!(case.entries.len(), 3, "no rows, and every table once");
        assert_eq!(BTreeSet::from_iter(found), texts(&servers.source, &name).await?);
        for entry in &case.entries {
            let message: Json = serde_json::from_slice(&entry.value)?;
            assert_eq!((&message["type"], &message["isDdl"]), (&"CREATE".into(), &true.into()), "{message}");
            let table = message["table"].as_str().unwrap_or_default();
            assert!(message["sql"].as_str().is_some_and(|sql| sql.starts_with(&format!("CREATE TABLE `{table}` ("))), "{message}");
            let header = Header::parse(entry.header.as_deref().unwrap_or_default())?;
            assert_eq!(header.flags & 7, 7, "a schema change, not exact, of the snapshot");
        }
        // A second start finds nothing left to do.
        case.task.start()?;
        assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
        assert_eq!(case.read().await?, 3);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_definitions_come_before_the_rows_of_their_tables() -> Result<()> {
    let servers = Servers::shared().await?;
    let mysql = &servers.source;
    for (name, format, phases, rows) in [
        ("schema_full", Format::DtsAvro, "[\"schema\", \"full\"]", 6),
        ("schema_stream", Format::CanalJson, "[\"incremental\", \"schema\"]", 0),
        ("schema_all", Format::CanalJson, "[\"full\", \"schema\", \"incremental\"]", 6),
    ] {
        let mut case = shop(&servers, name, format, phases).await?;
        case.task.start()?;
        if phases.contains("incremental") {
            // The start position of the stream is noted before any record is delivered. So the stream is certain to contain all changes
            // that are made after the records below have arrived.
            case.wait_for_records(3 + rows, LIMIT).await?;
            mysql
                .execute(&[
                    &format!("INSERT INTO {name}.users VALUES (10, 'x'), (11, 'y')"),
                    &format!("CREATE INDEX i ON {name}.users (mail)"),
                ])
                .await?;
            case.catch_up(LIMIT).await?;
            case.task.stop().await?;
        } else {
            assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
            case.read().await?;
        }
        let order = order(format, &case.entries)?;
        assert!(order[..3].iter().all(|word| word.starts_with("CREATE TABLE ")), "{order:?}");
        assert_eq!(order.iter().filter(|word| word.starts_with("CREATE TABLE ")).count(), 3, "{order:?}");
        assert_eq!(order.iter().filter(|word| word.starts_with("Read ")).count(), rows, "{order:?}");
        if phases.contains("incremental") {
            assert_eq!(
                order[3 + rows..][..3],
                ["Insert users".to_owned(), "Insert users".into(), format!("CREATE INDEX i ON {name}.users (mail)")]
            );
        }
        if phases.contains("full") {
            case.verify(0).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_the_schema_phase_lose_no_table_definition() -> Result<()> {
    const TABLES: usize = 150;
    let servers = Servers::shared().await?;
    let (name, mysql) = ("schema_kills", &servers.source);
    let tables = (0..TABLES).map(|number| format!("CREATE TABLE {name}.t{number:03} (id INT PRIMARY KEY, a INT)"));
    let setup: Vec<String> = std::iter::once(format!("CREATE DATABASE {name}")).chain(tables).collect();
    mysql.execute(&setup.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let mut case = Case::new(servers.clone(), name, Format::CanalJson, 1, Vec::new()).await?;
    case.settings.source = "phases = [\"schema\", \"full\", \"incremental\"]".into();
    case.task.configure(&case.settings)?;
    let mut kills = 0;
    for target in [20, 60, 100] {
        case.task.start()?;
        case.wait_for_records(target, LIMIT).await?;
        case.task.kill()?;
        kills += usize::from(case.read().await? < TABLES);
    }
    assert!(kills > 0, "no kill fell into the schema phase");
    // The table is altered after the task has started. The schema phase delivers the old definition, and the stream has the change.
    mysql.execute(&[&format!("ALTER TABLE {name}.t149 COMMENT 'later'")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let created: Vec<_> =
        statements(Format::CanalJson, &case.entries)?.into_iter().map(|(_, sql)| sql).filter(|sql| sql.starts_with("CREATE")).collect();
    let different: BTreeSet<_> = created.iter().collect();
    assert_eq!(different.len(), TABLES + 1, "a statement is lost or altered");
    // After a kill, statements whose delivery was not committed are repeated. At most two repetitions per kill are allowed here.
    assert!(created.len() <= TABLES + 1 + 3 * 2, "{} statements of {} tables", created.len(), TABLES + 1);
    println!("{} statements after {kills} kills in the schema phase", created.len());
    case.verify(3).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_phases_than_at_the_first_start_are_refused() -> Result<()> {
    let servers = Servers::shared().await?;
    let mut case = shop(&servers, "schema_changed", Format::CanalJson, "[\"schema\", \"full\", \"incremental\"]").await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    for phases in ["[\"full\", \"incremental\"]", "[\"schema\", \"incremental\"]", "[\"schema\"]", "[\"schema\", \"full\"]"] {
        case.settings.source = format!("phases = {phases}");
        case.task.configure(&case.settings)?;
        refused(&mut case, 2, &["phases"]).await?;
    }
    Ok(())
}

/// Statements that a running task follows, with changes of rows between them. Each statement has its expected records. A record is written
/// as the type of its message or the operation on its row, followed by the table.
const FOLLOWED: &[(&str, &[&str])] = &[
    ("CREATE TABLE made (id INT PRIMARY KEY, a VARCHAR(9))", &["CREATE made"]),
    ("INSERT INTO made VALUES (1, 'one')", &["Insert made"]),
    ("CREATE TABLE twin LIKE made", &["CREATE twin"]),
    ("INSERT INTO twin VALUES (1, 'a'), (2, 'two'), (3, 'c')", &["Insert twin", "Insert twin", "Insert twin"]),
    ("CREATE TABLE chosen (PRIMARY KEY (id)) AS SELECT 7 AS id", &["CREATE chosen", "Insert chosen"]),
    ("ALTER TABLE made ADD INDEX i (a)", &["CINDEX made"]),
    ("INSERT INTO made VALUES (3, 'three')", &["Insert made"]),
    ("ALTER TABLE made ADD UNIQUE u (a), COMMENT 'x'", &["CINDEX made"]),
    ("UPDATE made SET a = 'four' WHERE id = 3", &["Update made"]),
    ("CREATE INDEX j ON made (id, a)", &["CINDEX made"]),
    ("ALTER TABLE made RENAME INDEX j TO k", &["ALTER made"]),
    ("ALTER TABLE made ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES twin (id)", &[]),
    ("ALTER TABLE made DROP FOREIGN KEY f", &["DINDEX made"]),
    ("DROP INDEX k ON made", &["DINDEX made"]),
    ("ALTER TABLE made DROP INDEX i", &["DINDEX made"]),
    ("DELETE FROM made WHERE id = 1", &["Delete made"]),
    ("ALTER TABLE made ALTER a SET DEFAULT 'x'", &["ALTER made"]),
    ("ALTER TABLE made ENGINE = InnoDB", &["ALTER made"]),
    ("CREATE TABLE IF NOT EXISTS made (z INT)", &["CREATE made"]),
    ("TRUNCATE twin", &["TRUNCATE twin"]),
    ("INSERT INTO twin VALUES (5, 'five')", &["Insert twin"]),
    ("CREATE VIEW seen AS SELECT * FROM made", &[]),
    ("ANALYZE TABLE made", &[]),
    ("DROP VIEW seen", &[]),
    ("DROP TABLE twin, made", &["ERASE twin"]),
    ("DROP TABLE IF EXISTS never", &["ERASE never"]),
    ("CREATE DATABASE `{db}_two`", &["QUERY "]),
    ("ALTER DATABASE `{db}_two` CHARACTER SET latin1", &[]),
    ("CREATE TABLE `{db}_two`.t (id INT PRIMARY KEY, a TEXT)", &["CREATE t"]),
    ("INSERT INTO `{db}_two`.t VALUES (1, 'caf\u{e9}')", &["Insert t"]),
    ("DROP DATABASE `{db}_two`", &["QUERY "]),
    ("DROP TABLE chosen", &["ERASE chosen"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_comes_in_order_with_the_rows_on_every_server() -> Result<()> {
    for flavor in Flavor::ALL {
        for format in [Format::CanalJson, Format::DtsAvro] {
            followed(flavor, format).await.map_err(|error| error.context(format!("{} {}", flavor.name(), format.name())))?;
        }
    }
    Ok(())
}

async fn followed(flavor: Flavor, format: Format) -> Result<()> {
    let servers = Servers::shared_of(flavor).await?;
    let name = format!("ddl_{}_{}", flavor.name(), format.name());
    servers.source.execute(&[&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")]).await?;
    let ddl_topic = format!("{name}_ddl");
    servers.kafka.create_topic(&ddl_topic, 1).await?;
    let mut case = Case::new(servers.clone(), &name, format, 1, Vec::new()).await?;
    case.settings.tables.push(format!("{name}_two.*"));
    case.settings.sink = format!("ddl_topic = {ddl_topic:?}");
    if flavor == Flavor::PolarDbX && format == Format::DtsAvro {
        // The texts of other servers are those of the user as well. So set, statements about a selected table are delivered that change
        // nothing of it.
        case.settings.source = "ddl_text = \"original\"".into();
    }
    case.task.configure(&case.settings)?;
    // The binlog of PolarDB-X lags behind. This waits until it has the statements so far, which the stream would else begin with.
    servers.source.position().await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let before = case.entries.len();
    // MariaDB and PolarDB-X do not write some statements without an effect to their binlogs, so statements with IF EXISTS or IF NOT EXISTS
    // are left out.
    let writes_all = !matches!(flavor, Flavor::MariaDb | Flavor::PolarDbX);
    let followed = || FOLLOWED.iter().filter(|(sql, _)| writes_all || !sql.contains("IF "));
    let texts: Vec<String> = followed().map(|(sql, _)| sql.replace("{db}", &name)).collect();
    let mut all = vec![format!("USE {name}")];
    all.extend(texts.clone());
    servers.source.execute(&all.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;

    // Merges the records of both topics in the order of their headers.
    let mut entries = case.entries.split_off(before);
    let ddl = TopicReader::open(&servers.kafka, &ddl_topic).await?.read().await?;
    assert!(
        entries.iter().all(|entry| !matches!(format.decode(&entry.value), Ok(Decoded::Schema { .. }))),
        "a statement in the topic of the rows"
    );
    let seqs = |entries: &[Entry]| -> Result<Vec<u128>> {
        entries.iter().map(|entry| Header::parse(entry.header.as_deref().unwrap_or_default()).map(|header| header.seq)).collect()
    };
    for topic in [&entries, &ddl] {
        assert!(seqs(topic)?.is_sorted(), "a topic out of order");
    }
    entries.extend(ddl);
    entries.sort_by_key(|entry| entry.header.as_deref().and_then(|header| Header::parse(header).ok()).map_or(0, |header| header.seq));
    let mut found = Vec::new();
    for entry in &entries {
        match format.decode(&entry.value)? {
            Decoded::Rows(rows) => {
                found.extend(rows.iter().filter(|row| row.table.name != "fence").map(|row| format!("{:?} {}", row.op, row.table.name)))
            }
            Decoded::Schema { database, sql } => {
                let message: Json = serde_json::from_slice(&entry.value).unwrap_or_default();
                let two = sql.contains("_two");
                // Canal JSON has the database of the table. DTS Avro has the database of the session, unless the statement is about a
                // database. PolarDB-X writes the database of the table in place of that of the session.
                let is_own = format == Format::CanalJson || sql.contains("DATABASE") || flavor == Flavor::PolarDbX;
                let of = if two && is_own { format!("{name}_two") } else { name.clone() };
                assert_eq!(database, of, "{sql}");
                found.push(match format {
                    Format::CanalJson => {
                        format!("{} {}", message["type"].as_str().unwrap_or_default(), message["table"].as_str().unwrap_or_default())
                    }
                    Format::DtsAvro => sql,
                });
            }
            Decoded::Control => {}
        }
    }
    let mut expected = Vec::new();
    for ((_, messages), text) in followed().zip(&texts) {
        // PolarDB-X writes a statement for each table.
        let second = (flavor == Flavor::PolarDbX && *messages == ["ERASE twin"]).then_some(&"ERASE made");
        for message in messages.iter().chain(second) {
            let row = ["Insert ", "Update ", "Delete "].iter().any(|op| message.starts_with(op));
            expected.push(if row || format == Format::CanalJson { (*message).to_owned() } else { text.clone() });
        }
    }
    if flavor == Flavor::PolarDbX && format == Format::DtsAvro {
        let all = found.len();
        found.retain(|text| !text.contains("VIEW") && !text.starts_with("ANALYZE"));
        assert_eq!(all - found.len(), 2, "{found:?}");
        // PolarDB-X names the group that it has put the table into.
        found.iter_mut().for_each(|text| *text = text.replace(" WITH TABLEGROUP = tgi1 IMPLICIT", ""));
    }
    if format == Format::DtsAvro {
        // The servers write these two statements to their binlogs in different forms.
        for list in [&mut found, &mut expected] {
            for text in list.iter_mut() {
                for (begin, plain) in [("CREATE TABLE `chosen`", "chosen"), ("CREATE TABLE chosen", "chosen"), ("DROP TABLE ", "drop")] {
                    if text.starts_with(begin) {
                        *text = plain.to_owned();
                    }
                }
            }
        }
    }
    assert_eq!(found, expected);
    Ok(())
}

/// The stream of a new database with a single table.
async fn stream_of(servers: &Servers, name: &str, more: Json) -> Result<Box<dyn SplitReader>> {
    let database = &servers.source;
    database.execute(&[&format!("CREATE DATABASE {name}"), &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY)")]).await?;
    // The binlog of PolarDB-X lags behind. This waits until it has the statements, which the stream would else begin with.
    database.position().await?;
    let mut settings = json!({
        "host": "127.0.0.1", "port": database.port(), "user": database::USER, "password": database::PASSWORD,
        "allow_public_key_retrieval": true,
        "tables": [format!("{name}.*")], "phases": ["incremental"],
    });
    settings.as_object_mut().into_iter().for_each(|keys| keys.extend(more.as_object().cloned().unwrap_or_default()));
    let source = PolardbxSource::new(Settings::from(settings).parse("source")?)?;
    let context = Context::testing(name);
    let mut committed = Committed::new(1, 1, 0);
    let plan = source.plan(&context, &committed).await?;
    assert_eq!((plan.phase, plan.splits.len()), (Phase::Stream, 1));
    committed.apply(&Commit { facts: plan.facts, schemas: plan.schemas, forget: plan.forget, ..Commit::default() });
    let split = plan.splits.into_iter().next().ok_or_else(|| Failure::new("no split"))?;
    let checkpoint = Checkpoint { position: split.start.clone(), receipt: Receipt::default(), done: false };
    committed.apply(&Commit {
        splits: vec![Progress { split: split.id.clone(), number: 1, checkpoint, schemas: Vec::new() }],
        ..Commit::default()
    });
    let lane = Lane { run: 1, epoch: 1, number: 1, split: split.id.clone(), kind: split.kind };
    Ok(source.open(&context.with_lane(lane), &split, &committed).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_sends_heartbeats() -> Result<()> {
    for flavor in Flavor::ALL {
        let servers = Servers { source: std::sync::Arc::new(Database::start(flavor, &[]).await?), kafka: Servers::shared().await?.kafka };
        let mut reader = stream_of(&servers, "heartbeats", json!({"heartbeat": {"enabled": true, "interval_ms": 300}})).await?;
        let mut events: Vec<Event> = Vec::new();
        let (mut last, start) = (runtime::Seq(0), Instant::now());
        let mut written = false;
        // The stream has heartbeats, then a transaction, then more heartbeats.
        while start.elapsed() < LIMIT {
            if !written && events.len() >= 3 {
                written = true;
                servers.source.execute(&["INSERT INTO heartbeats.t VALUES (1)"]).await?;
            }
            let batch = tokio::time::timeout(LIMIT, reader.next()).await??.ok_or_else(|| Failure::new("the stream ended"))?;
            batch.verify(last).map_err(Failure::new)?;
            last = batch.last_seq().unwrap_or(last);
            if batch.events.iter().any(|event| matches!(event.body, Body::Heartbeat)) {
                assert!(batch.events.len() == 1 && batch.resume.is_some(), "{batch:?}");
            }
            events.extend(batch.events);
            let row = events.iter().position(|event| matches!(&event.body, Body::Row(row) if row.op == Op::Insert));
            if row.is_some_and(|row| events.len() - row > 5) {
                break;
            }
        }
        let kinds: Vec<_> = events.iter().map(|event| std::mem::discriminant(&event.body)).collect();
        assert_eq!(kinds[0], std::mem::discriminant(&Body::Heartbeat), "{events:?}");
        let row = events.iter().position(|event| matches!(event.body, Body::Row(_))).ok_or_else(|| Failure::new("no row arrived"))?;
        assert!(matches!(events[row - 1].body, Body::Begin) && matches!(events[row + 1].body, Body::Commit), "{events:?}");
        let heartbeats: Vec<_> = events.iter().filter(|event| matches!(event.body, Body::Heartbeat)).collect();
        assert_eq!(heartbeats.len() + 3, events.len(), "{events:?}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        assert!(heartbeats.is_sorted_by_key(|heartbeat| heartbeat.timestamp_ms), "{heartbeats:?}");
        assert!(
            heartbeats.last().is_some_and(|heartbeat| (now - 10_000..=now).contains(&heartbeat.timestamp_ms)),
            "{heartbeats:?} at {now}"
        );
        // The position of the last heartbeat is the end of the binlog that was read, in both forms of a position.
        let (file, end) = servers.source.position().await?;
        let heartbeat = heartbeats.last().ok_or_else(|| Failure::new("no heartbeat"))?;
        assert_eq!(heartbeat.position.as_str(), format!("{file}:{end}"));
        let number: u32 = file.rsplit('.').next().unwrap_or_default().parse()?;
        assert_eq!((&*heartbeat.origin.offset, &*heartbeat.origin.safe_offset), (&*format!("{end}@{number}"), &*format!("{end}@{number}")));
        let server_id = if flavor == Flavor::PolarDbX { 1_147_473_645 } else { 1 };
        assert!(heartbeat.origin.server_id == server_id && heartbeat.txid.is_none(), "{heartbeat:?}");
        // Heartbeats must not come more often than configured.
        let seconds = start.elapsed().as_secs_f64();
        assert!((heartbeats.len() as f64) < seconds / 0.3 + 2.0, "{} heartbeats in {seconds} s", heartbeats.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_and_ddl_have_their_facts() -> Result<()> {
    for (flavor, options) in [
        (Flavor::MySql57, &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"][..]),
        (Flavor::MySql80, &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"]),
        (Flavor::MariaDb, &[]),
    ] {
        let servers =
            Servers { source: std::sync::Arc::new(Database::start(flavor, options).await?), kafka: Servers::shared().await?.kafka };
        let mut reader = stream_of(&servers, "facts", json!({})).await?;
        let mut connection = servers.source.connect().await?;
        let thread: Option<u32> = connection.query_first("SELECT CONNECTION_ID()").await?;
        let thread = thread.unwrap_or_default();
        connection.query_drop("SET NAMES latin1, sql_mode = 'ANSI_QUOTES', unique_checks = 0").await?;
        connection.query_drop("INSERT INTO facts.t VALUES (1)").await?;
        connection.query_drop("CREATE INDEX \"i\" ON facts.t (id)").await?;
        let mut events: Vec<Event> = Vec::new();
        while !events.iter().any(|event| matches!(event.body, Body::Schema(_))) {
            let batch = tokio::time::timeout(LIMIT, reader.next()).await??.ok_or_else(|| Failure::new("the stream ended"))?;
            events.extend(batch.events);
        }
        let [begin, row, commit, statement] = &events[..] else { return Failure::err(format!("{events:?}")) };
        assert!(matches!((&begin.body, &commit.body), (Body::Begin, Body::Commit)), "{events:?}");
        let fact = |event: &Event, name: &str| event.origin.facts.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone());
        for event in &events {
            let maria = flavor == Flavor::MariaDb;
            // MariaDB's binlog has the connection id only for statements.
            let connection_id = if maria && !matches!(event.body, Body::Schema(_)) { 0 } else { thread };
            assert_eq!((event.origin.server_id, event.origin.thread_id), (1, connection_id), "{event:?}");
            assert!(event.origin.gtid.is_some() && event.origin.gtid == event.txid, "{event:?}");
        }
        assert_eq!(begin.origin.gtid, commit.origin.gtid);
        assert_ne!(begin.origin.gtid, statement.origin.gtid);
        assert!(row.origin.facts.is_empty() && commit.origin.facts.is_empty(), "only at the beginning and on statements");
        let with_facts: &[&Event] = if flavor == Flavor::MariaDb { &[statement] } else { &[begin, statement] };
        for event in with_facts {
            assert_eq!(fact(event, "Q_SQL_MODE_CODE").as_deref(), Some("4"), "{event:?}");
            assert!(fact(event, "Q_CHARSET_CODE").is_some_and(|text| text.starts_with("8,8,")), "{event:?}");
            let flags: u32 = fact(event, "Q_FLAGS2_CODE").unwrap_or_default().parse()?;
            assert_ne!(flags & 1 << 27, 0, "unique_checks are off: {event:?}");
        }
        assert_eq!(fact(statement, "commitTimestamp"), Some((statement.timestamp_ms / 1000).to_string()));
        assert_eq!(fact(statement, "lowerCaseTableNames").as_deref(), Some("false"));
        connection.disconnect().await?;
    }
    Ok(())
}
