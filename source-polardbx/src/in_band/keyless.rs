//! Tables whose rows have no key by which changes of the stream could be told to belong to them.
//!
//! Such a table is read whole, in the state that it has at one moment of the stream. The moment lies between two marks. Everything before the
//! first one is visible to the reader, and nothing behind the second one is. If the stream has no change of the table between the two, the
//! rows are exactly those that all changes before the marks have left. Otherwise another moment is tried.
//!
//! Changes before the marks are not delivered, because the rows hold them. Changes behind the marks are held back until the rows are
//! inserted, and then come behind them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runtime::{Body, Event, TableId};

use super::held::{HeldReader, HeldWriter};
use crate::binlog::{FileOffset, StreamMark, Tso, transaction_start};
use crate::error::Result;

/// How many moments are tried, and for how long, before the table is read although it is changed all the time.
const TRIES: u32 = 200;
const TRYING: Duration = Duration::from_secs(600);

/// The tables without a key whose rows are not all delivered.
#[derive(Default)]
pub(super) struct Keyless {
    tables: HashMap<TableId, Table>,
    /// The timestamp of the last commit before the present place of the stream, where the server writes any.
    tso: Option<Tso>,
}

/// The marks between which the moment lies at which a table is read.
#[derive(Clone, Debug)]
pub(super) struct Bracket {
    /// The reader sees all changes before this mark.
    pub(super) low: StreamMark,
    /// The reader sees no change behind this mark.
    pub(super) high: StreamMark,
}

struct Table {
    tries: u32,
    since: Instant,
    /// The changes that are held back; `None` while they are left out, because nobody reads the table.
    held: Option<Held>,
}

/// What is known of the changes since a moment was asked for.
struct Held {
    changes: HeldWriter,
    /// How many of the changes lie before the moment.
    before: u64,
    bracket: Option<Bracket>,
    /// The transactions of which it is not known yet where they lie.
    unknown: VecDeque<Transaction>,
    /// Whether everything that comes now lies behind the moment.
    is_behind: bool,
    /// Whether the table was changed between the marks.
    is_changed: bool,
    /// Whether the moment is taken even so.
    is_last: bool,
}

/// A transaction with changes of the table.
#[derive(Debug)]
struct Transaction {
    start: FileOffset,
    /// It was committed behind this timestamp.
    after: Option<Tso>,
    /// It was committed at this timestamp or before; `None` while that is not known.
    upto: Option<Tso>,
    /// How many changes there are with it and all before.
    end: u64,
}

impl Keyless {
    /// Begins to leave out the changes of a table, or to leave them out again: its rows are read later.
    pub(super) fn leave_out(&mut self, table: &TableId) {
        match self.tables.get_mut(table) {
            Some(known) => known.held = None,
            None => {
                self.tables.insert(table.clone(), Table { tries: 0, since: Instant::now(), held: None });
            }
        }
    }

    /// Forgets a table.
    pub(super) fn forget(&mut self, table: &TableId) {
        self.tables.remove(table);
    }

    /// Holds the changes of a table back from now on: a moment is asked for at which it can be read. `path` is for the changes, if they are
    /// many. Returns how many moments were tried before.
    pub(super) fn hold(&mut self, table: &TableId, path: PathBuf) -> u32 {
        self.leave_out(table);
        let Some(table) = self.tables.get_mut(table) else { return 0 };
        let tries = table.tries;
        table.tries += 1;
        table.held = Some(Held {
            changes: HeldWriter::new(path),
            before: 0,
            bracket: None,
            unknown: VecDeque::new(),
            is_behind: false,
            is_changed: false,
            is_last: table.tries >= TRIES || table.since.elapsed() >= TRYING,
        });
        tries
    }

    /// Notes between which marks the moment lies.
    pub(super) fn found(&mut self, table: &TableId, bracket: Bracket) {
        if let Some(held) = self.tables.get_mut(table).and_then(|table| table.held.as_mut()) {
            held.bracket = Some(bracket);
            held.sort_out();
        }
    }

    /// Takes an event out of the stream, if it changes a table without a key whose rows are not delivered. Returns whether it was taken.
    pub(super) fn take(&mut self, event: &Event) -> Result<bool> {
        let Body::Row(change) = &event.body else { return Ok(false) };
        let Some(table) = self.tables.get_mut(&change.schema.id) else { return Ok(false) };
        if let Some(held) = &mut table.held {
            let start = transaction_start(event.seq);
            if held.begins(start, self.tso) {
                held.changes.add(event, change)?;
                if let Some(last) = held.unknown.back_mut() {
                    last.end = held.changes.count();
                }
            }
        }
        Ok(true)
    }

    /// Notes that the stream is between two transactions, and the timestamp of the one before.
    pub(super) fn at_boundary(&mut self, tso: Option<Tso>) {
        if tso.is_none() {
            return;
        }
        self.tso = tso;
        for held in self.tables.values_mut().filter_map(|table| table.held.as_mut()) {
            held.unknown.iter_mut().filter(|transaction| transaction.upto.is_none()).for_each(|transaction| transaction.upto = tso);
            held.sort_out();
        }
    }

    /// Whether the rows of the table can be read as they are at the moment, or were read then. The stream must have passed both marks.
    pub(super) fn is_exact(&mut self, table: &TableId) -> bool {
        let Some(held) = self.tables.get_mut(table).and_then(|table| table.held.as_mut()) else { return false };
        if held.is_changed && held.is_last {
            tracing::warn!(
                %table,
                "the table has no key and is changed all the time: rows that were changed in the moment of reading may come twice"
            );
        }
        !held.is_changed || held.is_last
    }

    /// The changes behind the moment. From now on the table is like any other.
    pub(super) fn finish(&mut self, table: &TableId) -> io::Result<Option<HeldReader>> {
        let held = self.tables.remove(table).and_then(|table| table.held);
        held.map(|held| held.changes.into_reader(held.before)).transpose()
    }
}

impl Held {
    /// Notes that a change of the transaction that begins at `start` comes next. Returns whether it has to be kept.
    fn begins(&mut self, start: FileOffset, tso: Option<Tso>) -> bool {
        let transaction = Transaction { start, after: tso, upto: None, end: self.changes.count() };
        let is_before = self.bracket.as_ref().is_some_and(|bracket| transaction.is_before(&bracket.low));
        if is_before || self.is_changed && !self.is_last {
            return false;
        }
        if !self.is_behind && self.unknown.back().is_none_or(|last| last.start != start) {
            self.unknown.push_back(transaction);
            self.sort_out();
        }
        !self.is_changed || self.is_last
    }

    /// Finds out of as many transactions as possible where they lie.
    fn sort_out(&mut self) {
        let Some(Bracket { low, high }) = &self.bracket else { return };
        while let Some(first) = self.unknown.front() {
            if first.is_behind(high) {
                self.is_behind = true;
                self.unknown.clear();
            } else if first.is_before(low) {
                self.before = first.end;
                self.unknown.pop_front();
            } else if high.timestamp.is_some() && first.upto.is_none() {
                return;
            } else {
                self.is_changed = true;
                self.unknown.pop_front();
            }
        }
    }
}

impl Transaction {
    /// Whether it surely comes behind the mark.
    fn is_behind(&self, mark: &StreamMark) -> bool {
        match mark.timestamp {
            Some(number) => self.after.is_some_and(|tso| tso.reaches(number)),
            None => !self.start.is_before(mark.at, mark.wraps),
        }
    }

    /// Whether it surely comes before the mark.
    fn is_before(&self, mark: &StreamMark) -> bool {
        match mark.timestamp {
            Some(number) => self.upto.is_some_and(|tso| !tso.reaches(number)),
            None => self.start.is_before(mark.at, mark.wraps),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::{Column, ColumnKind, Op, Origin, Row, RowChange, TableSchema, Value};

    use super::*;
    use crate::binlog::position::transaction_seq;
    use crate::spool::SpoolWriter;

    fn table() -> TableId {
        TableId::new("d", "t")
    }

    fn change(offset: u64, ord: u64) -> Event {
        let schema = Arc::new(TableSchema::new(table(), vec![Column::new("a", ColumnKind::Int { bytes: 8 }, "bigint")]));
        let body = Body::Row(RowChange::new(schema, Op::Insert, None, Some(Row::from_values([Value::UInt(offset)]))));
        let seq = transaction_seq(3, FileOffset::new(7, offset), ord);
        Event { seq, position: "p".into(), timestamp_ms: 0, txid: None, origin: Arc::new(Origin::default()), body }
    }

    fn bracket(low: u64, high: u64) -> Bracket {
        let mark = |offset| StreamMark { at: FileOffset::new(7, offset), timestamp: None, wraps: false };
        Bracket { low: mark(low), high: mark(high) }
    }

    /// How many changes are kept behind the moment; `None` if it cannot be taken.
    fn kept(mut keyless: Keyless) -> Option<u64> {
        if !keyless.is_exact(&table()) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let held = keyless.finish(&table()).unwrap().unwrap();
        assert!(!keyless.take(&change(500, 1)).unwrap());
        Some(held.copy_to(&mut SpoolWriter::new(folder.path().join("out"))).unwrap())
    }

    /// Changes of transactions at these places, the moment being known behind `known` of them.
    fn keep(places: &[u64], known: usize, bracket: Bracket) -> Option<u64> {
        let mut keyless = Keyless::default();
        keyless.leave_out(&table());
        assert!(keyless.take(&change(50, 1)).unwrap(), "left out");
        keyless.hold(&table(), "/nowhere".into());
        for (index, place) in places.iter().enumerate() {
            if index == known {
                keyless.found(&table(), bracket.clone());
            }
            // Two rows of each transaction.
            assert!(keyless.take(&change(*place, 1)).unwrap() && keyless.take(&change(*place, 2)).unwrap());
        }
        if known >= places.len() {
            keyless.found(&table(), bracket);
        }
        kept(keyless)
    }

    #[test]
    fn changes_before_the_moment_are_left_out_and_those_behind_it_are_kept() {
        for known in 0..=5 {
            assert_eq!(keep(&[100, 200, 300, 400], known, bracket(300, 300)), Some(4), "{known}");
            assert_eq!(keep(&[100, 200, 300, 400], known, bracket(250, 280)), Some(4), "{known}");
            assert_eq!(keep(&[100, 200], known, bracket(250, 280)), Some(0), "{known}");
            assert_eq!(keep(&[300], known, bracket(250, 280)), Some(2), "{known}");
            assert_eq!(keep(&[100, 260, 300], known, bracket(250, 280)), None, "{known}");
            assert_eq!(keep(&[250], known, bracket(250, 280)), None, "{known}");
            assert_eq!(keep(&[], known, bracket(250, 280)), Some(0), "{known}");
        }
    }

    #[test]
    fn a_moment_that_may_not_be_exact_is_taken_in_the_end_and_loses_nothing() {
        let mut keyless = Keyless::default();
        for tries in 0..TRIES {
            assert_eq!(keyless.hold(&table(), "/nowhere".into()), tries);
            keyless.found(&table(), bracket(250, 280));
            for place in [100, 260, 300] {
                keyless.take(&change(place, 1)).unwrap();
            }
            assert_eq!(keyless.is_exact(&table()), tries + 1 == TRIES);
        }
        assert_eq!(kept(keyless), Some(2));
    }

    #[test]
    fn with_timestamps_a_doubt_counts_as_a_change() {
        let tso = |number: i64| Tso::parse(format!("{:054}", u128::try_from(number).unwrap() * 10u128.pow(35)).as_bytes());
        let mark = |number| StreamMark { at: FileOffset::new(7, 4), timestamp: Some(number), wraps: true };
        let verdict = |commits: &[i64], known: usize| {
            let mut keyless = Keyless::default();
            keyless.at_boundary(tso(1));
            keyless.hold(&table(), "/nowhere".into());
            for (index, number) in commits.iter().enumerate() {
                if index == known {
                    keyless.found(&table(), Bracket { low: mark(10), high: mark(20) });
                }
                keyless.take(&change(100 + index as u64, 1)).unwrap();
                keyless.at_boundary(tso(*number));
            }
            if known >= commits.len() {
                keyless.found(&table(), Bracket { low: mark(10), high: mark(20) });
            }
            keyless.at_boundary(tso(30));
            kept(keyless)
        };
        assert!(tso(10).unwrap().reaches(10) && !tso(10).unwrap().reaches(11));
        for known in 0..3 {
            assert_eq!(verdict(&[5, 21], known), None, "the second one may have been committed behind 5, in the moment");
            assert_eq!(verdict(&[5, 8], known), Some(0));
            assert_eq!(verdict(&[15], known), None);
        }
    }
}
