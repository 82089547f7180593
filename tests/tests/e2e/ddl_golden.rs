//! Tests every kind of DDL statement: how real servers write the statement to their binlog, and which messages the two formats write for
//! it. The tables of a message are those that the statement names. Whether a running task could apply the statement does not matter here.

use std::fmt::Write as _;
use std::sync::Arc;

use runtime::{Body, Collation, Event, Message, Origin, Registry, SchemaChange, Seq, TableId, TableSchema};
use serde_json::{Value as Json, json};
use source_polardbx::schema::{Dialect, Effect, Statement, StatementContext, read_statement};
use tests::checker::Format;
use tests::harness::{Database, Flavor};
use tests::{Failure, Result, golden};

/// The type, database and table in the Canal JSON message of a statement; `None` if the statement has no message.
type Expected = Option<(&'static str, &'static str, &'static str)>;

const fn canal(kind: &'static str, table: &'static str) -> Expected {
    Some((kind, "ddl", table))
}

/// The servers that support a statement.
#[derive(Clone, Copy, PartialEq)]
enum Servers {
    All,
    /// All except MySQL 5.7.
    Later,
    MariaDb,
}

use Servers::{All, Later, MariaDb};

const STATEMENTS: &[(Servers, &str, Expected)] = &[
    (All, "CREATE DATABASE ddl DEFAULT CHARACTER SET utf8mb4", canal("QUERY", "")),
    (All, "CREATE TABLE ddl.a (id INT PRIMARY KEY, x INT, y VARCHAR(20) COMMENT 'it''s \"ñ☃\"')", canal("CREATE", "a")),
    (All, "create table b like a", canal("CREATE", "b")),
    (All, "CREATE TABLE c (PRIMARY KEY (id)) AS SELECT 1 AS id, 2 AS x", canal("CREATE", "c")),
    (All, "CREATE TABLE IF NOT EXISTS a (id INT)", canal("CREATE", "a")),
    (All, "CREATE TABLE parent (id INT PRIMARY KEY)", canal("CREATE", "parent")),
    (All, "CREATE TEMPORARY TABLE fleeting (id INT)", None),
    (All, "ALTER TABLE a ADD COLUMN z INT", canal("ALTER", "a")),
    (All, "ALTER TABLE a ADD INDEX ix (x)", canal("CINDEX", "a")),
    (All, "ALTER TABLE a ADD UNIQUE uy (y), ADD COLUMN w INT", canal("CINDEX", "a")),
    (All, "ALTER TABLE a ADD COLUMN v INT, ADD KEY iv (v)", canal("ALTER", "a")),
    (All, "ALTER TABLE a ADD FULLTEXT INDEX ft (y)", canal("CINDEX", "a")),
    (All, "ALTER TABLE a DROP INDEX ix, DROP COLUMN z", canal("DINDEX", "a")),
    (All, "ALTER TABLE a DROP KEY iv", canal("DINDEX", "a")),
    (All, "ALTER TABLE a DROP COLUMN v, DROP INDEX ft", canal("ALTER", "a")),
    (All, "ALTER TABLE c DROP PRIMARY KEY", canal("ALTER", "c")),
    (All, "ALTER TABLE c ADD PRIMARY KEY (id)", canal("CINDEX", "c")),
    (All, "ALTER TABLE a ADD CONSTRAINT fk FOREIGN KEY (x) REFERENCES parent (id) ON DELETE CASCADE", None),
    (All, "ALTER TABLE a DROP FOREIGN KEY fk", canal("DINDEX", "a")),
    (All, "ALTER TABLE a ADD CONSTRAINT ck CHECK (x > 0)", None),
    (MariaDb, "ALTER TABLE a DROP CONSTRAINT ck", canal("DINDEX", "a")),
    (All, "ALTER TABLE a RENAME INDEX uy TO uz", canal("ALTER", "a")),
    (Later, "ALTER TABLE a RENAME COLUMN w TO w2", canal("ALTER", "a")),
    (All, "ALTER TABLE a MODIFY COLUMN x BIGINT NOT NULL FIRST", canal("ALTER", "a")),
    (All, "ALTER TABLE a CHANGE x x2 BIGINT UNSIGNED", canal("ALTER", "a")),
    (All, "ALTER TABLE a ALTER COLUMN y SET DEFAULT 'none'", canal("ALTER", "a")),
    (All, "ALTER TABLE a CONVERT TO CHARACTER SET latin1", canal("ALTER", "a")),
    (All, "alter table `a` engine = InnoDB, comment = 'RENAME TO x, ADD INDEX (y)'", canal("ALTER", "a")),
    (All, "/*!50000 ALTER TABLE a */ /* with */ AUTO_INCREMENT = 100 -- comments", canal("ALTER", "a")),
    (All, "ALTER TABLE a RENAME TO a2", canal("RENAME", "a2")),
    (All, "RENAME TABLE a2 TO a3, b TO b2", canal("RENAME", "a3")),
    (All, "CREATE INDEX i ON a3 (x2)", canal("CINDEX", "a3")),
    (All, "CREATE UNIQUE INDEX u USING BTREE ON b2 (y(5))", canal("CINDEX", "b2")),
    (All, "DROP INDEX i ON a3", canal("DINDEX", "a3")),
    (All, "DROP INDEX `PRIMARY` ON c", canal("DINDEX", "c")),
    (All, "TRUNCATE TABLE a3", canal("TRUNCATE", "a3")),
    (All, "truncate ddl.b2", canal("TRUNCATE", "b2")),
    (
        All,
        "CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
        canal("CREATE", "p"),
    ),
    (All, "ALTER TABLE p ADD PARTITION (PARTITION p2 VALUES LESS THAN (30))", canal("ALTER", "p")),
    (All, "ALTER TABLE p TRUNCATE PARTITION p0", canal("ALTER", "p")),
    (All, "ALTER TABLE p REORGANIZE PARTITION p1, p2 INTO (PARTITION p9 VALUES LESS THAN (30))", canal("ALTER", "p")),
    (All, "ALTER TABLE p DROP PARTITION p0", canal("ALTER", "p")),
    (All, "ALTER TABLE p REMOVE PARTITIONING", canal("ALTER", "p")),
    (All, "DROP TABLE a3, b2", canal("ERASE", "a3")),
    (All, "DROP TABLE IF EXISTS never", canal("ERASE", "never")),
    (All, "CREATE VIEW v AS SELECT * FROM c", None),
    (All, "DROP VIEW v", None),
    (All, "CREATE PROCEDURE q() UPDATE c SET x = 1", None),
    (All, "DROP PROCEDURE q", None),
    (All, "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", None),
    (All, "DROP FUNCTION f", None),
    (All, "CREATE TRIGGER tr BEFORE INSERT ON c FOR EACH ROW SET NEW.x = 5", None),
    (All, "DROP TRIGGER tr", None),
    (All, "CREATE EVENT e ON SCHEDULE EVERY 9 HOUR DO DELETE FROM c", None),
    (All, "DROP EVENT e", None),
    (All, "CREATE USER reader", None),
    (All, "GRANT SELECT ON ddl.* TO reader", None),
    (All, "DROP USER reader", None),
    (All, "ANALYZE TABLE c", None),
    (All, "OPTIMIZE TABLE c", None),
    (MariaDb, "CREATE SEQUENCE s", None),
    (MariaDb, "DROP SEQUENCE s", None),
    (All, "ALTER DATABASE ddl CHARACTER SET latin1", None),
    (All, "CREATE DATABASE `ddl``two` /*!40100 CHARACTER SET gbk */", Some(("QUERY", "ddl`two", ""))),
    (All, "DROP DATABASE `ddl``two`", Some(("QUERY", "ddl`two", ""))),
    (All, "DROP SCHEMA IF EXISTS ddl", canal("QUERY", "")),
];

/// A statement that was read from the binlog.
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
    for (number, &(servers, sql, expected)) in STATEMENTS.iter().enumerate() {
        match servers {
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
            // MariaDB does not write some statements without an effect to its binlog, such as CREATE TABLE IF NOT EXISTS for an existing
            // table.
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
    version.ok_or_else(|| Failure::new("the server does not return its version"))
}

/// The statements in the binlog from the offset `from` on, without BEGIN and COMMIT. This reader of the binlog uses no code of the
/// product.
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
            // The server drops the temporary tables of a session some time after the session has ended.
            let cleaning = one.text.starts_with("DROP /*!40005 TEMPORARY */");
            if !cleaning && !matches!(one.text.as_str(), "BEGIN" | "COMMIT") {
                found.push(one);
            }
        }
        rest = &rest[size..];
    }
    Ok(found)
}

/// The schema change of a statement, with every table that the statement names; `None` if the statement has no message.
fn change_of(database: &str, text: &str, dialect: Dialect) -> Result<Option<SchemaChange>> {
    let collations = |_: &str| Some(Collation::new("utf8mb4_general_ci"));
    let change = match read_statement(text, &StatementContext { dialect, ..StatementContext::new(database, &collations) }) {
        Statement::Change(change) => change,
        Statement::Unrelated | Statement::Nothing | Statement::Others { .. } => return Ok(None),
        other => return Failure::err(format!("read as {other:?}")),
    };
    let Some(kind) = change.kind else { return Ok(None) };
    let mut tables: Vec<(TableId, Option<Arc<TableSchema>>)> = Vec::new();
    let mut touch = |table: &TableId, exists: bool| {
        let schema = exists.then(|| Arc::new(TableSchema::new(table.clone(), Vec::new())));
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
            Effect::DatabaseCollation { database, .. } | Effect::DropDatabase { database } => own = Some(database.clone()),
            Effect::Create { table, .. }
            | Effect::CreateLike { table, .. }
            | Effect::CreateUnlisted { table, .. }
            | Effect::Truncate { table }
            | Effect::Keep { table }
            | Effect::Keys { table, .. }
            | Effect::Repartition { table, .. }
            | Effect::Alter { table, .. }
            | Effect::RemoveRows { table }
            | Effect::Exchange { table } => touch(table, true),
        }
    }
    let mut change = SchemaChange::new(kind, own.unwrap_or_else(|| database.to_owned()), text);
    change.tables = tables;
    Ok(Some(change))
}

/// Encodes a schema change as the message of an event whose other fields are constant.
fn encode(format: Format, change: &SchemaChange) -> Result<Vec<u8>> {
    let mut registry = Registry::new();
    formats::register(&mut registry);
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
    encoder.encode(&event, &mut message)?;
    Ok(message.value)
}
