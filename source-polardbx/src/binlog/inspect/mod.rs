//! Shows the events of a binlog file to people, without a server: for bug reports, and to look into files.
//!
//! An event is shown only after its length, its checksum and its offset were verified, as for a stream. What it holds is shown as far as it can
//! be read: [`Content::Unread`] says why it cannot.

mod event;
mod rows;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use runtime::{Error, Position};

use super::disk::{FileEvents, FileSet};
use super::error::StreamError;
use super::event::{Payload, kind, read_format};
use super::position::FileOffset;
use super::profile::ServerProfile;
use super::track::Tracker;
use crate::error::SourceError;
use crate::selection::Selection;
use crate::start_schema;
pub use event::{Content, InspectedEvent};
use rows::KnownTables;

/// How events are shown.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct InspectOptions {
    /// The tables whose rows are shown, as patterns like those of the key `tables`; all tables if there are none.
    pub tables: Vec<String>,
    /// A file with the CREATE TABLE statements of the tables as they were at the beginning, such as the output of `mysqldump --no-data`.
    pub schema: Option<PathBuf>,
}

/// Reads binlog files one after another, and shows their events. It follows the statements, so that columns have their names.
pub struct Inspector {
    selection: Selection,
    schema: Option<PathBuf>,
    tables: Option<KnownTables>,
}

/// The events of one file.
pub struct InspectedFile<'a> {
    selection: &'a Selection,
    tables: &'a mut KnownTables,
    file: String,
    events: FileEvents,
    tracker: Tracker,
    /// The offset at which reading begins, if somebody has chosen it.
    begun: Option<u64>,
    /// The compressed transaction that is being expanded, and where it begins.
    payload: Option<(Payload, u64)>,
    ready: VecDeque<InspectedEvent>,
}

impl Inspector {
    /// Checks the options. The error names the argument that is not valid.
    pub fn new(options: InspectOptions) -> Result<Self, Error> {
        let all = ["*.*".to_owned()];
        let patterns = if options.tables.is_empty() { &all[..] } else { &options.tables };
        let selection = Selection::new(patterns, &[]).map_err(|error| in_arguments(SourceError::from(error)))?;
        Ok(Self { selection, schema: options.schema, tables: None })
    }

    /// Opens a file at `from`, or at its beginning.
    pub fn open(&mut self, path: &Path, from: Option<u64>) -> Result<InspectedFile<'_>, Error> {
        let files = FileSet::of_one(path).map_err(Error::from)?;
        let base = if files.base().is_empty() { "file" } else { files.base() }.to_owned();
        let start = FileOffset::new(files.start().file, from.unwrap_or(FileOffset::FIRST));
        let events = FileEvents::open(files, start).map_err(Error::from)?;
        let profile = ServerProfile::new(events.format().version.as_str());
        let known = match self.tables.take() {
            Some(mut known) => {
                known.begin_file(profile);
                known
            }
            None => {
                let (schemas, databases) = match &self.schema {
                    Some(path) => start_schema::read(path, &self.selection, profile.dialect(), profile.lower_case_names(), &[])
                        .map_err(in_arguments)?,
                    None => Default::default(),
                };
                KnownTables::new(profile, schemas, databases)
            }
        };
        let tables = self.tables.insert(known);
        let tracker = Tracker::new(&base, start);
        let file = path.display().to_string();
        Ok(InspectedFile { selection: &self.selection, tables, file, events, tracker, begun: from, payload: None, ready: VecDeque::new() })
    }
}

impl InspectedFile<'_> {
    /// The next event; `None` at the end of the file. An error names the file and the offset of what is damaged, and ends the file.
    pub fn next_event(&mut self) -> Result<Option<InspectedEvent>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if let Some((mut payload, offset)) = self.payload.take() {
                match payload.next() {
                    Ok(Some(event)) => {
                        self.ready.extend(self.tables.show(&event, self.selection, offset, true));
                        self.payload = Some((payload, offset));
                    }
                    Ok(None) => {}
                    Err(error) => return Err(located(&self.file, error, offset)),
                }
                continue;
            }
            let at = self.tracker.at().offset;
            // What is no event may be another place than was meant.
            let advised = |error: Error| match self.begun == Some(at) {
                true => error.with_help("choose an offset at which an event begins"),
                false => error,
            };
            let Some(bytes) = self.events.next().map_err(|error| advised(error.into()))? else { return Ok(None) };
            let (event, start) = self.tracker.pass(bytes).map_err(|error| advised(located(&self.file, error, at)))?;
            if event.header.kind == kind::FORMAT_DESCRIPTION {
                self.tracker.checksums = read_format(event.body).map_err(|error| located(&self.file, error, at))?.checksums;
            }
            if !event.header.is_real() {
                continue;
            }
            self.ready.extend(self.tables.show(&event, self.selection, start.offset, false));
            if event.header.kind == kind::TRANSACTION_PAYLOAD {
                self.payload = Some((Payload::open(event.body).map_err(|error| located(&self.file, error, at))?, start.offset));
            }
        }
    }
}

fn located(file: &str, error: StreamError, offset: u64) -> Error {
    let help = "verify the file with mysqlbinlog --verify-binlog-checksum; copy it again from where it comes from";
    Error::from(error).at(&Position::from(format!("{file}:{offset}"))).with_help(help)
}

/// An error about a key of the configuration, which here is an argument.
fn in_arguments(error: SourceError) -> Error {
    match error {
        SourceError::Config(error) => {
            let argument = if error.key == "start_schema" { "--schema" } else { "--tables" };
            Error::config(format!("the argument {argument} is not valid: {}", error.why)).with_help(error.help)
        }
        other => other.into(),
    }
}
