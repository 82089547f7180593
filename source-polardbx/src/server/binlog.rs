//! Asks the server for the end and the files of its binlog, with SHOW statements.

use std::collections::BTreeMap;
use std::fmt;

use crate::wire::Row;

use super::Server;
use crate::binlog::profile::is_polardbx;
use crate::binlog::{BinlogCoordinates, BinlogFiles, FileOffset};
use crate::error::{Result, SourceError};
use crate::session::{Session, literal};
use crate::splits::StreamName;

/// The end of the binlog, or of one of several streams; `None` if the server does not write a binlog.
pub(crate) async fn binlog_end(session: &mut Session, server: &Server, stream: &StreamName) -> Result<Option<BinlogCoordinates>> {
    if server.is_polardbx() {
        let (file, end) = end_of_stream(session, stream).await?;
        return match end.filter(|end| end.at.offset > FileOffset::FIRST) {
            Some(end) => Ok(Some(end)),
            None => {
                let what =
                    if stream.is_global() { "the instance has no global binlog" } else { "the instance has no binlog of this stream" };
                Err(SourceError::Requirement {
                    what: format!("{what}: SHOW MASTER STATUS{} names {file:?}", with(stream)),
                    help: "wait until its CDC nodes have written the first events, or add CDC nodes to the instance".into(),
                })
            }
        };
    }
    let rows = status(session, server).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let end = row.named("File").zip(row.named("Position").and_then(|text| text.parse().ok()));
    let end = end.and_then(|(file, offset)| BinlogCoordinates::new(&file, offset));
    end.map(Some).ok_or_else(|| SourceError::answer(doing("SHOW MASTER STATUS"), "the server's answer names no binlog file and position"))
}

/// Asks PolarDB-X for the end of a stream. Returns the file that it names, and the end if this is a file of the stream. Without CDC nodes one
/// of the data nodes answers, and names its own binlog.
async fn end_of_stream(session: &mut Session, stream: &StreamName) -> Result<(String, Option<BinlogCoordinates>)> {
    let statement = format!("SHOW MASTER STATUS{}", with(stream));
    let rows = session.rows_of(|| doing(&statement), &statement).await?;
    let row = rows.first();
    let file = row.and_then(|row| row.named("File")).unwrap_or_default();
    let end = row.and_then(|row| BinlogCoordinates::new(&file, row.named("Position")?.parse().ok()?));
    let is_own = |end: &BinlogCoordinates| match stream.is_global() {
        true => end.base == "binlog",
        false => end.base.strip_prefix(stream.as_str()).is_some_and(|rest| matches!(rest, "_binlog" | "#binlog")),
    };
    Ok((file, end.filter(is_own)))
}

/// Whether a PolarDB-X instance has a global binlog.
pub(crate) async fn has_global_binlog(session: &mut Session) -> Result<bool> {
    Ok(end_of_stream(session, &StreamName::global()).await?.1.is_some())
}

/// The end of a SHOW statement that chooses the stream.
pub(super) fn with(stream: &StreamName) -> String {
    if stream.is_global() { String::new() } else { format!(" WITH {}", literal(stream.as_str())) }
}

/// The groups of streams of a PolarDB-X instance, by their names. Each group holds all changes of the instance.
pub(crate) async fn stream_groups(session: &mut Session) -> Result<BTreeMap<String, Vec<StreamName>>> {
    const DOING: &str = "list the binlog streams (SHOW BINARY STREAMS)";
    let rows = match session.rows(DOING, "SHOW BINARY STREAMS").await {
        // Versions without streams do not know the statement.
        Err(error) if error.code() == Some(1064) => return Ok(BTreeMap::new()),
        rows => rows?,
    };
    let mut groups: BTreeMap<String, Vec<StreamName>> = BTreeMap::new();
    for row in &rows {
        let (group, stream) = (row.named("Group").unwrap_or_default(), row.named("Stream").unwrap_or_default());
        let stream = StreamName::of_group(&stream)
            .ok_or_else(|| SourceError::answer(DOING, format!("{stream:?} is not the name of a stream, such as group1_stream_0")))?;
        groups.entry(group).or_default().push(stream);
    }
    groups.values_mut().for_each(|streams| streams.sort_by_key(StreamName::number));
    Ok(groups)
}

fn doing(statement: &str) -> String {
    format!("ask for the end of the binlog ({statement})")
}

async fn status(session: &mut Session, server: &Server) -> Result<Vec<Row>> {
    const STATEMENTS: [&str; 2] = ["SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"];
    let [first, second] = if server.kind.has_binary_log_status() { [STATEMENTS[1], STATEMENTS[0]] } else { STATEMENTS };
    session.rows_either([first, second], doing).await
}

/// The databases that the server leaves out of its binlog.
#[derive(Clone, Debug, Default)]
pub(crate) struct BinlogFilters {
    logged: Vec<String>,
    ignored: Vec<String>,
    lower_case: bool,
}

impl BinlogFilters {
    /// Creates the filters from the lists that SHOW MASTER STATUS returns, with commas between the names.
    pub(crate) fn new(logged: &str, ignored: &str, lower_case: bool) -> Self {
        let names = |list: &str| list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Self { logged: names(logged), ignored: names(ignored), lower_case }
    }

    /// Whether the server leaves nothing out.
    pub(crate) fn is_empty(&self) -> bool {
        self.logged.is_empty() && self.ignored.is_empty()
    }

    /// Whether changes of the database are not in the binlog. If `binlog_do_db` is set, the server does not use `binlog_ignore_db`.
    pub(crate) fn hide(&self, database: &str) -> bool {
        let among = |list: &[String]| {
            list.iter().any(|name| name == database || (self.lower_case && name.to_lowercase() == database.to_lowercase()))
        };
        if self.logged.is_empty() { among(&self.ignored) } else { !among(&self.logged) }
    }
}

impl fmt::Display for BinlogFilters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.logged.is_empty() {
            true => write!(f, "binlog_ignore_db={}", self.ignored.join(",")),
            false => write!(f, "binlog_do_db={}", self.logged.join(",")),
        }
    }
}

/// Asks for the databases that the server leaves out of its binlog.
pub(crate) async fn binlog_filters(session: &mut Session, server: &Server) -> Result<BinlogFilters> {
    if server.is_polardbx() {
        return Ok(BinlogFilters::default());
    }
    let rows = status(session, server).await?;
    let list = |name| rows.first().and_then(|row| row.named(name)).unwrap_or_default();
    Ok(BinlogFilters::new(&list("Binlog_Do_DB"), &list("Binlog_Ignore_DB"), server.lower_case()))
}

/// The binlog files that the server still has of a stream, oldest first, with their sizes.
pub(crate) async fn binlog_files(session: &mut Session, stream: &StreamName) -> Result<BinlogFiles> {
    let statement = format!("SHOW BINARY LOGS{}", with(stream));
    let rows = session.rows_of(|| format!("list the binlog files ({statement})"), &statement).await?;
    let file = |row: &Row| Some((row.named("Log_name")?, row.named("File_size")?.parse().ok()?));
    let files = BinlogFiles::new(rows.iter().filter_map(file).collect());
    Ok(if is_polardbx(session.version()) { files.that_may_lag() } else { files })
}
