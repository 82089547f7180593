//! Tests of statements, of the known character sets of databases, and of damaged events.

use std::path::Path;

use runtime::{Commit, Committed};

use super::*;
use crate::binlog::decode::{continue_behind, wants_schemas};
use crate::schema::FollowedTable;

#[test]
fn invalid_bytes_matter_only_in_ddl_of_selected_tables() {
    let cells = [integer(1, 4, false)];
    let read_one = |client, text: &[u8]| {
        let mut log = Log::new();
        log.add(34, &[0; 42]).query_in(client, text);
        read(&mut decoder(start(), schema(&cells), 1 << 20), &log)
    };
    for (client, text) in [
        (63, "CREATE TABLE other (a INT) COMMENT 'é'".as_bytes()),
        (45, b"CREATE TABLE other (a VARBINARY(5) DEFAULT _binary'\xff\xfe')"),
        (45, b"ALTER TABLE other ADD b INT COMMENT '\xff' /* \xff */"),
    ] {
        let (_, failed) = read_one(client, text);
        assert!(failed.is_none(), "{failed:?}");
    }
    // If the client's character set is `binary` (63), the server reads names and comments as UTF-8.
    let (batches, failed) = read_one(63, "ALTER TABLE t COMMENT 'é'".as_bytes());
    assert!(failed.is_none() && lines(&batches)[0].contains("COMMENT 'é'"), "{failed:?} {:?}", lines(&batches));
    for (client, text, said) in [
        (45, &b"ALTER TABLE t COMMENT '\xff'"[..], "d.t"),
        (45, b"CREATE TABLE t\xff (a INT)", "utf8mb4"),
        (45, b"CREATE TABLE t2 (a VARBINARY(5) DEFAULT _binary'\xff\xfe')", "d.t2"),
        (63, "CREATE TABLE t2 (a ENUM('é') CHARSET latin1)".as_bytes(), "binary"),
    ] {
        let failed = read_one(client, text).1.unwrap();
        assert!(failed.code() == Some("E_DDL_UNREAD") && failed.to_string().contains(said), "{failed}");
    }
}

#[test]
fn databases_are_committed_with_the_position() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.add(34, &[0; 42]).query("CREATE DATABASE x CHARACTER SET gbk").add(34, &[0; 42]).query("CREATE DATABASE IF NOT EXISTS d");
    let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    let mut facts: Vec<_> = batches.iter().flat_map(|batch| batch.facts.stored()).collect();
    let (name, text) = facts.pop().unwrap();
    assert_eq!((name, text), ("database_collations/global", Some(r#"1 {"d":"utf8mb4_general_ci","x":"gbk_chinese_ci"}"#)));
}

#[test]
fn damaged_content_is_told_apart_from_damaged_transport() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &[vec![0]]);
    let fail = |bytes: &[u8]| {
        let mut decoder = super::decoder(start(), schema(&cells), 1 << 20);
        let (last, before) = log.events.split_last().unwrap();
        before.iter().for_each(|event| decoder.take_event(event, 0).unwrap());
        decoder.take_event(if bytes.is_empty() { last } else { bytes }, 0).unwrap_err()
    };
    let content = fail(&[]);
    assert!(matches!(content, StreamError::Content { .. }) && !content.may_pass(), "{content}");
    let mut flipped = log.events.last().unwrap().clone();
    flipped[25] ^= 1;
    let transport = fail(&flipped);
    assert!(matches!(transport, StreamError::Corrupt { .. }) && transport.may_pass(), "{transport}");
}

#[test]
fn a_table_that_the_server_found_empty_is_truncated() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    log.begin().query("DELETE FROM `d`.`t`").query("COMMIT");
    log.begin().table(5, "t", &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    let (batches, failed) = read(&mut decoder(start(), schema(&cells), 1 << 20), &log);
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(batches[0].events.len(), 1, "a schema change is alone in its batch");
    assert!(batches[0].resume.is_some());
    let Body::Schema(change) = &batches[0].events[0].body else { panic!("{:?}", batches[0].events[0]) };
    assert_eq!((change.kind, change.statement.as_str()), (runtime::SchemaChangeKind::TruncateTable, "TRUNCATE TABLE `d`.`t`"));
    assert_eq!(change.tables[0].0, TableId::new("d", "t"));
    assert_eq!(batches[1].row_count(), 1);
}

#[test]
fn only_the_server_empties_a_table_in_a_group_of_its_own_without_an_xid() {
    let cells = [integer(1, 4, false)];
    let ends: [fn(&mut Log, &[Sample]); 4] = [
        |log, _| _ = log.commit(),
        |log, _| _ = log.query("DELETE FROM `d`.`other`").query("COMMIT"),
        |log, _| _ = log.query("ROLLBACK"),
        |log, cells| _ = log.table(5, "t", cells).rows(30, 5, 1, &[image(cells, &[])]).query("COMMIT"),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        for table in ["other", "t"] {
            let mut log = Log::new();
            log.begin().query(&format!("DELETE FROM `d`.`{table}`"));
            end(&mut log, &cells);
            let failed = read(&mut decoder(start(), schema(&cells), 1 << 20), &log).1.unwrap();
            assert_eq!(failed.code(), Some("E_STATEMENT_DML"), "{table}, end {number}: {failed}");
        }
    }
}

#[test]
fn a_table_that_is_created_without_a_list_of_columns_says_what_is_there_instead() {
    let mut log = Log::new();
    log.add(34, &[0; 42]).query("CREATE TABLE t2 ENGINE=FEDERATED CONNECTION='x'");
    let failed = read(&mut decoder(start(), schema(&[integer(1, 4, false)]), 1 << 20), &log).1.unwrap();
    let text = failed.to_string();
    assert!(failed.code() == Some("E_DDL_UNREAD") && text.contains("expected the columns of the table near `ENGINE=FEDERATED"), "{text}");
}

/// How a test reads a log: with a decoder that selects `d.t`, if it does not say otherwise.
struct Reading {
    table: Arc<TableSchema>,
    selection: Selection,
    batch_max_bytes: usize,
    /// What the server shows of the table behind a statement that cannot be read.
    refetched: Option<TableSchema>,
}

impl Reading {
    fn of(table: &Arc<TableSchema>, batch_max_bytes: usize) -> Self {
        let selection = Selection::new(&["d.t".to_owned()], &[]).unwrap();
        Self { table: table.clone(), selection, batch_max_bytes, refetched: None }
    }

    fn decoder(&self, position: StreamPosition, tables: Vec<Arc<TableSchema>>, followed: Vec<FollowedTable>, folder: &Path) -> Decoder {
        let mut history = History::new(tables, [("d".to_owned(), Collation::new("utf8mb4_general_ci"))], false);
        history.restore_followed(followed);
        let selection = self.selection.clone();
        let prepared = PreparedTransactions::open("global", Some(folder), None, &Committed::default()).unwrap();
        let options = options(position, self.table.clone(), self.batch_max_bytes);
        let mut decoder = Decoder::new(DecoderOptions { history, selection, prepared, ..options });
        decoder.refetches = self.refetched.is_some();
        decoder
    }

    /// Decodes the log up to the first error.
    fn read(&self, decoder: &mut Decoder, log: &Log) -> (Vec<Batch>, Option<runtime::Error>) {
        let step = |event: &Vec<u8>| {
            decoder.event(event, 5)?;
            match wants_schemas(decoder) {
                Some(_) => Ok(continue_behind(decoder, Ok(self.refetched.iter().cloned().collect()))?),
                None => Ok(()),
            }
        };
        let failed = log.events.iter().map(step).find_map(Result::err);
        let mut batches: Vec<_> = std::iter::from_fn(|| decoder.drain()).collect();
        batches.extend(decoder.position_update());
        (batches, failed)
    }

    /// Decodes the log, and again from every resume point with what was committed there. Returns the batches of the first time, and the error
    /// with which the log ends every time.
    fn everywhere(&self, log: &Log) -> (Vec<Batch>, Option<runtime::Error>) {
        let folder = tempfile::tempdir().unwrap();
        let (all, failed) = self.read(&mut self.decoder(start(), vec![self.table.clone()], Vec::new(), folder.path()), log);
        let (expected, expected_error) = (lines(&all), failed.as_ref().map(ToString::to_string));
        let mut schemas = std::collections::HashMap::from([(self.table.id.clone(), Some(self.table.clone()))]);
        let (mut committed, mut count) = (Committed::default(), 0);
        for batch in &all {
            count += batch.events.len();
            for event in &batch.events {
                if let Body::Schema(change) = &event.body {
                    schemas.extend(change.tables.iter().cloned());
                }
            }
            committed.apply(&Commit { facts: batch.facts.clone(), ..Commit::default() });
            let Some(resume) = &batch.resume else { continue };
            let position = StreamPosition::parse(resume.as_str()).unwrap();
            let followed = committed.facts::<FollowedTable>().map(|fact| fact.unwrap().1).collect();
            let folder = tempfile::tempdir().unwrap();
            let mut decoder = self.decoder(position.clone(), schemas.values().flatten().cloned().collect(), followed, folder.path());
            let (rest, failed) = self.read(&mut decoder, &dump(log, Decoder::dump_from(&position)));
            assert_eq!(failed.map(|error| error.to_string()), expected_error, "from {resume}");
            assert_eq!(lines(&rest), expected[count..], "from {resume}");
        }
        (all, failed)
    }
}

#[test]
fn a_table_that_comes_into_the_selection_is_known_from_every_resume_point() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    let insert = |log: &mut Log, id: u8, table: &str, cells: &[Sample]| {
        log.begin().table(id, table, cells).rows(30, id, cells.len(), &[image(cells, &[])]).commit();
    };
    insert(&mut log, 5, "t", &cells);
    let new = [integer(2, 8, false), integer(1, 4, false)];
    for statement in ["CREATE TABLE _t_gho LIKE t", "ALTER TABLE _t_gho ADD b BIGINT FIRST"] {
        log.add(34, &[0; 42]).query(statement);
        insert(&mut log, 5, "t", &cells);
    }
    insert(&mut log, 6, "_t_gho", &new);
    insert(&mut log, 5, "t", &cells);
    log.add(34, &[0; 42]).query("RENAME TABLE t TO _t_del, _t_gho TO t");
    insert(&mut log, 7, "t", &new);
    log.add(34, &[0; 42]).query("DROP TABLE _t_del");
    insert(&mut log, 7, "t", &new);
    for batch_max_bytes in [1, 1 << 20] {
        let (batches, failed) = Reading::of(&schema(&cells), batch_max_bytes).everywhere(&log);
        assert!(failed.is_none(), "{failed:?}");
        let lines = lines(&batches);
        let rows = lines.iter().filter(|line| line.contains("Row(")).count();
        assert_eq!(rows, 6, "{lines:#?}");
    }
}

#[test]
fn new_tables_are_ignored_from_every_resume_point() {
    let cells = [integer(1, 4, false)];
    let mut log = Log::new();
    let insert = |log: &mut Log, id: u8, table: &str| {
        log.begin().table(id, table, &cells).rows(30, id, 1, &[image(&cells, &[])]).commit();
    };
    insert(&mut log, 5, "t");
    log.add(34, &[0; 42]).query("CREATE TABLE t2 LIKE t");
    insert(&mut log, 6, "t2");
    insert(&mut log, 5, "t");
    log.add(34, &[0; 42]).query("CREATE TABLE t3 LIKE t2");
    // A table with the name of one with which the task began is delivered, and one with another name is not.
    log.add(34, &[0; 42]).query("RENAME TABLE t TO t4, t3 TO t");
    insert(&mut log, 7, "t");
    insert(&mut log, 8, "t4");
    log.add(34, &[0; 42]).query("DROP TABLE t");
    log.add(34, &[0; 42]).query("CREATE TABLE t LIKE t2");
    insert(&mut log, 9, "t");
    for (ignores, expected) in [(true, 4), (false, 6)] {
        for batch_max_bytes in [1, 1 << 20] {
            let mut reading = Reading::of(&schema(&cells), batch_max_bytes);
            let selection = Selection::new(&["d.t*".to_owned()], &[]).unwrap();
            reading.selection = if ignores { selection.without_new([TableId::new("d", "t")]) } else { selection };
            let (batches, failed) = reading.everywhere(&log);
            assert!(failed.is_none(), "{failed:?}");
            assert_eq!(batches.iter().map(Batch::row_count).sum::<usize>(), expected);
            let lines = lines(&batches).join("\n");
            assert_eq!(lines.contains("CREATE TABLE t2"), !ignores, "{lines}");
            let folder = tempfile::tempdir().unwrap();
            let mut decoder = reading.decoder(start(), vec![reading.table.clone()], Vec::new(), folder.path());
            reading.read(&mut decoder, &log);
            let named: Vec<_> = decoder.ignored.take().into_iter().map(|table| table.table.to_string()).collect();
            assert_eq!(named, if ignores { ["t2", "t3", "t4"].as_slice() } else { &[] });
        }
    }
    // A new table with rows cannot take the place of a table that is delivered.
    log.add(34, &[0; 42]).query("RENAME TABLE t TO t5, t2 TO t");
    let mut reading = Reading::of(&schema(&cells), 1 << 20);
    reading.selection = Selection::new(&["d.t*".to_owned()], &[]).unwrap().without_new([TableId::new("d", "t")]);
    let error = reading.everywhere(&log).1.unwrap();
    assert!(error.to_string().contains("d.t2, of which not all changes were delivered"), "{error}");
}

#[test]
fn a_table_whose_schema_was_lost_cannot_come_into_the_selection() {
    let cells = [integer(1, 4, false)];
    let insert = |log: &mut Log, table: &str| {
        log.begin().table(5, table, &cells).rows(30, 5, 1, &[image(&cells, &[])]).commit();
    };
    for lost in
        ["ALTER TABLE f FROBNICATE", "CREATE OR REPLACE TABLE f ENGINE = FEDERATED CONNECTION = 'x'", "CREATE OR REPLACE TABLE f LIKE d.x"]
    {
        let mut log = Log::new();
        insert(&mut log, "t");
        // Whether a table has rows does not matter if its schema is not known.
        for statement in ["CREATE TABLE f LIKE t", "CREATE TABLE other LIKE f", lost] {
            log.add(34, &[0; 42]).query(statement);
            insert(&mut log, "t");
        }
        let mut renamed = Log { offset: log.offset, events: log.events.clone() };
        renamed.add(34, &[0; 42]).query("RENAME TABLE t TO u, f TO t");
        // What was copied before is still known.
        log.add(34, &[0; 42]).query("RENAME TABLE t TO u, other TO t");
        insert(&mut log, "t");
        for batch_max_bytes in [1, 1 << 20] {
            let reading = Reading::of(&schema(&cells), batch_max_bytes);
            let (batches, failed) = reading.everywhere(&renamed);
            let failed = failed.unwrap_or_else(|| panic!("{lost}: the table was taken"));
            assert_eq!(failed.code(), Some("E_SCHEMA_MISMATCH"), "{lost}: {failed}");
            assert_eq!(batches.iter().map(Batch::row_count).sum::<usize>(), 4, "{lost}");
            let (batches, failed) = reading.everywhere(&log);
            assert!(failed.is_none(), "{lost}: {failed:?}");
            assert_eq!(batches.iter().map(Batch::row_count).sum::<usize>(), 5, "{lost}");
        }
    }
}

#[test]
fn what_a_refetched_schema_changes_is_committed_behind_its_statement() {
    let (old, new) = ([integer(1, 4, false)], [integer(2, 8, false), integer(1, 4, false)]);
    let mut log = Log::new();
    let insert = |log: &mut Log, id: u8, cells: &[Sample]| {
        log.begin().table(id, "t", cells).rows(30, id, cells.len(), &[image(cells, &[])]).commit();
    };
    insert(&mut log, 5, &old);
    log.first_half("a", "t", &[7], false);
    insert(&mut log, 5, &old);
    log.add(34, &[0; 42]).query("ALTER TABLE t FROBNICATE");
    let behind = log.offset;
    insert(&mut log, 6, &new);
    for batch_max_bytes in [1, 1 << 20] {
        let mut reading = Reading::of(&schema(&old), batch_max_bytes);
        reading.refetched = Some(TableSchema::clone(&schema(&new)));
        let folder = tempfile::tempdir().unwrap();
        let (batches, failed) = reading.read(&mut reading.decoder(start(), vec![reading.table.clone()], Vec::new(), folder.path()), &log);
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!(batches.iter().map(Batch::row_count).sum::<usize>(), 3);
        let carries = |batch: &Batch| batch.facts.stored().any(|(_, text)| text.is_some_and(|text| text.contains("FROBNICATE")));
        assert_eq!(batches.iter().filter(|batch| carries(batch)).count(), 1, "the prepared rows are in doubt");
        for batch in batches.iter().filter(|batch| carries(batch)) {
            let resume = StreamPosition::parse(batch.resume.as_ref().expect("a resume point").as_str()).unwrap();
            assert!(resume.at.offset >= behind, "{resume} is before {behind}");
        }
        let changes: Vec<_> =
            batches.iter().filter(|batch| batch.events.iter().any(|event| matches!(event.body, Body::Schema(_)))).collect();
        assert!(changes.len() == 1 && changes[0].events.len() == 1, "a schema change is alone in its batch");
    }
    // The same without the prepared transaction, from every resume point.
    let mut log = Log::new();
    for _ in 0..2 {
        insert(&mut log, 5, &old);
    }
    log.add(34, &[0; 42]).query("ALTER TABLE t FROBNICATE");
    for _ in 0..2 {
        insert(&mut log, 6, &new);
    }
    for batch_max_bytes in [1, 1 << 20] {
        let mut reading = Reading::of(&schema(&old), batch_max_bytes);
        reading.refetched = Some(TableSchema::clone(&schema(&new)));
        let (batches, failed) = reading.everywhere(&log);
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!(batches.iter().map(Batch::row_count).sum::<usize>(), 4);
    }
}
