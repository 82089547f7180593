//! Tests of the order of changes where the outcome of an XA transaction is written late: its rows come before the changes that follow them.

use proptest::sample::subsequence;
use runtime::{Committed, UniqueKey};

use super::super::*;
use super::{files, prepare, read_table_in_two_runs, xid};

/// The images of an UPDATE of the row `id`, with its values before and after.
type Change = (i64, i64, i64);

fn cells(id: i64, value: i64) -> [Sample; 2] {
    [integer(id, 4, false), integer(value, 4, false)]
}

fn table() -> Arc<TableSchema> {
    let mut table = TableSchema::clone(&schema(&cells(0, 0)));
    table.primary_key = vec![0];
    Arc::new(table)
}

impl Log {
    fn updates(&mut self, changes: &[Change]) -> &mut Self {
        for (id, before, after) in changes {
            self.table(5, "t", &cells(0, 0)).rows(31, 5, 2, &[image(&cells(*id, *before), &[]), image(&cells(*id, *after), &[])]);
        }
        self
    }

    fn prepared(&mut self, name: &str, changes: &[Change]) -> &mut Self {
        self.add(34, &[0; 42]).query(&format!("XA START {}", xid(name))).updates(changes);
        self.query(&format!("XA END {}", xid(name))).add(38, &prepare(name, false))
    }

    fn plain(&mut self, changes: &[Change]) -> &mut Self {
        self.begin().updates(changes).commit()
    }
}

/// The changes of each transaction that is delivered.
fn transactions(batches: &[Batch]) -> Vec<Vec<Change>> {
    let mut transactions = Vec::new();
    for event in batches.iter().flat_map(|batch| &batch.events) {
        match &event.body {
            Body::Begin => transactions.push(Vec::new()),
            Body::Row(row) => {
                let value = |row: &Option<Row>, column| match row.as_ref().map(|row| row.get(column)) {
                    Some(Value::Int(value)) => value,
                    _ => -1,
                };
                let id = value(&row.after, 0).max(value(&row.before, 0));
                transactions.last_mut().unwrap().push((id, value(&row.before, 1), value(&row.after, 1)));
            }
            _ => {}
        }
    }
    transactions
}

fn delivered(log: &Log) -> Vec<Vec<Change>> {
    transactions(&read_table_in_two_runs(log, &table()))
}

#[test]
fn a_change_that_follows_a_prepared_one_comes_after_it() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1), (2, 0, 1)]).plain(&[(3, 0, 1)]).plain(&[(4, 0, 1), (1, 1, 2), (5, 0, 1)]).plain(&[(1, 2, 3)]);
    let mut committed = Log { events: log.events.clone(), ..log };
    committed.outcome("COMMIT", "a").plain(&[(2, 1, 2)]);
    let expected = vec![vec![(3, 0, 1)], vec![(4, 0, 1), (1, 0, 1), (2, 0, 1), (1, 1, 2), (5, 0, 1)], vec![(1, 2, 3)], vec![(2, 1, 2)]];
    assert_eq!(delivered(&committed), expected);
}

#[test]
fn what_is_rolled_back_late_never_comes() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 9), (2, 0, 9)]).plain(&[(1, 0, 1)]).outcome("ROLLBACK", "a").plain(&[(2, 0, 1)]);
    assert_eq!(delivered(&log), [[(1, 0, 1)], [(2, 0, 1)]]);
}

#[test]
fn a_change_that_is_undone_needs_no_outcome_before_it() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).begin().updates(&[(2, 0, 9), (1, 1, 9)]).query("ROLLBACK").plain(&[(2, 0, 1)]).outcome("COMMIT", "a");
    assert_eq!(delivered(&log), [[(2, 0, 1)], [(1, 0, 1)]]);

    log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).prepared("b", &[(7, 0, 1)]).begin().updates(&[(2, 0, 1)]).query("SAVEPOINT `s`");
    log.updates(&[(3, 0, 9), (1, 1, 9)]).query("ROLLBACK TO `s`").updates(&[(7, 1, 2), (3, 0, 1)]).commit();
    log.outcome("COMMIT", "b").outcome("COMMIT", "a");
    assert_eq!(delivered(&log), [vec![(2, 0, 1), (7, 0, 1), (7, 1, 2), (3, 0, 1)], vec![(1, 0, 1)]]);
}

#[test]
fn prepared_transactions_that_follow_one_another_keep_their_order() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).prepared("b", &[(1, 1, 2), (2, 0, 1)]).prepared("c", &[(2, 1, 2), (1, 2, 3)]);
    log.outcome("COMMIT", "c").outcome("COMMIT", "b").outcome("COMMIT", "a").plain(&[(1, 3, 4)]);
    assert_eq!(delivered(&log), [vec![(1, 0, 1), (1, 1, 2), (2, 0, 1), (2, 1, 2), (1, 2, 3)], vec![(1, 3, 4)]]);
}

#[test]
fn the_outcome_may_come_in_the_next_file() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).prepared("b", &[(2, 0, 1)]).plain(&[(1, 1, 2)]).plain(&[(2, 1, 2)]);
    let next = [&4u64.to_le_bytes()[..], b"binlog.000002"].concat();
    log.add(4, &next);
    log.events.extend([EventBytes::new(4).body(&next).artificial().finish(), format_description(4)]);
    log.offset = Log::new().offset;
    log.outcome("COMMIT", "a").plain(&[(1, 2, 3)]).outcome("COMMIT", "b").plain(&[(2, 2, 3)]);
    let folder = tempfile::tempdir().unwrap();
    let (batches, failed) = read(&mut decoder_in(folder.path(), table()), &log);
    assert!(failed.is_none(), "{failed:?}");
    let expected = [vec![(1, 0, 1), (1, 1, 2)], vec![(2, 0, 1), (2, 1, 2)], vec![(1, 2, 3)], vec![(2, 2, 3)]];
    assert_eq!(transactions(&batches), expected);
    assert_eq!(
        StreamPosition::parse(batches.last().unwrap().resume.as_ref().unwrap().as_str()).unwrap().at,
        FileOffset::new(2, log.offset)
    );
}

#[test]
fn the_end_of_a_transaction_that_was_never_prepared_is_no_outcome() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).plain(&[(1, 1, 2)]);
    log.add(34, &[0; 42]).query(&format!("XA START {}", xid("a"))).updates(&[(3, 0, 9)]);
    log.query(&format!("XA END {}", xid("a"))).query(&format!("XA ROLLBACK {}", xid("a"))).outcome("COMMIT", "a");
    assert_eq!(delivered(&log), [[(1, 0, 1), (1, 1, 2)]]);
}

#[test]
fn many_events_before_the_outcome_wait_in_a_file() {
    let (count, other) = (300_000, [image(&cells(7, 0), &[]), image(&cells(7, 1), &[])].concat());
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).begin().updates(&[(1, 1, 2)]).rows(31, 5, 2, &vec![other; count]).commit();
    let folder = tempfile::tempdir().unwrap();
    let mut decoder = decoder_in(folder.path(), table());
    log.events.iter().for_each(|event| decoder.event(event, 5).unwrap());
    assert!(decoder.is_looking_ahead() && files(folder.path()) == 2);
    let mut rest = Log { offset: log.offset, events: Vec::new() };
    rest.outcome("COMMIT", "a").plain(&[(1, 2, 3)]);
    rest.events.iter().for_each(|event| decoder.event(event, 5).unwrap());
    let transactions = transactions(&std::iter::from_fn(|| decoder.drain()).collect::<Vec<_>>());
    assert_eq!(
        (transactions[0].len(), &transactions[0][..2], &transactions[1][..]),
        (count + 2, &[(1, 0, 1), (1, 1, 2)][..], &[(1, 2, 3)][..])
    );
    decoder.prepared().remove_leftover(FileOffset::new(1, rest.offset));
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn another_row_with_the_same_unique_key_follows() {
    let mut with_key = TableSchema::clone(&table());
    with_key.unique_keys = vec![UniqueKey { name: "u".to_owned(), columns: vec![1] }];
    let mut log = Log::new();
    log.prepared("a", &[(1, 7, 8)]).plain(&[(2, 5, 6)]).plain(&[(3, 0, 7)]).outcome("COMMIT", "a");
    assert_eq!(transactions(&read_table_in_two_runs(&log, &Arc::new(with_key))), [vec![(2, 5, 6)], vec![(1, 7, 8), (3, 0, 7)]]);
}

#[test]
fn without_a_key_a_change_of_the_same_row_follows() {
    let row = |value| vec![image(&cells(1, value), &[])];
    let mut log = Log::new();
    // The same row is inserted once more, which needs no lock.
    log.prepared("a", &[(1, 0, 1)]).begin().table(5, "t", &cells(0, 0)).rows(30, 5, 2, &row(1)).rows(30, 5, 2, &row(0)).commit();
    log.plain(&[(1, 3, 0)]).plain(&[(1, 1, 2)]).outcome("COMMIT", "a");
    let expected = [vec![(1, -1, 1), (1, -1, 0)], vec![(1, 3, 0)], vec![(1, 0, 1), (1, 1, 2)]];
    assert_eq!(transactions(&read_table_in_two_runs(&log, &schema(&cells(0, 0)))), expected);
}

#[test]
fn rows_that_went_with_their_table_are_not_followed() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).ddl("TRUNCATE t").plain(&[(1, 5, 6)]).outcome("COMMIT", "a");
    assert_eq!(delivered(&log), [[(1, 5, 6)]]);
}

#[test]
fn a_missing_outcome_is_an_error_before_the_change() {
    let mut log = Log::new();
    log.prepared("a", &[(1, 0, 1)]).plain(&[(3, 0, 1)]).plain(&[(2, 0, 1), (1, 1, 2)]);
    let end = log.offset;
    let idle = EventBytes::new(27).body(b"binlog.000001").finish();
    for (events, groups) in [(std::slice::from_ref(&idle), 0), (&[], 1_200)] {
        let folder = tempfile::tempdir().unwrap();
        let mut decoder = decoder_in(folder.path(), table());
        log.events.iter().for_each(|event| decoder.event(event, 5).unwrap());
        assert_eq!(decoder.at().offset, end);
        decoder.event(&idle, 5).unwrap();
        decoder.event(&idle, 60_004).unwrap();
        let mut more = Log { offset: log.offset, events: events.to_vec() };
        (0..groups).for_each(|_| _ = more.plain(&[(9, 0, 1)]));
        let failed = more.events.iter().find_map(|event| decoder.event(event, 60_005).err()).unwrap();
        let text = failed.to_string();
        assert_eq!(failed.code(), Some("E_XA_ORDER"), "{text}");
        for part in ["X'61',X'',1", "000001:", "d.t"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let batches: Vec<_> = std::iter::from_fn(|| decoder.drain()).collect();
        assert_eq!(transactions(&batches), [[(3, 0, 1)]]);
    }
}

fn decoder_in(folder: &std::path::Path, table: Arc<TableSchema>) -> Decoder {
    let prepared = PreparedTransactions::open("global", Some(folder), None, &Committed::default()).unwrap();
    Decoder::new(DecoderOptions { prepared, ..options(start(), table, 1 << 20) })
}

/// A step of a server that writes outcomes late.
#[derive(Clone, Debug)]
enum Step {
    /// A transaction that changes these rows.
    Plain(Vec<i64>),
    /// A transaction that changes these rows, and is rolled back.
    Undone(Vec<i64>),
    Prepare(Vec<i64>),
    /// The storage engine commits a prepared transaction, or rolls it back, and releases its locks.
    Decide(usize, bool),
    /// The outcome of a decided transaction is written.
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = || subsequence(vec![1i64, 2, 3, 4, 5], 1..4);
    let step = prop_oneof![
        3 => ids().prop_map(Step::Plain),
        1 => ids().prop_map(Step::Undone),
        2 => ids().prop_map(Step::Prepare),
        3 => (any::<usize>(), prop::bool::weighted(0.7)).prop_map(|(place, commit)| Step::Decide(place, commit)),
        1 => any::<usize>().prop_map(Step::Write),
    ];
    proptest::collection::vec(step, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_changes_of_each_row_come_in_the_order_of_the_storage_engine(steps in steps()) {
        let (mut log, mut now, mut number) = (Log::new(), [0i64; 6], 0);
        let (mut open, mut decided) = (Vec::<(String, Vec<Change>)>::new(), Vec::<(String, bool)>::new());
        let last = [Step::Decide(0, true), Step::Write(0)].into_iter().cycle().take(100);
        for step in steps.into_iter().chain(last) {
            match step {
                Step::Plain(ids) | Step::Undone(ids) | Step::Prepare(ids)
                    if open.iter().any(|(_, changes)| changes.iter().any(|(id, ..)| ids.contains(id))) => {}
                Step::Plain(ids) => {
                    let changes: Vec<Change> = ids.iter().map(|&id| (id, now[id as usize], now[id as usize] + 1)).collect();
                    changes.iter().for_each(|(id, _, after)| now[*id as usize] = *after);
                    log.plain(&changes);
                }
                Step::Undone(ids) => {
                    let changes: Vec<Change> = ids.iter().map(|&id| (id, now[id as usize], 99)).collect();
                    log.begin().updates(&changes).query("ROLLBACK");
                }
                Step::Prepare(ids) => {
                    let changes: Vec<Change> = ids.iter().map(|&id| (id, now[id as usize], now[id as usize] + 1)).collect();
                    number += 1;
                    log.prepared(&format!("x{number}"), &changes);
                    open.push((format!("x{number}"), changes));
                }
                Step::Decide(place, commit) if !open.is_empty() => {
                    let (name, changes) = open.remove(place % open.len());
                    if commit {
                        changes.iter().for_each(|(id, _, after)| now[*id as usize] = *after);
                    }
                    decided.push((name, commit));
                }
                Step::Write(place) if !decided.is_empty() => {
                    let (name, commit) = decided.remove(place % decided.len());
                    log.outcome(if commit { "COMMIT" } else { "ROLLBACK" }, &name);
                }
                Step::Decide(..) | Step::Write(_) => {}
            }
        }
        let mut seen = [0i64; 6];
        for (id, before, after) in delivered(&log).concat() {
            prop_assert_eq!(seen[id as usize], before, "row {}", id);
            seen[id as usize] = after;
        }
        prop_assert_eq!(seen, now);
    }
}
