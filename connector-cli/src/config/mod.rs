//! The configuration of a task: one TOML file, with every key also from the environment and secrets by reference.
//!
//! Layers, later ones win: the file, then `CONNECT_A__B__C` as key `a.b.c` (always text, read as the type that the key has). After merging,
//! `${env:NAME}` and `${file:path}` in any text are replaced. Errors name file and key and never repeat a value.

mod keys;
mod references;

use std::path::Path;
use std::time::Duration;

use figment::Figment;
use figment::providers::Serialized;
use runtime::{Error, Kind, Pipeline, PipelineBuilder, Registry, Result, Retry, Settings};
use serde_json::Value;

use keys::Tree;
pub(crate) use keys::{Expected, Input, TestCase};
use references::{expand, resolve};

const PREFIX: &str = "CONNECT_";

/// The references `${…}` that must lead to a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum References {
    All,
    /// Those in `[[transform]]`: what a test compares may depend on them.
    OfTransforms,
    /// Those in `[source]` and `[[transform]]`: a preview connects to nothing else.
    OfSourceAndTransforms,
}

impl References {
    fn include(self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::OfTransforms => key.starts_with("transform"),
            Self::OfSourceAndTransforms => key.starts_with("transform") || key.starts_with("source"),
        }
    }
}

/// A configuration file with its references resolved.
pub(crate) struct Task {
    file: String,
    tree: Tree,
}

/// Keys of the reference that this version does not support yet: refused by name, never accepted and ignored.
const NOT_BUILT: [&str; 3] = ["limits", "alerts", "api"];
const NOT_BUILT_INNER: [(&str, &str); 1] = [("retry", "other_minutes")];

impl Task {
    /// Reads a file with this process's environment.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, References::All)
    }

    /// Reads a file whose tests are to be run. References that only a connection needs may be missing.
    pub(crate) fn load_tests(path: &Path) -> Result<Self> {
        Self::load_with(path, References::OfTransforms)
    }

    /// Reads a file of which only the source is to be connected. Other references may be missing.
    pub(crate) fn load_preview(path: &Path) -> Result<Self> {
        Self::load_with(path, References::OfSourceAndTransforms)
    }

    fn load_with(path: &Path, references: References) -> Result<Self> {
        let file = path.display().to_string();
        let unread = |why: Box<dyn std::error::Error + Send + Sync>| {
            Error::config(format!("{file} cannot be read"))
                .because(why)
                .with_help("name a configuration file that exists and can be read: an ordinary file in UTF-8 of at most 1 MiB")
        };
        let text = runtime::read_small_file(path).map_err(|error| unread(error.into()))?;
        // The text is not shown, not even in part, because it may hold a secret.
        let text = String::from_utf8(text).map_err(|_| unread("it is not valid UTF-8".into()))?;
        // Names and values that are not UTF-8 cannot be keys of ours.
        let environment: Vec<_> =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        Self::read_with(&file, &text, &environment, references)
    }

    pub(crate) fn read(file: &str, text: &str, environment: &[(String, String)]) -> Result<Self> {
        Self::read_with(file, text, environment, References::All)
    }

    fn read_with(file: &str, text: &str, environment: &[(String, String)], references: References) -> Result<Self> {
        let wrong = |key: &str| Error::config(format!("{file}: key `{key}` is not valid")).with_code("E_CONFIG");
        let table: toml::Table = toml::from_str(text).map_err(|error| {
            // The library's full text repeats the line, which may hold a secret: only its place and the message are shown.
            let (before, rest) = error.span().and_then(|span| text.split_at_checked(span.start)).unwrap_or((text, ""));
            let line = before.matches('\n').count() + 1;
            Error::config(format!("{file}: line {line} is not valid TOML"))
                .with_code("E_CONFIG")
                .because(error.message().to_owned())
                .with_help(toml_help(error.message(), rest))
        })?;
        if let Some(key) = table.iter().find_map(|(key, value)| date_in(key, value)) {
            return Err(wrong(&key)
                .because("a date or time stands there without quotes")
                .with_help("write it as a text, such as \"2026-01-31 10:00:00\""));
        }
        let mut figment = Figment::from(Serialized::defaults(table));
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            if !key.contains("__") {
                tracing::warn!(name, "this variable is not read: keys are written with two underscores between their parts");
                continue;
            }
            figment = figment.merge((key.to_ascii_lowercase().replace("__", "."), value));
        }
        let mut tree: Value = figment.extract().map_err(|error| {
            Error::config(format!("{file}: the environment does not fit the file")).with_code("E_CONFIG").because(error.kind.to_string())
        })?;
        resolve(&mut tree, "", &|reference, key| match expand(reference, environment) {
            Err(_) if !references.include(key) => Ok("unset".to_owned()),
            expanded => expanded.map_err(|error| wrong(key).because(error.why).with_help(error.help)),
        })?;

        for key in NOT_BUILT {
            if tree.get(key).is_some() {
                return Err(wrong(key).because("this version does not support it yet").with_help("remove the key"));
            }
        }
        for (outer, inner) in NOT_BUILT_INNER {
            if tree.get(outer).and_then(|table| table.get(inner)).is_some() {
                return Err(wrong(&format!("{outer}.{inner}")).because("this version does not support it yet").with_help("remove the key"));
            }
        }
        let tree: Tree = Settings::from(tree).parse("").map_err(|error| in_file(file, error))?;
        let known = tree.name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if tree.name.is_empty() || tree.name.len() > 64 || !known {
            return Err(wrong("name").because("a name has 1 to 64 letters, digits, dots, dashes and underscores"));
        }
        // The name is a part of paths.
        if tree.name.chars().all(|c| c == '.') {
            return Err(wrong("name").because("a name of dots only leads to another directory, or looks as if it did"));
        }
        if let Err((key, why)) = tree.retry.window() {
            return Err(wrong(key).because(why));
        }
        if !(64 * 1024..=256 << 20).contains(&tree.delivery.batch_max_bytes) {
            return Err(wrong("delivery.batch_max_bytes").because("it lies between 65536 and 268435456"));
        }
        if tree.delivery.memory_max_bytes < tree.delivery.batch_max_bytes {
            return Err(
                wrong("delivery.memory_max_bytes").because("it is less than `delivery.batch_max_bytes`, so that not one batch fits")
            );
        }
        Ok(Self { file: file.to_owned(), tree })
    }

    pub(crate) fn name(&self) -> &str {
        &self.tree.name
    }

    /// The tests of the transforms.
    pub(crate) fn tests(&self) -> &[TestCase] {
        &self.tree.test
    }

    /// Items of the precheck whose failures do not count.
    pub(crate) fn ignored(&self) -> &[String] {
        &self.tree.check.ignore
    }

    /// Builds the pipeline, which parses all settings and connects nowhere.
    pub(crate) fn pipeline(&self, registry: &Registry) -> Result<Pipeline> {
        self.build(registry).map_err(|error| in_file(&self.file, error))
    }

    fn build(&self, registry: &Registry) -> Result<Pipeline> {
        let Tree { name, source, transform, sink, dead_letters, store, delivery, errors, .. } = &self.tree;
        let (source_name, settings) = source.one("source")?;
        let source = registry.build_source(source_name, settings)?;
        let (sink_name, settings) = sink.one("sink")?;
        let sink = registry.build_sink(sink_name, settings)?;
        let dead_letters = match dead_letters.as_ref().map(|choice| choice.one("dead_letters")).transpose()? {
            Some((sink_name, settings)) => Some(registry.build_dead_letters(sink_name, settings)?),
            None => None,
        };
        let store = match store.as_ref().map(|choice| choice.one("store")).transpose()? {
            Some((store_name, settings)) => registry.build_store(store_name, settings)?,
            None => registry.build_store("local", &serde_json::json!({ "path": Path::new("state").join(name) }).into())?,
        };
        let mut retry = Retry::default();
        // The window was checked when the settings were read, so this cannot fail here.
        retry.window = self.tree.retry.window().unwrap_or(retry.window);
        let builder = Pipeline::builder(name)
            .shared_source(source)
            .sink_factory(sink)
            .shared_store(store)
            .batch_max_bytes(delivery.batch_max_bytes)
            .flush_interval(Duration::from_millis(delivery.flush_interval_ms))
            .memory_max_bytes(delivery.memory_max_bytes)
            .on_data_error(errors.rules())
            .retry(retry);
        let builder = match dead_letters {
            Some(sink) => builder.dead_letters_factory(sink),
            None => builder,
        };
        let transforms = registry.build_transforms(transform)?;
        transforms.into_iter().fold(builder, PipelineBuilder::named_transform).build()
    }
}

/// The key of the first date in a value of TOML. No setting is one, and the values of rows are texts as their database writes them.
fn date_in(key: &str, value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::Datetime(_) => Some(key.to_owned()),
        toml::Value::Array(list) => list.iter().enumerate().find_map(|(index, value)| date_in(&format!("{key}.{index}"), value)),
        toml::Value::Table(table) => table.iter().find_map(|(name, value)| date_in(&format!("{key}.{name}"), value)),
        _ => None,
    }
}

/// What to do about TOML that cannot be read. `rest` is the text from the place of the mistake on.
fn toml_help(message: &str, rest: &str) -> &'static str {
    if message.contains("escape") || message.contains("unicode") {
        return "in double quotes a backslash begins an escape: write a regular expression in single quotes, such as 're:log_[0-9]+\\.event', \
                or each backslash twice";
    }
    if rest.starts_with("null") {
        return "TOML has no null: write \"null\" in quotes where it is the name of a rule, and leave out a key that has no value";
    }
    "fix that line; texts stand in quotes"
}

/// The error of a file: with its name, and with a code and advice where there are none.
fn in_file(file: &str, error: Error) -> Error {
    // Errors with a code of their own, such as a locked store, are not about the file.
    if error.kind() != Kind::Config || !matches!(error.code(), None | Some("E_CONFIG")) {
        return error;
    }
    let error = error.map_message(|message| format!("{file}: {message}")).with_code("E_CONFIG");
    match error.help() {
        Some(_) => error,
        None => error.with_help("fix the key; docs/config/reference.md lists all of them"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SMALL: &str = "name = \"shop\"\n[source.polardbx]\npassword = \"${env:DB_PASSWORD}\"\n[sink.kafka]\ntopic = \"shop\"\n";

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Task> {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Task::read("shop.toml", text, &environment)
    }

    fn source(task: &Task) -> BTreeMap<String, String> {
        task.tree.source.one("source").unwrap().1.parse("source").unwrap()
    }

    #[test]
    fn the_environment_goes_over_the_file_and_stays_text() {
        let task =
            read(SMALL, &[("DB_PASSWORD", "00123"), ("CONNECT_SOURCE__POLARDBX__HOST", "db"), ("CONNECT_REST_PORT", "8083")]).unwrap();
        assert_eq!(source(&task), BTreeMap::from([("host".into(), "db".into()), ("password".into(), "00123".into())]));
        assert!(
            read(&format!("{SMALL}[retry]\nwindow_minutes = 30\n"), &[("DB_PASSWORD", ""), ("CONNECT_RETRY__WINDOW_MINUTES", "20")])
                .is_ok()
        );
    }

    #[test]
    fn references_are_resolved_or_named() {
        let error = read(SMALL, &[]).err().unwrap();
        assert!(error.help().is_some_and(|help| help.contains("set DB_PASSWORD")), "{error}");
        let error = error.to_string();
        assert!(error.contains("shop.toml") && error.contains("source.polardbx.password") && error.contains("DB_PASSWORD"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "s3cret\n").unwrap();
        let text = SMALL.replace("env:DB_PASSWORD", &format!("file:{}", file.path().display()));
        assert_eq!(source(&read(&text, &[]).unwrap())["password"], "s3cret");
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let env = [("DB_PASSWORD", "x")];
        for (text, expected) in [
            (format!("{SMALL}[limits]\nrows_per_second = 5\n"), "limits"),
            (format!("{SMALL}[delivery]\nmemory_max_bytes = 5\n"), "delivery.memory_max_bytes"),
            (format!("{SMALL}[retry]\nwindow_seconds = 0\n"), "retry.window_seconds"),
            (format!("{SMALL}[retry]\nwindow_seconds = 5\nwindow_minutes = 10\n"), "retry.window_seconds"),
            (format!("{SMALL}[retry]\nwindow_minutes = 5\n"), "retry.window_minutes"),
            (format!("{SMALL}[sorce.x]\n"), "sorce"),
            (SMALL.replace("\"shop\"\n[source", "\"a b\"\n[source"), "`name`"),
            (SMALL.replace("\"shop\"\n[source", "\".\"\n[source"), "`name`"),
            (SMALL.replace("\"shop\"\n[source", "\"..\"\n[source"), "`name`"),
            (SMALL.replace("\"shop\"\n[source", "\"...\"\n[source"), "`name`"),
            (format!("{SMALL}[errors]\non_data_error = \"skp\"\n"), "errors.on_data_error"),
            (format!("{SMALL}[errors.causes]\ntoo_big = \"skip\"\n"), "errors.causes.too_big"),
            (format!("{SMALL}[errors]\nmax_rejected = -1\n"), "errors.max_rejected"),
            (format!("{SMALL}\npassword = s3cret\n"), "line 7"),
            (
                format!("{SMALL}[[test]]\nname = \"t\"\ninput = [{{ table = \"a.b\", after = {{ at = 2026-01-31 }} }}]\n"),
                "`test.0.input.0.after.at`",
            ),
            (format!("{SMALL}[errors]\non_data_error = \"dead_leters\"\n"), "expected one of `dead_letters`, "),
            (format!("{SMALL}[deliveri]\n"), "expected one of `delivery`, "),
        ] {
            let error = read(&text, &env).err().unwrap();
            assert_eq!(error.kind(), runtime::Kind::Config);
            assert!(error.to_string().contains(expected) && !error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn common_mistakes_in_toml_have_advice_of_their_own() {
        for (line, help) in [
            (r#"a = ["re:log_[0-9]+\.event"]"#, "single quotes"),
            (r#"a = "\d+""#, "single quotes"),
            (r#"a = "\u00""#, "single quotes"),
            ("a = null", "TOML has no null"),
            ("a = { ssn = null }", "TOML has no null"),
            ("a = s3cret", "texts stand in quotes"),
        ] {
            let error = read(&format!("{SMALL}{line}\n"), &[]).err().unwrap();
            assert!(error.message().contains("line 6") && error.help().is_some_and(|text| text.contains(help)), "{line}: {error:?}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn dead_letters_need_a_section_and_the_section_a_use() {
        const FORMAT: &str = "brokers = [\"k:9092\"]\nformat.canal_json = {}\n";
        const LETTERS: &str = "[dead_letters.kafka]\ntopic = \"letters\"\n";
        let small = "name = \"shop\"\n[source.polardbx]\nhost = \"db\"\nuser = \"u\"\npassword = \"p\"\ntables = [\"shop.*\"]\n[sink.kafka]\ntopic = \"shop\"\n";
        let with = |rest: String| read(&format!("{small}{FORMAT}{rest}"), &[]).unwrap().pipeline(&crate::bundled());
        let letters = format!("{LETTERS}{FORMAT}");
        let causes = "[errors.causes]\ntoo_large = \"dead_letters\"\n";
        let all_causes = |action: &str| {
            let of = |cause: &str| format!("{cause} = \"{action}\"\n");
            format!("[errors.causes]\n{}", ["too_large", "not_encodable", "schema_mismatch", "transform"].map(of).concat())
        };
        let many_rows = format!("{LETTERS}brokers = [\"k:9092\"]\nrecord_key = \"table\"\nformat.canal_json = {{ rows = \"event\" }}\n");
        assert!(with(String::new()).is_ok(), "{:?}", with(String::new()).err());
        assert!(with(format!("{letters}{causes}")).is_ok(), "{:?}", with(format!("{letters}{causes}")).err());
        for (rest, expected) in [
            (causes.to_owned(), "there is no sink for them"),
            (format!("{letters}not_empty = \"fail\"\n{causes}"), "`dead_letters.kafka.not_empty`"),
            (format!("{letters}key_change = \"split\"\n{causes}"), "`dead_letters.kafka.key_change`"),
            ("[errors]\nmax_rejected = 5\n".to_owned(), "`errors.max_rejected`"),
            (format!("[errors]\non_data_error = \"skip\"\nmax_rejected = 5\n{}", all_causes("fail")), "`errors.max_rejected`"),
            (format!("{letters}[errors]\non_data_error = \"dead_letters\"\n{}", all_causes("skip")), "no error makes a row one"),
            (format!("{}{FORMAT}{causes}", LETTERS.replace("\"letters", "\"{table}")), "`dead_letters.kafka.topic` is a template"),
            (letters.clone(), "no error makes a row one"),
            (format!("{LETTERS}{FORMAT}tombstones = true\nrecord_key = \"primary_key\"\n{causes}"), "`dead_letters.kafka.tombstones`"),
            (format!("{}{FORMAT}{causes}", LETTERS.replace("\"letters", "\"shop")), "`dead_letters.kafka.topic` is `shop`"),
            (format!("{LETTERS}{FORMAT}topics = 1\n{causes}"), "dead_letters.kafka.topics"),
            (format!("{}{causes}", LETTERS.replace("kafka", "kafak")), "`kafak`"),
            (format!("{LETTERS}brokers = [\"k:9092\"]\n{causes}"), "`dead_letters.kafka.format`"),
            (format!("{LETTERS}brokers = [\"k:9092\"]\nformat.canal_jsn = {{}}\n{causes}"), "known: canal_json"),
            (format!("{many_rows}{causes}"), "`dead_letters.kafka.record_key`"),
        ] {
            let error = with(rest.clone()).err().unwrap();
            let text = error.to_string();
            assert!(text.contains(expected) && error.kind() == Kind::Config && error.code() == Some("E_CONFIG"), "{rest}: {error:?}");
            assert!(!format!("{text} {:?}", error.help()).contains("sink.kafka"), "{rest}: {error:?}");
        }
    }

    #[test]
    fn only_small_ordinary_files_of_text_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        for (path, why) in [
            ("/dev/zero".into(), "not an ordinary file"),
            (file("large.toml", &vec![b' '; (1 << 20) + 1]), "larger than 1024 KiB"),
            (file("latin1.toml", b"password = \"s3cret\xff\""), "not valid UTF-8"),
        ] {
            let error = Task::load(&path).err().unwrap();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.to_string().contains(why) && error.help().is_some() && !error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn exactly_one_plugin_a_place() {
        let task = read(&format!("{SMALL}[sink.other]\n"), &[("DB_PASSWORD", "x")]).unwrap();
        let error = task.pipeline(&crate::bundled()).err().unwrap().to_string();
        assert!(error.contains("sink") || error.contains("source"), "{error}");
    }
}
