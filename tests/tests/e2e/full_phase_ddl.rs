//! Tables that are altered, dropped or renamed in the middle of the full phase, while rows are written and the program is killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Expected, Format, Table, verify_entries};
use tests::harness::{Database, Entry, Flavor};
use tests::{Failure, Result};
use tokio::task::JoinHandle;

use super::case::{Case, Servers, alone};
use super::refusals::ended;

const LIMIT: Duration = Duration::from_secs(120);
const ROWS: u64 = 6000;
const READ_AGAIN: &str = "is read again from its first row";

/// Statements that change the schema of the table `t`, and whether rows have other keys behind them, or the same keys with another type.
const STATEMENTS: &[(&str, bool)] = &[
    ("ALTER TABLE t ADD c INT NOT NULL DEFAULT 7 AFTER a, ADD d VARCHAR(9) DEFAULT 'x' FIRST", false),
    ("ALTER TABLE t DROP b", false),
    ("ALTER TABLE t MODIFY a VARCHAR(20) CHARACTER SET utf8", false),
    ("ALTER TABLE t MODIFY v VARCHAR(40) CHARACTER SET latin1 FIRST", false),
    ("ALTER TABLE t CHANGE a b INT, CHANGE b a INT", false),
    ("ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", false),
    ("ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (n, id)", true),
    ("ALTER TABLE t MODIFY id BIGINT UNSIGNED NOT NULL, MODIFY a DECIMAL(12,2)", true),
];

/// Creates a database with the table `t` of many rows between two small tables.
async fn create(mysql: &Database, name: &str) -> Result<()> {
    let mut setup = vec![format!("CREATE DATABASE {name}"), format!("USE {name}")];
    for table in ["a_first", "z_last"] {
        setup.push(format!("CREATE TABLE {table} (id INT PRIMARY KEY, a INT)"));
        setup.push(format!("INSERT INTO {table} VALUES (1, 1), (2, 2), (3, 3)"));
    }
    setup.push("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, a INT, b INT, v VARCHAR(40) CHARACTER SET latin1)".into());
    for part in 0..ROWS / 1000 {
        let rows: Vec<String> = (part * 1000..(part + 1) * 1000).map(|id| format!("({id}, 0, {id}, -{id}, 'caf\u{e9} {id}')")).collect();
        setup.push(format!("INSERT INTO t VALUES {}", rows.join(",")));
    }
    mysql.execute(&setup.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn case(servers: &Servers, name: &str, format: Format, more: &str) -> Result<Case> {
    create(&servers.source, name).await?;
    let tables = ["a_first", "t", "z_last"].map(|table| Table::new(name, table)).to_vec();
    let mut case = Case::new(servers.clone(), name, format, 1, tables).await?;
    case.settings.source = format!("handover = \"sequential\"\nchunk_rows = 20\nparallelism = 2\n{more}");
    case.task.configure(&case.settings)?;
    Ok(case)
}

/// Changes rows of `t` with statements that suit each of its schemas.
struct Writer(JoinHandle<Result<u64>>, Arc<AtomicBool>);

impl Writer {
    async fn start(mysql: &Database, name: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connection = mysql.connect().await?;
        connection.query_drop(format!("USE {name}")).await?;
        let (mut rng, stopped) = (Rng::with_seed(7), stop.clone());
        let writing = async move {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                let id = rng.u64(..ROWS + 500);
                connection
                    .query_drop(match rng.u8(..4) {
                        0 => format!("INSERT IGNORE INTO t (id, n) VALUES ({id}, {count})"),
                        1 => format!("DELETE FROM t WHERE id = {id}"),
                        _ => format!("UPDATE IGNORE t SET n = n + 1, a = 5 WHERE id = {id}"),
                    })
                    .await?;
                count += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            connection.disconnect().await?;
            Ok(count)
        };
        Ok(Self(tokio::spawn(writing), stop))
    }

    async fn stop(self) -> Result<u64> {
        self.1.store(true, Ordering::Relaxed);
        self.0.await?
    }
}

/// What the records of `t` say, in their order: the columns of each row, or `None` for a statement that begins with `statement`.
fn schemas(case: &Case, statement: &str) -> Result<Vec<Option<BTreeSet<String>>>> {
    let mut found = Vec::new();
    for entry in &case.entries {
        match case.settings.format.decode(&entry.value)? {
            Decoded::Rows(rows) => {
                let of_table = rows.into_iter().filter(|row| row.table.name == "t");
                found.extend(of_table.filter_map(|row| row.after.or(row.before)).map(|image| Some(image.into_keys().collect())));
            }
            Decoded::Schema { sql, .. } if sql.starts_with(statement) => found.push(None),
            Decoded::Schema { .. } | Decoded::Control => {}
        }
    }
    Ok(found)
}

/// The records behind the last statement that begins with `statement`, and all records of other tables.
fn behind(case: &Case, statement: &str) -> Result<Vec<Entry>> {
    let (mut kept, mut of_table) = (Vec::new(), Vec::new());
    for entry in &case.entries {
        match case.settings.format.decode(&entry.value)? {
            Decoded::Schema { sql, .. } if sql.starts_with(statement) => of_table.clear(),
            Decoded::Rows(rows) if rows.iter().all(|row| row.table.name == "t") => of_table.push(entry.clone()),
            _ => kept.push(entry.clone()),
        }
    }
    kept.extend(of_table);
    kept.sort_by_key(|entry| entry.offset);
    Ok(kept)
}

/// Alters `t` while its rows are read, kills the program `kills` times around that, and compares the topic with the source.
async fn altered(flavor: Flavor, format: Format, number: usize, kills: usize) -> Result<()> {
    let (sql, changes_key) = STATEMENTS[number];
    let name = format!("full_ddl_{}_{}_{number}_{kills}", flavor.name(), format.name());
    let servers = Servers::shared_of(flavor).await?;
    let phases = if number.is_multiple_of(2) { "phases = [\"schema\", \"full\", \"incremental\"]" } else { "" };
    let mut case = case(&servers, &name, format, phases).await?;
    let writer = Writer::start(&servers.source, &name).await?;
    case.task.start()?;
    case.wait_for_records(300, LIMIT).await?;
    let statement = async {
        let mut connection = servers.source.connect().await?;
        connection.query_drop(format!("USE {name}")).await?;
        connection.query_drop(sql).await?;
        Ok::<_, Failure>(connection.disconnect().await?)
    };
    let (mut rng, mut output) = (Rng::with_seed(number as u64 + kills as u64 * 100), String::new());
    let killing = async {
        for _ in 0..kills {
            tokio::time::sleep(Duration::from_millis(rng.u64(..900))).await;
            case.task.must_run()?;
            case.task.kill()?;
            output += &case.task.output();
            case.task.start()?;
        }
        Ok::<_, Failure>(())
    };
    let (altered, killed) = tokio::join!(statement, killing);
    altered?;
    killed?;
    case.catch_up(LIMIT).await?;
    let written = writer.stop().await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    output += &case.task.output();
    assert!(output.contains(READ_AGAIN), "{sql}: the statement did not come while the rows were read:\n{output}");
    assert!(written > 100, "{written} changes");

    let start = "ALTER TABLE ";
    let found = schemas(&case, start)?;
    let (first, last) = (found.iter().position(Option::is_none), found.iter().rposition(Option::is_none));
    let (Some(first), Some(last)) = (first, last) else { return Failure::err(format!("no record of {sql}")) };
    assert!(kills > 0 || first == last, "the statement comes twice");
    let kinds = |rows: &[Option<BTreeSet<String>>]| rows.iter().flatten().cloned().collect::<BTreeSet<_>>();
    assert_eq!((kinds(&found[..first]).len(), kinds(&found[last + 1..]).len()), (1, 1), "rows of one schema at each side of {sql}");
    // Behind the statement, the topic has the whole table.
    let expected = Expected { format, cut_chunks: usize::MAX, late: case.task.late_records()?, in_band: false };
    let tables = [case.tables.clone(), vec![Table::new(&name, "fence")]].concat();
    verify_entries(&servers.source, &tables, behind(&case, start)?, expected).await.map_err(|error| error.context(sql))?;
    if !changes_key {
        let report = case.verify(if kills == 0 { 1 } else { usize::MAX }).await.map_err(|error| error.context(sql))?;
        assert!(report.snapshot_rows as u64 > ROWS, "{report:?}");
    }
    Ok(())
}

async fn every_statement(flavor: Flavor, kills: usize) -> Result<()> {
    for number in 0..STATEMENTS.len() {
        let format = [Format::CanalJson, Format::DtsAvro][(number + kills) % 2];
        altered(flavor, format, number, kills).await.map_err(|error| error.context(format!("{} {kills} kills", flavor.name())))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_altered_while_it_is_read_is_read_again() -> Result<()> {
    for flavor in Flavor::ALL {
        every_statement(flavor, 0).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_around_the_statement_lose_nothing() -> Result<()> {
    let _turn = alone().await;
    for (number, flavor) in Flavor::ALL.into_iter().enumerate() {
        for (format, number) in [(Format::CanalJson, 2 * number), (Format::DtsAvro, 7 - 2 * number)] {
            altered(flavor, format, number, 4).await.map_err(|error| error.context(format!("{} 4 kills", flavor.name())))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn many_kills_around_every_statement_lose_nothing() -> Result<()> {
    let _turn = alone().await;
    for flavor in Flavor::ALL {
        for kills in [1, 2, 3, 8] {
            every_statement(flavor, kills).await?;
        }
    }
    Ok(())
}

/// Executes statements in the database of a case once the first rows of `t` are read.
async fn in_the_middle(case: &mut Case, statements: &[&str]) -> Result<()> {
    case.task.start()?;
    case.wait_for_records(200, LIMIT).await?;
    let used = format!("USE {}", case.database);
    case.servers.source.execute(&[&[used.as_str()], statements].concat()).await
}

async fn until_output(case: &mut Case, text: &str) -> Result<()> {
    let start = Instant::now();
    while !case.task.output().contains(text) {
        case.task.must_run()?;
        if start.elapsed() > LIMIT {
            return Failure::err(format!("no {text:?}:\n{}", case.task.output()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_altered_again_while_it_is_read_again() -> Result<()> {
    for flavor in Flavor::ALL {
        let name = format!("full_ddl_twice_{}", flavor.name());
        let servers = Servers::shared_of(flavor).await?;
        let mut case = case(&servers, &name, Format::CanalJson, "").await?;
        let writer = Writer::start(&servers.source, &name).await?;
        in_the_middle(&mut case, &["ALTER TABLE t ADD c INT DEFAULT 1", "ALTER TABLE z_last ADD c INT DEFAULT 1"]).await?;
        until_output(&mut case, READ_AGAIN).await?;
        servers.source.execute(&[&format!("ALTER TABLE {name}.t DROP c, ADD e INT DEFAULT 3")]).await?;
        case.catch_up(LIMIT).await?;
        writer.stop().await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        assert!(case.task.output().matches(READ_AGAIN).count() >= 2, "{}", case.task.output());
        case.verify(usize::MAX).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_stops_at_an_altered_table_until_the_other_value_is_set() -> Result<()> {
    for (flavor, phases) in [(Flavor::MySql57, ""), (Flavor::MariaDb, ""), (Flavor::MySql80, "phases = [\"full\"]")] {
        let name = format!("full_ddl_fail_{}", flavor.name());
        let servers = Servers::shared_of(flavor).await?;
        let mut case = case(&servers, &name, Format::CanalJson, &format!("on_ddl_in_full = \"fail\"\n{phases}")).await?;
        in_the_middle(&mut case, &["ALTER TABLE t ADD c INT DEFAULT 1"]).await?;
        let table = format!("{name}.t");
        let said = ["E_SCHEMA_CHANGED", table.as_str(), "the column `c` is new", "source.polardbx.on_ddl_in_full"];
        ended(&mut case, 1, &said).await?;
        ended_again(&mut case, &said).await?;
        case.settings.source = format!("handover = \"sequential\"\nchunk_rows = 20\n{phases}");
        case.task.configure(&case.settings)?;
        case.task.start()?;
        if phases.is_empty() {
            case.catch_up(LIMIT).await?;
            case.task.stop().await?;
        } else {
            assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
        }
        case.verify(usize::MAX).await?;
    }
    Ok(())
}

/// A new start ends in the same way.
async fn ended_again(case: &mut Case, said: &[&str]) -> Result<()> {
    case.task.start()?;
    ended(case, 1, said).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_and_renamed_tables_end_nothing() -> Result<()> {
    for flavor in Flavor::ALL {
        for (number, (statements, left)) in [
            (&["DROP TABLE t"][..], &["a_first", "z_last"][..]),
            (&["RENAME TABLE t TO u"], &["a_first", "u", "z_last"]),
            (
                &["CREATE TABLE s LIKE t", "ALTER TABLE s ADD c INT DEFAULT 4", "RENAME TABLE t TO o, s TO t"],
                &["a_first", "o", "t", "z_last"],
            ),
            (
                &["DROP TABLE t", "CREATE TABLE t (id INT PRIMARY KEY, w INT)", "INSERT INTO t VALUES (1, 2), (9999, 3)"],
                &["a_first", "t", "z_last"],
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let format = [Format::CanalJson, Format::DtsAvro][number % 2];
            for value in ["restart_table", "fail"] {
                // A table of another schema under the same name is no table that was dropped.
                if value == "fail" && number > 1 {
                    continue;
                }
                let name = format!("full_gone_{}_{number}_{value}", flavor.name());
                let servers = Servers::shared_of(flavor).await?;
                let mut case = case(&servers, &name, format, &format!("on_ddl_in_full = {value:?}")).await?;
                in_the_middle(&mut case, statements).await?;
                case.catch_up(LIMIT).await?;
                case.task.stop().await?;
                case.tables = left.iter().map(|table| Table::new(&name, *table)).collect();
                let start = if statements[0].starts_with("DROP") { "DROP TABLE" } else { "RENAME TABLE" };
                // The checker does not give rows to another table at a RENAME, so the rows before it are left out.
                let expected = Expected { format, cut_chunks: usize::MAX, late: 0, in_band: false };
                let verified = verify_entries(&servers.source, &case.tables, behind(&case, start)?, expected).await;
                verified.map_err(|error| error.context(format!("{name} {statements:?}")))?;
                assert!(schemas(&case, start)?.contains(&None), "{name}: the statement is missing");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_streams_are_read_to_the_statement() -> Result<()> {
    let source = Arc::new(Database::start(Flavor::PolarDbX, &["--standin-set=streams=3", "--standin-set=more_streams=2"]).await?);
    let servers = Servers { source, kafka: Servers::shared().await?.kafka };
    let name = "full_ddl_streams";
    let mut case = case(&servers, name, Format::CanalJson, "stream_group = \"group1\"").await?;
    let writer = Writer::start(&servers.source, name).await?;
    in_the_middle(&mut case, &["ALTER TABLE t ADD c INT DEFAULT 1"]).await?;
    until_output(&mut case, READ_AGAIN).await?;
    case.task.kill()?;
    case.task.start()?;
    writer.stop().await?;
    case.catch_up(LIMIT).await?;
    // A row of each of the other streams follows.
    servers.source.execute(&[&format!("UPDATE {name}.t SET a = 77 WHERE id % 100 = 0")]).await?;
    let start = Instant::now();
    loop {
        case.read().await?;
        match case.verify(usize::MAX).await {
            Ok(_) => break,
            Err(error) if start.elapsed() > LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
    case.task.stop().await?;
    let statements = schemas(&case, "ALTER TABLE")?.iter().filter(|entry| entry.is_none()).count();
    assert_eq!(statements, 1, "{}", case.task.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_prepared_before_the_statement_and_committed_behind_it() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        // A prepared transaction delays the start of other tasks.
        let servers = Servers { source: Arc::new(Database::start(flavor, &[]).await?), kafka: Servers::shared().await?.kafka };
        let name = format!("full_ddl_xa_{}", flavor.name());
        let mut case = case(&servers, &name, Format::DtsAvro, "").await?;
        let mut connection = servers.source.connect().await?;
        case.task.start()?;
        case.wait_for_records(200, LIMIT).await?;
        for sql in [&format!("USE {name}"), "XA START 'x'", "INSERT INTO a_first VALUES (77, 1)", "UPDATE z_last SET a = 9"] {
            connection.query_drop(sql).await?;
        }
        for sql in ["XA END 'x'", "XA PREPARE 'x'"] {
            connection.query_drop(sql).await?;
        }
        servers.source.execute(&[&format!("ALTER TABLE {name}.t ADD c INT DEFAULT 1")]).await?;
        until_output(&mut case, READ_AGAIN).await?;
        case.task.kill()?;
        case.task.start()?;
        connection.query_drop("XA COMMIT 'x'").await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(usize::MAX).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_stream_a_table_is_read_again_behind_its_new_definition() -> Result<()> {
    for (flavor, format) in [(Flavor::MySql57, Format::CanalJson), (Flavor::MySql80, Format::DtsAvro), (Flavor::MariaDb, Format::CanalJson)]
    {
        for (number, phases) in ["phases = [\"schema\", \"full\"]", "phases = [\"full\"]"].into_iter().enumerate() {
            let name = format!("full_only_{}_{number}", flavor.name());
            let servers = Servers::shared_of(flavor).await?;
            let mut case = case(&servers, &name, format, phases).await?;
            in_the_middle(&mut case, &["ALTER TABLE t DROP b, ADD c INT DEFAULT 8 FIRST"]).await?;
            case.task.kill()?;
            case.task.start()?;
            assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
            case.verify(usize::MAX).await?;
            let found = schemas(&case, "DROP TABLE IF EXISTS `t`")?;
            let last = found.iter().rposition(Option::is_none);
            assert_eq!(last.is_some(), number == 0, "{name}");
            if let Some(last) = last {
                let kinds = |rows: &[Option<BTreeSet<String>>]| rows.iter().flatten().cloned().collect::<BTreeSet<_>>().len();
                assert_eq!((kinds(&found[..last]), kinds(&found[last..])), (1, 1), "{name}");
                let created = schemas(&case, "CREATE TABLE `t`")?.iter().filter(|entry| entry.is_none()).count();
                assert!(created >= 2, "{name}: {created}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_dropped_in_a_full_phase_without_a_stream_ends_nothing() -> Result<()> {
    let servers = Servers::shared().await?;
    let mut case = case(&servers, "full_only_dropped", Format::CanalJson, "phases = [\"full\"]").await?;
    in_the_middle(&mut case, &["DROP TABLE t, z_last"]).await?;
    assert_eq!(case.task.wait(LIMIT).await?, 0, "{}", case.task.output());
    let output = case.task.output();
    assert!(["full_only_dropped.t", "full_only_dropped.z_last"].iter().all(|table| output.contains(table)), "{output}");
    case.tables = vec![Table::new("full_only_dropped", "a_first")];
    case.verify(0).await?;
    Ok(())
}
