//! The command `preview` on a real database, without any broker.

use serde_json::Value as Json;
use tests::Result;
use tests::harness::{Flavor, database};

use super::case::{Servers, program};
use super::report::assert_error;

/// Rows that are kept, dropped, masked and rejected, and texts that act on a terminal.
const TABLES: [&str; 4] = [
    "CREATE DATABASE previewed",
    "CREATE TABLE previewed.orders (id INT PRIMARY KEY, region VARCHAR(9), phone VARCHAR(20), price BIGINT, note TEXT)",
    "INSERT INTO previewed.orders VALUES (1, 'eu', '18712341111', 2, 'tea'), (2, 'us', '18712342222', 3, 'no'), \
     (3, 'eu', '18712343333', 9223372036854775807, 'too dear'), (4, 'eu', NULL, NULL, CONCAT(CHAR(27), '[2J', CHAR(10), 'x'))",
    "CREATE TABLE previewed.empty (id INT PRIMARY KEY)",
];

fn configuration(port: u16, format: &str) -> String {
    format!(
        r#"
name = "previewed"
[source.polardbx]
host = "127.0.0.1"
port = {port}
user = "{user}"
password = "{password}"
tables = ["previewed.*"]
exclude = ["previewed.other"]
[[transform]]
filter = {{ tables = ["previewed.orders"], where = "region = 'eu'" }}
[[transform]]
etl = {{ tables = ["previewed.orders"], script = "e_set(`total`, `price` * 2)" }}
[[transform]]
mask = {{ tables = ["previewed.orders"], columns = {{ phone = {{ partial = {{ start = 3, end = 6, with = "*" }} }} }} }}
[[transform]]
rename = {{ tables = {{ "previewed.orders" = "sales.orders" }} }}
[sink.kafka]
brokers = ["127.0.0.1:1"]
sasl = {{ mechanism = "scram_sha_256", user = "dts", password = "${{env:NO_SUCH_PASSWORD_OF_KAFKA}}" }}
tls = {{}}
topic = "{{database}}.{{table}}"
record_key = "primary_key"
{format}
"#,
        user = database::USER,
        password = database::PASSWORD,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_shown_with_what_becomes_of_them() -> Result<()> {
    let servers = Servers::shared_of(Flavor::MySql57).await?;
    servers.source.execute(&TABLES).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("shop.toml");
    let preview = |arguments: &[&str]| -> Result<(Option<i32>, String, String)> {
        let mut command = program().command(&[&["preview", "shop.toml"], arguments].concat());
        let output = command.current_dir(folder.path()).output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((output.status.code(), text(output.stdout), text(output.stderr)))
    };
    std::fs::write(&file, configuration(servers.source.port(), "format.canal_json = {}"))?;

    // For people: a row that fails does not end the command.
    let (code, out, errors) = preview(&["--table", "previewed.orders"])?;
    assert_eq!(code, Some(2), "{out}{errors}");
    for text in [
        "previewed.orders row 1",
        "187****1111",
        "sales.orders",
        r#"["1"]"#,
        "dropped by filter",
        "overflow",
        "while: table previewed.orders, at previewed.orders row 3",
        r"\u{1b}[2J\nx",
        "4 rows of previewed.orders: 2 would be written, 1 dropped, 1 failed; nothing was written",
    ] {
        assert!(out.contains(text), "{text:?} is not shown:\n{out}{errors}");
    }
    assert!(!out.chars().any(|c| c != '\n' && runtime::is_unprintable(c)), "{out:?}");

    // For programs.
    let (code, out, errors) = preview(&["--table", "previewed.orders", "--limit", "2", "--json"])?;
    assert_eq!(code, Some(0), "{out}{errors}");
    let rows: Vec<Json> = out.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    assert_eq!(rows.len(), 2, "{out}");
    assert_eq!((&rows[0]["row"]["phone"], &rows[1]["dropped_by"]), (&"18712341111".into(), &"filter".into()));
    let record = &rows[0]["records"][0];
    assert_eq!((&record["topic"], &record["key"]), (&"sales.orders".into(), &r#"["1"]"#.into()), "{out}");
    assert_eq!(record["value"]["data"][0]["total"], "4", "{out}");

    // Avro is decoded, and nothing is registered: nobody listens where the registry should be.
    let format = "format.dts_avro = {}\nschema_registry = { url = \"http://127.0.0.1:1\" }";
    std::fs::write(&file, configuration(servers.source.port(), format))?;
    let (code, out, errors) = preview(&["--table", "previewed.orders", "--limit", "1", "--json"])?;
    assert_eq!(code, Some(0), "{out}{errors}");
    let value = &serde_json::from_str::<Json>(&out)?["records"][0]["value"];
    assert_eq!((&value["operation"], &value["afterImages"][2]["value"]), (&"INIT".into(), &"187****1111".into()), "{out}");

    for (arguments, code, text) in [
        (&["--table", "previewed.empty"] as &[&str], 0, "0 rows of previewed.empty"),
        (&["--table", "previewed.other"], 2, "does not copy table previewed.other"),
        (&["--table", "previewed.missing"], 2, "no table previewed.missing"),
        (&["--table", "orders"], 2, "--table"),
        (&["--table", "previewed.orders", "--limit", "0"], 2, "--limit"),
    ] {
        let (found, out, errors) = preview(arguments)?;
        assert!(found == Some(code) && format!("{out}{errors}").contains(text), "{arguments:?}: {found:?} {out}{errors}");
    }

    // What would keep the task from starting is an error also for a table that is all right, and a mask of nothing is told.
    let with = |transforms: &str| {
        let text = configuration(servers.source.port(), "format.canal_json = {}");
        std::fs::write(&file, text.replace("rename = { tables = { \"previewed.orders\" = \"sales.orders\" } }", transforms))
    };
    with("rename = { patterns = [{ match = \"previewed\\\\..*\", to = \"sales.all\" }] }")?;
    let (code, out, errors) = preview(&["--table", "previewed.empty"])?;
    assert_eq!(code, Some(2), "{out}{errors}");
    assert_error(&errors, &["several tables the name sales.all", "previewed.empty", "previewed.orders"])?;
    const MASK: &str = "mask = { tables = [\"TABLE\"], columns = { note = \"null\" } }\n[[transform]]\n\
                        rename = { tables = { \"previewed.orders\" = \"sales.orders\" } }";
    with(&MASK.replace("TABLE", "sales.orders"))?;
    let (code, _, errors) = preview(&["--table", "previewed.empty"])?;
    assert_eq!(code, Some(2), "{errors}");
    assert_error(&errors, &["E_TRANSFORM", "mask.tables", "before it is renamed: previewed.orders"])?;
    with(&MASK.replace("TABLE", "previewed.ordres"))?;
    let (code, out, errors) = preview(&["--table", "previewed.empty"])?;
    assert_eq!((code, out.starts_with("0 rows")), (Some(0), true), "{out}{errors}");
    assert!(errors.starts_with("warning: mask.tables: no selected table matches \"previewed.ordres\"\n  help:  "), "{errors}");

    let left: Vec<_> =
        std::fs::read_dir(folder.path())?.map(|entry| entry.map(|entry| entry.file_name())).collect::<std::io::Result<_>>()?;
    assert_eq!(left, ["shop.toml"], "a preview writes nothing");
    Ok(())
}
