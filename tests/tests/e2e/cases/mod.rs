//! Runs the case files of `tests/cases`, whose README describes them. The servers of a case take turns with the two formats. The long suite
//! runs every server with every format.

mod script;

use std::collections::BTreeMap;
use std::path::PathBuf;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tests::checker::{Decoded, Format, Op, Record, Table, decode};
use tests::harness::Flavor;
use tests::{Failure, Result};

use self::script::{Expected, LiveFrom, Script, Step};
use super::case::{Case, Servers, program};
use super::report::error_in;

/// Each file is a test of its own, so that a failure names the file.
macro_rules! cases {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> Result<()> {
                run_file(stringify!($name), false).await
            }
        )*
    };
}

cases! {
    attack_set_statement_swap
    attack_statement_function
    attack_topic_remade_in_full
    attack_xa_over_start
    attack_xa_rollback_maria
    create_maxdb
    create_oracle_mode
    create_timestamps
    ddl_alter_event
    ddl_alter_view
    ddl_set_statement
    ddl_set_statement_create
    ddl_spatial_reference
    fk_cascade_check
    full_drop_race
    maria_two_phase_alter
    roll_savepoint
    roll_temp_table_big
    stmt_create_select
    stmt_function
    stmt_memory_restart
    stmt_trigger
    xa_commit
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long suite"]
async fn every_case_in_every_format() -> Result<()> {
    for name in NAMES {
        run_file(name, true).await?;
    }
    Ok(())
}

#[test]
fn every_case_file_is_a_test() -> Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files.extend(name.strip_suffix(".case").map(|name| name.replace('-', "_")));
    }
    files.sort();
    assert_eq!(files, NAMES);
    Ok(())
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}

async fn run_file(name: &str, every_format: bool) -> Result<()> {
    let text = std::fs::read_to_string(folder().join(format!("{}.case", name.replace('_', "-"))))?;
    let script = Script::parse(&text).map_err(|error| error.context(name))?;
    for (index, &flavor) in script.servers.iter().enumerate() {
        for (number, &format) in script.formats.iter().enumerate() {
            if every_format || number == index % script.formats.len() {
                let run = format!("{name}_{}_{}{}", flavor.name(), format.name(), if every_format { "_long" } else { "" });
                let context = format!("{run} ({})", script.title);
                Box::pin(Trial::run(&script, &run, flavor, format)).await.map_err(|error| error.context(context))?;
            }
        }
    }
    Ok(())
}

/// One run of a case on one server in one format.
struct Trial<'a> {
    script: &'a Script,
    case: Case,
    connections: BTreeMap<String, Conn>,
    /// The name of the connection that executes the statements.
    current: String,
}

impl<'a> Trial<'a> {
    async fn run(script: &'a Script, name: &str, flavor: Flavor, format: Format) -> Result<()> {
        // A statement that is logged as text may end the tasks of other tests on the same server, and a prepared transaction delays them.
        let disturbs = |step: &Step| match step {
            Step::Sql(sql) => sql.contains("binlog_format") || sql.starts_with("XA "),
            step => matches!(step, Step::StopServer),
        };
        let servers = if script.before.iter().chain(&script.live).any(disturbs) {
            Servers::own(flavor).await?
        } else {
            Servers::shared_of(flavor).await?
        };
        servers.source.execute(&[&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")]).await?;
        let mut case = Case::new(servers, name, format, 1, Vec::new()).await?;
        if !script.tables.is_empty() {
            case.settings.tables = script.tables.iter().map(|table| table.replace("{db}", name)).collect();
            case.settings.tables.push(format!("{name}.fence"));
        }
        case.settings.source = script.source.join("\n");
        case.settings.merged = true;
        case.task.configure(&case.settings)?;
        let mut trial = Self { script, case, connections: BTreeMap::new(), current: "first".into() };
        trial.take(&script.before).await?;
        if let Expected::Check(texts) = &script.expected {
            let output = program().command(&["check", &trial.case.task.file().display().to_string()]).output()?;
            let output = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            return if contains_one(&output, texts) {
                Ok(())
            } else {
                Failure::err(format!("none of {texts:?} is in the output:\n{output}"))
            };
        }
        let reached = trial.until_the_end().await;
        trial.judge(reached).await
    }

    async fn until_the_end(&mut self) -> Result<()> {
        self.case.task.start()?;
        match self.script.live_from {
            LiveFrom::Start => {}
            LiveFrom::Record => self.case.wait_for_records(1, self.script.settle).await?,
            LiveFrom::Stream => self.case.catch_up(self.script.settle).await?,
        }
        self.take(&self.script.live).await?;
        self.case.catch_up(self.script.settle).await
    }

    async fn take(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            match step {
                Step::Sql(sql) => self.execute(sql).await?,
                Step::Repeat { count, transaction, sql } => {
                    if *transaction {
                        self.execute("BEGIN").await?;
                    }
                    for number in 0..*count {
                        self.execute(&sql.replace("{i}", &number.to_string())).await?;
                    }
                    if *transaction {
                        self.execute("COMMIT").await?;
                    }
                }
                Step::Connection(name) => name.clone_into(&mut self.current),
                Step::Sync => self.case.catch_up(self.script.settle).await?,
                Step::Kill => self.case.task.kill()?,
                Step::Run => self.case.task.start()?,
                Step::RecreateTopic => self.case.recreate_topic().await?,
                Step::StopServer => {
                    self.connections.clear();
                    self.case.source_mut()?.stop().await?;
                }
                Step::StartServer => self.case.source_mut()?.resume().await?,
            }
        }
        Ok(())
    }

    async fn execute(&mut self, sql: &str) -> Result<()> {
        if !self.connections.contains_key(&self.current) {
            let mut connection = self.case.servers.source.connect().await?;
            connection.query_drop(format!("USE {}", self.case.database)).await?;
            self.connections.insert(self.current.clone(), connection);
        }
        let connection = self.connections.get_mut(&self.current).ok_or_else(|| Failure::new("the connection was just opened"))?;
        connection.query_drop(sql).await.map_err(|error| Failure::from(error).context(sql))
    }

    async fn judge(mut self, reached: Result<()>) -> Result<()> {
        let refuses = match &self.script.expected {
            Expected::Refused { code, texts } => Some((Some(*code), texts)),
            _ if !self.script.may_refuse.is_empty() => Some((None, &self.script.may_refuse)),
            _ => None,
        };
        let must_refuse = matches!(self.script.expected, Expected::Refused { .. });
        if let Some((code, texts)) = refuses
            && (must_refuse || self.case.task.ended()?)
        {
            let found = self.case.task.wait(self.script.settle).await?;
            let output = self.case.task.output();
            let right = found != 0 && code.is_none_or(|code| code == found) && contains_one(error_in(&output)?, texts);
            return if right { Ok(()) } else { Failure::err(format!("exit code {found}, and not one of {texts:?}:\n{output}")) };
        }
        reached?;
        self.case.task.stop().await?;
        let tables = self.tables_with_a_key().await?;
        self.case.tables = tables;
        let cut_chunks = if self.script.loose { usize::MAX } else { 0 };
        self.case.verify(cut_chunks).await?;
        let records = decode(self.case.entries.clone(), self.case.settings.format)?;
        self.script.claims.iter().try_for_each(|(section, lines)| claim(section, lines, &records))
    }

    async fn tables_with_a_key(&self) -> Result<Vec<Table>> {
        let mut connection = self.case.servers.source.connect().await?;
        let query = "SELECT DISTINCT TABLE_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND INDEX_NAME = 'PRIMARY'";
        let names: Vec<String> = connection.exec(query, (&self.case.database,)).await?;
        connection.disconnect().await?;
        let (database, patterns) = (&self.case.database, &self.case.settings.tables);
        let selected =
            |name: &str| patterns.iter().any(|pattern| [format!("{database}.*"), format!("{database}.{name}")].contains(pattern));
        let names = names.into_iter().filter(|name| name != "fence" && selected(name));
        Ok(names.map(|name| Table::new(database, name)).collect())
    }
}

fn contains_one(text: &str, texts: &[String]) -> bool {
    texts.iter().any(|wanted| text.contains(wanted.as_str()))
}

/// Checks the lines of one section.
fn claim(section: &str, lines: &[String], records: &[Record]) -> Result<()> {
    let statements: Vec<&str> = records
        .iter()
        .filter_map(|record| if let Decoded::Schema { sql, .. } = &record.decoded { Some(sql.as_str()) } else { None })
        .collect();
    let mut rest = statements.iter();
    for line in lines {
        let holds = match section {
            "ddl" => rest.any(|sql| sql.contains(line.as_str())),
            "noddl" => !statements.iter().any(|sql| sql.contains(line.as_str())),
            "ddlcount" => {
                let (text, count) = line.rsplit_once(' ').ok_or_else(|| Failure::new(line.as_str()))?;
                statements.iter().filter(|sql| sql.contains(text)).count() == count.parse::<usize>()?
            }
            "count" => counts(line, records)?,
            "absent" => {
                let (table, key) = line.split_once(' ').ok_or_else(|| Failure::new(line.as_str()))?;
                !changes(records, table)
                    .any(|change| change.after.as_ref().is_some_and(|image| change.key_of(image) == [Some(key.to_owned())]))
            }
            _ => return Failure::err(format!("unknown section [{section}]")),
        };
        if !holds {
            return Failure::err(format!("[{section}] {line}: not so; the statements are {statements:?}"));
        }
    }
    Ok(())
}

fn changes<'a>(records: &'a [Record], table: &'a str) -> impl Iterator<Item = &'a tests::checker::Change> {
    let rows = records.iter().filter_map(|record| if let Decoded::Rows(rows) = &record.decoded { Some(rows) } else { None });
    rows.flatten().filter(move |change| change.table.name == table)
}

fn counts(line: &str, records: &[Record]) -> Result<bool> {
    let wrong = || Failure::new(format!("{line:?} is not `TABLE OPERATION=NUMBER`"));
    let (table, claim) = line.split_once(' ').ok_or_else(wrong)?;
    let (operation, number) = claim.split_once('=').ok_or_else(wrong)?;
    let operation = match operation {
        // Canal JSON has no operation of its own for rows of the full phase.
        "INSERT" => [Op::Insert, Op::Read],
        "UPDATE" => [Op::Update; 2],
        "DELETE" => [Op::Delete; 2],
        _ => return Err(wrong()),
    };
    Ok(changes(records, table).filter(|change| operation.contains(&change.op)).count() == number.parse::<usize>()?)
}
