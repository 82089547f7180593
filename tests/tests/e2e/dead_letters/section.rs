//! The section `[dead_letters.kafka]`: brokers of its own, which may fail, a format of its own, and its checks.

use super::super::case::program;
use super::*;

/// A script that fails on rows with n > 0.
const FAILING: &str =
    "[[transform]]\netl = { tables = [\"*.t\"], script = \"e_set(`n`, op_sum(9223372036854775807, `n`))\", on_etl_error = \"error\" }\n";
const CAUSES: &str = "causes = { transform = \"dead_letters\" }";

/// Waits until the program has printed a text.
async fn printed(case: &mut Case, text: &str) -> Result<()> {
    let start = Instant::now();
    while !case.task.output().contains(text) {
        case.task.must_run()?;
        if start.elapsed() > LIMIT {
            return Failure::err(format!("{text:?} is not printed:\n{}", case.task.output()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wait_for_letters_whose_brokers_are_down() -> Result<()> {
    let mut case = case("late_letters", 1).await?;
    let mut kafka = Kafka::start().await?;
    let mysql = case.servers.source.clone();
    let brokers = std::mem::replace(&mut case.settings.brokers, vec![kafka.broker()]);
    case.settings.more = format!("{FAILING}{}", letters(&case, CAUSES));
    case.settings.brokers = brokers;
    case.task.configure(&case.settings)?;
    mysql.execute(&["INSERT INTO late_letters.t VALUES (1, 0, 'a'), (2, 0, 'b')"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    kafka.kill()?;
    mysql.execute(&["INSERT INTO late_letters.t VALUES (3, 0, 'c'), (4, 6, 'd'), (5, 0, 'e')"]).await?;
    let behind = case.fence().await?;
    printed(&mut case, "became dead letters").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    case.task.must_run()?;
    // The next process cannot even open the sink for letters.
    case.task.kill()?;
    case.task.start()?;
    printed(&mut case, "opening the sink for dead letters").await?;
    case.read().await?;
    assert!(!delivered(&case)?.iter().any(|(id, _)| *id == 5), "rows behind a letter wait for it");
    kafka.resume().await?;
    case.reach(behind, LIMIT).await?;
    case.task.stop().await?;
    case.read().await?;
    assert_eq!(delivered(&case)?.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [1, 2, 3, 5]);
    let keys: BTreeSet<String> = read_letters_at(&kafka, "late_letters").await?.into_iter().map(|letter| letter.key).collect();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["[\"late_letters\",\"t\",\"4\"]"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_have_a_format_of_their_own() -> Result<()> {
    let mut case = case("avro_letters", 1).await?;
    let mysql = case.servers.source.clone();
    case.settings.more = format!("{FAILING}{}", letters(&case, CAUSES).replace("canal_json", "dts_avro"));
    case.task.configure(&case.settings)?;
    mysql.execute(&["INSERT INTO avro_letters.t VALUES (1, 0, 'a'), (2, 5, 'b')"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    mysql.execute(&["UPDATE avro_letters.t SET n = 6, a = NULL WHERE id = 1", "INSERT INTO avro_letters.t VALUES (3, 7, 'é')"]).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let mut found = Vec::new();
    for letter in read_letters(&case).await? {
        assert_eq!((letter.headers["dts.error.value"].as_str(), letter.headers["dts.error.kind"].as_str()), ("encoded", "transform"));
        let Decoded::Rows(rows) = Format::DtsAvro.decode(&letter.raw)? else { return Failure::err("a letter without rows") };
        found.extend(
            rows.into_iter().filter_map(|row| row.after).map(|after| [after["id"].clone(), after["n"].clone(), after["a"].clone()]),
        );
    }
    found.sort_unstable();
    // The checker shows a value with its type, such as `3 Integer{precision:4,value:1}`.
    let value = |cell: Option<String>| cell.and_then(|text| Some(text.rsplit_once("value:")?.1.trim_end_matches('}').to_owned()));
    let found: Vec<[Option<String>; 3]> = found.into_iter().map(|row: [Option<String>; 3]| row.map(value)).collect();
    let expected = [["1", "6", "-"], ["2", "5", "b"], ["3", "7", "é"]];
    assert_eq!(found, expected.map(|row| row.map(|text| (text != "-").then(|| text.to_owned()))));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_the_section() -> Result<()> {
    let mut case = case("checked_letters", 1).await?;
    let good = letters(&case, CAUSES);
    let file = case.task.file().display().to_string();
    for (section, code, texts) in [
        (good.clone(), 0, &["dead_letters_kafka_topic ", "topic checked_letters_letters does not exist and will be created"] as &[&str]),
        (good.replace("enabled = true, partitions = 2, replication = 1", "enabled = false"), 2, &["dead_letters_kafka_topic"]),
        (good.replace(&format!("{:?}", case.settings.brokers), "[\"127.0.0.1:1\"]"), 2, &["dead_letters_kafka_brokers", "127.0.0.1:1"]),
        (format!("{good}not_empty = \"append\"\n"), 2, &["`dead_letters.kafka.not_empty` has no effect"]),
        (format!("{good}key_change = \"keep\"\n"), 2, &["`dead_letters.kafka.key_change` has no effect"]),
        (format!("{good}max_batch_bytes = 5\n"), 2, &["`dead_letters.kafka.max_batch_bytes`"]),
        ("[errors]\nmax_rejected = 5\n".into(), 2, &["`errors.max_rejected` has no effect"]),
    ] {
        case.settings.more = section;
        case.task.configure(&case.settings)?;
        let output = program().command(&["check", &file]).output()?;
        let console = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{console}");
        for text in texts {
            assert!(console.contains(text), "{text:?} is not reported:\n{console}");
        }
    }
    let client = case.servers.kafka.client().await?;
    let topics = client.list_topics().await?;
    assert!(!topics.iter().any(|topic| topic.name == "checked_letters_letters"), "a check creates nothing");
    Ok(())
}
