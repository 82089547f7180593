//! The examples of the page on shaping: each configuration is tested as `connector-cli test` does it, and the records below it are those that
//! readers get.

use runtime::{Body, Message};
use serde::de::IgnoredAny;

use super::{differences, expected, input_of, played};
use crate::config::Task;

const PAGE: &str = include_str!("../../../docs/shaping.md");

/// The fields of a record that the page shows, in this order.
const FIELDS: [&str; 5] = ["type", "database", "table", "data", "old"];

/// An example: its lines in the page, and the records that the page shows below it.
struct Example {
    line: usize,
    toml: String,
    records: Option<String>,
}

fn examples() -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut block: Option<(usize, &str, String)> = None;
    for (number, line) in PAGE.lines().enumerate() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((number + 1, language, String::new())),
            (None, None) => {}
            (Some((_, _, text)), None) => text.extend([line, "\n"]),
            (Some(_), Some(_)) => match block.take() {
                Some((line, "toml", toml)) => found.push(Example { line, toml, records: None }),
                Some((line, "json", records)) => {
                    let example = found.last_mut().unwrap_or_else(|| panic!("line {line}: records without an example"));
                    assert_eq!(example.records.replace(records), None, "line {line}: the example has records already");
                }
                _ => {}
            },
        }
    }
    found
}

#[test]
fn the_examples_of_the_page_on_shaping_work() {
    let registry = crate::bundled();
    let examples = examples();
    let first = &examples[0].toml;
    let mut tests = 0;
    for Example { line, toml, records } in &examples {
        // An example that is no whole file is appended to the first one, as the page says.
        let is_whole = toml.contains("[source.");
        let text = if is_whole { toml.clone() } else { format!("{first}{toml}") };
        let environment = [("SHOP_DB_PASSWORD", "x"), ("SALT", "pepper")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let task = Task::read("docs/shaping.md", &text, &environment).unwrap_or_else(|error| panic!("line {line}: {error}"));
        let pipeline = task.pipeline(&registry).unwrap_or_else(|error| panic!("line {line}: {error}"));
        assert!(!task.tests().is_empty(), "line {line}: the example has no test");
        let (mut seen, mut rehearsed) = (Vec::new(), Vec::new());
        for (index, test) in task.tests().iter().enumerate() {
            let (found, of_test) = played(&pipeline, test).unwrap_or_else(|error| panic!("line {line}: {error}"));
            rehearsed.push(of_test);
            let wanted = test.expect.iter().map(|row| expected(row).unwrap()).collect::<Vec<_>>();
            assert_eq!(differences(&wanted, &found), Vec::<String>::new(), "line {line}");
            assert!(!found.is_empty(), "line {line}: the example shows no row");
            if is_whole || index > 0 {
                seen.extend(records_of(&registry, &pipeline, test));
            }
            tests += 1;
        }
        assert_eq!(pipeline.check_rehearsed(&rehearsed).unwrap(), [], "line {line}");
        let records = records.as_ref().unwrap_or_else(|| panic!("line {line}: the page does not show the records"));
        assert_eq!(seen, records.lines().collect::<Vec<_>>(), "line {line}");
    }
    assert!(tests > 10, "{tests} tests");
}

/// The records of the rows of a test, with the fields that the page shows.
fn records_of(registry: &runtime::Registry, pipeline: &runtime::Pipeline, test: &crate::config::TestCase) -> Vec<String> {
    let mut encoder = registry.encoder_factory("canal_json", &serde_json::json!({}).into()).unwrap()().unwrap();
    let rehearsed = pipeline.rehearse(&input_of(test).unwrap()).unwrap();
    let mut records = Vec::new();
    for event in rehearsed.events.iter().filter(|event| matches!(event.body, Body::Row(_))) {
        let mut message = Message::default();
        encoder.encode(event, &mut message).unwrap();
        let record = std::str::from_utf8(&message.value).unwrap();
        let fields = FIELDS.iter().filter_map(|name| Some(format!("\"{name}\":{}", field(record, name)?)));
        records.push(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")));
    }
    records
}

/// The value of a field of a record, as it is written there; `None` if it is null.
fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = record.split_once(&format!("\"{name}\":"))?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    values.next().unwrap().unwrap();
    let text = &rest[..values.byte_offset()];
    (text != "null").then_some(text)
}
