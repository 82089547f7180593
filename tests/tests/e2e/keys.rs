//! Tables with keys of every kind and tables without a key, which are read in small chunks while rows are written; and names that need
//! quotes.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tests::Result;
use tests::checker::{Format, Table};
use tests::harness::{Database, Flavor};

use super::case::{Case, Servers};

const LIMIT: Duration = Duration::from_secs(90);

/// A table: its name, its columns except the value `v`, its keys, and SQL for the key columns of its rows.
struct Keyed {
    name: &'static str,
    columns: &'static str,
    keys: &'static str,
    rows: Vec<String>,
}

fn keyed(name: &'static str, columns: &'static str, keys: &'static str, rows: impl IntoIterator<Item = String>) -> Keyed {
    Keyed { name, columns, keys, rows: rows.into_iter().collect() }
}

/// A table with one key column `k`.
fn simple(name: &'static str, columns: &'static str, rows: impl IntoIterator<Item = String>) -> Keyed {
    keyed(name, columns, "PRIMARY KEY (k)", rows)
}

fn every_kind() -> Vec<Keyed> {
    const WORDS: [&str; 16] = ["a", "B", "á", "Z", "ß", "ö", "10", "9", "", "it''s", "\\\\", "%", "_x", "中文", "😀", "z z"];
    let words = || WORDS.iter().map(|word| format!("'{word}'"));
    vec![
        simple("negative", "k INT NOT NULL", (-20..20).map(|k| (k * 3).to_string())),
        simple(
            "huge",
            "k BIGINT UNSIGNED NOT NULL",
            [0u64, 1, 2, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX].map(|k| k.to_string()),
        ),
        simple("lowest", "k BIGINT NOT NULL", [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX].map(|k| k.to_string())),
        simple("gaps", "k BIGINT NOT NULL", (1..40u64).map(|k| (k * k * k * 100_003).to_string())),
        simple("dense", "k MEDIUMINT UNSIGNED NOT NULL", (0..200).map(|k| k.to_string())),
        keyed(
            "composite",
            "a SMALLINT NOT NULL, k VARCHAR(10) CHARACTER SET utf8mb4 NOT NULL, c DATE NOT NULL",
            "PRIMARY KEY (k, a, c)",
            (0..60).map(|n| format!("{}, '{}', '2024-0{}-01'", n % 4 - 2, ["x", "y", "Ä"][n as usize % 3], 1 + n / 12)),
        ),
        simple(
            "general",
            "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
            ["'a'", "'B'", "'c'", "'É'", "'z'", "'中'", "''", "'ab '", "'A B'"].map(str::to_owned),
        ),
        simple("exact", "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL", words()),
        simple("latin", "k CHAR(6) CHARACTER SET latin1 NOT NULL", ["'é'", "'a'", "X'80'", "'z'", "'ÿ'", "''", "'ß'"].map(str::to_owned)),
        simple("bytes", "k BINARY(3) NOT NULL", (0..30).map(|k| format!("X'{:02X}00{:02X}'", k * 8, k))),
        simple(
            "more_bytes",
            "k VARBINARY(9) NOT NULL",
            ["''", "X'00'", "X'0000'", "X'00FF'", "X'27'", "X'5C'", "X'FF'", "X'FFFF'"].map(str::to_owned),
        ),
        simple("decimals", "k DECIMAL(20,5) NOT NULL", (-15..15).map(|k| format!("{}.{:05}", k * 1_000_003, (k * k) as u32))),
        simple(
            "dates",
            "k DATE NOT NULL",
            (0..28).map(|k| format!("'20{:02}-02-{:02}'", k, k + 1)).chain(["'0000-00-00'".into(), "'9999-12-31'".into()]),
        ),
        simple("moments", "k DATETIME(6) NOT NULL", (0..30).map(|k| format!("'2024-02-29 12:34:56.{:06}'", k * 33_333))),
        simple(
            "stamps",
            "k TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01 00:00:00'",
            (0..30).map(|k| format!("'2024-02-29 12:34:{:02}.{:03}'", k, k * 7)),
        ),
        simple(
            "times",
            "k TIME(2) NOT NULL",
            (-15..15).map(|k| format!("'{}{:02}:00:00.{:02}'", if k < 0 { "-" } else { "" }, i32::abs(k) * 50, i32::abs(k))),
        ),
        simple(
            "choices",
            "k ENUM('z','a','m','','é') CHARACTER SET utf8mb4 NOT NULL",
            ["'z'", "'a'", "'m'", "''", "'é'"].map(str::to_owned),
        ),
        simple("sets", "k SET('x','y','z') NOT NULL", (0..8).map(|k| k.to_string())),
        simple("floats", "k FLOAT NOT NULL", (-10..10).map(|k| format!("{}", f64::from(k) / 8.0))),
        simple("doubles", "k DOUBLE NOT NULL", (-10..10).map(|k| format!("{k}e{k}"))),
        simple("bits", "k BIT(12) NOT NULL", (0..20).map(|k| (k * 200).to_string())),
        simple("years", "k YEAR NOT NULL", (2000..2030).map(|k| k.to_string())),
        keyed(
            "prefixed",
            "k VARCHAR(30) CHARACTER SET utf8mb4 NOT NULL",
            "PRIMARY KEY (k(4))",
            (0..30).map(|k| format!("'{k:04} and more'")),
        ),
        simple("nothing", "k INT NOT NULL", []),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_kind_on_mysql_5_7() -> Result<()> {
    keys(Flavor::MySql57).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_kind_on_mysql_8_0() -> Result<()> {
    keys(Flavor::MySql80).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_kind_on_mariadb() -> Result<()> {
    keys(Flavor::MariaDb).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_kind_on_polardbx() -> Result<()> {
    keys(Flavor::PolarDbX).await
}

async fn keys(flavor: Flavor) -> Result<()> {
    let servers = Servers::shared_of(flavor).await?;
    let name = format!("keys_{}", flavor.name());
    let tables = every_kind();
    let mut statements = vec![format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")];
    for Keyed { name: table, columns, keys, rows } in &tables {
        statements.push(format!("CREATE TABLE {name}.{table} ({columns}, v INT NOT NULL, {keys})"));
        statements.extend(rows.iter().map(|row| format!("INSERT INTO {name}.{table} VALUES ({row}, 1)")));
    }
    execute(&servers.source, &statements).await?;
    let total: usize = tables.iter().map(|table| table.rows.len()).sum();
    let checked = tables.iter().map(|table| Table::new(&name, table.name)).collect();
    let format = if flavor == Flavor::MySql80 { Format::DtsAvro } else { Format::CanalJson };
    let mut case = Case::new(servers, &name, format, 1, checked).await?;
    case.settings.source = "chunk_rows = 3\nparallelism = 3".into();
    case.task.configure(&case.settings)?;
    case.task.start()?;
    // Rows are changed while the chunks are read.
    let changes: Vec<String> = tables
        .iter()
        .flat_map(|Keyed { name: table, .. }| {
            [
                format!("UPDATE {name}.{table} SET v = v + 1"),
                format!("DELETE FROM {name}.{table} ORDER BY k LIMIT 1"),
                format!("DELETE FROM {name}.{table} ORDER BY k DESC LIMIT 1"),
            ]
        })
        .collect();
    execute(&case.servers.source, &changes).await?;
    case.catch_up(LIMIT).await?;
    let again: Vec<String> = tables.iter().map(|Keyed { name: table, .. }| format!("UPDATE {name}.{table} SET v = v + 100")).collect();
    execute(&case.servers.source, &again).await?;
    case.catch_up(LIMIT).await?;
    case.task.stop().await?;
    let report = case.verify(0).await?;
    assert!(report.rows + 2 * tables.len() >= total && report.stream_rows > total / 2, "{report:?}");
    Ok(())
}

async fn execute(source: &Database, statements: &[String]) -> Result<()> {
    source.execute(&statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_without_a_key() -> Result<()> {
    for flavor in Flavor::ALL {
        let servers = Servers::shared_of(flavor).await?;
        let name = format!("keyless_{}", flavor.name());
        let values = |from: u32| (from..from + 50).map(|id| format!("({id}, {id})")).collect::<Vec<_>>().join(", ");
        servers
            .source
            .execute(&[
                &format!("CREATE DATABASE {name}"),
                &format!("CREATE TABLE {name}.heap (id INT, a INT)"),
                &format!("CREATE TABLE {name}.nullable (id INT, a INT, UNIQUE KEY (id))"),
                &format!("CREATE TABLE {name}.second (id INT NOT NULL, a INT, UNIQUE KEY n (a), UNIQUE KEY u (id))"),
                &format!("CREATE TABLE {name}.empty (id INT)"),
                &format!("INSERT INTO {name}.heap VALUES {}, (NULL, NULL), (7, 7)", values(0)),
                &format!("INSERT INTO {name}.nullable VALUES {}, (NULL, 1), (NULL, 1)", values(0)),
                &format!("INSERT INTO {name}.second VALUES {}", values(0)),
            ])
            .await?;
        let mut case = Case::new(servers, &name, Format::CanalJson, 1, vec![]).await?;
        case.settings.source = "chunk_rows = 7".into();
        case.task.configure(&case.settings)?;
        case.task.start()?;
        // The full phase may read the first fence, so a second fence shows that the stream has caught up.
        case.catch_up(LIMIT).await?;
        case.catch_up(LIMIT).await?;
        case.servers
            .source
            .execute(&[&format!("INSERT INTO {name}.heap VALUES (1000, 1)"), &format!("INSERT INTO {name}.empty VALUES (5)")])
            .await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        // The checker cannot identify rows without a key, so this counts them: every row must have arrived exactly once.
        for (table, expected) in [("heap", 53), ("nullable", 52), ("second", 50), ("empty", 1)] {
            let ids = ids_of(&case, table)?;
            assert_eq!(ids.len(), expected, "{table}: {ids:?}");
        }
        let mut connection = case.servers.source.connect().await?;
        let sum: Option<u64> = connection.query_first(format!("SELECT SUM(id) FROM {name}.second")).await?;
        let read: u64 = ids_of(&case, "second")?.iter().filter_map(|id| id.parse::<u64>().ok()).sum();
        assert_eq!(Some(read), sum);
    }
    Ok(())
}

/// The values of the column `id` in all rows of a table in the topic. The checker cannot do this, since it needs tables with a key.
fn ids_of(case: &Case, table: &str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in &case.entries {
        let message: serde_json::Value = serde_json::from_slice(&entry.value)?;
        let rows = message["data"].as_array().filter(|_| message["table"] == table);
        ids.extend(rows.into_iter().flatten().map(|row| row["id"].as_str().unwrap_or("NULL").to_owned()));
    }
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_need_quotes() -> Result<()> {
    const TABLES: [&str; 9] = ["select", "sp ace", "do.t", "☃", "it's", "say \"x\"", "tick`ed", "100%_", "ÄÖ"];
    for flavor in Flavor::ALL {
        let servers = Servers::shared_of(flavor).await?;
        let database = format!("odd ☃.{} `db`", flavor.name());
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let schema = quoted(&database);
        let mut statements = vec![format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4")];
        let write = |ids: std::ops::Range<u32>| {
            TABLES.into_iter().flat_map(move |table| ids.clone().map(move |id| (table, id))).map(|(table, id)| {
                format!(
                    "INSERT INTO {}.{} VALUES ({id}, 'a\\'☃😀', '{id}', {id}, 0)",
                    quoted(&format!("odd ☃.{} `db`", flavor.name())),
                    quoted(table)
                )
            })
        };
        statements.extend(TABLES.map(|table| {
            format!(
                "CREATE TABLE {schema}.{} (`k``e y.☃` INT NOT NULL, `'v'` TEXT, `\"w\"` VARCHAR(9), `ORDER` INT, `v ` INT, PRIMARY KEY (`k``e y.☃`))",
                quoted(table)
            )
            .replace("`v `", "`v v`")
        }));
        statements.extend(write(0..8));
        execute(&servers.source, &statements).await?;
        let topic = format!("odd_{}", flavor.name());
        // PolarDB-X keeps names in lower case.
        let name_of = |table: &str| if flavor == Flavor::PolarDbX { table.to_lowercase() } else { table.to_owned() };
        let tables: Vec<Table> = TABLES.map(|table| Table::new(&database, name_of(table))).into();
        let mut case = Case::in_database(servers, &database, &topic, Format::CanalJson, tables).await?;
        case.settings.tables = vec![format!("{schema}.*")];
        case.settings.source = "chunk_rows = 3".into();
        case.task.configure(&case.settings)?;
        case.task.start()?;
        case.catch_up(LIMIT).await?;
        let mut more: Vec<String> = write(8..10).collect();
        more.extend(TABLES.map(|table| format!("UPDATE {schema}.{} SET `ORDER` = `ORDER` + 1 WHERE `k``e y.☃` < 5", quoted(table))));
        more.push(format!("CREATE INDEX `i``x` ON {schema}.{} (`ORDER`)", quoted("☃")));
        more.push(format!("INSERT INTO {schema}.{} VALUES (77, '', '', 7, 7)", quoted("☃")));
        execute(&case.servers.source, &more).await?;
        case.catch_up(LIMIT).await?;
        case.task.stop().await?;
        case.verify(0).await?;
    }
    Ok(())
}
