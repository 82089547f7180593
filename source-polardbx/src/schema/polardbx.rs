//! What the statements of PolarDB-X need: a repair of the text for MySQL, and a look at the text of the user, which says more.

use runtime::TableId;

use super::create::{StatementContext, find_column};
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

/// The change of a statement that changes nothing for MySQL: only partitions by other columns, which may be a part of the key.
pub(crate) fn partitions_only(original: &str, context: &StatementContext<'_>) -> Option<Change> {
    let Statement::Change(change) = read_statement(original, context) else { return None };
    let effects: Vec<Effect> = change.effects.into_iter().filter(|effect| matches!(effect, Effect::Repartition { .. })).collect();
    (!effects.is_empty()).then_some(Change { kind: None, effects })
}

/// Adds the partition columns to a change. The text for MySQL, which `change` was read from, leaves them out.
pub(crate) fn add_partitions(change: &mut Change, original: &str, context: &StatementContext<'_>) {
    let Statement::Change(logical) = read_statement(original, context) else { return };
    let same = |one: &TableId, other: &TableId| one.to_string().eq_ignore_ascii_case(&other.to_string());
    for effect in logical.effects {
        match effect {
            Effect::Create { table, definition: Ok(logical) } => {
                let names = logical.schema.partition_columns.iter().filter_map(|&column| logical.schema.columns.get(column));
                let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
                for created in &mut change.effects {
                    if let Effect::Create { table: created, definition: Ok(create) } = created
                        && same(created, &table)
                    {
                        create.schema.partition_columns =
                            names.iter().filter_map(|name| find_column(&create.schema.columns, name)).collect();
                    }
                }
            }
            Effect::Repartition { .. } => change.effects.push(effect),
            _ => {}
        }
    }
}

/// All tables that a statement may name.
pub(crate) fn tables_named(sql: &str, context: &StatementContext<'_>) -> Vec<TableId> {
    Cursor::new(sql, context.dialect).map(|mut cursor| cursor.names_in_rest(context.database)).unwrap_or_default()
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
        let context = StatementContext::new("d", &|_| Some("utf8mb4".to_owned()));
        let read = |sql: &str| match read_statement(sql, &context) {
            Statement::Change(change) => change,
            other => panic!("{sql}: {other:?}"),
        };
        for (tail, expected) in [
            ("PARTITION BY KEY(b) PARTITIONS 4", &[1][..]),
            ("dbpartition by hash(`b`) tbpartition by hash(a) tbpartitions 4", &[1, 0]),
            ("BROADCAST", &[]),
            ("PARTITION BY LIST(a) SUBPARTITION BY KEY(B) SUBPARTITIONS 4 (PARTITION p1 VALUES IN(1))", &[0, 1]),
        ] {
            let mut change = read("CREATE TABLE `t` (a INT PRIMARY KEY, b INT)");
            add_partitions(
                &mut change,
                &format!("CREATE TABLE T (a INT PRIMARY KEY, b INT, GLOBAL INDEX g (b) PARTITION BY KEY(b)) {tail}"),
                &context,
            );
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
            assert_eq!(partitions_only(sql, &context).is_some(), is_one, "{sql}");
        }
        let mut change = read("ALTER TABLE t ");
        add_partitions(&mut change, "ALTER TABLE t PARTITION BY KEY(b)", &context);
        assert!(change.effects.iter().any(|effect| matches!(effect, Effect::Repartition { .. })), "{change:?}");
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
        assert_eq!(tables_named("ANALYZE TABLE t", &context).iter().filter(|table| &*table.table == "t").count(), 1);
    }
}
