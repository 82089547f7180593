//! The command `test`: runs the tests in configuration files, without any server.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use runtime::{Body, Error, Escaped, Event, Pipeline, Registry, Rehearsed, Result, RowChange, TableId, TestInput};
use serde_json::{Map, Value};

use crate::args::TestArguments;
use crate::config::{Expected, Input, Task, TestCase};
use crate::report;

/// How a test has ended: with no lines, or with what differs.
struct Outcome {
    file: String,
    name: String,
    differences: Vec<String>,
}

pub(crate) fn test(registry: &Registry, args: &TestArguments) -> ExitCode {
    let mut outcomes = Vec::new();
    for file in &args.files {
        match outcomes_of(registry, file) {
            Ok(found) => outcomes.extend(found),
            Err(error) => return report::fail(&error),
        }
    }
    for Outcome { file, name, differences } in &outcomes {
        report::say(format_args!("{:<8} {}: {}", if differences.is_empty() { "ok" } else { "FAILED" }, Escaped(file), Escaped(name)));
        differences.iter().for_each(|line| report::say(format_args!("         {}", Escaped(line))));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    report::say("");
    report::say(format_args!("{} tests: {} passed, {failed} failed", outcomes.len(), outcomes.len() - failed));
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit(&outcomes))
    {
        return report::fail(&Error::config(format!("{} cannot be written", path.display())).because(error));
    }
    if failed > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn outcomes_of(registry: &Registry, file: &Path) -> Result<Vec<Outcome>> {
    let task = Task::load_tests(file)?;
    let shown = file.display().to_string();
    if task.tests().is_empty() {
        return Err(Error::config(format!("{shown} has no tests")).with_help("add a [[test]] with `name`, `input` and `expect`"));
    }
    let pipeline = task.pipeline(registry)?;
    let outcome = |test: &TestCase| {
        let differences = match found_by(&pipeline, test) {
            Ok(found) => differences(&test.expect.iter().map(expected).collect::<Vec<_>>(), &found),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        };
        Outcome { file: shown.clone(), name: test.name.clone(), differences }
    };
    Ok(task.tests().iter().map(outcome).collect())
}

/// The rows that a sink would be given, and the rejected ones, in the order of the input.
fn found_by(pipeline: &Pipeline, test: &TestCase) -> Result<Vec<Found>> {
    let Rehearsed { events, rejected, .. } = pipeline.rehearse(&input_of(test)?)?;
    let mut found = Vec::new();
    for event in &events {
        if let Body::Row(change) = &event.body {
            found.push((event.seq, Found::of(change, None)?));
        }
    }
    for (Event { seq, body, .. }, error) in &rejected {
        if let Body::Row(change) = body {
            found.push((*seq, Found::of(change, Some(error.to_string()))?));
        }
    }
    found.sort_by_key(|(seq, _)| *seq);
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

fn input_of(test: &TestCase) -> Result<Vec<TestInput>> {
    let input = |input: &Input| match input {
        Input::Statements(text) => Ok(TestInput::Statements(text.clone())),
        Input::Row(row) => {
            let table =
                row.table.parse::<TableId>().map_err(|why| Error::config("`table` of a row in a test is not valid").because(why))?;
            Ok(TestInput::Row { table, before: row.before.clone(), after: row.after.clone() })
        }
    };
    test.input.iter().map(input).collect()
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

fn expected(expected: &Expected) -> Found {
    let Expected { table, op, before, after, error } = expected.clone();
    // The table is written in any of the forms that a name has.
    let table = table.parse::<TableId>().map_or(table, |id| id.to_string());
    Found { table, op, before: before.as_ref().map(without_nulls), after: after.as_ref().map(without_nulls), error }
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
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"connector-cli\" tests=\"{}\" failures=\"{failed}\">\n",
        outcomes.len()
    );
    for Outcome { file, name, differences } in outcomes {
        xml.push_str(&format!("  <testcase classname=\"{}\" name=\"{}\"", in_xml(file), in_xml(name)));
        if differences.is_empty() {
            xml.push_str("/>\n");
        } else {
            xml.push_str(&format!("><failure>{}</failure></testcase>\n", in_xml(&differences.join("\n"))));
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

    #[test]
    fn tests_of_a_file_are_run_without_servers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.toml");
        std::fs::write(&path, FILE).unwrap();
        let outcomes = outcomes_of(&crate::bundled(), &path).unwrap();
        assert_eq!(outcomes[0].differences, Vec::<String>::new());
        assert_eq!(outcomes[1].differences, ["row 2", "  - expected: delete shop.audit", "  + found:    nothing"]);
        let xml = junit(&outcomes);
        assert!(xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("name=\"orders are renamed\"/>"), "{xml}");

        let junit = folder.path().join("junit.xml");
        let args = TestArguments { files: vec![path.clone()], junit: Some(junit.clone()) };
        assert_eq!(test(&crate::bundled(), &args), ExitCode::from(1));
        assert_eq!(std::fs::read_to_string(junit).unwrap(), xml);
        std::fs::write(&path, FILE.split("[[test]]").next().unwrap()).unwrap();
        assert!(outcomes_of(&crate::bundled(), &path).err().unwrap().to_string().contains("no tests"));
    }

    #[test]
    fn a_test_that_cannot_be_played_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.toml");
        std::fs::write(&path, FILE.replace("CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(9));", "")).unwrap();
        let outcomes = outcomes_of(&crate::bundled(), &path).unwrap();
        assert!(outcomes[0].differences.join("\n").contains("there is no table shop.orders"), "{:?}", outcomes[0].differences);
    }
}
