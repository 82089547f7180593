//! Asks the server for the end and the files of its binlog, with SHOW statements.

use mysql_async::Row;

use super::Server;
use crate::binlog::{BinlogCoordinates, BinlogFiles};
use crate::error::{Result, SourceError};
use crate::session::{Session, named};

/// The end of the binlog; `None` if the server does not write a binlog.
pub(crate) async fn binlog_end(session: &mut Session, server: &Server) -> Result<Option<BinlogCoordinates>> {
    const STATEMENTS: [&str; 2] = ["SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"];
    let [first, second] = if server.kind.has_binary_log_status() { [STATEMENTS[1], STATEMENTS[0]] } else { STATEMENTS };
    let doing = |statement| format!("ask for the end of the binlog ({statement})");
    let rows = session.rows_either([first, second], doing).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let end = named(row, "File").zip(named(row, "Position").and_then(|text| text.parse().ok()));
    let end = end.and_then(|(file, offset)| BinlogCoordinates::new(&file, offset));
    end.map(Some).ok_or_else(|| SourceError::answer(doing(first), "the server's answer names no binlog file and position"))
}

/// The binlog files that the server still has, oldest first, with their sizes.
pub(crate) async fn binlog_files(session: &mut Session) -> Result<BinlogFiles> {
    let rows = session.rows("list the binlog files (SHOW BINARY LOGS)", "SHOW BINARY LOGS").await?;
    let file = |row: &Row| Some((named(row, "Log_name")?, named(row, "File_size")?.parse().ok()?));
    Ok(BinlogFiles::new(rows.iter().filter_map(file).collect()))
}
