//! Tests of statements, of the known character sets of databases, and of damaged events.

use super::*;

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
