//! Accounts, events, types and settings that only one of the servers has.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Format, Table};
use tests::harness::{Database, Flavor};
use tests::workload::every_type;
use tests::{Failure, Result};

use super::case::{Case, Servers, program};
use super::refusals::{create_small, ended, refused};

const LIMIT: Duration = Duration::from_secs(60);

/// A case on a separate database server, with a table `t` of three rows.
pub(super) async fn own(flavor: Flavor, options: &[&str], name: &str) -> Result<Case> {
    let servers = with_source(flavor, options).await?;
    create_small(&servers.source, name).await?;
    Case::new(servers, name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await
}

/// A separate database server and the shared broker.
pub(super) async fn with_source(flavor: Flavor, options: &[&str]) -> Result<Servers> {
    let (shared, source) = tokio::try_join!(Servers::shared(), Database::start(flavor, options))?;
    Ok(Servers { source: Arc::new(source), kafka: shared.kafka })
}

/// Runs a task on tables with every type, generated columns and unusual names, in the full and the incremental phase.
async fn everything(servers: &Servers, name: &str, format: Format) -> Result<Case> {
    let source = &servers.source;
    let table = format!("{name}.every");
    source
        .execute(&[
            &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            &every_type::create(&table),
            &format!(
                "CREATE TABLE {name}.more (id BIGINT UNSIGNED NOT NULL, y YEAR NOT NULL, a INT UNSIGNED NOT NULL DEFAULT 5, \
                 virt INT GENERATED ALWAYS AS (a + 1) VIRTUAL, kept BIGINT GENERATED ALWAYS AS (a * 2) STORED, f FLOAT UNSIGNED, \
                 e ENUM('é','b''c') CHARACTER SET latin1, s SET('x','y'), b VARBINARY(9), `we``ird ☃ name` TEXT, \
                 changed TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), \
                 PRIMARY KEY (id, y), UNIQUE KEY u (a, y)) CHARACTER SET utf8mb4"
            ),
        ])
        .await?;
    let mut rows: Vec<String> = (0..every_type::variants()).map(|id| every_type::insert_variant(&table, id)).collect();
    let more = |id: u32| {
        format!(
            "INSERT INTO {name}.more (id, y, a, f, e, s, b, `we``ird ☃ name`) VALUES ({id}, 2000, {id}, 0.5, {}, {}, X'00FF', '☃')",
            id % 3,
            id % 4
        )
    };
    rows.extend((0..40).map(more));
    source.execute(&rows.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let tables = vec![Table::new(name, "every"), Table::new(name, "more")];
    let mut case = Case::new(servers.clone(), name, format, 1, tables).await?;
    case.settings.source = "chunk_rows = 7".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    source
        .execute(&[
            &format!("UPDATE {table} SET id = id + 1000"),
            &format!("DELETE FROM {table} WHERE id % 7 = 0"),
            &more(100),
            &format!("UPDATE {name}.more SET a = a + 1000, s = 3 WHERE id < 20"),
            &format!("DELETE FROM {name}.more WHERE id % 5 = 0"),
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    Ok(case)
}

/// The GTIDs in the records, in their order.
fn gtids(case: &Case) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in &case.entries {
        let message: serde_json::Value = serde_json::from_slice(&entry.value)?;
        if let Some(gtid) = message["gtid"].as_str().filter(|gtid| !gtid.is_empty()) {
            found.push(gtid.to_owned());
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_8_with_gtids_and_all_metadata() -> Result<()> {
    let options = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--binlog-row-metadata=FULL", "--binlog-rows-query-log-events=ON"];
    let servers = with_source(Flavor::MySql80, &options).await?;
    let mut case = everything(&servers, "full80", Format::CanalJson).await?;
    // A table with invisible and descending indexes, a check, and a default in parentheses is created while the stream runs.
    servers
        .source
        .execute(&[
            "CREATE TABLE full80.later (id INT PRIMARY KEY, a VARCHAR(20) COLLATE utf8mb4_0900_as_cs DEFAULT (UUID()), c VARCHAR(9) CHARACTER SET utf8, \
             n NVARCHAR(5), KEY inv (a) INVISIBLE, KEY d (a DESC, id), CHECK (id > 0))",
            "INSERT INTO full80.later VALUES (1, 'one', 'é', 'n'), (2, DEFAULT, NULL, NULL)",
            "ALTER TABLE full80.later ALTER INDEX inv VISIBLE",
            "UPDATE full80.later SET c = 'two'",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.tables.push(Table::new("full80", "later"));
    case.verify(0).await?;
    assert!(case.task.output().contains("MySQL") && case.task.output().contains("8.0.15"), "{}", case.task.output());
    let gtids = gtids(&case)?;
    let mut connection = servers.source.connect().await?;
    let uuid: Option<String> = connection.query_first("SELECT @@server_uuid").await?;
    let uuid = uuid.unwrap_or_default();
    assert!(!gtids.is_empty() && gtids.iter().all(|gtid| gtid.starts_with(&format!("{uuid}:"))), "{gtids:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polardbx_with_generated_columns_and_unusual_names() -> Result<()> {
    let servers = Servers::shared_of(Flavor::PolarDbX).await?;
    let mut case = everything(&servers, "more_px", Format::DtsAvro).await?;
    servers
        .source
        .execute(&[
            "CREATE TABLE more_px.Later (id INT PRIMARY KEY, a INT, virt INT GENERATED ALWAYS AS (a + 1) VIRTUAL, `k ept` BIGINT AS (a * 2) STORED)",
            "INSERT INTO more_px.LATER (id, a) VALUES (1, 1), (2, NULL)",
            "UPDATE more_px.later SET a = 7",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.tables.push(Table::new("more_px", "later"));
    case.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_8_without_checksums() -> Result<()> {
    let servers = with_source(Flavor::MySql80, &["--binlog-checksum=NONE"]).await?;
    let mut case = everything(&servers, "bare80", Format::DtsAvro).await?;
    case.servers.source.execute(&["FLUSH LOGS", "UPDATE bare80.more SET a = a + 5000"]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_mysql_8_has_not_cached() -> Result<()> {
    let mut case = own(Flavor::MySql80, &[], "sha2").await?;
    // This clears the server's password cache, so the next login must send the password itself, encrypted with the server's key.
    case.servers.source.execute(&["FLUSH PRIVILEGES"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // The password cache is cleared again, and then the connection of the binlog dump is killed. The new connection must send the password.
    case.servers.source.execute(&["FLUSH PRIVILEGES"]).await?;
    let mut connection = case.servers.source.connect().await?;
    let dumps = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' AND USER = 'dts'";
    let start = std::time::Instant::now();
    let dump: u64 = loop {
        match connection.query_first(dumps).await? {
            Some(id) => break id,
            None if start.elapsed() > LIMIT => return Failure::err("no dump begins"),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    connection.query_drop(format!("KILL {dump}")).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    let console = case.task.output();
    assert!(!console.contains("dts-secret"), "{console}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_leaves_no_replica_behind_on_an_idle_server() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        let mut case = own(flavor, &[], &format!("idle_{flavor:?}").to_lowercase()).await?;
        let mysql = case.servers.source.clone();
        let (file, offset) = mysql.position().await?;
        for source in
            [String::new(), format!("phases = [\"incremental\"]\nstart = {{ position = {{ file = \"{file}\", offset = {offset} }} }}")]
        {
            case.settings.source = source;
            case.task.configure(&case.settings)?;
            for _ in 0..2 {
                let output = program().command(&["check", &case.task.file().display().to_string()]).output()?;
                let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && !console.contains("our id"), "{flavor:?}: {console}");
            }
            let mut connection = mysql.connect().await?;
            let dumps = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' OR USER = 'dts'";
            let start = std::time::Instant::now();
            // The server closes a connection a moment after the client has.
            while connection.query_first::<u64, _>(dumps).await? != Some(0) {
                assert!(start.elapsed() < Duration::from_secs(3), "{flavor:?}: a connection is left");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            connection.disconnect().await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_8_settings_that_lose_something() -> Result<()> {
    let mut case = own(Flavor::MySql80, &[], "partial").await?;
    case.servers.source.execute(&["SET GLOBAL binlog_row_value_options = 'PARTIAL_JSON'"]).await?;
    refused(&mut case, 2, &["binlog_row_value_options", "PARTIAL_JSON"]).await?;
    case.servers.source.execute(&["SET GLOBAL binlog_row_value_options = ''"]).await?;
    assert_eq!(case.read().await?, 0);
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await
}

/// Creates a table that the task must refuse before it reads any row, runs the task, and drops the table.
async fn refused_with(case: &mut Case, create: &str, texts: &[&str]) -> Result<()> {
    case.servers.source.execute(&[create]).await?;
    refused(case, 2, texts).await?;
    let table = create.split_whitespace().nth(2).unwrap_or_default();
    case.servers.source.execute(&[&format!("DROP TABLE {table}")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_with_its_own_types_and_events() -> Result<()> {
    for (name, format, option) in [
        ("maria_json", Format::CanalJson, "--binlog-row-metadata=FULL"),
        ("maria_avro", Format::DtsAvro, "--binlog-row-metadata=MINIMAL"),
        ("maria_none", Format::DtsAvro, "--binlog-checksum=NONE"),
    ] {
        let servers = with_source(Flavor::MariaDb, &[option]).await?;
        let mut case = everything(&servers, name, format).await?;
        servers
            .source
            .execute(&[
                // A sequence is not a table for the task, although its rows are in the binlog.
                &format!("CREATE SEQUENCE {name}.numbers"),
                &format!(
                    "CREATE TABLE {name}.documents (id INT PRIMARY KEY DEFAULT NEXTVAL({name}.numbers), body JSON, hidden INT INVISIBLE DEFAULT 7, \
                     at DATETIME DEFAULT CURRENT_TIMESTAMP(), CHECK (id > 0), CONSTRAINT c CHECK (hidden < 100), KEY i (hidden) IGNORED) CHARACTER SET utf8mb4"
                ),
                &format!("INSERT INTO {name}.documents (body) VALUES ('{{\"a\": [1, \"é☃\"]}}'), (NULL), ('[]')"),
                &format!("UPDATE {name}.documents SET hidden = 8 WHERE id = 1"),
                &format!("CREATE OR REPLACE TABLE {name}.again (id INT PRIMARY KEY, a TEXT) CHARACTER SET latin1"),
                &format!("INSERT INTO {name}.again VALUES (1, 'é')"),
                &format!("CREATE OR REPLACE TABLE {name}.again (id INT PRIMARY KEY, b INT, a TEXT) CHARACTER SET latin1"),
                &format!("INSERT INTO {name}.again VALUES (1, 2, 'é')"),
                &format!("DELETE FROM {name}.documents WHERE id = 2"),
            ])
            .await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.tables.extend(["documents", "again"].map(|table| Table::new(name, table)));
        case.verify(0).await?;
        if format == Format::CanalJson {
            let bodies = case.rows_of("documents", "body")?;
            assert!(bodies.iter().any(|body| body == "{\"a\": [1, \"é☃\"]}"), "{bodies:?}");
            let gtids = gtids(&case)?;
            assert!(!gtids.is_empty() && gtids.iter().all(|gtid| gtid.starts_with("0-1-")), "{gtids:?}");
        }
        // The full phase must be able to read the same tables.
        let mut case = case.sibling(&format!("{name}_again"), format, 1).await?;
        case.task.start()?;
        // The full phase may read the first fence, so a second fence shows that the stream has caught up.
        case.catch_up(LIMIT).await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mariadb_has_and_we_do_not_support() -> Result<()> {
    let mut case = own(Flavor::MariaDb, &[], "maria_odd").await?;
    let versioned = "CREATE TABLE maria_odd.v (id INT PRIMARY KEY) WITH SYSTEM VERSIONING";
    refused_with(&mut case, versioned, &["maria_odd.v", "system versioning"]).await?;
    case.servers.source.execute(&["SET GLOBAL log_bin_compress = ON"]).await?;
    refused(&mut case, 2, &["log_bin_compress", "OFF"]).await?;
    case.servers.source.execute(&["SET GLOBAL log_bin_compress = OFF", "SET GLOBAL binlog_format = 'MIXED'"]).await?;
    refused(&mut case, 2, &["binlog_format", "MIXED", "ROW"]).await?;
    case.servers.source.execute(&["SET GLOBAL binlog_format = 'ROW'"]).await?;
    assert_eq!(case.read().await?, 0);

    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.catch_up(LIMIT).await?;
    // The setting is changed after the check at the start: a compressed event must stop the task and must not be ignored.
    case.servers.source.execute(&["SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress_min_len = 10"]).await?;
    case.servers.source.execute(&["INSERT INTO maria_odd.t VALUES (50, REPEAT('x', 20))"]).await?;
    ended(&mut case, 1, &["E_UNSUPPORTED_EVENT", "log_bin_compress"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_that_changes_its_domain_continues_by_its_gtids() -> Result<()> {
    let mut case = own(Flavor::MariaDb, &[], "maria_id").await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let source = case.source_mut()?;
    source.stop().await?;
    source.set_options(&["--gtid-domain-id=7"]);
    source.resume().await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let output = case.task.output();
    assert!(output.contains("another server took over") && output.contains("domain 7"), "{output}");
    case.task.stop().await?;
    case.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_the_server() -> Result<()> {
    for (flavor, texts) in [(Flavor::MySql80, ["MySQL", "8.0.15"]), (Flavor::MariaDb, ["MariaDB", "10.11"])] {
        let servers = Servers::shared_of(flavor).await?;
        let name = format!("named_{}", flavor.name());
        create_small(&servers.source, &name).await?;
        let case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        let output = super::case::program().command(&["check", &case.task.file().display().to_string()]).output()?;
        let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let line = console.lines().find(|line| line.contains(" server ")).ok_or_else(|| Failure::new(console.clone()))?;
        assert!(output.status.success() && texts.iter().all(|text| line.contains(text)), "{console}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_about_a_selected_database_is_delivered() -> Result<()> {
    for flavor in Flavor::ALL {
        let servers = Servers::shared_of(flavor).await?;
        let name = format!("db_{}", flavor.name());
        create_small(&servers.source, &name).await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        case.settings.tables.push(format!("{name}_more.*"));
        case.task.configure(&case.settings)?;
        // The binlog of PolarDB-X lags behind. The stream must not begin before the statements above, or it delivers them.
        case.servers.source.position().await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        let statements = [
            format!("CREATE DATABASE {name}_more CHARACTER SET latin1"),
            format!("ALTER DATABASE {name}_more CHARACTER SET utf8mb4"),
            format!("DROP DATABASE {name}_more"),
        ];
        case.servers.source.execute(&[&format!("CREATE DATABASE {name}_other")]).await?;
        case.servers.source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
        let mut told = Vec::new();
        for entry in &case.entries {
            if let Decoded::Schema { database, sql } = case.settings.format.decode(&entry.value)? {
                assert_eq!(database, format!("{name}_more"), "{sql}");
                told.push(sql);
            }
        }
        // ALTER DATABASE is not delivered: it changes only options of the database, which readers of rows cannot use.
        let [made, _altered, dropped] = statements;
        assert_eq!(told, [made, dropped]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_inside_an_event_or_a_transaction() -> Result<()> {
    for flavor in Flavor::ALL {
        let servers = Servers::shared_of(flavor).await?;
        let name = format!("inside_{}", flavor.name());
        create_small(&servers.source, &name).await?;
        let mut case = Case::new(servers.clone(), &name, Format::CanalJson, 1, vec![]).await?;
        let (file, offset) = servers.source.position().await?;
        servers.source.execute(&[&format!("INSERT INTO {name}.t VALUES (10, 'ten')")]).await?;
        // The binlog of PolarDB-X lags behind. This waits until it has the row.
        servers.source.position().await?;
        let mut connection = servers.source.connect().await?;
        let events: Vec<mysql_async::Row> = connection.query(format!("SHOW BINLOG EVENTS IN '{file}' FROM {offset} LIMIT 20")).await?;
        let position_of = |wanted: &str| {
            let found = events.iter().find(|row| row.get::<String, _>("Event_type").is_some_and(|kind| kind == wanted));
            found.and_then(|row| row.get::<u64, _>("Pos")).ok_or_else(|| Failure::new(format!("no event {wanted}")))
        };
        let table_map = position_of("Table_map")?;
        // PolarDB-X refuses to send anything from a place where no event begins, as if the account might not read the binlog.
        let places = [(table_map, "in the middle of"), (offset + 7, "no event begins there")];
        for (at, why) in places.into_iter().take(if flavor == Flavor::PolarDbX { 1 } else { 2 }) {
            case.settings.source = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {at} }}");
            case.task.configure(&case.settings)?;
            refused(&mut case, 2, &["source.polardbx.start", &at.to_string(), why]).await?;
        }
        case.settings.source = format!("phases = [\"incremental\"]\nstart.position = {{ file = {file:?}, offset = {offset} }}");
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        assert_eq!(case.rows_of("t", "id")?, ["10"]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ddl_on_other_tables_and_ddl_that_servers_rewrite() -> Result<()> {
    for flavor in Flavor::ALL {
        let servers = Servers::shared_of(flavor).await?;
        let name = format!("elsewhere_{}", flavor.name());
        create_small(&servers.source, &name).await?;
        servers
            .source
            .execute(&[
                &format!("ALTER DATABASE {name} CHARACTER SET utf8mb4"),
                &format!("CREATE DATABASE {name}_other"),
                &format!("CREATE TABLE {name}.bytes (id INT PRIMARY KEY, e ENUM('a','z') CHARACTER SET binary)"),
                &format!("INSERT INTO {name}.bytes VALUES (1, 'z'), (2, NULL)"),
            ])
            .await?;
        let mut case = Case::new(servers, &name, Format::DtsAvro, 1, vec![Table::new(&name, "t"), Table::new(&name, "bytes")]).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        let source = &case.servers.source;
        // None of these statements is about a selected table, and none changes the selected database.
        source
            .execute(&[
                "SET NAMES binary",
                &format!("USE {name}_other"),
                "CREATE TABLE x (id INT PRIMARY KEY) COMMENT 'é'",
                &format!("CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET gbk"),
            ])
            .await?;
        if flavor == Flavor::MariaDb {
            let waits = format!("ALTER TABLE {name}_other.x WAIT 3 COMMENT 'x'");
            source.execute(&[&format!("USE {name}"), &waits, &format!("RENAME TABLE {name}_other.x NOWAIT TO {name}_other.y")]).await?;
        }
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.task.start()?;
        // MySQL 8 does not accept the clause `CHARSET=DEFAULT` any more.
        let charset = if matches!(flavor, Flavor::MySql80 | Flavor::MySqlNewest) { "" } else { "CHARSET=DEFAULT" };
        case.servers
            .source
            .execute(&[
                "SET sql_mode = ''",
                &format!("CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET latin1"),
                &format!("CREATE TABLE {name}.late (id INT PRIMARY KEY, a VARCHAR(20), b VARCHAR(70000), c VARBINARY(70000)) {charset}"),
                &format!("INSERT INTO {name}.late VALUES (1, 'é☃', REPEAT('ü', 66000), REPEAT('x', 66000))"),
                &format!("CREATE TABLE {name}.labels (id INT PRIMARY KEY, e ENUM(x'c3a9','z',0x61), s SET('é',0x62) CHARACTER SET binary)"),
                &format!("INSERT INTO {name}.labels VALUES (1, 1, 3), (2, 'a', 2)"),
                &format!("INSERT INTO {name}.bytes VALUES (3, 'a')"),
            ])
            .await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.tables.extend(["late", "labels"].map(|table| Table::new(&name, table)));
        case.verify(0).await?;
    }
    Ok(())
}
