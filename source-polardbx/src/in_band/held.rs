//! The changes of a table without a key that are held back while its rows are read.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use runtime::{Body, Event, Op, Origin, Position, RowChange, Seq, TableSchema};
use serde::{Deserialize, Serialize};

use super::read::rows_of;
use crate::error::{Result, SourceError};
use crate::spool::{SpoolReader, SpoolWriter};

/// The first byte of a record that tells what the changes behind it have in common.
const STAMP: u8 = 0;
/// The first byte of a record of a change.
const CHANGE: u8 = 1;

/// What changes have in common that come from one event of the binlog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    position: String,
    timestamp_ms: i64,
    txid: Option<Arc<str>>,
    server_id: u32,
    server_version: Arc<str>,
    thread_id: u32,
    gtid: Option<Arc<str>>,
    offset: Arc<str>,
    safe_offset: Arc<str>,
    read_ms: i64,
}

impl Stamp {
    fn of(event: &Event) -> Self {
        let origin = &event.origin;
        Self {
            position: event.position.to_string(),
            timestamp_ms: event.timestamp_ms,
            txid: event.txid.clone(),
            server_id: origin.server_id,
            server_version: origin.server_version.clone(),
            thread_id: origin.thread_id,
            gtid: origin.gtid.clone(),
            offset: origin.offset.clone(),
            safe_offset: origin.safe_offset.clone(),
            read_ms: origin.read_ms,
        }
    }

    fn into_origin(self) -> Origin {
        let mut origin = Origin::default();
        (origin.server_id, origin.server_version, origin.thread_id) = (self.server_id, self.server_version, self.thread_id);
        (origin.gtid, origin.offset, origin.safe_offset, origin.read_ms) = (self.gtid, self.offset, self.safe_offset, self.read_ms);
        origin
    }
}

/// Changes of rows in the order of the stream, in a spool.
#[derive(Debug)]
pub(super) struct HeldWriter {
    spool: SpoolWriter,
    /// The origin and the time of the last change.
    last: Option<(Arc<Origin>, i64)>,
    record: Vec<u8>,
    /// How many changes there are.
    count: u64,
}

impl HeldWriter {
    /// Changes that wait in the file `path` once they are many.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { spool: SpoolWriter::new(path), last: None, record: Vec::new(), count: 0 }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds a change, which is the body of `event`.
    pub(super) fn add(&mut self, event: &Event, change: &RowChange) -> Result<()> {
        let unwritten = |error: io::Error| SourceError::ChunkUnwritten { message: error.to_string() };
        let is_same =
            |(origin, timestamp_ms): &(Arc<Origin>, i64)| Arc::ptr_eq(origin, &event.origin) && *timestamp_ms == event.timestamp_ms;
        if !self.last.as_ref().is_some_and(is_same) {
            let json = serde_json::to_vec(&Stamp::of(event)).map_err(|error| unwritten(error.into()))?;
            self.spool.add(&[&[STAMP], &json]).map_err(unwritten)?;
            self.last = Some((event.origin.clone(), event.timestamp_ms));
        }
        self.record.clear();
        self.record.extend([CHANGE, change.before.is_some().into()]);
        for row in change.before.iter().chain(&change.after) {
            let packed = row.packed_bytes();
            let length = u32::try_from(packed.len()).map_err(|_| unwritten(io::Error::other("a row of 4 GiB or more")))?;
            self.record.extend_from_slice(&length.to_le_bytes());
            self.record.extend_from_slice(packed);
        }
        self.count += 1;
        self.spool.add(&[&self.record]).map_err(unwritten)
    }

    /// The records of the changes behind the first `skipped` ones.
    pub(super) fn into_reader(self, skipped: u64) -> io::Result<HeldReader> {
        Ok(HeldReader { records: self.spool.into_reader()?, skipped, stamp: None })
    }
}

/// Reads the records of held changes.
pub(super) struct HeldReader {
    records: SpoolReader,
    /// How many changes are still to be left out.
    skipped: u64,
    /// The last stamp of a change that was left out.
    stamp: Option<Vec<u8>>,
}

impl HeldReader {
    /// Copies all records to `out`. Returns how many changes they hold.
    pub(super) fn copy_to(mut self, out: &mut SpoolWriter) -> io::Result<u64> {
        let mut copied = 0;
        while let Some(record) = self.records.next()? {
            let is_change = record.first() == Some(&CHANGE);
            match (self.skipped, is_change) {
                (1.., true) => self.skipped -= 1,
                (1.., false) => self.stamp = Some(record.to_vec()),
                (0, _) => {
                    // A new stamp takes the place of the one before the changes that were left out.
                    if let Some(stamp) = self.stamp.take().filter(|_| is_change) {
                        out.add(&[&stamp])?;
                    }
                    out.add(&[record])?;
                    copied += u64::from(is_change);
                }
            }
        }
        Ok(copied)
    }
}

/// Makes events of records again.
#[derive(Default)]
pub(super) struct Replay {
    /// What the next events have in common, as an event.
    stamp: Option<Event>,
}

impl Replay {
    /// The event of a record, with its place in the order; `None` if the record only tells what the events behind it have in common. Fails if
    /// the record is damaged. `schema` is that of the table.
    pub(super) fn event(&mut self, record: &[u8], schema: &Arc<TableSchema>, seq: impl FnOnce() -> Seq) -> io::Result<Option<Event>> {
        let damaged = || io::Error::other("a record of a change is damaged");
        let (kind, rest) = record.split_first().ok_or_else(damaged)?;
        if *kind == STAMP {
            let stamp: Stamp = serde_json::from_slice(rest)?;
            let (position, timestamp_ms, txid) = (Position::from(stamp.position.as_str()), stamp.timestamp_ms, stamp.txid.clone());
            let origin = Arc::new(stamp.into_origin());
            self.stamp = Some(Event { seq: Seq(0), position, timestamp_ms, txid, origin, body: Body::Begin });
            return Ok(None);
        }
        let (has_before, rows) = rest.split_first().ok_or_else(damaged)?;
        let mut rows = rows_of(rows, schema.columns.len()).ok_or_else(damaged)?.into_iter();
        let before = if *has_before == 1 { Some(rows.next().ok_or_else(damaged)?) } else { None };
        let (after, rest) = (rows.next(), rows.next());
        let op = match (&before, &after, rest) {
            (Some(_), Some(_), None) => Op::Update,
            (Some(_), None, None) => Op::Delete,
            (None, Some(_), None) => Op::Insert,
            _ => return Err(damaged()),
        };
        let stamp = self.stamp.clone().ok_or_else(damaged)?;
        let body = Body::Row(RowChange::new(schema.clone(), op, before, after));
        Ok(Some(Event { seq: seq(), body, ..stamp }))
    }
}

#[cfg(test)]
mod tests {
    use runtime::{Column, ColumnKind, Row, TableId, Value};

    use super::*;

    fn schema() -> Arc<TableSchema> {
        Arc::new(TableSchema::new(TableId::new("d", "t"), vec![Column::new("a", ColumnKind::Int { bytes: 8 }, "bigint")]))
    }

    fn event(origin: &Arc<Origin>, timestamp_ms: i64, before: Option<i64>, after: Option<i64>) -> Event {
        let row = |value| Row::from_values([Value::Int(value)]);
        let op = match (before, after) {
            (Some(_), Some(_)) => Op::Update,
            (Some(_), None) => Op::Delete,
            _ => Op::Insert,
        };
        let body = Body::Row(RowChange::new(schema(), op, before.map(row), after.map(row)));
        Event { seq: Seq(7), position: "mysql-bin.000001:4".into(), timestamp_ms, txid: Some("x:1".into()), origin: origin.clone(), body }
    }

    fn origin(offset: &str) -> Arc<Origin> {
        let mut origin = Origin::default();
        (origin.server_id, origin.offset) = (9, offset.into());
        Arc::new(origin)
    }

    #[test]
    fn changes_come_back_as_they_were_behind_those_that_are_left_out() {
        let (one, two) = (origin("1@1"), origin("2@1"));
        let events =
            [event(&one, 1, None, Some(1)), event(&one, 1, Some(1), Some(2)), event(&two, 5, Some(2), None), event(&two, 6, None, Some(3))];
        let folder = tempfile::tempdir().unwrap();
        for skipped in 0..=events.len() {
            let mut writer = HeldWriter::new(folder.path().join("held"));
            for event in &events {
                let Body::Row(change) = &event.body else { unreachable!() };
                writer.add(event, change).unwrap();
            }
            let mut copy = SpoolWriter::new(folder.path().join("copy"));
            let copied = writer.into_reader(skipped as u64).unwrap().copy_to(&mut copy).unwrap();
            assert_eq!(copied as usize, events.len() - skipped);
            let (mut reader, mut replay, mut found) = (copy.into_reader().unwrap(), Replay::default(), Vec::new());
            while let Some(record) = reader.next().unwrap() {
                found.extend(replay.event(record, &schema(), || Seq(7)).unwrap());
            }
            let texts = |events: &[Event]| events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>();
            assert_eq!(texts(&found), texts(&events[skipped..]), "{skipped} left out");
        }
    }

    #[test]
    fn damaged_records_are_refused() {
        let mut replay = Replay::default();
        for record in [&[][..], &[CHANGE], &[CHANGE, 0], &[CHANGE, 1], &[STAMP, b'{'], &[CHANGE, 0, 9, 0, 0, 0]] {
            assert!(replay.event(record, &schema(), || Seq(1)).is_err(), "{record:?}");
        }
        let row = Row::from_values([Value::Int(1)]);
        let mut record = vec![CHANGE, 0];
        record.extend((row.packed_bytes().len() as u32).to_le_bytes());
        record.extend(row.packed_bytes());
        assert!(replay.event(&record, &schema(), || Seq(1)).is_err(), "there is no stamp");
    }
}
