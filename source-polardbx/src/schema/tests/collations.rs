//! Which collations statements give to columns, tables and databases. What is expected here was seen on MySQL 5.7.22, 8.0.15 and 9.7, and on
//! MariaDB 10.11.

use std::sync::Arc;

use runtime::{Collation, TableId};

use crate::schema::{Dialect, History, Interest, SessionCollations, Statement, StatementContext, read_create_table, read_statement};

const MYSQL_57: &str = "5.7.22-log";
const MYSQL_80: &str = "8.0.15";
const MYSQL_97: &str = "9.7.4";
const MARIADB: &str = "10.11.19-MariaDB";

/// The collations of the table `p.t` and of its columns, and that of the database `p`, after these statements.
fn after(version: &str, session: SessionCollations<'_>, statements: &str) -> String {
    let databases = [("p".to_owned(), Collation::new("utf8mb4_unicode_ci")), ("q".to_owned(), Collation::new("latin1_german1_ci"))];
    let mut history = History::new([], databases, false);
    let mut database = "p";
    for sql in statements.split("; ") {
        if let Some(name) = sql.strip_prefix("USE ") {
            database = name;
            continue;
        }
        let statement = {
            let collations = |name: &str| history.collation(name);
            let context =
                StatementContext { dialect: Dialect::of_version(version), session, ..StatementContext::new(database, &collations) };
            read_statement(sql, &context)
        };
        let Statement::Change(change) = statement else { panic!("{version} {sql}: {statement:?}") };
        history.apply(&change, 1, &|_| Interest::Selected).unwrap_or_else(|error| panic!("{version} {sql}: {error}"));
    }
    let shown = |collation: Option<&Collation>| collation.map_or("-".to_owned(), Collation::to_string);
    match history.table(&TableId::new("p", "t")) {
        Some(schema) => {
            let columns = schema.columns.iter().map(|column| format!(" {}", shown(column.collation.as_ref())));
            format!("{}:{}", shown(schema.collation.as_ref()), columns.collect::<String>())
        }
        None => shown(history.collation("p").as_ref()),
    }
}

#[test]
fn columns_say_it_in_many_ways() {
    let all = [MYSQL_57, MYSQL_80, MYSQL_97, MARIADB];
    let session = SessionCollations { server: Some(8), ..SessionCollations::default() };
    for (statements, expected) in [
        ("CREATE TABLE t (a CHAR(3), b CHAR(3) BINARY, c INT)", "utf8mb4_unicode_ci: utf8mb4_unicode_ci utf8mb4_bin -"),
        (
            "CREATE TABLE t (a CHAR(3) CHARACTER SET latin1, b TEXT COLLATE latin1_bin) CHARSET latin1 COLLATE latin1_german1_ci",
            "latin1_german1_ci: latin1_swedish_ci latin1_bin",
        ),
        (
            "CREATE TABLE t (a CHAR(3) ASCII, b CHAR(3) BINARY ASCII, c CHAR(3) UNICODE, d CHAR(3) CHARSET gbk BINARY, e ENUM('a') BYTE)",
            "utf8mb4_unicode_ci: latin1_swedish_ci latin1_bin ucs2_general_ci gbk_bin binary",
        ),
        (
            "CREATE TABLE t (a NCHAR(3), b NCHAR(3) BINARY, c NATIONAL VARCHAR(3), d NVARCHAR(3) COLLATE utf8_bin)",
            "utf8mb4_unicode_ci: utf8_general_ci utf8_bin utf8_general_ci utf8_bin",
        ),
        (
            "CREATE TABLE t (a CHAR(3)) COLLATE utf8_bin; ALTER TABLE t CHARSET utf8, ADD b CHAR(3)",
            "utf8_general_ci: utf8_bin utf8_general_ci",
        ),
        (
            "CREATE TABLE t (a CHAR(3), b CHAR(3)) COLLATE latin1_bin; ALTER TABLE t CONVERT TO CHARACTER SET utf8 COLLATE utf8_unicode_ci, \
          ADD c CHAR(3) BINARY, MODIFY b CHAR(4) COLLATE utf8_general_ci",
            "utf8_unicode_ci: utf8_unicode_ci utf8_unicode_ci utf8_bin",
        ),
        (
            "CREATE TABLE t (a CHAR(3)) COLLATE latin1_bin; ALTER TABLE t CONVERT TO CHARACTER SET utf8, DEFAULT COLLATE utf8_unicode_ci",
            "utf8_unicode_ci: utf8_general_ci",
        ),
        (
            "CREATE TABLE s (a CHAR(3) COLLATE gbk_bin) COLLATE latin1_bin; CREATE TABLE t LIKE s; ALTER TABLE t ADD b CHAR(1)",
            "latin1_bin: gbk_bin latin1_bin",
        ),
        ("ALTER DATABASE p COLLATE latin1_bin; CREATE TABLE t (a CHAR(1))", "latin1_bin: latin1_bin"),
        ("DROP DATABASE p; CREATE DATABASE p; CREATE TABLE t (a CHAR(1))", "latin1_swedish_ci: latin1_swedish_ci"),
        ("DROP DATABASE p; CREATE DATABASE p COLLATE utf8_bin", "utf8_bin"),
    ] {
        for version in all {
            assert_eq!(after(version, session, statements), expected, "{version} {statements}");
        }
    }
}

#[test]
fn servers_differ() {
    let session = SessionCollations { server: Some(224), ..SessionCollations::default() };
    let converted = "CREATE TABLE t (a CHAR(3)) COLLATE latin1_bin; ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4, \
                     ADD b NCHAR(3) BINARY, ADD c CHAR(3) CHARACTER SET latin1 BINARY, ADD d CHAR(3) ASCII BINARY";
    for (version, statements, expected) in [
        (MYSQL_57, "CREATE TABLE t (a CHAR(3) CHARACTER SET utf8mb4)", "utf8mb4_unicode_ci: utf8mb4_general_ci"),
        (MYSQL_80, "CREATE TABLE t (a CHAR(3) CHARACTER SET utf8mb4)", "utf8mb4_unicode_ci: utf8mb4_0900_ai_ci"),
        (MARIADB, "CREATE TABLE t (a CHAR(3) CHARACTER SET utf8mb4, b JSON)", "utf8mb4_unicode_ci: utf8mb4_general_ci utf8mb4_bin"),
        (MYSQL_57, "CREATE TABLE t (a CHAR(3) CHARSET latin1 BINARY COLLATE latin1_german1_ci)", "utf8mb4_unicode_ci: latin1_bin"),
        (MYSQL_80, "CREATE TABLE t (a CHAR(3) CHARSET latin1 BINARY COLLATE latin1_german1_ci)", "utf8mb4_unicode_ci: latin1_german1_ci"),
        (MYSQL_57, converted, "utf8mb4_general_ci: utf8mb4_general_ci utf8mb4_bin utf8mb4_bin utf8mb4_general_ci"),
        (MYSQL_80, converted, "utf8mb4_0900_ai_ci: utf8mb4_0900_ai_ci utf8mb4_0900_ai_ci utf8mb4_0900_ai_ci utf8mb4_0900_ai_ci"),
        (MARIADB, converted, "utf8mb4_general_ci: utf8mb4_general_ci utf8mb4_general_ci utf8mb4_general_ci utf8mb4_general_ci"),
        // The order of the options.
        (MYSQL_57, "CREATE TABLE t (a CHAR(3)) COLLATE latin1_bin CHARSET latin1", "latin1_swedish_ci: latin1_swedish_ci"),
        (MYSQL_80, "CREATE TABLE t (a CHAR(3)) COLLATE latin1_bin CHARSET latin1", "latin1_swedish_ci: latin1_swedish_ci"),
        (MYSQL_97, "CREATE TABLE t (a CHAR(3)) COLLATE latin1_bin CHARSET latin1", "latin1_bin: latin1_bin"),
        (MARIADB, "CREATE TABLE t (a CHAR(3)) COLLATE latin1_bin CHARSET latin1", "latin1_bin: latin1_bin"),
        // DEFAULT.
        (MYSQL_57, "CREATE TABLE t (a CHAR(3)) CHARSET latin1 COLLATE DEFAULT", "utf8mb4_unicode_ci: utf8mb4_unicode_ci"),
        (MARIADB, "CREATE TABLE t (a CHAR(3)) CHARSET latin1 COLLATE DEFAULT", "latin1_swedish_ci: latin1_swedish_ci"),
        (
            MARIADB,
            "CREATE TABLE t (a CHAR(3), b CHAR(3) COLLATE DEFAULT) CHARSET DEFAULT",
            "utf8mb4_general_ci: utf8mb4_general_ci utf8mb4_general_ci",
        ),
        (MYSQL_57, "CREATE TABLE t (a CHAR(3)) CHARSET latin1; ALTER TABLE t COLLATE DEFAULT", "utf8mb4_unicode_ci: latin1_swedish_ci"),
        (MARIADB, "CREATE TABLE t (a CHAR(3)) COLLATE latin1_bin; ALTER TABLE t COLLATE DEFAULT", "latin1_swedish_ci: latin1_bin"),
        (MYSQL_57, "ALTER DATABASE p COLLATE DEFAULT", "utf8mb4_unicode_ci"),
        (MYSQL_57, "ALTER DATABASE p COLLATE latin1_bin; ALTER DATABASE p CHARSET DEFAULT", "utf8mb4_unicode_ci"),
        (MARIADB, "ALTER DATABASE p COLLATE latin1_bin; ALTER DATABASE p CHARSET DEFAULT", "utf8mb4_general_ci"),
        (MARIADB, "ALTER DATABASE p COLLATE latin1_bin; ALTER DATABASE p COLLATE DEFAULT", "latin1_swedish_ci"),
        // A conversion to the default is one to that of another database, or of the server.
        (
            MYSQL_80,
            "CREATE TABLE t (a CHAR(3)) COLLATE gbk_bin; USE q; ALTER TABLE p.t CONVERT TO CHARACTER SET DEFAULT",
            "latin1_german1_ci: latin1_german1_ci",
        ),
        (
            MYSQL_57,
            "CREATE TABLE t (a CHAR(3)) COLLATE gbk_bin; USE ; ALTER TABLE p.t CONVERT TO CHARACTER SET DEFAULT",
            "utf8mb4_unicode_ci: utf8mb4_unicode_ci",
        ),
        (
            MARIADB,
            "CREATE TABLE t (a CHAR(3)) COLLATE gbk_bin; USE q; ALTER TABLE p.t CONVERT TO CHARACTER SET DEFAULT",
            "utf8mb4_general_ci: utf8mb4_general_ci",
        ),
        // MariaDB has collations without a character set.
        (
            MARIADB,
            "CREATE TABLE t (a CHAR(3) COLLATE uca1400_ai_ci, b CHAR(3) CHARSET utf8 COLLATE uca1400_as_ci) COLLATE uca1400_as_cs",
            "utf8mb4_uca1400_as_cs: utf8mb4_uca1400_ai_ci utf8_uca1400_as_ci",
        ),
        (
            MARIADB,
            "CREATE TABLE t (a CHAR(3)) CHARSET utf8 COLLATE uca1400_as_cs; ALTER TABLE t COLLATE uca1400_ai_ci, ADD b CHAR(3)",
            "utf8_uca1400_ai_ci: utf8_uca1400_as_cs utf8_uca1400_ai_ci",
        ),
        // They hold in the table as it becomes, and are not converted. BINARY is such a collation, too.
        (
            MARIADB,
            "CREATE TABLE t (a CHAR(3)) COLLATE utf8mb4_bin; ALTER TABLE t CONVERT TO CHARACTER SET utf8, CHARSET utf8mb4, \
             ADD b CHAR(3) COLLATE uca1400_as_cs, ADD c CHAR(3) COLLATE DEFAULT, ADD d CHAR(3) BINARY, ADD e CHAR(3) COLLATE latin1_bin",
            "utf8mb4_general_ci: utf8_general_ci utf8mb4_uca1400_as_cs utf8mb4_general_ci utf8mb4_bin utf8_general_ci",
        ),
        (
            MARIADB,
            "CREATE TABLE t (a CHAR(3)); ALTER TABLE t CONVERT TO CHARACTER SET utf8 COLLATE utf8_bin, CONVERT TO CHARACTER SET utf8",
            "utf8_bin: utf8_bin",
        ),
        (MARIADB, "ALTER DATABASE p COLLATE uca1400_ai_ci", "utf8mb4_uca1400_ai_ci"),
    ] {
        assert_eq!(after(version, session, statements), expected, "{version} {statements}");
    }
}

#[test]
fn sessions_have_defaults_of_their_own() {
    let statements = "CREATE TABLE t (a CHAR(3) CHARACTER SET utf8mb4) CHARSET latin1; ALTER TABLE t ADD b CHAR(3), CHARSET utf8mb4";
    let session = SessionCollations { utf8mb4: Some(45), ..SessionCollations::default() };
    assert_eq!(after(MYSQL_80, session, statements), "utf8mb4_general_ci: utf8mb4_general_ci utf8mb4_general_ci");
    let session = SessionCollations { defaults: &[[45, 2_304], [8, 47]], ..SessionCollations::default() };
    assert_eq!(after("11.8.2-MariaDB", session, statements), "utf8mb4_uca1400_ai_ci: utf8mb4_uca1400_ai_ci utf8mb4_uca1400_ai_ci");
    let own = "CREATE TABLE t (a CHAR(3)) COLLATE latin1_german1_ci; ALTER TABLE t COLLATE DEFAULT";
    assert_eq!(after("11.8.2-MariaDB", session, own), "latin1_bin: latin1_german1_ci");
}

#[test]
fn a_collation_that_is_not_known_keeps_its_name() {
    let printed = "CREATE TABLE `t` (`a` varchar(3) COLLATE utf8mb4_new_ai_ci, `b` varchar(3)) CHARSET=utf8mb3 COLLATE=utf8mb3_newer_ci";
    let schema = Arc::new(read_create_table(printed, "p", &|_| None).unwrap().schema);
    let names: Vec<_> = schema.columns.iter().map(|column| (column.collation.as_ref().map(Collation::name), column.charset())).collect();
    assert_eq!(names, [(Some("utf8mb4_new_ai_ci"), Some("utf8mb4")), (Some("utf8_newer_ci"), Some("utf8"))]);
}
