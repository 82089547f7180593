//! Large rows, transactions, tables and schemas.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tests::checker::{Format, Table};
use tests::harness::Flavor;
use tests::workload::load;
use tests::{Failure, Result};

use super::case::{Case, Servers, alone};
use super::servers::with_source;

const LIMIT: Duration = Duration::from_secs(120);

/// The value of one line of the program's `/proc/<id>/status`, in KiB.
fn memory_kib(case: &Case, line: &str) -> Result<u64> {
    let id = case.task.id().ok_or_else(|| Failure::new("the program does not run"))?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)).and_then(|text| text.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| Failure::new(format!("no {line} in:\n{status}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_forty_megabytes() -> Result<()> {
    let _turn = alone().await;
    for flavor in Flavor::ALL {
        // InnoDB's log is large because a row may take only a tenth of it.
        let servers = with_source(flavor, &["--innodb-log-file-size=512M", "--max-allowed-packet=1G"]).await?;
        let name = format!("big_{}", flavor.name());
        servers
            .source
            .execute(&[
                &format!("CREATE DATABASE {name}"),
                &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a LONGTEXT) CHARACTER SET utf8mb4"),
            ])
            .await?;
        // These lengths are around the length of a full packet, which is 16,777,215 bytes including headers. A longer row continues in the
        // next packet.
        let lengths = [16_777_000, 16_777_150, 16_777_180, 16_777_190, 16_777_215, 16_777_216, 33_554_300, 40_000_000];
        let insert = |id: usize, length: usize| format!("INSERT INTO {name}.t VALUES ({id}, REPEAT('x', {length}))");
        let first: Vec<String> = lengths.iter().enumerate().map(|(id, &length)| insert(id, length)).collect();
        servers.source.execute(&[&first[0], &first[1]]).await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.servers.source.execute(&first[2..].iter().map(String::as_str).collect::<Vec<_>>()).await?;
        case.servers
            .source
            .execute(&[&format!("UPDATE {name}.t SET id = id + 100 WHERE id >= 5"), &format!("DELETE FROM {name}.t WHERE id = 3")])
            .await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
    }
    Ok(())
}

/// Inserts rows so that their events have every length around that of a full packet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn events_of_exactly_a_packet() -> Result<()> {
    let servers = with_source(Flavor::MariaDb, &["--innodb-log-file-size=512M", "--max-allowed-packet=1G"]).await?;
    servers.source.execute(&["CREATE DATABASE edge", "CREATE TABLE edge.t (id INT PRIMARY KEY, a LONGBLOB)"]).await?;
    let mut case = Case::new(servers, "edge", Format::CanalJson, 1, vec![Table::new("edge", "t")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    for id in 0..24 {
        // 16,777,215 bytes minus status byte, header, post-header, bitmap, key and checksum are about 16,777,170 bytes.
        case.servers.source.execute(&[&format!("INSERT INTO edge.t VALUES ({id}, REPEAT('x', {}))", 16_777_160 + id)]).await?;
    }
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.verify(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_a_hundred_thousand_rows() -> Result<()> {
    for flavor in Flavor::ALL {
        one_transaction(flavor, 100_000).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn a_transaction_of_a_million_rows() -> Result<()> {
    for flavor in Flavor::ALL {
        one_transaction(flavor, 1_000_000).await?;
    }
    Ok(())
}

async fn one_transaction(flavor: Flavor, rows: u64) -> Result<()> {
    let _turn = alone().await;
    let servers = with_source(flavor, &["--innodb-log-file-size=128M"]).await?;
    let name = format!("long_{}_{rows}", flavor.name());
    let source = servers.source.clone();
    source
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &load::create_ten_columns(&format!("{name}.seed")),
            &load::create_ten_columns(&format!("{name}.t")),
        ])
        .await?;
    let seeds = 1_000;
    load::insert(&source, &format!("{name}.seed"), 0, seeds, 500, load::ten_columns).await?;
    let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t"), Table::new(&name, "seed")]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let columns = "customer, name, address, state, amount, score, created, updated, note";
    let mut connection = source.connect().await?;
    connection.query_drop("START TRANSACTION").await?;
    for part in 0..rows / seeds {
        connection.query_drop(format!("INSERT INTO {name}.t SELECT id + {}, {columns} FROM {name}.seed", part * seeds)).await?;
    }
    connection.query_drop("COMMIT").await?;
    case.catch_up(LIMIT).await?;
    let peak = memory_kib(&case, "VmHWM:")?;
    println!("{name}: at most {} MiB", peak / 1024);
    assert!(peak <= 128 << 10, "{peak} KiB");
    case.task.stop().await?;
    let came = case.rows_of("t", "id")?.len() as u64;
    assert_eq!(came, rows);
    if rows <= 100_000 {
        case.verify(0).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_three_hundred_columns() -> Result<()> {
    const KINDS: [(&str, &str); 6] = [
        ("INT UNSIGNED", "{}"),
        ("VARCHAR(10)", "'c{}'"),
        ("DECIMAL(9,2)", "{}.5"),
        ("DATETIME(3)", "'2024-01-01 00:00:00'"),
        ("ENUM('a','b')", "'b'"),
        ("TINYINT", "-1"),
    ];
    for flavor in Flavor::ALL {
        let servers = Servers::shared_of(flavor).await?;
        let name = format!("wide_{}", flavor.name());
        let kind = |number: usize| KINDS[number % KINDS.len()];
        let columns: Vec<String> = (0..300).map(|number| format!("c{number} {}", kind(number).0)).collect();
        let row = |id: usize| {
            // A third of each row's values are NULL, in different columns than in the next row.
            let value = |number: usize| {
                if (number + id).is_multiple_of(3) { "NULL".to_owned() } else { kind(number).1.replace("{}", &number.to_string()) }
            };
            format!("INSERT INTO {name}.t VALUES ({id}, {})", (0..300).map(value).collect::<Vec<_>>().join(", "))
        };
        let create = format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, {})", columns.join(", "));
        servers.source.execute(&[&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"), &create, &row(0), &row(1), &row(2)]).await?;
        let mut case = Case::new(servers, &name, Format::DtsAvro, 1, vec![Table::new(&name, "t")]).await?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        case.servers
            .source
            .execute(&[
                &row(3),
                &row(4),
                &format!("UPDATE {name}.t SET c299 = 7, c0 = 4294967295"),
                &format!("DELETE FROM {name}.t WHERE id = 1"),
            ])
            .await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tables_start_as_fast_as_one() -> Result<()> {
    const TABLES: usize = 1_000;
    let servers = with_source(Flavor::MySql57, &["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"]).await?;
    let source = servers.source.clone();
    source.execute(&["CREATE DATABASE many"]).await?;
    let mut making = tokio::task::JoinSet::new();
    for part in 0..4 {
        let source = source.clone();
        making.spawn(async move {
            let mut connection = source.connect().await?;
            for table in (part..TABLES).step_by(4) {
                connection
                    .query_drop(format!(
                        "CREATE TABLE many.t{table:04} (id BIGINT PRIMARY KEY, a VARCHAR(50), b DECIMAL(10,2), c DATETIME)"
                    ))
                    .await?;
                connection.query_drop(format!("INSERT INTO many.t{table:04} VALUES (1, 'one', 1.5, NOW())")).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(made) = making.join_next().await {
        made??;
    }
    let tables = (0..TABLES).map(|table| Table::new("many", format!("t{table:04}"))).collect();
    let mut case = Case::new(servers, "many", Format::CanalJson, 1, tables).await?;
    let _turn = alone().await;
    let start = Instant::now();
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // The full phase may read the first fence, so a second fence shows that the stream has caught up.
    case.catch_up(LIMIT).await?;
    println!("the full phase of {TABLES} tables took {} ms", start.elapsed().as_millis());
    case.task.stop().await?;
    let mut best = Duration::MAX;
    for round in 0..3 {
        source.execute(&[&format!("UPDATE many.t0500 SET a = 'round {round}'")]).await?;
        let before = case.read().await?;
        let start = Instant::now();
        case.task.start()?;
        while case.read().await? == before {
            case.task.must_run()?;
            if start.elapsed() > LIMIT {
                return Failure::err(format!("no record came:\n{}", case.task.output()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        best = best.min(start.elapsed());
        case.catch_up(LIMIT).await?;
        let peak = memory_kib(&case, "VmHWM:")?;
        println!("start to first record {} ms, at most {} MiB", start.elapsed().as_millis(), peak / 1024);
        assert!(peak <= 64 << 10, "{peak} KiB");
        case.task.stop().await?;
    }
    assert!(best <= Duration::from_secs(1), "start to first record took {} ms", best.as_millis());
    case.verify(0).await?;
    Ok(())
}
