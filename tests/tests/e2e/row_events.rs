//! Tests of the setting `rows = "event"`: there is one message for each row event of the binlog, with the rows in their order. This also
//! holds across a stop and a kill.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Format, Op, Table, decode};
use tests::harness::{Database, Flavor};
use tests::{Failure, Result};

use super::case::Case;

const LIMIT: Duration = Duration::from_secs(90);

/// Rows per statement; the server distributes them over several row events of 8 KiB.
const MANY: u32 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_holds_the_rows_of_a_row_event() -> Result<()> {
    for flavor in Flavor::ALL {
        one_server(flavor).await?;
    }
    Ok(())
}

async fn one_server(flavor: Flavor) -> Result<()> {
    // The test counts the events in the binlog, so no other test may write to it.
    let servers = super::servers::with_source(flavor, &[]).await?;
    let name = format!("row_events_{}", flavor.name());
    let source = servers.source.clone();
    source
        .execute(&[
            &format!("CREATE DATABASE {name}"),
            &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, a INT, b VARCHAR(100))"),
            &format!("INSERT INTO {name}.t VALUES (1, 1, 'one'), (2, 2, 'two'), (3, 3, 'three')"),
        ])
        .await?;
    let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![Table::new(&name, "t")]).await?;
    case.settings.options = "rows = \"event\", old = \"all\"".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    // The full phase may read the first fence, so a second fence shows that the stream has caught up.
    case.catch_up(LIMIT).await?;
    case.catch_up(LIMIT).await?;
    let from = source.position().await?;
    let before = messages(&mut case).await?;

    write(&source, &name, 1_000).await?;
    case.catch_up(LIMIT).await?;
    // The program is stopped or killed while changes are being delivered, and more changes are made while it does not run.
    for round in 2..=5 {
        let writing = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            write(&source, &name, round * 1_000).await
        };
        let end = async {
            tokio::time::sleep(Duration::from_millis(40 + 40 * u64::from(round))).await;
            if round % 2 == 0 { case.task.stop().await } else { case.task.kill() }
        };
        let (written, ended) = tokio::join!(writing, end);
        written.and(ended)?;
        write(&source, &name, round * 1_000 + 500).await?;
        case.task.start()?;
    }
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    let found = messages(&mut case).await? - before;
    let expected = row_events(&source, &from).await?;
    println!("{name}: {found} messages of {expected} row events, {} rows", report.stream_rows);
    assert_eq!(found, expected);
    assert!(report.stream_rows > 9 * 2 * MANY as usize && found < report.stream_rows / 20, "{report:?}");
    in_order(&case)
}

/// Executes statements on the rows from `first` on. Some statements change many rows, others change one row. Not all rows are deleted at
/// the end.
async fn write(source: &Database, name: &str, first: u32) -> Result<()> {
    let end = first + MANY;
    let rows: Vec<String> = (first..end).map(|id| format!("({id}, {id}, REPEAT('x', {}))", id % 90)).collect();
    let statements = [
        format!("INSERT INTO {name}.t VALUES {}", rows.join(", ")),
        format!("UPDATE {name}.t SET a = a + 1, b = IF(id % 2 = 0, NULL, b) WHERE id >= {first} AND id < {end} ORDER BY id"),
        format!("UPDATE {name}.t SET b = 'one' WHERE id = {first}"),
        format!("INSERT INTO {name}.t VALUES ({end}, 0, 'alone')"),
        format!("DELETE FROM {name}.t WHERE id > {first} AND id < {end} AND id % 3 > 0 ORDER BY id"),
        format!("UPDATE {name}.t SET id = id + 1000000 WHERE id = {end}"),
    ];
    source.execute(&statements.each_ref().map(String::as_str)).await
}

/// The number of messages with rows of the incremental phase.
async fn messages(case: &mut Case) -> Result<usize> {
    case.read().await?;
    let records = decode(case.entries.clone(), case.settings.format)?;
    Ok(records.iter().filter(|record| !record.header.snapshot() && matches!(record.decoded, Decoded::Rows(_))).count())
}

/// The number of row events after a position in the binlog.
async fn row_events(source: &Database, (file, offset): &(String, u64)) -> Result<usize> {
    let mut connection = source.connect().await?;
    let events: Vec<mysql_async::Row> = connection.query(format!("SHOW BINLOG EVENTS IN '{file}' FROM {offset}")).await?;
    let kinds = events.iter().filter_map(|event| event.get::<String, _>("Event_type"));
    Ok(kinds.filter(|kind| ["Write_rows", "Update_rows", "Delete_rows"].iter().any(|rows| kind.starts_with(rows))).count())
}

/// Checks that the rows of each statement came in the order of their keys, both within a message and from one message to the next.
fn in_order(case: &Case) -> Result<()> {
    let mut last: Option<(Op, u32)> = None;
    for record in decode(case.entries.clone(), case.settings.format)? {
        let Decoded::Rows(rows) = record.decoded else { continue };
        let Some(first) = rows.first().filter(|row| row.table.name == "t" && !record.header.snapshot()) else { continue };
        let op = first.op;
        if rows.len() == 1 {
            last = None;
        }
        for row in &rows {
            let image = row.after.as_ref().or(row.before.as_ref());
            let id = image.and_then(|image| image.get("id")).and_then(Option::as_deref).unwrap_or_default();
            let id: u32 = id.parse().map_err(|_| Failure::new(format!("a key {id}")))?;
            if row.op != op || last.is_some_and(|(known, before)| known == op && id <= before && id / 500 == before / 500) {
                return Failure::err(format!("{:?} of {id} behind {last:?}", row.op));
            }
            last = Some((op, id));
        }
    }
    Ok(())
}
