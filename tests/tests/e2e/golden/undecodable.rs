//! Text columns with bytes that are not valid in their character set. All servers store a code of the right length even if no character has
//! this code. Examples are unused pairs of gbk and unused bytes of hebrew.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Format, Table};
use tests::harness::Flavor;
use tests::{Failure, Result};

use super::super::case::{Case, Servers};
use super::super::refusals::refused;
use super::avro;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_text_stops_the_task_or_is_kept() -> Result<()> {
    // Not on PolarDB-X: it converts what a SELECT returns to UTF-8 itself, with a question mark for every invalid byte, so the full phase
    // never gets such a byte.
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        let servers = Servers::shared_of(flavor).await?;
        for format in [Format::CanalJson, Format::DtsAvro] {
            stops(servers.clone(), format).await?;
        }
        kept(servers).await?;
    }
    Ok(())
}

async fn create(servers: &Servers, name: &str) -> Result<()> {
    let columns = "id INT PRIMARY KEY, g VARCHAR(9) CHARACTER SET gbk, h CHAR(9) CHARACTER SET hebrew";
    let source = &servers.source;
    source.execute(&[&format!("CREATE DATABASE {name}"), &format!("CREATE TABLE {name}.t ({columns})")]).await
}

/// By default an invalid value stops the task in both phases, after everything before the value was delivered. Once the value is fixed, the
/// task continues.
async fn stops(servers: Servers, format: Format) -> Result<()> {
    let name = format!("undecodable_{}_{}", servers.source.flavor().name(), format.name());
    create(&servers, &name).await?;
    let source = servers.source.clone();
    source.execute(&[&format!("INSERT INTO {name}.t VALUES (1, '中', 'ש'), (2, X'61AAA1', 'x')")]).await?;
    let mut case = Case::new(servers, &name, format, 1, vec![Table::new(&name, "t")]).await?;
    refused(&mut case, 4, &[&format!("table {name}.t"), "column g", "not valid gbk", "chunk-1 row 2"]).await?;
    let query = operations_query()?.replace("shop.orders", &format!("{name}.t")).replace("note", "g");
    assert_eq!(source.connect().await?.query::<u32, _>(query).await?, [2], "the query of the operations page finds the row");
    source.execute(&[&format!("UPDATE {name}.t SET g = '文' WHERE id = 2")]).await?;
    // The update that fixed the row has the invalid value in its before image.
    refused(&mut case, 4, &[&format!("table {name}.t"), "column g", "not valid gbk"]).await?;
    assert_eq!(case.rows_of("t", "g")?.len(), 0);
    Ok(())
}

/// The query that finds invalid values, as the page `docs/operations.md` gives it.
fn operations_query() -> Result<String> {
    let page = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md"))?;
    let query = page.lines().find(|line| line.starts_with("SELECT id FROM shop.orders WHERE BINARY"));
    let query = query.and_then(|line| line.split(';').next()).ok_or_else(|| Failure::new("the page has no such query"))?;
    Ok(query.to_owned())
}

/// With `invalid_text = "keep"` the bytes are written unchanged, and all other values as usual.
async fn kept(servers: Servers) -> Result<()> {
    let name = format!("undecodable_{}_kept", servers.source.flavor().name());
    create(&servers, &name).await?;
    let source = servers.source.clone();
    let insert = |first: u32| {
        let [odd, good] = ["X'61AAA1', X'BF'", "'中', 'ש'"];
        format!("INSERT INTO {name}.t VALUES ({first}, {odd}), ({}, {good})", first + 1)
    };
    source.execute(&[&insert(1)]).await?;
    let mut utf8 = Case::new(servers, &name, Format::DtsAvro, 1, vec![Table::new(&name, "t")]).await?;
    utf8.settings.options = "invalid_text = \"keep\"".into();
    let mut raw = utf8.sibling(&format!("{name}_raw"), Format::DtsAvro, 1).await?;
    raw.settings.options = "invalid_text = \"keep\", charset = \"source\"".into();
    for case in [&mut utf8, &mut raw] {
        case.task.configure(&case.settings)?;
        case.task.start()?;
    }
    // The full phase may read the first fence, so a second fence shows that the stream has caught up.
    both(&mut utf8, &mut raw).await?;
    both(&mut utf8, &mut raw).await?;
    source
        .execute(&[&insert(11), &format!("UPDATE {name}.t SET g = '文' WHERE id = 11"), &format!("DELETE FROM {name}.t WHERE id > 10")])
        .await?;
    both(&mut utf8, &mut raw).await?;
    let odd = ["Character {charset \"gbk\", value 0x61aaa1}", "Character {charset \"hebrew\", value 0xbf}"];
    let as_utf8 = ["Character {charset \"utf8mb4\", value \"中\"}", "Character {charset \"utf8mb4\", value \"ש\"}"];
    let as_source = ["Character {charset \"gbk\", value 0xd6d0}", "Character {charset \"hebrew\", value 0xf9}"];
    for (mut case, good) in [(utf8, as_utf8), (raw, as_source)] {
        case.task.stop().await?;
        // Each invalid value occurs when it is read, when it is inserted, and in the before image of the update. In the second column,
        // which is not updated, it also occurs in the after image and in the delete. Valid values occur when they are read, inserted and
        // deleted.
        for (cells, expected) in [(odd, [3, 5]), (good, [3, 3])] {
            for (cell, times) in cells.iter().zip(expected) {
                assert_eq!(count(&case, cell)?, times, "{cell} of {}", case.topic);
            }
        }
    }
    Ok(())
}

async fn both(first: &mut Case, second: &mut Case) -> Result<()> {
    let fence = first.fence().await?;
    first.reach(fence, LIMIT).await?;
    second.reach(fence, LIMIT).await
}

/// How many times a cell occurs in the messages of rows.
fn count(case: &Case, cell: &str) -> Result<usize> {
    let mut count = 0;
    for entry in &case.entries {
        if let Decoded::Rows(_) = case.settings.format.decode(&entry.value)? {
            count += avro::line(&entry.value)?.matches(cell).count();
        }
    }
    Ok(count)
}
