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

    /// The path of the file that is being read, for messages.
    pub(crate) fn shown(&self) -> &str {
        &self.file.shown
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
