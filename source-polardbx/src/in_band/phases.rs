//! Which rows are still to be read, of which tables.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use runtime::{TableId, TableProgress, TableSchema};

use crate::error::Result;
use crate::snapshot::range::KeyRange;
use crate::table_phase::TablePhase;

/// How many bytes the rows of a chunk have, about.
pub(super) const CHUNK_BYTES: u64 = 8 << 20;

/// A range of a table that is to be read next.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) schema: Arc<TableSchema>,
    /// Tells the reading from those before the table was begun again.
    pub(super) attempt: u32,
    pub(super) range: KeyRange,
    /// A condition in SQL that the rows meet.
    pub(super) condition: Option<String>,
    /// How many rows are read at most.
    pub(super) limit: u64,
    /// The generation of changes that the SELECT sees, with all before.
    pub(super) since: u64,
}

impl Reading {
    /// Whether the table has no key by which the stream's changes of its rows could be found.
    pub(super) fn is_keyless(&self) -> bool {
        self.schema.effective_key().is_empty()
    }
}

/// A table whose rows are being read.
#[derive(Debug)]
struct Table {
    schema: Arc<TableSchema>,
    phase: TablePhase,
    attempt: u32,
    /// Only SELECTs that see the changes of this generation may read it.
    not_before: u64,
    /// The ranges of `phase` that are not being read and do not wait to be delivered.
    queue: VecDeque<KeyRange>,
    /// Whether a range was read, or is being read.
    is_begun: bool,
    /// Whether the table was cut into ranges.
    is_cut: bool,
    /// Rows that the table has, by the server's estimate.
    estimate: u64,
    /// Bytes and rows of the last chunk.
    last: Option<(u64, u64)>,
}

/// The tables whose rows are not all delivered.
#[derive(Debug, Default)]
pub(super) struct Phases {
    tables: BTreeMap<TableId, Table>,
    chunk_rows: u64,
    /// The numbers of attempts that were given.
    attempts: u32,
}

impl Phases {
    pub(super) fn new(chunk_rows: u64) -> Self {
        Self { tables: BTreeMap::new(), chunk_rows, attempts: 0 }
    }

    /// Adds a table in this phase.
    pub(super) fn add(&mut self, schema: Arc<TableSchema>, phase: TablePhase, estimate: u64) -> Result<()> {
        self.attempts += 1;
        let (attempt, queue, is_begun) = (self.attempts, phase.ranges()?, !phase.is_planned());
        if !phase.is_done() {
            self.tables.insert(
                phase.table.clone(),
                Table { schema, phase, attempt, not_before: 0, queue, is_begun, is_cut: is_begun, estimate, last: None },
            );
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(super) fn contains(&self, table: &TableId) -> bool {
        self.tables.contains_key(table)
    }

    /// The schema that the table has where the stream is.
    pub(super) fn schema(&self, table: &TableId) -> Option<&Arc<TableSchema>> {
        self.tables.get(table).map(|table| &table.schema)
    }

    /// Whether rows of the table are read or were delivered.
    pub(super) fn is_begun(&self, table: &TableId) -> bool {
        self.tables.get(table).is_some_and(|table| table.is_begun)
    }

    /// Whether this reading still counts: the table is there, and was not begun again.
    pub(super) fn is_current(&self, table: &TableId, attempt: u32) -> bool {
        self.tables.get(table).is_some_and(|table| table.attempt == attempt)
    }

    /// Takes the next range to read, by a SELECT that sees the changes of the generation `since`; `None` if no range is free.
    pub(super) fn take(&mut self, since: u64) -> Option<Reading> {
        let chunk_rows = self.chunk_rows;
        let table = self.tables.values_mut().find(|table| table.not_before <= since && !table.queue.is_empty())?;
        let range = table.queue.pop_front()?;
        table.is_begun = true;
        // Wide rows make smaller chunks.
        let by_size = table.last.map_or(chunk_rows, |(bytes, rows)| CHUNK_BYTES * rows.max(1) / bytes.max(1));
        let (schema, condition) = (table.schema.clone(), table.phase.condition().map(str::to_owned));
        Some(Reading { schema, attempt: table.attempt, range, condition, limit: by_size.clamp(1, chunk_rows), since })
    }

    /// Whether the range should be cut into parts before it is read: it is a whole large table.
    pub(super) fn is_large(&self, reading: &Reading) -> bool {
        let large = |table: &Table| !table.is_cut && !reading.is_keyless() && table.estimate > self.chunk_rows.saturating_mul(4);
        reading.range == KeyRange::default() && self.tables.get(&reading.schema.id).is_some_and(large)
    }

    /// Replaces a range by its parts.
    pub(super) fn cut(&mut self, reading: &Reading, parts: Vec<KeyRange>) {
        if let Some(table) = self.current(reading) {
            table.is_cut = true;
            table.phase.cut(&reading.range, &parts);
            table.queue.extend(parts);
        }
    }

    /// Puts a range back that was not read.
    pub(super) fn put_back(&mut self, reading: &Reading) {
        if let Some(table) = self.current(reading) {
            table.queue.push_front(reading.range.clone());
        }
    }

    /// Notes that a chunk was read, of so many rows and bytes. What is left of its range can be read next.
    pub(super) fn read(&mut self, reading: &Reading, rest: Option<&KeyRange>, rows: u64, bytes: u64) {
        if let Some(table) = self.current(reading) {
            if rows > 0 {
                table.last = Some((bytes, rows));
            }
            // Invariant: what is left is delivered behind what was read, because it is read after it.
            table.queue.extend(rest.cloned());
        }
    }

    /// Notes that a chunk is delivered, and returns the phase of its table. A table whose rows are all delivered is left out from now on.
    pub(super) fn delivered(&mut self, reading: &Reading, rest: Option<&KeyRange>, rows: u64) -> Option<TablePhase> {
        let table = self.current(reading)?;
        table.phase = table.phase.delivered(&reading.range, rest, rows);
        let phase = table.phase.clone();
        if phase.is_done() {
            self.tables.remove(&phase.table);
        }
        Some(phase)
    }

    /// Takes the phase that an earlier run has left with a chunk that is delivered again.
    pub(super) fn restore(&mut self, phase: &TablePhase) -> Result<()> {
        match self.tables.get_mut(&phase.table) {
            Some(table) if phase.is_done() => {
                let table = table.phase.table.clone();
                self.tables.remove(&table);
            }
            Some(table) => {
                (table.queue, table.phase, table.is_begun) = (phase.ranges()?, phase.clone(), true);
            }
            None => {}
        }
        Ok(())
    }

    /// Gives a table another schema.
    pub(super) fn alter(&mut self, schema: &Arc<TableSchema>) {
        if let Some(table) = self.tables.get_mut(&schema.id) {
            table.schema = schema.clone();
        }
    }

    /// Begins a table again, with SELECTs that see the changes of the generation `not_before`: what the stream has changed before then has to come
    /// once more, with the new schema. Returns the phase of the table.
    pub(super) fn restart(&mut self, table: &TableId, not_before: u64) -> Option<TablePhase> {
        self.attempts += 1;
        let attempt = self.attempts;
        let table = self.tables.get_mut(table)?;
        // A condition may name a column that does not exist any more.
        table.phase = TablePhase::planned(table.phase.table.clone());
        (table.attempt, table.not_before) = (attempt, not_before);
        (table.queue, table.is_begun, table.is_cut) = ([KeyRange::default()].into(), false, false);
        Some(table.phase.clone())
    }

    /// Forgets a table that does not exist any more.
    pub(super) fn remove(&mut self, table: &TableId) {
        self.tables.remove(table);
    }

    /// The progress of all tables, for people.
    pub(super) fn all_progress(&self) -> Vec<TableProgress> {
        self.tables.keys().map(|table| self.progress(table, 0)).collect()
    }

    /// The progress of a table, for people.
    pub(super) fn progress(&self, table: &TableId, rows: u64) -> TableProgress {
        match self.tables.get(table) {
            Some(known) => {
                let read = known.phase.rows();
                TableProgress { table: table.clone(), estimate: known.estimate.max(read), read, done: false }
            }
            None => TableProgress { table: table.clone(), estimate: rows, read: rows, done: true },
        }
    }

    fn current(&mut self, reading: &Reading) -> Option<&mut Table> {
        self.tables.get_mut(&reading.schema.id).filter(|table| table.attempt == reading.attempt)
    }
}

#[cfg(test)]
mod tests {
    use runtime::{Column, ColumnKind};

    use super::*;

    fn schema(table: &str) -> Arc<TableSchema> {
        let mut schema = TableSchema::new(TableId::new("d", table), vec![Column::new("id", ColumnKind::Int { bytes: 8 }, "bigint")]);
        schema.primary_key = vec![0];
        Arc::new(schema)
    }

    fn range(after: &str, upto: &str) -> KeyRange {
        KeyRange::parse(&format!("v1;after={after};upto={upto}")).unwrap()
    }

    fn phases(tables: &[&str]) -> Phases {
        let mut phases = Phases::new(100);
        for table in tables {
            phases.add(schema(table), TablePhase::planned(TableId::new("d", *table)), 1_000).unwrap();
        }
        phases
    }

    #[test]
    fn a_table_is_done_when_all_its_ranges_are_delivered() {
        let mut phases = phases(&["t"]);
        let table = TableId::new("d", "t");
        let whole = phases.take(0).unwrap();
        assert!(phases.is_large(&whole) && phases.take(0).is_none());
        phases.cut(&whole, vec![range("-", "50"), range("50", "-")]);
        let (one, other) = (phases.take(0).unwrap(), phases.take(0).unwrap());
        assert_eq!((one.range.clone(), other.range.clone()), (range("-", "50"), range("50", "-")));
        let rest = range("20", "50");
        phases.read(&one, Some(&rest), 100, 1000);
        phases.read(&other, None, 7, 70);
        let third = phases.take(0).unwrap();
        assert_eq!((third.range.clone(), third.limit), (rest.clone(), 100));
        let phase = phases.delivered(&one, Some(&rest), 100).unwrap();
        assert_eq!(phase.ranges().unwrap(), [range("20", "50"), range("50", "-")]);
        assert!(!phases.delivered(&other, None, 7).unwrap().is_done());
        assert_eq!(phases.progress(&table, 0).read, 107);
        phases.read(&third, None, 3, 30);
        let phase = phases.delivered(&third, None, 3).unwrap();
        assert!(phase.is_done() && phases.is_empty());
        assert_eq!((phase.rows(), phases.progress(&table, phase.rows()).done), (110, true));
    }

    #[test]
    fn what_was_read_before_a_table_was_begun_again_does_not_count() {
        let mut phases = phases(&["t"]);
        let old = phases.take(0).unwrap();
        let phase = phases.restart(&TableId::new("d", "t"), 3).unwrap();
        assert_eq!(phase, TablePhase::planned(TableId::new("d", "t")));
        assert!(!phases.is_current(&old.schema.id, old.attempt));
        phases.read(&old, Some(&range("5", "-")), 5, 5);
        phases.put_back(&old);
        assert_eq!(phases.delivered(&old, None, 5), None);
        assert!(phases.take(2).is_none());
        let new = phases.take(3).unwrap();
        assert_eq!(new.range, KeyRange::default());
        assert!(phases.take(0).is_none());
        assert!(phases.delivered(&new, None, 1).unwrap().is_done());
    }

    #[test]
    fn wide_rows_make_small_chunks() {
        let mut phases = phases(&["t"]);
        let first = phases.take(0).unwrap();
        let rest = range("1", "-");
        phases.read(&first, Some(&rest), 100, 100 << 20);
        assert_eq!(phases.take(0).unwrap().limit, 8);
    }

    #[test]
    fn a_phase_is_restored_with_its_open_ranges() {
        let mut phases = phases(&["t", "u"]);
        let whole = phases.take(0).unwrap();
        let rest = range("9", "-");
        let phase = phases.delivered(&whole, Some(&rest), 10).unwrap();
        let mut later = self::phases(&["t", "u"]);
        later.restore(&phase).unwrap();
        assert_eq!(later.take(0).unwrap().range, rest);
        let done = phase.delivered(&rest, None, 1);
        later.restore(&done).unwrap();
        assert_eq!(later.tables.keys().collect::<Vec<_>>(), [&TableId::new("d", "u")]);
    }
}
