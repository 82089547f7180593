//! The files of the global binlog, and the positions in them that clients may see.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::events::{Event, MAGIC, START};
use crate::{Failure, Result};

/// What is known of a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FileInfo {
    pub(super) name: String,
    /// The number of bytes that clients may read.
    pub(super) size: u64,
    /// The seconds of the first and the last TSO.
    pub(super) times: (u32, u32),
    pub(super) last_tso: String,
}

/// A position in MySQL's own binlog.
pub(super) type Upstream = (String, u64);

/// What is kept on disk, so that the stand-in continues where it was killed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) files: Vec<FileInfo>,
    /// The position in MySQL's own binlog up to which everything is in the files.
    pub(super) upstream: Upstream,
    pub(super) tso: u64,
    pub(super) table_id: u64,
}

struct Inner {
    files: Vec<FileInfo>,
    /// The ends of the newest file, with the time at which each was reached.
    history: VecDeque<(Instant, String, u64)>,
}

/// The files as clients see them.
pub(super) struct Store {
    folder: PathBuf,
    inner: Mutex<Inner>,
    grown: watch::Sender<u64>,
}

impl Store {
    /// The file with this name, and whether it is the newest; the oldest file if the name is empty.
    pub(super) fn file(&self, name: &str) -> Option<(FileInfo, bool)> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let index = if name.is_empty() { 0 } else { inner.files.iter().position(|file| file.name == name)? };
        inner.files.get(index).map(|file| (file.clone(), index + 1 == inner.files.len()))
    }

    /// The file behind the one with this name.
    pub(super) fn next_file(&self, name: &str) -> Option<FileInfo> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let index = inner.files.iter().position(|file| file.name == name)?;
        inner.files.get(index + 1).cloned()
    }

    /// All files, oldest first.
    pub(super) fn files(&self) -> Vec<FileInfo> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).files.clone()
    }

    /// The end of the newest file, as it was `age` ago.
    pub(super) fn end(&self, age: Duration) -> (String, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let old = inner.history.iter().rev().find(|(time, ..)| time.elapsed() >= age).or_else(|| inner.history.front());
        old.map(|(_, name, position)| (name.clone(), *position)).unwrap_or_default()
    }

    /// Removes the files in front of the one with this name.
    pub(super) fn purge_to(&self, name: &str) -> Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let index =
            inner.files.iter().position(|file| file.name == name).ok_or_else(|| Failure::new(format!("there is no file {name}")))?;
        inner.files.drain(..index).for_each(|file| drop(fs::remove_file(self.folder.join(file.name))));
        Ok(())
    }

    /// The path of a file.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A receiver that is notified whenever the files grow.
    pub(super) fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    fn publish(&self, files: Vec<FileInfo>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A purge may have removed files that the writer still knows.
        let first = inner.files.first().map(|file| file.name.clone());
        let from = first.and_then(|first| files.iter().position(|file| file.name == first)).unwrap_or(0);
        inner.files = files.get(from..).unwrap_or_default().to_vec();
        if let Some(last) = inner.files.last().cloned() {
            const KEPT: usize = 100_000;
            inner.history.push_back((Instant::now(), last.name, last.size));
            if inner.history.len() > KEPT {
                inner.history.pop_front();
            }
        }
        drop(inner);
        self.grown.send_modify(|version| *version += 1);
    }
}

/// The current time in milliseconds.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|passed| passed.as_millis() as u64).unwrap_or_default()
}

/// The seconds in a TSO, which are the time in the headers of its events.
pub(super) fn seconds(tso: u64) -> u32 {
    ((tso >> 22) / 1000) as u32
}

/// The 54 digits of a TSO: the TSO, the id of the transaction, a sequence and the number of the data node.
pub(super) fn tso_text(tso: u64) -> String {
    format!("{tso:019}{:019}{:010}{:06}", tso / 4, 0, 0)
}

/// The name of the global binlog's files, without their numbers.
pub(super) const GLOBAL: &str = "binlog";

fn number_of(name: &str) -> u32 {
    name.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Writes the files.
pub(super) struct Writer {
    file: File,
    position: u64,
    state: State,
    server_id: u32,
    version: String,
    /// The time at which this process began, which is in every file.
    created: u32,
    saved: PathBuf,
    /// The names of the files, without their numbers.
    base: String,
}

impl Writer {
    /// Opens the files in `folder` whose names begin with `base`, or makes the first one with the number `first`.
    pub(super) fn open(folder: &Path, base: &str, first: u32, server_id: u32, version: &str) -> Result<(Self, std::sync::Arc<Store>)> {
        let saved = folder.join(format!("{base}.json"));
        let created = (now_ms() / 1000) as u32;
        let state: State = if saved.exists() { serde_json::from_slice(&fs::read(&saved)?)? } else { State::default() };
        let last = state.files.last().cloned();
        let name = last.as_ref().map_or_else(|| format!("{base}.{first:06}"), |file| file.name.clone());
        let mut file = File::options().create(true).truncate(false).write(true).open(folder.join(&name))?;
        let mut writer = match last {
            Some(last) => {
                // What was written behind this position was never shown to a client.
                file.set_len(last.size)?;
                file.seek(SeekFrom::Start(last.size))?;
                Self { file, position: last.size, state, server_id, version: version.to_owned(), created, saved, base: base.to_owned() }
            }
            None => {
                file.set_len(0)?;
                Self { file, position: 0, state, server_id, version: version.to_owned(), created, saved, base: base.to_owned() }
            }
        };
        let inner = Inner { files: writer.state.files.clone(), history: VecDeque::new() };
        let store = Store { folder: folder.to_owned(), inner: Mutex::new(inner), grown: watch::channel(0).0 };
        if writer.position == 0 {
            writer.state.files.push(FileInfo { name, ..FileInfo::default() });
            writer.begin_file(created)?;
        }
        store.publish(writer.state.files.clone());
        Ok((writer, std::sync::Arc::new(store)))
    }

    /// What was saved last.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// The position behind the last event.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    fn begin_file(&mut self, time: u32) -> Result<()> {
        self.file.write_all(&MAGIC)?;
        self.position = START;
        let format = Event::format(&self.version, self.created);
        self.write(std::slice::from_ref(&format), time)?;
        let position = self.position;
        if let Some(file) = self.state.files.last_mut() {
            (file.size, file.times) = (position, (time, time));
        }
        Ok(())
    }

    /// Appends events, which clients see only after [`Writer::commit`].
    pub(super) fn write(&mut self, events: &[Event], time: u32) -> Result<()> {
        let mut out = Vec::with_capacity(events.iter().map(Event::size).sum());
        for event in events {
            self.position += event.size() as u64;
            event.write(&mut out, time, self.server_id, self.position);
        }
        Ok(self.file.write_all(&out)?)
    }

    /// Shows everything that was written to the clients. The last event must be a CTS.
    pub(super) fn commit(&mut self, store: &Store, tso: u64, upstream: Option<Upstream>, table_id: u64) -> Result<()> {
        let position = self.position;
        if let Some(file) = self.state.files.last_mut() {
            let time = seconds(tso);
            let first = if file.last_tso.is_empty() { time } else { file.times.0 };
            (file.size, file.times, file.last_tso) = (position, (first, time), tso_text(tso));
        }
        (self.state.tso, self.state.table_id) = (tso, table_id);
        if let Some(upstream) = upstream {
            self.state.upstream = upstream;
        }
        self.save()?;
        store.publish(self.state.files.clone());
        Ok(())
    }

    /// Ends the file and begins the next one.
    pub(super) fn rotate(&mut self, store: &Store) -> Result<()> {
        let last = self.state.files.last().cloned().unwrap_or_default();
        let next = format!("{}.{:06}", self.base, number_of(&last.name) % 999_999 + 1);
        let time = seconds(self.state.tso);
        self.write(&[Event::rotate(&next, START, 0)], time)?;
        let position = self.position;
        if let Some(file) = self.state.files.last_mut() {
            file.size = position;
        }
        self.file = File::options().create(true).truncate(true).write(true).open(store.path(&next))?;
        self.state.files.push(FileInfo { name: next, ..FileInfo::default() });
        self.begin_file(time)?;
        self.save()?;
        store.publish(self.state.files.clone());
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let new = self.saved.with_extension("new");
        fs::write(&new, serde_json::to_vec(&self.state)?)?;
        Ok(fs::rename(&new, &self.saved)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_one_another_and_a_cut_transaction_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let tso = 1_700_000_000_000 << 22;
        let (mut writer, store) = Writer::open(folder.path(), GLOBAL, 999_999, 7, "5.7.25").unwrap();
        assert_eq!(store.end(Duration::ZERO), ("binlog.999999".to_owned(), 123));
        writer.write(&[Event::begin(), Event::xid(1)], seconds(tso)).unwrap();
        writer.commit(&store, tso, Some(("up.000001".to_owned(), 9)), 3).unwrap();
        writer.rotate(&store).unwrap();
        assert_eq!(store.end(Duration::ZERO), ("binlog.000001".to_owned(), 123));
        assert_eq!(store.file("binlog.999999").map(|(file, newest)| (file.size, newest)), Some((123 + 42 + 31 + 44, false)));
        writer.write(&[Event::begin()], seconds(tso)).unwrap();
        drop(writer);
        let (writer, store) = Writer::open(folder.path(), GLOBAL, 1, 7, "5.7.25").unwrap();
        assert_eq!((writer.state().tso, writer.state().table_id, writer.state().upstream.1), (tso, 3, 9));
        assert_eq!(store.end(Duration::ZERO), ("binlog.000001".to_owned(), 123));
        assert_eq!(fs::metadata(store.path("binlog.000001")).unwrap().len(), 123);
        assert_eq!(store.next_file("binlog.999999").map(|file| file.name), Some("binlog.000001".to_owned()));
        assert_eq!(tso_text(7_130_316_800_000_000_000).len(), 54);
        store.purge_to("binlog.000001").unwrap();
        assert!(store.file("binlog.999999").is_none());
    }
}
