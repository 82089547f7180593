//! The command `test`: runs the tests in configuration files, without any server.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use runtime::{Body, Error, Escaped, Event, Finding, Pipeline, Registry, Rehearsed, Result, RowChange, TableId, TestInput};
use serde_json::{Map, Value};

use crate::args::TestArguments;
use crate::config::{Expected, Input, Task, TestCase};
use crate::report;

/// How a test, or the check of a file's transforms, has ended.
struct Outcome {
    file: String,
    name: String,
    ended: Ended,
}

enum Ended {
    Passed,
    /// The rows are others than expected: what differs, line by line.
    Differs(Vec<String>),
    /// The file is wrong, so that there are no rows to compare: the lines of the error.
    Wrong(Vec<String>),
}

impl Outcome {
    /// What is shown below its name.
    fn lines(&self) -> &[String] {
        match &self.ended {
            Ended::Passed => &[],
            Ended::Differs(lines) | Ended::Wrong(lines) => lines,
        }
    }
}

/// What the tests of a file have shown.
struct Tested {
    outcomes: Vec<Outcome>,
    /// What is not wrong, but perhaps not meant.
    warnings: Vec<Finding>,
}

pub(crate) fn test(registry: &Registry, args: &TestArguments) -> ExitCode {
    let mut outcomes = Vec::new();
    for file in &args.files {
        match tested(registry, file) {
            Ok(tested) => {
                show(file, &tested);
                outcomes.extend(tested.outcomes);
            }
            Err(error) => return report::fail(&error),
        }
    }
    let count = |is: fn(&Ended) -> bool| outcomes.iter().filter(|outcome| is(&outcome.ended)).count();
    let (passed, wrong) = (count(|ended| matches!(ended, Ended::Passed)), count(|ended| matches!(ended, Ended::Wrong(_))));
    let failed = outcomes.len() - passed;
    report::say("");
    report::say(format_args!("{} tests: {passed} passed, {failed} failed", outcomes.len()));
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit(&outcomes))
    {
        let error = Error::config(format!("{} cannot be written", path.display())).because(error);
        return report::fail(&error.with_help("name a file in a directory that exists and can be written"));
    }
    match (failed, wrong) {
        (0, _) => ExitCode::SUCCESS,
        (_, 0) => ExitCode::from(1),
        _ => ExitCode::from(2),
    }
}

fn show(file: &Path, Tested { outcomes, warnings }: &Tested) {
    for outcome in outcomes {
        let mark = if matches!(outcome.ended, Ended::Passed) { "ok" } else { "FAILED" };
        report::say(format_args!("{mark:<8} {}: {}", Escaped(&outcome.file), Escaped(&outcome.name)));
        outcome.lines().iter().for_each(|line| report::say(format_args!("         {}", Escaped(line))));
    }
    for warning in warnings {
        report::say(format_args!("warning  {}: {}", Escaped(file.display()), warning.what));
    }
    if !warnings.is_empty() {
        report::say("         help:  the tests have no such tables or columns: correct the transform, or add a test for it");
    }
}

/// Runs the tests of a file. Fails with an error of kind `Config` that names the file if it cannot be read, or if a part of it is not valid.
fn tested(registry: &Registry, path: &Path) -> Result<Tested> {
    let task = Task::load_tests(path)?;
    let file = path.display().to_string();
    // Some errors name the file already.
    let in_file = |error: Error| match error.message().starts_with(&file) {
        true => error,
        false => error.map_message(|message| format!("{file}: {message}")),
    };
    if task.tests().is_empty() {
        return Err(Error::config(format!("{file} has no tests")).with_help("add a [[test]] with `name`, `input` and `expect`"));
    }
    let pipeline = task.pipeline(registry).map_err(in_file)?;
    let (mut outcomes, mut rehearsed) = (Vec::new(), Vec::new());
    for test in task.tests() {
        let expected = test.expect.iter().map(expected).collect::<Result<Vec<_>>>();
        let expected = expected.map_err(|error| in_file(error.while_doing(format!("reading the test {:?}", test.name))))?;
        let ended = match played(&pipeline, test) {
            Ok((found, played)) => {
                let mut lines = differences(&expected, &found);
                if !lines.is_empty() {
                    lines.extend(
                        played.not_selected.iter().map(|table| format!("`tables` and `exclude` of the source do not select {table}")),
                    );
                }
                rehearsed.push(played);
                if lines.is_empty() { Ended::Passed } else { Ended::Differs(lines) }
            }
            Err(error) => Ended::Wrong(report::lines(&error)),
        };
        outcomes.push(Outcome { file: file.clone(), name: test.name.clone(), ended });
    }
    // A test that could not be played has tables that nobody knows.
    let checked = if rehearsed.len() == outcomes.len() { pipeline.check_rehearsed(&rehearsed) } else { Ok(Vec::new()) };
    let warnings = checked.unwrap_or_else(|error| {
        let ended = Ended::Wrong(report::lines(&error));
        outcomes.push(Outcome { file: file.clone(), name: "the transforms fit the tables of the tests".to_owned(), ended });
        Vec::new()
    });
    Ok(Tested { outcomes, warnings })
}

/// The rows that a sink would be given, and the rejected ones, in the order of the input; and what the transforms have made of it otherwise.
fn played(pipeline: &Pipeline, test: &TestCase) -> Result<(Vec<Found>, Rehearsed)> {
    let rehearsed = pipeline.rehearse(&input_of(test)?)?;
    let mut found = Vec::new();
    for event in &rehearsed.events {
        if let Body::Row(change) = &event.body {
            found.push((event.seq, Found::of(change, None)?));
        }
    }
    for (Event { seq, body, .. }, error) in &rehearsed.rejected {
        if let Body::Row(change) = body {
            found.push((*seq, Found::of(change, Some(error.to_string()))?));
        }
    }
    found.sort_by_key(|(seq, _)| *seq);
    Ok((found.into_iter().map(|(_, found)| found).collect(), rehearsed))
}

fn input_of(test: &TestCase) -> Result<Vec<TestInput>> {
    let input = |input: &Input| match input {
        Input::Statements(text) => Ok(TestInput::Statements(text.clone())),
        Input::Row(row) => {
            let table = named_table(&row.table, "a row of `input`")?;
            Ok(TestInput::Row { table, before: row.before.clone(), after: row.after.clone() })
        }
    };
    test.input.iter().map(input).collect()
}

fn named_table(name: &str, of: &str) -> Result<TableId> {
    name.parse().map_err(|why: String| {
        Error::config(format!("`table` of {of} is not valid"))
            .because(why)
            .with_help("write the table as database.table, such as shop.orders")
    })
}

/// A row behind the transforms, in the form in which it is compared and shown.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    table: String,
    op: Option<String>,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
    error: Option<String>,
}

impl Found {
    fn of(change: &RowChange, error: Option<String>) -> Result<Self> {
        let json = change.to_json()?;
        let image = |name: &str| json.get(name).and_then(Value::as_object).map(without_nulls);
        let op = json.get("op").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { table: change.schema.id.to_string(), op, before: image("before"), after: image("after"), error })
    }

    /// Whether it is what a test expects, where that says something.
    fn is(&self, expected: &Self) -> bool {
        let same = |expected: &Option<Map<String, Value>>, found| expected.is_none() || expected == found;
        self.table == expected.table
            && (expected.op.is_none() || expected.op == self.op)
            && same(&expected.before, &self.before)
            && same(&expected.after, &self.after)
            && match (&expected.error, &self.error) {
                (Some(part), Some(error)) => error.contains(part),
                (None, None) => true,
                _ => false,
            }
    }

    fn line(&self) -> String {
        let mut line = format!("{} {}", self.op.as_deref().unwrap_or("row"), self.table);
        for (name, image) in [("before", &self.before), ("after", &self.after)] {
            if let Some(image) = image {
                // Writing to a text cannot fail.
                let _ = write!(line, " {name} {}", Value::Object(image.clone()));
            }
        }
        if let Some(error) = &self.error {
            let _ = write!(line, " rejected: {}", error.lines().next().unwrap_or_default());
        }
        line
    }
}

fn expected(expected: &Expected) -> Result<Found> {
    let Expected { table, op, before, after, error } = expected.clone();
    // The table is written in any of the forms that a name has.
    let table = named_table(&table, "a row of `expect`")?.to_string();
    let op = op.map(|op| op.word().to_owned());
    Ok(Found { table, op, before: before.as_ref().map(without_nulls), after: after.as_ref().map(without_nulls), error })
}

fn without_nulls(image: &Map<String, Value>) -> Map<String, Value> {
    image.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What differs, line by line; no lines if nothing does.
fn differences(expected: &[Found], found: &[Found]) -> Vec<String> {
    let mut lines = Vec::new();
    for index in 0..expected.len().max(found.len()) {
        match (expected.get(index), found.get(index)) {
            (Some(expected), Some(found)) if found.is(expected) => {}
            (expected, found) => {
                lines.push(format!("row {}", index + 1));
                lines.push(format!("  - expected: {}", expected.map_or("nothing".to_owned(), Found::line)));
                lines.push(format!("  + found:    {}", found.map_or("nothing".to_owned(), Found::line)));
            }
        }
    }
    lines
}

fn junit(outcomes: &[Outcome]) -> String {
    let failed = outcomes.iter().filter(|outcome| !matches!(outcome.ended, Ended::Passed)).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"connector-cli\" tests=\"{}\" failures=\"{failed}\">\n",
        outcomes.len()
    );
    for outcome in outcomes {
        let Outcome { file, name, ended } = outcome;
        xml.push_str(&format!("  <testcase classname=\"{}\" name=\"{}\"", in_xml(file), in_xml(name)));
        if matches!(ended, Ended::Passed) {
            xml.push_str("/>\n");
        } else {
            xml.push_str(&format!("><failure>{}</failure></testcase>\n", in_xml(&outcome.lines().join("\n"))));
        }
    }
    xml + "</testsuite>\n"
}

fn in_xml(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            // XML has no way to write other control characters.
            c if runtime::is_unprintable(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod documents;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
name = "shop"
[source.polardbx]
host = "db"
user = "dts"
password = "${env:UNSET_PASSWORD_OF_A_TEST}"
tables = ["shop.*"]
[[transform]]
operations = { tables = ["shop.audit"], keep = ["insert"] }
[[transform]]
rename = { tables = { "shop.orders" = "sales.orders" } }
[sink.kafka]
brokers = ["kafka:9092"]
topic = "shop"
format.canal_json = {}
[[test]]
name = "orders are renamed"
input = ["CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(9)); INSERT INTO shop.orders VALUES (1, NULL)"]
expect = [{ table = "sales.orders", op = "insert", after = { id = 1 } }]
[[test]]
name = "deletes are dropped"
input = ["CREATE TABLE shop.audit (id INT PRIMARY KEY)", { table = "shop.audit", after = { id = 1 } }, { table = "shop.audit", before = { id = 1 } }]
expect = [{ table = "shop.audit", op = "insert" }, { table = "shop.audit", op = "delete" }]
"#;

    fn write(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn tested_text(text: &str) -> Result<Tested> {
        let (_folder, path) = write(text);
        tested(&crate::bundled(), &path)
    }

    /// The exit code of the command for a file with this text.
    fn code(text: &str) -> ExitCode {
        let (_folder, path) = write(text);
        test(&crate::bundled(), &TestArguments { files: vec![path], junit: None })
    }

    #[test]
    fn tests_of_a_file_are_run_without_servers() {
        let (folder, path) = write(FILE);
        let Tested { outcomes, warnings } = tested(&crate::bundled(), &path).unwrap();
        assert!(matches!(outcomes[0].ended, Ended::Passed), "{:?}", outcomes[0].lines());
        assert!(matches!(outcomes[1].ended, Ended::Differs(_)));
        assert_eq!(outcomes[1].lines(), ["row 2", "  - expected: delete shop.audit", "  + found:    nothing"]);
        assert_eq!((outcomes.len(), warnings), (2, Vec::new()));
        let xml = junit(&outcomes);
        assert!(xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("name=\"orders are renamed\"/>"), "{xml}");

        let junit = folder.path().join("junit.xml");
        let args = TestArguments { files: vec![path.clone()], junit: Some(junit.clone()) };
        assert_eq!(test(&crate::bundled(), &args), ExitCode::from(1));
        assert_eq!(std::fs::read_to_string(junit).unwrap(), xml);
        let none = tested_text(FILE.split("[[test]]").next().unwrap());
        assert!(none.err().unwrap().to_string().contains("no tests"));
    }

    #[test]
    fn a_test_that_cannot_be_played_says_why() {
        let text = FILE.replace("CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(9));", "");
        let Tested { outcomes, .. } = tested_text(&text).unwrap();
        let lines = outcomes[0].lines().join("\n");
        assert!(matches!(outcomes[0].ended, Ended::Wrong(_)) && outcomes.len() == 2, "{lines}");
        assert!(lines.contains("there is no table shop.orders") && lines.contains("help:  a test plays"), "{lines}");
        assert_eq!(code(&text), ExitCode::from(2));
        let mask = "[[transform]]\nmask = { tables = [\"shop.orders\"], columns = { id = { truncate = 3 } } }\n[[transform]]\nrename";
        let Tested { outcomes, .. } = tested_text(&FILE.replace("[[transform]]\nrename", mask)).unwrap();
        let lines = outcomes[0].lines().join("\n");
        assert!(lines.contains("transform.mask.columns.id") && lines.contains("`mask`, transform number 2"), "{lines}");
    }

    #[test]
    fn transforms_that_match_nothing_are_told() {
        let with = |transform: &str| {
            let text = FILE.replace("[[transform]]\nrename", &format!("[[transform]]\n{transform}\n[[transform]]\nrename"));
            let text = text.replace(", { table = \"shop.audit\", op = \"delete\" }", "");
            let Tested { outcomes, warnings } = tested_text(&text).unwrap();
            let lines = outcomes.iter().flat_map(|outcome| outcome.lines().to_vec()).collect::<Vec<_>>().join("\n");
            (code(&text), lines, warnings.into_iter().map(|warning| warning.what).collect::<Vec<_>>().join("\n"))
        };
        assert_eq!(
            with("mask = { tables = [\"shop.orders\"], columns = { note = \"null\" } }"),
            (ExitCode::SUCCESS, String::new(), String::new())
        );
        let (ended, lines, warnings) = with("mask = { tables = [\"shop.order\"], columns = { note = \"null\" } }");
        assert_eq!((ended, lines.as_str()), (ExitCode::SUCCESS, ""));
        assert_eq!(warnings, "mask.tables: no selected table matches \"shop.order\"");
        for (transform, what) in [
            (
                "mask = { tables = [\"sales.orders\"], columns = { note = \"null\" } }",
                "write the name that the table has before it is renamed: shop.orders",
            ),
            ("mask = { tables = [\"shop.orders\"], columns = { nte = \"null\" } }", "no table has the column `nte`"),
            ("columns = { tables = [\"shop.orders\"], exclude = [\"nte\"] }", "no table has the column `nte`"),
        ] {
            let (ended, lines, _) = with(transform);
            assert!(ended == ExitCode::from(2) && lines.contains(what) && lines.contains("help:"), "{transform}: {ended:?} {lines}");
        }
        // The tables of two tests are looked at together.
        let text = FILE.replace("\"shop.orders\" = \"sales.orders\"", "\"shop.orders\" = \"shop.audit\"");
        let lines = tested_text(&text).unwrap().outcomes.pop().unwrap().lines().join("\n");
        assert!(lines.contains("several tables the name shop.audit: shop.audit, shop.orders"), "{lines}");
    }

    #[test]
    fn what_a_test_says_is_valid_or_refused_with_its_file() {
        for (from, to, what) in [
            ("op = \"insert\", after = { id = 1 }", "op = \"Insert\"", "op"),
            ("\"sales.orders\", op", "\"orders\", op", "`table` of a row of `expect` is not valid"),
            ("operations = {", "etl = { script = \"e_sot(`a`, 1)\" } #", "unknown function e_sot"),
        ] {
            let (_folder, path) = write(&FILE.replace(from, to));
            let error = tested(&crate::bundled(), &path).err().unwrap();
            assert!(error.to_string().contains(what) && error.message().starts_with(&path.display().to_string()), "{error}");
            assert!(error.kind() == runtime::Kind::Config && error.help().is_some(), "{error}");
        }
        let text = FILE.replace("tables = [\"shop.*\"]\n", "tables = [\"shop.*\"]\nexclude = [\"shop.orders\"]\n");
        let lines = tested_text(&text).unwrap().outcomes[0].lines().join("\n");
        assert!(lines.contains("`tables` and `exclude` of the source do not select shop.orders"), "{lines}");
    }
}
