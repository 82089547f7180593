//! Tests of statements, of the known character sets of databases, and of damaged events.

use runtime::{Commit, Committed};

use super::*;
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
    assert_eq!((name, text), ("database_charsets/global", Some(r#"1 {"d":"utf8mb4","x":"gbk"}"#)));
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

/// Decodes the log, and again from every resume point with what was committed there. Returns the lines of the first time.
fn read_from_everywhere(log: &Log, table: &Arc<TableSchema>, batch_max_bytes: usize) -> Vec<String> {
    let of = |position: StreamPosition, tables: Vec<Arc<TableSchema>>, followed: Vec<FollowedTable>| {
        let mut history = History::new(tables, [("d".to_owned(), "utf8mb4".to_owned())], false);
        history.restore_followed(followed);
        let selection = Selection::new(&["d.t".to_owned()], &[]).unwrap();
        Decoder::new(DecoderOptions { history, selection, ..options(position, table.clone(), batch_max_bytes) })
    };
    let (all, failed) = read(&mut of(start(), vec![table.clone()], Vec::new()), log);
    assert!(failed.is_none(), "{failed:?}");
    let expected = lines(&all);
    let mut schemas = std::collections::HashMap::from([(table.id.clone(), Some(table.clone()))]);
    let (mut committed, mut count) = (Committed::default(), 0);
    for batch in all {
        count += lines(std::slice::from_ref(&batch)).len();
        for event in &batch.events {
            if let Body::Schema(change) = &event.body {
                schemas.extend(change.tables.iter().cloned());
            }
        }
        let Some(resume) = batch.resume else { continue };
        committed.apply(&Commit { facts: batch.facts, ..Commit::default() });
        let position = StreamPosition::parse(resume.as_str()).unwrap();
        let followed = committed.facts::<FollowedTable>().map(|fact| fact.unwrap().1).collect();
        let mut decoder = of(position.clone(), schemas.values().flatten().cloned().collect(), followed);
        let (rest, failed) = read(&mut decoder, &dump(log, Decoder::dump_from(&position)));
        assert!(failed.is_none(), "from {resume}: {failed:?}");
        assert_eq!(lines(&rest), expected[count..], "from {resume}");
    }
    expected
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
        let lines = read_from_everywhere(&log, &schema(&cells), batch_max_bytes);
        let rows = lines.iter().filter(|line| line.contains("Row(")).count();
        assert_eq!(rows, 6, "{lines:#?}");
    }
}
