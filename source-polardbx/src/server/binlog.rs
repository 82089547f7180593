//! Asks the server for the end and the files of its binlog, with SHOW statements.

use std::fmt;

use mysql_async::Row;

use super::Server;
use crate::binlog::profile::is_polardbx;
use crate::binlog::{BinlogCoordinates, BinlogFiles, FileOffset};
use crate::error::{Result, SourceError};
use crate::session::{Session, named};

/// The end of the binlog; `None` if the server does not write a binlog.
pub(crate) async fn binlog_end(session: &mut Session, server: &Server) -> Result<Option<BinlogCoordinates>> {
    let rows = status(session, server).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let end = named(row, "File").zip(named(row, "Position").and_then(|text| text.parse().ok()));
    let end = end.and_then(|(file, offset)| BinlogCoordinates::new(&file, offset));
    if server.is_polardbx() {
        return match end {
            Some(end) if end.base.split('_').next_back() == Some("binlog") && end.at.offset > FileOffset::FIRST => Ok(Some(end)),
            _ => Err(SourceError::Requirement {
                what: format!("the instance has no global binlog: SHOW MASTER STATUS names {}", named(row, "File").unwrap_or_default()),
                help: "wait until its CDC nodes have written the first events, or add CDC nodes to the instance".into(),
            }),
        };
    }
    end.map(Some).ok_or_else(|| SourceError::answer(doing("SHOW MASTER STATUS"), "the server's answer names no binlog file and position"))
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
    let rows = status(session, server).await?;
    let list = |name| rows.first().and_then(|row| named(row, name)).unwrap_or_default();
    Ok(BinlogFilters::new(&list("Binlog_Do_DB"), &list("Binlog_Ignore_DB"), server.lower_case()))
}

/// The binlog files that the server still has, oldest first, with their sizes.
pub(crate) async fn binlog_files(session: &mut Session) -> Result<BinlogFiles> {
    let rows = session.rows("list the binlog files (SHOW BINARY LOGS)", "SHOW BINARY LOGS").await?;
    let file = |row: &Row| Some((named(row, "Log_name")?, named(row, "File_size")?.parse().ok()?));
    let files = BinlogFiles::new(rows.iter().filter_map(file).collect());
    Ok(if is_polardbx(session.version()) { files.that_may_lag() } else { files })
}
