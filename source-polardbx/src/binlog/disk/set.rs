//! The list of the files of one binlog.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;

use super::error::FileError;
use crate::binlog::files::BinlogFiles;
use crate::binlog::position::{FileOffset, LAST_WRAPPING, file_name, split_file_name};

const ONE_BINLOG: &str = "list the files of one binlog, each once";

/// The files of one binlog, in their order.
///
/// Invariant: there is at least one file, and no number is missing between two of them. PolarDB-X begins again with number 1 behind 999,999.
#[derive(Clone, Debug)]
pub(crate) struct FileSet {
    base: Arc<str>,
    files: Arc<[NumberedFile]>,
}

/// A file, and its size when it was listed. What is written behind that is not read.
#[derive(Clone, Debug)]
pub(super) struct NumberedFile {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

impl FileSet {
    /// Lists the files with these paths. The last part of a path may hold `*` and `?`, and then stands for the names of binlog files that it
    /// matches.
    pub(crate) fn list<S: AsRef<str>>(paths: &[S]) -> Result<Self, FileError> {
        let mut found: Vec<(String, NumberedFile)> = Vec::new();
        for text in paths {
            for path in matches(text.as_ref())? {
                let name = path.file_name().and_then(|name| name.to_str()).and_then(split_file_name);
                let Some((base, number)) = name.map(|(base, number)| (base.to_owned(), number)) else {
                    let what = format!("{} is not the name of a binlog file", path.display());
                    return Err(FileError::refused(what, "name files such as binlog.000001"));
                };
                let bytes = size(&path)?;
                found.push((base, NumberedFile { number, path, bytes }));
            }
        }
        found.sort_by_key(|(_, file)| file.number);
        let Some((base, first)) = found.first() else {
            return Err(FileError::refused("no file is listed", "name at least one binlog file"));
        };
        if let Some((other, file)) = found.iter().find(|(other, _)| other != base) {
            let what = format!("{} and {} are files of two binlogs, {base:?} and {other:?}", first.path.display(), file.path.display());
            return Err(FileError::refused(what, ONE_BINLOG));
        }
        let base = base.as_str().into();
        let files = in_order(found.into_iter().map(|(_, file)| file).collect())?;
        Ok(Self { base, files: files.into() })
    }

    /// A single file, whatever its name is.
    pub(crate) fn of_one(path: &Path) -> Result<Self, FileError> {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(split_file_name);
        let (base, number) = name.unwrap_or(("", 1));
        let file = NumberedFile { number, path: path.to_owned(), bytes: size(path)? };
        Ok(Self { base: base.into(), files: [file].into() })
    }

    /// The name of the files without the dot and the number.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Where the first file begins.
    pub(crate) fn start(&self) -> FileOffset {
        FileOffset::new(self.files.first().map_or(1, |file| file.number), FileOffset::FIRST)
    }

    /// Where the last file ends.
    pub(crate) fn end(&self) -> FileOffset {
        self.files.last().map_or(FileOffset::new(1, FileOffset::FIRST), |file| FileOffset::new(file.number, file.bytes))
    }

    /// Whether `at` is the beginning of a file that would come behind the last one.
    pub(crate) fn ends_before(&self, at: FileOffset) -> bool {
        let last = self.end().file;
        at.offset == FileOffset::FIRST && self.file(at.file).is_none() && (at.file == last + 1 || (last == LAST_WRAPPING && at.file == 1))
    }

    /// The names and sizes, as a server lists them.
    pub(crate) fn listed(&self) -> BinlogFiles {
        BinlogFiles::new(self.files.iter().map(|file| (file_name(&self.base, file.number), file.bytes)).collect())
    }

    /// The file with this number.
    pub(super) fn file(&self, number: u32) -> Option<&NumberedFile> {
        self.files.iter().find(|file| file.number == number)
    }

    /// The file behind the one with this number.
    pub(super) fn next(&self, number: u32) -> Option<&NumberedFile> {
        let place = self.files.iter().position(|file| file.number == number)?;
        self.files.get(place + 1)
    }
}

/// Puts files that are sorted by their numbers into their order. Fails if a number is missing or there twice.
fn in_order(mut files: Vec<NumberedFile>) -> Result<Vec<NumberedFile>, FileError> {
    let begins_again = files.first().is_some_and(|file| file.number == 1) && files.last().is_some_and(|file| file.number == LAST_WRAPPING);
    let gap = |files: &[NumberedFile]| files.windows(2).position(|pair| matches!(pair, [one, two] if one.number + 1 != two.number));
    if begins_again && let Some(place) = gap(&files) {
        files.rotate_left(place + 1);
    }
    for pair in files.windows(2) {
        let [one, two] = pair else { continue };
        let (first, second) = (one.path.display(), two.path.display());
        if one.number == two.number {
            return Err(FileError::refused(format!("{first} and {second} have the same number"), ONE_BINLOG));
        }
        if one.number + 1 != two.number && !(one.number == LAST_WRAPPING && two.number == 1) {
            let what = format!("{second} does not follow {first}: the files between the two are missing");
            return Err(FileError::refused(what, "list the missing files, too, or read what is behind the gap with a task of its own"));
        }
    }
    Ok(files)
}

/// The size of an ordinary file. Links are followed.
fn size(path: &Path) -> Result<u64, FileError> {
    let file = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Err(FileError::refused(format!("{file} is not an ordinary file"), "name binlog files")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(FileError::refused(format!("there is no file {file}"), "paths are relative to the working directory"))
        }
        Err(error) => Err(FileError::Unread { file, message: error.to_string() }),
    }
}

/// The paths for which `text` stands.
fn matches(text: &str) -> Result<Vec<PathBuf>, FileError> {
    const HELP: &str = "`*` and `?` may stand in the last part of a path, and match the names of binlog files";
    let path = Path::new(text);
    let wild = |text: &str| text.contains(['*', '?']);
    let (Some(name), true) = (path.file_name().and_then(|name| name.to_str()), wild(text)) else { return Ok(vec![path.to_owned()]) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if wild(&folder.to_string_lossy()) {
        return Err(FileError::refused(format!("{text} has a wildcard before the last part of the path"), HELP));
    }
    let expression = format!("^{}$", regex::escape(name).replace("\\*", ".*").replace("\\?", "."));
    let expression = Regex::new(&expression).map_err(|_| FileError::refused(format!("{text} is not a path"), HELP))?;
    let unread = |error: std::io::Error| FileError::Unread { file: folder.display().to_string(), message: error.to_string() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name();
        if name.to_str().is_some_and(|name| split_file_name(name).is_some() && expression.is_match(name)) {
            found.push(path.with_file_name(name));
        }
    }
    if found.is_empty() {
        return Err(FileError::refused(format!("{text} matches no name of a binlog file"), HELP));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str], patterns: &[&str]) -> Result<Vec<u32>, String> {
        let folder = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), b"x").unwrap());
        let patterns: Vec<String> = patterns.iter().map(|pattern| folder.path().join(pattern).display().to_string()).collect();
        let listed = FileSet::list(&patterns).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""));
        listed.map(|set| set.files.iter().map(|file| file.number).collect())
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let names = ["binlog.000010", "binlog.000009", "binlog.index", "binlog.000011", "other.000001", "x"];
        assert_eq!(list(&names, &["binlog.*"]), Ok(vec![9, 10, 11]));
        assert_eq!(list(&names, &["binlog.00001?", "binlog.000009"]), Ok(vec![9, 10, 11]));
        assert_eq!(list(&["b.999998", "b.999999", "b.000001", "b.000002"], &["*"]), Ok(vec![999_998, 999_999, 1, 2]));
    }

    #[test]
    fn what_is_not_one_binlog_is_refused_with_the_names_of_the_files() {
        for (names, patterns, said) in [
            (&["b.000001", "b.000003"][..], &["*"][..], "/b.000003 does not follow /b.000001"),
            (&["b.000001", "c.000002"], &["*"], "/b.000001 and /c.000002 are files of two binlogs"),
            (&["b.000001", "b.0000001"], &["*"], "have the same number"),
            (&["b.000001"], &["b.000001", "*"], "have the same number"),
            (&["b.999999", "b.000001", "b.000003"], &["*"], "does not follow"),
            (&["b.index"], &["b.index"], "/b.index is not the name of a binlog file"),
            (&["b.index"], &["b.*"], "/b.* matches no name"),
            (&[], &["b.000001"], "there is no file /b.000001"),
            (&[], &["*/b.000001"], "has a wildcard before the last part"),
            (&[], &[], "no file is listed"),
        ] {
            let error = list(names, patterns).unwrap_err();
            assert!(error.contains(said), "{names:?}: {error}");
        }
    }
}
