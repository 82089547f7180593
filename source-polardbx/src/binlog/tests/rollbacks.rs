//! Tests of transactions that are rolled back, as a whole or to a savepoint, although their rows are in the binlog.

use super::*;
use crate::binlog::decode::{GroupEnd, Undone};

/// A step of a transaction.
#[derive(Clone, Debug)]
enum Step {
    /// A row event of a selected table, with so many rows.
    Rows(u8),
    /// A row event of another table.
    Others,
    Savepoint(u8),
    /// Returns to the savepoint of this name, if it is set.
    ReturnTo(u8),
}

#[derive(Clone, Debug)]
struct Transaction {
    steps: Vec<Step>,
    rolled_back: bool,
}

fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    let step = prop_oneof![
        3 => (0u8..9).prop_map(Step::Rows),
        1 => Just(Step::Others),
        1 => (0u8..3).prop_map(Step::Savepoint),
        1 => (0u8..3).prop_map(Step::ReturnTo),
    ];
    let transaction =
        (proptest::collection::vec(step, 0..12), any::<bool>()).prop_map(|(steps, rolled_back)| Transaction { steps, rolled_back });
    proptest::collection::vec(transaction, 1..6)
}

/// What a log holds, and what is left of it.
struct Model {
    log: Log,
    /// The values of the rows that are committed.
    committed: Vec<i64>,
    /// The end of each group, with the offset at which it begins.
    ends: Vec<(FileOffset, GroupEnd)>,
}

fn model(transactions: &[Transaction]) -> Model {
    let (mut log, mut number, mut committed, mut ends) = (Log::new(), 0i64, Vec::new(), Vec::new());
    let here = |log: &Log| FileOffset::new(1, log.offset);
    for Transaction { steps, rolled_back } in transactions {
        let start = here(&log);
        let (mut rows, mut savepoints, mut undone) = (Vec::new(), Vec::<(u8, usize, FileOffset)>::new(), Vec::new());
        log.begin();
        for step in steps {
            match step {
                Step::Rows(count) => {
                    let cells: Vec<[Sample; 1]> = (0..*count).map(|row| [integer(number + i64::from(row), 4, false)]).collect();
                    rows.extend(number..number + i64::from(*count));
                    number += i64::from(*count);
                    let images: Vec<_> = cells.iter().map(|cells| image(cells, &[])).collect();
                    log.table(5, "t", &[integer(0, 4, false)]).rows(30, 5, 1, &images);
                }
                Step::Others => {
                    let cells = [integer(1, 4, false)];
                    log.table(6, "other", &cells).rows(30, 6, 1, &[image(&cells, &[])]);
                }
                Step::Savepoint(name) => {
                    log.query(&format!("SAVEPOINT `s{name}`"));
                    savepoints.push((*name, rows.len(), here(&log)));
                }
                Step::ReturnTo(name) => {
                    let Some(index) = savepoints.iter().rposition(|(other, ..)| other == name) else { continue };
                    savepoints.truncate(index + 1);
                    let (_, kept, after) = savepoints[index];
                    rows.truncate(kept);
                    log.query(&format!("ROLLBACK TO `S{name}`"));
                    undone.push(Undone { after, upto: here(&log) });
                }
            }
        }
        if *rolled_back {
            log.query("ROLLBACK");
        } else {
            log.commit();
            committed.append(&mut rows);
        }
        ends.push((start, GroupEnd { committed: !rolled_back, undone, tso: None }));
    }
    Model { log, committed, ends }
}

/// The first values of the rows that a decoder returns.
pub(super) fn values(batches: &[Batch]) -> Vec<i64> {
    let row = |event: &runtime::Event| match &event.body {
        Body::Row(row) => match row.after.as_ref()?.get(0) {
            Value::Int(number) => Some(number),
            _ => None,
        },
        _ => None,
    };
    batches.iter().flat_map(|batch| &batch.events).filter_map(row).collect()
}

/// Decodes a log as a reader does: finished batches are taken at once, and the end of a group is looked for when the decoder wants it.
fn read_held(decoder: &mut Decoder, model: &Model) -> Vec<Batch> {
    let mut batches = Vec::new();
    for event in &model.log.events {
        decoder.event(event, 5).unwrap();
        if let Some(group) = decoder.wants_end() {
            let (_, end) = model.ends.iter().find(|(start, _)| *start == group.start).unwrap();
            decoder.end_is_known(end.clone()).unwrap();
        }
        batches.extend(std::iter::from_fn(|| decoder.take()));
    }
    batches.extend(decoder.drain());
    batches.extend(decoder.position_update());
    let mut last = runtime::Seq(0);
    for batch in &batches {
        batch.verify(last).unwrap();
        last = batch.last_seq().unwrap_or(last);
    }
    batches
}

proptest! {
    #[test]
    fn only_committed_rows_are_delivered(transactions in transactions(), limit in 1usize..3_000, hold in prop_oneof![0usize..3_000, Just(1 << 20)]) {
        let model = model(&transactions);
        let read = |limit, hold| {
            let mut decoder = decoder(start(), schema(&[integer(1, 4, false)]), limit);
            decoder.hold_at_most(hold);
            read_held(&mut decoder, &model)
        };
        let batches = read(limit, hold);
        prop_assert_eq!(&values(&batches), &model.committed);
        let resume = batches.iter().rev().find_map(|batch| batch.resume.clone()).unwrap();
        prop_assert_eq!(StreamPosition::parse(resume.as_str()).unwrap().at.offset, model.log.offset);
        // A replay with other limits gives the rows the same numbers.
        let rows = |batches: &[Batch]| {
            let events = batches.iter().flat_map(|batch| &batch.events).filter(|event| matches!(event.body, Body::Row(_)));
            events.map(|event| event.seq).collect::<Vec<_>>()
        };
        prop_assert_eq!(rows(&batches), rows(&read(1 << 20, 1 << 20)));
        // Each transaction with rows has one BEGIN and one COMMIT.
        let events = batches.iter().flat_map(|batch| &batch.events);
        let shape: String = events.map(|event| match event.body { Body::Begin => 'b', Body::Commit => 'c', _ => 'r' }).collect();
        prop_assert!(shape.split_terminator('c').all(|transaction| transaction.starts_with('b') && transaction.matches('b').count() == 1), "{}", shape);
    }
}

#[test]
fn what_comes_before_an_open_transaction_is_delivered_when_the_stream_fails() {
    let cells = [integer(1, 4, false)];
    let row = || vec![image(&cells, &[])];
    let mut log = Log::new();
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &row()).commit();
    let end = log.offset;
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &row());
    let mut decoder = decoder(start(), schema(&cells), 1 << 20);
    log.events.iter().for_each(|event| decoder.event(event, 5).unwrap());
    let batch = decoder.drain().unwrap();
    assert_eq!(batch.events.len(), 3);
    assert_eq!(StreamPosition::parse(batch.resume.unwrap().as_str()).unwrap().at.offset, end);
    assert!(decoder.drain().is_none());
}

#[test]
fn a_server_that_never_logs_a_rollback_is_not_waited_for() {
    let cells = [integer(1, 4, false)];
    let row = || vec![image(&cells, &[])];
    for end in ["ROLLBACK", "ROLLBACK TO `s`"] {
        let mut log = Log::new();
        log.begin().query("SAVEPOINT `s`").table(5, "t", &cells).rows(30, 5, 1, &row());
        let profile = ServerProfile::new("8.0.15");
        let mut decoder = Decoder::new(DecoderOptions { profile, ..options(start(), schema(&cells), 1) });
        log.events.iter().for_each(|event| decoder.event(event, 5).unwrap());
        assert_eq!(decoder.take().unwrap().events.len(), 2);
        log.query(end);
        let failed = decoder.event(log.events.last().unwrap(), 5).unwrap_err();
        assert_eq!(failed.code(), Some("E_ROLLBACK_GROUP"));
    }
}

#[test]
fn a_schema_change_is_not_undone() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.begin().query("CREATE TABLE t2 (a INT)").query("ROLLBACK");
    assert_eq!(code(&log), "E_ROLLBACK_GROUP");
    log = Log::new();
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).query("ROLLBACK TO `unknown`");
    assert_eq!(code(&log), "E_ROLLBACK_GROUP");
}
