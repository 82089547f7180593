//! Rows that cannot be delivered: they are skipped or become dead letters, and all others arrive once and in order.

mod section;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tests::checker::{Decoded, Format};
use tests::harness::{Entry, Kafka, TopicReader};
use tests::{Failure, Result};

use super::case::{Case, Servers, alone};
use super::refusals::ended;

const LIMIT: Duration = Duration::from_secs(120);
/// The largest record in the topics of these tests, and the length of a text that makes a record larger.
const MAX_BYTES: &str = "max.message.bytes=60000";
const LARGE: usize = 90_000;

/// A text that does not become shorter by compression.
fn text(seed: u64, length: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| rng.alphanumeric()).collect()
}

/// A case with a table `t` whose topic takes no large records. The topic for dead letters is `<name>_letters`.
async fn case(name: &str, partitions: i32) -> Result<Case> {
    let servers = Servers::shared().await?;
    servers
        .source
        .execute(&[&format!("CREATE DATABASE {name}"), &format!("CREATE TABLE {name}.t (id INT PRIMARY KEY, n BIGINT, a MEDIUMTEXT)")])
        .await?;
    let mut case = Case::new(servers, name, Format::CanalJson, partitions, Vec::new()).await?;
    case.servers.kafka.alter_topic(name, MAX_BYTES).await?;
    case.settings.sink = "partition = \"primary_key\"\ncompression = \"none\"".into();
    case.settings.merged = true;
    Ok(case)
}

/// The sections for dead letters.
fn letters(case: &Case, errors: &str) -> String {
    let (brokers, name) = (&case.settings.brokers, &case.settings.name);
    format!(
        "[errors]\n{errors}\n[dead_letters.kafka]\nbrokers = {brokers:?}\ntopic = \"{name}_letters\"\nrecord_key = \"primary_key\"\n\
         compression = \"none\"\nformat.canal_json = {{}}\ncreate_topics = {{ enabled = true, partitions = 2, replication = 1 }}\n"
    )
}

/// A dead letter.
struct Found {
    key: String,
    value: serde_json::Value,
    raw: Vec<u8>,
    headers: BTreeMap<String, String>,
}

async fn read_letters(case: &Case) -> Result<Vec<Found>> {
    read_letters_at(&case.servers.kafka, &case.settings.name).await
}

/// The letters of the task `name` on these brokers.
async fn read_letters_at(kafka: &Kafka, name: &str) -> Result<Vec<Found>> {
    let found = |entry: Entry| Found {
        key: String::from_utf8_lossy(&entry.key.unwrap_or_default()).into_owned(),
        value: serde_json::from_slice(&entry.value).unwrap_or_default(),
        raw: entry.value,
        headers: entry.headers.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect(),
    };
    let mut reader = TopicReader::open(kafka, &format!("{name}_letters")).await?;
    Ok(reader.read().await?.into_iter().map(found).collect())
}

/// The rows of the table `t` in the topic: key and number, in the order of each partition.
fn delivered(case: &Case) -> Result<Vec<(u64, String)>> {
    let mut rows = Vec::new();
    for entry in &case.entries {
        let Decoded::Rows(changes) = case.settings.format.decode(&entry.value)? else { continue };
        for image in changes.into_iter().filter(|change| change.table.name == "t").filter_map(|change| change.after) {
            let cell = |name: &str| image.get(name).cloned().flatten().unwrap_or_default();
            rows.push((cell("id").parse().map_err(|_| Failure::new("an id that is no number"))?, cell("n")));
        }
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_too_large_become_letters_in_both_phases() -> Result<()> {
    let mut case = case("large_letters", 3).await?;
    let mysql = case.servers.source.clone();
    let insert = |ids: std::ops::Range<u64>| {
        let row = |id: u64| format!("({id}, 0, '{}')", text(id, if id.is_multiple_of(10) { LARGE } else { 300 }));
        format!("INSERT INTO large_letters.t VALUES {}", ids.map(row).collect::<Vec<_>>().join(", "))
    };
    mysql.execute(&[&insert(1..61)]).await?;
    case.settings.more = letters(&case, "on_data_error = \"dead_letters\"");
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    mysql
        .execute(&[
            &insert(101..161),
            // A row that becomes too large, and one that is not any more.
            &format!("UPDATE large_letters.t SET n = 1, a = '{}' WHERE id = 5", text(5, LARGE)),
            "UPDATE large_letters.t SET n = 1 WHERE id < 5",
            "UPDATE large_letters.t SET n = 2, a = 'small' WHERE id = 5",
            "UPDATE large_letters.t SET n = 2, a = 'small' WHERE id = 7",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.read().await?;
    let mut rows = delivered(&case)?;
    let of = |key: u64| rows.iter().filter(|(id, _)| *id == key).map(|(_, n)| n.as_str()).collect::<Vec<_>>();
    for id in 1..5 {
        assert_eq!(of(id), ["0", "1"], "{id}");
    }
    assert_eq!(of(7), ["0", "2"]);
    rows.retain(|(_, n)| n == "0");
    rows.sort();
    let expected: Vec<(u64, String)> = (1..61).chain(101..161).filter(|id| id % 10 != 0).map(|id| (id, "0".into())).collect();
    assert_eq!(rows, expected, "all other rows, once");

    let letters = read_letters(&case).await?;
    let mut keys: Vec<&str> = letters.iter().map(|letter| letter.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    // The image before the second update of row 5 is too large as well.
    let ids = (10..61).step_by(10).chain((110..161).step_by(10)).chain([5]);
    let mut expected: Vec<String> = ids.map(|id| format!("[\"large_letters\",\"t\",\"{id}\"]")).collect();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for letter in &letters {
        let header = |name: &str| letter.headers.get(&format!("dts.error.{name}")).map(String::as_str).unwrap_or_default();
        assert_eq!((header("kind"), header("table"), header("topic")), ("too_large", "large_letters.t", "large_letters"));
        assert!(header("text").contains("max.message.bytes is 60000"), "{}", header("text"));
        assert!(header("partition").parse::<u32>().is_ok_and(|partition| partition < 3) && !header("position").is_empty());
        assert!(header("time").parse::<u64>().is_ok() && letter.headers.contains_key("dts"));
        assert_eq!(header("value"), "encoded");
        let length = letter.value["data"][0]["a"].as_str().map(str::len).unwrap_or_default();
        assert!(length == LARGE || letter.value["old"][0]["a"].as_str().is_some_and(|old| old.len() == LARGE), "the whole value: {length}");
        assert!(letter.raw.len() > LARGE);
    }
    assert!(case.task.output().contains("became dead letters (too_large)"), "{}", case.task.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_rows_are_rejected_lose_none() -> Result<()> {
    let _turn = alone().await;
    let mut case = case("killed_letters", 2).await?;
    let mysql = case.servers.source.clone();
    case.settings.more = letters(&case, "causes = { too_large = \"dead_letters\" }");
    case.task.configure(&case.settings)?;
    let is_large = |id: u64| id.is_multiple_of(4);
    let insert = |ids: std::ops::Range<u64>| {
        let row = |id: u64| format!("({id}, {id}, '{}')", text(id, if is_large(id) { LARGE } else { 200 }));
        format!("INSERT INTO killed_letters.t VALUES {}", ids.map(row).collect::<Vec<_>>().join(", "))
    };
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    let (mut next, mut rng) = (1, fastrand::Rng::with_seed(7));
    for _ in 0..8 {
        for _ in 0..3 {
            mysql.execute(&[&insert(next..next + 20)]).await?;
            next += 20;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(20..400))).await;
        case.task.kill()?;
        case.task.start()?;
        // Sometimes the next process gets some work done.
        tokio::time::sleep(Duration::from_millis(rng.u64(300..1200))).await;
        case.task.must_run()?;
    }
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.read().await?;

    let rows = delivered(&case)?;
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    rows.iter().for_each(|(id, _)| *counts.entry(*id).or_default() += 1);
    let late = case.task.late_records()?;
    let repeats: usize = counts.values().map(|count| count - 1).sum();
    assert!(repeats <= late, "{repeats} repeats, {late} late records");
    let small: BTreeSet<u64> = (1..next).filter(|id| !is_large(*id)).collect();
    assert_eq!(counts.into_keys().collect::<BTreeSet<_>>(), small);
    for partition in 0..2 {
        let part: Vec<u64> =
            case.entries.iter().filter(|entry| entry.partition == partition).filter_map(|entry| id_of(&case, entry)).collect();
        assert!(late > 0 || part.is_sorted(), "{part:?}");
    }
    let keys: BTreeSet<String> = read_letters(&case).await?.into_iter().map(|letter| letter.key).collect();
    let large: BTreeSet<String> = (1..next).filter(|id| is_large(*id)).map(|id| format!("[\"killed_letters\",\"t\",\"{id}\"]")).collect();
    assert_eq!(keys, large, "each rejected row is in a letter");
    Ok(())
}

fn id_of(case: &Case, entry: &Entry) -> Option<u64> {
    let Decoded::Rows(changes) = case.settings.format.decode(&entry.value).ok()? else { return None };
    let change = changes.into_iter().find(|change| change.table.name == "t")?;
    change.after?.get("id")?.as_ref()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_on_which_a_script_fails_become_letters() -> Result<()> {
    let mut case = case("script_letters", 1).await?;
    let mysql = case.servers.source.clone();
    mysql.execute(&["INSERT INTO script_letters.t VALUES (1, 0, 'a'), (2, 5, 'b'), (3, 0, 'c')"]).await?;
    let etl = "[[transform]]\netl = { tables = [\"*.t\"], script = \"e_set(`n`, op_sum(9223372036854775807, `n`))\", on_etl_error = \"error\" }\n";
    case.settings.more = format!("{etl}{}", letters(&case, "causes = { transform = \"dead_letters\" }"));
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    mysql.execute(&["INSERT INTO script_letters.t VALUES (4, 7, 'd'), (5, -1, 'e'), (6, 1, NULL)"]).await?;
    case.catch_up(LIMIT).await?;
    let keys: Vec<u64> = delivered(&case)?.into_iter().map(|(id, _)| id).collect();
    assert_eq!(keys, [1, 3, 5]);
    let letters = read_letters(&case).await?;
    let mut found: Vec<(&str, &str, &str)> = letters
        .iter()
        .map(|letter| {
            let value = &letter.value["data"][0];
            (letter.headers["dts.error.kind"].as_str(), value["id"].as_str().unwrap_or("?"), value["n"].as_str().unwrap_or("?"))
        })
        .collect();
    found.sort_unstable();
    // The rows are as they were when the script failed, with the values of the source.
    assert_eq!(found, [("transform", "2", "5"), ("transform", "4", "7"), ("transform", "6", "1")]);
    // Another cause still stops the task, before the row. The rows before it are delivered.
    mysql
        .execute(&[
            "INSERT INTO script_letters.t VALUES (7, 0, 'g')",
            &format!("INSERT INTO script_letters.t VALUES (8, 0, '{}')", text(8, LARGE)),
            "INSERT INTO script_letters.t VALUES (9, 0, 'i')",
        ])
        .await?;
    ended(&mut case, 4, &["E_TOO_LARGE", "script_letters.t"]).await?;
    case.read().await?;
    assert_eq!(delivered(&case)?.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [1, 3, 5, 7]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skipped_rows_have_a_budget() -> Result<()> {
    let mut case = case("skipped", 1).await?;
    let mysql = case.servers.source.clone();
    case.settings.more = "[errors]\non_data_error = \"skip\"\nmax_rejected = 3\n".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    let row = |id: u64| format!("({id}, {id}, '{}')", text(id, if id.is_multiple_of(2) { LARGE } else { 10 }));
    let insert = |ids: std::ops::Range<u64>| format!("INSERT INTO skipped.t VALUES {}", ids.map(row).collect::<Vec<_>>().join(", "));
    // A row that is inserted during the full phase may be rejected twice: as an existing row, and as a change.
    case.catch_up(LIMIT).await?;
    mysql.execute(&[&insert(1..8)]).await?;
    case.catch_up(LIMIT).await?;
    let start = Instant::now();
    while !case.task.output().contains("3 rejected") {
        assert!(start.elapsed() < LIMIT, "{}", case.task.output());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(case.task.output().contains("rows that were skipped (too_large)"), "{}", case.task.output());
    assert_eq!(delivered(&case)?.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [1, 3, 5, 7]);
    mysql.execute(&[&insert(8..12)]).await?;
    ended(&mut case, 4, &["E_TOO_MANY_REJECTED", "more than 3 rows", "errors.max_rejected", "skipped.t"]).await?;
    // The next process counts anew, and continues with the row that was too many.
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    case.read().await?;
    assert_eq!(delivered(&case)?.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [1, 3, 5, 7, 9, 11]);
    Ok(())
}
