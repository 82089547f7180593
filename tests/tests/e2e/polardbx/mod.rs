//! The stand-in for PolarDB-X, without the program: what it answers, what it writes into its files, and how it sends them.

mod alibaba;
mod prechecks;
mod product;
mod reader;
mod streams;
mod tables;
mod written_statements;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use tests::harness::database::{MYSQL, PASSWORD, STAND_IN, USER};
use tests::harness::standin::Outcome;
use tests::harness::{Database, Flavor, poll};
use tests::workload::{every_type, writers};
use tests::{Failure, Result};

use reader::{CHECKED, Dump, Event, group_with, groups, tso};

async fn error_of(connection: &mut Conn, statement: &str) -> String {
    match connection.query_drop(statement).await {
        Ok(()) => format!("{statement} succeeded"),
        Err(error) => error.to_string(),
    }
}

async fn account(source: &Database, user: &str, password: &str) -> Result<Conn> {
    let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(source.port()).user(Some(user)).pass(Some(password));
    Ok(Conn::new(opts.prefer_socket(false)).await?)
}

#[tokio::test]
async fn the_stand_in_answers_as_a_compute_node() -> Result<()> {
    let source = Database::start(Flavor::PolarDbX, &["--default-time-zone=+08:00"]).await?;
    source
        .execute(&[
            "CREATE DATABASE shop MODE='auto'",
            "CREATE TABLE shop.orders (id bigint NOT NULL AUTO_INCREMENT BY GROUP, amount decimal(12, 2), PRIMARY KEY (id), \
             LOCAL KEY k (amount)) PARTITION BY KEY(`id`) PARTITIONS 4",
            "CREATE TABLE shop.nopk (a int) BROADCAST",
            "INSERT INTO shop.nopk VALUES (5)",
        ])
        .await?;
    let mut root = source.connect().await?;
    let mut reader = account(&source, USER, PASSWORD).await?;
    let version: Option<(String, u32)> = reader.query_first("SELECT VERSION(), @@server_id").await?;
    assert_eq!(version, Some(("5.7.25-PXC-5.4.20-20251031".to_owned(), 1_147_473_645)));
    let table: Option<(String, String)> = root.query_first("SHOW CREATE TABLE shop.orders").await?;
    assert_eq!(
        table.unwrap_or_default().1,
        "CREATE TABLE `orders` (\n\t`id` bigint(20) NOT NULL AUTO_INCREMENT,\n\t`amount` decimal(12, 2) DEFAULT NULL,\n\tPRIMARY KEY (`id`),\n\t\
         LOCAL KEY `k` (`amount`)\n) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci\n\
         PARTITION BY KEY(`id`)\nPARTITIONS 4"
    );
    let hidden: Option<(String, String)> = root.query_first("SHOW CREATE TABLE shop.nopk").await?;
    assert!(hidden.unwrap_or_default().1.ends_with("COLLATE = utf8mb4_general_ci\nBROADCAST"));
    let row: Option<Row> = root.query_first("SELECT * FROM shop.nopk").await?;
    assert_eq!(row.map(|row| row.len()), Some(1));
    let tables: Vec<Row> = root.query("SHOW FULL TABLES FROM shop").await?;
    assert_eq!(tables.iter().map(Row::len).collect::<Vec<_>>(), [4, 4]);
    let databases: Vec<Row> = root.query("SHOW DATABASES").await?;
    assert_eq!(databases[0].columns_ref()[0].name_str(), "DATABASE");
    assert_eq!(root.query::<Row, _>("SHOW BINARY STREAMS").await?.len(), 0);
    assert_eq!(root.query_first::<Row, _>("SHOW FULL BINARY LOGS").await?.map(|row| row.len()), Some(10));
    // The WHERE is not applied, LIKE is.
    assert!(reader.query::<Row, _>("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_id')").await?.len() > 300);
    assert_eq!(reader.query::<Row, _>("SHOW GLOBAL VARIABLES LIKE 'server_id'").await?.len(), 1);
    // Only NAMES is executed.
    reader.query_drop("SET NAMES utf8mb4, time_zone='+00:00', autocommit=0").await?;
    let zone: Option<(String, u8)> = reader.query_first("SELECT @@time_zone, @@autocommit").await?;
    assert_eq!(zone, Some(("+08:00".to_owned(), 1)));
    for (statement, error) in [
        ("SHOW BINARY LOG STATUS", "4500"),
        ("SHOW REPLICAS", "4500"),
        ("SET /*!80030 @a=1, */ @b=2", "4500"),
        ("SELECT 1 FROM shop.missing", "PXC-4006"),
        ("CREATE TABLE missing.t (a int primary key)", "PXC-4616"),
    ] {
        let found = error_of(&mut root, statement).await;
        assert!(found.contains(error), "{statement}: {found}");
    }
    let denied = error_of(&mut reader, "INSERT INTO shop.nopk VALUES (1)").await;
    assert!(denied.contains("PXC-5108"), "{denied}");
    assert!(error_of(&mut reader, "CREATE DATABASE other").await.contains("PXC-5118"));
    assert!(error_of(&mut reader, "USE missing").await.contains("1049"));
    assert!(error_of(&mut reader, "SET @standin_lag_ms = 1").await.contains("only root"));
    root.query_drop("CREATE USER poor@'%' IDENTIFIED BY 'poor-secret'").await?;
    let mut poor = account(&source, "poor", "poor-secret").await?;
    for statement in ["SHOW MASTER STATUS", "SHOW BINARY LOGS"] {
        let found = error_of(&mut poor, statement).await;
        assert!(found.contains("PXC-5110"), "{statement}: {found}");
    }
    // Prepared statements pass through.
    let sum: Option<i64> = reader.exec_first("SELECT a + ? FROM shop.nopk", (2,)).await?;
    assert_eq!(sum, Some(7));
    assert!(reader.exec_drop("SELECT 1 FROM shop.missing", ()).await.unwrap_err().to_string().contains("PXC-4006"));
    reader.reset().await?;
    let log = source.general_log()?;
    let outcome = |text: &str| log.iter().find(|line| line.statement.contains(text)).map(|line| line.outcome);
    assert_eq!(outcome("SHOW BINARY LOG STATUS"), Some(Outcome::Rejected));
    assert_eq!(outcome("autocommit=0"), Some(Outcome::Ignored));
    assert_eq!(outcome("VARIABLES WHERE"), Some(Outcome::Ignored));
    assert_eq!(outcome("VARIABLES LIKE"), Some(Outcome::Done));
    assert_eq!(outcome("a + ?"), Some(Outcome::Done));
    Ok(())
}

#[tokio::test]
async fn the_global_binlog_has_the_form_of_the_real_one() -> Result<()> {
    let mut source = Database::start(Flavor::PolarDbX, &["--standin-set=rotate_every=6", "--standin-first-file=999999"]).await?;
    source
        .execute(&[
            "CREATE DATABASE shop",
            "CREATE TABLE shop.Orders (id int NOT NULL PRIMARY KEY, region int, note varchar(300)) PARTITION BY KEY(region) PARTITIONS 4",
            "CREATE TABLE shop.nopk (a int, b varchar(9))",
            "INSERT INTO shop.orders VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 1, NULL)",
            "BEGIN",
            "UPDATE shop.orders SET note = 'x' WHERE id = 1",
            "COMMIT",
        ])
        .await?;
    let mut root = source.connect().await?;
    let between: Option<i64> = root.query_first("SELECT TSO_TIMESTAMP()").await?;
    for statement in [
        "BEGIN",
        "UPDATE shop.orders SET note = 'y', region = region + (id = 2)",
        "INSERT INTO shop.nopk VALUES (1, 'one'), (2, NULL)",
        "DELETE FROM shop.orders WHERE id = 3",
        "COMMIT",
        "BEGIN",
        "INSERT INTO shop.orders VALUES (9, 9, 'gone')",
        "ROLLBACK",
        "ALTER TABLE shop.nopk ADD COLUMN c int",
        "INSERT INTO shop.nopk VALUES (3, 'three', 3)",
        "CREATE GLOBAL INDEX g ON shop.orders (note) PARTITION BY KEY(note)",
        "ALTER TABLE shop.nopk ADD PRIMARY KEY (a)",
        "XA START 'x'",
        "DELETE FROM shop.nopk WHERE a = 3",
        "XA END 'x'",
        "XA PREPARE 'x'",
        "XA COMMIT 'x'",
        "DROP TABLE shop.orders",
        "CREATE TABLE shop.last (a int PRIMARY KEY)",
    ] {
        root.query_drop(statement).await.map_err(|error| Failure::from(error).context(statement))?;
    }
    let mut dump = Dump::open(&source, CHECKED, "", 4).await?;
    let events = dump.until("CTS::").await?;
    assert_eq!((events[0].kind, events[0].size(), events[0].end), (15, 119, 123));
    let mut events = events;
    while !events.iter().any(|event| event.text().contains("shop.last")) {
        events.extend(dump.until("CTS::").await?);
    }
    let tsos: Vec<String> = events.iter().filter_map(tso).collect();
    assert!(tsos.is_sorted_by(|a, b| a < b), "{tsos:?}");
    let groups = groups(&events);
    let find = |text: &str| {
        let found = groups.iter().find(|group| group.iter().any(|line| line.contains(text)));
        found.cloned().ok_or_else(|| Failure::new(format!("no {text} in {groups:#?}")))
    };
    let trace = "/*DRDS /";
    let insert = groups.iter().find(|group| group.iter().any(|line| line == "INSERT")).cloned().unwrap_or_default();
    assert_eq!(insert, ["BEGIN", trace, "MAP shop.orders", "INSERT", "XID", "CTS::"]);
    let moved = groups.iter().find(|group| group.iter().filter(|line| *line == "UPDATE").count() == 2).cloned();
    assert_eq!(
        moved.ok_or_else(|| Failure::new(format!("{groups:#?}")))?,
        [
            "BEGIN",
            trace,
            "MAP shop.orders",
            "UPDATE",
            "MAP shop.orders",
            "DELETE",
            "MAP shop.orders",
            "INSERT",
            "MAP shop.orders",
            "UPDATE",
            trace,
            "MAP shop.nopk",
            "INSERT",
            trace,
            "MAP shop.orders",
            "DELETE",
            "XID",
            "CTS::"
        ]
    );
    let orders =
        find("CREATE TABLE shop.`orders` ( id int NOT NULL PRIMARY KEY, region int, note varchar(300) ) DEFAULT CHARACTER SET = utf8mb4")?;
    assert_eq!(orders.len(), 2);
    assert!(orders[0].starts_with("# POLARX_ORIGIN_SQL=CREATE TABLE shop.Orders (id int NOT NULL PRIMARY KEY"), "{orders:?}");
    assert!(find("CREATE GLOBAL INDEX")?[0].ends_with("# POLARX_DDL_ID=0\n"));
    assert!(find("ADD PRIMARY KEY")?[0].ends_with("\nALTER TABLE shop.nopk , ADD PRIMARY KEY (a)"));
    assert!(find("DROP TABLE")?[0].contains("DROP TABLE `shop`.`orders`"));
    assert!(find("CREATE USER")?[0].ends_with("# POLARX_DDL_ID=0\n"));
    assert!(!groups.iter().flatten().any(|line| line.contains("_drds_implicit_id_") || line.contains("standin")), "{groups:#?}");
    // Row events of the table without a key: two columns, then three, without the hidden one.
    let widths: Vec<u8> = events.iter().filter(|event| event.kind == 30 && event.body[7] == 0).map(|event| event.body[10]).collect();
    assert_eq!(widths, [3, 3, 2, 3]);
    for event in events.iter().filter(|event| (30..33).contains(&event.kind)) {
        assert!([2, 3].contains(&event.body[6]), "{event:?}");
    }
    // A rotation comes only behind a CTS, and the files' numbers begin again.
    let at = events.iter().position(|event| event.kind == 4).ok_or_else(|| Failure::new("no rotation"))?;
    assert!(tso(&events[at - 1]).is_some());
    assert_eq!(events[at].body[8..], *b"binlog.000001");
    assert_eq!((events[at].flags, events[at].size(), events[at + 1].kind), (0, 44, 15));
    // A TSO that was asked for separates what was committed before from what was committed after.
    let between = format!("{:019}", between.unwrap_or_default());
    let is_before =
        |text: &str| events.iter().skip_while(|event| !event.text().contains(text)).find_map(tso).map(|tso| tso[..19] < between[..]);
    assert_eq!((is_before("CREATE TABLE nothing"), is_before("shop.nopk ("), is_before("ADD COLUMN c")), (None, Some(true), Some(false)));

    // After a kill, the files are continued and nothing is written twice.
    let before = source.position().await?;
    source.kill_at(STAND_IN)?;
    source.resume().await?;
    source.execute(&["INSERT INTO shop.last VALUES (1)"]).await?;
    let mut dump = Dump::open(&source, CHECKED, &before.0, before.1 as u32).await?;
    let mut after = Vec::new();
    while !after.iter().any(|event: &Event| event.kind == 30) {
        after.extend(dump.until("CTS::").await?);
    }
    assert_eq!(self::groups(&after), [["BEGIN", trace, "MAP shop.last", "INSERT", "XID", "CTS::"]]);
    // The same with MySQL itself, without which no session survives.
    let before = source.position().await?;
    source.kill_at(MYSQL)?;
    source.resume().await?;
    source.execute(&["INSERT INTO shop.last VALUES (2)"]).await?;
    let mut dump = Dump::open(&source, CHECKED, &before.0, before.1 as u32).await?;
    let mut inserts = 0;
    while inserts < 1 {
        inserts += dump.until("CTS::").await?.iter().filter(|event| event.kind == 30).count();
    }
    assert_eq!(inserts, 1);
    source.stop().await
}

#[tokio::test]
async fn a_dump_is_refused_as_the_real_service_refuses_it() -> Result<()> {
    let source = Database::start(Flavor::PolarDbX, &["--standin-set=heartbeat_ms=600000"]).await?;
    source.execute(&["CREATE DATABASE d", "FLUSH LOGS"]).await?;
    let (first, second) = ("binlog.000001", "binlog.000002");
    let mut root = source.connect().await?;
    let files = poll("the second file", Duration::from_secs(10), || async {
        let mut root = source.connect().await?;
        let files: Vec<(String, u32)> = root.query("SHOW BINARY LOGS").await?;
        Ok((files.len() == 2).then_some(files))
    })
    .await?;
    assert_eq!((files[0].0.as_str(), files[1].0.as_str()), (first, second));
    let refused = "1236 binlog dump error!";
    // The statement, the file, the position, and the length of the first packet and what follows it.
    for (settings, file, position, fake, then) in [
        (CHECKED, first, 4, Some(44), None),
        (CHECKED, first, 0x8000_0000, Some(44), None),
        (CHECKED, "", 4, Some(44), None),
        (CHECKED, first, files[0].1 - 44, Some(44), None),
        (CHECKED, first, files[0].1, Some(44), Some(refused)),
        (CHECKED, first, 5, Some(44), Some(refused)),
        (CHECKED, second, files[1].1, Some(44), None),
        (CHECKED, second, files[1].1 + 1, Some(44), Some(refused)),
        (CHECKED, "binlog.000007", 4, Some(44), Some(refused)),
        ("SET @master_binlog_checksum = 'NONE'", second, 4, Some(40), None),
        ("SET @master_binlog_checksum = 'crc32'", second, 4, Some(40), None),
        ("", second, 4, Some(40), Some(refused)),
        ("SET @master_binlog_checksum = 'CRC32', @master_heartbeat_period = 1.5", second, 4, None, Some(refused)),
    ] {
        let case = format!("{settings} {file}:{position}");
        let mut dump = Dump::open(&source, settings, file, position).await?;
        if let Some(length) = fake {
            let bytes = dump.next().await?.map_err(Failure::new)?;
            let rotate = Event::read(&bytes, length == 44)?;
            assert_eq!((bytes.len(), rotate.kind, rotate.flags, rotate.time, rotate.end), (length, 4, 0x20, 0, 0), "{case}");
            assert_eq!(dump.sequence, 1);
        }
        match (then, dump.next().await?) {
            (Some(expected), found) => assert_eq!(found, Err(expected.to_owned()), "{case}"),
            (None, found) => {
                let format = Event::read(&found.map_err(Failure::new)?, true)?;
                let end = if position == 4 || position > 0x7FFF_FFFF { 123 } else { 0 };
                assert_eq!((format.kind, format.end, dump.sequence), (15, end, 2), "{case}");
            }
        }
    }
    // An idle dump gets heartbeats, and ends when it is killed.
    let mut dump = Dump::open(&source, CHECKED, second, files[1].1).await?;
    let start = std::time::Instant::now();
    let heartbeat = loop {
        let event = dump.event().await?;
        if event.kind == 27 {
            break event;
        }
    };
    assert_eq!((heartbeat.size(), heartbeat.end, heartbeat.body.as_slice()), (36, files[1].1, second.as_bytes()));
    assert!(start.elapsed() < Duration::from_secs(5));
    let ids: Vec<u64> = root.query_map("SHOW PROCESSLIST", |row: Row| row.get(0).unwrap_or_default()).await?;
    let own: Option<u64> = root.query_first("SELECT CONNECTION_ID()").await?;
    for id in ids.into_iter().filter(|id| Some(*id) != own) {
        let _ = root.query_drop(format!("KILL {id}")).await;
    }
    let ended = loop {
        match dump.next().await {
            Ok(Ok(_)) => {}
            Ok(Err(text)) => break text,
            Err(error) => break error.to_string(),
        }
    };
    assert!(ended.contains("eof") || ended.contains("reset"), "{ended}");
    Ok(())
}

#[tokio::test]
async fn each_switch_changes_what_it_names() -> Result<()> {
    let source = Database::start(Flavor::PolarDbX, &["--max-allowed-packet=64M", "--standin-set=heartbeat_ms=100"]).await?;
    source.execute(&["CREATE DATABASE d", "CREATE TABLE d.nopk (a int)", "CREATE TABLE d.big (id int PRIMARY KEY, b longblob)"]).await?;
    let (file, position) = source.position().await?;
    let mut dump = Dump::open(&source, CHECKED, &file, position as u32).await?;
    let mut root = source.connect().await?;
    let insert = "INSERT INTO d.nopk VALUES (1)";
    root.query_drop(insert).await?;
    let group = group_with(&mut dump, "INSERT").await?;
    assert!(group[group.len() - 5].text().contains("\n# CTS::"), "{group:?}");

    root.query_drop("SET @standin_early_cts = 0, @standin_hidden_key = 1").await?;
    root.query_drop(insert).await?;
    let group = group_with(&mut dump, "INSERT").await?;
    let [.., trace, map, row, _, _] = group.as_slice() else { return Failure::err(format!("{group:?}")) };
    assert!(trace.text().starts_with("/*DRDS /") && !trace.text().contains("CTS"), "{group:?}");
    assert_eq!((map.size(), row.body[6], row.body[10]), (45, 0x83, 2));

    root.query_drop("SET @standin_rows_query = 0, @standin_hidden_key = 0, @standin_heartbeat_as_transaction = 0").await?;
    root.query_drop(insert).await?;
    let group = group_with(&mut dump, "INSERT").await?;
    let kinds: Vec<u8> = group.iter().map(|event| event.kind).collect();
    assert!(kinds.ends_with(&[2, 19, 30, 16, 29]), "{kinds:?}");
    assert_eq!(dump.until("CTS::").await?.iter().map(|event| event.kind).collect::<Vec<_>>(), [29]);

    root.query_drop("SET @standin_rows_query = 1, @standin_early_cts = 1, @standin_archive_tables = 'd.x,d.nopk'").await?;
    root.query_drop("DELETE FROM d.nopk LIMIT 1").await?;
    let group = group_with(&mut dump, "DELETE").await?;
    assert!(group.iter().any(|event| event.text().ends_with("::ARCHIVE")), "{group:?}");
    assert!(group.last().is_some_and(|event| event.size() == 83), "{group:?}");

    root.query_drop("SET @standin_config_change = 1").await?;
    assert_eq!(dump.until("::ConfigChange").await?.last().map(Event::size), Some(97));
    root.query_drop("FLUSH LOGS").await?;
    assert_eq!(dump.until("::FlushLog").await?.last().map(Event::size), Some(93));
    let next = dump.until("CTS::").await?;
    assert_eq!((next[0].kind, next[1].kind, next[1].end), (4, 15, 123));

    root.query_drop("SET @standin_server_uuid_changes = 1").await?;
    let uuids = [root.query_first::<String, _>("SELECT @@server_uuid").await?, root.query_first("SELECT @@global.server_uuid").await?];
    assert_ne!(uuids[0], uuids[1]);
    root.query_drop("SET @standin_master_status_lag_ms = 3600000").await?;
    let behind: Option<Row> = root.query_first("SHOW MASTER STATUS").await?;
    assert_eq!(behind.and_then(|row| row.get::<u64, _>(1)), Some(123));

    // An event whose packets end exactly at a packet's limit takes the next event with it.
    for (glued, length) in [("1", 1 + 0xFF_FFFE + 1 + 31), ("0", 1 + 0xFF_FFFE)] {
        let bytes = 0xFF_FFFE - 44;
        root.query_drop(format!("SET @standin_glued_packets = {glued}")).await?;
        root.query_drop(format!("REPLACE INTO d.big VALUES ({glued}, REPEAT('x', {bytes}))")).await?;
        let found = loop {
            let event = dump.next().await?.map_err(Failure::new)?;
            if event.len() > 0xFF_0000 {
                break event;
            }
        };
        assert_eq!(found.len() + 1, length, "glued {glued}");
    }

    root.query_drop("SET @standin_late_error = 4").await?;
    let mut dump = Dump::open(&source, CHECKED, "", 4).await?;
    for _ in 0..4 {
        dump.next().await?.map_err(Failure::new)?;
    }
    assert_eq!((dump.next().await?, dump.sequence), (Err("1236 binlog dump error!".to_owned()), 1));
    Ok(())
}

/// The ids in the INSERT events of a table whose first column is an INT, and which has no columns that may be NULL.
fn inserted(events: &[Event], row: usize) -> Vec<u32> {
    let rows = events.iter().filter(|event| event.kind == 30).flat_map(|event| event.body[12..].chunks(row));
    rows.map(|row| u32::from_le_bytes([row[1], row[2], row[3], row[4]])).collect()
}

/// A writer of single rows, which survives that the server is away. Returns the ids that were surely committed.
async fn write_through(port: u16, stop: Arc<AtomicBool>, written: Arc<AtomicU32>) -> Result<Vec<u32>> {
    let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).user(Some("root")).prefer_socket(false);
    let (mut committed, mut id) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Conn::new(opts.clone()).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        loop {
            id += 1;
            if stop.load(Ordering::Relaxed) || connection.query_drop(format!("INSERT INTO d.t VALUES ({id})")).await.is_err() {
                break;
            }
            committed.push(id);
            written.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(committed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_either_process_lose_and_repeat_nothing() -> Result<()> {
    kills(&["--standin-set=rotate_every=40", "--standin-set=heartbeat_ms=50"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_and_repeat_nothing_with_all_switches() -> Result<()> {
    kills(&[
        "--default-time-zone=-03:30",
        "--standin-first-file=999998",
        "--standin-set=rotate_every=7",
        "--standin-set=heartbeat_ms=50",
        "--standin-set=heartbeat_as_transaction=0",
        "--standin-set=early_cts=0",
        "--standin-set=rows_query=0",
        "--standin-set=hidden_key=1",
        "--standin-set=server_uuid_changes=1",
        "--standin-set=archive_tables=d.t",
        "--standin-set=lag_ms=0",
    ])
    .await
}

async fn kills(options: &[&str]) -> Result<()> {
    let mut source = Database::start(Flavor::PolarDbX, options).await?;
    source.execute(&["CREATE DATABASE d", "CREATE TABLE d.t (id int NOT NULL PRIMARY KEY)"]).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU32::new(0));
    let writer = tokio::spawn(write_through(source.port(), stop.clone(), written.clone()));
    for round in 0..6 {
        // Time enough for commits between two kills, however busy the machine is.
        let (start, before) = (Instant::now(), written.load(Ordering::Relaxed));
        while written.load(Ordering::Relaxed) < before + 60 && start.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        source.kill_at(if round % 3 == 2 { MYSQL } else { STAND_IN })?;
        source.resume().await?;
    }
    stop.store(true, Ordering::Relaxed);
    let committed = writer.await??;
    source.execute(&["CREATE TABLE d.last (id int PRIMARY KEY)"]).await?;
    let mut root = source.connect().await?;
    let rows: Vec<u32> = root.query("SELECT id FROM d.t ORDER BY id").await?;
    let mut dump = Dump::open(&source, CHECKED, "", 4).await?;
    let mut events: Vec<Event> = Vec::new();
    while !events.iter().any(|event| event.text().contains("d.last")) {
        events.extend(dump.until("CTS::").await?);
    }
    let found = inserted(&events, 5);
    assert!(committed.len() > 20 && committed.iter().all(|id| rows.contains(id)), "{} of {}", committed.len(), rows.len());
    assert_eq!(found, rows, "the rows in the global binlog are those of the table, once each and in their order");
    let tsos: Vec<String> = events.iter().filter_map(tso).collect();
    assert!(tsos.is_sorted_by(|a, b| a < b));
    assert!(events.iter().any(|event| event.kind == 4), "there was a rotation");
    Ok(())
}

/// The events in MySQL's own binlog.
fn mysql_events(source: &Database) -> Result<Vec<Event>> {
    let mut files: Vec<_> = std::fs::read_dir(source.data())?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("binlog.0")));
    files.sort();
    let mut events = Vec::new();
    for file in files {
        let bytes = std::fs::read(file)?;
        let mut rest = &bytes[4..];
        while rest.len() > 19 {
            let size = u32::from_le_bytes([rest[9], rest[10], rest[11], rest[12]]) as usize;
            // The flag in the format event that says that the file is open is not in its checksum.
            if rest[4] != 15 {
                events.push(Event::read(&rest[..size], true)?);
            }
            rest = &rest[size..];
        }
    }
    Ok(events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_and_many_writers_pass_through() -> Result<()> {
    let source = Database::start(Flavor::PolarDbX, &[]).await?;
    source.execute(&["CREATE DATABASE every", &every_type::create("every.t")]).await?;
    let mut rng = fastrand::Rng::with_seed(7);
    let mut statements: Vec<String> = (0..every_type::variants()).map(|id| every_type::insert_variant("every.t", id)).collect();
    statements.extend((0..40).map(|id| format!("UPDATE every.t SET {} WHERE id = {}", every_type::assignments(&mut rng), id % 7)));
    source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    writers::create_tables(&source, "busy", 50).await?;
    let writers = writers::Writers::start(&source, "busy", 3, Duration::ZERO, 5).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let written = writers.stop().await?;
    source.execute(&["CREATE TABLE every.last (id int PRIMARY KEY)"]).await?;
    let mut dump = Dump::open(&source, CHECKED, "", 4).await?;
    let mut events: Vec<Event> = Vec::new();
    while !events.iter().any(|event| event.text().contains("every.last")) {
        events.extend(dump.until("CTS::").await?);
    }
    let groups = groups(&events);
    let of = |table: &str| groups.iter().filter(|group| group.iter().any(|line| line.starts_with(table))).count() as u64;
    assert!(of("MAP every.t") >= every_type::variants(), "{}", of("MAP every.t"));
    assert!(written.committed > 50 && of("MAP busy.") > written.committed / 2, "{} of {}", of("MAP busy."), written.committed);
    // The rows are MySQL's own, byte for byte. In every other event, the unused bits of the bitmaps differ.
    let rows = |events: &[Event]| -> Vec<Vec<u8>> {
        events.iter().filter(|event| (30..33).contains(&event.kind)).map(|event| event.body[8..].to_vec()).collect()
    };
    let (found, expected) = (rows(&events), rows(&mysql_events(&source)?));
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), expected.iter().map(Vec::len).collect::<Vec<_>>());
    let same = found.iter().zip(&expected).filter(|(found, expected)| found == expected).count();
    assert!(same >= found.len() / 2, "{same} of {}", found.len());
    Ok(())
}
