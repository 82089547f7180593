//! What the statements of PolarDB-X need: a repair of the text for MySQL, and a look at the text of the user, which says more.

use runtime::TableId;

use super::ReadError;
use super::create::{StatementContext, find_column, partition_names};
use super::cursor::Cursor;
use super::lexer::Dialect;
use super::statement::{Change, Effect, Statement, read_statement};

/// The statement without the comma that PolarDB-X leaves in `ALTER TABLE t , ADD PRIMARY KEY (a)`, where it has taken out the first item.
/// `None` if there is no such comma.
pub(crate) fn without_leading_comma(sql: &str, dialect: Dialect) -> Option<String> {
    let mut cursor = Cursor::new(sql, dialect).ok()?;
    if !cursor.take_words(&["ALTER", "TABLE"]) {
        return None;
    }
    cursor.table("").ok()?;
    let at = cursor.offset();
    cursor.take_symbol(',').then(|| {
        let mut repaired = sql.to_owned();
        repaired.replace_range(at..=at, "");
        repaired
    })
}

/// The change of a statement that changes nothing for MySQL: only partitions by other columns, which may be a part of the key. Fails for an
/// ALTER TABLE that may do that and cannot be read.
pub(crate) fn partitions_only(original: &str, context: &StatementContext<'_>) -> Result<Option<Change>, ReadError> {
    let effects = repartitions(original, context)?;
    Ok((!effects.is_empty()).then_some(Change { kind: None, effects }))
}

/// The effects of an ALTER TABLE that partitions a table by other columns.
fn repartitions(original: &str, context: &StatementContext<'_>) -> Result<Vec<Effect>, ReadError> {
    let repaired = without_leading_comma(original, context.dialect);
    match read_statement(repaired.as_deref().unwrap_or(original), context) {
        Statement::Change(change) => Ok(change.effects.into_iter().filter(|effect| matches!(effect, Effect::Repartition { .. })).collect()),
        Statement::Unreadable(error, _) => {
            let mut cursor = Cursor::new(original, context.dialect)?;
            let is_alter = cursor.take_words(&["ALTER", "TABLE"]);
            let mut names_partitions = cursor.holds_word(&["PARTITIONING", "SINGLE", "BROADCAST"]);
            while !names_partitions && cursor.peek().is_some() {
                names_partitions = cursor.is_partition_clause();
                cursor.advance();
            }
            if is_alter && names_partitions { Err(error) } else { Ok(Vec::new()) }
        }
        _ => Ok(Vec::new()),
    }
}

/// The table from which a statement removes partitions with their rows, which are not in the binlog.
pub(crate) fn loses_partitions(original: &str, context: &StatementContext<'_>) -> Option<TableId> {
    let mut cursor = Cursor::new(original, context.dialect).ok()?;
    if !cursor.take_words(&["ALTER", "TABLE"]) {
        return None;
    }
    let table = cursor.table(context.database).ok()?;
    let removes = cursor.take_word(&["TRUNCATE", "DROP"]) && cursor.is_word(0, &["PARTITION", "SUBPARTITION"]);
    removes.then_some(table)
}

/// Adds the partition columns to a change. The text for MySQL, which `change` was read from, leaves them out. Fails if the statement of the
/// user creates or changes a table and cannot be read.
pub(crate) fn add_partitions(change: &mut Change, original: &str, context: &StatementContext<'_>) -> Result<(), ReadError> {
    let mut is_created = false;
    for effect in &mut change.effects {
        if let Effect::Create { definition: Ok(create), .. } = effect {
            let columns = &create.schema.columns;
            let mut partition_columns = Vec::new();
            for column in partition_names(original, context.dialect)?.iter().filter_map(|name| find_column(columns, name)) {
                if !partition_columns.contains(&column) {
                    partition_columns.push(column);
                }
            }
            create.schema.partition_columns = partition_columns;
            is_created = true;
        }
    }
    if !is_created {
        change.effects.extend(repartitions(original, context)?);
    }
    Ok(())
}

/// All tables that a statement may name. Fails if the statement cannot be cut into tokens, or names too many.
pub(crate) fn tables_named(sql: &str, context: &StatementContext<'_>) -> Result<Vec<TableId>, ReadError> {
    Cursor::new(sql, context.dialect)?.names_in_rest(context.database)
}

/// Whether a statement is about accounts, or may hold a password.
pub(crate) fn concerns_accounts(sql: &str, context: &StatementContext<'_>) -> bool {
    let Ok(cursor) = Cursor::new(sql, context.dialect) else { return true };
    cursor.is_word(0, &["GRANT", "REVOKE", "SET"])
        || cursor.is_word(1, &["USER", "ROLE"])
        || cursor.holds_word(&["IDENTIFIED", "PASSWORD", "AUTHENTICATION"])
}

#[cfg(test)]
mod tests {
    use runtime::Collation;

    use super::*;

    #[test]
    fn only_the_comma_before_the_first_item_is_removed() {
        let repaired = |sql: &str| without_leading_comma(sql, Dialect::default());
        assert_eq!(repaired("ALTER TABLE nopk , ADD PRIMARY KEY (a)").as_deref(), Some("ALTER TABLE nopk  ADD PRIMARY KEY (a)"));
        assert_eq!(repaired("ALTER TABLE `a``,b`.`t`, ADD c INT, DROP d").as_deref(), Some("ALTER TABLE `a``,b`.`t` ADD c INT, DROP d"));
        for other in ["ALTER TABLE t ADD c INT, ADD d INT", "ALTER TABLE t ", "ALTER TABLE", "DROP TABLE a, b", "ALTER TABLE `t"] {
            assert_eq!(repaired(other), None, "{other}");
        }
    }

    #[test]
    fn partition_columns_come_from_the_statement_of_the_user() {
        let context = StatementContext::new("d", &|_| Some(Collation::new("utf8mb4_general_ci")));
        let read = |sql: &str| match read_statement(sql, &context) {
            Statement::Change(change) => change,
            other => panic!("{sql}: {other:?}"),
        };
        for (tail, expected) in [
            ("PARTITION BY KEY(b) PARTITIONS 4", &[1][..]),
            ("dbpartition by hash(`b`) tbpartition by hash(a) tbpartitions 4", &[1, 0]),
            ("BROADCAST", &[]),
            ("PARTITION BY LIST(a) SUBPARTITION BY KEY(B) SUBPARTITIONS 4 (PARTITION p1 VALUES IN(1))", &[0, 1]),
            ("PARTITION BY KEY (b) PARTITIONS 3\nWITH TABLEGROUP = tgi2 IMPLICIT ", &[1]),
            ("SINGLE WITH TABLEGROUP = tgi1 IMPLICIT", &[]),
            ("LOCAL PARTITION BY RANGE(b) INTERVAL 1 MONTH EXPIRE AFTER 12 PRE ALLOCATE 3 PIVOTDATE NOW()", &[]),
            ("PARTITION BY KEY(a) LOCAL PARTITION BY RANGE(b) INTERVAL 1 MONTH", &[0]),
            ("WITH TABLEGROUP = tgi1 IMPLICIT", &[]),
        ] {
            let mut change = read("CREATE TABLE `t` (a INT PRIMARY KEY, b INT)");
            add_partitions(
                &mut change,
                // Columns and keys that MySQL does not have do not matter.
                &format!("CREATE TABLE T (a INT PRIMARY KEY, b INT, v GIZMO, INDEX e ((lower(v))), GLOBAL INDEX g (b) PARTITION BY KEY(b)) {tail}"),
                &context,
            )
            .unwrap();
            let Effect::Create { definition: Ok(create), .. } = &change.effects[0] else { panic!("{change:?}") };
            assert_eq!(create.schema.partition_columns, expected, "{tail}");
        }
        for (sql, is_one) in [
            ("ALTER TABLE t PARTITION BY KEY(b) PARTITIONS 4", true),
            ("ALTER TABLE t SINGLE", true),
            ("ALTER TABLE t BROADCAST", true),
            ("ALTER TABLE t dbpartition by hash(c)", true),
            ("ALTER TABLE t SPLIT PARTITION p1", false),
            ("ANALYZE TABLE t", false),
        ] {
            assert_eq!(partitions_only(sql, &context).unwrap().is_some(), is_one, "{sql}");
        }
        let mut change = read("ALTER TABLE t ");
        add_partitions(&mut change, "ALTER TABLE t PARTITION BY KEY(b)", &context).unwrap();
        assert!(change.effects.iter().any(|effect| matches!(effect, Effect::Repartition { .. })), "{change:?}");
    }

    #[test]
    fn a_statement_that_may_partition_otherwise_must_be_read() {
        let context = StatementContext::new("d", &|_| Some(Collation::new("utf8mb4_general_ci")));
        let Statement::Change(create) = read_statement("CREATE TABLE t (a INT)", &context) else { panic!() };
        for original in ["CREATE TABLE t (a INT", "CREATE gizmo t (a INT) PARTITION BY KEY(a)"] {
            assert!(add_partitions(&mut create.clone(), original, &context).is_err(), "{original}");
        }
        let Statement::Change(alter) = read_statement("ALTER TABLE t ", &context) else { panic!() };
        assert!(add_partitions(&mut alter.clone(), "ALTER TABLE t GIZMO, PARTITION BY KEY(a)", &context).is_err());
        assert!(partitions_only("ALTER TABLE t GIZMO PARTITION BY KEY(a)", &context).is_err());
        assert!(partitions_only("ALTER TABLE t GIZMO, SINGLE", &context).is_err());
        assert_eq!(partitions_only("REFRESH GIZMO t", &context), Ok(None));
        assert_eq!(loses_partitions("ALTER TABLE t TRUNCATE PARTITION p1", &context), Some(TableId::new("d", "t")));
        assert_eq!(loses_partitions("alter table x.t drop partition p1, p2", &context), Some(TableId::new("x", "t")));
        assert_eq!(loses_partitions("ALTER TABLE t DROP COLUMN a", &context), None);
    }

    #[test]
    fn the_statements_of_polardbx_are_read() {
        let context = StatementContext::new("d", &|_| Some(Collation::new("utf8mb4_general_ci")));
        let mut wrong = Vec::new();
        for sql in [
            "ALTER TABLE t MODIFY TTL SET TTL_ENABLE='OFF', TTL_PART_INTERVAL=INTERVAL(1, MONTH), ARCHIVE_TYPE='PARTITION'",
            "ALTER TABLE t CLEANUP EXPIRED DATA",
            "ALTER TABLE t CLEANUP EXPIRED DATA WITH TTL_CLEANUP = 'ON'",
            "ALTER TABLE t REMOVE TTL",
            "ALTER TABLE t SPLIT PARTITION p1 INTO (PARTITION p10 VALUES LESS THAN (5), PARTITION p11 VALUES LESS THAN (10))",
            "ALTER TABLE t SPLIT INTO PARTITIONS 2 BY HOT VALUE(5)",
            "ALTER TABLE t SPLIT INTO hp PARTITIONS 1 BY HOT VALUE('a', 'b')",
            "ALTER TABLE t MERGE PARTITIONS p1,p2 TO p12",
            "ALTER TABLE t MOVE PARTITIONS (p1,p2) TO 'dn-2'",
            "ALTER TABLE t MOVE PARTITIONS p1 TO 'dn-2', p2 TO 'dn-3'",
            "ALTER TABLE t RENAME PARTITION p1 TO q1, p2 TO q2",
            "ALTER TABLE t ADD PARTITION (PARTITION p3 VALUES IN (7), PARTITION p4 VALUES IN (8))",
            "ALTER TABLE t DROP PARTITION p1, p2",
            "ALTER TABLE t TRUNCATE PARTITION p1, p2",
            "ALTER TABLE t REORGANIZE PARTITION p1, p2 INTO (PARTITION p VALUES IN (1))",
            "ALTER TABLE t MODIFY PARTITION p1 ADD VALUES (9, 10)",
            "ALTER TABLE t MODIFY SUBPARTITION sp1 DROP VALUES (9)",
            "ALTER TABLE t EXTRACT TO PARTITION p5 BY HOT VALUE(7)",
            "ALTER TABLE t SET TABLEGROUP=tg2 FORCE",
            "ALTER TABLE t SET TABLEGROUP=''",
            "ALTER TABLE t PARTITION ALIGN TO tg1",
            "ALTER TABLE t EXPIRE LOCAL PARTITION p20210401",
            "ALTER TABLE t LOCAL PARTITION BY RANGE(d) INTERVAL 1 MONTH EXPIRE AFTER 12 PRE ALLOCATE 3 PIVOTDATE NOW()",
            "ALTER TABLE t REMOVE LOCAL PARTITIONING",
            "ALTER TABLE t MODIFY COLUMN a bigint, ALGORITHM=OMC",
            "ALTER TABLE t ADD COLUMN c int AS (a+1) LOGICAL",
            "ALTER TABLE t ADD INDEX e((lower(name)))",
            "ALTER TABLE t ADD GLOBAL INDEX g(a) COVERING(b,c) PARTITION BY KEY(a) PARTITIONS 4",
            "ALTER TABLE t ADD UNIQUE GLOBAL INDEX u(a) DBPARTITION BY HASH(a)",
            "ALTER TABLE t ADD CLUSTERED COLUMNAR INDEX cci(a) PARTITION BY HASH(a) COLUMNAR_OPTIONS='{\"type\":\"snapshot\"}'",
            "ALTER TABLE t ALTER INDEX g VISIBLE",
            "ALTER TABLE t GIZMO p1 WITH x",
            "ALTER TABLE t DISCARD TABLESPACE",
            "ALTER TABLE t TABLEGROUP = tg1",
            "ALTER TABLE t AUTO_INCREMENT = 100",
            "ALTER TABLE t ENGINE = InnoDB, COMMENT 'x'",
            "ALTER TABLE t LOCALITY = 'dn=pxc-1'",
            "ALTER TABLE t PARTITIONS 8",
            "/*+TDDL:cmd_extra(PURE_ASYNC_DDL_MODE=true)*/ ALTER TABLE t ADD COLUMN c INT",
        ] {
            if repartitions(sql, &context) != Ok(Vec::new()) {
                wrong.push(format!("{sql}: {:?}", repartitions(sql, &context)));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        for sql in [
            "ALTER TABLE t SINGLE",
            "ALTER TABLE t BROADCAST",
            "ALTER TABLE t REMOVE PARTITIONING",
            "ALTER TABLE t PARTITION BY KEY(b) PARTITIONS 4",
            "ALTER TABLE t dbpartition by hash(c)",
            "ALTER TABLE t drop primary key, PARTITION BY HASH(a) PARTITIONS 3",
        ] {
            assert_eq!(repartitions(sql, &context).map(|found| found.len()), Ok(1), "{sql}");
        }
    }

    #[test]
    fn statements_about_accounts_are_recognised() {
        let context = StatementContext::new("d", &|_| None);
        for sql in [
            "CREATE USER 'a'@'%' IDENTIFIED BY 'x'",
            "SET PASSWORD FOR a = 'x'",
            "GRANT SELECT ON d.t TO a",
            "DROP ROLE r",
            "/*x*/ alter user a identified by 'x'",
            "CREATE SERVER s OPTIONS (PASSWORD 'x')",
            "'broken",
        ] {
            assert!(concerns_accounts(sql, &context), "{sql}");
        }
        assert!(!concerns_accounts("CREATE GLOBAL INDEX g ON t (a) PARTITION BY KEY(a)", &context));
        assert_eq!(tables_named("ANALYZE TABLE t", &context).unwrap().iter().filter(|table| &*table.table == "t").count(), 1);
    }
}
