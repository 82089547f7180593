//! The full phase inside the stream, under writers and kills: no key goes back in time, and no row comes twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Format, Report, Table};
use tests::harness::{Database, Flavor};
use tests::workload::{Writers, writers};
use tests::{Failure, Result};

use super::case::{Case, MERGED, Servers, program};

const LIMIT: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_merged_into_the_stream_under_writers() -> Result<()> {
    under_writers("band_json", Flavor::MySql57, Format::CanalJson, 1, 0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_in_the_full_phase_repeat_and_lose_nothing() -> Result<()> {
    under_writers("band_kills", Flavor::MySql57, Format::DtsAvro, 4, 10).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn kills_in_the_full_phase_on_every_server_repeat_and_lose_nothing() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb, Flavor::PolarDbX] {
        for format in [Format::CanalJson, Format::DtsAvro] {
            for partitions in [1, 4] {
                let name = format!("band_{flavor:?}_{}_{partitions}", format.name()).to_lowercase();
                under_writers(&name, flavor, format, partitions, 13).await?;
            }
        }
    }
    Ok(())
}

/// Runs a task whose chunks are small while writers change the same rows, and kills it `kills` times while its full phase runs.
async fn under_writers(name: &str, flavor: Flavor, format: Format, partitions: i32, kills: usize) -> Result<Report> {
    const ROWS: u64 = 4_000;
    let servers = Servers::shared_of(flavor).await?;
    let tables = writers::create_tables(&servers.source, name, ROWS).await?;
    let mut case = Case::new(servers.clone(), name, format, partitions, tables).await?;
    case.settings.source = "handover = \"in_band\"\nchunk_rows = 8\nparallelism = 3".into();
    if partitions > 1 {
        case.settings.sink = "partition = \"primary_key\"\nkey_change = \"split\"".into();
    }
    case.task.configure(&case.settings)?;
    let writers = Writers::start(&servers.source, name, 4, Duration::from_millis(2), 7).await?;
    let (mut rng, mut in_full) = (fastrand::Rng::with_seed(16), 0);
    for _ in 0..kills {
        case.task.start()?;
        tokio::time::sleep(Duration::from_millis(rng.u64(600..1600))).await;
        case.task.must_run()?;
        case.task.kill()?;
        in_full += usize::from(!case.task.has_said(MERGED)?);
    }
    case.task.start()?;
    case.end_of_full_phase(LIMIT).await?;
    let written = writers.stop().await?;
    assert!(written.committed > 100, "{written:?}");
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    println!("{name}: {in_full} of {kills} kills in the full phase; {written:?}");
    assert!(report.snapshot_rows > 500 && report.stream_rows > 100, "{report:?}");
    assert!(in_full >= kills * 2 / 3, "only {in_full} of {kills} kills fell into the full phase");
    Ok(report)
}

/// Commits are slow: for a part of a second they are in the binlog, and SELECT does not see them. Without the barrier the rows of chunks are
/// older than the changes before them, which the checker must find. With it nothing is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_commits_need_the_barrier() -> Result<()> {
    const WRITERS: usize = 10;
    let servers =
        Servers { source: Arc::new(Database::start(Flavor::MySql57, &["--sync-binlog=0"]).await?), kafka: Servers::shared().await?.kafka };
    for (name, has_barrier) in [("band_slow", true), ("band_bites", false)] {
        create_numbered(&servers.source, name, &["t"], 4_000).await?;
        let mut case = Case::new(servers.clone(), name, Format::CanalJson, 1, vec![Table::new(name, "t")]).await?;
        case.settings.source = "handover = \"in_band\"\nchunk_rows = 8\nparallelism = 2\nbarrier_delay_ms = 0".into();
        case.task.configure(&case.settings)?;
        let set = |micros: u32| format!("SET GLOBAL binlog_group_commit_sync_delay = {micros}");
        if !has_barrier {
            // The account cannot write the marker row, and the wait in its place is too short for any commit.
            servers.source.execute(&["REVOKE ALL ON dts_health_check.* FROM 'dts'@'%'"]).await?;
        }
        servers.source.execute(&[&set(300_000)]).await?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..WRITERS {
            let (mut connection, stopped) = (servers.source.connect().await?, stopped.clone());
            let sql =
                format!("UPDATE {name}.t SET v = CONCAT('changed ', LEFT(MD5(CONCAT(id, NOW(6))), 9)) WHERE id % {WRITERS} = {number}");
            writers.spawn(async move {
                while !*stopped.borrow() {
                    connection.query_drop(&sql).await?;
                }
                Ok::<_, Failure>(())
            });
        }
        case.task.start()?;
        case.end_of_full_phase(LIMIT).await?;
        stop.send_replace(true);
        while let Some(ended) = writers.join_next().await {
            ended.map_err(|error| Failure::new(error.to_string()))??;
        }
        servers.source.execute(&[&set(0)]).await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        match case.verify(0).await {
            Ok(report) => assert!(has_barrier && report.snapshot_rows > 0, "the test finds nothing without the barrier: {report:?}"),
            Err(wrong) => assert!(!has_barrier && wrong.to_string().contains("not what the changes before it left"), "{wrong}"),
        }
    }
    Ok(())
}

/// Creates a database with tables of `rows` rows, whose texts begin with the name of their table.
async fn create_numbered(mysql: &Database, database: &str, tables: &[&str], rows: u64) -> Result<()> {
    mysql.execute(&[&format!("CREATE DATABASE {database}")]).await?;
    for table in tables {
        let digits = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL \
                      SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)";
        let number = "a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n";
        mysql
            .execute(&[
                &format!("CREATE TABLE {database}.{table} (id INT NOT NULL PRIMARY KEY, v VARCHAR(40) NOT NULL)"),
                &format!(
                    "INSERT INTO {database}.{table} SELECT {number}, CONCAT('{table} ', a.n) \
                     FROM {digits} a, {digits} b, {digits} c, {digits} d, {digits} e WHERE {number} < {rows}"
                ),
            ])
            .await?;
    }
    Ok(())
}

/// Starts a task with small chunks, and waits until some rows of its first table are read.
async fn begin(servers: &Servers, name: &str, tables: &[&str]) -> Result<Case> {
    let tables = tables.iter().map(|table| Table::new(name, *table)).collect();
    let mut case = Case::new(servers.clone(), name, Format::DtsAvro, 1, tables).await?;
    case.settings.source = "handover = \"in_band\"\nchunk_rows = 20\nparallelism = 4".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.wait_for_records(2_000, LIMIT).await?;
    Ok(case)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_in_the_full_phase_begin_only_their_table_again() -> Result<()> {
    const NAME: &str = "band_ddl";
    const ROWS: u64 = 16_000;
    let servers = Servers::shared().await?;
    create_numbered(&servers.source, NAME, &["altered", "emptied", "later", "moved", "quiet"], ROWS).await?;
    let mut case = begin(&servers, NAME, &["altered", "emptied", "later", "arrived", "quiet"]).await?;
    servers
        .source
        .execute(&[
            &format!("UPDATE {NAME}.altered SET v = 'before' WHERE id < 5 OR id > {}", ROWS - 5),
            &format!("ALTER TABLE {NAME}.altered ADD COLUMN extra INT NULL FIRST"),
            &format!("UPDATE {NAME}.altered SET extra = id WHERE id % 1000 = 0"),
            // Nothing of this table is read yet.
            &format!("UPDATE {NAME}.later SET v = 'before' WHERE id < 5"),
            &format!("ALTER TABLE {NAME}.later ADD COLUMN extra INT NULL"),
            &format!("TRUNCATE TABLE {NAME}.emptied"),
            &format!("INSERT INTO {NAME}.emptied VALUES (1, 'one'), (2, 'two')"),
            &format!("RENAME TABLE {NAME}.moved TO {NAME}.arrived"),
            &format!("DELETE FROM {NAME}.arrived WHERE id % 100 = 0"),
        ])
        .await?;
    case.end_of_full_phase(LIMIT).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let quiet = case.rows_of("quiet", "id")?.len() as u64;
    assert_eq!(quiet, ROWS, "the rows of the other table are read once");
    case.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_exchange_their_names_in_the_full_phase_lose_no_row() -> Result<()> {
    const NAME: &str = "band_swap";
    let tables = ["one", "two"];
    let servers = Servers::shared().await?;
    create_numbered(&servers.source, NAME, &tables, 16_000).await?;
    let mut case = begin(&servers, NAME, &tables).await?;
    servers.source.execute(&[&format!("RENAME TABLE {NAME}.one TO {NAME}.x, {NAME}.two TO {NAME}.one, {NAME}.x TO {NAME}.two")]).await?;
    case.end_of_full_phase(LIMIT).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_without_a_key_are_exact_under_writers_and_kills() -> Result<()> {
    keyless(Flavor::MySql57, 4).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn tables_without_a_key_are_exact_on_every_server() -> Result<()> {
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb, Flavor::PolarDbX] {
        keyless(flavor, 10).await?;
    }
    Ok(())
}

/// Writes to tables without a key while a task reads them, and kills it `kills` times. Each row must come as often as it is in the table.
async fn keyless(flavor: Flavor, kills: usize) -> Result<()> {
    const TABLES: [&str; 3] = ["heap", "quiet", "tables"];
    let name = format!("band_keyless_{flavor:?}").to_lowercase();
    let servers = Servers::shared_of(flavor).await?;
    let source = &servers.source;
    source.execute(&[&format!("CREATE DATABASE {name}")]).await?;
    let values = (0..500).map(|id| format!("({id}, 'row {}')", id % 50)).collect::<Vec<_>>().join(", ");
    for table in TABLES {
        source.execute(&[&format!("CREATE TABLE {name}.{table} (id INT, v VARCHAR(40))")]).await?;
        for _ in 0..8 {
            source.execute(&[&format!("INSERT INTO {name}.{table} VALUES {values}")]).await?;
        }
    }
    // A table with a key makes the full phase last longer.
    source
        .execute(&[
            &format!("CREATE TABLE {name}.keyed (id INT PRIMARY KEY, v VARCHAR(40))"),
            &format!("INSERT INTO {name}.keyed VALUES {}", (0..3000).map(|id| format!("({id}, 'x')")).collect::<Vec<_>>().join(", ")),
        ])
        .await?;
    let mut case = Case::new(servers.clone(), &name, Format::CanalJson, 1, Vec::new()).await?;
    case.settings.source = "handover = \"in_band\"\nchunk_rows = 8\nparallelism = 3".into();
    case.task.configure(&case.settings)?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = {
        let (servers, name) = (servers.clone(), name.clone());
        tokio::spawn(async move {
            let mut connection = servers.source.connect().await?;
            let mut rng = fastrand::Rng::with_seed(3);
            let mut written = 0;
            while !*stopped.borrow() {
                // `quiet` is changed seldom, `heap` often.
                let table = if rng.u8(..20) == 0 { "quiet" } else { "heap" };
                let (id, other) = (rng.u32(..500), rng.u32(..1000));
                connection
                    .query_drop(match rng.u8(..4) {
                        0 => format!("INSERT INTO {name}.{table} VALUES ({id}, 'new'), ({id}, 'new'), (NULL, NULL)"),
                        1 => format!("DELETE FROM {name}.{table} WHERE id = {id} LIMIT 2"),
                        2 => format!("UPDATE {name}.{table} SET id = {other} WHERE id = {id} LIMIT 1"),
                        _ => format!("UPDATE {name}.{table} SET v = 'changed {other}' WHERE id = {id}"),
                    })
                    .await?;
                written += 1;
                // There the rows are read between two timestamps, more than a second apart, so the table has to be quiet for a while.
                let is_slow = flavor == Flavor::PolarDbX && written % 40 == 0;
                tokio::time::sleep(Duration::from_millis(if is_slow { 4_000 } else { rng.u64(5..60) })).await;
            }
            Ok::<_, Failure>(written)
        })
    };
    let (mut rng, mut in_full) = (fastrand::Rng::with_seed(8), 0);
    for _ in 0..kills {
        case.task.start()?;
        tokio::time::sleep(Duration::from_millis(rng.u64(500..1500))).await;
        case.task.must_run()?;
        case.task.kill()?;
        in_full += usize::from(!case.task.has_said(MERGED)?);
    }
    case.task.start()?;
    case.end_of_full_phase(LIMIT).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.send_replace(true);
    let written = writer.await.map_err(|error| Failure::new(error.to_string()))??;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert!(!case.task.has_said("may come twice")?);
    let mut connection = servers.source.connect().await?;
    for table in TABLES {
        let mut rows: BTreeMap<(Option<String>, Option<String>), i64> = BTreeMap::new();
        let (mut read, mut changed) = (0, 0);
        for entry in &case.entries {
            let Decoded::Rows(changes) = case.settings.format.decode(&entry.value)? else { continue };
            for change in changes.into_iter().filter(|change| change.table.name == table) {
                let header = tests::checker::Header::parse(entry.header.as_deref().unwrap_or_default())?;
                if header.snapshot() {
                    read += 1
                } else {
                    changed += 1
                }
                let of = |image: tests::checker::Image| (image.get("id").cloned().flatten(), image.get("v").cloned().flatten());
                for (image, by) in [(change.before, -1), (change.after, 1)] {
                    if let Some(image) = image {
                        let count = rows.entry(of(image)).or_default();
                        *count += by;
                        assert!(*count >= 0, "{table}: a row is gone before it came");
                    }
                }
            }
        }
        let now: Vec<(Option<String>, Option<String>, i64)> =
            connection.query(format!("SELECT CAST(id AS CHAR), v, COUNT(*) FROM {name}.{table} GROUP BY id, v")).await?;
        let now: BTreeMap<_, _> = now.into_iter().map(|(id, v, count)| ((id, v), count)).collect();
        rows.retain(|_, count| *count != 0);
        println!("{name}.{table}: {read} rows read, {changed} changed");
        assert!(rows == now, "{table}: the rows of the topic are not those of the source");
        assert!(read >= 3_000 && (changed > 0 || table != "heap" || flavor == Flavor::PolarDbX), "{table}: {read} read, {changed} changed");
    }
    println!("{name}: {in_full} of {kills} kills in the full phase, {written} statements");
    Ok(())
}

/// A table that gets a selected name, and one that is read again on demand, are read while other tables are streamed, and over kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_arrive_or_are_read_again_are_read_beside_the_stream() -> Result<()> {
    const NAME: &str = "band_later";
    const ROWS: u64 = 6_000;
    let servers = Servers::shared().await?;
    create_numbered(&servers.source, NAME, &["busy", "arrived", "outside"], ROWS).await?;
    servers
        .source
        .execute(&[&format!("RENAME TABLE {NAME}.arrived TO {NAME}.before"), &format!("RENAME TABLE {NAME}.outside TO {NAME}.old")])
        .await?;
    let mut case = Case::new(servers.clone(), NAME, Format::CanalJson, 1, vec![Table::new(NAME, "busy")]).await?;
    case.settings.tables = ["busy", "arrived", "outside", "fence"].map(|table| format!("{NAME}.{table}")).into();
    case.settings.source = "chunk_rows = 20\nparallelism = 2".into();
    case.settings.merged = true;
    // A table that does not exist yet can only be selected by a pattern.
    case.settings.tables[1] = format!("{NAME}.arr*");
    case.settings.tables[2] = format!("{NAME}.out*");
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = {
        let servers = servers.clone();
        tokio::spawn(async move {
            let (mut connection, mut rng) = (servers.source.connect().await?, fastrand::Rng::with_seed(5));
            while !*stopped.borrow() {
                let (id, other) = (rng.u64(..ROWS), rng.u64(..ROWS));
                connection.query_drop(format!("UPDATE {NAME}.busy SET v = 'b{other}' WHERE id = {id}")).await?;
                // Under either of its names.
                for table in ["before", "arrived"] {
                    match connection.query_drop(format!("UPDATE {NAME}.{table} SET v = 'a{id}' WHERE id = {other}")).await {
                        Err(mysql_async::Error::Server(error)) if error.code == 1146 => {}
                        done => done?,
                    }
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            Ok::<_, Failure>(())
        })
    };
    let mut rng = fastrand::Rng::with_seed(1);
    servers.source.execute(&[&format!("RENAME TABLE {NAME}.before TO {NAME}.arrived")]).await?;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(rng.u64(100..700))).await;
        case.task.must_run()?;
        case.task.kill()?;
        case.task.start()?;
    }
    case.add_table("arrived");
    let fence = case.fence().await?;
    case.reach(fence, LIMIT).await?;
    wait_for(&mut case, "all rows of the table are read table=\"band_later.arrived\"").await?;
    // All tables are read. Without a restart, another one comes.
    servers.source.execute(&[&format!("RENAME TABLE {NAME}.old TO {NAME}.outside")]).await?;
    wait_for(&mut case, "all rows of the table are read table=\"band_later.outside\"").await?;
    servers.source.execute(&[&format!("ALTER TABLE {NAME}.outside COMMENT 'later'")]).await?;
    let fence = case.fence().await?;
    case.reach(fence, LIMIT).await?;
    assert_eq!(case.task.output().matches(MERGED).count(), 2, "{}", case.task.output());
    case.task.stop().await?;
    // Two rows are changed where the task does not see it.
    let mut connection = servers.source.connect().await?;
    for statement in [
        "SET sql_log_bin = 0".to_owned(),
        format!("UPDATE {NAME}.busy SET v = 'unseen' WHERE id = 17"),
        format!("UPDATE {NAME}.busy SET v = 'unseen' WHERE id = 18"),
    ] {
        connection.query_drop(statement).await?;
    }
    let resnapshot = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let file = case.task.file().display().to_string();
        let arguments: Vec<&str> = ["resnapshot", &file].into_iter().chain(arguments.iter().copied()).collect();
        let output = program().command(&arguments).output()?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)))
    };
    for (arguments, wanted) in [
        (vec!["band_later.old"], "the task does not know it"),
        (vec!["band_later.busy", "--where", "nothing = 1"], "the server refuses to read it"),
        (vec!["band_later.busy", "--where", "id < ("], "the server refuses to read it"),
        (vec!["busy"], "TABLE is not valid"),
    ] {
        let (code, text) = resnapshot(&arguments)?;
        assert!(code == Some(2) && text.contains(wanted), "{arguments:?}: {code:?} {text}");
    }
    let (code, text) = resnapshot(&["band_later.busy", "--where", "id < 3000"])?;
    assert!(code == Some(0) && text.contains("reads the rows that meet the condition of band_later.busy again"), "{text}");
    let (code, text) = resnapshot(&["band_later.busy"])?;
    assert!(code == Some(2) && text.contains("being read already"), "{text}");
    let before = case.read().await?;
    case.task.start()?;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(rng.u64(100..600))).await;
        case.task.kill()?;
        case.task.start()?;
    }
    wait_for(&mut case, "all rows of the table are read table=\"band_later.busy\"").await?;
    stop.send_replace(true);
    writer.await.map_err(|error| Failure::new(error.to_string()))??;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let mut read = 0;
    for entry in &case.entries[before..] {
        let header = tests::checker::Header::parse(entry.header.as_deref().unwrap_or_default())?;
        read += usize::from(header.snapshot());
    }
    assert!((2_000..3_001).contains(&read), "{read} rows were read again");
    // Rows that are read twice on demand are no fault, and a change that is not in the binlog breaks the history of its row.
    let rows = case.rows_of("busy", "v")?;
    assert_eq!(rows.iter().filter(|value| *value == "unseen").count(), 2);
    Ok(())
}

/// Waits until the last run of the program has said this.
async fn wait_for(case: &mut Case, text: &str) -> Result<()> {
    let start = std::time::Instant::now();
    while !case.task.output().contains(text) {
        case.task.must_run()?;
        if start.elapsed() > LIMIT {
            return Failure::err(format!("{text} was not said:\n{}", case.task.output()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
