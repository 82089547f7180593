//! A spool: records that wait in a file until they are needed, or in memory as long as they are few.
//!
//! Only the account that runs the program can read the files. A file begins with [`MAGIC`]. Each record is its length and its CRC32, both 4
//! bytes little-endian, and then its bytes.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The first bytes of a file.
const MAGIC: &[u8; 8] = b"SPOOL-1\n";
/// The bytes before each record.
const HEAD: usize = 8;
/// Records are kept in memory up to this size, in bytes.
const MEMORY_BYTES: usize = 4 << 20;

/// Writes a spool. Dropping it removes its file, unless [`SpoolWriter::persist`] was called.
///
/// The calls block for as long as the file system needs.
#[derive(Debug)]
pub(crate) struct SpoolWriter {
    path: PathBuf,
    /// The end of the spool, which is not in the file yet.
    tail: Vec<u8>,
    file: Option<File>,
    /// The length of the file in bytes; 0 while there is no file.
    written: u64,
    persisted: bool,
}

impl SpoolWriter {
    /// Creates an empty spool. Its file will be `path`; a file that is there already is replaced.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, tail: MAGIC.to_vec(), file: None, written: 0, persisted: false }
    }

    /// The length of the spool in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.tail.len() as u64
    }

    /// Whether it has no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == MAGIC.len() as u64
    }

    /// Adds a record, whose bytes are those of `parts` one after another.
    pub(crate) fn add(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).map_err(|_| io::Error::other("a record of 4 GiB or more"))?;
        let mut crc = crc32fast::Hasher::new();
        parts.iter().for_each(|part| crc.update(part));
        self.tail.extend_from_slice(&length.to_le_bytes());
        self.tail.extend_from_slice(&crc.finalize().to_le_bytes());
        parts.iter().for_each(|part| self.tail.extend_from_slice(part));
        if self.tail.len() > MEMORY_BYTES { self.write_tail() } else { Ok(()) }
    }

    /// Drops the records behind `len`, which [`SpoolWriter::len`] has returned before.
    pub(crate) fn truncate(&mut self, len: u64) -> io::Result<()> {
        if let Some(kept) = len.checked_sub(self.written) {
            self.tail.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
            return Ok(());
        }
        self.tail.clear();
        if let Some(file) = &mut self.file {
            file.set_len(len)?;
            file.seek(SeekFrom::Start(len))?;
        }
        self.written = len;
        Ok(())
    }

    /// Makes the whole spool durable in its file, and returns its length in bytes.
    pub(crate) fn persist(mut self) -> io::Result<u64> {
        self.write_tail()?;
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        // The name of a new file is durable only when its folder is.
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.persisted = true;
        Ok(self.written)
    }

    /// Reads the spool, which needs not be durable. Its file, if there is one, is removed together with the reader.
    pub(crate) fn into_reader(mut self) -> io::Result<SpoolReader> {
        if self.file.is_none() {
            let len = self.len();
            return SpoolReader::new(Box::new(Cursor::new(std::mem::take(&mut self.tail))), len, None);
        }
        self.write_tail()?;
        let (file, len) = (runtime::private_file().read(true).open(&self.path)?, self.written);
        SpoolReader::new(Box::new(BufReader::with_capacity(256 << 10, file)), len, Some(self))
    }

    /// Makes the whole spool durable under another name: a file that has this name is complete.
    pub(crate) fn persist_as(mut self, path: &Path) -> io::Result<()> {
        self.write_tail()?;
        if let Some(file) = &self.file {
            file.sync_all()?;
        }
        std::fs::rename(&self.path, path)?;
        self.persisted = true;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn write_tail(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                if let Some(folder) = self.path.parent() {
                    runtime::create_private_directory(folder)?;
                }
                self.file.insert(runtime::private_file().write(true).create(true).truncate(true).open(&self.path)?)
            }
        };
        file.write_all(&self.tail)?;
        self.written += self.tail.len() as u64;
        self.tail.clear();
        Ok(())
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        if self.file.is_some() && !self.persisted {
            // A file that cannot be removed now is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Reads the records of a spool in order.
pub(crate) struct SpoolReader {
    bytes: Box<dyn Read + Send + Sync>,
    /// How many bytes are still to be read.
    left: u64,
    record: Vec<u8>,
    /// Removes the file at the end.
    _writer: Option<SpoolWriter>,
}

impl SpoolReader {
    /// Opens a durable spool of `len` bytes.
    pub(crate) fn open(path: &Path, len: u64) -> io::Result<Self> {
        let file = runtime::private_file().read(true).open(path)?;
        let found = file.metadata()?.len();
        if found != len {
            return Err(damaged(format!("{found} bytes instead of {len}")));
        }
        Self::new(Box::new(BufReader::with_capacity(256 << 10, file)), len, None)
    }

    /// Reads a durable spool of `len` bytes to its end. An error says what is wrong with it.
    pub(crate) fn verify(path: &Path, len: u64) -> io::Result<()> {
        let mut reader = Self::open(path, len)?;
        while reader.next()?.is_some() {}
        Ok(())
    }

    fn new(mut bytes: Box<dyn Read + Send + Sync>, len: u64, writer: Option<SpoolWriter>) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        bytes.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(damaged("it is no spool file"));
        }
        Ok(Self { bytes, left: len.saturating_sub(MAGIC.len() as u64), record: Vec::new(), _writer: writer })
    }

    /// The bytes of the next record; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.bytes.read_exact(&mut head)?;
        let [a, b, c, d, crc @ ..] = head;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        self.left = self.left.checked_sub(HEAD as u64 + length).ok_or_else(|| damaged("a record is longer than the file"))?;
        self.record.clear();
        let read = self.bytes.by_ref().take(length).read_to_end(&mut self.record)?;
        if read as u64 != length || crc32fast::hash(&self.record) != u32::from_le_bytes(crc) {
            return Err(damaged("the checksum of a record is wrong"));
        }
        Ok(Some(&self.record))
    }

    /// Whether no record is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// The bytes of the record that was read last.
    pub(crate) fn last(&self) -> &[u8] {
        &self.record
    }
}

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(mut reader: SpoolReader) -> Vec<Vec<u8>> {
        let mut read = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            read.push(record.to_vec());
        }
        read
    }

    #[test]
    fn a_spool_gives_back_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.rows");
        let big = vec![7; MEMORY_BYTES];
        for count in [0, 1, 3] {
            let mut spool = SpoolWriter::new(path.clone());
            let mut expected = Vec::new();
            for number in 0..count {
                spool.add(&[&[number], b"x"]).unwrap();
                expected.push(vec![number, b'x']);
                let kept = spool.len();
                spool.add(&[&big]).unwrap();
                spool.truncate(kept).unwrap();
            }
            spool.add(&[&big, b"end"]).unwrap();
            expected.push([&big[..], b"end"].concat());
            let kept = spool.len();
            spool.add(&[&big]).unwrap();
            spool.add(&[]).unwrap();
            spool.truncate(kept).unwrap();
            let len = spool.persist().unwrap();
            assert_eq!(records(SpoolReader::open(&path, len).unwrap()), expected);
        }
    }

    #[test]
    fn what_is_not_durable_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.rows");
        let mut small = SpoolWriter::new(path.clone());
        small.add(&[b"x"]).unwrap();
        assert_eq!(records(small.into_reader().unwrap()), [b"x"]);
        assert!(!path.exists());
        let mut large = SpoolWriter::new(path.clone());
        large.add(&[&vec![1; MEMORY_BYTES + 1]]).unwrap();
        large.add(&[b"y"]).unwrap();
        assert!(path.exists());
        assert_eq!(records(large.into_reader().unwrap()).len(), 2);
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.rows");
        let mut spool = SpoolWriter::new(path.clone());
        spool.add(&[b"hello"]).unwrap();
        spool.add(&[b"world"]).unwrap();
        let len = spool.persist().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let read = SpoolReader::open(&path, len).and_then(|mut reader| {
                while reader.next()?.is_some() {}
                Ok(())
            });
            assert!(read.is_err(), "byte {place}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(SpoolReader::open(&path, len).is_err());
    }
}
