//! Tests of the kind of each DDL statement, and of the statements that make no event.

use super::history::{apply, history};
use super::*;

fn kind(sql: &str) -> Option<SchemaChangeKind> {
    match read(sql) {
        Statement::Change(change) => change.kind,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn the_first_item_of_an_alter_decides() {
    use SchemaChangeKind::{AlterTable, CreateIndex, DropIndex, RenameTable};
    for (items, expected) in [
        ("ADD c int", AlterTable),
        ("ADD COLUMN c int, ADD INDEX (c)", AlterTable),
        ("ADD INDEX i (a), ADD COLUMN c int", CreateIndex),
        ("ADD UNIQUE (a), ADD COLUMN c int", CreateIndex),
        ("ADD CONSTRAINT u UNIQUE KEY (a)", CreateIndex),
        ("ADD PRIMARY KEY (a)", CreateIndex),
        ("ADD CONSTRAINT p PRIMARY KEY (a)", CreateIndex),
        ("ADD FULLTEXT KEY (a)", CreateIndex),
        ("ADD SPATIAL INDEX (a)", CreateIndex),
        ("ADD INDEX ((a + 1))", CreateIndex),
        ("DROP INDEX i, DROP COLUMN c", DropIndex),
        ("DROP KEY i", DropIndex),
        ("DROP INDEX `PRIMARY`", DropIndex),
        ("DROP FOREIGN KEY f", DropIndex),
        ("DROP CONSTRAINT f", DropIndex),
        ("DROP PRIMARY KEY", AlterTable),
        ("DROP CHECK c", AlterTable),
        ("DROP COLUMN c, DROP INDEX i", AlterTable),
        ("RENAME TO u", RenameTable),
        ("RENAME u, ADD INDEX (a)", RenameTable),
        ("RENAME INDEX a TO b", AlterTable),
        ("RENAME COLUMN a TO b", AlterTable),
        ("MODIFY a bigint", AlterTable),
        ("CHANGE a b int", AlterTable),
        ("ALTER a SET DEFAULT 5", AlterTable),
        ("CONVERT TO CHARACTER SET utf8mb4", AlterTable),
        ("COMMENT 'x'", AlterTable),
        ("ENGINE=InnoDB, ADD INDEX (a)", AlterTable),
        ("ADD PARTITION (PARTITION p VALUES LESS THAN (9))", AlterTable),
        ("DROP PARTITION p", AlterTable),
        ("TRUNCATE PARTITION p", AlterTable),
        ("EXCHANGE PARTITION p WITH TABLE u", AlterTable),
        ("PARTITION BY KEY (a)", AlterTable),
        ("", AlterTable),
        // A constraint alone makes no event. If the statement has another clause, that clause decides.
        ("ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES x (b), ADD INDEX (a)", CreateIndex),
        ("ADD CHECK (a > 0), COMMENT 'x'", AlterTable),
    ] {
        assert_eq!(kind(&format!("ALTER TABLE t {items}")), Some(expected), "{items}");
    }
}

#[test]
fn ddl_that_does_not_affect_rows_makes_no_event() {
    for sql in [
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES x (b)",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY k (a) REFERENCES x (b) ON DELETE CASCADE",
        "ALTER TABLE t ADD CHECK (a > 0)",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0), ADD FOREIGN KEY (a) REFERENCES x (b)",
        "ALTER DATABASE d CHARACTER SET utf8mb4",
        "ALTER SCHEMA COLLATE latin1_bin",
    ] {
        assert_eq!(kind(sql), None, "{sql}");
    }
}

#[test]
fn statements_other_than_alter() {
    use SchemaChangeKind::{CreateIndex, CreateTable, Database, DropIndex, DropTable, RenameTable, TruncateTable};
    for (sql, expected) in [
        ("CREATE TABLE n (a int)", CreateTable),
        ("CREATE TABLE n LIKE t", CreateTable),
        ("DROP TABLE a, b", DropTable),
        ("RENAME TABLE a TO b, c TO d", RenameTable),
        ("TRUNCATE t", TruncateTable),
        ("CREATE UNIQUE INDEX i ON t (a)", CreateIndex),
        ("CREATE INDEX i ON t (a) USING BTREE", CreateIndex),
        ("DROP INDEX i ON t", DropIndex),
        ("CREATE DATABASE `x`", Database),
        ("DROP SCHEMA x", Database),
    ] {
        assert_eq!(kind(sql), Some(expected), "{sql}");
    }
}

#[test]
fn ddl_that_did_nothing_makes_an_event_too() {
    let mut known = history();
    assert_eq!(apply(&mut known, "CREATE TABLE IF NOT EXISTS t LIKE n").unwrap(), [("d.t".to_owned(), Some(3))]);
    assert_eq!(
        apply(&mut known, "DROP TABLE IF EXISTS never, no, t, e.t").unwrap(),
        [("d.never".to_owned(), None), ("d.t".to_owned(), None)]
    );
}
