//! Modes of a session that give types another meaning.

use crate::schema::{Dialect, Effect, Statement, StatementContext, read_statement};

#[test]
fn modes_that_change_the_meaning_of_types() {
    let kinds = |version: &str, mode: u64, sql: &str| {
        let context =
            StatementContext { dialect: Dialect::of_version(version).with_sql_mode(mode), ..StatementContext::new("d", &|_| None) };
        let Statement::Change(change) = read_statement(sql, &context) else { panic!("{sql}") };
        let [Effect::Create { definition: Ok(made), .. }] = &change.effects[..] else { panic!("{sql}") };
        made.schema.columns.iter().map(|column| column.source_type.clone()).collect::<Vec<_>>()
    };
    let (oracle, maxdb) = (1 << 9, 1 << 12);
    let sql = "CREATE TABLE t (a NUMBER(10), b NUMBER, c DATE, d VARCHAR2(9), e CLOB, f RAW(5), g BLOB) CHARSET utf8";
    assert_eq!(
        kinds("10.11.19-MariaDB", oracle, sql),
        ["decimal(10,0)", "double", "datetime", "varchar(9)", "longtext", "varbinary(5)", "longblob"]
    );
    // MySQL's mode of the same name changes no type.
    assert_eq!(kinds("5.7.22", oracle, "CREATE TABLE t (a DATE)"), ["date"]);
    assert_eq!(kinds("5.7.22", maxdb, "CREATE TABLE t (a TIMESTAMP(3))"), ["datetime(3)"]);
}

/// What MariaDB 10.11 logs of a session with `sql_mode=MSSQL`.
#[test]
fn brackets_quote_names_in_one_mode_of_mariadb() {
    let mode = 1 << 10 | 4 | 2 | 8;
    let context = StatementContext {
        dialect: Dialect::of_version("10.11.19-MariaDB").with_sql_mode(mode),
        ..StatementContext::new("sv", &|_| Some(runtime::Collation::new("latin1_swedish_ci")))
    };
    let Statement::Change(change) = read_statement("create table [n n] ([i d] int, \"x\" char(3))", &context) else { panic!() };
    let [Effect::Create { definition: Ok(made), .. }] = &change.effects[..] else { panic!("{change:?}") };
    assert_eq!(made.schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["i d", "x"]);
    let altered = read_statement("alter table [n n] add [z] int", &context);
    assert!(
        matches!(altered, Statement::Change(change) if matches!(&change.effects[..], [Effect::Alter { table, .. }] if &*table.table == "n n"))
    );
}

#[test]
fn storage_engines_have_options_of_their_own() {
    let context = StatementContext { dialect: Dialect::of_version("10.11.19-MariaDB"), ..StatementContext::new("d", &|_| None) };
    for (sql, count) in [
        ("ALTER TABLE t PAGE_COMPRESSED=1", 0),
        ("ALTER TABLE t ENCRYPTED=NO, `ENCRYPTION_KEY_ID` = 1", 0),
        ("ALTER TABLE t frob='x' ENCRYPTED=YES, ADD c INT", 1),
    ] {
        let Statement::Change(change) = read_statement(sql, &context) else { panic!("{sql}") };
        let columns = match &change.effects[..] {
            [Effect::Keep { .. }] => 0,
            [Effect::Alter { alter, .. }] => alter.columns.len(),
            other => panic!("{sql}: {other:?}"),
        };
        assert_eq!(columns, count, "{sql}");
    }
    assert!(matches!(read_statement("ALTER TABLE t frob 'x'", &context), Statement::Unreadable(..)));
}

#[test]
fn system_versioning_is_refused_by_name() {
    let context = StatementContext { dialect: Dialect::of_version("10.11.19-MariaDB"), ..StatementContext::new("d", &|_| None) };
    for clause in ["ADD SYSTEM VERSIONING", "DROP SYSTEM VERSIONING", "ADD PERIOD FOR SYSTEM_TIME (a, b)", "DROP PERIOD FOR SYSTEM_TIME"] {
        let read = read_statement(&format!("ALTER TABLE t {clause}"), &context);
        assert!(
            matches!(&read, Statement::Unreadable(error, _) if error.what == "tables with system versioning are not supported"),
            "{read:?}"
        );
    }
}
