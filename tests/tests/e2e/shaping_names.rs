//! Tables, columns and operations that are chosen and renamed, while the tables are changed.

use std::time::Duration;

use tests::Result;
use tests::checker::{Decoded, Format};

use super::case::{Case, Servers};
use super::refusals::{ended, refused};

const LIMIT: Duration = Duration::from_secs(60);

/// The last image of each row of a table in the topic, by the value of `key`, as `column=value` texts in the order of their names.
fn last_images(case: &Case, table: &str, key: &str) -> Result<Vec<String>> {
    let mut rows = std::collections::BTreeMap::new();
    for entry in &case.entries {
        let Decoded::Rows(changes) = case.settings.format.decode(&entry.value)? else { continue };
        for change in changes.into_iter().filter(|change| change.table.name == table) {
            let key_of = |image: &tests::checker::Image| image.get(key).cloned().flatten().unwrap_or_default();
            match (change.before, change.after) {
                (_, Some(after)) => {
                    let cells: Vec<String> =
                        after.iter().map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("NULL"))).collect();
                    rows.insert(key_of(&after), cells.join(" "));
                }
                (Some(before), None) => drop(rows.remove(&key_of(&before))),
                (None, None) => {}
            }
        }
    }
    Ok(rows.into_values().collect())
}

/// The statements in the topic.
fn statements(case: &Case) -> Vec<String> {
    let texts = case.entries.iter().filter_map(|entry| serde_json::from_slice::<serde_json::Value>(&entry.value).ok());
    texts.filter(|message| message["isDdl"] == true).map(|message| message["sql"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_names_and_operations_through_schema_changes() -> Result<()> {
    let servers = Servers::shared().await?;
    let mysql = servers.source.clone();
    mysql
        .execute(&[
            "CREATE DATABASE shaped",
            "CREATE TABLE shaped.c_users (c_id INT PRIMARY KEY, c_mail VARCHAR(40), hash VARCHAR(40), c_age INT)",
            "INSERT INTO shaped.c_users VALUES (1, 'a@x', 'secret', 20), (2, 'b@x', 'secret', 30)",
            "CREATE TABLE shaped.audit (id INT PRIMARY KEY, what VARCHAR(9))",
            "INSERT INTO shaped.audit VALUES (1, 'read'), (2, 'read')",
        ])
        .await?;
    let mut case = Case::new(servers.clone(), "shaped", Format::CanalJson, 1, Vec::new()).await?;
    case.settings.more = r#"
[[transform]]
operations = { tables = ["shaped.audit"], keep = ["insert"] }
[[transform]]
columns = { tables = ["shaped.c_users"], exclude = ["hash"], rename = { c_mail = "c_email" } }
[[transform]]
rename = { patterns = [{ match = "(.*)\\.c_(.*)", to = "{1}.{2}" }], columns = [{ tables = ["shaped.*"], match = "c_(.*)", to = "{1}" }] }
"#
    .into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    assert_eq!(last_images(&case, "users", "id")?, ["age=20 email=a@x id=1", "age=30 email=b@x id=2"]);

    mysql
        .execute(&[
            "INSERT INTO shaped.audit VALUES (3, 'new')",
            "UPDATE shaped.audit SET what = 'changed' WHERE id = 1",
            "DELETE FROM shaped.audit WHERE id = 2",
            "ALTER TABLE shaped.audit ADD more INT",
            "INSERT INTO shaped.audit VALUES (4, 'more', 7)",
            "ALTER TABLE shaped.c_users MODIFY c_mail VARCHAR(80), MODIFY hash TEXT",
            "INSERT INTO shaped.c_users VALUES (3, 'c@x', 'secret', 40)",
            "ALTER TABLE shaped.c_users DROP hash",
            "INSERT INTO shaped.c_users VALUES (4, 'd@x', 50)",
            "ALTER TABLE shaped.c_users ADD hash VARCHAR(40) FIRST",
            "UPDATE shaped.c_users SET hash = 'secret' WHERE c_id = 4",
            "UPDATE shaped.c_users SET c_age = 51 WHERE c_id = 4",
            "ALTER TABLE shaped.c_users ADD c_city VARCHAR(9) DEFAULT 'here'",
        ])
        .await?;
    case.catch_up(LIMIT).await?;
    case.task.kill()?;
    mysql.execute(&["INSERT INTO shaped.c_users VALUES ('secret', 5, 'e@x', 60, 'there')"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    assert_eq!(last_images(&case, "users", "id")?[3..], ["age=51 email=d@x id=4", "age=60 city=there email=e@x id=5"],);
    assert_eq!(
        last_images(&case, "audit", "id")?,
        ["id=1 what=read", "id=2 what=read", "id=3 what=new", "id=4 more=7 what=more"],
        "only inserts are kept"
    );
    let all = statements(&case);
    assert!(!all.iter().any(|statement| statement.contains("audit")), "{all:?}");
    assert_eq!(all.iter().filter(|statement| statement.contains("c_users")).count(), 4, "{all:?}");
    assert!(!case.entries.iter().any(|entry| entry.value.windows(6).any(|part| part == b"secret")), "an excluded value was delivered");

    // The excluded column may have another name now. The task ends before a value of it is delivered, also when it is started again.
    mysql
        .execute(&[
            "ALTER TABLE shaped.c_users CHANGE hash digest VARCHAR(40)",
            "INSERT INTO shaped.c_users VALUES ('secret', 6, 'f@x', 70, 'there')",
        ])
        .await?;
    ended(&mut case, 2, &["has lost the column `hash`", "has got the column `digest`", "transform.columns"]).await?;
    refused(&mut case, 2, &["has lost the column `hash`"]).await?;
    case.read().await?;
    assert!(!case.entries.iter().any(|entry| entry.value.windows(6).any(|part| part == b"secret")), "an excluded value was delivered");
    case.settings.more = case.settings.more.replace(r#"exclude = ["hash"]"#, r#"exclude = ["hash", "digest"]"#);
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    assert_eq!(last_images(&case, "users", "id")?[5..], ["age=70 city=there email=f@x id=6"]);
    case.task.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_table_with_the_name_of_another_one_ends_the_task() -> Result<()> {
    let servers = Servers::shared().await?;
    let mysql = servers.source.clone();
    mysql
        .execute(&[
            "CREATE DATABASE colliding",
            "CREATE TABLE colliding.t_1 (id INT PRIMARY KEY)",
            "CREATE TABLE colliding.t_2 (id INT PRIMARY KEY)",
            "INSERT INTO colliding.t_1 VALUES (1)",
        ])
        .await?;
    let mut case = Case::new(servers.clone(), "colliding", Format::CanalJson, 1, Vec::new()).await?;
    let rename =
        |merge: &str| format!("[[transform]]\nrename = {{ patterns = [{{ match = \"(.*)\\\\.t_\\\\d\", to = \"{{1}}.t\" }}]{merge} }}");
    case.settings.more = rename("");
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["the name colliding.t: colliding.t_1, colliding.t_2", "merge = true"]).await?;
    assert_eq!(case.read().await?, 0);

    mysql.execute(&["DROP TABLE colliding.t_2"]).await?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    // The task may know `t_1` from its checkpoint only.
    case.task.kill()?;
    case.task.start()?;
    mysql.execute(&["CREATE TABLE colliding.t_3 (id INT PRIMARY KEY)", "INSERT INTO colliding.t_3 VALUES (33)"]).await?;
    ended(&mut case, 2, &["the name colliding.t: colliding.t_1, colliding.t_3"]).await?;
    case.read().await?;
    assert_eq!(case.rows_of("t", "id")?, ["1"]);
    // With `merge`, it continues where it was.
    case.settings.more = rename(", merge = true");
    case.task.configure(&case.settings)?;
    case.task.start()?;
    case.catch_up(LIMIT).await?;
    assert_eq!(case.rows_of("t", "id")?, ["1", "33"]);
    case.task.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_tables_are_delivered_or_ignored() -> Result<()> {
    let servers = Servers::shared().await?;
    let mysql = servers.source.clone();
    mysql
        .execute(&[
            "CREATE DATABASE fresh",
            "CREATE TABLE fresh.old (id INT PRIMARY KEY)",
            "CREATE TABLE fresh.listed (id INT PRIMARY KEY)",
        ])
        .await?;
    let mut ignoring = Case::new(servers.clone(), "fresh", Format::CanalJson, 1, Vec::new()).await?;
    let mut streaming = ignoring.sibling("fresh_all", Format::CanalJson, 1).await?;
    ignoring.settings.tables = vec!["fresh.*".into(), "fresh.listed".into()];
    ignoring.settings.source = "new_tables = \"ignore\"".into();
    ignoring.task.configure(&ignoring.settings)?;
    for case in [&mut ignoring, &mut streaming] {
        case.task.start()?;
        case.catch_up(LIMIT).await?;
    }
    mysql
        .execute(&[
            "CREATE TABLE fresh.new (id INT PRIMARY KEY)",
            "INSERT INTO fresh.new VALUES (1)",
            "DROP TABLE fresh.old",
            "CREATE TABLE fresh.old (id INT PRIMARY KEY)",
            "INSERT INTO fresh.old VALUES (2)",
            "DROP TABLE fresh.listed",
        ])
        .await?;
    ignoring.catch_up(LIMIT).await?;
    ignoring.task.kill()?;
    // A listed table that is gone is an error at the first start only.
    ignoring.task.start()?;
    ignoring.catch_up(LIMIT).await?;
    mysql
        .execute(&[
            "INSERT INTO fresh.new VALUES (3)",
            "CREATE TABLE fresh.listed (id INT PRIMARY KEY)",
            "INSERT INTO fresh.listed VALUES (4)",
            "INSERT INTO fresh.old VALUES (5)",
        ])
        .await?;
    for case in [&mut ignoring, &mut streaming] {
        case.catch_up(LIMIT).await?;
    }
    for (case, new) in [(&ignoring, &[][..]), (&streaming, &["1", "3"])] {
        assert_eq!(case.rows_of("new", "id")?, new);
        assert_eq!(case.rows_of("old", "id")?, ["2", "5"]);
        assert_eq!(case.rows_of("listed", "id")?, ["4"]);
        let named = statements(case).iter().any(|statement| statement.contains("fresh.new"));
        assert_eq!(named, !new.is_empty());
    }
    let output = ignoring.task.output();
    assert_eq!(output.matches("the table is ignored, because it did not exist when the task began").count(), 1, "{output}");
    assert!(output.contains("table fresh.listed does not exist"), "{output}");
    ignoring.task.stop().await?;
    streaming.task.stop().await?;
    // The selection of a task cannot change.
    ignoring.settings.source = String::new();
    ignoring.task.configure(&ignoring.settings)?;
    refused(&mut ignoring, 2, &["new_tables"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_table_that_does_not_exist_and_a_wrong_order_of_transforms_are_refused() -> Result<()> {
    let servers = Servers::shared().await?;
    servers.source.execute(&["CREATE DATABASE absent"]).await?;
    let mut case = Case::new(servers, "absent", Format::CanalJson, 1, Vec::new()).await?;
    case.settings.tables.push("absent.none".into());
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["table absent.none does not exist", "source.polardbx.tables"]).await?;
    case.settings.tables.pop();
    case.settings.more =
        "[[transform]]\nrename = { case = \"lower\" }\n[[transform]]\ncolumns = { tables = [\"absent.*\"], exclude = [\"x\"] }".into();
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["`columns` stands behind `rename`", "filter, operations, add_columns, etl, mask, columns, rename"]).await?;
    case.settings.more = "[[transform]]\ncolumns = { tables = [\"absent.*\"], exclude = [\"x\"] }".into();
    case.task.configure(&case.settings)?;
    refused(&mut case, 2, &["no table has the column `x` (absent.fence)"]).await
}
