//! Tests of statements, and of the known character sets of databases.

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
