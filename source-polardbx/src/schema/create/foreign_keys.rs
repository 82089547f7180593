//! The foreign keys of a CREATE TABLE: which rows they change, and the text without them.

use std::collections::BTreeSet;

use super::rewrite::{Definition, Definitions};
use crate::schema::ReadError;
use crate::schema::cursor::Cursor;
use crate::schema::lexer::Dialect;

/// Returns the text of a SHOW CREATE TABLE without its foreign keys. The rest of the text is unchanged.
pub(crate) fn without_foreign_keys(statement: &str) -> Result<String, ReadError> {
    let is_foreign_key = |definition: &Definition<'_>| {
        let begins = |index: usize| definition.is(index, "FOREIGN") && definition.is(index + 1, "KEY");
        begins(0) || (definition.is(0, "CONSTRAINT") && (begins(1) || begins(2)))
    };
    let keep = |definition: &Definition<'_>| (!is_foreign_key(definition)).then(|| definition.text.to_owned());
    Ok(Definitions::read(statement)?.rewritten(statement.len(), keep))
}

/// The actions by which the foreign keys of a SHOW CREATE TABLE change rows of the table, such as `ON DELETE CASCADE`.
pub(crate) fn foreign_key_actions(statement: &str) -> Result<BTreeSet<String>, ReadError> {
    const ACTIONS: [&[&str]; 6] = [
        &["ON", "DELETE", "CASCADE"],
        &["ON", "DELETE", "SET", "NULL"],
        &["ON", "DELETE", "SET", "DEFAULT"],
        &["ON", "UPDATE", "CASCADE"],
        &["ON", "UPDATE", "SET", "NULL"],
        &["ON", "UPDATE", "SET", "DEFAULT"],
    ];
    let mut cursor = Cursor::new(statement, Dialect::default())?;
    let mut found = BTreeSet::new();
    while cursor.peek().is_some() {
        match ACTIONS.iter().find(|words| cursor.take_words(words)) {
            Some(words) => _ = found.insert(words.join(" ")),
            None => _ = cursor.advance(),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_keys_are_left_out() {
        let text = "CREATE TABLE `c` (\n  `id` int(11) NOT NULL COMMENT 'a, (b',\n  `p` decimal(10,2) DEFAULT '1.00',\n  PRIMARY KEY (`id`),\n  \
                    KEY `k` (`p`),\n  CONSTRAINT `f` FOREIGN KEY (`p`, `id`) REFERENCES `o` (`a`, `b`) ON DELETE CASCADE,\n  \
                    CONSTRAINT `ch` CHECK (`p` > 0),\n  CONSTRAINT `g` FOREIGN KEY (`p`) REFERENCES `d`.`o` (`a`)\n\
                    ) ENGINE=InnoDB DEFAULT CHARSET=utf8 COMMENT='FOREIGN KEY, (x'\n/*!50100 PARTITION BY HASH (id) */";
        let expected = "CREATE TABLE `c` (\n  `id` int(11) NOT NULL COMMENT 'a, (b',\n  `p` decimal(10,2) DEFAULT '1.00',\n  \
                        PRIMARY KEY (`id`),\n  KEY `k` (`p`),\n  CONSTRAINT `ch` CHECK (`p` > 0)\n\
                        ) ENGINE=InnoDB DEFAULT CHARSET=utf8 COMMENT='FOREIGN KEY, (x'\n/*!50100 PARTITION BY HASH (id) */";
        assert_eq!(without_foreign_keys(text).unwrap(), expected);
        assert_eq!(without_foreign_keys(expected).unwrap(), expected);
        let named = "CREATE TABLE t (`foreign` int, `constraint` int, key (`foreign`))";
        assert_eq!(without_foreign_keys(named).unwrap(), named);
    }

    #[test]
    fn actions_that_change_rows_are_found() {
        let found = |text: &str| foreign_key_actions(text).unwrap().into_iter().collect::<Vec<_>>().join(", ");
        assert_eq!(
            found("CREATE TABLE `c` (`p` int, FOREIGN KEY (`p`) REFERENCES `o` (`a`) ON DELETE CASCADE ON UPDATE SET NULL)"),
            "ON DELETE CASCADE, ON UPDATE SET NULL"
        );
        assert_eq!(found("CREATE TABLE c (p int, FOREIGN KEY (p) REFERENCES o (a) ON DELETE RESTRICT ON UPDATE NO ACTION)"), "");
        let quoted = "CREATE TABLE c (`ON` int, `t` timestamp ON UPDATE CURRENT_TIMESTAMP COMMENT 'ON DELETE CASCADE')";
        assert_eq!(found(quoted), "");
    }

    #[test]
    fn a_create_table_without_columns_is_an_error() {
        for text in ["", "CREATE TABLE t", "CREATE TABLE t (a int", "CREATE TABLE t LIKE u", "CREATE TABLE t ('"] {
            assert!(without_foreign_keys(text).is_err(), "{text}");
        }
    }
}
