//! What the statements of PolarDB-X need: a repair of the text for MySQL, and a look at texts that only PolarDB-X understands.

use runtime::TableId;

use super::create::StatementContext;
use super::cursor::Cursor;
use super::lexer::Dialect;

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
