//! Conditions of filters: random conditions over columns of all types are evaluated by the servers and by our code, and the rows that meet
//! them are compared.
//!
//! The seed is printed; `FILTER_SEED` repeats a run.

mod predicates;
mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use runtime::transforms::Filter;
use runtime::{Kind, Row, Settings, TableSchema};
use source_polardbx::schema::read_create_table;
use tests::harness::Flavor;
use tests::{Failure, Result};

use super::case::Servers;
use predicates::Predicates;

const ROWS: usize = 60;
const PREDICATES: usize = 500;
const PREDICATES_LONG: usize = 40_000;

/// What became of the conditions of a run.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    refused: Vec<String>,
    /// The pairs of a row and a condition that were compared.
    pairs: usize,
    /// The conditions that have no value for some row.
    out_of_range: usize,
    wrong: Vec<String>,
}

fn filter(condition: &str) -> runtime::Result<Filter> {
    let settings = serde_json::json!({"tables": ["filters.t"], "where": condition});
    Filter::new(Settings::from(settings).parse("transform.filter")?)
}

/// Lets both evaluate a condition.
async fn compare(conn: &mut Conn, condition: &str, schema: &Arc<TableSchema>, rows: &[(u64, Row)], tally: &mut Tally) -> Result<()> {
    let mut filter = filter(condition).map_err(|error| Failure::new(format!("{condition}: {error}")))?;
    let mut kept = BTreeSet::new();
    let mut failed = None;
    for (id, row) in rows {
        match filter.keeps(schema, row) {
            Ok(true) => drop(kept.insert(*id)),
            Ok(false) => {}
            Err(error) if error.kind() == Kind::Config => {
                tally.refused.push(format!("{condition}: {error}"));
                return Ok(());
            }
            Err(error) => failed = Some(error.to_string()),
        }
    }
    tally.accepted += 1;
    let answer: std::result::Result<Vec<u64>, _> = conn.query(format!("SELECT id FROM filters.t WHERE {condition}")).await;
    match (answer, failed) {
        // A number is out of range in one of the rows. A server may leave out parts of a condition, or evaluate parts that ours leaves out.
        (Err(mysql_async::Error::Server(error)), _) if error.code == 1690 => tally.out_of_range += 1,
        (Ok(_), Some(error)) if error.contains("out of range") => tally.out_of_range += 1,
        (Err(error), _) => return Err(Failure::from(error).context(condition)),
        (Ok(_), Some(error)) if error.contains("38 digits") || error.contains("line break") => {}
        (Ok(_), Some(error)) => tally.wrong.push(format!("{condition}: only ours says {error}")),
        (Ok(theirs), None) => {
            tally.pairs += rows.len();
            let theirs: BTreeSet<u64> = theirs.into_iter().collect();
            let differing: Vec<u64> = theirs.symmetric_difference(&kept).copied().take(3).collect();
            for id in differing {
                let row = rows.iter().find(|(known, _)| *known == id).map(|(_, row)| format!("{row:?}")).unwrap_or_default();
                tally.wrong.push(format!("{condition}: server {}, ours {}, row {row}", theirs.contains(&id), kept.contains(&id)));
            }
        }
    }
    Ok(())
}

/// Compares so many conditions. `FILTER_SEED` replaces the seed.
async fn run(flavor: Flavor, predicates: usize, seed: u64) -> Result<()> {
    let seed = std::env::var("FILTER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    println!("{}: FILTER_SEED={seed}", flavor.name());
    let mut random = Rng::with_seed(seed);
    let server = Servers::shared_of(flavor).await?.source;
    let mut conn = server.connect().await?;
    conn.query_drop("CREATE DATABASE IF NOT EXISTS filters").await?;
    conn.query_drop("DROP TABLE IF EXISTS filters.t").await?;
    conn.query_drop("SET NAMES utf8mb4").await?;
    conn.query_drop(rows::definition(flavor)).await?;
    for id in 1..=ROWS {
        conn.query_drop(rows::insert(&mut random, flavor, id)).await?;
    }
    let (_, ddl): (String, String) = conn.query_first("SHOW CREATE TABLE filters.t").await?.ok_or_else(|| Failure::new("no table"))?;
    let schema = read_create_table(&ddl, "filters", &|_| None).map_err(|error| Failure::new(error.to_string()))?.schema;
    let schema = Arc::new(schema);
    let rows = rows::read(&mut conn, &schema).await?;
    let mut tally = Tally::default();
    for _ in 0..predicates {
        let condition = Predicates { random: &mut random, flavor }.condition(3);
        compare(&mut conn, &condition, &schema, &rows, &mut tally).await?;
    }
    let (accepted, refused) = (tally.accepted, tally.refused.len());
    println!("{}: {accepted} accepted, {refused} refused, {} pairs", flavor.name(), tally.pairs);
    for line in tally.refused.iter().take(15) {
        println!("refused: {line}");
    }
    if !tally.wrong.is_empty() {
        let shown = tally.wrong.iter().take(25).map(String::as_str).collect::<Vec<_>>().join("\n");
        return Failure::err(format!("{} with FILTER_SEED={seed}: {} differences:\n{shown}", flavor.name(), tally.wrong.len()));
    }
    assert!(accepted * 5 >= predicates * 4, "fewer than 80 % of the conditions were accepted");
    assert!(tally.out_of_range * 20 <= predicates, "{} conditions have no value", tally.out_of_range);
    assert!(tally.pairs >= 5_000, "{} pairs", tally.pairs);
    Ok(())
}

#[tokio::test]
async fn mysql57_and_filters_agree() -> Result<()> {
    run(Flavor::MySql57, PREDICATES, 57).await
}

#[tokio::test]
async fn mysql80_and_filters_agree() -> Result<()> {
    run(Flavor::MySql80, PREDICATES, 80).await
}

#[tokio::test]
async fn mariadb_and_filters_agree() -> Result<()> {
    run(Flavor::MariaDb, PREDICATES, 10).await
}

#[tokio::test]
#[ignore = "long suite"]
async fn all_servers_and_filters_agree_on_many_conditions() -> Result<()> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    for flavor in [Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb] {
        run(flavor, PREDICATES_LONG, seed).await?;
    }
    Ok(())
}
