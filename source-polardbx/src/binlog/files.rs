//! The list of a server's binlog files, and the check whether a position exists in it.

use super::error::StreamError;
use super::position::{FileOffset, LAST_WRAPPING, file_name, location, split_file_name};

/// The names and sizes in bytes of the binlog files that a server has, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BinlogFiles {
    files: Vec<(String, u64)>,
    /// Whether the newest file may be larger than its size says, and the next file may be there, too.
    may_lag: bool,
}

impl BinlogFiles {
    /// Creates the list from the names and sizes that SHOW BINARY LOGS returns.
    pub(crate) fn new(files: Vec<(String, u64)>) -> Self {
        Self { files, may_lag: false }
    }

    /// Says that the newest file may be larger than its size says, and that the next file may be there, too. PolarDB-X may send its binlog from
    /// another node than the one that lists it.
    pub(crate) fn that_may_lag(self) -> Self {
        Self { may_lag: true, ..self }
    }

    /// The name of the oldest file; `None` if the server has no binlog file.
    pub(crate) fn oldest(&self) -> Option<&str> {
        self.files.first().map(|(name, _)| name.as_str())
    }

    /// The base name of the newest file, and the numbers of all files with this base, oldest first. `None` if the server has no binlog file.
    pub(crate) fn numbers(&self) -> Option<(&str, Vec<u32>)> {
        let (newest, _) = self.files.last()?;
        let (base, _) = split_file_name(newest)?;
        let own = self.files.iter().filter_map(|(name, _)| split_file_name(name).filter(|(of, _)| *of == base).map(|(_, file)| file));
        Some((base, own.collect()))
    }

    /// The size of a file in bytes; `None` if the server does not have the file.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        self.files.iter().find(|(file, _)| file == name).map(|(_, size)| *size)
    }

    /// The end of the newest file; `None` if the server has no binlog file.
    pub(crate) fn end(&self) -> Option<FileOffset> {
        let (name, size) = self.files.last()?;
        Some(FileOffset::new(split_file_name(name)?.1, *size))
    }

    /// Checks that the position `at` exists in the files whose names begin with `base`. The error is `Purged` if the server deleted the
    /// file, and `HistoryDiverged` if the position cannot come from this server.
    pub(crate) fn find(&self, base: &str, at: FileOffset) -> Result<(), StreamError> {
        let needed = || location(base, at);
        let diverged = |what: String| Err(StreamError::HistoryDiverged { what });
        let own: Vec<(u32, u64)> = self
            .files
            .iter()
            .filter_map(|(name, size)| split_file_name(name).filter(|(of, _)| *of == base).map(|(_, file)| (file, *size)))
            .collect();
        let (Some((oldest, _)), Some((newest, _))) = (own.first().copied(), own.last().copied()) else {
            return diverged(format!("the server has no binlog files called `{base}.…`; this task stopped at {}", needed()));
        };
        match own.iter().find(|(file, _)| *file == at.file) {
            Some((_, size)) if at.offset > *size && !(self.may_lag && at.file == newest) => {
                diverged(format!("this task stopped at {}, behind the end of that file, which has {size} bytes", needed()))
            }
            Some(_) => Ok(()),
            None if self.may_lag && at.file == if newest == LAST_WRAPPING { 1 } else { newest + 1 } => Ok(()),
            None if at.file < oldest => Err(StreamError::Purged { oldest: file_name(base, oldest), needed: needed() }),
            None => diverged(format!(
                "the server has {} to {}; this task stopped at {}",
                file_name(base, oldest),
                file_name(base, newest),
                needed()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_there_or_purged_or_from_another_history() {
        let files = BinlogFiles::new(vec![("binlog.000005".to_owned(), 1000), ("binlog.000006".to_owned(), 200)]);
        let find = |file, offset| files.find("binlog", FileOffset::new(file, offset));
        assert!(find(6, 200).is_ok());
        assert!(
            matches!(find(4, 4), Err(StreamError::Purged { oldest, needed }) if oldest == "binlog.000005" && needed == "binlog.000004:4")
        );
        assert!(matches!(find(7, 4), Err(StreamError::HistoryDiverged { .. })));
        assert!(matches!(find(6, 201), Err(StreamError::HistoryDiverged { .. })));
        assert!(matches!(files.find("other", FileOffset::new(5, 4)), Err(StreamError::HistoryDiverged { .. })));
        assert_eq!((files.end(), files.size("binlog.000005")), (Some(FileOffset::new(6, 200)), Some(1000)));
        let lagging = files.that_may_lag();
        let find = |file, offset| lagging.find("binlog", FileOffset::new(file, offset));
        assert!(find(6, 201).is_ok() && find(7, 4).is_ok() && find(5, 1001).is_err() && find(8, 4).is_err());
        let wrapping = BinlogFiles::new(vec![("binlog.999999".to_owned(), 1000)]).that_may_lag();
        assert!(wrapping.find("binlog", FileOffset::new(1, 4)).is_ok() && wrapping.find("binlog", FileOffset::new(2, 4)).is_err());
    }
}
