//! The stand-in for PolarDB-X, without the program: what it answers, what it writes into its files, and how it sends them.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use tests::harness::database::{MYSQL, PASSWORD, STAND_IN, USER};
use tests::harness::standin::Outcome;
use tests::harness::{Database, Flavor, poll};
use tests::{Failure, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An event of the global binlog.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    time: u32,
    kind: u8,
    flags: u16,
    end: u32,
    body: Vec<u8>,
}

impl Event {
    /// Reads an event; `checked` says whether a checksum is at its end.
    fn read(bytes: &[u8], checked: bool) -> Result<Self> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        assert_eq!(number(9) as usize, bytes.len(), "the size in the header");
        let end = if checked { bytes.len() - 4 } else { bytes.len() };
        if checked {
            assert_eq!(crc32fast::hash(&bytes[..end]), number(end), "the checksum");
        }
        let flags = u16::from_le_bytes([bytes[17], bytes[18]]);
        Ok(Self { time: number(0), kind: bytes[4], flags, end: number(13), body: bytes[19..end].to_vec() })
    }

    fn size(&self) -> u32 {
        self.body.len() as u32 + 23
    }

    /// The text of a ROWS_QUERY or a QUERY event.
    fn text(&self) -> String {
        let from = match self.kind {
            29 => 1,
            2 => 13 + usize::from(self.body[8]) + usize::from(u16::from_le_bytes([self.body[11], self.body[12]])) + 1,
            _ => return String::new(),
        };
        String::from_utf8_lossy(&self.body[from..]).into_owned()
    }

    /// The event in one word or line, for comparisons.
    fn summary(&self) -> String {
        match self.kind {
            2 => self.text(),
            4 => "ROTATE".to_owned(),
            15 => "FORMAT".to_owned(),
            16 => "XID".to_owned(),
            19 => {
                let database = usize::from(self.body[8]);
                let table = usize::from(self.body[10 + database]);
                let name = |from: usize, length: usize| String::from_utf8_lossy(&self.body[from..from + length]).into_owned();
                format!("MAP {}.{}", name(9, database), name(11 + database, table))
            }
            27 => "HEARTBEAT".to_owned(),
            29 => self.text().split(|c: char| c.is_ascii_digit() || c == '\n').next().unwrap_or_default().to_owned(),
            30 => "INSERT".to_owned(),
            31 => "UPDATE".to_owned(),
            32 => "DELETE".to_owned(),
            other => format!("event {other}"),
        }
    }
}

/// A dump connection that knows as little as possible.
struct Dump {
    stream: TcpStream,
    sequence: u8,
}

impl Dump {
    async fn open(source: &Database, settings: &str, file: &str, position: u32) -> Result<Self> {
        let mut dump = Self { stream: TcpStream::connect(source.address()).await?, sequence: 0 };
        dump.packet().await?;
        let mut login = 0x0008_A200_u32.to_le_bytes().to_vec();
        login.extend_from_slice(&[0, 0, 0, 1, 45]);
        login.extend_from_slice(&[0; 23]);
        login.extend_from_slice(b"root\0\0mysql_native_password\0");
        dump.send(1, &login).await?;
        assert_eq!(dump.packet().await?.first(), Some(&0), "the login");
        if !settings.is_empty() {
            dump.send(0, &[&[3], settings.as_bytes()].concat()).await?;
            assert_eq!(dump.packet().await?.first(), Some(&0), "{settings}");
        }
        let mut request = vec![0x12];
        request.extend_from_slice(&position.to_le_bytes());
        request.extend_from_slice(&[0, 0, 9, 0, 0, 0]);
        request.extend_from_slice(file.as_bytes());
        dump.send(0, &request).await?;
        Ok(dump)
    }

    async fn send(&mut self, sequence: u8, payload: &[u8]) -> Result<()> {
        let mut packet = (payload.len() as u32).to_le_bytes()[..3].to_vec();
        packet.push(sequence);
        packet.extend_from_slice(payload);
        Ok(self.stream.write_all(&packet).await?)
    }

    async fn packet(&mut self) -> Result<Vec<u8>> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; 4];
            timeout(Duration::from_secs(20), self.stream.read_exact(&mut header)).await??;
            self.sequence = header[3];
            let from = payload.len();
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            payload.resize(from + length, 0);
            self.stream.read_exact(&mut payload[from..]).await?;
            if length < 0xFF_FFFF {
                return Ok(payload);
            }
        }
    }

    /// The bytes of the next event, or the text of an error.
    async fn next(&mut self) -> Result<Result<Vec<u8>, String>> {
        let payload = self.packet().await?;
        Ok(match payload.first() {
            Some(0) => Ok(payload[1..].to_vec()),
            _ => Err(format!("{} {}", u16::from_le_bytes([payload[1], payload[2]]), String::from_utf8_lossy(&payload[9..]))),
        })
    }

    /// The next event that has a checksum.
    async fn event(&mut self) -> Result<Event> {
        Event::read(&self.next().await?.map_err(Failure::new)?, true)
    }

    /// Reads until a CTS event whose text contains `last`, without the heartbeats. Checks that no byte of the files is missing.
    async fn until(&mut self, last: &str) -> Result<Vec<Event>> {
        let (mut found, mut position): (Vec<Event>, u32) = (Vec::new(), 0);
        loop {
            let event = self.event().await?;
            if event.kind == 27 {
                continue;
            }
            if event.kind == 4 && event.flags & 0x20 != 0 {
                position = event.body[0].into();
                continue;
            }
            if event.end != 0 && position != 0 {
                assert_eq!(position + event.size(), event.end, "{event:?}");
            }
            position = event.end;
            let is_last = event.kind == 29 && event.text().starts_with("CTS::") && event.text().contains(last);
            found.push(event);
            if is_last {
                return Ok(found);
            }
        }
    }
}

const CHECKED: &str = "SET @master_binlog_checksum = 'CRC32', @master_heartbeat_period = 300000000";

/// The transactions and DDL statements of a list of events, without the transactions of heartbeats and without what is around files.
fn groups(events: &[Event]) -> Vec<Vec<String>> {
    let ends = |event: &Event| event.kind == 29 && event.text().starts_with("CTS::");
    let summaries = |group: &[Event]| group.iter().filter(|event| ![4, 15].contains(&event.kind)).map(Event::summary).collect::<Vec<_>>();
    let all = events.split_inclusive(ends).map(summaries);
    all.filter(|group| !group.iter().any(|text| text.starts_with("# TSO"))).collect()
}

async fn error_of(connection: &mut Conn, statement: &str) -> String {
    match connection.query_drop(statement).await {
        Ok(()) => format!("{statement} succeeded"),
        Err(error) => error.to_string(),
    }
}

async fn account(source: &Database) -> Result<Conn> {
    let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(source.port()).user(Some(USER)).pass(Some(PASSWORD));
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
    let mut reader = account(&source).await?;
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

/// The TSO of a CTS event.
fn tso(event: &Event) -> Option<String> {
    (event.kind == 29).then(|| event.text()).and_then(|text| text.strip_prefix("CTS::").map(|tso| tso[..54].to_owned()))
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
    let orders = find("CREATE TABLE shop.`orders` ( id int NOT NULL PRIMARY KEY, region int, note varchar(300) )")?;
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

/// Reads the next group that contains `text` and its events.
async fn group_with(dump: &mut Dump, text: &str) -> Result<Vec<Event>> {
    loop {
        let events = dump.until("CTS::").await?;
        if events.iter().any(|event| event.summary().contains(text) || event.text().contains(text)) {
            return Ok(events);
        }
    }
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
