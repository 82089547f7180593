//! A task that is stopped and started with other transforms.

use std::time::Duration;

use runtime::{Choice, Pipeline, Registry, RunState, Status};
use tests::Result;
use tests::checker::Format;

use super::case::{Case, Servers};
use super::refusals::ended;

const LIMIT: Duration = Duration::from_secs(60);

const BASE: &str = r#"
[[transform]]
filter = { tables = ["seams.t"], where = "region = 'eu'" }
[[transform]]
columns = { tables = ["seams.t"], exclude = ["secret"] }
"#;

/// The status of the task, which continues in this process.
async fn status(case: &Case) -> Result<Status> {
    let mut file: toml::Table = std::fs::read_to_string(case.task.file())?.parse()?;
    let mut section = |name: &str| -> Result<serde_json::Value> { Ok(serde_json::to_value(file.remove(name))?) };
    let mut registry = Registry::new();
    runtime::register(&mut registry);
    formats::register(&mut registry);
    source_polardbx::register(&mut registry);
    sink_kafka::register(&mut registry);
    let plugin = |section: &serde_json::Value, name: &str| runtime::Settings::from(section[name].clone());
    let transforms: Vec<Choice> = serde_json::from_value(section("transform")?)?;
    let mut builder = Pipeline::builder(case.settings.name.clone())
        .shared_source(registry.build_source("polardbx", &plugin(&section("source")?, "polardbx"))?)
        .sink_factory(registry.build_sink("kafka", &plugin(&section("sink")?, "kafka"))?)
        .shared_store(registry.build_store("local", &plugin(&section("store")?, "local"))?);
    for transform in registry.build_transforms(&transforms)? {
        builder = builder.named_transform(transform);
    }
    let running = builder.build()?.start();
    running.wait_for(|state| state == RunState::Streaming).await;
    let status = running.status();
    running.stop().await?;
    Ok(status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_task_continues_with_other_transforms() -> Result<()> {
    let servers = Servers::shared().await?;
    let mysql = servers.source.clone();
    mysql
        .execute(&[
            "CREATE DATABASE seams",
            "CREATE TABLE seams.t (id INT PRIMARY KEY, region VARCHAR(9), secret VARCHAR(20))",
            "INSERT INTO seams.t VALUES (1, 'eu', 'a'), (2, 'us', 'b')",
        ])
        .await?;
    let mut case = Case::new(servers.clone(), "seams", Format::CanalJson, 1, Vec::new()).await?;
    let sink = "record_key = \"primary_key\"\nnot_empty = \"append\"";
    (case.settings.more, case.settings.sink) = (BASE.into(), sink.into());
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert!(!case.task.output().contains("not those of its last run"), "{}", case.task.output());

    // Each step inserts a row of each region.
    let steps = [
        (BASE.replace("'eu'", "'us'"), "filter changed"),
        (
            "[[transform]]\nmask = { tables = [\"seams.t\"], columns = { secret = { hash = { salt = \"pepper\" } } } }\n".to_owned(),
            "mask added",
        ),
        ("[[transform]]\netl = { tables = [\"seams.t\"], script = \"e_set(`secret`, 'etl')\" }\n".to_owned(), "etl added, mask removed"),
        ("[[transform]]\ncolumns = { tables = [\"seams.t\"], include = [\"id\"] }\n".to_owned(), "columns added, etl removed"),
    ];
    let mut id = 2;
    for (transforms, changed) in &steps {
        case.settings.more = transforms.clone();
        case.task.configure(&case.settings)?;
        case.task.start()?;
        id += 2;
        mysql.execute(&[&format!("INSERT INTO seams.t VALUES ({}, 'eu', 'x'), ({id}, 'us', 'y')", id - 1)]).await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        let output = case.task.output();
        let line = output.lines().find(|line| line.contains("not those of its last run")).unwrap_or_default();
        assert!(line.contains(changed) && line.contains("stream_global continues at "), "{changed}: {output}");
        let seam = status(&case).await?.seam.map(|seam| seam.text()).unwrap_or_default();
        assert!(line.contains(&seam) && seam.contains(changed), "{seam}: {line}");
    }
    // Before each seam the old shape, behind it the new one.
    assert_eq!(case.rows_of("t", "id")?, ["1", "4", "5", "6", "7", "8", "9", "10"]);
    let secrets = case.rows_of("t", "secret")?;
    assert_eq!((secrets.len(), &*secrets[2], &*secrets[3]), (4, "etl", "etl"), "{secrets:?}");
    assert!(secrets[0].len() == 64 && secrets[1].len() == 64 && secrets[0] != secrets[1], "{secrets:?}");

    // What decides names, keys and places cannot change.
    let (more, sink) = (case.settings.more.clone(), case.settings.sink.clone());
    let renamed = format!("{more}[[transform]]\nrename = {{ tables = {{ \"seams.t\" = \"x.y\" }} }}\n");
    let renamed_column = more.replace("include = [\"id\"]", "include = [\"id\"], rename = { id = \"number\" }");
    let keyed = sink.replace("primary_key", "table");
    for (transforms, of_sink, format, named) in [
        (&renamed, &sink, Format::CanalJson, "transforms"),
        (&renamed_column, &sink, Format::CanalJson, "transforms"),
        (&more, &keyed, Format::CanalJson, "record_key"),
        (&more, &format!("{sink}\ntombstones = true"), Format::CanalJson, "tombstones"),
        (&more, &format!("{sink}\nkey_change = \"keep\""), Format::CanalJson, "key_change"),
        (&more, &format!("{sink}\npartition = \"primary_key\""), Format::CanalJson, "partition"),
        (&more, &format!("{sink}\nddl_topic = \"seams\""), Format::CanalJson, "ddl_topic"),
        (&more, &sink, Format::DtsAvro, "format"),
    ] {
        let mut settings = case.settings.clone();
        (settings.more, settings.sink, settings.format) = (transforms.clone(), of_sink.clone(), format);
        case.task.configure(&settings)?;
        case.task.start()?;
        ended(&mut case, 2, &["E_CONFIG_CONFLICT", named]).await?;
    }
    // The refused settings have left nothing behind.
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    assert!(!case.task.output().contains("not those of its last run"), "{}", case.task.output());
    Ok(())
}
