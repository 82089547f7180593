//! Imports of sample files. The expected configurations stand beside them in `tests/golden/import`; `UPDATE_GOLDEN=1` rewrites them.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use runtime::Result;

use super::draft::Draft;
use super::input::Input;
use super::{canal, debezium, dts};

/// Reads the configuration and builds its plugins, as `check` does before it connects. Variables that it refers to are set.
fn validate(toml: &str) -> Result<()> {
    let names = toml.split("${env:").skip(1).filter_map(|rest| rest.split('}').next());
    let value = |name: &str| match name {
        "REGISTRY_URL" => "http://registry:8081",
        "KAFKA_BROKER" => "kafka:9092",
        _ => "a-value",
    };
    let environment: Vec<_> = names.map(|name| (name.to_owned(), value(name).to_owned())).collect();
    crate::validate(&crate::bundled(), "sample.toml", toml, &environment)
}

fn samples(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/import").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind != "toml"));
    files.sort();
    files
}

fn check(kind: &str, import: impl Fn(&Input) -> Result<Draft>) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let files = samples(kind);
    assert!(files.len() >= 10, "{kind}: {} samples", files.len());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let input = Input { name: name.clone(), text: fs::read_to_string(&file).unwrap() };
        let found = import(&input).unwrap().render();
        let golden = file.with_extension("toml");
        if update {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert!(found == expected, "{kind}/{name} differs from its golden file; UPDATE_GOLDEN=1 rewrites it. Found:\n{found}");
        // Every password and salt of the samples has this word.
        assert!(!found.contains("s3cret"), "{kind}/{name} shows a secret:\n{found}");
        // A pattern that this program does not have is refused, so that nobody starts the task without it.
        match validate(&found) {
            Ok(()) => assert!(!found.contains(" cannot be used as it is"), "{kind}/{name}:\n{found}"),
            Err(error) => assert!(found.contains(" cannot be used as it is"), "{kind}/{name} is refused: {error}\n{found}"),
        }
    }
}

#[test]
fn dts_tasks() {
    check("dts", dts::import);
}

#[test]
fn debezium_connectors() {
    check("debezium", debezium::import);
}

#[test]
fn canal_instances() {
    check("canal", |input| canal::import(&[Input { name: input.name.clone(), text: input.text.clone() }]));
}

#[test]
fn of_two_files_the_first_counts() {
    let input = |name: &str, text: &str| Input { name: name.to_owned(), text: text.to_owned() };
    let instance = input("instance.properties", "canal.instance.master.address=db:3307\ncanal.mq.topic=a\n");
    let server = input("canal.properties", "canal.serverMode=kafka\nkafka.bootstrap.servers=k1:9092,k2:9092\ncanal.mq.topic=b\n");
    let text = canal::import(&[instance, server]).unwrap().render();
    for expected in ["port = 3307", "brokers = [\"k1:9092\", \"k2:9092\"]", "topic = \"a\"", "instance.properties and canal.properties"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn what_is_not_a_file_of_the_kind_is_refused_with_its_place() {
    let input = |text: &str| Input { name: "x.json".to_owned(), text: text.to_owned() };
    for (text, expected) in [
        ("{\n \"a\": s3cret}", "x.json: line 2, column"),
        ("[1]", "x.json: [0] is not an object"),
        ("7", "x.json is not"),
        (r#"{"a": {"Table": []}}"#, "x.json: a.Table is not an object"),
        (r#"{"a": {"Table": {"b": {"column": {"c": 1}}}}}"#, "x.json: a.Table.b.column.c is not an object"),
        (r#"{"DbList": "{", "DtsJobName": "x"}"#, "x.json: DbList: line 1"),
        (r#"{"DtsJobName": "x"}"#, "x.json has no list of objects"),
        (r#"[{"DBName": "a", "TableIncludes": [{}]}]"#, "[0].TableIncludes[0].TableName is not the name of a table"),
    ] {
        let error = dts::import(&input(text)).unwrap_err();
        assert!(error.to_string().contains(expected) && error.help().is_some() && !error.to_string().contains("s3cret"), "{error}");
    }
    for (text, expected) in [
        ("[]", "the document is not an object"),
        (r#"{"config": 1}"#, "config is not an object"),
        ("{}", "x.json is not the configuration of a connector"),
        (
            r#"{"connector.class": "io.debezium.connector.postgresql.PostgresConnector"}"#,
            "`connector.class` is not Debezium's connector for MySQL",
        ),
    ] {
        let error = debezium::import(&input(text)).unwrap_err();
        assert!(error.to_string().contains(expected) && error.help().is_some(), "{error}");
    }
}

/// What files are made of, so that random ones come further than to the first error.
fn words() -> impl Strategy<Value = String> {
    let known = [
        "all",
        "name",
        "Table",
        "column",
        "filter",
        "true",
        "false",
        "dml_op",
        "i,u",
        "value",
        "type",
        "attach_column",
        "patternType",
        "regex",
        "fnmatch",
        "filterType",
        "black",
        "part_key",
        "DBName",
        "TableIncludes",
        "TableName",
        "DbList",
        "Reserve",
        "DtsJobName",
        "Checkpoint",
        "config",
        "connector.class",
        "MySql",
        "database.hostname",
        "table.include.list",
        r"a\.b,c\\",
        "transforms",
        "x",
        "transforms.x.type",
        "RegexRouter",
        "transforms.x.regex",
        "(.*)",
        "transforms.x.replacement",
        "$1${",
        "column.mask.hash.a.with.salt.b",
        "column.mask.with.9.chars",
        "message.key.columns",
        "a.b:c;d",
        "canal.mq.dynamicTopic",
        "canal.mq.partitionHash",
        r".*\..*:$pk$",
        "canal.instance.filter.regex",
        "canal.instance.filter.field",
        "canal.instance.master.timestamp",
        "9223372036854775807",
        "-1",
        "{0}[a",
        "kafka.sasl.jaas.config",
        "username=\"é",
        "kafka.security.protocol",
        "SASL_SSL",
        "maxRetryTime",
        "snapshot.mode",
        "never",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        words().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            4 => prop::collection::vec((words(), inner.clone()), 0..8)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
            1 => inner.prop_map(|value| serde_json::Value::from(value.to_string())),
        ]
    })
}

/// Whatever was made of a file is TOML.
fn is_toml(draft: Result<Draft>) {
    if let Ok(draft) = draft {
        let text = draft.render();
        assert!(toml::from_str::<toml::Table>(&text).is_ok(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_json_is_imported_or_refused(document in documents()) {
        let input = Input { name: "x".to_owned(), text: document.to_string() };
        is_toml(dts::import(&input));
        is_toml(debezium::import(&input));
        let config = serde_json::json!({ "connector.class": "MySql", "config": document });
        is_toml(debezium::import(&Input { name: "x".to_owned(), text: config["config"].to_string() }));
        let task = serde_json::json!({ "DtsJobName": "x", "DbList": document, "Reserve": document });
        is_toml(dts::import(&Input { name: "x".to_owned(), text: task.to_string() }));
    }

    #[test]
    fn any_settings_of_a_connector_are_imported(entries in prop::collection::vec((words(), words()), 0..30)) {
        let mut config: serde_json::Map<_, _> = entries.into_iter().map(|(key, text)| (key, text.into())).collect();
        config.insert("connector.class".to_owned(), "io.debezium.connector.mysql.MySqlConnector".into());
        config.remove("config");
        let draft = debezium::import(&Input { name: "x".to_owned(), text: serde_json::Value::from(config).to_string() });
        prop_assert!(draft.is_ok());
        is_toml(draft);
    }

    #[test]
    fn any_text_is_imported_or_refused(text: String) {
        let input = Input { name: "x".to_owned(), text };
        is_toml(dts::import(&input));
        is_toml(debezium::import(&input));
        is_toml(canal::import(&[input]));
    }

    #[test]
    fn any_properties_are_imported_or_refused(entries in prop::collection::vec((words(), words()), 0..30)) {
        let text: String = entries.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        is_toml(canal::import(&[Input { name: "x".to_owned(), text }]));
    }
}
