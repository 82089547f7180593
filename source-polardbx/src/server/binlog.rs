//! Places in the binlog as SHOW statements give them.

use mysql_async::Row;

use super::Server;
use crate::binlog::FileOffset;
use crate::error::{Result, SourceError};
use crate::session::{Session, named};

/// A place in the binlog with the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BinlogPlace {
    /// Name without the number.
    pub(crate) base: String,
    pub(crate) at: FileOffset,
}

impl BinlogPlace {
    /// From a file's name and an offset; `None` if the name has no number at its end.
    pub(crate) fn new(file: &str, offset: u64) -> Option<Self> {
        let (base, number) = file.rsplit_once('.')?;
        let digits = !base.is_empty() && number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
        let file = digits.then(|| number.parse().ok())??;
        Some(Self { base: base.to_owned(), at: FileOffset { file, offset } })
    }

    pub(crate) fn file(&self) -> String {
        file_name(&self.base, self.at.file)
    }

    /// The form that DTS prints: `<offset>@<file number>`.
    pub(crate) fn offset_text(&self) -> String {
        format!("{}@{}", self.at.offset, self.at.file)
    }
}

/// Name of a binlog file.
pub(crate) fn file_name(base: &str, number: u32) -> String {
    format!("{base}.{number:06}")
}

/// The end of the binlog; `None` if the server writes none.
pub(crate) async fn binlog_end(session: &mut Session, server: &Server) -> Result<Option<BinlogPlace>> {
    const STATEMENTS: [&str; 2] = ["SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"];
    let [first, second] = if server.kind.says_binary_log_status() { [STATEMENTS[1], STATEMENTS[0]] } else { STATEMENTS };
    let doing = |statement| format!("ask for the end of the binlog ({statement})");
    let rows = session.rows_either([first, second], doing).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let place = named(row, "File").zip(named(row, "Position").and_then(|text| text.parse().ok()));
    let place = place.and_then(|(file, offset)| BinlogPlace::new(&file, offset));
    place.map(Some).ok_or_else(|| SourceError::answer(doing(first), "the server's answer names no binlog file and position"))
}

/// The binlog files that the server still has, oldest first, with their sizes.
pub(crate) async fn binlog_files(session: &mut Session) -> Result<Vec<(String, u64)>> {
    let rows = session.rows("list the binlog files (SHOW BINARY LOGS)", "SHOW BINARY LOGS").await?;
    let file = |row: &Row| Some((named(row, "Log_name")?, named(row, "File_size")?.parse().ok()?));
    Ok(rows.iter().filter_map(file).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binlog_names() {
        let place = BinlogPlace::new("mysql-bin.0.000017", 4).unwrap();
        assert_eq!((place.base.as_str(), place.at.file, place.file().as_str()), ("mysql-bin.0", 17, "mysql-bin.0.000017"));
        assert_eq!(place.offset_text(), "4@17");
        assert_eq!(BinlogPlace::new("binlog.1000000", 4).unwrap().file(), "binlog.1000000");
        for odd in ["binlog", ".000001", "binlog.1", "binlog.00000x", "binlog.99999999999"] {
            assert_eq!(BinlogPlace::new(odd, 4), None, "{odd}");
        }
    }
}
