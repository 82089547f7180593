//! The text of a case file, parsed. The README beside the case files describes their syntax.

use std::collections::BTreeMap;
use std::time::Duration;

use tests::checker::Format;
use tests::harness::Flavor;
use tests::{Failure, Result};

/// One case file.
pub(super) struct Script {
    pub(super) title: String,
    pub(super) servers: Vec<Flavor>,
    pub(super) formats: Vec<Format>,
    /// The patterns of the selected tables, in which `{db}` stands for the database; empty means all tables of the database.
    pub(super) tables: Vec<String>,
    /// Lines for `[source.polardbx]`.
    pub(super) source: Vec<String>,
    pub(super) expected: Expected,
    /// Texts of which one must be in the error if the program refuses to continue; empty if it must not refuse.
    pub(super) may_refuse: Vec<String>,
    pub(super) live_from: LiveFrom,
    /// Only the final rows are compared; rows of the full phase may come twice.
    pub(super) loose: bool,
    /// How long the topic may take to contain everything.
    pub(super) settle: Duration,
    pub(super) before: Vec<Step>,
    pub(super) live: Vec<Step>,
    /// The lines of the sections that say what the topic must contain, by section.
    pub(super) claims: BTreeMap<String, Vec<String>>,
}

/// What must come of a case.
pub(super) enum Expected {
    /// The topic equals the tables.
    Equal,
    /// The program ends with this exit code, and one of the texts is in its error.
    Refused { code: i32, texts: Vec<String> },
    /// `check` prints one of the texts.
    Check(Vec<String>),
}

/// When the statements of `[live]` begin.
#[derive(Clone, Copy)]
pub(super) enum LiveFrom {
    /// As soon as the program runs.
    Start,
    /// After the first record.
    Record,
    /// When the program streams.
    Stream,
}

/// One step of a case.
pub(super) enum Step {
    /// A statement on the current connection.
    Sql(String),
    /// A statement that is executed `count` times, with `{i}` counting from 0; in one transaction if `transaction`.
    Repeat { count: usize, transaction: bool, sql: String },
    /// The following statements use another connection, which is opened if it is new.
    Connection(String),
    /// Waits until the topic contains everything that was committed so far.
    Sync,
    /// Kills the program.
    Kill,
    /// Starts the program again.
    Run,
    /// Deletes the topic and creates it again.
    RecreateTopic,
    /// Stops the database.
    StopServer,
    /// Starts the database again.
    StartServer,
}

impl Script {
    /// Parses the text of a case file.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut script = Self {
            title: String::new(),
            servers: vec![Flavor::MySql57, Flavor::MySql80, Flavor::MariaDb],
            formats: vec![Format::CanalJson, Format::DtsAvro],
            tables: Vec::new(),
            source: Vec::new(),
            expected: Expected::Equal,
            may_refuse: Vec::new(),
            live_from: LiveFrom::Stream,
            loose: false,
            settle: Duration::from_secs(60),
            before: Vec::new(),
            live: Vec::new(),
            claims: BTreeMap::new(),
        };
        let (head, sections) = text.split_at(text.find("\n[").map_or(text.len(), |at| at + 1));
        for line in head.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(':').ok_or_else(|| Failure::new(format!("{line:?} is no `key: value`")))?;
            script.set(key.trim(), value.trim())?;
        }
        for section in sections.split("\n[") {
            let section = section.trim_start_matches('[');
            let Some((name, body)) = section.split_once(']') else { continue };
            match name {
                "before" => script.before = steps(body)?,
                "live" => script.live = steps(body)?,
                _ => {
                    let lines = body.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
                    script.claims.insert(name.to_owned(), lines);
                }
            }
        }
        Ok(script)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let words = || value.split_whitespace();
        match key {
            "title" => value.clone_into(&mut self.title),
            "servers" => self.servers = words().map(flavor).collect::<Result<_>>()?,
            "formats" => self.formats = words().map(format).collect::<Result<_>>()?,
            "tables" => self.tables = words().map(str::to_owned).collect(),
            "source" => self.source.push(value.to_owned()),
            "may_refuse" => self.may_refuse = alternatives(value),
            "settle" => self.settle = Duration::from_secs(value.parse()?),
            "loose" => self.loose = true,
            "live_from" => {
                self.live_from = match value {
                    "start" => LiveFrom::Start,
                    "record" => LiveFrom::Record,
                    _ => return Failure::err(format!("live_from: {value}")),
                };
            }
            "expect" => self.expected = expected(value)?,
            _ => return Failure::err(format!("unknown key {key:?}")),
        }
        Ok(())
    }
}

fn flavor(name: &str) -> Result<Flavor> {
    match name {
        "57" => Ok(Flavor::MySql57),
        "80" => Ok(Flavor::MySql80),
        "maria" => Ok(Flavor::MariaDb),
        "polardbx" => Ok(Flavor::PolarDbX),
        _ => Failure::err(format!("unknown server {name:?}")),
    }
}

fn format(name: &str) -> Result<Format> {
    [Format::CanalJson, Format::DtsAvro]
        .into_iter()
        .find(|format| format.name() == name)
        .ok_or_else(|| Failure::new(format!("unknown format {name:?}")))
}

/// The texts of `(one|another)`.
fn alternatives(pattern: &str) -> Vec<String> {
    pattern.trim_matches(['(', ')']).split('|').map(str::to_owned).collect()
}

fn expected(value: &str) -> Result<Expected> {
    match value.split_once(' ') {
        Some(("check", texts)) => Ok(Expected::Check(alternatives(texts))),
        Some(("refuse", rest)) => {
            let (code, texts) = rest.split_once(' ').ok_or_else(|| Failure::new("`refuse` needs an exit code and texts"))?;
            Ok(Expected::Refused { code: code.parse()?, texts: alternatives(texts) })
        }
        _ => Failure::err(format!("expect: {value}")),
    }
}

fn steps(body: &str) -> Result<Vec<Step>> {
    let (mut steps, mut delimiter, mut repeat, mut statement) = (Vec::new(), ";".to_owned(), None, String::new());
    for line in body.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if statement.is_empty() && first.starts_with('@') {
            let mut argument = || words.next().ok_or_else(|| Failure::new(format!("{line:?} is incomplete")));
            match first {
                "@delimiter" => argument()?.clone_into(&mut delimiter),
                "@repeat" => repeat = Some((argument()?.parse()?, words.next() == Some("tx"))),
                "@conn" => steps.push(Step::Connection(argument()?.to_owned())),
                "@sync" => steps.push(Step::Sync),
                "@kill" => steps.push(Step::Kill),
                "@run" => steps.push(Step::Run),
                "@topic" => steps.push(Step::RecreateTopic),
                "@server" if argument()? == "stop" => steps.push(Step::StopServer),
                "@server" => steps.push(Step::StartServer),
                _ => return Failure::err(format!("unknown step {line:?}")),
            }
            continue;
        }
        statement.push_str(line);
        statement.push('\n');
        if let Some(sql) = statement.trim_end().strip_suffix(delimiter.as_str()) {
            let sql = sql.to_owned();
            statement.clear();
            steps.push(match repeat.take() {
                Some((count, transaction)) => Step::Repeat { count, transaction, sql },
                None => Step::Sql(sql),
            });
        }
    }
    if statement.is_empty() { Ok(steps) } else { Failure::err(format!("a statement without its end: {statement}")) }
}
