//! Rules that no compiler checks: which crate may depend on which, how modules depend on one another, how long files may be, and which
//! words texts may use. Also checks that the examples in the documents work.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test from end to end")]

mod modules;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use modules::Crate;

const CRATES: [&str; 6] = ["connector-cli", "formats", "runtime", "sink-kafka", "source-polardbx", "tests"];
const MAX_LINES: usize = 600;
/// The largest number of files that may import from one another in a circle.
const MAX_CIRCLE: usize = 3;
/// The largest number of files in which one type may have inherent `impl` blocks.
const MAX_IMPLEMENTATIONS: usize = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files of the repository with one of these extensions, except build output and state.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if path.is_dir() && !["target", "state", ".git"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no files {extensions:?}");
    found
}

fn dependencies(package: &str) -> BTreeSet<String> {
    let manifest: toml::Table = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap().parse().unwrap();
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn dependencies_follow_the_arrows() {
    let allowed = BTreeMap::from([
        ("runtime", &[] as &[&str]),
        ("formats", &["runtime"]),
        ("source-polardbx", &["runtime"]),
        ("sink-kafka", &["runtime"]),
        ("connector-cli", &["runtime", "formats", "source-polardbx", "sink-kafka"]),
        ("tests", &["runtime", "formats", "source-polardbx", "sink-kafka", "connector-cli"]),
    ]);
    for (package, allowed) in allowed {
        let inner = dependencies(package).into_iter().filter(|name| CRATES.contains(&name.as_str()));
        for name in inner {
            assert!(allowed.contains(&name.as_str()), "{package} must not depend on {name}");
        }
    }
}

#[test]
fn crates_do_not_depend_on_foreign_libraries() {
    for (package, foreign) in [
        ("runtime", &["mysql_async", "rskafka", "apache-avro", "toml", "figment", "clap", "tracing-subscriber"] as &[&str]),
        ("formats", &["tokio", "mysql_async", "rskafka", "chrono", "toml", "figment"]),
        ("source-polardbx", &["rskafka", "apache-avro", "toml", "figment", "clap"]),
        ("sink-kafka", &["mysql_async", "toml", "figment", "clap"]),
        ("connector-cli", &["mysql_async", "rskafka"]),
    ] {
        for name in dependencies(package) {
            assert!(!foreign.contains(&name.as_str()), "{package} must not depend on {name}");
        }
    }
}

#[test]
fn the_top_level_is_the_six_crates_and_the_documents() {
    let entries = fs::read_dir(root()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.') && name != "target" && name != "state");
    names.sort();
    assert_eq!(names, ["connector-cli", "docs", "formats", "runtime", "sink-kafka", "source-polardbx", "tests"]);
}

#[test]
fn no_file_is_too_long_to_read() {
    for path in files(&["rs"]) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines, at most {MAX_LINES} are fine", path.display());
    }
}

#[test]
fn modules_depend_on_one_another_in_one_direction() {
    let mut wrong = Vec::new();
    for name in CRATES {
        let modules = Crate::read(&root().join(name).join("src"));
        let circles = modules.circles();
        let largest = circles.iter().map(Vec::len).max().unwrap_or(0);
        println!("{name}: {} circles of files, the largest has {largest}", circles.len());
        let large = circles.into_iter().filter(|circle| circle.len() > MAX_CIRCLE);
        wrong.extend(large.map(|circle| format!("{name}: files that import from one another in a circle: {circle:?}")));
        let spread = modules.implementations().into_iter().filter(|(_, files)| files.len() > MAX_IMPLEMENTATIONS);
        wrong.extend(spread.map(|(implemented, files)| format!("{name}: {implemented} is implemented in too many files: {files:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_kafka_client_names_rskafka() {
    let client = root().join("sink-kafka/src/client");
    for path in files(&["rs"]).into_iter().filter(|path| path.starts_with(root().join("sink-kafka/src")) && !path.starts_with(&client)) {
        assert!(
            !fs::read_to_string(&path).unwrap().contains("rskafka"),
            "{} names rskafka, outside of {}",
            path.display(),
            client.display()
        );
    }
}

#[test]
fn texts_use_the_words_of_the_glossary() {
    // These two files list the banned words, so they are not checked.
    let lists = [root().join("docs/glossary.md"), root().join("tests/tests/tidy/words.rs")];
    let mut found = Vec::new();
    for path in files(&["rs", "toml", "md"]).into_iter().filter(|path| !lists.contains(path)) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        found.extend(words::banned_in(&name.replace('/', " ")).into_iter().map(|hit| format!("the path {name}, {hit}")));
        found.extend(words::banned_in(&fs::read_to_string(&path).unwrap()).into_iter().map(|hit| format!("{name} {hit}")));
    }
    assert!(found.is_empty(), "{} banned words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn texts_do_not_mention_the_machine_they_were_written_on() {
    // Each text is written in two parts, so that this file does not contain the forbidden text itself.
    let forbidden = [("/wo", "rk/"), ("/ro", "ot/"), ("/home", "/"), ("repo.mav", "en"), ("apache.org/", "maven"), ("mirr", "ors.")];
    for path in files(&["rs", "toml", "md", "xml", "avsc"]).into_iter().chain([root().join(".ci/run")]).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).unwrap();
        for (first, second) in forbidden {
            let word = format!("{first}{second}");
            assert!(!text.contains(&word), "{} contains {word}", path.display());
        }
    }
}

/// The name and content of every TOML example in the documents.
fn configurations() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files(&["md", "toml"]) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "toml") {
            if name.starts_with("docs") {
                found.push((name, text));
            }
            continue;
        }
        for (number, part) in text.split("```toml\n").skip(1).enumerate() {
            let block = part.split("```").next().unwrap_or_default();
            found.push((format!("{name}, block {}", number + 1), block.to_owned()));
        }
    }
    found
}

#[tokio::test]
async fn every_configuration_in_the_documents_is_accepted() {
    let registry = connector_cli::bundled();
    let mut whole = 0;
    for (name, text) in configurations() {
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        if !["name", "source", "sink"].iter().all(|key| table.contains_key(*key)) {
            continue;
        }
        whole += 1;
        let environment: Vec<(String, String)> =
            references(&text, "${env:").map(|variable| (variable.to_owned(), "value".to_owned())).collect();
        let mut text = text.clone();
        for file in references(&text.clone(), "${file:") {
            text = text.replace(&format!("${{file:{file}}}"), "value");
        }
        // A configuration with a custom plugin cannot be checked with the stock program.
        let plugin = table["sink"].as_table().and_then(|sinks| sinks.keys().next().cloned()).unwrap_or_default();
        if !registry.names().contains(&("sink", plugin.as_str())) {
            continue;
        }
        connector_cli::validate(&registry, &name, &text, &environment).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(whole > 0, "the documents hold no whole configuration");
}

/// For each occurrence of `start` in `text`: the text from there to the next closing brace. Placeholders with `…` are left out.
fn references<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split('}').next()).filter(|name| !name.contains('…'))
}

#[test]
fn every_plugin_is_documented() {
    let reference = fs::read_to_string(root().join("docs/config/reference.md")).unwrap();
    for (kind, name) in connector_cli::bundled().names() {
        assert!(reference.contains(name), "docs/config/reference.md does not mention the {kind} {name}");
    }
}
