//! Tests of XA transactions: their changes wait in a spool until their outcome is read.

mod order;

use std::collections::HashMap;
use std::path::Path;

use runtime::{Commit, Committed};

use super::rollbacks::values;
use super::*;
use crate::config::OnRowsWithoutEvents;
use crate::facts::DatabaseCollations;

const MYSQL: &str = "5.7.22-log";

/// The bytes of the xid `name`, in the form of an XA_PREPARE event.
pub(super) fn prepare(name: &str, one_phase: bool) -> Vec<u8> {
    let mut body = vec![u8::from(one_phase), 1, 0, 0, 0];
    body.extend_from_slice(&(name.len() as u32).to_le_bytes());
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(name.as_bytes());
    body
}

pub(super) fn xid(name: &str) -> String {
    crate::schema::Xid { global: name.as_bytes().to_vec(), branch: Vec::new(), format: 1 }.to_string()
}

impl Log {
    /// Adds the first half of a transaction of MySQL, with one row of the table in each of `values`.
    pub(super) fn first_half(&mut self, name: &str, table: &str, values: &[i64], one_phase: bool) -> &mut Self {
        self.add(34, &[0; 42]).query(&format!("XA START {}", xid(name)));
        for value in values {
            let cells = [integer(*value, 4, false)];
            self.table(5, table, &cells).rows(30, 5, 1, &[image(&cells, &[])]);
        }
        self.query(&format!("XA END {}", xid(name))).add(38, &prepare(name, one_phase))
    }

    pub(super) fn outcome(&mut self, word: &str, name: &str) -> &mut Self {
        self.add(34, &[0; 42]).query(&format!("XA {word} {}", xid(name)))
    }

    pub(super) fn ddl(&mut self, statement: &str) -> &mut Self {
        self.add(34, &[0; 42]).query(statement)
    }

    pub(super) fn insert(&mut self, value: i64) -> &mut Self {
        let cells = [integer(value, 4, false)];
        self.begin().table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit()
    }
}

pub(super) fn decoder_of(position: StreamPosition, folder: Option<&Path>, settled: Option<FileOffset>, committed: &Committed) -> Decoder {
    let prepared = PreparedTransactions::open("global", folder, settled, committed).unwrap();
    let profile = ServerProfile::new(MYSQL);
    let rows_without_events = RowsWithoutEvents { then: OnRowsWithoutEvents::Warn, ..RowsWithoutEvents::default() };
    Decoder::new(DecoderOptions { prepared, profile, rows_without_events, ..options(position, schema(&[integer(1, 4, false)]), 1 << 20) })
}

pub(super) fn new_decoder(folder: &Path) -> Decoder {
    decoder_of(start(), Some(folder), None, &Committed::default())
}

pub(super) fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("spool/global")).map_or(0, Iterator::count)
}

#[test]
fn the_rows_come_with_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.first_half("a", "t", &[1, 2], false).insert(3).first_half("b", "t", &[4], false).first_half("c", "other", &[5], false);
    log.insert(6).outcome("COMMIT", "a").outcome("ROLLBACK", "b").outcome("COMMIT", "c").first_half("d", "t", &[7], true).insert(8);
    let (batches, failed) = read(&mut new_decoder(folder.path()), &log);
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(values(&batches), [3, 6, 1, 2, 7, 8]);
    let events: Vec<_> = batches.iter().flat_map(|batch| &batch.events).collect();
    let shape: String = events.iter().map(|event| if let Body::Begin = event.body { 'b' } else { 'e' }).collect();
    assert_eq!(shape, "beebeebeeebeebee");
    let resume = batches.last().unwrap().resume.clone().unwrap();
    assert_eq!(StreamPosition::parse(resume.as_str()).unwrap().at.offset, log.offset);
}

#[test]
fn a_restart_between_the_halves_loses_and_repeats_nothing() {
    let mut log = Log::new();
    log.insert(1).first_half("a", "t", &[2, 3], false).insert(4).first_half("b", "t", &[5], false).first_half("c", "t", &[6], false);
    log.outcome("COMMIT", "b").insert(7).outcome("ROLLBACK", "c").outcome("COMMIT", "a").insert(8);
    assert_eq!(values(&read_in_two_runs(&log)), [1, 4, 5, 7, 2, 3, 8]);
}

/// Reads the log at once, and also with a stop after each event: what was committed up to the last resume point is kept, and another
/// decoder begins there. Both ways must deliver the same. Returns it.
fn read_in_two_runs(log: &Log) -> Vec<Batch> {
    read_table_in_two_runs(log, &schema(&[integer(1, 4, false)]))
}

/// The same with another schema of the table.
pub(super) fn read_table_in_two_runs(log: &Log, table: &Arc<TableSchema>) -> Vec<Batch> {
    let new_decoder = |folder: &Path| {
        let prepared = PreparedTransactions::open("global", Some(folder), None, &Committed::default()).unwrap();
        Decoder::new(DecoderOptions { prepared, ..options(start(), table.clone(), 1 << 20) })
    };
    let folder = tempfile::tempdir().unwrap();
    let (all, failed) = read(&mut new_decoder(folder.path()), log);
    assert!(failed.is_none(), "{failed:?}");
    let expected = lines(&all);
    for stop in 1..log.events.len() {
        let folder = tempfile::tempdir().unwrap();
        let mut committed = Committed::default();
        let mut schemas = HashMap::from([(TableId::new("d", "t"), Some(table.clone()))]);
        let mut first = new_decoder(folder.path());
        log.events[..stop].iter().for_each(|event| first.event(event, 5).unwrap());
        let (mut delivered, mut position) = (0, start());
        let batches = std::iter::from_fn(|| first.drain()).collect::<Vec<_>>().into_iter();
        let mut count = 0;
        for mut batch in batches.chain(first.position_update()) {
            count += batch.events.len();
            schemas.extend(batch.schemas.iter().cloned());
            for event in &batch.events {
                if let Body::Schema(change) = &event.body {
                    schemas.extend(change.tables.iter().cloned());
                }
            }
            if let Some(resume) = &batch.resume {
                (delivered, position) = (count, StreamPosition::parse(resume.as_str()).unwrap());
                committed.apply(&Commit { facts: std::mem::take(&mut batch.facts), ..Commit::default() });
            }
        }
        drop(first);
        let tail = dump(log, Decoder::dump_from(&position));
        let prepared = PreparedTransactions::open("global", Some(folder.path()), None, &committed).unwrap();
        let databases = committed.fact_at::<DatabaseCollations>("global").unwrap().map(DatabaseCollations::into_map);
        let databases = databases.unwrap_or_else(|| HashMap::from([("d".to_owned(), Some(Collation::new("utf8mb4_general_ci")))]));
        let history = History::new(schemas.into_values().flatten(), databases, false);
        let mut second = Decoder::new(DecoderOptions { prepared, history, ..options(position, table.clone(), 1 << 20) });
        let (rest, failed) = read(&mut second, &tail);
        assert!(failed.is_none(), "{stop}: {failed:?}");
        assert_eq!(lines(&rest), expected[delivered..], "{stop}");
        second.prepared().remove_leftover(FileOffset::new(1, log.offset));
        assert_eq!(files(folder.path()), 0, "{stop}");
    }
    all
}

#[test]
fn rows_go_with_the_table_that_is_dropped_or_emptied_between_the_halves() {
    for (statements, rows) in [
        (&["DROP TABLE t"] as &[&str], [3, 4].as_slice()),
        (&["DROP TABLE IF EXISTS u, t"], &[3, 4]),
        (&["TRUNCATE t"], &[3, 4]),
        (&["DROP DATABASE d"], &[3, 4]),
        // Another table of the same name, whose rows look the same in the binlog.
        (&["DROP TABLE t", "CREATE TABLE t (other INT)"], &[3, 4]),
        (&["CREATE OR REPLACE TABLE t (other INT)"], &[3, 4]),
        (&["DROP TABLE t", "CREATE TABLE t (other VARCHAR(9))", "ALTER TABLE t COMMENT = 'x'"], &[3, 4]),
        // These change nothing of the rows.
        (&["CREATE TABLE IF NOT EXISTS t (other INT)"], &[3, 1, 2, 4]),
        (&["CREATE TABLE IF NOT EXISTS t LIKE tz"], &[3, 1, 2, 4]),
        (&["DROP TABLE tz", "TRUNCATE other"], &[3, 1, 2, 4]),
    ] {
        let mut log = Log::new();
        let cells = |value| [integer(value, 4, false)];
        log.first_half("a", "t", &[1, 2], false).insert(3);
        for statement in statements {
            log.ddl(statement);
        }
        log.ddl("CREATE TABLE tt (a INT)").outcome("COMMIT", "a");
        log.begin().table(9, "tt", &cells(4)).rows(30, 9, 1, &[image(&cells(4), &[])]).commit();
        assert_eq!(values(&read_in_two_runs(&log)), rows, "{statements:?}");
    }
}

#[test]
fn rows_of_a_table_that_another_statement_changes_between_the_halves_are_in_doubt() {
    for statement in ["ALTER TABLE t DROP PARTITION p0", "ALTER TABLE t TRUNCATE PARTITION p0", "ALTER TABLE t ADD UNIQUE KEY (c0)"] {
        for (word, more) in [("COMMIT", ""), ("ROLLBACK", ""), ("COMMIT", "DROP TABLE t")] {
            let folder = tempfile::tempdir().unwrap();
            let mut log = Log::new();
            log.first_half("a", "t", &[1], false).ddl(statement);
            if !more.is_empty() {
                log.ddl(more);
            }
            log.outcome(word, "a");
            let (batches, failed) = read(&mut new_decoder(folder.path()), &log);
            assert!(values(&batches).is_empty());
            assert_eq!(failed.is_some(), word == "COMMIT" && more.is_empty(), "{statement} {word} {more}: {failed:?}");
            let Some(failed) = failed else { continue };
            let text = failed.to_string();
            assert_eq!(failed.code(), Some("E_XA_CHANGED"), "{text}");
            for part in ["d.t", "X'61',X'',1", statement] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}

#[test]
fn a_file_is_removed_when_the_outcome_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.first_half("a", "t", &[1], false).outcome("COMMIT", "a");
    let end = log.offset;
    let mut decoder = new_decoder(folder.path());
    let (batches, _) = read(&mut decoder, &log);
    assert_eq!((values(&batches), files(folder.path())), (vec![1], 1));
    decoder.prepared().remove_leftover(FileOffset::new(1, end - 1));
    assert_eq!(files(folder.path()), 1);
    decoder.prepared().remove_leftover(FileOffset::new(1, end));
    assert!(files(folder.path()) == 0 && !decoder.prepared().has_leftover());
    // A file that no checkpoint lists is left from a process that was killed.
    std::fs::write(folder.path().join("spool/global/xa-000001-99.rows"), b"x").unwrap();
    drop(new_decoder(folder.path()));
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn savepoints_inside_are_returned_to() {
    let folder = tempfile::tempdir().unwrap();
    let cells = |value| [integer(value, 4, false)];
    let row = |log: &mut Log, value: i64| {
        log.table(5, "t", &cells(value)).rows(30, 5, 1, &[image(&cells(value), &[])]);
    };
    let mut log = Log::new();
    log.add(34, &[0; 42]).query(&format!("XA START {}", xid("a"))).query("SAVEPOINT `z`");
    row(&mut log, 1);
    log.query("ROLLBACK TO `z`");
    row(&mut log, 2);
    log.query("SAVEPOINT `s`");
    row(&mut log, 3);
    log.query("ROLLBACK TO `s`");
    row(&mut log, 4);
    log.query(&format!("XA END {}", xid("a"))).add(38, &prepare("a", false)).outcome("COMMIT", "a");
    let (batches, failed) = read(&mut new_decoder(folder.path()), &log);
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(values(&batches), [2, 4]);
}

#[test]
fn an_outcome_whose_changes_were_not_read_stops_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    for word in ["COMMIT", "ROLLBACK"] {
        let mut log = Log::new();
        log.outcome(word, "a").insert(1);
        match read(&mut new_decoder(folder.path()), &log) {
            (batches, None) => assert_eq!((word, values(&batches)), ("ROLLBACK", vec![1]), "nothing can be lost by a rollback"),
            (_, Some(failed)) => {
                let text = failed.to_string();
                assert!(word == "COMMIT" && failed.code() == Some("E_XA_UNKNOWN") && text.contains("X'61',X'',1"), "{failed}");
            }
        }
        // Before the position at which the server had no prepared transaction, such an outcome belongs to the full phase.
        let settled = Some(FileOffset::new(1, log.offset));
        let (batches, failed) = read(&mut decoder_of(start(), Some(folder.path()), settled, &Committed::default()), &log);
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!(values(&batches), [1]);
    }
}

#[test]
fn a_lost_file_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.first_half("a", "t", &[1], false);
    let (batches, _) = read(&mut new_decoder(folder.path()), &log);
    let mut committed = Committed::default();
    committed.apply(&Commit { facts: batches.last().unwrap().facts.clone(), ..Commit::default() });
    let other = tempfile::tempdir().unwrap();
    for open in [
        |folder: &Path, committed: &Committed| PreparedTransactions::open("global", Some(folder), None, committed).map(drop),
        |folder: &Path, committed: &Committed| PreparedTransactions::verify("global", Some(folder), committed),
    ] {
        assert!(open(folder.path(), &committed).is_ok());
        let lost = runtime::Error::from(open(other.path(), &committed).unwrap_err());
        assert!(lost.code() == Some("E_SPOOL_LOST") && lost.to_string().contains("X'61',X'',1"), "{lost}");
    }
    // Who only verifies removes nothing.
    let unlisted = folder.path().join("spool/global/xa-000001-99.rows");
    std::fs::write(&unlisted, b"x").unwrap();
    PreparedTransactions::verify("global", Some(folder.path()), &committed).unwrap();
    assert!(unlisted.exists());
}

#[test]
fn a_damaged_file_is_named_and_gives_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.first_half("a", "t", &[1, 2], false);
    let mut decoder = new_decoder(folder.path());
    log.events.iter().for_each(|event| decoder.event(event, 5).unwrap());
    let path = std::fs::read_dir(folder.path().join("spool/global")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    log.outcome("COMMIT", "a");
    let failed = log.events[log.events.len() - 2..].iter().find_map(|event| decoder.event(event, 5).err()).unwrap();
    let text = failed.to_string();
    assert!(failed.code() == Some("E_SPOOL_LOST") && text.contains("X'61',X'',1") && text.contains(".rows"), "{text}");
    assert!(decoder.drain().is_none());
}

#[test]
fn without_a_folder_only_unselected_tables_may_be_prepared() {
    let mut log = Log::new();
    log.first_half("a", "other", &[1], false).outcome("COMMIT", "a").first_half("b", "t", &[1], false);
    let (_, failed) = read(&mut decoder_of(start(), None, None, &Committed::default()), &log);
    assert_eq!(failed.unwrap().code(), Some("E_UNSUPPORTED_EVENT"));
}

#[test]
fn a_transaction_may_be_rolled_back_without_a_prepare() {
    let folder = tempfile::tempdir().unwrap();
    let cells = [integer(1, 4, false)];
    for table in ["t", "other"] {
        let mut log = Log::new();
        log.add(34, &[0; 42]).query(&format!("XA START {}", xid("a"))).table(5, table, &cells).rows(30, 5, 1, &[image(&cells, &[])]);
        log.query(&format!("XA END {}", xid("a"))).query(&format!("XA ROLLBACK {}", xid("a"))).insert(2);
        let (batches, failed) = read(&mut new_decoder(folder.path()), &log);
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!((values(&batches), files(folder.path())), (vec![2], 0));
    }
}

#[test]
fn a_transaction_that_the_server_has_forgotten_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.first_half("a", "t", &[1], false).first_half("a", "t", &[2], false).outcome("COMMIT", "a");
    let mut decoder = new_decoder(folder.path());
    let (batches, failed) = read(&mut decoder, &log);
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(values(&batches), [2]);
    let mut committed = Committed::default();
    batches.into_iter().for_each(|batch| committed.apply(&Commit { facts: batch.facts, ..Commit::default() }));
    assert_eq!(committed.facts::<crate::facts::PreparedXa>().count(), 0);
    decoder.prepared().remove_leftover(FileOffset::new(1, log.offset));
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn a_prepare_without_its_start_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.begin().add(38, &prepare("a", false));
    assert_eq!(read(&mut new_decoder(folder.path()), &log).1.unwrap().code(), Some("E_BINLOG_CORRUPT"));
    log = Log::new();
    log.add(34, &[0; 42]).query(&format!("XA START {}", xid("a"))).add(38, &prepare("b", false));
    assert_eq!(read(&mut new_decoder(folder.path()), &log).1.unwrap().code(), Some("E_BINLOG_CORRUPT"));
}
