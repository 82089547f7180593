//! The files of chunks: the rows that are inserted into the stream, with their place in it.
//!
//! A file is durable before the first of its rows is handed over. If the task fails before the rows are committed, the same rows are handed
//! over again at the same place. A file is removed once they are committed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::{Body, Event, Op, Origin, Position, RowChange, TableSchema};
use serde::{Deserialize, Serialize};

use super::held::{HeldReader, Replay};
use super::key::write_key;
use super::read::{Chunk, rows_of};
use super::touched::Touched;
use crate::binlog::{BinlogCoordinates, FileOffset, INSERTION_ROWS, Insertion, StreamPosition};
use crate::error::{Result, SourceError};
use crate::snapshot::chunk::now_ms;
use crate::spool::{SpoolReader, SpoolWriter};
use crate::table_phase::TablePhase;

/// What the name of a complete file ends with.
const ENDING: &str = ".chunk";
/// What the names of files end with that are being written.
const UNFINISHED: &str = ".part";

/// The first record of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    /// The phase of the table once the rows are delivered.
    phase: TablePhase,
    /// How many cells a row has.
    columns: usize,
    /// The time of the rows' events, in milliseconds since the epoch.
    timestamp_ms: i64,
    read_ms: i64,
}

/// The folder of the files.
pub(super) struct ChunkFiles {
    folder: PathBuf,
}

/// Where rows are inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    timeline: u16,
    insertion: Insertion,
}

/// A chunk that is handed over at its place in the stream.
pub(super) struct Inserted {
    path: PathBuf,
    place: Place,
    header: Header,
    rows: SpoolReader,
    /// How many rows and changes were handed over.
    count: u64,
    /// Behind the rows: what is known of the changes that come next.
    changes: Option<Replay>,
}

impl ChunkFiles {
    /// Opens the folder in the folder of the task's files. Also returns the chunks of which nothing is committed at `position`, in the order
    /// of their places.
    pub(super) fn open(state_dir: &Path, position: &StreamPosition) -> Result<(Self, Vec<Inserted>)> {
        let files = Self { folder: folder_of(state_dir) };
        let mut left = files.list(position).map_err(|error| unreadable(&files.folder, &error))?;
        left.sort();
        let opened = left.into_iter().map(|place| files.read(place, false)).collect::<Result<_>>()?;
        Ok((files, opened))
    }

    /// The places of the chunks of which nothing is committed at `position`. Other files are removed.
    fn list(&self, position: &StreamPosition) -> io::Result<Vec<Place>> {
        let mut left = Vec::new();
        if !self.folder.is_dir() {
            return Ok(left);
        }
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let place = path.file_name().and_then(|name| Place::of_name(name.to_str()?));
            match place.filter(|place| place.timeline == position.timeline && Some(place.insertion) > position.inserted) {
                Some(place) => left.push(place),
                None => fs::remove_file(path)?,
            }
        }
        Ok(left)
    }

    /// Opens a file. `is_own` says that it was written by this reader, so that it need not be verified.
    fn read(&self, place: Place, is_own: bool) -> Result<Inserted> {
        let path = self.folder.join(place.name());
        let read = || {
            let length = fs::metadata(&path)?.len();
            if !is_own {
                SpoolReader::verify(&path, length)?;
            }
            let mut rows = SpoolReader::open(&path, length)?;
            let header = rows.next()?.ok_or_else(|| io::Error::other("it is empty"))?;
            Ok((serde_json::from_slice(header)?, rows))
        };
        let (header, rows) = read().map_err(|error: io::Error| unreadable(&path, &error))?;
        Ok(Inserted { path, place, header, rows, count: 0, changes: None })
    }

    /// A name for a file that is being written. No two readers use the same one: a task of an earlier reader may still be ending.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.folder.join(format!("{:016x}{UNFINISHED}", fastrand::u64(..)))
    }

    /// Makes the rows of a chunk durable that the stream has not changed since it was read, to be inserted at `insertion`. Behind them come the
    /// changes that were held back. `None` if there are none of both. `phase` is the phase of the table behind them.
    pub(super) fn insert(
        &self,
        chunk: Chunk,
        touched: &Touched,
        timeline: u16,
        insertion: Insertion,
        phase: &TablePhase,
        held: Option<HeldReader>,
    ) -> Result<Option<Inserted>> {
        let (read_as, since) = (chunk.read_as.clone(), chunk.reading.since);
        let place = Place { timeline, insertion };
        let (path, mut spool) = (self.folder.join(place.name()), SpoolWriter::new(self.unfinished()));
        let unwritten = |error: io::Error| SourceError::ChunkUnwritten { message: error.to_string() };
        // Whole seconds, like the times of the binlog.
        let timestamp_ms = now_ms() / 1000 * 1000;
        let header = Header { phase: phase.clone(), columns: read_as.columns.len(), timestamp_ms, read_ms: chunk.read_ms };
        let json = serde_json::to_vec(&header).map_err(|error| unwritten(error.into()))?;
        spool.add(&[&json]).map_err(unwritten)?;
        let (key, columns, mut is_empty) = (read_as.effective_key(), read_as.columns.len(), true);
        let is_untouched = touched.is_untouched(&read_as.id);
        let mut rows = chunk.into_rows().map_err(unwritten)?;
        let (mut text, mut record) = (Vec::new(), Vec::new());
        while let Some(bytes) = rows.next().map_err(unwritten)? {
            record.clear();
            if is_untouched {
                is_empty = false;
                spool.add(&[bytes]).map_err(unwritten)?;
                continue;
            }
            for row in rows_of(bytes, columns).ok_or_else(|| unwritten(io::Error::other("a record of rows is damaged")))? {
                write_key(&row, &read_as, &key, &mut text)?;
                if touched.contains(&read_as.id, &text, since) {
                    continue;
                }
                let packed = row.packed_bytes();
                let length = u32::try_from(packed.len()).map_err(|_| unwritten(io::Error::other("a row of 4 GiB or more")))?;
                record.extend_from_slice(&length.to_le_bytes());
                record.extend_from_slice(packed);
            }
            if !record.is_empty() {
                is_empty = false;
                spool.add(&[&record]).map_err(unwritten)?;
            }
        }
        if let Some(held) = held {
            spool.add(&[]).map_err(unwritten)?;
            is_empty &= held.copy_to(&mut spool).map_err(unwritten)? == 0;
        }
        if is_empty {
            return Ok(None);
        }
        spool.persist_as(&path).map_err(unwritten)?;
        self.read(place, true).map(Some)
    }
}

impl Inserted {
    pub(super) fn phase(&self) -> &TablePhase {
        &self.header.phase
    }

    /// Where the rows are inserted.
    pub(super) fn at(&self) -> FileOffset {
        self.place.insertion.at
    }

    /// The last of the insertions that the rows are numbered as.
    pub(super) fn last(&self) -> Insertion {
        let more = self.count.saturating_sub(1) / u64::from(INSERTION_ROWS);
        Insertion { number: self.place.insertion.number + more as u32, ..self.place.insertion }
    }

    /// Whether rows are left.
    pub(super) fn has_more(&self) -> bool {
        !self.rows.is_at_end()
    }

    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }

    /// The next events, of about `max_bytes` bytes; empty at the end. `stream_schema` is that of the table at this place of the stream, and
    /// `schema` the same as its rows are read. `base` is the name of the binlog, and `origin` says from which server the rows are.
    pub(super) fn events(
        &mut self,
        schema: &Arc<TableSchema>,
        stream_schema: &Arc<TableSchema>,
        base: &str,
        origin: &Origin,
        max_bytes: usize,
    ) -> Result<(Vec<Event>, usize)> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        let at = BinlogCoordinates { base: base.to_owned(), at: self.place.insertion.at };
        let mut origin = origin.clone();
        (origin.offset, origin.read_ms) = (at.offset_text().into(), self.header.read_ms);
        origin.safe_offset = origin.offset.clone();
        let (origin, position) = (Arc::new(origin), Position::from(at.location()));
        if schema.columns.len() != self.header.columns {
            return Err(unreadable(&self.path, &io::Error::other("its rows have another number of columns than the table")));
        }
        while bytes < max_bytes {
            let record = self.rows.next().map_err(|error| unreadable(&self.path, &error))?;
            let Some(record) = record else { break };
            bytes += record.len();
            let (place, count) = (self.place, &mut self.count);
            let mut seq = || {
                let (more, row) = (*count / u64::from(INSERTION_ROWS), *count % u64::from(INSERTION_ROWS));
                *count += 1;
                Insertion { number: place.insertion.number + more as u32, ..place.insertion }.seq(place.timeline, row as u32)
            };
            if let Some(changes) = &mut self.changes {
                let event = changes.event(record, stream_schema, seq).map_err(|error| unreadable(&self.path, &error))?;
                events.extend(event);
                continue;
            }
            if record.is_empty() {
                self.changes = Some(Replay::default());
                continue;
            }
            let rows = rows_of(record, schema.columns.len());
            for row in rows.ok_or_else(|| unreadable(&self.path, &io::Error::other("a record of rows is damaged")))? {
                events.push(Event {
                    seq: seq(),
                    position: position.clone(),
                    timestamp_ms: self.header.timestamp_ms,
                    txid: None,
                    origin: origin.clone(),
                    body: Body::Row(RowChange::new(schema.clone(), Op::Read, None, Some(row))),
                });
            }
        }
        bytes += events.len() * size_of::<Event>();
        Ok((events, bytes))
    }
}

/// Removes the files of chunks, of which none is needed any more.
pub(crate) fn remove_chunk_files(state_dir: &Path) {
    let folder = folder_of(state_dir);
    if folder.is_dir() {
        // Files that cannot be removed do no harm.
        let _ = fs::remove_dir_all(folder);
    }
}

fn folder_of(state_dir: &Path) -> PathBuf {
    state_dir.join("spool").join("chunks")
}

impl Place {
    fn name(self) -> String {
        let Insertion { at, number } = self.insertion;
        format!("{}-{:06}-{}-{number}{ENDING}", self.timeline, at.file, at.offset)
    }

    fn of_name(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(ENDING)?.split('-');
        let (timeline, file, offset, number) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let at = FileOffset::new(file.parse().ok()?, offset.parse().ok()?);
        let place = Self { timeline: timeline.parse().ok()?, insertion: Insertion { at, number: number.parse().ok()? } };
        (parts.next().is_none() && place.name() == name).then_some(place)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> SourceError {
    SourceError::ChunkLost { path: path.to_owned(), message: error.to_string() }
}
