//! A statement takes little memory besides its text, whoever wrote it and however long it is.

#![allow(clippy::panic, reason = "a test")]

use source_polardbx::schema::{Effect, Statement, StatementContext, read_statement};

const MIB: u64 = 1 << 20;

/// What a statement may take besides its text, in bytes. What is kept of it is limited by number.
const LIMIT: u64 = 64 * MIB;

/// Reads the statement, and checks that it takes at most `limit` bytes.
fn read(sql: &str, limit: u64) -> Statement {
    let mut read = None;
    let context = StatementContext::new("d", &|_| None);
    let taken = allocation_counter::measure(|| read = Some(read_statement(sql, &context))).bytes_max;
    assert!(taken <= limit, "{} ({} bytes) takes {taken} bytes", sql.get(..40).unwrap_or(sql), sql.len());
    read.unwrap_or(Statement::Nothing)
}

#[test]
fn a_statement_that_keeps_nothing_takes_nothing() {
    let list = "1,".repeat(5_000_000);
    let words = "a + b * ".repeat(2_000_000);
    let quotes = format!("'{}'", "it''s \\n".repeat(2_000_000));
    for head in ["CREATE PROCEDURE p() SELECT", "CREATE FUNCTION f() RETURNS INT RETURN", "CREATE EVENT e DO SELECT", "GRANT", "SET @a ="] {
        for tail in [&list, &words, &quotes] {
            assert_eq!(read(&format!("{head} {tail} 1"), 4_096), Statement::Unrelated, "{head}");
        }
    }
    for head in ["CREATE VIEW v AS SELECT", "CREATE OR REPLACE VIEW v AS SELECT"] {
        assert!(matches!(read(&format!("{head} {list} 1"), 4_096), Statement::Others { .. }), "{head}");
    }
    for head in ["INSERT INTO t SELECT", "CREATE TABLE t SELECT", "CREATE TABLE t AS SELECT", "CREATE TABLE t (a INT) SELECT", "CALL p("] {
        for tail in [&list, &words, &quotes] {
            assert!(matches!(read(&format!("{head} {tail} 1"), 8_192), Statement::Rows(_)), "{head}");
        }
    }
    for sql in [format!("ALTER TABLE t COMMENT {quotes}"), format!("ALTER TABLE t ADD CHECK (a IN ({list} 1))")] {
        assert!(matches!(read(&sql, 8_192), Statement::Change(_)));
    }
    for open in ["'", "\"", "`", "/* "] {
        for tail in [&list, &words, &quotes] {
            let sql = format!("CREATE PROCEDURE p() SELECT {open}{} ", tail.replace(open, ""));
            let read = read(&sql, 4_096);
            assert!(
                matches!(&read, Statement::Unreadable(error, tables) if error.what.contains("without end") && tables.is_empty()),
                "{read:?}"
            );
        }
    }
}

#[test]
fn what_is_kept_of_a_statement_is_limited() {
    for (head, item, tail) in [
        ("ALTER TABLE t ADD c INT", ", ADD c INT", ""),
        ("ALTER TABLE t ADD (c INT", ", c INT", ")"),
        ("ALTER TABLE t DROP c", ", DROP c", ""),
        ("ALTER TABLE t CHANGE a b INT", ", CHANGE a b INT", ""),
        ("ALTER TABLE t RENAME COLUMN a TO b", ", RENAME COLUMN a TO b", ""),
        ("ALTER TABLE t ADD UNIQUE (a)", ", ADD UNIQUE (a)", ""),
        ("ALTER TABLE t ADD UNIQUE (a", ",a", ")"),
        ("ALTER TABLE t ADD UNIQUE ((1)", ",(1)", ")"),
        ("ALTER TABLE t DROP KEY a", ", DROP KEY a", ""),
        ("ALTER TABLE t ADD c ENUM('a'", ",'b'", ")"),
        ("ALTER TABLE t ADD c INT(1", ",1", ")"),
        ("ALTER TABLE t CONVERT PARTITION p TO TABLE u", ", CONVERT PARTITION p TO TABLE u", ""),
        ("ALTER TABLE t PARTITION BY KEY(a", ",a", ")"),
        ("ALTER TABLE t ADD PERIOD FOR p(a", ",a", ")"),
        ("ALTER TABLE t CHARSET a", " CHARSET a", ""),
        ("ALTER TABLE t CHARSET DEFAULT", " CHARSET DEFAULT", ""),
        ("DROP TABLE a", ",a", ""),
        ("DROP VIEW a", ",a", ""),
        ("RENAME TABLE a TO b", ",a TO b", ""),
        ("UPDATE a", ",a", " SET x = 1"),
        ("ALTER DATABASE d CHARSET a", " CHARSET a", ""),
    ] {
        let sql = head.to_owned() + &item.repeat((16 << 20) / item.len()) + tail;
        let read = read(&sql, LIMIT);
        let Statement::Unreadable(error, _) = &read else { panic!("{head}: {:.100}", format!("{read:?}")) };
        assert!(error.what.contains("more than"), "{head}: {error}");
    }
    for (head, item, tail) in [
        ("CREATE TABLE t (c INT", ", c INT", ")"),
        ("CREATE TABLE t (a INT", ", UNIQUE u (a)", ")"),
        ("CREATE TABLE t (a ENUM('a'", ",'b'", "))"),
        ("CREATE TABLE t (a INT) PARTITION BY KEY(a", ",a", ")"),
    ] {
        let sql = head.to_owned() + &item.repeat((16 << 20) / item.len()) + tail;
        let Statement::Change(change) = read(&sql, LIMIT) else { panic!("{head}") };
        assert!(matches!(&change.effects[..], [Effect::Create { definition: Err(_), .. }]), "{head}");
    }
}

/// Without names, a statement may concern every table.
#[test]
fn a_statement_with_too_many_names_may_concern_every_table() {
    let names = |count: u32| (0..count).map(|number| format!(" n{number}")).collect::<String>();
    let Statement::Unreadable(_, tables) = read(&format!("CREATE GIZMO{}", names(200_000)), LIMIT) else { panic!() };
    assert_eq!(tables, []);
    let Statement::Unreadable(_, tables) = read(&format!("CREATE GIZMO{}", names(20_000)), LIMIT) else { panic!() };
    assert_eq!(tables.len(), 20_001);
    let Statement::Unreadable(_, tables) = read(&format!("ALTER TABLE t GIZMO{}", " a.b".repeat(200_000)), LIMIT) else { panic!() };
    assert_eq!(tables, []);
    // The same name again takes nothing more.
    let Statement::Unreadable(_, tables) = read(&format!("CREATE GIZMO t{}", " t".repeat(1_000_000)), 8_192) else { panic!() };
    assert_eq!(tables.len(), 2);
}
