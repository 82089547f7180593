//! The schemas after statements of PolarDB-X, written after what its CDC component was seen to write: each statement is given to the decoder as an
//! event of PolarDB-X, and what PolarDB-X makes of it for MySQL is executed by a MySQL. The schemas equal those of that server's
//! information_schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use runtime::{Batch, Body, Collation, ColumnKind, TableId, TableSchema};
use source_polardbx::Selection;
use source_polardbx::binlog::{Decoder, DecoderOptions, PreparedTransactions, RowsWithoutEvents, ServerProfile, StreamPosition};
use source_polardbx::config::PolarDbXOptions;
use source_polardbx::schema::History;
use tests::event_log::EventLog;
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

/// A statement of a user, and what PolarDB-X makes of it for MySQL.
type Written = (&'static str, &'static str);

/// A statement that is the same for MySQL.
const fn same(statement: &'static str) -> Written {
    (statement, statement)
}

/// A statement that MySQL does not have.
const fn only(statement: &'static str) -> Written {
    (statement, "")
}

/// In the order of their execution.
const STATEMENTS: &[Written] = &[
    ("CREATE DATABASE shop MODE='auto' DEFAULT CHARACTER SET utf8mb4", "CREATE DATABASE shop DEFAULT CHARACTER SET utf8mb4"),
    ("CREATE DATABASE arch PARTITION_MODE='drds' LOCALITY='dn=pxc-1' CHARSET gbk", "CREATE DATABASE arch CHARSET gbk"),
    // Tables of the automatic mode.
    (
        "CREATE TABLE orders ( id bigint NOT NULL AUTO_INCREMENT BY GROUP, buyer bigint UNSIGNED NOT NULL, amount decimal(12, 2) DEFAULT NULL, note varchar(64) DEFAULT 'x', PRIMARY KEY (id), GLOBAL INDEX g_buyer(buyer) COVERING (amount) PARTITION BY KEY (buyer) PARTITIONS 4 ) DEFAULT CHARACTER SET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci PARTITION BY KEY (id) PARTITIONS 16",
        "CREATE TABLE orders ( id bigint NOT NULL AUTO_INCREMENT, buyer bigint UNSIGNED NOT NULL, amount decimal(12, 2) DEFAULT NULL, note varchar(64) DEFAULT 'x', PRIMARY KEY (id) ) DEFAULT CHARACTER SET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci",
    ),
    (
        "CREATE TABLE Items (Id int, `Name` varchar(20) CHARACTER SET latin1, kind enum('a','b''c',\"d\") NOT NULL, tags set('p','q'), PRIMARY KEY (Id, kind)) PARTITION BY HASH (Id, kind) PARTITIONS 4",
        "CREATE TABLE `items` (Id int, `Name` varchar(20) CHARACTER SET latin1, kind enum('a','b''c',\"d\") NOT NULL, tags set('p','q'), PRIMARY KEY (Id, kind))",
    ),
    (
        "CREATE TABLE nopk ( a int, b varchar(20) ) DEFAULT CHARACTER SET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci PARTITION BY HASH (a) PARTITIONS 2",
        "CREATE TABLE nopk ( a int, b varchar(20), INDEX `auto_shard_key_a` USING BTREE(`a`) ) DEFAULT CHARACTER SET = utf8mb4 DEFAULT COLLATE = utf8mb4_general_ci",
    ),
    (
        "CREATE TABLE IF NOT EXISTS cfg (k varchar(10) NOT NULL, v json, UNIQUE KEY u (k)) BROADCAST",
        "CREATE TABLE IF NOT EXISTS cfg (k varchar(10) NOT NULL, v json, UNIQUE KEY u (k))",
    ),
    (
        "CREATE TABLE one (a tinyint(1) PRIMARY KEY, p point) SINGLE LOCALITY = 'dn=pxc-1'",
        "CREATE TABLE one (a tinyint(1) PRIMARY KEY, p point)",
    ),
    (
        "CREATE TABLE log (id bigint PRIMARY KEY AUTO_INCREMENT BY NEW, at datetime(3) NOT NULL, body text) PARTITION BY RANGE COLUMNS (at) (PARTITION p0 VALUES LESS THAN ('2025-01-01'), PARTITION pm VALUES LESS THAN (MAXVALUE)) TTL = TTL_DEFINITION( TTL_ENABLE = 'ON', TTL_EXPR = `at` EXPIRE AFTER 2 MONTH TIMEZONE '+08:00', TTL_JOB = CRON '0 0 1 * * ?' TIMEZONE '+08:00' )",
        "CREATE TABLE log (id bigint PRIMARY KEY AUTO_INCREMENT, at datetime(3) NOT NULL, body text, INDEX `auto_shard_key_at` USING BTREE(`at`))",
    ),
    (
        "CREATE TABLE expired (id bigint NOT NULL, d date NOT NULL, PRIMARY KEY (id, d)) LOCAL PARTITION BY RANGE (d) INTERVAL 1 MONTH EXPIRE AFTER 12 PRE ALLOCATE 3 PIVOTDATE NOW()",
        "CREATE TABLE expired (id bigint NOT NULL, d date NOT NULL, PRIMARY KEY (id, d))",
    ),
    (
        "CREATE TABLE sub (a int, b int, c float(7,3), PRIMARY KEY (a, b)) PARTITION BY LIST (a) SUBPARTITION BY KEY (b) SUBPARTITIONS 4 (PARTITION p1 VALUES IN (1, 2), PARTITION pd VALUES IN (DEFAULT))",
        "CREATE TABLE sub (a int, b int, c float(7,3), PRIMARY KEY (a, b))",
    ),
    // Tables of the mode of DRDS.
    (
        "CREATE TABLE arch.t1 (a int, b int, PRIMARY KEY (a)) DBPARTITION BY HASH(a) TBPARTITION BY HASH(b) TBPARTITIONS 4",
        "CREATE TABLE arch.t1 (a int, b int, PRIMARY KEY (a), INDEX `auto_shard_key_b` USING BTREE(`b`))",
    ),
    (
        "CREATE TABLE arch.t2 (a bigint, d datetime, s char(3)) dbpartition by RIGHT_SHIFT(a, 3) tbpartition by YYYYMM(d) tbpartitions 12 STARTWITH 202401 ENDWITH 202512",
        "CREATE TABLE arch.t2 (a bigint, d datetime, s char(3), INDEX `auto_shard_key_a` USING BTREE(`a`), INDEX `auto_shard_key_d` USING BTREE(`d`))",
    ),
    // Generated columns are plain columns for MySQL, and words of foreign keys are in another order.
    (
        "CREATE TABLE made (a int PRIMARY KEY, b int AS (a + 1) LOGICAL, c varchar(20) GENERATED ALWAYS AS (concat('x', a)) STORED)",
        "CREATE TABLE made (a int PRIMARY KEY, b int, c varchar(20))",
    ),
    (
        "CREATE TABLE order_lines (id int PRIMARY KEY, oid bigint, CONSTRAINT f1 FOREIGN KEY (oid) REFERENCES orders (id) ON DELETE CASCADE)",
        "CREATE TABLE order_lines (id int PRIMARY KEY, oid bigint, CONSTRAINT FOREIGN KEY f1 (oid) REFERENCES orders (id) ON DELETE CASCADE)",
    ),
    (
        "CREATE TABLE multi ( id int PRIMARY KEY COMMENT 'line one\nline two', v varchar(10) DEFAULT 'a\nb' ) PARTITION BY KEY (id)",
        "CREATE TABLE multi ( id int PRIMARY KEY COMMENT 'line one\nline two', v varchar(10) DEFAULT 'a\nb' )",
    ),
    (
        "CREATE TABLE `订单``x` (`编号 #1` int PRIMARY KEY, `金额$` decimal(9,2))",
        "CREATE TABLE `订单``x` (`编号 #1` int PRIMARY KEY, `金额$` decimal(9,2))",
    ),
    same("CREATE TABLE orders_like LIKE orders"),
    same("CREATE TABLE arch.cfg LIKE shop.cfg"),
    only("CREATE TABLE log_arc LIKE log ENGINE = 'COLUMNAR' ARCHIVE_MODE = 'TTL'"),
    ("CREATE SHADOW TABLE __test_orders (id int PRIMARY KEY)", "CREATE TABLE __test_orders (id int PRIMARY KEY)"),
    // Columns.
    same("ALTER TABLE nopk ADD COLUMN c datetime FIRST"),
    same("ALTER TABLE nopk , ADD PRIMARY KEY (a)"),
    same("/*+TDDL:cmd_extra(PURE_ASYNC_DDL_MODE=true)*/ ALTER TABLE orders ADD COLUMN phone char(11) AFTER buyer"),
    ("ALTER TABLE orders MODIFY COLUMN note text, ALGORITHM=OMC", "ALTER TABLE orders MODIFY COLUMN note text"),
    (
        "ALTER TABLE orders CHANGE COLUMN note remark mediumtext CHARACTER SET gbk, ALGORITHM = OMC",
        "ALTER TABLE orders CHANGE COLUMN note remark mediumtext CHARACTER SET gbk",
    ),
    same("ALTER TABLE orders ADD COLUMN (x int, y time(2) NOT NULL), ALGORITHM = INPLACE"),
    same("ALTER TABLE orders DROP COLUMN x, DROP y"),
    same("ALTER TABLE ORDERS MODIFY amount decimal(20,4) UNSIGNED NOT NULL FIRST"),
    ("ALTER TABLE orders ADD COLUMN z int AS (id * 2) LOGICAL", "ALTER TABLE orders ADD COLUMN z int"),
    same("ALTER TABLE items CHANGE Name label varchar(30) CHARACTER SET utf8 COLLATE utf8_bin NOT NULL"),
    same("ALTER TABLE items MODIFY kind enum('a','b''c','d','é') NOT NULL, MODIFY tags set('p','q','r')"),
    same("ALTER TABLE items CONVERT TO CHARACTER SET utf8mb4"),
    same("ALTER TABLE one DEFAULT CHARACTER SET latin1, ADD s varchar(5), ADD t timestamp(3) NULL"),
    same("ALTER TABLE one MODIFY a bigint(20) unsigned zerofill NOT NULL"),
    same("ALTER TABLE sub ALTER COLUMN c SET DEFAULT 1.5"),
    same("/* //1/ */ ALTER TABLE log ADD COLUMN b1 bit(5), ADD b2 binary(4), ADD b3 varbinary(70), ADD b4 blob"),
    same("/*!40101 ALTER TABLE log */ MODIFY b4 longblob;"),
    same("ALTER TABLE sub ADD v year, ADD w double, ADD x mediumint unsigned, ADD y smallint"),
    // Keys.
    same("ALTER TABLE orders ADD INDEX k_phone (phone(4)), ALGORITHM=INPLACE"),
    same("ALTER TABLE orders ADD UNIQUE KEY u_phone (phone)"),
    same("CREATE UNIQUE INDEX u_buyer ON orders (buyer, phone)"),
    same("ALTER TABLE orders RENAME INDEX u_buyer TO u_b"),
    same("DROP INDEX u_phone ON orders"),
    same("ALTER TABLE items DROP PRIMARY KEY, ADD PRIMARY KEY (kind)"),
    same("ALTER TABLE cfg ADD PRIMARY KEY (k), DROP INDEX u"),
    same("ALTER TABLE order_lines ADD CONSTRAINT FOREIGN KEY f2 (oid) REFERENCES orders (id)"),
    same("ALTER TABLE order_lines DROP FOREIGN KEY order_lines_ibfk_2"),
    only("CREATE GLOBAL INDEX g_phone ON orders (phone) COVERING (amount) PARTITION BY KEY (phone) PARTITIONS 4"),
    only("ALTER TABLE orders ADD GLOBAL INDEX g2 (phone) PARTITION BY KEY (phone)"),
    only("ALTER TABLE orders ADD UNIQUE GLOBAL INDEX g3 (id, phone) PARTITION BY KEY (phone)"),
    only("ALTER TABLE orders ADD CLUSTERED COLUMNAR INDEX cci (id) PARTITION BY HASH (id) COLUMNAR_OPTIONS='{\"type\":\"snapshot\"}'"),
    only("CREATE CLUSTERED INDEX c1 ON items (kind) PARTITION BY KEY (kind)"),
    only("DROP INDEX g2 ON orders"),
    only("ALTER TABLE orders ALTER INDEX g_phone INVISIBLE"),
    // Partitions, table groups and what becomes of old rows.
    ("ALTER TABLE orders PARTITION BY KEY (buyer) PARTITIONS 4", "ALTER TABLE orders "),
    (
        "ALTER TABLE items drop primary key, add primary key (Id), PARTITION BY HASH (Id) PARTITIONS 3",
        "ALTER TABLE items drop primary key, add primary key (Id)",
    ),
    only("ALTER TABLE made SINGLE"),
    only("ALTER TABLE order_lines BROADCAST"),
    only("ALTER TABLE arch.t1 dbpartition by hash(b)"),
    only(
        "ALTER TABLE log SPLIT PARTITION p0 INTO (PARTITION p00 VALUES LESS THAN ('2024-01-01'), PARTITION p01 VALUES LESS THAN ('2025-01-01'))",
    ),
    only("ALTER TABLE orders SPLIT INTO PARTITIONS 2 BY HOT VALUE(5)"),
    only("ALTER TABLE orders MERGE PARTITIONS p1,p2 TO p12"),
    only("ALTER TABLE orders MOVE PARTITIONS (p1,p2) TO 'dn-2'"),
    only("ALTER TABLE orders RENAME PARTITION p1 TO q1"),
    only("ALTER TABLE sub MODIFY PARTITION p1 ADD VALUES (9)"),
    only("ALTER TABLE sub ADD PARTITION (PARTITION p3 VALUES IN (7))"),
    only("ALTER TABLE orders SET TABLEGROUP=tg2 FORCE"),
    only("ALTER TABLEGROUP tg1 SPLIT PARTITION p1"),
    only("CREATE TABLEGROUP tg3"),
    only("MERGE TABLEGROUPS a,b INTO c"),
    only("ALTER TABLE log MODIFY TTL SET TTL_ENABLE='OFF', TTL_PART_INTERVAL=INTERVAL(1, MONTH), ARCHIVE_TYPE='PARTITION'"),
    only("ALTER TABLE log CLEANUP EXPIRED DATA"),
    only("ALTER TABLE log REMOVE TTL"),
    only("ALTER TABLE expired REMOVE LOCAL PARTITIONING"),
    // Names.
    same("RENAME TABLE orders_like TO o1, nopk TO haspk"),
    same("ALTER TABLE o1 RENAME TO arch.o2"),
    same("RENAME TABLE shop.multi TO tmp, items TO multi, tmp TO items"),
    same("ALTER TABLE `订单``x` ADD `状态` enum('新','旧') CHARACTER SET gbk"),
    // Ends.
    same("TRUNCATE TABLE haspk"),
    ("DROP TABLE IF EXISTS order_lines, made PURGE", "DROP TABLE IF EXISTS order_lines, made"),
    ("DROP TABLE arch.o2 PURGE", "DROP TABLE arch.o2"),
    same("ALTER DATABASE shop CHARACTER SET latin1"),
    (
        "CREATE TABLE later (a varchar(5), b text, c varchar(5) character set utf8) BROADCAST",
        "CREATE TABLE later (a varchar(5), b text, c varchar(5) character set utf8)",
    ),
    // What concerns no table.
    only("CREATE SEQUENCE s START WITH 1 INCREMENT BY 10"),
    only("CREATE DEFINER = `a`@`%` VIEW v AS SELECT * FROM orders"),
    only("CREATE MATERIALIZED VIEW m AS SELECT 1"),
    only("CREATE USER 'a'@'%' IDENTIFIED BY 'x'"),
    only("GRANT SELECT ON shop.* TO 'a'@'%'"),
    only("ANALYZE TABLE orders"),
    only("CREATE PROCEDURE p1 ()\nBEGIN\n\tSELECT 1;\nEND;"),
    only("CALL trigger_sync_point_trx()"),
    only("REBALANCE DATABASE"),
    same("DROP DATABASE arch"),
];

/// By which columns tables are partitioned at last, in statements for which MySQL's text says nothing of it.
const PARTITIONS: &[(&str, &[&str])] = &[
    ("orders", &["buyer"]),
    ("multi", &["Id"]),
    ("haspk", &["a"]),
    ("cfg", &[]),
    ("one", &[]),
    ("log", &["at"]),
    ("expired", &[]),
    ("sub", &["a", "b"]),
];

/// The text of an event of PolarDB-X.
fn logged((user, mysql): Written, number: u64) -> String {
    use base64::Engine as _;
    let origin = match user.contains('\n') {
        true => format!("_ENCODE=BASE64\n# POLARX_ORIGIN_SQL={}", base64::prelude::BASE64_STANDARD.encode(user)),
        false => format!("={user}"),
    };
    let types = if user.contains("COLUMNAR") { "# POLARX_DDL_TYPES=CCI\n" } else { "" };
    format!("# POLARX_ORIGIN_SQL{origin}\n# POLARX_TSO={}\n# POLARX_DDL_ID=0\n{types}{mysql}", EventLog::tso(number))
}

/// What is compared of a table.
type Shown = Vec<String>;

fn known(schema: &TableSchema) -> Shown {
    let name = |&column: &usize| schema.columns[column].name.clone();
    let names = |columns: &[usize]| columns.iter().map(name).collect::<Vec<_>>().join(",");
    let mut lines = Vec::new();
    for column in &schema.columns {
        let is_text = matches!(
            column.kind,
            ColumnKind::Char { .. }
                | ColumnKind::Varchar { .. }
                | ColumnKind::Text { .. }
                | ColumnKind::Enum { .. }
                | ColumnKind::Set { .. }
        );
        let collation = column.collation.as_ref().filter(|_| is_text).map_or("-", Collation::name).replace("utf8mb3", "utf8");
        let null = if column.nullable { "YES" } else { "NO" };
        assert_eq!(column.unsigned, column.source_type.contains("unsigned"), "{}", column.name);
        if let ColumnKind::Enum { labels } | ColumnKind::Set { labels } = &column.kind {
            let quoted: Vec<String> = labels.iter().map(|label| format!("'{}'", label.replace('\'', "''"))).collect();
            assert!(column.source_type.ends_with(&format!("({})", quoted.join(","))), "{labels:?} {}", column.source_type);
        }
        lines.push(format!("{} {} {collation} {null}", column.name, column.source_type));
    }
    let mut keys: Vec<String> = schema.unique_keys.iter().map(|key| format!("unique {} {}", key.name, names(&key.columns))).collect();
    keys.sort();
    lines.push(format!("primary {}", names(&schema.primary_key)));
    lines.extend(keys);
    lines
}

/// All tables of the two databases, as the server shows them.
async fn shown(connection: &mut Conn) -> Result<BTreeMap<TableId, Shown>> {
    type Line = (String, String, String, String, Option<String>, String);
    let mut tables: BTreeMap<TableId, Shown> = BTreeMap::new();
    let columns: Vec<Line> = connection
        .query(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA IN ('shop', 'arch') ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
        )
        .await?;
    for (database, table, column, kind, collation, null) in columns {
        let collation = collation.unwrap_or_else(|| "-".to_owned());
        tables.entry(TableId::new(database, table)).or_default().push(format!("{column} {kind} {collation} {null}"));
    }
    // A unique key over a part of a column is no key of the rows.
    let keys: Vec<(String, String, String, String)> = connection
        .query(
            "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX) FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA IN ('shop', 'arch') AND NON_UNIQUE = 0 GROUP BY 1, 2, 3 HAVING MAX(SUB_PART) IS NULL",
        )
        .await?;
    for (id, lines) in &mut tables {
        let of = |primary: bool| {
            let own = keys.iter().filter(|(database, table, ..)| *database == *id.database && *table == *id.table);
            own.filter(move |(.., name, _)| (name == "PRIMARY") == primary).map(|(.., name, columns)| (name, columns)).collect::<Vec<_>>()
        };
        lines.push(format!("primary {}", of(true).first().map_or("", |(_, columns)| columns.as_str())));
        let mut unique: Vec<String> = of(false).iter().map(|(name, columns)| format!("unique {name} {columns}")).collect();
        unique.sort();
        lines.extend(unique);
    }
    Ok(tables)
}

fn decoder() -> Result<Decoder> {
    let of = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    Ok(Decoder::new(DecoderOptions {
        stream: "global".to_owned(),
        position: StreamPosition::start("id", "binlog.000001", 4).map_err(|error| of(&error))?,
        history: History::new([], std::iter::empty::<(String, Option<Collation>)>(), true),
        selection: Selection::new(&["shop.*".to_owned(), "arch.*".to_owned()], &[]).map_err(|error| of(&error))?,
        profile: ServerProfile::new("5.7.25-PXC-5.4.20-20251031"),
        prepared: PreparedTransactions::default(),
        polardbx: PolarDbXOptions::default(),
        rows_without_events: RowsWithoutEvents::default(),
        batch_max_bytes: 1 << 20,
    }))
}

fn take(batch: Batch, tables: &mut BTreeMap<TableId, Arc<TableSchema>>) {
    let of_events = batch.events.into_iter().flat_map(|event| match event.body {
        Body::Schema(change) => change.tables,
        _ => Vec::new(),
    });
    for (table, schema) in of_events.chain(batch.schemas) {
        match schema {
            Some(schema) => tables.insert(table, schema),
            None => tables.remove(&table),
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn written_statements_lead_to_the_schemas_that_the_server_shows() -> Result<()> {
    const { assert!(STATEMENTS.len() >= 60) };
    // Names of tables are in lower case, as PolarDB-X has them.
    let server = Database::start(Flavor::MySql57, &["--lower-case-table-names=1"]).await?;
    let mut connection = server.connect().await?;
    let mut log = EventLog::new("5.7.25-PXC-5.4.20-20251031");
    let mut decoder = decoder()?;
    let mut fed = 0;
    let mut tables = BTreeMap::new();
    for (number, &written) in (1..).zip(STATEMENTS) {
        let (user, mysql) = written;
        let failed = |what: String| Failure::new(format!("{user}: {what}"));
        if number == 3 {
            connection.query_drop("USE shop").await?;
        }
        // MySQL does not take what PolarDB-X leaves in its place.
        let executed = mysql.replacen("nopk , ADD", "nopk ADD", 1);
        if !executed.is_empty() {
            connection.query_drop(&executed).await.map_err(|error| failed(error.to_string()))?;
        }
        log.statement("shop", 0, 45, logged(written, number).as_bytes());
        log.commit_mark(number);
        for event in &log.events()[fed..] {
            decoder.event(event, 1).map_err(|error| failed(error.to_string()))?;
            while let Some(batch) = decoder.take() {
                take(batch, &mut tables);
            }
        }
        fed = log.events().len();
        while let Some(batch) = decoder.drain() {
            take(batch, &mut tables);
        }
        let found: BTreeMap<TableId, Shown> = tables.iter().map(|(table, schema)| (table.clone(), known(schema))).collect();
        let expected = shown(&mut connection).await?;
        if found != expected {
            return Err(failed(format!("\nread from the statements: {found:#?}\nthe server: {expected:#?}")));
        }
    }
    for (table, expected) in PARTITIONS {
        let schema = &tables[&TableId::new("shop", *table)];
        let found: Vec<&str> = schema.partition_columns.iter().map(|&column| schema.columns[column].name.as_str()).collect();
        assert_eq!(found, *expected, "{table}");
    }
    Ok(())
}
