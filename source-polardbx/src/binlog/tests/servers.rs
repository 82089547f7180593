//! Tests of events that only some servers write: MariaDB's GTIDs and sequences, compressed transactions, and optional metadata of columns.

mod catch_up;

use super::*;
use crate::binlog::testing::{compressed, inner_event};

fn maria(schema: Arc<TableSchema>) -> Decoder {
    let profile = ServerProfile::new("10.11.19-MariaDB-log").with_explicit_timestamps(true);
    Decoder::new(DecoderOptions { profile, ..options(start(), schema, 1 << 20) })
}

fn gtid(number: u64, flags: u8) -> Vec<u8> {
    [&number.to_le_bytes()[..], &3u32.to_le_bytes(), &[flags], &[0; 6]].concat()
}

fn row(cells: &[Sample]) -> Vec<Vec<u8>> {
    vec![image(cells, &[])]
}

#[test]
fn a_transaction_of_mariadb_has_a_gtid_and_no_begin() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.add(163, &[0; 4]).add(161, &[0; 4]);
    log.add(162, &gtid(7, 4)).add(160, b"INSERT INTO t VALUES (1)").table(5, "t", &cells).rows(23, 5, 1, &row(&cells)).commit();
    log.add(162, &gtid(8, 1)).query("TRUNCATE t");
    log.add(162, &gtid(9, 0)).table(5, "t", &cells).rows(25, 5, 1, &row(&cells)).query("COMMIT");
    let mut decoder = maria(schema(&cells));
    let (batches, failed) = read(&mut decoder, &log);
    assert!(failed.is_none(), "{failed:?}");
    let events: Vec<_> = batches.iter().flat_map(|batch| &batch.events).collect();
    let kinds: Vec<_> = events.iter().map(|event| (event.txid.as_deref().unwrap_or(""), matches!(event.body, Body::Row(_)))).collect();
    let expected =
        [("3-1-7", false), ("3-1-7", true), ("3-1-7", false), ("3-1-8", false), ("3-1-9", false), ("3-1-9", true), ("3-1-9", false)];
    assert_eq!(kinds, expected);
    // After a restart, the decoder finds the last group again.
    let position = StreamPosition::parse(batches.last().unwrap().resume.as_ref().unwrap().as_str()).unwrap();
    let mut again = super::decoder(position.clone(), schema(&cells), 1 << 20);
    let (rest, failed) = read(&mut again, &dump(&log, Decoder::dump_from(&position)));
    assert!(failed.is_none() && lines(&rest).is_empty(), "{failed:?}");
}

#[test]
fn an_alter_in_two_phases_is_delivered_when_it_commits() {
    let cells = [integer(1, 4, false)];
    let extra = |number: u64, flags: u8| [&gtid(number, 1)[..13], &[flags], &6u64.to_le_bytes()].concat();
    let alter = "ALTER TABLE t ADD INDEX i (c0)";
    let mut log = Log::new();
    log.add(162, &extra(7, 2)).query(alter);
    log.add(162, &gtid(8, 0)).table(5, "t", &cells).rows(23, 5, 1, &row(&cells)).commit();
    log.add(162, &extra(9, 4)).query(alter);
    // This statement would change columns, if it were not rolled back.
    log.add(162, &extra(10, 2)).query("ALTER TABLE t ADD z INT").add(162, &extra(11, 8)).query("ALTER TABLE t ADD z INT");
    let (batches, failed) = read(&mut maria(schema(&cells)), &log);
    assert!(failed.is_none(), "{failed:?}");
    let events = batches.iter().flat_map(|batch| &batch.events);
    let statements: Vec<_> = events.filter(|event| matches!(event.body, Body::Schema(_))).map(|event| event.txid.as_deref()).collect();
    assert_eq!(statements, [Some("3-1-9")]);
}

#[test]
fn an_xa_transaction_of_mariadb_is_named_by_its_gtid_event() {
    let cells = [integer(1, 4, false)];
    let prepared = |flags: u8, commit_id: &[u8]| [&gtid(7, flags)[..13], commit_id, &1u32.to_le_bytes(), b"\x02\0x1"].concat();
    for head in [prepared(64, &[]), prepared(64 | 2, &[9; 8])] {
        let mut log = Log::new();
        log.add(162, &head).table(5, "t", &cells).rows(23, 5, 1, &row(&cells));
        let (_, failed) = read(&mut maria(schema(&cells)), &log);
        assert_eq!(failed.unwrap().code(), Some("E_UNSUPPORTED_EVENT"));
        log = Log::new();
        log.add(162, &head).table(5, "other", &cells).rows(23, 5, 1, &row(&cells)).query("XA END X'7831',X'',1");
        log.add(38, &[&[0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0][..], b"x1"].concat());
        log.add(162, &prepared(128, &[])).query("XA ROLLBACK X'7831',X'',1");
        let (batches, failed) = read(&mut maria(schema(&cells)), &log);
        assert!(failed.is_none() && lines(&batches).is_empty(), "{failed:?}");
    }
}

#[test]
fn a_sequence_of_mariadb_is_not_a_table() {
    let cells = [integer(1, 4, false)];
    let numbers: Vec<Sample> = (0..8).map(|place| integer(1, if place == 6 { 1 } else { 8 }, false)).collect();
    let mut body = vec![6, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 2, b't', b's', 0, 8, 8, 8, 8, 8, 8, 8, 1, 8, 0, 0];
    let mut log = Log::new();
    log.add(162, &gtid(7, 0)).add(19, &body).rows(23, 6, 8, &row(&numbers)).commit();
    let (batches, failed) = read(&mut maria(schema(&cells)), &log);
    assert!(failed.is_none() && lines(&batches).is_empty(), "{failed:?}");
    // MySQL has no sequences, so a decoder for MySQL must know the schema of this table. A decoder for MariaDB must know it, too, if the
    // table has other columns than a sequence.
    let (_, failed) = read(&mut super::decoder(start(), schema(&cells), 1 << 20), &log);
    assert_eq!(failed.unwrap().code(), Some("E_SCHEMA_MISMATCH"));
    body[22] = 3;
    log = Log::new();
    log.add(162, &gtid(7, 0)).add(19, &body);
    assert_eq!(read(&mut maria(schema(&cells)), &log).1.unwrap().code(), Some("E_SCHEMA_MISMATCH"));
}

/// The events of one transaction without its GTID event, in the form that they have inside a TRANSACTION_PAYLOAD.
fn transaction(cells: &[Sample], rows: usize) -> Vec<u8> {
    let mut log = Log::new();
    log.query("BEGIN")
        .table(5, "t", cells)
        .rows(30, 5, cells.len(), &vec![image(cells, &[]); rows])
        .rows(32, 5, cells.len(), &row(cells))
        .commit();
    log.events[2..].iter().flat_map(|event| inner_event(event[4], &event[19..event.len() - 4])).collect()
}

#[test]
fn a_compressed_transaction_gives_what_the_plain_one_gives() {
    let cells = [integer(1, 4, false), variable(20, b"hello", false)];
    let inner = transaction(&cells, 500);
    let mut packed = Log::new();
    packed.add(34, &[0; 42]).add(40, &compressed(&inner, inner.len()));
    let mut plain = Log::new();
    plain.begin().table(5, "t", &cells).rows(30, 5, 2, &vec![image(&cells, &[]); 500]).rows(32, 5, 2, &row(&cells)).commit();
    let bodies = |log: &Log, limit| {
        let (batches, failed) = read(&mut decoder(start(), schema(&cells), limit), log);
        assert!(failed.is_none(), "{failed:?}");
        let last = StreamPosition::parse(batches.last().unwrap().resume.as_ref().unwrap().as_str()).unwrap();
        assert_eq!(last.at.offset, log.offset);
        let events =
            batches.iter().flat_map(|batch| &batch.events).map(|event| format!("{} {:?}", event.seq, event.body)).collect::<Vec<_>>();
        (events, last)
    };
    let (events, last) = bodies(&packed, 2_000);
    assert_eq!(events, bodies(&plain, 1 << 20).0);
    // After a restart, the decoder finds the compressed transaction again without decompressing it.
    let mut again = decoder(last.clone(), schema(&cells), 2_000);
    let (rest, failed) = read(&mut again, &dump(&packed, Decoder::dump_from(&last)));
    assert!(failed.is_none() && lines(&rest).is_empty(), "{failed:?}");
}

#[test]
fn a_compressed_transaction_comes_out_batch_by_batch() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    let inner = [transaction(&cells, 1)[..].to_vec()].concat();
    log.add(34, &[0; 42]).add(40, &compressed(&inner, inner.len()));
    let mut decoder = decoder(start(), schema(&cells), 1);
    for event in &log.events {
        decoder.take_event(event, 0).unwrap();
    }
    assert!(decoder.is_expanding() && decoder.take().is_none(), "nothing is expanded before it is wanted");
    while decoder.is_expanding() {
        decoder.expand().unwrap();
    }
    assert!(decoder.take().is_some());
}

#[test]
fn a_compressed_transaction_must_be_whole() {
    let cells = [integer(1, 4, false)];
    let whole = transaction(&cells, 1);
    let xid = 19 + 8;
    for inner in
        [&whole[..whole.len() - xid], &[&whole[..], &inner_event(2, b"x")].concat(), &inner_event(4, b"rotate"), &inner_event(40, b"")]
    {
        let mut log = Log::new();
        log.add(34, &[0; 42]).add(40, &compressed(inner, inner.len()));
        assert_eq!(code(&log), "E_BINLOG_CORRUPT");
    }
}

#[test]
fn metadata_that_differs_from_the_schema_is_detected() {
    let cells = [integer(1, 4, false)];
    let table = |optional: &[u8]| [&[5, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 1, b't', 0, 1, 3, 0, 1][..], optional].concat();
    for (optional, fails) in
        [(&[1, 1, 0][..], false), (&[1, 1, 0x80], true), (&[4, 3, 2, b'c', b'0'], false), (&[4, 3, 2, b'c', b'1'], true)]
    {
        let mut log = Log::new();
        log.begin().add(19, &table(optional)).rows(30, 5, 1, &row(&cells)).commit();
        let (_, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
        assert_eq!(failed.and_then(|error| error.code()), fails.then_some("E_SCHEMA_MISMATCH"), "{optional:?}");
    }
}

#[test]
fn a_create_table_that_opens_its_transaction() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.add(34, &[0; 42]).query("CREATE TABLE `t2` (\n  `c0` int DEFAULT NULL\n) START TRANSACTION");
    log.table(6, "t2", &cells).rows(30, 6, 1, &row(&cells)).commit();
    let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    let kinds: Vec<_> = batches
        .iter()
        .flat_map(|batch| &batch.events)
        .map(|event| format!("{:?}", event.body).chars().take(6).collect::<String>())
        .collect();
    assert_eq!(kinds, ["Begin", "Schema", "Row(Ro", "Commit"]);
}

#[test]
fn statements_that_only_end_in_the_same_words_open_no_transaction() {
    let cells = [integer(1, 4, false)];
    for statement in [
        "CREATE PROCEDURE p() START TRANSACTION",
        "CREATE TABLE t2 (c0 int) -- START TRANSACTION",
        "CREATE TABLE t2 (c0 int) # START TRANSACTION",
    ] {
        let mut log = Log::new();
        log.add(34, &[0; 42]).query(statement);
        log.add(34, &[0; 42]).begin().table(5, "t", &cells).rows(30, 5, 1, &row(&cells)).commit();
        let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
        assert!(failed.is_none(), "{statement}: {failed:?}");
        let kinds: Vec<_> = batches
            .iter()
            .flat_map(|batch| &batch.events)
            .map(|event| format!("{:?}", event.body).chars().take(6).collect::<String>())
            .filter(|kind| kind != "Schema")
            .collect();
        assert_eq!(kinds, ["Begin", "Row(Ro", "Commit"], "{statement}");
    }
}
