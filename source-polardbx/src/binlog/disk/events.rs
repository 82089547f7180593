//! Reads the events of binlog files one after another.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::error::FileError;
use super::set::{FileSet, NumberedFile};
use crate::binlog::event::{ARTIFICIAL, Checksums, HEADER, RELAY_LOG, kind, open_event, read_format};
use crate::binlog::position::{FileOffset, file_name};

/// The first bytes of a binlog file, and those of one that MySQL 8 has encrypted.
const MAGIC: &[u8; 4] = b"\xfebin";
const ENCRYPTED_MAGIC: &[u8; 4] = b"\xfdbin";
/// No event is longer. A server sends none that is longer than its largest packet, which has 1 GiB.
const LONGEST: u32 = (1 << 30) + (1 << 20);
/// What is kept of the memory for an event that was longer, in bytes.
const KEPT: usize = 1 << 20;
const ENCRYPTED: &str = "decrypt the files first, or read the binlog from the server";
const BUFFER: usize = 1 << 18;

/// The events of a set of files, from one position to the end of the last file, as a server sends them. They block for as long as the file
/// system needs.
#[derive(Debug)]
pub(crate) struct FileEvents {
    files: FileSet,
    file: OpenFile,
    event: Vec<u8>,
    /// An event that comes before the next one of the file.
    made: Option<Vec<u8>>,
}

/// What the first event of a file says.
#[derive(Clone, Debug)]
pub(crate) struct FileFormat {
    checksums: Checksums,
    /// The version of the server that wrote the file.
    pub(crate) version: String,
}

/// The file that is being read.
#[derive(Debug)]
struct OpenFile {
    number: u32,
    /// The path, for messages.
    shown: String,
    reader: BufReader<File>,
    /// The offset of the next event.
    at: u64,
    /// Where the file ends.
    end: u64,
    format: Arc<FileFormat>,
    /// The first event.
    head: Vec<u8>,
    /// How the last event that was read ends the file; `None` if it does not.
    ending: Option<Ending>,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With an event that names the next file.
    Rotated,
    /// The server stopped.
    Stopped,
}

impl FileEvents {
    /// Opens the file of the position `from`. Before the events from there on comes the first event of the file, which describes the others.
    pub(crate) fn open(files: FileSet, from: FileOffset) -> Result<Self, FileError> {
        let Some(file) = files.file(from.file) else {
            let what = format!("there is no file {}", file_name(files.base(), from.file));
            return Err(FileError::refused(what, "list the file, or choose another start"));
        };
        let mut file = OpenFile::open(file)?;
        let mut made = None;
        if from.offset > FileOffset::FIRST {
            made = Some(file.head_of_dump());
            file.seek(from.offset)?;
        }
        Ok(Self { files, file, event: Vec::new(), made })
    }

    /// What the first event of the present file says.
    pub(crate) fn format(&self) -> &FileFormat {
        &self.file.format
    }

    /// The bytes of the next event; `None` at the end of the last file.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, FileError> {
        if let Some(made) = self.made.take() {
            self.event = made;
            return Ok(Some(&self.event));
        }
        if self.file.at == self.file.end {
            let Some(next) = self.files.next(self.file.number) else { return Ok(None) };
            let Some(ending) = self.file.ending else {
                let (file, at) = (&self.file.shown, self.file.at);
                return Err(FileError::cut(format!(
                    "{file} ends at {at} without the event that ends a file, and {} is listed behind it",
                    next.path.display()
                )));
            };
            let checksums = self.file.format.checksums;
            self.file = OpenFile::open(next)?;
            if ending == Ending::Stopped {
                // As a server does, which stopped in between. Otherwise the file has said itself which one follows.
                self.event = rotate(&file_name(self.files.base(), self.file.number), checksums);
                return Ok(Some(&self.event));
            }
        }
        self.file.read(&mut self.event)?;
        Ok(Some(&self.event))
    }
}

impl OpenFile {
    /// Opens a file and reads its first event.
    fn open(file: &NumberedFile) -> Result<Self, FileError> {
        let shown = file.path.display().to_string();
        let unread = |error: std::io::Error| FileError::Unread { file: shown.clone(), message: error.to_string() };
        let opened = File::open(&file.path).map_err(unread)?;
        let mut reader = BufReader::with_capacity(BUFFER, opened);
        let mut magic = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut magic).map_err(unread)?;
        if magic.as_slice() == ENCRYPTED_MAGIC {
            return Err(FileError::refused(format!("{shown} is encrypted"), ENCRYPTED));
        }
        if magic.as_slice() != MAGIC {
            let what = format!("{shown} is not a binlog file: it does not begin with fe 62 69 6e");
            return Err(FileError::refused(what, "leave the file out, or unpack it if it is compressed"));
        }
        let format = Arc::new(FileFormat { checksums: Checksums::Unknown, version: String::new() });
        let mut open =
            Self { number: file.number, shown, reader, at: FileOffset::FIRST, end: file.bytes, format, head: Vec::new(), ending: None };
        open.read_head()?;
        Ok(open)
    }

    fn read_head(&mut self) -> Result<(), FileError> {
        let mut head = Vec::new();
        self.read(&mut head)?;
        let wrong = |what: &str| FileError::cut(format!("{} does not begin with the event that describes its format: {what}", self.shown));
        let event = open_event(&head, Checksums::Unknown).map_err(|error| wrong(&error.to_string()))?;
        if event.header.kind != kind::FORMAT_DESCRIPTION {
            return Err(wrong(&format!("its first event has the type {}", event.header.kind)));
        }
        if event.header.flags & RELAY_LOG != 0 {
            let what = format!("{} is the relay log of a replica", self.shown);
            return Err(FileError::refused(what, "use the binlog files of the replica or of its primary"));
        }
        let format = read_format(event.body).map_err(|error| wrong(&error.to_string()))?;
        self.format = Arc::new(FileFormat { checksums: format.checksums, version: format.server.to_owned() });
        self.head = head;
        let next = self.reader.fill_buf().map_err(|error| FileError::Unread { file: self.shown.clone(), message: error.to_string() })?;
        if next.get(4) == Some(&kind::START_ENCRYPTION) {
            let what = format!("{} is encrypted", self.shown);
            return Err(FileError::refused(what, ENCRYPTED));
        }
        self.seek(FileOffset::FIRST)
    }

    /// The first event as a server sends it before events from the middle of a file: it is not at the position where the events begin.
    fn head_of_dump(&self) -> Vec<u8> {
        let mut head = self.head.clone();
        // The end of the event, and the flags: a checksum does not cover the one that says that the file is being written.
        if let Some(end) = head.get_mut(13..19) {
            end.fill(0);
        }
        with_checksum(head.get(..head.len().saturating_sub(4)).unwrap_or_default().to_vec())
    }

    fn seek(&mut self, to: u64) -> Result<(), FileError> {
        if to > self.end {
            return Err(FileError::cut(format!("{} has {} bytes, and reading begins at {to}", self.shown, self.end)));
        }
        self.reader
            .seek(SeekFrom::Start(to))
            .map_err(|error| FileError::Unread { file: self.shown.clone(), message: error.to_string() })?;
        (self.at, self.ending) = (to, None);
        Ok(())
    }

    /// Reads the event at `at` into `event`.
    fn read(&mut self, event: &mut Vec<u8>) -> Result<(), FileError> {
        let (shown, at, left) = (&self.shown, self.at, self.end - self.at);
        let unread = |error: std::io::Error| FileError::Unread { file: shown.clone(), message: error.to_string() };
        if left < HEADER as u64 {
            return Err(FileError::cut(format!("{shown} ends at {} inside the header of the event at {at}", self.end)));
        }
        event.clear();
        event.shrink_to(KEPT);
        self.reader.by_ref().take(HEADER as u64).read_to_end(event).map_err(unread)?;
        let &[_, _, _, _, kind, _, _, _, _, a, b, c, d, ..] = event.as_slice() else {
            return Err(FileError::cut(format!("{shown} became shorter while it was read, at {at}")));
        };
        let size = u32::from_le_bytes([a, b, c, d]);
        if size < HEADER as u32 || size > LONGEST {
            return Err(FileError::cut(format!("{shown} holds no event at {at}: its length would be {size} bytes")));
        }
        if u64::from(size) > left {
            return Err(FileError::cut(format!("{shown} ends at {} inside the event at {at}, which has {size} bytes", self.end)));
        }
        // The memory grows with the data, because the size may be wrong.
        self.reader.by_ref().take(u64::from(size) - HEADER as u64).read_to_end(event).map_err(unread)?;
        if event.len() as u64 != u64::from(size) {
            return Err(FileError::cut(format!("{shown} became shorter while it was read, at {at}")));
        }
        self.at += u64::from(size);
        self.ending = match kind {
            kind::ROTATE => Some(Ending::Rotated),
            kind::STOP => Some(Ending::Stopped),
            _ => None,
        };
        Ok(())
    }
}

/// The ROTATE that a server makes at the beginning of the file `name`.
fn rotate(name: &str, checksums: Checksums) -> Vec<u8> {
    let has_checksum = checksums == Checksums::Crc32;
    let size = HEADER + 8 + name.len() + if has_checksum { 4 } else { 0 };
    let mut bytes = vec![0; 4];
    bytes.push(kind::ROTATE);
    bytes.extend([0; 4]);
    bytes.extend((size as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(ARTIFICIAL.to_le_bytes());
    bytes.extend(FileOffset::FIRST.to_le_bytes());
    bytes.extend(name.as_bytes());
    if has_checksum { with_checksum(bytes) } else { bytes }
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::testing::{EventBytes, format_description};
    use crate::binlog::track::Tracker;

    /// The events of a file, each at its place.
    fn file(events: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &format_description(4)].concat();
        for (kind, body) in events {
            let event = EventBytes::new(*kind).body(body);
            let end = bytes.len() as u64 + event.size();
            bytes.extend(event.ending_at(end).finish());
        }
        bytes
    }

    fn next_is(number: u32) -> Vec<u8> {
        [&4u64.to_le_bytes()[..], format!("binlog.{number:06}").as_bytes()].concat()
    }

    /// The types and positions of all events of the files, and what ends them.
    fn read(files: &[Vec<u8>], from: FileOffset) -> (Vec<(u8, FileOffset)>, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        for (number, bytes) in (1..).zip(files) {
            std::fs::write(folder.path().join(format!("binlog.{number:06}")), bytes).unwrap();
        }
        let shown = |error: FileError| Some(error.to_string().replace(&format!("{}/", folder.path().display()), ""));
        let set = FileSet::list(&[folder.path().join("*").display().to_string()]).unwrap();
        let mut events = match FileEvents::open(set, from) {
            Ok(events) => events,
            Err(error) => return (Vec::new(), shown(error)),
        };
        let mut tracker = Tracker::new("binlog", from);
        let mut found = Vec::new();
        loop {
            match events.next() {
                Ok(Some(bytes)) => {
                    let (event, at) = tracker.pass(bytes).unwrap();
                    match event.header.kind {
                        kind::FORMAT_DESCRIPTION => tracker.checksums = read_format(event.body).unwrap().checksums,
                        kind::ROTATE => _ = tracker.rotate(&event, false).unwrap(),
                        _ => {}
                    }
                    found.push((event.header.kind, at));
                }
                Ok(None) => return (found, None),
                Err(error) => return (found, shown(error)),
            }
        }
    }

    #[test]
    fn files_are_read_as_a_server_sends_them() {
        let next = next_is(2);
        let first = file(&[(kind::XID, &[0; 8]), (kind::ROTATE, &next)]);
        let second = file(&[(kind::XID, &[1; 8]), (kind::STOP, &[])]);
        let third = file(&[(kind::XID, &[2; 8])]);
        let at = FileOffset::new;
        let (format, xid) = (119 + 4, 119 + 4 + 31);
        let behind = [
            (kind::FORMAT_DESCRIPTION, at(2, 4)),
            (kind::XID, at(2, format)),
            (kind::STOP, at(2, xid)),
            // Made, because a server that stops says nothing of the next file.
            (kind::ROTATE, at(2, xid + 23)),
            (kind::FORMAT_DESCRIPTION, at(3, 4)),
            (kind::XID, at(3, format)),
        ];
        let files = [first, second, third];
        let all = read(&files, at(1, 4));
        let head = [(kind::FORMAT_DESCRIPTION, at(1, 4)), (kind::XID, at(1, format)), (kind::ROTATE, at(1, xid))];
        assert_eq!(all, ([&head[..], &behind].concat(), None));
        // From the middle of a file, its format comes first and is not at the position.
        let middle = [(kind::FORMAT_DESCRIPTION, at(1, xid)), (kind::ROTATE, at(1, xid))];
        assert_eq!(read(&files, at(1, xid)), ([&middle[..], &behind].concat(), None));
        let end = read(&files, at(3, files[2].len() as u64));
        assert_eq!(end, (vec![(kind::FORMAT_DESCRIPTION, at(3, files[2].len() as u64))], None));
    }

    #[test]
    fn what_is_not_whole_is_named_with_its_place() {
        let whole = file(&[(kind::XID, &[0; 8]), (kind::ROTATE, &next_is(2))]);
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = whole.clone();
            change(&mut bytes);
            read(&[bytes, whole.clone()], FileOffset::new(1, 4)).1.unwrap_or_default()
        };
        type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
        let cases: [(Change<'_>, &str); 10] = [
            (&|bytes| bytes.truncate(0), "binlog.000001 is not a binlog file"),
            (&|bytes| bytes[0] = 0x1f, "binlog.000001 is not a binlog file"),
            (&|bytes| bytes[0] = 0xfd, "binlog.000001 is encrypted"),
            (&|bytes| bytes[123 + 4] = kind::START_ENCRYPTION, "binlog.000001 is encrypted"),
            (&|bytes| bytes.truncate(4), "binlog.000001 ends at 4 inside the header of the event at 4"),
            (&|bytes| bytes[60] ^= 1, "binlog.000001 does not begin with the event that describes its format: the checksum"),
            (&|bytes| bytes.truncate(150), "binlog.000001 ends at 150 inside the event at 123, which has 31 bytes"),
            (&|bytes| bytes.truncate(154), "binlog.000001 ends at 154 without the event that ends a file, and"),
            (&|bytes| bytes[123 + 9] = 18, "binlog.000001 holds no event at 123: its length would be 18 bytes"),
            (&|bytes| bytes[123 + 12] = 0x7f, "binlog.000001 holds no event at 123"),
        ];
        for (change, said) in cases {
            let found = changed(change);
            assert!(found.contains(said), "{found}\n{said}");
        }
        let mut relay = whole.clone();
        relay[4 + 17] |= RELAY_LOG as u8;
        let crc = crc32fast::hash(&relay[4..119]).to_le_bytes();
        relay[119..123].copy_from_slice(&crc);
        assert!(read(&[relay], FileOffset::new(1, 4)).1.unwrap_or_default().contains("is the relay log of a replica"));
        assert!(read(std::slice::from_ref(&whole), FileOffset::new(1, 9_999)).1.unwrap_or_default().contains("reading begins at 9999"));
        assert!(read(&[whole], FileOffset::new(7, 4)).1.unwrap_or_default().contains("there is no file binlog.000007"));
    }
}
