//! Tables whose row events have other columns than their definitions: keys over expressions, and changes that the binlog does not tell.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Format, Table};
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::refusals::ended;
use super::report::assert_error;

const LIMIT: Duration = Duration::from_secs(60);
const FULL: &str = "--binlog-row-metadata=FULL";

async fn with_options(flavor: Flavor, options: &[&str]) -> Result<Servers> {
    let kafka = Servers::shared().await?.kafka;
    Ok(Servers { source: Arc::new(Database::start(flavor, options).await?), kafka })
}

/// Executes statements in one session that writes nothing into the binlog.
async fn without_binlog(source: &Database, statements: &[&str]) -> Result<()> {
    let mut connection = source.connect().await?;
    connection.query_drop("SET sql_log_bin = 0").await?;
    for statement in statements {
        connection.query_drop(*statement).await.map_err(|error| Failure::from(error).context(statement))?;
    }
    Ok(connection.disconnect().await?)
}

/// Runs `schema refetch` for a table. Returns its exit code and what it says.
fn refetch(case: &Case, table: &str) -> Result<(Option<i32>, String)> {
    let Output { status, stdout, stderr } =
        program().command(&["schema", "refetch", &case.task.file().display().to_string(), table]).output()?;
    let console = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    println!("{console}");
    Ok((status.code(), console))
}

/// Statements with keys over expressions, whose columns stand in several places among the others.
const WITH_EXPRESSIONS: &[&str] = &[
    "INSERT INTO t (id, n, b) VALUES (10, 'Ten', 10), (11, NULL, NULL)",
    "UPDATE t SET n = 'TEN', b = b + 1 WHERE id IN (1, 10)",
    "ALTER TABLE t ADD c VARCHAR(20)",
    "INSERT INTO t (id, n, b, c) VALUES (12, 'Twelve', 12, 'c')",
    "ALTER TABLE t ADD z INT FIRST, ADD m DECIMAL(9,2) AFTER n",
    "UPDATE t SET z = id, m = id / 3, c = n",
    "DELETE FROM t WHERE id = 2",
    "ALTER TABLE t DROP KEY k",
    "INSERT INTO t (id, n, b) VALUES (13, 'Thirteen', 13)",
    "ALTER TABLE t ADD UNIQUE KEY k2 ((UPPER(n)), (b + 1), id), ADD e ENUM('x','y') CHARACTER SET latin1",
    "INSERT INTO t (id, n, b, e) VALUES (14, 'Fourteen', 14, 'y')",
    "ALTER TABLE t DROP COLUMN m, MODIFY c VARCHAR(30) CHARACTER SET latin1 FIRST",
    "XA START 'x'",
    "UPDATE t SET c = 'xa' WHERE id < 12",
    "INSERT INTO t (id, n, b) VALUES (15, 'Fifteen', 15)",
    "XA END 'x'",
    "XA PREPARE 'x'",
    "XA COMMIT 'x'",
    "CREATE TABLE made (id INT PRIMARY KEY, d DATETIME, KEY y ((YEAR(d))), KEY m ((MONTH(d)), (DAYOFMONTH(d))), j VARCHAR(9))",
    "INSERT INTO made VALUES (1, '2020-02-03', '1'), (2, NULL, NULL)",
    "CREATE INDEX jn ON made ((CAST(j AS SIGNED)))",
    "UPDATE made SET d = '2021-01-01', j = '2'",
    "CREATE TABLE twin LIKE made",
    "INSERT INTO twin SELECT * FROM made",
    // Every row of the topic has all columns.
    "UPDATE t SET b = COALESCE(b, 0) + 100",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_over_expressions_are_followed() -> Result<()> {
    let mut servers = vec![("plain", with_options(Flavor::MySql80, &[]).await?), ("full", with_options(Flavor::MySql80, &[FULL]).await?)];
    if Flavor::MySqlNewest.available().await.is_ok() {
        servers.push(("newest", with_options(Flavor::MySqlNewest, &[FULL]).await?));
    }
    for (kind, servers) in servers {
        let name = format!("expressions_{kind}");
        let source = servers.source.clone();
        source
            .execute(&[
                &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
                &format!(
                    "CREATE TABLE {name}.t (id INT PRIMARY KEY, n VARCHAR(10), KEY k ((LOWER(n))), UNIQUE KEY u ((id * 2), n), b INT UNSIGNED)"
                ),
                &format!("INSERT INTO {name}.t VALUES (1, 'One', 1), (2, 'Two', NULL), (3, NULL, 3)"),
            ])
            .await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        let checked = program().command(&["check", &case.task.file().display().to_string()]).output()?;
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        let uses = format!("USE {name}");
        let (first, second) = WITH_EXPRESSIONS.split_at(6);
        source.execute(&[&[uses.as_str()], first].concat()).await?;
        case.catch_up(LIMIT).await?;
        // A restart in between, once with the changes before it not read yet.
        case.task.kill()?;
        source.execute(&[&[uses.as_str()], second].concat()).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        ["made", "twin"].iter().for_each(|table| case.add_table(table));
        let report = case.verify(2).await.map_err(|error| error.context(kind))?;
        assert!(report.snapshot_rows >= 3 && report.stream_rows > 25, "{report:?}");
        assert!(!case.task.output().contains("was rebuilt"), "{}", case.task.output());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_binlog_does_not_tell_is_rebuilt_from_full_metadata() -> Result<()> {
    let newest = Flavor::MySqlNewest.available().await.is_ok().then_some(Flavor::MySqlNewest);
    for flavor in [Flavor::MySql80, Flavor::MariaDb].into_iter().chain(newest) {
        let name = format!("rebuilt_{}", flavor.name());
        let servers = with_options(flavor, &[FULL]).await?;
        let source = servers.source.clone();
        source
            .execute(&[
                &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
                &format!(
                    "CREATE TABLE {name}.t (id INT UNSIGNED, a VARCHAR(20), w INT(5) ZEROFILL, gone INT, r BIGINT, PRIMARY KEY (id), \
                     UNIQUE KEY u (a, w))"
                ),
                &format!("INSERT INTO {name}.t VALUES (1, 'one', 1, 1, 1), (2, NULL, 22, 2, 2)"),
                &format!("CREATE TABLE {name}.k (id INT PRIMARY KEY, s INT NOT NULL)"),
                // MariaDB adds the hash of the text as a column. MySQL has no key over a whole text.
                &match flavor {
                    Flavor::MariaDb => format!("CREATE TABLE {name}.hashed (id INT PRIMARY KEY, v TEXT, UNIQUE (v))"),
                    _ => format!("CREATE TABLE {name}.hashed (id INT PRIMARY KEY, v TEXT, UNIQUE (v(9)))"),
                },
            ])
            .await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        source.execute(&[&format!("INSERT INTO {name}.t VALUES (3, 'three', 3, 3, 3)")]).await?;
        case.catch_up(LIMIT).await?;
        let t = format!("{name}.t");
        // A statement, which the checker needs because it compares each row with the row before.
        source.execute(&[&format!("CREATE TABLE {name}.shapes (id INT PRIMARY KEY)")]).await?;
        without_binlog(
            &source,
            &[
                &format!("ALTER TABLE {t} DROP gone, CHANGE r renamed BIGINT, MODIFY a VARCHAR(300) CHARACTER SET latin1 FIRST"),
                &format!(
                    "ALTER TABLE {t} ADD ti TINYINT UNSIGNED NOT NULL AFTER id, ADD me MEDIUMINT, ADD de DECIMAL(20,5) UNSIGNED, ADD fl FLOAT, \
                     ADD dou DOUBLE UNSIGNED, ADD bi BIT(11), ADD ye YEAR, ADD af INT, ADD au BIGINT UNSIGNED, ADD da DATE, ADD tm TIME(3), ADD dt DATETIME(6), ADD ts TIMESTAMP NULL, \
                     ADD ch CHAR(90) CHARACTER SET gbk, ADD bn BINARY(7), ADD vb VARBINARY(300), ADD tx MEDIUMTEXT, ADD bl TINYBLOB, \
                     ADD en ENUM('\u{e4}','b''c') CHARACTER SET latin1, ADD se SET('x','y\\\\z')"
                ),
                &format!("ALTER TABLE {name}.k DROP PRIMARY KEY, ADD PRIMARY KEY (s, id)"),
                &format!("ALTER TABLE {name}.shapes ADD js JSON, ADD po POINT"),
                &format!("ALTER TABLE {name}.hashed ADD x INT"),
                &format!("CREATE TABLE {name}.hidden (id INT PRIMARY KEY, x VARCHAR(9))"),
            ],
        )
        .await?;
        let values = "ti = 200, me = -1, de = 1.5, fl = 0.5, dou = 2.25, bi = 1025, ye = 2001, af = -3, au = 18446744073709551615, da = '2001-02-03', tm = '-10:11:12.123', \
                      dt = '2001-02-03 04:05:06.789012', ts = '2001-02-03 04:05:06', ch = 'x', bn = 'b', vb = 'v', tx = 'text \u{2603}', bl = 'blob', \
                      en = '\u{e4}', se = 'x,y\\\\z'";
        source
            .execute(&[
                &format!("UPDATE {t} SET {values}"),
                &format!("INSERT INTO {name}.hidden VALUES (1, 'x')"),
                &format!("INSERT INTO {name}.k VALUES (1, 2)"),
                &format!("INSERT INTO {name}.shapes VALUES (1, '[1, 2]', POINT(1, 2))"),
                &format!("INSERT INTO {name}.hashed VALUES (1, 'text', 7)"),
                &format!("INSERT INTO {t} SET id = 4, a = 'four', w = 4, {values}"),
                &format!("UPDATE {t} SET en = 'b''c', se = '', fl = NULL WHERE id = 2"),
            ])
            .await?;
        case.catch_up(LIMIT).await?;
        let warned = |output: &str| output.matches("was rebuilt from the binlog").count();
        assert_eq!(warned(&case.task.output()), 5, "{}", case.task.output());
        case.task.stop().await?;
        // The new schema was committed, and a statement changes it further.
        case.task.start()?;
        source
            .execute(&[&format!("UPDATE {t} SET w = w + 1"), &format!("ALTER TABLE {t} ADD last INT"), &format!("UPDATE {t} SET last = w")])
            .await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        assert_eq!(warned(&case.task.output()), 0, "{}", case.task.output());
        ["hidden", "k", "hashed"].iter().for_each(|table| case.add_table(table));
        let report = case.verify(0).await.map_err(|error| error.context(flavor.name()))?;
        assert!(report.stream_rows >= 14, "{report:?}");
        let texts: Vec<_> = case.entries.iter().map(|entry| String::from_utf8_lossy(&entry.value)).collect();
        assert!(!texts.iter().any(|text| text.contains("DB_ROW_HASH")));
        // A column that has not changed keeps its type text. Others have no display width.
        for (table, parts) in [
            ("t", &["\"w\":\"int(5) unsigned zerofill\"", "\"ti\":\"tinyint unsigned\"", "\"renamed\":\"bigint\""][..]),
            ("k", &["\"pkNames\":[\"id\",\"s\"]"]),
            ("shapes", &["\"po\":\"point\"", "\"js\":\"[1, 2]\""]),
            ("hashed", &["\"x\":\"7\""]),
            ("hidden", &["\"x\":\"varchar(9)\"", "\"pkNames\":[\"id\"]"]),
        ] {
            let last =
                texts.iter().rfind(|text| text.contains(&format!("\"table\":{table:?}"))).ok_or_else(|| Failure::new("no message"))?;
            assert!(parts.iter().all(|part| last.contains(part)), "{parts:?}: {last}");
        }
    }
    Ok(())
}

/// A case on MySQL 5.7 whose table `t` was changed without a statement in the binlog, and whose task has stopped at the next rows.
async fn mismatched(name: &str) -> Result<Case> {
    let servers = Servers::shared().await?;
    let source = servers.source.clone();
    source
        .execute(&[
            &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a VARCHAR(20), b INT)"),
            &format!("INSERT INTO {name}.t VALUES (1, 'one', 1), (2, 'two', 2)"),
        ])
        .await?;
    let mut case = Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    source.execute(&[&format!("INSERT INTO {name}.t VALUES (3, 'three', 3)")]).await?;
    case.catch_up(LIMIT).await?;
    without_binlog(&source, &[&format!("ALTER TABLE {name}.t ADD c BIGINT UNSIGNED FIRST, MODIFY b VARCHAR(9)")]).await?;
    // The checker compares each row with the row before, but not over a statement.
    source.execute(&[&format!("CREATE TABLE {name}.between_changes (id INT PRIMARY KEY)")]).await?;
    source
        .execute(&[
            &format!("UPDATE {name}.t SET c = id + 18446744073709551000, b = 'x'"),
            &format!("INSERT INTO {name}.t VALUES (7, 4, 'four', 'y')"),
        ])
        .await?;
    let known = "the known schema is (`id` int(11) not null, `a` varchar(20) utf8mb4, `b` int(11), primary key `id`)";
    let shown = "and the binlog shows (bigint, int not null, varchar or varbinary of 80 bytes, varchar or varbinary of 36 bytes)";
    ended(&mut case, 1, &["E_SCHEMA_MISMATCH", &format!("{name}.t"), known, shown, "schema refetch"]).await?;
    Ok(case)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_read_again_mends_a_stopped_task() -> Result<()> {
    let mut case = mismatched("refetched").await?;
    let source = case.servers.source.clone();
    for (table, texts) in [
        ("refetched", ["argument TABLE", "database.table"]),
        ("elsewhere.t", ["E_REFETCH_REFUSED", "the task does not read it"]),
        ("refetched.missing", ["E_REFETCH_REFUSED", "the server has no such table now"]),
    ] {
        let (code, console) = refetch(&case, table)?;
        assert!(code != Some(0) && texts.iter().all(|text| console.contains(text)), "{code:?} {console}");
    }
    // Nothing was changed by these.
    case.task.start()?;
    ended(&mut case, 1, &["E_SCHEMA_MISMATCH"]).await?;
    let (code, console) = refetch(&case, "refetched.t")?;
    assert!(code == Some(0) && console.contains("4 columns") && console.contains("matches its rows from"), "{code:?} {console}");
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // While the task runs, its checkpoint is not touched.
    let (code, console) = refetch(&case, "refetched.t")?;
    assert_eq!(code, Some(2), "{console}");
    assert_error(&console, &["E_STORE_LOCKED"])?;
    source.execute(&["ALTER TABLE refetched.t ADD d INT", "UPDATE refetched.t SET d = id"]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_may_not_hold_is_refused() -> Result<()> {
    let case = mismatched("refetch_refused").await?;
    let source = case.servers.source.clone();
    source.execute(&["CREATE TABLE refetch_refused.u (a INT)", "ALTER TABLE refetch_refused.u ADD b INT"]).await?;
    // The table has another schema by now than where the task stopped.
    without_binlog(&source, &["ALTER TABLE refetch_refused.t DROP c"]).await?;
    let (code, console) = refetch(&case, "refetch_refused.t")?;
    assert_eq!(code, Some(2), "{console}");
    assert_error(&console, &["E_REFETCH_REFUSED", "the binlog shows 4 columns, the known schema has 3", "the rows at binlog.0"])?;
    // A statement in the binlog changes the table after the place where the task stopped.
    without_binlog(&source, &["ALTER TABLE refetch_refused.t ADD c BIGINT UNSIGNED FIRST"]).await?;
    source.execute(&["CREATE INDEX ix ON refetch_refused.t (b)"]).await?;
    let (code, console) = refetch(&case, "refetch_refused.t")?;
    assert_eq!(code, Some(2), "{console}");
    assert_error(&console, &["E_REFETCH_REFUSED", "changes refetch_refused.t", "CREATE INDEX ix", "binlog.0"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_statement_that_cannot_be_read_the_schema_is_read_again() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        let name = format!("unread_{}", flavor.name());
        let servers = Servers::shared_of(flavor).await?;
        let source = servers.source.clone();
        source
            .execute(&[
                &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
                &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, e ENUM('\u{7537}','b'), a VARCHAR(10)) CHARSET gb2312"),
                &format!("INSERT INTO {name}.t VALUES (1, '\u{7537}', 'one'), (2, 'b', 'two')"),
            ])
            .await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        case.settings.source = "on_unparsed_ddl = \"refetch\"".to_owned();
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        // What becomes of the labels is not computed.
        let convert = format!("ALTER TABLE {name}.t CONVERT TO CHARACTER SET gbk");
        source
            .execute(&[&format!("UPDATE {name}.t SET a = 'x'"), &convert, &format!("UPDATE {name}.t SET a = '\u{5973}', e = '\u{7537}'")])
            .await?;
        case.catch_up(LIMIT).await?;
        assert!(case.task.output().contains("the schema of its table was read from the server"), "{}", case.task.output());
        case.task.kill()?;
        case.task.start()?;
        source.execute(&[&format!("INSERT INTO {name}.t VALUES (3, '\u{7537}', '\u{7537}')")]).await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(1).await.map_err(|error| error.context(flavor.name()))?;
        let texts = case.entries.iter().map(|entry| String::from_utf8_lossy(&entry.value));
        assert_eq!(texts.filter(|text| text.contains(&convert)).count(), 1, "the statement is delivered");
        // A later statement changes the table, so its schema behind the first is not known any more.
        source.execute(&[&convert.replace("gbk", "gb2312"), &format!("ALTER TABLE {name}.t ADD x INT")]).await?;
        case.task.start()?;
        ended(
            &mut case,
            1,
            &["E_DDL_UNREAD", "what they make of its labels", "from the server instead", &format!("changes {name}.t"), "ADD x INT"],
        )
        .await?;
        // What the task does already is not recommended, and nothing is said twice.
        let output = case.task.output();
        assert!(!output.contains("on_unparsed_ddl"), "{output}");
        assert_eq!(output.lines().filter(|line| line.matches("ADD x INT").count() > 1).count(), 0, "{output}");
        case.settings.source.clear();
        case.task.configure(&case.settings)?;
        case.task.start()?;
        ended(&mut case, 1, &["E_DDL_UNREAD", "what they make of its labels", "on_unparsed_ddl"]).await?;
        assert!(!case.task.output().contains("from the server instead"));
    }
    Ok(())
}
