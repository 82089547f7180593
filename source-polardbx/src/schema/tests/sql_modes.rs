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
