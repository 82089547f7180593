//! Tests of the beginning of a stream on a server that took over: what was delivered is passed over by its GTIDs.

use super::*;
use crate::binlog::gtid::{CatchUp, GtidSet};

const UUID: u128 = 0x3e11fa47_71ca_11e1_9e33_c80aa9429562;

fn of_mysql(number: u64) -> Vec<u8> {
    [&[1][..], &UUID.to_be_bytes(), &number.to_le_bytes(), &[0; 17]].concat()
}

/// The position behind the delivered transactions, of which some come before `until`.
fn behind(delivered: &str, mariadb: bool, until: u64) -> StreamPosition {
    let set = GtidSet::parse(delivered, mariadb).unwrap();
    let catch_up = CatchUp { until: FileOffset::new(1, until), passed: set.clone() };
    StreamPosition { gtid: Some(set), catch_up: Some(catch_up), timeline: 1, ..start() }
}

/// A binlog with one row in each of these transactions of MySQL. A number of 0 is a transaction without a GTID.
fn log_of(numbers: &[u64]) -> (Log, Vec<u64>) {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    let mut ends = Vec::new();
    for &number in numbers {
        if number > 0 {
            log.add(33, &of_mysql(number))
        } else {
            log.add(34, &[0; 42])
        };
        log.query("BEGIN").table(5, "t", &cells).rows(30, 5, 1, &row(&cells)).commit();
        ends.push(log.offset);
    }
    (log, ends)
}

/// The numbers of the transactions whose rows were delivered, and the last resume point.
fn delivered(batches: &[Batch]) -> (Vec<u64>, StreamPosition) {
    let rows = batches.iter().flat_map(|batch| &batch.events).filter(|event| matches!(event.body, Body::Row(_)));
    let number = |id: &str| id.rsplit([':', '-']).next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let numbers = rows.map(|event| event.txid.as_deref().map_or(0, number)).collect();
    let last = batches.iter().filter_map(|batch| batch.resume.as_ref()).next_back().unwrap();
    (numbers, StreamPosition::parse(last.as_str()).unwrap())
}

#[test]
fn what_was_delivered_is_passed_over_in_any_order() {
    let cells = [integer(1, 4, false)];
    let (log, ends) = log_of(&[1, 2, 6, 3, 5, 4, 7, 8]);
    let set = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:5:7";
    let position = behind(set, false, ends[6]);
    let (batches, failed) = read(&mut decoder(position.clone(), schema(&cells), 1), &log);
    assert!(failed.is_none(), "{failed:?}");
    let (numbers, last) = delivered(&batches);
    assert_eq!(numbers, [6, 4, 8]);
    assert_eq!(last.gtid.as_ref().unwrap().to_string(), "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-8");
    assert_eq!((last.catch_up, last.timeline, last.at.offset), (None, 1, ends[7]));
    let events = || batches.iter().flat_map(|batch| &batch.events);
    assert!(events().all(|event| event.seq.0 >> 116 == 1), "all are of the next timeline");

    // From every resume point, the same rest is delivered.
    for resume in batches.iter().filter_map(|batch| batch.resume.as_ref()) {
        let position = StreamPosition::parse(resume.as_str()).unwrap();
        let from = position.at.offset;
        let (rest, failed) = read(&mut decoder(position.clone(), schema(&cells), 1), &dump(&log, Decoder::dump_from(&position)));
        assert!(failed.is_none(), "{failed:?}");
        let behind: Vec<_> = events().filter(|event| (event.seq.0 >> 48) as u64 & ((1 << 44) - 1) >= from).map(|event| event.seq).collect();
        let again: Vec<_> = rest.iter().flat_map(|batch| &batch.events).map(|event| event.seq).collect();
        assert_eq!(again, behind, "from {position}");
    }
}

#[test]
fn statements_that_were_delivered_are_not_applied_again() {
    let wide = |count: usize| -> Vec<Sample> { (0..count).map(|_| integer(1, 4, false)).collect() };
    // What the task knows, behind the transactions 1 to 3.
    let known = schema(&wide(2));
    let mut log = Log::new();
    let insert = |log: &mut Log, number: u64, columns: usize| {
        let cells = wide(columns);
        log.add(33, &of_mysql(number)).query("BEGIN").table(5, "t", &cells).rows(30, 5, columns, &[image(&cells, &[])]).commit();
    };
    let alter = |log: &mut Log, number: u64, column: u64| {
        log.add(33, &of_mysql(number)).query(&format!("ALTER TABLE t ADD c{column} INT"));
    };
    // A statement that is new here, about another table, comes among those that are passed over.
    log.add(33, &of_mysql(9)).query("CREATE TABLE t9 (a INT)");
    insert(&mut log, 1, 1);
    alter(&mut log, 2, 1);
    insert(&mut log, 3, 2);
    let until = log.offset;
    alter(&mut log, 4, 2);
    insert(&mut log, 5, 3);
    let position = behind("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3", false, until);
    for limit in [1, 1 << 20] {
        let (batches, failed) = read(&mut decoder(position.clone(), known.clone(), limit), &log);
        assert!(failed.is_none(), "{failed:?}");
        let statements: Vec<_> = batches
            .iter()
            .flat_map(|batch| &batch.events)
            .filter_map(|event| match &event.body {
                Body::Schema(change) => Some(change.statement.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(statements, ["CREATE TABLE t9 (a INT)", "ALTER TABLE t ADD c2 INT"]);
        assert_eq!(delivered(&batches).0, [5]);
        // From every resume point, with the schemas that are committed there.
        let mut schemas = std::collections::HashMap::from([(known.id.clone(), Some(known.clone()))]);
        let mut passed = 0;
        for batch in &batches {
            passed += batch.events.len();
            for event in &batch.events {
                if let Body::Schema(change) = &event.body {
                    schemas.extend(change.tables.iter().cloned());
                }
            }
            let Some(resume) = &batch.resume else { continue };
            let position = StreamPosition::parse(resume.as_str()).unwrap();
            let history =
                History::new(schemas.values().flatten().cloned(), [("d".to_owned(), Collation::new("utf8mb4_general_ci"))], false);
            let mut again = Decoder::new(DecoderOptions { history, ..options(position.clone(), known.clone(), limit) });
            let (rest, failed) = read(&mut again, &dump(&log, Decoder::dump_from(&position)));
            assert!(failed.is_none(), "from {resume}: {failed:?}");
            assert_eq!(lines(&rest), lines(&batches)[passed..], "from {resume}");
        }
    }
}

#[test]
fn everything_passed_over_still_moves_the_position() {
    let (log, ends) = log_of(&[1, 2]);
    let position = behind("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-2", false, ends[1]);
    let (batches, failed) = read(&mut decoder(position, schema(&[integer(1, 4, false)]), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    let (numbers, last) = delivered(&batches);
    assert!(numbers.is_empty() && last.catch_up.is_none() && last.at.offset == ends[1]);
}

#[test]
fn a_transaction_without_a_gtid_is_in_doubt_only_among_those_that_are_passed_over() {
    let cells = [integer(1, 4, false)];
    let (log, ends) = log_of(&[1, 0, 2]);
    let among = behind("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-2", false, ends[2]);
    let (_, failed) = read(&mut decoder(among, schema(&cells), 1 << 20), &log);
    assert_eq!(failed.unwrap().code(), Some("E_HISTORY_DIVERGED"));
    let behind_them = behind("3e11fa47-71ca-11e1-9e33-c80aa9429562:1", false, ends[0]);
    let (batches, failed) = read(&mut decoder(behind_them, schema(&cells), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    let (numbers, last) = delivered(&batches);
    assert_eq!((numbers, last.gtid), (vec![0, 2], None), "what was delivered is not known any more");
}

#[test]
fn a_domain_of_mariadb_is_passed_over_up_to_its_last_transaction() {
    let cells = [integer(1, 4, false)];
    let in_domain = |domain: u32, number: u64| [&number.to_le_bytes()[..], &domain.to_le_bytes(), &[0], &[0; 6]].concat();
    let mut log = Log::new();
    let mut ends = Vec::new();
    for (domain, number) in [(3, 5), (4, 1), (3, 6), (3, 7), (4, 2)] {
        log.add(162, &in_domain(domain, number)).table(5, "t", &cells).rows(23, 5, 1, &row(&cells)).commit();
        ends.push(log.offset);
    }
    let (batches, failed) = read(
        &mut Decoder::new(DecoderOptions {
            profile: ServerProfile::new("10.11.19-MariaDB-log"),
            ..options(behind("3-1-6", true, ends[4]), schema(&cells), 1 << 20)
        }),
        &log,
    );
    assert!(failed.is_none(), "{failed:?}");
    let (numbers, last) = delivered(&batches);
    assert_eq!(numbers, [1, 7, 2]);
    assert_eq!(last.gtid.unwrap().to_string(), "3-1-7,4-1-2");

    // The last transaction of the domain is not there.
    for (last, error) in [("3-1-9", "did not come before"), ("3-2-6", "3-2-6 did not come before")] {
        let mut decoder = Decoder::new(DecoderOptions {
            profile: ServerProfile::new("10.11.19-MariaDB-log"),
            ..options(behind(last, true, ends[2]), schema(&cells), 1 << 20)
        });
        let failed = read(&mut decoder, &log).1.unwrap();
        assert_eq!(failed.code(), Some("E_HISTORY_DIVERGED"));
        assert!(failed.cause().unwrap_or_default().contains(error), "{failed}: {:?}", failed.cause());
    }
}
