//! The source `binlog_files`: binlog files on disk, without a server.
//!
//! [`config`] defines the keys. `start` finds out what the files are and which schemas hold where reading begins. The events go through the same
//! reader and the same decoder as those that a server sends, so the records are the same, too.

pub mod config;
mod start;

use std::sync::Arc;

use runtime::{
    Committed, Context, Error, Fact, Finding, Phase as RunPhase, Plan, Played, Position, Source, SourceInfo, Split, SplitKind, SplitReader,
    TableSchema, TestInput, async_trait,
};
use serde::{Deserialize, Serialize};

use crate::binlog::{
    FileSet, PreparedTransactions, RowsWithoutEvents, ServerProfile, StreamOptions, StreamPosition, StreamReader, Upstream,
};
use crate::config::OnUnparsedDdl;
use crate::error::{Result, SourceError};
use crate::facts::{DatabaseCollations, SelectionFact, facts_of_stream};
use crate::rehearsal::rehearse;
use crate::schema::{FollowedTable, OtherObjects, Unstated};
use crate::splits::{SplitName, StreamName};
use config::{BinlogFilesConfig, FilesSettings};
use start::Opening;

/// The files of a binlog as a source.
pub struct BinlogFilesSource {
    settings: FilesSettings,
}

/// What the task reads. The first plan commits it; later plans compare it with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FilesFact {
    /// The version of the server that wrote the files.
    version: String,
    lower_case: bool,
    explicit_timestamps: bool,
    selection: SelectionFact,
}

impl Fact for FilesFact {
    const NAME: &'static str = "binlog_files";
    const VERSION: u32 = 1;
}

impl FilesFact {
    fn read(committed: &Committed) -> Result<Self> {
        committed.fact()?.ok_or_else(|| SourceError::Checkpoint { what: "it is not that of a task that reads binlog files".into() })
    }

    fn profile(&self) -> ServerProfile {
        ServerProfile::new(self.version.as_str()).with_explicit_timestamps(self.explicit_timestamps).with_lower_case_names(self.lower_case)
    }
}

impl BinlogFilesSource {
    /// Makes a source from its configuration, without opening a file yet. An error of kind `Config` names the key that is wrong.
    pub fn new(config: BinlogFilesConfig) -> Result<Self, Error> {
        Ok(Self { settings: FilesSettings::new(config)? })
    }

    /// The first plan of a task.
    async fn first(&self) -> Result<Plan> {
        let Opening { files, profile, start, schemas, databases } = Opening::find(&self.settings).await?;
        let position = StreamPosition::start("", &start.file_name(), start.at.offset)?;
        let fact = FilesFact {
            version: profile.version().to_string(),
            lower_case: profile.lower_case_names(),
            explicit_timestamps: profile.explicit_timestamps(),
            selection: SelectionFact::new(&self.settings.as_server()),
        };
        tracing::info!(files = files.len(), from = start.location(), version = fact.version, "reading binlog files");
        let mut plan = Plan::new(RunPhase::Stream);
        plan.facts.set(&fact)?;
        plan.facts.set_at(StreamName::global().as_str(), &DatabaseCollations::new(databases.iter()))?;
        plan.schemas = schemas.into_iter().map(|schema| (schema.id.clone(), Some(schema))).collect();
        plan.splits = vec![stream_split(position.to_position())];
        Ok(plan)
    }

    /// A later plan: the stream continues where it was, or it is over.
    fn next(&self, committed: &Committed) -> Result<Plan> {
        let fact = FilesFact::read(committed)?;
        if fact.selection != SelectionFact::new(&self.settings.as_server()) {
            let what = "the selection of tables is another one than when the task began".to_owned();
            return Err(SourceError::TaskChanged { what });
        }
        let id = SplitName::Stream(StreamName::global()).id();
        let split = committed.split(&id).ok_or_else(|| SourceError::Checkpoint { what: format!("it does not hold {id}") })?;
        if split.checkpoint.done {
            return Ok(Plan::new(RunPhase::Done));
        }
        let mut plan = Plan::new(RunPhase::Stream);
        plan.splits = vec![stream_split(split.checkpoint.position.clone())];
        Ok(plan)
    }

    async fn stream(&self, context: &Context, split: &Split, committed: &Committed) -> Result<StreamReader> {
        let SplitName::Stream(name) = SplitName::parse(&split.id)? else {
            return Err(SourceError::Checkpoint { what: format!("{} is not a split of this source", split.id) });
        };
        let fact = FilesFact::read(committed)?;
        let profile = fact.profile();
        let mut position = StreamPosition::parse(split.start.as_str())?;
        let files = FileSet::list(&self.settings.config.files)?;
        let listed = files.listed();
        // Behind the ROTATE that ends the last file, the position is at the beginning of a file that may come later.
        if !files.ends_before(position.at) {
            listed.find(&position.base, position.at)?;
        }
        position.forget_purged(|file| listed.size(file).is_some());
        let stream = StreamReader::open(StreamOptions {
            polardbx: self.settings.polardbx(files.base()),
            upstream: Upstream::Files(files),
            server_id: 0,
            schemas: committed.split_schemas(&split.id),
            followed: facts_of_stream::<FollowedTable>(committed, &name)?,
            others: committed.fact_at::<OtherObjects>(name.as_str())?.unwrap_or_default(),
            unstated: facts_of_stream::<Unstated>(committed, &name)?,
            database_collations: committed.fact_at::<DatabaseCollations>(name.as_str())?.unwrap_or_default().into_map(),
            selection: self.settings.selection.clone().folded(profile.lower_case_names()),
            ignored: Default::default(),
            rows_without_events: RowsWithoutEvents { then: self.settings.config.on_rows_without_events, new_are_read: false },
            on_unparsed_ddl: OnUnparsedDdl::Fail,
            heartbeat: None,
            batch_max_bytes: context.batch_max_bytes(),
            undecodable: Default::default(),
            last_end: Default::default(),
            refusals: Default::default(),
            behind_full_phase: false,
            prepared: PreparedTransactions::open(name.as_str(), context.state_dir(), None, committed)?,
            context: context.clone(),
            stream: name,
            position,
            profile,
        });
        stream.await
    }
}

fn stream_split(start: Position) -> Split {
    Split { id: SplitName::Stream(StreamName::global()).id(), kind: SplitKind::Stream, start }
}

#[async_trait]
impl Source for BinlogFilesSource {
    fn info(&self) -> SourceInfo {
        SourceInfo::default().with_parallelism(1).with_heartbeats(false)
    }

    async fn plan(&self, _: &Context, committed: &Committed) -> Result<Plan, Error> {
        let plan = if committed.is_new() { self.first().await } else { self.next(committed) };
        plan.map_err(in_files)
    }

    async fn open(&self, context: &Context, split: &Split, committed: &Committed) -> Result<Box<dyn SplitReader>, Error> {
        let stream = self.stream(context, split, committed).await.map_err(in_files)?;
        Ok(Box::new(FilesReader(stream)))
    }

    fn location(&self, position: &Position) -> Position {
        match StreamPosition::parse(position.as_str()) {
            Ok(parsed) => parsed.location(parsed.at).into(),
            Err(_) => position.clone(),
        }
    }

    async fn check(&self, _: &Context, committed: Option<&Committed>) -> Vec<Finding> {
        const ITEM: &str = "binlog_files";
        let committed = committed.filter(|committed| !committed.is_new());
        let found = match committed {
            None => Opening::find(&self.settings).await.map(|opening| opening.to_string()),
            Some(committed) => self.next(committed).and_then(|_| Ok(FileSet::list(&self.settings.config.files)?)).map(|files| {
                let words = if files.len() == 1 { "file" } else { "files" };
                format!("{} {words} of the binlog {:?}", files.len(), files.base())
            }),
        };
        vec![found.map_or_else(|error| Finding::from_error(ITEM, &in_files(error)), |what| Finding::passed(ITEM, what))]
    }

    async fn tables(&self, _: &Context) -> Result<Vec<Arc<TableSchema>>, Error> {
        Ok(Opening::find(&self.settings).await.map_err(in_files)?.schemas)
    }

    fn rehearse(&self, input: &[TestInput]) -> Result<Played, Error> {
        rehearse(&self.settings.selection, input)
    }
}

/// A reader whose errors have advice for files.
struct FilesReader(StreamReader);

#[async_trait]
impl SplitReader for FilesReader {
    async fn next(&mut self) -> Result<Option<runtime::Batch>, Error> {
        self.0.next().await.map_err(advised)
    }
}

/// An error with the name of this source's section, and with advice for files.
fn in_files(error: SourceError) -> Error {
    advised(match error {
        SourceError::Config(error) => error.in_section(config::SECTION).into(),
        other => other.into(),
    })
}

/// The advice for a stream is about a server, which is not there.
fn advised(error: Error) -> Error {
    let help = match error.code() {
        Some("E_BINLOG_CORRUPT" | "E_STREAM_GAP") => {
            "verify the file with mysqlbinlog --verify-binlog-checksum; copy it again from where it comes from"
        }
        Some("E_SCHEMA_MISMATCH") => {
            "give the schemas as they were where reading begins with `start_schema`, or begin with a file before the CREATE TABLE"
        }
        Some("E_DDL_UNREAD") => {
            "report the statement, so that it can be supported; a task with `start` and `start_schema` can begin behind it"
        }
        Some("E_HISTORY_DIVERGED") => "list the files with which the task began; other files are for a task of their own",
        _ if error.help().is_some_and(|help| help.contains("full phase")) => {
            "a task with `start` and `start_schema` can begin behind this place"
        }
        _ => return error,
    };
    error.with_help(help)
}
