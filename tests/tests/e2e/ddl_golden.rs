//! Every kind of statement that changes structures, as real servers write it to their binlog, and the messages that both formats make of
//! it. The tables of a statement are those that it names: whether a running task could follow it does not matter here.

use std::fmt::Write as _;
use std::sync::Arc;

use runtime::{Body, Event, Message, Origin, Registry, SchemaChange, Seq, TableId, TableSchema, TaskContext};
use serde_json::{Value as Json, json};
use source_polardbx::schema::{Dialect, Effect, Statement, StatementContext, read_statement};
use tests::checker::Format;
use tests::harness::{Database, Flavor};
use tests::{Failure, Result, golden};

/// What a statement's Canal JSON message says: type, database, table. `None`: there is no message.
type Said = Option<(&'static str, &'static str, &'static str)>;

const fn said(kind: &'static str, table: &'static str) -> Said {
    Some((kind, "ddl", table))
}

/// Where a statement is known.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Everywhere,
    /// Not to MySQL 5.7.
    Later,
    MariaDb,
}

use Known::{Everywhere, Later, MariaDb};

const STATEMENTS: &[(Known, &str, Said)] = &[
    (Everywhere, "CREATE DATABASE ddl DEFAULT CHARACTER SET utf8mb4", said("QUERY", "")),
    (Everywhere, "CREATE TABLE ddl.a (id INT PRIMARY KEY, x INT, y VARCHAR(20) COMMENT 'it''s \"ñ☃\"')", said("CREATE", "a")),
    (Everywhere, "create table b like a", said("CREATE", "b")),
    (Everywhere, "CREATE TABLE c (PRIMARY KEY (id)) AS SELECT 1 AS id, 2 AS x", said("CREATE", "c")),
    (Everywhere, "CREATE TABLE IF NOT EXISTS a (id INT)", said("CREATE", "a")),
    (Everywhere, "CREATE TABLE parent (id INT PRIMARY KEY)", said("CREATE", "parent")),
    (Everywhere, "CREATE TEMPORARY TABLE fleeting (id INT)", None),
    (Everywhere, "ALTER TABLE a ADD COLUMN z INT", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE a ADD INDEX ix (x)", said("CINDEX", "a")),
    (Everywhere, "ALTER TABLE a ADD UNIQUE uy (y), ADD COLUMN w INT", said("CINDEX", "a")),
    (Everywhere, "ALTER TABLE a ADD COLUMN v INT, ADD KEY iv (v)", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE a ADD FULLTEXT INDEX ft (y)", said("CINDEX", "a")),
    (Everywhere, "ALTER TABLE a DROP INDEX ix, DROP COLUMN z", said("DINDEX", "a")),
    (Everywhere, "ALTER TABLE a DROP KEY iv", said("DINDEX", "a")),
    (Everywhere, "ALTER TABLE a DROP COLUMN v, DROP INDEX ft", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE c DROP PRIMARY KEY", said("ALTER", "c")),
    (Everywhere, "ALTER TABLE c ADD PRIMARY KEY (id)", said("CINDEX", "c")),
    (Everywhere, "ALTER TABLE a ADD CONSTRAINT fk FOREIGN KEY (x) REFERENCES parent (id) ON DELETE CASCADE", None),
    (Everywhere, "ALTER TABLE a DROP FOREIGN KEY fk", said("DINDEX", "a")),
    (Everywhere, "ALTER TABLE a ADD CONSTRAINT ck CHECK (x > 0)", None),
    (MariaDb, "ALTER TABLE a DROP CONSTRAINT ck", said("DINDEX", "a")),
    (Everywhere, "ALTER TABLE a RENAME INDEX uy TO uz", said("ALTER", "a")),
    (Later, "ALTER TABLE a RENAME COLUMN w TO w2", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE a MODIFY COLUMN x BIGINT NOT NULL FIRST", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE a CHANGE x x2 BIGINT UNSIGNED", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE a ALTER COLUMN y SET DEFAULT 'none'", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE a CONVERT TO CHARACTER SET latin1", said("ALTER", "a")),
    (Everywhere, "alter table `a` engine = InnoDB, comment = 'RENAME TO x, ADD INDEX (y)'", said("ALTER", "a")),
    (Everywhere, "/*!50000 ALTER TABLE a */ /* with */ AUTO_INCREMENT = 100 -- comments", said("ALTER", "a")),
    (Everywhere, "ALTER TABLE a RENAME TO a2", said("RENAME", "a2")),
    (Everywhere, "RENAME TABLE a2 TO a3, b TO b2", said("RENAME", "a3")),
    (Everywhere, "CREATE INDEX i ON a3 (x2)", said("CINDEX", "a3")),
    (Everywhere, "CREATE UNIQUE INDEX u USING BTREE ON b2 (y(5))", said("CINDEX", "b2")),
    (Everywhere, "DROP INDEX i ON a3", said("DINDEX", "a3")),
    (Everywhere, "DROP INDEX `PRIMARY` ON c", said("DINDEX", "c")),
    (Everywhere, "TRUNCATE TABLE a3", said("TRUNCATE", "a3")),
    (Everywhere, "truncate ddl.b2", said("TRUNCATE", "b2")),
    (
        Everywhere,
        "CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
        said("CREATE", "p"),
    ),
    (Everywhere, "ALTER TABLE p ADD PARTITION (PARTITION p2 VALUES LESS THAN (30))", said("ALTER", "p")),
    (Everywhere, "ALTER TABLE p TRUNCATE PARTITION p0", said("ALTER", "p")),
    (Everywhere, "ALTER TABLE p REORGANIZE PARTITION p1, p2 INTO (PARTITION p9 VALUES LESS THAN (30))", said("ALTER", "p")),
    (Everywhere, "ALTER TABLE p DROP PARTITION p0", said("ALTER", "p")),
    (Everywhere, "ALTER TABLE p REMOVE PARTITIONING", said("ALTER", "p")),
    (Everywhere, "DROP TABLE a3, b2", said("ERASE", "a3")),
    (Everywhere, "DROP TABLE IF EXISTS never", said("ERASE", "never")),
    (Everywhere, "CREATE VIEW v AS SELECT * FROM c", None),
    (Everywhere, "DROP VIEW v", None),
    (Everywhere, "CREATE PROCEDURE q() UPDATE c SET x = 1", None),
    (Everywhere, "DROP PROCEDURE q", None),
    (Everywhere, "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", None),
    (Everywhere, "DROP FUNCTION f", None),
    (Everywhere, "CREATE TRIGGER tr BEFORE INSERT ON c FOR EACH ROW SET NEW.x = 5", None),
    (Everywhere, "DROP TRIGGER tr", None),
    (Everywhere, "CREATE EVENT e ON SCHEDULE EVERY 9 HOUR DO DELETE FROM c", None),
    (Everywhere, "DROP EVENT e", None),
    (Everywhere, "CREATE USER reader", None),
    (Everywhere, "GRANT SELECT ON ddl.* TO reader", None),
    (Everywhere, "DROP USER reader", None),
    (Everywhere, "ANALYZE TABLE c", None),
    (Everywhere, "OPTIMIZE TABLE c", None),
    (MariaDb, "CREATE SEQUENCE s", None),
    (MariaDb, "DROP SEQUENCE s", None),
    (Everywhere, "ALTER DATABASE ddl CHARACTER SET latin1", None),
    (Everywhere, "CREATE DATABASE `ddl``two` /*!40100 CHARACTER SET gbk */", Some(("QUERY", "ddl`two", ""))),
    (Everywhere, "DROP DATABASE `ddl``two`", Some(("QUERY", "ddl`two", ""))),
    (Everywhere, "DROP SCHEMA IF EXISTS ddl", said("QUERY", "")),
];

/// A statement as the binlog has it.
struct Captured {
    database: String,
    text: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_mysql_57() -> Result<()> {
    statements(Flavor::MySql57).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_mysql_80() -> Result<()> {
    statements(Flavor::MySql80).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_mariadb() -> Result<()> {
    statements(Flavor::MariaDb).await
}

async fn statements(flavor: Flavor) -> Result<()> {
    let server = Database::start(flavor, &[]).await?;
    let dialect = Dialect::of_version(&version(&server).await?);
    let mut golden = String::new();
    for (number, &(known, sql, expected)) in STATEMENTS.iter().enumerate() {
        match known {
            Later if flavor == Flavor::MySql57 => continue,
            MariaDb if flavor != Flavor::MariaDb => continue,
            _ => {}
        }
        let (file, from) = server.position().await?;
        let used = if number == 0 || sql.starts_with("DROP SCHEMA") { "USE mysql" } else { "USE ddl" };
        server.execute(&[used, sql]).await.map_err(|error| error.context(sql))?;
        let log = std::fs::read(server.data().join(file))?;
        let mut captured = captured(&log, from as usize)?;
        if captured.is_empty() {
            // MariaDB does not write what did nothing.
            let idle = flavor == Flavor::MariaDb && sql.contains("IF ");
            assert!(expected.is_none() || idle, "{sql}: nothing is in the binlog");
            captured.push(Captured { database: String::new(), text: String::new() });
        }
        let _ = writeln!(golden, "# {sql}");
        let mut messages = 0;
        for Captured { database, text } in &captured {
            let _ = writeln!(golden, "binlog {}", json!([database, text]));
            let Some(change) = change_of(database, text, dialect).map_err(|error| error.context(sql))? else { continue };
            messages += 1;
            let canal = encode(Format::CanalJson, &change)?;
            let canal = String::from_utf8(canal).map_err(|error| Failure::new(error.to_string()))?;
            let message: Json = serde_json::from_str(&canal)?;
            let field = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
            let found = (field("type"), field("database"), field("table"));
            let found = (found.0.as_str(), found.1.as_str(), found.2.as_str());
            assert_eq!((Some(found), field("sql").as_str()), (expected, text.as_str()), "{sql}");
            let avro = encode(Format::DtsAvro, &change)?;
            Format::DtsAvro.decode(&avro).map_err(|error| error.context(sql))?;
            let hex = avro.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            let _ = writeln!(golden, "canal_json {canal}\ndts_avro {hex}");
        }
        let written = captured.iter().any(|one| !one.text.is_empty());
        assert_eq!(
            messages,
            usize::from(expected.is_some() && written),
            "{sql}: {:?}",
            captured.iter().map(|one| &one.text).collect::<Vec<_>>()
        );
        if messages == 0 {
            golden.push_str("no message\n");
        }
    }
    golden::check(&format!("ddl/{}.txt", flavor.name()), &golden)
}

async fn version(server: &Database) -> Result<String> {
    use mysql_async::prelude::Queryable;
    let mut connection = server.connect().await?;
    let version: Option<String> = connection.query_first("SELECT VERSION()").await?;
    connection.disconnect().await?;
    version.ok_or_else(|| Failure::new("the server does not tell its version"))
}

/// The statements from `from` on, other than the borders of transactions: read with nothing of the product.
fn captured(log: &[u8], from: usize) -> Result<Vec<Captured>> {
    const HEADER: usize = 19;
    const CHECKSUM: usize = 4;
    const QUERY: u8 = 2;
    let mut found = Vec::new();
    let mut rest = log.get(from..).unwrap_or_default();
    while rest.len() >= HEADER {
        let size = u32::from_le_bytes([rest[9], rest[10], rest[11], rest[12]]) as usize;
        let cut = || Failure::new("an event of the binlog is cut off");
        let event = rest.get(..size).filter(|event| event.len() >= HEADER + CHECKSUM).ok_or_else(cut)?;
        if event[4] == QUERY {
            let body = &event[HEADER..size - CHECKSUM];
            let [_, _, _, _, _, _, _, _, database, _, _, low, high, tail @ ..] = body else { return Err(cut()) };
            let (database, status) = (usize::from(*database), usize::from(u16::from_le_bytes([*low, *high])));
            let text = |from: usize, to: usize| {
                let bytes = tail.get(from..to).ok_or_else(cut)?;
                String::from_utf8(bytes.to_vec()).map_err(|error| Failure::new(error.to_string()))
            };
            let one = Captured { database: text(status, status + database)?, text: text(status + database + 1, tail.len())? };
            // The server drops a session's temporary tables some time after the session has ended.
            let cleaning = one.text.starts_with("DROP /*!40005 TEMPORARY */");
            if !cleaning && !matches!(one.text.as_str(), "BEGIN" | "COMMIT") {
                found.push(one);
            }
        }
        rest = &rest[size..];
    }
    Ok(found)
}

/// The schema change that a statement is, with every table that it names; `None` if it has no record.
fn change_of(database: &str, text: &str, dialect: Dialect) -> Result<Option<SchemaChange>> {
    let charsets = |_: &str| Some("utf8mb4".to_owned());
    let change = match read_statement(text, &StatementContext { dialect, ..StatementContext::new(database, &charsets) }) {
        Statement::Change(change) => change,
        Statement::Unrelated | Statement::Nothing => return Ok(None),
        other => return Failure::err(format!("read as {other:?}")),
    };
    let Some(kind) = change.kind else { return Ok(None) };
    let mut tables: Vec<(TableId, Option<Arc<TableSchema>>)> = Vec::new();
    let mut touch = |table: &TableId, there: bool| {
        let schema = there.then(|| Arc::new(TableSchema::new(table.clone(), Vec::new())));
        tables.push((table.clone(), schema));
    };
    let mut own = None;
    for effect in &change.effects {
        match effect {
            Effect::Drop { table } => touch(table, false),
            Effect::Rename { from, to } => {
                touch(from, false);
                touch(to, true);
            }
            Effect::DatabaseCharset { database, .. } | Effect::DropDatabase { database } => own = Some(database.clone()),
            Effect::Create { table, .. }
            | Effect::CreateLike { table, .. }
            | Effect::CreateSelect { table }
            | Effect::Truncate { table }
            | Effect::Keep { table }
            | Effect::Keys { table, .. }
            | Effect::Repartition { table, .. }
            | Effect::Columns { table, .. }
            | Effect::Exchange { table } => touch(table, true),
        }
    }
    let mut told = SchemaChange::new(kind, own.unwrap_or_else(|| database.to_owned()), text);
    told.tables = tables;
    Ok(Some(told))
}

/// The message of a schema change whose circumstances are always the same.
fn encode(format: Format, change: &SchemaChange) -> Result<Vec<u8>> {
    let mut registry = Registry::new();
    formats::register(&mut registry);
    let registry = registry.for_task(TaskContext::default());
    let mut encoder = registry.encoder_factory(format.name(), &json!({}).into())?()?;
    let mut origin = Origin::default();
    (origin.server_id, origin.thread_id, origin.server_version) = (1, 9, "8.0.32".into());
    (origin.offset, origin.safe_offset, origin.read_ms) = ("72469@78".into(), "72469@78".into(), 1_700_000_000_123);
    origin.facts = vec![("Q_SQL_MODE_CODE", "0".to_owned())];
    let event = Event {
        seq: Seq(1),
        position: "binlog.000078:72469".into(),
        timestamp_ms: 1_700_000_000_000,
        txid: None,
        origin: Arc::new(origin),
        body: Body::Schema(change.clone()),
    };
    let mut message = Message::default();
    encoder.encode(&[event], &mut message)?;
    Ok(message.value)
}
